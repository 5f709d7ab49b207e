"""1,000 histories of 50 operations verified, against one process that only runs the handler.

    python tests/benchmarks/bench_verify.py [native|aws]... [--histories N] [--rounds N]

The other side is one process that reads the same files and replays each once with the handler's own
SDK, every context re-executed, since that is what `durable replay --handler` can't do without.
Verifying runs the handler twice (`--runs 2`). Prints CPU seconds and elapsed seconds of both, the
ratio of the CPU seconds, which is held to 3, and how much faster `--jobs 2` is than `--jobs 1`,
beside what a second core of this machine brings to two runs of the handler alone. The commands are
run in turn, each between two runs of the handler alone that it is held against, and a ratio is the
median of those of each turn: a shared machine is now faster, now slower, by more than what is
looked for.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, cast

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "core"), str(ROOT)]

MOST_OVER_HANDLER = 3.0
LEAST_OF_SECOND_CORE = 1.7

BODY = """
IMPORTS

DEF unit(ctx, item, index, items):
    return AWAIT ctx.step(lambda _: {"item": item}, name="price")

DEF child(ctx):
    return [AWAIT ctx.step(lambda _: n, name=f"child-{n}") for n in range(6)]

DECORATOR
DEF handler(event, ctx):
    for number in range(24):
        AWAIT ctx.step(lambda _: {"order": event, "n": number}, name=f"step-{number}")
    AWAIT ctx.wait(MINUTE, name="pause")
    AWAIT ctx.run_in_child_context(child, name="child")
    batch = AWAIT ctx.map(list(range(8)), unit, name="prices")
    AWAIT ctx.step(lambda _: event, name="end")
    return {"order": event, "prices": batch.get_results()}
"""

WORDS = {
    "native": {
        "IMPORTS": "from datetime import timedelta",
        "DECORATOR": "",
        "DEF": "async def",
        "AWAIT": "await",
        "MINUTE": "timedelta(minutes=1)",
    },
    "aws": {
        "IMPORTS": "from aws_durable_execution_sdk_python import durable_execution\n"
        "from aws_durable_execution_sdk_python.config import Duration",
        "DECORATOR": "@durable_execution",
        "DEF": "def",
        "AWAIT ": "",
        "MINUTE": "Duration.from_minutes(1)",
    },
}


def durable(*arguments: str) -> list[str]:
    """Return the command line of `durable` in this environment."""
    return [sys.executable, "-m", "durable_cli", *arguments]


ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'core'}{os.pathsep}{ROOT}"}


def record(kind: str, histories: int, folder: Path) -> str:
    """Write the handler and its histories, all of one execution; return the handler's name."""
    source = BODY
    for word, meaning in WORDS[kind].items():
        source = source.replace(word, meaning)
    handler = folder / f"{kind}_handler.py"
    handler.write_text(source)
    spec, first = f"{handler}:handler", folder / "first.json"
    simulate = durable("simulate", "--handler", spec, "--record", str(first))
    subprocess.run(simulate, capture_output=True, check=True, env=ENVIRONMENT)
    text = first.read_text()
    (folder / "histories").mkdir()
    for number in range(histories):
        (folder / "histories" / f"{number:05}.json").write_text(text)
    return spec


