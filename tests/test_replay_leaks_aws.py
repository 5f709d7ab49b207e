"""What bodies of completed contexts do outside of themselves, in handlers of AWS's SDK."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("aws_durable_execution_sdk_python")

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import Duration
from recording import history_of

from durable_core.history import history_of_events
from durable_core.runtimes.aws_python.replay import AwsReplayer
from durable_core.runtimes.aws_python.runner import AwsSdkRunner
from durable_core.simulation.simulate import Simulation, simulate
from durable_core.verifying.options import VerifyOptions
from durable_core.verifying.replay import verify_history
from durable_core.verifying.verification import Fate, Verdict

Handler = Callable[[Any, DurableContext], Any]
Make = Callable[[bool], Handler]

HOUR = Duration.from_hours(1)
BIG = "x" * 300_000


def step(ctx: DurableContext, name: str) -> None:
    ctx.step(lambda _: 1, name=name)


def leak(kind: str, ctx: DurableContext, found: list[int]) -> None:
    if kind == "thread":
        with ThreadPoolExecutor(1) as pool:
            pool.submit(found.append, 1).result()
    elif kind == "parent":
        step(ctx, "alert")
    else:
        found.append(1)


def leaking(kind: str) -> Make:
    """Return what makes a handler whose new code asks for an alert where something has leaked."""

    def make(is_new: bool) -> Handler:
        def handler(event: Any, ctx: DurableContext) -> None:
            found: list[int] = []

            def body(inner: DurableContext, *_: Any) -> str:
                step(inner, "check")
                if is_new:
                    leak(kind, ctx, found)
                if kind == "failed":
                    raise ValueError("no")
                return BIG if kind == "stripped" else ""

            try:
                if kind == "map":
                    ctx.map([1, 2], body, name="completed")
                elif kind == "parallel":
                    ctx.parallel([body, body], name="completed")
                else:
                    ctx.run_in_child_context(body, name="completed")
            except Exception as error:
                if kind != "failed":
                    raise error
            if found or not is_new:
                step(ctx, "alert")
            ctx.wait(HOUR, name="settle")
            step(ctx, "close")

        return handler

    return make


def deployed(make: Make) -> tuple[Simulation, int]:
    """Run the old code for one invocation, then the new; return how many there were."""
    invocations: list[int] = []

    def handler(event: Any, ctx: DurableContext) -> Any:
        invocations.append(1)
        return make(len(invocations) > 1)(event, ctx)

    return simulate(AwsSdkRunner(durable_execution(handler))), len(invocations)


@pytest.mark.parametrize(
    "kind", ["closure", "map", "parallel", "failed", "thread", "parent", "stripped"]
)
def test_what_verifying_says_of_an_execution_is_what_the_simulator_does_with_it(kind: str) -> None:
    make = leaking(kind)
    old = simulate(AwsSdkRunner(durable_execution(make(False))))
    end = next(n for n, e in enumerate(old.events) if e.event_type == "InvocationCompleted")
    simulation, invocations = deployed(make)
    breaks = invocations == 2 and "NonDeterministic" in str(simulation.error)
    assert breaks == (kind != "stripped")
    running = history_of_events("running", old.events[: end + 1], arn=old.arn)
    replayer = AwsReplayer(durable_execution(make(True)))
    for every in (False, True):
        outcome = verify_history(replayer, running, VerifyOptions(every_invocation=every))
        assert outcome.this_execution is (Fate.BREAKS if breaks else Fate.SAFE), str(outcome)
        assert outcome.verdict is (Verdict.DIVERGED if breaks else Verdict.COMPATIBLE)
        told = [(each.breaks, bool(each.leak)) for each in outcome.divergences]
        assert told == ([("past 2", True)] if breaks else [])


def test_unchanged_code_that_names_steps_by_a_count_is_compatible() -> None:
    def handler(event: Any, ctx: DurableContext) -> None:
        count = [0]

        def body(inner: DurableContext) -> None:
            count[0] += 1
            step(inner, f"step-{count[0]}")

        for name in "ab":
            ctx.run_in_child_context(body, name=name)
        ctx.wait(HOUR, name="settle")
        ctx.run_in_child_context(body, name="c")

    old = simulate(AwsSdkRunner(durable_execution(handler)))
    history = history_of(old)
    outcome = verify_history(AwsReplayer(durable_execution(handler)), history)
    assert outcome.verdict is Verdict.COMPATIBLE, str(outcome)
    assert any("changes count at" in each for each in outcome.notes)
