"""Which histories a command is given: files, folders, patterns, and what is no file."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from durable_cli.output import message
from durable_core.defects import defect_at
from durable_core.errors import SourceDefect, SourceError
from durable_core.history import RecordedHistory

Read = Callable[[str], RecordedHistory]
"""Returns the history of a source. Raises a DurableError."""


def all_sources(given: Sequence[str]) -> tuple[list[str], list[SourceDefect]]:
    """Return the sources, a folder as the JSON files in it and a pattern as what it matches; and
    the defects that showed while others were looked for, which aren't among the sources.

    What a folder or pattern finds that is there already isn't there twice; what is no file, such as
    a named pipe, is passed over with a line. One that finds nothing stays as it is: reading it
    tells, and the others are read all the same.
    """
    sources: list[str] = []
    defects: list[SourceDefect] = []
    known: set[str] = set()
    for source in given:
        try:
            inside = _inside(source)
        except Exception as error:
            defects.append(defect_at(source, error))
            continue
        sources += [path for path in inside or [source] if not inside or path not in known]
        known.update(inside or [source])
    return sources, defects


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
        return sorted(_files_in(source))
    if not _is_pattern(source):
        return []
    with _deep_folders():
        found = sorted(glob.glob(source, recursive=True))  # noqa: PTH207
    return [each for each in found if _is_file(each)]


def _is_folder(source: str) -> bool:
    return os.path.isdir(source)  # noqa: PTH112


def _is_pattern(source: str) -> bool:
    return glob.has_magic(source) and not os.path.exists(source)  # noqa: PTH110


def _files_in(folder: str) -> Iterator[str]:
    """Yield the JSON files in a folder, however deep. A link to a folder is not followed."""
    folders = [folder]
    while folders:
        at = folders.pop()
        try:
            with os.scandir(at) as entries:
                for each in entries:
                    if each.is_dir(follow_symlinks=False):
                        folders.append(each.path)
                    elif each.name.endswith(".json") and _is_file(each.path):
                        yield os.path.normpath(each.path)
        except OSError as error:
            message(f"{at}: passed over: can't be read: {error.strerror}")


def _is_file(path: str) -> bool:
    """Tell whether something that was found is to be read; say so where it isn't."""
    from durable_core.adapters.files import kind_of_file

    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except OSError:
        return True  # a link that leads nowhere is told when it is read
    kind = kind_of_file(mode)
    if kind is not None:
        message(f"{path}: passed over: {kind}, not a file")
    return kind is None and not os.path.isdir(path)  # noqa: PTH112


@contextmanager
def _deep_folders() -> Iterator[None]:
    """Let `glob` go as deep as a path can be long: it calls itself for each folder."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 20_000))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
