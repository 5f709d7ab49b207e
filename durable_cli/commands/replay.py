"""`durable replay SOURCE...`: what a replay does with every operation and unit, and why."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from durable_cli.output import Color


class Format(StrEnum):
    """How the report is written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    MARKDOWN = "markdown"


def command(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Histories: files, or - for stdin.")
    ],
    format: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.TABLE,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write there.")
    ] = None,
    color: Annotated[Color, typer.Option(help="When to colour.")] = Color.AUTO,
    width: Annotated[
        int | None, typer.Option(min=40, max=1000, help="Columns (default: the terminal's).")
    ] = None,
) -> int:
    """Explain what a replay does with each operation and unit of recorded histories."""
    raise NotImplementedError
