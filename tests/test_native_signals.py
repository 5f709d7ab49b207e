"""What ends user code from outside, what is determined, and what a divergence does."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from recording import result_of

from durable_core import CompletionConfig, DurableContext, MapConfig, StepSemantics
from durable_core.native.config import StepConfig
from durable_core.native.journal import Activity
from durable_core.service.faults import Fault, FaultKind, Faults
from durable_core.signals import (
    CheckpointFailed,
    InvocationEnding,
    ProcessDied,
    UnitStopping,
)
from durable_core.simulation.outcome import InvocationEnd
from durable_core.simulation.simulate import simulate

ROOT = Path(__file__).parent.parent


# -- signals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("signal", [InvocationEnding, UnitStopping, ProcessDied, CheckpointFailed])
def test_signals_pass_except_exception(signal: type[BaseException]) -> None:
    assert not issubclass(signal, Exception)


def test_suspension_passes_the_user_s_except_exception() -> None:
    caught: list[Exception] = []
    cleaned: list[str] = []

    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.wait(timedelta(seconds=5))
        except Exception as error:
            caught.append(error)
        finally:
            cleaned.append("up")
        return "done"

    assert result_of(simulate(handler)) == "done"
    assert caught == []
    assert cleaned == ["up", "up"]


def test_no_operation_can_be_asked_for_while_an_invocation_ends() -> None:
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.wait(timedelta(seconds=5), "wait")
        finally:
            await ctx.step(lambda step: "cleanup", "cleanup")
        return "done"

    simulation = simulate(handler)
    assert result_of(simulation) == "done"
    assert [note.name for note in simulation.invocations[0].did("ran")] == []
    assert simulation.ran("cleanup") == 1


def test_a_handler_that_swallows_cancellation_is_still_suspended() -> None:
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.wait(timedelta(seconds=5))
        except BaseException:
            return "swallowed"
        return "done"

    simulation = simulate(handler)
    assert result_of(simulation) == "done"
    assert [record.end.value for record in simulation.invocations] == ["PENDING", "SUCCEEDED"]


def test_a_crash_passes_the_user_s_except_exception_and_is_retried() -> None:
    caught: list[Exception] = []

    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            return await ctx.step(lambda step: "stepped", "step")
        except Exception as error:
            caught.append(error)
            return "caught"

    for kind in (FaultKind.CRASH_BEFORE, FaultKind.CRASH_AFTER):
        for checkpoint in (1, 2):
            faults = Faults((Fault(kind, 1, checkpoint),))
            simulation = simulate(handler, faults=faults, check_every_request=True)
            assert result_of(simulation) == "stepped"
            assert simulation.invocations[0].end is InvocationEnd.CRASHED
            assert caught == []


def test_a_handler_that_exits_the_process_is_invoked_again() -> None:
    runs: list[int] = []

    async def handler(event: Any, ctx: DurableContext) -> int:
        runs.append(1)
        if len(runs) < 3:
            sys.exit(1)
        return len(runs)

    simulation = simulate(handler)
    assert result_of(simulation) == 3
    ends = [record.end for record in simulation.invocations]
    assert ends == [InvocationEnd.CRASHED, InvocationEnd.CRASHED, InvocationEnd.SUCCEEDED]


def test_a_task_of_the_user_s_that_exits_the_process_crashes_the_invocation() -> None:
    runs: list[int] = []

    async def leave() -> None:
        if len(runs) == 1:
            sys.exit(3)

    async def handler(event: Any, ctx: DurableContext) -> int:
        runs.append(1)
        await asyncio.gather(leave(), ctx.step(lambda step: 1))
        return len(runs)

    assert result_of(simulate(handler)) == 2


def test_a_handler_that_hangs_is_ended_like_one_that_runs_out_of_time() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        await asyncio.Event().wait()

    simulation = simulate(handler)
    assert simulation.status == "FAILED"
    assert simulation.error is not None
    assert simulation.error.type == "Sandbox.Timedout"


@pytest.mark.parametrize(("seconds", "error"), [(899, None), (900, "Sandbox.Timedout")])
def test_an_invocation_may_take_900_seconds_of_virtual_time(
    seconds: int, error: str | None
) -> None:
    async def handler(event: Any, ctx: DurableContext) -> str:
        await ctx.step(lambda step: 1, name="before")
        await asyncio.sleep(seconds)
        return "done"

    first = simulate(handler).invocations[0]
    assert (first.error.type if first.error else None) == error
    assert (first.ended - first.began).total_seconds() == seconds
    assert [note.name for note in first.did(Activity.RAN)] == ["before"]


def test_a_lost_answer_is_asked_for_again_and_changes_nothing() -> None:
    async def handler(event: Any, ctx: DurableContext) -> list[str]:
        return [await ctx.step(lambda step, n=n: f"{n}", f"{n}") for n in range(3)]

    clean = simulate(handler)
    for checkpoint in range(1, clean.checkpoints[0] + 1):
        faults = Faults((Fault(FaultKind.LOST_RESPONSE, 1, checkpoint),))
        simulation = simulate(handler, faults=faults, check_every_request=True)
        assert simulation.result == clean.result
        assert simulation.ran() == 3
        assert simulation.invocations[0].requests[checkpoint - 1].sends == 2
        assert [e.event_type for e in simulation.events] == [e.event_type for e in clean.events]


def test_throttling_is_waited_out_on_the_virtual_clock() -> None:
    async def handler(event: Any, ctx: DurableContext) -> str:
        return await ctx.step(lambda step: "done")

    faults = Faults((Fault(FaultKind.THROTTLE, 1, 1, times=2),))
    simulation = simulate(handler, faults=faults)
    assert result_of(simulation) == "done"
    assert simulation.virtual_seconds == 3


def test_at_most_once_start_is_persisted_before_the_body_runs() -> None:
    runs: list[int] = []

    async def handler(event: Any, ctx: DurableContext) -> None:
        config = StepConfig(step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY)
        await ctx.step(lambda step: runs.append(step.attempt), "once", config)

    simulate(handler, faults=Faults((Fault(FaultKind.CRASH_AFTER, 1, 1),)))
    assert runs == [2]


# -- divergence -----------------------------------------------------------------------------------


@pytest.mark.parametrize("swallow", [False, True])
def test_a_divergence_fails_the_execution_even_when_it_is_swallowed(swallow: bool) -> None:
    runs: list[int] = []

    async def handler(event: Any, ctx: DurableContext) -> str:
        runs.append(1)
        try:
            await ctx.step(lambda step: 1, "first" if len(runs) == 1 else "renamed")
            await ctx.wait(timedelta(seconds=1))
        except Exception:
            if not swallow:
                raise
        return "as recorded"

    simulation = simulate(handler)
    assert simulation.status == "FAILED"
    assert simulation.error is not None
    assert simulation.error.type == "durable_core.exceptions.NonDeterministicExecutionError"
    expected = "STEP 'renamed' (1): recorded name 'first', the code asks for 'renamed'"
    assert simulation.error.message == expected


# -- determinism ----------------------------------------------------------------------------------


def test_the_same_run_gives_the_same_events_to_the_byte_for_any_hash_seed() -> None:
    program = (
        "import sys, importlib, json, hashlib; sys.path.insert(0, sys.argv[1])\n"
        "from durable_core.simulation.simulate import simulate\n"
        "from durable_core.wire import event_to_wire, request_to_wire\n"
        "out = []\n"
        "for name in ('flat_overflow', 'deep_overflow', 'short_circuit', 'retries'):\n"
        "    handler = importlib.import_module('native_' + name).handler\n"
        "    run = simulate(handler, seed=7)\n"
        "    out.append([event_to_wire(event) for event in run.events])\n"
        "    out.append([request_to_wire(request) for request in run.updates])\n"
        "print(hashlib.sha256(json.dumps(out).encode()).hexdigest())\n"
    )
    printed = set()
    for hash_seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT / "core")}
        command = [sys.executable, "-c", program, str(ROOT / "fixtures" / "handlers")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        printed.add(done.stdout)
    assert len(printed) == 1


# -- logging --------------------------------------------------------------------------------------


def test_the_logger_is_silent_while_it_would_repeat_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def child(ctx: DurableContext) -> str:
        ctx.logger.info("in the child")
        return "x" * 300_000

    async def handler(event: Any, ctx: DurableContext) -> None:
        ctx.logger.info("at first")
        await ctx.step(lambda step: step.logger.info("in the step"), "step")
        ctx.logger.info("after the step")
        await ctx.run_in_child_context(child, "child")
        await ctx.wait(timedelta(seconds=1))
        ctx.logger.info("after the wait")

    with caplog.at_level(logging.INFO):
        simulate(handler)
    assert [record.getMessage() for record in caplog.records] == [
        "at first",
        "in the step",
        "after the step",
        "in the child",
        "after the wait",
    ]
    in_step = caplog.records[1]
    assert in_step.operationName == "step"  # type: ignore[attr-defined]
    assert in_step.attempt == 1  # type: ignore[attr-defined]


def test_a_divergence_in_a_unit_is_no_failed_unit_and_completes_nothing() -> None:
    runs: list[int] = []

    async def unit(ctx: DurableContext, item: int, index: int, items: Any) -> None:
        runs.append(1)
        await ctx.step(lambda step: 1, "first" if len(runs) == 1 else "renamed")
        await ctx.wait(timedelta(seconds=1))

    async def handler(event: Any, ctx: DurableContext) -> None:
        config = MapConfig[int](completion_config=CompletionConfig.all_completed())
        await ctx.map([1], unit, "units", config)

    simulation = simulate(handler)
    assert simulation.status == "FAILED"
    units = next(o for o in simulation.operations.values() if o.name == "units")
    assert units.status == "STARTED"


def test_renamed_units_of_an_unfinished_batch_are_found_before_any_body_runs() -> None:
    bodies: list[str] = []
    runs: list[int] = []

    async def unit(ctx: DurableContext, item: int, index: int, items: Any) -> None:
        bodies.append(f"{len(runs)}.{index}")
        await ctx.wait(timedelta(seconds=1))

    async def handler(event: Any, ctx: DurableContext) -> None:
        runs.append(1)
        suffix = "" if len(runs) == 1 else "-renamed"
        config = MapConfig[int](item_namer=lambda item, index: f"u{index}{suffix if index else ''}")
        await ctx.map([1, 2], unit, "units", config)

    simulation = simulate(handler)
    message = (simulation.error.message if simulation.error else None) or ""
    assert "recorded as 'u1', the code now names the unit 'u1-renamed'" in message
    assert bodies == ["1.0", "1.1"]
