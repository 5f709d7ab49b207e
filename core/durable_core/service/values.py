"""What goes into the simulated service and what comes out of it, as frozen values."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import datetime
from typing import Final

from durable_core.arns import version_of_function
from durable_core.frozen import dataclass
from durable_core.limits import LIMITS, ServiceLimits
from durable_core.model import ErrorObject, InvocationInput, Operation, OperationStatus
from durable_core.service.deterministic_ids import made_uuid

# -- how an execution starts -------------------------------------------------------------------

LONGEST_EXECUTION_SECONDS: Final = LIMITS.execution_seconds
"""The longest ExecutionTimeout that can be configured."""


@dataclass(frozen=True, slots=True)
class ExecutionStart:
    """With what an execution is started.

    Two starts that differ in `seed` or `execution_name` have different ids throughout. `arn` is
    made from the rest unless given. Without a timeout the execution is let run for ever, and its
    history says the longest that can be configured. `chained` marks an execution that a chained
    invoke started, `asynchronous` one that was invoked with the invocation type Event: the results
    of both may be no larger than `result_limit` says. `tenant_id` is the
    tenant that it runs for, where there is one.
    """

    input_payload: str | None = None
    seed: int = 0
    function_name: str = "handler"
    version: str = "$LATEST"
    execution_name: str = "simulation"
    execution_timeout_seconds: int | None = None
    region: str = "us-east-1"
    account: str = "123456789012"
    chained: bool = False
    asynchronous: bool = False
    tenant_id: str | None = None
    arn: str | None = None

    def result_limit(self, limits: ServiceLimits) -> int | None:
        """Return how many bytes the result may have however it is answered; None: as any other."""
        if self.chained:
            return limits.invoke_payload_bytes
        return limits.async_result_bytes if self.asynchronous else None

    @property
    def execution_arn(self) -> str:
        """The ARN of the execution. Its last part is the id of the EXECUTION operation."""
        if self.arn is not None:
            return self.arn
        unique = made_uuid("execution", self.seed, self.function_name, self.execution_name)
        return (
            f"arn:aws:lambda:{self.region}:{self.account}:function:{self.function_name}"
            f":{self.version}/durable-execution/{self.execution_name}/{unique}"
        )


@dataclass(frozen=True, slots=True)
class InvokeTarget:
    """What a chained invoke's function name stands for.

    `durable` False: a plain function, which has no execution of its own. With an `error` the target
    can't be resolved: the operation fails at once, and its input isn't stored.
    """

    executed_version: str = "$LATEST"
    durable: bool = True
    error: ErrorObject | None = None


def target_of(function_name: str) -> InvokeTarget:
    """Return the target that a function name stands for where nothing else is known of it."""
    return InvokeTarget(executed_version=version_of_function(function_name))


@dataclass(frozen=True, slots=True)
class InvocationPolicy:
    """How often and when the service invokes again after an invocation that came to nothing.

    Source: AWS's Python testing library 1.4.0, which follows the service. `attempts` are in a row,
    a clean invocation starts the count anew; `empty_pending_attempts` is how many invocations may
    answer PENDING while nothing is pending.
    """

    attempts: int = 5
    empty_pending_attempts: int = 3
    backoff_seconds: int = 5


Resolver = Callable[[str], InvokeTarget]

# -- what the service refuses ------------------------------------------------------------------

INVALID_PARAMETER: Final = "InvalidParameterValueException"
RESOURCE_NOT_FOUND: Final = "ResourceNotFoundException"
CALLBACK_TIMEOUT: Final = "CallbackTimeoutException"
TOO_MANY_REQUESTS: Final = "TooManyRequestsException"
RESOURCE_CONFLICT: Final = "ResourceConflictException"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that says no. Nothing has changed.

    `code` is the service's error type. `operation_id`, `size` and `limit` are set where one update
    is to blame and where something was too large.
    """

    code: str
    message: str
    status_code: int = 400
    operation_id: str | None = None
    size: int | None = None
    limit: int | None = None

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


INVALID_TOKEN: Final = Refusal(INVALID_PARAMETER, "Invalid checkpoint token")
"""As AWS's Python SDK looks for it; the others look for another spelling (`sdks`)."""
INVALID_MARKER: Final = Refusal(INVALID_PARAMETER, "Invalid marker")
THROTTLED: Final = Refusal(TOO_MANY_REQUESTS, "Rate exceeded", 429)

# -- what the service answers ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CallbackCreated:
    """A callback waits for an answer from outside."""

    operation_id: str
    callback_id: str
    name: str | None
    parent_id: str | None = None


