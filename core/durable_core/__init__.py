"""Runtime and tools for Lambda durable executions.

Reading, explaining, sizing and simulating them; never talking to AWS unless an adapter is asked.

What a handler of the native runtime needs is imported from here: `from durable_core import
DurableContext, StepConfig`. Each name is loaded when it is first asked for, so that importing this
package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from durable_core._version import __version__

if TYPE_CHECKING:
    from durable_core.completion import (
        CompletionConfig,
        CompletionDecision,
        CompletionItemStatus,
        CompletionOutcome,
        CompletionStatus,
        complete_batch,
        continue_batch,
    )
    from durable_core.exceptions import (
        BatchCompletionError,
        CallbackError,
        CallbackExternalError,
        CallbackSubmitterError,
        CallbackTimeoutError,
        CheckpointError,
        ChildContextError,
        DurableExecutionsError,
        DurableOperationError,
        ExecutionError,
        InvocationError,
        InvokeError,
        NonDeterministicExecutionError,
        RetryableSerDesError,
        SerDesError,
        StepError,
        StepInterruptedError,
        ValidationError,
        WaitForConditionError,
    )
    from durable_core.model import CompletionReason, ErrorObject, NestingType
    from durable_core.native.batch_result import BatchItem, BatchItemStatus, BatchResult
    from durable_core.native.config import (
        CallbackConfig,
        ChildConfig,
        InvokeConfig,
        MapConfig,
        ParallelBranch,
        ParallelConfig,
        StepConfig,
        StepSemantics,
        WaitForCallbackConfig,
    )
    from durable_core.native.context import DurableContext
    from durable_core.native.decorators import (
        durable_parallel_branch,
        durable_step,
        durable_wait_for_callback,
        durable_with_child_context,
    )
    from durable_core.native.operations.wait import Callback
    from durable_core.native.retries import (
        JitterStrategy,
        LinearRetryStrategyConfig,
        RetryDecision,
        RetryPresets,
        RetryStrategy,
        RetryStrategyConfig,
        create_linear_retry_strategy,
        create_retry_strategy,
    )
    from durable_core.native.retrying import WithRetryConfig, with_retry
    from durable_core.native.serdes import JsonSerDes, PassThroughSerDes, SerDes, SerDesContext
    from durable_core.native.types import (
        StepContext,
        WaitForCallbackContext,
        WaitForConditionCheckContext,
    )
    from durable_core.native.waits import (
        WaitForConditionConfig,
        WaitForConditionDecision,
        WaitStrategyConfig,
        create_wait_strategy,
    )
    from durable_core.processes.verify import verify
    from durable_core.simulation.simulate import simulate
    from durable_core.verifying.verification import NotCompatible, Verdict, Verification

_NAMES = {
    "native.batch_result": "BatchItem BatchItemStatus BatchResult",
    "completion": "CompletionConfig CompletionDecision CompletionItemStatus CompletionOutcome "
    "CompletionStatus complete_batch continue_batch",
    "native.config": "CallbackConfig ChildConfig InvokeConfig MapConfig ParallelBranch "
    "ParallelConfig StepConfig StepSemantics WaitForCallbackConfig",
    "native.context": "DurableContext",
    "native.operations.wait": "Callback",
    "native.decorators": "durable_parallel_branch durable_step durable_wait_for_callback "
    "durable_with_child_context",
    "exceptions": "BatchCompletionError CallbackError CallbackExternalError "
    "CallbackSubmitterError CallbackTimeoutError CheckpointError ChildContextError "
    "DurableExecutionsError DurableOperationError ExecutionError InvocationError InvokeError "
    "NonDeterministicExecutionError RetryableSerDesError SerDesError StepError "
    "StepInterruptedError ValidationError WaitForConditionError",
    "model": "CompletionReason ErrorObject NestingType",
    "native.retries": "JitterStrategy LinearRetryStrategyConfig RetryDecision RetryPresets "
    "RetryStrategy RetryStrategyConfig create_linear_retry_strategy create_retry_strategy",
    "native.retrying": "WithRetryConfig with_retry",
    "native.serdes": "JsonSerDes PassThroughSerDes SerDes SerDesContext",
    "simulation.simulate": "simulate",
    "adapters.verify": "verify",
    "verifying.verification": "NotCompatible Verdict Verification",
    "native.types": "StepContext WaitForCallbackContext WaitForConditionCheckContext",
    "native.waits": "WaitForConditionConfig WaitForConditionDecision WaitStrategyConfig "
    "create_wait_strategy",
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = [
    "BatchCompletionError",
    "BatchItem",
    "BatchItemStatus",
    "BatchResult",
    "Callback",
    "CallbackConfig",
    "CallbackError",
    "CallbackExternalError",
    "CallbackSubmitterError",
    "CallbackTimeoutError",
    "CheckpointError",
    "ChildConfig",
    "ChildContextError",
    "CompletionConfig",
    "CompletionDecision",
    "CompletionItemStatus",
    "CompletionOutcome",
    "CompletionReason",
    "CompletionStatus",
    "DurableContext",
    "DurableExecutionsError",
    "DurableOperationError",
    "ErrorObject",
    "ExecutionError",
    "InvocationError",
    "InvokeConfig",
    "InvokeError",
    "JitterStrategy",
    "JsonSerDes",
    "LinearRetryStrategyConfig",
    "MapConfig",
    "NestingType",
    "NonDeterministicExecutionError",
    "NotCompatible",
    "ParallelBranch",
    "ParallelConfig",
    "PassThroughSerDes",
    "RetryDecision",
    "RetryPresets",
    "RetryStrategy",
    "RetryStrategyConfig",
    "RetryableSerDesError",
    "SerDes",
    "SerDesContext",
    "SerDesError",
    "StepConfig",
    "StepContext",
    "StepError",
    "StepInterruptedError",
    "StepSemantics",
    "ValidationError",
    "Verdict",
    "Verification",
    "WaitForCallbackConfig",
    "WaitForCallbackContext",
    "WaitForConditionCheckContext",
    "WaitForConditionConfig",
    "WaitForConditionDecision",
    "WaitForConditionError",
    "WaitStrategyConfig",
    "WithRetryConfig",
    "__version__",
    "complete_batch",
    "continue_batch",
    "create_linear_retry_strategy",
    "create_retry_strategy",
    "create_wait_strategy",
    "durable_parallel_branch",
    "durable_step",
    "durable_wait_for_callback",
    "durable_with_child_context",
    "simulate",
    "verify",
    "with_retry",
]


def __getattr__(name: str) -> Any:
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module 'durable_core' has no attribute {name!r}")
    value = getattr(import_module(f"durable_core.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
