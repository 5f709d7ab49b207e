"""Suite 5: chained invokes. `echo`, `measure` and `refuse` are what they invoke."""

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import InvokeConfig
from aws_durable_execution_sdk_python.serdes import SerDes

LARGE = "x" * 250_000


class Shouted(SerDes[str]):
    """Reads whatever comes in capitals."""

    def serialize(self, value, _):
        return value

    def deserialize(self, data, _):
        return data.upper()


@durable_execution
def echo(event, _context: DurableContext):
    return event


@durable_execution
def measure(event, _context: DurableContext):
    return len(event)


@durable_execution
def refuse(_event, _context: DurableContext):
    raise ValueError("refused by the target")


@durable_execution
def echoes(event, context: DurableContext):
    return context.invoke("echo", event)


@durable_execution
def named_by_input(event, context: DurableContext):
    return context.invoke("echo", event["payload"], name=event["name"])


@durable_execution
def failure_caught(_event, context: DurableContext):
    from aws_durable_execution_sdk_python import InvokeError  # which 1.x hasn't

    try:
        return context.invoke("refuse", "please")
    except InvokeError:
        return "fallback"


@durable_execution
def large_payload(_event, context: DurableContext):
    return context.invoke("measure", LARGE)


@durable_execution
def for_tenant(event, context: DurableContext):
    config = InvokeConfig(tenant_id=event["tenantId"])
    return context.invoke("echo", event["payload"], config=config)


@durable_execution
def step_before(_event, context: DurableContext):
    value = context.step(lambda _: "prepared")
    return context.invoke("echo", value)


@durable_execution
def step_afterwards(_event, context: DurableContext):
    value = context.invoke("echo", "raw")
    return context.step(lambda _: f"{value}, processed")


@durable_execution
def inside_child(_event, context: DurableContext):
    return context.run_in_child_context(lambda child: child.invoke("echo", "from inside"))


@durable_execution
def own_serdes(event, context: DurableContext):
    return context.invoke("echo", event, config=InvokeConfig(serdes_result=Shouted()))
