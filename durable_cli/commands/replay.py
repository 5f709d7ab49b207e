"""`durable replay SOURCE...`: what a replay does with every operation and unit, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from durable_cli.options import EndpointUrl, Only, Profile, Region
from durable_cli.output import Color, Output

if TYPE_CHECKING:
    from durable_core.errors import DurableError
    from durable_core.explaining.report import Report, Row
    from durable_core.history import RecordedHistory


class Format(StrEnum):
    """How the report is written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    MARKDOWN = "markdown"
    JUNIT = "junit"
    GITHUB = "github"


class Guarding(StrEnum):
    """The members of `durable_core.adapters.guard.GuardMode`, which starting up doesn't import."""

    BLOCK = "block"
    WARN = "warn"
    OFF = "off"


def command(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...", help="Histories: files, folders, patterns, - for stdin, or ARNs."
        ),
    ],
    handler: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FN", help="Verify this handler against the histories."),
    ] = None,
    shallow: Annotated[
        bool, typer.Option("--shallow", help="Don't look into completed contexts.")
    ] = False,
    every_invocation: Annotated[
        bool, typer.Option("--every-invocation", help="Verify as each invocation found it, too.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Take differences for divergences.")
    ] = False,
    runs: Annotated[
        int,
        typer.Option(
            min=1, max=10, metavar="N", help="Runs, each with other times, chance, hashes."
        ),
    ] = 2,
    guard: Annotated[
        Guarding, typer.Option(help="What becomes of what the handler does outside of steps.")
    ] = Guarding.BLOCK,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="For a run of one history.")
    ] = 60.0,
    jobs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Runs at once (default: cores).")
    ] = None,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first that isn't compatible.")
    ] = False,
    function: Annotated[
        str | None, typer.Option(metavar="NAME", help="Skip histories of other functions.")
    ] = None,
    format: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.TABLE,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there.")
    ] = None,
    invocation: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="The picture as the N-th invocation finds it."),
    ] = None,
    only: Annotated[
        Only | None, typer.Option(help="Show these only, and what they are in.")
    ] = None,
    depth: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Show N levels of the tree.")
    ] = None,
    expand: Annotated[
        bool, typer.Option("--expand", help="Show every unit: fold no neighbours into ranges.")
    ] = False,
    show_payloads: Annotated[
        bool, typer.Option("--show-payloads", help="Show stored results too (they may be secret).")
    ] = False,
    profile: Profile = None,
    region: Region = None,
    endpoint_url: EndpointUrl = None,
    color: Annotated[Color, typer.Option(help="When to colour.")] = Color.AUTO,
    width: Annotated[
        int | None, typer.Option(min=40, max=1000, help="Columns, instead of the terminal's.")
    ] = None,
) -> int:
    """Explain what a replay does with each operation and unit of recorded histories, and why.

    With --handler: run the handler against them, and say whether it still replays what they hold.
    """
    from durable_cli.exits import Exit, code_of, worst
    from durable_cli.output import message
    from durable_cli.sources import all_sources
    from durable_core.adapters.connection import Connection
    from durable_core.adapters.history_file import pausing_collection
    from durable_core.adapters.sources import Sources
    from durable_core.errors import DurableError

    read = Sources(Connection(profile, region, endpoint_url)).history
    target = Output(output, color, width)
    sources = all_sources(sources)
    target.spare(sources)
    if handler is not None:
        from durable_cli.verifying import verify_command
        from durable_core.adapters.guard import GuardMode
        from durable_core.adapters.verify_pool import cores
        from durable_core.adapters.verify_worker import Job
        from durable_core.verifying.replay import VerifyOptions

        options = VerifyOptions(not shallow, every_invocation, strict)
        job = Job(
            handler, options, GuardMode(guard.value), runs, timeout, jobs or cores(), function
        )
        return verify_command(job, sources, read, format.value, target, fail_fast=fail_fast)
    results: list[Report | tuple[str, DurableError]] = []
    with pausing_collection():
        for source, report in _explained(sources, read, invocation, show_payloads):
            if isinstance(report, DurableError):
                message(str(report))
                results.append((source, report))
            else:
                results.append(report)
        text = _rendered(results, format, only, depth, expand or show_payloads, target)
    if text:
        target.write(text)
    return worst(Exit.FINE if not isinstance(each, tuple) else code_of(each[1]) for each in results)


def _explained(
    sources: list[str],
    read: Callable[[str], RecordedHistory],
    invocation: int | None,
    show_payloads: bool,
) -> Iterator[tuple[str, Report | DurableError]]:
    """Load and explain one source after another; a bad one doesn't stop the others."""
    from durable_core.errors import DurableError
    from durable_core.explaining.explain import explain

    for source in sources:
        try:
            history = read(source)
            report = explain(history, invocation=invocation, show_payloads=show_payloads)
        except DurableError as error:
            yield source, error
        else:
            yield source, report


def _rendered(
    results: list[Report | tuple[str, DurableError]],
    format: Format,
    only: Only | None,
    depth: int | None,
    expand: bool,
    output: Output,
) -> str:
    from durable_cli.outline import outline, select

    def rows(report: Report) -> tuple[Row, ...]:
        return select(report.rows, only, depth)

    if format in (Format.JSON, Format.JSONL):
        return _as_json([_json_object(each, rows) for each in results], format)
    reports = [each for each in results if not isinstance(each, tuple)]
    lines = [(report, outline(rows(report), expand=expand)) for report in reports]
    if format is Format.MARKDOWN:
        from durable_cli import render_markdown

        return "\n".join(render_markdown.render(report, shown) for report, shown in lines)
    from durable_cli import render_text

    surface = output.surface()
    blocks = [render_text.render(report, shown, surface) for report, shown in lines]
    if len(results) > 1:
        blocks.append(render_text.summary_line(reports, len(results) - len(reports), surface))
    return "\n".join(blocks)


def _json_object(each: Any, rows: Any) -> dict[str, Any]:
    from durable_cli.render_json import history_object, unread_history

    if isinstance(each, tuple):
        return unread_history(*each)
    return history_object(each, rows(each))


def _as_json(histories: list[dict[str, Any]], format: Format) -> str:
    from durable_cli.output import json_text
    from durable_cli.render_json import replay_document, replay_line

    if format is Format.JSON:
        return json_text(replay_document(histories))
    return "\n".join(json_text(replay_line(each), indent=False) for each in histories)
