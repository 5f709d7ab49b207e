"""What invocations did, in words: notes gathered by kind and name, invocations in ranges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from durable_cli.escapes import clean
from durable_cli.figures import bytes_text, metered_text, plural, size_text
from durable_core.excerpts import labelled
from durable_core.explaining.report import Replay, Row
from durable_core.model import UNIT_SUB_TYPES
from durable_core.native.checkpointer import SentRequest
from durable_core.native.journal import Note
from durable_core.simulation.findings import SdkFinding
from durable_core.simulation.report import (
    ActivityNote,
    InvocationBlock,
    OperationTimeline,
    SimulationReport,
    SimulationTotals,
)

VERBS: Final = {
    ActivityNote.RETURNED: "returned",
    ActivityNote.RAISED: "raised",
    ActivityNote.RE_EXECUTED: "re-executed",
    ActivityNote.SKIPPED: "skipped",
    ActivityNote.WENT_ON: "went on in",
    ActivityNote.RAN: "ran",
    ActivityNote.BEGAN: "began",
    ActivityNote.STOPPED: "stopped",
    ActivityNote.STRIPPED: "stripped",
}
"""The keys of an invocation's lines, in their order."""

_IN_STORIES: Final = {
    ActivityNote.WENT_ON: "went on",
    ActivityNote.SKIPPED: "skipped as Started",
    ActivityNote.RETURNED: "from checkpoint",
    ActivityNote.RAISED: "raised from checkpoint",
}
_MOST_NAMES: Final = 4
_MOST_REQUESTS: Final = 6


def did_text(doing: ActivityNote, notes: Sequence[Note], report: SimulationReport) -> str:
    """Return what was done as one text: `Parallel "parts" (1); 3 units (1.1 .. 1.3)`."""
    if doing is ActivityNote.STRIPPED:
        return "; ".join(_stripped(note, report) for note in notes)
    text = "; ".join(_gathered(notes, report))
    return f"{text}, frozen as STARTED" if doing is ActivityNote.SKIPPED else text


def _stripped(note: Note, report: SimulationReport) -> str:
    limit = report.simulation.limits.payload_bytes
    size = "" if note.size is None else f": {note.size:,} bytes, over {limit:,}"
    return f"{_label(note, 1)} ({clean(report.position(note))}){size}"


def _gathered(notes: Sequence[Note], report: SimulationReport) -> Iterator[str]:
    """Yield what is of one kind together, by name where names are few."""
    kinds: dict[str, dict[tuple[str | None, int], list[Note]]] = {}
    for note in notes:
        attempt = note.attempt if note.attempt is not None and note.attempt > 1 else 1
        by_name = kinds.setdefault(note.sub_type or note.type, {})
        by_name.setdefault((note.name, attempt), []).append(note)
    for by_name in kinds.values():
        groups = list(by_name.values())
        if len(groups) > _MOST_NAMES:
            same = [note for group in groups for note in group]
            yield f"{_label(replace(same[0], name=None), len(same))} ({_places(same, report)})"
        else:
            for (_, attempt), group in by_name.items():
                again = f", attempt {attempt}" if attempt > 1 else ""
                yield f"{_label(group[0], len(group))} ({_places(group, report)}){again}"


def _label(note: Note, count: int) -> str:
    if note.sub_type in UNIT_SUB_TYPES:
        kind = "unit" if count == 1 else "units"
    else:
        kind = note.sub_type or note.type
    text = clean(labelled(kind, note.name))
    return text if count == 1 else f"{count:,} {text}"


def _places(notes: Sequence[Note], report: SimulationReport) -> str:
    first, last = clean(report.position(notes[0])), clean(report.position(notes[-1]))
    return first if len(notes) == 1 else f"{first} .. {last}"


