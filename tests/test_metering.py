"""What AWS meters: each row of the developer guide's table, and that the totals are the sum."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_core import (
    CallbackConfig,
    DurableContext,
    MapConfig,
    NestingType,
    RetryStrategyConfig,
    StepConfig,
    StepContext,
    WaitForCallbackConfig,
    WaitForConditionConfig,
    WaitStrategyConfig,
    create_retry_strategy,
    create_wait_strategy,
)
from durable_core.adapters.history_file import load_history
from durable_core.explaining.explain import explain
from durable_core.explaining.report import Report, Row
from durable_core.fold import Recorded, fold
from durable_core.history import history_of_events, history_of_operations
from durable_core.metering import METERING, MeteredKind, metered, metered_kind
from durable_core.model import (
    ErrorObject,
    Operation,
    OperationStatus,
    OperationType,
    StepDetails,
)
from durable_core.service.faults import Fault, FaultKind, Faults
from durable_core.simulation.outcome import Simulation
from durable_core.simulation.scenario import (
    CallbackOutcome,
    CallbackScript,
    InvokeOutcome,
    InvokeScript,
    Scenario,
)
from durable_core.simulation.simulate import simulate
from durable_core.sizes import error_bytes, utf8_bytes
from durable_core.wire import events_from_wire

FIXTURES = Path(__file__).parent.parent / "fixtures"
SOURCES = [*(FIXTURES / "histories").glob("*.json"), *(FIXTURES / "states").glob("*.json")]
every_source = pytest.mark.parametrize("path", sorted(SOURCES), ids=lambda path: path.stem)

THRICE = StepConfig(create_retry_strategy(RetryStrategyConfig(max_attempts=3)))
SCENARIO = Scenario(
    callbacks=(CallbackScript("*", CallbackOutcome.SUCCESS, payload='"yes"', after_seconds=1),),
    invokes=(InvokeScript("echo", InvokeOutcome.RESULT, result='"echoed"', after_seconds=1),),
)


def fails_until(attempt: int) -> Callable[[StepContext], str]:
    def body(step: StepContext) -> str:
        if step.attempt < attempt:
            raise ConnectionError("down")
        return "é"

    return body


def reported(handler: Callable[..., Any], event: Any = None, **options: Any) -> Report:
    simulation = simulate(handler, event, scenario=SCENARIO, **options)
    return report_of(simulation)


def report_of(simulation: Simulation) -> Report:
    assert simulation.status == "SUCCEEDED", simulation.error
    return explain(history_of_events("h", simulation.events, simulation.arn))


def by_type(report: Report) -> dict[str, tuple[int, int]]:
    """Give the metered operations and bytes of each type of row, added up."""
    found: dict[str, tuple[int, int]] = {}
    for row in report.rows:
        operations, size = found.get(row.sub_type or row.type, (0, 0))
        found[row.sub_type or row.type] = (
            operations + row.metered_operations,
            size + row.metered_bytes,
        )
    return found


def summed(report: Report) -> tuple[int, int]:
    """Give what all rows were metered, without the execution itself."""
    return (
        sum(row.metered_operations for row in report.rows),
        sum(row.metered_bytes for row in report.rows),
    )


DOWN = error_bytes(ErrorObject("down", "ConnectionError"))

# -- the table -----------------------------------------------------------------------------------


def test_every_kind_has_a_rule_and_every_type_of_operation_a_kind() -> None:
    assert set(METERING) == set(MeteredKind)
    for kind in OperationType:
        operation = Operation("1", kind, OperationStatus.STARTED)
        assert metered_kind(Recorded(operation)) in METERING
        assert metered(Recorded(operation), 0).operations >= 1


def test_an_execution_is_one_operation_with_its_input_and_output() -> None:
    async def handler(event: Any, ctx: DurableContext) -> str:
        return "öl"

    report = reported(handler, {"a": "é"})
    own = utf8_bytes('{"a":"é"}') + utf8_bytes('"öl"')
    assert report.metering.execution.operations == 1
    assert report.metering.execution.bytes in (own, own + 1)  # with or without a space
    assert report.totals.metered_operations == 1


def test_a_step_is_one_operation_and_one_for_each_retry_with_what_each_attempt_wrote() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(fails_until(1), "once")
        await ctx.step(fails_until(3), "thrice", THRICE)

    report = reported(handler)
    once, thrice = report.rows
    assert (once.metered_operations, once.metered_bytes) == (1, utf8_bytes('"é"'))
    assert thrice.metered_operations == 1 + 2
    assert thrice.metered_bytes > utf8_bytes('"é"') + 2 * len("ConnectionError: down")
    assert thrice.metered_bytes == thrice.stored_bytes


def test_a_wait_is_one_operation_without_data() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.wait(timedelta(days=1), "w")

    assert summed(reported(handler)) == (1, 0)


def test_wait_for_condition_is_one_operation_and_one_for_each_poll_with_its_payload() -> None:
    strategy = create_wait_strategy(WaitStrategyConfig[int](lambda state: state < 3))
    config = WaitForConditionConfig(wait_strategy=strategy, initial_state=0)

    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.wait_for_condition(lambda state, check: state + 1, config, "c")

    assert summed(reported(handler)) == (1 + 3, len("1") + len("2") + len("3"))


def test_a_condition_is_known_by_its_polls_when_the_sub_type_is_the_user_s() -> None:
    history = load_history(str(FIXTURES / "histories" / "wait_for_condition.json"))
    report = explain(history)
    [polled] = fold(
        [replace(each, sub_type="JobDone") for each in history.events]
    ).operations.values()
    assert metered_kind(polled) is MeteredKind.WAIT_FOR_CONDITION
    assert metered(polled, 0).operations == report.rows[0].metered_operations == 1 + 3


def test_a_step_that_was_retried_is_no_condition_whatever_its_sub_type() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        config = replace(THRICE, sub_type="WaitForCondition")
        await ctx.step(fails_until(3), "thrice", config)

    assert summed(reported(handler))[0] == 1 + 2


def test_create_callback_is_one_operation_and_its_completion_only_data() -> None:
    async def handler(event: Any, ctx: DurableContext) -> Any:
        callback = await ctx.create_callback("approval", CallbackConfig(timedelta(hours=1)))
        return await callback.result()

    assert summed(reported(handler)) == (1, len('"yes"'))


def test_wait_for_callback_is_three_and_retries_with_two_copies_of_the_payload() -> None:
    failures = iter([ConnectionError("down"), ConnectionError("down")])

    def submit(callback_id: str, context: Any) -> None:
        for failure in failures:
            raise failure

    config = WaitForCallbackConfig(retry_strategy=THRICE.retry_strategy)

    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.wait_for_callback(submit, "approval", config)

    report = reported(handler)
    assert summed(report)[0] == 3 + 2
    kinds = by_type(report)
    assert kinds["Step"][0] == 1 + 2
    assert kinds["Callback"] == (1, len('"yes"'))
    assert kinds["WaitForCallback"] == (1, len(json.dumps('"yes"')))  # as the context wrote it


@pytest.mark.parametrize("construct", ["map", "parallel"])
def test_map_and_parallel_are_one_and_the_units_with_two_copies_of_each_result(
    construct: str,
) -> None:
    report = reported(batch(construct, NestingType.NESTED))
    kinds = by_type(report)
    units = kinds.get("MapIteration") or kinds["ParallelBranch"]
    assert units == (4, 4 * len('"unit"'))
    [container] = [row for row in report.rows if row.sub_type in ("Map", "Parallel")]
    assert container.metered_operations == 1
    assert container.metered_bytes >= 4 * len('"unit"')  # the second copy, and the statuses


@pytest.mark.parametrize("construct", ["map", "parallel"])
def test_flat_units_meter_nothing_and_the_report_says_that_this_is_not_published(
    construct: str,
) -> None:
    report = reported(batch(construct, NestingType.FLAT))
    units = [row for row in report.rows if row.is_flat_unit]
    assert len(units) == 4
    assert {(row.metered_operations, row.metered_bytes) for row in units} == {(0, 0)}
    assert summed(report)[0] == 1 + 4  # the container, and a step in each unit
    assert any("FLAT" in note and "not published" in note for note in report.metering.notes)


def batch(construct: str, nesting: NestingType) -> Callable[..., Any]:
    from durable_core import ParallelConfig

    async def unit(inside: DurableContext, *rest: Any) -> str:
        await inside.step(lambda step: None, "s")
        return "unit"

    async def handler(event: Any, ctx: DurableContext) -> None:
        if construct == "map":
            await ctx.map([1, 2, 3, 4], unit, "m", MapConfig[Any](nesting_type=nesting))
        else:
            await ctx.parallel([unit] * 4, "p", ParallelConfig(nesting_type=nesting))

    return handler


def test_a_child_context_is_one_operation_with_its_result() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        async def inside(child: DurableContext) -> str:
            return "result"

        await ctx.run_in_child_context(inside, "child")

    assert summed(reported(handler)) == (1, len('"result"'))


def test_a_chained_invoke_is_counted_and_the_report_says_that_this_is_not_published() -> None:
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.invoke("echo", "in", name="i")

    report = reported(handler)
    assert summed(report) == (1, len('"in"') + len('"echoed"'))
    assert any("chained invokes is not published" in note for note in report.metering.notes)


def test_an_invocation_that_failed_and_was_tried_again_is_one_operation_with_its_error() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(fails_until(1), "s")

    clean = reported(handler)
    crashed = reported(handler, faults=Faults((Fault(FaultKind.CRASH_AFTER, 1, 1),)))
    assert clean.metering.invocation_retries.operations == 0
    assert crashed.metering.invocation_retries.operations == 1
    assert crashed.metering.invocation_retries.bytes > 20
    assert crashed.totals.metered_operations == clean.totals.metered_operations + 1


def test_an_execution_that_failed_with_its_invocation_was_not_tried_again() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        raise ValueError("no")

    simulation = simulate(handler, None)
    report = explain(history_of_events("h", simulation.events, simulation.arn))
    assert report.status == "FAILED"
    assert report.metering.invocation_retries.operations == 0
    assert report.metering.execution.bytes > len("null") + len("ValueError")


# -- sums ----------------------------------------------------------------------------------------


def assert_sum(report: Report) -> None:
    metering = report.metering
    operations, size = summed(report)
    own, retries = metering.execution, metering.invocation_retries
    assert report.totals.metered_operations == operations + own.operations + retries.operations
    assert report.totals.metered_bytes == size + own.bytes + retries.bytes
    used = {use.key: use.used for use in report.limits}
    assert used["metered_operations"] == report.totals.metered_operations
    assert used["operations"] == report.totals.operations


@every_source
def test_the_totals_are_the_rows_the_execution_and_the_retries_in_every_picture(
    path: Path,
) -> None:
    history = load_history(str(path))
    whole = explain(history)
    assert_sum(whole)
    if history.operations is not None:
        return
    before = 0
    for number in range(1, whole.invocations + 1):
        seen = explain(history, invocation=number)
        assert_sum(seen)
        assert before <= seen.totals.metered_operations <= whole.totals.metered_operations
        before = seen.totals.metered_operations


@every_source
def test_every_operation_is_metered_once_at_least_and_no_unit_without_one(path: Path) -> None:
    def expected(row: Row) -> bool:
        is_operation = row.id is not None and row.status is not None
        return row.metered_operations >= 1 if is_operation else row.metered_operations == 0

    assert all(map(expected, explain(load_history(str(path))).rows))


# -- what isn't known ----------------------------------------------------------------------------


def operation(**fields: Any) -> Operation:
    return Operation("1", OperationType.STEP, sub_type="Step", **fields)


@pytest.mark.parametrize(
    ("status", "attempt", "counted"),
    [
        (OperationStatus.STARTED, 0, 1),
        (OperationStatus.PENDING, 1, 1),
        (OperationStatus.READY, 2, 2),
        (OperationStatus.STARTED, 2, 3),
        (OperationStatus.SUCCEEDED, 3, 3),
        (OperationStatus.SUCCEEDED, None, 1),
    ],
)
def test_of_a_state_attempts_are_known_by_their_number_only(
    status: OperationStatus, attempt: int | None, counted: int
) -> None:
    details = StepDetails(attempt=attempt, result="1")
    state = history_of_operations("state", [operation(status=status, step_details=details)])
    report = explain(state)
    assert report.rows[0].metered_operations == counted
    assert report.metering.operations_at_least
    assert report.metering.bytes_at_least
    assert "a state holds no failed invocations" in report.metering.notes[0]


def changed(name: str, change: Callable[[list[Any]], None]) -> Report:
    document = json.loads((FIXTURES / "histories" / f"{name}.json").read_text())
    change(document["Events"])
    return explain(history_of_events("h", events_from_wire(document["Events"], "Events")))


def test_polls_without_payloads_as_the_local_runner_writes_them_make_bytes_a_lower_bound() -> None:
    report = explain(load_history(str(FIXTURES / "histories" / "wait_for_condition.json")))
    assert report.metering.bytes_at_least
    assert report.rows[0].metered_bytes == 39


def without_results(events: list[Any]) -> None:
    for event in events:
        details: Mapping[str, Any] = event.get(f"{event['EventType']}Details") or {}
        for key in ("Result", "Input"):
            if key in details:
                details[key].update(Payload=None, Truncated=True)


def test_bytes_are_a_lower_bound_where_payloads_are_left_out() -> None:
    whole = explain(load_history(str(FIXTURES / "histories" / "waits.json")))
    assert not whole.metering.bytes_at_least
    report = changed("waits", without_results)
    assert report.metering.bytes_at_least
    assert not report.metering.operations_at_least
    assert report.totals.metered_operations == whole.totals.metered_operations
    assert report.totals.metered_bytes < whole.totals.metered_bytes


def test_a_failed_attempt_whose_error_is_left_out_is_no_poll() -> None:
    whole = explain(load_history(str(FIXTURES / "histories" / "step_retries.json")))

    def cut(events: list[Any]) -> None:
        without_results(events)
        for event in events:
            details = event.get(f"{event['EventType']}Details") or {}
            if "Error" in details:
                details["Error"].update(Payload=None, Truncated=True)

    report = changed("step_retries", cut)
    assert report.totals.metered_operations == whole.totals.metered_operations


def test_operations_are_a_lower_bound_where_events_are_missing() -> None:
    def cut(events: list[Any]) -> None:
        del events[2:4]

    report = changed("waits", cut)
    assert report.metering.operations_at_least
    assert [use.at_least for use in report.limits if use.key == "metered_operations"] == [True]
