"""What verifying came to, for a person: the verdict of each history, and where it diverged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from durable_cli.escapes import clean
from durable_cli.figures import plural
from durable_cli.output import Surface
from durable_cli.render_divergence import difference_text, divergence_lines, wrapped
from durable_core.errors import DurableError, SourceDefect
from durable_core.verifying.verification import (
    IN_PROCESS_ONLY,
    Fate,
    Verdict,
    Verification,
)

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
            lines.append(surface.line([(unread_word(outcome), "bad"), (f"  {clean(source)}", "")]))
            continue
        lines += _history(outcome, surface)
    if len(results) + skipped > 1:
        lines += ["", summary_text(results, skipped), fates_text(results)]
    if (guard := guard_text(results)) is not None:
        lines += wrapped(guard, surface)
    return "\n".join(lines)


def unread_word(error: DurableError) -> str:
    """Return what stands in place of a verdict where there is none."""
    return "defect in durable" if isinstance(error, SourceDefect) else "cannot be read"


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


def fates_text(results: Sequence[Result]) -> str:
    """Return what a deploy of the code means for the running executions, and how many records it
    diverges from: `12 running: 11 safe, 1 breaks; code diverges from 3 of 40 records`."""
    outcomes = [outcome for _, outcome in results if isinstance(outcome, Verification)]
    running = [each for each in outcomes if each.this_execution is not Fate.ENDED]
    counts = [
        f"{count:,} {word}"
        for fate, word in _FATE_WORDS.items()
        if (count := sum(each.this_execution is fate for each in running)) or fate is not None
    ]
    fates = f": {', '.join(counts)}" if running else ""
    diverged = sum(each.verdict is Verdict.DIVERGED for each in outcomes)
    records = plural(len(outcomes), "record")
    return f"{len(running):,} running{fates}; code diverges from {diverged:,} of {records}"


_FATE_WORDS: Final = {Fate.SAFE: "safe", Fate.BREAKS: "breaks", None: "not known"}


def guard_text(results: Sequence[Result]) -> str | None:
    """Return what has to be said of the guard: that the operating system doesn't hold what the
    handler is refused. None where it does, or where nothing was to be refused."""
    for _, outcome in results:
        if isinstance(outcome, Verification) and outcome.guard == IN_PROCESS_ONLY:
            return f"guard: {IN_PROCESS_ONLY} ({outcome.guard_reason})"
    return None


def histories(count: int) -> str:
    """Return a number of histories in words."""
    return "1 history" if count == 1 else f"{count:,} histories"


def _history(outcome: Verification, surface: Surface) -> list[str]:
    word = VERDICT_WORDS[outcome.verdict]
    safe = "this execution is safe" if outcome and outcome.this_execution is Fate.SAFE else ""
    facts = [
        outcome.status,
        safe,
        plural(outcome.operations, "operation"),
        plural(outcome.invocations, "invocation"),
        outcome.runtime,
    ]
    told = ", ".join(clean(each) for each in facts if each)
    head = [(word, VERDICT_STYLES[outcome.verdict]), (f"  {clean(outcome.source)}", "title")]
    lines = [surface.line([*head, (f"  {told}", "dim")])]
    for number, divergence in enumerate(outcome.divergences):
        lines += ["", *divergence_lines(divergence, number == 0, surface)]
    if outcome.more_divergences:
        more = plural(outcome.more_divergences, "more divergence")
        lines.append(f"  and {more} in other contexts")
    for doubt in outcome.doubts:
        place = f"{doubt.position}: " if doubt.position else ""
        lines += wrapped(f"why: {place}{doubt.reason}", surface)
        lines += wrapped(f"do: {doubt.remedy}", surface)
    for difference in outcome.differences:
        lines += wrapped(difference_text(difference), surface)
    for note in outcome.notes:
        lines += wrapped(f"note: {note}", surface)
    if outcome.divergences and outcome.this_execution is not None:
        lines += wrapped(THIS_EXECUTION[outcome.this_execution], surface)
    if outcome.divergences:
        lines.append("")
    return lines


THIS_EXECUTION: Final = {
    Fate.ENDED: "note: this execution has ended and is not replayed any more; it stands for those "
    "in flight",
    Fate.SAFE: "this execution: safe: its replay doesn't come to that code",
    Fate.BREAKS: "this execution: breaks: its replay comes to that code",
}
