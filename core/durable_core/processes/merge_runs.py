"""One outcome of a history from several runs of it, each with other time, chance and hash seed.

Where the runs come to different ends, the handler is not deterministic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from durable_core.errors import DurableError, SourceDefect
from durable_core.given import OPERATION, Given, given_difference
from durable_core.processes.worker import LostRun
from durable_core.sandbox.sources import ORDERS, NondeterministicRead
from durable_core.sandbox.user_code import CodeLine, is_installed, shown
from durable_core.verifying.verification import (
    Cause,
    Divergence,
    Fate,
    Inconclusive,
    Verdict,
    Verification,
)

Outcome = Verification | DurableError | None
"""A verification; why there is none; None: a history of another function."""


def merge_runs(
    answers: Mapping[int, Outcome | LostRun],
    reads: Sequence[NondeterministicRead],
    base: Verification | None = None,
    given: Mapping[int, Given] | None = None,
) -> Outcome:
    """Return what all runs of a history come to. `reads` are those of the handler outside of steps,
    `base` says what the history is where no run does, `given` what operations are given in each."""
    for answer in answers.values():
        if isinstance(answer, SourceDefect):
            return answer
    verifications = [each for each in answers.values() if isinstance(each, Verification)]
    base = base or next(iter(verifications), None)
    for number in sorted(answers):
        answer = answers[number]
        if isinstance(answer, LostRun):
            if base is None:
                return next(each for each in answers.values() if not isinstance(each, LostRun))
            doubt = Inconclusive(f"{answer.what}: {answer.why}", answer.remedy)
            return replace(
                base,
                verdict=_CANNOT,
                doubts=(doubt,),
                divergences=(),
                more_divergences=0,
                differences=(),
                notes=(),
            )
    first = answers[0]
    if not isinstance(first, Verification):
        return None if isinstance(first, LostRun) else first
    if any(each.is_partial for each in verifications):
        return _joined(verifications)
    refused = next(filter(_is_refused, verifications), None)
    if refused is not None:
        return refused
    for number in sorted(answers)[1:]:
        other = answers[number]
        if not isinstance(other, Verification):
            continue
        if _differ(first, other):
            return _non_deterministic(first, other, number, reads)
        first = _with_note(first, other, reads)
    return _with_all_given(first, given, reads) if first and given else first


def are_to_be_whole(answers: Mapping[int, Outcome | LostRun], *, reads: bool) -> bool:
    """Return True where runs that verified parts of a history show anything, or read (`reads`) what
    may have led them elsewhere: then each has to verify all of it."""
    outcomes = [each for each in answers.values() if isinstance(each, Verification)]
    if len(outcomes) < len(answers) or not any(each.is_partial for each in outcomes):
        return False
    if reads or any(not each or each.differences for each in outcomes):
        return True
    return len({_outside(each) for each in outcomes}) > 1


def _outside(outcome: Verification) -> Any:
    """Return what was asked for where the parts of a history ask for the same."""
    return list(outcome.by_run.values())[-1].outside if outcome.by_run else ()


def _joined(outcomes: Sequence[Verification]) -> Verification:
    """Return the outcome of a history whose parts several runs found compatible."""
    deep = max(outcomes, key=lambda each: each.compared)
    fates = (each.this_execution for each in outcomes if each.this_execution is not None)
    notes = dict.fromkeys((*deep.notes, *(note for each in outcomes for note in each.notes)))
    return replace(deep, this_execution=next(fates, None), notes=tuple(notes), is_partial=False)


_CANNOT: Final = Verdict.CANNOT_VERIFY


def _is_refused(outcome: Verification) -> bool:
    """Return True for a run that was refused something: not every run of the same handler has to be
    by then, where it does so in a thread."""
    is_unclear = outcome.verdict is Verdict.CANNOT_VERIFY
    return is_unclear and any(each.is_refusal for each in outcome.doubts)


def _differ(first: Verification, other: Verification) -> bool:
    """Return True where two runs differ in what those of a deterministic handler have in common:
    compared are their runs of the same kind."""
    same = first.by_run.keys() & other.by_run.keys()
    if not same:
        return first.verdict != other.verdict
    return any(first.by_run[kind].told != other.by_run[kind].told for kind in same)


def _with_note(
    first: Verification, other: Verification, reads: Sequence[NondeterministicRead]
) -> Verification:
    """Say what isn't the same in each run although the operations are: no replay stumbles over
    it, but it may not be what was meant."""
    same = first.by_run.keys() & other.by_run.keys()
    ours, theirs = (
        {
            (each.what, each.position, each.current)
            for kind in same
            for each in outcome.by_run[kind].differences
        }
        for outcome in (first, other)
    )
    whats = sorted({f"{what} at {at}" if at else what for what, at, _ in ours ^ theirs})
    if not whats:
        return first
    note = f"not the same in every run: {', '.join(whats)}; {_read(reads)}"
    return replace(first, notes=(*first.notes, note))


def _with_all_given(
    first: Verification, given: Mapping[int, Given], reads: Sequence[NondeterministicRead]
) -> Verification:
    """Return the verification with its worst note on values given to operations."""
    outcome = first
    for number in sorted(given):
        told = _with_given(first, given.get(0, {}), given[number], reads)
        if not told:
            return told
        outcome = outcome if told == first else told
    return outcome


def _with_given(
    first: Verification, one: Given, other: Given, reads: Sequence[NondeterministicRead]
) -> Verification:
    """Return the verification, with what is said of operations given other values in another run.

    They do no harm where the operation's result is recorded; but where an order decides what each
    of several operations is given, a replay gives one what another has had, and leaves one out.
    """
    found = given_difference(one, other)
    if found is None:
        return first
    label, unit = found.keys[0]
    label = label if " " in label else "an operation"
    label = label if unit == OPERATION else f"unit {unit} of {label}"
    more = len(found.keys) - 1
    others = "" if not more else f" and of {more:,} more operation{'s' if more > 1 else ''}"
    by_order = {each.source for each in _own(reads)} <= ORDERS
    if not found.is_exchanged and not (by_order and more):
        what = f"what is given to the code of {label}{others}"
        note = f"not the same in every run: {what}; {_read(reads)}"
        return replace(first, notes=(*first.notes, note))
    why = (
        f"{_read(reads)}; it decides what is given to the code of {label}{others}: in two runs on "
        "the same record, with other times, chance, ids and orders, it is not the same"
    )
    consequence = (
        "each replay may give an operation what another one has been given before, and leave "
        "something out, also in executions that start after the deploy"
    )
    position = label.rpartition(" of ")[2].partition(" ")[0]
    divergence = Divergence(
        position if position[:1].isdecimal() else "end",
        "the handler",
        Cause.NON_DETERMINISTIC,
        why,
        where=_line_of(_own(reads)[0]) if reads else None,
        consequence=consequence,
    )
    return replace(first, verdict=Verdict.DIVERGED, divergences=(divergence,))


def _non_deterministic(
    first: Verification, other: Verification, number: int, reads: Sequence[NondeterministicRead]
) -> Verification:
    diverged = [each for each in (first, other) if each.verdict is Verdict.DIVERGED]
    outcome = min(diverged, key=_place, default=other)
    seen = outcome.first
    if seen is None:
        seen = Divergence("end", "the handler", Cause.NON_DETERMINISTIC, "", "past end", "shallow")
    why = (
        f"{_read(reads)}; two runs on the same record, with other times, chance, ids and orders, "
        f"differ: run 1 {_short(first)}, run {number + 1} {_short(other)}"
    )
    consequence = "each replay may go another way, also of executions that start after the deploy"
    if seen.consequence:
        consequence += f"; where it leaves the record, {seen.consequence}"
    # What is new at the end of a context in one run may be missing where another has recorded it.
    breaks = seen.breaks or f"inside {seen.context}"
    told = replace(
        seen, cause=Cause.NON_DETERMINISTIC, why=why, consequence=consequence, breaks=breaks
    )
    fates = [each.this_execution for each in (first, other)]
    return replace(
        outcome,
        verdict=Verdict.DIVERGED,
        this_execution=Fate.BREAKS if Fate.BREAKS in fates else outcome.this_execution,
        doubts=(),
        divergences=(told, *outcome.divergences[1:]),
    )


def _place(outcome: Verification) -> tuple[int, ...]:
    """Return where a run first diverged: the earlier of two is where the code leaves the record."""
    position = outcome.first.position if outcome.first is not None else ""
    return tuple(int(each) for each in position.split(".") if each.isdecimal())


def _read(reads: Sequence[NondeterministicRead]) -> str:
    """Say what was read outside of steps, and where: by the user's code, if any of it was."""
    reads = _own(reads)
    if not reads:
        return (
            "nothing was seen to be read outside of steps, so it depends on the order of a set of "
            "an installed package, on an address in memory, or on what is outside of the process"
        )
    # One place may read several sources: all of the environment's variables.
    places = list(dict.fromkeys(replace(each, source=reads[0].source) for each in reads))
    told = [f"{each.function} at {_place_of(each)}" for each in places[:_MOST_READS]]
    more = f" and {len(places) - _MOST_READS:,} more" if len(places) > _MOST_READS else ""
    return f"the code outside of steps reads {', '.join(told)}{more}"


def _own(reads: Sequence[NondeterministicRead]) -> Sequence[NondeterministicRead]:
    return [each for each in reads if not is_installed(each.file)] or reads


def _line_of(read: NondeterministicRead) -> CodeLine | None:
    return shown(CodeLine(read.file, read.line))


def _place_of(read: NondeterministicRead) -> str:
    line = _line_of(read)
    return f"{line} ({line.text})" if line is not None and line.text else str(line)


_MOST_READS: Final = 5


def _short(outcome: Verification) -> str:
    if outcome.first is not None:
        return f"diverges at {outcome.first.position} ({outcome.first.why})"
    if outcome.differences:
        each = outcome.differences[0]
        return f"{each.what} {each.current}"
    return "is compatible" if outcome else outcome.verdict.value
