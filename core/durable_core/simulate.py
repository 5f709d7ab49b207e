"""The driver of a simulation: it invokes the handler as often as the service asks for.

Between invocations it moves the virtual clock to what is due first and plays the world outside from
the scenario. It never sleeps, and reads no clock: the same handler, event, scenario and seed give
the same events.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from durable_core.clock import VirtualClock
from durable_core.event_loop import VirtualTimeLoop
from durable_core.exceptions import error_object
from durable_core.faults import NO_FAULTS, Faults
from durable_core.fold import fold
from durable_core.invocation import Handler, InvocationOptions, Invoked, Lost, invoke_handler
from durable_core.limits import LIMITS, ServiceLimits
from durable_core.model import (
    ErrorObject,
    InvocationInput,
    InvocationOutput,
    Operation,
    OperationStatus,
    OperationType,
)
from durable_core.scenario import (
    CallbackOutcome,
    CallbackScript,
    InvokeOutcome,
    InvokeScript,
    Scenario,
    Script,
)
from durable_core.serdes import JSON, SerDesContext, serialize
from durable_core.service import SimulatedService
from durable_core.service_link import AsyncLink, ServiceLink
from durable_core.service_values import (
    INVALID_PARAMETER,
    Answer,
    CallbackCreated,
    CallbackFailure,
    CallbackHeartbeat,
    CallbackSuccess,
    Crash,
    Effect,
    ExecutionStart,
    Invocation,
    InvokeRequested,
    InvokeResult,
    InvokeTarget,
    exit_crash,
    invoke_timed_out,
    target_of,
    timeout_crash,
)
from durable_core.simulation import (
    InvocationEnd,
    InvocationRecord,
    Simulation,
    Stopped,
)
from durable_core.simulation_words import began_because, ended_because, label_of, waiting_for
from durable_core.sizes import utf8_bytes
from durable_core.validation import too_large

STARTS_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""When every simulated execution starts, unless told otherwise."""

FUNCTION_TIMEOUT_SECONDS: Final = 900
"""How long Lambda lets an invocation hang (its longest function timeout)."""

DEEPEST_CHAIN: Final = 16

CALLBACK_FAILED: Final = ErrorObject(message="Callback failed")
"""What a callback fails with when the scenario says nothing of it."""


class BrokenInvariant(AssertionError):
    """The events don't add up to the service's operations. We are to blame."""


class Runner(ABC):
    """Runs one invocation of a handler, whatever SDK it is written with. Subclass it for others."""

    @abstractmethod
    def invoke(
        self, given: InvocationInput, link: ServiceLink, options: InvocationOptions
    ) -> Invoked:
        """Run the handler on what the service hands over; its checkpoints go to the link."""


