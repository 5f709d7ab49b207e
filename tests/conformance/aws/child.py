"""Suite 3: child contexts."""

import time

from aws_durable_execution_sdk_python import (
    DurableContext,
    StepContext,
    durable_execution,
    durable_with_child_context,
)
from aws_durable_execution_sdk_python.config import Duration, JitterStrategy, StepConfig
from aws_durable_execution_sdk_python.retries import RetryStrategyConfig, create_retry_strategy

SECOND = Duration.from_seconds(1)

TWO_ATTEMPTS = StepConfig(
    retry_strategy=create_retry_strategy(
        RetryStrategyConfig(
            max_attempts=2, initial_delay=SECOND, jitter_strategy=JitterStrategy.NONE
        )
    )
)


def step_of(value):
    """Return the body of a context that is one step."""
    return lambda context: context.step(lambda _: value)


@durable_execution
def one_step(event, context: DurableContext):
    return context.run_in_child_context(step_of(event))


@durable_execution
def named_by_input(event, context: DurableContext):
    return context.run_in_child_context(step_of(event["value"]), name=event["name"])


@durable_with_child_context
def two_steps(child: DurableContext, value):
    first = child.step(lambda _: value)
    return child.step(lambda _: first)


@durable_execution
def two_in_sequence(event, context: DurableContext):
    return context.run_in_child_context(two_steps(event))


@durable_execution
def nested(event, context: DurableContext):
    def outer(child: DurableContext):
        child.step(lambda _: event)
        return child.run_in_child_context(step_of(event), name="inner")

    return context.run_in_child_context(outer, name="outer")


@durable_execution
def retried_inside(event, context: DurableContext):
    def flaky(step_context: StepContext):
        if step_context.attempt == 1:
            raise RuntimeError("not yet")
        return event

    return context.run_in_child_context(
        lambda child: child.step(flaky, config=TWO_ATTEMPTS), name="retrying"
    )


@durable_execution
def fails_inside(_event, context: DurableContext):
    def fail(_):
        raise RuntimeError("never")

    return context.run_in_child_context(
        lambda child: child.step(fail, config=TWO_ATTEMPTS), name="failing"
    )


@durable_execution
def overflows(event, context: DurableContext):
    def body(child: DurableContext):
        child.logger.get_logger().info("in the child context for %s", event)
        letter = child.step(lambda _: "x")
        return letter * 300_000

    large = context.run_in_child_context(body, name="large")
    context.wait(SECOND)
    return len(large)


@durable_execution
def dies_inside(event, context: DurableContext):
    """The crash comes from the scenario: after the checkpoint of both starts."""

    def slow(_):
        time.sleep(0.15)  # so that the starts are sent before the body ends
        return event

    return context.run_in_child_context(lambda child: child.step(slow))


@durable_execution
def waits_inside(event, context: DurableContext):
    def body(child: DurableContext):
        child.wait(SECOND)
        return event

    value = context.run_in_child_context(body, name="waiting")
    return context.step(lambda _: value)


@durable_execution
def returns_nothing(_event, context: DurableContext):
    return context.run_in_child_context(lambda _: None, name="nothing")


@durable_execution
def logs_only(event, context: DurableContext):
    def body(child: DurableContext):
        child.logger.get_logger().info("in the child context for %s", event)
        return event

    value = context.run_in_child_context(body, name="logging")
    context.wait(SECOND)
    return value


@durable_execution
def step_and_wait_inside_and_after(event, context: DurableContext):
    def body(child: DurableContext):
        value = child.step(lambda _: event)
        child.wait(SECOND)
        return value

    value = context.run_in_child_context(body, name="both")
    value = context.step(lambda _: value)
    context.wait(SECOND)
    return value
