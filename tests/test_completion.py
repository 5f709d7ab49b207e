"""The completion policy against the rules of AWS's Python SDK, and against the SDK itself."""

from __future__ import annotations

import pytest
from aws_durable_execution_sdk_python.concurrency.models import CompletionPolicy
from hypothesis import given
from hypothesis import strategies as st

from durable_core.completion import (
    CompletionConfig,
    CompletionOutcome,
    CompletionStatus,
    complete_batch,
    completion_of,
    continue_batch,
)
from durable_core.exceptions import ValidationError
from durable_core.model import CompletionReason


def test_nothing_configured_fails_fast() -> None:
    assert completion_of(CompletionConfig(), 3, 2, 0) is None
    reason = completion_of(CompletionConfig(), 3, 0, 1)
    assert reason is CompletionReason.FAILURE_TOLERANCE_EXCEEDED


def test_the_percentage_must_be_exceeded_strictly() -> None:
    config = CompletionConfig(tolerated_failure_percentage=25)
    assert completion_of(config, 4, 0, 1) is None
    assert completion_of(config, 4, 0, 2) is CompletionReason.FAILURE_TOLERANCE_EXCEEDED


def test_min_successful_alone_tolerates_every_failure() -> None:
    config = CompletionConfig(min_successful=2)
    assert completion_of(config, 4, 1, 2) is None
    assert completion_of(config, 4, 2, 1) is CompletionReason.MIN_SUCCESSFUL_REACHED
    assert completion_of(config, 4, 1, 3) is CompletionReason.ALL_COMPLETED


def test_too_many_failures_come_before_all_completed() -> None:
    config = CompletionConfig.all_successful()
    assert completion_of(config, 1, 0, 1) is CompletionReason.FAILURE_TOLERANCE_EXCEEDED


def test_a_predicate_decides_alone_and_sees_how_the_batch_stands() -> None:
    seen: list[CompletionStatus] = []

    def quorum(status: CompletionStatus):  # type: ignore[no-untyped-def]
        seen.append(status)
        done = status.failure_count >= 2
        return complete_batch(CompletionOutcome.FAILED) if done else continue_batch()

    config = CompletionConfig(should_complete=quorum)
    assert completion_of(config, 3, 0, 1) is None
    assert completion_of(config, 3, 0, 2) is CompletionReason.CUSTOM_COMPLETION_FAILED
    assert [status.completed_count for status in seen] == [1, 2]


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_successful": 0},
        {"tolerated_failure_count": -1},
        {"tolerated_failure_percentage": 101},
        {"min_successful": 1, "should_complete": lambda status: continue_batch()},
    ],
)
def test_wrong_policies_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CompletionConfig(**wrong)  # type: ignore[arg-type]


thresholds = st.one_of(st.none(), st.integers(1, 6))


@given(
    thresholds,
    st.one_of(st.none(), st.integers(0, 6)),
    st.one_of(st.none(), st.integers(0, 100)),
    st.integers(1, 6),
    st.integers(0, 6),
    st.integers(0, 6),
)
def test_the_verdict_is_that_of_the_python_sdk(
    minimum: int | None,
    count: int | None,
    percentage: int | None,
    total: int,
    succeeded: int,
    failed: int,
) -> None:
    theirs = CompletionPolicy(total, minimum, count, percentage)
    stops = theirs.is_complete(succeeded, failed) or not theirs.should_continue(failed)
    expected = theirs.reason(succeeded, failed).value if stops else None
    config = CompletionConfig(minimum, count, percentage)
    ours = completion_of(config, total, succeeded, failed)
    assert (ours.value if ours else None) == expected
