"""The published conformance requirements, with native handlers, against what we record.

The histories are those that handlers of AWS's SDK leave: see `test_conformance_aws`.
"""

from __future__ import annotations

import logging

import pytest
from conformance_cases import CASES, CHANCE, LOGS
from conformance_driver import history_of, run
from conformance_skeleton import expected, skeleton

EXPECTED = expected()


def test_every_case_has_its_history() -> None:
    assert list(EXPECTED) == list(CASES)


@pytest.mark.parametrize("number", CASES)
def test_the_history_is_what_the_requirement_asks_for(number: str) -> None:
    history = history_of(run("native", CASES[number]))
    assert skeleton(history, chance=number in CHANCE) == EXPECTED[number]


@pytest.mark.parametrize(("number", "text", "times"), LOGS)
def test_bodies_log_as_often_as_they_run(
    number: str, text: str, times: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        run("native", CASES[number])
    assert caplog.messages.count(text) == times
