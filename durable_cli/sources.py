"""Which histories a command is given: files, folders, patterns, and what is no file."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from durable_cli.output import message
from durable_core.errors import UsageError


def all_sources(given: Sequence[str]) -> list[str]:
    """Return the sources, a folder as the JSON files in it and a pattern as what it matches.

    What a folder or pattern finds that is there already isn't there twice; what is no file, such as
    a named pipe, is passed over with a line. Raises UsageError where nothing is found.
    """
    sources: list[str] = []
    known: set[str] = set()
    for source in given:
        if os.path.isdir(source):  # noqa: PTH112
            inside = sorted(_files_in(source))
            if not inside:
                raise UsageError(f"{source}: no history in it: expected files named *.json")
        elif glob.has_magic(source) and not os.path.exists(source):  # noqa: PTH110
            with _deep_folders():
                inside = sorted(glob.glob(source, recursive=True))  # noqa: PTH207
            inside = [each for each in inside if _is_file(each)]
            if not inside:
                raise UsageError(f"{source}: matches no file")
        else:
            sources.append(source)
            known.add(source)
            continue
        sources += [path for path in inside if path not in known]
        known.update(inside)
    return sources


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
