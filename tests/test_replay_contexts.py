"""Contexts that now end otherwise than recorded, and what of contexts can't be seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from recording import recorded, verified

from durable_core import ChildConfig, CompletionConfig, DurableContext, MapConfig, NestingType
from durable_core.history import history_of_events
from durable_core.runtimes.native.replay import NativeReplayer
from durable_core.simulation.scenario import read_scenario
from durable_core.simulation.simulate import simulate
from durable_core.verifying.options import VerifyOptions
from durable_core.verifying.replay import verify_history
from durable_core.verifying.session import ReplaySession
from durable_core.verifying.verification import Verdict

Handler = Callable[..., Any]


def child(ends: Callable[[], Any]) -> Handler:
    """Return a handler with a child context that ends so, whatever becomes of it."""

    async def handler(event: Any, ctx: DurableContext) -> str:
        async def body(inner: DurableContext) -> Any:
            await inner.step(lambda _: 1, name="look")
            return ends()

        try:
            await ctx.run_in_child_context(body, name="check")
        except Exception:
            return "refused"
        return "fine"

    return handler


def refuses(text: str = "no stock") -> Any:
    raise ValueError(text)


def test_a_context_that_failed_and_now_returns_is_told() -> None:
    history = recorded(child(refuses))
    assert verified(child(refuses), history).differences == ()
    outcome = verified(child(lambda: 7), history)
    assert outcome.verdict is Verdict.COMPATIBLE
    (difference,) = outcome.differences
    assert (difference.what, difference.position) == ("context end", "1")
    assert (difference.recorded, difference.current) == (
        "failed with ValueError: no stock",
        "returns",
    )
    assert difference.operation == 'RunInChildContext "check"'
    assert not verified(child(lambda: 7), history, strict=True)


def test_a_context_that_fails_with_another_error_is_told() -> None:
    outcome = verified(child(lambda: refuses("no money")), recorded(child(refuses)))
    assert [(each.what, each.recorded, each.current) for each in outcome.differences] == [
        ("context error", "ValueError: no stock", "ValueError: no money")
    ]


def test_a_context_that_succeeded_and_now_fails_has_diverged() -> None:
    outcome = verified(child(refuses), recorded(child(lambda: 7)))
    assert outcome.first is not None
    assert (outcome.first.position, outcome.first.cause) == ("1.2", "raised")
    assert outcome.differences == ()


@pytest.mark.parametrize("nesting", list(NestingType))
def test_a_unit_that_failed_and_now_returns_is_told_where_it_has_a_record(
    nesting: NestingType,
) -> None:
    def handler_of(refused: list[int]) -> Handler:
        async def handler(event: Any, ctx: DurableContext) -> int:
            async def unit(inner: DurableContext, item: int, *_: Any) -> int:
                if item in refused:
                    raise ValueError("refused")
                return item

            tolerant = CompletionConfig(tolerated_failure_count=3)
            config = MapConfig[int](nesting_type=nesting, completion_config=tolerant)
            batch = await ctx.map([1, 2, 3], unit, name="each", config=config)
            return batch.success_count

        return handler

    history = recorded(handler_of([2]))
    assert verified(handler_of([2]), history).differences == ()
    outcome = verified(handler_of([]), history)
    assert outcome.verdict is Verdict.COMPATIBLE
    told = [(each.what, each.position) for each in outcome.differences]
    assert told == ([("context end", "1.2")] if nesting is NestingType.NESTED else [])


def test_the_name_of_a_virtual_context_is_not_recorded_and_a_note_says_so() -> None:
    def handler_of(name: str) -> Handler:
        async def handler(event: Any, ctx: DurableContext) -> int:
            async def body(inner: DurableContext) -> int:
                return await inner.step(lambda _: 1, name="look")

            config = ChildConfig[int](is_virtual=True)
            return await ctx.run_in_child_context(body, name=name, config=config)

        return handler

    history = recorded(handler_of("check"))
    for name in ("check", "renamed"):
        outcome = verified(handler_of(name), history)
        assert outcome.verdict is Verdict.COMPATIBLE
        assert outcome.notes == (
            "1 virtual context is asked for by a name, which is not recorded: if it is another "
            "now, that could not be seen",
        )


def test_another_input_of_an_invoked_function_is_told() -> None:
    def handler_of(given: dict[str, Any]) -> Handler:
        async def handler(event: Any, ctx: DurableContext) -> Any:
            return await ctx.invoke("charge", given, name="charge")

        return handler

    history = recorded(handler_of({"amount": 5, "unit": "EUR"}))
    assert verified(handler_of({"unit": "EUR", "amount": 5}), history).differences == ()
    outcome = verified(handler_of({"amount": 6, "unit": "EUR"}), history)
    assert outcome.verdict is Verdict.COMPATIBLE
    (difference,) = outcome.differences
    assert difference.what == "input of the invoked function"
    assert json.loads(difference.recorded or "") == {"amount": 5, "unit": "EUR"}
    assert json.loads(difference.current or "") == {"amount": 6, "unit": "EUR"}


def test_another_input_of_a_function_that_awss_sdk_invokes_is_told() -> None:
    pytest.importorskip("aws_durable_execution_sdk_python")
    from aws_durable_execution_sdk_python import durable_execution

    from durable_core.runtimes.aws_python.replay import AwsReplayer
    from durable_core.runtimes.aws_python.runner import AwsSdkRunner

    def handler_of(amount: int) -> Any:
        @durable_execution
        def handler(event: Any, context: Any) -> Any:
            return context.invoke("charge", {"amount": amount}, name="charge")

        return handler

    history = recorded(AwsSdkRunner(handler_of(5)))
    assert verify_history(AwsReplayer(handler_of(5)), history).differences == ()
    (difference,) = verify_history(AwsReplayer(handler_of(6)), history).differences
    assert difference.what == "input of the invoked function"
    assert json.loads(difference.current or "") == {"amount": 6}


def test_code_around_a_context_that_failed_is_followed_when_it_is_wrapped_in_another() -> None:
    pytest.importorskip("aws_durable_execution_sdk_python")
    from aws_durable_execution_sdk_python import durable_execution

    from durable_core.runtimes.aws_python.replay import AwsReplayer
    from durable_core.runtimes.aws_python.runner import AwsSdkRunner

    def handler_of(wraps: bool) -> Any:
        @durable_execution
        def handler(event: Any, context: Any) -> None:
            def doomed(inner: Any) -> None:
                inner.step(lambda _: 1, name="mark")
                raise KeyError("lost")

            def wrapped(inner: Any) -> None:
                inner.run_in_child_context(doomed, name="doomed")

            try:
                context.run_in_child_context(*((wrapped, "new") if wraps else (doomed, "doomed")))
            except Exception:
                context.step(lambda _: 1, name="shrug")
            else:
                context.step(lambda _: 1, name="wonder")
            context.step(lambda _: 1, name="end")

        return handler

    history = recorded(AwsSdkRunner(handler_of(False)))
    outcome = verify_history(AwsReplayer(handler_of(True)), history)
    (found,) = outcome.divergences
    assert (found.position, found.cause) == ("1", "moved-into-a-context")
    assert [line.name for line in found.next_current] == ["shrug", "end"]


def native_units(ends: Any, nesting: NestingType) -> tuple[Any, NativeReplayer]:
    async def handler(event: Any, ctx: DurableContext) -> int:
        async def unit(inner: DurableContext, item: int, *_: Any) -> Any:
            await inner.step(lambda _: item, name="look")
            return ends if item == 2 else item

        config = MapConfig[Any](nesting_type=nesting)
        return (await ctx.map([1, 2], unit, name="each", config=config)).success_count

    return handler, NativeReplayer(handler)


def aws_units(ends: Any, nesting: NestingType) -> tuple[Any, Any]:
    config = pytest.importorskip("aws_durable_execution_sdk_python.config")
    from aws_durable_execution_sdk_python import durable_execution

    from durable_core.runtimes.aws_python.replay import AwsReplayer
    from durable_core.runtimes.aws_python.runner import AwsSdkRunner

    if not hasattr(config, "NestingType"):
        pytest.skip("this version of the SDK has none")

    @durable_execution
    def handler(event: Any, context: Any) -> int:
        def unit(inner: Any, item: int, *_: Any) -> Any:
            inner.step(lambda _: item, name="look")
            return ends if item == 2 else item

        nested = config.MapConfig(nesting_type=config.NestingType[nesting.name])
        count: int = context.map([1, 2], unit, name="each", config=nested).success_count
        return count

    return AwsSdkRunner(handler), AwsReplayer(handler)


@pytest.mark.parametrize("nesting", list(NestingType))
@pytest.mark.parametrize("units", [native_units, aws_units])
@pytest.mark.parametrize("now", [{"sku": "ink"}, None])
def test_a_unit_that_comes_to_another_result_is_told(
    units: Callable[..., Any], nesting: NestingType, now: Any
) -> None:
    runner, same = units({"sku": "pen"}, nesting)
    history = recorded(runner)
    assert verify_history(same, history).differences == ()
    outcome = verify_history(units(now, nesting)[1], history)
    assert outcome.verdict is Verdict.COMPATIBLE
    (difference,) = outcome.differences
    assert difference.what == ("context result" if nesting is NestingType.NESTED else "unit result")
    assert difference.position == ("1.2" if units is native_units else "1.1")
    assert "pen" in (difference.recorded or "")
    assert "pen" not in (difference.current or "")


def test_a_context_of_awss_sdk_that_returns_nothing_any_more_is_told() -> None:
    pytest.importorskip("aws_durable_execution_sdk_python")
    from aws_durable_execution_sdk_python import durable_execution

    from durable_core.runtimes.aws_python.replay import AwsReplayer
    from durable_core.runtimes.aws_python.runner import AwsSdkRunner

    def handler_of(result: Any) -> Any:
        @durable_execution
        def handler(event: Any, context: Any) -> None:
            context.run_in_child_context(lambda inner: result, name="price")

        return handler

    history = recorded(AwsSdkRunner(handler_of(7)))
    (difference,) = verify_history(AwsReplayer(handler_of(None)), history).differences
    assert (difference.what, difference.recorded, difference.current) == (
        "context result",
        "7",
        "null",
    )


def test_units_of_one_name_are_warned_about() -> None:
    def handler_of(*people: str) -> Handler:
        async def handler(event: Any, ctx: DurableContext) -> None:
            async def sign(inner: DurableContext, who: str, *_: Any) -> str:
                return await inner.step(lambda _: who, name="sign")

            config = MapConfig[str](item_namer=lambda who, index: "boss" if who == "eve" else "any")
            await ctx.map(people, sign, name="inspection", config=config)

        return handler

    outcome = verified(handler_of("bob", "ann", "eve"), recorded(handler_of("ann", "bob", "eve")))
    assert outcome
    assert (
        "2 units of a map or parallel have the name of another one of it: if two of them changed "
        "places, that could not be seen"
    ) in outcome.notes
    assert not any("by their index" in note for note in outcome.notes)


@pytest.mark.parametrize("deep", [True, False])
def test_a_stripped_result_without_a_payload_as_sdk_1_x_writes_it_is_rebuilt(deep: bool) -> None:
    pytest.importorskip("aws_durable_execution_sdk_python")
    from aws_durable_execution_sdk_python import durable_execution

    from durable_core.runtimes.aws_python.replay import AwsReplayer
    from durable_core.runtimes.aws_python.runner import AwsSdkRunner

    @durable_execution
    def handler(event: Any, context: Any) -> int:
        def draw(inner: Any) -> str:
            half: str = inner.step(lambda _: "x" * 200_000, name="draw")
            return half + half

        return len(context.run_in_child_context(draw, name="blob"))

    events = [
        replace(each, details={"Result": {"Truncated": False}})
        if (each.event_type, each.name) == ("ContextSucceeded", "blob")
        else each
        for each in simulate(AwsSdkRunner(handler)).events
    ]
    history = history_of_events("recorded", events)
    outcome = verify_history(AwsReplayer(handler), history, VerifyOptions(deep=deep))
    assert outcome, outcome
    assert outcome.differences == ()


def test_what_another_operation_came_to_is_not_blamed_on_the_code() -> None:
    pytest.importorskip("aws_durable_execution_sdk_python")
    from aws_durable_execution_sdk_python import durable_execution

    from durable_core.runtimes.aws_python.replay import AwsReplayer
    from durable_core.runtimes.aws_python.runner import AwsSdkRunner

    def handler_of(invokes: bool) -> Any:
        @durable_execution
        def handler(event: Any, context: Any) -> None:
            if invokes:
                context.invoke("bank", 5, name="charge")
            else:
                context.step(lambda _: 5, name="pay")
                context.step(lambda _: 5, name="pay")
                context.step(lambda _: 5, name="pay")
            context.step(lambda _: 1, name="mail")

        return handler

    script = read_scenario('[[invoke]]\nfunction = "bank"\nresult = \'{"paid": 5}\'')
    simulation = simulate(AwsSdkRunner(handler_of(True)), scenario=script)
    history = history_of_events("recorded", simulation.events)
    seen: list[ReplaySession] = []

    def watch(session: ReplaySession) -> Any:
        seen.append(session)
        return nullcontext()

    outcome = verify_history(AwsReplayer(handler_of(False)), history, watch=watch)
    assert outcome.first is not None
    assert outcome.first.position == "1"
    assert [each.root.error for each in seen] == [None] * len(seen)
