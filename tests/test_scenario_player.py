"""What a chained invoke's target is handed, and what becomes of one that ends its process."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any

import pytest
from aws_durable_execution_sdk_python import DurableContext as TheirContext
from aws_durable_execution_sdk_python import durable_execution

from durable_core import DurableContext, InvokeConfig, InvokeError
from durable_core.runtimes.aws_python.runner import AwsSdkRunner
from durable_core.simulation.outcome import Simulation
from durable_core.simulation.scenario import read_scenario
from durable_core.simulation.simulate import simulate


def run_with(target: Any, function: str = "stock:prod", tenant: str | None = None) -> Simulation:
    async def caller(event: Any, ctx: DurableContext) -> Any:
        try:
            return await ctx.invoke(function, event, "ask", InvokeConfig(tenant_id=tenant))
        except InvokeError as error:
            return [error.error_type, error.message]

    scenario = read_scenario(f'[[invoke]]\nfunction = "{function}"\nhandler = "target"\n')
    return simulate(caller, {"sku": 1}, scenario=scenario, load=lambda _: target)


def about(context: Any) -> dict[str, Any]:
    return {
        "name": context.function_name,
        "version": context.function_version,
        "arn": context.invoked_function_arn,
        "tenant": context.tenant_id,
        "memory": context.memory_limit_in_mb,
        "left": context.get_remaining_time_in_millis(),
        "request": len(context.aws_request_id),
    }


ABOUT = {
    "name": "stock",
    "version": "$LATEST",
    "arn": "arn:aws:lambda:us-east-1:123456789012:function:stock:prod",
    "tenant": "blue",
    "memory": "128",
    "left": 900_000,
    "request": 36,
}


def test_a_plain_target_has_the_context_of_lambda() -> None:
    simulation = run_with(lambda event, context: about(context), tenant="blue")
    assert json.loads(simulation.result or "") == ABOUT


@pytest.mark.parametrize(
    "function", ["stock", "arn:aws:lambda:us-east-1:123456789012:function:stock:7"]
)
def test_a_target_that_is_named_otherwise_has_its_version(function: str) -> None:
    simulation = run_with(lambda event, context: about(context), function)
    said = json.loads(simulation.result or "")
    version = "7" if function.endswith("7") else None
    assert (said["name"], said["version"]) == ("stock", version or "$LATEST")
    assert said["arn"] == ABOUT["arn"].removesuffix(":prod") + (f":{version}" if version else "")


@pytest.mark.parametrize(
    ("seconds", "ends"),
    [(600, "300000"), (901, ["Sandbox.Timedout", "Task timed out after 900.00 seconds"])],
)
def test_a_plain_target_has_as_long_as_lambda_gives_a_function(seconds: int, ends: Any) -> None:
    def sleeps(event: Any, context: Any) -> Any:
        time.sleep(seconds)
        return context.get_remaining_time_in_millis()

    result = run_with(sleeps).result or ""
    if isinstance(ends, str):
        assert result == ends
    else:
        kind, message = json.loads(result)
        assert (kind, message.partition("Error: ")[2]) == tuple(ends)


def test_each_plain_call_has_a_request_of_its_own() -> None:
    requests: list[str] = []

    async def caller(event: Any, ctx: DurableContext) -> None:
        await ctx.invoke("stock", 1)
        await ctx.invoke("stock", 2)

    def target(event: Any, context: Any) -> None:
        requests.append(context.aws_request_id)

    scenario = read_scenario('[[invoke]]\nfunction = "stock"\nhandler = "target"\n')
    simulate(caller, scenario=scenario, load=lambda _: target)
    assert len(set(requests)) == 2


@pytest.mark.parametrize("tenant", [None, "blue"])
def test_a_durable_target_of_aws_s_sdk_knows_its_tenant(tenant: str | None) -> None:
    @durable_execution
    def target(event: Any, context: TheirContext) -> Any:
        assert context.lambda_context is not None
        return context.lambda_context.tenant_id

    simulation = run_with(AwsSdkRunner(target), tenant=tenant)
    assert json.loads(simulation.result or "") == tenant


@pytest.mark.parametrize(
    ("value", "payload"),
    [
        ({"price": 25, "of": ["é", None]}, '{"price": 25, "of": ["é", null]}'),
        ((1, Decimal("2.5")), "[1, 2.5]"),
        (b'{"already": "JSON"}', '{"already": "JSON"}'),
    ],
)
def test_what_a_plain_target_returns_becomes_the_payload_that_lambda_makes_of_it(
    value: object, payload: str
) -> None:
    simulation = run_with(lambda event, context: value)
    [invoke] = (each for each in simulation.operations.values() if each.chained_invoke_details)
    assert invoke.result == payload


def test_a_plain_target_whose_result_is_no_json_fails_as_lambda_reports_it() -> None:
    simulation = run_with(lambda event, context: {1})
    assert json.loads(simulation.result or "") == [
        "Runtime.MarshalError",
        "Unable to marshal response: Object of type set is not JSON serializable",
    ]


def test_an_error_of_a_plain_target_goes_by_the_name_of_its_class_alone() -> None:
    class OutOfStock(Exception): ...

    def raises(event: Any, context: Any) -> None:
        raise OutOfStock("none left")

    assert json.loads(run_with(raises).result or "") == ["OutOfStock", "none left"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (1, "Runtime exited with error: exit status 1"),
        (3, "Runtime exited with error: exit status 3"),
        (-1, "Runtime exited with error: exit status 255"),
        ("a text", "Runtime exited with error: exit status 1"),
        (0, "Runtime exited without providing a reason"),
        (None, "Runtime exited without providing a reason"),
    ],
)
def test_a_plain_target_that_exits_fails_as_lambda_reports_it(
    code: str | int | None, told: str
) -> None:
    def target(event: Any, context: Any) -> None:
        raise SystemExit(code)

    kind, message = json.loads(run_with(target).result or "")
    assert kind == "Runtime.ExitError"
    assert message.endswith(f"Error: {told}")


SCRIPTED = """
[[invoke]]
function = "stock"
outcome = "not_found"

[[invoke]]
function = "stock"
outcome = "stopped"

[[invoke]]
function = "stock"
result = "7"
"""


def test_a_target_may_be_missing_or_be_stopped() -> None:
    async def caller(event: Any, ctx: DurableContext) -> Any:
        said: list[Any] = []
        for _ in range(3):
            try:
                said.append(await ctx.invoke("stock", {"sku": 1}))
            except InvokeError as error:
                said.append([error.error_type, error.message])
        return said

    simulation = simulate(caller, scenario=read_scenario(SCRIPTED), check_every_request=True)
    assert json.loads(simulation.result or "") == [
        ["ResourceNotFoundException", "Function not found: stock."],
        ["durable_core.exceptions.InvokeError", "Execution stopped by user request"],
        7,
    ]
    events = [each for each in simulation.events if each.event_type.startswith("Chained")]
    assert [each.event_type.removeprefix("ChainedInvoke") for each in events] == [
        *("Started", "Failed", "Started", "Stopped", "Started", "Succeeded"),
    ]
    # Nothing is waited for where the answer to the checkpoint says that there is no such function.
    assert events[0].timestamp == events[1].timestamp
    assert "Input" not in (events[0].details or {})
