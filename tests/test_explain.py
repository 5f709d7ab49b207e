"""What the report of a history says: rows, totals, costs, limits and reasons."""

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from durable_core.adapters.history_file import load_history
from durable_core.errors import UsageError
from durable_core.events import EVENTS
from durable_core.explaining.explain import explain
from durable_core.explaining.report import Replay, Report, Row
from durable_core.explaining.rows import explain_operations
from durable_core.fold import Recorded, fold
from durable_core.history import RecordedHistory, history_of_events, history_of_operations
from durable_core.model import (
    CallbackDetails,
    ContextDetails,
    ExecutionRecord,
    ExecutionStatus,
    Operation,
    OperationStatus,
    OperationType,
    StepDetails,
)
from durable_core.wire import events_from_wire

FIXTURES = Path(__file__).parent.parent / "fixtures"
HISTORIES = sorted((FIXTURES / "histories").glob("*.json"))
SOURCES = HISTORIES + sorted((FIXTURES / "states").glob("*.json"))
every_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)


def event_log() -> ModuleType:
    spec = importlib.util.spec_from_file_location("event_log", FIXTURES / "event_log.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LOG = event_log()


def new_log(scheme: Callable[[str], str] = LOG.python_id) -> Any:
    return LOG.EventLog("e", scheme)


def history(log: Any) -> RecordedHistory:
    return history_of_events("h", events_from_wire(log.events, "Events"))


def report_of(name: str, **options: Any) -> Report:
    folder = "histories" if (FIXTURES / "histories" / f"{name}.json").exists() else "states"
    return explain(load_history(str(FIXTURES / folder / f"{name}.json")), **options)


def shown(report: Report, *positions: str) -> list[tuple[str, str | None, str]]:
    """Give position, status and replay of rows: those asked for, or all."""
    return [
        (row.position, row.status, row.replay.value)
        for row in report.rows
        if not positions or row.position in positions
    ]


def row_at(report: Report, position: str) -> Row:
    [row] = [row for row in report.rows if row.position == position]
    return row


# -- what a replay does, in each recorded history ------------------------------------------------

DONE, BACK, NOT = "SUCCEEDED", "from-checkpoint", "not-reached"


def test_a_stripped_flat_parallel_re_executes_its_units_whose_steps_answer() -> None:
    report = report_of("flat_overflow_reentered")
    units = [
        row
        for unit in range(3)
        for row in (
            (f"1.{unit}", DONE, "re-executed"),
            (f"1.{unit}.1", DONE, BACK),
            (f"1.{unit}.2", DONE, BACK),
        )
    ]
    assert shown(report) == [("1", DONE, "re-executed"), *units, ("2", DONE, BACK)]
    assert [row.position for row in report.rows if row.is_stripped] == ["1"]
    assert [row.unit for row in report.rows if row.is_flat_unit] == [0, 1, 2]
    parent = row_at(report, "1")
    assert parent.is_inferred
    assert "over 262,144 bytes, was stripped" in parent.why
    assert parent.completion_reason == "ALL_COMPLETED"


def test_a_stripped_nested_map_takes_its_units_from_their_own_checkpoints() -> None:
    report = report_of("nested_overflow_reentered")
    units = [
        row for unit in range(4) for row in ((f"1.{unit}", DONE, BACK), (f"1.{unit}.1", DONE, NOT))
    ]
    assert shown(report) == [("1", DONE, "re-executed"), *units, ("2", DONE, BACK)]
    assert row_at(report, "1.2").why == "from its own checkpoint"
    assert row_at(report, "1.2.1").why == "not reached: 1.2 answers from its checkpoint"
    assert not [row for row in report.rows if row.is_flat_unit]


def test_a_stripped_child_context_runs_again_and_its_operations_answer() -> None:
    assert shown(report_of("child_overflow_reentered")) == [
        ("1", DONE, "re-executed"),
        ("1.1", DONE, BACK),
        ("1.2", DONE, BACK),
        ("2", DONE, BACK),
    ]


def test_started_units_of_a_stripped_parallel_are_skipped_with_all_that_is_in_them() -> None:
    report = report_of("min_successful_overflow_with_started_units")
    assert shown(report) == [
        ("1", DONE, "re-executed"),
        ("1.0", "STARTED", "skipped-as-started"),
        ("1.0.1", "STARTED", NOT),
        ("1.1", "STARTED", "skipped-as-started"),
        ("1.1.1", "STARTED", NOT),
        ("1.2", DONE, "re-executed"),
        ("1.2.1", DONE, BACK),
        ("1.3", DONE, "re-executed"),
        ("1.3.1", DONE, BACK),
        ("2", DONE, BACK),
    ]
    assert row_at(report, "1").completion_reason == "MIN_SUCCESSFUL_REACHED"


def test_a_failed_unit_runs_to_recover_its_error_and_stays_failed() -> None:
    for name, failed in (("overflow_with_failed_unit", "1.1"), ("dotnet_batch_summaries", "2.2")):
        row = row_at(report_of(name), failed)
        assert (row.status, row.replay) == ("FAILED", Replay.ERROR_RECOVERED)
        assert "recover its error" in row.why


def test_what_is_below_a_whole_result_is_not_reached() -> None:
    report = report_of("nested_maps")
    assert {row.replay for row in report.rows[1:]} == {Replay.NOT_REACHED}
    assert {row.why for row in report.rows[1:]} == {"not reached: 1 answers from its checkpoint"}
    assert report.rows[0].replay is Replay.FROM_CHECKPOINT


def test_dotnet_units_carry_the_names_of_the_summary() -> None:
    report = report_of("dotnet_flat_overflow")
    assert [row.name for row in report.rows if row.unit is not None] == ["a", "b", "c"]
    skipped = report_of("dotnet_batch_summaries")
    assert shown(skipped, "2.4", "2.5") == [
        ("2.4", "STARTED", "skipped-as-started"),
        ("2.5", "STARTED", "skipped-as-started"),
    ]


def test_a_java_unit_that_was_skipped_was_never_dispatched() -> None:
    row = row_at(report_of("java_map_overflow"), "1.4")
    assert (row.status, row.replay) == ("STARTED", Replay.NOT_DISPATCHED)


def test_a_java_parallel_is_always_rebuilt() -> None:
    row = row_at(report_of("java_parallel"), "1")
    assert row.replay is Replay.RE_EXECUTED
    assert row.why == "re-executed: Java's parallel is always rebuilt (inferred)"


@pytest.mark.parametrize("name", ["python_1x_map_overflow", "javascript_old_map_overflow"])
def test_units_of_old_summaries_answer_from_their_own_contexts(name: str) -> None:
    report = report_of(name)
    assert [row.replay for row in report.rows] == [
        Replay.RE_EXECUTED,
        *[Replay.FROM_CHECKPOINT] * 4,
    ]


@pytest.mark.parametrize(
    ("name", "position", "status", "replay", "why"),
    [
        ("callback_failed", "1", "FAILED", Replay.RAISES, "raises the recorded error Refused: not"),
        (
            "chained_invoke_failed",
            "1",
            "FAILED",
            Replay.RAISES,
            "error ValueError: no such account",
        ),
        ("running_on_retry", "2", "PENDING", Replay.WAITS, "waits for attempt 2 until 2026-11-22T"),
        ("running_on_wait", "2", "STARTED", Replay.WAITS, "waits until 2026-11-23T15:14:15"),
        ("running_on_callback", "1", "STARTED", Replay.WAITS, "waits for the answer from outside"),
        ("running_on_invoke", "1", "STARTED", Replay.WAITS, "waits for accounts to finish"),
        (
            "timed_out_execution",
            "2",
            "STARTED",
            Replay.WAITS,
            "still open when the execution ended",
        ),
        (
            "step_retries_exhausted",
            "1",
            "FAILED",
            Replay.RAISES,
            "ChildContextError: attempt 3 was",
        ),
        ("wait_for_condition", "1", "SUCCEEDED", Replay.FROM_CHECKPOINT, "from checkpoint"),
        ("operations_state", "1", "SUCCEEDED", Replay.RE_EXECUTED, "bytes, was stripped"),
        ("operations_state", "2", "SUCCEEDED", Replay.FROM_CHECKPOINT, "from checkpoint"),
        ("operations_state", "3", "STARTED", Replay.WAITS, "waits until 2026-03-02T10:00:03.000Z"),
    ],
)
def test_an_operation_says_what_a_replay_does_with_it(
    name: str, position: str, status: str, replay: Replay, why: str
) -> None:
    row = row_at(report_of(name), position)
    assert (row.status, row.replay) == (status, replay)
    assert why in row.why


def test_attempts_and_durations_are_those_of_the_events() -> None:
    row = row_at(report_of("step_retries"), "1")
    assert row.attempts == 3
    assert row.duration_seconds == pytest.approx(3.009, abs=0.01)
    assert row_at(report_of("wait_for_condition"), "1").attempts == 3


def test_a_preview_of_dotnet_stripped_nothing_and_its_parents_are_told_by_the_ids() -> None:
    report = report_of("dotnet_preview")
    assert report.totals.stripped == 0
    assert "nothing was stripped" in row_at(report, "1").why
    assert [(row.position, row.unit) for row in report.rows] == [
        ("1", None),
        ("1.1", 0),
        ("1.1.1", None),
        ("1.2", 1),
        ("1.2.1", None),
        ("2", None),
    ]
    assert row_at(report, "1.1").why == "from its own checkpoint"
    assert report.warnings == ("4 operations without ParentId are placed by the id",)


def test_nodes_of_a_dag_have_their_names_for_positions() -> None:
    report = report_of("javascript_dag")
    assert [row.position for row in report.rows] == ["1", "1.fetch", "1.fetch.1", "1.check", "2"]
    assert report.rows[0].completion_reason == "COMPLETED_WITH_FAILURES"
    assert not report.rows[0].is_stripped


def test_flat_units_have_the_names_that_gos_result_gives_them() -> None:
    report = report_of("go_flat_map")
    units = [(row.unit, row.name, row.status) for row in report.rows if row.unit is not None]
    assert units == [(0, "map-item-0", "SUCCEEDED"), (1, "map-item-1", "FAILED")]


def test_a_step_with_the_sub_type_of_a_map_is_explained_as_a_step() -> None:
    log = new_log()
    log.start("1", "Step", "Map", "counted")
    log.step_succeeded("1", '{"type":"MapResult","totalCount":1,"itemStatuses":"S"}')
    report = explain(history(log))
    assert report.totals.units == report.totals.stripped == 0
    assert report.rows[0].why == "from checkpoint"


@pytest.mark.parametrize(
    ("name", "sdks"),
    [
        ("flat_overflow_reentered", ("python",)),
        ("dotnet_flat_overflow", ("dotnet",)),
        ("java_map_overflow", ("java",)),
        ("javascript_map_overflow", ("javascript",)),
        ("javascript_old_map_overflow", ("javascript",)),
        ("cancelled_wait", ("dotnet", "java", "rust")),
        ("empty_execution", ()),
        ("go_flat_map", ("go",)),
        ("rust_nested_map", ("rust",)),
        ("javascript_dag", ("javascript",)),
        ("dotnet_preview", ("dotnet",)),
    ],
)
def test_the_sdk_is_told_by_the_ids_and_where_it_can_be_by_a_summary(
    name: str, sdks: tuple[str, ...]
) -> None:
    assert report_of(name).sdks == sdks


# -- totals and cost -----------------------------------------------------------------------------


def test_totals_count_operations_units_and_what_happens_with_them() -> None:
    totals = report_of("min_successful_overflow_with_started_units").totals
    assert (totals.operations, totals.units) == (6, 4)
    assert (totals.stripped, totals.re_executed, totals.skipped) == (1, 3, 2)
    assert (totals.not_dispatched, totals.failed, totals.pending) == (0, 0, 0)


def test_a_replay_is_handed_what_is_not_pruned_and_runs_what_was_stripped() -> None:
    cost = report_of("flat_overflow_reentered").cost
    assert (cost.operations, cost.answered) == (8, 7)
    assert (cost.contexts_re_executed, cost.unit_bodies) == (1, 3)
    assert cost.payload_bytes == 264_188
    pruned = report_of("nested_overflow_reentered").cost
    assert (pruned.operations, pruned.answered, pruned.contexts_re_executed) == (6, 5, 1)
    whole = report_of("nested_maps").cost
    assert (whole.operations, whole.answered, whole.unit_bodies) == (1, 1, 0)


def test_bytes_are_those_of_every_payload_and_error_that_was_written() -> None:
    log = new_log()
    log.start("1", "Step", "Step", "s")
    error = LOG.error("E", "m")
    retry = {"RetryDetails": {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 1}}
    log.end("1", "StepFailed", {**LOG.failure(error), **retry})
    log.start("1", "Step", "Step", "s")
    log.step_succeeded("1", '"é"')
    log.succeeds('"ok"')
    report = explain(history(log))
    failure = len(json.dumps(error))
    assert (report.rows[0].payload_bytes, report.rows[0].stored_bytes) == (4, 4 + failure)
    assert report.stored_bytes == len("null") + 4 + failure + len('"ok"')


# -- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "warns", "over"),
    [
        (209_715, False, False),
        (209_716, True, False),
        (262_144, True, False),
        (262_145, True, True),
    ],
)
def test_a_payload_warns_from_80_percent_of_its_limit(size: int, warns: bool, over: bool) -> None:
    log = new_log()
    log.step("1", "big", f'"{"x" * (size - 2)}"')
    [use] = [use for use in explain(history(log)).limits if use.key == "payload_bytes"]
    assert (use.used, use.is_warning, use.fraction > 1) == (size, warns, over)
    assert use.where == '1 Step "big"'


