"""What bodies of completed contexts do outside of themselves: it isn't done in a replay, and the
simulator says what comes of that."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, lru_cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import deployed, history_of, verified

from durable_core import (
    ChildConfig,
    ChildContextError,
    DurableContext,
    MapConfig,
    NestingType,
    ParallelConfig,
    RetryPresets,
    WithRetryConfig,
    with_retry,
)
from durable_core.fold import fold
from durable_core.history import history_of_events
from durable_core.ids import SHA256
from durable_core.model import Event
from durable_core.runtimes.native.replay import NativeReplayer
from durable_core.simulation.simulate import Simulation, simulate
from durable_core.verifying.recorded_tree import tree_of
from durable_core.verifying.replay import verify_history
from durable_core.verifying.verification import Fate, Verdict

Handler = Callable[[Any, DurableContext], Any]
Make = Callable[[bool], Handler]
"""Makes a handler: the old code, or the new one."""

HOUR = timedelta(hours=1)
BIG = "x" * 300_000


async def step(ctx: DurableContext, name: str) -> None:
    await ctx.step(lambda _: 1, name=name)


def alert_if(is_new: bool, leaked: Any, ctx: DurableContext) -> Any:
    """Ask for an alert where something has leaked; the old code does always."""
    return step(ctx, "alert") if leaked or not is_new else asyncio.sleep(0)


# -- who leaks ------------------------------------------------------------------------------------


def closure(is_new: bool) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> None:
        found: list[int] = []

        async def body(inner: DurableContext) -> None:
            await step(inner, "check")
            if is_new:
                found.append(1)

        await ctx.run_in_child_context(body, name="child")
        await alert_if(is_new, found, ctx)
        await ctx.wait(HOUR, name="settle")
        await step(ctx, "close")

    return handler


def nonlocal_name(is_new: bool) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> None:
        found = 0

        async def body(inner: DurableContext) -> None:
            nonlocal found
            await step(inner, "check")
            found += 1

        await ctx.run_in_child_context(body, name="child")
        await step(ctx, f"alert-{found}" if is_new else "alert-1")
        await ctx.wait(HOUR, name="settle")

    return handler


FOUND: list[int] = []


def module_state(is_new: bool) -> Handler:
    FOUND.clear()

    async def handler(event: Any, ctx: DurableContext) -> None:
        async def body(inner: DurableContext) -> None:
            await step(inner, "check")
            if is_new:
                FOUND.append(1)

        await ctx.run_in_child_context(body, name="child")
        await alert_if(is_new, FOUND, ctx)
        await ctx.wait(HOUR, name="settle")

    return handler


class Counts:
    found = 0


def class_attribute(is_new: bool) -> Handler:
    Counts.found = 0

    async def handler(event: Any, ctx: DurableContext) -> None:
        async def body(inner: DurableContext) -> None:
            await step(inner, "check")
            Counts.found += is_new

        await ctx.run_in_child_context(body, name="child")
        await alert_if(is_new, Counts.found, ctx)
        await ctx.wait(HOUR, name="settle")

    return handler


@dataclass
class Orders:
    is_new: bool
    found: list[int] = field(default_factory=list)

    async def check(self, inner: DurableContext) -> None:
        await step(inner, "check")
        if self.is_new:
            self.found.append(1)

    async def handler(self, event: Any, ctx: DurableContext) -> None:
        await ctx.run_in_child_context(self.check, name="child")
        await alert_if(self.is_new, self.found, ctx)
        await ctx.wait(HOUR, name="settle")


def attribute_of_an_object(is_new: bool) -> Handler:
    return Orders(is_new).handler


def default_of_a_parameter(is_new: bool) -> Handler:
    async def body(inner: DurableContext, found: list[int] = []) -> int:  # noqa: B006
        await step(inner, "check")
        if is_new:
            found.append(1)
        return len(found)

    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.run_in_child_context(body, name="child")
        await alert_if(is_new, (body.__defaults__ or ([],))[0], ctx)
        await ctx.wait(HOUR, name="settle")

    return handler


def units(*, is_flat: bool, is_map: bool) -> Make:
    nesting = NestingType.FLAT if is_flat else NestingType.NESTED

    def make(is_new: bool) -> Handler:
        async def handler(event: Any, ctx: DurableContext) -> None:
            found: list[int] = []

            async def unit(inner: DurableContext, *_: Any) -> None:
                await step(inner, "check")
                if is_new:
                    found.append(1)

            if is_map:
                await ctx.map([1, 2], unit, "units", MapConfig(nesting_type=nesting))
            else:
                await ctx.parallel([unit, unit], "units", ParallelConfig(nesting_type=nesting))
            await alert_if(is_new, found, ctx)
            await ctx.wait(HOUR, name="settle")

        return handler

    return make


def failed_context(is_new: bool) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> None:
        found: list[int] = []

        async def body(inner: DurableContext) -> None:
            await step(inner, "check")
            if is_new:
                found.append(1)
            raise ValueError("no")

        try:
            await ctx.run_in_child_context(body, name="child")
        except ChildContextError:
            await alert_if(is_new, found, ctx)
        await ctx.wait(HOUR, name="settle")

    return handler


def tasks_side_by_side(is_new: bool) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> None:
        found: list[int] = []

        async def body(inner: DurableContext) -> None:
            await step(inner, "check")
            if is_new:
                found.append(1)

        await asyncio.gather(*(ctx.run_in_child_context(body, name=each) for each in "ab"))
        await alert_if(is_new, len(found) == 2, ctx)
        await ctx.wait(HOUR, name="settle")

    return handler


def block_that_is_retried(is_new: bool) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> None:
        found: list[int] = []

        async def body(inner: DurableContext, attempt: int) -> None:
            await step(inner, "check")
            if is_new:
                found.append(attempt)

        await with_retry(ctx, body, WithRetryConfig(RetryPresets.default()), name="block")
        await alert_if(is_new, found, ctx)
        await ctx.wait(HOUR, name="settle")

    return handler


def iterator(is_new: bool) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> None:
        names = iter(["check", "alert"])

        async def body(inner: DurableContext) -> None:
            await step(inner, next(names))

        await ctx.run_in_child_context(body, name="child")
        await step(ctx, next(names) if is_new else "alert")
        await ctx.wait(HOUR, name="settle")

    return handler


def context_of_the_parent(is_new: bool) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> None:
        async def body(inner: DurableContext) -> None:
            if is_new:
                await step(ctx, "alert")

        await ctx.run_in_child_context(body, name="child")
        if not is_new:
            await step(ctx, "alert")
        await ctx.wait(HOUR, name="settle")

    return handler


def context_of_the_grandparent(is_new: bool) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> None:
        async def outer(outside: DurableContext) -> None:
            async def body(inner: DurableContext) -> None:
                if is_new:
                    await step(ctx, "alert")

            await outside.run_in_child_context(body, name="inner")

        await ctx.run_in_child_context(outer, name="child")
        if not is_new:
            await step(ctx, "alert")
        await ctx.wait(HOUR, name="settle")

    return handler


def unit_that_uses_the_context_around_its_map(is_new: bool) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> None:
        async def unit(inner: DurableContext, *_: Any) -> None:
            if is_new:
                await step(ctx, "alert")

        await ctx.map([1], unit, name="units")
        if not is_new:
            await step(ctx, "alert")
        await ctx.wait(HOUR, name="settle")

    return handler


LEAKS: dict[str, tuple[Make, str | None]] = {
    "closure": (closure, "changes found at"),
    "nonlocal": (nonlocal_name, "changes found at"),
    "global": (module_state, "changes FOUND at"),
    "class attribute": (class_attribute, "changes Counts.found at"),
    "object": (attribute_of_an_object, "changes Orders.found at"),
    "default": (default_of_a_parameter, None),
    "map": (units(is_flat=False, is_map=True), "changes found at"),
    "map, FLAT": (units(is_flat=True, is_map=True), "changes found at"),
    "parallel": (units(is_flat=False, is_map=False), "changes found at"),
    "parallel, FLAT": (units(is_flat=True, is_map=False), "changes found at"),
    "failed": (failed_context, "changes found at"),
    "tasks": (tasks_side_by_side, "changes found at"),
    "with_retry": (block_that_is_retried, "changes found at"),
    "iterator": (iterator, None),
    "parent": (context_of_the_parent, 'asks for Step "alert" at'),
    "grandparent": (context_of_the_grandparent, 'asks for Step "alert" at'),
    "unit": (unit_that_uses_the_context_around_its_map, 'asks for Step "alert" at'),
}


def cuts(simulation: Simulation) -> Iterator[tuple[int, list[Event]]]:
    """Yield each invocation that went on, by its number, and the events up to its end."""
    ends = [n for n, e in enumerate(simulation.events) if e.event_type == "InvocationCompleted"]
    for number, end in enumerate(ends[:-1], 1):
        yield number, list(simulation.events[: end + 1])


@pytest.mark.parametrize("name", LEAKS)
@pytest.mark.parametrize("every_invocation", [False, True])
def test_a_leak_that_a_replay_lacks_is_a_divergence_with_its_reason(
    name: str, every_invocation: bool
) -> None:
    make, reason = LEAKS[name]
    history = history_of(simulate(make(False)))
    outcome = verified(make(True), history, every_invocation=every_invocation)
    assert outcome.verdict is Verdict.DIVERGED
    first = outcome.first
    assert first is not None
    place = "past 3" if name == "tasks" else "past 2"
    assert (first.breaks, first.found_by) == (place, "shallow")
    if not every_invocation:
        assert first.leak is not None
        assert (reason or "") in first.leak
        assert "doesn't run" in first.leak
    assert verified(make(False), history).verdict is Verdict.COMPATIBLE
    assert verified(make(True), history, deep=False).verdict is Verdict.DIVERGED


@pytest.mark.parametrize("name", LEAKS)
def test_what_verifying_says_of_an_execution_is_what_the_simulator_does_with_it(name: str) -> None:
    make, _ = LEAKS[name]
    old = simulate(make(False))
    for after, events in cuts(old):
        history = history_of_events("cut", events, arn=old.arn)
        simulation, invocations = deployed(make, after)
        fails = invocations == after + 1 and "NonDeterministic" in str(simulation.error)
        assert fails
        assert verified(make(True), history).this_execution is Fate.BREAKS


# -- where no alarm is due -------------------------------------------------------------------------


def stripped(is_new: bool) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> None:
        found: list[int] = []

        async def body(inner: DurableContext) -> str:
            await step(inner, "check")
            found.append(1)
            return BIG

        await ctx.run_in_child_context(body, name="child")
        await alert_if(is_new, found, ctx)
        await ctx.wait(HOUR, name="settle")

    return handler


def virtual(is_new: bool) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> None:
        found: list[int] = []

        async def body(inner: DurableContext) -> None:
            await step(inner, "check")
            found.append(1)

        await ctx.run_in_child_context(body, "child", ChildConfig(is_virtual=True))
        await alert_if(is_new, found, ctx)
        await ctx.wait(HOUR, name="settle")

    return handler


@pytest.mark.parametrize("make", [stripped, virtual])
def test_a_body_that_a_replay_runs_leaks_for_real(make: Make) -> None:
    assert verified(make(True), history_of(simulate(make(False)))).verdict is Verdict.COMPATIBLE


async def names_by_a_count(event: Any, ctx: DurableContext) -> None:
    count = 0

    async def body(inner: DurableContext) -> None:
        nonlocal count
        count += 1
        await step(inner, f"step-{count}")

    for name in "ab":
        await ctx.run_in_child_context(body, name=name)
    await ctx.wait(HOUR, name="settle")
    await ctx.run_in_child_context(body, name="c")


async def asks_in_a_later_invocation(event: Any, ctx: DurableContext) -> None:
    found: list[int] = []

    async def body(inner: DurableContext) -> None:
        if found:
            await step(inner, "never")
        await step(inner, "check")
        found.append(1)

    await ctx.run_in_child_context(body, name="a")
    await ctx.wait(HOUR, name="settle")
    await ctx.run_in_child_context(body, name="b")


@pytest.mark.parametrize("handler", [names_by_a_count, asks_in_a_later_invocation])
@pytest.mark.parametrize("every_invocation", [False, True])
def test_bodies_run_with_what_others_left_behind_in_the_recorded_invocation(
    handler: Handler, every_invocation: bool
) -> None:
    outcome = verified(handler, history_of(simulate(handler)), every_invocation=every_invocation)
    assert outcome.verdict is Verdict.COMPATIBLE, str(outcome)


def between_completed(*, waits: bool) -> Make:
    def make(is_new: bool) -> Handler:
        async def handler(event: Any, ctx: DurableContext) -> None:
            found: list[int] = []

            async def one(inner: DurableContext) -> None:
                await step(inner, "check")
                if is_new:
                    found.append(1)

            async def two(inner: DurableContext) -> None:
                await alert_if(is_new, found, inner)
                await inner.wait(HOUR, name="pause")
                await step(inner, "close")

            await ctx.run_in_child_context(one, name="one")
            if waits:
                await ctx.wait(HOUR, name="settle")
            await ctx.run_in_child_context(two, name="two")

        return handler

    return make


@pytest.mark.parametrize(("waits", "position"), [(True, "3.1"), (False, "2.1")])
def test_a_leak_from_one_completed_context_into_another_breaks_those_inside_of_it(
    waits: bool, position: str
) -> None:
    make = between_completed(waits=waits)
    outcome = verified(make(True), history_of(simulate(make(False))))
    first = outcome.first
    assert first is not None
    label = f'inside {position[0]} RunInChildContext "two"'
    assert (first.position, first.breaks, first.found_by) == (position, label, "deep")
    assert outcome.this_execution is Fate.ENDED


def test_a_leak_into_a_stripped_context_is_met_by_a_replay() -> None:
    def make(is_new: bool) -> Handler:
        async def handler(event: Any, ctx: DurableContext) -> None:
            found: list[int] = []

            async def one(inner: DurableContext) -> None:
                await step(inner, "check")
                found.append(1)

            async def two(inner: DurableContext) -> str:
                await alert_if(is_new, found, inner)
                await step(inner, "close")
                return BIG

            await ctx.run_in_child_context(one, name="one")
            await ctx.run_in_child_context(two, name="two")
            await ctx.wait(HOUR, name="settle")

        return handler

    first = verified(make(True), history_of(simulate(make(False)))).first
    assert first is not None
    assert (first.position, first.breaks, first.found_by) == ("2.1", "past 2.1", "shallow")


def test_a_leak_that_does_no_harm_yet_is_a_note_with_both_lines() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        seen: list[int] = []

        async def body(inner: DurableContext) -> None:
            await step(inner, "check")
            seen.append(1)

        await ctx.run_in_child_context(body, name="child")
        if len(seen) > 10:
            await step(ctx, "many")
        await ctx.wait(HOUR, name="settle")

    outcome = verified(handler, history_of(simulate(handler)))
    first = handler.__code__.co_firstlineno
    assert outcome.verdict is Verdict.COMPATIBLE
    (note,) = [each for each in outcome.notes if "changes seen" in each]
    assert f"test_replay_leaks.py:{first + 5}, which is read at" in note
    assert f"test_replay_leaks.py:{first + 8}:" in note


def test_a_variable_that_only_bodies_use_is_not_noted() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        seen: list[int] = []

        async def body(inner: DurableContext) -> None:
            await step(inner, "check")
            seen.append(1)

        await ctx.run_in_child_context(body, name="child")
        await ctx.wait(HOUR, name="settle")

    outcome = verified(handler, history_of(simulate(handler)))
    assert not [each for each in outcome.notes if "changes seen" in each]


@lru_cache
def remembered(name: str) -> int:
    return len(name)


def cached_result(is_new: bool) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> None:
        async def body(inner: DurableContext) -> None:
            await step(inner, "check")
            remembered("check")

        await ctx.run_in_child_context(body, name="child")
        await alert_if(is_new, remembered.cache_info().currsize, ctx)
        await ctx.wait(HOUR, name="settle")
        await step(ctx, "close")

    return handler


@cache
def kept(name: str) -> int:
    return len(name)


def result_that_is_kept(is_new: bool) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> None:
        async def body(inner: DurableContext) -> None:
            await step(inner, "check")
            kept("check")

        await ctx.run_in_child_context(body, name="child")
        await alert_if(is_new, kept.cache_info().currsize, ctx)
        await ctx.wait(HOUR, name="settle")
        await step(ctx, "close")

    return handler


def environment_variable(is_new: bool) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> None:
        async def body(inner: DurableContext) -> None:
            await step(inner, "check")
            os.environ["CHECKED"] = "yes"

        await ctx.run_in_child_context(body, name="child")
        await alert_if(is_new, "CHECKED" in os.environ, ctx)
        await ctx.wait(HOUR, name="settle")
        await step(ctx, "close")

    return handler


@pytest.mark.parametrize("make", [cached_result, result_that_is_kept, environment_variable])
def test_what_one_run_left_in_the_process_hides_nothing_in_the_next(make: Make) -> None:
    history = history_of(simulate(closure(False)))
    remembered.cache_clear()
    kept.cache_clear()
    replayer = NativeReplayer(make(True))
    verdicts = [verify_history(replayer, history).verdict for _ in range(3)]
    assert verdicts == [Verdict.DIVERGED] * 3
    assert "CHECKED" not in os.environ


def test_a_client_that_is_made_once_and_kept_is_not_made_again() -> None:
    @lru_cache
    def client() -> threading.Lock:
        made.append(1)
        return threading.Lock()

    made: list[int] = []

    async def handler(event: Any, ctx: DurableContext) -> None:
        client()
        await ctx.run_in_child_context(lambda inner: step(inner, "check"), name="child")
        await step(ctx, "alert")
        await ctx.wait(HOUR, name="settle")
        await step(ctx, "close")

    history = history_of(simulate(closure(False)))
    client.cache_clear()
    infos = []
    replayer = NativeReplayer(handler)
    for _ in range(3):
        assert verify_history(replayer, history).verdict is Verdict.COMPATIBLE
        infos.append(client.cache_info().misses)
    assert infos == [1, 1, 1]


def test_each_run_begins_with_the_modules_data_as_it_was() -> None:
    FOUND.clear()

    async def handler(event: Any, ctx: DurableContext) -> None:
        async def body(inner: DurableContext) -> None:
            await step(inner, "check")
            FOUND.append(1)

        await ctx.run_in_child_context(body, name="child")
        if len(FOUND) > 1:
            await step(ctx, "never in a process of its own")
        await ctx.wait(HOUR, name="settle")

    history = history_of(simulate(closure(False)))
    FOUND.clear()
    replayer = NativeReplayer(handler)
    outcomes = [verify_history(replayer, history).compared for _ in range(3)]
    assert outcomes == [outcomes[0]] * 3


# -- whom a divergence breaks ----------------------------------------------------------------------


def ends(*names: str, inner: tuple[str, ...] = ("check",)) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> None:
        async def body(inside: DurableContext) -> None:
            for each in inner:
                await step(inside, each)

        await ctx.run_in_child_context(body, name="child")
        await ctx.wait(HOUR, name="settle")
        for each in names:
            await step(ctx, each)

    return handler


def test_what_comes_after_the_recorded_end_breaks_nobody() -> None:
    history = history_of(simulate(ends("close")))
    outcome = verified(ends("close", "audit"), history)
    assert outcome.verdict is Verdict.COMPATIBLE
    assert [(each.position, str(each)) for each in outcome.differences] == [
        ("4", 'goes on after the recorded end: Step "audit"')
    ]
    assert verified(ends("close", "audit"), history, strict=True).verdict is Verdict.DIVERGED


def test_code_that_ends_before_the_recorded_end_breaks_those_past_it() -> None:
    first = verified(ends(), history_of(simulate(ends("close")))).first
    assert first is not None
    assert (first.position, first.breaks) == ("3", "past 3")


@pytest.mark.parametrize(
    ("inner", "breaks"),
    [(("renamed",), 'inside 1 RunInChildContext "child"'), (("check", "more"), None)],
)
def test_a_change_inside_of_a_completed_context_breaks_at_most_those_inside_of_it(
    inner: tuple[str, ...], breaks: str | None
) -> None:
    old = simulate(ends("close"))
    (_, events), *_ = cuts(old)
    running = history_of_events("running", events, arn=old.arn)
    outcome = verified(ends("close", inner=inner), running)
    assert outcome.verdict is Verdict.DIVERGED
    assert outcome.first is not None
    assert (outcome.first.breaks, outcome.first.found_by) == (breaks, "deep")
    assert outcome.this_execution is Fate.SAFE
    assert verified(ends("close", inner=inner), running, deep=False)


@pytest.mark.parametrize("kind", ["map", "virtual"])
def test_what_a_context_without_an_operation_asks_for_at_its_end_breaks_nobody(kind: str) -> None:
    def made(*names: str) -> Handler:
        async def body(inside: DurableContext, *_: object) -> None:
            for each in names:
                await step(inside, each)

        async def virtual(inside: DurableContext) -> None:
            await inside.run_in_child_context(body, "virtual", ChildConfig(is_virtual=True))

        async def handler(event: Any, ctx: DurableContext) -> None:
            if kind == "map":
                flat = MapConfig[int](nesting_type=NestingType.FLAT)
                await ctx.map([1, 2], body, "around", config=flat)
            else:
                await ctx.run_in_child_context(virtual, "around")

        return handler

    first = verified(made("check", "more"), history_of(simulate(made("check")))).first
    assert first is not None
    assert (first.position, first.breaks) == ("1.1.2", None)
    renamed = verified(made("look", "more"), history_of(simulate(made("check")))).first
    assert renamed is not None
    assert renamed.breaks is not None


# -- the law ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Node:
    """`read`: a step that the old code asks for if `asks`, the new one if something has leaked."""

    kind: str
    asks: bool = False
    leaks: bool = False
    is_stripped: bool = False
    waits: bool = False


NODES = st.one_of(
    st.just(Node("step")),
    st.just(Node("wait")),
    st.builds(Node, st.just("read"), asks=st.booleans()),
    st.builds(
        Node, st.just("child"), leaks=st.booleans(), is_stripped=st.booleans(), waits=st.booleans()
    ),
)


def player(nodes: tuple[Node, ...], asked: Counter[str]) -> Make:
    def make(is_new: bool) -> Handler:
        async def handler(event: Any, ctx: DurableContext) -> None:
            leaked: list[int] = []
            asked.clear()

            async def play(here: DurableContext, place: str, number: int, node: Node) -> None:
                asked[place] += 1
                if node.kind == "wait":
                    await here.wait(HOUR, name=f"wait-{number}")
                elif node.kind == "child":
                    await here.run_in_child_context(
                        lambda inner: inside(inner, asked[place], node), name=f"child-{number}"
                    )
                else:
                    await step(here, f"{node.kind}-{number}")

            async def inside(inner: DurableContext, at: int, node: Node) -> str:
                await play(inner, str(at), 0, Node("step"))
                if node.waits:
                    await play(inner, str(at), 1, Node("wait"))
                if node.leaks:
                    leaked.append(1)
                return BIG if node.is_stripped else ""

            for number, node in enumerate(nodes):
                if node.kind != "read" or (leaked if is_new else node.asks):
                    await play(ctx, "", number, node)

        return handler

    return make


@settings(max_examples=60, deadline=None)
@given(st.lists(NODES, min_size=2, max_size=6).map(tuple))
def test_an_execution_breaks_where_the_simulator_says_so_or_recorded_operations_are_not_asked_for(
    nodes: tuple[Node, ...],
) -> None:
    asked: Counter[str] = Counter()
    make = player(nodes, asked)
    old = simulate(make(False))
    for after, events in cuts(old):
        seen: list[dict[str, int]] = []
        simulation = _deployed_noting(make, after, asked, seen)
        fails = len(seen) == after + 1 and "NonDeterministic" in str(simulation.error)
        tree = tree_of(fold(events).operations, SHA256)
        places = {str(at): len(node.children) for at, node in tree.root.children.items()}
        held = {"": len(tree.root.children), **places}
        unasked = any(count < held.get(place, 0) for place, count in seen[after].items())
        history = history_of_events("cut", events, arn=old.arn)
        outcome = verified(make(True), history)
        breaks = outcome.this_execution is Fate.BREAKS
        assert breaks == (fails or unasked), f"{outcome} {simulation.error} {seen[after]} {held}"
        assert outcome.verdict is Verdict.DIVERGED or not breaks


def _deployed_noting(
    make: Make, after: int, asked: Counter[str], seen: list[dict[str, int]]
) -> Simulation:
    """Run the old code, then the new, noting what each invocation asked for in each context."""
    invocations: list[int] = []

    async def handler(event: Any, ctx: DurableContext) -> Any:
        invocations.append(1)
        return await make(len(invocations) > after)(event, ctx)

    return simulate(handler, on_invocation=lambda record: seen.append(dict(asked)))
