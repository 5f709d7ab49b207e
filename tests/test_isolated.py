from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aws_durable_execution_sdk_python")

from conformance_driver import runner_in

from durable_cli.app import run as run_cli
from durable_core.model import ExecutionStatus
from durable_core.native.journal import Activity
from durable_core.processes.isolated import IsolatedRunner
from durable_core.runtimes.aws_python.runner import AwsSdkRunner
from durable_core.service.faults import NO_FAULTS, Fault, FaultKind, Faults
from durable_core.simulation.outcome import Simulation
from durable_core.simulation.simulate import simulate

HANDLERS = """
import os
import signal

from aws_durable_execution_sdk_python import durable_execution
from aws_durable_execution_sdk_python.config import Duration

seen = []


@durable_execution
def counts(event, context):
    seen.append(1)
    context.wait(Duration.from_hours(1))
    print("printed by the handler")
    return len(seen)


@durable_execution
def dies_once(event, context):
    context.step(lambda _: "kept", name="before")
    if not os.path.exists(event["flag"]):
        open(event["flag"], "w").close()
        if event["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(7)
    return context.step(lambda _: "survived", name="after")
"""


def run(
    folder: Path, function: str, event: object = None, faults: Faults = NO_FAULTS
) -> Simulation:
    path = folder / "isolated.py"
    path.write_text(HANDLERS)
    return simulate(IsolatedRunner(partial(runner_in, path, function)), event, faults=faults)


def test_each_invocation_is_a_cold_start(tmp_path: Path) -> None:
    simulation = run(tmp_path, "counts")
    assert simulation.result == "1"
    assert len(simulation.invocations) == 2
    assert simulation.virtual_seconds == 3600


def test_what_the_handler_prints_does_not_reach_stdout(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "counts")
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "printed by the handler" in printed.err


@pytest.mark.parametrize("kill", [False, True])
def test_a_process_that_ends_is_recorded_as_the_cloud_does_and_retried(
    tmp_path: Path, kill: bool
) -> None:
    simulation = run(tmp_path, "dies_once", {"flag": str(tmp_path / "flag"), "kill": kill})
    assert simulation.status is ExecutionStatus.SUCCEEDED
    assert simulation.result == '"survived"'
    first, second = simulation.invocations
    assert first.error is not None
    assert first.error.type == "Runtime.ExitError"
    how = "signal: killed" if kill else "exit status 7"
    assert first.error.message is not None
    assert first.error.message.endswith(f"Error: Runtime exited with error: {how}")
    assert [note.name for note in first.did(Activity.RAN)] == ["before"]
    assert [note.name for note in second.did(Activity.RAN)] == ["after"]
    assert simulation.checkpoints == (1, 1)


def test_an_injected_crash_ends_the_process(tmp_path: Path) -> None:
    faults = Faults((Fault(FaultKind.CRASH_AFTER, 1, 1),))
    simulation = run(tmp_path, "counts", faults=faults)
    assert simulation.result == "1"
    assert len(simulation.invocations) == 3  # the one after the crash finds the wait begun


# -- switched on where it is needed ------------------------------------------------------------


def simulated(
    folder: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[dict[str, Any], str]:
    """Return the document of `durable simulate` of `counts`, and what it says on stderr."""
    path = folder / "isolated.py"
    path.write_text(HANDLERS)
    assert run_cli(["simulate", "--handler", f"{path}:counts", "--format", "json", *options]) == 0
    printed = capsys.readouterr()
    return json.loads(printed.out), printed.err


@pytest.fixture
def cannot_be_unwound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the installed SDK be one whose threads a crash leaves waiting, as 1.x is."""
    monkeypatch.setattr(AwsSdkRunner, "unwinds_crashes", False)


@pytest.mark.usefixtures("cannot_be_unwound")
def test_crashes_isolate_a_handler_that_cannot_be_unwound_and_say_so_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document, said = simulated(tmp_path, capsys, "--crash", "every-checkpoint")
    assert document["isolated"]
    assert document["execution"]["result"] == "1"  # each invocation is a cold start
    assert document["crashes"]["runs"] == 2
    assert document["crashes"]["failures"] == []
    lines = [line for line in said.splitlines() if line.startswith("durable: ")]
    assert len(lines) == 1
    assert "each invocation has a process of its own, as with --isolate" in lines[0]


@pytest.mark.usefixtures("cannot_be_unwound")
def test_a_crash_of_the_scenario_isolates_it_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = tmp_path / "crash.toml"
    scenario.write_text('[[crash]]\ninvocation = 1\ncheckpoint = 1\nwhen = "after"\n')
    document, said = simulated(tmp_path, capsys, "--scenario", str(scenario))
    assert document["isolated"]
    assert [each["end"] for each in document["invocations"]] == ["CRASHED", "PENDING", "SUCCEEDED"]
    assert "as with --isolate" in said


@pytest.mark.usefixtures("cannot_be_unwound")
@pytest.mark.parametrize("options", [(), ("--crash", "throttle"), ("--crash", "lost-response")])
def test_it_stays_in_one_process_where_no_process_dies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    document, said = simulated(tmp_path, capsys, *options)
    assert not document["isolated"]
    assert document["execution"]["result"] == "2"
    assert "--isolate" not in said


def test_crashes_do_not_isolate_a_handler_that_can_be_unwound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if version("aws-durable-execution-sdk-python") < "2":
        pytest.skip("1.x can't be")
    document, said = simulated(tmp_path, capsys, "--crash", "every-checkpoint")
    assert not document["isolated"]
    assert "--isolate" not in said


# -- processes of the handler's own --------------------------------------------------------------

PROCESSES = """
import asyncio, concurrent.futures, multiprocessing, os, subprocess, sys, time
from datetime import timedelta


def square(number):
    return number * number


def pool(event):
    with multiprocessing.Pool(2) as workers:
        return workers.map(square, [1, 2, 3])


def executor(event):
    with concurrent.futures.ProcessPoolExecutor(2) as workers:
        return list(workers.map(square, [1, 2, 3]))


def pipe(event):
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=lambda end: end.send("hello"), args=(theirs,))
    process.start()
    said = ours.recv()
    process.join(20)
    return [said, process.exitcode]