def test_operations_warn_from_80_percent_of_their_limit() -> None:
    for count, warns in ((2_399, False), (2_400, True)):
        recorded = [
            Operation(f"{n}", OperationType.STEP, OperationStatus.SUCCEEDED) for n in range(count)
        ]
        report = explain(history_of_operations("h", recorded))
        [use] = [use for use in report.limits if use.key == "operations"]
        assert (use.used, use.limit, use.is_warning) == (count, 3_000, warns)


def test_the_final_result_has_a_limit_of_its_own() -> None:
    log = new_log()
    log.succeeds('"done"')
    [use] = [use for use in explain(history(log)).limits if use.key == "response_bytes"]
    assert (use.used, use.limit) == (6, 6_291_406)


# -- why it waits, why it failed -----------------------------------------------------------------


def texts(report: Report) -> list[str]:
    return [reason.text for reason in report.reasons]


def test_what_succeeded_has_no_reasons() -> None:
    assert report_of("flat_overflow_reentered").reasons == ()


def test_a_callback_is_waited_for_until_the_earlier_of_its_timeouts() -> None:
    log = new_log()
    created = {"CallbackId": "c-1", "Timeout": 3600, "HeartbeatTimeout": 600}
    log.start("1", "Callback", "Callback", "approval", created)
    started = log.now
    log.invocation_completed()
    [reason] = explain(history(log)).reasons
    assert 'Callback "approval" waits for an answer to callback id c-1' in reason.text
    heartbeat, timeout = reason.text.split("; ")[1:]
    assert heartbeat.startswith("times out unless a heartbeat came at 2026-03-02T09:10:00.008Z")
    assert timeout.startswith("times out at 2026-03-02T10:00:00.008Z")
    assert reason.until == started + timedelta(seconds=600)
    assert reason.position == "1"


