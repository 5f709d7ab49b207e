"""Whole processes against what they can't be faster than; ratios within one run.

`python tests/benchmarks/bench_commands.py [RUNS]` prints a row for each: the command's median, the
baseline's, the ratio of their CPU seconds pair by pair (median), and of their peak memory. Compile
first (`python -m compileall core durable_cli`), as an installed package is.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DURABLE = (sys.executable, "-m", "durable_cli")


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds and peak memory of one process."""

    seconds: float
    peak_kib: int


def run(command: Sequence[str]) -> Cost:
    """Run a command to its end and return what it cost, by the system's own accounting."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'core'}"}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    _, _, usage = os.wait4(process.pid, 0)
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss)


def compare(title: str, ours: Sequence[str], baseline: Sequence[str], runs: int) -> None:
    """Run both in turn and print a row."""
    run(ours), run(baseline)
    pairs = [(run(ours), run(baseline)) for _ in range(runs)]
    own = statistics.median(a.seconds for a, _ in pairs)
    base = statistics.median(b.seconds for _, b in pairs)
    time = statistics.median(a.seconds / b.seconds for a, b in pairs)
    peak = statistics.median(a.peak_kib / b.peak_kib for a, b in pairs)
    print(f"{title:<52} {own:7.3f} s {base:7.3f} s   time {time:5.2f} x   peak {peak:5.2f} x")


def operation_id(number: int) -> str:
    """Return the id that AWS's Python SDK gives to the n-th operation at the root."""
    return blake2b(str(number).encode()).hexdigest()[:64]


def history(steps: int, payload_bytes: int) -> dict[str, object]:
    """Return the history of an execution of so many steps, one after another."""
    moment = "2026-01-01T00:00:00.000Z"
    start = {"Input": {"Payload": "{}"}, "ExecutionTimeout": 3600}
    events: list[dict[str, object]] = [
        {"EventType": "ExecutionStarted", "Id": "e", "ExecutionStartedDetails": start}
    ]
    payload = json.dumps({"text": "x" * payload_bytes})
    for number in range(1, steps + 1):
        step = {"SubType": "Step", "Id": operation_id(number), "Name": f"step-{number}"}
        result = {"Result": {"Payload": payload}, "RetryDetails": {"CurrentAttempt": 1}}
        events.append({"EventType": "StepStarted", **step, "StepStartedDetails": {}})
        events.append({"EventType": "StepSucceeded", **step, "StepSucceededDetails": result})
    for event_id, event in enumerate(events, 1):
        event.update(EventId=event_id, EventTimestamp=moment)
    return {"Events": events}


def write_histories(folder: str) -> None:
    """Write the histories that are measured."""
    sizes = {"big": (3_000, 33_300), "many": (50_000, 10), "few": (5_000, 10)}
    for name, (steps, payload_bytes) in sizes.items():
        Path(folder, name).write_text(json.dumps(history(steps, payload_bytes)))


def main() -> None:
    """Print every row. With `--write FOLDER` only write the histories: in a process of its own,

    since a child's peak memory counts from what its parent had when it was started.
    """
    if sys.argv[1:2] == ["--write"]:
        write_histories(sys.argv[2])
        return
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    python = sys.executable
    imports = (python, "-c", "import typer, rich.console")
    parse = "import orjson,sys; orjson.loads(open(sys.argv[1],'rb').read())"
    print(f"{'':<52} {'ours':>9} {'baseline':>9}   medians of {runs} pairs")
    compare("durable --help / import typer, rich.console", (*DURABLE, "--help"), imports, runs)
    compare(
        "durable --version / import typer, rich.console", (*DURABLE, "--version"), imports, runs
    )
    with tempfile.TemporaryDirectory() as folder:
        big, many, few = (str(Path(folder, name)) for name in ("big", "many", "few"))
        subprocess.run([python, __file__, "--write", folder], check=True)
        title = "replay 100 MB, 3,000 operations / orjson.loads"
        compare(title, (*DURABLE, "replay", big), (python, "-c", parse, big), runs)
        title = "replay 100,000 events / replay 10,000 events"
        compare(title, (*DURABLE, "replay", many), (*DURABLE, "replay", few), max(3, runs // 2))


if __name__ == "__main__":
    main()
