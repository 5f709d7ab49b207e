"""Histories that stop where something has come since the last invocation, which the next one will
go on with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_core import DurableContext, MapConfig
from durable_core.history import RecordedHistory, history_of_events
from durable_core.model import ExecutionRecord, ExecutionStatus
from durable_core.runtimes.native.replay import NativeReplayer
from durable_core.simulation.simulate import simulate
from durable_core.verifying.options import VerifyOptions
from durable_core.verifying.replay import verify_history
from durable_core.verifying.verification import Cause, Verdict


def race(*, waits: bool, raises: bool = False) -> Callable[..., Any]:
    """Return a handler that leaves its long wait behind when the short one is over."""

    async def handler(event: Any, ctx: DurableContext) -> str:
        long = asyncio.ensure_future(ctx.wait(timedelta(hours=1), name="long"))
        short = asyncio.ensure_future(ctx.wait(timedelta(seconds=5), name="short"))
        await asyncio.sleep(0)
        if waits:
            await short
        if raises:
            raise ValueError("too late")
        return f"over: {long.done()}"

    return handler


def when_the_short_wait_is_over(handler: Callable[..., Any]) -> RecordedHistory:
    events = simulate(handler).events
    stop = next(n for n, each in enumerate(events) if each.event_type == "WaitSucceeded")
    assert events[stop - 1].event_type == "InvocationCompleted"
    return history_of_events("recorded", events[: stop + 1])


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("every", [False, True])
def test_code_may_end_by_what_came_since_though_something_else_is_open(
    raises: bool, every: bool
) -> None:
    handler = race(waits=True, raises=raises)
    history = when_the_short_wait_is_over(handler)
    outcome = verify_history(
        NativeReplayer(handler), history, VerifyOptions(every_invocation=every)
    )
    assert outcome, outcome


def test_code_that_ends_where_the_last_invocation_waited_has_diverged() -> None:
    history = when_the_short_wait_is_over(race(waits=True))
    outcome = verify_history(NativeReplayer(race(waits=False)), history)
    assert outcome.first is not None
    assert (outcome.first.position, outcome.first.cause) == ("3", Cause.ENDED_EARLY)


@pytest.mark.parametrize(
    ("execution", "verdict"),
    [(None, Verdict.CANNOT_VERIFY), (ExecutionStatus.RUNNING, Verdict.DIVERGED)],
)
def test_code_that_leaves_a_wait_behind_may_have_been_over_unless_the_service_says_it_runs(
    execution: ExecutionStatus | None, verdict: Verdict
) -> None:
    handler = race(waits=True)
    events = simulate(handler).events
    assert events[-2].event_type == "InvocationCompleted"
    record = None if execution is None else ExecutionRecord(status=execution)
    outcome = verify_history(
        NativeReplayer(handler), history_of_events("cut", events[:-1], execution=record)
    )
    assert outcome.verdict is verdict
    told = outcome.doubts[0].reason if outcome.first is None else outcome.first.why
    assert 'Wait "long"' in told


def test_that_the_number_of_units_is_not_recorded_before_they_end_is_warned_about() -> None:
    def handler_of(*sites: str) -> Callable[..., Any]:
        async def handler(event: Any, ctx: DurableContext) -> None:
            async def check(inner: DurableContext, site: str, *_: Any) -> None:
                await inner.wait(timedelta(seconds=5), name="ping")

            for name in ("first", "second"):
                await ctx.map(sites, check, name=name, config=MapConfig[None](max_concurrency=2))

        return handler

    whole = simulate(handler_of("a", "b", "c")).events
    assert verify_history(
        NativeReplayer(handler_of("a", "b", "c", "d")), history_of_events("whole", whole)
    ).first
    stop = next(n for n, each in enumerate(whole) if each.event_type == "InvocationCompleted")
    history = history_of_events("cut", whole[: stop + 1])
    outcome = verify_history(NativeReplayer(handler_of("a", "b", "c", "d")), history)
    assert outcome
    assert (
        'the number of units of Map "first" at 1 isn\'t recorded, only which of them were started: '
        "if there are more or fewer of the others now, that could not be seen"
    ) in outcome.notes


def test_code_that_waits_at_its_end_for_what_was_only_begun_diverges() -> None:
    def shop(*, waits: bool) -> Any:
        async def handler(event: Any, ctx: DurableContext) -> str:
            hour = asyncio.ensure_future(ctx.wait(timedelta(hours=1), name="hour"))
            await ctx.step(lambda _: 1, name="work")
            if waits:
                await hour
            return "done"

        return handler

    history = history_of_events("it", simulate(shop(waits=False)).events)
    assert verify_history(NativeReplayer(shop(waits=False)), history)
    outcome = verify_history(NativeReplayer(shop(waits=True)), history)
    assert outcome.first is not None
    assert outcome.first.cause is Cause.WAITS
