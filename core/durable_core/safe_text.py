"""Text from objects of the user's, whose own methods may raise or return what isn't text."""

from __future__ import annotations

from typing import Final

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
