"""The published conformance requirements, with handlers of AWS's SDK, against what we record.

`conformance/expected.txt` holds the history that each requirement asks for, and the rest of what
the cloud records, in the notation of `conformance_skeleton`. `conformance/run.py` compares the same
histories with the requirements themselves.
"""

from __future__ import annotations

import logging

import pytest

pytest.importorskip("aws_durable_execution_sdk_python", minversion="2.1")

from conformance_cases import CASES, CHANCE, LOGS
from conformance_driver import history_of, run
from conformance_skeleton import expected, skeleton

CONCURRENT = {"8-11", "9-11"}  # the order in which threads end isn't given
EXPECTED = expected()


@pytest.mark.parametrize("number", [number for number in CASES if number not in CONCURRENT])
def test_the_history_is_what_the_requirement_asks_for(number: str) -> None:
    history = history_of(run("aws", CASES[number]))
    assert skeleton(history, chance=number in CHANCE) == EXPECTED[number]


@pytest.mark.parametrize("number", sorted(CONCURRENT))
def test_concurrent_units_are_all_there_and_results_in_order(number: str) -> None:
    lines = skeleton(history_of(run("aws", CASES[number])))
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
        run("aws", CASES[number])
    assert caplog.messages.count(text) == times
