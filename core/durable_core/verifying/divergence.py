"""Where code first leaves what one context recorded, and what most likely happened to it. Pure.

Compared by position: the n-th operation that the code asks for in a context against the n-th that
the context recorded.
"""

from __future__ import annotations

from typing import Final

from durable_core.excerpts import excerpt, short_name
from durable_core.frozen import dataclass
from durable_core.ids import Path, position_text
from durable_core.sandbox.user_code import CodeLine
from durable_core.verifying.causes import Likely, likely_cause
from durable_core.verifying.matching import same
from durable_core.verifying.traces import BodyEnd, ContextComparison, RequestedOperation
from durable_core.verifying.verification import Cause, Divergence, Identity, Line, line_at


@dataclass(frozen=True, slots=True)
class Found:
    """A divergence and the moment at which the code met it.

    `within` is the context whose record the code leaves: a map or parallel where its units are not
    those recorded. `is_after_end`: all that the context recorded was asked for, and more.
    """

    moment: int
    divergence: Divergence
    within: Path = ()
    is_after_end: bool = False


SHOWN: Final = 3
"""How many operations before and after a divergence are shown."""


def first_divergence(run: ContextComparison) -> Found | None:
    """Return where the code of a context first leaves its record, or None."""
    for index, asked in enumerate(run.asked):
        if index >= len(run.recorded):
            if run.is_open or not run.is_exact:
                return None
            return _found(run, index)
        if not same(run.recorded[index], asked.identity):
            return _found(run, index)
    if any(each is not None for each in run.recorded[len(run.asked) :]):
        return _found(run, len(run.asked))
    if run.outcome is BodyEnd.RAISED and run.has_succeeded:
        return _raised(run)
    return None


def _raised(run: ContextComparison) -> Found:
    last = len(run.asked)
    why = f"{run.label} is recorded as SUCCEEDED, its code now raises {_error(run.error)}"
    found = _divergence(run, last, Cause.RAISED, why, 0)
    return Found(run.ended_at, found, run.path)


def _found(run: ContextComparison, index: int) -> Found:
    likely = likely_cause(run, index)
    moment = run.asked[index].moment if index < len(run.asked) else run.ended_at
    why = _why(likely, run, index)
    found = _divergence(run, index, likely.cause, why, likely.distance)
    return Found(moment, found, run.path, index >= len(run.recorded))


def _divergence(
    run: ContextComparison, index: int, cause: Cause, why: str, distance: int
) -> Divergence:
    asked = run.asked[index] if index < len(run.asked) else None
    traceback = run.traceback if asked is None else None
    if asked is not None and asked.handled is not None and cause is Cause.RAISED:
        traceback = asked.handled.traceback
    return Divergence(
        position=position_text((*run.path, index + 1)),
        context=run.label,
        cause=cause,
        why=why,
        expected=_recorded_line(run, index),
        current=None if asked is None else line_at((*run.path, index + 1), asked.identity),
        where=_where(run, index, asked, cause),
        matching=_asked_lines(run, max(0, index - SHOWN), index),
        next_recorded=_recorded_lines(run, index + 1, index + 1 + SHOWN),
        next_current=_asked_lines(run, index + 1, index + 1 + SHOWN),
        more_recorded=sum(each is not None for each in run.recorded[index + 1 + SHOWN :]),
        more_current=max(0, len(run.asked) - index - 1 - SHOWN),
        distance=distance,
        traceback=traceback,
        escapes=run.escapes and asked is None,
    )


def _where(
    run: ContextComparison, index: int, asked: RequestedOperation | None, cause: Cause
) -> CodeLine | None:
    """Return the line of the call, or that raised; of what is missing, where the code ended or
    asked last."""
    if asked is not None:
        raised = asked.handled.where if asked.handled and cause is Cause.RAISED else None
        return raised or asked.where
    if run.raised_where is not None:
        return run.raised_where
    return run.asked[index - 1].where if 0 < index <= len(run.asked) else None


