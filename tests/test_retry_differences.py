"""Decisions about further attempts that code would now make otherwise: told, never a divergence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from recording import history_of, recorded

from durable_core import (
    CallbackConfig,
    CallbackTimeoutError,
    DurableContext,
    JitterStrategy,
    RetryDecision,
    RetryPresets,
    RetryStrategyConfig,
    StepConfig,
    WaitForConditionConfig,
    WaitForConditionDecision,
    WaitStrategyConfig,
    WithRetryConfig,
    create_retry_strategy,
    create_wait_strategy,
    with_retry,
)
from durable_core.history import RecordedHistory, history_of_events
from durable_core.runtimes.native.replay import NativeReplayer
from durable_core.simulation.simulate import simulate
from durable_core.verifying.options import VerifyOptions
from durable_core.verifying.replay import verify_history
from durable_core.verifying.verification import Verdict, Verification


class Refused(Exception):
    """Of the handlers here; what its __init__ wants isn't recorded."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")


def told(handler: Callable[..., Any], history: RecordedHistory) -> list[tuple[Any, ...]]:
    outcome: Verification = verify_history(NativeReplayer(handler), history, VerifyOptions())
    assert outcome.verdict is Verdict.COMPATIBLE, str(outcome)
    return [(each.what, each.position, each.recorded, each.current) for each in outcome.differences]


def refused_twice(strategy: Any, error: Exception | None = None) -> Callable[..., Any]:
    async def handler(event: Any, ctx: DurableContext) -> str:
        attempts = 0

        def call(step: Any) -> str:
            nonlocal attempts
            attempts = step.attempt
            if attempts < 3:
                raise error or Refused(503, "later")
            return "done"

        config = StepConfig(retry_strategy=strategy)
        return str(await ctx.step(call, name="call", config=config))

    return handler


def sub_typed(strategy: Any) -> Callable[..., Any]:
    """A step whose sub-type, which some SDKs let users name, is that of conditions."""

    async def handler(event: Any, ctx: DurableContext) -> str:
        def call(step: Any) -> str:
            if step.attempt < 2:
                raise Refused(503, "later")
            return "done"

        config = StepConfig(retry_strategy=strategy, sub_type="WaitForCondition")
        return str(await ctx.step(call, name="call", config=config))

    return handler


def every(seconds: int, most: int = 5, kinds: Any = None) -> Any:
    return create_retry_strategy(
        RetryStrategyConfig(
            max_attempts=most,
            initial_delay=timedelta(seconds=seconds),
            backoff_rate=1,
            jitter_strategy=JitterStrategy.NONE,
            retryable_error_types=kinds,
        )
    )


def test_the_same_strategy_makes_no_difference() -> None:
    history = recorded(refused_twice(every(7, kinds=[Refused])))
    assert told(refused_twice(every(7, kinds=[Refused])), history) == []


def test_another_delay_is_told_for_each_attempt() -> None:
    assert told(refused_twice(every(30)), recorded(refused_twice(every(7)))) == [
        ("retry after attempt 1", "1", "another after 7 s", "another after 30 s"),
        ("retry after attempt 2", "1", "another after 7 s", "another after 30 s"),
    ]


def test_an_attempt_that_would_not_be_made_any_more_is_told() -> None:
    assert told(refused_twice(every(7, most=2)), recorded(refused_twice(every(7)))) == [
        ("retry after attempt 2", "1", "another after 7 s", "no further one")
    ]


def test_the_recorded_error_decides_by_its_class() -> None:
    history = recorded(refused_twice(every(7, kinds=[Refused])))
    assert [each[3] for each in told(refused_twice(every(7, kinds=[KeyError])), history)] == [
        "no further one",
        "no further one",
    ]


def test_a_step_that_failed_for_good_and_now_would_be_tried_again_is_told() -> None:
    async def giving_up(event: Any, ctx: DurableContext) -> str:
        return await failing(ctx, RetryPresets.none())

    async def trying_again(event: Any, ctx: DurableContext) -> str:
        return await failing(ctx, every(9))

    async def failing(ctx: DurableContext, strategy: Any) -> str:
        def call(step: Any) -> None:
            raise ValueError("no")

        try:
            await ctx.step(call, name="call", config=StepConfig(retry_strategy=strategy))
        except Exception:
            return "gave up"
        return "done"

    assert told(giving_up, recorded(giving_up)) == []
    assert told(trying_again, recorded(giving_up)) == [
        ("retry after attempt 1", "1", "no further one", "another after 9 s")
    ]