def sent_text(requests: Sequence[SentRequest]) -> str:
    """Return the requests of an invocation: how many updates and bytes each had."""
    updates = sum(request.operations for request in requests)
    size = sum(request.estimated_bytes for request in requests)
    each = [
        f"{request.operations:,} with {bytes_text(request.estimated_bytes)} bytes"
        f"{f' (sent {request.sends} times)' if request.sends > 1 else ''}"
        for request in requests[:_MOST_REQUESTS]
    ]
    if len(requests) > _MOST_REQUESTS:
        each.append(f"{len(requests) - _MOST_REQUESTS:,} more")
    each += [f"refused: {clean(request.refused)}" for request in requests if request.refused]
    counts = f"{plural(len(requests), 'request')}, {plural(updates, 'update')}, {size_text(size)}"
    return counts if len(each) == 1 else f"{counts}: {', '.join(each)}"


def story_row(story: OperationTimeline) -> Row:
    """Return the row of an operation or unit, with what happened to it as its sentence."""
    return replace(story.row, why=story_text(story))


def story_text(story: OperationTimeline) -> str:
    """Return in which invocations what happened: `ran 1, went on 2, re-executed 3`."""
    parts = [
        f"{_IN_STORIES.get(doing, doing.value)} {ranges(numbers)}"
        + (f" ({story.stripped_bytes:,} bytes)" if _is_sized(doing, story) else "")
        for doing, numbers in story.happened.items()
    ]
    if parts:
        return ", ".join(parts)
    return "not dispatched" if story.row.replay is Replay.NOT_DISPATCHED else "-"


def _is_sized(doing: ActivityNote, story: OperationTimeline) -> bool:
    return doing is ActivityNote.STRIPPED and story.stripped_bytes is not None


def ranges(numbers: Iterable[int]) -> str:
    """Return ascending numbers with neighbours in ranges: `1, 3-5`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def finding_texts(findings: Iterable[SdkFinding]) -> list[tuple[str, bool]]:
    """Return each difference of the SDK as a sentence, and whether the service refused it.

    What is the same of several operations is told once, with how many there are.
    """
    alike: dict[tuple[str, bool], list[SdkFinding]] = {}
    for each in findings:
        alike.setdefault((each.problem, each.rejected), []).append(each)
    return [
        (f"{_finding_label(same)}: {clean(problem)}", rejected)
        for (problem, rejected), same in alike.items()
    ]


def _finding_label(same: Sequence[SdkFinding]) -> str:
    first, last = same[0], same[-1]
    kind = "unit" if first.sub_type in UNIT_SUB_TYPES else first.sub_type or first.type
    more = f" and {len(same) - 1:,} more, to {clean(last.position)}" if len(same) > 1 else ""
    return f"{clean(labelled(kind, first.name))} ({clean(first.position)}){more}"


def totals_text(totals: SimulationTotals) -> str:
    """Return how often what happened."""
    counted = [
        f"{plural(totals.bodies_run, 'step body')} run".replace("bodys", "bodies"),
        f"{totals.stripped:,} stripped",
        f"{totals.re_executed:,} re-executed",
        f"{totals.skipped:,} skipped as Started",
    ]
    units = f" and {plural(totals.units, 'unit')}" if totals.units else ""
    metered = metered_text(totals.metered_operations, at_least=False)
    return f"{plural(totals.operations, 'operation')} ({metered}){units}: {', '.join(counted)}"


# -- folding -----------------------------------------------------------------------------------

FOLD_FROM: Final = 20
"""From how many invocations on those that are alike are shown once."""


def folded(
    blocks: Sequence[InvocationBlock], *, expand: bool
) -> Iterator[tuple[InvocationBlock, InvocationBlock]]:
    """Yield the first and the last block of each run of neighbours that did alike."""
    at = 0
    while at < len(blocks):
        last = at
        if not expand and len(blocks) > FOLD_FROM:
            shape = _shape(blocks[at])
            while last + 1 < len(blocks) and _shape(blocks[last + 1]) == shape:
                last += 1
        yield blocks[at], blocks[last]
        at = last + 1


def _shape(block: InvocationBlock) -> tuple[object, ...]:
    """Return what makes invocations alike. How much comes from checkpoints grows by itself."""
    did = tuple(
        (doing, tuple(sorted({note.sub_type or note.type for note in notes})))
        for doing, notes in block.did.items()
        if doing not in (ActivityNote.RETURNED, ActivityNote.RAISED)
    )
    return block.record.end, len(block.record.requests), did
