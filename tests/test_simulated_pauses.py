"""Pauses, and invocations that another took over from: simulated, recorded, verified."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_cli.app import run
from durable_core import DurableContext, MapConfig
from durable_core.errors import SourceError
from durable_core.explaining.explain import explain
from durable_core.history import history_of_events
from durable_core.model import ExecutionStatus, InvocationInput, OperationStatus
from durable_core.native.invocation import InvocationOptions, Invoked
from durable_core.runtimes.native.replay import NativeReplayer
from durable_core.service.simulated import SimulatedService
from durable_core.service.values import ExecutionStart, Pause, Refusal, Resume
from durable_core.simulation.link import ServiceLink
from durable_core.simulation.outcome import InvocationEnd, Simulation, Stopped
from durable_core.simulation.scenario import Scenario, read_scenario, scenario_text
from durable_core.simulation.simulate import STARTS_AT, NativeRunner, Runner, simulate
from durable_core.verifying.options import VerifyOptions
from durable_core.verifying.replay import verify_history
from durable_core.verifying.verification import Verdict

DAY = 86_400


async def orders(event: Any, ctx: DurableContext) -> list[str]:
    first = await ctx.step(lambda _: "a", name="one")
    await ctx.wait(timedelta(seconds=30), name="w")
    second = await ctx.step(lambda _: "b", name="two")
    callback = await ctx.create_callback(name="approval")
    answer = await callback.result()
    return [first, second, answer, await ctx.step(lambda _: "c", name="three")]


async def parts(event: Any, ctx: DurableContext) -> list[int]:
    async def part(inner: DurableContext, item: int, index: int, items: Any) -> int:
        await inner.step(lambda _: item, name="load")
        return await inner.step(lambda _: item * 2, name="double")

    done = await ctx.map([1, 2, 3, 4], part, name="parts", config=MapConfig(max_concurrency=2))
    return done.get_results()


async def beside(event: Any, ctx: DurableContext) -> list[str]:
    async def one(name: str) -> str:
        return await ctx.step(lambda _: name, name=name)

    return list(await asyncio.gather(one("x"), one("y"), one("z")))


def runner_of(kind: str, handler: Callable[..., Any]) -> Runner:
    if kind == "native":
        return NativeRunner(handler)
    pytest.importorskip("aws_durable_execution_sdk_python")
    import aws_handlers_of_pauses as aws

    from durable_core.runtimes.aws_python.runner import AwsSdkRunner

    return AwsSdkRunner(getattr(aws, handler.__name__))


def simulated(
    scenario: str, handler: Callable[..., Any] = orders, kind: str = "native", **more: Any
) -> Simulation:
    answer = "[[callback]]\nname = 'approval'\npayload = '\"yes\"'\nafter_seconds = 5\n"
    world = read_scenario(answer + scenario)
    runner = runner_of(kind, handler)
    return simulate(runner, scenario=world, check_every_request=True, **more)


def times(simulation: Simulation, *kinds: str) -> list[tuple[str, float]]:
    return [
        (event.event_type, (event.timestamp - STARTS_AT).total_seconds())
        for event in simulation.events
        if event.event_type in kinds
    ]


PAUSES = ("ExecutionPaused", "ExecutionResumed", "WaitSucceeded", "InvocationCompleted")
both = pytest.mark.parametrize("kind", ["native", "aws"])


@pytest.fixture(autouse=True)
def handlers_of_awss_sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "aws_handlers_of_pauses.py").write_text(AWS)
    monkeypatch.syspath_prepend(str(tmp_path))


AWS = """
from aws_durable_execution_sdk_python import durable_execution
from aws_durable_execution_sdk_python.config import Duration, MapConfig

@durable_execution
def orders(event, ctx):
    first = ctx.step(lambda _: "a", name="one")
    ctx.wait(Duration.from_seconds(30), name="w")
    second = ctx.step(lambda _: "b", name="two")
    answer = ctx.create_callback(name="approval").result()
    return [first, second, answer, ctx.step(lambda _: "c", name="three")]

@durable_execution
def parts(event, ctx):
    def part(inner, item, index, items):
        inner.step(lambda _: item, name="load")
        return inner.step(lambda _: item * 2, name="double")

    config = MapConfig(max_concurrency=2)
    return ctx.map([1, 2, 3, 4], part, name="parts", config=config).get_results()

