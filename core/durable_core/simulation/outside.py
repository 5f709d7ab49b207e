"""The world outside one simulated execution: who answers callbacks, what chained invokes run.

It follows the scenario's script and never waits: answers are scheduled at the service for the
moment at which they arrive.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from durable_core.exceptions import error_object
from durable_core.handler_clock import StandingClock
from durable_core.interrupts import is_interrupted
from durable_core.model import ErrorObject, OperationStatus, OperationType, SubType
from durable_core.native.signals import exit_status
from durable_core.process_clocks import served_by
from durable_core.service.answers import STOPPED
from durable_core.service.clock import VirtualClock
from durable_core.service.made_ids import made_uuid
from durable_core.service.simulated import SimulatedService
from durable_core.service.validation import too_large
from durable_core.service.values import (
    INVALID_PARAMETER,
    RESOURCE_NOT_FOUND,
    Answer,
    CallbackCreated,
    CallbackFailure,
    CallbackHeartbeat,
    CallbackSuccess,
    Effect,
    InvokeRequested,
    InvokeResult,
    InvokeTarget,
    exit_crash,
    invoke_timed_out,
    target_of,
)
from durable_core.simulation.chance import drawn_from
from durable_core.simulation.lambda_context import LambdaContext
from durable_core.simulation.outcome import Simulation, Stopped
from durable_core.simulation.scenario import (
    CallbackOutcome,
    CallbackScript,
    InvokeOutcome,
    InvokeScript,
)
from durable_core.simulation.script import Script
from durable_core.simulation.words import label_of
from durable_core.sizes import utf8_bytes

DEEPEST_CHAIN: Final = 16
"""How many chained invokes deep a simulation goes before it takes them for an endless chain."""

CALLBACK_FAILED: Final = ErrorObject(message="Callback failed")
"""What a callback fails with when the scenario says nothing of it."""

CHAIN_TOO_DEEP: Final = ErrorObject(
    f"More than {DEEPEST_CHAIN} chained invokes deep", "Simulation.ChainTooDeep"
)

RunChild = Callable[[InvokeRequested, Any, datetime], Simulation]
"""Runs a durable target as an execution of its own, from a moment on."""


class Targets:
    """The handlers that a scenario names for chained invokes, and which of them are durable."""

    def __init__(self, handlers: Mapping[str, Any], is_durable: Callable[[Any], bool]) -> None:
        self._handlers = handlers
        self._is_durable = is_durable

    def get(self, name: str) -> Any:
        """Return the handler of that name."""
        return self._handlers[name]

    def is_durable(self, name: str) -> bool:
        """Return True when the handler of that name gets an execution of its own."""
        return self._is_durable(self._handlers[name])


class Outside:
    """What one execution sees of the world.

    `children` are the executions that it started, by operation id; `unanswered` the ids of those
    callbacks and chained invokes of which the scenario doesn't say how they end.
    """

    def __init__(
        self, script: Script, clock: VirtualClock, targets: Targets, run_child: RunChild, depth: int
    ) -> None:
        self._script = script
        self._clock = clock
        self._targets = targets
        self._run_child = run_child
        self._depth = depth
        self._requested: list[tuple[InvokeRequested, datetime]] = []
        self.children: dict[str, Simulation] = {}
        self.unanswered: set[str] = set()

    def resolve(self, function_name: str) -> InvokeTarget:
        """Say what a function name stands for: durable, unless its handler is plain."""
        target = target_of(function_name)
        script = self._script.peek_invoke(function_name)
        if script is not None and script.outcome is InvokeOutcome.NOT_FOUND:
            # The answer to the checkpoint says so already: nothing of it is played later.
            self._script.take_invoke(function_name)
            message = f"Function not found: {function_name}."
            return replace(target, error=ErrorObject(message, RESOURCE_NOT_FOUND))
        if script is None or script.handler is None:
            return target
        if self._depth >= DEEPEST_CHAIN:
            return replace(target, error=CHAIN_TOO_DEEP)
        return replace(target, durable=self._targets.is_durable(script.handler))

    def play(self, effects: Sequence[Effect], service: SimulatedService) -> None:
        """Take in what an invocation has the world do."""
        for effect in effects:
            match effect:
                case CallbackCreated():
                    self._answer_callback(effect, service)
                case InvokeRequested():
                    # Its target runs once this invocation has ended: one loop runs at a time.
                    self._requested.append((effect, self._clock.now))

    def run_targets(self, service: SimulatedService) -> None:
        """Run the targets of the chained invokes that were requested since the last time."""
        requested, self._requested = self._requested, []
        for effect, moment in requested:
            if service.is_over:
                return
            script = self._script.take_invoke(effect.function_name)
            if script is None:
                self.unanswered.add(effect.operation_id)
                continue
            result, seconds = self._run(effect, script, moment, service.arn)
            if result is not None:
                due = max(self._clock.now, moment + timedelta(seconds=seconds))
                service.schedule(due, _fitting(result, service))

    def _answer_callback(self, effect: CallbackCreated, service: SimulatedService) -> None:
        names = [effect.name]
        parent = service.operations.get(effect.parent_id or "")
        if parent is not None and parent.sub_type == SubType.WAIT_FOR_CALLBACK:
            names.append(parent.name)
        moment = self._clock.now
        scripts = self._script.take_callback(names)
        if not scripts or scripts[-1].outcome is CallbackOutcome.HEARTBEAT:
            self.unanswered.add(effect.operation_id)
        for script in scripts:
            moment += timedelta(seconds=script.after_seconds)
            answer = _callback_answer(effect.callback_id, script)
            if answer is not None:
                service.schedule(moment, answer)

    def _run(
        self, effect: InvokeRequested, script: InvokeScript, moment: datetime, caller: str
    ) -> tuple[InvokeResult | None, float]:
        """Return how a chained invoke ends and after how long; None: its target still waits."""
        key, after = effect.operation_id, script.after_seconds
        match script.outcome:
            case InvokeOutcome.TIMEOUT:
                return invoke_timed_out(key, int(after)), after
            case InvokeOutcome.STOPPED:
                return InvokeResult(key, OperationStatus.STOPPED, error=STOPPED), after
            case InvokeOutcome.ERROR:
                return InvokeResult(key, OperationStatus.FAILED, error=_said(script.error)), after
            case InvokeOutcome.RESULT:
                return InvokeResult(key, OperationStatus.SUCCEEDED, script.result), after
        name = script.handler or ""
        if not self._targets.is_durable(name):
            context = _plain_context(effect, caller, moment)
            clock = StandingClock(moment)
            with served_by(clock), drawn_from(context.aws_request_id):
                result = _plain_result(effect, self._targets.get(name), context)
            return result, after + clock.passed
        child = self.children[key] = self._run_child(effect, self._targets.get(name), moment)
        if child.stopped is not Stopped.OVER:
            return None, 0.0
        status = OperationStatus(child.status.value)
        return InvokeResult(key, status, child.result, child.error), child.virtual_seconds


def is_async(handler: Any) -> bool:
    """Return True for an async function, or an object that is called as one."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004  # whether it is async, not whether it is
    )


