"""Which body of a step or poll runs here: what it reads is recorded, other reads are not."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

running_body: ContextVar[str | None] = ContextVar("durable_body", default=None)
"""The operation's id and the attempt, `ID/ATTEMPT`; None outside of any body, or DECISION."""
DECISION: Final = "decision"
"""In place of an operation: what a retry strategy or the like decides, which is recorded too."""


def as_body(function: Callable[P, T]) -> Callable[P, T]:
    """Return a function whose reads are taken for those of a body: what it decides is recorded."""

    def called(*args: P.args, **keywords: P.kwargs) -> T:
        token = running_body.set(DECISION)
        try:
            return function(*args, **keywords)
        finally:
            running_body.reset(token)

    return called
