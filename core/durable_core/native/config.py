"""Options of the operations. Names, defaults and order as in AWS's Python SDK 3.0.0.

Durations are `datetime.timedelta`; the service counts whole seconds, parts are rounded up.
"""

from __future__ import annotations

import string
from collections.abc import Awaitable, Callable
from dataclasses import field
from datetime import timedelta
from enum import Enum
from typing import Any, Generic, TypeVar

from durable_core.completion import CompletionConfig
from durable_core.exceptions import ValidationError
from durable_core.frozen import dataclass
from durable_core.model import NestingType
from durable_core.native.retries import RetryStrategy
from durable_core.native.serdes import SerDes

T = TypeVar("T")

SummaryGenerator = Callable[[Any], str]


class StepSemantics(Enum):
    """How often the body may run for one attempt.

    AT_LEAST_ONCE_PER_RETRY: an attempt that was cut off runs again. AT_MOST_ONCE_PER_RETRY: START
    is persisted before the body runs, and an attempt that was cut off counts as failed.
    """

    AT_MOST_ONCE_PER_RETRY = "AT_MOST_ONCE_PER_RETRY"
    AT_LEAST_ONCE_PER_RETRY = "AT_LEAST_ONCE_PER_RETRY"


_SUB_TYPE_CHARACTERS = frozenset(string.ascii_letters + string.digits + "-_")


def _check_sub_type(sub_type: str | None) -> None:
    if sub_type and (len(sub_type) > 32 or not _SUB_TYPE_CHARACTERS.issuperset(sub_type)):
        raise ValidationError(
            "sub_type must be 1 to 32 characters from A-Z, a-z, 0-9, hyphen, and underscore, "
            f"got: {sub_type!r}"
        )


def _check_concurrency(max_concurrency: int | None) -> None:
    if max_concurrency is not None and max_concurrency < 1:
        raise ValidationError(f"max_concurrency must be at least 1, got: {max_concurrency}")


@dataclass(frozen=True)
class StepConfig:
    """Of a step. Without a `retry_strategy` it has `RetryPresets.default()`."""

    retry_strategy: RetryStrategy | None = None
    step_semantics: StepSemantics = StepSemantics.AT_LEAST_ONCE_PER_RETRY
    serdes: SerDes[Any] | None = None
    sub_type: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_sub_type(self.sub_type)


@dataclass(frozen=True)
class ChildConfig(Generic[T]):
    """Of a child context.

    `summary_generator` makes the payload of a result that is over the limit (empty without it).
    `is_virtual`: no CONTEXT operation is recorded, operations inside belong to the caller's parent.
    """

    serdes: SerDes[Any] | None = None
    sub_type: str | None = None
    summary_generator: SummaryGenerator | None = None
    is_virtual: bool = False

    def __post_init__(self) -> None:
        _check_sub_type(self.sub_type)


@dataclass(frozen=True)
class ParallelBranch(Generic[T]):
    """A branch of a parallel, `func(ctx)`, with a name (`parallel-branch-<index>` unless given)."""

    func: Callable[..., Awaitable[T]]
    name: str | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the branch's function."""
        return self.func(*args, **kwargs)


@dataclass(frozen=True)
class ParallelConfig:
    """Of a parallel. Its default policy tolerates no failure.

    `serdes` writes the whole `BatchResult`, `item_serdes` the result of one branch; with only
    `serdes`, it does both. `summary_generator` adds a text of the user's own to a stripped summary.
    """

    max_concurrency: int | None = None
    completion_config: CompletionConfig = field(default_factory=CompletionConfig.all_successful)
    serdes: SerDes[Any] | None = None
    item_serdes: SerDes[Any] | None = None
    summary_generator: SummaryGenerator | None = None
    nesting_type: NestingType = NestingType.NESTED

    def __post_init__(self) -> None:
        _check_concurrency(self.max_concurrency)


@dataclass(frozen=True)
class MapConfig(Generic[T]):
    """Of a map; see ParallelConfig. Its default policy fails fast.

    `item_namer(item, index)` names the units (`map-item-<index>` without it); it is called for
    every item on every run, so it must be deterministic.
    """

    max_concurrency: int | None = None
    completion_config: CompletionConfig = field(default_factory=CompletionConfig)
    serdes: SerDes[Any] | None = None
    item_serdes: SerDes[Any] | None = None
    summary_generator: SummaryGenerator | None = None
    nesting_type: NestingType = NestingType.NESTED
    item_namer: Callable[[T, int], str] | None = None

    def __post_init__(self) -> None:
        _check_concurrency(self.max_concurrency)


@dataclass(frozen=True)
class InvokeConfig:
    """Of a chained invoke: how its input is written and its result read, and for which tenant."""

    serdes_payload: SerDes[Any] | None = None
    serdes_result: SerDes[Any] | None = None
    tenant_id: str | None = None


@dataclass(frozen=True)
class CallbackConfig:
    """Of a callback. Zero durations: no timeout. Without `serdes` the payload comes as it is."""

    timeout: timedelta = timedelta()
    heartbeat_timeout: timedelta = timedelta()
    serdes: SerDes[Any] | None = None
    sub_type: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_sub_type(self.sub_type)


@dataclass(frozen=True)
class WaitForCallbackConfig(CallbackConfig):
    """Of a wait_for_callback: the callback's options and the submitter's retry strategy."""

    retry_strategy: RetryStrategy | None = None
