"""Where an SDK was seen to do otherwise than our own rules say: told, never corrected.

Our rules are those of the native runtime and of the explanation of a history. What an SDK did is
in the notes and the requests of a simulation; each operation is looked at for itself. A handler of
the native runtime has no such findings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final

from durable_core.explaining.report import Replay, Row
from durable_core.frozen import dataclass
from durable_core.ids import position_text
from durable_core.model import (
    OperationAction,
    OperationType,
    OperationUpdate,
    UnitStatus,
)
from durable_core.native.journal import Activity, Note, Whole
from durable_core.simulation.outcome import InvocationRecord, Simulation
from durable_core.sizes import utf8_bytes
from durable_core.summaries.reading import read_summary


class FindingKind(StrEnum):
    """In what an SDK differs."""

    NOT_STRIPPED = "not-stripped"
    """A context's result over the limit was sent whole."""
    STRIPPED_SMALL = "stripped-small"
    """A result within the limit was stripped."""
    SUMMARY_TOO_LARGE = "summary-too-large"
    """What was left of a stripped result is over the limit itself."""
    SUMMARY_LACKS = "summary-lacks"
    """A summary doesn't keep what a replay has to find in it."""
    UNIT_RAN = "unit-ran"
    """A unit's body ran in a replay though it is skipped or answered from a checkpoint."""
    UNIT_NOT_RUN = "unit-not-run"
    """A unit's body didn't run in a replay, which has to rebuild its value or error."""
    REBUILT_OTHERWISE = "rebuilt-otherwise"
    """What was rebuilt isn't what was stripped."""


@dataclass(frozen=True, slots=True)
class SdkFinding:
    """One difference. `rejected`: the service turned the request down that it led to.

    `problem` is a sentence without the operation; `invocation` is the first in which it was seen.
    """

    kind: FindingKind
    problem: str
    operation_id: str
    type: str
    sub_type: str | None
    name: str | None
    position: str
    invocation: int
    rejected: bool = False


def find_differences(simulation: Simulation, rows: Sequence[Row]) -> tuple[SdkFinding, ...]:
    """Return where the SDK differs; `rows` are those of the explanation of the same history.

    Each operation has a kind of finding once, however many replays show it again.
    """
    positions = {row.id: row.position for row in rows if row.id is not None}
    found: dict[tuple[str, FindingKind], SdkFinding] = {}
    stripped: dict[str, Note] = {}
    for record in simulation.invocations:
        stripped.update({note.id: note for note in record.did(Activity.STRIPPED)})
        for each in (
            *_in_requests(record, simulation.limits.payload_bytes, positions),
            *_in_notes(record, stripped, simulation),
            *_in_units(record, rows),
        ):
            found.setdefault((each.operation_id or each.position, each.kind), each)
    return tuple(found.values())


# -- what was sent -----------------------------------------------------------------------------


def _in_requests(
    record: InvocationRecord, limit: int, positions: Mapping[str, str]
) -> Iterator[SdkFinding]:
    places = {note.id: position_text(note.path) for note in record.notes}
    for request in record.requests:
        for update in request.updates:
            if update.type is not OperationType.CONTEXT or not _is_large(update, limit):
                continue
            size = utf8_bytes(update.payload or "")
            if update.replay_children:
                kind = FindingKind.SUMMARY_TOO_LARGE
                problem = f"its result was stripped to a summary of {size:,} bytes, over {limit:,}"
            else:
                kind = FindingKind.NOT_STRIPPED
                problem = (
                    f"its result was sent whole, {len(update.payload or ''):,} characters, though "
                    f"they are {size:,} bytes of UTF-8, over {limit:,}"
                )
            position = places.get(update.id) or positions.get(update.id, update.id[:12])
            refused = request.refused is not None
            yield _of(update, kind, problem, position, record, rejected=refused)


def _is_large(update: OperationUpdate, limit: int) -> bool:
    payload = update.payload if update.action is OperationAction.SUCCEED else None
    return payload is not None and len(payload) * 4 > limit and utf8_bytes(payload) > limit


# -- what was stripped and rebuilt -------------------------------------------------------------


def _in_notes(
    record: InvocationRecord, stripped: Mapping[str, Note], simulation: Simulation
) -> Iterator[SdkFinding]:
    limit = simulation.limits.payload_bytes
    for note in record.did(Activity.STRIPPED):
        place = position_text(note.path)
        if note.size is not None and note.size <= limit:
            problem = f"its result was stripped, though {note.size:,} of {limit:,} bytes are fine"
            yield _of(note, FindingKind.STRIPPED_SMALL, problem, place, record)
        if problem := _lacks(note, simulation):
            yield _of(note, FindingKind.SUMMARY_LACKS, problem, place, record)
    for note in record.did(Activity.REBUILT):
        live = stripped.get(note.id)
        if live is not None and (problem := _otherwise(live.whole, note.whole)):
            place = position_text(note.path)
            yield _of(note, FindingKind.REBUILT_OTHERWISE, problem, place, record)


