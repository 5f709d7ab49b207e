"""`durable inspect-batch [SOURCE]`: the requests that a stream of checkpoint updates becomes."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from durable_cli.options import EndpointUrl, Profile, Region
from durable_cli.output import Color

if TYPE_CHECKING:
    from durable_cli.held_text import Text
    from durable_core.adapters.updates_file import UpdateStream
    from durable_core.batches.report import StreamOrigin, UpdateGroup
    from durable_core.sdks import SdkRules


class BatchFormat(StrEnum):
    """How the report is written."""

    TABLE = "table"
    JSON = "json"


class SdkName(StrEnum):
    """Whose rules: the keys of `durable_core.sdks.SDKS`, which starting up doesn't import."""

    DOTNET = "dotnet"
    JAVA = "java"
    JAVASCRIPT = "javascript"
    PYTHON = "python"


def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="[SOURCE]",
            help="Updates, requests or a history: a file, - for stdin, or an ARN.",
            show_default=False,
        ),
    ] = "-",
    sdk: Annotated[
        SdkName | None,
        typer.Option(
            help="SDK whose estimates and caps to use (default: told by the ids, else dotnet)."
        ),
    ] = None,
    max_bytes: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Most bytes of a request (default: the SDK's)."),
    ] = None,
    max_operations: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Most updates of a request (default: the SDK's)."),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Show every SDK's estimate beside the exact bytes.")
    ] = False,
    expand: Annotated[
        bool,
        typer.Option(
            "--expand", help="Show each request and finding by itself, also where many are alike."
        ),
    ] = False,
    format: Annotated[
        BatchFormat, typer.Option("--format", help="Format of the report.")
    ] = BatchFormat.TABLE,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the report to this file."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite the file of --output where it exists.")
    ] = False,
    profile: Profile = None,
    region: Region = None,
    endpoint_url: EndpointUrl = None,
    color: Annotated[Color, typer.Option(help="When to use colours.")] = Color.AUTO,
    width: Annotated[
        int | None,
        typer.Option(
            min=40, max=1000, metavar="N", help="Width in columns (default: the terminal's)."
        ),
    ] = None,
) -> int:
    """Show the requests that checkpoint updates become, and what in them would be rejected.

    Exits with 1 when an update would be rejected or would leave the handler hanging.
    """
    from durable_cli.exits import Exit
    from durable_cli.held_text import held_json
    from durable_cli.output import Output
    from durable_cli.render_batch import render
    from durable_cli.render_batch_json import as_document
    from durable_cli.whole_file import Spared
    from durable_core.adapters.connection import Connection
    from durable_core.adapters.documents import source_name
    from durable_core.adapters.sources import Sources
    from durable_core.batches.report import inspect
    from durable_core.defects import defects_at

    _refuse_terminal(source)
    Spared({}, [source]).check({"--output": output}, force=force)
    to = Output(path=output, color=color, width=width, force=force)
    with defects_at(source_name(source)):
        stream = Sources(Connection(profile, region, endpoint_url)).updates(source)
        groups, origin, notes = _groups(stream)
        rules, how = _rules(groups, sdk, max_bytes, max_operations)
        report = inspect(groups, origin, rules, compare=compare, notes=(*notes, *how))
        if format is BatchFormat.JSON:
            text: Text = held_json(as_document(stream.source, report))
        else:
            text = render(stream.source, report, to.surface(), expand=expand)
    to.write(text)
    return Exit.FINE if report.is_fine else Exit.FINDING


def _refuse_terminal(source: str) -> None:
    """Raise UsageError instead of waiting for a person to type updates."""
    import sys

    from durable_core.errors import UsageError

    if source == "-" and sys.stdin is not None and sys.stdin.isatty():
        raise UsageError("no updates: name a file, or pipe them into standard input")


def _groups(stream: UpdateStream) -> tuple[list[UpdateGroup], StreamOrigin, list[str]]:
    """Return the updates in the groups that their source records, and what to say of that."""
    from durable_core.batches.report import StreamOrigin, UpdateGroup
    from durable_core.sizes import CLIENT_TOKEN_LENGTH

    if stream.history is not None:
        return _groups_of_history(stream)
    if stream.requests is None:
        return [UpdateGroup(1, stream.updates)], StreamOrigin.UPDATES, []
    groups = [
        UpdateGroup(
            number,
            request.updates,
            len(request.checkpoint_token or ""),
            len(request.client_token) if request.client_token else CLIENT_TOKEN_LENGTH,
        )
        for number, request in enumerate(stream.requests, 1)
    ]
    return groups, StreamOrigin.REQUESTS, []


def _groups_of_history(stream: UpdateStream) -> tuple[list[UpdateGroup], StreamOrigin, list[str]]:
    from durable_core.batches.reconstruct import updates_of
    from durable_core.batches.report import StreamOrigin, UpdateGroup
    from durable_core.errors import SourceError

    history = stream.history
    assert history is not None
    if history.operations is not None:
        problem = "a state, which has no updates: expected updates, requests or history events"
        raise SourceError(stream.source, problem)
    found = updates_of(history.events)
    notes = list(history.warnings)
    if missing := sum(invocation.truncated for invocation in found):
        are = "payload is" if missing == 1 else "payloads are"
        notes.append(f"{missing:,} {are} truncated in the history: sizes are too small")
    return (
        [UpdateGroup(invocation.number, invocation.updates) for invocation in found],
        StreamOrigin.HISTORY,
        notes,
    )


def _rules(
    groups: list[UpdateGroup],
    name: SdkName | None,
    max_bytes: int | None,
    max_operations: int | None,
) -> tuple[SdkRules, list[str]]:
    """Return the rules to plan by, and how they were chosen where nobody asked for them."""
    from dataclasses import replace

    from durable_core.batches.report import written_by
    from durable_core.sdks import ALL_SDKS, SDKS, Sdk, sdks_of

    notes: list[str] = []
    if name is not None:
        rules = SDKS[Sdk(name.value)]
    elif scheme := written_by(update for group in groups for update in group.updates):
        sdks = sdks_of(scheme)
        known = [sdk for sdk in sdks if sdk in SDKS]
        rules = SDKS[known[0] if known else Sdk.DOTNET]
        others = [ALL_SDKS[sdk].title for sdk in sdks if sdk not in known[:1]]
        also = "'s are too" if known else "'s"
        unknown = "" if known else ", whose requests aren't known"
        notes.append(
            f"planned as {rules.title} does: the ids are {scheme.name} of the position"
            + (f" ({', '.join(others)}{also}{unknown}: see --sdk)" if others else "")
        )
    else:
        rules = SDKS[Sdk.DOTNET]
        notes.append("planned as .NET does: no id tells the SDK (see --sdk)")
    return (
        replace(
            rules,
            max_bytes=max_bytes or rules.max_bytes,
            max_operations=max_operations or rules.max_operations,
        ),
        notes,
    )
