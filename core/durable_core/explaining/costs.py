"""What an execution costs: what was metered, recorded and kept, times prices. Pure.

Only what AWS bills for Lambda durable functions is in it, without free tier and discounts. What a
history doesn't hold (the memory size, the retention period) comes with the prices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from durable_core.explaining.report import Replay, Report, Row
from durable_core.frozen import dataclass
from durable_core.model import ExecutionStatus, NestingType, OperationType, Word, is_batch, is_unit

GIB: Final = 1024**3
MILLION: Final = 1_000_000
DAYS_OF_MONTH: Final = 30
SECONDS_OF_DAY: Final = 86_400


class Architecture(Word):
    """What a function's compute runs on: each has a price of its own."""

    X86_64 = "x86_64"
    ARM64 = "arm64"


@dataclass(frozen=True, slots=True)
class Price:
    """A price of one unit (a million, a GB, ...), and where it was read."""

    amount: float
    source: str


@dataclass(frozen=True, slots=True)
class Prices:
    """What AWS charges in one Region, and what of a function's settings a cost hangs on.

    `name` is where they come from, for a person; `as_of` the date of the prices, if it is said.
    Operations and requests are priced by the million, data written by the GB, data retained by
    the GB-month, compute by the GB-second.
    """

    name: str
    as_of: str | None
    region: str | None
    currency: str
    operations: Price
    data_written: Price
    data_retained: Price
    compute: Price
    requests: Price
    memory_mb: int
    architecture: Architecture
    retention_days: int


class CostKey(Word):
    """The parts that a cost has, as the price file names them."""

    OPERATIONS = "operations"
    DATA_WRITTEN = "data_written"
    DATA_RETAINED = "data_retained"
    COMPUTE = "compute"
    REQUESTS = "requests"


@dataclass(frozen=True, slots=True)
class CostPart:
    """One part of a cost: `count` of what is billed, `per` of which make one `unit` of the price.

    `count` is None where the history doesn't tell it: metered operations, bytes, byte-days, seconds
    of compute, or invocations. `basis` says in words what is counted.
    """

    key: CostKey
    count: float | None
    per: float
    unit: str
    price: Price
    basis: str

    @property
    def quantity(self) -> float | None:
        """How many units of the price there are."""
        return None if self.count is None else self.count / self.per

    @property
    def cost(self) -> float | None:
        """What it costs, in the currency of the prices."""
        return None if self.quantity is None else self.quantity * self.price.amount


