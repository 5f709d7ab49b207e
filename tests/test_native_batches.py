"""map and parallel: names, concurrency, completion, short circuits and their clean stop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from recording import result_of

from durable_core import (
    BatchResult,
    ChildContextError,
    CompletionConfig,
    CompletionOutcome,
    CompletionReason,
    DurableContext,
    JsonSerDes,
    MapConfig,
    NestingType,
    ParallelBranch,
    ParallelConfig,
    RetryPresets,
    SerDes,
    SerDesContext,
    SerDesError,
    StepConfig,
    StepError,
    ValidationError,
    complete_batch,
    continue_batch,
)
from durable_core.model import OperationAction, OperationStatus, OperationType
from durable_core.native.journal import Activity
from durable_core.simulation.outcome import Simulation
from durable_core.simulation.scenario import read_scenario
from durable_core.simulation.simulate import simulate

CRASH_BEFORE_THE_END = """
[[crash]]
invocation = 1
checkpoint = 2
when = "before"
"""

FLAT, NESTED = NestingType.FLAT, NestingType.NESTED
both_nestings = pytest.mark.parametrize("nesting", [FLAT, NESTED])


def started(simulation: Simulation, name: str) -> int:
    return sum(1 for e in simulation.events if e.event_type == "StepStarted" and e.name == name)


async def work(ctx: DurableContext, item: Any, index: int, items: Sequence[Any]) -> str:
    def body(step: Any) -> str:
        if item == "bad":
            raise ValueError(f"item {index} is bad")
        return f"{item}-{index}"

    return await ctx.step(body, "work", StepConfig(RetryPresets.none()))


def mapping(items: Sequence[Any], config: MapConfig[Any]) -> Any:
    async def handler(event: Any, ctx: DurableContext) -> dict[str, Any]:
        result = await ctx.map(items, work, "batch", config)
        return {
            "reason": result.completion_reason.value,
            "statuses": [item.status.value for item in result.all],
            "results": result.get_results(),
        }

    return handler


# -- what they record -----------------------------------------------------------------------------


def test_units_are_named_as_the_sdk_names_them() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.map([1, 2], work)

        async def branch(inner: DurableContext) -> None:
            pass

        await ctx.parallel([branch, ParallelBranch(branch, "named")])

    names = [o.name for o in simulate(handler).operations.values() if o.sub_type != "Step"]
    assert names[1:] == [
        None,
        "map-item-0",
        "map-item-1",
        None,
        "parallel-branch-0",
        "named",
    ]


def test_flat_units_write_no_context_and_their_steps_belong_to_the_map() -> None:
    simulation = simulate(mapping(["a", "b"], MapConfig(nesting_type=FLAT)))
    contexts = [o for o in simulation.operations.values() if o.type is OperationType.CONTEXT]
    assert [context.sub_type for context in contexts] == ["Map"]
    steps = [o for o in simulation.operations.values() if o.type is OperationType.STEP]
    assert {step.parent_id for step in steps} == {contexts[0].id}
    assert len({step.id for step in steps}) == 2


def test_a_whole_result_is_stored_in_the_form_of_the_dotnet_sdk() -> None:
    config = MapConfig[Any](completion_config=CompletionConfig.all_completed())
    simulation = simulate(mapping(["a", "bad"], config))
    stored = next(o for o in simulation.operations.values() if o.sub_type == "Map").result
    assert json.loads(stored or "") == {
        "CompletionReason": "ALL_COMPLETED",
        "Units": [
            {"Index": 0, "Name": "map-item-0", "Status": "SUCCEEDED", "Result": '"a-0"'},
            {
                "Index": 1,
                "Name": "map-item-1",
                "Status": "FAILED",
                "Error": {
                    "ErrorMessage": "item 1 is bad",
                    "ErrorType": "durable_core.exceptions.StepError",
                },
            },
        ],
    }


@both_nestings
def test_a_whole_result_is_the_same_on_a_replay(nesting: NestingType) -> None:
    seen: list[BatchResult[str]] = []
    config = MapConfig[Any](
        max_concurrency=2,
        nesting_type=nesting,
        completion_config=CompletionConfig(tolerated_failure_count=0),
    )

    async def handler(event: Any, ctx: DurableContext) -> None:
        seen.append(await ctx.map(["a", "bad", "c", "d"], work, "batch", config))
        await ctx.wait(timedelta(seconds=1))

    simulation = simulate(handler)
    live, replayed = seen
    assert replayed == live
    assert [item.status.value for item in live.all] == ["SUCCEEDED", "FAILED", "STARTED"]
    assert simulation.invocations[1].did(Activity.RAN, Activity.RE_EXECUTED) == ()


def test_an_empty_batch_completes_at_once() -> None:
    outcome = result_of(simulate(mapping([], MapConfig())))
    assert outcome == {"reason": "ALL_COMPLETED", "statuses": [], "results": []}


# -- completion -----------------------------------------------------------------------------------


def test_failures_never_raise_and_the_parent_always_succeeds() -> None:
    simulation = simulate(mapping(["bad", "b"], MapConfig(max_concurrency=1)))
    outcome = result_of(simulation)
    assert outcome["reason"] == "FAILURE_TOLERANCE_EXCEEDED"
    assert outcome["statuses"] == ["FAILED"]
    batch = next(o for o in simulation.operations.values() if o.sub_type == "Map")
    assert batch.status is OperationStatus.SUCCEEDED


def test_more_successes_than_units_are_refused_before_anything_is_recorded() -> None:
    config = MapConfig[Any](completion_config=CompletionConfig(min_successful=3))

    async def handler(event: Any, ctx: DurableContext) -> str:
        with pytest.raises(ValidationError, match="3 > 2"):
            await ctx.map([1, 2], work, config=config)
        return "refused"

    simulation = simulate(handler)
    assert (result_of(simulation), simulation.updates) == ("refused", ())


@both_nestings
@pytest.mark.parametrize(
    ("concurrency", "succeeded", "stopped"), [(1, 2, 0), (3, 3, 1), (None, 6, 0)]
)
def test_min_successful_short_circuits(
    nesting: NestingType, concurrency: int | None, succeeded: int, stopped: int
) -> None:
    """Units whose work was persisted meanwhile keep how they ended; one that was just dispatched
    stops at its first operation."""
    config = MapConfig[Any](
        max_concurrency=concurrency,
        nesting_type=nesting,
        completion_config=CompletionConfig(min_successful=2),
    )
    simulation = simulate(mapping("abcdef", config), check_every_request=True)
    outcome = result_of(simulation)
    assert outcome["reason"] == "MIN_SUCCESSFUL_REACHED"
    assert outcome["statuses"] == ["SUCCEEDED"] * succeeded + ["STARTED"] * stopped
    assert started(simulation, "work") == succeeded


@both_nestings
@pytest.mark.parametrize("concurrency", [3, None])
def test_a_stop_is_cooperative_running_work_is_awaited_and_kept(
    nesting: NestingType, concurrency: int | None
) -> None:
    finished: list[str] = []

    async def unit(ctx: DurableContext, seconds: int, index: int, all_: Sequence[int]) -> str:
        async def sleep(step: Any) -> str:
            await asyncio.sleep(seconds)
            finished.append(f"{seconds}")
            return "slept"

        await ctx.step(sleep, f"sleep {seconds}")
        return await ctx.step(lambda step: "second", f"second {seconds}")

    async def handler(event: Any, ctx: DurableContext) -> list[str]:
        config = MapConfig[int](
            max_concurrency=concurrency,
            nesting_type=nesting,
            completion_config=CompletionConfig(min_successful=1),
        )
        result = await ctx.map([1, 5, 9, 13], unit, "race", config)
        return [item.status.value for item in result.all]

    simulation = simulate(handler, check_every_request=True)
    slower = 2 if concurrency == 3 else 3
    assert result_of(simulation) == ["SUCCEEDED"] + ["STARTED"] * slower
    assert finished == ["1", "5", "9", "13"][: slower + 1]
    names = [o.name for o in simulation.operations.values() if o.type is OperationType.STEP]
    assert "second 1" in names
    assert not {"second 5", "second 9", "second 13"} & set(names)
    steps = [o for o in simulation.operations.values() if o.type is OperationType.STEP]
    assert {step.status for step in steps} == {OperationStatus.SUCCEEDED}


@both_nestings
def test_a_unit_that_waits_is_stopped_at_once(nesting: NestingType) -> None:
    async def unit(ctx: DurableContext, item: str, index: int, items: Sequence[str]) -> str:
        if item == "waits":
            await ctx.wait(timedelta(days=1))
        return item

    async def handler(event: Any, ctx: DurableContext) -> list[str]:
        config = MapConfig[str](
            nesting_type=nesting, completion_config=CompletionConfig(min_successful=1)
        )
        result = await ctx.map(["waits", "ready"], unit, "race", config)
        return [item.status.value for item in result.all]

    simulation = simulate(handler)
    assert result_of(simulation) == ["STARTED", "SUCCEEDED"]
    assert len(simulation.invocations) == 1
    stopped = simulation.invocations[0].did(Activity.STOPPED)
    assert [note.name for note in stopped] == ["map-item-0"]


def test_an_inner_batch_stops_with_the_unit_around_it() -> None:
    async def inner(ctx: DurableContext, item: int, index: int, items: Sequence[int]) -> int:
        await ctx.wait(timedelta(days=1))
        return item

    async def slow(ctx: DurableContext) -> int:
        return (await ctx.map([1, 2], inner, "inner")).success_count

    async def fast(ctx: DurableContext) -> int:
        return 1

    async def handler(event: Any, ctx: DurableContext) -> list[str]:
        config = ParallelConfig(completion_config=CompletionConfig.first_successful())
        result = await ctx.parallel([slow, fast], "outer", config)
        return [item.status.value for item in result.all]

    simulation = simulate(handler, check_every_request=True)
    assert result_of(simulation) == ["STARTED", "SUCCEEDED"]
    inner_map = next(o for o in simulation.operations.values() if o.name == "inner")
    assert inner_map.status is OperationStatus.STARTED


def test_a_predicate_of_the_user_s_own_completes_a_batch() -> None:
    def first_failure(status: Any) -> Any:
        if status.failure_count:
            return complete_batch(CompletionOutcome.FAILED)
        return continue_batch()

    config = MapConfig[Any](
        max_concurrency=1, completion_config=CompletionConfig(should_complete=first_failure)
    )
    outcome = result_of(simulate(mapping(["a", "bad", "c"], config)))
    assert outcome["reason"] == CompletionReason.CUSTOM_COMPLETION_FAILED
    assert outcome["statuses"] == ["SUCCEEDED", "FAILED"]


def breaking(what: str) -> MapConfig[Any]:
    """Return a config of which one function of the user's raises."""

    def breaks(*_: Any) -> Any:
        raise LookupError(f"the {what} broke")

    class Broken(SerDes[Any]):
        def serialize(self, value: Any, serdes_context: SerDesContext) -> str:
            breaks()
            return ""

        def deserialize(self, data: str, serdes_context: SerDesContext) -> Any:
            return None

    match what:
        case "predicate":
            return MapConfig(completion_config=CompletionConfig(should_complete=breaks))
        case "namer":
            return MapConfig(item_namer=breaks)
        case "serdes":
            return MapConfig(serdes=Broken(), item_serdes=JsonSerDes())
    return MapConfig(summary_generator=breaks)