@durable_execution
def beside(event, ctx):
    return [ctx.step(lambda _: name, name=name) for name in "xyz"]
"""


# -- while nothing runs --------------------------------------------------------------------------


@both
def test_while_paused_timers_go_on_and_nothing_is_invoked_until_the_resume(kind: str) -> None:
    simulation = simulated("[[pause]]\nafter_seconds = 10\nfor_seconds = 3600\n", kind=kind)
    assert simulation.status is ExecutionStatus.SUCCEEDED
    assert times(simulation, *PAUSES)[:5] == [
        ("InvocationCompleted", 0),
        ("ExecutionPaused", 10),
        ("WaitSucceeded", 30),
        ("ExecutionResumed", 3610),
        ("InvocationCompleted", 3610),
    ]
    second = simulation.invocations[1]
    assert second.began_because == "wait 'w' succeeded"


@both
def test_a_resume_with_nothing_due_goes_on_waiting(kind: str) -> None:
    simulation = simulated("[[pause]]\nafter_seconds = 10\nfor_seconds = 5\n", kind=kind)
    assert [(each.began - STARTS_AT).total_seconds() for each in simulation.invocations] == [
        0,
        30,
        35,
    ]


def test_a_pause_at_the_start_holds_the_first_invocation_back() -> None:
    simulation = simulated("[[pause]]\nfor_seconds = 60\n")
    first = simulation.invocations[0]
    assert (first.began - STARTS_AT).total_seconds() == 60
    assert first.began_because == "the execution was resumed"


@both
def test_an_execution_that_nothing_resumes_stays_paused(kind: str) -> None:
    simulation = simulated("[[pause]]\nafter_seconds = 10\n", kind=kind)
    assert (simulation.status, simulation.stopped) == (ExecutionStatus.PAUSED, Stopped.PAUSED)
    assert simulation.waiting_for == ()
    assert simulation.operations[list(simulation.operations)[2]].status is OperationStatus.SUCCEEDED


# -- while an invocation runs --------------------------------------------------------------------


@both
@pytest.mark.parametrize("checkpoint", [1, 2])
@pytest.mark.parametrize("handler", [orders, parts, beside])
@pytest.mark.parametrize("table", ["pause", "superseded"])
def test_an_invocation_without_a_token_answers_pending_and_another_goes_on(
    kind: str, handler: Callable[..., Any], checkpoint: int, table: str
) -> None:
    plain = simulated("", handler, kind)
    more = "for_seconds = 60\n" if table == "pause" else ""
    place = f"[[{table}]]\ninvocation = 1\ncheckpoint = {checkpoint}\n{more}"
    simulation = simulated(place, handler, kind)
    assert simulation.status is ExecutionStatus.SUCCEEDED
    assert json.loads(simulation.result or "") == json.loads(plain.result or "")
    first = simulation.invocations[0]
    if len(plain.invocations[0].requests) < checkpoint or first.end is InvocationEnd.SUCCEEDED:
        return  # what AWS's SDK sends at once, it sends with one request
    assert first.end is InvocationEnd.PENDING
    assert len(first.requests) == checkpoint
    assert first.ended_because.startswith("its checkpoint token was taken back: ")
    assert simulation.refused == ()


def test_the_pause_begins_with_the_checkpoint_that_it_answers_without_a_token() -> None:
    simulation = simulated("[[pause]]\ninvocation = 2\ncheckpoint = 1\nfor_seconds = 60\n")
    kinds = [event.event_type for event in simulation.events]
    at = kinds.index("ExecutionPaused")
    assert kinds[at - 1 : at + 3] == [
        "StepStarted",
        "ExecutionPaused",
        "InvocationCompleted",
        "ExecutionResumed",
    ]
    assert simulation.invocations[2].began_because == "the execution was resumed"


def test_an_invocation_that_needs_no_more_checkpoint_ends_as_it_would() -> None:
    async def ends(event: Any, ctx: DurableContext) -> str:
        return await ctx.step(lambda _: "done", name="only")

    simulation = simulated("[[pause]]\ninvocation = 1\ncheckpoint = 9\n", ends)
    assert simulation.status is ExecutionStatus.SUCCEEDED
    assert simulation.unused[-1].startswith("[[pause]] invocation = 1")


def test_a_request_that_is_sent_again_after_its_token_was_taken_back_is_refused() -> None:
    places = "invocation = 1\ncheckpoint = 1\n"
    simulation = simulated(f"[[superseded]]\n{places}")
    assert simulation.status is ExecutionStatus.SUCCEEDED
    lost = simulated(f"[[pause]]\n{places}for_seconds = 60\n[[lost_response]]\n{places}")
    assert lost.status is ExecutionStatus.SUCCEEDED
    assert lost.invocations[0].end is InvocationEnd.CRASHED
    assert "Invalid Checkpoint Token" in lost.invocations[0].ended_because


def test_a_handler_that_catches_everything_is_still_pending() -> None:
    async def stubborn(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.step(lambda _: "a", name="one")
        except BaseException:
            return "caught"
        return "done"

    simulation = simulated("[[superseded]]\ninvocation = 1\ncheckpoint = 1\n", stubborn)
    assert simulation.invocations[0].end is InvocationEnd.PENDING
    assert json.loads(simulation.result or "") == "done"


# -- its timeout ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extend", "status", "ended"),
    [("true", ExecutionStatus.SUCCEEDED, 3615), ("false", ExecutionStatus.TIMED_OUT, 60)],
)
def test_a_pause_extends_the_timeout_unless_it_is_asked_not_to(
    extend: str, status: ExecutionStatus, ended: float
) -> None:
    pause = f"[[pause]]\nafter_seconds = 10\nfor_seconds = 3600\nextend_timeout = {extend}\n"
    simulation = simulated(pause, execution_timeout=60)
    assert (simulation.status, simulation.virtual_seconds) == (status, ended)


def test_what_is_left_of_the_timeout_counts_after_the_resume() -> None:
    async def waits(event: Any, ctx: DurableContext) -> None:
        await ctx.wait(timedelta(days=300))

    simulation = simulated(
        "[[pause]]\nafter_seconds = 10\nfor_seconds = 100\n", waits, execution_timeout=60
    )
    assert (simulation.status, simulation.virtual_seconds) == (ExecutionStatus.TIMED_OUT, 160)
    late = simulated("[[pause]]\nafter_seconds = 10\n", waits, execution_timeout=60)
    assert (late.status, late.virtual_seconds) == (ExecutionStatus.TIMED_OUT, 366 * DAY)


# -- the service itself --------------------------------------------------------------------------


def test_the_service_refuses_what_can_not_be_paused_or_resumed() -> None:
    service = SimulatedService(ExecutionStart(), STARTS_AT)
    answers = [service.answer(STARTS_AT, each) for each in (Resume(), Pause(), Pause(), Resume())]
    codes = [each.code if isinstance(each, Refusal) else None for each in answers]
    assert codes == ["ResourceConflictException", None, "ResourceConflictException", None]


def test_a_resume_before_the_pause_began_lets_the_invocation_go_on() -> None:
    service = SimulatedService(ExecutionStart(), STARTS_AT)
    service.begin_invocation(STARTS_AT)
    assert service.answer(STARTS_AT, Pause()) is None
    assert service.status is ExecutionStatus.PAUSING
    assert service.answer(STARTS_AT, Resume()) is None
    assert service.status is ExecutionStatus.RUNNING
    assert [event.event_type for event in service.events] == ["ExecutionStarted"]


def test_a_paused_execution_can_be_stopped() -> None:
    from durable_core.service.values import Stop

    service = SimulatedService(ExecutionStart(), STARTS_AT)
    service.answer(STARTS_AT, Pause())
    service.answer(STARTS_AT, Stop())
    assert service.status is ExecutionStatus.STOPPED
    assert [event.event_type for event in service.events][1:] == [
        "ExecutionPaused",
        "ExecutionStopped",
    ]


class _Spelled(NativeRunner):
    """Sends with a token that was never given out."""

    def invoke(
        self, given: InvocationInput, link: ServiceLink, options: InvocationOptions
    ) -> Invoked:
        self.said = link._service.apply(STARTS_AT, _request("none")).message  # type: ignore[union-attr]
        return super().invoke(given, link, options)


def _request(token: str) -> Any:
    from durable_core.model import CheckpointRequest

    return CheckpointRequest((), checkpoint_token=token)


def test_an_invalid_token_is_told_in_the_words_that_the_sdk_looks_for() -> None:
    runner = _Spelled(beside)
    simulate(runner)
    assert runner.said == "Invalid Checkpoint Token"
    if pytest.importorskip("aws_durable_execution_sdk_python"):
        from durable_core.sdks import SDKS

        assert SDKS[runner_of("aws", beside).sdk].invalid_token == "Invalid checkpoint token"


# -- recorded ------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["after_seconds = 10", "invocation = 1\ncheckpoint = 2"])
@pytest.mark.parametrize("ends", ["", "for_seconds = 100"])
def test_a_paused_history_is_compatible_with_the_handler_that_wrote_it(
    place: str, ends: str
) -> None:
    simulation = simulated(f"[[pause]]\n{place}\n{ends}\n")
    history = history_of_events("h", simulation.events)
    for every in (True, False):
        options = VerifyOptions(every_invocation=every)
        outcome = verify_history(NativeReplayer(orders), history, options)
        assert outcome.verdict is Verdict.COMPATIBLE, str(outcome)


def test_an_invocation_that_a_pause_cut_short_did_not_wait_for_what_was_open() -> None:
    async def asks(event: Any, ctx: DurableContext) -> str:
        await ctx.create_callback(name="approval")
        await ctx.step(lambda _: "a", name="one")
        return "never awaits the callback"

    simulation = simulated("[[pause]]\ninvocation = 1\ncheckpoint = 2\n", asks)
    history = history_of_events("h", simulation.events)
    assert simulation.status is ExecutionStatus.PAUSED
    assert verify_history(NativeReplayer(asks), history).verdict is Verdict.COMPATIBLE


def test_a_simulated_pause_is_explained_as_a_recorded_one() -> None:
    simulation = simulated("[[pause]]\nafter_seconds = 10\nfor_seconds = 3600\nreason = 'down'\n")
    report = explain(history_of_events("h", simulation.events), show_payloads=True)
    (pause,) = report.pauses
    assert (pause.reason, pause.seconds, pause.completed) == ("down", 3600, ("2",))


# -- the scenario --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("after_seconds = 1\ninvocation = 1", "either after_seconds, or invocation"),
        ("after_seconds = -1", "after_seconds: expected a number from 0"),
        ("for_seconds = 'x'", "for_seconds: expected a number from 0"),
        ("extend_timeout = 1", "extend_timeout: expected true or false"),
        ("reason = 1", "reason: expected a string"),
        ("reason = '" + "x" * 1_025 + "'", "reason: expected at most 1,024 characters"),
        ("when = 'now'", "unknown key 'when'"),
    ],
)
def test_a_wrong_pause_is_one_line(text: str, problem: str) -> None:
    with pytest.raises(SourceError, match=problem) as raised:
        read_scenario(f"[[pause]]\n{text}\n")
    assert "[[pause]] 1" in str(raised.value)


def test_a_scenario_of_pauses_is_written_as_it_was_read() -> None:
    text = (
        "[[superseded]]\ninvocation = 2\ncheckpoint = 3\n\n"
        "[[pause]]\nafter_seconds = 1.5\nfor_seconds = 2\nextend_timeout = false\nreason = 'x'\n\n"
        "[[pause]]\ninvocation = 2\ncheckpoint = 3\n"
    )
    scenario = read_scenario(text)
    assert read_scenario(scenario_text(scenario)) == scenario
    assert scenario != Scenario()


def test_the_command_shows_pauses_and_records_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.toml").write_text("[[pause]]\nafter_seconds = 10\nreason = 'hold'\n")
    handler = tmp_path / "h.py"
    handler.write_text(
        "from datetime import timedelta\n"
        "async def handler(event, ctx):\n    await ctx.wait(timedelta(minutes=1), name='w')\n"
    )
    record, out = tmp_path / "r.json", tmp_path / "out.json"
    call = ["simulate", "--handler", f"{handler}:handler", "--scenario", str(tmp_path / "s.toml")]
    assert run([*call, "--record", str(record), "--width", "200"]) == 3
    shown = capsys.readouterr().out
    assert "stays paused: the scenario doesn't resume it" in shown
    assert "2026-01-01T00:00:10.000Z to now (50.00 s); completed meanwhile: 1" in shown
    assert json.loads(record.read_text())["PauseDetails"]["Reason"] == "hold"
    assert run([*call, "--format", "json", "-o", str(out)]) == 3
    execution = json.loads(out.read_text())["execution"]
    assert (execution["stopped"], execution["pauses"][0]["seconds"]) == ("paused", 50.0)
    assert run(["replay", str(record), "--handler", f"{handler}:handler"]) == 0
