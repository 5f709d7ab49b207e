"""How the units of a map or parallel differ from those that are recorded. Pure.

Units are compared by their index, not as a sequence: how many there are, their names, and whether
each is a context of its own (NESTED) or not (FLAT).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from durable_core.excerpts import short_name
from durable_core.frozen import dataclass
from durable_core.ids import Path, position_text
from durable_core.sandbox.user_code import CodeLine
from durable_core.verifying.divergence import Found
from durable_core.verifying.verification import Cause, Divergence, Identity, line_at


@dataclass(frozen=True, slots=True)
class UnitRecord:
    """A unit as it is recorded. `name` None: not recorded; `is_flat` None: nothing tells."""

    name: str | None = None
    is_flat: bool | None = None


@dataclass(frozen=True, slots=True)
class BatchRun:
    """The units that a map or parallel recorded, and those that the code asks for.

    `total` is how many there were; None where only those in `units` are known of, so that there
    may have been more. `first` is the number of the first unit in a position.
    """

    path: Path
    identity: Identity
    units: Mapping[int, UnitRecord]
    total: int | None
    names: Sequence[str | None]
    is_flat: bool
    first: int
    where: CodeLine | None = None
    moment: int = 0


def batch_divergence(run: BatchRun) -> Found | None:
    """Return how the units of a map or parallel differ from those recorded, or None."""
    count = len(run.names)
    known = max(run.units, default=-1) + 1
    if run.total not in (None, count) or count < known:
        had = run.total if run.total is not None else known
        more = "" if run.total is not None else "at least "
        why = f"{run.identity} had {more}{had:,} units, the code asks for {count:,}{_first(run)}"
        return _units_found(run, None, Cause.UNIT_COUNT, why, (had, count))
    for index, name in enumerate(run.names):
        unit = run.units.get(index)
        if unit is None:
            continue
        if unit.is_flat not in (None, run.is_flat):
            was = "FLAT" if unit.is_flat else "NESTED"
            now = "FLAT" if run.is_flat else "NESTED"
            why = f"the units of {run.identity} were {was}, the code asks for {now}"
            return _units_found(run, index, Cause.NESTING, why)
        if unit.name is not None and unit.name != (name or ""):
            cause = _cause_of_names(run)
            was, now = short_name(unit.name), short_name(name or "")
            why = f'unit {index} was named "{was}", the code names it "{now}"'
            return _units_found(run, index, cause, why)
    return None


def _first(run: BatchRun) -> str:
    """Say which unit is the first that isn't the same, where names tell."""
    for index, name in enumerate(run.names):
        unit = run.units.get(index)
        if unit is not None and unit.name is not None and unit.name != (name or ""):
            was, now = short_name(unit.name), short_name(name or "")
            return f'; the first that differs is unit {index}, "{was}", now "{now}"'
    return ""


def _cause_of_names(run: BatchRun) -> Cause:
    recorded = [run.units[index].name for index in sorted(run.units)]
    if None not in recorded and sorted(map(str, recorded)) == sorted(map(str, run.names)):
        return Cause.REORDERED
    return Cause.RENAMED


def _units_found(
    run: BatchRun,
    index: int | None,
    cause: Cause,
    why: str,
    units: tuple[int | None, int | None] = (None, None),
) -> Found:
    if index is None:
        line = line_at(run.path, run.identity)
        expected, current = (replace(line, units=each) for each in units)
        position = run.path
    else:
        position = (*run.path, run.first + index)
        unit = run.units[index]
        expected = line_at(
            position, Identity("CONTEXT", "unit", unit.name, virtual=bool(unit.is_flat))
        )
        current = line_at(
            position, Identity("CONTEXT", "unit", run.names[index], virtual=run.is_flat)
        )
    return Found(
        run.moment,
        Divergence(
            position=position_text(position),
            context=str(line_at(run.path, run.identity)),
            cause=cause,
            why=why,
            expected=expected,
            current=current,
            where=run.where,
            distance=1,
        ),
        run.path,
    )
