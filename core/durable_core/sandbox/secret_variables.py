"""Which of the environment's variables hold secrets, and what a handler that is verified gets
instead of them.

Verifying runs the user's code against records of production, and needs none of its credentials:
no connection is made. So they aren't handed to the processes that run it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from durable_core.errors import UsageError
from durable_core.patterns import pattern

_NAMED_SECRET: Final = pattern(
    "TOKEN|SECRET|PASSW(?:OR)?D|PASSPHRASE|CREDENTIAL|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY|COOKIE"
    "|CONN(?:ECTION)?_?STR(?:ING)?|WEBHOOK_?URL"
)
"""Anywhere in a name, in capitals."""
_NAMED_SECRETS: Final = frozenset({"KEY", "PWD", "PASS", "AUTH", "JWT", "PAT", "CREDS", "DSN"})
"""As one of the words of a name."""
_NO_SECRETS: Final = frozenset({"PWD", "OLDPWD"})
_TOKENIZERS: Final = "TOKENIZER"
_OF_KEYS: Final = frozenset(
    {"PARTITION", "SORT", "PRIMARY", "FOREIGN", "HASH", "RANGE", "PUBLIC", "CACHE", "OBJECT"}
    | {"S3", "ROUTING", "INDEX"}
)
"""Before KEY: of a table or a bucket."""
_WHICH: Final = pattern(
    r"(?:_(?:V?\d+|LIVE|PROD|PRODUCTION|STAGING|STAGE|TEST|DEV|OLD|NEW|CURRENT|PREVIOUS|NEXT"
    r"|PRIMARY|SECONDARY|BACKUP|BASE64|B64|HEX|PEM|JSON))+$"
)
"""At the end of a name: which of several it is, or in which form."""
_SAID_OF_SECRETS: Final = frozenset(
    {"NAME", "ARN", "TABLE", "TTL", "TYPE", "LENGTH", "LIMIT", "TIMEOUT", "SECONDS", "HEADER"}
)
"""As the last word: what is told of a secret, not the secret."""
_OF_AWS: Final = pattern(r"AWS_CONTAINER_\w+|AWS_BEARER_\w+")
_HARMLESS: Final = pattern(r"[0-9.]{0,9}|true|false|yes|no|on|off", re.IGNORECASE)
_OF_DIGITS: Final = pattern(r"(?:PASSW(?:OR)?D|PASSPHRASE|PWD|PASS|PIN)$")
"""At the end of the name of a secret that may be a number, of four digits or more."""
_FEWEST_DIGITS: Final = 4
_SECRET_VALUE: Final = pattern(
    r"://[^/@\s:]*:[^/@\s]+@"  # a password in a URL
    r"|(?:password|pwd|(?:account|sharedaccess)key|sharedaccesssignature) ?= ?[^;&\s]{3}"
    r"|://(?:hooks\.slack\.com|discord(?:app)?\.com/api/webhooks"
    r"|[\w-]{1,63}\.webhook\.office\.com)/\w"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|(?<![\w-])(?:A[KS]IA[A-Z0-9]{16}|gh[pousr]_\w{20}|github_pat_\w{20}|glpat-[\w-]{16}"
    r"|xox[a-z]-\w{8}|xapp-\w{8}|[rs]k_(?:live|test)_\w{8}|whsec_\w{16}|sk-[\w-]{20}"
    r"|AIza[\w-]{30}|npm_\w{30}|pypi-[\w-]{30}|hf_\w{30}|dop_v1_\w{30}|shpat_\w{30}"
    r"|SG\.[\w-]{16,64}\.[\w-]{16}|eyJ[\w-]{8,}\.eyJ)",
    re.IGNORECASE,
)
"""Linear in the length of a value: what repeats ends where the next try begins."""

PLACEHOLDERS: Final = {
    "AWS_ACCESS_KEY_ID": "WITHHELD-WHILE-VERIFYING",
    "AWS_SECRET_ACCESS_KEY": "withheld-while-verifying",
}
"""With these clients of AWS can be made, as in Lambda, and look for credentials nowhere else."""


def is_secret(name: str, value: str) -> bool:
    """Tell whether a variable holds a credential, by its name or by its value."""
    if _SECRET_VALUE.search(value):
        return True
    upper = name.upper()
    if upper in _NO_SECRETS:
        return False
    upper = _WHICH.sub("", upper)
    words = upper.split("_")
    if words[-1] in _SAID_OF_SECRETS:
        return False
    if _HARMLESS.fullmatch(value):
        return len(value) >= _FEWEST_DIGITS and value.isdigit() and bool(_OF_DIGITS.search(upper))
    if _OF_AWS.fullmatch(upper):
        return True
    if _NAMED_SECRET.search(upper.replace(_TOKENIZERS, "")):
        return True
    found = _NAMED_SECRETS.intersection(words)
    if found == {"KEY"}:
        at = words.index("KEY")
        return at == len(words) - 1 and (at == 0 or words[at - 1] not in _OF_KEYS)
    return bool(found)


def withheld_from(environment: Mapping[str, str], asked: Collection[str]) -> tuple[str, ...]:
    """Return the names of the variables that a verified handler isn't handed. `asked` are those
    that it is, `NAME` or `NAME=VALUE`."""
    handed = {each.partition("=")[0] for each in asked}
    names = (name for name, value in environment.items() if is_secret(name, value))
    found = dict.fromkeys(name for name in names if name not in handed)
    if not _asks_for_credentials(handed):
        found |= dict.fromkeys(PLACEHOLDERS)
    return tuple(found)


def changes_for(withheld: Collection[str], asked: Collection[str]) -> dict[str, str | None]:
    """Return what is changed in the environment of a process that verifies; None: it is taken
    away."""
    changes: dict[str, str | None] = {name: PLACEHOLDERS.get(name) for name in withheld}
    given = (each.partition("=") for each in asked)
    return changes | {name: value for name, is_value, value in given if is_value}


def check_asked(asked: Sequence[str]) -> None:
    """Raise UsageError for a variable that can't be handed, or is anyway."""
    for each in asked:
        name, is_value, _ = each.partition("=")
        if not name or "\0" in each:
            raise UsageError(f"--env {each!r}: expected NAME or NAME=VALUE")
        if is_value:
            continue
        if name not in os.environ:
            raise UsageError(f"--env {name}: there is no such variable: --env {name}=VALUE sets it")
        if not is_secret(name, os.environ[name]) and not _asks_for_credentials([name]):
            raise UsageError(f"--env {name} has no effect: only secrets are not handed")


def _asks_for_credentials(handed: Collection[str]) -> bool:
    return any(name in PLACEHOLDERS or name in _WITHOUT_KEYS for name in handed)


_WITHOUT_KEYS: Final = frozenset({"AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"})
"""By these an SDK finds credentials as well; the placeholders would be found first."""


@contextmanager
def environment_with(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Start processes with other variables: what they never had, nobody finds in them."""
    before = {name: os.environ.get(name) for name in changes}
    _set(changes)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is not None:
            os.environ[name] = value
        elif name in os.environ:
            del os.environ[name]


def hide_environment() -> None:
    """Let no process that this one starts read its secrets (`/proc/PID/environ` of Linux)."""
    if sys.platform == "linux" and any(is_secret(*each) for each in os.environ.items()):
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


_PR_SET_DUMPABLE: Final = 4
