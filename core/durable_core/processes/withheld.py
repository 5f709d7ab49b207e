"""Which variables that are withheld from a handler its code reads, and what that leaves open."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from types import FrameType
from typing import Any, Final

from durable_core.frozen import dataclass
from durable_core.runtimes.handler_errors import HandlerError, ImportFailed
from durable_core.sandbox.step_bodies import running_body
from durable_core.sandbox.user_code import CodeLine, is_installed, is_users, shown
from durable_core.verifying.verification import Cause, Fate, Inconclusive, Verdict, Verification


@dataclass(frozen=True, slots=True)
class _Reading:
    """A variable, and the line that reads it. `is_librarys`: an installed package does."""

    name: str
    line: CodeLine
    is_librarys: bool


class Withheld:
    """The variables that aren't handed, by their names, and who has read one of them."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = set(names)
        self._at_import: dict[_Reading, None] = {}
        self._reads: dict[_Reading, None] = {}
        self._copied_at: tuple[int, int] | None = None

    def install(self) -> None:
        """Note from now on who reads them. Can't be undone."""
        if self._names:
            variables = _Variables(self, vars(os.environ)["_data"])
            for environment in (os.environ, getattr(os, "environb", None)):
                if environment is not None:
                    vars(environment)["_data"] = variables

    def imported(self) -> None:
        """Tell what is read from now on from what was read while the handler was imported."""
        self._at_import, self._reads = self._reads, {}

    def note(self, name: str) -> None:
        """Note that a variable is read, if it is one of them and not read in a step."""
        if name not in self._names or running_body.get() is not None:
            return
        frame = _users_frame()
        if frame is None or _place(frame) == self._copied_at:
            return
        code = frame.f_code
        line = CodeLine(code.co_filename, frame.f_lineno, code.co_name)
        self._reads.setdefault(_Reading(name, line, is_installed(code.co_filename)))

    def note_all(self) -> None:
        """Note that all variables are gone through: who copies them all reads none by name."""
        frame = _users_frame()
        self._copied_at = None if frame is None else _place(frame)

    def set_by_handler(self, name: str) -> None:
        """Forget a variable that has a value of the handler's own."""
        self._names.discard(name)

    def failed_import(self, error: Exception) -> Inconclusive | None:
        """Return why nothing can be verified where the import failed for want of one; None where
        it failed for another reason."""
        if not isinstance(error, ImportFailed):
            return None
        said = (name for name in self._names if _is_said(name, error))
        names = dict.fromkeys([*(each.name for each in self._reads), *said])
        if not names:
            return None
        reads = self._reads or ()
        what = _told(reads) if reads else ", ".join(names)
        return Inconclusive(f"{error.problem}; not handed: {what}", _remedy(names))

    def blamed_for(self, why: str, remedy: str) -> tuple[str, str]:
        """Return why a process ended, and what to do, with what was read until then."""
        reads = [each for each in (*self._at_import, *self._reads) if not each.is_librarys]
        if not reads:
            return why, remedy
        return f"{why}; not handed: {_told(reads)}", _remedy(each.name for each in reads)

    def judged(self, outcome: Verification) -> Verification:
        """Return the verification with what was read in it: what the code does by a variable that
        it isn't handed says nothing of what it does with it."""
        reads = [*self._at_import, *self._reads]
        self._reads = {}
        own = [each for each in reads if not each.is_librarys]
        seen = outcome.first
        if outcome.verdict is Verdict.DIVERGED:
            failed = seen is not None and seen.cause is Cause.RAISED
            counted = own or (reads if failed else [])
            return _unsure(outcome, counted) if counted else outcome
        if not own:
            return outcome
        note = f"not handed to the code: {_told(own)}; with it the code may go another way"
        remedy = _remedy(each.name for each in own)
        return replace(outcome, notes=(*outcome.notes, f"{note} ({remedy})"))


def _users_frame() -> FrameType | None:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not is_users(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def _place(frame: FrameType) -> tuple[int, int]:
    return id(frame), frame.f_lasti


class _Variables(dict[Any, Any]):
    """What `os.environ` and `os.environb` keep the variables in, which tells who reads one."""

    def __init__(self, withheld: Withheld, variables: Mapping[Any, Any]) -> None:
        super().__init__(variables)
        self._withheld = withheld

    def __getitem__(self, key: Any) -> Any:
        self._withheld.note(os.fsdecode(key))
        return super().__getitem__(key)

    def __iter__(self) -> Iterator[Any]:
        self._withheld.note_all()
        return super().__iter__()

    def __setitem__(self, key: Any, value: Any) -> None:
        self._withheld.set_by_handler(os.fsdecode(key))
        super().__setitem__(key, value)


def _is_said(name: str, error: HandlerError) -> bool:
    """Tell whether an error names a variable: validators of settings read all of them at once."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", error.problem, re.IGNORECASE) is not None


def _unsure(outcome: Verification, reads: Iterable[_Reading]) -> Verification:
    seen = outcome.first
    why = f" ({seen.why})" if seen is not None else ""
    doubt = Inconclusive(
        f"the code leaves the record there{why}, but it was not handed {_told(reads)}: with it the "
        "code may go another way",
        _remedy(each.name for each in reads),
        seen.position if seen is not None else None,
    )
    runs_on = outcome.this_execution in (Fate.SAFE, Fate.BREAKS)
    fate = None if runs_on else outcome.this_execution
    return replace(outcome, verdict=Verdict.CANNOT_VERIFY, doubts=(doubt,), this_execution=fate)


_MOST: Final = 3


def _told(reads: Iterable[_Reading]) -> str:
    """Return the variables in words, each with the first line that reads it."""
    lines: dict[str, CodeLine] = {}
    for each in reads:
        lines.setdefault(each.name, each.line)
    said = [f"{name}, which is read at {shown(line)}" for name, line in lines.items()]
    more = f" and {len(said) - _MOST:,} more" if len(said) > _MOST else ""
    return ", ".join(said[:_MOST]) + more


def _remedy(names: Iterable[str]) -> str:
    options = " ".join(f"--env {name}" for name in dict.fromkeys(names))
    return f"{options} hands it over"
