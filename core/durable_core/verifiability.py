"""What can't be verified of a history, and what a verdict leaves open. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from durable_core.examination import Examination
from durable_core.fold import Folded
from durable_core.history import RecordedHistory
from durable_core.ids import IdScheme
from durable_core.recorded_tree import RecordedTree
from durable_core.verification import Doubt


def doubts_of(history: RecordedHistory, folded: Folded) -> Iterator[Doubt]:
    """Yield why a history can't be verified, whatever the handler."""
    if not history.has_execution_data:
        yield Doubt(
            "the history has no execution data: what operations returned isn't known",
            "fetch it with `durable fetch`, or with --include-execution-data",
        )
    elif folded.execution.truncated and folded.execution.input_payload is None:
        yield Doubt(
            "the input of the execution was left out of the history (Truncated)",
            "give a history that has it",
        )
    if history.events and history.events[-1].event_id != len(history.events):
        yield Doubt(
            "the history is incomplete: events are missing",
            "fetch all of its pages, as `durable fetch` does",
        )
    if not history.events and history.operations is None:
        yield Doubt("nothing is recorded: there are no events", "give a history that has some")


def scheme_doubt(tree: RecordedTree, handlers: IdScheme) -> Doubt | None:
    """Return why a record can't be that of a handler whose SDK makes ids by the given scheme."""
    if tree.scheme is None:
        if not tree.lost:
            return None
        return Doubt(
            "the ids of the recorded operations follow no known scheme",
            "verify with a version of durable that knows the SDK that wrote them",
        )
    if tree.scheme is not handlers:
        return Doubt(
            f"the history was written by another SDK ({', '.join(tree.scheme.sdks)}: ids are "
            f"{tree.scheme.name}) than the handler's ({', '.join(handlers.sdks)}: "
            f"{handlers.name})",
            "give the handler that the history is of",
        )
    if tree.lost:
        return Doubt(
            f"{len(tree.lost):,} recorded operations have ids that fit no position",
            "give a history that is complete",
        )
    return None


def notes_of(examination: Examination) -> Iterator[str]:
    """Yield what a verdict leaves open, in sentences."""
    yield from dict.fromkeys(examination.remarks)
    unnamed = _alike(examination)
    if unnamed:
        yield (
            f"{unnamed:,} unnamed operations have a neighbour of the same type: if two of them "
            "changed places, that could not be seen"
        )
    if examination.unlooked:
        yield (
            f"{examination.unlooked:,} completed contexts were not looked into: this source is a "
            "state, from which the service leaves their operations out"
        )


def _alike(examination: Examination) -> int:
    """Count the unnamed operations that could stand in each other's place unseen."""
    count = 0
    for trace in examination.traces:
        kinds: dict[tuple[str, str | None], int] = {}
        for asked in trace.asked:
            if not asked.identity.name:
                key = (asked.identity.type, asked.identity.sub_type)
                kinds[key] = kinds.get(key, 0) + 1
        count += sum(number for number in kinds.values() if number > 1)
    return count