@both_nestings
@pytest.mark.parametrize("crash", ["", CRASH_BEFORE_THE_END])
@pytest.mark.parametrize("what", ["predicate", "namer", "serdes", "summary"])
def test_what_the_user_s_own_functions_raise_fails_the_batch(
    nesting: NestingType, what: str, crash: str
) -> None:
    async def unit(ctx: DurableContext, item: int, index: int, items: Sequence[int]) -> str:
        return "x" * 150_000

    async def handler(event: Any, ctx: DurableContext) -> list[Any]:
        raised: list[Any] = []
        for _ in range(2):
            try:
                await ctx.map([1, 2], unit, "batch", replace(breaking(what), nesting_type=nesting))
            except (ChildContextError, SerDesError) as error:
                raised.append([type(error).__name__, error.message, error.error_type])
            await ctx.wait(timedelta(seconds=1))
        return raised

    simulation = simulate(handler, scenario=read_scenario(crash), check_every_request=True)
    message = f"the {what} broke"
    expected = ["ChildContextError", message, "LookupError"]
    if what == "serdes":
        message = f"the value can't be serialized: {message}"
        expected = ["SerDesError", message, "durable_core.exceptions.SerDesError"]
    assert result_of(simulation) == [expected, expected]
    failed = [o for o in simulation.operations.values() if o.name == "batch"]
    assert [each.status for each in failed] == [OperationStatus.FAILED] * 2
    assert [each.error and each.error.message for each in failed] == [message] * 2


