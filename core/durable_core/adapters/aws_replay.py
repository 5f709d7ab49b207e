"""Handlers written with AWS's SDK, verified against what they recorded.

The user's own installation of the SDK names every operation (its ids, sub-types, defaults), so that
an upgrade that changes one shows. What an operation then does is put in its place by `_attach`, at
four methods that the SDK has had since 1.7: it is answered from the record or ends there. No step
body, submitter, check or invoke is reached; units run one after another, on no clock and no thread.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import wraps
from inspect import signature
from typing import Any, Final, cast

from durable_core.adapters.aws_sdk_attach import attached_sdk
from durable_core.adapters.aws_sdk_client import Client
from durable_core.adapters.aws_sdk_installed import SdkChanged, is_aws_handler
from durable_core.adapters.lambda_context import LambdaContext
from durable_core.adapters.observed import Observed
from durable_core.clock import VirtualClock
from durable_core.consequences import Runtime
from durable_core.divergence import Outcome
from durable_core.examination import (
    Answer,
    BatchAnswer,
    Ended,
    Examination,
    Trace,
    UnitAnswer,
    note_end,
)
from durable_core.fold import Recorded
from durable_core.ids import BLAKE2B
from durable_core.model import (
    ContextDetails,
    ExecutionDetails,
    InvocationInput,
    Operation,
    OperationStatus,
    OperationType,
    SubType,
    UnitStatus,
)
from durable_core.planting import planted
from durable_core.replay import compare_final_result
from durable_core.service import SimulatedService
from durable_core.service_link import ServiceLink
from durable_core.service_values import Invocation
from durable_core.verification import Identity
from durable_core.wire import operation_to_wire

_BEGAN: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class _Parts:
    """What is used of the installed SDK beyond what a simulation uses."""

    durable_execution: Any
    suspend: type[BaseException]
    serdes_errors: tuple[type[Exception], ...]
    child_executor: type
    serialize: Callable[..., Any]
    batch_item: Any
    batch_status: Any
    batch_result: Any
    completion_reason: Any
    error_object: Any
    compares: bool


class AwsReplayer:
    """Runs one `@durable_execution` handler under examinations.

    Raises SdkMissing and SdkChanged.
    """

    scheme: Final = BLAKE2B

    def __init__(self, handler: Callable[[Any, Any], object]) -> None:
        self._sdk = attached_sdk()
        self._parts = _load(self._sdk.version)
        self._run: _Run | None = None
        self._handler = self._parts.durable_execution(self._spy_on(_users_function(handler)))
        self.runtime = Runtime(
            f"AWS's SDK {self._sdk.version}", is_native=False, compares=self._parts.compares
        )

    def _spy_on(self, func: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """Wrap the user's function so that its end is seen, not only the SDK's answer to it."""

        @wraps(func)
        def spy(event: Any, context: Any) -> Any:
            run = self._run
            assert run is not None
            ended = run.look(run.examination.root, lambda: func(event, context))
            if ended.outcome is Outcome.RETURNED:
                compare_final_result(run.examination, _json_of(ended.value))
            raise self._parts.suspend("verified")

        return spy

    def replay(self, examination: Examination, arn: str) -> None:
        """Run it once."""
        self._run = run = _Run(self._sdk, self._parts, examination, arn)
        execution = Operation(
            id=arn.rpartition("/")[2],  # where the SDK looks for it
            type=OperationType.EXECUTION,
            status=OperationStatus.STARTED,
            start_timestamp=_BEGAN,
            execution_details=ExecutionDetails(examination.facts.input_payload),
        )
        given = InvocationInput(arn, "verified", (execution,))
        link = ServiceLink(
            cast(SimulatedService, None),  # nothing is ever sent
            Invocation(1, "verified", given, retry=True),
            VirtualClock(_BEGAN),
        )
        known = signature(self._sdk.invocation_input).parameters
        handed = self._sdk.invocation_input(
            durable_execution_arn=arn,
            checkpoint_token="verified",
            initial_execution_state=self._sdk.initial_state(
                operations=[run.as_sdk(execution)], next_marker=""
            ),
            service_client=_Client(self._sdk, run),
            **({"updated_operation_ids": []} if "updated_operation_ids" in known else {}),
        )
        with _quiet():
            self._handler(handed, LambdaContext(link))
        if examination.root.outcome is Outcome.NOT_RUN:
            examination.doubt(
                f"AWS's SDK {self._sdk.version} never called the handler",
                "report it with the version of the SDK",
            )


def _json_of(value: Any) -> str | None:
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return None


def _users_function(handler: Any) -> Callable[[Any, Any], Any]:
    """Return the function that `@durable_execution` decorates, whatever decorates that again."""
    layer = handler
    while layer is not None and not is_aws_handler(layer):
        layer = getattr(layer, "__wrapped__", None)
    while is_aws_handler(layer):  # one layer, or two where plugins have their own
        layer = getattr(layer, "__wrapped__", None) or _in_closure(layer)
    if layer is None:
        raise SdkChanged("(unknown)", "a handler doesn't say which function it wraps")
    function: Callable[[Any, Any], Any] = layer
    return function


def _in_closure(layer: Any) -> Any:
    """Return the decorated function of a wrapper that doesn't say it, as before 3.0."""
    cells = zip(layer.__code__.co_freevars, layer.__closure__ or (), strict=True)
    return next((cell.cell_contents for name, cell in cells if name == "func"), None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the SDK from logging what it takes for failures of an invocation."""
    logger = logging.getLogger("aws_durable_execution_sdk_python")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Client(Client):
    """The client of an execution under examination. No checkpoint gets as far as a request."""

    def __init__(self, sdk: Any, run: _Run) -> None:
        super().__init__(sdk, cast(Any, None), cast(Any, None), Observed(()))
        self.run = run

    def queued(self, update: Any) -> None:
        """End here: what the code would write is new."""
        raise self.run.parts.suspend("nothing is written while verifying")

    def watched(
        self,
        body: Callable[..., Any],
        identifier: Any,
        is_replay_children: bool = False,
        attempt: int | None = None,
    ) -> Callable[..., Any]:
        """Return the body of a context as it is."""
        return body

    def replayed(self, operation: Any) -> None:
        """Note nothing: the examination keeps what was asked."""


class _Run:
    """One run: which trace belongs to which of the SDK's contexts, and what each call comes to."""

    def __init__(self, sdk: Any, parts: _Parts, examination: Examination, arn: str) -> None:
        self.sdk = sdk
        self.parts = parts
        self.examination = examination
        self._arn = arn
        self._traces: dict[str | None, Trace] = {None: examination.root}
        self._issued: dict[str, Trace] = {}
        self._batches: dict[str, Answer] = {}
        self._units: dict[str, UnitAnswer] = {}

    def issued(self, prefix: str | None, operation_id: str) -> None:
        """Note in which context an id was made."""
        self._issued[operation_id] = self._traces.get(prefix, self.examination.root)

    # -- operations ----------------------------------------------------------------------------

    def process(self, executor: Any, original: Callable[[Any], Any]) -> Any:
        """Do in an operation's place what a replay does with it."""
        identifier = executor.operation_identifier
        operation_id = identifier.operation_id
        unit = self._units.get(operation_id)
        if unit is not None:
            return self._unit(executor, original, unit)
        virtual = bool(getattr(executor, "is_virtual", False))
        identity = _identity(executor, virtual)
        trace = self._issued.get(operation_id, self.examination.root)
        answer = self.examination.ask(trace, identity, _details_of(executor))
        operation = planted(answer.recorded, operation_id, identifier.parent_id, identity)
        if isinstance(executor, self.parts.child_executor):
            return self._context(executor, original, answer, operation)
        if operation is None or not (operation.is_terminal or identity.type == "CALLBACK"):
            raise self.parts.suspend("not recorded any further")
        self.examination.take_payload(answer)
        return self._from_record(executor, original, operation, answer)

    def _from_record(
        self, executor: Any, original: Callable[[Any], Any], operation: Operation, answer: Answer
    ) -> Any:
        """Let the SDK return what is recorded, or raise it."""
        self._plant(executor, operation)
        try:
            return original(executor)
        except self.parts.serdes_errors as error:
            if operation.status is OperationStatus.SUCCEEDED:
                self.examination.doubt(
                    f"the handler can't read the payload of {answer.identity}: {error}",
                    "run where what its serdes needs is there (a bucket, a file system, a key)",
                    answer.path,
                )
            raise

    def _plant(self, executor: Any, operation: Operation) -> None:
        executor.state._operations[operation.id] = self.as_sdk(operation)

    def as_sdk(self, operation: Operation) -> Any:
        """Return an operation as the SDK's own, nothing in it due."""
        wire = operation_to_wire(operation)
        for key in ("StartTimestamp", "EndTimestamp"):
            if key in wire:
                wire[key] = _BEGAN
        for details, key in (("StepDetails", "NextAttemptTimestamp"), _WAIT_END):
            if key in wire.get(details, {}):
                wire[details][key] = _BEGAN
        return self.sdk.operation.from_dict(wire)

    def look(self, trace: Trace, body: Callable[[], Any]) -> Ended:
        """Run a body to its end, or until it asks for what isn't recorded."""
        try:
            ended = Ended(Outcome.RETURNED, body())
        except self.parts.suspend:
            ended = Ended(Outcome.SUSPENDED)
        except (Exception, SystemExit) as error:
            ended = Ended(Outcome.RAISED, error=error)
        note_end(self.examination, trace, ended)
        return ended

    # -- contexts ------------------------------------------------------------------------------

    def _context(
        self,
        executor: Any,
        original: Callable[[Any], Any],
        answer: Answer,
        operation: Operation | None,
    ) -> Any:
        examination = self.examination
        operation_id = executor.operation_identifier.operation_id
        if not examination.may_enter(answer):
            raise self.parts.suspend("not recorded any further")
        self._traces[operation_id] = trace = examination.context(answer)
        self._batches[operation_id] = answer
        if operation is not None and answer.is_terminal and not examination.looks_inside(answer):
            examination.take_payload(answer)
            return self._from_record(executor, original, operation, answer)
        ended = self.look(trace, executor.func)
        is_context = answer.recorded is not None and (
            answer.recorded.operation.type is OperationType.CONTEXT
        )
        stripped = examination.is_stripped(answer.recorded)
        if operation is not None and is_context and answer.is_terminal and not stripped:
            is_batch = answer.identity.sub_type in (SubType.MAP, SubType.PARALLEL)
            if not is_batch and not self._is_as_stored(executor, answer, ended):
                return self._from_body(executor, original, operation, ended)
            examination.take_payload(answer)
            return self._from_record(executor, original, operation, answer)
        is_open = is_context and not answer.is_terminal
        if is_open or ended.outcome is Outcome.SUSPENDED:
            raise self.parts.suspend("not recorded any further")
        return self._from_body(executor, original, operation, ended)

    def _is_as_stored(self, executor: Any, answer: Answer, ended: Ended) -> bool:
        """Compare a body's result with what is stored; False when that is only a summary of it."""
        if ended.outcome is not Outcome.RETURNED or ended.value is None:
            return True
        try:
            payload = self.parts.serialize(
                serdes=executor.config.serdes,
                value=ended.value,
                operation_id=executor.operation_identifier.operation_id,
                durable_execution_arn=self._arn,
            )
        except Exception:
            return True  # the body is compared by what it asks for; its value is a difference only
        if self.examination.is_summarized(answer, payload):
            return False
        self.examination.compare_result(answer, payload)
        return True

    def _from_body(
        self,
        executor: Any,
        original: Callable[[Any], Any],
        operation: Operation | None,
        ended: Ended,
    ) -> Any:
        """Let the SDK return what the body came to, as for a context whose value isn't stored."""

        def again() -> Any:
            if ended.error is not None:
                raise ended.error
            return ended.value

        if not getattr(executor, "is_virtual", False):
            identifier = executor.operation_identifier
            details = ContextDetails(True, operation.result if operation else "")
            self._plant(
                executor,
                Operation(
                    id=identifier.operation_id,
                    type=OperationType.CONTEXT,
                    status=OperationStatus.SUCCEEDED,
                    start_timestamp=_BEGAN,
                    parent_id=identifier.parent_id,
                    name=identifier.name,
                    sub_type=_sub_type(executor),
                    end_timestamp=_BEGAN,
                    context_details=details,
                ),
            )
        executor.func = again
        return original(executor)

    # -- units ---------------------------------------------------------------------------------

    def units(self, concurrent: Any, context: Any) -> Any:
        """Run the units of a map or parallel that are recorded to have ended, and freeze them."""
        answer = self._batches[context._step_id_prefix]
        executables = concurrent.executables
        names = [concurrent.get_iteration_name(each.index) for each in executables]
        is_flat = concurrent.nesting_type.name == "FLAT"
        found = self.examination.units(answer, names, is_flat=is_flat)
        ends = [
            self._run_unit(concurrent, context, executable, unit)
            for executable, unit in zip(executables, found.units, strict=True)
        ]
        if not found.is_complete:
            raise self.parts.suspend("not recorded any further")
        units = self.examination.ended_units(found, ends)
        if found.is_stripped:
            for unit, ended in zip(units, ends, strict=True):
                if unit.status is UnitStatus.SUCCEEDED and ended.outcome is not Outcome.RETURNED:
                    raise self.parts.suspend("its value can't be known")
        return self._result(found, units, ends)

    def _run_unit(self, concurrent: Any, context: Any, executable: Any, unit: UnitAnswer) -> Ended:
        if not unit.runs:
            return Ended(Outcome.NOT_RUN)
        unit_id = context._create_step_id_for_logical_step(executable.index)
        self._units[unit_id] = unit
        self._traces[unit_id] = unit.trace
        try:
            value = concurrent._execute_item_in_child_context(context, executable)
        except self.parts.suspend:
            return Ended(Outcome.SUSPENDED)
        except Exception as error:
            return Ended(Outcome.RAISED, error=error)
        return Ended(Outcome.RETURNED, value)

    def _unit(self, executor: Any, original: Callable[[Any], Any], unit: UnitAnswer) -> Any:
        """Run a unit's body; return what it is recorded to have come to, where it is."""
        virtual = bool(getattr(executor, "is_virtual", False))
        identifier = executor.operation_identifier
        recorded: Recorded | None = None if unit.node is None else unit.node.recorded
        ended = self.look(unit.trace, executor.func)
        has_ended = recorded is not None and recorded.operation.is_terminal
        if has_ended and not virtual and not self.examination.is_stripped(recorded):
            identity = _identity(executor, virtual=False)
            operation = planted(recorded, identifier.operation_id, identifier.parent_id, identity)
            assert operation is not None
            self._plant(executor, operation)
            return original(executor)
        if ended.outcome is Outcome.SUSPENDED:
            raise self.parts.suspend("not recorded any further")
        return self._from_body(executor, original, None, ended)

    def _result(
        self, found: BatchAnswer, units: Sequence[UnitAnswer], ends: Sequence[Ended]
    ) -> Any:
        parts = self.parts
        items = []
        for index, (unit, ended) in enumerate(zip(units, ends, strict=True)):
            if not unit.is_listed:
                continue
            status = unit.status or UnitStatus.STARTED
            value = ended.value if status is UnitStatus.SUCCEEDED else None
            error = self._error_of(unit, ended) if status is UnitStatus.FAILED else None
            items.append(parts.batch_item(index, parts.batch_status(status.value), value, error))
        reason = found.reason.value if found.reason is not None else "ALL_COMPLETED"
        return parts.batch_result(items, parts.completion_reason(reason))

    def _error_of(self, unit: UnitAnswer, ended: Ended) -> Any:
        recorded = None if unit.node is None else unit.node.recorded
        if recorded is not None and recorded.operation.error is not None:
            operation = replace(recorded.operation)
            return self.as_sdk(operation).context_details.error
        error = ended.error
        if error is None:
            return None
        if getattr(error, "error_type", None) is not None:  # what escaped an inner operation
            return self.parts.error_object(
                message=getattr(error, "message", None),
                type=getattr(error, "error_type", None),
                data=getattr(error, "data", None),
                stack_trace=getattr(error, "stack_trace", None),
            )
        return self.parts.error_object.from_exception(error)


_WAIT_END: Final = ("WaitDetails", "ScheduledEndTimestamp")


def _sub_type(executor: Any) -> str | None:
    """Return the sub-type that an operation records. Before 3.0 a child's may be in its config."""
    found = getattr(executor, "sub_type", None) or executor.operation_identifier.sub_type
    return None if found is None else str(getattr(found, "value", found))


def _identity(executor: Any, virtual: bool) -> Identity:
    identifier = executor.operation_identifier
    return Identity(
        str(identifier.type.value), _sub_type(executor), identifier.name or None, virtual
    )


def _details_of(executor: Any) -> dict[str, object]:
    """Return what isn't the identity of an operation but is worth telling when it changes."""
    details: dict[str, object] = {}
    if isinstance(seconds := getattr(executor, "seconds", None), int):
        details["wait of seconds"] = seconds
    if isinstance(function := getattr(executor, "function_name", None), str):
        details["invoked function"] = function
    return details


# -- inside of the SDK -------------------------------------------------------------------------


def _load(version: str) -> _Parts:
    try:
        from aws_durable_execution_sdk_python import (
            context,
            exceptions,
            execution,
            identifier,
            lambda_service,
            serdes,
        )
        from aws_durable_execution_sdk_python.concurrency import executor, models
        from aws_durable_execution_sdk_python.operation import base, child

        _attach(base.OperationExecutor, executor.ConcurrentExecutor, context.DurableContext)
        named = (getattr(exceptions, name, None) for name in ("SerDesError", "ExecutionError"))
        return _Parts(
            execution.durable_execution,
            exceptions.SuspendExecution,
            tuple(each for each in named if each is not None),
            child.ChildOperationExecutor,
            serdes.serialize,
            models.BatchItem,
            getattr(models, "BatchItemStatus"),  # noqa: B009  # imported there, not exported
            models.BatchResult,
            models.CompletionReason,
            lambda_service.ErrorObject,
            hasattr(identifier.OperationIdentifier, "validate_checkpoint"),
        )
    except (ImportError, AttributeError) as error:
        raise SdkChanged(version, str(error)) from None


def _run_of(state: Any) -> _Run | None:
    """Return the run that an execution state of the SDK belongs to; None: it isn't one of ours."""
    client = getattr(state, "durable_cli_client", None)
    return client.run if isinstance(client, _Client) else None


def _attach(operations: Any, concurrent: Any, contexts: Any) -> None:
    """Put ourselves in the place of what an operation does, once, for executions of ours only.

    1. `OperationExecutor.process`: an operation, its identity made, is about to be looked up.
    2. `ConcurrentExecutor.execute` and `replay`: the units of a map or parallel are about to run.
    3. `DurableContext._create_step_id`: tells in which context an id was made; a FLAT unit's parent
       wouldn't.
    4. `DurableContext.is_replaying`: keeps the replay-aware logger silent.
    """
    if getattr(operations, "durable_cli_attached", False):
        return
    process, create_id = operations.process, contexts._create_step_id
    is_replaying = contexts.is_replaying

    @wraps(process)
    def attached_process(self: Any) -> Any:
        run = _run_of(self.state)
        return process(self) if run is None else run.process(self, process)

    def attached_units(method: Any) -> Any:
        @wraps(method)
        def attached(
            self: Any, execution_state: Any, executor_context: Any, *more: Any, **keywords: Any
        ) -> Any:
            run = _run_of(execution_state)
            if run is None:
                return method(self, execution_state, executor_context, *more, **keywords)
            return run.units(self, executor_context)

        return attached

    @wraps(create_id)
    def attached_create_id(self: Any) -> str:
        operation_id: str = create_id(self)
        run = _run_of(self.state)
        if run is not None:
            run.issued(self._step_id_prefix, operation_id)
        return operation_id

    @wraps(is_replaying)
    def attached_is_replaying(self: Any) -> bool:
        return _run_of(self.state) is not None or bool(is_replaying(self))

    operations.process = attached_process
    concurrent.execute = attached_units(concurrent.execute)
    concurrent.replay = attached_units(concurrent.replay)
    contexts._create_step_id = attached_create_id
    contexts.is_replaying = attached_is_replaying
    operations.durable_cli_attached = True
