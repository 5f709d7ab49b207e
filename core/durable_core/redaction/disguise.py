"""The text of a payload with everything in it replaced and nothing else changed. Pure.

Works on the text and not on what it means, so that spaces, the order of fields, repeated keys and
the spelling of escapes all stay as they were, byte for byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final

import orjson

from durable_core.redaction.envelope import TAG, TAGS, is_envelope
from durable_core.redaction.fakes import Disguise

Path = Sequence[str | int]
"""Where in a payload: names of fields and indexes, from outside in."""


class Treatment(Enum):
    """What becomes of a value."""

    REPLACED = "replaced"
    KEPT = "kept"
    NAME = "kept, but for identifiers in it"


Fates = Callable[[Path, bool], Treatment]
"""What becomes of what stands there: of the value, or (True) of the name of the field itself."""

_TOKEN: Final = re.compile(
    r'"(?P<text>[^"\\]*(?:\\.[^"\\]*)*)"|(?P<number>-?[0-9][0-9.eE+-]*)|(?P<mark>[{}\[\],:])'
)
_VALUE: Final = re.compile(
    r'"(?P<text>[^"\\]*(?:\\.[^"\\]*)*)"(?P<colon>\s*:)?|(?P<number>-?[0-9][0-9.eE+-]*)'
)
_UNIT: Final = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|[^\\]+", re.DOTALL)
_MAX_DEPTH: Final = 4
"""How often JSON text inside of JSON text is looked into (bodies of queue messages and the like).
Deeper down it is text like any other."""


def replace_all(path: Path, is_name: bool) -> Treatment:
    """Replace everything."""
    return Treatment.REPLACED


def disguise_json(
    text: str, disguise: Disguise, fates: Fates = replace_all, within: Path = (), depth: int = 0
) -> str:
    """Return the JSON text with every string and number replaced; what `fates` keeps stays.

    Words (`true`, `false`, `null`) stay: there is no other of their size. A text that isn't JSON is
    replaced as a whole. `within` is where the text itself stands.
    """
    document = _parsed(text)
    if document is _NO_JSON:
        return text if fates(within, False) is Treatment.KEPT else disguise.text(text)
    has_tags = text.lstrip()[:1] == "{" and is_envelope(document)
    if fates is replace_all:
        return _VALUE.sub(_Run(disguise, has_tags, depth).token, text)
    return _TOKEN.sub(_Walk(disguise, fates, within, has_tags, depth).token, text)


_NO_JSON: Final = object()


def _parsed(text: str) -> Any:
    """Return what a JSON text says, or _NO_JSON."""
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return _NO_JSON


def _may_be_json(text: str, depth: int) -> bool:
    return depth < _MAX_DEPTH and text[:1] in ("{", "[") and _parsed(text) is not _NO_JSON


class _Run:
    """Replaces everything, which asks for no more than to tell names from values."""

    def __init__(self, disguise: Disguise, has_tags: bool, depth: int) -> None:
        self._disguise = disguise
        self._has_tags = has_tags
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
        if self._has_tags and self._name == TAG and decoded in TAGS:
            return match[0]
        return f'"{_spelled(inner, decoded, self._value(decoded))}"'

    def _value(self, decoded: str) -> str:
        if _may_be_json(decoded, self._depth):
            fake = disguise_json(decoded, self._disguise, depth=self._depth + 1)
            if fake != decoded:
                return fake
        return self._disguise.text(decoded)


class _Walk:
    """Goes through the tokens of a JSON text and knows where it is."""

    def __init__(
        self, disguise: Disguise, fates: Fates, within: Path, has_tags: bool, depth: int
    ) -> None:
        self._disguise = disguise
        self._fates = fates
        self._path: list[str | int] = list(within)
        self._open: list[bool] = []  # of each container whether it is an object
        self._at_key = False
        self._has_tags = has_tags
        self._depth = depth

    def token(self, match: re.Match[str]) -> str:
        if mark := match["mark"]:
            self._move(mark)
            return mark
        inner = match["text"]
        if inner is None:
            is_kept = self._fates(self._path, False) is Treatment.KEPT
            return match[0] if is_kept else self._disguise.number(match[0])
        decoded = inner if "\\" not in inner else _decoded(inner)
        if self._at_key:
            self._path[-1] = decoded
            is_kept = self._fates(self._path, True) is Treatment.KEPT
            fake = decoded if is_kept else self._disguise.name(decoded)
        else:
            fake = self._value(decoded)
        return f'"{_spelled(inner, decoded, fake)}"'

    def _value(self, decoded: str) -> str:
        fate = self._fates(self._path, False)
        if fate is Treatment.NAME:
            return self._disguise.label(decoded)
        if _may_be_json(decoded, self._depth):
            path = tuple(self._path)
            inner = disguise_json(decoded, self._disguise, self._fates, path, self._depth + 1)
            if inner != decoded or fate is Treatment.KEPT:
                return inner
            # Only names and words are in it ('{"approved": true}'): as a text it has to go.
            return self._disguise.text(decoded)
        if self._has_tags and decoded in TAGS and self._path[-1] == TAG:
            return decoded
        return decoded if fate is Treatment.KEPT else self._disguise.text(decoded)

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
    for is_ascii in (False, True):
        if _escaped(decoded, is_ascii) == inner:  # as every usual writer does
            return _escaped(fake, is_ascii)
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


def _escaped(text: str, is_ascii: bool) -> str:
    return json.dumps(text, ensure_ascii=is_ascii)[1:-1]


def _utf16(char: str) -> list[int]:
    units = char.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2)]
