"""Payloads, as they are compared and shown. Pure."""

from __future__ import annotations

import json


def same_json(one: str | None, other: str | None) -> bool:
    """Return True for payloads that are the same JSON value; no payload is null."""
    if one == other:
        return True
    try:
        return bool(json.loads(one or "null") == json.loads(other or "null"))
    except ValueError:
        return False


def json_of(value: object) -> str | None:
    """Return a value as JSON, None where it has no such form."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return None
