"""Payloads, as they are compared and shown. Pure."""

from __future__ import annotations

import json
from typing import NoReturn

import orjson


def same_json(one: str | None, other: str | None) -> bool:
    """Return True for payloads that are the same JSON value; no payload is null."""
    if one == other:
        return True
    try:
        return bool(json.loads(one or "null") == json.loads(other or "null"))
    except (ValueError, RecursionError):
        return False


def json_of(value: object) -> str | None:
    """Return a value as JSON, None where it has no such form."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return None


def not_json(text: str | None, *, takes_nan: bool = False) -> str | None:
    """Return why a text is no JSON, or None. No text, and one of spaces only, is no value.

    `takes_nan`: NaN and Infinity are taken for JSON, as Python's `json` writes them.
    """
    if text is None or not text.strip():
        return None
    try:
        orjson.loads(text)
    except ValueError:  # or what only the standard parser takes: huge numbers, lone surrogates
        try:
            json.loads(text, parse_constant=None if takes_nan else _refuse)
        except RecursionError:
            return "nested too deeply to be read"
        except ValueError as error:
            return str(error)
    return None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
