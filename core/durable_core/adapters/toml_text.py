"""The text of a TOML file, and at which of its lines a key stands."""

from __future__ import annotations

import re
from typing import Final

from durable_core.adapters.files import read_file
from durable_core.errors import SourceError
from durable_core.limits import MIB

_MOST_TOML_BYTES: Final = 4 * MIB


def text_of_toml(path: str) -> str:
    """Return the text of a file that should be TOML. Raises SourceError."""
    data = read_file(path, path, _MOST_TOML_BYTES, "expected a TOML file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(path, f"not UTF-8 at byte {error.start:,}: expected TOML") from None


_KEY: Final = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')"""
_DOTTED: Final = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER: Final = re.compile(rf"\s*\[\s*({_DOTTED})\s*\]")
_ASSIGNMENT: Final = re.compile(rf"\s*({_DOTTED})\s*=")


def line_of_key(text: str, where: tuple[str, ...]) -> int | None:
    """Return the line, from 1, of TOML text at which a key is set, or the table that it is in.

    `tomllib` says the lines of its own errors only.
    """
    best, found = 0, None
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            at = table = _parts(header[1])
        elif assignment := _ASSIGNMENT.match(line):
            at = (*table, *_parts(assignment[1]))
        else:
            continue
        if len(at) > best and where[: len(at)] == at:
            best, found = len(at), number
    return found


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_KEY, dotted))
