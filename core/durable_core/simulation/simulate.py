"""The driver of a simulation: it invokes the handler as often as the service asks for.

Between invocations it moves the virtual clock to what is due first and plays the world outside from
the scenario. It never sleeps, and reads no clock: the same handler, event, scenario and seed give
the same events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field, fields, replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Final

from durable_core.arns import name_of_invoked, names_of_handler
from durable_core.errors import UsageError
from durable_core.fold import fold
from durable_core.frozen import dataclass
from durable_core.garbage_collection import rarer_collection
from durable_core.interrupts import noting_interrupts, take_interrupt
from durable_core.limits import LIMITS, ServiceLimits
from durable_core.model import (
    ContextDetails,
    ExecutionStatus,
    InvocationOutput,
    Operation,
    OperationStatus,
    OperationType,
)
from durable_core.native.invocation import Handler, InvocationOptions, Invoked, LostInvocation
from durable_core.native.serdes import JSON, SerDesContext, serialize
from durable_core.sandbox.handler_clock import STARTS_AT
from durable_core.sandbox.process_clocks import in_place
from durable_core.sdks import SDKS
from durable_core.service.clock import VirtualClock
from durable_core.service.faults import NO_FAULTS, Fault, Faults
from durable_core.service.simulated import SimulatedService
from durable_core.service.values import (
    Crash,
    ExecutionStart,
    Invocation,
    InvokeRequested,
)
from durable_core.simulation.chance import seeded_names
from durable_core.simulation.link import ServiceLink
from durable_core.simulation.messages import began_because, ended_because, label_of, waiting_for
from durable_core.simulation.outcome import (
    Interrupted,
    InvocationEnd,
    InvocationRecord,
    Simulation,
    Stopped,
    WaitingFor,
)
from durable_core.simulation.runner import NativeRunner as NativeRunner
from durable_core.simulation.runner import Runner as Runner
from durable_core.simulation.runner import crash_of, runner_of
from durable_core.simulation.scenario import PauseScript, Scenario, fault_text
from durable_core.simulation.scenario_player import Pauses, ScenarioPlayer, Targets
from durable_core.simulation.script import Script
from durable_core.sizes import utf8_bytes


class BrokenInvariant(AssertionError):
    """The events don't add up to the service's operations. We are to blame."""


Loader = Callable[[str], Any]
"""Returns the handler that a scenario names (`module:fn`): a Runner or an async function is
durable, any other a plain one."""


def simulate(
    handler: Handler | Runner,
    event: Any = None,
    *,
    scenario: Scenario | None = None,
    seed: int | None = None,
    interleaving: int | None = None,
    limits: ServiceLimits = LIMITS,
    faults: Faults = NO_FAULTS,
    max_invocations: int = 1_000,
    execution_timeout: int | None = None,
    function_name: str | None = None,
    execution_name: str | None = None,
    load: Loader | None = None,
    flush_window: float = 0.0,
    on_invocation: Callable[[InvocationRecord], None] = lambda record: None,
    check_every_request: bool = False,
    asynchronous: bool = False,
    real_durations: bool = False,
) -> Simulation:
    """Run a handler to the end of its execution and return what came of it.

    `event` is any JSON value. `seed` goes before the scenario's; without either it is 0, and so do
    `interleaving`, the number of the order in which threads or tasks take turns, and `faults`. The
    function and the execution are named after the handler's module and name, unless they are named
    here. `execution_timeout` is in seconds. `load` finds the handlers that the scenario names for
    chained invokes, before anything runs. `on_invocation` hears of each invocation when it has
    ended. With `check_every_request` the invariant is checked after each checkpoint, not only at
    the end. `asynchronous`: the execution is started with the invocation type Event, which has less
    room for its input and its result.

    What the handler reads of the time is virtual, and what it sleeps passes in virtual time; with
    `real_durations` so does what its bodies take in real time. What it draws (`random`, UUIDs,
    `os.urandom`) comes from the seed. Other threads of the process read and draw as ever.

    Raises SerDesError for an event that isn't JSON, UsageError for one that is too large to start
    an execution with and for a scenario that names handlers without `load`, whatever `load` raises,
    and BrokenInvariant when the events don't add up to the operations. What the handler does wrong
    is in the result. Ctrl-C raises Interrupted, which is a KeyboardInterrupt; one that the handler
    raises by itself is the end of its invocation.
    """
    scenario = scenario or Scenario()
    if seed is None:
        seed = scenario.seed or 0
    plan = _Plan(
        script=Script(scenario),
        targets=_targets(scenario, load),
        options=InvocationOptions(
            seed=seed,
            interleaving=(scenario.interleaving or 0) if interleaving is None else interleaving,
            limits=limits,
            flush_window=flush_window,
            real_durations=real_durations,
        ),
        faults=faults if faults else scenario.faults,
        max_invocations=max_invocations,
        on_invocation=on_invocation,
        check_every_request=check_every_request,
        pauses=scenario.pauses,
    )
    names = names_of_handler(_names_in_code(handler))
    payload = serialize(JSON, event, SerDesContext())
    check_input(payload, limits, asynchronous=asynchronous)
    start = ExecutionStart(
        input_payload=payload,
        asynchronous=asynchronous,
        seed=seed,
        function_name=function_name or names[0],
        execution_name=execution_name or names[1],
        execution_timeout_seconds=execution_timeout,
    )
    with rarer_collection, in_place(), seeded_names():
        driver = _Driver(handler, start, plan, STARTS_AT)
        with noting_interrupts(driver.so_far):
            return driver.run()


def _names_in_code(handler: Handler | Runner) -> tuple[str, ...]:
    """Return the names of a handler's module and of the handler in there."""
    module, name = (getattr(handler, each, None) for each in ("__module__", "__qualname__"))
    if isinstance(handler, Runner) or not isinstance(module, str) or not isinstance(name, str):
        return ("handler",)
    return (*module.split("."), *(part for part in name.split(".") if part != "<locals>"))


