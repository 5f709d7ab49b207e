"""The nouns of durable executions, as the service spells them, as frozen values.

Shapes follow the service model `lambda` in botocore 1.44 (`Operation`, `OperationUpdate`,
`Event`, `ErrorObject`). Timestamps are timezone-aware `datetime`s, durations whole seconds,
payloads the JSON text that was checkpointed. Fields that a newer service sends and this version
doesn't know are kept in `extra` and written back unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from durable_core.frozen import NOTHING, dataclass


class Word(StrEnum):
    """A word of the service: equal to its `text`, and hashed as fast as that."""

    __hash__ = str.__hash__

    def __init__(self, text: str) -> None:
        self.text = text  # `value` is the same, by a property that takes ten times as long


class OperationType(Word):
    """What kind of operation it is."""

    EXECUTION = "EXECUTION"
    CONTEXT = "CONTEXT"
    STEP = "STEP"
    WAIT = "WAIT"
    CALLBACK = "CALLBACK"
    CHAINED_INVOKE = "CHAINED_INVOKE"


class OperationAction(Word):
    """What an update does to its operation."""

    START = "START"
    SUCCEED = "SUCCEED"
    FAIL = "FAIL"
    RETRY = "RETRY"
    CANCEL = "CANCEL"


class OperationStatus(Word):
    """Where an operation stands."""

    STARTED = "STARTED"
    PENDING = "PENDING"
    READY = "READY"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"
    STOPPED = "STOPPED"

    @property
    def is_terminal(self) -> bool:
        """True when nothing changes the operation any more."""
        return self not in _OPEN_STATUSES


_OPEN_STATUSES = frozenset(
    {OperationStatus.STARTED, OperationStatus.PENDING, OperationStatus.READY}
)


class ExecutionStatus(Word):
    """Where an execution stands (`GetDurableExecution.Status`)."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    STOPPED = "STOPPED"
    DELETING = "DELETING"
    PAUSING = "PAUSING"
    PAUSED = "PAUSED"

    @property
    def is_open(self) -> bool:
        """True while the execution can go on: it runs, or goes on once it is resumed."""
        return self in _OPEN_EXECUTIONS


_OPEN_EXECUTIONS = frozenset(
    {ExecutionStatus.RUNNING, ExecutionStatus.PAUSING, ExecutionStatus.PAUSED}
)


class SubType:
    """The sub-types that the SDKs write. A user may write others, so it isn't an enum."""

    STEP: Final = "Step"
    WAIT: Final = "Wait"
    RUN_IN_CHILD_CONTEXT: Final = "RunInChildContext"
    MAP: Final = "Map"
    MAP_ITERATION: Final = "MapIteration"
    PARALLEL: Final = "Parallel"
    PARALLEL_BRANCH: Final = "ParallelBranch"
    CALLBACK: Final = "Callback"
    WAIT_FOR_CALLBACK: Final = "WaitForCallback"
    WAIT_FOR_CONDITION: Final = "WaitForCondition"
    CHAINED_INVOKE: Final = "ChainedInvoke"
    DAG: Final = "Dag"
    """Experimental in AWS's SDKs for TypeScript, Python and Java."""
    MAP_ITEM: Final = "MapItem"
    """A unit of a map, as previews of AWS's .NET SDK wrote it."""


BATCH_SUB_TYPES: Final = frozenset({SubType.MAP, SubType.PARALLEL})
UNIT_SUB_TYPES: Final = frozenset(
    {SubType.MAP_ITERATION, SubType.PARALLEL_BRANCH, SubType.MAP_ITEM}
)


def is_batch(kind: OperationType | str, sub_type: str | None) -> bool:
    """Return True for a map or parallel.

    The type has to be asked too: a user may give a step or a callback any sub-type, `Map` included.
    """
    return kind == OperationType.CONTEXT and sub_type in BATCH_SUB_TYPES


def is_unit(kind: OperationType | str, sub_type: str | None) -> bool:
    """Return True for a unit's own operation, which no step or callback can be."""
    return kind == OperationType.CONTEXT and sub_type in UNIT_SUB_TYPES


def stores_summary(kind: OperationType | str, sub_type: str | None) -> bool:
    """Return True for what stores how its units ended: a map, a parallel, a DAG."""
    return is_batch(kind, sub_type) or (kind == OperationType.CONTEXT and sub_type == SubType.DAG)


