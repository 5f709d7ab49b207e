"""The explanation of a history without its code: what a replay does with everything, and why.

Pure. Every sentence about an operation follows from `decide`, every one about a unit from
`decide_unit`, so that this can't say anything else than what the runtime does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from sys import intern
from typing import Final

from durable_core.decide import AskedOperation, Verb, decide
from durable_core.errors import ImpossibleOperation
from durable_core.explaining.messages import left_open, sentence, unit_sentence
from durable_core.explaining.report import Replay, Row
from durable_core.explaining.units import (
    Item,
    UnitPlace,
    Walk,
    frozen_unit,
    hidden_below,
    units_below,
)
from durable_core.fold import Recorded
from durable_core.frozen import dataclass
from durable_core.ids import Path
from durable_core.limits import LIMITS, ServiceLimits, payload_limit
from durable_core.metering import metered
from durable_core.model import (
    NestingType,
    Operation,
    OperationStatus,
    OperationType,
    UnitStatus,
    stores_summary,
)
from durable_core.positions import Located, locate, places_of
from durable_core.sizes import error_bytes, utf8_bytes
from durable_core.summaries.reading import read_summary
from durable_core.summaries.stripped import ReplayChildrenFact, replay_children_of
from durable_core.summaries.values import Summary


@dataclass(slots=True)
class Explained:
    """The rows of a history, with what else was found on the way."""

    rows: tuple[Row, ...]
    located: Located
    rebuilt: Mapping[str, bool]
    summaries: Mapping[str, Summary]


def explain_operations(
    recorded: Mapping[str, Recorded],
    *,
    ended: bool,
    payload_known: bool = True,
    is_pruned: bool = False,
    show_payloads: bool = False,
    limits: ServiceLimits = LIMITS,
) -> Explained:
    """Explain operations in execution order, each with everything below it.

    `recorded` is in the order in which the operations were first recorded; `ended` says that the
    execution is over; `payload_known` that payloads were read at all; `is_pruned` that what is
    inside completed contexts may be left out.
    """
    located = locate(places_of(each.operation for each in recorded.values()))
    walk = Walk(
        recorded=recorded,
        ended=ended,
        show_payloads=show_payloads,
        payload_known=payload_known,
        located=located,
        limits=limits,
        is_pruned=is_pruned,
    )
    for key, each in recorded.items():
        walk.children.setdefault(each.operation.parent_id, []).append(key)
    for each in recorded.values():
        _learn(walk, each)
    _run(walk)
    return Explained(
        rows=tuple(walk.rows),
        located=located,
        rebuilt={key: fact.value for key, fact in walk.facts.items()},
        summaries=walk.summaries,
    )


def _learn(walk: Walk, each: Recorded) -> None:
    operation = each.operation
    if operation.type is not OperationType.CONTEXT:
        return
    if stores_summary(operation.type, operation.sub_type):
        summary = read_summary(operation.result)
        if summary is not None:
            walk.summaries[operation.id] = summary
    walk.facts[operation.id] = replay_children_of(
        operation,
        walk.summaries.get(operation.id),
        payload_known=walk.payload_known and not each.truncated,
        scheme=walk.scheme,
        units=_own_units(walk, operation),
        limit=walk.limits.payload_bytes,
    )


def _own_units(walk: Walk, batch: Operation) -> list[Operation]:
    """Return the operations of the units of a map or parallel that has a summary; a DAG's nodes."""
    if batch.id not in walk.summaries:
        return []
    below = (walk.recorded[key].operation for key in walk.children.get(batch.id, ()))
    return [each for each in below if each.is_unit or not batch.is_batch]


# -- the walk ------------------------------------------------------------------------------------


def _run(walk: Walk) -> None:
    """Visit the roots, then those whose parent isn't recorded, each with everything below it."""
    stack: list[Item] = [(key, UnitPlace()) for key in walk.children.get(None, ())]
    for parent in walk.children:
        if parent is not None and parent not in walk.recorded:
            stack.append((_missing_parent(walk, parent), UnitPlace()))
            stack += [(key, UnitPlace(depth=1)) for key in walk.children[parent]]
    stack.reverse()
    while stack:
        item, place = stack.pop()
        if isinstance(item, Row):
            walk.rows.append(replace(item, depth=place.depth))
        else:
            stack.extend(reversed(_visit(walk, walk.recorded[item], place)))


def _missing_parent(walk: Walk, parent_id: str) -> Row:
    return Row(
        position=walk.located.text(parent_id) or parent_id,
        depth=0,
        type="CONTEXT",
        replay=Replay.UNKNOWN,
        why="not in this history, only named as the parent of what follows",
        id=parent_id,
        sub_type="(missing parent)",
        payload_bytes=0,
    )


def _visit(walk: Walk, each: Recorded, place: UnitPlace) -> list[Item]:
    """Add the row of an operation; return what is below it, in order."""
    row = _row(walk, each, place)
    walk.rows.append(row)
    operation = each.operation
    own = walk.children.get(operation.id, ())
    if not own and operation.type is not OperationType.CONTEXT:
        return []
    below = UnitPlace(depth=place.depth + 1, hidden=hidden_below(row, place))
    if not operation.is_batch:
        return [(key, below) for key in own]
    below = replace(
        below,
        batch=each,
        summary=walk.summaries.get(operation.id),
        rebuilt=row.replay is Replay.RE_EXECUTED,
    )
    return units_below(walk, each, own, below)


