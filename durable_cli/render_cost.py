"""What executions cost, as text and as Markdown."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from durable_cli.escapes import clean, markdown_text
from durable_cli.figures import percent_text, plural, size_text
from durable_cli.output import Surface, fit, pad, wrap
from durable_cli.render_text import KEY_WIDTH, pair
from durable_cli.text import label
from durable_core.explaining.costs import (
    MILLION,
    Cost,
    CostKey,
    CostPart,
    NestingChange,
    PricedChange,
    Prices,
    nesting_changes,
)

if TYPE_CHECKING:
    from durable_core.explaining.costs import Cost
    from durable_core.explaining.report import Report
from durable_core.explaining.costs import Cost

_PARTS: Final = {
    CostKey.OPERATIONS: "operations",
    CostKey.DATA_WRITTEN: "data written",
    CostKey.DATA_RETAINED: "data retained",
    CostKey.COMPUTE: "compute",
    CostKey.REQUESTS: "requests",
}
_MOST_CHANGES: Final = 5
_NARROWEST: Final = 20  # columns beside the figures


# -- figures -------------------------------------------------------------------------------------


def amount_text(amount: float) -> str:
    """Return an amount of money: with two decimals, or below 0.1 with three digits."""
    if amount == 0 or abs(amount) >= 0.1:
        return f"{amount:,.2f}"
    digits = 2 - Decimal(amount).adjusted()
    return f"{amount:.{min(digits, 15)}f}"


def price_text(amount: float) -> str:
    """Return a price in full."""
    text = format(Decimal(repr(amount)), ",f")
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.ljust(2, '0')}"


Escape = Callable[[str], str]
"""Makes text that isn't ours safe where it is shown. Figures are ours: they stay as they are."""


def _head(cost: Cost, escape: Escape) -> str:
    currency = escape(cost.prices.currency)
    least = "at least " if cost.at_least else ""
    total = f"{least}{currency} {amount_text(cost.total)}"
    million = f"{currency} {amount_text(cost.per_million)} for a million like"
    if cost.executions > 1:
        return f"{total} for {cost.executions:,} executions, {million} them"
    so_far = " so far" if cost.is_running else ""
    return f"{total} for this execution{so_far}, {million} it"


def _share(part: CostPart, cost: Cost) -> str:
    return percent_text(part.cost / cost.total) if part.cost and cost.total else ""


def _of_a_million(part: CostPart, cost: Cost) -> str:
    if part.cost is None:
        return "?"
    amount = part.cost / cost.executions * MILLION
    return "<0.01" if 0 < amount < 0.005 else f"{amount:,.2f}"


def _basis(part: CostPart, escape: Escape) -> str:
    return f"{escape(part.basis)}, at {price_text(part.price.amount)} a {part.unit}"


def _prices_text(prices: Prices) -> str:
    where = ", ".join(
        clean(text)
        for text in (
            f"as of {prices.as_of}" if prices.as_of else "of no date that it says",
            prices.region,
        )
        if text
    )
    name = "the default ones" if prices.name == "default" else clean(prices.name)
    settings = f"{prices.memory_mb:,} MB and {prices.retention_days} days of retention"
    return f"{name}, {where}, for {settings}: check them; no free tier, no discounts"


def _change_text(priced: PricedChange, cost: Cost, escape: Escape) -> str:
    change, money = priced.change, priced.cost * MILLION
    more = f" and {change.count - 1:,} more" if change.count > 1 else ""
    word, verb = ("more", "more") if change.operations > 0 else ("fewer", "less")
    size = ""
    if change.bytes:
        most = "up to " if change.operations > 0 else ""
        size = f" and {most}{size_text(abs(change.bytes))}"
    elif change.bytes is None:
        size = " and a copy of each unit's result"
    return (
        f"{escape(f'{label(change.row)} ({change.row.position}{more})')}: "
        f"{plural(abs(change.operations), 'operation')}{size} {word}, "
        f"{escape(cost.prices.currency)} {amount_text(abs(money))} {verb} for a million"
    )


# -- text ----------------------------------------------------------------------------------------


def cost_lines(cost: Cost, surface: Surface) -> list[str]:
    """Return the block of a report that says what an execution, or several, cost."""
    out = pair("cost", [(_head(cost, clean), "title")], surface)
    width = max(len(_of_a_million(part, cost)) for part in cost.parts)
    for part in cost.parts:
        out += _part_lines(part, cost, width, surface)
    for priced in cost.changes[:_MOST_CHANGES]:
        key = f"as {priced.change.instead.value}"
        style = "info" if priced.cost < 0 else "dim"
        out += pair(key, [(_change_text(priced, cost, clean), style)], surface)
    if more := len(cost.changes) - _MOST_CHANGES:
        out += pair("", [(f"and {more:,} more", "dim")], surface) if more > 0 else []
    out += pair("prices", [(_prices_text(cost.prices), "dim")], surface)
    for note in cost.notes:
        out += pair("", [(note, "dim")], surface)
    return out


def _part_lines(part: CostPart, cost: Cost, width: int, surface: Surface) -> list[str]:
    """Return what one part costs a million executions, and beside or below it why."""
    figures = f"{_PARTS[part.key]:14} {pad(_of_a_million(part, cost), width, right=True)} "
    figures += pad(_share(part, cost), 6, right=True)
    margin = KEY_WIDTH + len(figures) + 2
    is_narrow = surface.width - margin < _NARROWEST
    if is_narrow:
        margin = KEY_WIDTH + 2
        figures = fit(figures, surface.width - KEY_WIDTH, surface.unicode)
    first, *rest = wrap(_basis(part, clean), surface.width - margin)
    lines = [figures, first, *rest] if is_narrow else [f"{figures}  {first}", *rest]
    margins = [KEY_WIDTH] + [margin] * (len(lines) - 1)
    return [
        surface.line([(" " * indent + line, "")])
        for indent, line in zip(margins, lines, strict=True)
    ]


# -- Markdown ------------------------------------------------------------------------------------


def cost_markdown(cost: Cost) -> list[str]:
    """Return the lines of the cost as a table, with what must be known of it below."""
    out = [
        "",
        f"**Cost**: {_head(cost, markdown_text)}.",
        "",
        f"| part | {markdown_text(cost.prices.currency)} a million | share | of |",
        "|---|--:|--:|---|",
    ]
    for part in cost.parts:
        amount, share = markdown_text(_of_a_million(part, cost)), markdown_text(_share(part, cost))
        out.append(f"| {_PARTS[part.key]} | {amount} | {share} | {_basis(part, markdown_text)} |")
    out.append("")
    for priced in cost.changes[:_MOST_CHANGES]:
        instead = priced.change.instead.value
        out.append(f"- As {instead}: {_change_text(priced, cost, markdown_text)}")
    out.append(f"- Prices: {markdown_text(_prices_text(cost.prices))}")
    return out + [f"- {markdown_text(note)}" for note in cost.notes]


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