def spawned(event):
    with multiprocessing.get_context("spawn").Pool(1) as workers:
        return workers.map(square, [4])


def manager(event):
    with multiprocessing.Manager() as shared:
        return list(shared.list([1, 2]))


def forked(event):
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def forked_on(event):
    if os.fork() == 0:
        return "a process that goes on with the handler"
    return "ours"


def command(event):
    return subprocess.run([sys.executable, "-c", "print(3)"], capture_output=True, text=True).stdout


def left(event):
    code = "import time; time.sleep(600)"
    started = [subprocess.Popen([sys.executable, "-c", code]).pid]
    process = multiprocessing.Process(target=time.sleep, args=(600,))
    process.start()
    with open(event["left"], "a") as file:
        file.write(f"{started[0]} {process.pid} ")
    return "left"


def dies(event):
    left(event)
    if not os.path.exists(event["left"] + ".died"):
        open(event["left"] + ".died", "w").close()
        os._exit(9)
    return "alive"


async def handler(event, ctx):
    result = await ctx.step(lambda step: globals()[event["do"]](event), name=event["do"])
    await ctx.wait(timedelta(seconds=1), name="pause")
    return result
"""
MADE = {
    "pool": [1, 4, 9],
    "executor": [1, 4, 9],
    "pipe": ["hello", 0],
    "spawned": [16],
    "manager": [1, 2],
    "forked": 7,
    "forked_on": "ours",
    "command": "3\n",
    "left": "left",
    "dies": "alive",
}


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")  # one that has ended may wait for who asks how
    return not status.exists() or "State:\tZ" not in status.read_text()


@pytest.mark.parametrize("do", MADE)
def test_steps_may_start_processes_and_none_outlives_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], do: str
) -> None:
    (tmp_path / "starts.py").write_text(PROCESSES)
    left = tmp_path / "left"
    (tmp_path / "e.json").write_text(json.dumps({"do": do, "left": str(left)}))
    monkeypatch.chdir(tmp_path)
    code = run_cli(
        ["simulate", "--isolate", "--handler", "starts.py", "-e", "e.json", "--format", "json"]
    )
    out, err = capsys.readouterr()
    assert code == 0, err
    assert json.loads(json.loads(out)["execution"]["result"]) == MADE[do]
    if left.exists():
        assert not any(is_running(int(pid)) for pid in left.read_text().split())


def test_processes_end_with_a_command_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "starts.py").write_text(
        f"{PROCESSES}\ndef hangs(event):\n    left(event)\n    time.sleep(600)\n"
    )
    left = tmp_path / "left"
    (tmp_path / "e.json").write_text(json.dumps({"do": "hangs", "left": str(left)}))
    command = ["simulate", "--isolate", "--handler", "starts.py", "-e", "e.json"]
    with subprocess.Popen([sys.executable, "-m", "durable_cli", *command], cwd=tmp_path) as process:
        while not left.exists() or not left.read_text().endswith(" "):
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
    pids = [int(pid) for pid in left.read_text().split()]
    for _ in range(200):
        if not any(map(is_running, pids)):
            break
        time.sleep(0.05)
    assert not any(map(is_running, pids))


def test_crash_runs_may_start_processes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "starts.py").write_text(PROCESSES)
    (tmp_path / "e.json").write_text('{"do": "pipe"}')
    monkeypatch.chdir(tmp_path)
    crash = ["--crash", "lost-response", "--isolate"]
    code = run_cli(["simulate", "--handler", "starts.py", "-e", "e.json", *crash])
    assert "each ended as the clean one" in capsys.readouterr().out
    assert code == 0