def test_a_name_that_the_service_would_refuse_is_refused_before_anything_is_recorded() -> None:
    config = MapConfig[Any](item_namer=lambda item, index: "n" * 257)
    simulation = simulate(mapping(["a"], config))
    assert simulation.error is not None
    assert simulation.error.type == "durable_core.exceptions.ValidationError"
    assert [o.type for o in simulation.operations.values()] == [OperationType.EXECUTION]


# -- concurrency ----------------------------------------------------------------------------------


@both_nestings
@pytest.mark.parametrize("concurrency", [1, 3, None])
def test_no_more_units_run_at_once_than_asked_for(
    nesting: NestingType, concurrency: int | None
) -> None:
    at_once: list[int] = []
    running: set[int] = set()

    async def unit(ctx: DurableContext, item: int, index: int, items: Sequence[int]) -> int:
        async def body(step: Any) -> int:
            running.add(index)
            at_once.append(len(running))
            await asyncio.sleep(10 - index)
            running.discard(index)
            return index

        return await ctx.step(body, "work")

    async def handler(event: Any, ctx: DurableContext) -> list[int]:
        config = MapConfig[int](max_concurrency=concurrency, nesting_type=nesting)
        return (await ctx.map(range(6), unit, "batch", config)).get_results()

    simulation = simulate(handler)
    assert result_of(simulation) == list(range(6))
    assert max(at_once) == (concurrency or 6)


