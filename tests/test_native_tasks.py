"""Tasks that code begins and goes on beside: a replay begins them where the first run did."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from recording import history_of

from durable_core.native.context import DurableContext
from durable_core.processes.verify import verify
from durable_core.simulation.simulate import simulate


def operation(ctx: DurableContext) -> Awaitable[Any]:
    return asyncio.create_task(ctx.step(lambda _: 1, name="x"))


def own_function(ctx: DurableContext) -> Awaitable[Any]:
    async def work() -> Any:
        return await ctx.step(lambda _: 1, name="x")

    return asyncio.create_task(work())


def several(ctx: DurableContext) -> Awaitable[Any]:
    return asyncio.gather(ctx.step(lambda _: 1, name="x"), ctx.wait(timedelta(hours=1), name="y"))


def task_in_a_task(ctx: DurableContext) -> Awaitable[Any]:
    async def work() -> Any:
        return await own_function(ctx)

    return asyncio.create_task(work())


def several_in_a_task(ctx: DurableContext) -> Awaitable[Any]:
    async def work() -> Any:
        return await several(ctx)

    return asyncio.create_task(work())


def timer(ctx: DurableContext) -> Awaitable[Any]:
    return asyncio.ensure_future(ctx.wait(timedelta(minutes=5), name="x"))


def child(ctx: DurableContext) -> Awaitable[Any]:
    async def inside(inner: DurableContext) -> Any:
        return await inner.step(lambda _: 1, name="inside")

    return asyncio.create_task(ctx.run_in_child_context(inside, name="x"))


@pytest.mark.parametrize(
    "beside", [operation, own_function, several, timer, child, task_in_a_task, several_in_a_task]
)
@pytest.mark.parametrize("first", ["step", "child", "callback", "map"])
@pytest.mark.parametrize("awaited", ["at the end", "in between", "never"])
def test_a_replay_begins_what_runs_beside_where_the_first_run_did(
    beside: Callable[[DurableContext], Awaitable[Any]], first: str, awaited: str
) -> None:
    async def unit(ctx: DurableContext, *given: Any) -> int:
        return await ctx.step(lambda _: 1, name="in a")

    async def handler(event: Any, ctx: DurableContext) -> str:
        running = beside(ctx)
        match first:
            case "step":
                await ctx.step(lambda _: 1, name="a")
            case "child":
                await ctx.run_in_child_context(unit, name="a")
            case "callback":
                await ctx.create_callback("a")
            case "map":
                await ctx.map([1, 2], unit, "a")
        await ctx.step(lambda _: 2, name="b")
        if awaited == "in between":
            await running
        await ctx.wait(timedelta(minutes=1), name="pause")
        await ctx.step(lambda _: 3, name="c")
        if awaited == "at the end":
            await running
        return "done"

    simulation = simulate(handler, check_every_request=True)
    assert simulation.error is None, simulation.error
    assert [simulation.ran(name) for name in "bc"] == [1, 1]
    history = history_of(simulation)
    for every in (False, True):
        verify(handler, history, every_invocation=every).check()
