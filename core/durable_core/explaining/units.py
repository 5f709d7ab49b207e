"""The units of a map or parallel as rows: NESTED, FLAT, and those that only its summary knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace

from durable_core.explaining.messages import describe_error, unit_sentence
from durable_core.explaining.report import Replay, Row
from durable_core.fold import Recorded
from durable_core.frozen import dataclass
from durable_core.ids import IdScheme, Path, position_text
from durable_core.limits import LIMITS, ServiceLimits
from durable_core.model import (
    NestingType,
    Operation,
    OperationStatus,
    OperationType,
    SubType,
    UnitStatus,
)
from durable_core.positions import Located
from durable_core.summaries.stripped import ReplayChildrenFact
from durable_core.summaries.values import Summary, SummaryForm, UnitRun


@dataclass(frozen=True, slots=True)
class UnitPlace:
    """What a row inherits from above.

    `hidden` is why a replay doesn't get there (None: it does), `batch` the map or parallel that the
    units belong to, with `summary` what that froze and `rebuilt` whether it is rebuilt now.
    """

    depth: int = 0
    hidden: str | None = None
    batch: Recorded | None = None
    summary: Summary | None = None
    rebuilt: bool = False


@dataclass(slots=True)
class Walk:
    """One walk over the tree; depth first, without recursion, so that any depth will do.

    `is_pruned`: what is inside a completed context may be left out, as the service's states do.
    """

    recorded: Mapping[str, Recorded]
    ended: bool
    show_payloads: bool
    payload_known: bool
    located: Located
    limits: ServiceLimits = LIMITS
    is_pruned: bool = False
    children: dict[str | None, list[str]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    facts: dict[str, ReplayChildrenFact] = field(default_factory=dict)
    summaries: dict[str, Summary] = field(default_factory=dict)

    @property
    def scheme(self) -> IdScheme | None:
        """The scheme of the ids, where one fits."""
        return self.located.scheme

    @property
    def paths(self) -> Mapping[str, Path]:
        """The positions of all that is counted, by id."""
        return self.located.paths


Item = tuple[Row | str, UnitPlace]


def hidden_below(row: Row, place: UnitPlace) -> str | None:
    """Return why a replay doesn't get to what is below a row; None when it does."""
    match row.replay:
        case Replay.FROM_CHECKPOINT if row.type == OperationType.CONTEXT:
            return f"not reached: {row.position} answers from its checkpoint"
        case Replay.RAISES | Replay.ERROR_RECOVERED if row.id is not None:
            return f"not reached: {row.position} raises its recorded error"
        case Replay.SKIPPED:
            return f"not reached: unit {row.unit} is skipped"
        case Replay.NOT_DISPATCHED:
            return f"not reached: unit {row.unit} isn't dispatched"
        case Replay.NOT_REACHED:
            return place.hidden or "not reached"
    return None


def frozen_unit(place: UnitPlace, index: int) -> UnitRun | None:
    """Return how a map or parallel froze one of its units; None when its summary leaves it out.

    Without a summary that lists any, it ended and nothing tells how.
    """
    if place.summary is None or place.summary.form is SummaryForm.EMPTY:
        return UnitRun(index, index + 1, None)
    return place.summary.status_of(index)


def units_below(walk: Walk, batch: Recorded, own: Iterable[str], place: UnitPlace) -> list[Item]:
    """Return the units of a map or parallel in order of index, NESTED and FLAT ones alike.

    Units that only the summary knows are there too, neighbours of one kind in one row.
    """
    base = walk.paths.get(batch.operation.id)
    first = walk.scheme.first_unit if walk.scheme else 0
    nested: dict[int, str] = {}
    flat: dict[int, list[str]] = {}
    loose: list[str] = []
    for key in own:
        path = walk.paths.get(key)
        if base is None or path is None or len(path) <= len(base):
            loose.append(key)
        elif len(path) == len(base) + 1:
            nested[path[-1] - first] = key
        else:
            flat.setdefault(path[len(base)] - first, []).append(key)
    if loose and not nested and not flat and _are_units(walk, loose):
        nested, loose = dict(enumerate(loose)), []
    ended = _ended_by_count(walk, flat, place.summary)
    items: list[Item] = []
    at = 0
    for index in sorted(nested.keys() | flat.keys()):
        items += _summarized(place, base, first, at, index, bool(flat))
        at = index + 1
        if index in nested:
            items.append((nested[index], place))
        else:
            run = frozen_unit(place, index)
            counted = run is not None and run.status is None and index in ended
            if run is not None and counted:
                run = run._replace(status=ended[index])
            row = _unit_row(place, base, first, index, 1, run, NestingType.FLAT)
            if counted:
                row = replace(row, is_inferred=True, why=f"{row.why} (inferred from the counts)")
            items += _flat_unit(walk, row, flat[index], place)
    total = place.summary.runs[-1].stop if place.summary and place.summary.runs else 0
    all_flat = not nested and not (walk.is_pruned and place.hidden is not None)
    items += _summarized(place, base, first, at, total, bool(flat) or all_flat)
    return items + [(key, place) for key in loose]


