"""The operating system's walls around the processes that verify, and what is heard of them.

What the guard in a process refuses itself never gets as far as the walls. What does went past it,
and makes the history *cannot verify*, whatever the handler does with the refusal.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import Enum, auto
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Final

from durable_core.frozen import dataclass
from durable_core.processes.channel import Channel
from durable_core.verifying.verification import (
    ENFORCED,
    IN_PROCESS_ONLY,
    Cause,
    Inconclusive,
    Verdict,
    Verification,
)

if TYPE_CHECKING:
    from durable_core.sandbox.watcher import Watcher


@dataclass(frozen=True, slots=True)
class Walled:
    """A process has raised its walls. `missing` is what the system can't hold; `is_watched`: what
    it refuses can be heard."""

    missing: tuple[str, ...]
    is_watched: bool


class RaisedAt(Enum):
    """When a process raises its walls."""

    BEFORE_IMPORT = auto()
    AFTER_IMPORT = auto()
    """What the handler's modules do while they are imported is let through."""


class WorkerWalls:
    """The walls around this process, which writes its answers to `pipes` and to nothing else.

    `heard` goes to who hears of refusals, `scratch` is where temporary files go, `when` the walls
    are raised.
    """

    def __init__(
        self,
        scratch: str | None,
        heard: Connection,
        pipes: tuple[Channel, Connection],
        when: RaisedAt | None,
    ) -> None:
        self._scratch = scratch
        self._heard = heard
        self._pipe = pipes[0]
        self._ours = [each.fileno() for each in (*pipes, heard)]
        self._when = when

    def before_import(self) -> None:
        """Give up what no handler needs, and all rights if they are to be given up by now."""
        if self._when is None:
            return
        from durable_core.sandbox.descriptors import close_writable
        from durable_core.sandbox.scratch import use_for_temporary_files

        close_writable(self._ours)
        use_for_temporary_files(self._scratch)
        if self._when is RaisedAt.BEFORE_IMPORT:
            self._raise()

    def after_import(self) -> None:
        """Give up all rights if they are to be given up by now. What the handler has opened while
        it was let do what it likes stays open."""
        if self._when is not RaisedAt.AFTER_IMPORT:
            return
        from durable_core.sandbox.descriptors import writable

        self._raise(*([_LEFT_OPEN] if list(writable(self._ours)) else []))

    def _raise(self, *also_missing: str) -> None:
        """Raise the walls, for good, and tell the pool what comes of that."""
        from durable_core.sandbox.walls import raise_walls

        sys.dont_write_bytecode = True
        with socket.socket(fileno=os.dup(self._heard.fileno())) as watcher:
            self._heard.close()
            walls = raise_walls(self._scratch, watcher=watcher)
        self._pipe.send(Walled((*walls.missing, *also_missing), walls.is_watched))


_LEFT_OPEN: Final = "what the handler opened under --allow-import stays open"


def watcher_at(hearing: Connection, scratch: str | None) -> Watcher | None:
    """Return what hears of the process at the other end; None where it has ended."""
    from durable_core.sandbox.watcher import watcher_of

    with socket.socket(fileno=os.dup(hearing.fileno())) as process:
        try:
            return watcher_of(process, scratch)
        except OSError:
            return None


# -- what is said of it ----------------------------------------------------------------------------

_MOST_TOLD: Final = 20
_REMEDY: Final = "move it into a step: a replay does it again"


def with_guard(outcome: Verification, missing: Sequence[str]) -> Verification:
    """Return an outcome that says what kept the handler from reaching outside."""
    if not missing:
        return replace(outcome, guard=ENFORCED)
    return replace(outcome, guard=IN_PROCESS_ONLY, guard_reason="; ".join(missing))


def with_refusals(outcome: Verification, attempts: Iterable[str]) -> Verification:
    """Return an outcome that tells what the operating system refused the handler: what it came to
    may be a consequence of that."""
    raised = [each.where for each in outcome.divergences if each.cause is Cause.RAISED]
    then = f"; the code raises then at {raised[0]}" if raised and raised[0] is not None else ""
    doubts = [
        Inconclusive(
            f"the handler reaches outside of a step, past the guard in its process: {each}, which "
            f"the operating system refused{then}",
            _REMEDY,
        )
        for each in list(attempts)[:_MOST_TOLD]
    ]
    if not doubts:
        return outcome
    return replace(
        outcome,
        verdict=Verdict.CANNOT_VERIFY,
        doubts=(*outcome.doubts, *doubts),
        divergences=(),
        more_divergences=0,
    )


def note_of(attempt: str, *, is_import: bool) -> str:
    """Return what is said of what was refused while no history was verified."""
    who = "importing the handler" if is_import else "a thread that the handler has left"
    return (
        f"{who} reaches outside, past the guard in its process: {attempt}, which the operating "
        "system refused"
    )
