"""Handlers written with AWS's SDK, run unchanged against the simulated service.

The SDK is spoken to through its public boundary: an invocation input that carries a service client,
as AWS's testing library does. What that boundary doesn't give is in `attach`, alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from inspect import signature
from typing import Any, Final
from weakref import finalize

from durable_core.errors import DurableError
from durable_core.exceptions import escaped
from durable_core.interrupts import is_interrupted
from durable_core.limits import FUNCTION_TIMEOUT_SECONDS
from durable_core.model import ErrorObject, InvocationInput, InvocationOutput
from durable_core.native.invocation import InvocationOptions, Invoked, LostInvocation
from durable_core.runtimes.aws_python.attach import attached_sdk
from durable_core.runtimes.aws_python.client import Client
from durable_core.runtimes.aws_python.clock import ThreadsClock
from durable_core.runtimes.aws_python.deadlock import threads_stuck
from durable_core.runtimes.aws_python.invocation_observer import InvocationObserver
from durable_core.runtimes.aws_python.service_endpoint import ServiceEndpoint
from durable_core.runtimes.aws_python.shapes import Converter, output_of
from durable_core.sandbox.process_clocks import served_by
from durable_core.sandbox.threads.patches import schedulable
from durable_core.sandbox.threads.scheduler import Scheduler
from durable_core.sandbox.threads.tasks import SECOND, Stuck, current_task
from durable_core.sandbox.threads.turns import Order, order_of
from durable_core.sdks import Sdk
from durable_core.signals import Overdue, exit_status
from durable_core.simulation.chance import drawn_from
from durable_core.simulation.link import ServiceLink, context_of
from durable_core.simulation.runner import Runner

_SDK_LOGGER: Final = "aws_durable_execution_sdk_python"
_NOWHERE: Final = logging.NullHandler()


@contextmanager
def _process_settings() -> Iterator[None]:
    """Set what is the process's, not the invocation's, and set it back.

    What is logged goes to the handlers that were set up, and nowhere where there are none: Python
    would print warnings then. What threads of the SDK log that end after the invocation does too.
    """
    nowhere = logging.NullHandler()
    logging.getLogger().addHandler(nowhere)
    sdk = logging.getLogger(_SDK_LOGGER)
    if _NOWHERE not in sdk.handlers:
        sdk.addHandler(_NOWHERE)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(nowhere)


class AwsSdkRunner(Runner):
    """Runs invocations of one `@durable_execution` handler in this process.

    Globals live on from one invocation to the next, as in a warm environment. Raises SdkMissing and
    SdkChanged.
    """

    def __init__(self, handler: Callable[[Any, Any], object], *, memory_mb: int = 128) -> None:
        self._sdk = attached_sdk()
        self._takes = frozenset(signature(self._sdk.invocation_input).parameters)
        self._convert = Converter(self._sdk)
        self.handler = handler
        self._memory_mb = memory_mb
        self._client: Client | None = None
        self._scheduler = self._new_scheduler()

    def _new_scheduler(self) -> Scheduler:
        scheduler = Scheduler()
        finalize(self, scheduler.close).atexit = False
        return scheduler

    @property
    def sdk_version(self) -> str:
        """The version of the installed SDK."""
        return self._sdk.version

    @property
    def sdk(self) -> Sdk:
        """AWS's SDK for Python."""
        return Sdk.PYTHON

    @property
    def unwinds_crashes(self) -> bool:
        """Not in 1.x: there a map or parallel waits for ever for a unit whose checkpoint failed."""
        return not self.sdk_version.startswith(("0.", "1."))

    def invoke(
        self, given: InvocationInput, link: ServiceLink, options: InvocationOptions
    ) -> Invoked:
        """Run the handler on what the service hands over; its checkpoints go to the link.

        Raises HandlerStuck where it would never end.
        """
        observed = InvocationObserver(given.operations, tell=options.tell)
        scheduler = self._scheduler
        scheduler.on_stuck = lambda: client.end_a_wait()
        scheduler.goes_on = lambda: client.queue.unsettled_reader()
        scheduler.unscheduled.clear()
        desk = ServiceEndpoint(link, observed, scheduler)
        client = self._client = Client(self._sdk, self._convert, desk, observed)
        clock = ThreadsClock(link.began, scheduler, real_durations=options.real_durations)
        number = link.invocation.number
        order = order_of(options.seed, options.interleaving, number)
        seed = f"{options.seed}:{given.durable_execution_arn}"
        try:
            with (
                _process_settings(),
                drawn_from(seed, number, partial(_runs_in, scheduler)),
                schedulable(),
            ):
                outcome = self._outcome(given, desk, client, link, order, clock)
        finally:
            scheduler.on_stuck, scheduler.goes_on = lambda: False, lambda: None
            if scheduler.is_over:
                self._scheduler = self._new_scheduler()
        if (
            isinstance(outcome, LostInvocation) and outcome.exit_status is not None
        ):  # with all of its threads
            self._scheduler = self._new_scheduler()
        unscheduled = tuple(scheduler.unscheduled)
        return Invoked(outcome, observed.notes(), observed.requests(), desk.elapsed, unscheduled)

    def die(self, status: int) -> None:
        """Send what is queued, and nothing after it."""
        if self._client is not None:
            self._client.die(status)

    def _outcome(
        self,
        given: InvocationInput,
        desk: ServiceEndpoint,
        client: Client,
        link: ServiceLink,
        order: Order,
        clock: ThreadsClock,
    ) -> InvocationOutput | LostInvocation:
        handed = self._handed(given, client)
        context = context_of(link, self._memory_mb)
        try:
            answer = self._scheduler.run(
                partial(self._served, handed, context, clock),
                began=desk.began,
                order=order,
                limit=FUNCTION_TIMEOUT_SECONDS * SECOND,
            )
        except Stuck as stuck:
            raise client.stuck or threads_stuck(stuck) from None
        except DurableError:
            raise
        except Exception as error:
            if not desk.dead and client.stuck is None:
                return LostInvocation(ErrorObject(message=str(error), type=type(error).__name__))
        except Overdue:
            return LostInvocation(stuck=True)
        except BaseException as error:
            if is_interrupted():
                return LostInvocation(interrupted=True)
            if not desk.dead and client.stuck is None:
                return LostInvocation(escaped(error), exit_status(error))
        finally:
            desk.close()
        if client.stuck is not None:
            raise client.stuck
        return LostInvocation(exit_status=desk.exit_status) if desk.dead else output_of(answer)

    def _served(self, handed: Any, context: Any, clock: ThreadsClock) -> Any:
        with served_by(clock):
            return self.handler(handed, context)

    def _handed(self, given: InvocationInput, client: Client) -> Any:
        updated = {"updated_operation_ids": list(given.updated_operation_ids or ())}
        return self._sdk.invocation_input(
            durable_execution_arn=given.durable_execution_arn,
            checkpoint_token=given.checkpoint_token,
            initial_execution_state=self._sdk.initial_state(
                operations=self._convert(given.operations),
                next_marker=given.next_marker or "",
            ),
            service_client=client,
            **{key: value for key, value in updated.items() if key in self._takes},
        )


def _runs_in(scheduler: Scheduler) -> bool:
    """Return True in a thread of the scheduler's."""
    task = current_task()
    return task is not None and task.scheduler is scheduler