def test_an_invoke_names_the_function_and_the_execution_that_it_waits_for() -> None:
    [text] = texts(report_of("running_on_invoke"))
    assert text.startswith(
        'ChainedInvoke "ask-accounts" waits for function accounts, execution cf9'
    )


def test_a_retry_says_when_it_is_due_and_what_went_wrong() -> None:
    [reason] = report_of("running_on_retry").reasons
    assert reason.text.startswith('Step "call-service" waits for attempt 2 at 2026-11-22T16:14:12')
    assert reason.text.endswith("after ConnectionError: service is down for maintenance")
    assert reason.until is not None


def test_a_chain_of_errors_starts_at_the_root_cause() -> None:
    assert texts(report_of("step_retries_exhausted")) == [
        'Step "call-service" failed after 3 attempts: ConnectionError: attempt 3 was refused',
        'RunInChildContext "inner" failed: StepError: attempt 3 was refused',
        'RunInChildContext "outer" failed: ChildContextError: attempt 3 was refused',
        "the execution failed: ChildContextError: attempt 3 was refused",
    ]


def test_an_error_of_the_handler_itself_has_no_operation() -> None:
    assert texts(report_of("failed_execution")) == [
        "the execution failed: ValueError: wanted 3, in stock 0"
    ]


def failing(*steps: tuple[str, str], last: str) -> Report:
    log = new_log()
    for at, message in steps:
        log.step_failing(at, f"step-{at}", LOG.error("E", message))
    log.invocation_completed()
    log.execution("Failed", LOG.failure(LOG.error("X", last)))
    return explain(history(log))


