"""What can be made to go wrong in a simulation, as values that a driver looks up.

Nothing here does anything: a driver asks `Faults.at(invocation, checkpoint)` before it sends a
checkpoint request, and acts on the answer. Invocations and the checkpoint requests of each are
counted from 1; a request that is sent again is the same checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from enum import StrEnum

from durable_core.frozen import dataclass


class FaultKind(StrEnum):
    """What happens at a checkpoint request.

    `CRASH_BEFORE`: the process dies, the request is never sent. `CRASH_AFTER`: the request is
    persisted, then the process dies. `LOST_RESPONSE`: the request is persisted, its answer never
    arrives, the caller sends it again with the same client token. `THROTTLE`: the request is
    refused with TooManyRequestsException `times` times, and nothing is persisted. `SUPERSEDED`: the
    request is persisted, and its answer has no token, since a newer invocation has taken over.
    """

    CRASH_BEFORE = "crash-before"
    CRASH_AFTER = "crash-after"
    LOST_RESPONSE = "lost-response"
    THROTTLE = "throttle"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong at one checkpoint request of one invocation."""

    kind: FaultKind
    invocation: int
    checkpoint: int
    times: int = 1

    def __post_init__(self) -> None:
        for name in ("invocation", "checkpoint", "times"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} of a fault counts from 1")


@dataclass(frozen=True, slots=True)
class Faults:
    """All that goes wrong in one run. Of two faults at one checkpoint, the first given stands."""

    faults: tuple[Fault, ...] = ()
    _by_point: dict[tuple[int, int], Fault] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_point: dict[tuple[int, int], Fault] = {}
        for fault in self.faults:
            by_point.setdefault((fault.invocation, fault.checkpoint), fault)
        object.__setattr__(self, "_by_point", by_point)

    def __bool__(self) -> bool:
        return bool(self.faults)

    @property
    def kill(self) -> bool:
        """Whether the process of an invocation dies of any of them."""
        crashes = (FaultKind.CRASH_BEFORE, FaultKind.CRASH_AFTER)
        return any(fault.kind in crashes for fault in self.faults)

    def at(self, invocation: int, checkpoint: int) -> Fault | None:
        """Return what goes wrong at this checkpoint request, or None."""
        return self._by_point.get((invocation, checkpoint))


NO_FAULTS = Faults()


def every_crash(checkpoints: Iterable[int]) -> Iterator[Faults]:
    """Yield one set of faults per place where a clean run can crash, in the order of the run.

    `checkpoints` is how many checkpoint requests each invocation of the clean run sent. Each
    request gives two: a crash before it, and one after it.
    """
    for invocation, count in enumerate(checkpoints, start=1):
        for checkpoint in range(1, count + 1):
            for kind in (FaultKind.CRASH_BEFORE, FaultKind.CRASH_AFTER):
                yield Faults((Fault(kind, invocation, checkpoint),))
