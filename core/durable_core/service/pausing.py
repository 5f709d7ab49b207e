"""The pause of an execution: asked for, begun, resumed, and what that does to its timeout."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from durable_core.events import seconds_after
from durable_core.service.ledger import Ledger
from durable_core.service.values import RESOURCE_CONFLICT, Pause, Refusal

NOT_RUNNING: Final = Refusal(RESOURCE_CONFLICT, "The execution is not running.", 409)
NOT_PAUSED: Final = Refusal(RESOURCE_CONFLICT, "The execution is not paused.", 409)

PAUSED: Final = "the execution is paused"
RESUMED: Final = "the execution was resumed"
SUPERSEDED: Final = "a newer invocation took over"


class Pausing:
    """The pause that an execution is in, or that waits for its invocation to end.

    `asked` is None where there is none, `taken` are all that ever were. Nothing is judged here:
    who calls has seen to it that the execution can be paused or resumed.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._began: datetime | None = None
        self._due: datetime | None = None
        self.asked: Pause | None = None
        self.requested: datetime | None = None
        self.taken: list[Pause] = []

    @property
    def has_begun(self) -> bool:
        """True once no invocation runs any more."""
        return self._began is not None

    def ask(self, now: datetime, asked: Pause) -> None:
        """Note that a pause is asked for."""
        self.taken.append(asked)
        self.asked, self.requested, self._began, self._due = asked, now, None, None

    def begin(self, now: datetime) -> None:
        """Write that the execution is paused."""
        assert self.asked is not None
        assert self.requested is not None
        self._began = now
        self._due = self._ledger.pause(now, self.requested, self.asked)

    def end(self, now: datetime, reason: str | None) -> None:
        """Forget the pause; where it had begun, write that the execution goes on."""
        began, due, asked = self._began, self._due, self.asked
        self.forget()
        if began is None or asked is None:
            return
        if due is not None and asked.timeout_paused:
            due = seconds_after(due, (now - began).total_seconds())
        self._ledger.resume(now, reason, due)

    def forget(self) -> None:
        """Forget the pause: the execution has ended."""
        self.asked = self.requested = self._began = self._due = None
