"""Decisions in plain words: one sentence for each, wherever it is shown."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from durable_core.decide import ReplayDecision, Verb, decide_unit
from durable_core.events import format_timestamp
from durable_core.explaining.report import Replay
from durable_core.fold import Recorded
from durable_core.limits import LIMITS
from durable_core.model import ErrorObject, Operation, OperationType, UnitStatus
from durable_core.summaries.stripped import ReplayChildrenFact
from durable_core.summaries.values import UnitRun

_LIMIT_TEXT: Final = f"{LIMITS.payload_bytes:,}"


def unit_sentence(run: UnitRun | None, *, hidden: str | None, rebuilt: bool) -> tuple[Replay, str]:
    """Say what a replay does with a unit that a summary freezes (`run` None: it doesn't list it).

    `hidden` is why a replay doesn't get there, `rebuilt` whether its map or parallel is rebuilt.
    """
    if hidden is not None:
        return Replay.NOT_REACHED, hidden
    if run is not None and not run.dispatched:
        return Replay.NOT_DISPATCHED, "never dispatched; its body doesn't run"
    if not rebuilt:
        return Replay.RUNS_AGAIN, "runs again; what is recorded inside answers"
    decision = decide_unit(run.status if run else None, None, None)
    if decision.verb is Verb.SKIP:
        return Replay.SKIPPED, "skipped as Started: its body doesn't run"
    if run is None:
        return Replay.NOT_DISPATCHED, "not in the summary; its body doesn't run"
    if run.status is UnitStatus.FAILED:
        return Replay.ERROR_RECOVERED, "re-executed to recover its error; stays FAILED"
    if run.status is None:
        return Replay.RE_EXECUTED, "re-executed; the summary doesn't say how it ended"
    return Replay.RE_EXECUTED, "re-executed to rebuild its value"


def left_open(decision: ReplayDecision) -> str:
    """Say what of an ended execution is unfinished."""
    if decision.verb is Verb.SUSPEND:
        return "still open when the execution ended; a replay that awaits it suspends there"
    return "unfinished when the execution ended; a replay that reaches it runs it again"


def sentence(
    each: Recorded, decision: ReplayDecision, fact: ReplayChildrenFact | None, *, is_unit: bool
) -> tuple[Replay, str]:
    """Say what a replay does with an operation, as a kind and as a sentence.

    `is_unit`: it is a unit's own CONTEXT in a map or parallel that is rebuilt.
    """
    operation = each.operation
    match decision.verb:
        case Verb.REUSE:
            return Replay.FROM_CHECKPOINT, f"from {'its own ' if is_unit else ''}checkpoint"
        case Verb.RAISE:
            if is_unit:
                text = f"error recovered from its own checkpoint: {error_text(each)}"
                return Replay.ERROR_RECOVERED, text
            if operation.error is None:
                return Replay.RAISES, f"raises: it was {error_text(each)}"
            return Replay.RAISES, f"raises the recorded error {error_text(each)}"
        case Verb.RE_EXECUTE:
            return Replay.RE_EXECUTED, _re_executed(fact)
        case Verb.RUN:
            return Replay.NEXT_ATTEMPT, f"runs attempt {decision.attempt}, which is due"
        case Verb.RUN_AGAIN:
            return Replay.RUNS_AGAIN, _runs_again(operation, decision)
    return Replay.WAITS, waiting_text(each, decision.until)


def _re_executed(fact: ReplayChildrenFact | None) -> str:
    if fact is None or not fact.stripped:
        inferred = " (inferred)" if fact is not None and fact.inferred else ""
        return f"re-executed: {fact.reason if fact is not None else 'ReplayChildren'}{inferred}"
    text = f"re-executed: its result, over {_LIMIT_TEXT} bytes, was stripped"
    return f"{text} (inferred: {fact.reason})" if fact.inferred else text


def _runs_again(operation: Operation, decision: ReplayDecision) -> str:
    if operation.type is OperationType.CONTEXT:
        return "runs again; what is recorded inside answers"
    return (
        f"attempt {decision.attempt} was interrupted and runs again "
        "(with at-most-once semantics it counts as failed)"
    )


def error_text(each: Recorded) -> str:
    """Return an operation's recorded error in a few words."""
    return describe_error(each.operation.error, each.operation.status)


def describe_error(error: ErrorObject | None, status: str) -> str:
    """Return an error in a few words: its type and message, or the status where it has neither."""
    if error is None or not (error.type or error.message):
        return status.replace("_", " ").lower()
    parts = [part for part in (_short_type(error.type), error.message) if part]
    text = ": ".join(parts)
    return text if len(text) <= 300 else f"{text[:297]}..."


def _short_type(name: str | None) -> str | None:
    """Return the class without its module, which AWS's Python SDK writes in front of it.

    The service's own types, such as `Callback.Timeout`, have no module and stay whole.
    """
    module, _, own = (name or "").rpartition(".")
    is_module = all(part.isidentifier() and part.islower() for part in module.split("."))
    return own if is_module and own.isidentifier() else name


def waiting_text(each: Recorded, until: datetime | None) -> str:
    """Return what an open operation waits for, and until when."""
    operation = each.operation
    when = f" until {format_timestamp(until)}" if until is not None else ""
    match operation.type:
        case OperationType.STEP:
            attempt = (operation.step_details.attempt or 0) + 1 if operation.step_details else 2
            return f"waits for attempt {attempt}{when}"
        case OperationType.CALLBACK:
            return f"its id is returned; awaiting it waits for the answer from outside{when}"
        case OperationType.CHAINED_INVOKE:
            return f"waits for {each.function_name or 'the invoked function'} to finish"
    return f"waits{when}"


def duration_text(seconds: float | None) -> str:
    """Return a duration in the unit in which people say it."""
    if seconds is None:
        return ""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.2f} s"
    for unit, factor in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * factor or unit == "min":
            return f"{seconds / factor:,.1f} {unit}"
    return ""