def test_the_cause_is_the_failed_operation_whose_error_the_execution_has() -> None:
    report = failing(("1", "the cause"), ("2", "was handled"), last="the cause")
    assert texts(report) == [
        'Step "step-1" failed: E: the cause',
        "the execution failed: X: the cause",
    ]


def test_a_failure_that_is_not_the_cause_is_said_not_to_be() -> None:
    report = failing(("1", "was handled"), last="something else")
    assert texts(report) == [
        "the last operation that failed before it (its error is not the execution's own): "
        'Step "step-1" failed: E: was handled',
        "the execution failed: X: something else",
    ]


def test_a_cancelled_wait_is_no_cause_of_a_failure() -> None:
    log = new_log()
    log.wait("1", "deadline", 60)
    log.end("1", "WaitCancelled", {})
    log.invocation_completed()
    log.execution("Failed", LOG.failure(LOG.error("X", "m")))
    assert texts(explain(history(log))) == ["the execution failed: X: m"]


def test_an_execution_that_timed_out_says_what_was_open() -> None:
    head, wait = texts(report_of("timed_out_execution"))
    assert "the execution ended as TIMED_OUT after 86,400 s" in head
    assert wait.startswith('Wait "try-tomorrow" ends at 2026-03-04T09:01:00.020Z')


