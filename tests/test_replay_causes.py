"""What is said to have happened to code that catches, skips, or has contexts without a record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    ChildConfig,
    CompletionConfig,
    DurableContext,
    MapConfig,
    RetryPresets,
    StepConfig,
    StepError,
)
from durable_core.history import history_of_events
from durable_core.runtimes.native.replay import NativeReplayer
from durable_core.simulation.scenario import CallbackScript, Scenario
from durable_core.simulation.simulate import simulate
from durable_core.verifying.replay import verify_history
from durable_core.verifying.verification import Cause, Divergence

Change = Callable[[], Any]


def first(original: Any, changed: Any) -> Divergence:
    history = history_of_events("recorded", simulate(original).events)
    assert verify_history(NativeReplayer(original), history)
    found = verify_history(NativeReplayer(changed), history).first
    assert found is not None
    return found


def test_a_wait_for_callback_that_is_renamed_is_told_once() -> None:
    def asking(name: str) -> Any:
        async def handler(event: Any, ctx: DurableContext) -> Any:
            return await ctx.wait_for_callback(lambda callback_id, _: None, name=name)

        return handler

    answer = Scenario(callbacks=(CallbackScript("*", payload='"yes"'),))
    history = history_of_events("it", simulate(asking("approve"), scenario=answer).events)
    outcome = verify_history(NativeReplayer(asking("approval")), history)
    assert [each.position for each in outcome.divergences] == ["1"]
    assert outcome.first is not None
    assert outcome.first.cause is Cause.RENAMED


def fails() -> None:
    raise KeyError("row 7")  # raised here


def nothing() -> None:
    pass


def booking(change: Change, *, names: tuple[str, ...] = ("cancel", "audit")) -> Any:
    """Return a handler in which a step fails and is handled; `change` is called before it."""
    cancel, audit = names

    async def handler(event: Any, ctx: DurableContext) -> str:
        def no_seat(_: Any) -> None:
            raise ValueError("no seat")

        once = StepConfig(retry_strategy=RetryPresets.none())
        try:
            await ctx.step(lambda _: 1, name="hotel")
            change()
            await ctx.step(lambda _: 1, name="car")
            await ctx.step(no_seat, name="flight", config=once)
        except StepError:
            await ctx.step(lambda _: 1, name=cancel)
            await ctx.wait(timedelta(seconds=3), name="rest")
        except KeyError:
            await ctx.step(lambda _: 1, name="look up")
        finally:
            await ctx.step(lambda _: 1, name=audit)
        return "done"

    return handler


def test_code_that_raises_and_handles_it_raises_whatever_it_asks_for_then() -> None:
    found = first(booking(nothing), booking(fails))
    assert (found.position, found.cause) == ("2", Cause.RAISED)
    assert found.why == (
        "the code raises KeyError: 'row 7' where Step \"car\" is recorded, and goes on to "
        'Step "look up"'
    )
    assert found.where is not None
    assert found.where.text.endswith("# raised here")
    assert "KeyError: 'row 7'" in (found.traceback or "")
    assert "ends the execution as FAILED" in found.consequence


def test_what_is_asked_for_in_a_finally_does_not_hide_what_was_raised() -> None:
    def bad() -> None:
        raise RuntimeError("defect")

    found = first(booking(nothing), booking(bad))
    assert (found.position, found.cause) == ("2", Cause.RAISED)
    assert "RuntimeError: defect" in found.why


def test_a_finally_that_is_all_that_follows_does_not_hide_what_was_raised() -> None:
    def handler_of(change: Change) -> Any:
        async def handler(event: Any, ctx: DurableContext) -> None:
            await ctx.step(lambda _: 1, name="open")
            try:
                change()
                await ctx.step(lambda _: 1, name="pack")
            finally:
                await ctx.step(lambda _: 1, name="close")

        return handler

    found = first(handler_of(nothing), handler_of(fails))
    assert (found.position, found.cause) == ("2", Cause.RAISED)
    assert found.why == (
        "the code raises KeyError: 'row 7' where Step \"pack\" is recorded, and goes on to "
        'Step "close"'
    )
    assert found.where is not None
    assert found.where.text.endswith("# raised here")


def test_the_error_that_may_have_kept_the_code_from_an_operation_is_told() -> None:
    def handler_of(change: Change) -> Any:
        async def handler(event: Any, ctx: DurableContext) -> None:
            def jammed(_: Any) -> None:
                raise OSError("paper jam")

            once = StepConfig(retry_strategy=RetryPresets.none())
            try:
                change()
                await ctx.step(jammed, name="print", config=once)
            except (StepError, KeyError):
                await ctx.step(lambda _: 1, name="mail instead")

        return handler

    found = first(handler_of(nothing), handler_of(fails))
    assert (found.position, found.cause) == ("1", Cause.REMOVED)
    assert found.why == (
        'Step "print" is no longer asked for here; Step "mail instead" comes in its place, while '
        "the code handles KeyError: 'row 7'"
    )


@pytest.mark.parametrize(
    ("names", "position", "cause"),
    [(("undo", "audit"), "4", Cause.RENAMED), (("cancel", "log"), "6", Cause.RENAMED)],
)
def test_a_change_of_what_handles_a_recorded_error_is_that_change(
    names: tuple[str, str], position: str, cause: Cause
) -> None:
    found = first(booking(nothing), booking(nothing, names=names))
    assert (found.position, found.cause) == (position, cause)


@pytest.mark.parametrize(("name", "more"), [("undo", False), ("cancel", True)])
def test_a_change_of_what_handles_an_error_of_the_code_itself_is_that_change(
    name: str, more: bool
) -> None:
    def handler_of(name: str, more: bool) -> Any:
        async def handler(event: Any, ctx: DurableContext) -> None:
            total = await ctx.step(lambda _: 12, name="total")
            try:
                if total > 10:
                    raise ValueError("too much")
                await ctx.step(lambda _: 1, name="pay")
            except ValueError:
                if more:
                    await ctx.step(lambda _: 1, name="call")
                await ctx.step(lambda _: 1, name=name)
                await ctx.step(lambda _: 1, name="mail")

        return handler

    found = first(handler_of("cancel", False), handler_of(name, more))
    assert found.position == "2"
    assert found.cause is (Cause.INSERTED if more else Cause.RENAMED)


def test_what_comes_later_in_the_record_is_not_a_new_name() -> None:
    def handler_of(skips: bool) -> Any:
        async def handler(event: Any, ctx: DurableContext) -> None:
            names = ["a", "b", "c", "d", "e"]
            found = [await ctx.step(lambda _: 1, name=n) for n in names[3 if skips else 0 :]]
            if len(found) < len(names):
                raise AssertionError

        return handler

    found = first(handler_of(False), handler_of(True))
    assert (found.position, found.cause) == ("1", Cause.REMOVED)
    assert found.why == (
        '3 recorded operations are no longer asked for here, first Step "a"; Step "d" comes next, '
        "and the code ends by raising AssertionError"
    )


def test_something_new_before_a_virtual_context_is_new() -> None:
    def handler_of(inserts: bool) -> Any:
        async def handler(event: Any, ctx: DurableContext) -> None:
            async def body(inner: DurableContext) -> int:
                return await inner.step(lambda _: 1, name="inside")

            await ctx.step(lambda _: 1, name="before")
            if inserts:
                await ctx.step(lambda _: 1, name="new")
            await ctx.run_in_child_context(body, config=ChildConfig[int](is_virtual=True))
            await ctx.step(lambda _: 1, name="after")

        return handler

    found = first(handler_of(False), handler_of(True))
    assert (found.position, found.cause) == ("2", Cause.INSERTED)


def test_an_operation_that_moved_out_of_a_recorded_context_or_into_one_is_told_so() -> None:
    def handler_of(place: str) -> Any:
        async def handler(event: Any, ctx: DurableContext) -> None:
            async def price(inner: DurableContext) -> int:
                await inner.step(lambda _: 1, name="base")
                if place == "inside":
                    await inner.step(lambda _: 2, name="tax")
                return 3

            await ctx.run_in_child_context(price, name="price")
            if place == "outside":
                await ctx.step(lambda _: 2, name="tax")
            await ctx.step(lambda _: 4, name="pay")

        return handler

    found = first(handler_of("inside"), handler_of("outside"))
    assert (found.position, found.cause) == ("1.2", Cause.MOVED_OUT)
    assert found.why == 'Step "tax" has moved out of RunInChildContext "price", into the handler'
    found = first(handler_of("outside"), handler_of("inside"))
    assert (found.position, found.cause) == ("1.2", Cause.MOVED_IN)
    assert found.why == 'Step "tax" has moved out of the handler, into RunInChildContext "price"'


def test_units_that_changed_each_in_its_own_way_have_not_moved() -> None:
    def handler_of(shorter: int) -> Any:
        async def handler(event: Any, ctx: DurableContext) -> None:
            async def unit(inner: DurableContext, item: int, index: int, items: Any) -> None:
                await inner.step(lambda _: 1, name="label")
                for name in ["dhl", "ups", "gls"][: index + 1 - shorter]:
                    await inner.step(lambda _: 1, name=name)

            await ctx.map([1, 2, 3], unit, name="ship")

        return handler

    found = first(handler_of(0), handler_of(1))
    assert (found.position, found.cause) == ("1.1.2", Cause.REMOVED)
    history = history_of_events("recorded", simulate(handler_of(0)).events)
    outcome = verify_history(NativeReplayer(handler_of(1)), history)
    assert {each.cause for each in outcome.divergences} == {Cause.REMOVED}


def test_units_that_now_end_as_early_as_one_that_failed_have_not_become_it() -> None:
    def handler_of(traces: bool) -> Any:
        async def handler(event: Any, ctx: DurableContext) -> int:
            def silent(_: Any) -> None:
                raise TimeoutError("no answer")

            async def unit(inner: DurableContext, site: str, *_: Any) -> None:
                once = StepConfig(retry_strategy=RetryPresets.none())
                await inner.step(silent if site == "b" else nothing_done, name="ping", config=once)
                if traces:
                    await inner.step(lambda _: 1, name="trace")

            config = MapConfig[None](completion_config=CompletionConfig.all_completed())
            return (await ctx.map(["a", "b", "c"], unit, name="health", config=config)).total_count

        return handler

    history = history_of_events("recorded", simulate(handler_of(True)).events)
    outcome = verify_history(NativeReplayer(handler_of(False)), history)
    assert [(each.position, each.cause) for each in outcome.divergences] == [
        ("1.1.2", Cause.REMOVED)
    ]
    assert outcome.divergences[0].also_at == ("1.3.2",)


def test_units_of_which_two_would_have_become_one_have_not_moved() -> None:
    def handler_of(orders_when_empty: bool) -> Any:
        async def handler(event: Any, ctx: DurableContext) -> None:
            async def shop(inner: DurableContext, stock: int, *_: Any) -> None:
                await inner.step(lambda _: stock, name="count")
                if (stock == 0) is orders_when_empty:
                    await inner.step(lambda _: stock, name="order more")

            await ctx.map([3, 1, 0], shop, name="shops", config=MapConfig[None](max_concurrency=1))

        return handler

    history = history_of_events("recorded", simulate(handler_of(True)).events)
    outcome = verify_history(NativeReplayer(handler_of(False)), history)
    told = {each.position: each.cause for each in outcome.divergences}
    assert Cause.REORDERED not in told.values()
    assert "1.1.2" in told


def nothing_done(_: Any) -> None:
    pass


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (
            ["cancel hotel", "cancel car"],
            '2 recorded operations are no longer asked for here, first Step "cancel hotel"; Step '
            '"audit" comes next',
        ),
        (
            ["cancel hotel"],
            'Step "cancel hotel" is no longer asked for here; Step "audit" comes in its place',
        ),
    ],
)
def test_code_that_skips_and_then_raises_is_told_both(names: list[str], missing: str) -> None:
    def handler_of(kind: type[Exception]) -> Any:
        async def handler(event: Any, ctx: DurableContext) -> None:
            def no_seat(_: Any) -> None:
                raise ValueError("no seat")

            once = StepConfig(retry_strategy=RetryPresets.none())
            try:
                await ctx.step(no_seat, name="flight", config=once)
            except kind:
                for name in names:
                    await ctx.step(lambda _: 1, name=name)
            finally:
                await ctx.step(lambda _: 1, name="audit")

        return handler

    found = first(handler_of(StepError), handler_of(KeyError))
    assert (found.position, found.cause) == ("2", Cause.REMOVED)
    assert found.why == f"{missing}, and the code ends by raising StepError: no seat"
