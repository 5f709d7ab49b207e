"""Summaries of stripped results, in the form of AWS's .NET SDK, and the compact form of those
that are over the limit themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from durable_core.limits import LIMITS
from durable_core.model import (
    CompletionReason,
)
from durable_core.summaries.values import LETTERS, FrozenUnit, SummaryTooLarge

_LETTER_OF: Final = {meaning: letter for letter, meaning in LETTERS.items()}


def write_summary(
    units: Sequence[FrozenUnit],
    reason: CompletionReason | str,
    limit: int = LIMITS.payload_bytes,
) -> str:
    """Return the stripped form: Index, Name and Status of each unit and the CompletionReason.

    A unit that was never dispatched also gets `"Dispatched": false`; .NET's own reader ignores it.
    Over the limit in bytes the compact form is returned instead, which drops the names. Raises
    SummaryTooLarge when that is over it too (some 260,000 units of ever changing status).
    """
    text = _dump(
        {
            "CompletionReason": str(reason),
            "Units": [
                {"Index": unit.index, "Name": unit.name, "Status": unit.status.value}
                | ({} if unit.dispatched else {"Dispatched": False})
                for unit in units
            ],
        }
    )
    if _size(text) <= limit:
        return text
    text = _dump(
        {
            "CompletionReason": str(reason),
            "UnitStatuses": _letters(units),
            "NamesDropped": True,
        }
    )
    if _size(text) <= limit:
        return text
    raise SummaryTooLarge(
        f"the summary of {len(units):,} units takes {_size(text):,} bytes even without names, "
        f"over the limit of {limit:,}"
    )


def _letters(units: Sequence[FrozenUnit]) -> str:
    letters = (_LETTER_OF[(unit.status, unit.dispatched)] for unit in units)
    counted = ((letter, sum(1 for _ in group)) for letter, group in groupby(letters))
    return "".join(letter if count == 1 else f"{count}{letter}" for letter, count in counted)


def _dump(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
