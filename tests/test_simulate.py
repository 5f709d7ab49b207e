"""The driver: invocations, the virtual clock, crashes everywhere, and all that a report needs."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_core import (
    DurableContext,
    MapConfig,
    NestingType,
    RetryPresets,
    SerDesError,
    StepConfig,
)
from durable_core.errors import UsageError
from durable_core.limits import LIMITS
from durable_core.model import ExecutionStatus, OperationStatus
from durable_core.native.journal import Activity
from durable_core.service.faults import every_crash
from durable_core.simulation.outcome import InvocationEnd, Simulation, Stopped
from durable_core.simulation.scenario import Scenario, read_scenario
from durable_core.simulation.simulate import BrokenInvariant, check_invariant, simulate

HANDLERS = Path(__file__).parent.parent / "fixtures" / "handlers"

SCENARIO = read_scenario(
    """
[[callback]]
name = "approval"
payload = '"yes"'
[[callback]]
name = "review"
payload = '"good"'
[[invoke]]
function = "doubler"
handler = "native_invoke:durable_target"
[[invoke]]
function = "adder"
handler = "native_invoke:plain_target"
"""
)

EXPECTED: dict[str, Any] = {
    "callbacks": ["yes", "good"],
    "child_overflow": 300_000,
    "condition": {"polls": 3},
    "deep_overflow": [600_000, "x", "y"],
    "flat_overflow": {"lengths": [153_600] * 3, "letters": "abc"},
    "invoke": [42, 43],
    "map_overflow": 360_000,
    "nested_overflow": [200_000, 200_000],
    "retries": ["charged", "ValueError", "never"],
    "short_circuit": {
        "reason": "MIN_SUCCESSFUL_REACHED",
        "statuses": ["STARTED", "SUCCEEDED", "SUCCEEDED"],
        "letters": ["q", "b"],
    },
}


def load(name: str) -> Any:
    module_name, function = name.split(":")
    spec = importlib.util.spec_from_file_location(module_name, HANDLERS / f"{module_name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, function)


def example(name: str, **options: Any) -> Simulation:
    handler = load(f"native_{name}:handler")
    event = 21 if name == "invoke" else None
    options.setdefault("scenario", SCENARIO)
    return simulate(handler, event, load=load, **options)


def test_every_example_handler_is_tested() -> None:
    assert {path.stem for path in HANDLERS.glob("native_*.py")} == {f"native_{n}" for n in EXPECTED}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_example_handlers_end_as_they_say(name: str) -> None:
    simulation = example(name, check_every_request=True)
    assert simulation.error is None
    assert json.loads(simulation.result or "") == EXPECTED[name]
    assert (simulation.status, simulation.stopped) == (ExecutionStatus.SUCCEEDED, Stopped.OVER)


@pytest.mark.parametrize("name", sorted(set(EXPECTED) - {"map_overflow", "deep_overflow"}))
def test_a_crash_anywhere_ends_in_the_same_result(name: str) -> None:
    clean = example(name)
    ran = clean.ran()
    for faults in every_crash(clean.checkpoints):
        simulation = example(name, faults=faults, check_every_request=True)
        assert simulation.result == clean.result, faults
        assert simulation.invocations[faults.faults[0].invocation - 1].end is InvocationEnd.CRASHED
        assert simulation.ran() >= ran - len(clean.invocations)


def test_the_crashes_of_a_scenario_are_played() -> None:
    scenario = read_scenario("[[crash]]\ninvocation = 2\ncheckpoint = 1\nwhen = 'before'")
    simulation = example("flat_overflow", scenario=scenario)
    assert [record.end.value for record in simulation.invocations][:3] == [
        "PENDING",
        "CRASHED",
        "PENDING",
    ]
    assert simulation.invocations[2].began_because == "the invocation before came to nothing"
    assert json.loads(simulation.result or "") == EXPECTED["flat_overflow"]


def test_records_say_what_each_invocation_did() -> None:
    simulation = example("flat_overflow")
    first, second, third = simulation.invocations
    assert first.began_because == "the execution started"
    assert first.ended_because == ("waits for 3 of wait 'boundary' (2 s)")
    assert [note.name for note in second.did(Activity.STRIPPED)] == ["parts"]
    assert [note.size for note in second.did(Activity.STRIPPED)] == [461_026]
    assert third.began_because == "wait 'post-overflow' succeeded"
    assert third.ended_because == "the handler returned"
    assert [note.path for note in third.did(Activity.RE_EXECUTED)] == [(1,), (1, 1), (1, 2), (1, 3)]
    assert len(third.did(Activity.RETURNED)) == 7
    assert (third.handed_operations, third.requests) == (8, ())
    assert [request.operations for request in second.requests] == [1, 1]
    assert all(request.estimated_bytes > 4_096 for request in second.requests)
    assert simulation.checkpoints == (5, 2, 0)


def test_the_history_is_one_that_reads_like_a_recorded_one() -> None:
    simulation = example("flat_overflow")
    assert [event.event_id for event in simulation.events] == list(
        range(1, len(simulation.events) + 1)
    )
    assert simulation.events[-1].event_type == "ExecutionSucceeded"


def test_a_seed_of_the_caller_goes_before_the_scenario_s() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        pass

    assert simulate(handler).seed == 0
    assert simulate(handler, scenario=Scenario(seed=5)).seed == 5
    assert simulate(handler, scenario=Scenario(seed=5), seed=9).seed == 9


async def forever(event: Any, ctx: DurableContext) -> None:
    while True:
        await ctx.wait(timedelta(hours=1))


def test_an_execution_timeout_ends_it() -> None:
    simulation = simulate(forever, execution_timeout=4 * 3600 + 1)
    assert simulation.status is ExecutionStatus.TIMED_OUT
    assert simulation.virtual_seconds == 4 * 3600 + 1


@pytest.mark.parametrize(
    ("pause", "due"), [("", 5), ("[[pause]]\nafter_seconds = 1\nfor_seconds = 2\n", 7)]
)
def test_what_is_due_when_the_execution_times_out_comes_before_that(pause: str, due: int) -> None:
    def fails(_: Any) -> None:
        raise ValueError("not yet")

    strategy = RetryPresets.fixed(timedelta(seconds=due))

    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(fails, "fails", StepConfig(retry_strategy=strategy))

    simulation = simulate(handler, scenario=read_scenario(pause), execution_timeout=5)
    assert simulation.status is ExecutionStatus.TIMED_OUT
    [operation] = [each for each in simulation.operations.values() if each.step_details]
    assert operation.status is OperationStatus.READY


def test_no_more_invocations_are_made_than_allowed() -> None:
    simulation = simulate(forever, max_invocations=7)
    assert (len(simulation.invocations), simulation.stopped) == (7, Stopped.MAX_INVOCATIONS)


def test_a_limit_can_be_switched_for_a_what_if() -> None:
    async def handler(event: Any, ctx: DurableContext) -> int:
        return len(await ctx.step(lambda step: "x" * 300_000))

    assert simulate(handler).status is ExecutionStatus.FAILED
    limits = replace(LIMITS, payload_bytes=400_000)
    assert simulate(handler, limits=limits).result == "300000"


def test_state_comes_in_pages() -> None:
    async def item(ctx: DurableContext, n: int, index: int, numbers: Sequence[int]) -> int:
        return await ctx.step(lambda step: n)

    async def handler(event: Any, ctx: DurableContext) -> int:
        await ctx.map(range(10), item, config=MapConfig(nesting_type=NestingType.FLAT))
        total = 0
        for number in range(30):
            total += await ctx.step(lambda step, n=number: n)
        await ctx.wait(timedelta(seconds=1))
        return total

    limits = replace(LIMITS, state_page_operations=4)
    simulation = simulate(handler, limits=limits)
    assert simulation.result == str(sum(range(30)))
    assert simulation.ran() == 30 + 10 + 10 + 1
    assert simulation.invocations[1].did(Activity.RAN) == ()


def test_an_event_that_is_not_json_is_refused() -> None:
    with pytest.raises(SerDesError):
        simulate(forever, {1, 2})


def test_each_invocation_is_reported_as_it_ends() -> None:
    heard: list[int] = []
    example("flat_overflow", on_invocation=lambda record: heard.append(record.number))
    assert heard == [1, 2, 3]


def test_a_flush_window_gathers_the_updates_of_an_invocation() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        async def body(inner: DurableContext) -> None:
            await inner.step(lambda step: 1)

        await ctx.run_in_child_context(body)

    apart, gathered = simulate(handler), simulate(handler, flush_window=0.5)
    assert sum(gathered.checkpoints) < sum(apart.checkpoints)


def test_the_invariant_is_one_that_can_break() -> None:
    class Service:
        events: tuple[Any, ...] = ()
        operations = example("condition").operations

    with pytest.raises(BrokenInvariant):
        check_invariant(Service(), example("condition").ended)  # type: ignore[arg-type]


def test_stopped_and_skipped_units_are_noted() -> None:
    simulation = example("short_circuit")
    (skipped,) = simulation.invocations[1].did(Activity.SKIPPED)
    assert (skipped.name, skipped.path, skipped.type) == ("slow", (1, 1), "CONTEXT")
    (stopped,) = simulation.invocations[0].did(Activity.STOPPED)
    assert stopped.name == "slow"


def test_refused_requests_are_told_from_those_that_were_persisted() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda step: "fits", "fits")
        await ctx.step(lambda step: "x" * 300_000, "too large")

    simulation = simulate(handler)
    (refused,) = simulation.refused
    assert [update.name for update in refused.updates] == ["too large"]
    assert (refused.refused or "").startswith("InvalidParameterValueException: STEP output")


def test_a_scenario_s_handlers_are_loaded_before_anything_runs() -> None:
    scenario = read_scenario("[[invoke]]\nfunction = 'f'\nhandler = 'no:where'")
    with pytest.raises(UsageError, match="no:where"):
        simulate(forever, scenario=scenario)


def test_in_a_thread_that_runs_an_event_loop_it_says_how_to_call_it() -> None:
    async def handler(event: object, ctx: DurableContext) -> object:
        return await ctx.step(lambda _: 1, name="one")

    async def test() -> Simulation:
        with pytest.raises(UsageError, match=r"await asyncio\.to_thread\(simulate"):
            simulate(handler)
        return await asyncio.to_thread(simulate, handler)

    assert asyncio.run(test()).result == "1"


def test_simulations_in_several_threads_leave_the_garbage_collector_as_it_was() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.wait(timedelta(seconds=1))

    before = gc.get_threshold()
    first_runs, second_runs = threading.Event(), threading.Event()
    first_ended = threading.Event()

    def first_ends_in_between(_: object) -> None:
        first_runs.set()
        second_runs.wait(10)

    def second_ends_last(_: object) -> None:
        second_runs.set()
        first_ended.wait(10)

    first = threading.Thread(
        target=simulate, args=(handler,), kwargs={"on_invocation": first_ends_in_between}
    )
    second = threading.Thread(
        target=simulate, args=(handler,), kwargs={"on_invocation": second_ends_last}
    )
    first.start()
    first_runs.wait(10)
    second.start()
    first.join()
    first_ended.set()
    second.join()
    assert gc.get_threshold() == before
