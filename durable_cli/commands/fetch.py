"""`durable fetch ARN...`: complete histories from AWS, in files that replay."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from durable_cli.options import A_DAY, EndpointUrl, Profile, Region
from durable_cli.output import Color, Output
from durable_core.frozen import dataclass

if TYPE_CHECKING:
    from durable_cli.exits import Exit
    from durable_cli.fetch_target import Target
    from durable_cli.progress import Progress, Tally
    from durable_core.adapters.downloads import Follower
    from durable_core.adapters.lambda_api import ExecutionQuery, LambdaApi
    from durable_core.execution_document import ExecutionDocument


class FetchFormat(StrEnum):
    """How a list is written."""

    TABLE = "table"
    JSON = "json"


def command(
    arns: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ARN]...", help="Executions to download.", show_default=False),
    ] = None,
    function_name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Take the executions of this function (name or ARN)."),
    ] = None,
    qualifier: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only those of this version or alias.")
    ] = None,
    durable_execution_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only the one with this name.")
    ] = None,
    statuses: Annotated[
        list[str] | None,
        typer.Option(metavar="STATUS", help="Only those in these statuses: RUNNING,FAILED."),
    ] = None,
    started_after: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Only those that started after a date, a time, or so long ago: 2h, 7d.",
        ),
    ] = None,
    started_before: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Only those that started before a date, a time, or so long ago."
        ),
    ] = None,
    latest: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the N that started last.")
    ] = None,
    reverse_order: Annotated[
        bool, typer.Option("--reverse-order", help="Take those that started last first.")
    ] = False,
    list_only: Annotated[
        bool, typer.Option("--list", help="List the executions, and download none.")
    ] = False,
    format: Annotated[
        FetchFormat, typer.Option("--format", help="Format of the list.")
    ] = FetchFormat.TABLE,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the history (or, with --list, the list) to this file.",
        ),
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write a file for each execution to this folder."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
    include_execution_data: Annotated[
        bool, typer.Option(help="Download payloads too; without them no handler can be verified.")
    ] = True,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", help="Show the events of a running execution as they come, until it ends."
        ),
    ] = False,
    interval: Annotated[
        float,
        typer.Option(
            min=0.1,
            max=A_DAY,
            metavar="SECONDS",
            help="How long --follow waits before it asks again.",
        ),
    ] = 2.0,
    with_children: Annotated[
        bool, typer.Option("--with-children", help="Download also the executions that it invoked.")
    ] = False,
    depth: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="How many levels of them --with-children follows."),
    ] = 10,
    redact: Annotated[
        bool,
        typer.Option(
            "--redact",
            help="Replace payloads, errors and ids by stand-ins of the same size and shape.",
        ),
    ] = False,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH", help="What --redact keeps: charge.order.id, charge, *..id (repeatable)."
        ),
    ] = None,
    max_rate: Annotated[
        float,
        typer.Option(
            min=0.01, max=1_000_000, metavar="N", help="Most requests a second, over all downloads."
        ),
    ] = 10.0,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1,
            max=A_DAY,
            metavar="SECONDS",
            help="How long to wait for an answer to a request.",
        ),
    ] = 60.0,
    profile: Profile = None,
    region: Region = None,
    endpoint_url: EndpointUrl = None,
    color: Annotated[Color, typer.Option(help="When to use colours.")] = Color.AUTO,
    width: Annotated[
        int | None,
        typer.Option(
            min=40,
            max=1000,
            metavar="N",
            help="Width of the list in columns (default: the terminal's).",
        ),
    ] = None,
) -> int:
    """Download complete histories of executions from AWS into files that replay.

    Only reads: nothing is ever started, stopped, signalled or checkpointed.
    """
    from durable_cli.fetch_target import Target
    from durable_cli.progress import Progress
    from durable_core.adapters.connection import Connection
    from durable_core.adapters.lambda_api import LambdaApi
    from durable_core.redaction.keep_paths import parse_keep_path

    connection = Connection(profile, region, endpoint_url, max_rate, timeout)
    asked = FetchRequest(tuple(dict.fromkeys(arns or ())), latest, list_only, follow, with_children)
    query = _query(
        function_name,
        qualifier,
        durable_execution_name,
        _split(statuses),
        (started_after, started_before),
        reverse_order or latest is not None,
    )
    keeps = tuple(parse_keep_path(each) for each in keep or ())
    target = Target(output, output_dir, force, redact, keeps)
    _check(asked, query, target, connection.endpoint)
    api = LambdaApi(connection)
    if list_only and query is not None:
        return _list(api, query, latest, format, Output(output, color, width, force))
    with Progress() as progress:
        found = _found(api, asked, query, progress)
        if not found:
            return _nothing_found(query)
        if follow:
            _check_one(found)
        target.expect(len(found), with_children=with_children)
        if follow:
            return _follow(api, found[0], include_execution_data, interval, target, progress)
        levels = depth if with_children else 0
        return _fetch(api, found, include_execution_data, levels, target, progress)


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """What the command line asks for, as far as parts of it exclude each other."""

    arns: tuple[str, ...]
    latest: int | None
    list_only: bool
    follow: bool
    with_children: bool


def _query(
    function_name: str | None,
    qualifier: str | None,
    name: str | None,
    statuses: list[str],
    started: tuple[str | None, str | None],
    newest_first: bool,
) -> ExecutionQuery | None:
    """Return what to list, or None when no function is named. Raises UsageError."""
    from datetime import UTC, datetime

    from durable_core.adapters.lambda_api import ExecutionQuery
    from durable_core.times import parse_time

    if function_name is None:
        return None
    now = datetime.now(UTC)
    after, before = (None if text is None else parse_time(text, now) for text in started)
    return ExecutionQuery(
        function_name, qualifier, name, tuple(statuses), after, before, newest_first
    )


def _split(statuses: list[str] | None) -> list[str]:
    """Return the statuses that were asked for, in the service's spelling. Raises UsageError."""
    from durable_core.errors import UsageError
    from durable_core.model import ExecutionStatus

    found = [word.strip().upper() for text in statuses or () for word in text.split(",")]
    for word in found:
        if word not in ExecutionStatus.__members__:
            known = ", ".join(ExecutionStatus)
            raise UsageError(f"--statuses {word}: expected one of {known}")
    return found


