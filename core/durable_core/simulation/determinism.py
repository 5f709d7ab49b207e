"""Whether a handler asks for the same operations whatever it reads outside of steps.

Pure: two runs are compared by what they asked of the service. What a step returns is recorded and
never read again, so it may differ; everything that code outside of steps decides may not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Final

from durable_core.excerpts import excerpts
from durable_core.frozen import dataclass
from durable_core.given import OPERATION, Given, GivenDifference, given_difference
from durable_core.model import (
    CheckpointRequest,
    OperationAction,
    OperationType,
    OperationUpdate,
)
from durable_core.positions import label_of, locate, places_of
from durable_core.sandbox.sources import ORDERS, NondeterministicRead, Source
from durable_core.simulation.crash_runs import SHOWN
from durable_core.simulation.outcome import Simulation


@dataclass(frozen=True, slots=True)
class AskedInRun:
    """All that a run asked of one operation. What it `said` is whole, for a sentence on where it
    differs."""

    id: str
    label: str
    identity: tuple[tuple[str, str | None], ...]
    said: tuple[tuple[str, str], ...]
    own_result: str | None = None
    """A digest of what the body of a step returned or raised."""
    own_shown: str = field(default="", compare=False)
    """It as text; not known of a run of another process."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a run came to, as far as another has to come to the same."""

    operations: tuple[AskedInRun, ...]
    status: str
    result: str | None
    error: str | None
    reads: tuple[NondeterministicRead, ...] = ()
    given: Given = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunDifference:
    """Where a run departs from the first one. `operation` None: all operations are the same, the
    execution's end isn't. `fed_by` are the sources that make the difference by themselves, `reads`
    the places that read them. `given`: the operations are the same, what some are given isn't."""

    run: int
    operation: str | None
    how: str
    fed_by: tuple[Source, ...] = ()
    reads: tuple[NondeterministicRead, ...] = ()
    given: GivenDifference | None = None

    @property
    def is_harmless(self) -> bool:
        """True where operations are given other values, but no order of them decides which."""
        if self.given is None:
            return False
        by_order = bool(self.fed_by) and ORDERS.issuperset(self.fed_by)
        return not self.given.is_exchanged and not (by_order and len(self.given.keys) > 1)


@dataclass(frozen=True, slots=True)
class DeterminismReport:
    """What came of the runs. `warnings` are differences that no replay stumbles over: a step is
    given another value, which is recorded with what it came to. `unclear` are sentences on what
    could not be compared."""

    runs: int
    differences: tuple[RunDifference, ...] = ()
    unclear: tuple[str, ...] = ()
    warnings: tuple[RunDifference, ...] = ()


# -- what a run asked for ----------------------------------------------------------------------


def fingerprint(
    simulation: Simulation, reads: Sequence[NondeterministicRead] = (), given: Given | None = None
) -> Fingerprint:
    """Return what a run asked for, in the order in which operations were first asked for."""
    updates: dict[str, list[OperationUpdate]] = {}
    for request in simulation.updates:
        for update in request.updates:
            updates.setdefault(update.id, []).append(update)
    located = locate(places_of(each[0] for each in updates.values()))
    error = simulation.error
    return Fingerprint(
        operations=tuple(_asked(each, located.text(key) or key) for key, each in updates.items()),
        status=simulation.status.value,
        result=simulation.result,
        error=None if error is None else str(error),
        reads=tuple(reads),
        given=given or {},
    )


def _asked(updates: Sequence[OperationUpdate], position: str) -> AskedInRun:
    first = updates[0]
    identity = (
        ("type", first.type.value),
        ("sub-type", first.sub_type),
        ("name", first.name),
        ("parent", first.parent_id),
    )
    is_step = first.type is OperationType.STEP
    said = [pair for update in updates for pair in _said(update, is_step)]
    results = [
        (update.action.value, update.payload, str(update.error)) for update in updates if is_step
    ]
    return AskedInRun(
        id=first.id,
        label=f"{label_of(first)} ({position})",
        identity=identity,
        said=tuple(said),
        own_result=_digest(repr(results)) if is_step else None,
        own_shown=_last_end(updates) if is_step else "",
    )


