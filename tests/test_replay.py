"""Handlers against histories: no false alarm, no miss, nothing done."""

from __future__ import annotations

import asyncio
import importlib
import random
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from recording import recorded, verified

from durable_core import (
    ChildConfig,
    CompletionConfig,
    DurableContext,
    MapConfig,
    NestingType,
    ParallelBranch,
    ParallelConfig,
    RetryPresets,
    StepConfig,
    StepError,
    WaitForConditionConfig,
    WaitForConditionDecision,
    WithRetryConfig,
    with_retry,
)
from durable_core.adapters.history_file import load_history
from durable_core.history import RecordedHistory, history_of_events, history_of_operations
from durable_core.runtimes.native.replay import NativeReplayer
from durable_core.simulation.scenario import Scenario
from durable_core.simulation.simulate import simulate
from durable_core.verifying.options import VerifyOptions
from durable_core.verifying.replay import verify_history
from durable_core.verifying.verification import Cause, NotCompatible, Verdict

ROOT = Path(__file__).parents[1]
HANDLERS = ROOT / "fixtures" / "handlers"
MODES = [
    VerifyOptions(deep=deep, every_invocation=every)
    for deep in (True, False)
    for every in (True, False)
]


@pytest.fixture(autouse=True)
def fixtures_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "fixtures"))
    monkeypatch.syspath_prepend(str(HANDLERS))
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "benchmarks"))


def test_a_history_of_rust_is_not_held_against_a_handler_whose_ids_begin_as_its() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        return None

    history = load_history(str(ROOT / "fixtures" / "histories" / "rust_nested_map.json"))
    outcome = verified(handler, history)
    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert "written by another SDK (rust:" in outcome.doubts[0].reason


# -- no false alarm ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.stem for path in HANDLERS.glob("native_*.py")))
def test_a_native_handler_is_compatible_with_what_it_recorded(name: str) -> None:
    handler = importlib.import_module(name).handler
    for event in (None, {}):
        history = recorded(handler, event)
        for mode in MODES:
            outcome = verify_history(NativeReplayer(handler), history, mode)
            assert outcome.verdict is Verdict.COMPATIBLE, str(outcome)
            assert outcome.differences == ()


def recordings() -> list[str]:
    return sorted(path.stem for path in (ROOT / "fixtures" / "histories").glob("*.json"))


@pytest.mark.parametrize("name", recordings())
def test_a_handler_of_awss_sdk_is_compatible_with_what_it_recorded(name: str) -> None:
    pytest.importorskip("aws_durable_execution_sdk_python")
    from durable_core.adapters.history_file import load_history
    from durable_core.runtimes.aws_python.replay import AwsReplayer

    before_2 = version("aws-durable-execution-sdk-python").startswith("1.")
    record = importlib.import_module("record")
    recording = record.RECORDINGS.get(name)
    if recording is None:
        pytest.skip("made by hand: no handler belongs to it")
    try:
        handler = importlib.import_module(recording.module).handler
    except ImportError:
        pytest.skip("written for a later SDK than the one that is installed")
    history = load_history(str(ROOT / "fixtures" / "histories" / f"{name}.json"))
    for mode in MODES:
        outcome = verify_history(AwsReplayer(handler), history, mode)
        assert outcome.verdict is Verdict.COMPATIBLE, str(outcome)
        # What 3.0.0 recorded: errors of operations have other classes in 1.x.
        told = [
            each
            for each in outcome.differences
            if not (before_2 and each.what in ("final error", "context error"))
        ]
        assert told == []


