"""Runs with a fault at every place: what has to hold, and how it is told when it doesn't."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from durable_cli.app import run
from durable_core import DurableContext, StepConfig, StepSemantics
from durable_core.native.journal import Activity
from durable_core.service.faults import Fault, FaultKind, Faults
from durable_core.simulation.crash_runs import CrashMode, crash_runs, fault_text, judge, plans
from durable_core.simulation.outcome import Simulation
from durable_core.simulation.simulate import simulate

HANDLERS = Path(__file__).parent.parent / "fixtures/handlers"
COUNTS = (2, 1)


# -- which runs --------------------------------------------------------------------------------


def test_crashes_strike_before_and_after_every_checkpoint_in_order() -> None:
    points = [each.faults[0] for each in plans(CrashMode.EVERY_CHECKPOINT, COUNTS)]
    assert [(each.invocation, each.checkpoint, each.kind.value) for each in points] == [
        (1, 1, "crash-before"),
        (1, 1, "crash-after"),
        (1, 2, "crash-before"),
        (1, 2, "crash-after"),
        (2, 1, "crash-before"),
        (2, 1, "crash-after"),
    ]


@pytest.mark.parametrize(
    ("mode", "kind", "times"),
    [
        (CrashMode.LOST_RESPONSE, FaultKind.LOST_RESPONSE, 1),
        (CrashMode.THROTTLE, FaultKind.THROTTLE, 2),
    ],
)
def test_other_faults_strike_once_at_every_checkpoint(
    mode: CrashMode, kind: FaultKind, times: int
) -> None:
    points = [each.faults for each in plans(mode, COUNTS)]
    assert points == [
        (Fault(kind, 1, 1, times),),
        (Fault(kind, 1, 2, times),),
        (Fault(kind, 2, 1, times),),
    ]


# -- what has to hold --------------------------------------------------------------------------


async def two_steps(event: Any, ctx: DurableContext) -> int:
    one: int = await ctx.step(lambda step: 1, name="one")
    two: int = await ctx.step(lambda step: 2, name="two")
    return one + two


@pytest.mark.parametrize("mode", CrashMode)
def test_a_handler_that_is_right_passes_every_run(mode: CrashMode) -> None:
    clean = simulate(two_steps)
    heard: list[tuple[int, int]] = []
    report = crash_runs(
        clean, mode, lambda faults: simulate(two_steps, faults=faults), lambda *at: heard.append(at)
    )
    expected = 8 if mode is CrashMode.EVERY_CHECKPOINT else 4
    assert (report.runs, report.failures, report.smallest) == (expected, (), None)
    assert heard == [(n, expected) for n in range(1, expected + 1)]


def test_another_result_is_told_with_both() -> None:
    clean = simulate(two_steps)
    assert judge(clean, replace(clean, result="4")) == ("its result is 4 instead of 3",)


def test_where_long_results_depart_is_told() -> None:
    clean = replace(simulate(two_steps), result='"' + "a" * 100 + '"')
    (problem,) = judge(clean, replace(clean, result='"' + "a" * 90 + "b" * 10 + '"'))
    assert problem.endswith("first at character 92")


def test_another_end_is_told_with_its_error() -> None:
    async def fails(event: Any, ctx: DurableContext) -> None:
        raise ValueError("no")

    (problem,) = judge(simulate(two_steps), simulate(fails))
    assert problem == "it ends FAILED with ValueError: no instead of SUCCEEDED"


def test_an_execution_that_doesnt_end_is_told_with_what_it_waits_for() -> None:
    async def asks(event: Any, ctx: DurableContext) -> Any:
        return await (await ctx.create_callback("approval")).result()

    (problem,) = judge(simulate(two_steps), simulate(asks))
    assert problem == "it doesn't end: it waits for callback 'approval' (1)"


def with_body_again(simulation: Simulation, *, once: bool) -> Simulation:
    """Return the simulation with the first step's body noted a second time, in an invocation that
    began when the step was complete."""
    first, second = simulation.invocations
    (note,) = [each for each in first.notes if each.did is Activity.RAN and each.name == "one"]
    first = replace(first, notes=(replace(note, once=once),))
    second = replace(second, notes=(replace(note, once=once),))
    return replace(simulation, invocations=(first, second))


def crashed_at(invocation: int, checkpoint: int, kind: FaultKind) -> Simulation:
    return simulate(two_steps, faults=Faults((Fault(kind, invocation, checkpoint),)))


def test_a_completed_steps_body_must_not_run_again() -> None:
    crashed = with_body_again(crashed_at(1, 3, FaultKind.CRASH_BEFORE), once=False)
    assert judge(simulate(two_steps), crashed) == (
        "the body of step 'one' (1) ran again in invocation 2 although complete",
    )


def test_an_at_most_once_body_must_not_run_twice_in_an_attempt() -> None:
    crashed = crashed_at(1, 2, FaultKind.CRASH_BEFORE)
    assert judge(simulate(two_steps), with_body_again(crashed, once=False)) == ()
    assert judge(simulate(two_steps), with_body_again(crashed, once=True)) == (
        "the body of step 'one' (1) is at most once, and attempt 1 ran again in invocation 2",
    )


def test_at_most_once_steps_really_are() -> None:
    async def handler(event: Any, ctx: DurableContext) -> Any:
        semantics = StepSemantics.AT_MOST_ONCE_PER_RETRY
        return await ctx.step(lambda step: 1, "pay", StepConfig(step_semantics=semantics))

    clean = simulate(handler)
    assert clean.invocations[0].did(Activity.RAN)[0].once
    report = crash_runs(clean, CrashMode.EVERY_CHECKPOINT, lambda f: simulate(handler, faults=f))
    assert report.failures == ()


def test_a_fault_has_words() -> None:
    assert fault_text(Fault(FaultKind.CRASH_AFTER, 2, 3)) == (
        "a crash after checkpoint 3 of invocation 2"
    )


# -- the command -------------------------------------------------------------------------------

APP = """
import os
calls = 0

