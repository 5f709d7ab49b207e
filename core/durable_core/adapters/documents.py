"""From the name of a source to the JSON documents in it.

What a source holds is told from its content, never from its name: plain or gzip (of any number of
members), UTF-8 with or without a byte order mark, UTF-16 or UTF-32 (PowerShell's `>` writes the
former), one document or several after one another (pages, JSON lines). Memory stays bounded
whatever a source says of itself. Everything that is wrong with it is one `SourceError`.

A document of 100 MB has to cost about one `open().read()` and one `orjson.loads`: on the good path
nothing else looks at the bytes, and they are gone as soon as they are parsed.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, Final

import orjson

from durable_core.adapters.files import CHUNK_BYTES, STDIN, read_all, read_file
from durable_core.adapters.large_text import (
    PIECE_BYTES,
    LargeText,
    check_density,
    check_room,
    is_dense,
)
from durable_core.errors import SourceError
from durable_core.limits import MIB
from durable_core.patterns import pattern

MAX_TEXT_BYTES: Final = 2_048 * MIB
"""The largest text that is read, unpacked, unless the user says otherwise. An execution writes at
most 100 MB (`limits`), which escaping as JSON inside JSON makes several times larger at worst."""

MAX_VALUE_BYTES: Final = 64 * MIB
"""The largest event that is read: the service takes 6 MiB."""

MAX_NESTING: Final = 1_024
"""The deepest nesting that is read, which is orjson's. A history has about ten levels: payloads are
strings. (The standard parser gives up a little earlier or later, depending on Python's version.)"""

_GZIP: Final = b"\x1f\x8b"
_UTF8_BOM: Final = b"\xef\xbb\xbf"
_HEAD: Final = 1024
_NUL: Final = frozenset({0})
_CONTROL: Final = frozenset(range(32)) - frozenset(b"\t\n\r\x1b")
# A byte order mark also occurs between documents, where files were put together.
_SPACE: Final = re.compile("[ \t\n\r\ufeff]*")
# What is left from the place that the parser refuses, when a text was cut inside a literal or a
# number, and inside an escape.
_CUT: Final = pattern(
    r"(t(ru?)?|f(a(ls?)?)?|n(ul?)?|Na?|-?(I(n(f(i(n(it?)?)?)?)?)?)?|\.|\.?[eE][+-]?)"
)
_CUT_ESCAPE: Final = pattern(r"\\?u?[0-9a-fA-F]{0,3}")
_EXPECTED: Final = "expected JSON text, plain or gzip"
_OTHER_FORMATS: Final = {
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "zstd data",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ\x00": "xz data",
    b"\x1f\x8b": "gzip data inside gzip data",
}


def source_name(source: str) -> str:
    """Return how a source is called in reports and errors."""
    return "standard input" if source == STDIN else source


def read_documents(source: str, max_text_bytes: int = MAX_TEXT_BYTES) -> Iterable[Any]:
    """Return the JSON documents of a file, or of standard input for `-`; there is at least one.

    Of a large text each is parsed when it is asked for, once, and large lists in it are `Items`.
    Raises SourceError, then too: not found, not readable, empty, too large, damaged, not JSON.
    """
    name = source_name(source)
    with fitting_into_memory(name):
        return _parse(name, _data_of(source, name, max_text_bytes))


@contextmanager
def fitting_into_memory(name: str) -> Iterator[None]:
    """Turn a MemoryError into what is wrong with the source that is read in the block."""
    try:
        yield
    except MemoryError:
        problem = "doesn't fit into memory: expected one execution's history"
        raise SourceError(name, problem) from None


def read_value(source: str, max_text_bytes: int = MAX_VALUE_BYTES) -> Any:
    """Return the one JSON value in a file, in standard input for `-`, or in the argument itself.

    It is what Python's `json.loads` makes of it: integers keep all their digits. An argument is
    JSON itself when it reads as such and no file has that name. Raises SourceError as
    `read_documents` does, and for what isn't JSON: NaN, Infinity, a number beyond a double.
    """
    name = source_name(source)
    if source != STDIN and not os.path.lexists(source) and _BEGINS_JSON.match(source):
        return _strict_value("the event given", source, "utf-8")
    data = _data_of(source, name, max_text_bytes)
    check_density(name, data)
    encoding = json.detect_encoding(data[:4])
    text = _decode(name, data, encoding)
    return _strict_value(name, text.removeprefix("\ufeff"), encoding)


_BEGINS_JSON: Final = pattern(r'\s*([\[{"]|-?\d|true\b|false\b|null\b)')


def _strict_value(name: str, text: str, encoding: str) -> Any:
    def refuse(found: str) -> Any:
        raise SourceError(name, f"not JSON: {found} is no number of JSON")

    def as_float(digits: str) -> float:
        value = float(digits)
        if value in (math.inf, -math.inf):
            shown = digits if len(digits) <= 40 else f"{digits[:40]}..."
            raise SourceError(
                name, f"the number {shown} is beyond a double: no JSON parser keeps it"
            )
        return value

    if not text.strip():
        raise SourceError(name, "empty: expected one JSON value")
    try:
        value = json.loads(text, parse_constant=refuse, parse_float=as_float)
        _check_nesting(value)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            place = _place(text, error.pos)
            raise SourceError(name, "expected one JSON value, found more", place) from None
        raise _not_json(name, text, error, encoding) from None
    except RecursionError:
        raise SourceError(name, "nested too deeply: Python's json can't read it") from None
    except ValueError:
        raise SourceError(name, _TOO_MANY_DIGITS) from None
    return value


# -- bytes ---------------------------------------------------------------------------------------


def _data_of(source: str, name: str, limit: int) -> bytes:
    """Return the bytes of a source, unpacked."""
    data = read_file(source, name, limit)
    return _gunzip(name, data, limit) if data.startswith(_GZIP) else data


def _gunzip(name: str, data: bytes, limit: int) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            return read_all(name, stream, CHUNK_BYTES, limit)
    except EOFError:
        raise SourceError(
            name, "the gzip data ends early: expected a complete file", f"byte {len(data)}"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(name, f"damaged gzip data: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    if str(error).startswith("Not a gzipped file"):
        return "something else than gzip follows it"
    # zlib's texts are "Error -3 while decompressing data: invalid block type".
    return str(error).rpartition(": ")[2] if isinstance(error, zlib.error) else str(error)


# -- text ----------------------------------------------------------------------------------------


def _parse(name: str, data: bytes) -> Iterable[Any]:
    """Return the documents: by orjson where it takes them, else by the standard parser.

    orjson refuses what is acceptable here: several documents, escaped lone surrogates (JavaScript
    writes them), NaN and numbers beyond a double.
    """
    encoding = json.detect_encoding(data[:4])
    if is_dense(data):
        return _parse_pieces(name, data, encoding)
    try:
        if encoding in ("utf-8", "utf-8-sig"):
            check_room(data)
            begin = len(_UTF8_BOM) if encoding == "utf-8-sig" else 0
            return [orjson.loads(memoryview(data)[begin:])]
    except orjson.JSONDecodeError:
        pass  # go on outside of the handler: the error holds a copy of the whole text
    if len(data) > PIECE_BYTES:
        return _parse_pieces(name, data, encoding)
    return _parse_text(name, _decode(name, data, encoding), encoding)


def _parse_pieces(name: str, data: bytes, encoding: str) -> Iterable[Any]:
    if not encoding.startswith("utf-8"):
        data = _decode(name, data, encoding).encode("utf-8", "surrogatepass")
    documents = LargeText(name, data, MAX_NESTING).documents()
    first = next(documents, None)
    if first is None:
        raise SourceError(name, f"empty: {_EXPECTED}")
    return chain([first], documents)


def _decode(name: str, data: bytes, encoding: str) -> str:
    try:
        # A lone surrogate as it is, is as acceptable as an escaped one.
        return data.decode(encoding, "surrogatepass")
    except UnicodeDecodeError as error:
        # With a byte order mark it is meant as text, whatever bytes it is made of.
        control = frozenset[int]() if encoding in ("utf-16", "utf-32") else _CONTROL
        if what := _binary(data[:_HEAD], control):
            raise SourceError(name, f"{what}: {_EXPECTED}") from None
        if error.reason in ("unexpected end of data", "truncated data"):
            where, problem = f"byte {len(data)}", "ends early, in the middle of a character"
        else:
            where, problem = f"byte {error.start + 1}", f"not {encoding.upper()} text"
        raise SourceError(name, f"{problem}: {_EXPECTED}", where) from None


def _binary(head: bytes, control: frozenset[int]) -> str | None:
    """Return what kind of data starts so when it is no text."""
    for magic, what in _OTHER_FORMATS.items():
        if head.startswith(magic):
            return what
    return "binary data" if control.intersection(head) else None


def _parse_text(name: str, text: str, encoding: str) -> list[Any]:
    decoder = json.JSONDecoder()
    documents: list[Any] = []
    at = _skip_space(text, 0)
    try:
        while at < len(text):
            document, at = decoder.raw_decode(text, at)
            _check_nesting(document)
            documents.append(document)
            at = _skip_space(text, at)
    except json.JSONDecodeError as error:
        raise _not_json(name, text, error, encoding) from None
    except RecursionError:
        problem = f"nested deeper than {MAX_NESTING:,} levels: expected a history or updates"
        raise SourceError(name, problem) from None
    except ValueError:
        raise SourceError(name, _TOO_MANY_DIGITS) from None
    if not documents:
        raise SourceError(name, f"empty: {_EXPECTED}")
    return documents


_TOO_MANY_DIGITS: Final = "not JSON: a number of thousands of digits"
"""Python refuses to convert them, which would take quadratic time."""


def _skip_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _check_nesting(document: object) -> None:
    level = [document]
    for _ in range(MAX_NESTING):
        level = [child for parent in level for child in _containers_in(parent)]
        if not level:
            return
    raise RecursionError


def _containers_in(value: object) -> list[object]:
    inside: Iterable[object] = ()
    if isinstance(value, dict):
        inside = value.values()
    elif isinstance(value, list):
        inside = value
    return [item for item in inside if isinstance(item, dict | list)]


def _not_json(name: str, text: str, error: json.JSONDecodeError, encoding: str) -> SourceError:
    start = _skip_space(text, 0)
    guessed_wrong = error.pos == start and not encoding.startswith("utf-8")
    head = text[:_HEAD].encode("utf-8", "replace")
    if what := "binary data" if guessed_wrong else _binary(head, _NUL):
        return SourceError(name, f"{what}: {_EXPECTED}")
    if _is_cut(text, error):
        return SourceError(
            name, "ends early: expected the rest of the JSON text", _place(text, len(text.rstrip()))
        )
    message = error.msg.removesuffix(" at").rstrip(": ")
    return SourceError(
        name,
        f"not JSON: {message[0].lower()}{message[1:]}, found {text[error.pos]!r}",
        _place(text, error.pos),
    )


def _is_cut(text: str, error: json.JSONDecodeError) -> bool:
    """Tell whether the text ends where the parser wanted more, or inside of what it refuses."""
    if error.msg.startswith("Unterminated string"):
        return True
    rest = text[error.pos : error.pos + _HEAD].rstrip()
    return bool((_CUT_ESCAPE if "escape" in error.msg else _CUT).fullmatch(rest))


def _place(text: str, at: int) -> str:
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    return f"line {line} column {column}"
