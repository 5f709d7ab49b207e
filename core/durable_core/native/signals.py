"""What ends user code from outside of it. All of it passes `except Exception`.

Everything here that asks code to stop is an `asyncio.CancelledError`: `gather`, `TaskGroup` and
`timeout` already know what to do with it, and `finally` blocks run.
"""

from __future__ import annotations

from asyncio import CancelledError


class InvocationEnding(CancelledError):
    """The invocation is over: suspended, failed or crashed. No operation can be asked for."""


class UnitStopping(CancelledError):
    """The context that the code runs in is complete or short-circuited: its work isn't wanted."""


class ProcessDied(BaseException):
    """The process that ran the invocation is gone: a crash, injected or by the user's exit.

    Nothing can be done about it, so nothing may catch it. `status` is its exit status.
    """

    def __init__(self, why: str, status: int = 1) -> None:
        super().__init__(why)
        self.status = status


def exit_status(error: SystemExit) -> int:
    """Return the exit status of a process that this ends: 1 for a text, which it would print."""
    if error.code is None:
        return 0
    return error.code & 0xFF if isinstance(error.code, int) else 1


class CheckpointFailed(BaseException):
    """A checkpoint could not be persisted, so nothing that follows could be either.

    `cause` is the error that the invocation ends with.
    """

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause
