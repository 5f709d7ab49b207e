"""Stand-ins for texts: another text of the same size, the same one for the same original.

Pure. A stand-in has as many characters as its original, each of the same kind: as many bytes in
UTF-8, as many units in UTF-16 and, written as JSON, escaped alike. So every measure of a payload
stays as it was, whichever SDK takes it. Quotes, backslashes and control characters stay (they are
what JSON escapes), and so do single spaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from durable_core.redaction.drawn import (
    LONGEST_NUMERAL,
    Draw,
    Maker,
    make_number,
    maker_for,
    tells,
)
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
