"""What events add up to: the effect of each type, and laws over every recorded history."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_core.adapters.history_file import load_history
from durable_core.errors import HistoryError
from durable_core.events import EVENTS
from durable_core.fold import Recorded, as_found_by, fold, visible
from durable_core.invocations import invocations
from durable_core.model import (
    CallbackDetails,
    ChainedInvokeDetails,
    ContextDetails,
    ErrorObject,
    Event,
    ExecutionStatus,
    Operation,
    OperationStatus,
    OperationType,
    StepDetails,
    WaitDetails,
)
from durable_core.transitions import BACKEND, MOVES, STATUSES

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
HISTORIES = sorted((Path(__file__).parent.parent / "fixtures" / "histories").glob("*.json"))
every_history = pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)

RESULT = {"Result": {"Payload": "1"}}
BAD = {"Error": {"Payload": {"ErrorType": "E", "ErrorMessage": "m"}}}
ERROR = ErrorObject(message="m", type="E")


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def history(*events: tuple[Any, ...]) -> list[Event]:
    """Number events that are given as (type, details) or (type, details, id), a second apart."""
    return [
        Event(
            number,
            event_type,
            after(number),
            id=None if event_type == "InvocationCompleted" else (rest[0] if rest else "a"),
            details=details,
        )
        for number, (event_type, details, *rest) in enumerate(events, 1)
    ]


def one(*events: tuple[Any, ...], now: datetime | None = None) -> Recorded:
    return fold(history(*events), now=now).operations["a"]


def retry(delay: int | None = None) -> dict[str, Any]:
    details = {"CurrentAttempt": 1}
    return {
        "RetryDetails": details if delay is None else {**details, "NextAttemptDelaySeconds": delay}
    }


# -- the effect of each type ---------------------------------------------------------------------


@pytest.mark.parametrize("event_type", [t for t, spec in EVENTS.items() if spec.operation])
def test_each_event_brings_its_operation_into_its_status(event_type: str) -> None:
    spec = EVENTS[event_type]
    folded = fold([Event(1, event_type, NOON, id="a", details={})])
    if spec.operation is OperationType.EXECUTION:
        assert not folded.operations
        running = spec.status is OperationStatus.STARTED
        assert folded.execution.status.value == ("RUNNING" if running else spec.status)
        return
    operation = folded.operations["a"].operation
    assert (operation.type, operation.status) == (spec.operation, spec.status)
    assert (operation.end_timestamp == NOON) is operation.is_terminal


def test_a_succeeded_step_keeps_its_result() -> None:
    step = one(("StepStarted", {}), ("StepSucceeded", {**RESULT, **retry()}))
    assert step.operation.step_details == StepDetails(attempt=1, result="1")
    assert (step.operation.start_timestamp, step.operation.end_timestamp) == (after(1), after(2))
    assert (step.events, step.attempts, step.payloads) == ((1, 2), 1, ("1",))


def test_a_failed_step_keeps_its_error() -> None:
    step = one(("StepStarted", {}), ("StepFailed", {**BAD, **retry()}))
    assert step.operation.status is OperationStatus.FAILED
    assert step.operation.step_details == StepDetails(attempt=1, error=ERROR)


def test_a_failed_attempt_with_a_delay_waits_for_the_next_one() -> None:
    step = one(("StepStarted", {}), ("StepFailed", {**BAD, **retry(60)}))
    assert step.operation.status is OperationStatus.PENDING
    assert step.operation.end_timestamp is None
    assert step.operation.step_details == StepDetails(
        attempt=1, next_attempt_timestamp=after(62), error=ERROR
    )
    assert step.failures == (ERROR,)


def test_a_delay_of_0_seconds_is_no_delay() -> None:
    step = one(("StepStarted", {}), ("StepFailed", {**BAD, **retry(0)}))
    assert step.operation.status is OperationStatus.FAILED


def test_an_absurd_delay_ends_at_the_end_of_time() -> None:
    step = one(("StepStarted", {}), ("StepFailed", {**BAD, **retry(10**15)}))
    assert step.operation.step_details is not None
    assert step.operation.step_details.next_attempt_timestamp == datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize(("seconds", "status"), [(61.999, "PENDING"), (62, "READY"), (99, "READY")])
def test_a_retry_is_ready_from_the_moment_it_is_due(seconds: float, status: str) -> None:
    events = (("StepStarted", {}), ("StepFailed", {**BAD, **retry(60)}))
    step = one(*events, now=after(seconds)).operation
    assert step.status == status
    assert step.step_details is not None
    assert (step.step_details.next_attempt_timestamp is None) is (status == "READY")


def test_attempts_and_the_failures_before_the_last_are_counted() -> None:
    step = one(
        ("StepStarted", {}),
        ("StepFailed", {**BAD, **retry(1)}),
        ("StepStarted", {}),
        ("StepFailed", {**BAD, **retry(1)}),
        ("StepStarted", {}),
        ("StepSucceeded", {**RESULT, **retry()}),
    )
    assert (step.attempts, step.failures) == (3, (ERROR, ERROR))
    assert step.operation.step_details == StepDetails(attempt=3, result="1")
    assert step.operation.start_timestamp == after(1)
    assert step.last_started == after(5)


def test_a_poll_that_goes_on_keeps_its_state_and_is_pending() -> None:
    poll = one(("StepStarted", {}), ("StepSucceeded", {**RESULT, **retry(5)}))
    assert poll.operation.status is OperationStatus.PENDING
    assert poll.operation.step_details == StepDetails(
        attempt=1, next_attempt_timestamp=after(7), result="1"
    )
    assert poll.failures == ()


def test_all_states_of_a_poll_count_as_written() -> None:
    poll = one(
        ("StepStarted", {}),
        ("StepSucceeded", {"Result": {"Payload": "1"}, **retry(5)}),
        ("StepStarted", {}),
        ("StepSucceeded", {"Result": {"Payload": "22"}}),
    )
    assert poll.payloads == ("1", "22")
    assert poll.operation.result == "22"
    assert poll.operation.status is OperationStatus.SUCCEEDED


def test_an_attempt_that_starts_again_is_no_longer_ended() -> None:
    # Some recorders leave out the delay of a poll that goes on.
    poll = one(("StepStarted", {}), ("StepSucceeded", RESULT), ("StepStarted", {})).operation
    assert (poll.status, poll.end_timestamp) == (OperationStatus.STARTED, None)


def test_an_interrupted_step_stays_started() -> None:
    step = one(("StepStarted", {}), ("InvocationCompleted", BAD))
    assert step.operation.status is OperationStatus.STARTED
    assert step.operation.step_details == StepDetails(attempt=0)
    assert step.attempts == 1


def test_a_wait_tells_when_it_ends() -> None:
    end = "2026-11-02T13:00:01Z"
    started = ("WaitStarted", {"Duration": 3600, "ScheduledEndTimestamp": end})
    wait = one(started)
    assert wait.operation.wait_details == WaitDetails(after(3601))
    assert wait.wait_seconds == 3600
    done = one(started, ("WaitSucceeded", {"Duration": 3600}))
    assert done.operation.status is OperationStatus.SUCCEEDED
    cancelled = one(started, ("WaitCancelled", {})).operation
    assert (cancelled.status, cancelled.end_timestamp) == (OperationStatus.CANCELLED, after(2))


def test_a_callback_keeps_its_id_its_timeouts_and_its_answer() -> None:
    created = ("CallbackStarted", {"CallbackId": "c", "Timeout": 60, "HeartbeatTimeout": 5})
    open_ = one(created)
    assert open_.operation.callback_details == CallbackDetails("c")
    assert (open_.callback_timeout_seconds, open_.callback_heartbeat_seconds) == (60, 5)
    assert one(created, ("CallbackSucceeded", RESULT)).operation.callback_details == (
        CallbackDetails("c", "1")
    )
    late = one(created, ("CallbackTimedOut", BAD)).operation
    assert (late.status, late.callback_details) == (
        OperationStatus.TIMED_OUT,
        CallbackDetails("c", None, ERROR),
    )


def test_a_timeout_of_0_seconds_is_none() -> None:
    created = one(("CallbackStarted", {"CallbackId": "c", "Timeout": 0, "HeartbeatTimeout": 0}))
    assert (created.callback_timeout_seconds, created.callback_heartbeat_seconds) == (None, None)


def test_a_chained_invoke_keeps_what_it_asked_for_and_the_answer() -> None:
    asked = {"FunctionName": "f", "TenantId": "t", "ExecutedVersion": "3"}
    asked |= {"DurableExecutionArn": "arn", "Input": {"Payload": "[1]"}}
    invoke = one(("ChainedInvokeStarted", asked), ("ChainedInvokeSucceeded", RESULT))
    assert (invoke.function_name, invoke.tenant_id, invoke.executed_version) == ("f", "t", "3")
    assert (invoke.execution_arn, invoke.invoke_input) == ("arn", "[1]")
    assert invoke.operation.chained_invoke_details == ChainedInvokeDetails("1")
    assert invoke.payloads == ("[1]", "1")
    stopped = one(("ChainedInvokeStarted", asked), ("ChainedInvokeStopped", BAD)).operation
    assert (stopped.status, stopped.error) == (OperationStatus.STOPPED, ERROR)


def test_a_context_keeps_its_result_and_never_says_replay_children() -> None:
    details = {"ContextOptions": {"ReplayChildren": True}, **RESULT}
    context = one(("ContextStarted", {}), ("ContextSucceeded", details)).operation
    assert context.context_details == ContextDetails(replay_children=None, result="1")


def test_a_payload_that_the_service_left_out_is_told_from_none() -> None:
    cut = {"Result": {"Truncated": True}}
    assert one(("StepStarted", {}), ("StepSucceeded", cut)).truncated
    assert not one(("StepStarted", {}), ("StepSucceeded", {})).truncated


def test_an_operation_without_its_start_starts_with_its_first_event() -> None:
    step = one(("StepSucceeded", RESULT))
    assert (step.operation.start_timestamp, step.attempts) == (after(1), 0)
    assert step.operation.status is OperationStatus.SUCCEEDED


def test_name_sub_type_and_parent_are_those_of_the_first_event_that_says_them() -> None:
    first = Event(1, "StepStarted", NOON, id="a", parent_id="p", sub_type="Step")
    last = Event(2, "StepSucceeded", NOON, id="a", name="n", parent_id="p", sub_type="Step")
    operation = fold([first, last]).operations["a"].operation
    assert (operation.name, operation.parent_id, operation.sub_type) == ("n", "p", "Step")


def test_what_only_a_later_event_says_of_an_operation_is_kept() -> None:
    bare = Event(1, "StepStarted", NOON, id="a")
    full = Event(2, "StepSucceeded", NOON, id="a", name="n", parent_id="p", sub_type="Step")
    operation = fold([bare, full]).operations["a"].operation
    assert (operation.name, operation.parent_id, operation.sub_type) == ("n", "p", "Step")


def test_an_operation_of_two_types_can_not_be() -> None:
    with pytest.raises(
        HistoryError, match="EventId 2: WaitStarted for operation a, which is a STEP"
    ):
        fold(history(("StepStarted", {}), ("WaitStarted", {})))


def test_the_execution_is_no_operation() -> None:
    start = {"Input": {"Payload": "{}"}, "ExecutionTimeout": 60}
    folded = fold(history(("ExecutionStarted", start, "x"), ("ExecutionSucceeded", RESULT, "x")))
    facts = folded.execution
    assert not folded.operations
    assert (facts.status, facts.id) == (ExecutionStatus.SUCCEEDED, "x")
    assert (facts.input_payload, facts.result, facts.timeout_seconds) == ("{}", "1", 60)
    assert (facts.started, facts.ended, facts.last_event) == (after(1), after(2), after(2))


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ([], "RUNNING"),
        (["ExecutionPaused"], "PAUSED"),
        (["ExecutionPaused", "ExecutionResumed"], "RUNNING"),
        (["ExecutionPaused", "ExecutionResumed", "ExecutionPaused"], "PAUSED"),
        (["ExecutionPaused", "ExecutionStopped"], "STOPPED"),
        (["ExecutionTimedOut"], "TIMED_OUT"),
        (["ExecutionFailed"], "FAILED"),
    ],
)
def test_the_status_of_the_execution_is_what_its_last_event_says(
    more: list[str], status: str
) -> None:
    events = [("ExecutionStarted", {}, "x"), *((each, {}, "x") for each in more)]
    assert fold(history(*events)).execution.status == status


def test_no_events_are_a_running_execution_of_which_nothing_is_known() -> None:
    folded = fold([])
    assert folded.execution.status is ExecutionStatus.RUNNING
    assert folded.execution.last_event is None
    assert not folded.operations
    assert not folded.invocations


# -- invocations ---------------------------------------------------------------------------------


def spans(*events: tuple[Any, ...]) -> list[tuple[int, int, int]]:
    return [(each.first, each.found, each.stop) for each in invocations(history(*events))]


START = ("ExecutionStarted", {}, "x")
DONE = ("InvocationCompleted", {})


def test_an_invocation_finds_what_the_service_did_before_it() -> None:
    assert spans(START, ("WaitStarted", {}), DONE, ("WaitSucceeded", {}), DONE) == [
        (0, 1, 3),
        (3, 4, 5),
    ]


def done_since(seconds: float) -> tuple[str, dict[str, Any]]:
    return ("InvocationCompleted", {"StartTimestamp": after(seconds).isoformat()})


@pytest.mark.parametrize(("started", "found"), [(3.5, 3), (4, 4), (4.5, 4), (9, 5)])
def test_what_the_service_did_after_an_invocation_started_was_not_found_by_it(
    started: float, found: int
) -> None:
    events = [
        START,
        ("WaitStarted", {}),
        DONE,
        ("WaitSucceeded", {}),
        ("CallbackSucceeded", {}, "b"),
    ]
    assert spans(*events, done_since(started))[-1] == (3, found, 6)


def test_a_wait_that_ends_in_the_middle_of_an_invocation_was_open_when_it_began() -> None:
    events = history(
        START,
        ("WaitStarted", {}),
        ("StepStarted", {}, "s"),
        ("WaitSucceeded", {}),
        ("StepSucceeded", RESULT, "s"),
        DONE,
        DONE,
    )
    first, second = invocations(events)
    assert not as_found_by(events, first).operations
    assert as_found_by(events, second).operations["a"].operation.status == "SUCCEEDED"


def test_an_invocation_that_has_not_completed_is_open() -> None:
    [only] = invocations(history(START, ("StepStarted", {})))
    assert (only.started, only.ended) == (after(2), None)


def test_waiting_between_two_invocations_is_no_invocation() -> None:
    assert len(invocations(history(START, ("WaitStarted", {}), DONE, ("WaitSucceeded", {})))) == 1
    assert invocations(history(START)) == ()


def test_an_invocation_says_when_it_ran_and_why_it_crashed() -> None:
    details = {"StartTimestamp": after(0).isoformat(), "EndTimestamp": after(9).isoformat()}
    [crashed] = invocations(
        history(START, ("InvocationCompleted", {**details, **BAD, "RequestId": "r"}))
    )
    assert (crashed.number, crashed.request_id, crashed.error) == (1, "r", ERROR)
    assert (crashed.started, crashed.ended) == (after(0), after(9))


def test_a_retry_that_was_due_is_ready_for_the_invocation_that_finds_it() -> None:
    failed = ("StepFailed", {**BAD, **retry(1)})
    events = history(START, ("StepStarted", {}), failed, DONE, ("StepStarted", {}), DONE)
    found = as_found_by(events, invocations(events)[1])
    assert found.operations["a"].operation.status is OperationStatus.READY


# -- what an invocation is handed ----------------------------------------------------------------


def context(key: str, parent: str | None = None, status: str = "SUCCEEDED") -> Operation:
    return Operation(key, OperationType.CONTEXT, OperationStatus(status), parent_id=parent)


def step(key: str, parent: str | None) -> Operation:
    return Operation(key, OperationType.STEP, OperationStatus.SUCCEEDED, parent_id=parent)


TREE = [
    context("1"),
    step("1.1", "1"),
    context("1.2", "1", "STARTED"),
    step("1.2.1", "1.2"),
    context("2", None, "FAILED"),
    step("2.1", "2"),
    context("3", None, "STARTED"),
    context("3.1", "3"),
    step("3.1.1", "3.1"),
    step("9.1", "9"),
]


def handed(rebuilt: dict[str, bool], tree: Sequence[Operation] = TREE) -> set[str]:
    return {each.id for each in visible(tree, rebuilt)}


def test_what_is_below_a_completed_context_is_not_handed_over() -> None:
    assert handed({}) == {"1", "2", "3", "3.1", "9.1"}


def test_what_is_below_a_context_with_replay_children_is() -> None:
    assert handed({"1": True}) == {"1", "1.1", "1.2", "1.2.1", "2", "3", "3.1", "9.1"}
    assert handed({"3.1": True}) == {"1", "2", "3", "3.1", "3.1.1", "9.1"}


def test_a_context_with_replay_children_below_one_without_is_gone_too() -> None:
    tree = [context("1"), context("1.1", "1"), step("1.1.1", "1.1")]
    assert handed({"1.1": True}, tree) == {"1"}


@given(st.permutations(TREE), st.dictionaries(st.sampled_from(["1", "2", "3.1"]), st.booleans()))
def test_the_order_of_the_operations_does_not_matter(
    tree: list[Operation], rebuilt: dict[str, bool]
) -> None:
    assert handed(rebuilt, tree) == handed(rebuilt)


def test_any_depth_of_contexts_can_be_pruned() -> None:
    deep = [context(str(n), str(n - 1) if n else None) for n in range(5_000)]
    assert handed({}, deep[::-1]) == {"0"}
    assert len(handed({str(n): True for n in range(5_000)}, deep[::-1])) == 5_000


# -- laws over every history ---------------------------------------------------------------------


def prefixes(events: Sequence[Event]) -> range:
    """Give every length of a prefix, or every few for a long history."""
    return range(0, len(events) + 1, 1 + len(events) // 200)


def moves(kind: OperationType, before: OperationStatus | None) -> set[OperationStatus]:
    """Give the statuses that one event can lead to; a retry gets READY without any event."""
    reached = {to for (type_, status, _), to in MOVES.items() if (type_, status) == (kind, before)}
    if before is not None:
        by_service = BACKEND.get((kind, before), frozenset())
        reached |= by_service
        if OperationStatus.READY in by_service:
            reached |= moves(kind, OperationStatus.READY)
    return reached


@every_history
def test_an_operation_moves_only_as_the_tables_allow(path: Path) -> None:
    events = load_history(str(path)).events
    known: dict[str, OperationStatus] = {}
    seen: list[Event] = []
    by_id: dict[str, list[Event]] = {}
    for event in events:
        seen.append(event)
        if event.id is None or event.event_type.startswith("Execution"):
            continue
        own = by_id.setdefault(event.id, [])
        own.append(event)
        operation = fold(own).operations[event.id].operation
        assert operation.status in STATUSES[operation.type]
        assert operation.status in moves(operation.type, known.get(event.id))
        known[event.id] = operation.status


@every_history
def test_every_prefix_of_a_history_can_be_folded(path: Path) -> None:
    events = load_history(str(path)).events
    for length in prefixes(events):
        folded = fold(events[:length])
        assert len(folded.operations) <= length
        for each in folded.operations.values():
            assert each.operation.is_terminal == (each.operation.end_timestamp is not None)
            assert each.events[0] <= each.events[1] <= length


@every_history
def test_invocations_are_parts_of_the_events_in_order(path: Path) -> None:
    events = load_history(str(path)).events
    for length in prefixes(events):
        at = 0
        for number, each in enumerate(invocations(events[:length]), 1):
            assert each.number == number
            assert each.first == at
            assert each.first <= each.found <= each.stop <= length
            at = each.stop
        rest = {event.event_type for event in events[at:length]}
        assert all(EVENTS[event_type].backend for event_type in rest)


@every_history
def test_what_an_invocation_finds_grows_from_one_to_the_next(path: Path) -> None:
    events = load_history(str(path)).events
    before: set[str] = set()
    for each in invocations(events)[:20]:
        found = set(as_found_by(events, each).operations)
        assert before <= found
        before = found
    assert before <= set(fold(events).operations)


@every_history
def test_events_of_unknown_types_change_nothing(path: Path) -> None:
    events = load_history(str(path)).events
    strange = [
        Event(event.event_id, "ContextFrobnicated", event.timestamp, id=event.id, name="?")
        for event in events
    ]
    mixed = [each for pair in zip(events, strange, strict=True) for each in pair]
    folded, expected = fold(mixed), fold(events)
    assert folded.operations == expected.operations
    assert folded.execution == expected.execution
    assert len(folded.invocations) == len(expected.invocations)