def test_plugins_that_the_environment_names_do_nothing_while_a_handler_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aws_durable_execution_sdk_python", minversion="3")
    from durable_core.adapters.history_file import load_history
    from durable_core.runtimes.aws_python.replay import AwsReplayer

    (tmp_path / "noticing.py").write_text(
        "from aws_durable_execution_sdk_python.plugin import DurableInstrumentationPlugin\n"
        "noticed = []\n"
        "class Noticing(DurableInstrumentationPlugin):\n"
        "    def on_invocation_start(self, info):\n"
        "        noticed.append(info)\n"
        "class Factory:\n"
        "    def create_plugin(self, info):\n"
        "        return Noticing()\n"
        "FACTORY = Factory()\n"
    )
    provider = tmp_path / "noticing-1.0.dist-info"
    provider.mkdir()
    (provider / "METADATA").write_text("Metadata-Version: 2.1\nName: noticing\nVersion: 1.0\n")
    (provider / "entry_points.txt").write_text(
        "[aws_durable_execution.plugins]\nnoticing = noticing:FACTORY\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("DURABLE_EXECUTION_PLUGINS", "noticing")
    history = load_history(str(ROOT / "fixtures" / "histories" / "waits.json"))
    handler = importlib.import_module("aws_waits").handler
    outcome = verify_history(AwsReplayer(handler), history, VerifyOptions())
    assert outcome.verdict is Verdict.COMPATIBLE
    assert importlib.import_module("noticing").noticed == []


# -- no miss -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "handler", ["aws_parallel_in_child_in_map", "aws_waits", "native_callbacks", "aws_callback"]
)
def test_every_mutant_of_named_operations_is_found_at_its_place(handler: str) -> None:
    if handler.startswith("aws"):
        pytest.importorskip("aws_durable_execution_sdk_python")
    mutate = importlib.import_module("mutate")
    results = [each for each in mutate.results(handler=handler) if "unit" not in each.mutant.kind]
    assert len(results) > 10
    missed = [
        f"{each.mutant.kind} at {each.position}: {each.outcome}"
        for each in results
        if not each.is_at_its_place
    ]
    assert missed == []


@pytest.mark.parametrize(
    "handler", ["aws_parallel_in_child_in_map", "aws_step_retries", "native_map_overflow"]
)
def test_edits_that_change_nothing_recorded_raise_no_alarm_and_make_no_difference(
    handler: str,
) -> None:
    if handler.startswith("aws"):
        pytest.importorskip("aws_durable_execution_sdk_python")
    mutate = importlib.import_module("mutate")
    results = list(mutate.allowed_results("fixtures", handler))
    assert len(results) > 10
    assert [
        f"{kind} at {place}: {outcome}" for kind, place, outcome in results if not outcome
    ] == []


# -- nothing is done -------------------------------------------------------------------------------


class Counted:
    def __init__(self) -> None:
        self.ran: list[str] = []

    def __call__(self, what: str) -> Callable[..., Any]:
        def body(*_: Any) -> str:
            self.ran.append(what)
            return what

        return body


def everything(count: Counted) -> Callable[..., Any]:
    async def unit(ctx: DurableContext, item: int, index: int, items: Any) -> Any:
        return await ctx.step(count("in a unit"), name="inner")

    def poll(state: int, _: Any) -> int:
        count.ran.append("check")
        return state + 1

    async def handler(event: Any, ctx: DurableContext) -> list[Any]:
        once = WaitForConditionConfig(
            lambda state, attempt: WaitForConditionDecision.stop_polling(), 0
        )
        return [
            await ctx.step(count("step"), name="step"),
            await ctx.wait_for_condition(poll, once, name="poll"),
            (await ctx.map([1, 2], unit, name="map")).get_results(),
            await ctx.wait_for_callback(count("submitter"), name="callback"),
        ]

    return handler


def test_no_body_submitter_or_check_ever_runs() -> None:
    count = Counted()
    handler = everything(count)
    history = recorded(handler)
    assert set(count.ran) == {"step", "check", "in a unit", "submitter"}
    count.ran.clear()
    for mode in MODES:
        assert verify_history(NativeReplayer(handler), history, mode)
    assert count.ran == []


