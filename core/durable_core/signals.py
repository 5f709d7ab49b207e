"""What ends user code from outside of it. All of it passes `except Exception`.

Everything here that asks code to stop is an `asyncio.CancelledError`: `gather`, `TaskGroup` and
`timeout` already know what to do with it, and `finally` blocks run.
"""

from __future__ import annotations

from asyncio import CancelledError
from signal import SIGINT

from durable_core.model import ErrorObject


class InvocationEnding(CancelledError):
    """The invocation is over: suspended, failed or crashed. No operation can be asked for."""


class UnitStopping(CancelledError):
    """The context that the code runs in is complete or short-circuited: its work isn't wanted."""


class ProcessDied(BaseException):
    """The process that ran the invocation is gone: a crash, injected or by the user's exit.

    Nothing can be done about it, so nothing may catch it. `status` is its exit status, `error` what
    ended it where that was an exception of the user's; `timed_out`: it ran into its timeout.
    """

    def __init__(
        self,
        why: str,
        status: int = 1,
        error: ErrorObject | None = None,
        *,
        timed_out: bool = False,
    ) -> None:
        super().__init__(why)
        self.status = status
        self.error = error
        self.timed_out = timed_out


class Overdue(BaseException):
    """The virtual time has come to the invocation's timeout."""


def exit_status(error: BaseException) -> int:
    """Return the exit status of a process whose main program lets this through, negative for the
    signal that Python ends itself with.

    Lambda's runtime for Python answers for an `Exception` only; any other ends its process
    (`awslambdaric` 4.2.2, `bootstrap.handle_event_request`). A SystemExit with a text, which Python
    prints, has status 1.
    """
    if isinstance(error, KeyboardInterrupt):
        return -SIGINT
    if not isinstance(error, SystemExit):
        return 1
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
