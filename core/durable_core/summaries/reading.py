"""Stored results of maps and parallels, read in every SDK's form.

A result over the limit is *stripped*: the checkpoint keeps how each unit ended and why the
operation completed, and the values are rebuilt on replay. Forms and their sources: reference
2026-11 section 4, `concurrency/models.py` and `serdes.py` of AWS's Python SDK (1.x and 3.0.0),
the summary generators of its JavaScript SDK (1.1.7 and 2.4.0).

Nothing here trusts what a summary says of itself: a count of a billion units is one run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, Final, TypeGuard

import orjson

from durable_core.errors import WireError
from durable_core.model import ErrorObject, UnitStatus
from durable_core.patterns import pattern
from durable_core.summaries.values import LETTERS, Summary, SummaryForm, UnitRun
from durable_core.wire import error_from_wire


@lru_cache(maxsize=8)
def read_summary(payload: str | None) -> Summary | None:
    """Return what a stored map or parallel result says, or None when it is in no known form.

    Never raises: a payload that isn't a summary is not an error of the history. The last ones are
    kept: of one map or parallel it is asked several times.
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


def _untagged(value: Any, depth: int = 0) -> Any:
    """Undo the Python SDK's tagged envelope of an error; anything deeper stays as it is."""
    if not (isinstance(value, dict) and value.keys() == {"t", "v"}) or depth > 4:
        return value
    inner = value["v"]
    if isinstance(inner, dict):
        return {key: _untagged(item, depth + 1) for key, item in inner.items()}
    return [_untagged(item, depth + 1) for item in inner] if isinstance(inner, list) else inner


def _errors(
    units: Iterable[tuple[int, UnitStatus | None, Mapping[str, Any]]], key: str
) -> dict[int, ErrorObject]:
    """Return the stored errors of failed units; what is no error object is none."""
    errors: dict[int, ErrorObject] = {}
    for index, status, item in units:
        if status is UnitStatus.FAILED and item.get(key) is not None:
            try:
                errors[index] = error_from_wire(_untagged(item[key]))
            except WireError:
                continue
    return errors


def _status(value: object) -> UnitStatus | None:
    if value == _SKIPPED:
        return UnitStatus.STARTED
    return _STATUS_VALUES.get(value) if isinstance(value, str) else None


_SKIPPED: Final = "SKIPPED"
"""What Java and DAGs write of a unit that was never started."""

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
        errors=_errors(units, "Error"),
    )


_COMPACT_RUN: Final = pattern(r"(\d*)([SFRN])")
_COMPACT: Final = pattern(r"(?:\d*[SFRN])*")


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
        runs.append(UnitRun(start, stop, *LETTERS[letter]))
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
        runs=_runs((i, status, item.get("status") != _SKIPPED) for i, status, item in units),
        names={i: item["name"] for i, _, item in units if isinstance(item.get("name"), str)},
        errors=_errors(units, "error"),
    )


DEFAULT_UNIT_NAME: Final = pattern(r"(map-item|parallel-branch)-\d+")
"""What SDKs call a unit that the user gave no name."""


def has_made_up_names(summary: Summary) -> bool:
    """Return True when units have names in a result and the SDK made all of them up."""
    names = summary.names.values()
    return bool(names) and all(map(DEFAULT_UNIT_NAME.fullmatch, names))


def _count(document: Mapping[str, Any], key: str) -> int | None:
    value = document.get(key)
    return value if _is_count(value) else None


_DAG_RESULT: Final = "DagResult"
_COUNTED: Final = frozenset({"MapResult", "ParallelResult", _DAG_RESULT})


def _read_counts(document: Mapping[str, Any]) -> Summary | None:
    """Read the summaries that carry `type` and counts: AWS's Python, JavaScript and Go SDKs."""
    total = _count(document, "totalCount")
    kind = document.get("type")
    if not isinstance(kind, str) or kind not in _COUNTED or total is None:
        return None
    reason = _reason(document, "completionReason")
    if isinstance(letters := document.get("itemStatuses"), str):
        named = {"S": UnitStatus.SUCCEEDED, "F": UnitStatus.FAILED, "-": UnitStatus.STARTED}
        runs = _runs((index, named.get(letter), True) for index, letter in enumerate(letters))
        form = SummaryForm.DAG if kind == _DAG_RESULT else SummaryForm.JAVASCRIPT
        return Summary(form, True, len(letters), reason, runs)
    if kind == _DAG_RESULT:
        return Summary(SummaryForm.DAG, True, total, reason)
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
    runs = _runs((i, _status(state), state != _SKIPPED) for i, state in enumerate(states))
    return Summary(SummaryForm.JAVA, stripped, len(states), reason, runs)
