"""Where the calls of one invocation of AWS's SDK arrive, and how the service answers them.

The SDK calls its client from threads of its own, of which one runs at a time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from durable_core.model import OperationUpdate
from durable_core.native.checkpointer import RefusedCheckpoint, TransientFailure
from durable_core.runtimes.aws_python.invocation_observer import InvocationObserver
from durable_core.sandbox.threads.scheduler import Scheduler
from durable_core.sandbox.threads.tasks import SECOND, current_task
from durable_core.service.deterministic_ids import made_uuid
from durable_core.service.values import THROTTLED, CheckpointAnswer, StatePage
from durable_core.signals import ProcessDied
from durable_core.simulation.link import ServiceLink

SENDS: Final = 5
"""How often botocore sends a request that is throttled or whose answer is lost (legacy mode)."""


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Died(Exception):
    """The process of the invocation is dead; the SDK is told that its checkpoint failed.

    The SDK takes it to every thread that waits for a checkpoint, in a BaseException of its own, so
    that no `except Exception` of the handler catches it.
    """


class ServiceError(Exception):
    """A refusal, in the shape of botocore's ClientError, by which the SDK classifies it."""

    def __init__(self, code: str, message: str, status_code: int, call: str) -> None:
        super().__init__(f"An error occurred ({code}) when calling the {call} operation: {message}")
        self.response = {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status_code},
        }


class ServiceEndpoint:
    """Where the calls of one invocation arrive, on the virtual time of its threads.

    That stands still while any of them works, and while botocore would send a request; it passes
    while botocore would wait to send one again.
    """

    def __init__(
        self, link: ServiceLink, observed: InvocationObserver, scheduler: Scheduler
    ) -> None:
        self._link = link
        self._observed = observed
        self._scheduler = scheduler
        self._requests = 0
        self._closed = False
        self.dead = False
        self.exit_status = 1
        self.refusal: RefusedCheckpoint | None = None
        self.began = (link.began - _EPOCH) // _MICROSECOND
        link.elapsed = lambda: self.elapsed

    @property
    def elapsed(self) -> float:
        """The virtual seconds since the invocation began."""
        return max(0, self._scheduler.now - self.began) / SECOND

    def checkpoint(self, token: str, updates: tuple[OperationUpdate, ...]) -> CheckpointAnswer:
        """Send a request as botocore would, and again where it would.

        Raises Died and ServiceError.
        """
        call = "CheckpointDurableExecution"
        self._requests += 1
        client_token = made_uuid("client token", token, self._requests)
        for attempt in range(1, SENDS + 1):
            self._check_alive()
            try:
                answer = self._link.checkpoint(token, updates, client_token)
            except TransientFailure:
                self._back_off(2.0 ** (attempt - 1))
            except ProcessDied as error:
                self._observed.sent(updates, attempt)
                self.dead = True
                raise Died(str(error)) from None
            except RefusedCheckpoint as error:
                self._observed.sent(updates, attempt, refused=str(error))
                self.refusal = error
                raise ServiceError(error.code, error.message, 400, call) from None
            else:
                self._observed.sent(updates, attempt)
                return answer
        self._observed.sent(updates, SENDS, refused=str(THROTTLED))
        raise ServiceError(THROTTLED.code, THROTTLED.message, THROTTLED.status_code, call)

    def _back_off(self, seconds: float) -> None:
        """Wait as botocore does."""
        if current_task() is not None:
            self._scheduler.sleep(seconds)

    def get_state(self, token: str, marker: str) -> StatePage:
        """Return a page of the state. Raises Died and ServiceError."""
        self._check_alive()
        try:
            return self._link.get_state(token, marker)
        except RefusedCheckpoint as error:
            call = "GetDurableExecutionState"
            raise ServiceError(error.code, error.message, 400, call) from None

    def die(self, status: int) -> None:
        """Let no call through any more: the process of the invocation is gone."""
        self.dead = True
        self.exit_status = status

    def close(self) -> None:
        """Let no call through any more: the invocation is over."""
        self._closed = True

    def _check_alive(self) -> None:
        if self.dead or self._closed:
            raise Died("the process of this invocation is gone")
