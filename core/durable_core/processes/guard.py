"""Refuses what a handler does to the world outside while it is verified, and says what it was.

This guard *tells*: what, by which line, in which thread and who started that. Code that sets out to
get round it can (an extension module, changes of our own objects): the operating system's walls, in
`sandbox`, are behind it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Final, Protocol

from durable_core.processes.guard_findings import refusal_of, with_refusals_told
from durable_core.sandbox.guard_hook import GuardedRun, Refused, hook_of_process, logging_to_nowhere
from durable_core.sandbox.guard_mode import GuardMode
from durable_core.verifying.session import ReplaySession
from durable_core.verifying.verification import Inconclusive, Verdict, Verification

__all__ = ["Guard", "Refused"]

_MOST_TOLD: Final = 50
"""Of so many attempts in a run each is told: a handler may repeat one in a loop for ever."""
_MOST_AT_ONCE: Final = 20
"""Of so many attempts of a history each is told at once: more may be more than a pipe takes, of
which the other end is read when there is an answer."""
_TAMPERED: Final = Inconclusive(
    "the handler changes the guard that watches over it",
    "take that out of the handler",
    is_refusal=True,
)
_FROM_THE_START: Final = -1
"""Before the moment of any divergence."""


class TellAtOnce(Protocol):
    """Hears at once what is refused, somewhere where the handler's code can't take it back."""

    def __call__(self, text: str, /, *, at_import: bool = False) -> None: ...


def _tell_nobody(text: str, /, *, at_import: bool = False) -> None:
    """Stand for who hears at once where there is only this process."""


class Guard:
    """Watches over the import of a handler, over its runs, and over what those leave running.

    `stays`: in a process that runs nothing else, so that whatever thread of it does something does
    so for the handler. Otherwise the guard sees to threads that came of a run only, and to nothing
    that others do.
    """

    def __init__(
        self,
        mode: GuardMode = GuardMode.BLOCK,
        *,
        stays: bool = False,
        allow_import: bool = False,
        tell_at_once: TellAtOnce = _tell_nobody,
    ) -> None:
        self._mode = mode
        self._stays = stays
        self._allow_import = allow_import
        self._tell_at_once = tell_at_once
        self._told_at_once: set[str] = set()
        self._told_of: object = None
        self._late: list[str] = []
        self._patience = _PATIENCE_SECONDS
        self._is_staying = False
        self.of: object = object()
        """The history whose runs are watched over; a new object for each."""

    @property
    def refuses(self) -> bool:
        """True where attempts are refused, not only told."""
        return self._mode is GuardMode.BLOCK

    @contextmanager
    def importing(self) -> Iterator[list[str]]:
        """Watch over the import of the handler. Yield what it attempts, each once."""
        attempts: list[str] = []
        if self._mode is GuardMode.OFF:
            yield attempts
            return

        def tell(text: str) -> None:
            if text not in attempts and len(attempts) < _MOST_TOLD:
                if self.refuses:
                    self._tell_at_once(text, at_import=True)
                attempts.append(text)

        self._stay()
        mode = GuardMode.OFF if self._allow_import else self._mode
        run = GuardedRun(mode, tell, "while the handler is imported", None)
        run.is_import = True
        logging = nullcontext() if self._allow_import else logging_to_nowhere()
        with hook_of_process().watching(run), logging:
            yield attempts
        if self._stays and self.refuses:
            hook_of_process().seal(self._tell_at_once)

    def _stay(self) -> None:
        if self._stays and not self._is_staying and self._mode is not GuardMode.OFF:
            self._is_staying = True
            idle = GuardedRun(self._mode, self._note_late, "after verifying", None)
            hook_of_process().stay(idle)

    def _note_late(self, text: str) -> None:
        if text not in self._late and len(self._late) < _MOST_TOLD:
            self._at_once(text)
            self._late.append(text)

    def _tell(self, session: ReplaySession, text: str) -> None:
        if self._mode is GuardMode.WARN:
            remark = f"the handler reaches outside of steps: {text}"
            if remark not in session.notes and len(session.notes) < _MOST_TOLD:
                session.note(remark)
            return
        self._at_once(text)
        if len(session.doubts) < _MOST_TOLD:
            doubt = refusal_of(text)
            session.doubt(doubt.reason, doubt.remedy, is_refusal=True)

    def _at_once(self, text: str) -> None:
        """Tell a new attempt of a history where nothing in this process takes it back."""
        if self._told_of is not self.of:
            self._told_of, self._told_at_once = self.of, set()
        told = self._told_at_once
        if self.refuses and text not in told and len(told) < _MOST_AT_ONCE:
            told.add(text)
            self._tell_at_once(text)

    def with_late(self, outcome: Verification) -> Verification:
        """Return the outcome of a history with what was attempted since its last run, by threads
        that it has left and when its objects were destroyed."""
        late, self._late[:] = self._late[:], []
        if not late:
            return outcome
        if not self.refuses or outcome.verdict is Verdict.DIVERGED:
            notes = (f"the handler reaches outside of steps: {each}" for each in late)
            return replace(outcome, notes=(*outcome.notes, *notes))
        return with_refusals_told(outcome, late)

    @contextmanager
    def __call__(self, session: ReplaySession) -> Iterator[None]:
        """Watch over what happens inside."""
        run = GuardedRun(
            self._mode,
            lambda text: self._tell(session, text),
            "while verifying",
            self.of,
            session,
        )
        session.missing.watching = run.over_serdes
        self._stay()
        writes_bytecode = sys.dont_write_bytecode
        sys.dont_write_bytecode = writes_bytecode or self._mode is not GuardMode.OFF
        hook = hook_of_process()
        try:
            with hook.watching(run):
                yield
                if self._mode is not GuardMode.OFF:
                    self._patience -= hook.wait_for_threads(run, min(_A_WHILE, self._patience))
                    if not hook.is_watching(run):
                        session.doubts.insert(0, (_FROM_THE_START, _TAMPERED))
        finally:
            sys.dont_write_bytecode = writes_bytecode


_A_WHILE: Final = 0.25
_PATIENCE_SECONDS: Final = 1.0
"""How long a run's end is put off for threads that it has left running, in seconds, and how long
all together: what they do at once is told of the run that it belongs to."""
