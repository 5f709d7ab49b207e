"""What can be wrong with the handler that a user named, told apart."""

from __future__ import annotations

from durable_core.errors import DurableError, printable


class HandlerError(DurableError):
    """The handler that the user named can't be had. The user's code or call is to blame.

    `spec` is what the user wrote, `traceback` the user's frames where code of theirs raised.
    """

    def __init__(self, spec: str, problem: str, traceback: str | None = None) -> None:
        super().__init__(spec, problem)
        self.spec = spec
        self.problem = problem
        self.traceback = traceback

    def __str__(self) -> str:
        return printable(f"{self.spec}: {self.problem}")


class BadSpec(HandlerError):
    """The handler's name has no function in it."""


class ModuleMissing(HandlerError):
    """There is no such module."""


class ImportMissing(HandlerError):
    """The module is there, but something that it imports isn't."""


class ImportFailed(HandlerError):
    """The module raises while it is imported."""


class FunctionMissing(HandlerError):
    """The module has no such function."""


class NotAHandler(HandlerError):
    """The module has that name, but it is no handler, or none of the kind that is needed."""
