"""Histories that stop where something has come since the last invocation, which the next one will
go on with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_core import DurableContext
from durable_core.history import RecordedHistory, history_of_events
from durable_core.simulation.simulate import simulate
from durable_core.verifying.native_replay import NativeReplayer
from durable_core.verifying.replay import VerifyOptions, verify_history
from durable_core.verifying.verification import Cause


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
