"""Identifiers inside of names: what a name tells of a person, an account or a thing. Pure.

A redaction keeps the names of functions, executions and operations. What in them can be recognized
as an identifier is replaced all the same: ARNs, e-mail addresses, URLs, UUIDs, tokens and keys,
hexadecimal and base64 texts, IP and hardware addresses, card, account and phone numbers, with the
digits and signs of any script. Words and small numbers stay: a name such as `charge-Alice` or
`page-17` can't be told from one that says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

_ALNUM: Final = "A-Za-z0-9"
_HEX_DIGIT: Final = "[0-9A-Fa-f]"

_WHOLE: Final = re.compile(
    # Whole things that are read by their form, the longest first, wherever they begin.
    r"(?P<arn>(?:arn|ARN):[A-Za-z0-9-]*:[A-Za-z0-9-]*:[^\s,;'\"()]{0,1024})"
    rf"|(?P<url>(?:(?<![{_ALNUM}])[A-Za-z][A-Za-z0-9+.-]{{1,15}}://|(?<![{_ALNUM}])www\.)"
    r"[^\s,;'\"()]{1,1024})"
    r"|(?P<mail>(?<![\w.+%-])[\w.+%-]+(?:@|%40|\(at\)|\[at\])[\w-]{1,63}(?:\.[\w-]{1,63}){0,8})"
    rf"|(?P<jwt>(?<![{_ALNUM}])eyJ[\w-]{{4,}}(?:\.[\w-]*){{0,4}})"
    rf"|(?P<uuid>{_HEX_DIGIT}{{8}}(?:[-_]{_HEX_DIGIT}{{4}}){{3}}[-_]{_HEX_DIGIT}{{12}})"
    r"|(?P<aws>(?<![A-Z0-9])A(?:KI|SI|RO|ID|GP|IP|NP|NV|PK|SC|BI|CC)A[A-Z0-9]{12,124})"
    rf"|(?P<key>(?<![{_ALNUM}])(?:gh[pousr]_\w{{10,250}}|github_pat_\w{{10,250}}"
    r"|[sprw]k_(?:live|test)_\w{6,250}|sk-[\w-]{16,250}|xox[a-z]-[\w-]{6,250}"
    r"|glpat-[\w-]{10,250}|(?:npm|hf|whsec)_[A-Za-z0-9]{16,250}|AIza[\w-]{20,250}))"
    # An IBAN: country, two digits, up to 30 letters and digits in groups.
    rf"|(?P<iban>(?<![{_ALNUM}])[A-Z]{{2}}[0-9]{{2}}(?:[ _-]?[A-Z0-9]{{4}}){{2,7}}"
    rf"[ _-]?[A-Z0-9]{{0,4}}(?![{_ALNUM}]))"
    # Addresses: of IPv6 in eight groups or with a gap, of hardware, of IPv4.
    rf"|(?P<six>(?<![\w:])(?:(?:{_HEX_DIGIT}{{1,4}}:){{7}}{_HEX_DIGIT}{{1,4}}"
    rf"|(?=[A-Fa-f:]*[0-9])(?:{_HEX_DIGIT}{{1,4}}:){{0,6}}:(?:{_HEX_DIGIT}{{1,4}}:){{0,6}}"
    rf"(?:[0-9]{{1,3}}(?:\.[0-9]{{1,3}}){{3}}|{_HEX_DIGIT}{{1,4}}))(?![\w:]))"
    rf"|(?P<hardware>(?<![\w:]){_HEX_DIGIT}{{2}}(?:[:-]{_HEX_DIGIT}{{2}}){{5}}(?![\w:]))"
    r"|(?P<address>(?<![0-9.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9.]))"
)
_LOOSE: Final = re.compile(
    # Runs of letters and digits, which `_is_token` judges.
    rf"(?P<token>(?![0-9/]+(?![{_ALNUM}+/=]))[A-Za-z0-9+/]{{8,}}={{0,2}})"
    # Numbers with the separators that people write into cards, accounts and phones.
    r"|(?P<number>\+?\(?[0-9](?:[ ().,:/_-]{0,3}[0-9]){5,})"
)
_ANY: Final = "\0"
_DATE: Final = re.compile(
    r"(?:19|20)[0-9]{2}(?P<s>[._/-])(?:0[1-9]|1[0-2])(?P=s)(?:0[1-9]|[12][0-9]|3[01])"
    r"(?:[ T_-]?[0-9]{2}(?::[0-9]{2}){0,2}(?:\.[0-9]{1,6})?)?"
)
_TIME: Final = re.compile(r"[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?")
_SMALL: Final = re.compile(r"[0-9]{1,5}(?:(?:[._:/-]| - )(?:0|[1-9][0-9]?)){1,5}|[0-9]{3}-[0-9]{3}")
"""Versions, positions and ranges: 1.2.3, 2-1-4, 100-199."""
_MOST_SMALL_DIGITS: Final = 7
_HEX: Final = re.compile(r"(?:0x)?(?:[0-9a-f]{8,}|[0-9A-F]{8,})")
_FRAGMENT: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_PART: Final = re.compile(r"[^/+]+")
_DIGITS: Final = re.compile(r"[0-9]{6,}")
_IBAN_DIGITS: Final = 8
_SECRET_LENGTH: Final = 40
"""Of a secret access key."""
_TOKEN_LENGTH: Final = 16
_SHORT_TOKEN: Final = 8
_MANY_DIGITS: Final = 4
_TOKEN_FRAGMENT: Final = 3.1
_SHORT_TOKEN_FRAGMENT: Final = 1.8
"""Random letters and digits change their kind every two characters, words every four or more."""

_SIGNS: Final = {"\u2212": "-", "\u3002": ".", "\uff61": "."}
"""A minus and the full stops that addresses are written with, which Unicode doesn't fold."""

