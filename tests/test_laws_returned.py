"""What a simulated invocation returned from checkpoints is what its history explains.

Two ways to the same answer: the runtime is observed, the explanation is worked out.
"""

from __future__ import annotations

import logging
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
from conformance_cases import CASES, DOCUMENTED, FURTHER, Case
from conformance_driver import HERE, handler_in, run, runner_in

from durable_core.explaining.explain import explain
from durable_core.explaining.report import Replay
from durable_core.history import history_of_events
from durable_core.native.journal import Activity
from durable_core.simulation.outcome import InvocationRecord, Simulation
from durable_core.simulation.scenario import read_scenario
from durable_core.simulation.simulate import NativeRunner, Runner, simulate

HANDLERS = HERE.parent.parent / "fixtures/handlers"
ANSWERED = (Replay.FROM_CHECKPOINT, Replay.RAISES, Replay.ERROR_RECOVERED)

try:
    NEWEST_SDK = version("aws-durable-execution-sdk-python").startswith("3.")
except PackageNotFoundError:
    NEWEST_SDK = False

needs_the_newest_sdk = pytest.mark.skipif(not NEWEST_SDK, reason="written for SDK 3")


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.NullHandler()])


def returned(record: InvocationRecord) -> list[str]:
    """Return the ids of the operations that the invocation answered from checkpoints."""
    return [note.id for note in record.did(Activity.RETURNED, Activity.RAISED)]


def explained(simulation: Simulation, number: int) -> set[str]:
    """Return the ids that `replay --invocation N` says are answered from checkpoints."""
    history = history_of_events("simulation", simulation.events, simulation.arn)
    rows = explain(history, invocation=number, limits=simulation.limits).rows
    return {row.id for row in rows if row.id is not None and row.replay in ANSWERED}


def check(simulation: Simulation) -> None:
    for record in simulation.invocations[1:]:
        ids = returned(record)
        assert len(ids) == len(set(ids)), "an operation is told twice"
        assert set(ids) == explained(simulation, record.number)


UNTOLD = {"own summary"}
"""A context with a summary of its own: no event tells that it was stripped."""

CALLBACKS = read_scenario('[[callback]]\nname = "*"\n')


@pytest.mark.parametrize("path", sorted(HANDLERS.glob("*.py")), ids=lambda path: path.stem)
def test_every_fixture_handler_tells_all_that_returned(path: Path) -> None:
    if path.stem.startswith("unsafe"):
        pytest.skip("not deterministic")
    runner: Runner
    if path.stem.startswith("aws"):
        if not NEWEST_SDK:
            pytest.skip("written for SDK 3")
        runner = runner_in(path, "handler")
    else:
        runner = NativeRunner(handler_in(path, "handler"))
    check(simulate(runner, scenario=CALLBACKS, max_invocations=20))


def cases(runtime: str) -> dict[str, Case]:
    return {
        name: case
        for name, case in (CASES | DOCUMENTED | (FURTHER if runtime == "aws" else {})).items()
        if not case.isolated and name not in UNTOLD
    }


@pytest.mark.parametrize("name", cases("native"))
def test_native_handlers_tell_all_that_returned(name: str) -> None:
    check(run("native", cases("native")[name]))


@needs_the_newest_sdk
@pytest.mark.parametrize("name", cases("aws"))
def test_handlers_of_awss_sdk_tell_all_that_returned(name: str) -> None:
    check(run("aws", cases("aws")[name]))


@needs_the_newest_sdk
def test_one_open_operation_does_not_hide_what_returned_after_it() -> None:
    from aws_durable_execution_sdk_python import DurableContext, durable_execution
    from aws_durable_execution_sdk_python.config import Duration

    @durable_execution
    def handler(_event: Any, context: DurableContext) -> list[Any]:
        open_for_long = context.create_callback(name="approval")
        first = context.step(lambda _: "a", name="a")
        context.wait(Duration.from_seconds(5), name="w")
        return [first, context.step(lambda _: "b", name="b"), open_for_long.result()]

    from durable_core.runtimes.aws_python.runner import AwsSdkRunner

    scenario = read_scenario('[[callback]]\nname = "approval"\nafter_seconds = 60\n')
    simulation = simulate(AwsSdkRunner(handler), scenario=scenario)
    names = [[note.name for note in each.did(Activity.RETURNED)] for each in simulation.invocations]
    assert names == [[], ["a", "w"], ["approval", "a", "w", "b"]]
