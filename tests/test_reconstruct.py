"""From events back to updates: one for each that a handler's checkpoint wrote, none for others."""

from pathlib import Path
from typing import Any

import pytest

from durable_core.adapters.history_file import load_history
from durable_core.batches.reconstruct import InvocationUpdates, updates_of
from durable_core.events import EVENTS
from durable_core.model import (
    ChainedInvokeOptions,
    ErrorObject,
    OperationAction,
    OperationType,
    OperationUpdate,
)
from durable_core.wire import events_from_wire

FIXTURES = sorted(Path(__file__).parent.parent.glob("fixtures/histories/*.json"))
AT = "2026-11-22T15:00:00Z"


def of(*events: dict[str, Any]) -> tuple[InvocationUpdates, ...]:
    wires = [
        {"EventId": number, "EventTimestamp": AT, **event} for number, event in enumerate(events, 1)
    ]
    return updates_of(events_from_wire(wires))


def event(kind: str, **details: Any) -> dict[str, Any]:
    return {"EventType": kind, "Id": "a", "Name": "n", "ParentId": "p", f"{kind}Details": details}


def the_update(kind: str, sub_type: str | None = None, **details: Any) -> OperationUpdate:
    (invocation,) = of({**event(kind, **details), "SubType": sub_type})
    (update,) = invocation.updates
    assert (update.id, update.name, update.parent_id) == ("a", "n", "p")
    assert update.sub_type == sub_type
    return update


RESULT = {"Result": {"Payload": '"r"'}}
ERROR = {"Error": {"Payload": {"ErrorMessage": "m"}}}
RETRY = {"RetryDetails": {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 7}}


@pytest.mark.parametrize(
    ("kind", "details", "type_", "action"),
    [
        ("ContextStarted", {}, "CONTEXT", "START"),
        ("ContextSucceeded", RESULT, "CONTEXT", "SUCCEED"),
        ("ContextFailed", ERROR, "CONTEXT", "FAIL"),
        ("StepStarted", {}, "STEP", "START"),
        ("StepSucceeded", RESULT, "STEP", "SUCCEED"),
        ("StepSucceeded", {**RESULT, **RETRY}, "STEP", "RETRY"),
        ("StepFailed", ERROR, "STEP", "FAIL"),
        ("StepFailed", {**ERROR, **RETRY}, "STEP", "RETRY"),
        ("WaitStarted", {"Duration": 3}, "WAIT", "START"),
        ("WaitCancelled", {}, "WAIT", "CANCEL"),
        ("CallbackStarted", {"CallbackId": "x"}, "CALLBACK", "START"),
        ("ChainedInvokeStarted", {"FunctionName": "f"}, "CHAINED_INVOKE", "START"),
    ],
)
def test_each_event_of_a_handler_is_one_update(
    kind: str, details: dict[str, Any], type_: str, action: str
) -> None:
    update = the_update(kind, **details)
    assert (update.type, update.action) == (OperationType(type_), OperationAction(action))
    assert update.payload == ('"r"' if "Result" in details else None)
    assert update.error == (ErrorObject("m") if "Error" in details else None)
    assert update.next_attempt_delay_seconds == (7 if "RetryDetails" in details else None)


def test_options_are_those_of_the_start_event() -> None:
    assert the_update("WaitStarted", Duration=3).wait_seconds == 3
    callback = the_update("CallbackStarted", Timeout=60, HeartbeatTimeout=0)
    assert (callback.callback_timeout_seconds, callback.callback_heartbeat_seconds) == (60, 0)
    invoke = the_update(
        "ChainedInvokeStarted", FunctionName="f", TenantId="t", Input={"Payload": "{}"}
    )
    assert invoke.chained_invoke == ChainedInvokeOptions("f", "t")
    assert invoke.payload == "{}"


def test_the_last_failed_attempt_of_the_local_runner_is_a_failure() -> None:
    retry = {"RetryDetails": {"CurrentAttempt": 3, "NextAttemptDelaySeconds": 0}}
    assert the_update("StepFailed", **ERROR, **retry).action is OperationAction.FAIL


def test_a_context_with_a_stripped_result_has_replay_children() -> None:
    stripped = '{"CompletionReason":"ALL_COMPLETED","Units":[{"Index":0,"Status":"SUCCEEDED"}]}'
    assert the_update("ContextSucceeded", Result={"Payload": ""}).replay_children is True
    assert the_update("ContextSucceeded", "Map", Result={"Payload": stripped}).replay_children
    assert the_update("ContextSucceeded", Result={"Payload": "1"}).replay_children is None
    assert the_update("ContextSucceeded", Result={"Truncated": True}).replay_children is None


def test_events_of_the_service_have_no_update() -> None:
    backend = [kind for kind, spec in EVENTS.items() if spec.backend]
    found = of(*({"EventType": kind, "Id": "a"} for kind in backend), {"EventType": "Later"})
    assert [update for invocation in found for update in invocation.updates] == []


def test_updates_are_grouped_by_invocation() -> None:
    found = of(
        event("StepStarted"),
        event("StepFailed", **ERROR, **RETRY),
        {"EventType": "InvocationCompleted"},
        event("StepStarted"),
        event("StepSucceeded", **RESULT),
        {"EventType": "InvocationCompleted"},
    )
    assert [(each.number, len(each.updates)) for each in found] == [(1, 2), (2, 2)]


def test_payloads_that_the_history_leaves_out_are_counted() -> None:
    (found,) = of(event("StepStarted"), event("StepSucceeded", Result={"Truncated": True}))
    assert found.truncated == 1


def test_a_result_too_large_for_a_response_is_the_update_of_the_execution() -> None:
    largest = 6 * 1024 * 1024 - 50
    for size, updates in ((largest, 1), (largest + 1, 2)):
        (found,) = of(
            event("StepStarted"),
            {"EventType": "InvocationCompleted"},
            event("ExecutionSucceeded", Result={"Payload": "x" * size}),
        )
        assert len(found.updates) == updates
    last = found.updates[-1]
    assert (last.type, last.action) == (OperationType.EXECUTION, OperationAction.SUCCEED)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_every_event_of_a_handler_in_a_recorded_history_is_one_update(path: Path) -> None:
    events = load_history(str(path)).events
    written = [
        (event.id, spec.operation)
        for event in events
        if (spec := EVENTS.get(event.event_type)) and spec.operation and not spec.backend
    ]
    found = [update for invocation in updates_of(events) for update in invocation.updates]
    assert [(update.id, update.type) for update in found] == written
