"""What is shown of two long texts that differ: the part in which they first do. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from durable_core.limits import LIMITS
from durable_core.patterns import pattern

_SHOWN_OF_A_NAME: Final = 40
_LOOKED_BACK: Final = 32
"""How far a character that people see, or an escape, may reach back."""
_ESCAPE: Final = pattern(r"\\(?:u[0-9a-fA-F]{4}(?:\\u[dD][c-fC-F][0-9a-fA-F]{2})?|.)", re.DOTALL)
_JOINER: Final = "\u200d"


def excerpts(one: str | None, other: str | None, most: int) -> tuple[str | None, str | None]:
    """Return what is shown of two texts side by side: both from the same place on, which is a
    little before their first difference where that would not be seen otherwise.

    `most` is how many columns of a terminal each may take; what is left out is told beside it.
    """
    if one is None or other is None:
        return excerpt(one, most), excerpt(other, most)
    at = first_difference(one, other)
    lead = most // 4
    start = 0 if at <= most - lead else _boundary(one, at - lead)
    return excerpt(one, most, start), excerpt(other, most, start)


def excerpt(text: str | None, most: int, start: int = 0) -> str | None:
    """Return what is shown of a text, from a character on: all of it where it has room."""
    if text is None:
        return None
    end = _end(text, start, most)
    if start == 0 and end == len(text):
        return text
    before, after = "..." if start else "", "..." if end < len(text) else ""
    return f"{before}{text[start:end]}{after} ({len(text):,} characters)"


def short_name(name: str) -> str:
    """Return what is shown of a name: all of one that the service takes."""
    return name if len(name) <= LIMITS.name_length else excerpt(name, _SHOWN_OF_A_NAME) or ""


def labelled(kind: str, name: str | None) -> str:
    """Return an operation as reports call it, `Step "charge"`, whatever the length of its name."""
    return f'{short_name(kind)} "{short_name(name)}"' if name else short_name(kind)


def first_difference(one: str, other: str) -> int:
    """Return how many characters two texts begin with in common."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _end(text: str, start: int, most: int) -> int:
    """Return where an excerpt ends that takes so many columns at most."""
    columns = 0
    for end in range(start, len(text)):
        columns += _columns(text[end])
        if columns > most:
            return max(_boundary(text, end), start + 1)
    return len(text)


def _columns(character: str) -> int:
    if character.isascii():
        return 1
    if unicodedata.combining(character) or character == _JOINER:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _boundary(text: str, at: int) -> int:
    """Return the last place up to `at` where neither a character, as people see them, nor an escape
    of JSON is cut in two."""
    least = max(0, at - _LOOKED_BACK)
    while at > least and _continues(text, at):
        at -= 1
    first = least
    while first > 0 and text[first - 1] == "\\":
        first -= 1  # a backslash may itself be escaped
    for escape in _ESCAPE.finditer(text, first, at + 12):
        if escape.start() < at < escape.end():
            return escape.start()
    return at


def _continues(text: str, at: int) -> bool:
    """Return True where the character at a place is seen as one with the one before it."""
    if at >= len(text):
        return False
    here, before = text[at], text[at - 1]
    if here.isascii() and before.isascii():
        return here == "\n" and before == "\r"
    return (
        unicodedata.category(here) in ("Mn", "Mc", "Me")
        or _JOINER in (here, before)
        or "\U0001f3fb" <= here <= "\U0001f3ff"  # the colour of a skin
        or ("\udc00" <= here <= "\udfff" and "\ud800" <= before <= "\udbff")
        or (_is_flag(here) and _flags_before(text, at) % 2 == 1)
    )


def _flags_before(text: str, at: int) -> int:
    first = at
    while first > 0 and _is_flag(text[first - 1]):
        first -= 1
    return at - first


def _is_flag(character: str) -> bool:
    """Return True for half of a flag: two letters together are one."""
    return "\U0001f1e6" <= character <= "\U0001f1ff"
