"""Handlers of AWS's SDK for what neither the requirements nor its documentation show."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aws_durable_execution_sdk_python import DurableContext, StepContext, durable_execution
from aws_durable_execution_sdk_python.config import (
    CallbackConfig,
    ChildConfig,
    CompletionConfig,
    Duration,
    InvokeConfig,
    JitterStrategy,
    MapConfig,
    NestingType,
    ParallelBranch,
    ParallelConfig,
    StepConfig,
    StepSemantics,
    WaitForCallbackConfig,
)
from aws_durable_execution_sdk_python.exceptions import ExecutionError
from aws_durable_execution_sdk_python.retries import (
    RetryDecision,
    RetryStrategyConfig,
    WithRetryConfig,
    create_retry_strategy,
    with_retry,
)
from aws_durable_execution_sdk_python.serdes import SerDes, SerDesContext
from aws_durable_execution_sdk_python.waits import (
    WaitForConditionConfig,
    WaitForConditionDecision,
    WaitStrategyConfig,
    create_wait_strategy,
)

SECOND = Duration.from_seconds(1)
ONCE = StepConfig(retry_strategy=lambda _error, _attempt: RetryDecision.no_retry())
LARGE = "x" * 150_000


def retried(attempts: int, seconds: int = 1, **config: Any) -> Any:
    """Return a retry strategy that leaves nothing to chance."""
    return create_retry_strategy(
        RetryStrategyConfig(
            max_attempts=attempts,
            initial_delay=Duration.from_seconds(seconds),
            jitter_strategy=JitterStrategy.NONE,
            **config,
        )
    )


def refusing(error: Exception) -> Callable[[StepContext], Any]:
    """Return the body of a step that fails."""

    def body(_step: StepContext) -> Any:
        raise error

    return body


def one_by_one(**config: Any) -> MapConfig:
    """Return the config of a map whose events come in one order."""
    return MapConfig(max_concurrency=1, **config)


class OutOfStock(Exception):
    """An error of the handler's own."""


class Unwritable(SerDes[Any]):
    """Writes nothing."""

    def serialize(self, value: Any, serdes_context: SerDesContext) -> str:
        raise ValueError("cannot be written")

    def deserialize(self, data: str, serdes_context: SerDesContext) -> Any:
        raise ValueError("cannot be read")


class Loud(SerDes[str]):
    """Writes in capitals."""

    def serialize(self, value: str, serdes_context: SerDesContext) -> str:
        return json.dumps(value.upper())

    def deserialize(self, data: str, serdes_context: SerDesContext) -> str:
        return str(json.loads(data))


# -- steps -------------------------------------------------------------------------------------


@durable_execution
def catches_its_own_error(_event: Any, context: DurableContext) -> list[str]:
    try:
        context.step(refusing(OutOfStock("none left")), name="reserve", config=ONCE)
    except Exception as error:
        context.wait(SECOND)
        return [type(error).__name__, str(error), getattr(error, "error_type", "")]
    return []


@durable_execution
def retries_some_types(_event: Any, context: DurableContext) -> None:
    def body(step: StepContext) -> None:
        raise ConnectionError("first") if step.attempt == 1 else KeyError("second")

    strategy = retried(4, 2, retryable_error_types=[ConnectionError])
    context.step(body, name="call", config=StepConfig(retry_strategy=strategy))


@durable_execution
def retries_some_messages(_event: Any, context: DurableContext) -> int:
    def body(step: StepContext) -> int:
        if step.attempt < 3:
            raise RuntimeError(f"throttled {step.attempt}")
        return step.attempt

    strategy = retried(
        5, 3, backoff_rate=3, max_delay=Duration.from_seconds(5), retryable_errors=["throttled"]
    )
    return context.step(body, name="call", config=StepConfig(retry_strategy=strategy))


@durable_execution
def keeps_types(_event: Any, context: DurableContext) -> list[Any]:
    value = {"pair": (1, 2), "price": Decimal("1.50"), "bytes": b"\x00\xff"}
    kept = context.step(lambda _: value, name="price")
    context.wait(SECOND)
    return [kept == value, type(kept["pair"]).__name__]


@durable_execution
def returns_what_is_no_json(_event: Any, context: DurableContext) -> object:
    return context.step(lambda _: object(), name="thing", config=ONCE)


@durable_execution
def ends_with_what_is_no_json(_event: Any, _context: DurableContext) -> Any:
    return {1, 2}


