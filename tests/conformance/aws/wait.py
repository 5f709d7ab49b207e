"""Suite 2: waits."""

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import Duration

TWO_SECONDS = Duration.from_seconds(2)


@durable_execution
def unnamed(_event, context: DurableContext):
    context.wait(TWO_SECONDS)
    return "waited"


@durable_execution
def named(_event, context: DurableContext):
    context.wait(TWO_SECONDS, name="custom_wait_name")
    return "waited"


@durable_execution
def two_in_sequence(_event, context: DurableContext):
    for number in (1, 2):
        context.wait(TWO_SECONDS, name=f"wait-{number}")
    return {"completedWaits": 2}
