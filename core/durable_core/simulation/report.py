"""What a simulation did, ready to be shown: invocation by invocation, and operation by operation.

Pure: what the runtime noted is put beside the rows with which a recorded history is explained, so
that a simulated history shows the same operations and units as `durable replay` shows of its
recording.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from enum import StrEnum

from durable_core.explaining.explain import explain
from durable_core.explaining.report import LimitUse, Report, Row
from durable_core.frozen import dataclass
from durable_core.history import history_of_events
from durable_core.ids import position_text
from durable_core.native.journal import Activity, Note
from durable_core.service.values import INVALID_PARAMETER, RESOURCE_NOT_FOUND
from durable_core.simulation.findings import SdkFinding, find_differences
from durable_core.simulation.outcome import InvocationRecord, Simulation


class ActivityNote(StrEnum):
    """What an invocation did with an operation or unit, in the order in which it is told."""

    RAN = "ran"
    """A body ran: of a step's attempt, a poll, a context or a unit."""
    BEGAN = "began"
    """A wait, callback or chained invoke was created."""
    WENT_ON = "went-on"
    """A context or unit that isn't complete: its body ran again from its top, to go on."""
    STOPPED = "stopped"
    """A unit was stopped by a short circuit."""
    STRIPPED = "stripped"
    """A result too large to be stored was replaced by a summary."""
    RE_EXECUTED = "re-executed"
    """A body ran to rebuild a stripped value."""
    SKIPPED = "skipped-as-started"
    """A unit frozen as STARTED: its body didn't run."""
    RETURNED = "from-checkpoint"
    """The result of an earlier invocation came from its checkpoint."""
    RAISED = "raised-from-checkpoint"
    """The error of an earlier invocation came from its checkpoint."""


_DOING = {
    Activity.BEGAN: ActivityNote.BEGAN,
    Activity.RAN: ActivityNote.RAN,
    Activity.STOPPED: ActivityNote.STOPPED,
    Activity.STRIPPED: ActivityNote.STRIPPED,
    Activity.RE_EXECUTED: ActivityNote.RE_EXECUTED,
    Activity.SKIPPED: ActivityNote.SKIPPED,
    Activity.RETURNED: ActivityNote.RETURNED,
    Activity.RAISED: ActivityNote.RAISED,
}


@dataclass(frozen=True, slots=True)
class InvocationBlock:
    """One invocation. `did` has only what occurred, in the order of `ActivityNote`."""

    record: InvocationRecord
    did: Mapping[ActivityNote, tuple[Note, ...]]

    @property
    def seconds(self) -> float:
        """How long it took, in virtual time."""
        return (self.record.ended - self.record.began).total_seconds()

    @property
    def updates(self) -> int:
        """How many updates its requests carried."""
        return sum(request.operations for request in self.record.requests)

    @property
    def sent_bytes(self) -> int:
        """How many bytes its requests had, as the SDK estimates them."""
        return sum(request.estimated_bytes for request in self.record.requests)


@dataclass(frozen=True, slots=True)
class OperationTimeline:
    """One operation or unit, and in which invocations what was done with it."""

    row: Row
    happened: Mapping[ActivityNote, tuple[int, ...]]
    stripped_bytes: int | None = None
    """What its whole result took, where it was stripped."""


@dataclass(frozen=True, slots=True)
class SimulationTotals:
    """How often what happened. Bodies are those of steps and polls."""

    operations: int
    units: int
    invocations: int
    crashed_invocations: int
    requests: int
    updates: int
    sent_bytes: int
    bodies_run: int
    stripped: int
    re_executed: int
    skipped: int
    metered_operations: int
    metered_bytes: int


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """What came of a simulation; `explained` is what `durable replay` says of its history.

    `positions` are those of operations, by id, `findings` where an SDK departs from our rules.
    """

    simulation: Simulation
    explained: Report
    invocations: tuple[InvocationBlock, ...]
    stories: tuple[OperationTimeline, ...]
    totals: SimulationTotals
    positions: Mapping[str, str]
    findings: tuple[SdkFinding, ...] = ()

    def position(self, note: Note) -> str:
        """Return where the operation or unit of a note is: `2.1.3`, or its id."""
        return self.positions.get(note.id) or position_text(note.path) or note.id[:12]

    @property
    def rejected(self) -> tuple[str, ...]:
        """What the service turned down, as sentences. A throttled request isn't turned down."""
        refused = (request.refused for request in self.simulation.refused)
        requests = (f"a checkpoint request: {why}" for why in refused if _is_final(why))
        answers = (
            f"an answer of the scenario: {each.refusal}" for each in self.simulation.refused_answers
        )
        return (*requests, *answers)

    @property
    def limits(self) -> tuple[LimitUse, ...]:
        """How much of each limit was used."""
        return self.explained.limits