@durable_execution
def tries_once_in_each_attempt(_event: Any, context: DurableContext) -> int:
    def body(step: StepContext) -> int:
        if step.attempt < 2:
            raise ValueError("again")
        return step.attempt

    config = StepConfig(
        step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY, retry_strategy=retried(3)
    )
    return context.step(body, name="pay", config=config)


@durable_execution
def cannot_write_a_step(_event: Any, context: DurableContext) -> str:
    config = StepConfig(serdes=Unwritable(), retry_strategy=ONCE.retry_strategy)
    try:
        context.step(lambda _: 1, name="write", config=config)
    except Exception as error:
        return type(error).__name__
    return ""


@durable_execution
def ends_by_an_execution_error(_event: Any, context: DurableContext) -> None:
    context.step(lambda _: 1, name="first")
    raise ExecutionError("no further")


# -- contexts ----------------------------------------------------------------------------------


@durable_execution
def fails_after_a_large_context(_event: Any, context: DurableContext) -> None:
    text = context.run_in_child_context(lambda _: LARGE * 2, name="large")
    context.wait(SECOND)
    raise ValueError(str(len(text)))


@durable_execution
def fails_in_a_virtual_context(_event: Any, context: DurableContext) -> None:
    context.run_in_child_context(
        lambda child: child.step(refusing(ValueError("no")), name="inner", config=ONCE),
        name="virtual",
        config=ChildConfig(is_virtual=True),
    )


@durable_execution
def catches_in_a_context(_event: Any, context: DurableContext) -> list[str]:
    def inner(child: DurableContext) -> None:
        child.step(refusing(KeyError("deep")), name="step", config=ONCE)

    def outer(child: DurableContext) -> list[str]:
        try:
            child.run_in_child_context(inner, name="inner")
        except Exception as error:
            child.wait(SECOND, name="pause")
            return [type(error).__name__, str(error)]
        return []

    return context.run_in_child_context(outer, name="outer")


# -- the world outside -------------------------------------------------------------------------


@durable_execution
def reads_a_refusal(_event: Any, context: DurableContext) -> list[str | None]:
    config = CallbackConfig(
        timeout=Duration.from_seconds(60), heartbeat_timeout=Duration.from_seconds(20)
    )
    callback = context.create_callback(name="approval", config=config)
    try:
        callback.result()
    except Exception as error:
        return [type(error).__name__, str(error), getattr(error, "data", None)]
    return []


@durable_execution
def leaves_a_callback_open(_event: Any, context: DurableContext) -> str:
    context.create_callback(name="approval")
    return context.step(lambda _: "done", name="work")


@durable_execution
def is_refused_in_a_map(_event: Any, context: DurableContext) -> list[Any]:
    def unit(child: DurableContext, _item: int, _index: int, _items: object) -> Any:
        return child.wait_for_callback(lambda _callback_id, _context: None, name="ask")

    batch = context.map([1], unit, name="parts", config=one_by_one())
    return [batch.completion_reason.value, batch.failure_count]


@durable_execution
def cannot_submit(_event: Any, context: DurableContext) -> None:
    def submit(_callback_id: str, _context: Any) -> None:
        raise ConnectionError("down")

    config = WaitForCallbackConfig(retry_strategy=retried(2))
    context.wait_for_callback(submit, name="ask", config=config)


@durable_execution
def polls_in_vain(_event: Any, context: DurableContext) -> str:
    strategy = create_wait_strategy(
        WaitStrategyConfig(
            should_continue_polling=lambda _: True,
            max_attempts=2,
            initial_delay=SECOND,
            jitter_strategy=JitterStrategy.NONE,
        )
    )
    config = WaitForConditionConfig(wait_strategy=strategy, initial_state=0)
    try:
        context.wait_for_condition(lambda state, _: state + 1, config, name="ready")
    except Exception as error:
        context.wait(SECOND)
        return type(error).__name__
    return ""


@durable_execution
def polls_in_a_context(_event: Any, context: DurableContext) -> Any:
    def strategy(state: dict[str, int], _attempt: int) -> WaitForConditionDecision:
        if state["seen"] < 2:
            return WaitForConditionDecision.continue_waiting(SECOND)
        return WaitForConditionDecision.stop_polling()

    config = WaitForConditionConfig(wait_strategy=strategy, initial_state={"seen": 0})
    return context.run_in_child_context(
        lambda child: child.wait_for_condition(
            lambda state, _: {"seen": state["seen"] + 1}, config, name="ready"
        ),
        name="wait",
    )


@durable_execution
def durable_refuses(_event: Any, _context: DurableContext) -> None:
    raise LookupError("no such thing")


@durable_execution
def is_refused_by_a_durable_target(_event: Any, context: DurableContext) -> None:
    context.invoke("refuses", None, name="ask")