_Span = tuple[int, int]


def replace_identifiers(name: str, replace: Callable[[str], str]) -> str:
    """Return the name with every identifier in it as `replace` says; the rest stays."""
    plain, places = (name, None) if name.isascii() else _plain(name)
    out: list[str] = []
    at = 0
    for start, stop in _spans(plain):
        first, last = (start, stop) if places is None else (places[start], places[stop - 1] + 1)
        out += (name[at:first], replace(name[first:last]))
        at = last
    return "".join(out) + name[at:] if out else name


def has_identifiers(text: str) -> bool:
    """Tell whether there is one in the text."""
    found: list[str] = []

    def note(piece: str) -> str:
        found.append(piece)
        return piece

    replace_identifiers(text, note)
    return bool(found)


def is_stand_in_of(redacted: str, name: str) -> bool:
    """Tell whether a redaction can have made the one name of the other: they differ where an
    identifier is, and stand-ins are as long as what they stand for."""
    masked = replace_identifiers(name, lambda piece: _ANY * len(piece))
    return len(redacted) == len(masked) and all(
        now in (_ANY, before) for before, now in zip(redacted, masked, strict=True)
    )


def _plain(name: str) -> tuple[str, list[int]]:
    """Return the name with the digits, dashes, spaces and full-width signs of all scripts as those
    of ASCII and without what can't be seen, and where in the name each character stands."""
    import unicodedata

    kept: list[str] = []
    places: list[int] = []
    for at, char in enumerate(name):
        kind = unicodedata.category(char)
        if kind in ("Cf", "Mn", "Me"):
            continue
        if kind == "Nd":
            plain = str(unicodedata.decimal(char))
        elif kind in ("Pd", "Zs") or char in _SIGNS:
            plain = _SIGNS.get(char) or (" " if kind == "Zs" else "-")
        else:
            folded = unicodedata.normalize("NFKC", char)
            plain = folded if len(folded) == 1 else char
        kept.append(plain)
        places.append(at)
    return "".join(kept), places


def _spans(text: str) -> Iterator[_Span]:
    """Yield where the identifiers are in a plain text, in order."""
    at = 0
    for match in _WHOLE.finditer(text):
        if match.lastgroup == "iban" and _digits(match[0]) < _IBAN_DIGITS:
            continue
        yield from _loose_spans(text, at, match.start())
        yield match.span()
        at = match.end()
    yield from _loose_spans(text, at, len(text))


def _loose_spans(text: str, start: int, stop: int) -> Iterator[_Span]:
    for match in _LOOSE.finditer(text, start, stop):
        if match.lastgroup == "number":
            if not _is_plain_number(match[0]):
                yield match.span()
        elif _is_token(match[0]):
            yield match.span()
        else:
            for part in _PART.finditer(text, *match.span()):
                if _is_token(part[0]):
                    yield part.span()
                else:
                    yield from (run.span() for run in _DIGITS.finditer(text, *part.span()))


def _is_plain_number(text: str) -> bool:
    """Tell whether it is a date, a time, a version or the like."""
    if _DATE.fullmatch(text) or _TIME.fullmatch(text):
        return True
    return _digits(text) <= _MOST_SMALL_DIGITS and _SMALL.fullmatch(text) is not None


def _is_token(text: str) -> bool:
    """Tell whether letters and digits are hexadecimal or base64 rather than words."""
    digits = _digits(text)
    if len(text) < _SHORT_TOKEN or digits == len(text):
        return False
    if _HEX.fullmatch(text):
        return digits > 1 or len(text) >= _TOKEN_LENGTH
    has_both_cases = not text.islower() and not text.isupper()
    if len(text) == _SECRET_LENGTH and has_both_cases and digits:
        return True
    fragments = len(_FRAGMENT.findall(text))
    if not has_both_cases and 2 * digits >= len(text) and fragments > 3:
        return True
    if not text.endswith("=") and (digits < 1 or (not has_both_cases and digits < _MANY_DIGITS)):
        return False
    most = _TOKEN_FRAGMENT if len(text) >= _TOKEN_LENGTH else _SHORT_TOKEN_FRAGMENT
    return len(text) < most * fragments


def _digits(text: str) -> int:
    return sum(map(str.isdigit, text))