class NativeRunner(Runner):
    """Runs an `async def handler(event, ctx)` of the native runtime."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def invoke(
        self, given: InvocationInput, link: ServiceLink, options: InvocationOptions
    ) -> Invoked:
        """Run it once."""
        link.elapsed = _elapsed
        payload = next(
            (
                operation.execution_details.input_payload
                for operation in given.operations
                if operation.execution_details is not None
            ),
            None,
        )
        event = None if payload is None else json.loads(payload)
        return invoke_handler(self._handler, event, given, AsyncLink(link), options)


Loader = Callable[[str], Any]
"""Returns the handler that a scenario names (`module:fn`): async is durable, sync is plain."""


def simulate(
    handler: Handler | Runner,
    event: Any = None,
    *,
    scenario: Scenario | None = None,
    seed: int | None = None,
    limits: ServiceLimits = LIMITS,
    faults: Faults = NO_FAULTS,
    max_invocations: int = 1_000,
    execution_timeout: int | None = None,
    function_name: str = "handler",
    execution_name: str = "simulation",
    load: Loader | None = None,
    flush_window: float = 0.0,
    on_invocation: Callable[[InvocationRecord], None] = lambda record: None,
    check_every_request: bool = False,
) -> Simulation:
    """Run a handler to the end of its execution and return what came of it.

    `event` is any JSON value. `seed` goes before the scenario's; without either it is 0.
    `execution_timeout` is in seconds. `load` finds the handlers that the scenario names for chained
    invokes. `on_invocation` hears of each invocation when it has ended. With `check_every_request`
    the invariant is checked after each checkpoint, not only at the end.

    Raises SerDesError for an event that isn't JSON, and BrokenInvariant when the events don't add
    up to the operations. What the handler does wrong is in the result.
    """
    scenario = scenario or Scenario()
    if seed is None:
        seed = scenario.seed or 0
    start = ExecutionStart(
        input_payload=serialize(JSON, event, SerDesContext()),
        seed=seed,
        function_name=function_name,
        execution_name=execution_name,
        execution_timeout_seconds=execution_timeout,
    )
    driver = _Driver(
        handler,
        start,
        scenario,
        limits,
        faults if faults else scenario.faults,
        max_invocations,
        InvocationOptions(seed=seed, limits=limits, flush_window=flush_window),
        load,
        on_invocation,
        check_every_request,
    )
    return driver.run(STARTS_AT)


class _Driver:
    def __init__(
        self,
        handler: Handler | Runner,
        start: ExecutionStart,
        scenario: Scenario,
        limits: ServiceLimits,
        faults: Faults,
        max_invocations: int,
        options: InvocationOptions,
        load: Loader | None,
        on_invocation: Callable[[InvocationRecord], None],
        check_every_request: bool,
        depth: int = 0,
    ) -> None:
        self._runner = handler if isinstance(handler, Runner) else NativeRunner(handler)
        self._start = start
        self._scenario = scenario
        self._script = Script(scenario)
        self._limits = limits
        self._faults = faults
        self._max_invocations = max_invocations
        self._options = options
        self._load = load
        self._on_invocation = on_invocation
        self._check_every_request = check_every_request
        self._depth = depth
        self._records: list[InvocationRecord] = []
        self._links: list[ServiceLink] = []
        self._invokes: list[tuple[InvokeRequested, datetime]] = []
        self._children: dict[str, Simulation] = {}
        self._targets: dict[str, Any] = {}

    # -- the loop ------------------------------------------------------------------------------

    def run(self, now: datetime) -> Simulation:
        self._clock = VirtualClock(now)
        self._service = service = SimulatedService(
            self._start, now, limits=self._limits, resolve=self._resolve
        )
        stopped = Stopped.OVER
        while not service.is_over:
            if service.needs_invocation():
                if service.invocations >= self._max_invocations:
                    stopped = Stopped.MAX_INVOCATIONS
                    break
                self._invoke()
            elif (due := service.next_due()) is not None:
                service.tick(self._clock.advance_to(due))
            else:
                stopped = Stopped.WAITING
                break
        check_invariant(service, self._clock.now)
        return self._simulation(now, stopped)

    def _invoke(self) -> None:
        service, began = self._service, self._clock.now
        invocation = service.begin_invocation(began)
        woken = invocation.input.updated_operation_ids or ()
        link = ServiceLink(
            service,
            invocation,
            self._clock,
            faults=self._faults,
            on_effects=self._play,
            on_answer=self._check if self._check_every_request else lambda: None,
        )
        self._links.append(link)
        # What moved is looked at before the handler moves it on.
        woken_by = tuple(service.operations[key] for key in woken if key in service.operations)
        invoked = self._runner.invoke(invocation.input, link, self._options)
        now = self._clock.advance_to(began + timedelta(seconds=invoked.elapsed_seconds))
        outcome = _outcome(invoked.outcome, invocation)
        service.end_invocation(now, outcome)
        record = self._record(invocation, began, woken_by, invoked, outcome)
        self._records.append(record)
        self._on_invocation(record)
        self._run_targets()

    def _check(self) -> None:
        check_invariant(self._service, self._clock.now)

    def _record(
        self,
        invocation: Invocation,
        began: datetime,
        woken_by: tuple[Operation, ...],
        invoked: Invoked,
        outcome: InvocationOutput | Crash,
    ) -> InvocationRecord:
        end = InvocationEnd.CRASHED
        if isinstance(outcome, InvocationOutput) and outcome.status is not None:
            end = InvocationEnd(outcome.status.value)
        pending = () if self._service.is_over else self._service.waiting_operations()
        return InvocationRecord(
            number=invocation.number,
            request_id=invocation.request_id,
            began=began,
            ended=self._clock.now,
            began_because=began_because(invocation, woken_by),
            ended_because=ended_because(end, outcome, pending, self._clock.now),
            end=end,
            error=outcome.error,
            handed_operations=len(invocation.input.operations) - 1,
            woken_by=woken_by,
            pending=pending,
            notes=invoked.notes,
            requests=invoked.requests,
        )

    def _simulation(self, began: datetime, stopped: Stopped) -> Simulation:
        service = self._service
        waiting = () if service.is_over else service.waiting_operations()
        return Simulation(
            status=service.status,
            stopped=stopped,
            seed=self._start.seed,
            result=service.result,
            error=service.error,
            arn=service.arn,
            began=began,
            ended=self._clock.now,
            events=tuple(service.events),
            operations=dict(service.operations),
            invocations=tuple(self._records),
            updates=tuple(request for link in self._links for request in link.requests),
            waiting_for=waiting_for(waiting, service) if stopped is Stopped.WAITING else (),
            refused_answers=tuple(service.refused_answers),
            limits=self._limits,
            children=self._children,
        )

    # -- the world outside ---------------------------------------------------------------------

    def _play(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case CallbackCreated():
                    self._play_callback(effect)
                case InvokeRequested():
                    # Its target runs once this invocation has ended: one loop runs at a time.
                    self._invokes.append((effect, self._clock.now))

    def _play_callback(self, effect: CallbackCreated) -> None:
        names = [effect.name]
        parent = self._service.operations.get(effect.parent_id or "")
        if parent is not None and effect.name == f"{parent.name} create callback id":
            names.append(parent.name)
        moment = self._clock.now
        for script in self._script.take_callback(names):
            moment += timedelta(seconds=script.after_seconds)
            answer = _callback_answer(effect.callback_id, script)
            if answer is not None:
                self._service.schedule(moment, answer)

    def _run_targets(self) -> None:
        requested, self._invokes = self._invokes, []
        for effect, moment in requested:
            if self._service.is_over:
                return
            script = self._script.take_invoke(effect.function_name)
            if script is None:
                continue
            result, seconds = self._run_target(effect, script, moment)
            if result is not None:
                result = self._named_if_too_large(effect, result)
                due = max(self._clock.now, moment + timedelta(seconds=seconds))
                self._service.schedule(due, result)

    def _named_if_too_large(self, effect: InvokeRequested, result: InvokeResult) -> InvokeResult:
        """Fail an invoke whose result is over the limit as the service does, and say which, by how
        much: the service names neither."""
        limit = self._limits.invoke_payload_bytes
        size = utf8_bytes(result.result or "")
        if size <= limit:
            return result
        operation = self._service.operations[effect.operation_id]
        message = (
            f"the result of {label_of(operation)} has {size:,} bytes against a limit of {limit:,}: "
            f"{too_large(OperationType.CHAINED_INVOKE, 'output', limit)}"
        )
        error = ErrorObject(message=message, type=INVALID_PARAMETER)
        return InvokeResult(effect.operation_id, OperationStatus.FAILED, error=error)

    def _run_target(
        self, effect: InvokeRequested, script: InvokeScript, moment: datetime
    ) -> tuple[InvokeResult | None, float]:
        """Return how a chained invoke ends and after how long; None: its target still waits."""
        key, after = effect.operation_id, script.after_seconds
        match script.outcome:
            case InvokeOutcome.TIMEOUT:
                return invoke_timed_out(key, int(after)), after
            case InvokeOutcome.ERROR:
                return InvokeResult(key, OperationStatus.FAILED, error=_said(script.error)), after
            case InvokeOutcome.RESULT:
                return InvokeResult(key, OperationStatus.SUCCEEDED, script.result), after
        target = self._target(script.handler or "")
        if not _is_durable(target):
            return _plain_result(key, target, effect.payload), after
        child = self._run_child(effect, target, moment)
        self._children[key] = child
        if child.stopped is not Stopped.OVER:
            return None, 0.0
        status = OperationStatus(child.status.value)
        return InvokeResult(key, status, child.result, child.error), child.virtual_seconds

    def _run_child(self, effect: InvokeRequested, target: Any, moment: datetime) -> Simulation:
        start = ExecutionStart(
            input_payload=effect.payload,
            seed=self._start.seed,
            function_name=effect.function_name,
            execution_name=f"{self._start.execution_name}-{len(self._children) + 1}",
            chained=True,
            arn=effect.execution_arn,
        )
        driver = _Driver(
            target,
            start,
            self._scenario,
            self._limits,
            NO_FAULTS,
            self._max_invocations,
            self._options,
            self._load,
            lambda record: None,
            self._check_every_request,
            self._depth + 1,
        )
        driver._script = self._script  # one world outside answers both
        return driver.run(moment)

    def _target(self, name: str) -> Any:
        if name not in self._targets:
            if self._load is None:
                raise LookupError(f"nothing loads the handler {name!r} of a chained invoke")
            self._targets[name] = self._load(name)
        return self._targets[name]

    def _resolve(self, function_name: str) -> InvokeTarget:
        """Say what a function name stands for: durable, unless its handler is plain."""
        target = target_of(function_name)
        script = self._script.peek_invoke(function_name)
        if script is not None and script.outcome is InvokeOutcome.HANDLER:
            target = replace(target, durable=_is_durable(self._target(script.handler or "")))
            if self._depth >= DEEPEST_CHAIN:
                message = f"More than {DEEPEST_CHAIN} chained invokes deep"
                target = replace(target, error=ErrorObject(message, "Simulation.ChainTooDeep"))
        return target


def _elapsed() -> float:
    """Return the virtual seconds since the invocation that runs began."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return 0.0
    return loop.time() if isinstance(loop, VirtualTimeLoop) else 0.0


