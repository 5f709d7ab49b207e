"""The heart: what a replay does with one operation, given what is recorded and what is asked.

`decide` is the single replay rule, for the native runtime, for the verifier and for the
explanation of a history without its code. It is pure: a `ReplayDecision` says what should happen
and nothing happens. It is complete over type x status x ReplayChildren x what is asked; a recorded
status that the service never writes for a type is an `ImpossibleOperation`.

Sources: design section 1; the `operation/*.py` executors of AWS's Python SDK 3.0.0.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from durable_core.errors import ImpossibleOperation
from durable_core.frozen import dataclass
from durable_core.model import (
    Operation,
    OperationStatus,
    OperationType,
    SubType,
    UnitStatus,
    Word,
)
from durable_core.transitions import STATUSES


class Verb(Word):
    """What is to happen with an operation."""

    RUN = "run"
    """Nothing is recorded: it runs for the first time, or its next attempt is due."""
    RUN_AGAIN = "run-again"
    """It was interrupted: its body runs once more, recorded operations inside answer."""
    REUSE = "reuse"
    """The recorded result is returned."""
    RAISE = "raise"
    """The recorded error is raised."""
    RE_EXECUTE = "re-execute"
    """It is finished, but its value was stripped: the body runs to rebuild it; never written."""
    SKIP = "skip"
    """A unit frozen as STARTED: its body doesn't run."""
    INTERRUPTED = "interrupted"
    """An at-most-once attempt was cut off: it counts as failed, the body doesn't run."""
    SUSPEND = "suspend"
    """Nothing can go on here until the service changes the operation."""
    DIVERGE = "diverge"
    """The code asks for something else than what is recorded."""


class Want(Word):
    """What the code does with an operation that it names."""

    OPERATION = "operation"
    """Run it, or have its outcome. What every operation but a callback is asked."""
    CALLBACK_ID = "callback-id"
    """Create a callback: its id is wanted, not its outcome."""
    AT_MOST_ONCE = "at-most-once"
    """Run a step whose body must not run twice for one attempt."""


@dataclass(frozen=True, slots=True)
class AskedOperation:
    """What the code asks for at one position.

    `parent_id` and `name` are compared as they are; pass `check=False` to ask without identity
    (the explanation of a history does: there is no code to compare with).
    """

    type: OperationType
    sub_type: str | None = None
    name: str | None = None
    parent_id: str | None = None
    want: Want = Want.OPERATION
    check: bool = True


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One field of an operation's identity that differs: recorded against asked."""

    field: str
    recorded: str | None
    current: str | None


@dataclass(frozen=True, slots=True)
class ReplayDecision:
    """What is to happen with an operation.

    `until` is when a suspended operation goes on by itself (None: on an answer from outside, or
    unknown), `attempt` the number of the attempt that runs (from 1), `mismatches` why it diverges.
    """

    verb: Verb
    until: datetime | None = None
    attempt: int | None = None
    mismatches: tuple[Mismatch, ...] = ()


_REUSE: Final = ReplayDecision(Verb.REUSE)


def decide(
    recorded: Operation | None, asked: AskedOperation, *, replay_children: bool = False
) -> ReplayDecision:
    """Return what a replay does with an operation.

    `recorded` is what the state holds at the position (None: nothing), `replay_children` whether
    the context is to be rebuilt (explicit or inferred: see `summaries.stripped`). Raises
    ImpossibleOperation for a state that the service never writes, and for asking for an EXECUTION,
    which no code can.
    """
    if asked.type is OperationType.EXECUTION:
        raise ImpossibleOperation("?", "code can't ask for an EXECUTION operation")
    if asked.want not in _WANTS[asked.type]:
        raise ImpossibleOperation("?", f"{asked.type} can't be asked for as {asked.want}")
    if recorded is None:
        return ReplayDecision(Verb.RUN, attempt=1 if asked.type is OperationType.STEP else None)
    mismatches = compare(recorded, asked)
    if mismatches:
        return ReplayDecision(Verb.DIVERGE, mismatches=mismatches)
    if recorded.status not in STATUSES[recorded.type]:
        raise ImpossibleOperation(
            recorded.id, f"a {recorded.type} operation can't be {recorded.status}"
        )
    return _RULES[recorded.type](recorded, asked, replay_children)


