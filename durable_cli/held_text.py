"""Texts of any length: reports of many operations are several times as long as their history."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Final

from durable_cli.escapes import json_text
from durable_core.adapters.json_pieces import json_pieces

Text = str | Iterable[str]
"""A text, or the pieces that make one."""

_BLOCK: Final = 2**16
"""So many characters are packed together."""


class HeldText:
    """A text that is made as a whole before any of it is written, and held packed.

    What goes wrong while it is made shows when this is created. Can be read several times.
    """

    def __init__(self, pieces: Iterable[str]) -> None:
        self._packed: list[bytes] = []
        waiting: list[str] = []
        length = 0
        for piece in pieces:
            waiting.append(piece)
            length += len(piece)
            if length >= _BLOCK:
                self._packed.append(_packed(waiting))
                waiting.clear()
                length = 0
        self._rest = "".join(waiting)

    def __iter__(self) -> Iterator[str]:
        """Yield the text in pieces."""
        for each in self._packed:
            yield zlib.decompress(each).decode("utf-8", "surrogatepass")
        if self._rest:
            yield self._rest

    def __bool__(self) -> bool:
        """Return False for an empty text."""
        return bool(self._packed or self._rest)


def _packed(pieces: list[str]) -> bytes:
    return zlib.compress("".join(pieces).encode("utf-8", "surrogatepass"), 1)


def pieces_of(text: Text) -> Iterable[str]:
    """Return the pieces of a text."""
    return [text] if isinstance(text, str) else text


def held_json(document: Any) -> HeldText:
    """Return what `json_text` makes of a document in which generators may stand for long lists."""
    return HeldText(json_pieces(document, json_text))


def held_json_lines(documents: Iterable[Any]) -> HeldText:
    """Return the documents, in which generators may stand for long lists, each in a line."""
    return HeldText(_lines(documents))


def _lines(documents: Iterable[Any]) -> Iterator[str]:
    for number, document in enumerate(documents):
        if number:
            yield "\n"
        yield from json_pieces(document, partial(json_text, indent=False), indent=False)
