"""Where the calls of one invocation of AWS's SDK arrive, and how the service answers them.

The SDK calls its client from threads of its own; the simulated service has none. So each call
holds the desk's lock from its beginning to its end.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Final

from durable_core.adapters.aws_sdk.observed import Observed
from durable_core.limits import FUNCTION_TIMEOUT_SECONDS
from durable_core.model import OperationUpdate
from durable_core.native.checkpointer import RefusedCheckpoint, TransientFailure
from durable_core.native.signals import Overdue, ProcessDied
from durable_core.service.made_ids import made_uuid
from durable_core.service.values import THROTTLED, CheckpointAnswer, StatePage
from durable_core.simulation.link import ServiceLink

SENDS: Final = 5
"""How often botocore sends a request that is throttled or whose answer is lost (legacy mode)."""


SHORT_OF_DUE: Final = 0.001
"""How many seconds before something is due a back-off ends."""


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


class Desk:
    """Where the calls of one invocation arrive, one at a time, on virtual time.

    Virtual time stands still while the handler works. It moves on when the SDK, having worked on
    for that long in real time, asks whether something that was due has happened, and then to the
    moment when it was due, never beyond; and while botocore would wait to send a request again.
    """

    def __init__(self, link: ServiceLink, observed: Observed) -> None:
        self._link = link
        self._observed = observed
        self._lock = threading.Lock()
        self._real_began = time.time()
        self._requests = 0
        self._closed = False
        self.elapsed = 0.0
        self.dead = False
        self.exit_status = 1
        self.refusal: RefusedCheckpoint | None = None
        link.elapsed = lambda: self.elapsed

    def real_moment(self, moment: datetime) -> datetime:
        """Return a virtual moment as the SDK, which reads the real clock, has to see it."""
        return moment - self._link.began + datetime.fromtimestamp(self._real_began, tz=UTC)

    def checkpoint(self, token: str, updates: tuple[OperationUpdate, ...]) -> CheckpointAnswer:
        """Send a request as botocore would, and again where it would.

        Raises Died and ServiceError.
        """
        call = "CheckpointDurableExecution"
        with self._lock:
            if not updates:
                self._catch_up()
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

    def _catch_up(self) -> None:
        """Move on to what is due by now for a handler that worked that long in real time."""
        worked = timedelta(seconds=time.time() - self._real_began + 0.001)
        due = self._link.next_due()
        if due is not None and due <= self._link.began + worked:
            self.elapsed = max(self.elapsed, (due - self._link.began).total_seconds())

    def _back_off(self, seconds: float) -> None:
        """Wait as botocore does, but for what is due meanwhile.

        To the SDK, which reads the real clock, it isn't due yet: it would suspend, and nothing
        would wake it.
        """
        due = self._link.next_due()
        longest = seconds
        if due is not None:
            longest = (due - self._link.began).total_seconds() - self.elapsed - SHORT_OF_DUE
        self.elapsed += max(0.0, min(seconds, longest))

    def pass_time(self, seconds: float) -> None:
        """Let virtual time pass for the handler. Raises Overdue at the function's timeout."""
        with self._lock:
            self.elapsed = min(self.elapsed + seconds, FUNCTION_TIMEOUT_SECONDS)
            if self.elapsed >= FUNCTION_TIMEOUT_SECONDS:
                raise Overdue

    def get_state(self, token: str, marker: str) -> StatePage:
        """Return a page of the state. Raises Died and ServiceError."""
        with self._lock:
            self._check_alive()
            try:
                return self._link.get_state(token, marker)
            except RefusedCheckpoint as error:
                call = "GetDurableExecutionState"
                raise ServiceError(error.code, error.message, 400, call) from None

    def die(self, status: int) -> None:
        """Let no call through any more: the process of the invocation is gone."""
        with self._lock:
            self.dead = True
            self.exit_status = status

    def close(self) -> None:
        """Let no call through any more: the invocation is over."""
        with self._lock:
            self._closed = True

    def _check_alive(self) -> None:
        if self.dead or self._closed:
            raise Died("the process of this invocation is gone")
