"""Which histories a command is given: files, folders, patterns, and what is no file."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from durable_core.errors import SourceError
from durable_core.history import RecordedHistory

Read = Callable[[str], RecordedHistory]
"""Returns the history of a source. Raises a DurableError."""


def all_sources(given: Sequence[str]) -> list[str]:
    """Return the sources, a folder as the JSON files in it and a pattern as what it matches.

    What a folder or pattern finds that is there already isn't there twice. One that finds nothing
    stays as it is: reading it tells, and the others are read all the same.
    """
    sources: list[str] = []
    for source in given:
        inside = _inside(source)
        known = set(sources) if inside else ()
        sources += [path for path in inside or [source] if path not in known]
    return sources


def telling_what_is_empty(read: Read) -> Read:
    """Return what reads a source, and says of a folder or pattern that nothing was found by it."""

    def reading(source: str) -> RecordedHistory:
        if _is_folder(source):
            raise SourceError(source, "no history in it: expected files named *.json")
        if _is_pattern(source):
            raise SourceError(source, "matches no file")
        return read(source)

    return reading


def _inside(source: str) -> list[str]:
    if _is_folder(source):
        return sorted(str(path) for path in Path(source).rglob("*.json"))
    return sorted(glob.glob(source, recursive=True)) if _is_pattern(source) else []  # noqa: PTH207


def _is_folder(source: str) -> bool:
    return os.path.isdir(source)  # noqa: PTH112


def _is_pattern(source: str) -> bool:
    return glob.has_magic(source) and not os.path.exists(source)  # noqa: PTH110