class UnitStatus(Word):
    """How a unit of a map or parallel stands in the summary that froze it."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    STARTED = "STARTED"


class CompletionReason(Word):
    """Why a map or parallel stopped.

    The first three are written by every SDK; the two custom ones by AWS's Python SDK from 3.0.0
    and its JavaScript SDK from 2.x, for a completion predicate of the user's own; the one with
    failures by experimental DAGs.
    """

    ALL_COMPLETED = "ALL_COMPLETED"
    MIN_SUCCESSFUL_REACHED = "MIN_SUCCESSFUL_REACHED"
    FAILURE_TOLERANCE_EXCEEDED = "FAILURE_TOLERANCE_EXCEEDED"
    CUSTOM_COMPLETION_SUCCEEDED = "CUSTOM_COMPLETION_SUCCEEDED"
    CUSTOM_COMPLETION_FAILED = "CUSTOM_COMPLETION_FAILED"
    COMPLETED_WITH_FAILURES = "COMPLETED_WITH_FAILURES"


class NestingType(Word):
    """Whether a unit writes a CONTEXT operation of its own (NESTED) or not (FLAT)."""

    NESTED = "NESTED"
    FLAT = "FLAT"


@dataclass(frozen=True, slots=True)
class ErrorObject:
    """An error as the service stores it."""

    message: str | None = None
    type: str | None = None
    data: str | None = None
    stack_trace: tuple[str, ...] | None = None
    extra: Mapping[str, Any] = NOTHING

    def __str__(self) -> str:
        said = (each for each in (self.type, self.message) if each)
        return ": ".join(said) or "an error that says nothing"


@dataclass(frozen=True, slots=True)
class ExecutionDetails:
    """Of an EXECUTION operation: what the execution was started with."""

    input_payload: str | None = None
    extra: Mapping[str, Any] = NOTHING


@dataclass(frozen=True, slots=True)
class ContextDetails:
    """Of a CONTEXT operation. `replay_children` is None where the source doesn't say."""

    replay_children: bool | None = None
    result: str | None = None
    error: ErrorObject | None = None
    extra: Mapping[str, Any] = NOTHING


@dataclass(frozen=True, slots=True)
class StepDetails:
    """Of a STEP operation.

    `attempt` is how many attempts have ended: 0 while the first one runs (so AWS's Python SDK 3.0.0
    and its local runner read and write it). `result` of a poll that goes on is its state.
    """

    attempt: int | None = None
    next_attempt_timestamp: datetime | None = None
    result: str | None = None
    error: ErrorObject | None = None
    extra: Mapping[str, Any] = NOTHING


@dataclass(frozen=True, slots=True)
class WaitDetails:
    """Of a WAIT operation."""

    scheduled_end_timestamp: datetime | None = None
    extra: Mapping[str, Any] = NOTHING


@dataclass(frozen=True, slots=True)
class CallbackDetails:
    """Of a CALLBACK operation."""

    callback_id: str | None = None
    result: str | None = None
    error: ErrorObject | None = None
    extra: Mapping[str, Any] = NOTHING


@dataclass(frozen=True, slots=True)
class ChainedInvokeDetails:
    """Of a CHAINED_INVOKE operation."""

    result: str | None = None
    error: ErrorObject | None = None
    extra: Mapping[str, Any] = NOTHING


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation as the service's state holds it. At most one details field is set."""

    id: str
    type: OperationType
    status: OperationStatus
    start_timestamp: datetime | None = None
    parent_id: str | None = None
    name: str | None = None
    sub_type: str | None = None
    end_timestamp: datetime | None = None
    execution_details: ExecutionDetails | None = None
    context_details: ContextDetails | None = None
    step_details: StepDetails | None = None
    wait_details: WaitDetails | None = None
    callback_details: CallbackDetails | None = None
    chained_invoke_details: ChainedInvokeDetails | None = None
    extra: Mapping[str, Any] = NOTHING

    @property
    def result(self) -> str | None:
        """The stored result, whichever type the operation has."""
        details = self._outcome
        return details.result if details else None

    @property
    def error(self) -> ErrorObject | None:
        """The stored error, whichever type the operation has."""
        details = self._outcome
        return details.error if details else None

    @property
    def replay_children(self) -> bool:
        """True only when the source says so (it may also not say: see `context_details`)."""
        return bool(self.context_details and self.context_details.replay_children)

    @property
    def is_terminal(self) -> bool:
        """True when nothing changes the operation any more."""
        return self.status.is_terminal

    @property
    def is_batch(self) -> bool:
        """True for a map or parallel."""
        return is_batch(self.type, self.sub_type)

    @property
    def is_unit(self) -> bool:
        """True for a unit's own operation."""
        return is_unit(self.type, self.sub_type)

    @property
    def _outcome(
        self,
    ) -> ContextDetails | StepDetails | CallbackDetails | ChainedInvokeDetails | None:
        return (
            self.context_details
            or self.step_details
            or self.callback_details
            or self.chained_invoke_details
        )


