"""Stand-ins for texts: another text of the same size, the same one for the same original.

Pure. A stand-in has as many characters as its original, each of the same kind: as many bytes in
UTF-8, as many units in UTF-16 and, written as JSON, escaped alike. So every measure of a payload
stays as it was, whichever SDK takes it. Quotes, backslashes and control characters stay (they are
what JSON escapes), and so do single spaces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Final, Protocol

SHORT: Final = 4
"""Texts with fewer characters say nothing of anybody: one of them may be in a stand-in by chance,
and two of them may have the same."""

_HEAD: Final = 24
_LOOKED_AT: Final = 256
_ATTEMPTS: Final = 200
_NUMBERS_KEPT: Final = 100_000

_LETTERS: Final = "bcdfghjklmnpqrstvwxz"
_DIGITS: Final = "3715926480"
_HEX: Final = "c05f3a9e17b42d86"
_TWO_BYTES: Final = "αβγδεζηθικλμνξοπρστυ"
_THREE_BYTES: Final = "一二三四五六七八九十百千万上下左右大小中"
_FOUR_BYTES: Final = "".join(chr(0x1F600 + n) for n in range(20))

_KINDS: Final = re.compile(
    "(?P<plain>[!#-[\\]-~]+|(?<= ) | (?= ))|(?P<two>[\x80-\u07ff]+)"
    "|(?P<three>[\u0800-\ud7ff\ue000-\uffff]+)|(?P<four>[\U00010000-\U0010ffff]+)"
)
_ALPHABETS: Final = {
    "plain": _LETTERS,
    "two": _TWO_BYTES,
    "three": _THREE_BYTES,
    "four": _FOUR_BYTES,
}

_NUMERAL: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?P<time>[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?)?"
    r"(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_HEX_TEXT: Final = re.compile(
    r"[0-9a-f]{16,128}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
)
_FIELD_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_-]{0,63}")
_NUMBER: Final = re.compile(r"(?P<whole>[0-9]+)(?P<part>\.[0-9]+)?")


class Disguise(Protocol):
    """What becomes of each thing that is found: of a text, a number as spelled, a field's name."""

    def text(self, original: str) -> str:
        """Return what stands for a text."""

    def number(self, spelled: str) -> str:
        """Return what stands for a number."""

    def name(self, original: str) -> str:
        """Return what stands for the name of a field in a payload."""


class Originals:
    """Leaves everything as it is and remembers the texts that are to be replaced."""

    def __init__(self) -> None:
        self.texts: set[str] = set()

    def text(self, original: str) -> str:
        """Remember the text."""
        if len(original) >= SHORT:
            self.texts.add(original)
        return original

    def number(self, spelled: str) -> str:
        """Do nothing: numbers aren't looked for as texts."""
        return spelled

    def name(self, original: str) -> str:
        """Remember a name that is none of a field."""
        return original if looks_like_a_field(original) else self.text(original)


def looks_like_a_field(name: str) -> bool:
    """Tell whether the key of an object is a field's name rather than data: no spaces, few digits.

    Names under four characters always count as such.
    """
    if len(name) < SHORT:
        return True
    return _FIELD_NAME.fullmatch(name) is not None and sum(map(str.isdigit, name)) < 3


class Fakes:
    """Makes stand-ins. Which ones depends on `key` and on the original alone, but for this: no
    stand-in is one of the originals, contains one, or stands for two of them.

    Without the key nobody can tell whether a stand-in is that of a guessed text.
    """

    def __init__(self, key: bytes, originals: Iterable[str] = ()) -> None:
        self._key = key[:64]
        self._originals = frozenset(each for each in originals if len(each) >= SHORT)
        self._lengths: dict[str, set[int]] = {}  # of the originals, by how they start
        for each in self._originals:
            self._lengths.setdefault(each[:SHORT], set()).add(len(each))
        self._fakes: dict[str, str] = {}
        self._taken: set[str] = set()
        self._names: dict[str, str] = {}
        self._numbers: dict[str, str] = {}

    def text(self, original: str) -> str:
        """Return the stand-in of a text."""
        fake = self._fakes.get(original)
        if fake is None:
            fake = self._fakes[original] = self._new(original, _maker_for(original))
            if len(original) >= SHORT:
                self._taken.add(fake)
        return fake

    def number(self, spelled: str) -> str:
        """Return another number with as many digits in the same places; the exponent stays."""
        fake = self._numbers.get(spelled)
        if fake is None:
            fake = self._new(spelled, _number)
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

    def _new(self, original: str, make: Callable[[str, Draw], str]) -> str:
        fake = original
        for attempt in range(_ATTEMPTS):
            fake = make(original, Draw(self._key, attempt, original))
            if fake != original and fake not in self._taken and not self._shows_an_original(fake):
                break
        return fake

    def _shows_an_original(self, text: str) -> bool:
        """Tell whether one of the originals is in the text, as far as it isn't repetition."""
        head = text[:_LOOKED_AT]
        for at in range(len(head) - SHORT + 1):
            lengths = self._lengths.get(head[at : at + SHORT])
            if lengths and any(text[at : at + length] in self._originals for length in lengths):
                return True
        return False


class Draw:
    """An endless row of numbers that follows from a key and an original: a random head, then the
    same few over and over, so that a large stand-in costs little and hits nothing by chance."""

    def __init__(self, key: bytes, attempt: int, original: str) -> None:
        source = original.encode("utf-8", "surrogatepass")
        self._digest = blake2b(source, key=key, salt=attempt.to_bytes(16, "big")).digest()
        self._at = 0

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


def _maker_for(original: str) -> Callable[[str, Draw], str]:
    if len(original) <= 128 and original.isascii():
        for pattern, make in ((_NUMERAL, _number), (_MOMENT, _moment), (_HEX_TEXT, _hex)):
            if pattern.fullmatch(original):
                return make
    return _words


def _words(original: str, draw: Draw) -> str:
    return _KINDS.sub(
        lambda run: draw.take(_ALPHABETS[run.lastgroup or "plain"], len(run[0])), original
    )


def _numeral(original: str, draw: Draw) -> str:
    first = draw.take(_DIGITS[:-1], 1)
    return first + draw.take(_DIGITS, len(original) - 1)


def _number(spelled: str, draw: Draw) -> str:
    def redraw(match: re.Match[str]) -> str:
        part = match["part"]
        return _numeral(match["whole"], draw) + (
            f".{draw.take(_DIGITS, len(part) - 1)}" if part else ""
        )

    return _NUMBER.sub(redraw, spelled, count=1)


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
