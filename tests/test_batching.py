"""Laws of cutting a stream of updates into requests, over random streams, for every SDK's rules."""

import queue
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from aws_durable_execution_sdk_python.lambda_service import OperationUpdate as AwsUpdate
from aws_durable_execution_sdk_python.state import (
    CheckpointBatcherConfig,
    ExecutionState,
    QueuedOperation,
)
from hypothesis import given
from hypothesis import strategies as st

from durable_core.batches.batching import Batch, Batcher, Cut, Plan, plan
from durable_core.model import OperationAction, OperationType, OperationUpdate
from durable_core.sdks import SDKS, Sdk, SdkRules
from durable_core.wire import update_to_wire

CAP = 768_000
Stream = Sequence[OperationUpdate]


def stream(*payload_bytes: int) -> tuple[OperationUpdate, ...]:
    return tuple(
        OperationUpdate(
            f"op-{number}", OperationType.STEP, OperationAction.SUCCEED, payload="x" * size
        )
        for number, size in enumerate(payload_bytes)
    )


# Caps of some thousand bytes make every kind of cut frequent in short streams.
BYTES = st.integers(1_000, 9_000)
OPERATIONS = st.integers(1, 12)
TOKENS = st.integers(0, 2_000)
STREAMS = st.lists(
    st.integers(0, 300) | st.integers(0, 3_000) | st.integers(3_000, 10_000), max_size=60
).map(lambda sizes: stream(*sizes))
RULES = st.builds(
    lambda sdk, max_bytes, max_operations: replace(
        SDKS[sdk], max_bytes=max_bytes, max_operations=max_operations
    ),
    st.sampled_from(list(SDKS)),
    BYTES,
    OPERATIONS,
)
ORDERED_RULES = RULES.map(lambda rules: replace(rules, hangs_on_oversized=False))
PYTHON_RULES = st.builds(
    lambda max_bytes, max_operations: replace(
        SDKS[Sdk.PYTHON], max_bytes=max_bytes, max_operations=max_operations
    ),
    BYTES,
    OPERATIONS,
)


@given(STREAMS, ORDERED_RULES, TOKENS)
def test_order_is_kept_and_nothing_is_lost_or_doubled(
    updates: Stream, rules: SdkRules, token_length: int
) -> None:
    planned = plan(updates, rules, token_length)
    assert [item for batch in planned.batches for item in batch.updates] == list(updates)
    assert [index for batch in planned.batches for index in batch.indexes] == [*range(len(updates))]
    assert planned.stuck == ()


@given(STREAMS, RULES, TOKENS)
def test_no_request_is_over_a_cap_but_one_of_a_lone_oversized_update(
    updates: Stream, rules: SdkRules, token_length: int
) -> None:
    for batch in plan(updates, rules, token_length).batches:
        assert 1 <= len(batch.updates) <= rules.max_operations
        assert batch.estimated_bytes <= rules.max_bytes or len(batch.updates) == 1


@given(STREAMS, ORDERED_RULES, TOKENS)
def test_no_two_neighbours_would_have_fitted_together(
    updates: Stream, rules: SdkRules, token_length: int
) -> None:
    batches = plan(updates, rules, token_length).batches
    for left, right in pairwise(batches):
        next_size = rules.estimate(right.updates[0])
        assert (
            len(left.updates) == rules.max_operations
            or left.estimated_bytes + next_size > rules.max_bytes
        )


@given(STREAMS, RULES, TOKENS)
def test_the_estimate_of_a_request_is_its_base_and_its_updates(
    updates: Stream, rules: SdkRules, token_length: int
) -> None:
    for batch in plan(updates, rules, token_length).batches:
        parts = [rules.estimate(item) for item in batch.updates]
        assert batch.estimated_bytes == rules.base(token_length) + sum(parts)


@given(STREAMS, ORDERED_RULES, TOKENS)
def test_each_request_says_why_it_was_cut(
    updates: Stream, rules: SdkRules, token_length: int
) -> None:
    batches = plan(updates, rules, token_length).batches
    for batch in batches:
        assert batch.cut is expected_cut(batch, rules, is_last=batch is batches[-1])


def expected_cut(batch: Batch, rules: SdkRules, is_last: bool) -> Cut:
    if batch.estimated_bytes > rules.max_bytes:
        return Cut.OVERSIZED
    if is_last:
        return Cut.END
    return Cut.OPERATIONS if len(batch.updates) == rules.max_operations else Cut.BYTES


@given(STREAMS, ORDERED_RULES)
def test_a_live_batcher_and_a_plan_cut_alike(updates: Stream, rules: SdkRules) -> None:
    batcher, counts = Batcher(rules), []
    for item in updates:
        size = rules.estimate(item)
        if batcher.cut_before(size):
            counts.append(batcher.count)
            batcher.reset()
        batcher.add(size)
    if batcher.count:
        counts.append(batcher.count)
    assert counts == [len(batch.updates) for batch in plan(updates, rules).batches]


# -- Python's two queues -----------------------------------------------------------------------


