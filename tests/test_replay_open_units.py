"""Units of a map or parallel that hasn't completed, and contexts that leave no record: what a
replay does with them, as the simulator has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from recording import deployed, verified

from durable_core import (
    ChildConfig,
    DurableContext,
    MapConfig,
    NestingType,
    ParallelConfig,
)
from durable_core.history import RecordedHistory, history_of_events
from durable_core.simulation.simulate import Simulation, simulate
from durable_core.verifying.verification import Fate, Verdict

Handler = Callable[[Any, DurableContext], Any]
Make = Callable[[bool], Handler]
"""Makes a handler: the old code, or the new one."""

HOUR = timedelta(hours=1)
BIG = "x" * 300_000


async def step(ctx: DurableContext, name: str) -> None:
    await ctx.step(lambda _: 1, name=name)


def cuts(simulation: Simulation) -> Iterator[RecordedHistory]:
    """Yield the history up to the end of each invocation."""
    events = simulation.events
    for at, event in enumerate(events, 1):
        if event.event_type == "InvocationCompleted":
            yield history_of_events(f"cut at {at}", events[:at], arn=simulation.arn)


# -- changed code ----------------------------------------------------------------------------------


def map_of(body: Callable[..., Any], **options: Any) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.map([0, 1, 2], body, "units", MapConfig(**options))

    return handler


def stripped_unit_that_asks_for_more(is_new: bool) -> Handler:
    async def body(inner: DurableContext, item: int, *_: Any) -> str:
        await step(inner, "check")
        if item:
            await inner.wait(HOUR, name="settle")
        elif is_new:
            await step(inner, "audit")
        return BIG

    return map_of(body)


def flat_unit_without_operations(is_new: bool) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> None:
        found: list[int] = []

        async def body(inner: DurableContext, item: int, *_: Any) -> None:
            if item == 0:
                found.append(1)
                return
            await step(inner, "found" if found and is_new else "check")
            await inner.wait(HOUR, name="settle")

        await ctx.map([0, 1, 2], body, "units", MapConfig(nesting_type=NestingType.FLAT))

    return handler


def flat_unit_after_another(is_new: bool) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> None:
        found: list[int] = []

        async def body(inner: DurableContext, item: int, *_: Any) -> None:
            if item:
                await step(inner, "found" if found and is_new else "check")
                await inner.wait(HOUR, name="settle")
            else:
                await step(inner, "check")
                found.append(1)

        config = MapConfig(nesting_type=NestingType.FLAT, max_concurrency=1)
        await ctx.map([0, 1], body, "units", config)

    return handler


CHANGES: dict[str, tuple[Make, str]] = {
    "a stripped unit asks for more": (stripped_unit_that_asks_for_more, "1.1.2"),
    "a FLAT unit without operations leaks": (flat_unit_without_operations, "1.2.1"),
    "a FLAT unit leaks into the one that waits for its place": (flat_unit_after_another, "1.2.1"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_breaks_an_execution_with_an_open_map_is_a_divergence(name: str) -> None:
    make, position = CHANGES[name]
    history = next(cuts(simulate(make(False))))
    simulation, invocations = deployed(make, 1)
    assert (invocations, "NonDeterministic" in str(simulation.error)) == (2, True)
    for options in ({}, {"deep": False}, {"every_invocation": True}):
        outcome = verified(make(True), history, **options)
        assert outcome.verdict is Verdict.DIVERGED, options
        assert outcome.first is not None
        assert outcome.first.breaks == f"past {position}"
        assert outcome.this_execution is Fate.BREAKS


@pytest.mark.parametrize(
    ("result", "breaks", "fate"),
    [
        ("", 'inside 1.1 MapIteration "map-item-0"', Fate.SAFE),
        (BIG, "past 1.1.2", Fate.BREAKS),
    ],
)
def test_a_completed_unit_of_an_open_map_that_raises_now_has_diverged(
    result: str, breaks: str, fate: Fate
) -> None:
    def make(is_new: bool) -> Handler:
        async def body(inner: DurableContext, item: int, *_: Any) -> str:
            await step(inner, "check")
            if item:
                await inner.wait(HOUR, name="settle")
            elif is_new:
                raise ValueError("no")
            return result

        return map_of(body)

    outcome = verified(make(True), next(cuts(simulate(make(False)))))
    assert outcome.first is not None
    assert (outcome.first.breaks, outcome.this_execution) == (breaks, fate)


# -- unchanged code --------------------------------------------------------------------------------


async def one_after_the_other(event: Any, ctx: DurableContext) -> None:
    found: list[int] = []

    async def body(inner: DurableContext, item: int, *_: Any) -> None:
        found.append(item)
        await step(inner, f"first-{len(found)}")
        await step(inner, f"second-{len(found)}")
        if item == 2:
            await inner.wait(HOUR, name="settle")

    config = MapConfig(nesting_type=NestingType.FLAT, max_concurrency=1)
    await ctx.map([0, 1, 2, 3], body, "units", config)


async def place_that_is_taken(event: Any, ctx: DurableContext) -> None:
    found: list[int] = []

    async def one(inner: DurableContext) -> None:
        await inner.wait(HOUR, name="settle")

    async def two(inner: DurableContext) -> None:
        await inner.wait(HOUR * 2, name="settle")
        await step(inner, f"close-{len(found)}")

    async def leaks(inner: DurableContext) -> None:
        found.append(1)

    config = ParallelConfig(nesting_type=NestingType.FLAT, max_concurrency=2)
    await ctx.parallel([one, two, leaks], "units", config)


async def empty_virtual_contexts(event: Any, ctx: DurableContext) -> None:
    virtual = ChildConfig(is_virtual=True)

    async def empty(inner: DurableContext) -> None:
        """Ask for nothing."""

    async def emptier(inner: DurableContext) -> None:
        await inner.run_in_child_context(empty, "inner", virtual)

    async def body(inner: DurableContext) -> str:
        await step(inner, "check")
        await inner.run_in_child_context(emptier, "outer", virtual)
        return BIG if event else ""

    await ctx.run_in_child_context(body, "child")
    await ctx.wait(HOUR, name="settle")
    await ctx.run_in_child_context(emptier, "outer", virtual)


async def memory_of_each_invocation(event: Any, ctx: DurableContext) -> None:
    known: dict[str, int] = {}

    async def body(inner: DurableContext, number: int) -> None:
        if "config" not in known:
            known["config"] = await inner.step(lambda _: 1, name="load")
        await step(inner, f"work-{number}")

    for number in range(40):
        await ctx.run_in_child_context(
            lambda inner, number=number: body(inner, number), name=f"child-{number}"
        )
        await ctx.wait(HOUR, name=f"settle-{number}")


UNCHANGED = {
    "units that run one after the other": (one_after_the_other, None),
    "a unit that waits for a place": (place_that_is_taken, None),
    "empty virtual contexts": (empty_virtual_contexts, None),
    "empty virtual contexts in a stripped one": (empty_virtual_contexts, True),
}


@pytest.mark.parametrize("name", UNCHANGED)
def test_code_that_is_unchanged_is_compatible_with_each_cut_of_its_record(name: str) -> None:
    handler, event = UNCHANGED[name]
    for history in cuts(simulate(handler, event)):
        for options in ({}, {"deep": False}, {"every_invocation": True}):
            outcome = verified(handler, history, strict=True, **options)
            assert outcome.verdict is Verdict.COMPATIBLE, f"{options} {outcome}"


def test_what_bodies_of_many_invocations_leave_to_each_other_in_one_run_is_no_divergence() -> None:
    simulation = simulate(memory_of_each_invocation)
    *_, history = cuts(simulation)
    outcome = verified(memory_of_each_invocation, history, strict=True)
    assert outcome.verdict is Verdict.COMPATIBLE, str(outcome)


def test_a_change_in_a_body_is_seen_among_those_that_only_others_lead_astray() -> None:
    def changed(changes_at: int) -> Handler:
        async def handler(event: Any, ctx: DurableContext) -> None:
            known: dict[str, int] = {}

            async def body(inner: DurableContext, number: int) -> None:
                if "config" not in known:
                    known["config"] = await inner.step(lambda _: 1, name="load")
                await step(inner, f"{'new' if number == changes_at else 'work'}-{number}")

            for number in range(40):
                await ctx.run_in_child_context(
                    lambda inner, number=number: body(inner, number), name=f"child-{number}"
                )
                await ctx.wait(HOUR, name=f"settle-{number}")

        return handler

    *_, history = cuts(simulate(changed(-1)))
    outcome = verified(changed(7), history)
    assert [(each.breaks, each.also_at) for each in outcome.divergences] == [
        ('inside 15 RunInChildContext "child-7"', ())
    ]
