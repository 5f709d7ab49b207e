"""The stored result of a map or parallel, in the form of AWS's .NET SDK: whole, or stripped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

from durable_core.errors import WireError
from durable_core.frozen import dataclass
from durable_core.model import CompletionReason, ErrorObject, UnitStatus
from durable_core.sizes import utf8_bytes
from durable_core.summaries.reading import read_summary
from durable_core.summaries.values import FrozenUnit, UnitRun
from durable_core.summaries.writing import write_summary
from durable_core.wire import error_from_wire, error_to_wire

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _dump(value: Mapping[str, Any] | str) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return _encode(value)  # a text has a lone surrogate


class EndedUnit(Protocol):
    """A unit when its map or parallel completes. `status` None: it was never dispatched."""

    @property
    def index(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def status(self) -> UnitStatus | None: ...
    @property
    def payload(self) -> str | None: ...
    @property
    def error(self) -> ErrorObject | None: ...


@dataclass(frozen=True, slots=True)
class InlineUnit:
    """A unit with its result as JSON text, or its error."""

    index: int
    name: str | None
    status: UnitStatus
    dispatched: bool
    payload: str | None
    error: ErrorObject | None


@dataclass(frozen=True, slots=True)
class InlineBatch:
    """A result that was stored whole."""

    units: tuple[InlineUnit, ...]
    reason: CompletionReason


@dataclass(frozen=True, slots=True)
class WholeResult:
    """A whole result as it would be stored: its size, and the text where it is needed."""

    size_bytes: int
    payload: str | None


def whole_result(
    units: Sequence[EndedUnit], reason: CompletionReason, limit_bytes: int
) -> WholeResult:
    """Return the whole result: Index, Name and Status of each unit, and its Result or Error.

    Units are written one at a time, so that a result over the limit is never built.
    """
    before, after = f'{{"CompletionReason":{_dump(reason.value)},"Units":[', "]}"
    size = len(before) + len(after) + max(len(units) - 1, 0)
    written: list[str] = []
    for unit in units:
        text = _dump(_inline_unit(unit))
        size += utf8_bytes(text)
        if size <= limit_bytes:
            written.append(text)
    return WholeResult(size, f"{before}{','.join(written)}{after}" if size <= limit_bytes else None)


def _inline_unit(unit: EndedUnit) -> dict[str, Any]:
    status = unit.status or UnitStatus.STARTED
    written: dict[str, Any] = {"Index": unit.index, "Name": unit.name, "Status": status.value}
    if status is UnitStatus.SUCCEEDED:
        written["Result"] = unit.payload
    elif status is UnitStatus.FAILED:
        written["Error"] = None if unit.error is None else error_to_wire(unit.error)
    elif unit.status is None:
        written["Dispatched"] = False
    return written


def read_inline(payload: str | None) -> InlineBatch | None:
    """Return the whole result that `whole_result` wrote, or None when it is something else."""
    try:
        document = json.loads(payload or "")
        return InlineBatch(
            tuple(_read_unit(unit) for unit in document["Units"]),
            CompletionReason(document["CompletionReason"]),
        )
    except (ValueError, TypeError, KeyError, WireError, RecursionError):
        return None


def _read_unit(unit: Mapping[str, Any]) -> InlineUnit:
    error = unit.get("Error")
    return InlineUnit(
        index=unit["Index"],
        name=unit.get("Name"),
        status=UnitStatus(unit["Status"]),
        dispatched=unit.get("Dispatched") is not False,
        payload=unit.get("Result"),
        error=None if error is None else error_from_wire(error),
    )


def stripped_payload(
    units: Sequence[EndedUnit], reason: CompletionReason, limit: int, extra: str | None = None
) -> str:
    """Return the summary, with a text of the user's own as `Summary` where that fits."""
    frozen = [
        FrozenUnit(
            unit.index, unit.name, unit.status or UnitStatus.STARTED, unit.status is not None
        )
        for unit in units
    ]
    summary = write_summary(frozen, reason, limit)
    if extra is None:
        return summary
    longer = _dump({**json.loads(summary), "Summary": extra})
    return longer if utf8_bytes(longer) <= limit else summary


@dataclass(frozen=True, slots=True)
class FrozenBatch:
    """What a stripped summary freezes: the units' statuses and names by index, and the reason."""

    runs: tuple[UnitRun | None, ...]
    names: Mapping[int, str]
    reason: CompletionReason

    @property
    def total(self) -> int:
        """How many units there were."""
        return len(self.runs)

    def unit(self, index: int) -> tuple[UnitStatus | None, str | None]:
        """Return the frozen status of a unit, and its name where that is recorded."""
        run = self.runs[index]
        return (None if run is None else run.status), self.names.get(index)

    def was_dispatched(self, index: int) -> bool:
        """Return True when the unit was started."""
        run = self.runs[index]
        return run is None or run.dispatched


def read_frozen(payload: str | None) -> FrozenBatch | None:
    """Return what a stripped summary freezes, or None when it doesn't tell of each unit."""
    summary = read_summary(payload)
    if summary is None or summary.total > _MOST_UNITS:
        return None
    runs: list[UnitRun | None] = [None] * summary.total
    for run in summary.runs:
        runs[run.start : run.stop] = [run] * (run.stop - run.start)
    try:
        reason = CompletionReason(summary.reason or "")
    except ValueError:
        return None
    return FrozenBatch(tuple(runs), summary.names, reason)


_MOST_UNITS = 10_000_000  # a summary that claims more is not one that this runtime wrote