def _check(
    asked: FetchRequest, query: ExecutionQuery | None, target: Target, endpoint: str
) -> None:
    """Raise UsageError for what can't be, before anything is sent."""
    from durable_core.adapters.sources import is_execution
    from durable_core.arns import EXPECTED
    from durable_core.errors import UsageError

    if bool(asked.arns) == (query is not None):
        raise UsageError("expected either ARNs of executions or --function-name")
    for arn in asked.arns:
        if not is_execution(arn, endpoint):
            problem = "not the ARN of a durable execution"
            raise UsageError(f"{arn}: {problem}: expected {EXPECTED}")
    if asked.follow and (asked.with_children or len(asked.arns) > 1):
        raise UsageError("--follow follows one execution, without --with-children")
    target.check()


def _list(
    api: LambdaApi, query: ExecutionQuery, latest: int | None, format: FetchFormat, output: Output
) -> Exit:
    from durable_cli.escapes import json_text
    from durable_cli.exits import Exit
    from durable_cli.render_fetch import executions_document, executions_table
    from durable_core.adapters.downloads import executions

    found = list(executions(api, query, latest))
    if format is FetchFormat.JSON:
        output.write(json_text(executions_document(query.function_name, found)))
    else:
        output.write(executions_table(query.function_name, found, output.surface()))
    return Exit.FINE


def _found(
    api: LambdaApi, asked: FetchRequest, query: ExecutionQuery | None, progress: Progress
) -> list[str]:
    from durable_core.adapters.downloads import executions

    if query is None:
        return list(asked.arns)
    found: list[str] = []
    for item in executions(api, query, asked.latest):
        found.append(str(item.get("DurableExecutionArn")))
        progress.show(f"executions found: {len(found):,}")
    return found


