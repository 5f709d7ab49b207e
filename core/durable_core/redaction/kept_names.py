"""Which names a redaction kept: who shares the history is to read them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

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