def test_an_interrupted_step_does_not_run() -> None:
    count = Counted()

    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(count("step"), name="step")

    history = recorded(handler)
    started = history.events[
        : next(n for n, each in enumerate(history.events, 1) if each.event_type == "StepStarted")
    ]
    count.ran.clear()
    assert verified(handler, history_of_events("cut", started))
    assert count.ran == []


# -- what is seen --------------------------------------------------------------------------------


async def three_steps(event: Any, ctx: DurableContext) -> list[int]:
    return [await ctx.step(lambda _, n=n: n, name=f"step-{n}") for n in (1, 2, 3)]


def test_a_mismatch_counts_although_the_handler_swallows_it() -> None:
    async def changed(event: Any, ctx: DurableContext) -> list[int]:
        values = []
        for name in ("step-1", "renamed", "step-3"):
            try:
                values.append(await ctx.step(lambda _: 0, name=name))
            except Exception:
                values.append(2)
        return values

    outcome = verified(changed, recorded(three_steps))
    assert outcome.verdict is Verdict.DIVERGED
    assert outcome.first is not None
    assert (outcome.first.cause, outcome.first.position) == (Cause.RENAMED, "2")
    assert outcome.first.where is not None
    assert outcome.first.where.text.startswith("values.append(await ctx.step")


def test_a_step_that_moved_into_a_child_context_is_told_as_that() -> None:
    async def changed(event: Any, ctx: DurableContext) -> list[int]:
        first = await ctx.step(lambda _: 1, name="step-1")
        second = await ctx.run_in_child_context(
            lambda inner: inner.step(lambda _: 2, name="step-2"), name="wrapper"
        )
        return [first, second, await ctx.step(lambda _: 3, name="step-3")]

    outcome = verified(changed, recorded(three_steps))
    assert outcome.first is not None
    assert (outcome.first.cause, outcome.first.position) == (Cause.MOVED_IN, "2")
    assert len(outcome.divergences) == 1
    back = verified(three_steps, recorded(changed))
    assert back.first is not None
    assert (back.first.cause, back.first.position) == (Cause.MOVED_OUT, "2")


def test_code_inside_a_completed_context_is_verified_unless_shallow() -> None:
    def with_inner(name: str) -> Callable[..., Any]:
        async def body(ctx: DurableContext) -> int:
            return await ctx.step(lambda _: 1, name=name)

        async def handler(event: Any, ctx: DurableContext) -> int:
            return await ctx.run_in_child_context(body, name="child")

        return handler

    history = recorded(with_inner("inner"))
    deep = verified(with_inner("renamed"), history)
    assert deep.first is not None
    assert deep.first.position == "1.1"
    assert verified(with_inner("renamed"), history, deep=False)


def test_shallow_and_a_summary_of_the_users_own_leave_open_whether_a_body_runs_again() -> None:
    def handler_of(name: str, size: int) -> Callable[..., Any]:
        async def inside(ctx: DurableContext) -> str:
            await ctx.step(lambda _: 1, name=name)
            return "x" * size

        async def handler(event: Any, ctx: DurableContext) -> int:
            config: ChildConfig[str] = ChildConfig(summary_generator=lambda value: '"a summary"')
            await ctx.run_in_child_context(inside, "child", config)
            await ctx.wait(timedelta(seconds=1), "pause")
            return 1

        return handler

    for size in (10, 300_000):
        history = recorded(handler_of("a", size))
        assert verified(handler_of("a", size), history, deep=False)
        assert verified(handler_of("b", size), history, deep=True).verdict is Verdict.DIVERGED
        changed = verified(handler_of("b", size), history, deep=False)
        assert changed.verdict is Verdict.CANNOT_VERIFY
        assert [each.position for each in changed.doubts] == ["1"]
        assert "no event says ReplayChildren" in changed.doubts[0].reason