def check_input(payload: str | None, limits: ServiceLimits, *, asynchronous: bool) -> None:
    """Raise UsageError for an input with which Lambda starts no execution (service model)."""
    size = utf8_bytes(payload or "")
    limit = limits.async_input_bytes if asynchronous else limits.input_bytes
    if size > limit:
        how = "an asynchronous (Event)" if asynchronous else "a synchronous (RequestResponse)"
        raise UsageError(
            f"the event has {size:,} bytes: Lambda refuses more than {limit:,} in {how} invocation "
            "(RequestTooLargeException)"
        )


def _targets(scenario: Scenario, load: Loader | None) -> Targets:
    handlers: dict[str, Runner] = {}
    for script in scenario.invokes:
        if script.handler is not None and script.handler not in handlers:
            if load is None:
                raise UsageError(f"nothing loads the scenario's handler {script.handler}")
            handlers[script.handler] = runner_of(load(script.handler))
    return handlers


@dataclass(frozen=True)
class _Plan:
    """What an execution runs with, and those that it starts: one world outside answers them all."""

    script: Script
    targets: Targets
    options: InvocationOptions
    faults: Faults
    max_invocations: int
    on_invocation: Callable[[InvocationRecord], None]
    check_every_request: bool
    pauses: tuple[PauseScript, ...] = ()
    depth: int = field(default=0)

    def for_child(self) -> _Plan:
        """Return the plan of an execution that a chained invoke starts: no faults, no pauses."""
        return replace(
            self,
            faults=NO_FAULTS,
            pauses=(),
            on_invocation=lambda record: None,
            depth=self.depth + 1,
        )


