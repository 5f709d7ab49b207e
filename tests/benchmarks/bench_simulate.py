"""Simulated executions against AWS's local runner: the same work, each time in a fresh process.

    python tests/benchmarks/bench_simulate.py [NAME...] [--rounds N] [--ours]

Prints the shortest time and the peak memory of both and the ratio that we are held to. The two take
turns, so that whatever else the machine does disturbs both. NAME is a part of the names of the
workloads to run; `--ours` leaves the other side out.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "core"), str(ROOT)]

PAYLOAD = "x" * 10_000


@dataclass(frozen=True)
class Workload:
    """A piece of work. `at_least` is how many times faster than AWS's runner it has to be."""

    kind: str
    count: int
    at_least: float = 0
    flat: bool = False
    concurrency: int | None = None

    @property
    def name(self) -> str:
        """What it is called in the table."""
        if self.kind != "map":
            return f"{self.count:,} {self.kind}"
        nesting = "FLAT" if self.flat else "NESTED"
        at_once = f"{self.concurrency} at once" if self.concurrency else "all at once"
        return f"{self.kind} of {self.count:,}, {nesting}, {at_once}"


COMPARED = (
    *(
        Workload("map", 1_000, at_least=5, flat=flat, concurrency=concurrency)
        for flat in (False, True)
        for concurrency in (None, 10)
    ),
    Workload("steps", 1_000, at_least=10),
    Workload("waits of an hour", 100, at_least=50),
)
GROWING = tuple(
    Workload("map", 10_000, flat=flat, concurrency=concurrency)
    for flat in (False, True)
    for concurrency in (None, 10)
)
GROWTH = 12
"""10,000 items take at most this many times what 1,000 take."""


# -- ours -----------------------------------------------------------------------------------------


def native(work: Workload) -> Callable[[], Any]:
    """Return the work as a simulation of a native handler."""
    from datetime import timedelta

    from durable_core import DurableContext, MapConfig, NestingType
    from durable_core.limits import LIMITS
    from durable_core.simulation.simulate import simulate

    async def item(ctx: DurableContext, item: int, index: int, items: Any) -> str:
        return await ctx.step(lambda _: PAYLOAD)

    async def map_(event: Any, ctx: DurableContext) -> int:
        nesting = NestingType.FLAT if work.flat else NestingType.NESTED
        config = MapConfig[int](max_concurrency=work.concurrency, nesting_type=nesting)
        batch = await ctx.map(range(work.count), item, "map", config)
        await ctx.wait(timedelta(seconds=1))
        return batch.success_count

    async def steps(event: Any, ctx: DurableContext) -> int:
        for number in range(work.count):
            await ctx.step(lambda _: number)  # noqa: B023 - called at once
        return work.count

    async def waits(event: Any, ctx: DurableContext) -> int:
        for _ in range(work.count):
            await ctx.wait(timedelta(hours=1))
        return work.count

    handler = {"map": map_, "steps": steps}.get(work.kind, waits)
    limits = replace(LIMITS, operations=1_000_000, stored_bytes=10_000_000_000)

    def run() -> Any:
        result = simulate(handler, limits=limits).result
        return result and json.loads(result)

    return run


# -- theirs ---------------------------------------------------------------------------------------


