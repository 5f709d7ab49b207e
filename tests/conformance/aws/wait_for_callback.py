"""Suite 7: callbacks with a submitter."""

import json

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import (
    Duration,
    JitterStrategy,
    WaitForCallbackConfig,
)
from aws_durable_execution_sdk_python.retries import RetryStrategyConfig, create_retry_strategy
from aws_durable_execution_sdk_python.serdes import SerDes


class Json(SerDes[object]):
    """Reads the payload as JSON."""

    def serialize(self, value, _):
        return json.dumps(value)

    def deserialize(self, data, _):
        return json.loads(data)


def submit(_callback_id, _context):
    """Tell nobody: the scenario answers."""


def unreachable(_callback_id, _context):
    """Fail to tell anybody."""
    raise ConnectionError("nobody there")


def heartbeat_within(seconds):
    """Return the configuration of a callback with a heartbeat timeout."""
    return WaitForCallbackConfig(heartbeat_timeout=Duration.from_seconds(seconds))


@durable_execution
def named_by_input(event, context: DurableContext):
    return context.wait_for_callback(submit, name=event)


@durable_execution
def named(_event, context: DurableContext):
    return context.wait_for_callback(submit, name="approval")


@durable_execution
def unnamed(_event, context: DurableContext):
    return context.wait_for_callback(lambda callback_id, _context: None)


@durable_execution
def failure_caught(event, context: DurableContext):
    from aws_durable_execution_sdk_python import CallbackError  # which 1.x hasn't

    try:
        return context.wait_for_callback(submit, name=event)
    except CallbackError:
        return "recovered"


@durable_execution
def submitter_fails(event, context: DurableContext):
    retry = create_retry_strategy(
        RetryStrategyConfig(
            max_attempts=2,
            initial_delay=Duration.from_seconds(1),
            jitter_strategy=JitterStrategy.NONE,
        )
    )
    return context.wait_for_callback(
        unreachable, name=event, config=WaitForCallbackConfig(retry_strategy=retry)
    )


@durable_execution
def inside_child(event, context: DurableContext):
    return context.run_in_child_context(
        lambda child: child.wait_for_callback(submit, name=event), name="wrapper"
    )


@durable_execution
def own_serdes(event, context: DurableContext):
    answer = context.wait_for_callback(
        submit, name=event, config=WaitForCallbackConfig(serdes=Json())
    )
    return answer["status"]


@durable_execution
def heartbeat_timeout(event, context: DurableContext):
    return context.wait_for_callback(submit, name=event, config=heartbeat_within(5))


@durable_execution
def heartbeat_then_success(event, context: DurableContext):
    return context.wait_for_callback(submit, name=event, config=heartbeat_within(10))