def _check_one(found: list[str]) -> None:
    from durable_core.errors import UsageError

    if len(found) > 1:
        what = f"--follow follows one execution, there are {len(found):,}"
        raise UsageError(f"{what}: --latest 1 takes the newest")


def _nothing_found(query: ExecutionQuery | None) -> Exit:
    from durable_cli.exits import Exit
    from durable_cli.output import message

    message(f"{query.function_name if query else 'nothing'}: no such executions, nothing written")
    return Exit.BAD_INPUT


# -- many executions -----------------------------------------------------------------------------


def _fetch(
    api: LambdaApi, arns: list[str], include_data: bool, depth: int, target: Target, show: Progress
) -> Exit:
    """Download the executions and write each as soon as it is complete."""
    from durable_cli.exits import Exit, code_of, worst
    from durable_cli.progress import Tally
    from durable_core.adapters.downloads import download, download_all
    from durable_core.defects import defects_at
    from durable_core.errors import DurableError

    tally = Tally(len(arns), show)

    def read(arn: str) -> ExecutionDocument:
        return download(api, arn, include_data=include_data, heard=tally.heard)

    codes: list[Exit] = []
    wanted = list(_not_there_yet(arns, target, tally, codes))
    try:
        for outcome in download_all(read, wanted, depth=depth):
            error: DurableError | None = None
            tally.more(outcome.children)
            try:
                with defects_at(outcome.arn):
                    target.write(outcome.read(), outcome.root)
            except DurableError as problem:
                error = problem
            codes.append(Exit.FINE if error is None else code_of(error))
            tally.done(outcome.arn, error)
    finally:
        tally.say(str(target.folder) if target.folder else target.output)
        _say_kept(target)
    return worst(codes)


def _not_there_yet(
    arns: list[str], target: Target, tally: Tally, codes: list[Exit]
) -> Iterator[str]:
    """Yield the executions whose files would not overwrite others."""
    from durable_cli.exits import code_of
    from durable_core.errors import DurableError

    for arn in arns:
        try:
            target.refuse(arn)
        except DurableError as error:
            codes.append(code_of(error))
            tally.done(arn, error)
        else:
            yield arn


# -- one that runs -------------------------------------------------------------------------------


def _follow(
    api: LambdaApi,
    arn: str,
    include_data: bool,
    interval: float,
    target: Target,
    progress: Progress,
) -> Exit:
    """Show the events of an execution until it ends; whatever was read is written."""
    from durable_cli.exits import Exit, code_of
    from durable_cli.output import message
    from durable_core.adapters.downloads import Follower
    from durable_core.defects import defects_at
    from durable_core.errors import DurableError

    target.refuse(arn)
    follower = Follower(api, arn, include_data=include_data)
    code = Exit.FINE
    try:
        with defects_at(arn):
            _watch(follower, interval, progress)
            document = follower.complete()
    except KeyboardInterrupt:
        document, code = follower.so_far(), Exit.INTERRUPTED
    except DurableError as error:
        progress.clear()
        message(str(error))
        document, code = follower.so_far(), code_of(error)
    progress.clear()
    if not document.events:
        return code
    place = target.write(document, arn)
    where = f", written to {place}" if place else ""
    message(f"{document.status}, {len(document.events):,} events{where}")
    _say_kept(target)
    return code


def _say_kept(target: Target) -> None:
    from durable_cli.output import message

    if said := target.names_kept():
        message(said)


def _watch(follower: Follower, interval: float, progress: Progress) -> None:
    import time

    from durable_cli.output import error_line
    from durable_cli.render_fetch import event_line

    count = 0
    while True:
        for event in follower.poll():
            progress.clear()
            error_line(event_line(event))
            count += 1
        if not follower.is_running:
            return
        until = time.monotonic() + interval
        while (left := until - time.monotonic()) > 0:
            progress.show(f"{follower.status}, {count:,} events, asking again in {left:.0f} s")
            time.sleep(min(left, 1.0))