class _Driver:
    def __init__(
        self, handler: Handler | Runner, start: ExecutionStart, plan: _Plan, now: datetime
    ) -> None:
        self._runner = handler if isinstance(handler, Runner) else NativeRunner(handler)
        self._start = start
        self._plan = plan
        self._began = now
        self._clock = VirtualClock(now)
        self._outside = ScenarioPlayer(
            plan.script, self._clock, plan.targets, self._run_child, plan.depth
        )
        self._service = SimulatedService(
            start,
            now,
            limits=plan.options.limits,
            resolve=self._outside.resolve,
            invalid_token=SDKS[self._runner.sdk].invalid_token,
        )
        self._pauses = Pauses(plan.pauses, self._service, self._clock)
        self._records: list[InvocationRecord] = []
        self._links: list[ServiceLink] = []

    def so_far(self) -> Simulation:
        """Return what came of it until now, in the middle of it."""
        return self._simulation(Stopped.INTERRUPTED)

    def run(self) -> Simulation:
        """Run it to its end. Raises BrokenInvariant and Interrupted."""
        try:
            return self._run()
        except KeyboardInterrupt:
            take_interrupt()
            raise Interrupted(self.so_far()) from None

    def _run(self) -> Simulation:
        service = self._service
        stopped = Stopped.OVER
        while not service.is_over:
            service.tick(self._clock.now)
            if service.needs_invocation():
                if service.invocations >= self._plan.max_invocations:
                    stopped = Stopped.MAX_INVOCATIONS
                    break
                self._invoke()
            elif (due := service.next_due()) is not None:
                service.tick(self._clock.advance_to(due))
            else:
                paused = service.status is ExecutionStatus.PAUSED
                stopped = Stopped.PAUSED if paused else Stopped.WAITING
                break
        self._check()
        return self._simulation(stopped)

    def _invoke(self) -> None:
        service, began = self._service, self._clock.now
        invocation = service.begin_invocation(began)
        woken = invocation.input.updated_operation_ids or ()
        link = ServiceLink(
            service,
            invocation,
            self._clock,
            faults=self._plan.faults,
            on_effects=lambda effects: self._outside.play(effects, service),
            on_answer=self._check if self._plan.check_every_request else lambda: None,
            on_request=self._pauses.at,
        )
        self._links.append(link)
        # What moved is looked at before the handler moves it on.
        woken_by = tuple(service.operations[key] for key in woken if key in service.operations)
        invoked = self._runner.invoke(invocation.input, link, self._plan.options)
        now = self._clock.advance_to(began + timedelta(seconds=invoked.elapsed_seconds))
        if isinstance(invoked.outcome, LostInvocation) and invoked.outcome.interrupted:
            take_interrupt()
            self._records.append(self._record(invocation, began, woken_by, invoked, None, None))
            raise KeyboardInterrupt
        lost = invoked.outcome
        outcome = crash_of(lost, invocation) if isinstance(lost, LostInvocation) else lost
        cut_short = service.cut_short
        service.end_invocation(now, outcome)
        record = self._record(invocation, began, woken_by, invoked, outcome, cut_short)
        self._records.append(record)
        self._plan.on_invocation(record)
        self._outside.run_targets(service)

    def _run_child(self, effect: InvokeRequested, target: Runner, moment: datetime) -> Simulation:
        start = ExecutionStart(
            input_payload=effect.payload,
            seed=self._start.seed,
            function_name=effect.function_name,
            execution_name=name_of_invoked(
                self._start.execution_name, len(self._outside.children) + 1
            ),
            chained=True,
            tenant_id=effect.tenant_id,
            arn=effect.execution_arn,
        )
        return _Driver(target, start, self._plan.for_child(), moment).run()

    def _check(self) -> None:
        check_invariant(self._service, self._clock.now)

    def _record(
        self,
        invocation: Invocation,
        began: datetime,
        woken_by: tuple[Operation, ...],
        invoked: Invoked,
        outcome: InvocationOutput | Crash | None,
        cut_short: str | None,
    ) -> InvocationRecord:
        """Return what there is to say of an invocation; no outcome: the user ended it."""
        end = InvocationEnd.INTERRUPTED if outcome is None else InvocationEnd.CRASHED
        if isinstance(outcome, InvocationOutput) and outcome.status is not None:
            end = InvocationEnd(outcome.status.value)
        pending = () if self._service.is_over else self._service.waiting_operations()
        return InvocationRecord(
            number=invocation.number,
            request_id=invocation.request_id,
            began=began,
            ended=self._clock.now,
            began_because=began_because(invocation, woken_by),
            ended_because=ended_because(end, outcome, pending, self._clock.now, cut_short),
            end=end,
            error=None if outcome is None else outcome.error,
            handed_operations=len(invocation.input.operations) - 1,
            woken_by=woken_by,
            pending=pending,
            notes=invoked.notes,
            requests=invoked.requests,
            unscheduled=invoked.unscheduled,
        )

    def _simulation(self, stopped: Stopped) -> Simulation:
        service = self._service
        return Simulation(
            status=service.status,
            stopped=stopped,
            seed=self._start.seed,
            interleaving=self._plan.options.interleaving,
            result=service.result,
            error=service.error,
            arn=service.arn,
            began=self._began,
            ended=self._clock.now,
            events=tuple(service.events),
            operations=dict(service.operations),
            invocations=tuple(self._records),
            updates=tuple(request for link in self._links for request in link.requests),
            waiting_for=self._waiting_for() if stopped is Stopped.WAITING else (),
            refused_answers=tuple(service.refused_answers),
            limits=service.limits,
            children=self._outside.children,
            unanswered=self._unanswered(),
            unused=self._unused() if self._plan.depth == 0 else (),
            asynchronous=self._start.asynchronous,
            pause=self._pauses.current,
            expected_timeout=None if service.is_over else service.expected_timeout,
        )

    def _waiting_for(self) -> tuple[WaitingFor, ...]:
        """Return what nobody will answer: of a chained invoke what its own execution waits for."""
        children = self._outside.children
        found: list[WaitingFor] = []
        for operation in self._service.waiting_operations():
            inside = children[operation.id].waiting_for if operation.id in children else ()
            found += _within(inside, operation) or waiting_for([operation], self._service)
        return tuple(found)

    def _unanswered(self) -> tuple[WaitingFor, ...]:
        """Return what ran into a timeout, its own or the execution's, without an entry."""
        service, children = self._service, self._outside.children
        timed_out = service.status is ExecutionStatus.TIMED_OUT
        found: list[WaitingFor] = []
        for key, operation in service.operations.items():
            is_late = operation.status is OperationStatus.TIMED_OUT
            is_left = timed_out and operation.status is OperationStatus.STARTED
            if key in self._outside.unanswered and (is_late or is_left):
                found += waiting_for([operation], service)
            if key in children:
                found += _within(children[key].unanswered, operation)
        return tuple(found)

    def _unused(self) -> tuple[str, ...]:
        met = {fault for link in self._links for fault in link.met}
        missed = (fault for fault in self._plan.faults.faults if fault not in met)
        return (*self._plan.script.unused, *map(_title, missed), *self._pauses.unused)


