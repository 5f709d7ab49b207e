"""What runs one invocation of a handler, whatever it is written with: native, or a plain function.

A runner for another SDK, or for another process, is a subclass elsewhere.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from durable_core.exceptions import error_object
from durable_core.interrupts import is_interrupted
from durable_core.limits import FUNCTION_TIMEOUT_SECONDS
from durable_core.model import ErrorObject, InvocationInput, InvocationOutput, InvocationStatus
from durable_core.native.event_loop import VirtualTimeLoop
from durable_core.native.invocation import (
    Handler,
    InvocationOptions,
    Invoked,
    LostInvocation,
    invoke_handler,
)
from durable_core.sandbox.handler_clock import StandingClock
from durable_core.sandbox.lambda_context import LambdaContext
from durable_core.sandbox.process_clocks import served_by
from durable_core.sdks import Sdk
from durable_core.service.values import Crash, Invocation, exit_crash, timeout_crash
from durable_core.signals import exit_status
from durable_core.simulation.chance import drawn_from
from durable_core.simulation.link import AsyncLink, ServiceLink, context_of


class Runner(ABC):
    """Runs one invocation of a handler, whatever SDK it is written with. Subclass it for others."""

    @property
    def is_durable(self) -> bool:
        """Whether the handler has executions; a plain function only answers invocations."""
        return True

    @property
    def unwinds_crashes(self) -> bool:
        """Whether an invocation can be ended at an injected crash without ending its process."""
        return True

    @abstractmethod
    def invoke(
        self, given: InvocationInput, link: ServiceLink, options: InvocationOptions
    ) -> Invoked:
        """Run the handler on what the service hands over; its checkpoints go to the link."""

    @property
    def sdk(self) -> Sdk:
        """Whose words the service has to use where an SDK looks for them."""
        return Sdk.DOTNET

    def die(self, status: int) -> None:  # noqa: B027 - a runner that queues nothing has nothing to do
        """Send what is queued, and nothing after it: the process ends with this exit status."""


class NativeRunner(Runner):
    """Runs an `async def handler(event, ctx)` of the native runtime, whose chance comes from the
    seed."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def invoke(
        self, given: InvocationInput, link: ServiceLink, options: InvocationOptions
    ) -> Invoked:
        """Run it once."""
        link.elapsed = _elapsed
        options = replace(options, began=link.began)
        seed = f"{options.seed}:{given.durable_execution_arn}"
        with drawn_from(seed, link.invocation.number):
            return invoke_handler(self._handler, _event(given), given, AsyncLink(link), options)


class PlainRunner(Runner):
    """Runs a plain `handler(event, context)`, as Lambda's runtime for Python does. Its chance comes
    from the request that it answers.

    Source of what is made of results and errors: `awslambdaric` 4 (`lambda_runtime_marshaller.py`,
    `handle_event_request`).
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @property
    def is_durable(self) -> bool:
        """It isn't."""
        return False

    def invoke(
        self, given: InvocationInput, link: ServiceLink, options: InvocationOptions
    ) -> Invoked:
        """Run it once. Of the link only the invocation and its beginning are used."""
        context, clock = context_of(link), StandingClock(link.began)
        link.elapsed = lambda: clock.passed
        with served_by(clock), drawn_from(context.aws_request_id):
            outcome = self._outcome(given, context)
        if clock.passed > FUNCTION_TIMEOUT_SECONDS:
            return Invoked(LostInvocation(stuck=True), (), (), FUNCTION_TIMEOUT_SECONDS)
        return Invoked(outcome, (), (), clock.passed)

    def _outcome(
        self, given: InvocationInput, context: LambdaContext
    ) -> InvocationOutput | LostInvocation:
        try:
            value = self._function(_event(given), context)
        except Exception as error:
            return _failed(replace(error_object(error), type=type(error).__name__))
        except BaseException as error:
            if is_interrupted():
                raise
            return LostInvocation(exit_status=exit_status(error))
        try:
            return InvocationOutput(InvocationStatus.SUCCEEDED, _marshalled(value))
        except Exception as error:
            said = f"Unable to marshal response: {error}"
            return _failed(ErrorObject(said, "Runtime.MarshalError"))


def runner_of(handler: object) -> Runner:
    """Return what runs a handler: a Runner, an async function (native), or any other function."""
    if isinstance(handler, Runner):
        return handler
    if not callable(handler):
        raise TypeError(f"{handler!r} can't be called: expected a handler")
    return NativeRunner(handler) if is_async(handler) else PlainRunner(handler)


def is_async(handler: object) -> bool:
    """Return True for an async function, or an object that is called as one."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004  # whether it is async, not whether it is
    )


def crash_of(lost: LostInvocation, invocation: Invocation) -> Crash:
    """Return how Lambda tells an invocation that gave no answer."""
    if lost.stuck:
        return timeout_crash(invocation.request_id, lost.stuck_seconds)
    if lost.exit_status is not None:
        return exit_crash(invocation.request_id, lost.exit_status, lost.error)
    return Crash(lost.error) if lost.error else exit_crash(invocation.request_id)


def _event(given: InvocationInput) -> Any:
    """Return the event that an execution, or a plain function, was started with."""
    payloads = (
        each.execution_details.input_payload
        for each in given.operations
        if each.execution_details is not None
    )
    payload = next(payloads, None)
    return None if payload is None else json.loads(payload)


def _elapsed() -> float:
    """Return the virtual seconds since the invocation that runs began."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return 0.0
    return loop.elapsed if isinstance(loop, VirtualTimeLoop) else 0.0


def _failed(error: ErrorObject) -> InvocationOutput:
    return InvocationOutput(InvocationStatus.FAILED, error=error)


def _marshalled(value: object) -> str:
    """Return what a plain function returned as the payload that Lambda answers with."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False, default=_decimal)


def _decimal(value: object) -> float:
    from decimal import Decimal

    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