def _fitting(result: InvokeResult, service: SimulatedService) -> InvokeResult:
    """Let a result over the limit fail as it does at the service, and say which and by how much:
    the service names neither."""
    limit = service.limits.invoke_payload_bytes
    size = utf8_bytes(result.result or "")
    if size <= limit:
        return result
    operation = service.operations[result.operation_id]
    message = (
        f"the result of {label_of(operation)} has {size:,} bytes against a limit of {limit:,}: "
        f"{too_large(OperationType.CHAINED_INVOKE, 'output', limit)}"
    )
    error = ErrorObject(message=message, type=INVALID_PARAMETER)
    return InvokeResult(result.operation_id, OperationStatus.FAILED, error=error)


def _callback_answer(callback_id: str, script: CallbackScript) -> Answer | None:
    match script.outcome:
        case CallbackOutcome.SUCCESS:
            return CallbackSuccess(callback_id, script.payload)
        case CallbackOutcome.FAILURE:
            return CallbackFailure(callback_id, _said(script.error) or CALLBACK_FAILED)
        case CallbackOutcome.HEARTBEAT:
            return CallbackHeartbeat(callback_id)
    return None


def _said(error: ErrorObject | None) -> ErrorObject | None:
    """Return an error that says something: an empty one is none, in a history too."""
    return None if error == ErrorObject() else error


def _plain_context(effect: InvokeRequested, caller: str, moment: datetime) -> LambdaContext:
    """Return what a plain function is handed beside its event. `caller` is an execution's ARN."""
    here = caller.partition(":function:")[0]
    name = effect.function_name.rpartition("function:")[2]
    request_id = made_uuid("plain request", caller, effect.operation_id)
    arn = f"{here}:function:{name}"
    return LambdaContext(arn, request_id, moment, tenant_id=effect.tenant_id)


def _plain_result(
    effect: InvokeRequested, target: Callable[..., Any], context: LambdaContext
) -> InvokeResult:
    """Run a plain Lambda handler on the payload, as Lambda's runtime for Python does.

    Source of what it makes of results and errors: `awslambdaric` 4 (`lambda_runtime_marshaller.py`,
    `handle_event_request`).
    """
    key, payload = effect.operation_id, effect.payload
    try:
        event = None if payload is None else json.loads(payload)
        value = target(event, context)
    except Exception as error:
        said = replace(error_object(error), type=type(error).__name__)
        return InvokeResult(key, OperationStatus.FAILED, error=said)
    except BaseException as error:
        if is_interrupted():
            raise
        crash = exit_crash(context.aws_request_id, exit_status(error))
        return InvokeResult(key, OperationStatus.FAILED, error=crash.error)
    try:
        return InvokeResult(key, OperationStatus.SUCCEEDED, _marshalled(value))
    except Exception as error:
        said = ErrorObject(f"Unable to marshal response: {error}", "Runtime.MarshalError")
        return InvokeResult(key, OperationStatus.FAILED, error=said)


def _marshalled(value: object) -> str:
    """Return what a plain function returned as the payload that Lambda answers with."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False, default=_decimal)


def _decimal(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
