"""The published conformance requirements, with handlers of AWS's SDK, against what we record.

`conformance/expected.txt` holds the history that each requirement asks for, and the rest of what
the cloud records, in the notation of `conformance_skeleton`. `conformance/run.py` compares the same
histories with the requirements themselves.
"""

from __future__ import annotations

import logging
from importlib.metadata import version

import pytest

pytest.importorskip("aws_durable_execution_sdk_python")

from conformance_cases import CASES, CHANCE, LOGS, Case
from conformance_driver import history_of, run, runner_for
from conformance_skeleton import expected, skeleton

CONCURRENT = {"8-11", "9-11"}  # the order in which threads end isn't given
EXPECTED = expected()

SDK = version("aws-durable-execution-sdk-python")

BEFORE_2 = {
    "has no attempt in a step's context": "1-11 1-12 1-13 1-18 3-7",
    "has other classes for the errors of operations": (
        "1-16 3-8 4-3 4-6 4-7 4-8 4-11 4-13 5-6 6-7 6-8 7-6 7-7 7-12"
    ),
    "has no should_continue in the decision of a wait strategy": "6-6",
    "ends the invocation when a step that may run once was interrupted": "1-17",
    "returns what a step's body returned, not what its SerDes made of it": "1-6",
    "stores nothing of a stripped context or map": "3-11 9-16",
    "starts all units at once": "8-6 8-7 8-8 8-13 8-17 8-18 9-6 9-7",
}
"""What is otherwise in AWS's SDK before 2.0, and the requirements that show it."""


def case(number: str) -> Case:
    """Return a case; skip the test where the installed SDK hasn't what its handler needs."""
    if SDK.startswith(("0.", "1.")):
        for what, numbers in BEFORE_2.items():
            if number in numbers.split():
                pytest.skip(f"{number}: AWS's SDK {SDK} {what}")
    try:
        runner_for("aws", CASES[number])
    except ImportError as error:  # a name that an earlier version hasn't
        if SDK.startswith("3."):
            raise
        pytest.skip(f"{number}: {error.msg.partition(' (')[0]}")
    return CASES[number]


@pytest.mark.parametrize("number", [number for number in CASES if number not in CONCURRENT])
def test_the_history_is_what_the_requirement_asks_for(number: str) -> None:
    history = history_of(run("aws", case(number)))
    assert skeleton(history, chance=number in CHANCE) == EXPECTED[number]


@pytest.mark.parametrize("number", sorted(CONCURRENT))
def test_concurrent_units_are_all_there_and_results_in_order(number: str) -> None:
    lines = skeleton(history_of(run("aws", case(number))))
    wanted = EXPECTED[number]
    assert lines[:2] == wanted[:2]
    assert lines[-3:] == wanted[-3:]
    assert len(lines) == len(wanted)


@pytest.mark.parametrize(
    ("number", "text", "times"), [each for each in LOGS if not CASES[each[0]].isolated]
)
def test_bodies_log_as_often_as_they_run(
    number: str, text: str, times: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        run("aws", case(number))
    assert caplog.messages.count(text) == times
