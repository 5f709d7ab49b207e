"""What verifying came to for machines that run checks: JUnit, Markdown, GitHub's annotations."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from durable_cli.output import clean
from durable_cli.render_divergence import listed
from durable_cli.render_verify import VERDICT_WORDS, Result, summary_text
from durable_core.errors import DurableError
from durable_core.verifying.verification import Divergence, Doubt, Verdict, Verification


def _reason(outcome: Verification | DurableError) -> str:
    if isinstance(outcome, DurableError):
        return str(outcome)
    if outcome.doubts:
        return "; ".join(_doubt(each) for each in outcome.doubts)
    if outcome.first is not None:
        return f"diverged at {outcome.first.position}: {outcome.first.why}"
    if outcome.verdict is Verdict.DIVERGED:
        return "; ".join(
            f"{each.what}: recorded {each.recorded}, now {each.current}"
            for each in outcome.differences
        )
    return ""


def _doubt(doubt: Doubt) -> str:
    place = f"{doubt.position}: " if doubt.position else ""
    return f"{place}{doubt.reason}"


def _notes(outcome: Verification | DurableError) -> str:
    return "; ".join(outcome.notes) if isinstance(outcome, Verification) else ""


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
        case = f"  <testcase classname={quoteattr('durable')} name={quoteattr(clean(source))}"
        case += f' time="{seconds:.3f}"'
        reason = clean(_reason(outcome))
        notes = escape(clean(_notes(outcome)))
        said = [f"    <system-out>{notes}</system-out>"] if notes else []
        if not reason:
            lines += [f"{case}>", *said, "  </testcase>"] if said else [f"{case}/>"]
            continue
        diverged = isinstance(outcome, Verification) and outcome.verdict is Verdict.DIVERGED
        tag = "failure" if diverged else "error"
        body = escape("\n".join(_details(outcome)))
        lines += [
            f"{case}>",
            f"    <{tag} message={quoteattr(reason)}>{body}</{tag}>",
            *said,
            "  </testcase>",
        ]
    return "\n".join([*lines, "</testsuite>"])


def _details(outcome: Verification | DurableError) -> list[str]:
    if isinstance(outcome, DurableError):
        return []
    todo = [clean(f"do: {each.remedy}") for each in outcome.doubts]
    return [*todo, *(line for each in outcome.divergences for line in _divergence_lines(each))]


def _divergence_lines(found: Divergence) -> list[str]:
    lines = [
        f"{found.position} in {found.context}: {found.cause.replace('-', ' ')}: {found.why}",
        f"  recorded: {found.expected or '(nothing)'}",
        f"  current:  {found.current or '(nothing)'}",
    ]
    if found.also_at:
        lines.append(f"  the same at {listed(found.also_at)}")
    if found.where is not None:
        lines.append(f"  code:     {found.where} {found.where.text}")
    if found.consequence:
        lines.append(f"  if deployed: {found.consequence}")
    return [clean(line) for line in lines]


# -- Markdown ------------------------------------------------------------------------------------


def render_markdown(results: Sequence[Result], skipped: int) -> str:
    """Return a summary for a pull request."""
    lines = [
        f"**{summary_text(results, skipped)}**",
        "",
        "| history | verdict | where | why |",
        "|---|---|---|---|",
    ]
    for source, outcome in results:
        if isinstance(outcome, DurableError):
            lines.append(f"| {_cell(source)} | cannot be read | | {_cell(str(outcome))} |")
            continue
        first = outcome.first
        where = "" if first is None else first.position
        if first is not None and first.where is not None:
            where += f" {first.where}"
        lines.append(
            f"| {_cell(source)} | {VERDICT_WORDS[outcome.verdict]} | {_cell(where)} "
            f"| {_cell(_reason(outcome))} |"
        )
    notes = [(source, notes) for source, each in results if (notes := _notes(each))]
    if notes:
        lines += ["", *(f"- {_cell(source)}: {_cell(text)}" for source, text in notes)]
    return "\n".join(lines)


def _cell(text: str) -> str:
    for char in "\\`*_[]<>|":
        text = text.replace(char, f"&#{ord(char)};")
    return clean(text)


# -- GitHub --------------------------------------------------------------------------------------


def render_github(results: Sequence[Result]) -> str:
    """Return workflow commands that annotate the line of the source that diverged."""
    lines = []
    for source, outcome in results:
        title = _property(f"durable replay: {source}")
        if notes := _notes(outcome):
            lines.append(f"::notice title={title}::{_message(notes)}")
        reason = _reason(outcome)
        if not reason:
            continue
        level = "error"
        if isinstance(outcome, Verification) and outcome.verdict is Verdict.CANNOT_VERIFY:
            level = "warning"
        first = outcome.first if isinstance(outcome, Verification) else None
        place = ""
        if first is not None and first.where is not None:
            place = f"file={_property(first.where.file)},line={first.where.line},"
        lines.append(f"::{level} {place}title={title}::{_message(reason)}")
    return "\n".join(lines)


def _message(text: str) -> str:
    return clean(text).replace("%", "%25")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
