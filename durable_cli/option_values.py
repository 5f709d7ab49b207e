"""Values that no option has a use for: empty texts, and numbers that aren't one.

An empty text is what a variable that isn't set leaves on a command line (`--scenario "$SCENARIO"`).
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typer import Context


def refuse_empty_values(context: Context) -> None:
    """Raise UsageError for the first option or argument whose value is empty or not a number."""
    from durable_core.errors import UsageError

    for each in context.command.params:
        name = each.opts[0] if each.param_type_name == "option" else _noun(each.metavar)
        value = context.params.get(each.name or "")
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(one, float) and isnan(one):
                raise UsageError(f"{name} is nan: expected a number")
            if one == "" or _is_empty_path(one):
                raise UsageError(f"{name} is empty: expected {_noun(each.metavar)}")


def _noun(metavar: str | None) -> str:
    """Return what a value is called in the help: `[ARN]...` is ARN."""
    return (metavar or "a value").strip("[].{}")


def _is_empty_path(value: object) -> bool:
    """Tell whether a path was given as an empty text, which pathlib takes for the current one."""
    from pathlib import PurePath

    return isinstance(value, PurePath) and not value.parts