def _lacks(note: Note, simulation: Simulation) -> str:
    """Say what the summary of FLAT units doesn't keep; nothing where it keeps all.

    NESTED units have operations of their own, which say it.
    """
    operation = simulation.operations.get(note.id)
    units = None if note.whole is None else note.whole.units
    if operation is None or not units or _has_operations(note.id, simulation):
        return ""
    summary = read_summary(operation.result)
    if summary is None or not summary.runs:
        return "its summary says of no unit how it ended"
    kept = (summary.status_of(index) for index, _ in units)
    if any(status == UnitStatus.FAILED for _, status in units) and any(
        run is None or run.status is None for run in kept
    ):
        names = "" if summary.names else ", nor their names"
        return f"its summary doesn't keep which of its units SUCCEEDED and which FAILED{names}"
    return "" if summary.names else "its summary doesn't keep the names of its units"


def _has_operations(batch_id: str, simulation: Simulation) -> bool:
    return any(
        each.parent_id == batch_id and each.is_unit for each in simulation.operations.values()
    )


def _otherwise(live: Whole | None, rebuilt: Whole | None) -> str:
    """Say how a rebuilt result differs from the one that was stripped; nothing where it doesn't."""
    if live is None or rebuilt is None:
        return ""
    if live.units is not None and rebuilt.units is not None and live.units != rebuilt.units:
        return f"{_NOT_REBUILT}: {_other_units(dict(live.units), dict(rebuilt.units))}"
    if live.digest is not None and rebuilt.digest is not None and live.digest != rebuilt.digest:
        sizes = f"{rebuilt.size or 0:,} bytes instead of {live.size or 0:,}"
        return f"{_NOT_REBUILT}: its values differ, in {sizes}"
    return ""


_NOT_REBUILT: Final = "what a replay rebuilds isn't what was stripped"


def _other_units(live: Mapping[int, str], rebuilt: Mapping[int, str]) -> str:
    differ = [index for index in sorted({*live, *rebuilt}) if live.get(index) != rebuilt.get(index)]
    first = differ[0]
    was, now = live.get(first, "not listed"), rebuilt.get(first, "not listed")
    more = f", and {len(differ) - 1:,} more differ" if len(differ) > 1 else ""
    return f"unit {first} is {now}, and was {was}{more}"


# -- which units ran ---------------------------------------------------------------------------


def _runs(row: Row) -> bool | None:
    """Say whether a replay that rebuilds a map or parallel runs the unit's body, by our rules.

    A unit with an operation of its own answers from there, unless it is stripped itself. None where
    the explanation only infers that.
    """
    if row.is_inferred and row.id is not None:
        return None
    match row.replay:
        case Replay.RE_EXECUTED:
            return True
        case Replay.ERROR_RECOVERED:
            return row.id is None
        case Replay.SKIPPED | Replay.NOT_DISPATCHED | Replay.FROM_CHECKPOINT | Replay.RAISES:
            return False
    return None


def _in_units(record: InvocationRecord, rows: Iterable[Row]) -> Iterator[SdkFinding]:
    rebuilt = {note.id for note in record.did(Activity.REBUILT)}
    if not rebuilt:
        return
    ran = {position_text(note.path): note for note in record.did(Activity.RE_EXECUTED)}
    for row in rows:
        if row.unit is None or row.parent_id not in rebuilt:
            continue
        runs = _runs(row)
        for position in row.positions:
            if runs is False and position in ran:
                problem = f"a replay ran its body, though it is recorded {row.status}: {row.why}"
                yield _of(ran[position], FindingKind.UNIT_RAN, problem, position, record)
            elif runs and position not in ran:
                problem = f"a replay didn't run its body: by our rules it is {row.why}"
                yield _of_row(row, FindingKind.UNIT_NOT_RUN, problem, position, record)


def _of(
    what: Note | OperationUpdate,
    kind: FindingKind,
    problem: str,
    position: str,
    record: InvocationRecord,
    *,
    rejected: bool = False,
) -> SdkFinding:
    return SdkFinding(
        kind,
        problem,
        what.id,
        str(what.type),
        what.sub_type,
        what.name,
        position,
        record.number,
        rejected,
    )


def _of_row(
    row: Row, kind: FindingKind, problem: str, position: str, record: InvocationRecord
) -> SdkFinding:
    return SdkFinding(
        kind, problem, row.id or "", row.type, row.sub_type, row.name, position, record.number
    )