async def fine(event, ctx):
    return await ctx.step(lambda step: 1, name="one")

async def counts(event, ctx):
    global calls
    calls += 1
    await ctx.step(lambda step: 1, name="one")
    await ctx.wait(__import__("datetime").timedelta(seconds=1))
    return calls
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "crash_app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield tmp_path
    sys.path[:] = path


def call(capsys: pytest.CaptureFixture[str], handler: str, *arguments: str) -> tuple[int, str, str]:
    width = [] if "json" in arguments else ["--width", "120"]
    code = run(["simulate", "--handler", handler, *width, *arguments])
    return code, *capsys.readouterr()


HELD = [*sorted(path.stem for path in HANDLERS.glob("native_*.py")), "aws_flat_overflow"]
SCENARIO = """
[[callback]]
name = "approval"
payload = '"yes"'
[[callback]]
name = "review"
payload = '"ok"'
[[invoke]]
function = "doubler"
result = "4"
[[invoke]]
function = "adder"
result = "5"
"""


@pytest.mark.parametrize("mode", [each.value for each in CrashMode])
@pytest.mark.parametrize("name", HELD)
def test_every_example_holds_whatever_goes_wrong(
    capsys: pytest.CaptureFixture[str], project: Path, name: str, mode: str
) -> None:
    (project / "s.toml").write_text(SCENARIO)
    code, out, _ = call(
        capsys, f"{HANDLERS}/{name}.py:handler", "--crash", mode, "--scenario", "s.toml"
    )
    assert "each ended as the clean one, no completed step ran again" in out
    assert code == 0


def test_each_run_starts_cold_and_a_crash_loses_what_globals_hold(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = call(capsys, "crash_app:counts", "--crash", "every-checkpoint")
    assert code == 1
    assert "every-checkpoint: 1 of 6 runs went wrong; the smallest first" in out
    assert "a crash after checkpoint 3 of invocation 1: its result is 1 instead of 2" in out


def test_the_smallest_failure_is_saved_as_a_scenario_that_reproduces_it(
    capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    arguments = ("--crash", "every-checkpoint", "--seed", "9", "--save-failing", "f.toml")
    call(capsys, "crash_app:counts", *arguments)
    assert tomllib.loads((project / "f.toml").read_text()) == {
        "seed": 9,
        "crash": [{"invocation": 1, "checkpoint": 3, "when": "after"}],
    }
    _, out, _ = call(capsys, "crash_app:counts", "--scenario", "f.toml", "--format", "json")
    document = json.loads(out)
    assert document["execution"]["result"] == "1"
    assert document["totals"]["crashed_invocations"] == 1


def test_nothing_is_saved_when_nothing_fails(
    capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    code, _, err = call(capsys, "crash_app:fine", "--crash", "throttle", "--save-failing", "f.toml")
    assert code == 0
    assert err == "durable: nothing failed: f.toml isn't written\n"
    assert not (project / "f.toml").exists()


def test_failures_are_data_too(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = call(capsys, "crash_app:counts", "--crash", "every-checkpoint", "--format", "json")
    assert json.loads(out)["crashes"] == {
        "mode": "every-checkpoint",
        "runs": 6,
        "failures": [
            {
                "fault": {"kind": "crash-after", "invocation": 1, "checkpoint": 3, "times": 1},
                "where": "a crash after checkpoint 3 of invocation 1",
                "problems": ["its result is 1 instead of 2"],
            }
        ],
    }


def test_the_clean_run_leaves_out_the_scenarios_own_faults(
    capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    (project / "s.toml").write_text("[[crash]]\ninvocation = 1\ncheckpoint = 1\nwhen = 'after'\n")
    _, alone, _ = call(capsys, "crash_app:fine", "--scenario", "s.toml")
    assert "2 invocations (1 crashed)" in alone
    _, checked, _ = call(
        capsys, "crash_app:fine", "--scenario", "s.toml", "--crash", "lost-response"
    )
    assert "; 1 invocation\n" in checked


def test_a_handler_that_waits_is_not_crashed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(
        capsys, f"{HANDLERS}/native_invoke.py:handler", "--crash", "every-checkpoint"
    )
    assert code == 3
    assert "not checked   the checks need an execution that ends" in out
