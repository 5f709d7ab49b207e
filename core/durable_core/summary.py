"""What a map or parallel stored as its result: read in every SDK's form, written in .NET's.

A result over the limit is *stripped*: the checkpoint keeps how each unit ended and why the
operation completed, and the values are rebuilt on replay. Forms and their sources: reference
2026-11 section 4, `concurrency/models.py` and `serdes.py` of AWS's Python SDK (1.x and 3.0.0),
the summary generators of its JavaScript SDK (1.1.7 and 2.4.0).

Nothing here trusts what a summary says of itself: a count of a billion units is one run.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from typing import Any, Final, NamedTuple, TypeGuard

import orjson

from durable_core.limits import LIMITS
from durable_core.model import (
    BATCH_SUB_TYPES,
    CompletionReason,
    Operation,
    OperationStatus,
    OperationType,
    SubType,
    UnitStatus,
)


class SummaryForm(StrEnum):
    """Who writes a result in this form."""

    DOTNET = "dotnet"
    COMPACT = "compact"
    PYTHON = "python"
    PYTHON_1 = "python-1"
    JAVASCRIPT = "javascript"
    JAVASCRIPT_OLD = "javascript-old"
    JAVA = "java"
    INLINE = "inline"
    EMPTY = "empty"


class UnitRun(NamedTuple):
    """Neighbouring units, `start` to `stop - 1`, that ended alike.

    `status` None: the unit ended, and the summary doesn't say how. `dispatched` False: it was never
    started (it then has the status STARTED, and the live result didn't list it).
    """

    start: int
    stop: int
    status: UnitStatus | None
    dispatched: bool = True


@dataclass(frozen=True, slots=True)
class Summary:
    """What a stored map or parallel result says of its units.

    `reason` is the completion reason as stored (it may be one that this version doesn't know),
    `names` the unit names by index where the form carries them, `total` the number of units that
    the form lists. `stripped` is True when the values themselves are not in it. `failures` is how
    many units failed, where the form only counts them.
    """

    form: SummaryForm
    stripped: bool
    total: int = 0
    reason: str | None = None
    runs: tuple[UnitRun, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    names_dropped: bool = False
    failures: int | None = None

    def status_of(self, index: int) -> UnitRun | None:
        """Return the run that the unit is in, or None when the summary doesn't list the unit."""
        return next(iter(self.between(index, index + 1)), None)

    def between(self, start: int, stop: int) -> Iterator[UnitRun]:
        """Return the runs of units `start` to `stop - 1`, cut to them."""
        at = max(0, bisect_right(self.runs, start, key=lambda run: run.start) - 1)
        while start < stop and at < len(self.runs) and self.runs[at].start < stop:
            run = self.runs[at]
            if run.stop > start:
                yield run._replace(start=max(run.start, start), stop=min(run.stop, stop))
            at += 1

    def count(self, status: UnitStatus | None, *, dispatched: bool | None = None) -> int:
        """Return how many units have the status (and were dispatched or not, when asked)."""
        return sum(
            run.stop - run.start
            for run in self.runs
            if run.status is status and dispatched in (None, run.dispatched)
        )


@dataclass(frozen=True, slots=True)
class FrozenUnit:
    """A unit as a summary freezes it."""

    index: int
    name: str | None
    status: UnitStatus
    dispatched: bool = True


class SummaryTooLarge(ValueError):
    """Even the compact form of a summary is over the payload limit."""


# -- reading -----------------------------------------------------------------------------------


def read_summary(payload: str | None) -> Summary | None:
    """Return what a stored map or parallel result says, or None when it is in no known form.

    Never raises: a payload that isn't a summary is not an error of the history.
    """
    if payload == "":
        return Summary(SummaryForm.EMPTY, stripped=True)
    if payload is None:
        return None
    document = _parse(payload)
    if not isinstance(document, dict):
        return None
    if document.get("t") == "br":  # AWS's Python SDK: its tagged envelope around a BatchResult
        document = _untag(document)
        if not isinstance(document, dict):
            return None
    for read in (_read_dotnet, _read_compact, _read_inline, _read_counts, _read_java):
        summary = read(document)
        if summary is not None:
            return summary
    return None


def _parse(payload: str) -> Any:
    try:
        return orjson.loads(payload)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        pass
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def _untag(value: Any, depth: int = 0) -> Any:
    """Undo the outer levels of the Python SDK's tagged envelope; results stay as they are."""
    if not (isinstance(value, dict) and value.keys() == {"t", "v"}) or depth > 4:
        return value
    inner = value["v"]
    if isinstance(inner, dict):
        return {
            key: item if key in ("result", "error") else _untag(item, depth + 1)
            for key, item in inner.items()
        }
    if isinstance(inner, list):
        return [_untag(item, depth + 1) for item in inner]
    return inner


def _status(value: object) -> UnitStatus | None:
    if value == "SKIPPED":  # Java's word for a unit that was never started
        return UnitStatus.STARTED
    return _STATUS_VALUES.get(value) if isinstance(value, str) else None


_STATUS_VALUES: Final[Mapping[str, UnitStatus]] = {status.value: status for status in UnitStatus}


def _reason(document: Mapping[str, Any], key: str) -> str | None:
    value = document.get(key)
    return value if isinstance(value, str) else None


_MOST_DIGITS: Final = 12


def _is_count(value: object) -> TypeGuard[int]:
    """Tell whether a number can count or number units: no claim is taken that is absurd."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**_MOST_DIGITS


def _units(
    items: object, index_key: str, status_key: str
) -> list[tuple[int, UnitStatus | None, dict[str, Any]]] | None:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return None
    units = []
    for position, item in enumerate(items):
        index = item.get(index_key, position)
        if not _is_count(index):
            return None
        units.append((index, _status(item.get(status_key)), item))
    units.sort(key=lambda unit: unit[0])
    return units


def _runs(units: Iterable[tuple[int, UnitStatus | None, bool]]) -> tuple[UnitRun, ...]:
    """Join neighbours of equal status into runs; the units must come in order of index."""
    runs: list[UnitRun] = []
    for index, status, dispatched in units:
        last = runs[-1] if runs else None
        if last and last.stop == index and (last.status, last.dispatched) == (status, dispatched):
            runs[-1] = last._replace(stop=index + 1)
        elif not last or index >= last.stop:
            runs.append(UnitRun(index, index + 1, status, dispatched))
    return tuple(runs)


def _read_dotnet(document: Mapping[str, Any]) -> Summary | None:
    units = _units(document.get("Units"), "Index", "Status")
    if units is None:
        return None
    stripped = not any("Result" in item or "Error" in item for _, _, item in units)
    ended = any(status is not UnitStatus.STARTED for _, status, _ in units)
    return Summary(
        SummaryForm.DOTNET,
        stripped=stripped and ended,
        total=len(units),
        reason=_reason(document, "CompletionReason"),
        runs=_runs((i, status, item.get("Dispatched") is not False) for i, status, item in units),
        names={i: item["Name"] for i, _, item in units if isinstance(item.get("Name"), str)},
    )


def _read_compact(document: Mapping[str, Any]) -> Summary | None:
    text = document.get("UnitStatuses")
    if not isinstance(text, str) or not _COMPACT.fullmatch(text):
        return None
    runs: list[UnitRun] = []
    start = 0
    for count, letter in _COMPACT_RUN.findall(text):
        if len(count) > _MOST_DIGITS:
            return None
        stop = start + int(count or 1)
        runs.append(UnitRun(start, stop, *_LETTERS[letter]))
        start = stop
    return Summary(
        SummaryForm.COMPACT,
        stripped=True,
        total=start,
        reason=_reason(document, "CompletionReason"),
        runs=tuple(runs),
        names_dropped=document.get("NamesDropped") is True,
    )


def _read_inline(document: Mapping[str, Any]) -> Summary | None:
    units = _units(document.get("all"), "index", "status")
    if units is None:
        return None
    return Summary(
        SummaryForm.INLINE,
        stripped=False,
        total=len(units),
        reason=_reason(document, "completionReason"),
        runs=_runs((index, status, True) for index, status, _ in units),
    )


def _count(document: Mapping[str, Any], key: str) -> int | None:
    value = document.get(key)
    return value if _is_count(value) else None


def _read_counts(document: Mapping[str, Any]) -> Summary | None:
    """Read the summaries that carry `type` and counts: AWS's Python and JavaScript SDKs."""
    total = _count(document, "totalCount")
    if document.get("type") not in ("MapResult", "ParallelResult") or total is None:
        return None
    reason = _reason(document, "completionReason")
    if isinstance(letters := document.get("itemStatuses"), str):
        named = {"S": UnitStatus.SUCCEEDED, "F": UnitStatus.FAILED, "-": UnitStatus.STARTED}
        runs = _runs((index, named.get(letter), True) for index, letter in enumerate(letters))
        return Summary(SummaryForm.JAVASCRIPT, True, len(letters), reason, runs)
    ended = _ended_status(document)
    failures = _count(document, "failureCount")
    listed = _listed_runs(document, total, ended)
    if listed is not None:
        return Summary(SummaryForm.PYTHON, True, total, reason, listed, failures=failures)
    # Python before 3.0.0 and JavaScript before 2.4.0 write the same keys in another order:
    # counts only. Python 1.x counts every unit, JavaScript the ones that were started.
    keys = list(document)
    old_python = keys.index("type") > keys.index("totalCount")
    form = SummaryForm.PYTHON_1 if old_python else SummaryForm.JAVASCRIPT_OLD
    only = ended if _nothing_started(document, total) else None
    runs = (UnitRun(0, total, only),) if total else ()
    return Summary(form, True, total, reason, runs, failures=failures)


def _ended_status(document: Mapping[str, Any]) -> UnitStatus | None:
    """Return how every ended unit ended when the counts leave no choice."""
    if _count(document, "failureCount") == 0:
        return UnitStatus.SUCCEEDED
    if _count(document, "successCount") == 0:
        return UnitStatus.FAILED
    return None


def _listed_runs(
    document: Mapping[str, Any], total: int, ended: UnitStatus | None
) -> tuple[UnitRun, ...] | None:
    """Read the smaller of the two index lists that AWS's Python SDK writes from 2.1.0."""
    started = _indexes(document.get("startedIndexes"), total)
    if started is not None:
        return tuple(_spread(started, total, UnitStatus.STARTED, ended))
    completed = _indexes(document.get("completedIndexes"), total)
    if completed is not None:
        return tuple(_spread(completed, total, ended, UnitStatus.STARTED))
    return None


def _nothing_started(document: Mapping[str, Any], total: int) -> bool:
    ended = (_count(document, "successCount") or 0) + (_count(document, "failureCount") or 0)
    return ended == total


def _indexes(raw: object, total: int) -> list[int] | None:
    if not isinstance(raw, list):
        return None
    return sorted(set(raw)) if all(_is_count(i) and i < total for i in raw) else None


def _spread(
    listed: Sequence[int], total: int, inside: UnitStatus | None, outside: UnitStatus | None
) -> Iterator[UnitRun]:
    """Give the runs of `total` units where the listed ones are `inside` and the rest `outside`."""
    position = 0
    for start, stop in _blocks(listed):
        if position < start:
            yield UnitRun(position, start, outside)
        yield UnitRun(start, stop, inside)
        position = stop
    if position < total:
        yield UnitRun(position, total, outside)


def _blocks(listed: Sequence[int]) -> Iterator[tuple[int, int]]:
    for _, group in groupby(enumerate(listed), key=lambda pair: pair[1] - pair[0]):
        block = [index for _, index in group]
        yield block[0], block[-1] + 1


def _read_java(document: Mapping[str, Any]) -> Summary | None:
    reason = _reason(document, "completionReason") or _reason(document, "completionStatus")
    items = document.get("items")
    if isinstance(items, list) and all(isinstance(item, dict) for item in items):
        stripped = all(
            value is None for item in items for key, value in item.items() if key != "status"
        )
        states = [item.get("status") for item in items]
    elif isinstance(document.get("statuses"), list):
        states, stripped = document["statuses"], True
    else:
        return None
    runs = _runs((i, _status(state), state != "SKIPPED") for i, state in enumerate(states))
    return Summary(SummaryForm.JAVA, stripped, len(states), reason, runs)


# -- writing, in the form of AWS's .NET SDK -----------------------------------------------------

_LETTERS: Final[Mapping[str, tuple[UnitStatus, bool]]] = {
    "S": (UnitStatus.SUCCEEDED, True),
    "F": (UnitStatus.FAILED, True),
    "R": (UnitStatus.STARTED, True),
    "N": (UnitStatus.STARTED, False),
}
_LETTER_OF: Final = {meaning: letter for letter, meaning in _LETTERS.items()}
_COMPACT_RUN: Final = re.compile(r"(\d*)([SFRN])")
_COMPACT: Final = re.compile(r"(?:\d*[SFRN])*")


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


# -- was it stripped? ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReplayChildrenFact:
    """Whether a context has ReplayChildren, and how that is known.

    `inferred` is True when no source says so and it follows from the payload; `reason` says why, in
    words. Some writers can't be told from events: a JavaScript context that keeps its children by
    `childOperationsDepth`, and a child context with a summary of the user's own.
    """

    value: bool
    inferred: bool
    reason: str
    stripped: bool = False
    """The values aren't in the checkpoint. False for a context that is rebuilt although they are:
    JavaScript's `childOperationsDepth`."""


def replay_children_of(
    operation: Operation, summary: Summary | None, *, payload_known: bool = True
) -> ReplayChildrenFact:
    """Say whether a context is rebuilt from its children; an explicit flag always wins.

    `payload_known` is False when the history was read without execution data.
    """
    details = operation.context_details
    if details is not None and details.replay_children is not None:
        hollow = not operation.result or bool(summary and summary.stripped)
        flag = details.replay_children
        return ReplayChildrenFact(flag, False, "the operation says so", flag and hollow)
    if operation.type is not OperationType.CONTEXT or operation.status is not _DONE:
        return ReplayChildrenFact(False, False, "only a succeeded context is rebuilt")
    if not payload_known:
        return ReplayChildrenFact(False, True, "unknown: the history has no payloads")
    if operation.result == "":
        return ReplayChildrenFact(True, True, "its stored payload is empty", True)
    if operation.sub_type in BATCH_SUB_TYPES and summary is not None:
        if summary.form is SummaryForm.JAVA and operation.sub_type == SubType.PARALLEL:
            return ReplayChildrenFact(True, True, "Java's parallel is always rebuilt", True)
        if summary.stripped:
            why = "its stored result has no values, only statuses"
            return ReplayChildrenFact(True, True, why, True)
    return ReplayChildrenFact(False, True, "its stored payload is whole")


_DONE: Final = OperationStatus.SUCCEEDED
