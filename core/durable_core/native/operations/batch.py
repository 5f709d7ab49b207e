"""map and parallel: units run side by side, complete by policy, frozen when they are recorded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

from durable_core.completion import CompletionConfig
from durable_core.decide import Verb, decide_unit
from durable_core.exceptions import (
    ChildContextError,
    ExecutionError,
    InvocationError,
    error_object,
    raise_recorded,
)
from durable_core.frozen import dataclass
from durable_core.model import (
    CompletionReason,
    NestingType,
    OperationAction,
    OperationType,
    SubType,
    UnitStatus,
)
from durable_core.native.batch_result import BatchItem, BatchResult
from durable_core.native.call import Call
from durable_core.native.config import MapConfig, ParallelConfig, SummaryGenerator
from durable_core.native.execution import Scope
from durable_core.native.journal import Activity
from durable_core.native.operations.batch_payload import (
    FrozenBatch,
    InlineBatch,
    WholeResult,
    read_frozen,
    read_inline,
    stripped_payload,
    whole_result,
)
from durable_core.native.operations.child import fail, succeed
from durable_core.native.operations.units import Coordinator, Unit, UnitOptions
from durable_core.native.serdes import SerDes
from durable_core.sizes import utf8_bytes

UnitBody = Callable[[Call, Scope], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How a map or parallel runs and how its result is written."""

    completion: CompletionConfig
    max_concurrency: int | None = None
    serdes: SerDes[Any] | None = None
    item_serdes: SerDes[Any] | None = None
    summarize: SummaryGenerator | None = None
    nesting: NestingType = NestingType.NESTED

    @property
    def unit_serdes(self) -> SerDes[Any] | None:
        """What writes the result of one unit."""
        return self.item_serdes or self.serdes

    @property
    def is_flat(self) -> bool:
        """True when units have no operation of their own."""
        return self.nesting is NestingType.FLAT


def options_of(config: MapConfig[Any] | ParallelConfig) -> BatchOptions:
    """Return what a user's config asks for."""
    return BatchOptions(
        config.completion_config,
        config.max_concurrency,
        config.serdes,
        config.item_serdes,
        config.summary_generator,
        config.nesting_type,
    )


@dataclass(frozen=True, slots=True)
class PlannedUnit:
    """A unit as the code asks for it: its name, and what runs its body in a scope."""

    name: str
    body: UnitBody


async def batch(
    call: Call, planned: Sequence[PlannedUnit], options: BatchOptions
) -> BatchResult[Any]:
    """Return how the units ended. A failed unit never raises; code that diverged does.

    What the predicate, the serdes or the summary generator raises fails the whole: SerDesError or
    ChildContextError, as for a child context.
    """
    while True:
        decision = call.decide()
        recorded = call.recorded
        match decision.verb:
            case Verb.REUSE:
                return _reused(call, planned, options)
            case Verb.RAISE:
                raise_recorded(recorded.error if recorded else None, ChildContextError)
            case Verb.SUSPEND:
                await call.park(decision)
            case Verb.RE_EXECUTE:
                return await _rebuild(call, planned, options)
            case _:
                units = make_units(call, Scope(call.scope), planned, options)
                _check_units(call, units, None, options)
                if decision.verb is Verb.RUN:
                    call.send(OperationAction.START)
                call.note(Activity.RAN)
                return await _live(call, units, options)


def make_units(
    call: Call, scope: Scope, planned: Sequence[PlannedUnit], options: BatchOptions
) -> list[Unit]:
    """Return the units, each at its position below the map or parallel."""
    is_map = call.sub_type == SubType.MAP
    sub_type = SubType.MAP_ITERATION if is_map else SubType.PARALLEL_BRANCH
    first = call.execution.scheme.first_unit
    units = []
    for index, each in enumerate(planned):
        unit_call = type(call)(
            call.execution,
            scope,
            OperationType.CONTEXT,
            sub_type,
            each.name,
            call.id,
            call.prefix,
            first + index,
            call.path,
        )
        units.append(Unit(index, each.name, unit_call, each.body))
    return units


def _check_units(
    call: Call, units: Sequence[Unit], frozen: FrozenBatch | None, options: BatchOptions
) -> None:
    """Raise NonDeterministicExecutionError for units that aren't those recorded, before any runs.

    `frozen` None: the map or parallel isn't complete; its NESTED units may have been started.
    """
    if frozen is not None and frozen.total != len(units):
        raise call.diverged(f"recorded {frozen.total} units, the code asks for {len(units)}")
    for unit in units:
        recorded = unit.call.recorded
        if options.is_flat and recorded is not None:
            raise unit.call.diverged("recorded as a NESTED unit, the code asks for a FLAT one")
        status, name = (None, None) if frozen is None else frozen.unit(unit.index)
        if name is None and recorded is not None:
            name = recorded.name
        decision = decide_unit(status, name, unit.name)
        if decision.verb is Verb.DIVERGE:
            raise unit.call.diverged(
                f"recorded as {name!r}, the code now names the unit {unit.name!r}"
            )
        unit.skip = decision.verb is Verb.SKIP
        unit.frozen = status


# -- running for the first time, or again after an interruption ---------------------------------


