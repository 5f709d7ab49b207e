"""What one run of a handler asks for, context by context, and what answers it: the values.

What fills them is `examination`. Pure.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

from durable_core.fold import Recorded
from durable_core.ids import Path
from durable_core.model import CompletionReason, UnitStatus
from durable_core.values import dataclass
from durable_core.verifying.matching import Alignment
from durable_core.verifying.recorded_tree import Node, identity_of
from durable_core.verifying.runs import Asked, ContextRun, Outcome
from durable_core.verifying.verification import CodeLine, Identity, line_at


@dataclass(slots=True)
class Trace:
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
    host: Trace | None = None
    host_index: int = 0
    borrows: bool = True
    outcome: Outcome = Outcome.NOT_RUN
    asked: list[Asked] = field(default_factory=list)
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
        self.alignment = Alignment(self.recorded, borrows=self.borrows)

    @property
    def label(self) -> str:
        """The context as a person would name it."""
        return "the handler" if self.identity is None else str(line_at(self.path, self.identity))

    @property
    def is_as_recorded(self) -> bool:
        """True when its code asked for just what is recorded, and didn't raise where it is recorded
        not to have."""
        raises = self.outcome is Outcome.RAISED and self.has_succeeded
        return self.alignment.is_complete and not raises

    @property
    def is_replaying(self) -> bool:
        """True while what it asks for next is recorded; of a completed context without operations,
        always."""
        if not self.sequence:
            return self.node is not None and self.node.is_terminal
        return len(self.asked) < len(self.sequence)

    def run(self) -> ContextRun:
        """Return it as a value to be compared."""
        return ContextRun(
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
class Answer:
    """What answers an operation: a recorded one (`node`), or nothing.

    `is_known` False: it is new, the driver stops here. A virtual context is known when it fits,
    though nothing may be recorded of it.
    """

    path: Path
    identity: Identity
    node: Node | None
    is_known: bool
    trace: Trace
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
class UnitAnswer:
    """What happens with one unit: whether its body runs, and how it is recorded to have ended.

    `status` None of a unit that runs: it ended, and nothing but its body tells how.
    """

    trace: Trace
    node: Node | None
    status: UnitStatus | None
    runs: bool
    is_listed: bool


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """The units of a map or parallel. `reason` None: it hasn't completed, or doesn't say why."""

    units: tuple[UnitAnswer, ...]
    reason: CompletionReason | None
    is_complete: bool
    is_stripped: bool
    path: Path = ()
    failures: int | None = None
    where: CodeLine | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a body ended, and what with."""

    outcome: Outcome
    value: Any = None
    error: BaseException | None = None