@pytest.mark.parametrize("preset", [None, RetryPresets.transient(), RetryPresets.default()])
def test_jitter_makes_no_difference(preset: Any) -> None:
    history = recorded(refused_twice(preset))
    for _ in range(5):
        assert told(refused_twice(preset), history) == []
    assert told(refused_twice(RetryPresets.none()), history)[0][3] == "no further one"


def test_a_class_that_is_nowhere_any_more_leaves_the_decision_unknown() -> None:
    kind = type("Vanished", (Exception,), {})
    history = recorded(refused_twice(every(7), kind("gone")))
    del kind
    import gc

    gc.collect()
    assert told(refused_twice(every(7, kinds=[KeyError])), history) == []


def test_a_class_that_is_there_many_times_leaves_the_decision_unknown() -> None:
    kinds = [type("Reloaded", (Exception,), {}) for _ in range(9)]
    history = recorded(refused_twice(every(7, kinds=[kinds[-1]]), kinds[-1]("again")))
    assert told(refused_twice(every(7, kinds=[kinds[-1]])), history) == []


def test_a_strategy_that_can_not_take_what_is_recorded_is_left_alone() -> None:
    def by_code(error: Exception, attempt: int) -> RetryDecision:
        return RetryDecision.retry(timedelta(seconds=error.code))  # type: ignore[attr-defined]

    assert told(refused_twice(by_code), recorded(refused_twice(every(7)))) == []


def polling(strategy: Any) -> Callable[..., Any]:
    async def handler(event: Any, ctx: DurableContext) -> int:
        config = WaitForConditionConfig(initial_state=0, wait_strategy=strategy)
        return await ctx.wait_for_condition(lambda state, _: state + 1, config, name="ready")

    return handler


def until(last: int, seconds: int) -> Any:
    def strategy(state: int, attempt: int) -> WaitForConditionDecision:
        if state >= last:
            return WaitForConditionDecision.stop_polling()
        return WaitForConditionDecision.continue_waiting(timedelta(seconds=seconds))

    return strategy


def test_polls_are_decided_by_the_recorded_states() -> None:
    history = recorded(polling(until(3, 10)))
    assert told(polling(until(3, 10)), history) == []
    assert told(polling(until(2, 10)), history) == [
        ("retry after poll 2", "1", "another after 10 s", "no further one")
    ]
    assert told(polling(until(4, 10)), history) == [
        ("retry after poll 3", "1", "no further one", "another after 10 s")
    ]


def test_it_is_a_finding_when_strict() -> None:
    history = recorded(polling(until(3, 10)))
    strict = VerifyOptions(strict=True)
    outcome = verify_history(NativeReplayer(polling(until(3, 20))), history, strict)
    assert outcome.verdict is Verdict.DIVERGED


def test_steps_and_polls_of_awss_sdk_are_decided_likewise() -> None:
    pytest.importorskip("aws_durable_execution_sdk_python")
    from aws_durable_execution_sdk_python.config import Duration
    from aws_durable_execution_sdk_python.config import StepConfig as AwsStepConfig
    from aws_durable_execution_sdk_python.execution import durable_execution
    from aws_durable_execution_sdk_python.retries import RetryDecision as AwsDecision
    from aws_durable_execution_sdk_python.waits import (
        WaitForConditionConfig as AwsConfig,
    )
    from aws_durable_execution_sdk_python.waits import (
        WaitForConditionDecision as AwsPoll,
    )

    from durable_core.runtimes.aws_python.replay import AwsReplayer
    from durable_core.runtimes.aws_python.runner import AwsSdkRunner

    def handler_of(seconds: int, last: int) -> Any:
        def retry(error: Exception, attempt: int) -> AwsDecision:
            if not isinstance(error, Refused):
                return AwsDecision.no_retry()
            return AwsDecision.retry(Duration.from_seconds(seconds))

        def poll(state: int, attempt: int) -> AwsPoll:
            if state >= last:
                return AwsPoll.stop_polling()
            return AwsPoll.continue_waiting(Duration.from_seconds(4))

        tried: list[int] = []

        def call(step: Any) -> str:
            tried.append(1)
            if len(tried) == 1:
                raise Refused(503, "later")
            return "done"

        @durable_execution
        def handler(event: Any, context: Any) -> str:
            context.step(call, name="call", config=AwsStepConfig(retry_strategy=retry))
            config = AwsConfig(wait_strategy=poll, initial_state=0)
            context.wait_for_condition(lambda state, _: state + 1, name="ready", config=config)
            return "done"

        return handler

    first = handler_of(5, 2)
    simulation = simulate(AwsSdkRunner(first))
    history = history_of(simulation)
    assert verify_history(AwsReplayer(first), history).differences == ()
    changed = verify_history(AwsReplayer(handler_of(50, 1)), history)
    assert changed.verdict is Verdict.COMPATIBLE, str(changed)
    assert [(each.what, each.recorded, each.current) for each in changed.differences] == [
        ("retry after attempt 1", "another after 5 s", "another after 50 s"),
        ("retry after poll 1", "another after 4 s", "no further one"),
    ]


