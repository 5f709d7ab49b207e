"""What handler code of the native runtime can catch, named as in AWS's Python SDK 3.0.0.

An operation that failed raises its own class (`StepError`, `InvokeError`, ...), rebuilt from the
recorded error on the first run too, so that a replay raises the very same. What ends the whole
invocation or execution is in two families: `ExecutionError` (the execution is FAILED, never
retried) and `InvocationError` (the invocation fails and the service invokes again).
"""

from __future__ import annotations

import json
from typing import Final, NoReturn

from durable_core.limits import LIMITS
from durable_core.model import ErrorObject
from durable_core.safe_text import plain


class DurableExecutionsError(Exception):
    """Base of everything here."""


class ValidationError(DurableExecutionsError):
    """Arguments that an operation can't have. Nothing was recorded."""


class UnrecoverableError(DurableExecutionsError):
    """Base of what ends the invocation whatever the handler does about it."""


class ExecutionError(UnrecoverableError):
    """The execution is FAILED and not retried."""


class NonDeterministicExecutionError(ExecutionError):
    """The code asks for something else than what is recorded. `step_id` is the operation."""

    def __init__(self, message: str, step_id: str | None = None) -> None:
        super().__init__(message)
        self.step_id = step_id


class CheckpointError(ExecutionError):
    """The service refused a checkpoint for good. `code` is the service's error type."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class InvocationError(UnrecoverableError):
    """The invocation fails and the service invokes again."""


class StepInterruptedError(InvocationError):
    """An at-most-once attempt was cut off before it could be recorded."""

    def __init__(self, message: str, step_id: str | None = None) -> None:
        super().__init__(message)
        self.step_id = step_id


class RetryableSerDesError(InvocationError):
    """A value could not be written or read now; the invocation is retried."""


class _Failure(DurableExecutionsError):
    def __init__(
        self,
        message: str | None = None,
        error_type: str | None = None,
        data: str | None = None,
        stack_trace: list[str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.error_type = error_type or _qualified_name(type(self))
        self.data = data
        self.stack_trace = stack_trace


class SerDesError(_Failure):
    """A value can't be written or read: permanent, so a step isn't retried for it."""


class DurableOperationError(_Failure):
    """Base of the failures of one operation.

    `error_type` names the error that escaped the operation (`ValueError`), not this class, and
    `__cause__` is a stand-in rebuilt from what is recorded, never the original object.
    """


class StepError(DurableOperationError):
    """A step failed for good."""


class InvokeError(DurableOperationError):
    """A chained invoke failed, timed out or was stopped."""


class ChildContextError(DurableOperationError):
    """The body of a child context raised."""


class WaitForConditionError(DurableOperationError):
    """The check raised, or the attempts ran out."""


class CallbackError(DurableOperationError):
    """Base of the failures of a callback."""


class CallbackExternalError(CallbackError):
    """The outside answered with a failure."""


class CallbackTimeoutError(CallbackError):
    """Nobody answered in time, or heartbeats stopped."""


class CallbackSubmitterError(CallbackError):
    """The submitter of a wait_for_callback failed."""


class BatchCompletionError(DurableOperationError):
    """A map or parallel whose own predicate completed it as failed, without any failed unit."""


def _qualified_name(kind: type) -> str:
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


_OPERATION_ERRORS: Final = {
    _qualified_name(kind): kind
    for kind in (
        StepError,
        InvokeError,
        ChildContextError,
        WaitForConditionError,
        CallbackError,
        CallbackExternalError,
        CallbackTimeoutError,
        CallbackSubmitterError,
        BatchCompletionError,
    )
}
_SERDES: Final = _qualified_name(SerDesError)

_CUT: Final = " ... (cut: an error takes at most 32,768 bytes)"
_FRAME: Final = 96  # the names of the four fields, quotes and separators


def error_object(error: BaseException) -> ErrorObject:
    """Return an exception as the service stores it, cut to what the service takes.

    The type is the qualified class name, built-in classes unqualified.
    """
    if isinstance(error, SerDesError):
        return _fitted(_fields(error, _SERDES))
    if isinstance(error, DurableOperationError):
        return _fitted(_fields(error, _qualified_name(type(error))))
    return _fitted(ErrorObject(message=_text(error), type=_qualified_name(type(error))))


def escaped(error: BaseException) -> ErrorObject | None:
    """Return what ended a process, for a report; None for a SystemExit, whose status says it."""
    return None if isinstance(error, SystemExit) else error_object(error)


def _text(error: BaseException) -> str:
    try:
        return plain(str(error))
    except BaseException:
        return f"<{type(error).__name__} whose text can't be had>"


def _fields(error: _Failure, kind: str) -> ErrorObject:
    trace = tuple(error.stack_trace) if error.stack_trace is not None else None
    return ErrorObject(error.message, kind, error.data, trace)


def _fitted(error: ErrorObject) -> ErrorObject:
    """Cut an error that is over the limit: its trace and data go first, then the message's end."""
    if _json_bytes(error) <= LIMITS.error_bytes:
        return error
    error = ErrorObject(error.message, error.type)
    if error.message is None or _json_bytes(error) <= LIMITS.error_bytes:
        return error
    # A character takes at most 12 bytes of JSON (a pair of surrogates), so this many always fit.
    room = (LIMITS.error_bytes - 2048) // 12
    return ErrorObject(error.message[:room] + _CUT, error.type)


def _json_bytes(error: ErrorObject) -> int:
    texts = (error.message, error.type, error.data, error.stack_trace)
    return len(json.dumps(texts)) + _FRAME


def raise_recorded(error: ErrorObject | None, kind: type[DurableOperationError]) -> NoReturn:
    """Raise the failure of an operation from its recorded error, on the first run as on a replay.

    A value that could not be written or read raises SerDesError whichever the operation is.
    """
    recorded = error or ErrorObject()
    if recorded.type == _SERDES:
        raise SerDesError(*_arguments(recorded)) from _stand_in(recorded)
    raise kind(*_arguments(recorded)) from _stand_in(recorded)


def _arguments(
    error: ErrorObject,
) -> tuple[str | None, str | None, str | None, list[str] | None]:
    trace = list(error.stack_trace) if error.stack_trace is not None else None
    return error.message, error.type, error.data, trace


def _stand_in(error: ErrorObject) -> DurableOperationError:
    kind = _OPERATION_ERRORS.get(error.type or "", DurableOperationError)
    return kind(*_arguments(error))
