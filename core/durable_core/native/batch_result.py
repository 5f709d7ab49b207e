"""The result of a map or parallel, with the accessors of AWS's Python SDK 3.0.0."""

from __future__ import annotations

from dataclasses import field
from typing import Generic, TypeVar, cast

from durable_core.exceptions import BatchCompletionError, ChildContextError, raise_recorded
from durable_core.frozen import dataclass
from durable_core.model import CompletionReason, ErrorObject, UnitStatus

R = TypeVar("R")

BatchItemStatus = UnitStatus
"""How a unit ended: SUCCEEDED, FAILED, or STARTED when it was stopped before it ended."""


@dataclass(frozen=True, slots=True)
class BatchItem(Generic[R]):
    """One unit. A failed one may have no error: where a replay no longer gets the same."""

    index: int
    status: BatchItemStatus
    result: R | None = None
    error: ErrorObject | None = None
    name: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class BatchResult(Generic[R]):
    """Every unit that was dispatched, in the order of the units, and why the batch completed."""

    all: list[BatchItem[R]]
    completion_reason: CompletionReason

    def succeeded(self) -> list[BatchItem[R]]:
        """Return the units that succeeded."""
        return self._with(BatchItemStatus.SUCCEEDED)

    def failed(self) -> list[BatchItem[R]]:
        """Return the units that failed."""
        return self._with(BatchItemStatus.FAILED)

    def started(self) -> list[BatchItem[R]]:
        """Return the units that were dispatched and stopped before they ended."""
        return self._with(BatchItemStatus.STARTED)

    def get_results(self) -> list[R]:
        """Return the results of the units that succeeded."""
        return [cast(R, item.result) for item in self.succeeded()]

    def get_errors(self) -> list[ErrorObject | None]:
        """Return one entry per failed unit; None where it has no error."""
        return [item.error for item in self.failed()]

    @property
    def status(self) -> BatchItemStatus:
        """FAILED when a unit failed, or when the user's predicate completed the batch so."""
        if self.completion_reason is CompletionReason.CUSTOM_COMPLETION_FAILED:
            return BatchItemStatus.FAILED
        if self.completion_reason is CompletionReason.CUSTOM_COMPLETION_SUCCEEDED:
            return BatchItemStatus.SUCCEEDED
        return BatchItemStatus.FAILED if self.has_failure else BatchItemStatus.SUCCEEDED

    @property
    def has_failure(self) -> bool:
        """True when a unit failed."""
        return any(item.status is BatchItemStatus.FAILED for item in self.all)

    def throw_if_error(self) -> None:
        """Raise the first failed unit's error as ChildContextError; do nothing without one.

        Raises BatchCompletionError where the user's predicate failed the batch without one.
        """
        failed = self.failed()
        if failed and failed[0].error is None:
            raise ChildContextError(f"unit {failed[0].index} failed without an error")
        if failed:
            raise_recorded(failed[0].error, ChildContextError)
        if self.completion_reason is CompletionReason.CUSTOM_COMPLETION_FAILED:
            raise BatchCompletionError(
                f"Batch completed as failed by should_complete ({self.completion_reason})"
            )

    @property
    def success_count(self) -> int:
        """How many units succeeded."""
        return len(self.succeeded())

    @property
    def failure_count(self) -> int:
        """How many units failed."""
        return len(self.failed())

    @property
    def started_count(self) -> int:
        """How many units were stopped before they ended."""
        return len(self.started())

    @property
    def total_count(self) -> int:
        """How many units were dispatched."""
        return len(self.all)

    def _with(self, status: BatchItemStatus) -> list[BatchItem[R]]:
        return [item for item in self.all if item.status is status]
