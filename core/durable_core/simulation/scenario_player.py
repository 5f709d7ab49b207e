"""The world outside one simulated execution: who answers callbacks, what chained invokes run.

It follows the scenario's script and never waits: answers are scheduled at the service for the
moment at which they arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, cast

from durable_core.model import (
    ErrorObject,
    ExecutionDetails,
    InvocationInput,
    InvocationOutput,
    InvocationStatus,
    Operation,
    OperationStatus,
    OperationType,
    PauseDetails,
    SubType,
)
from durable_core.native.invocation import InvocationOptions, LostInvocation
from durable_core.service.answers import STOPPED
from durable_core.service.clock import VirtualClock
from durable_core.service.deterministic_ids import made_uuid
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
    Invocation,
    InvokeRequested,
    InvokeResult,
    InvokeTarget,
    Pause,
    RefusedAnswer,
    Resume,
    invoke_timed_out,
    target_of,
)
from durable_core.simulation.link import ServiceLink
from durable_core.simulation.messages import label_of
from durable_core.simulation.outcome import Simulation, Stopped
from durable_core.simulation.runner import Runner, crash_of
from durable_core.simulation.scenario import (
    CallbackOutcome,
    CallbackScript,
    InvokeOutcome,
    InvokeScript,
    PauseScript,
    pause_text,
)
from durable_core.simulation.script import Script
from durable_core.sizes import utf8_bytes

DEEPEST_CHAIN: Final = 16
"""How many chained invokes deep a simulation goes before it takes them for an endless chain."""

CALLBACK_FAILED: Final = ErrorObject(message="Callback failed")
"""What a callback fails with when the scenario says nothing of it."""

CHAIN_TOO_DEEP: Final = ErrorObject(
    f"More than {DEEPEST_CHAIN} chained invokes deep", "Simulation.ChainTooDeep"
)

RunChild = Callable[[InvokeRequested, Runner, datetime], Simulation]
"""Runs a durable target as an execution of its own, from a moment on."""


Targets = Mapping[str, Runner]
"""What runs the handlers that a scenario names for chained invokes."""


class ScenarioPlayer:
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
        return replace(target, durable=self._targets[script.handler].is_durable)

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
        runner = self._targets[script.handler or ""]
        if not runner.is_durable:
            result, seconds = _run_plain(effect, runner, caller, moment)
            return result, after + seconds
        child = self.children[key] = self._run_child(effect, runner, moment)
        if child.stopped is not Stopped.OVER:
            return None, 0.0
        status = OperationStatus(child.status.value)
        return InvokeResult(key, status, child.result, child.error), child.virtual_seconds


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


class _PlainLink:
    """What an invocation of a plain function has in the place of a link: there is no service."""

    def __init__(self, invocation: Invocation, began: datetime) -> None:
        self.invocation = invocation
        self.began = began
        self.elapsed: Callable[[], float] = lambda: 0.0


def _run_plain(
    effect: InvokeRequested, runner: Runner, caller: str, moment: datetime
) -> tuple[InvokeResult, float]:
    """Run a plain function on the payload, and return what it answers and after how many seconds.

    `caller` is an execution's ARN.
    """
    invocation = _plain_invocation(effect, caller, moment)
    link = cast(ServiceLink, _PlainLink(invocation, moment))
    invoked = runner.invoke(invocation.input, link, InvocationOptions())
    outcome, key = invoked.outcome, effect.operation_id
    if isinstance(outcome, LostInvocation):
        if outcome.interrupted:
            raise KeyboardInterrupt
        outcome = InvocationOutput(
            InvocationStatus.FAILED, error=crash_of(outcome, invocation).error
        )
    status = OperationStatus((outcome.status or InvocationStatus.FAILED).value)
    return InvokeResult(key, status, outcome.result, outcome.error), invoked.elapsed_seconds


def _plain_invocation(effect: InvokeRequested, caller: str, moment: datetime) -> Invocation:
    here = caller.partition(":function:")[0]
    name = effect.function_name.rpartition("function:")[2]
    request_id = made_uuid("plain request", caller, effect.operation_id)
    started = Operation(
        request_id,
        OperationType.EXECUTION,
        OperationStatus.STARTED,
        moment,
        execution_details=ExecutionDetails(effect.payload),
    )
    given = InvocationInput(f"{here}:function:{name}", "", (started,))
    return Invocation(1, request_id, given, tenant_id=effect.tenant_id)


class Pauses:
    """The pauses of one execution: those of a moment are scheduled, others come at a checkpoint."""

    def __init__(
        self, scripts: Sequence[PauseScript], service: SimulatedService, clock: VirtualClock
    ) -> None:
        self._service = service
        self._clock = clock
        self._asked = [(each, Pause(each.reason, each.extend_timeout)) for each in scripts]
        for script, pause in self._asked:
            if script.invocation is None:
                moment = clock.now + timedelta(seconds=script.after_seconds)
                service.schedule(moment, pause)
                self._resume(script, moment)

    def at(self, invocation: int, checkpoint: int) -> None:
        """Ask for the pauses that come right before this checkpoint of this invocation."""
        for script, pause in self._asked:
            is_here = (script.invocation, script.checkpoint) == (invocation, checkpoint)
            if is_here and self._answer(pause):
                self._resume(script, self._clock.now)

    def _answer(self, answer: Answer) -> bool:
        now = self._clock.now
        refusal = self._service.answer(now, answer)
        if refusal is not None:
            self._service.refused_answers.append(RefusedAnswer(now, answer, refusal))
        return refusal is None

    def _resume(self, script: PauseScript, moment: datetime) -> None:
        if script.for_seconds is not None:
            self._service.schedule(moment + timedelta(seconds=script.for_seconds), Resume())

    @property
    def current(self) -> PauseDetails | None:
        """The pause that the execution is in, as GetDurableExecution says it."""
        pausing = self._service.pausing
        if pausing.asked is None:
            return None
        return PauseDetails(pausing.requested, pausing.asked.reason, pausing.asked.timeout_paused)

    @property
    def unused(self) -> tuple[str, ...]:
        """The entries that came to nothing: `[[pause]] after_seconds = 60`."""
        asked = {id(each) for each in self._service.pausing.taken}
        left = (script for script, pause in self._asked if id(pause) not in asked)
        return tuple(" ".join(pause_text(script).split("\n")[:2]) for script in left)
