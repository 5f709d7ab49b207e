"""Stand-ins for texts: another text of the same size, the same one for the same original.

Pure. A stand-in has as many characters as its original, each of the same kind: as many bytes in
UTF-8, as many units in UTF-16 and, written as JSON, escaped alike. So every measure of a payload
stays as it was, whichever SDK takes it. Quotes, backslashes and control characters stay (they are
what JSON escapes), and so do single spaces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from hashlib import blake2b
from typing import Final, Protocol

from durable_core.redaction.identifiers import has_identifiers, replace_identifiers

SHORT: Final = 4
"""Texts with fewer characters say nothing of anybody: one of them may be in a stand-in by chance,
and two of them may have the same."""

_LOOKED_AT: Final = 256
_ATTEMPTS: Final = 200
_LONG: Final = 1_000
_ATTEMPTS_IF_LONG: Final = 4
"""A long text is nearly always another one at once, and each attempt costs its whole length."""
_NUMBERS_KEPT: Final = 100_000
_FIELD_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_-]{0,63}")


class Disguise(Protocol):
    """What becomes of each thing that is found: of a text, a number as spelled, a field's name."""

    def text(self, original: str) -> str:
        """Return what stands for a text."""

    def number(self, spelled: str) -> str:
        """Return what stands for a number."""

    def name(self, original: str) -> str:
        """Return what stands for the name of a field in a payload."""

    def label(self, original: str) -> str:
        """Return a name of something with what stands for the identifiers in it."""


class Originals:
    """Leaves everything as it is and remembers the texts that are to be replaced."""

    def __init__(self) -> None:
        self.texts: set[str] = set()
        self._names: set[str] = set()

    def text(self, original: str) -> str:
        """Remember the text, unless it tells nothing: it is short, or is what JSON escapes."""
        if len(original) >= SHORT and original not in self.texts and tells(original):
            self.texts.add(original)
        return original

    def number(self, spelled: str) -> str:
        """Do nothing: numbers aren't looked for as texts."""
        return spelled

    def name(self, original: str) -> str:
        """Remember a name that is none of a field."""
        if original not in self._names and not looks_like_a_field(original):
            return self.text(original)
        self._names.add(original)
        return original

    def label(self, original: str) -> str:
        """Remember the identifiers in a name."""
        return replace_identifiers(original, self.text)


def looks_like_a_field(name: str) -> bool:
    """Tell whether the key of an object is a field's name rather than data: no spaces, few digits,
    no identifier in it.

    Names under four characters count as such, unless they are numbers.
    """
    if len(name) < SHORT:
        return not name.isdigit()
    if _FIELD_NAME.fullmatch(name) is None or sum(map(str.isdigit, name)) >= 3:
        return False
    return not has_identifiers(name)


class Fakes:
    """Makes stand-ins. Which ones depends on `key` and on the original alone, but for this: no
    stand-in is one of the originals, contains one, or stands for two of them.

    Without the key nobody can tell whether a stand-in is that of a guessed text. `chosen` are
    stand-ins that are decided by others.
    """

    def __init__(
        self, key: bytes, originals: Iterable[str] = (), chosen: Mapping[str, str] | None = None
    ) -> None:
        self._key = key[:64]
        self._originals = frozenset(each for each in originals if len(each) >= SHORT)
        self._lengths: dict[str, set[int]] = {}  # of the originals, by how they start
        for each in self._originals:
            self._lengths.setdefault(each[:SHORT], set()).add(len(each))
        self._fakes: dict[str, str] = dict(chosen or {})
        self._taken: set[str] = set(self._fakes.values())
        self._names: dict[str, str] = {}
        self._labels: dict[str, str] = {}
        self._numbers: dict[str, str] = {}

    def text(self, original: str) -> str:
        """Return the stand-in of a text."""
        fake = self._fakes.get(original)
        if fake is None:
            fake = self._numbers.get(original) or self._new(original, maker_for(original))
            self._fakes[original] = fake
            if len(original) >= SHORT:
                self._taken.add(fake)
        return fake

    def number(self, spelled: str) -> str:
        """Return another number with as many digits in the same places; a usual exponent stays.

        It is the stand-in that the same digits have as a text.
        """
        fake = self._numbers.get(spelled)
        if fake is None and len(spelled) <= LONGEST_NUMERAL:
            fake = self._fakes.get(spelled)
        if fake is None:
            fake = self._new(spelled, make_number)
            if len(self._numbers) < _NUMBERS_KEPT:
                self._numbers[spelled] = fake
        return fake

    def name(self, original: str) -> str:
        """Return a field's name as it is, and a stand-in for a key that is data.

        A key is data when it doesn't look like a name, or has one of the originals in it.
        """
        fake = self._names.get(original)
        if fake is None:
            is_field = looks_like_a_field(original) and not self._shows_an_original(original)
            fake = self._names[original] = original if is_field else self.text(original)
        return fake

    def label(self, original: str) -> str:
        """Return a name of something with stand-ins for the identifiers in it."""
        label = self._labels.get(original)
        if label is None:
            label = self._labels[original] = replace_identifiers(original, self.text)
        return label

    def fields_kept(self) -> list[str]:
        """Return the names of fields that were kept, but for those that tell nothing."""
        names = self._names.items()
        return [name for name, fake in names if fake == name and len(name) >= SHORT]

    def _new(self, original: str, make: Maker) -> str:
        if not tells(original):
            return original
        fake = original
        draw = Draw(self._key, original)
        for _ in range(_ATTEMPTS if len(original) <= _LONG else _ATTEMPTS_IF_LONG):
            fake = make(original, draw)
            if fake != original and fake not in self._taken and not self._shows_an_original(fake):
                break
            draw = draw.next()
        return fake

    def _shows_an_original(self, text: str) -> bool:
        """Tell whether one of the originals is in the text, as far as it isn't repetition."""
        head = text[:_LOOKED_AT]
        for at in range(len(head) - SHORT + 1):
            lengths = self._lengths.get(head[at : at + SHORT], ())
            left = len(text) - at
            if any(
                length <= left and text[at : at + length] in self._originals for length in lengths
            ):
                return True
        return False


