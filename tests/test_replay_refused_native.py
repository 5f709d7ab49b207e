"""A history of the native runtime that ends with a refused checkpoint hasn't what was refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from recording import recorded, verified

from durable_core import CheckpointError, DurableContext
from durable_core.limits import LIMITS
from durable_core.verifying.verification import Verdict

Handler = Callable[[Any, DurableContext], Any]

FEW = replace(LIMITS, operations=3)


async def more_than_the_cap(_event: Any, ctx: DurableContext) -> None:
    for _ in range(6):
        await ctx.step(lambda _: 1, name="s")


async def more_in_a_child(_event: Any, ctx: DurableContext) -> None:
    await ctx.run_in_child_context(lambda child: more_than_the_cap(None, child), "child")


async def more_in_a_map(_event: Any, ctx: DurableContext) -> None:
    async def unit(child: DurableContext, _item: int, _index: int, _items: object) -> int:
        return await child.step(lambda _: 1, name="s")

    await ctx.map([1, 2, 3, 4], unit, name="parts")


async def goes_on_in_spite_of_it(_event: Any, ctx: DurableContext) -> None:
    with suppress(CheckpointError):
        await more_than_the_cap(_event, ctx)
    await ctx.step(lambda _: 1, name="after")


async def step_too_large(_event: Any, ctx: DurableContext) -> None:
    await ctx.step(lambda _: "x" * 300_000, name="large")
    await ctx.step(lambda _: 1, name="after")


@pytest.mark.parametrize(
    "handler",
    [more_than_the_cap, more_in_a_child, more_in_a_map, goes_on_in_spite_of_it, step_too_large],
)
@pytest.mark.parametrize("every_invocation", [False, True])
def test_unchanged_code_is_compatible_with_a_history_that_a_refusal_ended(
    handler: Handler, every_invocation: bool
) -> None:
    history = recorded(handler, limits=FEW)
    outcome = verified(handler, history, every_invocation=every_invocation, strict=True)
    assert outcome.verdict is Verdict.COMPATIBLE, str(outcome)
    assert outcome.differences == ()
    assert any("refused a checkpoint" in note for note in outcome.notes)


def test_what_was_recorded_before_the_refusal_is_verified() -> None:
    async def renamed(_event: Any, ctx: DurableContext) -> None:
        for index in range(6):
            await ctx.step(lambda _: 1, name="renamed" if index == 1 else "s")

    outcome = verified(renamed, recorded(more_than_the_cap, limits=FEW))
    assert outcome.verdict is Verdict.DIVERGED
    assert outcome.first is not None
    assert outcome.first.position == "2"
