"""Which entry of a scenario answers whom, and what of it was never asked for."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_core import (
    CallbackConfig,
    CallbackTimeoutError,
    CompletionConfig,
    DurableContext,
    MapConfig,
)
from durable_core.model import ExecutionStatus
from durable_core.simulation.outcome import Simulation, Stopped
from durable_core.simulation.scenario import (
    CallbackOutcome,
    CallbackScript,
    InvokeOutcome,
    InvokeScript,
    Scenario,
    read_scenario,
)
from durable_core.simulation.script import Script
from durable_core.simulation.simulate import simulate

BEAT = CallbackScript("a", CallbackOutcome.HEARTBEAT)
FIRST, SECOND = CallbackScript("a", payload="1"), CallbackScript("a", payload="2")
ANY, LAST = CallbackScript("*", payload="any"), CallbackScript("*", payload="last")


def script(*callbacks: CallbackScript) -> Script:
    return Script(Scenario(callbacks=callbacks))


# -- who is answered ------------------------------------------------------------------------------


def test_answers_to_a_callback_are_taken_in_order_up_to_the_first_that_ends_it() -> None:
    answers = script(BEAT, CallbackScript("b"), FIRST, SECOND)
    assert answers.take_callback(["a"]) == (BEAT, FIRST)
    assert answers.take_callback(["a"]) == (SECOND,)
    assert answers.take_callback(["a"]) == ()


@given(st.integers(1, 20))
def test_a_star_answers_every_callback(count: int) -> None:
    answers = script(ANY)
    assert [answers.take_callback([name]) for name in [None, "x"] * count] == [(ANY,)] * 2 * count


def test_an_entry_of_its_own_goes_before_a_star_wherever_it_stands() -> None:
    answers = script(ANY, FIRST)
    assert answers.take_callback(["a"]) == (FIRST,)
    assert answers.take_callback(["a"]) == (ANY,)
    assert answers.take_callback(["b"]) == (ANY,)


def test_of_several_stars_the_last_answers_all_that_follow() -> None:
    answers = script(ANY, LAST)
    assert [answers.take_callback([None])[0].payload for _ in range(3)] == ["any", "last", "last"]


def test_every_callback_gets_the_whole_answer_of_a_star() -> None:
    beat = CallbackScript("*", CallbackOutcome.HEARTBEAT)
    answers = script(beat, beat, ANY)
    assert [answers.take_callback(["x"]) for _ in range(2)] == [(beat, beat, ANY)] * 2


def test_a_star_ends_what_has_heartbeats_of_its_own_only() -> None:
    assert script(BEAT, ANY).take_callback(["a"]) == (BEAT, ANY)


def test_no_answer_at_all_is_an_entry_too() -> None:
    silence = CallbackScript("a", CallbackOutcome.TIMEOUT)
    assert script(silence, ANY).take_callback(["a"]) == (silence,)


def test_the_last_script_of_a_function_serves_all_that_follow() -> None:
    one, two = (InvokeScript("f", InvokeOutcome.RESULT, result=text) for text in "12")
    targets = Script(Scenario(invokes=(one, two)))
    assert [targets.take_invoke("f:live") for _ in range(3)] == [one, two, two]
    assert targets.take_invoke("g") is None


# -- in a simulation ------------------------------------------------------------------------------


async def ask_many(event: Any, ctx: DurableContext) -> list[Any]:
    async def unit(ctx: DurableContext, name: str, _index: int, _all: object) -> Any:
        config = CallbackConfig(timeout=timedelta(seconds=30))
        return await (await ctx.create_callback(name, config=config)).result()

    config = MapConfig(completion_config=CompletionConfig.all_completed())
    return (await ctx.map(event, unit, name="asked", config=config)).get_results()


def played(handler: Any, text: str = "", event: object = None) -> Simulation:
    return simulate(handler, event, scenario=read_scenario(text))


def test_one_star_answers_all_callbacks_of_a_map() -> None:
    text = """[[callback]]\nname = "*"\npayload = '"yes"'"""
    simulation = played(ask_many, text, ["a", "b", "c", "d"])
    assert json.loads(simulation.result or "") == ['"yes"'] * 4
    assert (simulation.unanswered, simulation.unused) == ((), ())


def test_what_timed_out_without_an_entry_is_told_with_the_lines_that_answer_it() -> None:
    simulation = played(ask_many, '[[callback]]\nname = "b"', ["a", "b", "c"])
    assert simulation.status is ExecutionStatus.SUCCEEDED
    assert [each.operation.name for each in simulation.unanswered] == ["a", "c"]
    snippets = "".join(each.snippet for each in simulation.unanswered)
    answered = played(ask_many, '[[callback]]\nname = "b"\n' + snippets, ["a", "b", "c"])
    assert (answered.unanswered, answered.unused) == ((), ())


def test_a_timeout_that_the_scenario_asks_for_is_not_told() -> None:
    simulation = played(ask_many, '[[callback]]\nname = "*"\noutcome = "timeout"', ["a"])
    assert simulation.unanswered == ()


def test_heartbeats_alone_are_no_answer() -> None:
    simulation = played(ask_many, '[[callback]]\nname = "a"\noutcome = "heartbeat"', ["a"])
    assert [each.operation.name for each in simulation.unanswered] == ["a"]


def test_a_wait_for_callback_is_answered_by_its_own_name() -> None:
    async def handler(_event: Any, ctx: DurableContext) -> Any:
        async def submit(_id: str, _ctx: Any) -> None:
            return None

        return await ctx.wait_for_callback(submit, name="approval")

    simulation = played(handler, """[[callback]]\nname = "approval"\npayload = 'yes'""")
    assert (simulation.status, simulation.unused) == (ExecutionStatus.SUCCEEDED, ())


EVERY_KIND = """
[[callback]]
name = "a"
[[callback]]
name = "b"
[[invoke]]
function = "arn:aws:lambda:us-east-1:123456789012:function:echo:7"
result = "1"
[[crash]]
invocation = 1
checkpoint = 9
[[throttle]]
invocation = 4
checkpoint = 1
"""


def test_entries_that_nothing_asked_for_are_told() -> None:
    assert played(ask_many, EVERY_KIND, ["a"]).unused == (
        '[[callback]] 2 "b"',
        '[[invoke]] 1 "arn:aws:lambda:us-east-1:123456789012:function:echo:7"',
        "[[crash]] invocation = 1, checkpoint = 9",
        "[[throttle]] invocation = 4, checkpoint = 1",
    )


def test_a_fault_that_happened_is_used() -> None:
    text = "[[crash]]\ninvocation = 1\ncheckpoint = 1\n"
    assert played(ask_many, text + '[[callback]]\nname = "*"', ["a"]).unused == ()


def test_an_invoke_left_open_when_the_execution_timed_out_is_told() -> None:
    async def handler(_event: Any, ctx: DurableContext) -> Any:
        return await ctx.invoke("echo", "pear", name="call")

    simulation = simulate(handler, execution_timeout=60)
    assert simulation.status is ExecutionStatus.TIMED_OUT
    [wanted] = simulation.unanswered
    assert "function = 'echo'" in wanted.snippet


@pytest.mark.parametrize("timeout", [None, 30])
def test_what_a_durable_target_asks_for_is_told_where_it_is(timeout: int | None) -> None:
    async def target(_event: Any, ctx: DurableContext) -> Any:
        config = None if timeout is None else CallbackConfig(timeout=timedelta(seconds=timeout))
        callback = await ctx.create_callback("approval", config=config)
        try:
            return await callback.result()
        except CallbackTimeoutError:
            return None

    async def handler(_event: Any, ctx: DurableContext) -> Any:
        return await ctx.invoke("review", None, name="call")

    text = '[[invoke]]\nfunction = "review"\nhandler = "targets:review"'
    simulation = simulate(handler, scenario=read_scenario(text), load=lambda _: target)
    told = simulation.unanswered if timeout else simulation.waiting_for
    assert simulation.stopped is (Stopped.OVER if timeout else Stopped.WAITING)
    assert [each.label for each in told] == ["callback 'approval' (1) in invoke 'call'"]