def test_an_interrupted_step_says_in_which_attempt() -> None:
    events = load_history(str(FIXTURES / "histories" / "crashed_invocation.json")).events[:5]
    report = explain(history_of_events("h", events))
    assert texts(report) == ['Step "render" was interrupted in attempt 1']
    row = row_at(report, "2")
    assert row.replay is Replay.RUNS_AGAIN
    assert "attempt 1 was interrupted and runs again" in row.why


def test_only_so_many_open_operations_are_named() -> None:
    log = new_log()
    for number in range(1, 31):
        log.wait(str(number), f"w{number}", 60)
    log.invocation_completed()
    found = texts(explain(history(log)))
    assert len(found) == 21
    assert found[-1] == "and 10 more operations that are open"


def test_an_open_invocation_is_told() -> None:
    log = new_log()
    log.step("1", "s", "1")
    assert texts(explain(history(log)))[0].startswith("an invocation was running")


# -- the picture of one invocation ---------------------------------------------------------------


def test_each_invocation_finds_what_the_ones_before_it_left() -> None:
    pictures = [
        shown(report_of("flat_overflow_reentered", invocation=number), "1", "1.0.2", "2")
        for number in (1, 2, 3)
    ]
    assert pictures == [
        [],
        [("1", "STARTED", "runs-again"), ("1.0.2", DONE, BACK)],
        [("1", DONE, "re-executed"), ("1.0.2", DONE, BACK), ("2", DONE, BACK)],
    ]


