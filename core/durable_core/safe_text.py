"""Text from elsewhere: of objects of the user's, whose own methods may raise or return what isn't
text, and of whoever wants to command the CI runner that reads what is printed."""

from __future__ import annotations

import re
from typing import Final

from durable_core.patterns import pattern

_MOST: Final = 200


def plain(text: str) -> str:
    """Return the characters of a string without its class: no method of a subclass runs later."""
    return text if type(text) is str else str.__str__(text)


def shown(value: object) -> str:
    """Return any object as text to be shown: a string as it is, else its repr, cut to 200."""
    if isinstance(value, str):
        return plain(value)
    try:
        text = plain(repr(value))
    except Exception:
        text = f"<{type(value).__name__} without a repr>"
    return text if len(text) <= _MOST else f"{text[: _MOST - 3]}..."


# -- commands to a CI runner ---------------------------------------------------------------------

# What runners take for commands, on stdout and stderr alike: GitHub's `##[COMMAND]` anywhere in a
# line and `::COMMAND::` at its start, Azure's `##vso[COMMAND]`. GitHub's runner compares as its
# culture does, which may pass over characters that aren't ASCII; colours count as passed over, too.
_PASSED_OVER: Final = r"(?:\x1b\[[\d;]*m|[^ -~\n])*"
COMMAND: Final = pattern(
    rf"(#{_PASSED_OVER}+#{_PASSED_OVER}+(?:vso)?{_PASSED_OVER}+)(?<!\x1b)\[", re.IGNORECASE
)
"""Where one is anywhere in a line: the bracket is what has to be written in another way."""
_LINE: Final = pattern(rf"\n((?:\x1b\[[\d;]*m|[^!-~\n])*:{_PASSED_OVER}):")


def without_commands(text: str) -> str:
    """Return a text, of one line or several, of which no line is a command to a CI runner."""
    if "#" in text:
        text = COMMAND.sub(r"\1\\x5b", text)
    if ":" not in text:
        return text
    return _LINE.sub(r"\n\1\\x3a", f"\n{text}")[1:]


class LineWatch:
    """Keeps commands out of what is written piece by piece, as by several calls of `print`."""

    def __init__(self) -> None:
        self._line = ""  # what there is of the last line, as far as it matters

    def filtered(self, piece: str) -> str:
        """Return the piece that comes next so that no line becomes a command."""
        text = without_commands(self._line + piece)
        shown = text[len(self._line) :]  # what was written before has none, and stays
        line = text.rpartition("\n")[2]
        begun = _BEGUN.fullmatch(line)
        self._line = begun.group(1) if begun else f"x{line[-_KEPT:]}"
        return shown


_BEGUN: Final = pattern(rf"(?:\x1b\[[\d;]*m|[^!-~])*(:?){_PASSED_OVER}")
"""A line that the next colon could make a command."""
_KEPT: Final = 64