def _title(fault: Fault) -> str:
    """Return a fault as its entry begins: `[[crash]] invocation = 1, checkpoint = 3`."""
    table, *place = fault_text(fault).split("\n")[:3]
    return f"{table} {', '.join(place)}"


def _within(found: Sequence[WaitingFor], invoke: Operation) -> list[WaitingFor]:
    """Return what the execution of a chained invoke says, and where it is."""
    return [replace(each, label=f"{each.label} in {label_of(invoke)}") for each in found]


def check_invariant(service: SimulatedService, now: datetime) -> None:
    """Raise BrokenInvariant unless the events fold into the service's operations.

    ReplayChildren is left out: no event carries it.
    """
    said = fold(service.events, now=now).operations
    kept = {
        key: operation
        for key, operation in service.operations.items()
        if operation.type is not OperationType.EXECUTION
    }
    for key in {**kept, **said}:
        folded = said.get(key)
        if folded is None or key not in kept or not _agree(folded.operation, kept[key]):
            raise BrokenInvariant(f"{key}: events say {folded}, state {kept.get(key)}")


def _agree(said: Operation, kept: Operation) -> bool:
    if said.context_details is None or kept.context_details is None:
        return said == kept
    return _AROUND(said) == _AROUND(kept) and _INSIDE(said.context_details) == _INSIDE(
        kept.context_details
    )


_AROUND: Final = attrgetter(*(f.name for f in fields(Operation) if f.name != "context_details"))
_INSIDE: Final = attrgetter(
    *(f.name for f in fields(ContextDetails) if f.name != "replay_children")
)