@dataclass(frozen=True, slots=True)
class PricedChange:
    """What the other nesting adds to the cost of one execution; negative: it saves that."""

    change: NestingChange
    cost: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What one execution, or several, cost so far.

    `at_least`: something that costs isn't known, so that it is a lower bound; `notes` say what.
    `changes` are those of nesting that matter, of a single execution only.
    """

    prices: Prices
    executions: int
    parts: tuple[CostPart, ...]
    is_running: bool
    at_least: bool
    notes: tuple[str, ...]
    changes: tuple[PricedChange, ...] = ()

    @property
    def total(self) -> float:
        """What it costs, in the currency of the prices."""
        return sum(part.cost or 0.0 for part in self.parts)

    @property
    def per_million(self) -> float:
        """What a million executions like these would cost."""
        return self.total / self.executions * MILLION


def cost_of(report: Report, prices: Prices, *, compute_is_known: bool = True) -> Cost:
    """Return what the execution cost, as far as the report's picture of it goes.

    `compute_is_known` False: how long invocations took is no fact (a simulation's virtual time).
    """
    use, metering = report.compute, report.metering
    has_time = bool(use.seconds) or use.invocations == 0
    seconds = use.seconds if compute_is_known and has_time else None
    counts: Mapping[CostKey, float | None] = {
        CostKey.OPERATIONS: report.totals.metered_operations,
        CostKey.DATA_WRITTEN: report.totals.metered_bytes,
        CostKey.DATA_RETAINED: report.totals.metered_bytes * _days_kept(report, prices),
        CostKey.COMPUTE: seconds,
        CostKey.REQUESTS: use.invocations,
    }
    return Cost(
        prices=prices,
        executions=1,
        parts=tuple(_part(key, counts[key], prices) for key in CostKey),
        is_running=ExecutionStatus(report.status).is_open or report.invocation is not None,
        at_least=metering.operations_at_least
        or metering.bytes_at_least
        or seconds is None
        or use.invocations is None
        or use.timed < use.invocations,
        notes=(*_notes(report, compute_is_known), *metering.notes),
        changes=tuple(
            PricedChange(change, _cost_of_change(change, report, prices))
            for change in nesting_changes(report)
        ),
    )


def cost_together(costs: Sequence[Cost]) -> Cost:
    """Return what several executions cost together: one or more, all by the same prices."""
    prices = costs[0].prices
    parts = []
    for same in zip(*(cost.parts for cost in costs), strict=True):
        known = [part.count for part in same if part.count is not None]
        parts.append(_part(same[0].key, sum(known) if known else None, prices))
    return Cost(
        prices=prices,
        executions=len(costs),
        parts=tuple(parts),
        is_running=any(cost.is_running for cost in costs),
        at_least=any(cost.at_least for cost in costs),
        notes=tuple(dict.fromkeys(note for cost in costs for note in cost.notes)),
    )


def _part(key: CostKey, count: float | None, prices: Prices) -> CostPart:
    match key:
        case CostKey.OPERATIONS:
            return CostPart(key, count, MILLION, "million", prices.operations, f"{count:,} metered")
        case CostKey.DATA_WRITTEN:
            return CostPart(key, count, GIB, "GB", prices.data_written, f"{count:,} bytes metered")
        case CostKey.DATA_RETAINED:
            basis = f"kept until {prices.retention_days} days after the end"
            byte_days = GIB * DAYS_OF_MONTH
            return CostPart(key, count, byte_days, "GB-month", prices.data_retained, basis)
        case CostKey.COMPUTE:
            time = "not known" if count is None else f"{count:,.3f} s"
            basis = f"{time}, {prices.memory_mb:,} MB, {prices.architecture.value}"
            seconds = 1024 / prices.memory_mb
            return CostPart(key, count, seconds, "GB-second", prices.compute, basis)
    noun = "invocation" if count == 1 else "invocations"
    basis = "not known" if count is None else f"{count:,} {noun}"
    return CostPart(key, count, MILLION, "million", prices.requests, basis)


def _days_kept(report: Report, prices: Prices) -> float:
    """Return how long the data is kept, as if all of it had been there from the start on."""
    return (report.wall_seconds or 0.0) / SECONDS_OF_DAY + prices.retention_days


def _cost_of_change(change: NestingChange, report: Report, prices: Prices) -> float:
    size = change.bytes or 0
    parts = (
        _part(CostKey.OPERATIONS, change.operations, prices),
        _part(CostKey.DATA_WRITTEN, size, prices),
        _part(CostKey.DATA_RETAINED, size * _days_kept(report, prices), prices),
    )
    return sum(part.cost or 0.0 for part in parts)


def _notes(report: Report, compute_is_known: bool) -> Iterator[str]:
    use = report.compute
    if not compute_is_known:
        yield "compute isn't known: a simulation's time is virtual"
    elif use.invocations is None:
        yield "compute and requests aren't known: a state holds no invocations"
    elif use.timed and not use.seconds:
        yield "compute isn't known: every invocation is recorded with 0 ms, as simulated ones are"
    elif missing := use.invocations - use.timed:
        yield (
            f"when it began and ended isn't recorded of {missing:,} of {use.invocations:,} "
            "invocations: at least the time between their events is counted"
        )
    if any(row.type == OperationType.CHAINED_INVOKE for row in report.rows):
        yield "what the invoked functions cost is not in it"


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
