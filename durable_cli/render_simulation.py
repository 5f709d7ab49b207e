"""The report of `durable simulate` as text for a terminal or a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from durable_cli.escapes import clean
from durable_cli.figures import plural, size_text
from durable_cli.outline import outline
from durable_cli.output import Span, Surface, fit, join_lines
from durable_cli.render_text import STATUS_STYLES, limit_lines, pair, tree
from durable_cli.simulation_runs import SimulationRuns
from durable_cli.simulation_text import (
    VERBS,
    did_text,
    finding_texts,
    folded,
    sent_text,
    story_row,
    totals_text,
)
from durable_cli.text import pause_text
from durable_core.excerpts import excerpt
from durable_core.explaining.messages import duration_text
from durable_core.explaining.report import LimitUse
from durable_core.model import ErrorObject
from durable_core.sandbox.sources import Source
from durable_core.simulation.crash_runs import CrashReport, fault_text
from durable_core.simulation.determinism import DeterminismReport, RunDifference
from durable_core.simulation.outcome import InvocationEnd, Simulation, Stopped
from durable_core.simulation.races import RaceReport
from durable_core.simulation.report import ActivityNote, InvocationBlock, SimulationReport

_DID_STYLES: Final = {
    ActivityNote.STRIPPED: "title",
    ActivityNote.RE_EXECUTED: "key",
    ActivityNote.SKIPPED: "info",
    ActivityNote.RETURNED: "dim",
    ActivityNote.RAISED: "bad",
}
_END_STYLES: Final = {
    InvocationEnd.SUCCEEDED: "good",
    InvocationEnd.FAILED: "bad",
    InvocationEnd.CRASHED: "bad",
}
_MOST_SHOWN: Final = 20
_RUNTIMES: Final = {"native": "native", "aws-sdk": "AWS's SDK"}


def render(
    runs: SimulationRuns,
    report: SimulationReport,
    surface: Surface,
    *,
    expand: bool,
    cost: Sequence[str] = (),
) -> str:
    """Return the whole report, laid out for the surface.

    `cost` are the lines that say what it costs, if that is asked for.
    """
    out = [*_heading(runs, report, surface), ""]
    for first, last in folded(report.invocations, expand=expand):
        out += [*_block(first, last, report, surface), ""]
    rows = [story_row(story) for story in report.stories]
    if rows:
        lines = outline(rows, expand=expand, also=lambda row: row.why)
        out += [*tree(lines, surface, "WHAT HAPPENED, IN WHICH INVOCATIONS"), ""]
    out += [*_footer(report, surface), *cost]
    if runs.crashes is not None:
        out += _crashes(runs.crashes, surface)
    if runs.determinism is not None:
        out += _determinism(runs.determinism, surface)
    if runs.races is not None:
        out += _races(runs.races, surface)
    if runs.skipped is not None:
        out += pair("not checked", [(runs.skipped, "warn")], surface)
    out += _answers_wanted(report.simulation, surface)
    return join_lines(out)


def _heading(runs: SimulationRuns, report: SimulationReport, surface: Surface) -> list[str]:
    simulation = report.simulation
    status = simulation.status.value
    real = f"real time {duration_text(runs.real_seconds)}"
    virtual = f"virtual time {duration_text(simulation.virtual_seconds)}"
    crashed = report.totals.crashed_invocations
    invocations = plural(report.totals.invocations, "invocation")
    if crashed:
        invocations += f" ({crashed:,} crashed)"
    out = [surface.line([(fit(clean(runs.spec), surface.width, surface.unicode), "title")])]
    execution: list[Span] = [(status, STATUS_STYLES.get(status, "")), (_ending(simulation), "")]
    out += pair("execution", execution, surface)
    started = ", started asynchronously (Event)" if simulation.asynchronous else ""
    out += pair("runtime", [(_runtime(runs) + started, "")], surface)
    out += pair("time", [(f"{virtual}, {real}; {invocations}", "")], surface)
    for pause in report.explained.pauses:
        out += pair("paused", [(clean(pause_text(pause, report.explained)), "")], surface)
    number = simulation.interleaving
    seed = f"{simulation.seed}, interleaving {number:,}" if number else str(simulation.seed)
    return out + pair("seed", [(seed, "")], surface)


def _runtime(runs: SimulationRuns) -> str:
    version = f" {clean(runs.sdk_version)}" if runs.sdk_version else ""
    isolated = ", each invocation in a process of its own" if runs.isolated else ""
    return f"{_RUNTIMES.get(runs.runtime, runs.runtime)}{version}{isolated}"


def _ending(simulation: Simulation) -> str:
    if simulation.stopped is Stopped.WAITING:
        return "  waits for an answer that the scenario doesn't give"
    if simulation.stopped is Stopped.PAUSED:
        return "  stays paused: the scenario doesn't resume it (for_seconds of its [[pause]])"
    if simulation.stopped is Stopped.MAX_INVOCATIONS:
        return f"  stopped after {plural(len(simulation.invocations), 'invocation')}"
    if simulation.stopped is Stopped.INTERRUPTED:
        return f"  you ended the simulation in {_or_after(simulation)}"
    return ""


def _or_after(simulation: Simulation) -> str:
    last = simulation.invocations[-1] if simulation.invocations else None
    if last is None:
        return "its first invocation"
    is_in = last.end is InvocationEnd.INTERRUPTED
    return f"invocation {last.number:,}" if is_in else f"what came after invocation {last.number:,}"


# -- invocations -------------------------------------------------------------------------------


def _block(
    first: InvocationBlock, last: InvocationBlock, report: SimulationReport, surface: Surface
) -> list[str]:
    """Return the lines of an invocation, or of a run of them by the example of the first."""
    record = first.record
    number, alike = f"invocation {record.number:,}", ""
    if last is not first:
        count = last.record.number - record.number + 1
        alike = f" (and {plural(count - 1, 'invocation')} alike, to {last.record.number:,})"
    at = duration_text((record.began - report.simulation.began).total_seconds())
    took = f", took {duration_text(first.seconds)}" if first.seconds else ""
    out = [surface.line([(number, "title"), (f" at {at}{took}{alike}", "dim")])]
    out += pair("because", [(clean(record.began_because), "")], surface)
    if record.handed_operations:
        out += pair("handed", [(plural(record.handed_operations, "operation"), "")], surface)
    for doing, verb in VERBS.items():
        if notes := first.did.get(doing):
            text = did_text(doing, notes, report)
            out += pair(verb, [(text, _DID_STYLES.get(doing, ""))], surface)
    if record.requests:
        out += pair("sent", [(sent_text(record.requests), "")], surface)
    style = _END_STYLES.get(record.end, "warn")
    return out + pair(
        "ended", [(record.end.value, style), (f"  {clean(record.ended_because)}", "")], surface
    )


# -- in all ------------------------------------------------------------------------------------


def _footer(report: SimulationReport, surface: Surface) -> list[str]:
    totals, simulation = report.totals, report.simulation
    sent = (
        f"{plural(totals.requests, 'request')} with {plural(totals.updates, 'update')}, "
        f"{size_text(totals.sent_bytes)} as the SDK estimates them"
    )
    out = pair("totals", [(totals_text(totals), "")], surface)
    out += pair("sent", [(sent, "")], surface)
    out += limit_lines(_near_limits(report.limits), surface)
    if simulation.result is not None:
        out += pair("result", [(clean(excerpt(simulation.result, 200) or "nothing"), "")], surface)
    if simulation.error is not None:
        out += pair("error", [(error_text(simulation.error), "bad")], surface)
    for why in report.rejected:
        out += pair("rejected", [(clean(why), "bad")], surface)
    out += _findings(report, surface)
    out += _listed("waits for", [each.label for each in simulation.waiting_for], surface)
    late = [f"{each.label} timed out, and no entry answers it" for each in simulation.unanswered]
    out += _listed("no answer", late, surface)
    out += _listed("never used", simulation.unused, surface)
    return out + _listed("not scheduled", simulation.unscheduled, surface)


def _listed(title: str, texts: Sequence[str], surface: Surface) -> list[str]:
    out: list[str] = []
    for index, text in enumerate(texts[:_MOST_SHOWN]):
        out += pair("" if index else title, [(clean(text), "warn")], surface)
    return out + _and_more(len(texts), surface)


_BOTH_COUNTS: Final = frozenset({"operations", "metered_operations"})


def _near_limits(limits: Sequence[LimitUse]) -> list[LimitUse]:
    """Return the limits that come near, operations and metered ones both or not at all."""
    near = {use.key for use in limits if use.is_warning}
    if near & _BOTH_COUNTS:
        near |= _BOTH_COUNTS
    return [use for use in limits if use.key in near]


def _findings(report: SimulationReport, surface: Surface) -> list[str]:
    """Return where the SDK departs from our rules, the same of several operations once."""
    out: list[str] = []
    texts = finding_texts(report.findings)
    for index, (text, rejected) in enumerate(texts[:_MOST_SHOWN]):
        style = "bad" if rejected else "warn"
        out += pair("" if index else "SDK differs", [(text, style)], surface)
    return out + _and_more(len(texts), surface)


def _answers_wanted(simulation: Simulation, surface: Surface) -> list[str]:
    """Return the lines that a scenario needs so that what got no answer gets one."""
    wanted = (*simulation.waiting_for, *simulation.unanswered)
    snippets = list(dict.fromkeys(each.snippet for each in wanted))
    if not snippets:
        return []
    out = [
        "",
        surface.line([("# for the scenario file (--scenario): say what is answered", "dim")]),
    ]
    for snippet in snippets[:_MOST_SHOWN]:
        out += ["", *(clean(line, whole=True) for line in snippet.rstrip().split("\n"))]
    if len(snippets) > _MOST_SHOWN:
        more = f'# and {len(snippets) - _MOST_SHOWN:,} more; name = "*" answers any callback'
        out += ["", surface.line([(more, "dim")])]
    return out


def error_text(error: ErrorObject) -> str:
    """Return an error as one line of text."""
    return clean(str(error))


def _crashes(report: CrashReport, surface: Surface) -> list[str]:
    runs = plural(report.runs, "run")
    if not report.failures:
        text = (
            f"{report.mode.value}: {runs}, each ended as the clean one, no completed step ran again"
        )
        return pair("crashes", [(text, "good")], surface)
    failed = f"{len(report.failures):,} of {runs} went wrong"
    out = pair("crashes", [(f"{report.mode.value}: {failed}; the smallest first", "bad")], surface)
    for failure in report.failures[:_MOST_SHOWN]:
        problems = "; ".join(failure.problems)
        out += pair("", [(clean(f"{fault_text(failure.fault)}: {problems}"), "bad")], surface)
    return out + _and_more(len(report.failures), surface)


def _determinism(report: DeterminismReport, surface: Surface) -> list[str]:
    runs = plural(report.runs, "run")
    out: list[str] = []
    if report.differences:
        differ = len({each.run for each in report.differences})
        given = all(each.given is not None for each in report.differences)
        did = "gave operations something else" if given else "asked for something else"
        text = f"{differ:,} of {runs} with other values {did}"
        out += pair("determinism", [(text, "bad")], surface)
        out += _differences(report.differences, "bad", surface)
    elif report.unclear:
        text = f"can't be told of {len(report.unclear):,} of {runs}"
        out += pair("determinism", [(text, "warn")], surface)
        for why in report.unclear[:_MOST_SHOWN]:
            out += pair("", [(clean(why), "warn")], surface)
    else:
        asked = "asked for the same operations"
        text = f"{runs} with other times, chance, UUIDs and hash seeds {asked}"
        out += pair("determinism", [(text, "good")], surface)
    if report.warnings:
        text = "warning: what operations are given is not the same in every run"
        out += pair("", [(text, "warn")], surface)
        out += _differences(report.warnings, "warn", surface)
    return out


def _differences(found: Sequence[RunDifference], style: str, surface: Surface) -> list[str]:
    out = []
    for each in found[:_MOST_SHOWN]:
        for line in _difference(each):
            out += pair("", [(clean(line), style)], surface)
    return out + _and_more(len(found), surface)


def _races(report: RaceReport, surface: Surface) -> list[str]:
    orders = f"{plural(report.interleavings, 'other order')} of threads or tasks"
    if not report.races:
        out = pair("races", [(f"{orders} came to the same", "good")], surface)
        for why in report.unclear[:_MOST_SHOWN]:
            out += pair("", [(clean(f"not compared: {why}"), "warn")], surface)
        return out + _listed("not scheduled", report.unscheduled, surface)
    text = f"{len(report.races):,} of {orders} came to something else; the first is"
    out = pair("races", [(text, "bad")], surface)
    first = report.races[0]
    what = first.operation or "the end of the execution"
    out += pair("", [(clean(f"{what}: {first.how}"), "bad")], surface)
    return out + pair("", [(f"see it with --interleaving {first.interleaving}", "dim")], surface)


def _difference(found: RunDifference) -> Iterator[str]:
    what = found.operation or "the end of the execution"
    yield f"run {found.run}: {what}: {found.how}"
    if found.fed_by:
        fed = ", ".join(
            "hash seed (the order of a set)" if each is Source.HASH_SEED else each.value
            for each in found.fed_by
        )
        yield f"fed by {fed}"
    for read in found.reads:
        yield f"{read.function} in {_from_here(read.file)}, line {read.line}"


def _from_here(file: str) -> str:
    """Return the path as short as it can be written from the current folder."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def _and_more(count: int, surface: Surface) -> list[str]:
    more = count - _MOST_SHOWN
    return pair("", [(f"and {more:,} more", "dim")], surface) if more > 0 else []