def test_a_new_step_before_one_that_failed_is_told_as_new() -> None:
    def handler_of(*names: str) -> Callable[..., Any]:
        async def handler(event: Any, ctx: DurableContext) -> str:
            config = StepConfig(retry_strategy=RetryPresets.none())
            for name in names:
                await ctx.step(lambda _: 1, name=name)
            try:
                await ctx.step(lambda _: 1 // 0, name="divide", config=config)
            except StepError:
                await ctx.step(lambda _: 1, name="explain")
            return "done"

        return handler

    found = verified(handler_of("new"), recorded(handler_of())).first
    assert found is not None
    assert (found.position, found.cause, found.distance) == ("1", Cause.INSERTED, 1)
    assert verified(handler_of("a"), recorded(handler_of("b"))).first.cause is Cause.RENAMED  # type: ignore[union-attr]


def test_a_map_that_moved_into_a_new_child_context_is_told_as_that() -> None:
    async def unit(ctx: DurableContext, item: int, index: int, items: Any) -> int:
        return await ctx.step(lambda _: item, name="work")

    async def before(event: Any, ctx: DurableContext) -> int:
        return len((await ctx.map([1, 2], unit, name="all")).get_results())

    async def after(event: Any, ctx: DurableContext) -> int:
        async def child(inner: DurableContext) -> int:
            return await before(event, inner)

        return await ctx.run_in_child_context(child, name="wrapper")

    found = verified(after, recorded(before)).first
    assert found is not None
    assert (found.position, found.cause) == ("1", Cause.MOVED_IN)


def test_an_operation_of_a_lambda_is_at_the_line_of_the_call_that_the_lambda_is_given_to() -> None:
    def handler_of(inner: str, unit: str) -> Callable[..., Any]:
        async def handler(event: Any, ctx: DurableContext) -> None:
            await ctx.run_in_child_context(lambda c: c.step(lambda _: 1, name=inner), name="child")
            await ctx.map([1], lambda c, *_: c.step(lambda _: 1, name=unit), name="all")

        return handler

    history = recorded(handler_of("a", "b"))
    for changed, text in (
        (handler_of("other", "b"), "await ctx.run_in_child_context("),
        (handler_of("a", "other"), "await ctx.map("),
    ):
        found = verified(changed, history).first
        assert found is not None
        assert found.where is not None
        assert found.where.text.startswith(text)


def batch_of(*units: str) -> Callable[..., Any]:
    def branch(name: str) -> Callable[..., Any]:
        return lambda ctx: ctx.step(lambda _: 1, name=name)

    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.parallel([branch(name) for name in units], name="checks")

    return handler


def test_what_one_line_changes_in_many_units_is_told_once_with_every_place() -> None:
    def handler_of(name: str) -> Callable[..., Any]:
        async def unit(ctx: DurableContext, item: int, *_: Any) -> None:
            await ctx.step(lambda _: 1, name=name if item else "first")

        async def handler(event: Any, ctx: DurableContext) -> None:
            await ctx.map(list(range(30)), unit, name="all")

        return handler

    outcome = verified(handler_of("b"), recorded(handler_of("a")))
    [found] = outcome.divergences
    assert (found.position, found.why) == ("1.2.1", 'Step "a" is now named "b"')
    assert found.also_at == tuple(f"1.{number}.1" for number in range(3, 31))
    assert outcome.more_divergences == 0


def test_however_far_it_is_verified_the_history_has_all_its_invocations() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        for number in range(3):
            await ctx.wait(timedelta(days=1), name=f"day-{number}")

    async def renamed(event: Any, ctx: DurableContext) -> None:
        await ctx.wait(timedelta(days=1), name="day")

    outcome = verified(renamed, recorded(handler), every_invocation=True)
    assert (outcome.first and outcome.first.invocation, outcome.invocations) == (1, 4)


def test_units_that_moved_up_are_not_taken_for_renamed_ones() -> None:
    history = recorded(batch_of("fraud", "credit", "sanctions"))
    count, moved = verified(batch_of("fraud", "sanctions"), history).divergences
    assert (count.expected and count.expected.units, count.current and count.current.units) == (
        3,
        2,
    )
    assert moved.cause is Cause.UNIT_COUNT
    assert moved.why == 'unit 1 now does what unit 2 did: Step "credit" is now named "sanctions"'


def test_units_that_changed_places_are_reordered_not_renamed() -> None:
    history = recorded(batch_of("fraud", "credit", "sanctions"))
    outcome = verified(batch_of("credit", "fraud", "sanctions"), history)
    assert [each.cause for each in outcome.divergences] == [Cause.REORDERED] * 2
    assert outcome.first is not None
    assert outcome.first.why.startswith("unit 0 now does what unit 1 did: ")


def test_a_unit_that_does_something_of_its_own_is_no_moved_one() -> None:
    outcome = verified(batch_of("fraud", "rating"), recorded(batch_of("fraud", "credit")))
    assert [each.cause for each in outcome.divergences] == [Cause.RENAMED]


def test_a_difference_says_of_which_operation_and_where_it_is_asked_for() -> None:
    def handler_of(days: int) -> Callable[..., Any]:
        async def handler(event: Any, ctx: DurableContext) -> None:
            await ctx.wait(timedelta(days=days), name="delivery")

        return handler

    [difference] = verified(handler_of(2), recorded(handler_of(1))).differences
    assert (difference.position, difference.operation) == ("1", 'Wait "delivery"')
    assert difference.where is not None
    assert difference.where.text == 'await ctx.wait(timedelta(days=days), name="delivery")'


def test_what_the_cloud_would_do_inside_of_a_completed_context_is_not_to_run_it() -> None:
    def handler_of(name: str, size: int) -> Callable[..., Any]:
        async def child(ctx: DurableContext) -> str:
            await ctx.step(lambda _: 1, name=name)
            return "x" * size

        async def handler(event: Any, ctx: DurableContext) -> None:
            await ctx.run_in_child_context(child, name="child")

        return handler

    small = verified(handler_of("b", 1), recorded(handler_of("a", 1))).first
    assert small is not None
    assert small.consequence == (
        "in an execution that is past this point and still inside of 1 RunInChildContext "
        '"child", durable\'s native runtime ends the execution as FAILED with '
        "NonDeterministicExecutionError. Where that context is complete, as here, a replay answers "
        "from its checkpoint and doesn't run this code"
    )
    stripped = verified(handler_of("b", 300_000), recorded(handler_of("a", 300_000))).first
    assert stripped is not None
    assert stripped.consequence.endswith(
        "past this point, durable's native runtime ends the execution as FAILED with "
        "NonDeterministicExecutionError"
    )


def test_divergences_of_several_contexts_are_all_told_the_first_one_first() -> None:
    def units(names: dict[int, str]) -> Callable[..., Any]:
        async def unit(ctx: DurableContext, item: int, index: int, items: Any) -> None:
            await ctx.step(lambda _: item, name=names.get(item, "same"))

        async def handler(event: Any, ctx: DurableContext) -> None:
            await ctx.map([1, 2, 3], unit, name="map")
            await ctx.step(lambda _: 0, name=names.get(0, "last"))

        return handler

    outcome = verified(units({2: "x", 3: "y", 0: "z"}), recorded(units({})))
    assert [each.position for each in outcome.divergences] == ["1.2.1", "1.3.1", "2"]


def test_an_early_return_and_a_removed_operation_are_seen_though_nothing_raises() -> None:
    async def changed(event: Any, ctx: DurableContext) -> list[int]:
        return [await ctx.step(lambda _: 1, name="step-1")]

    outcome = verified(changed, recorded(three_steps))
    assert outcome.first is not None
    assert (outcome.first.cause, outcome.first.position) == (Cause.ENDED_EARLY, "2")
    assert "doesn't notice" in outcome.first.consequence


def test_a_handler_that_raises_is_diverged_with_its_traceback() -> None:
    async def changed(event: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda _: 1, name="step-1")
        raise LookupError("not here")

    outcome = verified(changed, recorded(three_steps))
    assert outcome.first is not None
    assert outcome.first.cause is Cause.RAISED
    assert "LookupError: not here" in (outcome.first.traceback or "")
    assert "durable_core" not in (outcome.first.traceback or "")


def test_units_frozen_as_started_do_not_run() -> None:
    ran: list[str] = []

    def branch(name: str, waits: bool) -> ParallelBranch[str]:
        async def body(ctx: DurableContext) -> str:
            ran.append(name)
            if waits:
                await ctx.wait(timedelta(hours=1), name="long")
            return await ctx.step(lambda _: name, name="work")

        return ParallelBranch(body, name)

    async def handler(event: Any, ctx: DurableContext) -> int:
        result = await ctx.parallel(
            [branch("slow", True), branch("fast", False)],
            name="race",
            config=ParallelConfig(completion_config=CompletionConfig(min_successful=1)),
        )
        return result.success_count

    history = recorded(handler)
    ran.clear()
    assert verified(handler, history)
    assert ran == ["fast"]


# -- executions in flight ------------------------------------------------------------------------


async def with_wait(event: Any, ctx: DurableContext) -> int:
    first = await ctx.step(lambda _: 1, name="before")
    await ctx.wait(timedelta(days=30), name="long")
    return first + await ctx.step(lambda _: 1, name="after")


def in_flight(handler: Callable[..., Any]) -> RecordedHistory:
    history = recorded(handler)
    end = next(
        n for n, each in enumerate(history.events, 1) if each.event_type == "InvocationCompleted"
    )
    return history_of_events("in flight", history.events[:end])


def test_what_comes_after_the_frontier_may_change() -> None:
    async def changed(event: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda _: 1, name="before")
        await ctx.wait(timedelta(days=30), name="long")
        await ctx.step(lambda _: 1, name="something else")
        await ctx.wait(timedelta(days=1), name="and more")

    history = in_flight(with_wait)
    assert verified(changed, history)
    assert not verified(changed, recorded(with_wait))


def test_a_running_execution_that_no_longer_waits_is_diverged() -> None:
    async def changed(event: Any, ctx: DurableContext) -> int:
        return await ctx.step(lambda _: 1, name="before")

    outcome = verified(changed, in_flight(with_wait))
    assert outcome.first is not None
    assert (outcome.first.cause, outcome.first.position) == (Cause.REMOVED, "2")


def cut_before_its_end(handler: Callable[..., Any]) -> RecordedHistory:
    """Return a history of which the last event, the end of the execution, isn't there yet."""
    whole = recorded(handler)
    assert whole.events[-2].event_type == "InvocationCompleted"
    return history_of_events("recorded", whole.events[:-1], arn=whole.arn)


def test_units_left_waiting_by_a_short_circuit_are_nothing_that_the_execution_waits_for() -> None:
    async def fast(ctx: DurableContext) -> int:
        return await ctx.step(lambda _: 1, name="fast")

    async def slow(ctx: DurableContext) -> None:
        await ctx.wait(timedelta(hours=5), "slow")

    async def race(event: Any, ctx: DurableContext) -> str:
        config = ParallelConfig(completion_config=CompletionConfig(min_successful=1))
        await ctx.parallel([fast, slow], "race", config)
        return "over"

    assert verified(race, cut_before_its_end(race))


def test_a_callback_that_nobody_need_wait_for_leaves_open_whether_the_execution_was_over() -> None:
    async def asks(event: Any, ctx: DurableContext) -> str:
        await ctx.create_callback("answer")
        return "asked"

    outcome = verified(asks, cut_before_its_end(asks))
    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert 'Callback "answer"' in outcome.doubts[0].reason


def test_the_waits_of_with_retry_are_as_long_as_chance_says() -> None:
    async def handler(event: Any, ctx: DurableContext) -> int:
        async def block(ctx: DurableContext, attempt: int) -> int:
            done = await ctx.step(lambda _: attempt, name=f"work-{attempt}")
            if done < 3:
                raise ValueError("again")
            return done

        return await with_retry(ctx, block, WithRetryConfig(), "block")

    history = recorded(handler)
    for _ in range(5):
        outcome = verified(handler, history)
        assert outcome
        assert outcome.differences == ()


def test_every_invocation_is_verified_as_it_would_have_fared_then() -> None:
    async def asks_early(event: Any, ctx: DurableContext) -> list[Any]:
        callback = await ctx.create_callback("early")
        await ctx.wait(timedelta(seconds=1), name="pause")
        return [await callback.result()]

    scenario = Scenario()
    history = recorded(asks_early, scenario=scenario)
    assert verified(asks_early, history, every_invocation=True)

    async def waits_first(event: Any, ctx: DurableContext) -> list[Any]:
        callback = await ctx.create_callback("early")
        value = await callback.result()
        await ctx.wait(timedelta(seconds=1), name="pause")
        return [value]

    outcome = verified(waits_first, history, every_invocation=True)
    assert outcome.first is not None
    assert (outcome.first.cause, outcome.first.invocation) == (Cause.WAITS, 1)


# -- differences and doubts ------------------------------------------------------------------------


def test_another_result_and_another_duration_are_differences_only() -> None:
    async def changed(event: Any, ctx: DurableContext) -> int:
        await ctx.step(lambda _: 1, name="before")
        await ctx.wait(timedelta(days=31), name="long")
        await ctx.step(lambda _: 1, name="after")
        return 7

    history = recorded(with_wait)
    outcome = verified(changed, history)
    assert outcome.verdict is Verdict.COMPATIBLE
    assert {each.what for each in outcome.differences} == {"wait of seconds", "final result"}
    assert verified(changed, history, strict=True).verdict is Verdict.DIVERGED


def test_another_error_than_the_execution_failed_with_is_a_difference() -> None:
    async def fails(event: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda _: 1, name="before")
        raise ValueError("no such order")

    async def fails_otherwise(event: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda _: 1, name="before")
        raise KeyError("order")

    history = recorded(fails)
    assert not verified(fails, history).differences
    outcome = verified(fails_otherwise, history)
    assert outcome.verdict is Verdict.COMPATIBLE
    (difference,) = outcome.differences
    assert (difference.what, difference.recorded) == ("final error", "ValueError: no such order")
    assert (difference.current or "").startswith("KeyError")


def test_a_history_without_execution_data_cannot_be_verified() -> None:
    import dataclasses

    history = recorded(three_steps)
    bare = dataclasses.replace(history, has_execution_data=False)
    outcome = verified(three_steps, bare)
    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert "execution data" in outcome.doubts[0].reason


def test_a_history_of_another_sdk_cannot_be_verified() -> None:
    from durable_core.adapters.history_file import load_history

    history = load_history(str(ROOT / "fixtures" / "histories" / "waits.json"))
    outcome = verified(three_steps, history)
    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert "another SDK" in outcome.doubts[0].reason


def test_a_value_that_the_service_truncated_cannot_be_known() -> None:
    import dataclasses

    history = recorded(three_steps)
    events = [
        dataclasses.replace(each, details={"Result": {"Truncated": True}})
        if each.event_type == "StepSucceeded" and each.name == "step-2"
        else each
        for each in history.events
    ]
    outcome = verified(three_steps, history_of_events("cut", events))
    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert outcome.doubts[0].position == "2"


def test_a_state_has_no_operations_of_completed_contexts_to_compare() -> None:
    async def handler(event: Any, ctx: DurableContext) -> int:
        async def body(inner: DurableContext) -> int:
            return await inner.step(lambda _: 1, name="inner")

        return await ctx.run_in_child_context(body, name="child")

    simulation = simulate(handler)
    kept = [each for each in simulation.operations.values() if each.name != "inner"]
    outcome = verified(handler, history_of_operations("state", kept))
    assert outcome
    assert "not looked into" in outcome.notes[0]


def test_unnamed_operations_that_could_have_changed_places_are_told() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda _: 1)
        await ctx.step(lambda _: 2)

    outcome = verified(handler, recorded(handler))
    assert outcome
    assert outcome.notes[0].startswith("2 unnamed operations")


