"""What an execution costs: each part by its price, what isn't known, and the other nesting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from durable_core import DurableContext, MapConfig, NestingType
from durable_core.adapters.history_file import load_history
from durable_core.adapters.price_file import read_prices
from durable_core.explaining.costs import (
    GIB,
    Cost,
    CostKey,
    Price,
    cost_of,
    cost_together,
    nesting_changes,
)
from durable_core.explaining.explain import explain
from durable_core.explaining.report import ComputeUse, Report
from durable_core.history import history_of_events
from durable_core.simulation.simulate import simulate

FIXTURES = Path(__file__).parent.parent / "fixtures"
SOURCES = [*(FIXTURES / "histories").glob("*.json"), *(FIXTURES / "states").glob("*.json")]
PRICES = replace(read_prices("default"), retention_days=15)


def report_of(name: str, **options: Any) -> Report:
    folder = "histories" if (FIXTURES / "histories" / f"{name}.json").exists() else "states"
    return explain(load_history(str(FIXTURES / folder / f"{name}.json")), **options)


def parts(cost: Cost) -> dict[CostKey, float | None]:
    return {part.key: part.cost for part in cost.parts}


def test_each_part_is_its_quantity_times_its_price() -> None:
    report = report_of("waits")
    size = 3 * GIB
    report = replace(
        report,
        totals=replace(report.totals, metered_operations=2_000_000, metered_bytes=size),
        compute=ComputeUse(invocations=4_000_000, timed=4_000_000, seconds=8_000_000.0),
        wall_seconds=15 * 86_400.0,
    )
    cost = cost_of(report, replace(PRICES, memory_mb=512))
    assert parts(cost) == pytest.approx(
        {
            CostKey.OPERATIONS: 2 * 8.0,
            CostKey.DATA_WRITTEN: 3 * 0.25,
            CostKey.DATA_RETAINED: 3 * 0.15,  # half a month running, half a month after it
            CostKey.COMPUTE: 8_000_000 * 0.5 * 0.0000166667,
            CostKey.REQUESTS: 4 * 0.2,
        }
    )
    assert cost.total == pytest.approx(sum(each or 0 for each in parts(cost).values()))
    assert cost.per_million == pytest.approx(cost.total * 1_000_000)
    assert not cost.at_least
    assert not cost.is_running


def test_invocations_are_billed_by_the_millisecond_begun() -> None:
    report = report_of("crashed_invocation")
    seconds = report.compute.seconds
    assert (report.compute.invocations, report.compute.timed) == (2, 2)
    assert seconds == pytest.approx(round(seconds, 3))
    assert seconds > 0


def test_a_picture_costs_what_was_used_up_to_it() -> None:
    whole = cost_of(report_of("flat_overflow_reentered"), PRICES)
    second = cost_of(report_of("flat_overflow_reentered", invocation=2), PRICES)
    assert 0 < second.total < whole.total
    assert second.is_running
    counts = {part.key: part.count for part in second.parts}
    assert counts[CostKey.REQUESTS] == 1


def test_compute_that_isn_t_known_makes_a_lower_bound() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda step: 1, "s")

    simulation = simulate(handler, None)
    report = explain(history_of_events("h", simulation.events))
    cost = cost_of(report, PRICES)
    assert parts(cost)[CostKey.COMPUTE] is None
    assert cost.at_least
    assert any("0 ms, as simulated ones are" in note for note in cost.notes)
    virtual = cost_of(report_of("waits"), PRICES, compute_is_known=False)
    assert parts(virtual)[CostKey.COMPUTE] is None
    assert any("time is virtual" in note for note in virtual.notes)


def test_a_state_has_neither_compute_nor_requests() -> None:
    cost = cost_of(report_of("operations_state"), PRICES)
    assert parts(cost)[CostKey.COMPUTE] is None
    assert parts(cost)[CostKey.REQUESTS] is None
    assert cost.at_least


def test_invocations_without_times_are_told() -> None:
    report = report_of("waits")
    report = replace(report, compute=ComputeUse(invocations=3, timed=1, seconds=2.0))
    cost = cost_of(report, PRICES)
    assert cost.at_least
    assert any("isn't recorded of 2 of 3 invocations" in note for note in cost.notes)


def test_moments_of_events_stand_in_for_those_of_an_invocation_and_it_is_told() -> None:
    report = report_of("waits")  # AWS's local runner writes no InvocationCompletedDetails
    assert report.compute.timed == 0
    assert report.compute.seconds > 0
    cost = cost_of(report, PRICES)
    assert cost.at_least
    assert cost_of(report_of("crashed_invocation"), PRICES).at_least is False


def test_an_execution_that_was_not_invoked_yet_has_no_compute() -> None:
    report = replace(report_of("waits"), compute=ComputeUse(0, 0, 0.0))
    cost = cost_of(report, PRICES)
    assert parts(cost)[CostKey.COMPUTE] == 0
    assert not cost.at_least


def test_what_invoked_functions_cost_is_said_to_be_left_out() -> None:
    notes = cost_of(report_of("chained_invoke_succeeded"), PRICES).notes
    assert "what the invoked functions cost is not in it" in notes
    assert not any("invoked" in note for note in cost_of(report_of("waits"), PRICES).notes)


@pytest.mark.parametrize("names", [["waits"], ["waits", "operations_state", "nested_maps"]])
def test_costs_together_are_their_sum(names: list[str]) -> None:
    costs = [cost_of(report_of(name), PRICES) for name in names]
    together = cost_together(costs)
    assert together.executions == len(names)
    assert together.total == pytest.approx(sum(cost.total for cost in costs))
    assert together.per_million == pytest.approx(together.total / len(names) * 1e6)
    assert together.at_least == any(cost.at_least for cost in costs)


@pytest.mark.parametrize("path", sorted(SOURCES), ids=lambda path: path.stem)
def test_nothing_has_a_negative_cost_and_free_prices_cost_nothing(path: Path) -> None:
    report = explain(load_history(str(path)))
    cost = cost_of(report, PRICES)
    assert all((part.cost or 0) >= 0 for part in cost.parts)
    assert cost.total >= 8 / 1e6  # the execution itself
    free = Price(0.0, "nobody")
    nothing = replace(
        PRICES,
        operations=free,
        data_written=free,
        data_retained=free,
        compute=free,
        requests=free,
    )
    assert cost_of(report, nothing).total == 0


# -- nesting -------------------------------------------------------------------------------------


def mapped(units: int, nesting: NestingType, steps: int = 1, result: str = "x") -> Report:
    async def unit(inside: DurableContext, *rest: Any) -> str:
        for number in range(steps):
            await inside.step(lambda step: None, f"s{number}")
        return result

    async def handler(event: Any, ctx: DurableContext) -> int:
        config = MapConfig[Any](nesting_type=nesting)
        return len((await ctx.map(list(range(units)), unit, "m", config)).all)

    return explain(history_of_events("h", simulate(handler, None).events))


@pytest.mark.parametrize(("units", "result"), [(3, "x"), (40, "y" * 20_000)])
def test_a_change_of_nesting_says_what_the_other_one_really_meters(units: int, result: str) -> None:
    nested = mapped(units, NestingType.NESTED, result=result)
    flat = mapped(units, NestingType.FLAT, result=result)
    [to_flat], [to_nested] = nesting_changes(nested), nesting_changes(flat)
    assert (to_flat.recorded, to_flat.instead) == (NestingType.NESTED, NestingType.FLAT)
    assert (to_nested.recorded, to_nested.instead) == (NestingType.FLAT, NestingType.NESTED)
    assert to_flat.units == to_nested.units == units
    operations = flat.totals.metered_operations - nested.totals.metered_operations
    size = flat.totals.metered_bytes - nested.totals.metered_bytes
    assert (to_flat.operations, to_flat.bytes) == (operations, size)
    assert to_nested.operations == -operations
    if sum(row.is_stripped for row in flat.rows):
        assert to_nested.bytes is None  # the results of the units aren't stored
    else:
        assert to_nested.bytes is not None
        assert to_nested.bytes >= -size


def test_a_change_has_the_money_that_it_makes() -> None:
    report = mapped(200, NestingType.NESTED)
    [priced] = cost_of(report, PRICES).changes
    assert priced.change.operations == -200
    assert priced.cost == pytest.approx(-200 * 8 / 1e6, rel=0.01)


def test_a_change_that_hardly_matters_is_not_told() -> None:
    assert nesting_changes(mapped(2, NestingType.NESTED, steps=20)) == ()
    assert nesting_changes(mapped(100, NestingType.NESTED, steps=12))


def test_maps_of_one_name_are_told_together() -> None:
    async def inner(inside: DurableContext, *rest: Any) -> None:
        await inside.step(lambda step: None, "s")

    async def outer(inside: DurableContext, *rest: Any) -> None:
        await inside.map([1, 2, 3], inner, "books")

    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.map([1, 2, 3, 4, 5], outer, "shelves")

    simulated: Callable[..., Any] = simulate
    report = explain(history_of_events("h", simulated(handler, None).events))
    books, shelves = nesting_changes(report)
    assert (books.row.name, books.count, books.operations) == ("books", 5, -15)
    assert (shelves.row.name, shelves.count, shelves.operations) == ("shelves", 1, -5)


def test_of_a_state_no_change_is_told() -> None:
    assert nesting_changes(report_of("operations_state")) == ()
