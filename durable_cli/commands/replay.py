"""`durable replay SOURCE...`: what a replay does with every operation and unit, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Annotated

import typer

from durable_cli.options import A_DAY, EndpointUrl, Only, PriceFile, Profile, Region
from durable_cli.output import Color, Output, join_lines

if TYPE_CHECKING:
    from durable_cli.held_text import Text
    from durable_cli.outline import OutlineLine
    from durable_cli.output import Surface
    from durable_core.errors import DurableError
    from durable_core.explaining.costs import Cost
    from durable_core.explaining.report import Report, Row
    from durable_core.history import RecordedHistory

    Explained = Report | tuple[str, DurableError]


class ReplayFormat(StrEnum):
    """How the report is written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    MARKDOWN = "markdown"
    JUNIT = "junit"
    GITHUB = "github"


class Guarding(StrEnum):
    """The members of `durable_core.sandbox.guard_mode.GuardMode`, which starting up doesn't
    import, and what refuses to go on where the operating system can't hold what is refused."""

    ENFORCE = "enforce"
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
        typer.Option(
            metavar="MODULE:FN",
            help="Handler to verify against the histories: module:fn, module.fn or file.py:fn.",
        ),
    ] = None,
    shallow: Annotated[
        bool,
        typer.Option(
            "--shallow",
            help="Verify only what the service runs again, not bodies of completed contexts.",
        ),
    ] = False,
    every_invocation: Annotated[
        bool,
        typer.Option(
            "--every-invocation",
            help="Verify also as each recorded invocation left the execution.",
        ),
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Exit with 1 for differences too, such as another result or wait duration.",
        ),
    ] = False,
    runs: Annotated[
        int,
        typer.Option(
            min=1,
            max=10,
            metavar="N",
            help="How often to run the handler: with other times, random values, ids and hashes.",
        ),
    ] = 2,
    guard: Annotated[
        Guarding,
        typer.Option(
            help="Refuse, tell or allow connections, processes and file changes outside of steps; "
            "enforce: only where the operating system can hold it."
        ),
    ] = Guarding.BLOCK,
    allow_import: Annotated[
        bool,
        typer.Option(
            "--allow-import",
            help="Let the handler's modules write, connect and start processes when imported.",
        ),
    ] = False,
    env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Hand the handler this variable, a secret that it isn't handed otherwise; also "
            "NAME=VALUE (repeatable).",
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1,
            max=A_DAY,
            metavar="SECONDS",
            help="How long one run of one history may take, in real time.",
        ),
    ] = 60.0,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="How many runs go on at once (default: the number of cores)."
        ),
    ] = None,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first history that isn't compatible.")
    ] = False,
    function: Annotated[
        str | None, typer.Option(metavar="NAME", help="Skip histories of other functions.")
    ] = None,
    format: Annotated[
        ReplayFormat,
        typer.Option("--format", help="Format of the report; junit and github need --handler."),
    ] = ReplayFormat.TABLE,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the report to this file."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite the file of --output where it exists.")
    ] = False,
    invocation: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Explain what the N-th invocation found when it began."
        ),
    ] = None,
    only: Annotated[
        Only | None,
        typer.Option(
            help="Show only such operations and units, and the contexts that they are in."
        ),
    ] = None,
    depth: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Show only so many levels of the tree.")
    ] = None,
    expand: Annotated[
        bool,
        typer.Option(
            "--expand", help="Show each unit on a line of its own, also where many are alike."
        ),
    ] = False,
    show_payloads: Annotated[
        bool, typer.Option("--show-payloads", help="Show stored results, which may hold secrets.")
    ] = False,
    prices: PriceFile = None,
    max_bytes: Annotated[
        str,
        typer.Option(
            "--max-bytes",
            metavar="SIZE",
            help="Most text of a source, unpacked: 512M, 2G. Reading takes 4 to 8 times as much.",
        ),
    ] = "2G",
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
    """Explain what a replay does with each operation and unit of recorded histories, and why.

    With --handler: run the handler against them, and say whether it still replays what they hold.
    """
    from durable_cli.exits import code_of, worst
    from durable_cli.options import parse_size
    from durable_cli.output import message
    from durable_cli.render_all import render_all
    from durable_cli.sources import all_sources, telling_what_is_empty
    from durable_cli.whole_file import Spared
    from durable_core.adapters.connection import Connection
    from durable_core.adapters.sources import Sources
    from durable_core.errors import DurableError
    from durable_core.garbage_collection import pausing_collection

    most = parse_size(max_bytes, "--max-bytes")
    sources_read = Sources(Connection(profile, region, endpoint_url), most)
    read = telling_what_is_empty(sources_read.history)
    target = Output(output, color, width, force)
    sources, lost = all_sources(sources)
    if output is not None:
        inputs = {"--prices": None if prices == "default" else prices}
        Spared(inputs, sources, handler).check({"--output": output}, force=force)
    if handler is not None:
        from durable_cli.verifying import verify_command
        from durable_core.processes.pool import cores
        from durable_core.processes.worker import Job
        from durable_core.sandbox.guard_mode import GuardMode
        from durable_core.sandbox.secret_variables import check_asked
        from durable_core.verifying.options import VerifyOptions

        asked = tuple(env or ())
        check_asked(asked)
        options = VerifyOptions(not shallow, every_invocation, strict)
        enforce = guard is Guarding.ENFORCE
        job = Job(
            spec=handler,
            options=options,
            guard=GuardMode.BLOCK if enforce else GuardMode(guard.value),
            runs=runs,
            timeout=timeout,
            jobs=jobs or cores(),
            function=function,
            allow_import=allow_import,
            enforce=enforce,
            env=asked,
            max_text_bytes=most,
        )
        return verify_command(job, sources, lost, read, format.value, target, fail_fast=fail_fast)
    pricing = _pricing(prices)
    found: list[Explained] = [(each.source, each) for each in lost]

    def rendered(results: Sequence[Explained]) -> Text:
        return _rendered(results, pricing, format, only, depth, expand or show_payloads, target)

    for each in lost:
        message(str(each))
    with pausing_collection():
        for source, report in _explained(sources, read, invocation, show_payloads):
            if isinstance(report, DurableError):
                message(str(report))
                found.append((source, report))
            else:
                found.append(report)
        results, text, defects = render_all(found, rendered, _source_of, lambda *unread: unread)
    if text:
        target.write(text)
    unread = [each[1] for each in results if isinstance(each, tuple)]
    return worst(map(code_of, (*unread, *defects)))


