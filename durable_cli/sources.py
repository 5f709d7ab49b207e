"""Which histories a command is given: files, folders, patterns, and what is no file."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from durable_core.errors import UsageError


def all_sources(given: Sequence[str]) -> list[str]:
    """Return the sources, a folder as the JSON files in it and a pattern as what it matches.

    What a folder or pattern finds that is there already isn't there twice. Raises UsageError where
    nothing is found.
    """
    sources: list[str] = []
    for source in given:
        if os.path.isdir(source):  # noqa: PTH112
            inside = sorted(str(path) for path in Path(source).rglob("*.json"))
            if not inside:
                raise UsageError(f"{source}: no history in it: expected files named *.json")
        elif glob.has_magic(source) and not os.path.exists(source):  # noqa: PTH110
            inside = sorted(glob.glob(source, recursive=True))  # noqa: PTH207
            if not inside:
                raise UsageError(f"{source}: matches no file")
        else:
            sources.append(source)
            continue
        known = set(sources)
        sources += [path for path in inside if path not in known]
    return sources
