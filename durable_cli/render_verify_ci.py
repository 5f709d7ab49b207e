"""What verifying came to for machines that run checks: JUnit, Markdown, GitHub's annotations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from durable_cli.escapes import (
    MOST_SHOWN,
    markdown_text,
    workflow_property,
    workflow_text,
    xml_attribute,
    xml_text,
)
from durable_cli.render_divergence import breaks_text, listed, said
from durable_cli.render_verify import (
    VERDICT_WORDS,
    Result,
    fates_text,
    guard_text,
    summary_text,
    unread_word,
)
from durable_core.errors import DurableError
from durable_core.excerpts import excerpt
from durable_core.sandbox.user_code import CodeLine
from durable_core.verifying.verification import Divergence, Inconclusive, Verdict, Verification


def _reason(outcome: Verification | DurableError, *, says_whom: bool = True) -> str:
    if isinstance(outcome, DurableError):
        return str(outcome)
    if outcome.doubts:
        return "; ".join(_doubt(each) for each in outcome.doubts)
    if outcome.first is not None:
        first = outcome.first
        whom = f"; breaks {_breaks(first)}" if says_whom else ""
        return f"diverged at {first.position}: {first.why}{whom}"
    if outcome.verdict is Verdict.DIVERGED:
        return "; ".join(map(str, outcome.differences))
    return ""


def _breaks(found: Divergence) -> str:
    return "no execution" if found.breaks is None else f"executions {found.breaks}"


def _doubt(doubt: Inconclusive) -> str:
    place = f"{doubt.position}: " if doubt.position else ""
    return f"{place}{doubt.reason}"


def _notes(outcome: Verification | DurableError) -> str:
    notes = outcome.notes if isinstance(outcome, Verification) else ()
    return "; ".join(excerpt(note, MOST_SHOWN) or "" for note in notes)


# -- JUnit ---------------------------------------------------------------------------------------


def render_junit(results: Sequence[Result]) -> str:
    """Return a JUnit test suite: a test case a history."""
    verdicts = [getattr(outcome, "verdict", None) for _, outcome in results]
    failures = sum(each is Verdict.DIVERGED for each in verdicts)
    errors = len(results) - failures - sum(each is Verdict.COMPATIBLE for each in verdicts)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuite name="durable replay" tests="{len(results)}" failures="{failures}" '
        f'errors="{errors}">',
    ]
    for source, outcome in results:
        seconds = outcome.seconds if isinstance(outcome, Verification) else 0.0
        case = f'  <testcase classname="durable" name={xml_attribute(source)}'
        case += f' time="{seconds:.3f}"'
        reason = _reason(outcome)
        notes = xml_text(_notes(outcome), whole=True)
        said = [f"    <system-out>{notes}</system-out>"] if notes else []
        if not reason:
            lines += [f"{case}>", *said, "  </testcase>"] if said else [f"{case}/>"]
            continue
        diverged = isinstance(outcome, Verification) and outcome.verdict is Verdict.DIVERGED
        tag = "failure" if diverged else "error"
        body = "\n".join(map(xml_text, _details(outcome)))
        lines += [
            f"{case}>",
            f"    <{tag} message={xml_attribute(reason)}>{body}</{tag}>",
            *said,
            "  </testcase>",
        ]
    if (guard := guard_text(results)) is not None:
        lines.append(f"  <system-out>{xml_text(guard)}</system-out>")
    return "\n".join([*lines, "</testsuite>"])


def _details(outcome: Verification | DurableError) -> list[str]:
    if isinstance(outcome, DurableError):
        return []
    todo = [f"do: {each.remedy}" for each in outcome.doubts]
    if outcome.divergences and outcome.this_execution is not None:
        todo.append(f"this execution: {outcome.this_execution.value}")
    return [*todo, *(line for each in outcome.divergences for line in _divergence_lines(each))]


def _divergence_lines(found: Divergence) -> list[str]:
    lines = [
        f"{found.position} in {found.context}: {found.cause.replace('-', ' ')}: {found.why}",
        f"  recorded: {said(found.expected) if found.expected else '(nothing)'}",
        f"  current:  {said(found.current) if found.current else '(nothing)'}",
    ]
    if found.also_at:
        lines.append(f"  the same at {listed(found.also_at)}")
    if found.where is not None:
        lines.append(f"  code:     {found.where} {found.where.text}")
    lines.append(f"  breaks:   {breaks_text(found)}")
    if found.leak:
        lines.append(f"  because:  {found.leak}")
    if found.consequence:
        lines.append(f"  if deployed: {found.consequence}")
    return lines


# -- Markdown ------------------------------------------------------------------------------------


def render_markdown(results: Sequence[Result], skipped: int) -> str:
    """Return a summary for a pull request."""
    lines = [
        f"**{summary_text(results, skipped)}**",
        "",
        fates_text(results),
        "",
        "| history | verdict | where | why | breaks | this execution |",
        "|---|---|---|---|---|---|",
    ]
    for source, outcome in results:
        if isinstance(outcome, DurableError):
            said = f"{unread_word(outcome)} | | {markdown_text(str(outcome))}"
            lines.append(f"| {markdown_text(source)} | {said} | | |")
            continue
        first = outcome.first
        breaks = "" if first is None else _breaks(first)
        fate = "" if outcome.this_execution is None else outcome.this_execution.value
        where = "" if first is None else first.position
        if first is not None and first.where is not None:
            where += f" {first.where}"
        reason = _reason(outcome, says_whom=False)
        cells = [source, VERDICT_WORDS[outcome.verdict], where, reason, breaks, fate]
        lines.append(f"| {' | '.join(map(markdown_text, cells))} |")
    if (guard := guard_text(results)) is not None:
        lines += ["", markdown_text(guard)]
    notes = [(source, notes) for source, each in results if (notes := _notes(each))]
    if notes:
        lines += [
            "",
            *(f"- {markdown_text(f'{source}: {text}', whole=True)}" for source, text in notes),
        ]
    return "\n".join(lines)


# -- GitHub --------------------------------------------------------------------------------------


def render_github(results: Sequence[Result]) -> str:
    """Return workflow commands that annotate the lines of the source that diverged.

    What many histories say of one line is one annotation: GitHub shows few of a step.
    """
    sources: dict[tuple[str, str, str], list[str]] = {}
    for source, outcome in results:
        for annotation in _annotations(outcome):
            sources.setdefault(annotation, []).append(source)
    lines = [
        f"::{level} {place}title={_title(said_of)}::{workflow_text(text)}"
        for (level, place, text), said_of in sources.items()
    ]
    if any(isinstance(outcome, Verification) and outcome.divergences for _, outcome in results):
        lines.append(f"::notice title=durable replay::{workflow_text(fates_text(results))}")
    if (guard := guard_text(results)) is not None:
        lines.append(f"::notice title=durable replay::{workflow_text(guard)}")
    return "\n".join(lines)


def _annotations(outcome: Verification | DurableError) -> Iterator[tuple[str, str, str]]:
    """Yield what is to be said: as notice, warning or error, at which place, in which words."""
    if notes := _notes(outcome):
        yield "notice", "", notes
    if isinstance(outcome, DurableError) or outcome.doubts:
        first = None if isinstance(outcome, DurableError) else outcome.first
        level = "error" if isinstance(outcome, DurableError) else "warning"
        yield level, _place(None if first is None else first.where), _reason(outcome)
        return
    for each in outcome.divergences:
        also = f", the same at {listed(each.also_at)}" if each.also_at else ""
        text = f"diverged at {each.position}: {each.why}{also}; breaks {_breaks(each)}"
        yield "error", _place(each.where), text
    if outcome.verdict is Verdict.DIVERGED and not outcome.divergences:
        for difference in outcome.differences:
            yield "error", _place(difference.where), str(difference)


def _title(sources: Sequence[str]) -> str:
    first, *more = sources
    told = f"{len(sources):,} histories, first {first}" if more else first
    return workflow_property(f"durable replay: {told}")


def _place(where: CodeLine | None) -> str:
    return "" if where is None else f"file={workflow_property(where.file)},line={where.line},"