@dataclass(frozen=True, slots=True)
class InvokeRequested:
    """A chained invoke waits for its target to be run. `execution_arn` None: a plain function."""

    operation_id: str
    function_name: str
    payload: str | None
    tenant_id: str | None
    execution_arn: str | None
    name: str | None = None


Effect = CallbackCreated | InvokeRequested


@dataclass(frozen=True, slots=True)
class CheckpointAnswer:
    """What CheckpointDurableExecution answers.

    `checkpoint_token` is None once the invocation is over: the execution is decided, it is being
    paused, or a newer invocation has taken over. `operations` are those that changed
    since the handler last heard of them. `effects` are for whoever plays the world outside; the
    answer to a repeated request has none.
    """

    checkpoint_token: str | None
    operations: tuple[Operation, ...] = ()
    next_marker: str | None = None
    effects: tuple[Effect, ...] = ()


@dataclass(frozen=True, slots=True)
class StatePage:
    """What GetDurableExecutionState answers."""

    operations: tuple[Operation, ...]
    next_marker: str | None = None


@dataclass(frozen=True, slots=True)
class Invocation:
    """An invocation that the service begins. `retry` is True after one that came to nothing.

    `because` says why it begins where no operation has moved: after a pause, for one.
    """

    number: int
    request_id: str
    input: InvocationInput
    retry: bool = False
    tenant_id: str | None = None
    because: str | None = None


@dataclass(frozen=True, slots=True)
class Crash:
    """How an invocation ended that gave no answer. The error is what Lambda says of it, `cause` the
    exception that its process ended with, which Lambda writes to the function's log only."""

    error: ErrorObject
    cause: ErrorObject | None = None


def exit_crash(request_id: str, status: int = 1, cause: ErrorObject | None = None) -> Crash:
    """Return the crash of a process that exits in the middle of an invocation.

    `status` is its exit status, negative for the signal that ended it. The words are those of
    Lambda's logs.
    """
    if status == 0:
        how = "Runtime exited without providing a reason"
    elif status > 0:
        how = f"Runtime exited with error: exit status {status}"
    else:
        name = signal.strsignal(-status) or f"signal {-status}"
        how = f"Runtime exited with error: signal: {name.lower()}"
    message = f"RequestId: {request_id} Error: {how}"
    return Crash(ErrorObject(message=message, type="Runtime.ExitError"), cause)


def timeout_crash(request_id: str, seconds: float) -> Crash:
    """Return the crash of an invocation that runs past the function's timeout."""
    message = f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds"
    return Crash(ErrorObject(message=message, type="Sandbox.Timedout"))


# -- what comes from outside -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CallbackSuccess:
    """SendDurableExecutionCallbackSuccess."""

    callback_id: str
    result: str | None = None


@dataclass(frozen=True, slots=True)
class CallbackFailure:
    """SendDurableExecutionCallbackFailure."""

    callback_id: str
    error: ErrorObject


@dataclass(frozen=True, slots=True)
class CallbackHeartbeat:
    """SendDurableExecutionCallbackHeartbeat: the heartbeat timeout starts anew, no event."""

    callback_id: str


@dataclass(frozen=True, slots=True)
class InvokeResult:
    """The target of a chained invoke has ended: SUCCEEDED, FAILED, TIMED_OUT or STOPPED."""

    operation_id: str
    status: OperationStatus
    result: str | None = None
    error: ErrorObject | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """StopDurableExecution."""

    error: ErrorObject | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """PauseDurableExecution. `timeout_paused`: the timeout is extended by the time paused."""

    reason: str | None = None
    timeout_paused: bool = True


@dataclass(frozen=True, slots=True)
class Resume:
    """ResumeDurableExecution."""

    reason: str | None = None


Answer = (
    CallbackSuccess | CallbackFailure | CallbackHeartbeat | InvokeResult | Stop | Pause | Resume
)


@dataclass(frozen=True, slots=True)
class RefusedAnswer:
    """A scheduled answer that came, and was refused."""

    moment: datetime
    answer: Answer
    refusal: Refusal


def invoke_timed_out(operation_id: str, seconds: int) -> InvokeResult:
    """Return the end of a chained invoke whose target ran past its timeout.

    Source: AWS's Python testing library 1.4.0.
    """
    return InvokeResult(
        operation_id,
        OperationStatus.TIMED_OUT,
        error=ErrorObject(
            message=f"CHAINED_INVOKE timed out after {seconds} seconds.",
            type="ChainedInvoke.Timeout",
        ),
    )