@dataclass(frozen=True, slots=True)
class ChainedInvokeOptions:
    """What a CHAINED_INVOKE START asks for."""

    function_name: str
    tenant_id: str | None = None
    trace_id: str | None = None
    extra: Mapping[str, Any] = NOTHING


@dataclass(frozen=True, slots=True)
class OperationUpdate:
    """One change that a handler checkpoints.

    `replay_children` (ContextOptions), `next_attempt_delay_seconds` (StepOptions), `wait_seconds`
    (WaitOptions), `callback_timeout_seconds` and `callback_heartbeat_seconds` (CallbackOptions) are
    None where the update doesn't carry the option. An option that isn't known is kept in `extra`
    inside of its object: `{"StepOptions": {"New": 1}}`.
    """

    id: str
    type: OperationType
    action: OperationAction
    parent_id: str | None = None
    name: str | None = None
    sub_type: str | None = None
    payload: str | None = None
    error: ErrorObject | None = None
    replay_children: bool | None = None
    next_attempt_delay_seconds: int | None = None
    wait_seconds: int | None = None
    callback_timeout_seconds: int | None = None
    callback_heartbeat_seconds: int | None = None
    chained_invoke: ChainedInvokeOptions | None = None
    extra: Mapping[str, Any] = NOTHING


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a history.

    `details` is the wire form of `<EventType>Details`, already checked against `events.EVENTS`;
    None where the source leaves it out altogether. Read it through the functions in `events`.
    """

    event_id: int
    event_type: str
    timestamp: datetime
    id: str | None = None
    parent_id: str | None = None
    name: str | None = None
    sub_type: str | None = None
    details: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = NOTHING


@dataclass(frozen=True, slots=True)
class InvocationInput:
    """What the service hands to a handler when it invokes it."""

    durable_execution_arn: str
    checkpoint_token: str
    operations: tuple[Operation, ...] = ()
    next_marker: str | None = None
    updated_operation_ids: tuple[str, ...] | None = None
    extra: Mapping[str, Any] = NOTHING


class InvocationStatus(StrEnum):
    """What a handler says of the execution when its invocation ends."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    PENDING = "PENDING"


@dataclass(frozen=True, slots=True)
class InvocationOutput:
    """What a handler answers. `status` is None where the answer doesn't carry one."""

    status: InvocationStatus | None
    result: str | None = None
    error: ErrorObject | None = None


@dataclass(frozen=True, slots=True)
class CheckpointRequest:
    """One CheckpointDurableExecution request."""

    updates: tuple[OperationUpdate, ...]
    durable_execution_arn: str | None = None
    checkpoint_token: str | None = None
    client_token: str | None = None
    extra: Mapping[str, Any] = NOTHING


@dataclass(frozen=True, slots=True)
class PauseDetails:
    """What GetDurableExecution says of the pause that an execution is in. None: not said.

    `timeout_paused`: the execution's timeout is extended by the time that it spends paused.
    """

    requested: datetime | None = None
    reason: str | None = None
    timeout_paused: bool | None = None
    extra: Mapping[str, Any] = NOTHING


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """What GetDurableExecution says of an execution. None where the source doesn't say.

    `status` is None as well when it is one that this version doesn't know; `extra` then keeps it.
    `expected_timeout` is when the execution will time out, extensions by pauses included.
    """

    arn: str | None = None
    name: str | None = None
    function_arn: str | None = None
    version: str | None = None
    status: ExecutionStatus | None = None
    input_payload: str | None = None
    result: str | None = None
    error: ErrorObject | None = None
    start_timestamp: datetime | None = None
    end_timestamp: datetime | None = None
    pause: PauseDetails | None = None
    expected_timeout: datetime | None = None
    extra: Mapping[str, Any] = NOTHING
