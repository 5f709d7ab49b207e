"""The values that options take. Light: every call of `durable` imports it."""

from __future__ import annotations

import re
from enum import StrEnum
from math import isnan
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from typer import Context


class Only(StrEnum):
    """Which operations and units to show; their ancestors stay, so that one sees where they are."""

    STRIPPED = "stripped"
    RE_EXECUTED = "re-executed"
    SKIPPED = "skipped"
    PENDING = "pending"
    FAILED = "failed"
    LARGE = "large"


A_DAY: Final = 86_400
"""The longest time, in seconds, that a call can be told to wait for something."""

Profile = Annotated[
    str | None, typer.Option("--profile", metavar="NAME", help="AWS profile, as for AWS CLI.")
]
Region = Annotated[
    str | None,
    typer.Option("--region", metavar="NAME", help="AWS region (default: the one in the ARN)."),
]
EndpointUrl = Annotated[
    str | None,
    typer.Option(
        "--endpoint-url", metavar="URL", help="Where Lambda answers, such as a local runner."
    ),
]
PriceFile = Annotated[
    str | None,
    typer.Option(
        "--prices",
        metavar="FILE.toml",
        help="Show what an execution costs, by a file of prices or by those of 'default'.",
    ),
]


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


_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,6})?) ?([KMGT]?)(?:i?B)?", re.IGNORECASE | re.ASCII)
_POWERS: Final = ("", "K", "M", "G", "T")


def parse_size(text: str, option: str) -> int:
    """Return the bytes that a size says: 2G, 512M, 1.5GiB, 1000000. Raises UsageError."""
    from durable_core.errors import UsageError

    found = _SIZE.fullmatch(text.strip())
    size = float(found[1]) * 1024 ** _POWERS.index(found[2].upper()) if found else 0
    if size < 1:
        raise UsageError(f"{option} {text}: expected a number of bytes such as 1000000, 512M or 2G")
    return int(size)
