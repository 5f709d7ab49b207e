"""A handler of AWS's SDK leaves the same history here as on AWS's local runner.

The same operations with the same names, statuses, parents and payloads, in the same order. What
AWS's runner leaves out or has otherwise is named in `conformance/local_runner.py` and below. And
what its documentation shows leaves the same with the native runtime.
"""

from __future__ import annotations

import pytest

pytest.importorskip("aws_durable_execution_sdk_python", minversion="3.0")
pytest.importorskip("aws_durable_execution_sdk_python_testing")

from conformance_cases import AWS_ONLY, CASES, DOCUMENTED, FURTHER, Case
from conformance_driver import history_of, run
from conformance_skeleton import skeleton
from local_runner import EVERY_CASE, histories_on_local_runner, told_by_both

from durable_core.model import ExecutionStatus

REAL_TIME = {"4-3", "4-8", "4-11", "7-12", "7-13", "4-18"}
"""Callback timers run on the real clock there, or answers have to come at a moment."""

DIES = {"1-17", "1-18", "3-12"}
"""The runner would die with the handler."""

BY_CHANCE = {"1-13", "8-11", "9-11"}
"""Delays are drawn, or concurrent units end in any order."""

NAMES_THE_EXECUTION = {"results in files"}
"""The payload is a path with the execution's ARN in it."""

LEFT_OUT = REAL_TIME | DIES | BY_CHANCE | NAMES_THE_EXECUTION


def groups() -> dict[str, list[str]]:
    """Return the names of the cases that are compared, by the requirements' suites and ours."""
    by_suite: dict[str, list[str]] = {}
    for name in EVERY_CASE:
        if name not in LEFT_OUT:
            suite = f"suite {name.partition('-')[0]}" if name in CASES else "documentation"
            suite = "further" if name in FURTHER else suite
            by_suite.setdefault(suite, []).append(name)
    return by_suite


GROUPS = groups()


@pytest.mark.parametrize("names", GROUPS.values(), ids=GROUPS)
def test_handlers_leave_the_same_history_as_on_aws_s_local_runner(names: list[str]) -> None:
    theirs = histories_on_local_runner(names)
    for name in names:
        ours = history_of(run("aws", EVERY_CASE[name]))
        assert told_by_both(ours) == told_by_both(theirs[name]), name


def test_no_more_is_left_out_of_the_comparison_than_needs_be() -> None:
    assert set(EVERY_CASE) > LEFT_OUT
    assert len(LEFT_OUT) == 13
    assert sum(map(len, GROUPS.values())) == len(EVERY_CASE) - len(LEFT_OUT)


@pytest.mark.parametrize("case", DOCUMENTED.values(), ids=DOCUMENTED)
def test_what_the_documentation_shows_leaves_the_same_with_the_native_runtime(case: Case) -> None:
    native = history_of(run("native", case))
    assert native["Events"][-1]["EventType"] == "ExecutionSucceeded"
    assert skeleton(native) == skeleton(history_of(run("aws", case)))


@pytest.mark.parametrize("case", AWS_ONLY.values(), ids=AWS_ONLY)
def test_what_only_aws_s_sdk_has_runs_unchanged(case: Case) -> None:
    assert run("aws", case).status is ExecutionStatus.SUCCEEDED