def _last_end(updates: Sequence[OperationUpdate]) -> str:
    last = updates[-1]
    return last.payload or "nothing" if last.error is None else str(last.error)


def _said(update: OperationUpdate, is_step: bool) -> Iterator[tuple[str, str]]:
    """Yield what code outside of steps decided of an update, by name."""
    begins = update.action is OperationAction.START
    invoke = update.chained_invoke
    named = (
        ("input" if begins else "result", None if is_step else update.payload),
        ("error", None if is_step or update.error is None else str(update.error)),
        ("wait", _text(update.wait_seconds)),
        ("function", None if invoke is None else invoke.function_name),
        ("callback timeout", _text(update.callback_timeout_seconds)),
        ("callback heartbeat", _text(update.callback_heartbeat_seconds)),
        ("large result", "stripped" if update.replay_children else None),
    )
    yield from ((key, value) for key, value in named if value is not None)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


# -- comparing ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unclear:
    """What follows can't be compared, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Departure:
    """What isn't the same in another run. `operation` is its label; None: the end of the
    execution. `in_body`: what the body of a step came to; `in_outcome`: nothing but what an
    operation came to."""

    id: str | None
    operation: str | None
    how: str
    in_body: bool = False
    in_outcome: bool = False


def compare(first: Fingerprint, other: Fingerprint, run: int) -> RunDifference | Unclear | None:
    """Return where another run departs from the first one, or None where it doesn't, or where
    `compare_given` tells: what follows then isn't compared."""
    found = next(departures(first, other), None)
    if found is None:
        return None
    if found.in_body and found.id is not None:
        if _is_given_otherwise(first, other, found.id):
            return None
        return Unclear(
            f"the body of {found.operation} came to something else in run {run}: it reads what "
            "isn't controlled here, and what follows from it isn't compared"
        )
    if found.in_outcome and given_difference(first.given, other.given):
        return None
    return RunDifference(run, found.operation, found.how)


def departures(first: Fingerprint, other: Fingerprint) -> Iterator[Departure]:
    """Yield where another run departs from the first one, in the order in which that one asked for
    operations; last the end of the execution."""
    theirs = {each.id: each for each in other.operations}
    for ours in first.operations:
        found = theirs.get(ours.id)
        if found is None:
            yield Departure(ours.id, ours.label, _missing(other, "it wasn't asked for"))
        elif how := _departure(ours, found):
            in_outcome = _differ_in_outcome(ours, found)
            yield Departure(ours.id, ours.label, how, in_outcome=in_outcome)
        elif ours.own_result != found.own_result:
            now, before = excerpts(found.own_shown, ours.own_shown, SHOWN)
            differs = f"its result was {now}, and {before} in the first run"
            yield Departure(ours.id, ours.label, differs, in_body=True)
    known = {each.id for each in first.operations}
    for found in other.operations:
        if found.id not in known:
            yield Departure(found.id, found.label, "it was asked for, and wasn't in the first run")
    if (first.status, first.error) != (other.status, other.error):
        yield Departure(None, None, _missing(other, f"it ended {other.status}"))
    elif first.result != other.result:
        now, before = excerpts(other.result, first.result, SHOWN)
        yield Departure(None, None, f"the result is {now or 'nothing'}, not {before or 'nothing'}")