def _outcome(outcome: InvocationOutput | Lost, invocation: Invocation) -> InvocationOutput | Crash:
    if isinstance(outcome, InvocationOutput):
        return outcome
    if outcome.stuck:
        return timeout_crash(invocation.request_id, FUNCTION_TIMEOUT_SECONDS)
    if outcome.error is not None and not outcome.exited:
        return Crash(outcome.error)
    return exit_crash(invocation.request_id)


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


def _is_durable(target: Any) -> bool:
    return isinstance(target, Runner) or inspect.iscoroutinefunction(target)


def _plain_result(key: str, target: Callable[..., Any], payload: str | None) -> InvokeResult:
    """Run a plain Lambda handler on the payload."""
    try:
        event = None if payload is None else json.loads(payload)
        result = serialize(JSON, target(event, None), SerDesContext())
    except Exception as error:
        return InvokeResult(key, OperationStatus.FAILED, error=error_object(error))
    return InvokeResult(key, OperationStatus.SUCCEEDED, result)


def check_invariant(service: SimulatedService, now: datetime) -> None:
    """Raise BrokenInvariant unless the events fold into the service's operations.

    ReplayChildren is left out: no event carries it.
    """
    said = {
        key: recorded.operation
        for key, recorded in fold(service.events, now=now).operations.items()
    }
    kept = _without_flags(service.operations)
    if said != kept:
        wrong = next(key for key in (*kept, *said) if said.get(key) != kept.get(key))
        raise BrokenInvariant(f"{wrong}: events say {said.get(wrong)}, state {kept.get(wrong)}")


def _without_flags(operations: Mapping[str, Operation]) -> dict[str, Operation]:
    kept: dict[str, Operation] = {}
    for key, operation in operations.items():
        if operation.type is OperationType.EXECUTION:
            continue
        details = operation.context_details
        if details is not None and details.replay_children is not None:
            details = replace(details, replay_children=None)
            operation = replace(operation, context_details=details)
        kept[key] = operation
    return kept