def only_run(kind: str, spec: str, folder: Path) -> None:
    """Replay each history with the handler's own SDK, everything re-executed, and nothing else."""
    from durable_core.adapters.history_file import load_history
    from durable_core.fold import folded_of
    from durable_core.model import (
        ExecutionDetails,
        InvocationInput,
        Operation,
        OperationStatus,
        OperationType,
    )
    from durable_core.native.invocation import InvocationOptions
    from durable_core.runtimes.aws_python.runner import AwsSdkRunner
    from durable_core.runtimes.handler import HandlerLoader
    from durable_core.service.clock import VirtualClock
    from durable_core.service.simulated import SimulatedService
    from durable_core.service.values import Invocation
    from durable_core.simulation.link import ServiceLink
    from durable_core.simulation.simulate import NativeRunner

    def again(operation: Operation) -> Operation:
        if operation.context_details is None:
            return operation
        details = replace(operation.context_details, replay_children=True)
        return replace(operation, context_details=details)

    target: Any = HandlerLoader(Path.cwd()).load(spec).target
    runner = NativeRunner(target) if kind == "native" else AwsSdkRunner(target)
    no_service = cast(SimulatedService, None)  # a complete history asks nothing of it
    for path in sorted(folder.iterdir()):
        history = load_history(str(path))
        folded = folded_of(history)
        arn, began = history.arn or "", history.events[0].timestamp
        first = Operation(
            id=arn.rpartition("/")[2],
            type=OperationType.EXECUTION,
            status=OperationStatus.STARTED,
            start_timestamp=began,
            execution_details=ExecutionDetails(folded.execution.input_payload),
        )
        recorded = (again(each.operation) for each in folded.operations.values())
        given = InvocationInput(arn, "token", (first, *recorded))
        link = ServiceLink(no_service, Invocation(1, "1", given, retry=False), VirtualClock(began))
        ended: Any = runner.invoke(given, link, InvocationOptions())
        assert ended.outcome.status == "SUCCEEDED", ended.outcome


Times = tuple[float, float]
"""CPU seconds, and how long it took."""


def cpu_and_elapsed(command: list[str]) -> Times:
    """Return the CPU seconds of a command and its processes, and how long it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    elapsed = time.perf_counter() - began
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, elapsed


def both_elapsed(command: list[str]) -> float:
    """Return how long two runs of a command take at the same time."""
    began = time.perf_counter()
    running = [subprocess.Popen(command, env=ENVIRONMENT) for _ in range(2)]
    assert not any(each.wait() for each in running)
    return time.perf_counter() - began


def measure(kind: str, histories: int, rounds: int) -> None:
    """Print the figures of one runtime: the medians of its rounds."""
    with tempfile.TemporaryDirectory() as name:
        spec = record(kind, histories, Path(name))
        folder = str(Path(name) / "histories")
        verify = durable("replay", folder, "--handler", spec, "--format", "jsonl", "--jobs")
        alone = [sys.executable, __file__, "--only-run", kind, spec, folder]
        sides = {"1": ["1"], "2": ["2"], "1 --runs 1": ["1", "--runs", "1"]}
        runs: dict[str, list[Times]] = {side: [] for side in sides}
        ratios: dict[str, list[Times]] = {side: [] for side in sides}
        lone, machines = [cpu_and_elapsed(alone)], []
        for _ in range(rounds):
            for side, given in sides.items():
                ours = cpu_and_elapsed([*verify, *given])
                lone.append(cpu_and_elapsed(alone))
                around = [sum(each) / 2 for each in zip(*lone[-2:], strict=True)]
                runs[side].append(ours)
                ratios[side].append((ours[0] / around[0], ours[1] / around[1]))
            machines.append(2 * lone[-1][1] / both_elapsed(alone))
    print(f"{kind}: {histories:,} histories of 50 operations")
    for side, took in {
        "handler alone": lone,
        **{f"--jobs {each}": runs[each] for each in runs},
    }.items():
        cpu, elapsed = (median(each) for each in zip(*took, strict=True))
        print(f"  {side}: {cpu:.2f} s CPU, {elapsed:.2f} s")
    over, over_once = (median(cpu for cpu, _ in ratios[side]) for side in ("1", "1 --runs 1"))
    faster = median(one[1] / two[1] for one, two in zip(ratios["1"], ratios["2"], strict=True))
    print(
        f"  x {over:.2f} the handler alone (at most {MOST_OVER_HANDLER:g}), "
        f"x {over_once:.2f} with --runs 1"
    )
    print(
        f"  second core x {faster:.2f} (at least {LEAST_OF_SECOND_CORE:g}); to two runs of the "
        f"handler alone it brings x {median(machines):.2f} on this machine"
    )


def main() -> None:
    """Run what is asked for."""
    if sys.argv[1:2] == ["--only-run"]:
        return only_run(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", choices=[*WORDS, []], default=[])
    parser.add_argument("--histories", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    for kind in given.kinds or WORDS:
        measure(kind, given.histories, given.rounds)
    return None


if __name__ == "__main__":
    main()