LONGEST_NUMERAL: Final = 128
"""A longer text of digits is like any other."""

_HEAD: Final = 24
_LETTERS: Final = "bcdfghjklmnpqrstvwxz"
_DIGITS: Final = "3715926480"
_HEX: Final = "c05f3a9e17b42d86"
_TWO_BYTES: Final = "αβγδεζηθικλμνξοπρστυ"
_THREE_BYTES: Final = "一二三四五六七八九十百千万上下左右大小中"
_FOUR_BYTES: Final = "".join(chr(0x1F600 + n) for n in range(20))
_ALPHABETS: Final = (_LETTERS, _TWO_BYTES, _THREE_BYTES, _FOUR_BYTES)

_TELLS: Final = re.compile(r'[^"\\\x00-\x20\x7f\ud800-\udfff]')
"""What is replaced in a text. Not what JSON escapes, nor single spaces."""
_TWO_SPACES: Final = "  "

_NUMERAL: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?P<time>[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?)?"
    r"(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_HEX_TEXT: Final = re.compile(
    r"[0-9a-f]{16,128}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
)
_NUMBER: Final = re.compile(r"(?P<whole>[0-9]+)(?P<part>\.[0-9]+)?")
_LONG_EXPONENT: Final = re.compile(r"(?P<sign>[eE][+-]?)(?P<digits>[0-9]{4,})$")


