"""The conversation of one invocation with the simulated service, faults included.

Synchronous and without time of its own: whoever runs the invocation says how much has passed. The
native runtime talks to it through `AsyncLink`, an adapter for another SDK directly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from durable_core.model import CheckpointRequest, OperationUpdate
from durable_core.native.checkpointer import RefusedCheckpoint, TransientFailure
from durable_core.service.clock import VirtualClock
from durable_core.service.faults import NO_FAULTS, Fault, FaultKind, Faults
from durable_core.service.simulated import SimulatedService
from durable_core.service.values import (
    THROTTLED,
    TOO_MANY_REQUESTS,
    CheckpointAnswer,
    Effect,
    Invocation,
    Refusal,
    StatePage,
)
from durable_core.signals import ProcessDied


class ServiceLink:
    """What one invocation sends to the service. `on_effects` hears what the world has to do,
    `on_request` of each checkpoint, by invocation and number, before it reaches the service.

    `elapsed`, which the runner may set, returns the virtual seconds since the invocation `began`.
    `requests` are those that reached the service, `checkpoints` how many the invocation made, a
    request that is sent again not counted; `met` are the faults that happened.
    """

    def __init__(
        self,
        service: SimulatedService,
        invocation: Invocation,
        clock: VirtualClock,
        *,
        faults: Faults = NO_FAULTS,
        on_effects: Callable[[Sequence[Effect]], None] = lambda effects: None,
        on_answer: Callable[[], None] = lambda: None,
        on_request: Callable[[int, int], None] = lambda invocation, checkpoint: None,
    ) -> None:
        self._service = service
        self._clock = clock
        self.invocation = invocation
        self.began = clock.now
        self.elapsed: Callable[[], float] = lambda: 0.0
        self._faults = faults
        self._on_effects = on_effects
        self._on_answer = on_answer
        self._on_request = on_request
        self._client_token: str | None = None
        self._sends = 0
        self.checkpoints = 0
        self.requests: list[CheckpointRequest] = []
        self.met: list[Fault] = []

    def now(self) -> datetime:
        """Return the time of the execution."""
        return self._clock.advance_to(self.began + timedelta(seconds=self.elapsed()))

    def next_due(self) -> datetime | None:
        """Return when something happens next by itself at the service, or None."""
        return self._service.next_due()

    def checkpoint(
        self, token: str, updates: Sequence[OperationUpdate], client_token: str
    ) -> CheckpointAnswer:
        """Send a checkpoint request.

        Raises TransientFailure, RefusedCheckpoint, and ProcessDied where a crash is injected.
        """
        if client_token != self._client_token:
            self._client_token = client_token
            self.checkpoints += 1
            self._sends = 0
        self._sends += 1
        fault = self._faults.at(self.invocation.number, self.checkpoints)
        kind = None if fault is None else fault.kind
        if fault is not None:
            self.met.append(fault)
        if kind is FaultKind.CRASH_BEFORE:
            raise ProcessDied(f"crashed before checkpoint {self.checkpoints}")
        if fault is not None and kind is FaultKind.THROTTLE and self._sends <= fault.times:
            raise TransientFailure(str(THROTTLED))
        request = CheckpointRequest(tuple(updates), self._service.arn, token, client_token)
        if self._sends == 1:
            self._on_request(self.invocation.number, self.checkpoints)
            if kind is FaultKind.SUPERSEDED:
                self._service.supersede()
        answer = self._apply(request)
        if kind is FaultKind.CRASH_AFTER:
            raise ProcessDied(f"crashed after checkpoint {self.checkpoints}")
        if kind is FaultKind.LOST_RESPONSE and self._sends == 1:
            raise TransientFailure("the answer was lost")
        return answer

    def _apply(self, request: CheckpointRequest) -> CheckpointAnswer:
        if self._sends == 1 or not self.requests or self.requests[-1] != request:
            self.requests.append(request)
        answer = self._service.apply(self.now(), request)
        if isinstance(answer, Refusal):
            raise _error(answer)
        self._on_effects(answer.effects)
        self._on_answer()
        return answer

    def get_state(self, token: str, marker: str | None = None) -> StatePage:
        """Return a page of state. Raises RefusedCheckpoint."""
        page = self._service.get_state(token, marker, self._service.limits.state_page_operations)
        if isinstance(page, Refusal):
            raise _error(page)
        return page


class AsyncLink:
    """A link as the native runtime's checkpointer wants it. Never really waits."""

    def __init__(self, link: ServiceLink) -> None:
        self._link = link

    async def checkpoint(
        self, token: str, updates: Sequence[OperationUpdate], client_token: str
    ) -> CheckpointAnswer:
        """Send a checkpoint request."""
        return self._link.checkpoint(token, updates, client_token)

    async def get_state(self, token: str, marker: str) -> StatePage:
        """Return a page of state."""
        return self._link.get_state(token, marker)


def _error(refusal: Refusal) -> Exception:
    if refusal.code == TOO_MANY_REQUESTS:
        return TransientFailure(str(refusal))
    return RefusedCheckpoint(
        refusal.code, refusal.message, refusal.operation_id, refusal.size, refusal.limit
    )
