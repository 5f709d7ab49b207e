"""A TOML text that somebody wrote, as values: what is wrong with it is one line."""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final

from durable_core.errors import SourceError

_MOST_PARTS: Final = 100
"""`tomllib` takes time with the square of the parts of a key."""

_PART: Final = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY: Final = re.compile(rf"(?<![\w\-\"'])(?:{_PART}[ \t]*+\.[ \t]*+){{{_MOST_PARTS}}}")


def read_toml(text: str, source: str) -> dict[str, Any]:
    """Return what a TOML text says. Raises SourceError."""
    if _LONG_KEY.search(text):
        raise SourceError(source, f"not TOML: a key of more than {_MOST_PARTS} parts")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SourceError(source, f"not TOML: {error}") from None
    except RecursionError:
        raise SourceError(source, "not TOML: nested too deeply") from None
    except ValueError:
        raise SourceError(source, "not TOML: a number of thousands of digits") from None
