"""What a simulation came to, as frozen values: all that a report needs, nothing that it computes.

`Simulation.events` is a history like a recorded one; `InvocationRecord`s say what no history does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from durable_core.frozen import dataclass
from durable_core.limits import ServiceLimits
from durable_core.model import (
    CheckpointRequest,
    ErrorObject,
    Event,
    ExecutionStatus,
    Operation,
    PauseDetails,
)
from durable_core.native.checkpointer import SentRequest
from durable_core.native.journal import Activity, Note
from durable_core.service.values import RefusedAnswer


class Stopped(StrEnum):
    """Why a simulation ended."""

    OVER = "over"
    """The execution ended."""
    WAITING = "waiting"
    """It waits for an answer that the scenario doesn't give."""
    PAUSED = "paused"
    """It is paused, and the scenario doesn't resume it."""
    MAX_INVOCATIONS = "max-invocations"
    """It took more invocations than it was given."""
    INTERRUPTED = "interrupted"
    """The user ended it."""


class InvocationEnd(StrEnum):
    """How an invocation ended."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    PENDING = "PENDING"
    CRASHED = "CRASHED"
    INTERRUPTED = "INTERRUPTED"
    """The user ended the simulation in the middle of it. No history says so."""


@dataclass(frozen=True, slots=True)
class InvocationRecord:
    """One invocation: why it began, what it did, what it sent, why it ended.

    `began_because` and `ended_because` are words for a report; `woken_by` are the operations that
    the service had moved, `pending` those that the invocation left waiting. `notes` are in the
    order in which things happened, `requests` in the order in which they were sent; those that were
    turned down say why. `unscheduled` are sentences on what ran in real time.
    """

    number: int
    request_id: str
    began: datetime
    ended: datetime
    began_because: str
    ended_because: str
    end: InvocationEnd
    error: ErrorObject | None
    handed_operations: int
    woken_by: tuple[Operation, ...]
    pending: tuple[Operation, ...]
    notes: tuple[Note, ...]
    requests: tuple[SentRequest, ...]
    unscheduled: tuple[str, ...] = ()

    def did(self, *what: Activity) -> tuple[Note, ...]:
        """Return the notes of these kinds."""
        return tuple(note for note in self.notes if note.did in what)


@dataclass(frozen=True, slots=True)
class WaitingFor:
    """An operation that nobody will answer, and the lines of a scenario that would."""

    operation: Operation
    label: str
    snippet: str


@dataclass(frozen=True, slots=True)
class Simulation:
    """What came of it. `status` is RUNNING where it didn't end.

    `result` is the final result's JSON text. `operations` are the service's own at the end, by id,
    in the order of creation. `updates` is every checkpoint request as the service got it.
    `children` are the executions that chained invokes started, by operation id. `unanswered` are
    callbacks and chained invokes that ran into a timeout since the scenario has no entry for them,
    `unused` the scenario's entries that nothing asked for: those of `children` among them.
    `asynchronous`: it was started with the invocation type Event. `pause` is the one that the
    execution is in, `expected_timeout` when it will time out.
    """

    status: ExecutionStatus
    stopped: Stopped
    seed: int
    result: str | None
    error: ErrorObject | None
    arn: str
    began: datetime
    ended: datetime
    events: tuple[Event, ...]
    operations: Mapping[str, Operation]
    invocations: tuple[InvocationRecord, ...]
    updates: tuple[CheckpointRequest, ...]
    waiting_for: tuple[WaitingFor, ...]
    refused_answers: tuple[RefusedAnswer, ...]
    limits: ServiceLimits
    children: Mapping[str, Simulation]
    unanswered: tuple[WaitingFor, ...] = ()
    unused: tuple[str, ...] = ()
    asynchronous: bool = False
    pause: PauseDetails | None = None
    expected_timeout: datetime | None = None
    interleaving: int = 0

    @property
    def unscheduled(self) -> tuple[str, ...]:
        """Sentences on what ran in real time, so that another run may come to something else."""
        found = dict.fromkeys(each for record in self.invocations for each in record.unscheduled)
        for child in self.children.values():
            found |= dict.fromkeys(child.unscheduled)
        return tuple(found)

    @property
    def virtual_seconds(self) -> float:
        """How long the execution took in its own time."""
        return (self.ended - self.began).total_seconds()

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """How many checkpoint requests each invocation made: what `faults.every_crash` takes."""
        return tuple(len(record.requests) for record in self.invocations)

    @property
    def refused(self) -> tuple[SentRequest, ...]:
        """The requests that the service turned down."""
        requests = (each for record in self.invocations for each in record.requests)
        return tuple(request for request in requests if request.refused is not None)

    def ran(self, name: str | None = None) -> int:
        """Return how many bodies ran, of operations and units of that name or of all."""
        kinds = (Activity.RAN, Activity.RE_EXECUTED)
        notes = (note for record in self.invocations for note in record.did(*kinds))
        return sum(1 for note in notes if name is None or note.name == name)


class Interrupted(KeyboardInterrupt):
    """The user ended a simulation by Ctrl-C. `simulation` is what came of it until then."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__()
        self.simulation = simulation
