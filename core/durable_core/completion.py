"""When a map or parallel is complete, and why: the policy as data, the verdict as a pure function.

Rules and names are those of AWS's Python SDK 3.0.0: nothing configured means fail fast; failures
must be strictly more than tolerated; the percentage is of all units, not of the ended ones.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from durable_core.exceptions import ValidationError
from durable_core.frozen import dataclass
from durable_core.model import CompletionReason, UnitStatus


class CompletionOutcome(Enum):
    """Whether a predicate that completes a batch calls it a success."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class CompletionDecision:
    """What a `should_complete` predicate answers. Made by `continue_batch` and `complete_batch`."""

    complete: bool
    outcome: CompletionOutcome | None = None

    def __post_init__(self) -> None:
        if self.complete and self.outcome is None:
            raise ValidationError("outcome is required when complete is True")
        if not self.complete and self.outcome is not None:
            raise ValidationError("outcome must be None when complete is False")


def continue_batch() -> CompletionDecision:
    """Return the decision to go on."""
    return CompletionDecision(complete=False)


def complete_batch(
    outcome: CompletionOutcome = CompletionOutcome.SUCCEEDED,
) -> CompletionDecision:
    """Return the decision to complete the batch now."""
    return CompletionDecision(complete=True, outcome=outcome)


@dataclass(frozen=True, slots=True)
class CompletionItemStatus:
    """How one unit stands. `status` None: it was not dispatched yet."""

    index: int
    name: str | None = None
    status: UnitStatus | None = None


@dataclass(frozen=True, slots=True)
class CompletionStatus:
    """How a batch stands, for a predicate. `items` are in the order of their index."""

    success_count: int
    failure_count: int
    completed_count: int
    total_count: int
    items: tuple[CompletionItemStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class CompletionConfig:
    """When a batch is complete before all of its units have ended.

    `min_successful` successes are enough; more failures than `tolerated_failure_count`, or more
    than `tolerated_failure_percentage` (0 to 100) of all units, are too many; with none of the
    three the first failure is. `should_complete` replaces them: it is asked before the first
    dispatch and after each ended unit, must be deterministic, and must not go back on a yes.
    """

    min_successful: int | None = None
    tolerated_failure_count: int | None = None
    tolerated_failure_percentage: int | float | None = None
    should_complete: Callable[[CompletionStatus], CompletionDecision] | None = None

    def __post_init__(self) -> None:
        if self.min_successful is not None and self.min_successful < 1:
            raise ValidationError(f"min_successful must be at least 1, got: {self.min_successful}")
        count, percentage = self.tolerated_failure_count, self.tolerated_failure_percentage
        if count is not None and count < 0:
            raise ValidationError(f"tolerated_failure_count must not be negative, got: {count}")
        if percentage is not None and not 0 <= percentage <= 100:
            raise ValidationError(
                f"tolerated_failure_percentage must be between 0 and 100, got: {percentage}"
            )
        if self.should_complete is not None:
            if not callable(self.should_complete):
                raise ValidationError("should_complete must be callable")
            if self.has_thresholds:
                raise ValidationError(
                    "should_complete cannot be combined with min_successful, "
                    "tolerated_failure_count, or tolerated_failure_percentage"
                )

    @property
    def has_thresholds(self) -> bool:
        """True when one of the three numbers is set."""
        return (
            self.min_successful is not None
            or self.tolerated_failure_count is not None
            or self.tolerated_failure_percentage is not None
        )

    def check_total(self, total: int) -> None:
        """Raise ValidationError when more successes are asked for than there are units."""
        if self.min_successful is not None and self.min_successful > total:
            raise ValidationError(
                "min_successful cannot be greater than total items: "
                f"{self.min_successful} > {total}"
            )

    @staticmethod
    def first_successful() -> CompletionConfig:
        """Return the policy that the first success completes."""
        return CompletionConfig(min_successful=1)

    @staticmethod
    def all_completed() -> CompletionConfig:
        """Return the policy that tolerates every failure."""
        return CompletionConfig(tolerated_failure_percentage=100)

    @staticmethod
    def all_successful() -> CompletionConfig:
        """Return the policy that tolerates no failure."""
        return CompletionConfig(tolerated_failure_count=0, tolerated_failure_percentage=0)


def is_tolerance_exceeded(config: CompletionConfig, total: int, failed: int) -> bool:
    """Return True when more units failed than the policy tolerates."""
    if config.should_complete is not None:
        return False
    if not config.has_thresholds:
        return failed > 0
    count, percentage = config.tolerated_failure_count, config.tolerated_failure_percentage
    if count is not None and failed > count:
        return True
    return percentage is not None and total > 0 and failed / total * 100 > percentage


def completion_of(
    config: CompletionConfig,
    total: int,
    succeeded: int,
    failed: int,
    items: Callable[[], tuple[CompletionItemStatus, ...]] = tuple,
) -> CompletionReason | None:
    """Return why the batch is complete, or None while it goes on.

    Too many failures come before everything else, also where all units have ended. `items` is only
    called for a predicate.
    """
    if is_tolerance_exceeded(config, total, failed):
        return CompletionReason.FAILURE_TOLERANCE_EXCEEDED
    ended = succeeded + failed
    if config.should_complete is not None:
        status = CompletionStatus(succeeded, failed, ended, total, items())
        decision = config.should_complete(status)
        if decision.complete:
            if decision.outcome is CompletionOutcome.FAILED:
                return CompletionReason.CUSTOM_COMPLETION_FAILED
            return CompletionReason.CUSTOM_COMPLETION_SUCCEEDED
    if ended >= total:
        return CompletionReason.ALL_COMPLETED
    if config.min_successful is not None and succeeded >= config.min_successful:
        return CompletionReason.MIN_SUCCESSFUL_REACHED
    return None