def _are_units(walk: Walk, keys: Iterable[str]) -> bool:
    return all(walk.recorded[key].operation.is_unit for key in keys)


def _ended_by_count(
    walk: Walk, flat: Mapping[int, list[str]], summary: Summary | None
) -> dict[int, UnitStatus]:
    """Infer how FLAT units ended where the summary only counts the failures.

    They are told when exactly as many units as it counts hold an operation that failed.
    """
    if summary is None or summary.failures is None:
        return {}
    unknown = [i for i in flat if (run := summary.status_of(i)) and run.status is None]
    failed = {
        index
        for index in unknown
        if any(walk.recorded[key].operation.status is OperationStatus.FAILED for key in flat[index])
    }
    if len(failed) != summary.failures:
        return {}
    return {i: UnitStatus.FAILED if i in failed else UnitStatus.SUCCEEDED for i in unknown}


def _flat_unit(walk: Walk, row: Row, inner: list[str], place: UnitPlace) -> list[Item]:
    operations = [walk.recorded[key].operation for key in inner]
    starts = [each.start_timestamp for each in operations if each.start_timestamp]
    ends = [each.end_timestamp for each in operations]
    row = replace(
        row,
        status=row.status or _status_from_inside(operations),
        started=min(starts, default=None),
        ended=max((end for end in ends if end), default=None) if all(ends) else None,
        nesting=NestingType.FLAT,
    )
    below = UnitPlace(depth=place.depth + 1, hidden=place.hidden or hidden_below(row, place))
    return [(row, place), *((key, below) for key in inner)]


def _status_from_inside(operations: Iterable[Operation]) -> str | None:
    """Say STARTED when something inside is still open; how a finished body ended isn't recorded."""
    is_open = any(not operation.is_terminal for operation in operations)
    return UnitStatus.STARTED.value if is_open else None


def _summarized(
    place: UnitPlace, base: Path | None, first: int, start: int, stop: int, flat: bool
) -> list[Item]:
    """Return rows for units `start` to `stop - 1`, of which only the summary tells.

    Units with an error of their own have each a row.
    """
    if place.summary is None:
        return []
    nesting = NestingType.FLAT if flat else None
    items: list[Item] = []
    for run in place.summary.between(start, stop):
        for begin, count in _rows_of(run, place.summary):
            items.append((_unit_row(place, base, first, begin, count, run, nesting), place))
    return items


def _rows_of(run: UnitRun, summary: Summary) -> Iterator[tuple[int, int]]:
    """Yield the first unit and the number of units of each row that a run becomes."""
    begin = run.start
    for index in sorted(i for i in summary.errors if run.start <= i < run.stop):
        if begin < index:
            yield begin, index - begin
        yield index, 1
        begin = index + 1
    if begin < run.stop:
        yield begin, run.stop - begin


def _unit_row(
    place: UnitPlace,
    base: Path | None,
    first: int,
    index: int,
    count: int,
    run: UnitRun | None,
    nesting: NestingType | None,
) -> Row:
    """Return the row of a unit without an operation, or of several neighbours."""
    status = run.status if run else None
    verb, why = unit_sentence(run, hidden=place.hidden, rebuilt=place.rebuilt)
    batch = place.batch.operation if place.batch else None
    sub_type = SubType.PARALLEL_BRANCH
    if batch is not None and batch.sub_type == SubType.MAP:
        sub_type = SubType.MAP_ITERATION
    name = place.summary.names.get(index) if place.summary and count == 1 else None
    error = place.summary.errors.get(index) if place.summary else None
    if error is not None and status is UnitStatus.FAILED:
        why = f"{why}; it failed with {describe_error(error, status)}"
    path = "" if base is None else position_text((*base, index + first))
    if count > 1 and base is not None:
        path = f"{path}-{index + first + count - 1}"
    return Row(
        position=path or "?",
        depth=place.depth,
        type="UNIT",
        replay=verb,
        why=why,
        parent_id=batch.id if batch else None,
        sub_type=sub_type,
        name=name,
        status=status.value if status else None,
        unit=index,
        units=count,
        nesting=nesting,
        error=error,
    )
