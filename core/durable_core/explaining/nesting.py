"""What maps and parallels would meter with the other nesting: NESTED as FLAT, and FLAT as NESTED.

A NESTED unit has a context of its own: one operation, and a copy of the unit's result. A FLAT one
checkpoints nothing itself. The operations inside a unit are the same either way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from durable_core.explaining.report import Replay, Report, Row
from durable_core.model import NestingType, is_batch, is_unit
from durable_core.values import dataclass

MATTERS_FROM_OPERATIONS = 100
MATTERS_FROM_PART = 0.1


@dataclass(frozen=True, slots=True)
class NestingChange:
    """What the other nesting would change for maps or parallels of one name.

    `row` is the first of `count` that are alike, `recorded` the nesting that they have, `units` how
    many units they have. `operations` and `bytes` come on top of what was metered, so they are
    negative for NESTED as FLAT. `bytes` is an upper bound for FLAT as NESTED, and None where the
    results of the units aren't stored.
    """

    row: Row
    recorded: NestingType
    count: int
    units: int
    operations: int
    bytes: int | None

    @property
    def instead(self) -> NestingType:
        """The nesting that would make this change."""
        return NestingType.FLAT if self.recorded is NestingType.NESTED else NestingType.NESTED


def nesting_changes(report: Report) -> tuple[NestingChange, ...]:
    """Return the changes that matter, the largest first: from 100 operations or 10 % on.

    Those of one name and sub-type are counted together. A state tells nothing: it doesn't hold
    what is in completed maps and parallels.
    """
    if report.compute.invocations is None:
        return ()
    alike: dict[tuple[str | None, str | None, NestingType], NestingChange] = {}
    for change in _changes(report.rows):
        key = (change.row.sub_type, change.row.name, change.recorded)
        known = alike.get(key)
        alike[key] = change if known is None else _together(known, change)
    least = min(MATTERS_FROM_OPERATIONS, MATTERS_FROM_PART * report.totals.metered_operations)
    found = [change for change in alike.values() if abs(change.operations) >= least]
    return tuple(sorted(found, key=lambda change: -abs(change.operations)))


@dataclass(slots=True)
class _Units:
    nested: int = 0
    nested_bytes: int = 0
    flat: int = 0


def _changes(rows: Sequence[Row]) -> Iterable[NestingChange]:
    units: dict[str, _Units] = {}
    batches: list[Row] = []
    for row in rows:
        if is_batch(row.type, row.sub_type):
            batches.append(row)
            units.setdefault(row.id or "", _Units())
        own = units.get(row.parent_id or "")
        if own is None:
            continue
        if row.is_flat_unit:
            own.flat += row.units if row.replay is not Replay.NOT_DISPATCHED else 0
        elif row.unit is not None or is_unit(row.type, row.sub_type):
            own.nested += row.metered_operations
            own.nested_bytes += row.metered_bytes
    for batch in batches:
        own = units[batch.id or ""]
        if own.nested:
            kind = NestingType.NESTED
            yield NestingChange(batch, kind, 1, own.nested, -own.nested, -own.nested_bytes)
        elif own.flat:
            copies = None if batch.is_stripped else batch.payload_bytes
            yield NestingChange(batch, NestingType.FLAT, 1, own.flat, own.flat, copies)


def _together(known: NestingChange, change: NestingChange) -> NestingChange:
    both = known.bytes is not None and change.bytes is not None
    return replace(
        known,
        count=known.count + 1,
        units=known.units + change.units,
        operations=known.operations + change.operations,
        bytes=(known.bytes or 0) + (change.bytes or 0) if both else None,
    )
