"""Steps and waiting for a condition: attempts, retries, chance, what is recorded of them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from recording import result_of

from durable_core import (
    DurableContext,
    JitterStrategy,
    RetryDecision,
    RetryPresets,
    RetryStrategyConfig,
    SerDes,
    SerDesContext,
    SerDesError,
    StepConfig,
    StepContext,
    StepError,
    StepSemantics,
    ValidationError,
    WaitForConditionConfig,
    WaitForConditionDecision,
    WaitForConditionError,
    WaitStrategyConfig,
    WithRetryConfig,
    create_retry_strategy,
    create_wait_strategy,
    with_retry,
)
from durable_core.events import detail
from durable_core.model import OperationAction
from durable_core.simulation.outcome import InvocationEnd, Simulation
from durable_core.simulation.simulate import simulate


def event_types(simulation: Simulation) -> list[str]:
    return [event.event_type for event in simulation.events]


def delays(simulation: Simulation) -> list[int]:
    return [
        update.next_attempt_delay_seconds or 0
        for request in simulation.updates
        for update in request.updates
        if update.action is OperationAction.RETRY
    ]


async def failing_twice(ctx: DurableContext, strategy: Any) -> int:
    def body(step: StepContext) -> int:
        if step.attempt < 3:
            raise ConnectionError(f"attempt {step.attempt}")
        return step.attempt

    result: int = await ctx.step(body, "flaky", StepConfig(retry_strategy=strategy))
    return result


def test_a_step_may_be_sync_or_async() -> None:
    async def later(step: StepContext) -> str:
        return "async"

    async def handler(event: Any, ctx: DurableContext) -> list[str]:
        return [await ctx.step(lambda step: "sync"), await ctx.step(later)]

    assert result_of(simulate(handler)) == ["sync", "async"]


def test_a_result_is_what_a_replay_will_return() -> None:
    async def handler(event: Any, ctx: DurableContext) -> bool:
        return isinstance(await ctx.step(lambda step: (1, 2)), list)

    assert result_of(simulate(handler)) is True


def test_backoff_grows_and_is_capped() -> None:
    config = RetryStrategyConfig(
        max_attempts=6,
        initial_delay=timedelta(seconds=3),
        max_delay=timedelta(seconds=10),
        jitter_strategy=JitterStrategy.NONE,
    )
    strategy = create_retry_strategy(config)
    made = [strategy(ValueError(), attempts) for attempts in range(1, 7)]
    assert [decision.delay.total_seconds() for decision in made[:5]] == [3, 6, 10, 10, 10]
    assert not made[5].should_retry


def test_a_retry_ends_the_invocation_and_takes_its_time_on_the_virtual_clock() -> None:
    strategy = RetryPresets.fixed(timedelta(seconds=30))
    simulation = simulate(lambda event, ctx: failing_twice(ctx, strategy))
    assert result_of(simulation) == 3
    assert [record.end for record in simulation.invocations] == [
        InvocationEnd.PENDING,
        InvocationEnd.PENDING,
        InvocationEnd.SUCCEEDED,
    ]
    assert simulation.virtual_seconds == 60


def test_each_attempt_starts_and_says_its_number() -> None:
    simulation = simulate(lambda event, ctx: failing_twice(ctx, RetryPresets.linear()))
    told = [
        (event.event_type, detail(event, "RetryDetails"))
        for event in simulation.events
        if event.event_type.startswith("Step")
    ]
    assert told == [
        ("StepStarted", None),
        ("StepFailed", {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 1}),
        ("StepStarted", None),
        ("StepFailed", {"CurrentAttempt": 2, "NextAttemptDelaySeconds": 2}),
        ("StepStarted", None),
        ("StepSucceeded", {"CurrentAttempt": 3}),
    ]


def test_jitter_comes_from_the_seed_alone() -> None:
    def run(seed: int) -> list[int]:
        return delays(simulate(lambda event, ctx: failing_twice(ctx, None), seed=seed))

    assert run(1) == run(1)
    assert len({tuple(run(seed)) for seed in range(20)}) > 1
    for first, second in (run(seed) for seed in range(20)):
        assert 1 <= first <= 5
        assert 1 <= second <= 10


def test_only_retryable_errors_are_retried() -> None:
    strategy = create_retry_strategy(
        RetryStrategyConfig(max_attempts=9, retryable_error_types=[TimeoutError])
    )

    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            return str(await failing_twice(ctx, strategy))
        except StepError as error:
            return f"{error.error_type}: {error}"

    assert result_of(simulate(handler)) == "ConnectionError: attempt 1"
    by_text = create_retry_strategy(RetryStrategyConfig(retryable_errors=["attempt"]))
    assert result_of(simulate(lambda event, ctx: failing_twice(ctx, by_text))) == 3


def test_a_failed_step_raises_the_same_error_on_every_invocation() -> None:
    seen: list[tuple[str | None, str, str | None]] = []

    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.step(lambda step: 1 / 0, "divide", StepConfig(RetryPresets.none()))
        except StepError as error:
            cause = error.__cause__
            seen.append((error.message, error.error_type, type(cause).__name__))
        await ctx.wait(timedelta(seconds=1))

    simulate(handler)
    assert seen == [("division by zero", "ZeroDivisionError", "DurableOperationError")] * 2


def test_a_result_that_is_not_json_fails_the_step_without_a_retry() -> None:
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.step(lambda step: {1, 2})
        except SerDesError as error:
            return str(error)
        return "nothing"

    simulation = simulate(handler)
    assert "can't be serialized" in result_of(simulation)
    assert delays(simulation) == []


class Upper(SerDes[str]):
    def serialize(self, value: str, serdes_context: SerDesContext) -> str:
        return json.dumps(value.upper())

    def deserialize(self, data: str, serdes_context: SerDesContext) -> str:
        text: str = json.loads(data)
        return text


def test_a_serdes_of_the_user_s_own_writes_and_reads_the_result() -> None:
    async def handler(event: Any, ctx: DurableContext) -> str:
        return await ctx.step(lambda step: "hello", config=StepConfig(serdes=Upper()))

    simulation = simulate(handler)
    assert result_of(simulation) == "HELLO"
    assert simulation.updates[-1].updates[-1].payload == '"HELLO"'


def dying_once(runs: list[int]) -> Any:
    def body(step: StepContext) -> str:
        runs.append(step.attempt)
        if len(runs) == 1:
            raise SystemExit(1)
        return "done"

    return body


def test_an_at_least_once_attempt_that_was_cut_off_runs_again() -> None:
    runs: list[int] = []

    async def handler(event: Any, ctx: DurableContext) -> str:
        return await ctx.step(dying_once(runs), "fragile")

    simulation = simulate(handler)
    assert result_of(simulation) == "done"
    assert runs == [1, 1]
    assert event_types(simulation)[1:5] == [
        "StepStarted",
        "InvocationCompleted",
        "StepSucceeded",
        "InvocationCompleted",
    ]
    assert simulation.invocations[0].end is InvocationEnd.CRASHED
    assert simulation.invocations[0].error is not None
    assert simulation.invocations[0].error.type == "Runtime.ExitError"


@pytest.mark.parametrize("retries", [False, True])
def test_an_at_most_once_attempt_that_was_cut_off_never_runs_again(retries: bool) -> None:
    runs: list[int] = []
    strategy = RetryPresets.fixed() if retries else RetryPresets.none()
    config = StepConfig(strategy, StepSemantics.AT_MOST_ONCE_PER_RETRY)

    async def handler(event: Any, ctx: DurableContext) -> str:
        return await ctx.step(dying_once(runs), "fragile", config)

    simulation = simulate(handler)
    if retries:
        assert result_of(simulation) == "done"
        assert runs == [1, 2]
    else:
        assert simulation.error is not None
        assert "was cut off before its attempt ended" in (simulation.error.message or "")
        assert runs == [1]


def test_a_name_that_the_service_would_refuse_is_refused_before_anything_is_recorded() -> None:
    async def handler(event: Any, ctx: DurableContext) -> list[str]:
        refused = []
        for name in ("é", "x" * 257, "tab\t"):
            try:
                await ctx.step(lambda step: None, name=name)
            except ValidationError as error:
                refused.append(str(error)[:13])
        return refused

    simulation = simulate(handler)
    assert result_of(simulation) == ["a name is 1 t"] * 3
    assert simulation.updates == ()


# -- wait_for_condition ---------------------------------------------------------------------------


def counting(until: int, max_attempts: int = 60) -> WaitForConditionConfig[int]:
    strategy = create_wait_strategy(
        WaitStrategyConfig[int](
            should_continue_polling=lambda state: state < until,
            max_attempts=max_attempts,
            initial_delay=timedelta(seconds=10),
            jitter_strategy=JitterStrategy.NONE,
        )
    )
    return WaitForConditionConfig(wait_strategy=strategy, initial_state=0)


def test_a_condition_is_polled_with_its_state_until_it_is_met() -> None:
    async def handler(event: Any, ctx: DurableContext) -> int:
        return await ctx.wait_for_condition(lambda state, check: state + 1, counting(3), "job")

    simulation = simulate(handler, check_every_request=True)
    assert result_of(simulation) == 3
    assert simulation.virtual_seconds == 10 + 15
    assert [name for name in event_types(simulation) if name.startswith("Step")] == [
        "StepStarted",
        "StepSucceeded",
    ] * 3
    assert [note.attempt for record in simulation.invocations for note in record.did("ran")] == [
        1,
        2,
        3,
    ]


def test_a_condition_that_is_met_at_once_does_not_suspend() -> None:
    async def handler(event: Any, ctx: DurableContext) -> int:
        return await ctx.wait_for_condition(lambda state, check: 5, counting(3))

    simulation = simulate(handler)
    assert result_of(simulation) == 5
    assert len(simulation.invocations) == 1


@pytest.mark.parametrize("why", ["attempts", "check"])
def test_a_condition_fails_when_attempts_run_out_or_the_check_raises(why: str) -> None:
    def check(state: int, context: Any) -> int:
        if why == "check":
            raise ValueError("broken check")
        return 0

    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.wait_for_condition(check, counting(3, max_attempts=2))
        except WaitForConditionError as error:
            return str(error)
        return "met"

    expected = {
        "attempts": "wait_for_condition exhausted 2 attempts before the condition was met",
        "check": "broken check",
    }
    assert result_of(simulate(handler)) == expected[why]


def test_a_wait_strategy_may_be_written_by_hand() -> None:
    def strategy(state: int, attempts: int) -> WaitForConditionDecision:
        if state >= 2:
            return WaitForConditionDecision.stop_polling()
        return WaitForConditionDecision.continue_waiting(timedelta(hours=1))

    async def handler(event: Any, ctx: DurableContext) -> int:
        config = WaitForConditionConfig(wait_strategy=strategy, initial_state=0)
        return await ctx.wait_for_condition(lambda state, check: state + 1, config)

    simulation = simulate(handler)
    assert (result_of(simulation), simulation.virtual_seconds) == (2, 3600)


def test_a_retry_strategy_may_be_written_by_hand() -> None:
    def strategy(error: Exception, attempts: int) -> RetryDecision:
        return RetryDecision.retry(timedelta(milliseconds=1500))

    simulation = simulate(lambda event, ctx: failing_twice(ctx, strategy))
    assert delays(simulation) == [2, 2]


# -- with_retry -----------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_block_of_operations_is_retried_as_a_whole(wrapped: bool) -> None:
    async def block(ctx: DurableContext, attempt: int) -> int:
        await ctx.step(lambda step: attempt, "inside")
        if attempt < 3:
            raise ConnectionError(f"attempt {attempt}")
        return attempt

    async def handler(event: Any, ctx: DurableContext) -> int:
        config = WithRetryConfig[int](
            RetryPresets.fixed(timedelta(seconds=7)), wrap_with_run_in_child_context=wrapped
        )
        return await with_retry(ctx, block, config, "block")

    simulation = simulate(handler, check_every_request=True)
    assert result_of(simulation) == 3
    assert simulation.virtual_seconds == 14
    names = [operation.name for operation in simulation.operations.values()][1:]
    expected = ["inside", "block-backoff-1", "inside", "block-backoff-2", "inside"]
    assert names == (["block", *expected] if wrapped else expected)
