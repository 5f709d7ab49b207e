"""The values that options take. Light: every call of `durable` imports it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import typer


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
