"""What one context recorded, and what its code asked for in a run: the values that are compared.
Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

from durable_core.ids import Path
from durable_core.values import dataclass
from durable_core.verifying.matching import Fit
from durable_core.verifying.verification import CodeLine, Identity


class Outcome(Enum):
    """How the body of a context ended in this run."""

    RETURNED = auto()
    RAISED = auto()
    SUSPENDED = auto()
    NOT_RUN = auto()


class Handled(NamedTuple):
    """An error that code of the handler's own raised, and was handling when it asked: in words."""

    error: str
    traceback: str
    where: CodeLine | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """An operation that the code asked for. `moment` orders what happened in a run.

    `took_from` is the context around, when the operation is a new context in which recorded
    operations of that context are asked for (they were moved in); `out_of` the recorded context
    that this operation was found in (it was moved out). `handled`: it is asked for while an error
    of the code's own is handled.
    """

    identity: Identity
    where: CodeLine | None = None
    moment: int = 0
    fit: Fit = Fit.EXACT
    took_from: bool = False
    out_of: Identity | None = None
    handled: Handled | None = None


@dataclass(frozen=True, slots=True)
class ContextRun:
    """What one context recorded, and what its code asked for in this run.

    `numbers` of operations count from `first`. `is_open`: what comes after the recorded operations
    is new, since the context hasn't ended. `has_succeeded`: it recorded that it succeeded.
    """

    path: Path
    label: str
    recorded: Sequence[Identity | None]
    statuses: Sequence[str | None]
    asked: Sequence[Asked]
    outcome: Outcome
    is_open: bool = False
    has_succeeded: bool = False
    ended_at: int = 0
    error: str | None = None
    traceback: str | None = None
    raised_where: CodeLine | None = None
    escapes: bool = False
    is_exact: bool = True
    """False where the recorded operations may not be all that there were."""
