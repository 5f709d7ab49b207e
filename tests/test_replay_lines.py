"""Which line of the user's code a divergence is told to come from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from recording import recorded

from durable_core import DurableContext
from durable_core.runtimes.native.replay import NativeReplayer
from durable_core.verifying.replay import verify_history

Start = Callable[[DurableContext], Any]


async def gathered(ctx: DurableContext, name: str) -> None:
    await asyncio.gather(
        ctx.step(lambda _: 1, name="one"),
        ctx.step(lambda _: 2, name=name),  # asked for here
    )


async def in_tasks(ctx: DurableContext, name: str) -> None:
    tasks = [
        asyncio.create_task(ctx.step(lambda _: 1, name="one")),
        asyncio.create_task(ctx.step(lambda _: 2, name=name)),  # asked for here
    ]
    for task in tasks:
        await task


async def in_a_group(ctx: DurableContext, name: str) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(ctx.step(lambda _: 1, name="one"))
        group.create_task(ctx.step(lambda _: 2, name=name))  # asked for here


async def in_time(ctx: DurableContext, name: str) -> None:
    await ctx.step(lambda _: 1, name="one")
    await asyncio.wait_for(ctx.step(lambda _: 2, name=name), 5)  # asked for here


async def made_before(ctx: DurableContext, name: str) -> None:
    one = ctx.step(lambda _: 1, name="one")
    two = ctx.step(lambda _: 2, name=name)  # asked for here
    await one
    await two


async def in_a_comprehension(ctx: DurableContext, name: str) -> None:
    names = ["one", name]
    await asyncio.gather(*[ctx.step(lambda _: 1, name=each) for each in names])  # asked for here


async def waits(ctx: DurableContext, name: str) -> None:
    second = timedelta(seconds=1)
    await asyncio.gather(
        ctx.wait(second, name="one"),
        ctx.wait(second, name=name),  # asked for here
    )


async def children(ctx: DurableContext, name: str) -> None:
    async def body(inner: DurableContext) -> int:
        return 1

    await asyncio.gather(
        ctx.run_in_child_context(body, name="one"),
        ctx.run_in_child_context(body, name=name),  # asked for here
    )


async def maps(ctx: DurableContext, name: str) -> None:
    async def unit(inner: DurableContext, item: int, index: int, items: Any) -> int:
        return item

    await asyncio.gather(
        ctx.map([1], unit, name="one"),
        ctx.map([1], unit, name=name),  # asked for here
    )


SHAPES = [
    gathered,
    in_tasks,
    in_a_group,
    in_time,
    made_before,
    in_a_comprehension,
    waits,
    children,
    maps,
]


def handler_of(shape: Callable[..., Any], name: str) -> Any:
    async def handler(event: Any, ctx: DurableContext) -> None:
        await shape(ctx, name)

    return handler


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape.__name__))
def test_what_is_started_side_by_side_is_told_at_the_line_of_its_call(shape: Any) -> None:
    history = recorded(handler_of(shape, "two"))
    outcome = verify_history(NativeReplayer(handler_of(shape, "renamed")), history)
    first = outcome.first
    assert first is not None
    assert first.position == "2"
    assert first.where is not None
    assert first.where.text.endswith("# asked for here")


def test_a_partial_of_an_operation_is_told_at_the_line_that_calls_it() -> None:
    def handler_named(name: str) -> Any:
        async def handler(event: Any, ctx: DurableContext) -> None:
            ask = partial(ctx.step, lambda _: 1)
            await asyncio.gather(ask(name=name))  # asked for here

        return handler

    history = recorded(handler_named("one"))
    first = verify_history(NativeReplayer(handler_named("two")), history).first
    assert first is not None
    assert first.where is not None
    assert first.where.text.endswith("# asked for here")