class FiniteQueue(queue.Queue[Any]):
    """A main queue to which nothing is added: waiting on it in vain stops the SDK's collector."""

    def __init__(self, state: ExecutionState) -> None:
        super().__init__()
        self.state = state

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        try:
            return super().get(block=False)
        except queue.Empty:
            self.state._checkpointing_stopped.set()
            raise


def collected_by_the_sdk(updates: Stream, rules: SdkRules) -> list[list[str]]:
    """Return the ids of each request that AWS's own batcher collects from a full queue."""
    nothing: Any = None
    config = CheckpointBatcherConfig(
        max_batch_size_bytes=rules.max_bytes, max_batch_operations=rules.max_operations
    )
    state = ExecutionState("arn", "token", {}, nothing, nothing, config)
    state._checkpoint_queue = FiniteQueue(state)
    for item in updates:
        state._checkpoint_queue.put(QueuedOperation(AwsUpdate.from_dict(update_to_wire(item))))
    requests: list[list[str]] = []
    while True:
        state._checkpointing_stopped.clear()
        batch = state._collect_checkpoint_batch()
        if not batch:
            return requests
        sent = [item.operation_update for item in batch]
        requests.append([update.operation_id for update in sent if update])


@given(STREAMS, PYTHON_RULES)
def test_a_plan_for_python_is_what_its_own_batcher_collects(
    updates: Stream, rules: SdkRules
) -> None:
    planned = [[item.id for item in batch.updates] for batch in plan(updates, rules).batches]
    assert planned == collected_by_the_sdk(updates, rules)


@given(STREAMS, PYTHON_RULES)
def test_python_sends_each_update_once_or_it_is_reported_as_stuck(
    updates: Stream, rules: SdkRules
) -> None:
    planned = plan(updates, rules)
    sent = [index for batch in planned.batches for index in batch.indexes]
    assert sorted([*sent, *planned.stuck]) == [*range(len(updates))]


def places(planned: Plan) -> list[list[int]]:
    return [list(batch.indexes) for batch in planned.batches]


def test_python_never_sends_an_oversized_update_that_is_queued_behind_another() -> None:
    planned = plan(stream(10, CAP, 10), SDKS[Sdk.PYTHON])
    assert places(planned) == [[0], [2]]
    assert planned.stuck == (1,)


def test_python_sends_an_oversized_update_that_comes_first() -> None:
    planned = plan(stream(CAP, 10), SDKS[Sdk.PYTHON])
    assert places(planned) == [[0], [1]]
    assert planned.batches[0].cut is Cut.OVERSIZED
    assert planned.stuck == ()


def test_python_also_strands_a_small_update_that_is_put_aside_behind_an_oversized_one() -> None:
    planned = plan(stream(10, CAP, 700_000, 100_000), SDKS[Sdk.PYTHON])
    assert places(planned) == [[0], [2]]
    assert planned.stuck == (1, 3)


@pytest.mark.parametrize("sdk", [Sdk.DOTNET, Sdk.JAVA, Sdk.JAVASCRIPT])
def test_the_other_sdks_send_an_oversized_update_alone(sdk: Sdk) -> None:
    planned = plan(stream(10, CAP, 10), SDKS[sdk])
    assert places(planned) == [[0], [1], [2]]
    assert [batch.cut for batch in planned.batches] == [Cut.BYTES, Cut.OVERSIZED, Cut.END]


# -- the caps, to the byte ---------------------------------------------------------------------


@pytest.mark.parametrize("sdk", SDKS)
def test_a_request_may_reach_the_byte_cap_but_not_pass_it(sdk: Sdk) -> None:
    rules = SDKS[sdk]
    two = stream(1_000, 1_000)
    room = rules.base() + sum(rules.estimate(item) for item in two)
    assert len(plan(two, replace(rules, max_bytes=room)).batches) == 1
    assert len(plan(two, replace(rules, max_bytes=room - 1)).batches) == 2


@pytest.mark.parametrize(
    ("sdk", "operations"),
    [(Sdk.DOTNET, 200), (Sdk.JAVA, 200), (Sdk.JAVASCRIPT, 250), (Sdk.PYTHON, 250)],
)
def test_a_request_holds_as_many_updates_as_its_sdk_allows(sdk: Sdk, operations: int) -> None:
    planned = plan(stream(*[1] * (operations + 1)), SDKS[sdk])
    assert [len(batch.updates) for batch in planned.batches] == [operations, 1]
    assert [batch.cut for batch in planned.batches] == [Cut.OPERATIONS, Cut.END]


def test_no_updates_make_no_request() -> None:
    assert all(plan((), rules).batches == () for rules in SDKS.values())


def test_the_checkpoint_token_counts_for_javascript_only() -> None:
    grown = {
        sdk: plan(stream(1), rules, token_length=500).batches[0].estimated_bytes
        - plan(stream(1), rules).batches[0].estimated_bytes
        for sdk, rules in SDKS.items()
    }
    assert grown == {Sdk.DOTNET: 0, Sdk.JAVA: 0, Sdk.JAVASCRIPT: 500, Sdk.PYTHON: 0}
