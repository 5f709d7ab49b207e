"""Inputs made of other ones: what is JSON stays JSON, mostly, so that it gets past the parser."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

TEXTS: Final = (
    "",
    "\0",
    "\x1b[31m",
    "\u202e",
    "\ud800",
    "\ufffe",
    "😀",
    "::error::x",
    "##[group]x",
    "[x](javascript:1)",
    "|",
    "`",
    "a\nb",
    "ä" * 300,
    "[" * 1_100,
    '{"Units":[{"Index":0,"Status":"STARTED"}],"CompletionReason":"ALL_COMPLETED"}',
    '{"type":"MapResult","totalCount":3,"all":[]}',
    "null",
    "2026-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
)
NUMBERS: Final = (0, -1, 1, 2**31, 2**63, 2**64, 10**30, -(10**30), 0.5, 1e308, float("nan"))
VALUES: Final = (None, True, False, [], {}, [[]], [None], {"": ""})

Change = Callable[[random.Random, Any], Any]


def mutated(seed: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """Return what is made of an input by a few changes."""
    try:
        value = json.loads(seed)
    except (ValueError, RecursionError):
        value = None
    if value is None or chance.random() < 0.15:
        return _bytes_changed(seed, others, chance)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        value = _changed(value, chance)
    return json.dumps(value, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")


def _changed(value: Any, chance: random.Random) -> Any:
    """Return the value with one change, somewhere in it."""
    places = list(_places(value))
    if not places:
        return copy.deepcopy(chance.choice(VALUES))
    holder, key = chance.choice(places)
    kind = chance.randrange(9)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder[key] = copy.deepcopy(chance.choice(VALUES))
    elif kind == 2:
        holder[key] = chance.choice(NUMBERS)
    elif kind == 3:
        holder[key] = chance.choice(TEXTS)
    elif kind == 4:
        other, at = chance.choice(places)
        if at in other if isinstance(other, dict) else at < len(other):
            holder[key] = json.loads(json.dumps(other[at]))
    elif kind == 5 and isinstance(holder, list):
        holder.insert(key, json.loads(json.dumps(holder[key])))
    elif kind == 6 and isinstance(holder, list):
        chance.shuffle(holder)
    elif kind == 7 and isinstance(holder[key], str):
        holder[key] = _text_changed(holder[key], chance)
    elif isinstance(holder, dict):
        holder[chance.choice(TEXTS)] = holder.pop(key)
    return value


def _places(value: Any, depth: int = 0) -> Any:
    if depth > 30:
        return
    if isinstance(value, dict):
        for key in value:
            yield value, key
            yield from _places(value[key], depth + 1)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield value, index
            yield from _places(each, depth + 1)


def _text_changed(text: str, chance: random.Random) -> str:
    """Return a text changed: one that is JSON as JSON, as payloads are."""
    try:
        value = json.loads(text)
        return json.dumps(_changed(value, chance)) if isinstance(value, list | dict) else text * 2
    except (ValueError, RecursionError):
        at = chance.randint(0, len(text))
        return text[:at] + chance.choice(TEXTS) + text[at + chance.randint(0, 3) :]


def _bytes_changed(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(chance.choice((1, 2, 5))):
        at = chance.randint(0, len(found))
        match chance.randrange(5):
            case 0:
                found[at : at + chance.randint(1, 8)] = b""
            case 1:
                found[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 4)))
            case 2:
                found[at : at + 1] = bytes([chance.randrange(256)])
            case 3:
                other = chance.choice(others)
                begin = chance.randint(0, len(other))
                found[at:at] = other[begin : begin + chance.randint(1, 200)]
            case _:
                del found[at:]
    return bytes(found)
