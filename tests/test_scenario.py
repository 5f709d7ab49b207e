"""Scenario files: what they say, what is wrong with them in one line, and writing them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_core.errors import SourceError
from durable_core.model import ErrorObject
from durable_core.service.faults import Fault, FaultKind, Faults
from durable_core.simulation.scenario import (
    INVOKE_ENDS,
    CallbackOutcome,
    CallbackScript,
    InvokeOutcome,
    InvokeScript,
    Scenario,
    function_name_of,
    read_scenario,
    scenario_text,
)

DESIGN = """
seed = 7

[[callback]]
name = "approval"
outcome = "success"
payload = '"yes"'
after_seconds = 1

[[invoke]]
function = "echo"
handler = "targets:echo"

[[crash]]
invocation = 1
checkpoint = 3
when = "after"

[[lost_response]]
invocation = 2
checkpoint = 1

[[throttle]]
checkpoint = 4
times = 2
"""


def test_the_file_of_the_design_is_read_as_meant() -> None:
    assert read_scenario(DESIGN) == Scenario(
        seed=7,
        callbacks=(CallbackScript("approval", CallbackOutcome.SUCCESS, '"yes"'),),
        invokes=(InvokeScript("echo", InvokeOutcome.HANDLER, handler="targets:echo"),),
        faults=Faults(
            (
                Fault(FaultKind.CRASH_AFTER, 1, 3),
                Fault(FaultKind.LOST_RESPONSE, 2, 1),
                Fault(FaultKind.THROTTLE, 1, 4, 2),
            )
        ),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("seed = ", "s.toml: not TOML: Invalid value (at end of document)"),
        ("seed = 'x'", "s.toml: seed: expected a whole number, found 'x'"),
        ("sed = 1", "s.toml: unknown key 'sed', expected one of callback, crash, interleaving, "),
        ("[callback]\nname = 'a'", "s.toml: write [[callback]], one table for each"),
        ("[[callback]]\n", "s.toml: [[callback]] 1: name is missing"),
        (
            "[[callback]]\nname = 'a'\noutcome = 'maybe'",
            "s.toml: [[callback]] 1: outcome: expected one of success, failure, heartbeat, "
            "timeout, found 'maybe'",
        ),
        (
            "[[callback]]\nname = 'a'\noutcome = 'failure'\npayload = '1'",
            "s.toml: [[callback]] 1: payload goes with outcome = 'success'",
        ),
        (
            "[[callback]]\nname = 'a'\nafter_seconds = -1",
            "s.toml: [[callback]] 1: after_seconds: expected a number from 0 to 31,622,400, "
            "found -1",
        ),
        (
            "[[invoke]]\nfunction = 'a'",
            "s.toml: [[invoke]] 1: expected exactly one of handler, result, error and "
            "outcome, found none",
        ),
        (
            "[[invoke]]\nfunction = 'a'\nresult = '1'\nerror = {}",
            "s.toml: [[invoke]] 1: expected exactly one of handler, result, error and "
            "outcome, found result, error",
        ),
        (
            "[[invoke]]\nfunction = 'a'\nerror = 'boom'",
            "s.toml: [[invoke]] 1: error: expected {type = '...', message = '...'}, found 'boom'",
        ),
        (
            "[[invoke]]\nfunction = 'a'\nerror = {stack_trace = 'line 1'}",
            "s.toml: [[invoke]] 1 error: stack_trace: expected a list of strings, found 'line 1'",
        ),
        (
            "[[crash]]\ncheckpoint = 0",
            "s.toml: [[crash]] 1: checkpoint: expected a whole number from 1, found 0",
        ),
        (
            "[[crash]]\nwhen = 'now'",
            "s.toml: [[crash]] 1: when: expected 'before' or 'after', found 'now'",
        ),
    ],
)
def test_a_wrong_file_gets_one_line_that_says_where_and_what(text: str, problem: str) -> None:
    with pytest.raises(SourceError) as raised:
        read_scenario(text, "s.toml")
    assert str(raised.value).startswith(problem)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "spelling",
    ["echo", "echo:live", "arn:aws:lambda:us-east-1:123456789012:function:echo:7"],
)
def test_functions_match_by_name_qualified_name_and_arn(spelling: str) -> None:
    assert function_name_of(spelling) == "echo"


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = texts.filter(bool)
traces = st.none() | st.lists(texts).map(tuple)
errors = st.builds(ErrorObject, st.none() | texts, st.none() | texts, st.none() | texts, traces)
seconds = st.integers(0, 1000).map(float)
callbacks = st.one_of(
    st.builds(
        CallbackScript,
        names,
        st.just(CallbackOutcome.SUCCESS),
        st.none() | texts,
        after_seconds=seconds,
    ),
    st.builds(
        CallbackScript,
        names,
        st.just(CallbackOutcome.FAILURE),
        error=st.none() | errors,
        after_seconds=seconds,
    ),
    st.builds(
        CallbackScript,
        names,
        st.sampled_from([CallbackOutcome.HEARTBEAT, CallbackOutcome.TIMEOUT]),
        after_seconds=seconds,
    ),
)
invokes = st.one_of(
    st.builds(InvokeScript, names, st.just(InvokeOutcome.HANDLER), handler=names),
    st.builds(InvokeScript, names, st.just(InvokeOutcome.RESULT), result=names),
    st.builds(InvokeScript, names, st.just(InvokeOutcome.ERROR), error=errors),
    st.builds(InvokeScript, names, st.sampled_from(INVOKE_ENDS)),
)


@given(st.none() | st.integers(0, 99), st.lists(callbacks), st.lists(invokes))
def test_what_is_written_is_read_back(
    seed: int | None, answers: list[CallbackScript], targets: list[InvokeScript]
) -> None:
    scenario = Scenario(seed, tuple(answers), tuple(targets))
    assert read_scenario(scenario_text(scenario)) == scenario
