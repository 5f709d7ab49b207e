"""The same handlers of AWS's SDK on AWS's local runner and on ours, each run in a fresh process.

    python tests/benchmarks/bench_aws_sdk.py [WORKLOAD...]

Prints both times, their ratio and what the ratio is held to; the time and the ratio of a service
that takes no time, which no runner of an unchanged SDK can beat; how both grow from 1,000 items to
4,000; last what an invocation and the start of the command take on our side alone (compile
first: `python -m compileall -q core durable_cli`). `--limits` of the service that would refuse so
many operations are lifted on our side; AWS's runner has none. Time is skipped in AWS's runner, and
its poll interval is at its smallest.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import Duration, MapConfig, NestingType

HOUR = Duration.from_hours(1)
PAYLOAD = "x" * 10_000


def _map(context: DurableContext, items: int, config: MapConfig) -> int:
    def unit(each: DurableContext, _item: int, _index: int, _items: object) -> str:
        return each.step(lambda _: PAYLOAD)

    batch = context.map(range(items), unit, name="map", config=config)
    context.wait(HOUR)
    return batch.success_count


@durable_execution
def nested_map(event: int, context: DurableContext) -> int:
    return _map(context, event, MapConfig(max_concurrency=10))


@durable_execution
def flat_map(event: int, context: DurableContext) -> int:
    return _map(context, event, MapConfig(max_concurrency=10, nesting_type=NestingType.FLAT))


@durable_execution
def nested_map_unlimited(event: int, context: DurableContext) -> int:
    return _map(context, event, MapConfig())


@durable_execution
def steps(event: int, context: DurableContext) -> int:
    return sum(context.step(lambda _: 1) for _ in range(event))


@durable_execution
def waits(event: int, context: DurableContext) -> int:
    for _ in range(event):
        context.wait(HOUR)
    return event


HELD_TO: dict[str, tuple[Callable[..., Any], int, float]] = {
    "nested_map": (nested_map, 1_000, 2),
    "flat_map": (flat_map, 1_000, 2),
    "nested_map_unlimited": (nested_map_unlimited, 1_000, 2),
    "steps": (steps, 1_000, 2),
    "waits": (waits, 100, 20),
}

GROWTH = {"nested_map": 4_000, "flat_map": 4_000}


def ours(handler: Callable[..., Any], event: int) -> str | None:
    """Run the handler on the simulated service and return its result."""
    from durable_core.limits import LIMITS
    from durable_core.runtimes.aws_python.runner import AwsSdkRunner
    from durable_core.simulation.simulate import simulate

    limits = replace(LIMITS, operations=10**9, stored_bytes=10**12)
    return simulate(AwsSdkRunner(handler), event, limits=limits).result


def theirs(handler: Callable[..., Any], event: int) -> str | None:
    """Run the handler on AWS's local runner and return its result."""
    from aws_durable_execution_sdk_python_testing.runner import DurableFunctionTestRunner

    with DurableFunctionTestRunner(handler, poll_interval=0.01, execution_timeout=900) as runner:
        result: str | None = runner.run(input=json.dumps(event), timeout=900).result
        return result


def at_best(handler: Callable[..., Any], event: int) -> str | None:
    """Run the handler on a service that takes no time and return its result."""
    from instant_service import instant

    return instant(handler, event)


SIDES = {"ours": ours, "theirs": theirs, "at best": at_best}


def run_here(side: str, name: str, event: int) -> None:
    """Print how long one run takes in this process, imports not counted, and its result."""
    logging.disable()
    run = SIDES[side]
    run(waits, 1)
    began = time.perf_counter()
    result = run(HELD_TO[name][0], event)
    print(json.dumps([time.perf_counter() - began, result]))
    sys.stdout.flush()


def seconds(side: str, name: str, event: int) -> float:
    """Return how long a run takes in a process of its own: the shorter one of two."""
    took = []
    for _ in range(2):
        command = [sys.executable, __file__, "--here", side, name, str(event)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        time_taken, result = json.loads(said.splitlines()[-1])
        assert int(json.loads(result) if result else 0) == event, result
        took.append(time_taken)
    return min(took)


# -- on our side alone -------------------------------------------------------------------------

WAITS = 100
HANDLER = Path(__file__).parents[2] / "fixtures/handlers/aws_waits.py"


def per_invocation() -> str:
    """Say what an invocation takes on average of 100 waits, each of which ends one."""
    took = seconds("ours", "waits", WAITS) * 1000 / (WAITS + 1)
    return f"per_invocation: {took:.1f} ms of {WAITS} waits (under 5)"


def cold_start() -> str:
    """Say how much longer the command takes than importing the SDK: the least of some of each."""
    command = [sys.executable, "-m", "durable_cli", "simulate", "--handler", f"{HANDLER}:handler"]
    importing = [sys.executable, "-c", "import aws_durable_execution_sdk_python"]
    whole, sdk = [], []
    for _ in range(7):  # in turn, so that both meet the same noise
        whole.append(_process_seconds(command))
        sdk.append(_process_seconds(importing))
    over = min(whole) - min(sdk)
    return (
        f"cold_start: command {min(whole):.2f} s, importing the SDK {min(sdk):.2f} s, "
        f"{over:.2f} s over it (at most 0.5)"
    )


def _process_seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


ALONE: dict[str, Callable[[], str]] = {"per_invocation": per_invocation, "cold_start": cold_start}


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--here"]:
        return run_here(arguments[1], arguments[2], int(arguments[3]))
    for name in arguments or [*HELD_TO, *ALONE]:
        if name in ALONE:
            print(ALONE[name]())
            continue
        _, event, least = HELD_TO[name]
        mine, other = seconds("ours", name, event), seconds("theirs", name, event)
        ratio = f"x {other / mine:.1f} (at least {least:g})"
        print(f"{name} {event:,}: ours {mine:.2f} s, AWS's runner {other:.2f} s, {ratio}")
        best = seconds("at best", name, event)
        print(
            f"  the SDK alone, on a service that takes no time: {best:.2f} s, x {other / best:.1f}"
        )
        if name in GROWTH:
            more = GROWTH[name]
            grown, others = seconds("ours", name, more), seconds("theirs", name, more)
            print(
                f"  {more:,}: ours {grown:.2f} s, x {grown / mine:.1f} for x {more // event}; "
                f"AWS's runner {others:.2f} s, x {others / other:.1f}; x {others / grown:.1f}"
            )
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
