"""AWS's SDK as it is installed: whether a handler needs it, and what of it is used here.

The only importer of the SDK for handlers that run. It imports the user's own installation, when a
runner is made, and gives out what an invocation is made of; nothing else of ours names its modules.
"""

from __future__ import annotations

from functools import partial
from types import CellType, FunctionType
from typing import Any, Final

from durable_core.errors import DurableError, UsageError
from durable_core.frozen import dataclass

EXTRA: Final = "durable-cli[aws-sdk]"
PACKAGE: Final = "aws_durable_execution_sdk_python"

_DECORATORS: Final = frozenset(f"{PACKAGE}.{module}" for module in ("execution", "plugin"))
"""Where `@durable_execution` makes its functions: in `plugin` in 1.x."""


def is_aws_handler(handler: object) -> bool:
    """Return True for what `@durable_execution` made, without importing the SDK."""
    return (
        isinstance(handler, FunctionType)
        and handler.__closure__ is not None  # it holds the handler; the decorator holds nothing
        and handler.__globals__.get("__name__") in _DECORATORS
    )


def found_below(handler: object) -> FunctionType | None:
    """Return what `@durable_execution` made of a handler, whatever decorates that; None: nothing.

    Decorators say in `__wrapped__` what they are around, `partial` in `func`; others only hold it,
    a function in its closure and an object in an attribute.
    """
    waiting: list[object] = [handler]
    seen: set[int] = set()
    while waiting:
        layer = waiting.pop()
        if isinstance(layer, FunctionType) and is_aws_handler(layer):
            return layer
        if id(layer) not in seen:
            seen.add(id(layer))
            held = layer.func if isinstance(layer, partial) else getattr(layer, "__wrapped__", None)
            waiting += [held] if held is not None else _held_by(layer)
    return None


def _held_by(layer: object) -> list[object]:
    if isinstance(layer, FunctionType):
        held = held_in_closure(layer)
    else:
        held = [] if isinstance(layer, type) else list(getattr(layer, "__dict__", {}).values())
    return [each for each in held if isinstance(each, FunctionType | partial)]


def held_in_closure(function: FunctionType) -> list[object]:
    """Return the values that a function took along from the one in which it was made."""
    return [cell.cell_contents for cell in function.__closure__ or () if cell != CellType()]


class SdkMissing(UsageError):
    """The SDK isn't installed where we run."""

    def __str__(self) -> str:
        return f"the handler needs AWS's SDK, which isn't installed: pip install '{EXTRA}'"


class SdkChanged(DurableError):
    """The installed SDK isn't built as the ones that we know. `what` says what isn't there."""

    def __init__(self, version: str, what: str) -> None:
        super().__init__(version, what)
        self.version = version
        self.what = what

    def __str__(self) -> str:
        return f"AWS's SDK {self.version} isn't one that this version of durable knows: {self.what}"


@dataclass(frozen=True)
class InstalledSdk:
    """What we use of the installed SDK."""

    version: str
    execution_state: Any
    context: Any
    child: Any
    step: Any
    concurrent_executor: Any
    timer_scheduler: Any
    invocation_input: Any
    initial_state: Any
    operation: Any
    checkpoint_output: Any
    new_state: Any
    state_output: Any
    checkpoint_error: Any
    state_error: Any
    background_error: Any
    orphaned_error: Any


def load_sdk() -> InstalledSdk:
    """Import the SDK. Raises SdkMissing, and SdkChanged where it isn't what we know."""
    try:
        import aws_durable_execution_sdk_python as root
    except ModuleNotFoundError as error:
        if error.name != PACKAGE:
            raise
        raise SdkMissing from None
    version = str(getattr(root, "__version__", "(unknown)"))
    try:
        from aws_durable_execution_sdk_python import (
            context,
            exceptions,
            execution,
            lambda_service,
            state,
        )
        from aws_durable_execution_sdk_python.concurrency import executor
        from aws_durable_execution_sdk_python.operation import child, step

        return InstalledSdk(
            version=version,
            execution_state=state.ExecutionState,
            context=context.DurableContext,
            child=child,
            step=step,
            concurrent_executor=executor.ConcurrentExecutor,
            timer_scheduler=getattr(executor, "TimerScheduler", None),
            invocation_input=execution.DurableExecutionInvocationInputWithClient,
            initial_state=execution.InitialExecutionState,
            operation=lambda_service.Operation,
            checkpoint_output=lambda_service.CheckpointOutput,
            new_state=lambda_service.CheckpointUpdatedExecutionState,
            state_output=lambda_service.StateOutput,
            checkpoint_error=exceptions.CheckpointError,
            state_error=exceptions.GetExecutionStateError,
            background_error=exceptions.BackgroundThreadError,
            orphaned_error=getattr(
                exceptions, "OrphanedChildException", exceptions.BackgroundThreadError
            ),
        )
    except (ImportError, AttributeError) as error:
        raise SdkChanged(version, str(error)) from None
