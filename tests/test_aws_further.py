"""What holds for every handler of AWS's SDK: it replays what it left, and survives its crashes."""

from __future__ import annotations

from functools import partial

import pytest

pytest.importorskip("aws_durable_execution_sdk_python", minversion="3.0")

from conformance_cases import DOCUMENTED, FURTHER, Case
from conformance_driver import runner_for, scenario_of, target_of
from recording import history_of

from durable_core.runtimes.aws_python.replay import AwsReplayer
from durable_core.runtimes.aws_python.runner import AwsSdkRunner
from durable_core.service.faults import NO_FAULTS, Faults
from durable_core.simulation.crash_runs import CrashMode, crash_runs
from durable_core.simulation.outcome import Simulation
from durable_core.simulation.simulate import simulate
from durable_core.verifying.options import VerifyOptions
from durable_core.verifying.replay import verify_history
from durable_core.verifying.verification import Verdict

pytestmark = pytest.mark.usefixtures("quiet")

EVERY = DOCUMENTED | FURTHER

COUNTS_ATTEMPTS = {"at most once, retried"}
"""A crash takes an attempt of a step that runs at most once in each."""


def run(case: Case, faults: Faults = NO_FAULTS) -> Simulation:
    return simulate(
        runner_for("aws", case),
        case.event,
        scenario=scenario_of("aws", case),
        faults=faults,
        load=partial(target_of, "aws"),
        max_invocations=100,
        check_every_request=True,
    )


@pytest.mark.parametrize("case", EVERY.values(), ids=EVERY)
def test_unchanged_code_is_compatible_with_what_it_left_at_every_invocation(case: Case) -> None:
    simulation = run(case)
    history = history_of(simulation)
    runner = runner_for("aws", case)
    assert isinstance(runner, AwsSdkRunner)
    replayer = AwsReplayer(runner.handler)
    for deep in (True, False):
        options = VerifyOptions(deep=deep, every_invocation=True, strict=True)
        outcome = verify_history(replayer, history, options)
        assert outcome.verdict is Verdict.COMPATIBLE, str(outcome)
        assert outcome.differences == ()


@pytest.mark.parametrize("mode", CrashMode)
@pytest.mark.parametrize("name", sorted(set(EVERY) - COUNTS_ATTEMPTS))
def test_it_ends_as_without_what_goes_wrong_at_any_checkpoint(name: str, mode: CrashMode) -> None:
    report = crash_runs(run(EVERY[name]), mode, lambda faults: run(EVERY[name], faults))
    assert report.failures == ()