def compare_given(first: Fingerprint, other: Fingerprint, run: int) -> RunDifference | None:
    """Return what operations are given that both runs asked for, where it isn't the same."""
    found = given_difference(first.given, other.given)
    if found is None:
        return None
    labels = {each.id: each.label for each in first.operations}
    operation, unit = found.keys[0]
    label = labels.get(operation, "an operation")
    label = label if unit == OPERATION else f"unit {unit} of {label}"
    more = len(found.keys) - 1
    how = "it is given something else than in the first run"
    if more:
        how += f", as {'is 1 more operation' if more == 1 else f'are {more:,} more operations'}"
    if found.is_exchanged:
        how += ": one is given what another one is given there"
    return RunDifference(run, label, how, given=found)


_OUTCOME: Final = ("result", "error")


def _differ_in_outcome(ours: AskedInRun, found: AskedInRun) -> bool:
    """Return True where nothing but what an operation came to differs."""
    asked, other = (
        [pair for pair in each.said if pair[0] not in _OUTCOME] for each in (ours, found)
    )
    return (ours.identity, asked) == (found.identity, other)


def _is_given_otherwise(first: Fingerprint, other: Fingerprint, operation: str) -> bool:
    key = (operation, OPERATION)
    return first.given.get(key) != other.given.get(key)


def _missing(other: Fingerprint, how: str) -> str:
    return how if other.error is None else f"{how}: {other.error}"


def _departure(ours: AskedInRun, found: AskedInRun) -> str | None:
    for (what, mine), (_, other) in zip(ours.identity, found.identity, strict=True):
        if mine != other:
            now, before = excerpts(repr(other), repr(mine), SHOWN)
            return f"its {what} was {now}, and {before} in the first run"
    if ours.said == found.said:
        return None
    mine_said, other_said = dict(ours.said), dict(found.said)
    for key in (*mine_said, *other_said):
        if mine_said.get(key) != other_said.get(key):
            now, before = excerpts(other_said.get(key), mine_said.get(key), SHOWN)
            now, before = now or "nothing", before or "nothing"
            return f"its {key} was {now}, and {before} in the first run"
    return "it was asked for otherwise than in the first run"


# -- what steps came to ------------------------------------------------------------------------

StepEnds = Mapping[tuple[str, int], OperationUpdate]
"""How each attempt of each step and poll ended, by id and attempt."""

_ENDS: Final = (OperationAction.SUCCEED, OperationAction.FAIL, OperationAction.RETRY)


def step_ends(requests: Sequence[CheckpointRequest]) -> dict[tuple[str, int], OperationUpdate]:
    """Return how attempts ended in a run, so that another run need not run their bodies."""
    ends: dict[tuple[str, int], OperationUpdate] = {}
    attempts: dict[str, int] = {}
    for request in requests:
        for update in request.updates:
            if update.type is OperationType.STEP and update.action in _ENDS:
                attempt = attempts[update.id] = attempts.get(update.id, 0) + 1
                ends[update.id, attempt] = update
    return ends


# -- between processes -------------------------------------------------------------------------


def fingerprint_to_json(value: Fingerprint) -> dict[str, Any]:
    """Return a fingerprint as a JSON object."""
    return {
        "operations": [
            [each.id, each.label, each.identity, each.said, each.own_result]
            for each in value.operations
        ],
        "status": value.status,
        "result": value.result,
        "error": value.error,
        "reads": [[each.source, each.function, each.file, each.line] for each in value.reads],
        "given": [[*key, digest] for key, digest in value.given.items()],
    }


def fingerprint_from_json(raw: Mapping[str, Any]) -> Fingerprint:
    """Return the fingerprint that `fingerprint_to_json` wrote."""
    return Fingerprint(
        operations=tuple(
            AskedInRun(
                key,
                label,
                tuple((field, value) for field, value in identity),
                tuple((field, value) for field, value in said),
                own,
            )
            for key, label, identity, said, own in raw["operations"]
        ),
        status=raw["status"],
        result=raw["result"],
        error=raw["error"],
        reads=tuple(NondeterministicRead(Source(each[0]), *each[1:]) for each in raw["reads"]),
        given={(key, unit): digest for key, unit, digest in raw["given"]},
    )