async def unplanned(call: Call, error: Exception) -> NoReturn:
    """Fail a map whose units can't even be named, unless it is complete already."""
    decision = call.decide()
    match decision.verb:
        case Verb.RAISE:
            raise_recorded(call.recorded.error if call.recorded else None, ChildContextError)
        case Verb.REUSE | Verb.RE_EXECUTE:
            raise error
        case Verb.RUN:
            call.send(OperationAction.START)
    await fail(call, error_object(error))


async def _live(call: Call, units: list[Unit], options: BatchOptions) -> BatchResult[Any]:
    try:
        payload, stripped, value = await _run(call, units, options)
    except (ExecutionError, InvocationError):
        raise
    except Exception as error:
        await fail(call, error_object(error))
    await succeed(call, payload, stripped=stripped)
    return value


async def _run(
    call: Call, units: list[Unit], options: BatchOptions
) -> tuple[str | None, bool, BatchResult[Any]]:
    """Run the units; return what is stored, whether that is stripped, and the result."""
    unit_options = UnitOptions(options.max_concurrency, options.unit_serdes, options.is_flat)
    coordinator = Coordinator(call, units, unit_options)
    reason = await coordinator.run_until_complete(options.completion)
    result = _result(units, reason)
    limit = call.execution.limits.payload_bytes
    whole, value = _whole(call, units, result, options, limit)
    if whole.size_bytes > limit:
        call.note(Activity.STRIPPED, size=whole.size_bytes)
        extra = None if options.summarize is None else options.summarize(result)
        return stripped_payload(units, reason, limit, extra), True, value
    return whole.payload, False, value


def _whole(
    call: Call,
    units: Sequence[Unit],
    result: BatchResult[Any],
    options: BatchOptions,
    limit_bytes: int,
) -> tuple[WholeResult, BatchResult[Any]]:
    """Return the whole result as it would be stored, and as a replay will return it."""
    if options.serdes is None:
        return whole_result(units, result.completion_reason, limit_bytes), result
    payload, value = call.round_trip(options.serdes, result)
    return WholeResult(utf8_bytes(payload or ""), payload), value


def _result(units: Sequence[Unit], reason: CompletionReason) -> BatchResult[Any]:
    """Return the result: every unit that was dispatched, in order."""
    items = [
        BatchItem(unit.index, unit.status, unit.value, unit.error, unit.name)
        for unit in units
        if unit.status is not None
    ]
    return BatchResult(items, reason)


# -- replaying ----------------------------------------------------------------------------------


def _reused(call: Call, planned: Sequence[PlannedUnit], options: BatchOptions) -> BatchResult[Any]:
    payload = call.recorded.result if call.recorded else None
    if options.serdes is not None:
        value: BatchResult[Any] = call.to_value(options.serdes, payload)
        return value
    inline = read_inline(payload)
    if inline is None:
        raise call.diverged("its recorded result is not one of a map or parallel")
    if len(inline.units) != len(planned):
        raise call.diverged(f"recorded {len(inline.units)} units, the code asks for {len(planned)}")
    for unit, asked in zip(inline.units, planned, strict=True):
        if decide_unit(unit.status, unit.name, asked.name).verb is Verb.DIVERGE:
            raise call.diverged(
                f"unit {unit.index} is recorded as {unit.name!r}, the code now names it "
                f"{asked.name!r}"
            )
    return inline_result(call, inline, options)


def inline_result(call: Call, inline: InlineBatch, options: BatchOptions) -> BatchResult[Any]:
    """Return the result that was stored whole: every unit that was dispatched."""
    items = []
    for unit in inline.units:
        if unit.dispatched:
            result = None
            if unit.status is UnitStatus.SUCCEEDED:
                result = call.to_value(options.unit_serdes, unit.payload)
            items.append(BatchItem(unit.index, unit.status, result, unit.error, unit.name))
    return BatchResult(items, inline.reason)


async def _rebuild(
    call: Call, planned: Sequence[PlannedUnit], options: BatchOptions
) -> BatchResult[Any]:
    """Rebuild a stripped result. The frozen summary says how each unit ended and why all did."""
    frozen = read_frozen(call.recorded.result if call.recorded else None)
    if frozen is None:
        raise call.diverged("its recorded summary can't be read")
    units = make_units(call, Scope(call.scope, rebuilding=True), planned, options)
    _check_units(call, units, frozen, options)
    call.note(Activity.RE_EXECUTED)
    for unit in units:
        if unit.skip and frozen.was_dispatched(unit.index):
            unit.call.note(Activity.SKIPPED)
    unit_options = UnitOptions(options.max_concurrency, options.unit_serdes, options.is_flat)
    await Coordinator(call, [unit for unit in units if not unit.skip], unit_options).run_all()
    for unit in units:
        _freeze(unit, dispatched=frozen.was_dispatched(unit.index))
    result = _result(units, frozen.reason)
    return result if options.serdes is None else call.round_trip(options.serdes, result)[1]


def _freeze(unit: Unit, *, dispatched: bool) -> None:
    """Let the frozen status stand, whatever this run of the body came to."""
    if unit.skip:
        unit.status = UnitStatus.STARTED if dispatched else None
    elif unit.frozen is UnitStatus.FAILED:
        unit.status, unit.value = UnitStatus.FAILED, None
    elif unit.frozen is UnitStatus.SUCCEEDED and unit.status is UnitStatus.FAILED:
        raised = str(unit.error) if unit.error else "an error"
        raise unit.call.diverged(
            "recorded as SUCCEEDED; run again to rebuild its result, which was too large to be "
            f"stored, its body raised {raised}"
        )
