"""What is no Exception ends the process of an invocation, as it does in Lambda, and not ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

import durable_core as native
from durable_core.model import ExecutionStatus
from durable_core.simulation.outcome import InvocationEnd, Simulation
from durable_core.simulation.scenario import CallbackScript, InvokeOutcome, InvokeScript, Scenario
from durable_core.simulation.simulate import simulate

pytestmark = pytest.mark.usefixtures("quiet")


class Odd(BaseException):
    pass


STATUSES: dict[type[BaseException], str] = {
    asyncio.CancelledError: "exit status 1",
    GeneratorExit: "exit status 1",
    KeyboardInterrupt: "signal: interrupt",
    Odd: "exit status 1",
}


class Once:
    """Raises when it is called first, returns 1 from then on: the service invokes again."""

    def __init__(self, kind: type[BaseException]) -> None:
        self._kind = kind
        self._calls = 0

    def __call__(self, *_: object) -> int:
        self._calls += 1
        if self._calls == 1:
            raise self._kind("why")
        return 1

    async def later(self, *_: object) -> int:
        return self()


def expect_retried(simulation: Simulation, kind: type[BaseException]) -> None:
    first = simulation.invocations[0]
    assert first.end is InvocationEnd.CRASHED
    assert first.error is not None
    assert first.error.type == "Runtime.ExitError"
    assert first.error.message == (
        f"RequestId: {first.request_id} Error: Runtime exited with error: {STATUSES[kind]}"
    )
    assert first.ended_because.endswith(f"{kind.__name__}: why")
    assert simulation.status is ExecutionStatus.SUCCEEDED, simulation.error
    completed = [each for each in simulation.events if each.event_type == "InvocationCompleted"]
    assert "Runtime.ExitError" in str(completed[0])


# -- native ------------------------------------------------------------------------------------


async def _waits(context: Any, *_: object) -> None:
    await context.wait(timedelta(seconds=5))


POLLS = native.WaitForConditionConfig(
    wait_strategy=lambda *_: native.WaitForConditionDecision.stop_polling(), initial_state=0
)
NATIVE: dict[str, Callable[[native.DurableContext, Once], Any]] = {
    "handler": lambda ctx, once: once.later(),
    "step": lambda ctx, once: ctx.step(once.later),
    "synchronous step": lambda ctx, once: ctx.step(once),
    "at most once": lambda ctx, once: ctx.step(
        once,
        config=native.StepConfig(step_semantics=native.StepSemantics.AT_MOST_ONCE_PER_RETRY),
    ),
    "child": lambda ctx, once: ctx.run_in_child_context(once.later),
    "unit of a map": lambda ctx, once: ctx.map([1, 2], once.later),
    "branch": lambda ctx, once: ctx.parallel([_waits, once.later]),
    "check": lambda ctx, once: ctx.wait_for_condition(once, POLLS),
    "task": lambda ctx, once: asyncio.create_task(once.later()),
    "beside": lambda ctx, once: asyncio.gather(ctx.step(once), _waits(ctx)),
}


@pytest.mark.parametrize("kind", STATUSES)
@pytest.mark.parametrize("place", NATIVE)
def test_of_a_native_handler_it_ends_the_invocation(place: str, kind: type[BaseException]) -> None:
    once = Once(kind)

    async def handler(event: Any, ctx: native.DurableContext) -> str:
        await NATIVE[place](ctx, once)
        return "done"

    expect_retried(simulate(handler, check_every_request=True), kind)


def test_what_the_user_cancels_is_cancelled_and_nothing_more() -> None:
    async def slow(_: object) -> None:
        await asyncio.sleep(100)

    async def handler(event: Any, ctx: native.DurableContext) -> str:
        with suppress(TimeoutError):
            await asyncio.wait_for(ctx.step(slow), 1)
        task = asyncio.create_task(ctx.run_in_child_context(lambda child: child.step(slow)))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        return "done" if task.cancelled() else "not cancelled"

    simulation = simulate(handler)
    assert simulation.result == '"done"'
    assert len(simulation.invocations) == 1


def test_an_error_whose_text_raises_what_is_no_exception_is_told_without_it() -> None:
    class Textless(Exception):
        def __str__(self) -> str:
            raise Odd

    async def handler(event: Any, ctx: native.DurableContext) -> None:
        raise Textless

    simulation = simulate(handler)
    assert simulation.error is not None
    assert "text can't be had" in str(simulation.error)


# -- AWS's SDK ---------------------------------------------------------------------------------


def _aws_places() -> dict[str, Callable[[Any, Once], Any]]:
    from aws_durable_execution_sdk_python.waits import (
        WaitForConditionConfig,
        WaitForConditionDecision,
    )

    polls = WaitForConditionConfig(
        wait_strategy=lambda *_: WaitForConditionDecision.stop_polling(), initial_state=0
    )
    return {
        "handler": lambda ctx, once: once(),
        "step": lambda ctx, once: ctx.step(once),
        "asynchronous step": lambda ctx, once: ctx.step(lambda _: asyncio.run(once.later())),
        "child": lambda ctx, once: ctx.run_in_child_context(once),
        "step in a child": lambda ctx, once: ctx.run_in_child_context(lambda c: c.step(once)),
        "check": lambda ctx, once: ctx.wait_for_condition(once, polls),
        "submitter": lambda ctx, once: ctx.wait_for_callback(once, name="callback"),
        "unit of a map": lambda ctx, once: ctx.map([1], once),
        "step in a branch": lambda ctx, once: ctx.parallel([lambda c: c.step(once)]),
    }


AWS = [
    "handler",
    "step",
    "asynchronous step",
    "child",
    "step in a child",
    "check",
    "submitter",
    "unit of a map",
    "step in a branch",
]


def aws_runner(body: Callable[[Any, Any], Any]) -> Any:
    pytest.importorskip("aws_durable_execution_sdk_python")
    from aws_durable_execution_sdk_python import durable_execution

    from durable_core.runtimes.aws_python.runner import AwsSdkRunner

    return AwsSdkRunner(durable_execution(body))


@pytest.mark.parametrize("kind", STATUSES)
@pytest.mark.parametrize("place", AWS)
def test_of_a_handler_of_aws_s_sdk_it_ends_the_invocation(
    place: str, kind: type[BaseException]
) -> None:
    once = Once(kind)

    def body(event: Any, ctx: Any) -> str:
        _aws_places()[place](ctx, once)
        return "done"

    runner = aws_runner(body)
    if place in ("unit of a map", "step in a branch") and not runner.unwinds_crashes:
        pytest.skip("SDK 1.x waits for ever for such a unit, which test_aws_stuck holds")
    answers = Scenario(callbacks=(CallbackScript("callback"),))
    expect_retried(simulate(runner, scenario=answers), kind)


def test_a_handler_of_aws_s_sdk_may_catch_it() -> None:
    def body(event: Any, ctx: Any) -> str:
        try:
            ctx.step(Once(Odd))
        except BaseException as error:
            return type(error).__name__
        return "not raised"

    assert simulate(aws_runner(body)).result == '"Odd"'


# -- chained invokes ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", STATUSES)
@pytest.mark.parametrize("is_durable", [False, True])
def test_of_the_target_of_a_chained_invoke_it_fails_the_invoke(
    is_durable: bool, kind: type[BaseException]
) -> None:
    def plain(event: Any, context: Any) -> None:
        raise kind("why")

    async def durable(event: Any, context: Any) -> None:
        raise kind("why")

    async def handler(event: Any, ctx: native.DurableContext) -> Any:
        try:
            return await ctx.invoke("target", None)
        except native.InvokeError as error:
            return [error.error_type, error.message]

    script = InvokeScript("target", InvokeOutcome.HANDLER, handler="module:target")
    simulation = simulate(
        handler,
        scenario=Scenario(invokes=(script,)),
        load=lambda _: durable if is_durable else plain,
    )
    assert simulation.status is ExecutionStatus.SUCCEEDED
    assert "Runtime.ExitError" in (simulation.result or "")
    assert STATUSES[kind] in (simulation.result or "")
