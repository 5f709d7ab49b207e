"""A child context: a function with operations of its own, whose result is recorded or rebuilt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from durable_core.decide import Verb
from durable_core.exceptions import (
    ChildContextError,
    ExecutionError,
    InvocationError,
    error_object,
    raise_recorded,
)
from durable_core.frozen import dataclass
from durable_core.model import ErrorObject, OperationAction
from durable_core.native.call import Call
from durable_core.native.config import SummaryGenerator
from durable_core.native.execution import Scope
from durable_core.native.journal import Activity
from durable_core.native.serdes import SerDes
from durable_core.sizes import utf8_bytes

Body = Callable[[Scope], Awaitable[Any]]
"""Runs what the user wrote, in a context made on the scope."""


@dataclass(frozen=True, slots=True)
class Completed:
    """What a context came to: the value, and the payload that stands for it, whole (None where
    the context around it is only rebuilt: nothing is written then)."""

    value: Any
    payload: str | None


@dataclass(frozen=True, slots=True)
class ChildOptions:
    """How a context's result is written. `virtual`: it has no CONTEXT operation."""

    serdes: SerDes[Any] | None = None
    summarize: SummaryGenerator | None = None
    virtual: bool = False


async def child(call: Call, body: Body, options: ChildOptions) -> Completed:
    """Return what the body returned, or raise ChildContextError or SerDesError."""
    if options.virtual:
        return await _virtual(call, body, options)
    while True:
        decision = call.decide()
        recorded = call.recorded
        match decision.verb:
            case Verb.REUSE:
                payload = recorded.result if recorded else None
                return Completed(call.to_value(options.serdes, payload), payload)
            case Verb.RAISE:
                raise_recorded(recorded.error if recorded else None, ChildContextError)
            case Verb.SUSPEND:
                await call.park(decision)
            case Verb.RE_EXECUTE:
                return await _rebuild(call, body, options)
            case _:
                if decision.verb is Verb.RUN:
                    call.send(OperationAction.START)
                return await _live(call, body, options)


async def _live(call: Call, body: Body, options: ChildOptions) -> Completed:
    call.note(Activity.RAN)
    try:
        raw, completed = await _run(call, body, options, rebuilding=False)
        payload, stripped = _recorded_form(call, raw, completed.payload, options)
    except (ExecutionError, InvocationError):
        raise
    except Exception as error:
        await fail(call, error_object(error))
    await succeed(call, payload, stripped=stripped)
    return completed


async def _rebuild(call: Call, body: Body, options: ChildOptions) -> Completed:
    """Run the body of a complete context for its value. Whatever it does, nothing is written."""
    call.note(Activity.RE_EXECUTED)
    try:
        _, completed = await _run(call, body, options, rebuilding=True)
    except (ExecutionError, InvocationError):
        raise
    except Exception as error:
        now = error_object(error)
        message = (
            f"{call.label} had succeeded; run again to rebuild its result, which was too large to "
            f"be stored, its body raised {now.type}: {now.message}"
        )
        raise_recorded(ErrorObject(message, now.type, now.data), ChildContextError)
    return completed


async def _virtual(call: Call, body: Body, options: ChildOptions) -> Completed:
    if call.recorded is not None:
        raise call.diverged(
            "recorded as a context of its own, but the code asks for one that isn't recorded "
            "(FLAT, or virtual)"
        )
    call.note(Activity.RE_EXECUTED if call.scope.rebuilding else Activity.RAN)
    try:
        _, completed = await _run(call, body, options, rebuilding=False)
    except (ExecutionError, InvocationError):
        raise
    except Exception as error:
        raise_recorded(error_object(error), ChildContextError)
    return completed


async def _run(
    call: Call, body: Body, options: ChildOptions, *, rebuilding: bool
) -> tuple[Any, Completed]:
    """Run the body in a scope of its own; return its raw result, and the same after its way
    through the serdes, which is what a replay will return."""
    scope = Scope(call.scope, rebuilding=rebuilding)
    try:
        raw = await body(scope)
    finally:
        await scope.close()
    payload, value = call.round_trip(options.serdes, raw)
    return raw, Completed(value, None if call.scope.rebuilding else payload)


def _recorded_form(
    call: Call, raw: Any, payload: str | None, options: ChildOptions
) -> tuple[str | None, bool]:
    """Return the payload that is stored, and whether the result was stripped."""
    limit = call.execution.limits.payload_bytes
    if payload is None or (size := utf8_bytes(payload)) <= limit:
        return payload, False
    call.note(Activity.STRIPPED, size=size)
    if options.summarize is None:
        return "", True
    summary = options.summarize(raw)
    return (summary if utf8_bytes(summary) <= limit else ""), True


async def succeed(call: Call, payload: str | None, *, stripped: bool) -> None:
    """Write SUCCEED of a context; stripped, its children are kept to rebuild the result."""
    await call.persist(
        OperationAction.SUCCEED, payload=payload, replay_children=True if stripped else None
    )


async def fail(call: Call, error: ErrorObject) -> NoReturn:
    """Write FAIL of a context, and raise what a replay will raise."""
    await call.persist(OperationAction.FAIL, error=error)
    raise_recorded(error, ChildContextError)