@durable_execution
def cannot_write_a_payload(_event: Any, context: DurableContext) -> None:
    config: InvokeConfig[Any, Any] = InvokeConfig(serdes_payload=Unwritable())
    context.invoke("refuses", 1, name="ask", config=config)


# -- maps and parallels ------------------------------------------------------------------------


@durable_execution
def exceeds_what_is_tolerated(_event: Any, context: DurableContext) -> list[Any]:
    def fails(branch: DurableContext) -> Any:
        return branch.step(refusing(ValueError("bad")), name="step", config=ONCE)

    config = ParallelConfig(
        max_concurrency=1, completion_config=CompletionConfig(tolerated_failure_count=1)
    )
    batch = context.parallel([fails, fails, fails, lambda _: "never"], name="p", config=config)
    return [batch.completion_reason.value, batch.failure_count, batch.total_count]


@durable_execution
def maps_nothing(_event: Any, context: DurableContext) -> list[Any]:
    batch = context.map([], lambda *_: None, name="parts")
    return [batch.completion_reason.value, batch.get_results()]


@durable_execution
def waits_in_maps_of_maps(_event: Any, context: DurableContext) -> list[Any]:
    def inner(child: DurableContext, item: int, _index: int, _items: object) -> int:
        child.wait(Duration.from_seconds(item + 1))
        return item

    def outer(child: DurableContext, _item: int, _index: int, _items: object) -> list[Any]:
        return child.map([0, 1], inner, name="inner", config=one_by_one()).get_results()

    return context.map([0, 1], outer, name="outer", config=one_by_one()).get_results()


def _second_fails(child: DurableContext, item: int, _index: int, _items: object) -> str:
    child.step(lambda _: item, name="step")
    if item == 2:
        raise ValueError("two")
    return LARGE


@durable_execution
def rebuilds_a_failure(event: str, context: DurableContext) -> list[Any]:
    config = one_by_one(
        nesting_type=NestingType[event], completion_config=CompletionConfig.all_completed()
    )
    batch = context.map([1, 2, 3], _second_fails, name="parts", config=config)
    context.wait(SECOND)
    return [[each.status.value for each in batch.all], batch.completion_reason.value]


@durable_execution
def rebuilds_large_units(_event: Any, context: DurableContext) -> list[int]:
    def unit(child: DurableContext, item: int, _index: int, _items: object) -> str:
        child.step(lambda _: item, name="step")
        return LARGE * 2

    batch = context.map([1, 2], unit, name="parts", config=one_by_one())
    context.wait(SECOND)
    return [len(each) for each in batch.get_results()]


@durable_execution
def rebuilds_named_branches(_event: Any, context: DurableContext) -> list[int]:
    def branch(child: DurableContext) -> str:
        return child.step(lambda _: LARGE, name="step")

    branches = [ParallelBranch(branch, name="left"), ParallelBranch(branch, name="right")]
    batch = context.parallel(branches, name="both", config=ParallelConfig(max_concurrency=1))
    context.wait(SECOND)
    return [len(each) for each in batch.get_results()]


@durable_execution
def writes_units_loudly(_event: Any, context: DurableContext) -> list[Any]:
    config = one_by_one(item_serdes=Loud())
    batch = context.map(["a", "b"], lambda _, item, *__: item, name="parts", config=config)
    context.wait(SECOND)
    return batch.get_results()


@durable_execution
def cannot_write_a_unit(_event: Any, context: DurableContext) -> list[Any]:
    config = one_by_one(item_serdes=Unwritable())
    batch = context.map(["a"], lambda _, item, *__: item, name="parts", config=config)
    return [batch.completion_reason.value, batch.failure_count]


@durable_execution
def retries_in_flat_units(_event: Any, context: DurableContext) -> list[Any]:
    def unit(child: DurableContext, item: int, _index: int, _items: object) -> int:
        def body(step: StepContext) -> int:
            if step.attempt < 2:
                raise OSError("busy")
            return item

        return child.step(body, name="step", config=StepConfig(retry_strategy=retried(3, 2)))

    config = one_by_one(nesting_type=NestingType.FLAT)
    return context.map([1, 2], unit, name="parts", config=config).get_results()


@durable_execution
def gives_up_a_block(_event: Any, context: DurableContext) -> None:
    def block(child: DurableContext, attempt: int) -> None:
        child.step(lambda _: attempt, name="try")
        raise ValueError(f"attempt {attempt}")

    with_retry(context, block, name="block", config=WithRetryConfig(retry_strategy=retried(2)))
