"""A handler of AWS's SDK on a service that takes no time: how fast any runner of it could be.

Nothing is validated, recorded, observed or reported; each update is answered with the operation
that it makes, in the SDK's own types. What is left is the SDK's own work, by the same way in as
ours. Enough for steps, contexts and waits that succeed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

from aws_durable_execution_sdk_python.lambda_service import (
    Operation,
    OperationStatus,
    OperationType,
)

from durable_core.runtimes.aws_python.client import Client
from durable_core.runtimes.aws_python.invocation_observer import InvocationObserver
from durable_core.runtimes.aws_python.runner import AwsSdkRunner
from durable_core.runtimes.aws_python.service_endpoint import ServiceEndpoint
from durable_core.sandbox.threads.patches import schedulable
from durable_core.sandbox.threads.turns import first_come

NOW = datetime.now(UTC)
ARN = "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST/durable-execution/x/execution"


class InstantClient(Client):
    """Answers at once. `operations` is all that is kept."""

    operations: dict[str, Any]

    def _checkpoint(self, checkpoint_token: str, updates: list[Any]) -> Any:
        made = [_answered(update) for update in updates]
        self.operations.update((each.operation_id, each) for each in made)
        state = self._sdk.new_state(operations=made, next_marker=None)
        return self._sdk.checkpoint_output(checkpoint_token="token", new_execution_state=state)


class InstantRunner(AwsSdkRunner):
    """Runs the invocations of one execution."""

    def run(self, event: Any) -> str | None:
        """Return the result of the execution."""
        given = json.dumps(event)
        operations = {"execution": _operation("execution", "EXECUTION", input=given)}
        while True:
            link: Any = SimpleNamespace(began=NOW, elapsed=None)
            observed = InvocationObserver(())
            desk = ServiceEndpoint(link, observed, self._scheduler)
            client = InstantClient(self._sdk, self._convert, desk, observed)
            client.operations = operations
            handed = self._sdk.invocation_input(
                durable_execution_arn=ARN,
                checkpoint_token="token",
                initial_execution_state=self._sdk.initial_state(
                    operations=list(operations.values()), next_marker=""
                ),
                service_client=client,
            )
            answer: Any = self._scheduler.run(
                partial(self.handler, handed, _lambda_context()),
                began=desk.began,
                order=first_come,
            )
            if answer["Status"] != "PENDING":
                assert answer["Status"] == "SUCCEEDED", answer
                result: str | None = answer["Result"]
                return result
            for key, each in operations.items():
                if each.operation_type is OperationType.WAIT:
                    operations[key] = replace(each, status=OperationStatus.SUCCEEDED)


def instant(handler: Callable[..., Any], event: Any) -> str | None:
    """Run the handler on the service that takes no time, and return its result."""
    from durable_core.runtimes.aws_python.runner import _process_settings

    with _process_settings(), schedulable():
        return InstantRunner(handler).run(event)


def _answered(update: Any) -> Any:
    is_start = update.action.value == "START"
    kind = update.operation_type.value
    options = update.context_options
    return _operation(
        update.operation_id,
        kind,
        "STARTED" if is_start else "SUCCEEDED",
        result=update.payload,
        replay_children=bool(options and options.replay_children),
        parent=update.parent_id,
        name=update.name,
        sub_type=getattr(update.sub_type, "value", update.sub_type),
    )


def _operation(
    key: str,
    kind: str,
    status: str = "STARTED",
    *,
    result: str | None = None,
    replay_children: bool = False,
    parent: str | None = None,
    name: str | None = None,
    sub_type: str | None = None,
    input: str | None = None,
) -> Any:
    details: dict[str, Any] = {
        "EXECUTION": {"ExecutionDetails": {"InputPayload": input}},
        "STEP": {"StepDetails": {"Attempt": 1, "Result": result}},
        "CONTEXT": {"ContextDetails": {"ReplayChildren": replay_children, "Result": result}},
        "WAIT": {"WaitDetails": {"ScheduledEndTimestamp": NOW + timedelta(days=1)}},
    }[kind]
    given = {"Id": key, "Type": kind, "Status": status, "StartTimestamp": NOW, **details}
    given |= {"ParentId": parent, "Name": name, "SubType": sub_type}
    return Operation.from_dict(given)


def _lambda_context() -> Any:
    return SimpleNamespace(
        aws_request_id="request",
        function_name="f",
        invoked_function_arn=ARN.partition("/")[0],
        tenant_id=None,
        get_remaining_time_in_millis=lambda: 900_000,
    )