def test_the_next_invocation_of_a_running_execution_finds_everything() -> None:
    report = report_of("running_on_wait", invocation=2)
    assert shown(report) == shown(report_of("running_on_wait"))


@pytest.mark.parametrize(
    ("name", "number"), [("running_on_wait", 3), ("flat_overflow_reentered", 4), ("waits", 0)]
)
def test_an_invocation_that_there_was_not_is_a_wrong_call(name: str, number: int) -> None:
    with pytest.raises(UsageError, match="there is no invocation"):
        report_of(name, invocation=number)


def test_a_state_has_no_invocations() -> None:
    with pytest.raises(UsageError, match="a state has no invocations"):
        report_of("operations_state", invocation=1)


def test_what_is_known_of_the_end_is_not_in_the_picture_of_an_earlier_invocation() -> None:
    log = new_log()
    log.wait("1", "w", 60)
    log.waits_end(60, "1")
    log.succeeds('"done"')
    record = ExecutionRecord(
        status=ExecutionStatus.SUCCEEDED, result='"done"', end_timestamp=log.now
    )
    told = replace(history(log), execution=record)
    assert explain(told).status == "SUCCEEDED"
    early = explain(told, invocation=1)
    assert (early.status, early.ended, early.result_bytes) == ("RUNNING", None, None)


@pytest.mark.parametrize("status", ["PAUSING", "PAUSED", "RUNNING"])
def test_an_execution_that_is_being_paused_has_not_ended(status: str) -> None:
    log = new_log()
    log.wait("1", "w", 60)
    log.invocation_completed()
    record = ExecutionRecord(status=ExecutionStatus(status))
    report = explain(replace(history(log), execution=record))
    assert report.status == status
    assert row_at(report, "1").why.startswith("waits until")


# -- less than a whole history -------------------------------------------------------------------


def test_operations_of_a_missing_parent_stand_below_a_row_for_it() -> None:
    log = new_log()
    log.context("1", "RunInChildContext", "gone")
    log.step("1.1", "kept", "1")
    log.step("2", "after", "2")
    events = [each for each in log.events if each.get("Name") != "gone"]
    report = explain(history_of_events("h", events_from_wire(events, "Events")))
    assert [(row.position, row.depth, row.sub_type) for row in report.rows] == [
        ("2", 0, "Step"),
        ("1", 0, "(missing parent)"),
        ("1.1", 1, "Step"),
    ]
    assert report.rows[1].replay is Replay.UNKNOWN
    assert report.totals.operations == 2


def test_without_payloads_a_context_is_not_said_to_be_whole() -> None:
    log = new_log()
    log.context("1", "Map", "m")
    log.step("1.0.1", "s", "1", parent="1")
    log.end("1", "ContextSucceeded", {"Result": {}})
    log.events[0]["ExecutionStartedDetails"] = {}
    for event in log.events:
        if event["EventType"] == "StepSucceeded":
            event["StepSucceededDetails"] = {}
    told = history(log)
    assert not told.has_execution_data
    report = explain(told)
    assert "unless its result was stripped" in row_at(report, "1").why
    assert not row_at(report, "1").is_stripped


def test_payloads_are_only_in_a_report_that_is_asked_for_them() -> None:
    assert all(row.payload is None for row in report_of("step_retries").rows)
    [row] = report_of("step_retries", show_payloads=True).rows
    assert row.payload == '"answered on attempt 3"'


def state(*operations: Operation) -> Report:
    return explain(history_of_operations("h", operations))


def batch(result: str | None, *, replay_children: bool | None) -> Operation:
    return Operation(
        LOG.python_id("1"),
        OperationType.CONTEXT,
        OperationStatus.SUCCEEDED,
        sub_type="Map",
        context_details=ContextDetails(replay_children=replay_children, result=result),
    )