def _recorded_line(run: ContextComparison, index: int) -> Line | None:
    identity = run.recorded[index] if index < len(run.recorded) else None
    if identity is None:
        return None
    return line_at((*run.path, index + 1), identity, run.statuses[index])


def _recorded_lines(run: ContextComparison, start: int, stop: int) -> tuple[Line, ...]:
    stop = min(stop, len(run.recorded))
    lines = (_recorded_line(run, index) for index in range(start, stop))
    return tuple(line for line in lines if line is not None)


def _asked_lines(run: ContextComparison, start: int, stop: int) -> tuple[Line, ...]:
    stop = min(stop, len(run.asked))
    return tuple(
        line_at((*run.path, index + 1), run.asked[index].identity) for index in range(start, stop)
    )


# -- in words ------------------------------------------------------------------------------------


def _why(likely: Likely, run: ContextComparison, index: int) -> str:
    cause = likely.cause
    before = run.recorded[index] if index < len(run.recorded) else None
    if index >= len(run.asked):
        return _why_it_ends(cause, run, index, before)
    asked = run.asked[index]
    now = asked.identity
    match cause:
        case Cause.RENAMED:
            return f"{before} is now named {_named(now)}"
        case Cause.INSERTED if before is None:
            return f"{now} is new: {run.label} had ended without it"
        case Cause.INSERTED:
            return f"{now} is new, before {before}"
        case Cause.RAISED if asked.handled is not None:
            error = _error(asked.handled.error)
            return f"the code raises {error} where {before} is recorded, and goes on to {now}"
        case Cause.REMOVED if likely.skipped > 1:
            return (
                f"{likely.skipped:,} recorded operations are no longer asked for here, first "
                f"{before}; {now} comes next{_handling(asked)}{_end(run)}"
            )
        case Cause.REMOVED:
            return (
                f"{before} is no longer asked for here; {now} comes in its place"
                f"{_handling(asked)}{_end(run)}"
            )
        case Cause.REORDERED:
            return f"the order has changed: {now} now comes where {before} was"
        case Cause.NESTING:
            return f"{_nesting(before)} is now {_nesting(now)}"
        case Cause.MOVED_IN:
            return f"{before} has moved into a new context, {now}"
        case Cause.MOVED_OUT:
            return f"{now} has moved out of {asked.out_of}"
    return f"{before} has become {now}"


def _handling(asked: RequestedOperation) -> str:
    """Say which error of its own the code handles: it may be what kept it from what is recorded."""
    return f", while the code handles {_error(asked.handled.error)}" if asked.handled else ""


def _end(run: ContextComparison) -> str:
    """Say how code that has left its record ends, where that isn't how it ended."""
    if run.outcome is BodyEnd.RAISED and run.has_succeeded:
        return f", and the code ends by raising {_error(run.error)}"
    return ""


def _why_it_ends(cause: Cause, run: ContextComparison, index: int, before: Identity | None) -> str:
    match cause:
        case Cause.REMOVED:
            return f"{before} is no longer asked for: the code ends before it"
        case Cause.RAISED:
            return f"the code raises {_error(run.error)} where {before} is recorded"
        case Cause.WAITS:
            return f"the code waits for something else before {before}"
    missing = sum(each is not None for each in run.recorded[index:])
    return f"the code ends early: {missing:,} recorded operations are not reached, first {before}"


def _error(text: str | None) -> str:
    """Return what is shown of an error in a sentence that goes on after it."""
    return excerpt(text, SHOWN_OF_AN_ERROR) or ""


SHOWN_OF_AN_ERROR: Final = 300
"""How much is shown of an error in a sentence, in columns."""


def _named(identity: Identity | None) -> str:
    name = None if identity is None else identity.name
    return f'"{short_name(name)}"' if name else "(unnamed)"


def _nesting(identity: Identity | None) -> str:
    if identity is None or identity.virtual:
        return "a context without an operation of its own (FLAT, or virtual)"
    return f"{identity}, a context of its own"
