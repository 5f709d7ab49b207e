"""JSON text that is too dense to be parsed at once, read piece by piece.

A parsed event takes several times the bytes of its text, and a text of `[{},{},...]` thirty times.
So the lists of a document (the events of a page, the operations of a state) are found by their
brackets only, and each of their items is parsed when it is asked for: whoever makes something
smaller of them need not hold them all. What stays dense where nothing in a history is, is refused.
"""

from __future__ import annotations

import json
import re
import resource
from array import array
from collections.abc import Iterator
from typing import Any, Final

import orjson

from durable_core.errors import SourceError
from durable_core.limits import MIB
from durable_core.patterns import pattern

PIECE_BYTES: Final = MIB
"""A list that is no larger is parsed at once, and so is any piece of one: at most 25 MiB of it."""

_LARGE_BYTES: Final = 8 * MIB
_MOST_DENSE: Final = 3
_MUCH_DENSER: Final = 10
_ALWAYS_BYTES: Final = 64 * MIB

_DEPTH: Final = 3
"""In how many levels lists are looked for: a list of pages, of which each has a list of events."""

_MOST_KEYS: Final = 10_000
"""How many keys an object in those levels may have."""


def is_dense(data: bytes) -> bool:
    """Tell whether a text is to be read piece by piece: parsed, it would take much more memory than
    it has bytes. Counts only, so that texts of large payloads lose no time."""
    if len(data) <= PIECE_BYTES:
        return False
    factor = _MOST_DENSE - 1 if len(data) > _LARGE_BYTES else _MUCH_DENSER
    return _parsed_bytes(data, 0, len(data)) > factor * len(data)


def _parsed_bytes(data: bytes, start: int, end: int) -> int:
    """Estimate the memory that a text takes when it is parsed, besides that of its strings."""
    values = max(data.count(b",", start, end), data.count(b"\n", start, end))
    values += data.count(b"[", start, end)
    return 200 * data.count(b"{", start, end) + 60 * values


def check_room(data: bytes | memoryview) -> None:
    """Raise MemoryError where a text can't be parsed for want of memory.

    orjson doesn't look whether it gets the memory that it asks for. Without a limit of the process
    the system gives it.
    """
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        bytearray(min(len(data) * _MOST_BYTES_EACH, _ALWAYS_BYTES + len(data) * _MOST_DENSE))


_MOST_BYTES_EACH: Final = 32


# -- what is matched -----------------------------------------------------------------------------

_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_SPACES: Final = rb"[ \t\n\r]*+"


def _inside(levels: int) -> bytes:
    nested = rb"|[{\[]" + _inside(levels - 1) + rb"[}\]]" if levels else b""
    return rb'(?:[^"{}\[\]]++|' + _STRING + nested + rb")*+"


_SCALAR: Final = _STRING + rb"|[-+.\w]++"
_VALUE: Final = rb"(?:" + _SCALAR + rb"|[{\[]" + _inside(6) + rb"[}\]])"
_ONE: Final = pattern(_VALUE, re.DOTALL)
_NEXT: Final = pattern(_SPACES + _VALUE + _SPACES + rb",", re.DOTALL)
_SEVERAL: Final = pattern(rb"(?:" + _SPACES + _VALUE + _SPACES + rb",){1,128}+", re.DOTALL)
_KEY: Final = pattern(rb"(" + _STRING + rb")" + _SPACES + rb":" + _SPACES, re.DOTALL)
_TOKEN: Final = pattern(_STRING + rb"|[{}\[\]]", re.DOTALL)
_SPACE: Final = pattern(rb"(?:[ \t\n\r]|\xef\xbb\xbf)*+")
_STRINGS: Final = pattern(_STRING, re.DOTALL)


def is_too_dense(data: bytes, start: int, end: int) -> bool:
    """Tell whether a part of a text would take far more memory than it has bytes."""
    most = max(_MOST_DENSE * (end - start), _ALWAYS_BYTES)
    if end - start <= PIECE_BYTES or _parsed_bytes(data, start, end) <= most:
        return False
    bare = _STRINGS.sub(b"", data[start:end])  # what payloads hold, is text
    return _parsed_bytes(bare, 0, len(bare)) > most