def test_a_verification_raises_only_when_it_is_asked_to() -> None:
    async def changed(event: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda _: 1, name="other")

    verified(three_steps, recorded(three_steps)).check()
    outcome = verified(changed, recorded(three_steps))
    with pytest.raises(NotCompatible, match="diverged at 1"):
        outcome.check()


# -- allowed edits, and odd code ------------------------------------------------------------------


def test_concurrency_bodies_and_logging_may_change() -> None:
    def handler_with(concurrency: int | None, text: str) -> Callable[..., Any]:
        async def unit(ctx: DurableContext, item: int, index: int, items: Any) -> str:
            ctx.logger.info("now %s", text)
            value = await ctx.step(lambda _: "same", name="work")
            await ctx.wait(timedelta(seconds=item), name="pause")
            return value

        async def handler(event: Any, ctx: DurableContext) -> list[Any]:
            config = MapConfig(max_concurrency=concurrency, nesting_type=NestingType.FLAT)
            result = await ctx.map([3, 1, 2], unit, name="map", config=config)
            return result.get_results()

        return handler

    for before in (None, 1, 2):
        history = recorded(handler_with(before, "a"))
        for now in (None, 1, 3):
            assert verified(handler_with(now, "b"), history, every_invocation=True)


def test_operations_side_by_side_in_one_context_are_compared_by_position() -> None:
    async def handler(event: Any, ctx: DurableContext) -> list[int]:
        return list(
            await asyncio.gather(*(ctx.step(lambda _, n=n: n, name=f"s{n}") for n in range(5)))
        )

    assert verified(handler, recorded(handler))


