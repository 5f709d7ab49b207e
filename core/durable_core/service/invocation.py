"""The invocation that runs, the tokens it checkpoints with, and whether another one is to be tried.

Source: the service model (botocore 1.44) and, where it is silent, AWS's Python testing library
1.4.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from durable_core.events import seconds_after
from durable_core.frozen import dataclass
from durable_core.limits import ServiceLimits
from durable_core.model import ErrorObject, Operation
from durable_core.service.answers import EMPTY_PENDING
from durable_core.service.changes import Alarm, InvokeAgain
from durable_core.service.clock import Timers
from durable_core.service.deterministic_ids import made_token
from durable_core.service.state import OperationStore
from durable_core.service.values import (
    CheckpointAnswer,
    ExecutionStart,
    InvocationPolicy,
    StatePage,
)

DEFAULT_PAGE_ITEMS: Final = 100
"""Operations in a page of GetDurableExecutionState where the request doesn't say (model)."""


@dataclass(slots=True)
class RunningInvocation:
    """The invocation that runs. `view` is what its pages of state are cut from.

    `over` says why the answer to its next checkpoint has no token, None while it has one; `cut` is
    that, once there was such an answer.
    """

    request_id: str
    started: datetime
    view: Sequence[Operation]
    view_token: str
    over: str | None = None
    cut: str | None = None

    def page(
        self, store: OperationStore, limits: ServiceLimits, start: int = 0, items: int | None = None
    ) -> StatePage:
        """Return the page of the view that begins at `start`, no larger than the limits allow."""
        most = limits.state_page_operations
        most = most if items is None else min(items, most)
        end = store.page_end(self.view, start, most, limits.state_page_bytes)
        marker = f"{self.view_token}:{end}" if end < len(self.view) else None
        return StatePage(tuple(self.view[start:end]), marker)

    def start_of(self, marker: str, token: str) -> int | None:
        """Return where the page of a marker begins; None for one that isn't of this view."""
        given, _, index = marker.rpartition(":")
        if not given == self.view_token == token or not index.isdecimal():
            return None
        return int(index)


class CheckpointTokens:
    """The token that is good now, and the answer to the last request, to be given again.

    `current` is None while no invocation runs, and once the one that does has to end.
    """

    def __init__(self, start: ExecutionStart) -> None:
        self._arn, self._seed = start.execution_arn, start.seed
        self._count = 0
        self._last: tuple[str, str, CheckpointAnswer] | None = None
        self.current: str | None = None

    def make(self) -> str:
        """Return the next token. None is made twice."""
        self._count += 1
        return made_token("checkpoint", self._arn, self._seed, self._count)

    def repeated(self, token: str | None, client: str | None) -> CheckpointAnswer | None:
        """Return the answer to the last request where this one repeats both of its tokens."""
        last = self._last
        return last[2] if last is not None and (token, client) == last[:2] else None

    def remember(self, token: str, client: str | None, answer: CheckpointAnswer) -> None:
        """Keep an answer for a request that repeats both tokens: it has no effects again."""
        repeated = replace(answer, effects=()) if answer.effects else answer
        self._last = (token, client, repeated) if client else None


class InvocationRetries:
    """Whether the handler is to be invoked, or invoked again after one that came to nothing."""

    def __init__(self, policy: InvocationPolicy, timers: Timers[Alarm]) -> None:
        self._policy = policy
        self._timers = timers
        self._failures = 0
        self._later: int | None = None
        self.is_due = True

    def begin(self) -> bool:
        """Note that an invocation begins; return True where the one before came to nothing."""
        self.is_due = False
        if self._later is not None:
            self._timers.cancel(self._later)
        return self._failures > 0

    def succeed(self) -> None:
        """Note that an invocation came to something: those that don't are counted in a row."""
        self._failures = 0

    def fail(self, now: datetime, error: ErrorObject) -> bool:
        """Note why an invocation came to nothing, and set when the next one is due.

        Return False when there is to be none.
        """
        self._failures += 1
        policy = self._policy
        empty = error is EMPTY_PENDING
        if self._failures >= (policy.empty_pending_attempts if empty else policy.attempts):
            return False
        due = seconds_after(now, policy.backoff_seconds)
        self._later = self._timers.set(due, InvokeAgain())
        return True