class Draw:
    """An endless row of numbers that follows from a key and an original: a random head, then the
    same few over and over, so that a large stand-in costs little and hits nothing by chance."""

    def __init__(self, key: bytes, original: str) -> None:
        source = original.encode("utf-8", "surrogatepass")
        self._key = key
        self._digest = blake2b(source, key=key).digest()
        self._at = 0

    def next(self) -> Draw:
        """Return another row for the same original, at no cost for a large one."""
        other = copy(self)
        other._digest = blake2b(self._digest, key=self._key).digest()
        other._at = 0
        return other

    def take(self, alphabet: str, count: int) -> str:
        """Return so many characters of the alphabet."""
        size = len(alphabet)
        head = self._digest[self._at : min(self._at + count, _HEAD)]
        text = "".join(alphabet[byte % size] for byte in head)
        rest = count - len(head)
        if rest > 0:
            cycle = "".join(alphabet[byte % size] for byte in self._digest[_HEAD:])
            skip = max(self._at - _HEAD, 0) % len(cycle)
            text += (cycle * ((skip + rest) // len(cycle) + 1))[skip : skip + rest]
        self._at += count
        return text

    def below(self, limit: int) -> int:
        """Return a number from 0 to below the limit, at most 10."""
        return int(self.take(_DIGITS, 1)) % limit


Maker = Callable[[str, Draw], str]


def maker_for(original: str) -> Maker:
    """Return what makes stand-ins of the form that the text has: a number, a moment, words."""
    if len(original) <= LONGEST_NUMERAL and original.isascii():
        for pattern, make in ((_NUMERAL, make_number), (_MOMENT, _moment), (_HEX_TEXT, _hex)):
            if pattern.fullmatch(original):
                return make
    return _words


def tells(text: str) -> bool:
    """Tell whether there is anything to replace in a text."""
    return _TELLS.search(text) is not None or _TWO_SPACES in text


# -- words ---------------------------------------------------------------------------------------
#
# Whole texts at once and not a character or a run after the other: texts of megabytes occur, of
# quotes and letters in turns as well. A text is a large number, in which each character is a digit,
# and a mask has all bits of the digits that are replaced.

_CHUNK: Final = 65_536


def _words(original: str, draw: Draw) -> str:
    """Return a text of characters that take as many bytes, in UTF-8, UTF-16 and JSON."""
    make = _ascii_words if original.isascii() else _any_words
    chunks = (original[at : at + _CHUNK] for at in range(0, len(original), _CHUNK))
    return "".join(make(chunk, draw) for chunk in chunks)


_IS_REPLACED: Final = bytes(
    0xFF if _TELLS.match(chr(code)) and code < 0x80 else 0 for code in range(256)
)
_IS_SPACE: Final = bytes(0xFF if code == 0x20 else 0 for code in range(256))


def _ascii_words(text: str, draw: Draw) -> str:
    source = text.encode("ascii")
    mask = int.from_bytes(source.translate(_IS_REPLACED), "little")
    if _TWO_SPACES in text:
        spaces = int.from_bytes(source.translate(_IS_SPACE), "little")
        mask |= spaces & (spaces << 8 | spaces >> 8)
    before = int.from_bytes(source, "little")
    drawn = int.from_bytes(draw.take(_LETTERS, len(text)).encode("ascii"), "little")
    return (before ^ (before ^ drawn) & mask).to_bytes(len(source), "little").decode("ascii")


_UTF_32: Final = "utf-32-le"


class _Widths(dict[int, int]):
    """Of each character how many bytes it takes where it is replaced, else 0."""

    def __missing__(self, code: int) -> int:
        is_replaced = _TELLS.match(chr(code)) is not None
        width = 0 if not is_replaced else len(chr(code).encode("utf-8"))
        self[code] = width
        return width


_WIDTHS: Final = _Widths()


def _any_words(text: str, draw: Draw) -> str:
    source = text.encode(_UTF_32, "surrogatepass")
    widths = text.translate(_WIDTHS).encode(_UTF_32)
    fake = int.from_bytes(source, "little")
    if _TWO_SPACES in text:
        widths = _with_spaces(text, widths)
    for width, alphabet in enumerate(_ALPHABETS, 1):
        if width not in widths:
            continue
        is_of_width = bytes(0xFF if code == width else 0 for code in range(256))
        lowest = int.from_bytes(widths.translate(is_of_width), "little")
        mask = lowest | lowest << 8 | lowest << 16
        drawn = int.from_bytes(draw.take(alphabet, len(text)).encode(_UTF_32), "little")
        fake ^= (fake ^ drawn) & mask
    return fake.to_bytes(len(source), "little").decode(_UTF_32, "surrogatepass")


def _with_spaces(text: str, widths: bytes) -> bytes:
    """Return the widths with 1 for each space that has another beside it."""
    is_space = bytes(1 if code == 0x20 else 0 for code in range(256))
    spaces = int.from_bytes(text.encode(_UTF_32, "surrogatepass").translate(is_space), "little")
    beside = spaces & (spaces << 32 | spaces >> 32)
    return (int.from_bytes(widths, "little") | beside).to_bytes(len(widths), "little")


def _numeral(original: str, draw: Draw) -> str:
    first = draw.take(_DIGITS[:-1], 1)
    return first + draw.take(_DIGITS, len(original) - 1)


def make_number(spelled: str, draw: Draw) -> str:
    """Return another number, spelled alike."""

    def redraw(match: re.Match[str]) -> str:
        part = match["part"]
        return _numeral(match["whole"], draw) + (
            f".{draw.take(_DIGITS, len(part) - 1)}" if part else ""
        )

    fake = _NUMBER.sub(redraw, spelled, count=1)
    return _LONG_EXPONENT.sub(lambda run: run["sign"] + _numeral(run["digits"], draw), fake)


def _hex(original: str, draw: Draw) -> str:
    return "-".join(draw.take(_HEX, len(part)) for part in original.split("-"))


def _moment(original: str, draw: Draw) -> str:
    """Return another moment that there is, in the same form and zone."""
    match = _MOMENT.fullmatch(original)
    zone = (match["zone"] if match else None) or ""
    year, month, day = 10 + draw.below(10), 1 + draw.below(9), 10 + draw.below(10)
    fake = f"20{year}-0{month}-{day}T1{draw.below(10)}:2{draw.below(10)}:3{draw.below(10)}."
    body = len(original) - len(zone)
    fake += draw.take(_DIGITS, max(0, body - len(fake)))
    separator = original[10] if len(original) > 10 and body > 10 else "T"
    return fake[:10] + fake[10:body].replace("T", separator) + zone
