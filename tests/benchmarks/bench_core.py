"""Prints the ratios that the core is held to; `make bench` runs it on a machine left in peace."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from durable_core.batches.batching import plan
from durable_core.model import OperationAction, OperationType, OperationUpdate
from durable_core.sdks import SDKS
from durable_core.wire import update_to_wire

ROUNDS = 5


def best_seconds(work: Callable[[], object]) -> float:
    """Return the shortest of some runs: the one that was disturbed least."""
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def batch_plan(count: int = 100_000, payload_bytes: int = 1_000) -> None:
    """A plan of 100,000 updates of 1 KB against `json.dumps` of each of them. Held to 2.0."""
    payload = json.dumps({"items": ["value"] * 200})[:payload_bytes]
    updates = [
        OperationUpdate(
            id=f"{number:064x}",
            type=OperationType.STEP,
            action=OperationAction.SUCCEED,
            parent_id="f" * 64,
            name=f"step-{number}",
            sub_type="Step",
            payload=payload,
        )
        for number in range(count)
    ]
    wires = [update_to_wire(update) for update in updates]

    def dump_all() -> None:
        for wire in wires:
            json.dumps(wire)

    baseline = best_seconds(dump_all)
    print(f"json.dumps of {count:,} updates of {payload_bytes:,} bytes: {baseline:.3f} s")
    for sdk, rules in SDKS.items():
        took = best_seconds(lambda rules=rules: plan(updates, rules))  # type: ignore[misc]
        print(f"  plan for {sdk:<10} {took:.3f} s  x {took / baseline:.2f}  (at most 2)")


if __name__ == "__main__":
    batch_plan()
