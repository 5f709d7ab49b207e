"""`durable simulate --handler module:fn`: a handler run to its end through simulated invokes."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from durable_cli.options import A_DAY, PriceFile
from durable_cli.output import Color

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_cli.output import Output
    from durable_cli.simulation_runs import SimulationRuns
    from durable_core.explaining.costs import Cost
    from durable_core.explaining.report import Report
    from durable_core.simulation.report import SimulationReport


class SimulationFormat(StrEnum):
    """How the report is written."""

    TABLE = "table"
    JSON = "json"


class RuntimeChoice(StrEnum):
    """Which runtime runs the handler."""

    NATIVE = "native"
    AWS_SDK = "aws-sdk"


class InvocationType(StrEnum):
    """How the execution is started, as `aws lambda invoke` spells it."""

    REQUEST_RESPONSE = "RequestResponse"
    EVENT = "Event"


class CrashChoice(StrEnum):
    """The members of `CrashMode` in `simulation.crash_runs`, which starting up doesn't import."""

    EVERY_CHECKPOINT = "every-checkpoint"
    LOST_RESPONSE = "lost-response"
    THROTTLE = "throttle"


def command(
    handler: Annotated[
        str,
        typer.Option(
            metavar="MODULE:FN", help="Handler to run: module:fn, module.fn or file.py:fn."
        ),
    ],
    event: Annotated[
        str | None,
        typer.Option(
            "--event",
            "-e",
            metavar="FILE",
            help="Event: a JSON file, - for stdin, or the JSON itself (default: null).",
        ),
    ] = None,
    scenario: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.toml",
            help="What happens outside: answers to callbacks and invokes, crashes, pauses.",
        ),
    ] = None,
    record: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write the history there, and beside it those of executions that it invoked.",
        ),
    ] = None,
    record_updates: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Write the checkpoint requests there, for inspect-batch."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files where they exist.")
    ] = False,
    crash: Annotated[
        CrashChoice | None,
        typer.Option(
            help="Run the handler again for each checkpoint, with this going wrong there."
        ),
    ] = None,
    save_failing: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.toml",
            help="Write the scenario of the smallest crash that makes a difference (with --crash).",
        ),
    ] = None,
    check_determinism: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Run the handler N more times: with other times, random values, ids and hashes.",
        ),
    ] = None,
    check_races: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Run the handler in N other orders of its threads or tasks."
        ),
    ] = None,
    interleaving: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Run the handler in the order in which --check-races found something.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of retry delays and ids (default: the scenario's, else 0)."),
    ] = None,
    runtime: Annotated[
        RuntimeChoice | None,
        typer.Option(help="Runtime of the handler (default: found out by its decorator)."),
    ] = None,
    isolate: Annotated[
        bool,
        typer.Option(
            "--isolate", help="Give each invocation a process of its own, as a cold start."
        ),
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=A_DAY,
            metavar="SECONDS",
            help="End an invocation that takes longer than this in real time.",
        ),
    ] = None,
    max_invocations: Annotated[
        int, typer.Option(min=1, metavar="N", help="Stop after so many invocations.")
    ] = 1_000,
    execution_timeout: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=31_622_400,
            metavar="SECONDS",
            help="Timeout of the execution, in virtual time (default: none).",
        ),
    ] = None,
    invocation_type: Annotated[
        InvocationType,
        typer.Option(
            help="How the execution is started: input and result have 6 MB, for Event 1 MB."
        ),
    ] = InvocationType.REQUEST_RESPONSE,
    real_durations: Annotated[
        bool,
        typer.Option(
            "--real-durations", help="Add to virtual time the real time that bodies of steps take."
        ),
    ] = False,
    limits: Annotated[
        str | None, typer.Option(metavar="FILE.toml", help="Limits that differ from the service's.")
    ] = None,
    prices: PriceFile = None,
    handler_output: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write there what the handler prints and logs (default: prints to stderr).",
        ),
    ] = None,
    expand: Annotated[
        bool,
        typer.Option(
            "--expand", help="Show each invocation and unit by itself, also where many are alike."
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show what the handler logs, and its tracebacks.")
    ] = False,
    format: Annotated[
        SimulationFormat, typer.Option("--format", help="Format of the report.")
    ] = SimulationFormat.TABLE,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the report to this file."),
    ] = None,
    color: Annotated[Color, typer.Option(help="When to use colours.")] = Color.AUTO,
    width: Annotated[
        int | None,
        typer.Option(
            min=40, max=1000, metavar="N", help="Width in columns (default: the terminal's)."
        ),
    ] = None,
) -> int:
    """Run a handler to its end through simulated invokes, and show what each invoke did.

    Exits with 1 when the execution doesn't succeed or a check finds something, with 3 when it waits
    for an answer that the scenario doesn't give.
    """
    from durable_cli.ctrl_c import finishing
    from durable_cli.exits import Exit, code_of, code_of_simulation, worst
    from durable_cli.output import Output, message
    from durable_cli.recorded_files import RecordedFiles
    from durable_cli.simulation_runs import Checks, HandlerOutput, run_all
    from durable_cli.whole_file import Spared
    from durable_core.adapters.simulation_files import read_event, read_limits, read_scenario_file
    from durable_core.limits import LIMITS
    from durable_core.processes.runners import SimulationRequest
    from durable_core.runtimes.handler import HandlerKind
    from durable_core.simulation.crash_runs import CrashMode
    from durable_core.simulation.report import report_of
    from durable_core.simulation.scenario import Scenario

    priced = _pricing(prices, compute_is_known=real_durations)
    request = SimulationRequest(
        handler,
        event=None if event is None else read_event(event),
        scenario=read_scenario_file(scenario) if scenario else Scenario(),
        seed=seed,
        interleaving=interleaving,
        runtime=HandlerKind(runtime.value) if runtime else None,
        isolate=isolate,
        timeout=timeout,
        real_durations=real_durations,
        limits=read_limits(limits) if limits else LIMITS,
        max_invocations=max_invocations,
        execution_timeout=execution_timeout,
        asynchronous=invocation_type is InvocationType.EVENT,
    )
    files = RecordedFiles(record, record_updates, save_failing, force)
    inputs = {
        "--event": event,
        "--scenario": scenario,
        "--limits": limits,
        "--prices": None if prices == "default" else prices,
    }
    spared = Spared(inputs, handler=handler)
    files.check(spared, {"--handler-output": handler_output, "--output": output})
    mode = CrashMode(crash.value) if crash else None
    to = Output(path=output, color=color, width=width, force=force)

    def shown(runs: SimulationRuns) -> int:
        with finishing() as interrupts:
            problems = files.write(request.scenario, runs, spared)
            problems += [runs.unwritten_output] if runs.unwritten_output else []
            for each in problems:
                message(str(each))
            report = report_of(runs.simulation)
            cost = priced(report.explained) if priced is not None else None
            to.write(_rendered(runs, report, cost, format, to, expand=expand))
        code = code_of_simulation(report, runs.crashes, runs.determinism, runs.races)
        ended = [Exit.INTERRUPTED] if runs.interrupted or interrupts else []
        return worst([code, *ended, *map(code_of, problems)])

    return shown(
        run_all(
            request,
            Checks(mode, check_determinism, check_races),
            HandlerOutput(handler_output, force, verbose),
            give_up=shown,
        )
    )


def _pricing(prices: str | None, *, compute_is_known: bool) -> Callable[[Report], Cost] | None:
    """Return what works out the cost of a report; None without prices."""
    if prices is None:
        return None
    from functools import partial

    from durable_core.adapters.price_file import read_prices
    from durable_core.explaining.costs import cost_of

    return partial(cost_of, prices=read_prices(prices), compute_is_known=compute_is_known)


def _rendered(
    runs: SimulationRuns,
    report: SimulationReport,
    cost: Cost | None,
    format: SimulationFormat,
    to: Output,
    *,
    expand: bool,
) -> str:
    from durable_cli.escapes import json_text

    if format is SimulationFormat.JSON:
        from durable_cli.render_simulation_json import as_document

        return json_text(as_document(runs, report, cost))
    from durable_cli.render_simulation import render

    surface = to.surface()
    shown: list[str] = []
    if cost is not None:
        from durable_cli.render_cost import cost_lines

        shown = cost_lines(cost, surface)
    return render(runs, report, surface, expand=expand, cost=shown)