def aws(work: Workload) -> Callable[[], Any]:
    """Return the work as a run of a handler of AWS's SDK in AWS's local runner."""
    import logging

    from aws_durable_execution_sdk_python import durable_execution
    from aws_durable_execution_sdk_python.config import Duration, MapConfig, NestingType
    from aws_durable_execution_sdk_python_testing.runner import DurableFunctionTestRunner

    logging.disable()

    def item(context: Any, item: int, index: int, items: Any) -> str:
        result: str = context.step(lambda _: PAYLOAD)
        return result

    def map_(event: Any, context: Any) -> int:
        nesting = NestingType.FLAT if work.flat else NestingType.NESTED
        config: Any = MapConfig(max_concurrency=work.concurrency, nesting_type=nesting)
        batch = context.map(list(range(work.count)), item, "map", config)
        context.wait(Duration.from_seconds(1))
        count: int = batch.success_count
        return count

    def steps(event: Any, context: Any) -> int:
        for number in range(work.count):
            context.step(lambda _: number)  # noqa: B023 - called at once
        return work.count

    def waits(event: Any, context: Any) -> int:
        for _ in range(work.count):
            context.wait(Duration.from_hours(1))
        return work.count

    handler = durable_execution({"map": map_, "steps": steps}.get(work.kind, waits))

    def run() -> Any:
        with DurableFunctionTestRunner(handler, poll_interval=0.001) as runner:
            # The execution's own timeout runs on the virtual clock: a year is enough.
            result = runner.run(input="null", execution_timeout=31_622_400).result
        return result and json.loads(result)

    return run


# -- measuring ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """The shortest of the rounds, and the most memory that one of them took."""

    seconds: float
    megabytes: float

    def __str__(self) -> str:
        return f"{self.seconds:8.3f} s {self.megabytes:6.0f} MB"


def measure_here(side: str, work: Workload) -> None:
    """Measure in this process; print the figures as JSON."""
    run = {"native": native, "aws": aws}[side](work)
    began = time.perf_counter()
    result = run()
    seconds = time.perf_counter() - began
    if result != work.count:
        raise SystemExit(f"{side}: {work.name} came to {result!r}")
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def measure(tasks: Sequence[tuple[str, Workload]], rounds: int) -> list[Measured]:
    """Measure each of the tasks in every round, in a process of its own."""
    figures: list[list[tuple[float, float]]] = [[] for _ in tasks]
    for _ in range(rounds):
        for index, (side, work) in enumerate(tasks):
            command = [sys.executable, __file__, "--measure", side, json.dumps(vars(work))]
            said = subprocess.run(command, check=True, capture_output=True, text=True)
            figures[index].append(json.loads(said.stdout.splitlines()[-1]))
    return [
        Measured(min(seconds for seconds, _ in each), max(megabytes for _, megabytes in each))
        for each in figures
    ]


def compare(work: Workload, rounds: int, *, both: bool) -> bool:
    """Print a line of the first table; return whether we are as good as we have to be."""
    if not both:
        print(f"{work.name:36} {measure([('native', work)], rounds)[0]}", flush=True)
        return True
    ours, theirs = measure([("native", work), ("aws", work)], rounds)
    ratio = theirs.seconds / ours.seconds
    print(
        f"{work.name:36} {ours}   AWS {theirs}   x {ratio:6.1f} (at least {work.at_least:g})",
        flush=True,
    )
    return ratio >= work.at_least and ours.megabytes <= theirs.megabytes


def grow(work: Workload, rounds: int) -> bool:
    """Print a line of the second table; return whether the time grows as it may."""
    tasks = [("native", replace(work, count=1_000)), ("native", work)]
    small, large = measure(tasks, rounds)
    growth = large.seconds / small.seconds
    print(
        f"{work.name:36} {large}   x {growth:.1f} of 1,000 items (at most {GROWTH})",
        flush=True,
    )
    return growth <= GROWTH


def main() -> int:
    """Measure what is asked for; return 1 where we aren't as good as we have to be."""
    if sys.argv[1:2] == ["--measure"]:
        side, work = sys.argv[2:]
        measure_here(side, Workload(**json.loads(work)))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ours", action="store_true")
    args = parser.parse_args()

    def is_asked_for(work: Workload) -> bool:
        return not args.names or any(name in work.name for name in args.names)

    good = [
        *(
            compare(each, args.rounds, both=not args.ours)
            for each in COMPARED
            if is_asked_for(each)
        ),
        *(grow(each, args.rounds) for each in GROWING if is_asked_for(each)),
    ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
