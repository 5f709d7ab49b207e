"""What one run of a handler asks for, context by context, and what answers it: the values.

What fills them is `session`. Pure.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import field
from enum import Enum, auto
from types import TracebackType
from typing import Any, NamedTuple

from durable_core.fold import Recorded
from durable_core.frozen import dataclass
from durable_core.ids import Path
from durable_core.model import CompletionReason, UnitStatus
from durable_core.raised import format_exception
from durable_core.sandbox.user_code import CodeLine, is_runtimes, raising_line, users_traceback
from durable_core.verifying.matching import Alignment, Fit
from durable_core.verifying.recorded_tree import Node, identity_of
from durable_core.verifying.verification import Identity, line_at


class BodyEnd(Enum):
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


def handled_error() -> Handled | None:
    """Return the error that the running code handles now, where its own code raised it; None: it
    handles none, or what a recorded operation raised."""
    error = sys.exception()
    if error is None or not _is_codes_own(error):
        return None
    return Handled(
        format_exception(error), users_traceback(error, chained=False).rstrip(), raising_line(error)
    )


def _is_codes_own(error: BaseException) -> bool:
    """Return True for an error that neither came of an operation nor was made from one that did."""
    at: TracebackType | None = error.__traceback__
    innermost = None
    while at is not None:
        innermost, at = at.tb_frame.f_code.co_filename, at.tb_next
    if innermost is None or is_runtimes(innermost):
        return False
    return error.__cause__ is None or _is_codes_own(error.__cause__)


@dataclass(frozen=True, slots=True)
class RequestedOperation:
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
class ContextComparison:
    """What one context recorded, and what its code asked for in this run.

    `numbers` of operations count from `first`. `is_open`: what comes after the recorded operations
    is new, since the context hasn't ended. `has_succeeded`: it recorded that it succeeded.
    """

    path: Path
    label: str
    recorded: Sequence[Identity | None]
    statuses: Sequence[str | None]
    asked: Sequence[RequestedOperation]
    outcome: BodyEnd
    is_open: bool = False
    has_succeeded: bool = False
    ended_at: int = 0
    error: str | None = None
    traceback: str | None = None
    raised_where: CodeLine | None = None
    escapes: bool = False
    is_exact: bool = True
    """False where the recorded operations may not be all that there were."""


@dataclass(frozen=True, slots=True)
class Handed:
    """What an operation gives to the code that it runs, and what to that of each of its units."""

    values: tuple[object, ...]
    units: Sequence[object] = ()


@dataclass(slots=True)
class ContextTrace:
    """A context in this run. `identity` None: the handler. `node` is what is recorded of it; None:
    it is new.

    A new context is only followed after a divergence; `host` then is the context around, whose
    recorded operations may have moved into it. `where` is the line that asked for it.
    """

    path: Path
    identity: Identity | None
    node: Node | None
    is_open: bool
    has_succeeded: bool = False
    is_exact: bool = True
    where: CodeLine | None = None
    host: ContextTrace | None = None
    host_index: int = 0
    substitutes: bool = True
    outcome: BodyEnd = BodyEnd.NOT_RUN
    asked: list[RequestedOperation] = field(default_factory=list)
    ended_at: int = 0
    error: str | None = None
    traceback: str | None = None
    raised_where: CodeLine | None = None
    escapes: bool = False
    sequence: list[Node | None] = field(init=False)
    recorded: list[Identity | None] = field(init=False)
    alignment: Alignment = field(init=False)

    def __post_init__(self) -> None:
        # The units of a map or parallel are compared by their index, not as a sequence.
        has_sequence = self.node is not None and not self.node.is_batch
        self.sequence = self.node.sequence() if self.node and has_sequence else []
        self.recorded = [identity_of(node) for node in self.sequence]
        self.alignment = Alignment(self.recorded, substitutes=self.substitutes)

    @property
    def label(self) -> str:
        """The context as a person would name it."""
        return "the handler" if self.identity is None else str(line_at(self.path, self.identity))

    @property
    def is_virtual(self) -> bool:
        """True for a context without an operation of its own."""
        return self.identity is not None and self.identity.virtual

    @property
    def is_as_recorded(self) -> bool:
        """True when its code asked for just what is recorded, and didn't raise where it is recorded
        not to have."""
        raises = self.outcome is BodyEnd.RAISED and self.has_succeeded
        return self.alignment.is_complete and not raises

    @property
    def is_replaying(self) -> bool:
        """True while what it asks for next is recorded; of a completed context without operations,
        always."""
        if not self.sequence:
            return self.node is not None and self.node.is_terminal
        return len(self.asked) < len(self.sequence)

    def run(self) -> ContextComparison:
        """Return it as a value to be compared."""
        return ContextComparison(
            self.path,
            self.label,
            self.recorded,
            [status_of(node) for node in self.sequence],
            self.asked,
            self.outcome,
            is_open=self.is_open,
            has_succeeded=self.has_succeeded,
            ended_at=self.ended_at,
            error=self.error,
            traceback=self.traceback,
            raised_where=self.raised_where,
            escapes=self.escapes,
            is_exact=self.is_exact,
        )


def status_of(node: Node | None) -> str | None:
    """Return the status that a position recorded, in the service's words."""
    if node is None or node.recorded is None:
        return None
    return node.recorded.operation.status.text


@dataclass(frozen=True, slots=True)
class Resolution:
    """What answers an operation: a recorded one (`node`), or nothing.

    `is_known` False: it is new, the driver stops here. A virtual context is known when it fits,
    though nothing may be recorded of it.
    """

    path: Path
    identity: Identity
    node: Node | None
    is_known: bool
    trace: ContextTrace
    asked_at: int

    @property
    def recorded(self) -> Recorded | None:
        """What is recorded."""
        return None if self.node is None else self.node.recorded

    @property
    def is_terminal(self) -> bool:
        """True when its outcome is recorded."""
        return self.node is not None and self.node.is_terminal


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """What happens with one unit: whether its body runs, and how it is recorded to have ended.

    `status` None of a unit that runs: it ended, and nothing but its body tells how.
    """

    trace: ContextTrace
    node: Node | None
    status: UnitStatus | None
    runs: bool
    is_listed: bool


@dataclass(frozen=True, slots=True)
class UnitsPlan:
    """The units of a map or parallel. `reason` None: it hasn't completed, or doesn't say why."""

    units: tuple[UnitPlan, ...]
    reason: CompletionReason | None
    is_complete: bool
    is_stripped: bool
    path: Path = ()
    failures: int | None = None
    where: CodeLine | None = None


@dataclass(frozen=True, slots=True)
class BodyOutcome:
    """How a body ended, and what with."""

    outcome: BodyEnd
    value: Any = None
    error: BaseException | None = None