def test_a_suspended_unit_keeps_its_slot() -> None:
    async def unit(ctx: DurableContext, item: int, index: int, items: Sequence[int]) -> int:
        await ctx.wait(timedelta(seconds=10))
        return item

    async def handler(event: Any, ctx: DurableContext) -> int:
        config = MapConfig[int](max_concurrency=2)
        return (await ctx.map(range(4), unit, "batch", config)).success_count

    simulation = simulate(handler)
    assert result_of(simulation) == 4
    assert simulation.virtual_seconds == 20


# -- accessors ------------------------------------------------------------------------------------


def test_a_batch_result_has_the_accessors_of_the_sdks() -> None:
    seen: list[BatchResult[str]] = []

    async def handler(event: Any, ctx: DurableContext) -> None:
        config = MapConfig[Any](completion_config=CompletionConfig.all_completed())
        seen.append(await ctx.map(["a", "bad", "c"], work, "batch", config))

    simulate(handler)
    (result,) = seen
    assert [item.index for item in result.all] == [0, 1, 2]
    assert [item.result for item in result.succeeded()] == ["a-0", "c-2"]
    assert [item.index for item in result.failed()] == [1]
    assert result.started() == []
    assert result.get_results() == ["a-0", "c-2"]
    assert [error.message for error in result.get_errors() if error] == ["item 1 is bad"]
    counts = (result.success_count, result.failure_count, result.started_count)
    assert (*counts, result.total_count) == (2, 1, 0, 3)
    assert result.has_failure
    assert result.status.value == "FAILED"
    with pytest.raises(ChildContextError, match="item 1 is bad") as raised:
        result.throw_if_error()
    assert isinstance(raised.value.__cause__, StepError)


# -- nested, with overflow at every level ---------------------------------------------------------


@pytest.mark.parametrize("inner_nesting", [FLAT, NESTED])
@pytest.mark.parametrize("outer_nesting", [FLAT, NESTED])
@pytest.mark.parametrize("concurrency", [1, 3, None])
def test_maps_in_parallels_in_child_contexts_overflow_at_every_level(
    inner_nesting: NestingType, outer_nesting: NestingType, concurrency: int | None
) -> None:
    bodies: list[str] = []

    async def item(ctx: DurableContext, letter: str, index: int, letters: Sequence[str]) -> str:
        def body(step: Any) -> str:
            bodies.append(letter)
            return letter * 150_000

        return await ctx.step(body, "fill")

    def branch(letters: str) -> ParallelBranch[str]:
        async def fill(ctx: DurableContext) -> str:
            config = MapConfig[str](max_concurrency=concurrency, nesting_type=inner_nesting)
            return "".join((await ctx.map(letters, item, "inner", config)).get_results())

        return ParallelBranch(fill, letters)

    async def child(ctx: DurableContext) -> str:
        config = ParallelConfig(max_concurrency=concurrency, nesting_type=outer_nesting)
        result = await ctx.parallel([branch("ab"), branch("cd")], "outer", config)
        await ctx.wait(timedelta(seconds=1))
        return "".join(result.get_results())

    async def handler(event: Any, ctx: DurableContext) -> list[Any]:
        text = await ctx.run_in_child_context(child, "child")
        await ctx.wait(timedelta(seconds=1))
        return [len(text), text[::150_000]]

    simulation = simulate(handler, check_every_request=True)
    assert result_of(simulation) == [600_000, "abcd"]
    assert sorted(bodies) == ["a", "b", "c", "d"]
    stripped = [
        update.name
        for request in simulation.updates
        for update in request.updates
        if update.action is OperationAction.SUCCEED and update.replay_children
    ]
    units = ["ab", "cd"] if outer_nesting is NESTED else []
    assert sorted(stripped, key=str) == sorted([*units, "child", "inner", "inner", "outer"])
