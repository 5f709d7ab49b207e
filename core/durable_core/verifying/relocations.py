"""What came of an examination: where the code of each context leaves what is recorded. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from durable_core.ids import Path, position_text
from durable_core.model import SubType
from durable_core.verifying.divergence import Found, first_divergence
from durable_core.verifying.moves import moved_operations, moved_units
from durable_core.verifying.recorded_tree import identity_of
from durable_core.verifying.runs import ContextRun, Outcome
from durable_core.verifying.session import Examination
from durable_core.verifying.traces import Trace
from durable_core.verifying.unit_divergence import batch_divergence
from durable_core.verifying.verification import GOES_ON, Cause, Doubt, line_at


def divergences_of(examination: Examination) -> list[Found]:
    """Return the divergences, the first one first: at most one a context.

    One inside of a context of which isn't known whether the service would have its body run is
    a reason for doubt instead.
    """
    batches = [each for each in map(batch_divergence, examination.batches) if each is not None]
    batches += examination.extra
    found: list[Found] = [*batches]
    diverged: list[Path] = [_path_of(each) for each in batches]
    units: list[tuple[Trace, Found]] = []
    for trace in sorted(examination.traces, key=lambda each: len(each.path), reverse=True):
        if trace.host is not None or (trace.node is None and trace.path and not trace.asked):
            continue
        if trace.outcome is Outcome.NOT_RUN or trace.is_as_recorded:
            continue
        each = first_divergence(_without_empty_ends(examination, trace))
        if each is None or _is_blocked(trace, each, diverged) or _is_named_by_another(trace, each):
            continue
        diverged.append(trace.path)
        batch = examination.tree.root.at(trace.path[:-1])
        if batch is not None and batch.is_batch:
            units.append((trace, each))
        else:
            found.append(each)
    found += moved_units(examination, units)
    found = [each for each in found if not _is_unclear(examination, each)]
    found = moved_operations(sorted(found, key=lambda each: each.moment))
    return [each for each in found if not _is_new_at_the_end(examination, each)]


def _without_empty_ends(examination: Examination, trace: Trace) -> ContextRun:
    """Return what a context asked for, without virtual contexts at its end that ask for nothing:
    nothing would be recorded of them."""
    run = trace.run()
    asked = list(trace.asked)
    while len(asked) > len(trace.sequence) and asked[-1].identity.virtual:
        if not _is_empty(examination, (*trace.path, len(asked))):
            break
        asked.pop()
    return run if len(asked) == len(run.asked) else replace(run, asked=asked)


def _is_empty(examination: Examination, path: Path) -> bool:
    """Return True for a context that asks for nothing but virtual contexts that do neither."""
    trace = next((each for each in examination.traces if each.path == path), None)
    return trace is not None and all(
        asked.identity.virtual and _is_empty(examination, (*path, number))
        for number, asked in enumerate(trace.asked, 1)
    )


def _is_new_at_the_end(examination: Examination, found: Found) -> bool:
    """Return True, and note it, for an operation after the recorded end of the execution: it breaks
    nobody."""
    if not found.is_after_end or found.within:
        return False
    root = examination.root
    asked = root.asked[len(root.sequence)]
    path = (len(root.sequence) + 1,)
    examination.differ(GOES_ON, path, None, str(asked.identity), asked)
    return True


def _is_named_by_another(trace: Trace, found: Found) -> bool:
    """Return True within a wait_for_callback that is renamed: the SDK names by it what is in it."""
    if trace.node is None or not trace.path or found.divergence.cause is not Cause.RENAMED:
        return False
    recorded = identity_of(trace.node)
    return (
        recorded is not None
        and recorded.sub_type == SubType.WAIT_FOR_CALLBACK
        and str(line_at(trace.path, recorded)) != trace.label
    )


def _is_unclear(examination: Examination, found: Found) -> bool:
    path = _path_of(found)
    if not examination.is_unclear_doubted:
        return False
    for around, identity in examination.unclear.items():
        if path[: len(around)] == around and len(path) > len(around):
            doubt = Doubt(
                f"{identity} completed with a result that may be a summary, and its code has "
                f"changed at {found.divergence.position} ({found.divergence.why}): no event "
                "says ReplayChildren, on which depends whether that code runs again",
                "verify without --shallow, or against a state or invocation input of the "
                "execution, which say ReplayChildren",
                position_text(around),
            )
            examination.doubts.append((found.moment, doubt))
            return True
    return False


def _path_of(found: Found) -> Path:
    return tuple(map(int, found.divergence.position.split(".")))


def _is_blocked(trace: Trace, found: Found, diverged: Iterable[Path]) -> bool:
    """Return True when the code didn't get further only because it diverged further in."""
    if found.divergence.current is not None or trace.outcome is Outcome.RETURNED:
        return False
    size = len(trace.path)
    return any(path[:size] == trace.path and len(path) > size for path in diverged)