def test_a_virtual_child_context_is_told_from_a_real_one() -> None:
    def handler_with(virtual: bool) -> Callable[..., Any]:
        async def body(ctx: DurableContext) -> int:
            return await ctx.step(lambda _: 1, name="inner")

        async def handler(event: Any, ctx: DurableContext) -> int:
            config = ChildConfig[int](is_virtual=virtual)
            return await ctx.run_in_child_context(body, name="child", config=config)

        return handler

    for was in (True, False):
        history = recorded(handler_with(was))
        assert verified(handler_with(was), history)
        outcome = verified(handler_with(not was), history)
        assert outcome.first is not None
        assert (outcome.first.cause, outcome.first.position) == (Cause.NESTING, "1")


def test_a_result_of_which_a_summary_of_the_users_own_is_stored_is_rebuilt() -> None:
    async def body(ctx: DurableContext) -> str:
        return await ctx.step(lambda _: "x" * 200_000, name="half") * 2

    async def handler(event: Any, ctx: DurableContext) -> int:
        config = ChildConfig[str](summary_generator=lambda value: '"a summary"')
        return len(await ctx.run_in_child_context(body, name="child", config=config))

    history = recorded(handler)
    assert '"a summary"' in str(history.events)
    outcome = verified(handler, history)
    assert outcome
    assert outcome.differences == ()


def test_a_failed_step_raises_its_recorded_error_again() -> None:
    from durable_core import RetryPresets, StepError

    def fail(_: Any) -> None:
        raise ValueError(random.random())

    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.step(fail, name="fails", config=StepConfig(RetryPresets.none()))
        except StepError as error:
            return str(error)
        return "no"

    outcome = verified(handler, recorded(handler))
    assert outcome
    assert outcome.differences == ()


def test_code_that_sleeps_takes_no_time() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        await asyncio.sleep(3600)
        await with_wait(event, ctx)

    assert verified(handler, in_flight(handler), every_invocation=True).seconds < 5
