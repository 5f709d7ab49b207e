"""What AWS's SDK would wait for, for ever, and how that is found.

Nothing here goes by the time that something takes, but by what has happened after which nothing
more can come: the SDK's thread that sends checkpoints has ended, an update has been passed over,
every unit of a map or parallel has ended and it still waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from durable_core.errors import DurableError, printable

LOOK_SECONDS: Final = 0.05
LOOKS: Final = 4
"""How often a map or parallel has to look the same: its threads may be about to tell of a unit."""


class HandlerStuck(DurableError):
    """AWS's SDK waits for ever, for `operation`; `why` says what for.

    In the cloud the invocation runs into its timeout.
    """

    is_finding = True

    def __init__(self, operation: str, why: str) -> None:
        super().__init__(operation, why)
        self.operation = operation
        self.why = why

    def __str__(self) -> str:
        return printable(
            f"{self.operation}: {self.why}; in the cloud the invocation would time out"
        )


class UnitsEnded(threading.Event):
    """What a map or parallel of SDK 1.x waits for: that its units have ended.

    It doesn't learn of a unit that ended with a BaseException, as every thread does that waits for
    a checkpoint which fails, and waits on. Here it learns of it, as from 2.0 on, once no unit is at
    work any more that could still decide it: the others may be enough for its completion policy.
    Seen in 1.0.0 and 1.7.0 (`ConcurrentExecutor._on_task_complete`).
    """

    def __init__(self, units: Callable[[], Iterable[Any]], lost: Callable[[], BaseException]):
        super().__init__()
        self._units = units
        self._lost = lost
        self.ended = False
        self._can_resume = True

    def set(self) -> None:
        """Tell whoever waits that the units have ended."""
        self.ended = True
        super().set()

    def look_up(self, *, can_resume: bool) -> None:
        """Tell whoever waits that something happened of which nobody else tells.

        `can_resume`: whether units that wait for a moment will go on at that moment.
        """
        self._can_resume = self._can_resume and can_resume
        super().set()

    def wait(self, timeout: float | None = None) -> bool:
        """Return when the units have ended. Raises what there is to raise if they never will."""
        super().wait(timeout)
        before, alike = None, 0
        while not self.ended:
            picture = self._picture()
            alike = alike + 1 if picture is not None and picture == before else 0
            if alike >= LOOKS:
                raise self._lost()
            before = picture
            threading.Event().wait(LOOK_SECONDS)
        return True

    def _picture(self) -> tuple[str, ...] | None:
        """Return the statuses of the units; None while one of them is at work or will be."""
        statuses = []
        for unit in self._units():
            future = getattr(unit, "_future", None)
            status = unit.status.name
            if future is not None and future.running():
                return None
            if self._can_resume and status == "SUSPENDED_WITH_TIMEOUT":
                return None
            statuses.append(status)
        return tuple(statuses)