def unit_step(at: str, status: str = "SUCCEEDED") -> Operation:
    return Operation(
        LOG.python_id(at),
        OperationType.STEP,
        OperationStatus(status),
        parent_id=LOG.python_id("1"),
        sub_type="Step",
        step_details=StepDetails(attempt=1, result="1"),
    )


WHOLE = json.dumps({"all": [{"index": 0, "status": "SUCCEEDED", "result": 1}]})


def test_an_explicit_flag_wins_over_what_the_payload_looks_like() -> None:
    rebuilt = state(batch(WHOLE, replay_children=True), unit_step("1.0.1"))
    assert shown(rebuilt) == [
        ("1", DONE, "re-executed"),
        ("1.0", DONE, "re-executed"),
        ("1.0.1", DONE, BACK),
    ]
    assert not rebuilt.rows[0].is_inferred
    for flag in (False, None):
        assert state(batch("", replay_children=flag)).rows[0].replay is Replay.FROM_CHECKPOINT


@pytest.mark.parametrize("summary", ["", "a summary of somebody's own", None])
def test_flat_units_run_again_when_no_summary_tells_how_they_ended(summary: str | None) -> None:
    report = state(batch(summary, replay_children=True), unit_step("1.0.1"), unit_step("1.1.1"))
    assert shown(report) == [
        ("1", DONE, "re-executed"),
        ("1.0", None, "re-executed"),
        ("1.0.1", DONE, BACK),
        ("1.1", None, "re-executed"),
        ("1.1.1", DONE, BACK),
    ]


ONE_OF_TWO = json.dumps(
    {
        "type": "MapResult",
        "totalCount": 1,
        "completionReason": "MIN_SUCCESSFUL_REACHED",
        "startedIndexes": [],
        "successCount": 1,
        "failureCount": 0,
    }
)


def nested_unit(at: str) -> Operation:
    return Operation(
        LOG.python_id(at),
        OperationType.CONTEXT,
        OperationStatus.STARTED,
        parent_id=LOG.python_id("1"),
        sub_type="MapIteration",
    )


def test_a_unit_that_the_summary_does_not_list_is_not_entered() -> None:
    inner = replace(unit_step("1.1.1"), parent_id=LOG.python_id("1.1"))
    nested = state(batch(ONE_OF_TWO, replay_children=True), nested_unit("1.1"), inner)
    assert shown(nested, "1.1", "1.1.1") == [
        ("1.1", "STARTED", "not-dispatched"),
        ("1.1.1", DONE, NOT),
    ]
    flat = state(batch(ONE_OF_TWO, replay_children=True), unit_step("1.1.1", "STARTED"))
    assert shown(flat, "1.1", "1.1.1") == [
        ("1.1", "STARTED", "not-dispatched"),
        ("1.1.1", "STARTED", NOT),
    ]


def test_an_operation_is_shown_even_where_a_unit_is_both_nested_and_flat() -> None:
    report = state(batch(WHOLE, replay_children=True), nested_unit("1.0"), unit_step("1.0.1"))
    assert {row.id for row in report.rows} >= {LOG.python_id("1.0"), LOG.python_id("1.0.1")}


def test_an_impossible_operation_is_said_to_be_so_and_stops_nothing() -> None:
    impossible = Operation(LOG.python_id("1"), OperationType.WAIT, OperationStatus.READY)
    report = state(impossible, unit_step("2"))
    assert row_at(report, "1").replay is Replay.UNKNOWN
    assert "a WAIT operation can't be READY" in row_at(report, "1").why


# -- laws ----------------------------------------------------------------------------------------


def check_tree(rows: tuple[Row, ...], recorded: dict[str, str | None]) -> None:
    """Every operation has one row, below its parent's and one deeper (two in a FLAT unit)."""
    ids = [row.id for row in rows if row.id in recorded]
    assert sorted(ids) == sorted(recorded)
    above: list[Row] = []
    for row in rows:
        assert row.depth <= len(above)
        del above[row.depth :]
        if row.id in recorded and recorded[row.id] is not None:
            owner = next(each for each in reversed(above) if not each.is_flat_unit)
            assert owner.id == recorded[row.id]
        elif not row.is_flat_unit:
            assert row.depth == 0
        above.append(row)


