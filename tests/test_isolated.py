from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("aws_durable_execution_sdk_python")

from conformance_driver import runner_in

from durable_core.adapters.isolated import IsolatedRunner
from durable_core.faults import NO_FAULTS, Fault, FaultKind, Faults
from durable_core.journal import Did
from durable_core.model import ExecutionStatus
from durable_core.simulate import simulate
from durable_core.simulation import Simulation

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
    assert [note.name for note in first.did(Did.RAN)] == ["before"]
    assert [note.name for note in second.did(Did.RAN)] == ["after"]
    assert simulation.checkpoints == (1, 1)


def test_an_injected_crash_ends_the_process(tmp_path: Path) -> None:
    faults = Faults((Fault(FaultKind.CRASH_AFTER, 1, 1),))
    simulation = run(tmp_path, "counts", faults=faults)
    assert simulation.result == "1"
    assert len(simulation.invocations) == 3  # the one after the crash finds the wait begun
