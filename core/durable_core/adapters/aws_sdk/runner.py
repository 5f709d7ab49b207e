"""Handlers written with AWS's SDK, run unchanged against the simulated service.

The SDK is spoken to through its public boundary: an invocation input that carries a service client,
as AWS's testing library does. What that boundary doesn't give is in `attach`, alone.
"""

from __future__ import annotations

import logging
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any, Final

from durable_core.adapters.aws_sdk.attach import attached_sdk
from durable_core.adapters.aws_sdk.client import Client
from durable_core.adapters.aws_sdk.desk import Desk
from durable_core.adapters.aws_sdk.observed import Observed
from durable_core.adapters.aws_sdk.shapes import Converter, output_of
from durable_core.errors import DurableError
from durable_core.exceptions import escaped
from durable_core.handler_clock import HandlerClock
from durable_core.interrupts import is_interrupted
from durable_core.model import ErrorObject, InvocationInput, InvocationOutput
from durable_core.native.invocation import InvocationOptions, Invoked, Lost
from durable_core.native.signals import Overdue, exit_status
from durable_core.process_clocks import served_by
from durable_core.sdks import Sdk
from durable_core.simulation.lambda_context import context_of
from durable_core.simulation.link import ServiceLink
from durable_core.simulation.simulate import Runner

SWITCH_SECONDS: Final = 0.05
"""How long a thread of an invocation may go on before another one's turn (Python's own: 0.005).

The SDK's threads mostly wait for each other. Taking turns less often halves the time of a large map
and makes the order of things less a matter of chance.
"""


@contextmanager
def _process_settings(seed: str) -> Iterator[None]:
    """Set what is the process's, not the invocation's, and set it back.

    What is logged goes to the handlers that were set up, and nowhere where there are none: Python
    would print warnings then.
    """
    interval, chance = sys.getswitchinterval(), random.getstate()
    nowhere = logging.NullHandler()
    sys.setswitchinterval(SWITCH_SECONDS)
    random.seed(seed)
    logging.getLogger().addHandler(nowhere)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(nowhere)
        sys.setswitchinterval(interval)
        random.setstate(chance)


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
        observed = Observed(given.operations, tell=options.tell)
        desk = Desk(link, observed)
        client = self._client = Client(self._sdk, self._convert, desk, observed)
        with _process_settings(f"{options.seed}:{link.invocation.number}"):
            clock = HandlerClock(
                link.began,
                lambda: desk.elapsed,
                client.pass_time,
                real_durations=options.real_durations,
            )
            with served_by(clock):
                outcome = self._outcome(given, desk, client, link)
        return Invoked(outcome, observed.notes(), observed.requests(), desk.elapsed)

    def die(self, status: int) -> None:
        """Send what is queued, and nothing after it."""
        if self._client is not None:
            self._client.die(status)

    def _outcome(
        self, given: InvocationInput, desk: Desk, client: Client, link: ServiceLink
    ) -> InvocationOutput | Lost:
        handed = self._handed(given, desk, client)
        context = context_of(link, self._memory_mb)
        try:
            answer = self.handler(handed, context)
        except DurableError:
            raise
        except Exception as error:
            if not desk.dead and client.stuck is None:
                return Lost(ErrorObject(message=str(error), type=type(error).__name__))
        except Overdue:
            return Lost(stuck=True)
        except BaseException as error:
            if is_interrupted():
                return Lost(interrupted=True)
            if not desk.dead and client.stuck is None:
                return Lost(escaped(error), exit_status(error))
        finally:
            desk.close()
        if client.stuck is not None:
            raise client.stuck
        return Lost(exit_status=desk.exit_status) if desk.dead else output_of(answer)

    def _handed(self, given: InvocationInput, desk: Desk, client: Client) -> Any:
        updated = {"updated_operation_ids": list(given.updated_operation_ids or ())}
        return self._sdk.invocation_input(
            durable_execution_arn=given.durable_execution_arn,
            checkpoint_token=given.checkpoint_token,
            initial_execution_state=self._sdk.initial_state(
                operations=self._convert(given.operations, desk),
                next_marker=given.next_marker or "",
            ),
            service_client=client,
            **{key: value for key, value in updated.items() if key in self._takes},
        )