# -- operations ----------------------------------------------------------------------------------


def _row(walk: Walk, each: Recorded, place: UnitPlace) -> Row:
    operation = each.operation
    path = walk.paths.get(operation.id)
    unit = _unit_index(walk, place, path)
    fact = walk.facts.get(operation.id)
    summary = walk.summaries.get(operation.id)
    replay, why, until = _words(walk, each, place, unit, fact)
    details = operation.step_details
    payload_bytes, stored_bytes = _bytes(each)
    meter = metered(each, stored_bytes)
    return Row(
        position=walk.located.text(operation.id) or operation.id,
        depth=place.depth,
        type=operation.type.value,
        replay=replay,
        why=intern(why),  # the same sentence in each of very many rows
        id=operation.id,
        parent_id=operation.parent_id,
        sub_type=operation.sub_type,
        name=operation.name,
        status=operation.status.value,
        unit=unit,
        nesting=NestingType.NESTED if unit is not None else None,
        attempts=each.attempts or ((details.attempt or 0) if details else 0),
        started=operation.start_timestamp,
        ended=operation.end_timestamp,
        payload_bytes=payload_bytes,
        payload_limit=payload_limit(operation.type, walk.limits),
        stored_bytes=stored_bytes,
        is_stripped=bool(fact and fact.stripped and operation.status is OperationStatus.SUCCEEDED),
        is_inferred=bool(fact and fact.value and fact.inferred),
        completion_reason=summary.reason if summary else None,
        until=until,
        error=None if operation.status in _CLEAN else operation.error,
        payload=operation.result if walk.show_payloads else None,
        metered_operations=meter.operations,
        metered_bytes=meter.bytes,
    )


_CLEAN: Final = frozenset({OperationStatus.SUCCEEDED, OperationStatus.STARTED})
"""Statuses of an operation whose last attempt, if it has an error, isn't what counts any more."""


def _unit_index(walk: Walk, place: UnitPlace, path: Path | None) -> int | None:
    if place.batch is None or walk.scheme is None:
        return None
    base = walk.paths.get(place.batch.operation.id)
    if base is None or path is None or len(path) != len(base) + 1:
        return None
    return path[-1] - walk.scheme.first_unit


def _bytes(each: Recorded) -> tuple[int | None, int]:
    """Return the bytes of the stored result or error, and of all that its events ever wrote."""
    operation = each.operation
    result, error = operation.result, operation.error
    own = utf8_bytes(result) if result is not None else 0
    if error is not None and (result is None or operation.is_terminal):
        own_error = error_bytes(error)
    else:
        own_error = 0
    texts = each.payloads
    earlier = sum(utf8_bytes(text) for text in texts) if len(texts) > 1 else own
    if len(texts) == 1 and texts[0] is not result:
        earlier = utf8_bytes(texts[0])
    stored = earlier + sum(error_bytes(failure) for failure in each.failures)
    if operation.is_terminal:
        stored += own_error
    return None if each.truncated else own if result is not None else own_error, stored


def _words(
    walk: Walk, each: Recorded, place: UnitPlace, unit: int | None, fact: ReplayChildrenFact | None
) -> tuple[Replay, str, datetime | None]:
    """Say what a replay does with an operation: the kind, the sentence, and until when it waits."""
    operation = each.operation
    if place.hidden is not None:
        return Replay.NOT_REACHED, place.hidden, None
    if place.rebuilt and unit is not None:
        frozen = frozen_unit(place, unit)
        if frozen is None or frozen.status is UnitStatus.STARTED:
            return (*unit_sentence(frozen, hidden=None, rebuilt=True), None)
    try:
        decision = decide(
            operation, _ASKED[operation.type], replay_children=bool(fact and fact.value)
        )
    except ImpossibleOperation as error:
        return Replay.UNKNOWN, f"can't be explained: {error.problem}", None
    if walk.ended and decision.verb in (Verb.SUSPEND, Verb.RUN_AGAIN) and not place.rebuilt:
        return Replay.WAITS, left_open(decision), decision.until
    kind, why = sentence(each, decision, fact, is_unit=place.rebuilt and unit is not None)
    if decision.verb is Verb.REUSE and _is_unreadable(walk, each):
        why += "; its stored result is in no form that is known"
    if decision.verb is Verb.REUSE and fact is not None and not _is_told(walk, each, fact):
        why += ", unless its result was stripped: this history leaves the result out"
    return kind, why, decision.until


def _is_told(walk: Walk, each: Recorded, fact: ReplayChildrenFact) -> bool:
    """Tell whether the source says, or its payload shows, that a context isn't rebuilt."""
    return not fact.inferred or (walk.payload_known and not each.truncated)


def _is_unreadable(walk: Walk, each: Recorded) -> bool:
    """Tell whether a map or parallel stored a result that isn't one of any SDK's."""
    operation = each.operation
    is_summary = stores_summary(operation.type, operation.sub_type)
    return is_summary and bool(operation.result) and operation.id not in walk.summaries


_ASKED: Final = {kind: AskedOperation(type=kind, check=False) for kind in OperationType}