def jittered(seconds: int, jitter: JitterStrategy, most: int = 5) -> Any:
    return create_retry_strategy(
        RetryStrategyConfig(
            max_attempts=most,
            initial_delay=timedelta(seconds=seconds),
            backoff_rate=1,
            jitter_strategy=jitter,
        )
    )


def test_a_delay_that_no_chance_can_bring_about_any_more_is_told() -> None:
    history = recorded(refused_twice(every(10)))
    half = JitterStrategy.HALF
    assert told(refused_twice(jittered(16, half)), history) == []
    assert told(refused_twice(jittered(60, half)), history) == [
        ("retry after attempt 1", "1", "another after 10 s", "another after 30 to 60 s"),
        ("retry after attempt 2", "1", "another after 10 s", "another after 30 to 60 s"),
    ]
    assert told(refused_twice(jittered(9, JitterStrategy.FULL)), history)[0][3] == (
        "another after 1 to 9 s"
    )
    assert told(refused_twice(jittered(10, JitterStrategy.FULL)), history) == []


def test_a_strategy_that_draws_as_it_likes_is_only_told_where_it_decides_otherwise() -> None:
    import secrets

    def by_chance(error: Exception, attempt: int) -> RetryDecision:
        return RetryDecision.retry(timedelta(seconds=2 + secrets.randbelow(1_000)))

    assert told(refused_twice(by_chance), recorded(refused_twice(every(7)))) == []


def test_a_poll_whose_attempts_would_have_run_out_is_told() -> None:
    def waiting(most: int) -> Any:
        config = WaitStrategyConfig(
            should_continue_polling=lambda state: state < 4,
            max_attempts=most,
            initial_delay=timedelta(seconds=10),
            backoff_rate=1,
            jitter_strategy=JitterStrategy.NONE,
        )
        return polling(create_wait_strategy(config))

    history = recorded(waiting(60))
    assert told(waiting(50), history) == []
    assert told(waiting(3), history) == [
        ("retry after poll 3", "1", "another after 10 s", "fails with WaitForConditionError")
    ]


def blocks(strategy: Any, *, wraps: bool = True, name: str | None = "block") -> Callable[..., Any]:
    async def handler(event: Any, ctx: DurableContext) -> str:
        async def body(inner: DurableContext, attempt: int) -> str:
            await inner.step(lambda _: attempt, name="try")
            if attempt < 3:
                raise Refused(503, "later")
            return "done"

        config = WithRetryConfig[str](strategy, wraps)
        return await with_retry(ctx, body, config, name)

    return handler


@pytest.mark.parametrize("wraps", [True, False])
@pytest.mark.parametrize("name", ["block", None])
def test_another_backoff_of_a_block_is_told(wraps: bool, name: str | None) -> None:
    def block(strategy: Any) -> Callable[..., Any]:
        return blocks(strategy, wraps=wraps, name=name)

    history = recorded(block(every(7)))
    at = "1." if wraps else ""
    assert told(block(every(7)), history) == []
    assert told(block(jittered(7, JitterStrategy.FULL)), history) == []
    assert told(block(every(9)), history) == [
        ("retry after attempt 1", f"{at}2", "another after 7 s", "another after 9 s"),
        ("retry after attempt 2", f"{at}4", "another after 7 s", "another after 9 s"),
    ]
    assert told(block(jittered(40, JitterStrategy.HALF)), history)[1][3] == (
        "another after 20 to 40 s"
    )


def test_fewer_attempts_of_a_block_are_a_divergence() -> None:
    history = recorded(blocks(every(7)))
    outcome = verify_history(NativeReplayer(blocks(every(7, most=2))), history)
    assert outcome.first is not None
    assert (outcome.first.position, outcome.first.cause) == ("1.4", "raised")


