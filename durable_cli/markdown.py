"""Text in Markdown that GitHub shows as it is: the one way for a name of a history to get there.

Two things make something of a text there. The parser does, of its punctuation: that is written as
character references. GitHub then looks into what was parsed, where these are characters again, for
mentions, numbers of issues, commits, emoji, addresses and formulas: a zero-width space in what it
looks for keeps it from finding any (in `clean` text there is none but ours), and a dollar is put
into an element of its own, as GitHub's documentation of formulas says.
"""

from __future__ import annotations

import re
from typing import Final

from durable_cli.output import clean

_SPECIAL: Final = re.compile(r"[\\`*_{}\[\]<>()#+!|~&$@\u200b]")
_BLOCK: Final = re.compile(r"^(?:[-=](?=[-= ]|$)| |\d+[.)](?= |$))")
"""What begins a list, underlines a heading or begins code, at the start of a text."""

_GAP: Final = "\u200b"
_FOUND: Final = re.compile(
    r"(?<=[@#])(?=\w)"  # a mention, half of a mail address, an issue
    r"|(?<=:)(?=//|[\w+-]+:)"  # the start of an address, an emoji
    r"|(?<=www)(?=\.)"
    r"|(?<=gh-)(?=\d)",  # an issue
    re.IGNORECASE,
)
_REFERENCE: Final = re.compile(r"([A-Z][A-Z0-9]+-)(?=\d)")
"""An issue of another tracker, as a repository may link them, or a published weakness."""
_COMMIT: Final = re.compile(r"(?<![0-9a-z])[0-9a-f]{7,40}(?![0-9a-z])", re.IGNORECASE)
_SHORT: Final = 6
"""So many digits in hex are no commit."""


def escaped(text: str, *, whole: bool = False) -> str:
    """Return text of which Markdown makes nothing: no markup, link, image, mention, reference,
    emoji, formula or HTML comes of it, neither in a cell of a table nor in a paragraph or list.

    One that is very long is cut, as by `clean`, unless it is wanted `whole`."""
    text = _FOUND.sub(_GAP, clean(text, whole=whole))
    text = _REFERENCE.sub(rf"\1{_GAP}", text)
    text = _COMMIT.sub(_broken, text)
    start = _BLOCK.match(text)
    if start is None:
        return _SPECIAL.sub(_reference, text)
    head, tail = text[: start.end() - 1], text[start.end() :]
    return head + f"&#{ord(start.group()[-1])};" + _SPECIAL.sub(_reference, tail)


def _reference(match: re.Match[str]) -> str:
    char = match.group()
    return "<span>&#36;</span>" if char == "$" else f"&#{ord(char)};"


def _broken(match: re.Match[str]) -> str:
    digits = match.group()
    return _GAP.join(digits[at : at + _SHORT] for at in range(0, len(digits), _SHORT))
