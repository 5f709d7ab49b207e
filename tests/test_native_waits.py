"""Operations that wait: waits, callbacks, chained invokes, and several of them side by side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from recording import result_of

from durable_core import (
    CallbackConfig,
    CallbackExternalError,
    CallbackSubmitterError,
    CallbackTimeoutError,
    DurableContext,
    InvokeConfig,
    InvokeError,
    JsonSerDes,
    RetryPresets,
    ValidationError,
    WaitForCallbackConfig,
)
from durable_core.limits import LIMITS
from durable_core.simulation.outcome import Simulation, Stopped
from durable_core.simulation.scenario import Scenario, read_scenario
from durable_core.simulation.simulate import simulate


def types(simulation: Simulation, *prefixes: str) -> list[str]:
    return [e.event_type for e in simulation.events if e.event_type.startswith(prefixes)]


# -- wait -----------------------------------------------------------------------------------------


def test_an_hour_s_wait_takes_no_time() -> None:
    async def handler(event: Any, ctx: DurableContext) -> str:
        await ctx.wait(timedelta(hours=1), name="long")
        return "done"

    simulation = simulate(handler)
    assert result_of(simulation) == "done"
    assert simulation.virtual_seconds == 3600
    assert simulation.invocations[0].ended_because == "waits for wait 'long' (3600 s)"
    assert simulation.invocations[1].began_because == "wait 'long' succeeded"


def test_a_wait_is_at_least_a_second_and_rounded_up() -> None:
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.wait(timedelta(milliseconds=999))
        except ValidationError as error:
            await ctx.wait(timedelta(milliseconds=1001))
            return str(error)
        return ""

    simulation = simulate(handler)
    assert result_of(simulation) == "duration must be at least 1 second"
    assert simulation.virtual_seconds == 2


def test_what_is_due_first_happens_first() -> None:
    async def handler(event: Any, ctx: DurableContext) -> str:
        callback = await ctx.create_callback("quick", CallbackConfig(timedelta(seconds=5)))
        waiting = asyncio.create_task(ctx.wait(timedelta(hours=1), "long"))
        try:
            await callback.result()
        except CallbackTimeoutError:
            return "timed out"
        await waiting
        return "answered"

    simulation = simulate(handler)
    assert result_of(simulation) == "timed out"
    assert simulation.virtual_seconds == 5


# -- side by side ---------------------------------------------------------------------------------


def gathered(ctx: DurableContext) -> Any:
    return asyncio.gather(
        ctx.wait(timedelta(seconds=3), "three"),
        ctx.step(lambda step: "stepped", "step"),
        ctx.wait(timedelta(seconds=1), "one"),
    )


async def grouped(ctx: DurableContext) -> Any:
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(ctx.wait(timedelta(seconds=3), "three")),
            group.create_task(ctx.step(lambda step: "stepped", "step")),
            group.create_task(ctx.wait(timedelta(seconds=1), "one")),
        ]
    return [task.result() for task in tasks]


@pytest.mark.parametrize("together", [gathered, grouped])
def test_operations_may_suspend_side_by_side(together: Callable[[DurableContext], Any]) -> None:
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return list(await together(ctx))

    simulation = simulate(handler, check_every_request=True)
    assert result_of(simulation) == [None, "stepped", None]
    assert simulation.virtual_seconds == 3
    assert simulation.ran("step") == 1


def test_a_suspended_operation_goes_on_in_the_same_invocation_when_time_passes() -> None:
    async def handler(event: Any, ctx: DurableContext) -> list[Any]:
        async def slow(step: Any) -> str:
            await asyncio.sleep(10)
            return "slow"

        return list(await asyncio.gather(ctx.wait(timedelta(seconds=5)), ctx.step(slow)))

    simulation = simulate(handler)
    assert result_of(simulation) == [None, "slow"]
    assert len(simulation.invocations) == 1
    assert simulation.virtual_seconds == 10


def test_sleeping_in_a_body_takes_virtual_time_only() -> None:
    async def handler(event: Any, ctx: DurableContext) -> int:
        async def body(step: Any) -> int:
            await asyncio.sleep(600)
            return 1

        return await ctx.step(body)

    assert simulate(handler).virtual_seconds == 600


def test_threads_of_the_user_s_are_waited_for() -> None:
    async def handler(event: Any, ctx: DurableContext) -> str:
        async def body(step: Any) -> str:
            return await asyncio.to_thread(lambda: "from a thread")

        return await ctx.step(body)

    assert result_of(simulate(handler)) == "from a thread"


# -- callbacks ------------------------------------------------------------------------------------


async def approval(event: Any, ctx: DurableContext) -> Any:
    config = CallbackConfig(timedelta(seconds=30), timedelta(seconds=event or 0))
    callback = await ctx.create_callback("approval", config)
    await ctx.step(lambda step: callback.callback_id, "mail")
    try:
        return await callback.result()
    except (CallbackExternalError, CallbackTimeoutError) as error:
        return [type(error).__name__, error.error_type, error.message]


def scripted(text: str) -> Scenario:
    return read_scenario(text)


def test_a_callback_returns_the_bytes_that_were_sent() -> None:
    scenario = scripted("[[callback]]\nname = 'approval'\npayload = '\"yes\"'")
    simulation = simulate(approval, scenario=scenario)
    assert result_of(simulation) == '"yes"'
    assert types(simulation, "Callback", "Step") == [
        "CallbackStarted",
        "StepStarted",
        "StepSucceeded",
        "CallbackSucceeded",
    ]


def test_a_callback_that_fails_raises_what_was_sent() -> None:
    scenario = scripted(
        "[[callback]]\nname = 'approval'\noutcome = 'failure'\n"
        "error = {type = 'Rejected', message = 'not approved'}"
    )
    simulation = simulate(approval, scenario=scenario)
    assert result_of(simulation) == ["CallbackExternalError", "Rejected", "not approved"]


def test_a_callback_that_nobody_answers_times_out_by_its_own_timeout() -> None:
    scenario = scripted("[[callback]]\nname = 'approval'\noutcome = 'timeout'")
    simulation = simulate(approval, scenario=scenario)
    assert result_of(simulation)[0] == "CallbackTimeoutError"
    assert simulation.virtual_seconds == 30


def test_heartbeats_keep_a_callback_alive() -> None:
    scenario = scripted(
        "[[callback]]\nname = 'approval'\noutcome = 'heartbeat'\nafter_seconds = 8\n"
        "[[callback]]\nname = 'approval'\npayload = '1'\nafter_seconds = 8"
    )
    assert result_of(simulate(approval, 10, scenario=scenario)) == "1"
    simulation = simulate(approval, 5, scenario=scenario)
    assert result_of(simulation)[0] == "CallbackTimeoutError"
    assert simulation.virtual_seconds == 5


def test_an_unanswered_callback_ends_the_simulation_as_waiting_with_a_snippet() -> None:
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.wait_for_callback(lambda callback_id, context: None, "review")

    simulation = simulate(handler)
    assert (simulation.status, simulation.stopped) == ("RUNNING", Stopped.WAITING)
    (waiting,) = simulation.waiting_for
    assert waiting.label == "callback 'review create callback id' (1.1)"
    answered = simulate(handler, scenario=read_scenario(waiting.snippet))
    assert result_of(answered) == '"..."'


async def reviewed(event: Any, ctx: DurableContext) -> Any:
    def submit(callback_id: str, context: Any) -> None:
        if event == "broken":
            raise ConnectionError("no mail today")

    config = WaitForCallbackConfig(serdes=JsonSerDes(), retry_strategy=RetryPresets.none())
    try:
        return await ctx.wait_for_callback(submit, "review", config)
    except (CallbackSubmitterError, CallbackExternalError) as error:
        return [type(error).__name__, error.message]


def test_wait_for_callback_submits_and_waits() -> None:
    scenario = scripted("[[callback]]\nname = 'review'\npayload = '{\"ok\": true}'")
    simulation = simulate(reviewed, scenario=scenario, check_every_request=True)
    assert result_of(simulation) == {"ok": True}
    assert types(simulation, "Context", "Callback", "Step") == [
        "ContextStarted",
        "CallbackStarted",
        "StepStarted",
        "StepSucceeded",
        "CallbackSucceeded",
        "ContextSucceeded",
    ]


def test_a_submitter_that_fails_and_a_failed_answer_are_told_apart() -> None:
    failing = scripted(
        "[[callback]]\nname = 'review'\noutcome = 'failure'\nerror = {message = 'no'}"
    )
    assert result_of(simulate(reviewed, scenario=failing)) == ["CallbackExternalError", "no"]
    simulation = simulate(reviewed, "broken")
    assert result_of(simulation) == ["CallbackSubmitterError", "no mail today"]


# -- chained invokes ------------------------------------------------------------------------------


async def durable_target(event: Any, ctx: DurableContext) -> Any:
    await ctx.wait(timedelta(seconds=5))
    if event == "fail":
        raise ValueError("the target failed")
    return await ctx.step(lambda step: event * 2)


def plain_target(event: Any, context: Any) -> Any:
    return event if event != "big" else "x" * LIMITS.invoke_payload_bytes


def load(name: str) -> Any:
    return {"t:durable": durable_target, "t:plain": plain_target}[name]


TARGETS = scripted(
    "[[invoke]]\nfunction = 'doubler'\nhandler = 't:durable'\n"
    "[[invoke]]\nfunction = 'echo'\nhandler = 't:plain'\n"
    "[[invoke]]\nfunction = 'slow'\noutcome = 'timeout'\nafter_seconds = 60\n"
    "[[invoke]]\nfunction = 'broken'\nerror = {type = 'Oops', message = 'broken'}\n"
    "[[invoke]]\nfunction = 'known'\nresult = '[1, 2]'\n"
)


async def calling(event: Any, ctx: DurableContext) -> Any:
    function, payload = event
    try:
        return await ctx.invoke(function, payload, name="call")
    except InvokeError as error:
        return [error.error_type, error.message]


def test_a_durable_target_runs_as_an_execution_of_its_own() -> None:
    simulation = simulate(calling, ["doubler", 21], scenario=TARGETS, load=load)
    assert result_of(simulation) == 42
    assert simulation.virtual_seconds == 5
    (child,) = simulation.children.values()
    assert [record.end.value for record in child.invocations] == ["PENDING", "SUCCEEDED"]
    started = next(e for e in simulation.events if e.event_type == "ChainedInvokeStarted")
    assert (started.details or {})["DurableExecutionArn"] == child.arn


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (["echo", {"a": 1}], {"a": 1}),
        (["echo:live", "by alias"], "by alias"),
        (["arn:aws:lambda:us-east-1:123456789012:function:echo", "by arn"], "by arn"),
        (["known", None], [1, 2]),
        (["broken", None], ["Oops", "broken"]),
        (["doubler", "fail"], ["ValueError", "the target failed"]),
    ],
)
def test_chained_invokes_end_as_the_scenario_says(event: Any, expected: Any) -> None:
    assert result_of(simulate(calling, event, scenario=TARGETS, load=load)) == expected


def test_a_chained_invoke_may_time_out() -> None:
    simulation = simulate(calling, ["slow", None], scenario=TARGETS, load=load)
    assert result_of(simulation)[0] == "ChainedInvoke.Timeout"
    assert simulation.virtual_seconds == 60


def test_an_unanswered_invoke_ends_the_simulation_as_waiting_with_a_snippet() -> None:
    simulation = simulate(calling, ["unknown:7", None])
    (waiting,) = simulation.waiting_for
    assert waiting.label == "invoke 'call' (1)"
    scenario = read_scenario(waiting.snippet)
    assert result_of(simulate(calling, ["unknown:7", None], scenario=scenario)) == "..."


def test_an_oversized_invoke_result_is_refused_once_and_fails_the_execution() -> None:
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.invoke("echo", "big", name="call")

    simulation = simulate(handler, scenario=TARGETS, load=load)
    assert simulation.status == "FAILED"
    assert len(types(simulation, "ChainedInvokeStarted")) == 1
    message = (simulation.error.message if simulation.error else None) or ""
    assert "invoke 'call' has 1,048,578 bytes against a limit of 1,048,576" in message


def test_an_invoke_config_reads_and_writes_payloads() -> None:
    class Loud(JsonSerDes):
        def deserialize(self, data: str, serdes_context: Any) -> Any:
            return json.loads(data).upper()

    async def handler(event: Any, ctx: DurableContext) -> Any:
        config = InvokeConfig(serdes_result=Loud(), tenant_id="tenant-1")
        return await ctx.invoke("echo", "hello", config=config)

    simulation = simulate(handler, scenario=TARGETS, load=load)
    assert result_of(simulation) == "HELLO"
    started = next(e for e in simulation.events if e.event_type == "ChainedInvokeStarted")
    assert (started.details or {})["TenantId"] == "tenant-1"
