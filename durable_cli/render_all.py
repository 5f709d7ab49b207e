"""A report of many sources in spite of one that can't be rendered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from durable_cli.held_text import Text
from durable_cli.output import message
from durable_core.defects import defect_at
from durable_core.errors import SourceDefect

Item = TypeVar("Item")


def render_all(
    items: Sequence[Item],
    render: Callable[[Sequence[Item]], Text],
    name_of: Callable[[Item], str],
    unrendered: Callable[[str, SourceDefect], Item],
) -> tuple[Sequence[Item], Text, Sequence[SourceDefect]]:
    """Return the items that the report is of, the report, and what went wrong with it as a whole.

    Where rendering raises, each item that does so by itself is told in a line and replaced by what
    `unrendered` makes of it. Where none does, the report is made once more: what went wrong may not
    come again, as when memory ran out. Costs nothing where nothing goes wrong.
    """
    try:
        return items, render(items), ()
    except Exception as error:
        left = [_checked(each, render, name_of(each), unrendered) for each in items]
        if any(after is not before for before, after in zip(items, left, strict=True)):
            return left, render(left), ()
        defect = defect_at("the report, which was made once more", error)
    text = render(items)
    message(str(defect))
    return items, text, (defect,)


def _checked(
    item: Item,
    render: Callable[[Sequence[Item]], Text],
    name: str,
    unrendered: Callable[[str, SourceDefect], Item],
) -> Item:
    try:
        render([item])
    except Exception as error:
        defect = defect_at(name, error)
        message(str(defect))
        return unrendered(name, defect)
    return item
