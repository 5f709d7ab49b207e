"""Prints what an update costs at the simulated service, in small executions and in large ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from durable_core.limits import LIMITS
from durable_core.model import (
    CheckpointRequest,
    InvocationOutput,
    InvocationStatus,
    OperationAction,
    OperationType,
    OperationUpdate,
)
from durable_core.service.simulated import SimulatedService
from durable_core.service.values import CheckpointAnswer, ExecutionStart

ROUNDS = 3
SMALL, LARGE = 10_000, 100_000
NOW = datetime(2026, 11, 1, tzinfo=UTC)
NO_LIMITS = replace(LIMITS, operations=10**9, stored_bytes=10**12)
PAYLOAD = '"' + "x" * 1_000 + '"'


def service_of_steps(count: int, *, per_request: int) -> SimulatedService:
    """Run steps, each started and succeeded, so many of them in a request."""
    service = SimulatedService(ExecutionStart(), NOW, limits=NO_LIMITS)
    token = service.begin_invocation(NOW).input.checkpoint_token
    for first in range(0, count, per_request):
        updates = []
        for number in range(first, first + per_request):
            key, kind = f"{number:064x}", OperationType.STEP
            updates.append(OperationUpdate(key, kind, OperationAction.START, name="step"))
            updates.append(
                OperationUpdate(key, kind, OperationAction.SUCCEED, name="step", payload=PAYLOAD)
            )
        answer = service.apply(NOW, CheckpointRequest(tuple(updates), checkpoint_token=token))
        assert isinstance(answer, CheckpointAnswer)
        token = answer.checkpoint_token
    return service


def service_of_waits(count: int) -> SimulatedService:
    """Run waits that are all set in one invocation and end one after another."""
    service = SimulatedService(ExecutionStart(), NOW, limits=NO_LIMITS)
    token = service.begin_invocation(NOW).input.checkpoint_token
    for number in range(count):
        wait = OperationUpdate(
            f"{number:064x}",
            OperationType.WAIT,
            OperationAction.START,
            wait_seconds=1 + number * 7919 % 86_400,
        )
        answer = service.apply(NOW, CheckpointRequest((wait,), checkpoint_token=token))
        assert isinstance(answer, CheckpointAnswer)
        token = answer.checkpoint_token
    service.end_invocation(NOW, InvocationOutput(InvocationStatus.PENDING))
    service.tick(NOW + timedelta(days=2))
    return service


def best_seconds(work: Callable[[], object]) -> float:
    """Return the least processor time of some runs: the one that was disturbed least."""
    seconds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def compare(name: str, work: Callable[[int], object]) -> None:
    """Print the times of a small and a large execution; ten times the work, ten times the time."""
    small = best_seconds(lambda: work(SMALL))
    large = best_seconds(lambda: work(LARGE))
    print(f"{name}: {SMALL:,} in {small:.3f} s, {LARGE:,} in {large:.3f} s", end="")
    print(f"  x {large / small:.1f}  (10 is linear, at most 12)")


if __name__ == "__main__":
    compare("steps, one a request     ", lambda count: service_of_steps(count, per_request=1))
    compare("steps, 100 a request     ", lambda count: service_of_steps(count, per_request=100))
    compare("waits, set and ended     ", service_of_waits)