@every_source
def test_every_operation_has_one_row_below_that_of_its_parent(path: Path) -> None:
    told = load_history(str(path))
    if told.operations is None:
        recorded = {k: v.operation.parent_id for k, v in fold(told.events).operations.items()}
    else:
        every = [each for each in told.operations if each.type is not OperationType.EXECUTION]
        recorded = {each.id: each.parent_id for each in every}
    check_tree(explain(told).rows, recorded)


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_every_invocation_of_every_history_has_a_picture(path: Path) -> None:
    told = load_history(str(path))
    for number in range(1, explain(told).invocations + 1):
        report = explain(told, invocation=number)
        assert report.invocation == number
        assert report.reasons == ()


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_every_prefix_of_every_history_can_be_explained(path: Path) -> None:
    events = load_history(str(path)).events
    for length in range(0, len(events), 1 + len(events) // 25):
        report = explain(history_of_events("h", events[:length]))
        assert report.status in ("RUNNING", "PAUSED")
        assert report.reasons


@every_source
def test_whatever_is_lost_of_a_history_the_rest_can_be_explained(path: Path) -> None:
    events = load_history(str(path)).events
    for first in range(1, len(events), 1 + len(events) // 10):
        rest = events[first:]
        recorded = {k: v.operation.parent_id for k, v in fold(rest).operations.items()}
        shown_ids = [row.id for row in explain(history_of_events("h", rest)).rows if row.id]
        assert set(recorded) <= set(shown_ids)
        assert len(shown_ids) == len(set(shown_ids))


def test_a_nesting_of_20_000_contexts_is_no_recursion() -> None:
    recorded = {
        str(n): Recorded(
            Operation(
                str(n),
                OperationType.CONTEXT,
                OperationStatus.STARTED,
                parent_id=str(n - 1) if n else None,
            )
        )
        for n in range(20_000)
    }
    rows = explain_operations(recorded, ended=False).rows
    assert [row.depth for row in rows] == list(range(20_000))


def test_the_work_for_units_of_ever_changing_status_is_linear() -> None:
    count = 20_000
    summary = {"UnitStatuses": "SF" * (count // 2), "CompletionReason": "ALL_COMPLETED"}
    parent = batch(json.dumps(summary), replay_children=True)
    units = [unit_step(f"1.{n}.1") for n in range(0, count, 4)]
    report = state(parent, *units)  # A square of it would take minutes.
    assert report.totals.units == count


def test_a_payload_is_held_against_the_limit_of_its_own_type() -> None:
    callback = Recorded(
        Operation(
            id="c",
            type=OperationType.CALLBACK,
            status=OperationStatus.SUCCEEDED,
            callback_details=CallbackDetails("id", result="x" * 300_000),
        )
    )
    state = history_of_operations("h", [callback.operation])
    [use] = [use for use in explain(state).limits if use.key == "payload_bytes"]
    assert (use.used, use.limit, use.is_warning) == (300_000, 1_048_576, False)


def test_the_last_error_of_a_step_that_waits_for_its_next_attempt_is_told() -> None:
    row = row_at(report_of("running_on_retry"), "2")
    assert row.status == "PENDING"
    assert row.error is not None
    assert row.error.type == "ConnectionError"


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_fields_that_an_event_does_not_have_change_nothing(path: Path) -> None:
    raw = json.loads(path.read_bytes())["Events"]
    form = {"Payload": "y", "Truncated": True}
    odd = {"Result": {"Payload": "x"}, "Input": form, "Error": {"Truncated": True}}
    more = []
    for event in raw:
        kind = event["EventType"]
        known = EVENTS[kind].fields
        new = {name: value for name, value in odd.items() if name not in known}
        more.append({**event, f"{kind}Details": {**event.get(f"{kind}Details", {}), **new}})
    plain, planted = (
        explain(history_of_events("h", events_from_wire(each, "Events"))) for each in (raw, more)
    )
    assert planted == plain