def _source_of(result: Explained) -> str:
    return result[0] if isinstance(result, tuple) else result.source


def _pricing(prices: str | None) -> Callable[[Report], Cost] | None:
    """Return what works out the cost of a report; None without prices."""
    if prices is None:
        return None
    from durable_core.adapters.price_file import read_prices
    from durable_core.explaining.costs import cost_of

    return partial(cost_of, prices=read_prices(prices))


def _explained(
    sources: list[str],
    read: Callable[[str], RecordedHistory],
    invocation: int | None,
    show_payloads: bool,
) -> Iterator[tuple[str, Report | DurableError]]:
    """Load and explain one source after another; a bad one doesn't stop the others."""
    from durable_core.adapters.documents import fitting_into_memory
    from durable_core.defects import defects_at
    from durable_core.errors import DurableError
    from durable_core.explaining.explain import explain

    for source in sources:
        try:
            with defects_at(source), fitting_into_memory(source):
                # Held by nobody else, so that its events go when they aren't needed any more.
                report = explain(read(source), invocation=invocation, show_payloads=show_payloads)
        except DurableError as error:
            yield source, error
        else:
            yield source, report


def _rendered(
    results: Sequence[Explained],
    pricing: Callable[[Report], Cost] | None,
    format: ReplayFormat,
    only: Only | None,
    depth: int | None,
    expand: bool,
    output: Output,
) -> Text:
    from durable_cli.outline import outline, select

    def rows(report: Report) -> tuple[Row, ...]:
        return select(report.rows, only, depth)

    reports = [each for each in results if not isinstance(each, tuple)]
    costs = [pricing(report) for report in reports] if pricing is not None else []
    together = _together(costs)
    if format in (ReplayFormat.JSON, ReplayFormat.JSONL):
        return _as_json(results, rows, costs, together, format)
    shown = [(report, outline(rows(report), expand=expand)) for report in reports]
    if format is ReplayFormat.MARKDOWN:
        return _as_markdown(shown, costs, together)
    return _as_text(shown, costs, together, len(results) - len(reports), output)


def _together(costs: list[Cost]) -> Cost | None:
    """Return what several histories cost together."""
    if len(costs) < 2:
        return None
    from durable_core.explaining.costs import cost_together

    return cost_together(costs)


def _as_text(
    shown: list[tuple[Report, list[OutlineLine]]],
    costs: list[Cost],
    together: Cost | None,
    unread: int,
    output: Output,
) -> str:
    from durable_cli.render_text import render, summary_line

    surface = output.surface()
    blocks: list[str] = []
    for (report, lines), cost in zip_longest(shown, costs):
        blocks.append(render(report, lines, surface, _cost_lines(cost, surface)))
    if len(shown) + unread > 1:
        blocks.append(summary_line([report for report, _ in shown], unread, surface))
    if together is not None:
        blocks[-1] += "\n" + join_lines(_cost_lines(together, surface))
    return "\n".join(blocks)


def _cost_lines(cost: Cost | None, surface: Surface) -> list[str]:
    if cost is None:
        return []
    from durable_cli.render_cost import cost_lines

    return cost_lines(cost, surface)


def _as_markdown(
    shown: list[tuple[Report, list[OutlineLine]]], costs: list[Cost], together: Cost | None
) -> str:
    from durable_cli.render_markdown import render

    if not costs:
        return "\n".join(render(report, lines) for report, lines in shown)
    from durable_cli.render_cost import cost_markdown

    blocks = [
        render(report, lines, cost_markdown(cost))
        for (report, lines), cost in zip(shown, costs, strict=True)
    ]
    if together is not None:
        blocks.append(join_lines(["### All of them", *cost_markdown(together)]))
    return "\n".join(blocks)


def _as_json(
    results: Sequence[Explained],
    rows: Callable[[Report], tuple[Row, ...]],
    costs: list[Cost],
    together: Cost | None,
    format: ReplayFormat,
) -> Text:
    from durable_cli.held_text import held_json, held_json_lines
    from durable_cli.render_json import (
        cost_line,
        history_object,
        replay_document,
        replay_line,
        unread_history,
    )

    left = iter(costs)
    histories = (
        unread_history(*each)
        if isinstance(each, tuple)
        else history_object(each, rows(each), next(left, None))
        for each in results
    )
    if format is ReplayFormat.JSON:
        return held_json(replay_document(histories, together))
    costs_together = [cost_line(together)] if together is not None else []
    return held_json_lines(chain(map(replay_line, histories), costs_together))
