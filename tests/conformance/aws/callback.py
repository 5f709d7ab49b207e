"""Suite 4: callbacks that the handler creates itself."""

import json

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import CallbackConfig, Duration
from aws_durable_execution_sdk_python.serdes import SerDes


class Number(SerDes[int]):
    """Reads the payload as a number."""

    def serialize(self, value, _):
        return json.dumps(value)

    def deserialize(self, data, _):
        return int(json.loads(data))


def within(seconds):
    """Return the configuration of a callback with a timeout."""
    return CallbackConfig(timeout=Duration.from_seconds(seconds))


@durable_execution
def named_by_input(event, context: DurableContext):
    return context.create_callback(name=event).result()


@durable_execution
def named(_event, context: DurableContext):
    return context.create_callback(name="approval").result()


@durable_execution
def with_timeout(event, context: DurableContext):
    return context.create_callback(name=event, config=within(5)).result()


@durable_execution
def step_between(event, context: DurableContext):
    callback = context.create_callback(name=event)
    context.step(lambda _: "asked")
    return callback.result()


@durable_execution
def step_between_with_timeout(event, context: DurableContext):
    callback = context.create_callback(name=event, config=within(5))
    context.step(lambda _: "asked")
    return callback.result()


@durable_execution
def timeout_during_wait(event, context: DurableContext):
    callback = context.create_callback(name=event, config=within(3))
    context.wait(Duration.from_seconds(6))
    return callback.result()


@durable_execution
def wait_afterwards(event, context: DurableContext):
    value = context.create_callback(name=event).result()
    context.wait(Duration.from_seconds(2))
    return value


@durable_execution
def failure_caught(event, context: DurableContext):
    from aws_durable_execution_sdk_python import CallbackError  # which 1.x hasn't

    try:
        said = context.create_callback(name=event).result()
    except CallbackError as error:
        said = f"refused: {error.message}"
    context.wait(Duration.from_seconds(2))
    return said


@durable_execution
def own_serdes(event, context: DurableContext):
    count = context.create_callback(name=event, config=CallbackConfig(serdes=Number())).result()
    return {"count": count, "doubled": count * 2}


@durable_execution
def two_in_sequence(event, context: DurableContext):
    return [context.create_callback(name=name).result() for name in event]


@durable_execution
def two_at_once(event, context: DurableContext):
    callbacks = [context.create_callback(name=name) for name in event]
    return [callback.result() for callback in callbacks]