def compare(recorded: Operation, asked: AskedOperation) -> tuple[Mismatch, ...]:
    """Return where the recorded operation's identity differs from what is asked.

    An absent name, sub-type or parent and an empty one are the same, and so are the two sub-types
    that the .NET SDK has given to a unit of a map. The type is always compared, the rest only when
    `asked.check`.
    """
    if not asked.check and recorded.type is asked.type:
        return ()
    pairs: list[tuple[str, str | None, str | None]] = [("type", recorded.type, asked.type)]
    if asked.check:
        pairs += [
            ("sub-type", _current(recorded.sub_type), _current(asked.sub_type)),
            ("name", recorded.name, asked.name),
            ("parent", recorded.parent_id, asked.parent_id),
        ]
    return tuple(
        Mismatch(field, before, now)
        for field, before, now in pairs
        if (before or None) != (now or None)
    )


def _current(sub_type: str | None) -> str | None:
    """Return a sub-type as it is written today."""
    return SubType.MAP_ITERATION if sub_type == SubType.MAP_ITEM else sub_type


def decide_unit(
    frozen: UnitStatus | None, recorded_name: str | None, name: str | None
) -> ReplayDecision:
    """Return what a replay of a stripped map or parallel does with one unit.

    `frozen` is the status in the summary (None: the summary doesn't tell how it ended), which is
    the authority: a unit frozen STARTED never runs. A name that differs from the recorded one
    diverges before any body runs, for STARTED units too; without a recorded name nothing is
    compared.
    """
    if recorded_name is not None and recorded_name != (name or ""):
        return ReplayDecision(
            Verb.DIVERGE, mismatches=(Mismatch("unit name", recorded_name, name),)
        )
    if frozen is UnitStatus.STARTED:
        return ReplayDecision(Verb.SKIP)
    return ReplayDecision(Verb.RE_EXECUTE)


def _step(recorded: Operation, asked: AskedOperation, _: bool) -> ReplayDecision:
    details = recorded.step_details
    attempt = ((details.attempt if details else None) or 0) + 1
    match recorded.status:
        case OperationStatus.SUCCEEDED:
            return _REUSE
        case OperationStatus.PENDING:
            until = details.next_attempt_timestamp if details else None
            return ReplayDecision(Verb.SUSPEND, until=until, attempt=attempt)
        case OperationStatus.READY:
            return ReplayDecision(Verb.RUN, attempt=attempt)
        case OperationStatus.STARTED:
            once = asked.want is Want.AT_MOST_ONCE
            return ReplayDecision(Verb.INTERRUPTED if once else Verb.RUN_AGAIN, attempt=attempt)
    return ReplayDecision(Verb.RAISE)


def _context(recorded: Operation, _: AskedOperation, replay_children: bool) -> ReplayDecision:
    match recorded.status:
        case OperationStatus.STARTED:
            return ReplayDecision(Verb.RUN_AGAIN)
        case OperationStatus.SUCCEEDED:
            return ReplayDecision(Verb.RE_EXECUTE if replay_children else Verb.REUSE)
    return ReplayDecision(Verb.RAISE)


def _wait(recorded: Operation, _: AskedOperation, __: bool) -> ReplayDecision:
    match recorded.status:
        case OperationStatus.SUCCEEDED:
            return _REUSE
        case OperationStatus.CANCELLED:
            return ReplayDecision(Verb.RAISE)
    details = recorded.wait_details
    return ReplayDecision(Verb.SUSPEND, until=details.scheduled_end_timestamp if details else None)


def _answer(recorded: Operation, asked: AskedOperation, _: bool) -> ReplayDecision:
    """Decide for what is answered from outside: a callback or a chained invoke."""
    if asked.want is Want.CALLBACK_ID or recorded.status is OperationStatus.SUCCEEDED:
        return _REUSE
    if recorded.is_terminal:
        return ReplayDecision(Verb.RAISE)
    return ReplayDecision(Verb.SUSPEND)


_RULES: Final = {
    OperationType.STEP: _step,
    OperationType.CONTEXT: _context,
    OperationType.WAIT: _wait,
    OperationType.CALLBACK: _answer,
    OperationType.CHAINED_INVOKE: _answer,
}

_ONLY: Final = frozenset({Want.OPERATION})
_WANTS: Final = {
    OperationType.STEP: frozenset({Want.OPERATION, Want.AT_MOST_ONCE}),
    OperationType.CALLBACK: frozenset({Want.OPERATION, Want.CALLBACK_ID}),
    OperationType.CONTEXT: _ONLY,
    OperationType.WAIT: _ONLY,
    OperationType.CHAINED_INVOKE: _ONLY,
}
