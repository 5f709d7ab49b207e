"""The smallest driver: a handler of `handlers/` against the simulated service, to its end."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from conformance_cases import Case

from durable_core.adapters.aws_sdk import AwsSdkRuntime, Desk
from durable_core.clock import VirtualClock
from durable_core.faults import Fault, FaultKind, Faults
from durable_core.limits import LIMITS, ServiceLimits
from durable_core.model import ErrorObject, ExecutionStatus, OperationStatus
from durable_core.service import SimulatedService
from durable_core.service_values import (
    CallbackCreated,
    CallbackFailure,
    CallbackHeartbeat,
    CallbackSuccess,
    Effect,
    ExecutionStart,
    InvokeRequested,
    InvokeResult,
)
from durable_core.wire import event_to_wire

HANDLERS = Path(__file__).parent / "handlers"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@cache
def handler_of(spec: str) -> Callable[..., Any]:
    """Return the handler that a spec `module:function` names."""
    module_name, _, function = spec.partition(":")
    found = importlib.util.spec_from_file_location(
        f"conformance_{module_name}", HANDLERS / f"{module_name}.py"
    )
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    handler: Callable[..., Any] = getattr(module, function)
    return handler


class Driver:
    """One execution, and those that it starts by chained invokes."""

    def __init__(
        self,
        handler: Callable[..., Any],
        scenario: dict[str, Any],
        start: ExecutionStart,
        now: datetime = EPOCH,
        limits: ServiceLimits = LIMITS,
    ) -> None:
        self.clock = VirtualClock(now)
        self.service = SimulatedService(start, now, limits=limits)
        self.runtime = AwsSdkRuntime(handler, function_name=start.function_name)
        self.desks: list[Desk] = []
        self.scenario = scenario
        self.answers = list(scenario.get("callback", ()))
        crashes = scenario.get("crash", ())
        self.faults = scenario.get("faults") or Faults(
            tuple(
                Fault(FaultKind(f"crash-{each['when']}"), each["invocation"], each["checkpoint"])
                for each in crashes
            )
        )
        self.invokes: list[tuple[datetime, InvokeRequested]] = []

    def run(self) -> SimulatedService:
        service, clock = self.service, self.clock
        while not service.is_over:
            if service.needs_invocation():
                self.invoke()
                continue
            due = service.next_due()
            if due is None:
                break
            service.tick(clock.advance_to(due))
        return service

    def invoke(self) -> None:
        invocation = self.service.begin_invocation(self.clock.now)
        desk = Desk(self.service, self.clock, invocation, self.faults, self.happens)
        self.desks.append(desk)
        outcome = self.runtime.run(desk)
        self.service.end_invocation(self.clock.now, outcome)
        while self.invokes:
            self.run_target(*self.invokes.pop(0))

    def happens(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, CallbackCreated):
                self.answer(effect)
            else:
                self.invokes.append((self.clock.now, effect))

    def answer(self, callback: CallbackCreated) -> None:
        for scripted in list(self.answers):
            if scripted.get("name") not in (None, callback.name):
                continue
            self.answers.remove(scripted)
            moment = self.clock.now + timedelta(seconds=scripted["after_seconds"])
            self.service.schedule(moment, self.answer_of(callback.callback_id, scripted))
            if scripted["outcome"] != "heartbeat":
                break

    def answer_of(self, callback_id: str, scripted: dict[str, Any]) -> Any:
        match scripted["outcome"]:
            case "heartbeat":
                return CallbackHeartbeat(callback_id)
            case "failure":
                return CallbackFailure(callback_id, ErrorObject(**scripted["error"]))
        return CallbackSuccess(callback_id, scripted["payload"])

    def run_target(self, moment: datetime, invoke: InvokeRequested) -> None:
        target = next(
            each for each in self.scenario["invoke"] if each["function"] == invoke.function_name
        )
        start = ExecutionStart(
            invoke.payload,
            function_name=invoke.function_name,
            chained=True,
            arn=invoke.execution_arn,
        )
        child = Driver(handler_of(target["handler"]), self.scenario, start, moment)
        service = child.run()
        succeeded = service.status is ExecutionStatus.SUCCEEDED
        self.service.schedule(
            child.clock.now,
            InvokeResult(
                invoke.operation_id,
                OperationStatus.SUCCEEDED if succeeded else OperationStatus.FAILED,
                service.result,
                service.error,
            ),
        )


def simulate(case: Case) -> dict[str, Any]:
    """Return the history of a case, as GetDurableExecutionHistory would answer it."""
    start = ExecutionStart(json.dumps(case.event), function_name=case.handler.partition(":")[2])
    service = Driver(handler_of(case.handler), case.scenario, start).run()
    return {"Events": [event_to_wire(event) for event in service.events]}
