"""Identifiers inside of names: what a name tells of a person, an account or a thing. Pure.

A redaction keeps the names of functions, executions and operations. What in them can be recognized
as an identifier is replaced all the same: ARNs, e-mail addresses, URLs, UUIDs, tokens and keys,
hexadecimal and base64 texts, card, account and phone numbers. Words and small numbers stay: a name
such as `charge-Alice` or `page-17` can't be told from one that says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_ALNUM: Final = "A-Za-z0-9"

_IDENTIFIER: Final = re.compile(
    # Whole things that are read by their form, the longest first.
    rf"(?P<arn>(?<![{_ALNUM}])arn:[a-z0-9-]*:[a-z0-9-]*:[^\s,;'\"()]{{0,1024}})"
    rf"|(?P<url>(?<![{_ALNUM}])[a-z][a-z0-9+.-]{{1,15}}://[^\s,;'\"()]{{1,1024}})"
    r"|(?P<mail>[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8})"
    rf"|(?P<jwt>(?<![{_ALNUM}])eyJ[\w-]{{4,}}(?:\.[\w-]*){{0,4}})"
    rf"|(?P<uuid>(?<![{_ALNUM}])[0-9A-Fa-f]{{8}}(?:-[0-9A-Fa-f]{{4}}){{3}}-[0-9A-Fa-f]{{12}})"
    rf"|(?P<key>(?<![{_ALNUM}])(?:A[KS]IA[A-Z0-9]{{12,124}}|gh[pousr]_\w{{10,250}}"
    r"|[sprw]k_(?:live|test)_\w{6,250}|xox[a-z]-[\w-]{6,250}))"
    # An IBAN: country, two digits, up to 30 letters and digits in groups.
    rf"|(?P<iban>(?<![{_ALNUM}])[A-Z]{{2}}[0-9]{{2}}(?:[ -]?[A-Z0-9]{{4}}){{2,7}}"
    rf"[ -]?[A-Z0-9]{{0,4}}(?![{_ALNUM}]))"
    r"|(?P<address>(?<![0-9.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9.]))"
    # Runs of letters and digits, which `_is_token` judges.
    r"|(?P<token>[A-Za-z0-9+/]{8,}={0,2})"
    # Numbers with the separators that people write into cards, accounts and phones.
    r"|(?P<number>\+?\(?[0-9](?:[ ().-]{0,2}[0-9]){5,})"
)
_ANY: Final = "\0"
_DATE: Final = re.compile(
    r"(?:19|20)[0-9]{2}[.-](?:0[1-9]|1[0-2])[.-](?:0[1-9]|[12][0-9]|3[01])(?:[ T-]?[0-9]{2})?"
)
_SMALL: Final = re.compile(r"[0-9]{1,5}(?:(?:[.-]| - )[0-9]{1,2}){1,4}|[0-9]{1,3}-[0-9]{1,3}")
"""Versions, positions and ranges: 1.2.3, 2-1-4, 100-199."""
_HEX: Final = re.compile(r"[0-9a-f]{8,}|[0-9A-F]{8,}")
_FRAGMENT: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_PART: Final = re.compile(r"[^/+]+")
_DIGITS: Final = re.compile(r"[0-9]{6,}")
_IBAN_DIGITS: Final = 8
_SECRET_LENGTH: Final = 40
"""Of a secret access key."""
_TOKEN_LENGTH: Final = 16
_SHORT_TOKEN: Final = 8
_MANY_DIGITS: Final = 4
_TOKEN_FRAGMENT: Final = 2.6
_SHORT_TOKEN_FRAGMENT: Final = 1.8
"""Random letters and digits change their kind every two characters, words every four or more."""


def replace_identifiers(name: str, replace: Callable[[str], str]) -> str:
    """Return the name with every identifier in it as `replace` says; the rest stays."""

    def judged(match: re.Match[str]) -> str:
        text = match[0]
        if match.lastgroup == "number":
            return _with_number(text, replace)
        if match.lastgroup == "iban" and _digits(text) < _IBAN_DIGITS:
            return text
        if match.lastgroup == "token" and not _is_token(text):
            return _PART.sub(lambda part: _in_part(part[0], replace), text)
        return replace(text)

    return _IDENTIFIER.sub(judged, name)


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


def _with_number(text: str, replace: Callable[[str], str]) -> str:
    if _DATE.fullmatch(text) or _SMALL.fullmatch(text):
        return text
    return replace(text)


def _in_part(part: str, replace: Callable[[str], str]) -> str:
    if _is_token(part):
        return replace(part)
    return _DIGITS.sub(lambda run: replace(run[0]), part)


def _is_token(text: str) -> bool:
    """Tell whether letters and digits are hexadecimal or base64 rather than words."""
    digits = _digits(text)
    if len(text) < _SHORT_TOKEN or digits == len(text):
        return False
    if _HEX.fullmatch(text):
        return digits > 1
    has_both_cases = not text.islower() and not text.isupper()
    if len(text) == _SECRET_LENGTH and has_both_cases and digits:
        return True
    if not text.endswith("=") and (digits < 1 or (not has_both_cases and digits < _MANY_DIGITS)):
        return False
    most = _TOKEN_FRAGMENT if len(text) >= _TOKEN_LENGTH else _SHORT_TOKEN_FRAGMENT
    return len(text) < most * len(_FRAGMENT.findall(text))


def _digits(text: str) -> int:
    return sum(map(str.isdigit, text))
