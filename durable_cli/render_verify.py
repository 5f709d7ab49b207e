"""What verifying came to, for a person: the verdict of each history, and where it diverged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest

from durable_cli.output import Span, Surface, clean, fit, pad, wrap
from durable_cli.words import plural
from durable_core.errors import DurableError
from durable_core.verifying.verification import Divergence, Line, Verdict, Verification

VERDICT_STYLES = {
    Verdict.COMPATIBLE: "good",
    Verdict.DIVERGED: "bad",
    Verdict.CANNOT_VERIFY: "warn",
}
VERDICT_WORDS = {
    Verdict.COMPATIBLE: "compatible",
    Verdict.DIVERGED: "diverged",
    Verdict.CANNOT_VERIFY: "cannot verify",
}

Result = tuple[str, Verification | DurableError]


def render(results: Sequence[Result], skipped: int, surface: Surface) -> str:
    """Return the whole report."""
    lines: list[str] = []
    for source, outcome in results:
        if isinstance(outcome, DurableError):
            lines.append(surface.line([("cannot be read", "bad"), (f"  {clean(source)}", "")]))
            continue
        lines += _history(outcome, surface)
    if len(results) + skipped > 1:
        lines += ["", summary_text(results, skipped)]
    return "\n".join(lines)


def summary_text(results: Sequence[Result], skipped: int) -> str:
    """Return how many histories came to which verdict."""
    outcomes = [outcome for _, outcome in results if isinstance(outcome, Verification)]
    counts = [
        f"{sum(each.verdict is verdict for each in outcomes):,} {word}"
        for verdict, word in VERDICT_WORDS.items()
    ]
    unread = len(results) - len(outcomes)
    if unread:
        counts.append(f"{unread:,} could not be read")
    if skipped:
        counts.append(f"{skipped:,} of other functions skipped")
    return f"{histories(len(results))}: {', '.join(counts)}"


def histories(count: int) -> str:
    """Return a number of histories in words."""
    return "1 history" if count == 1 else f"{count:,} histories"


def _history(outcome: Verification, surface: Surface) -> list[str]:
    word = VERDICT_WORDS[outcome.verdict]
    facts = [
        outcome.status,
        plural(outcome.operations, "operation"),
        plural(outcome.invocations, "invocation"),
        outcome.runtime,
    ]
    told = ", ".join(clean(each) for each in facts if each)
    head = [(word, VERDICT_STYLES[outcome.verdict]), (f"  {clean(outcome.source)}", "title")]
    lines = [surface.line([*head, (f"  {told}", "dim")])]
    for number, divergence in enumerate(outcome.divergences):
        lines += ["", *_divergence(divergence, number == 0, surface)]
    if outcome.more_divergences:
        more = plural(outcome.more_divergences, "more divergence")
        lines.append(f"  and {more} in other contexts")
    for doubt in outcome.doubts:
        place = f"{doubt.position}: " if doubt.position else ""
        lines += _wrapped(f"why: {place}{doubt.reason}", surface)
        lines += _wrapped(f"do: {doubt.remedy}", surface)
    for difference in outcome.differences:
        place = f" at {difference.position}" if difference.position else ""
        lines += _wrapped(
            f"difference{place}: {difference.what} recorded as {difference.recorded}, "
            f"now {difference.current}",
            surface,
        )
    for note in outcome.notes:
        lines += _wrapped(f"note: {note}", surface)
    if outcome.divergences:
        lines.append("")
    return lines


def _wrapped(text: str, surface: Surface, indent: str = "  ") -> list[str]:
    return [f"{indent}{line}" for line in wrap(clean(text), surface.width - len(indent))]


def _divergence(found: Divergence, is_first: bool, surface: Surface) -> list[str]:
    which = "first divergence" if is_first else "also"
    invocation = f", as invocation {found.invocation} found it" if found.invocation else ""
    lines = [
        surface.line(
            [
                (f"  {which} at {clean(found.position)}", "bad"),
                (f" in {clean(found.context)}{invocation}: ", ""),
                (found.cause.replace("-", " "), "title"),
            ]
        ),
        *_wrapped(found.why, surface, "    "),
        "",
        *_sides(found, surface),
        "",
    ]
    if found.where is not None:
        # Of what is no longer asked for there is no line, only the one of what was before it.
        is_call = found.current is not None or found.traceback is not None
        where = "code:" if is_call else "code: ends after"
        lines += _wrapped(f"{where} {found.where} in {found.where.function}", surface, "    ")
        if found.where.text:
            lines += [f"          {fit(clean(found.where.text), surface.width - 10)}"]
    if found.consequence:
        lines += _wrapped(f"in the cloud: {found.consequence}", surface, "    ")
    if found.traceback:
        lines += [f"    | {clean(line)}" for line in found.traceback.splitlines()]
    return lines


def _sides(found: Divergence, surface: Surface) -> list[str]:
    """Lay what is recorded beside what the code does."""
    width = max(20, (surface.width - 12) // 2)
    rows: list[tuple[str, str, str, str]] = [("", "recorded", "current", "dim")]
    rows += [("=", _said(line), _said(line), "dim") for line in found.matching]
    expected = _said(found.expected) if found.expected else "(nothing)"
    current = _said(found.current) if found.current else _nothing(found)
    rows.append((">", expected, current, "bad"))
    following: Iterable[tuple[Line | None, Line | None]] = zip_longest(
        found.next_recorded, found.next_current
    )
    rows += [
        ("", _said(one) if one else "", _said(other) if other else "", "")
        for one, other in following
    ]
    return [
        surface.line(_row(mark, left, right, style, width, surface))
        for mark, left, right, style in rows
    ]


def _row(mark: str, left: str, right: str, style: str, width: int, surface: Surface) -> list[Span]:
    cells = [pad(fit(text, width, surface.unicode), width) for text in (left, right)]
    return [(f"    {mark or ' '} ", style), (f"{cells[0]}  {cells[1]}".rstrip(), style)]


def _nothing(found: Divergence) -> str:
    if found.traceback:
        return f"raises {clean(found.traceback.splitlines()[-1])}"
    return "(nothing)"


def _said(line: Line) -> str:
    status = f" {line.status}" if line.status else ""
    flat = " (no operation of its own)" if line.virtual else ""
    return clean(f"{line}{status}{flat}")
