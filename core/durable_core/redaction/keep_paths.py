"""Which parts of payloads a redaction keeps: paths like JSONPath, by the name of an operation.

    NAME              every payload and error of the operations with this name (or Id)
    NAME.field[0]     a field of their payloads, and what is in it
    NAME.items[*].id  of every item
    NAME..id          at any depth
    *..id             of every operation; `@input` and `@result` are those of the execution
    @names            the names of functions, executions and operations with the identifiers in them

A name or field that isn't a plain word is written `['two words']`. A leading `$.` is fine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, Final

from durable_core.errors import UsageError
from durable_core.frozen import dataclass
from durable_core.redaction.disguise import Path

INPUT: Final = "@input"
RESULT: Final = "@result"
NAMES: Final = "@names"
"""Every name, with the identifiers in it."""


class Wild(Enum):
    """Steps that match more than one thing."""

    ANY = "any one step"
    DEEP = "any number of steps"


Step = str | int | Wild

_STEP: Final = re.compile(
    r"""(?P<deep>\.\.)|\.?\[(?:(?P<index>[0-9]{1,9})|'(?P<single>[^']*)'|"(?P<double>[^"]*)")\]"""
    r"""|(?P<any>\.?\[\*\]|\.?\*)|\.?(?P<word>[^.\[\]*'"\s$][^.\[\]*'"]*)"""
)


@dataclass(frozen=True, slots=True)
class KeepPath:
    """One path as the user wrote it, and its steps; the first is the operation's name."""

    text: str
    steps: tuple[Step, ...]

    def keeps_operation(self, names: Iterable[str | None]) -> bool:
        """Tell whether everything of an operation with one of these names is kept."""
        return len(self.steps) == 1 and any(name and _fits(self.steps[0], name) for name in names)

    def keeps(self, names: Iterable[str | None], path: Path) -> bool:
        """Tell whether what stands there in a payload of the operation is kept, or on its way."""
        return self._is_named(names) and _leads(self.steps[1:], path)

    def passes(self, names: Iterable[str | None], path: Path) -> bool:
        """Tell whether the name of the field there has to stay, since the path goes through it."""
        return self._is_named(names) and (
            _leads_through(self.steps[1:], path) or _leads(self.steps[1:], path)
        )

    def _is_named(self, names: Iterable[str | None]) -> bool:
        return any(name is not None and _fits(self.steps[0], name) for name in names)


def parse_keep_path(text: str) -> KeepPath:
    """Return the path. Raises UsageError."""
    rest = re.sub(r"^\$\.?", "", text)
    steps: list[Step] = []
    at = 0
    while at < len(rest):
        match = _STEP.match(rest, at)
        if match is None:
            break
        steps.append(_step(match))
        at = match.end()
    if not steps or at < len(rest) or steps[0] is Wild.DEEP or steps[-1] is Wild.DEEP:
        raise UsageError(
            f"--keep {text!r} is not a path: expected an operation's name and what to keep of it, "
            "such as charge, charge.order.id, charge.items[*].id or *..id"
        )
    return KeepPath(text, tuple(steps))


def _step(match: re.Match[str]) -> Step:
    if match["deep"]:
        return Wild.DEEP
    if match["any"]:
        return Wild.ANY
    if match["index"]:
        return int(match["index"])
    return next(text for text in match.group("single", "double", "word") if text is not None)


def _fits(step: Step, part: str | int) -> bool:
    return step is Wild.ANY or step == part


def _leads(steps: Sequence[Step], path: Path) -> bool:
    """Tell whether the steps lead to the path or to something that it is in.

    Takes all steps that may come next along, so that the work is their number times the path's
    length, however many of them match any number of parts.
    """
    end = len(steps)
    may_be_next = _with_later(steps, {0})
    for part in path:
        if end in may_be_next:
            return True
        taken = {at + 1 for at in may_be_next if _fits(steps[at], part)}
        may_be_next = _with_later(
            steps, taken | {at for at in may_be_next if steps[at] is Wild.DEEP}
        )
    return end in may_be_next


def _with_later(steps: Sequence[Step], found: set[int]) -> set[int]:
    """Add the steps that come next where any number of steps may be none."""
    for at in sorted(found):
        while at < len(steps) and steps[at] is Wild.DEEP:
            at += 1
            found.add(at)
    return found


def _leads_through(steps: Sequence[Step], path: Path) -> bool:
    """Tell whether the steps lead through the path to something in it."""
    through = steps[: len(path)]
    return len(through) == len(path) and all(map(_fits, through, path))


_MOST_NAMES: Final = 200
"""More of a kind are counted."""
_KINDS: Final = (
    "Functions",
    "Executions",
    "Operations",
    "Units",
    "SubTypes",
    "EventTypes",
    "ErrorTypes",
)
FIELDS: Final = "Fields"


class KeptNames:
    """Names by what they are of, in the order in which they were met."""

    def __init__(self) -> None:
        self._names: dict[str, dict[str, None]] = {kind: {} for kind in _KINDS}
        self._summaries = 0

    def add(self, kind: str, name: str) -> None:
        """Note a name that was kept."""
        self._names[kind][name] = None

    def add_summary(self) -> None:
        """Note that a stored result's statuses were kept."""
        self._summaries += 1

    def named(self, fields: Iterable[str]) -> dict[str, Any]:
        """Return what was kept, as the document says it; `fields` are those of payloads."""
        names = {kind: list(found) for kind, found in self._names.items()}
        names[FIELDS] = list(fields)
        listed = {kind: _listed(found) for kind, found in names.items() if found}
        said: dict[str, Any] = {"Names": listed} if listed else {}
        return {**said, "Summaries": self._summaries} if self._summaries else said


def _listed(names: list[str]) -> list[str]:
    more = len(names) - _MOST_NAMES
    return names if more <= 0 else [*names[:_MOST_NAMES], f"and {more:,} more"]
