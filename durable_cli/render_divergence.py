"""One divergence, for a person: what is recorded beside what the code does, and its outcome."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Final

from durable_cli.escapes import clean
from durable_cli.figures import plural
from durable_cli.output import Surface, fit, pad, wrap
from durable_core.excerpts import excerpts
from durable_core.verifying.verification import Difference, Divergence, Line


def divergence_lines(found: Divergence, is_first: bool, surface: Surface) -> list[str]:
    """Return a divergence as lines of a report."""
    which = "first divergence" if is_first else "also"
    invocation = f", as invocation {found.invocation} found it" if found.invocation else ""
    lines = [
        surface.line(
            [
                (f"  {which} at {clean(found.position)}", "bad"),
                (f"{clean(_around(found))}{invocation}: ", ""),
                (found.cause.replace("-", " "), "title"),
            ]
        ),
        *wrapped(found.why, surface, "    "),
    ]
    if found.also_at:
        lines += wrapped(f"the same at {listed(found.also_at)}", surface, "    ")
    is_of_operations = any((found.expected, found.current, found.matching, found.traceback))
    if is_of_operations:
        lines += ["", *_sides(found, surface), ""]
    if found.where is not None:
        # Of what is no longer asked for there is no line, only the one of what was before it.
        is_call = found.current is not None or found.traceback is not None or not is_of_operations
        where = f"{'code:' if is_call else 'code: ends after'} {found.where}"
        function = f" in {found.where.function}" if found.where.function else ""
        lines += wrapped(where + function, surface, "    ")
        if found.where.text:
            lines += [f"          {fit(clean(found.where.text), surface.width - 10)}"]
    lines += wrapped(f"breaks: {breaks_text(found)}", surface, "    ")
    if found.leak:
        lines += wrapped(f"because: {found.leak}", surface, "    ")
    if found.consequence:
        lines += wrapped(f"if deployed: {found.consequence}", surface, "    ")
    if found.traceback:
        lines += [f"    | {clean(line)}" for line in found.traceback.splitlines()]
    return lines


def difference_text(found: Difference) -> str:
    """Return a difference as a sentence."""
    place = f" at {found.position} {found.operation or ''}".rstrip() if found.position else ""
    line = f" [{found.where}]" if found.where else ""
    return f"difference{place}{line}: {found}"


def breaks_text(found: Divergence) -> str:
    """Return whom a divergence breaks, and which of the two verifications has found it."""
    if found.breaks is None:
        whom = "no execution: it comes after all that the completed context recorded"
    elif found.found_by == "deep":
        whom = f"executions {found.breaks}; those past it answer from its checkpoint"
    else:
        whom = f"executions {found.breaks}"
    return f"{whom} ({_FOUND_BY[found.found_by]})"


_FOUND_BY: Final = {
    "shallow": "found in what the service's replay does",
    "deep": "found in the body of a completed context",
}


def wrapped(text: str, surface: Surface, indent: str = "  ") -> list[str]:
    """Return a text as indented lines."""
    return [f"{indent}{line}" for line in wrap(clean(text), surface.width - len(indent))]


def _around(found: Divergence) -> str:
    """Say in what it is, ` in Map "lines" (2)`, or, of a map or parallel, what it is."""
    position, _, label = found.context.partition(" ")
    if not position.replace(".", "").isdecimal():
        return f" in {found.context}"
    return f", {label}" if position == found.position else f" in {label} ({position})"


def listed(positions: Sequence[str]) -> str:
    """Return positions in words: `2.1.2, 2.2.2 and 4 more positions`."""
    if len(positions) > _MOST_LISTED:
        more = plural(len(positions) - _MOST_LISTED, "more position")
        return f"{', '.join(positions[:_MOST_LISTED])} and {more}"
    *most, last = positions
    return f"{', '.join(most)} and {last}" if most else last


_MOST_LISTED: Final = 6


# -- both sides ----------------------------------------------------------------------------------

_LEFT_OUT: Final = len("...... (1,234 characters)")
_Row = tuple[str, str, str]
"""A mark, what is recorded, and what the code does."""


def _sides(found: Divergence, surface: Surface) -> list[str]:
    """Lay what is recorded beside what the code does, what is the same on both sides in one row.

    `=` marks what is the same at the same position, `-` what is recorded only, `+` what the code
    does only, `~` what is another.
    """
    width = max(20, (surface.width - 12) // 2)

    def row(mark: str, left: str, right: str) -> str:
        if mark == "~" and max(len(left), len(right)) > width:
            one, other = excerpts(left, right, max(16, width - _LEFT_OUT))
            left, right = one or "", other or ""
        cells = [pad(fit(text, width, surface.unicode), width) for text in (left, right)]
        style = "bad" if mark in ("-", "+", "~") else "dim"
        text = f"{cells[0]}  {cells[1]}".rstrip()
        return surface.line([(f"    {mark or ' '} ", style), (text, style)])

    rows: list[_Row] = [("", "recorded", "current")]
    rows += [("=", said(line), said(line)) for line in found.matching]
    rows += _aligned(found, "…" if surface.unicode else "...")
    return [row(*each) for each in rows]


def _aligned(found: Divergence, ellipsis: str) -> Iterator[_Row]:
    recorded = [each for each in (found.expected, *found.next_recorded) if each is not None]
    current = [each for each in (found.current, *found.next_current) if each is not None]
    left, right = list(map(said, recorded)), list(map(said, current))
    hidden = [found.more_recorded, found.more_current]
    if found.current is None:
        # What the code does instead is no operation: it stands beside what it no longer asks for.
        right = [f"raises {clean(found.traceback.splitlines()[-1])}"] if found.traceback else []
        edits = [("replace", 0, len(left), 0, len(right))]
    else:
        one, other = (
            [replace(each, position="", status=None) for each in side]
            for side in (recorded, current)
        )
        edits = list(SequenceMatcher(None, one, other, autojunk=False).get_opcodes())
    for edit, i, i_end, j, j_end in edits:
        is_last = (i_end, j_end) == (len(left), len(right))
        if is_last and edit == "delete" and hidden[1]:
            hidden[0] += i_end - i  # what stands beside it isn't shown
        elif is_last and edit == "insert" and hidden[0]:
            hidden[1] += j_end - j
        else:
            for before, now in zip_longest(left[i:i_end], right[j:j_end]):
                mark = _mark(before, now) if edit != "equal" else "=" if i == j else ""
                yield mark, before or "", now or ""
    if any(hidden):
        before, now = (f"{ellipsis} {each:,} more" if each else "" for each in hidden)
        yield "", before, now


def _mark(before: str | None, now: str | None) -> str:
    return "+" if before is None else "-" if now is None else "~"


def said(line: Line) -> str:
    """Return an operation at its position, with all that may be what differs."""
    status = f" {line.status}" if line.status else ""
    flat = " (no operation of its own)" if line.virtual else ""
    units = f", {plural(line.units, 'unit')}" if line.units is not None else ""
    return clean(f"{line}{units}{status}{flat}")
