"""The text of a payload with everything in it replaced and nothing else changed. Pure.

Works on the text and not on what it means, so that spaces, the order of fields, repeated keys and
the spelling of escapes all stay as they were, byte for byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final

import orjson

from durable_core.redaction.fakes import Disguise

Path = tuple[str | int, ...]
"""Where in a payload: names of fields and indexes, from outside in."""

Keeps = Callable[[Path, bool], bool]
"""Whether what stands there is to be kept: the value, or (True) the name of the field itself."""

_TOKEN: Final = re.compile(
    r'"(?P<text>[^"\\]*(?:\\.[^"\\]*)*)"|(?P<number>-?[0-9][0-9.eE+-]*)|(?P<mark>[{}\[\],:])'
)
_VALUE: Final = re.compile(
    r'"(?P<text>[^"\\]*(?:\\.[^"\\]*)*)"(?P<colon>\s*:)?|(?P<number>-?[0-9][0-9.eE+-]*)'
)
_UNIT: Final = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|[^\\]+", re.DOTALL)
_TAG: Final = "t"
_TAGS: Final = frozenset(["n", "s", "i", "f", "b", "B", "u", "d", "dt", "D", "t", "l", "m", "br"])
"""How AWS's Python SDK says of which type a value is: `{"t": "dt", "v": ...}` (its serdes, 3.0.0).
Without the tag no handler could read a stand-in."""
_MAX_DEPTH: Final = 4
"""How often JSON text inside of JSON text is looked into (bodies of queue messages and the like).
Deeper down it is text like any other."""


def keep_nothing(path: Path, is_name: bool) -> bool:
    """Keep nothing."""
    return False


def disguise_json(
    text: str, disguise: Disguise, keeps: Keeps = keep_nothing, within: Path = (), depth: int = 0
) -> str:
    """Return the JSON text with every string and number replaced; what `keeps` says stays.

    Words (`true`, `false`, `null`) stay: there is no other of their size. A text that isn't JSON is
    replaced as a whole. `within` is where the text itself stands.
    """
    if not _is_json(text):
        return text if keeps(within, False) else disguise.text(text)
    if keeps is keep_nothing:
        return _VALUE.sub(_Run(disguise, depth).token, text)
    return _TOKEN.sub(_Walk(disguise, keeps, within, depth).token, text)


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return False
    return True


class _Run:
    """Replaces everything, which asks for no more than to tell names from values."""

    def __init__(self, disguise: Disguise, depth: int) -> None:
        self._disguise = disguise
        self._depth = depth
        self._name = ""

    def token(self, match: re.Match[str]) -> str:
        inner = match["text"]
        if inner is None:
            return self._disguise.number(match[0])
        decoded = inner if "\\" not in inner else _decoded(inner)
        if colon := match["colon"]:
            self._name = decoded
            return f'"{_spelled(inner, decoded, self._disguise.name(decoded))}"{colon}'
        if self._name == _TAG and decoded in _TAGS:
            return match[0]
        return f'"{_spelled(inner, decoded, self._value(decoded))}"'

    def _value(self, decoded: str) -> str:
        if self._depth < _MAX_DEPTH and decoded[:1] in ("{", "[") and _is_json(decoded):
            fake = disguise_json(decoded, self._disguise, depth=self._depth + 1)
            if fake != decoded:
                return fake
        return self._disguise.text(decoded)


class _Walk:
    """Goes through the tokens of a JSON text and knows where it is."""

    def __init__(self, disguise: Disguise, keeps: Keeps, within: Path, depth: int) -> None:
        self._disguise = disguise
        self._keeps = keeps
        self._path: list[str | int] = list(within)
        self._open: list[bool] = []  # of each container whether it is an object
        self._at_key = False
        self._depth = depth

    def token(self, match: re.Match[str]) -> str:
        if mark := match["mark"]:
            self._move(mark)
            return mark
        inner = match["text"]
        if inner is None:
            kept = self._keeps(tuple(self._path), False)
            return match[0] if kept else self._disguise.number(match[0])
        decoded = inner if "\\" not in inner else _decoded(inner)
        if self._at_key:
            self._path[-1] = decoded
            kept = self._keeps(tuple(self._path), True)
            fake = decoded if kept else self._disguise.name(decoded)
        else:
            fake = self._value(decoded)
        return f'"{_spelled(inner, decoded, fake)}"'

    def _value(self, decoded: str) -> str:
        path = tuple(self._path)
        if self._depth < _MAX_DEPTH and decoded[:1] in ("{", "[") and _is_json(decoded):
            inner = disguise_json(decoded, self._disguise, self._keeps, path, self._depth + 1)
            if inner != decoded or self._keeps(path, False):
                return inner
            # Only names and words are in it ('{"approved": true}'): as a text it has to go.
            return self._disguise.text(decoded)
        if decoded in _TAGS and path[-1:] == (_TAG,):
            return decoded
        return decoded if self._keeps(path, False) else self._disguise.text(decoded)

    def _move(self, mark: str) -> None:
        if mark in "{[":
            self._open.append(mark == "{")
            self._path.append("" if mark == "{" else 0)
            self._at_key = mark == "{"
        elif mark in "}]":
            self._open.pop()
            self._path.pop()
            self._at_key = False
        elif mark == ",":
            self._at_key = self._open[-1]
            last = self._path[-1]
            if isinstance(last, int):
                self._path[-1] = last + 1
        else:
            self._at_key = False


def _decoded(inner: str) -> str:
    text: str = json.loads(f'"{inner}"', strict=False)
    return text


def _spelled(inner: str, decoded: str, fake: str) -> str:
    """Return the stand-in written as its original is: escaped where that is escaped."""
    if inner is decoded or fake == decoded:
        return fake if inner is decoded else inner
    out: list[str] = []
    at = 0
    for unit in _UNIT.findall(inner):
        if unit[0] != "\\":
            out.append(fake[at : at + len(unit)])
            at += len(unit)
            continue
        if unit[1] != "u" or fake[at] == decoded[at]:
            out.append(unit)
        else:
            out.append("".join(f"\\u{code:04x}" for code in _utf16(fake[at])))
        at += 1
    return "".join(out)


def _utf16(char: str) -> list[int]:
    units = char.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2)]