def callbacks(timeout: int, heartbeat: int) -> Callable[..., Any]:
    async def handler(event: Any, ctx: DurableContext) -> Any:
        config = CallbackConfig(
            timeout=timedelta(seconds=timeout), heartbeat_timeout=timedelta(seconds=heartbeat)
        )
        callback = await ctx.create_callback("approval", config)
        try:
            return await callback.result()
        except CallbackTimeoutError:
            return "late"

    return handler


def test_a_timeout_that_a_callback_did_not_have_is_told_where_its_other_one_is_recorded() -> None:
    assert told(callbacks(600, 60), recorded(callbacks(600, 0))) == [
        ("callback heartbeat of seconds", "1", "none", "60")
    ]
    assert told(callbacks(600, 60), recorded(callbacks(0, 60))) == [
        ("callback timeout of seconds", "1", "none", "600")
    ]


def test_other_timeouts_of_a_callback_are_told() -> None:
    history = recorded(callbacks(600, 60))
    assert told(callbacks(600, 60), history) == []
    assert told(callbacks(900, 30), history) == [
        ("callback timeout of seconds", "1", "600", "900"),
        ("callback heartbeat of seconds", "1", "60", "30"),
    ]
    assert told(callbacks(600, 0), history) == [
        ("callback heartbeat of seconds", "1", "60", "none")
    ]


def test_another_backoff_of_a_block_of_awss_sdk_is_told() -> None:
    retries = pytest.importorskip("aws_durable_execution_sdk_python.retries")
    if not hasattr(retries, "with_retry"):
        pytest.skip("this version of the SDK has none")
    from aws_durable_execution_sdk_python.config import CallbackConfig as AwsCallbackConfig
    from aws_durable_execution_sdk_python.config import Duration
    from aws_durable_execution_sdk_python.config import JitterStrategy as AwsJitter
    from aws_durable_execution_sdk_python.execution import durable_execution

    from durable_core.runtimes.aws_python.replay import AwsReplayer
    from durable_core.runtimes.aws_python.runner import AwsSdkRunner

    def handler_of(seconds: int, jitter: AwsJitter, timeout: int = 600) -> Any:
        def body(inner: Any, attempt: int) -> str:
            inner.step(lambda _: attempt, name="try")
            if attempt < 2:
                raise Refused(503, "later")
            return "done"

        @durable_execution
        def handler(event: Any, context: Any) -> str:
            strategy = retries.create_retry_strategy(
                retries.RetryStrategyConfig(
                    initial_delay=Duration.from_seconds(seconds), jitter_strategy=jitter
                )
            )
            config = retries.WithRetryConfig(strategy)
            done: str = retries.with_retry(context, body, config, name="block")
            config = AwsCallbackConfig(timeout=Duration.from_seconds(timeout))
            context.create_callback(name="approval", config=config)
            return done

        return handler

    first = handler_of(8, AwsJitter.NONE)
    simulation = simulate(AwsSdkRunner(first))
    history = history_of(simulation)
    for same in (first, handler_of(8, AwsJitter.FULL), handler_of(16, AwsJitter.HALF)):
        assert verify_history(AwsReplayer(same), history).differences == ()
    changed = verify_history(AwsReplayer(handler_of(60, AwsJitter.HALF, 30)), history)
    assert changed.verdict is Verdict.COMPATIBLE, str(changed)
    assert [
        (each.what, each.position, each.recorded, each.current) for each in changed.differences
    ] == [
        ("retry after attempt 1", "1.2", "another after 8 s", "another after 30 to 60 s"),
        ("callback timeout of seconds", "2", "600", "30"),
    ]


def test_a_poll_whose_state_the_history_does_not_tell_is_left_alone() -> None:
    import dataclasses

    history = recorded(polling(until(3, 10)))
    silent = [
        dataclasses.replace(
            each, details={key: each.details[key] for key in each.details if key != "Result"}
        )
        if "NextAttemptDelaySeconds" in each.details.get("RetryDetails", {})
        else each
        for each in history.events
    ]

    def stops_without_a_state(state: Any, attempt: int) -> WaitForConditionDecision:
        if state is None or state >= 3:
            return WaitForConditionDecision.stop_polling()
        return WaitForConditionDecision.continue_waiting(timedelta(seconds=10))

    assert told(polling(stops_without_a_state), history) == []
    assert told(polling(stops_without_a_state), history_of_events("silent", silent)) == []


def test_a_step_with_the_sub_type_of_conditions_is_asked_about_its_errors() -> None:
    history = recorded(sub_typed(every(5)))
    assert told(sub_typed(every(5)), history) == []
    assert told(sub_typed(every(9)), history) == [
        ("retry after attempt 1", "1", "another after 5 s", "another after 9 s")
    ]
