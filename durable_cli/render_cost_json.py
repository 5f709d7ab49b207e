"""What executions cost, and what another nesting would change, as JSON objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durable_core.explaining.nesting import NestingChange, nesting_changes

if TYPE_CHECKING:
    from durable_core.explaining.costs import Cost
    from durable_core.explaining.report import Report


def cost_object(cost: Cost) -> dict[str, Any]:
    """Return a cost as its JSON object."""
    prices = cost.prices
    return {
        "currency": prices.currency,
        "executions": cost.executions,
        "so_far": cost.is_running,
        "at_least": cost.at_least,
        "total": _money(cost.total),
        "per_million": _money(cost.per_million),
        "parts": [
            {
                "part": part.key.value,
                "count": part.count,
                "quantity": part.quantity,
                "unit": part.unit,
                "price": part.price.amount,
                "price_source": part.price.source,
                "cost": None if part.cost is None else _money(part.cost),
                "basis": part.basis,
            }
            for part in cost.parts
        ],
        "prices": {
            "name": prices.name,
            "as_of": prices.as_of,
            "region": prices.region,
            "memory_mb": prices.memory_mb,
            "architecture": prices.architecture.value,
            "retention_days": prices.retention_days,
        },
        "notes": list(cost.notes),
    }


def nesting_objects(report: Report, cost: Cost | None) -> list[dict[str, Any]]:
    """Return what the other nesting would change, with its money where there are prices."""
    if cost is not None:
        return [
            {**_change_object(each.change), "cost_per_million": _money(each.cost * 1_000_000)}
            for each in cost.changes
        ]
    return [_change_object(change) for change in nesting_changes(report)]


def _change_object(change: NestingChange) -> dict[str, Any]:
    row = change.row
    return {
        "position": row.position,
        "sub_type": row.sub_type,
        "name": row.name,
        "alike": change.count,
        "units": change.units,
        "recorded": change.recorded.value,
        "instead": change.instead.value,
        "metered_operations": change.operations,
        "metered_bytes": change.bytes,
    }


def _money(amount: float) -> float:
    """Return an amount without the noise of arithmetic."""
    return float(f"{amount:.12g}")
