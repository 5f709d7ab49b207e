"""A history that ends with a refused checkpoint hasn't the operation that was refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("aws_durable_execution_sdk_python", minversion="2")

from aws_durable_execution_sdk_python import DurableContext
from recording import recorded_by_aws, verified_by_aws

from durable_core.verifying.verification import Verdict

pytestmark = pytest.mark.usefixtures("quiet")

Handler = Callable[[Any, DurableContext], Any]

TOO_LARGE = "x" * 300_000


def step_too_large(_event: Any, context: DurableContext) -> int:
    context.step(lambda _: 1, name="first")
    return len(context.step(lambda _: TOO_LARGE, name="large"))


def in_a_map(_event: Any, context: DurableContext) -> int:
    def unit(child: DurableContext, _item: int, _index: int, _items: object) -> str:
        return child.step(lambda _: TOO_LARGE, name="large")

    return context.map([1, 2], unit, name="parts").success_count


def name_too_long(_event: Any, context: DurableContext) -> int:
    return context.step(lambda _: 1, name="n" * 257)


def result_too_large(_event: Any, context: DurableContext) -> str:
    context.step(lambda _: 1, name="first")
    return "x" * (6 * 1024 * 1024)


@pytest.mark.parametrize("handler", [step_too_large, in_a_map, name_too_long, result_too_large])
@pytest.mark.parametrize("every_invocation", [False, True])
def test_unchanged_code_is_compatible_with_a_history_that_a_refusal_ended(
    handler: Handler, every_invocation: bool
) -> None:
    history = recorded_by_aws(handler)
    assert "CheckpointError" in json.dumps(str(history.events[-1]))
    outcome = verified_by_aws(handler, history, every_invocation=every_invocation, strict=True)
    assert outcome.verdict is Verdict.COMPATIBLE, str(outcome)
    assert outcome.differences == ()
    assert any("refused a checkpoint" in note for note in outcome.notes)


def test_what_was_recorded_before_the_refusal_is_verified() -> None:
    def renamed(_event: Any, context: DurableContext) -> int:
        context.step(lambda _: 1, name="renamed")
        return len(context.step(lambda _: TOO_LARGE, name="large"))

    outcome = verified_by_aws(renamed, recorded_by_aws(step_too_large))
    assert outcome.verdict is Verdict.DIVERGED
    assert 'Step "first" is now named "renamed"' in str(outcome)


def test_an_error_of_the_codes_own_is_no_such_end() -> None:
    def fails(_event: Any, _context: DurableContext) -> None:
        raise ValueError("no")

    def goes_on(_event: Any, context: DurableContext) -> None:
        context.step(lambda _: 1, name="new")

    outcome = verified_by_aws(goes_on, recorded_by_aws(fails))
    assert outcome.verdict is Verdict.COMPATIBLE  # it breaks nobody
    assert ('goes on after the recorded end: Step "new"') in [
        str(each) for each in outcome.differences
    ]


def test_a_result_that_cannot_become_json_is_compared_as_the_error_that_the_sdk_makes_of_it() -> (
    None
):
    def returns_a_set(_event: Any, _context: DurableContext) -> Any:
        return {1}

    outcome = verified_by_aws(returns_a_set, recorded_by_aws(returns_a_set), strict=True)
    assert outcome.verdict is Verdict.COMPATIBLE
    assert outcome.differences == ()


def invokes_with_a_set(_event: Any, context: DurableContext) -> Any:
    context.step(lambda _: 1, name="first")
    return context.invoke("target", {1}, name="ask")


def test_an_invoke_whose_payload_cannot_be_written_is_none_when_it_was_recorded_and_none_now() -> (
    None
):
    history = recorded_by_aws(invokes_with_a_set)
    assert [event.event_type for event in history.events if event.name == "ask"] == []
    outcome = verified_by_aws(invokes_with_a_set, history, strict=True)
    assert outcome.verdict is Verdict.COMPATIBLE, str(outcome)
    assert outcome.differences == ()


def test_an_invoke_whose_payload_can_be_written_by_now_is_new() -> None:
    def invokes_with_a_list(_event: Any, context: DurableContext) -> Any:
        context.step(lambda _: 1, name="first")
        return context.invoke("target", [1], name="ask")

    outcome = verified_by_aws(invokes_with_a_list, recorded_by_aws(invokes_with_a_set))
    assert outcome.verdict is Verdict.COMPATIBLE
    assert [str(each) for each in outcome.differences] == [
        'goes on after the recorded end: ChainedInvoke "ask"'
    ]