def check_density(name: str, data: bytes) -> None:
    """Raise SourceError where a value as a whole would take far more memory than its text."""
    if is_too_dense(data, 0, len(data)):
        raise SourceError(name, _TOO_DENSE.format(f"{len(data):,} bytes of many small values"))


_TOO_DENSE: Final = "{}, which would take many times that memory: no history has the like"


class LargeItems:
    """The items of a list, each parsed when it is asked for, as often as that is."""

    def __init__(self, text: LargeText, spans: array[int], depth: int) -> None:
        self._text = text
        self._spans = spans
        self._depth = depth

    def __iter__(self) -> Iterator[Any]:
        for start, end in zip(self._spans[::2], self._spans[1::2], strict=True):
            yield from self._text.items(start, end, self._depth)


class LargeText:
    """A UTF-8 text of JSON documents. `max_nesting` is how deep its values may be nested."""

    def __init__(self, name: str, data: bytes, max_nesting: int) -> None:
        self._name = name
        self._data = data
        self._max_nesting = max_nesting

    def documents(self) -> Iterator[Any]:
        """Yield the documents, lists in them as Items where they are large. Raises SourceError."""
        at = self._skip(0)
        while at < len(self._data):
            document, at = self._document(at)
            yield document
            at = self._skip(at)

    def _document(self, at: int) -> tuple[Any, int]:
        """Return a document and where it ends: most of many are on a line of their own."""
        end = self._data.find(b"\n", at, at + PIECE_BYTES)
        if end > 0:
            try:
                return orjson.loads(memoryview(self._data)[at:end]), end
            except orjson.JSONDecodeError:
                pass
        return self._value(at, 0)

    def items(self, start: int, end: int, depth: int) -> Iterator[Any]:
        """Yield the items of a part of a list, which may end in a comma."""
        if end - start <= PIECE_BYTES:
            yield from self._parsed(start, end, is_list=True)
            return
        at = self._skip(start)
        while at < end:
            value, at = self._value(at, depth)
            yield value
            at = self._skip(self._skip(at) + 1)

    # -- values ----------------------------------------------------------------------------------

    def _value(self, at: int, depth: int) -> tuple[Any, int]:
        if depth < _DEPTH:
            if self._data.startswith(b"{", at):
                return self._object(at, depth)
            if self._data.startswith(b"[", at):
                return self._list(at, depth)
        end = self._end(at)
        return self._parsed(at, end), end

    def _object(self, at: int, depth: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        at = self._skip(at + 1)
        while not self._data.startswith(b"}", at):
            key = _KEY.match(self._data, at)
            if key is None:
                raise self._wrong(at, "expected a key and its value, or the end of an object")
            found[self._parsed(key.start(1), key.end(1))], at = self._value(key.end(), depth + 1)
            if len(found) > _MOST_KEYS:
                raise self._too_dense(at, f"an object of more than {_MOST_KEYS:,} keys")
            at = self._skip(at)
            if self._data.startswith(b",", at):
                at = self._after_comma(at, b"}")
            elif not self._data.startswith(b"}", at):
                raise self._wrong(at, "expected ',' or the end of an object")
        return found, at + 1

    def _list(self, start: int, depth: int) -> tuple[Any, int]:
        spans: array[int] = array("Q")
        at = self._skip(start + 1)
        while not self._data.startswith(b"]", at):
            several = _SEVERAL.match(self._data, at)
            if several is not None:
                spans.extend(self._split(at, several.end()))
                at = self._after_comma(several.end() - 1, b"]")
                continue
            end = self._end(at)
            spans.extend((at, end))
            at = self._skip(end)
            if self._data.startswith(b",", at):
                at = self._after_comma(at, b"]")
            elif not self._data.startswith(b"]", at):
                raise self._wrong(at, "expected ',' or the end of a list")
        if at - start <= PIECE_BYTES:
            return self._parsed(start, at + 1), at + 1
        return LargeItems(self, spans, depth + 1), at + 1

    def _split(self, start: int, end: int) -> Iterator[int]:
        """Yield where parts of a list begin and end, each of one item where they are large."""
        if end - start <= PIECE_BYTES:
            yield from (start, end)
            return
        for each in _NEXT.finditer(self._data, start, end):
            yield from each.span()

    def _end(self, at: int) -> int:
        """Return where a value ends."""
        one = _ONE.match(self._data, at)
        if one is not None:
            return one.end()
        depth = 0
        for token in _TOKEN.finditer(self._data, at):
            if depth == 0 and token.start() != at:
                break
            depth += (token[0] in (b"{", b"[")) - (token[0] in (b"}", b"]"))
            if depth > self._max_nesting:
                raise self._too_deep()
            if depth <= 0:
                if depth == 0:
                    return token.end()
                break
        raise self._wrong(at, "expected a value")

    def _after_comma(self, at: int, end: bytes) -> int:
        at = self._skip(at + 1)
        if self._data.startswith(end, at):
            raise self._wrong(at, "expected something after ','")
        return at

    def _skip(self, at: int) -> int:
        space = _SPACE.match(self._data, at)
        return at if space is None else space.end()

    # -- parsing ---------------------------------------------------------------------------------

    def _parsed(self, start: int, end: int, *, is_list: bool = False) -> Any:
        """Return what a part of the text holds, or the list of its items. Raises SourceError."""
        if is_too_dense(self._data, start, end):
            raise self._too_dense(start, f"{end - start:,} bytes of many small values")
        if is_list:
            text: bytes | memoryview = b"[%b]" % self._data[start:end].rstrip(b" \t\n\r,")
        else:
            text = memoryview(self._data)[start:end]
        try:
            check_room(text)
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass  # go on outside of the handler: the error holds a copy of the text
        return self._parsed_slowly(bytes(text), start - is_list)

    def _parsed_slowly(self, text: bytes, start: int) -> Any:
        """Return what the standard parser makes of what orjson refuses: lone surrogates, NaN."""
        try:
            return json.loads(text.decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError as error:
            where = f"byte {start + error.start + 1:,}"
            problem = "not UTF-8 text: expected JSON text, plain or gzip"
            raise SourceError(self._name, problem, where) from None
        except json.JSONDecodeError as error:
            head = error.doc[: error.pos].encode("utf-8", "surrogatepass")
            message = error.msg.removesuffix(" at").rstrip(": ")
            raise self._wrong(start + len(head), f"{message[0].lower()}{message[1:]}") from None
        except RecursionError:
            raise self._too_deep() from None
        except ValueError:
            problem = "not JSON: a number of thousands of digits"
            raise SourceError(self._name, problem) from None

    # -- what is wrong ---------------------------------------------------------------------------

    def _too_dense(self, at: int, what: str) -> SourceError:
        return SourceError(self._name, _TOO_DENSE.format(what), self._place(at))

    def _too_deep(self) -> SourceError:
        problem = f"nested deeper than {self._max_nesting:,} levels"
        return SourceError(self._name, f"{problem}: expected a history or updates")

    def _wrong(self, at: int, expected: str) -> SourceError:
        if not self._data[at:].strip():
            problem = "ends early: expected the rest of the JSON text"
            return SourceError(self._name, problem, self._place(len(self._data.rstrip())))
        found = self._data[at : at + 4].decode("utf-8", "replace")[:1]
        return SourceError(self._name, f"not JSON: {expected}, found {found!r}", self._place(at))

    def _place(self, at: int) -> str:
        begin = self._data.rfind(b"\n", 0, at) + 1
        column = len(self._data[begin:at].decode("utf-8", "replace")) + 1
        line = self._data.count(b"\n", 0, at) + 1
        return f"line {line} column {column}"