def report_of(simulation: Simulation) -> SimulationReport:
    """Return the report of a simulation."""
    history = history_of_events("simulation", simulation.events, simulation.arn)
    explained = explain(history, limits=simulation.limits)
    blocks = tuple(_blocks(simulation.invocations))
    stories = tuple(_stories(explained.rows, blocks))
    totals = _totals(explained, blocks)
    positions = {row.id: row.position for row in explained.rows if row.id is not None}
    findings = find_differences(simulation, explained.rows)
    return SimulationReport(simulation, explained, blocks, stories, totals, positions, findings)


_FINAL = (INVALID_PARAMETER, RESOURCE_NOT_FOUND)


def _is_final(refused: str | None) -> bool:
    return refused is not None and refused.startswith(_FINAL)


# -- invocation by invocation ------------------------------------------------------------------


def _blocks(records: Iterable[InvocationRecord]) -> Iterable[InvocationBlock]:
    entered: set[str] = set()
    for record in records:
        did: dict[ActivityNote, list[Note]] = {}
        here: set[str] = set()
        for note in record.notes:
            doing = _DOING.get(note.did)
            if doing is None:
                continue
            if doing is ActivityNote.RAN and note.attempt is None:
                here.add(note.id)
                if note.id in entered:
                    doing = ActivityNote.WENT_ON
            did.setdefault(doing, []).append(note)
        entered |= here
        yield InvocationBlock(
            record, {doing: tuple(did[doing]) for doing in ActivityNote if doing in did}
        )


# -- operation by operation --------------------------------------------------------------------


@dataclass(slots=True)
class _Happened:
    in_invocations: dict[ActivityNote, dict[int, None]] = field(default_factory=dict)
    stripped_bytes: int | None = None
    name: str | None = None


def _stories(rows: Sequence[Row], blocks: Sequence[InvocationBlock]) -> Iterable[OperationTimeline]:
    by_id: dict[str, _Happened] = {}
    by_position: dict[str, _Happened] = {}
    for block in blocks:
        for doing, notes in block.did.items():
            for note in notes:
                found = by_id.setdefault(note.id, _Happened())
                by_position[position_text(note.path)] = found
                found.in_invocations.setdefault(doing, {})[block.record.number] = None
                found.stripped_bytes = note.size or found.stripped_bytes
                found.name = note.name
    for row in rows:
        if row.id is not None:
            parts = [by_id.get(row.id)]
        else:
            parts = [by_position.get(position) for position in row.positions]
        yield _story(row, [part for part in parts if part is not None])


def _story(row: Row, parts: Sequence[_Happened]) -> OperationTimeline:
    happened: dict[ActivityNote, tuple[int, ...]] = {}
    for doing in ActivityNote:
        numbers = {number for part in parts for number in part.in_invocations.get(doing, ())}
        if numbers:
            happened[doing] = tuple(sorted(numbers))
    if row.name is None and row.unit is not None and len(parts) == 1:
        row = replace(row, name=parts[0].name)  # Python's summaries have no names of units
    sizes = [part.stripped_bytes for part in parts if part.stripped_bytes is not None]
    return OperationTimeline(row, happened, max(sizes, default=None))


# -- in all ------------------------------------------------------------------------------------


def _totals(explained: Report, blocks: Sequence[InvocationBlock]) -> SimulationTotals:
    def count(doing: ActivityNote) -> int:
        return sum(len(block.did.get(doing, ())) for block in blocks)

    bodies = (note for block in blocks for note in block.did.get(ActivityNote.RAN, ()))
    return SimulationTotals(
        operations=explained.totals.operations,
        units=explained.totals.units,
        invocations=len(blocks),
        crashed_invocations=explained.failed_invocations,
        requests=sum(len(block.record.requests) for block in blocks),
        updates=sum(block.updates for block in blocks),
        sent_bytes=sum(block.sent_bytes for block in blocks),
        bodies_run=sum(note.attempt is not None for note in bodies),
        stripped=count(ActivityNote.STRIPPED),
        re_executed=count(ActivityNote.RE_EXECUTED),
        skipped=count(ActivityNote.SKIPPED),
        metered_operations=explained.totals.metered_operations,
        metered_bytes=explained.totals.metered_bytes,
    )
