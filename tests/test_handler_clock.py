"""The clock that a handler reads is the virtual one, and what it sleeps passes in virtual time."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from time import monotonic as imported_monotonic
from time import sleep as imported_sleep
from time import time as imported_time
from typing import Any

import pytest

from durable_cli.app import run
from durable_core import DurableContext
from durable_core.model import ExecutionStatus
from durable_core.sandbox.process_clocks import in_place
from durable_core.simulation.outcome import Simulation
from durable_core.simulation.scenario import InvokeOutcome, InvokeScript, Scenario
from durable_core.simulation.simulate import simulate


class Moment(datetime):
    """A subclass, as users and libraries make them."""


def seconds_of(moment: datetime) -> float:
    return moment.timestamp()


CLOCKS: dict[str, Callable[[], float]] = {
    "time.time": lambda: time.time(),
    "from time import time": lambda: imported_time(),
    "time.time_ns": lambda: time.time_ns() / 1e9,
    "time.monotonic": lambda: time.monotonic(),
    "from time import monotonic": lambda: imported_monotonic(),
    "time.monotonic_ns": lambda: time.monotonic_ns() / 1e9,
    "time.perf_counter": lambda: time.perf_counter(),
    "time.perf_counter_ns": lambda: time.perf_counter_ns() / 1e9,
    "time.clock_gettime": lambda: time.clock_gettime(time.CLOCK_REALTIME),
    "time.localtime": lambda: time.mktime(time.localtime()),
    "time.gmtime": lambda: time.mktime(time.gmtime()),
    "time.ctime": lambda: time.mktime(time.strptime(time.ctime())),
    "time.asctime": lambda: time.mktime(time.strptime(time.asctime())),
    "time.strftime": lambda: time.mktime(time.strptime(time.strftime("%c"))),
    "datetime.now": lambda: seconds_of(datetime.now()),
    "datetime.now(UTC)": lambda: seconds_of(datetime.now(UTC)),
    "datetime.today": lambda: seconds_of(datetime.today()),
    "of a subclass": lambda: seconds_of(Moment.now(tz=UTC)),
    "date.today": lambda: date.today().toordinal() * 86_400,
}
DAY = 86_400.0


def native(body: Callable[[Callable[..., Any], Callable[[float], Any]], Any]) -> Simulation:
    """Run a body with functions that run a step and that wait: in the native runtime."""

    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await body(ctx.step, lambda seconds: ctx.wait(timedelta(seconds=seconds)))

    return simulate(handler, check_every_request=True)


def aws(body: Callable[[Any], Any], **options: Any) -> Simulation:
    if find_spec("aws_durable_execution_sdk_python") is None:
        pytest.skip("needs AWS's SDK")
    from aws_durable_execution_sdk_python import durable_execution

    from durable_core.runtimes.aws_python.runner import AwsSdkRunner

    return simulate(
        AwsSdkRunner(durable_execution(lambda event, ctx: body(ctx))),
        check_every_request=True,
        **options,
    )


def result_of(simulation: Simulation) -> Any:
    assert simulation.status is ExecutionStatus.SUCCEEDED, simulation.error
    return json.loads(simulation.result or "null")


# -- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_day_s_wait_is_a_day_in_the_eyes_of_a_native_handler(clock: str) -> None:
    read = CLOCKS[clock]

    async def body(step: Callable[..., Any], wait: Callable[[float], Any]) -> list[float]:
        before = await step(lambda _: read())
        await wait(DAY)
        return [before, read(), await step(lambda _: read())]

    before, after, inside = result_of(native(body))
    assert after - before == pytest.approx(DAY, abs=1)
    assert inside - before == pytest.approx(DAY, abs=1)


@pytest.mark.parametrize("clock", CLOCKS)
def test_and_in_the_eyes_of_one_of_aws_s_sdk(clock: str) -> None:
    from aws_durable_execution_sdk_python.config import Duration

    read = CLOCKS[clock]

    def body(ctx: Any) -> list[float]:
        before = ctx.step(lambda _: read())
        ctx.wait(Duration.from_seconds(int(DAY)))
        return [before, read(), ctx.step(lambda _: read())]

    before, after, inside = result_of(aws(body))
    assert after - before == pytest.approx(DAY, abs=1)
    assert inside - before == pytest.approx(DAY, abs=1)


def test_what_it_reads_is_the_time_of_the_events() -> None:
    async def body(step: Callable[..., Any], wait: Callable[[float], Any]) -> float:
        await wait(3600)
        await step(lambda _: imported_sleep(7.5))
        return datetime.now(UTC).timestamp()

    simulation = native(body)
    assert result_of(simulation) == pytest.approx(simulation.ended.timestamp(), abs=0.001)
    assert simulation.virtual_seconds == pytest.approx(3607.5)


def test_an_event_loop_s_time_is_that_of_monotonic_clocks() -> None:
    async def body(step: Callable[..., Any], wait: Callable[[float], Any]) -> list[float]:
        first = asyncio.get_running_loop().time() - time.monotonic()
        await asyncio.sleep(100)
        await wait(3600)
        return [first, asyncio.get_running_loop().time() - time.monotonic()]

    assert result_of(native(body)) == pytest.approx([0, 0], abs=0.001)


def test_no_two_readings_are_the_same_and_none_is_before_another() -> None:
    async def body(step: Callable[..., Any], wait: Callable[[float], Any]) -> bool:
        read = [time.time_ns() for _ in range(5_000)]
        return sorted(set(read)) == read

    assert result_of(native(body)) is True


@pytest.mark.parametrize("seconds", [0.5, 60])
def test_code_that_reads_it_until_it_has_passed_gets_there(seconds: float) -> None:
    async def body(step: Callable[..., Any], wait: Callable[[float], Any]) -> float:
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            pass
        return time.monotonic() - began

    assert result_of(native(body)) == pytest.approx(seconds, abs=0.1)


def test_the_types_of_datetime_stay_what_they_are() -> None:
    async def body(step: Callable[..., Any], wait: Callable[[float], Any]) -> list[bool]:
        now, today = datetime.now(UTC), date.today()
        return [
            type(now) is datetime,
            type(today) is date,
            type(Moment.now()) is Moment,
            isinstance(now, date),
            pickle.loads(pickle.dumps(now)) == now,
            type(copy.deepcopy(Moment.now())) is Moment,
            datetime(2026, 1, 1, tzinfo=UTC) <= now,
            type(datetime.fromisoformat(now.isoformat())) is datetime,
            type(now + timedelta(1)) is datetime,
        ]

    assert all(result_of(native(body)))


def test_a_thread_of_the_handler_reads_it_and_one_of_the_host_does_not() -> None:
    starts, read = threading.Event(), threading.Event()
    of_host: list[float] = []

    def host() -> None:
        starts.wait()
        of_host.append(time.time())
        read.set()

    async def body(step: Callable[..., Any], wait: Callable[[float], Any]) -> float:
        of_handler: list[float] = []
        thread = threading.Thread(target=lambda: of_handler.append(time.time()))
        thread.start()
        thread.join()
        starts.set()
        read.wait()
        return of_handler[0]

    thread = threading.Thread(target=host)
    thread.start()
    of_thread = result_of(native(body))
    thread.join()
    assert datetime.fromtimestamp(of_thread, UTC).date() == date(2026, 1, 1)
    assert of_host[0] == pytest.approx(time.time(), abs=600)


def test_nothing_is_left_of_it_afterwards() -> None:
    def members() -> list[object]:
        kinds = [vars(datetime)["now"], vars(datetime)["utcnow"], vars(date)["today"]]
        waits = [threading.Event.wait, threading.Thread.start, imported_time, imported_sleep]
        return [*kinds, *waits, *(value for value in vars(time).values() if callable(value))]

    async def body(step: Callable[..., Any], wait: Callable[[float], Any]) -> bool:
        return members() != before

    before = members()
    assert result_of(native(body)) is True
    assert members() == before


def test_a_name_that_was_imported_meanwhile_reads_the_real_time_afterwards() -> None:
    with in_place():
        from time import time as imported_meanwhile
    assert imported_meanwhile() == pytest.approx(time.time(), abs=600)


# -- sleeping ----------------------------------------------------------------------------------

SLEEPS: dict[str, Callable[[], object]] = {
    "time.sleep": lambda: time.sleep(100),
    "from time import sleep": lambda: imported_sleep(100),
    "in a thread": lambda: _in_thread(lambda: time.sleep(100)),
}


def _in_thread(target: Callable[[], object]) -> None:
    thread = threading.Thread(target=target)
    thread.start()
    thread.join()


def durations_of(simulation: Simulation) -> list[float]:
    """Return how long each step took, by its events."""
    events = simulation.events
    began = [each.timestamp for each in events if each.event_type == "StepStarted"]
    ended = [each.timestamp for each in events if each.event_type == "StepSucceeded"]
    assert len(began) == len(ended) > 0
    return [(end - begin).total_seconds() for begin, end in zip(began, ended, strict=True)]


@pytest.mark.parametrize("sleep", [*SLEEPS, "asyncio.sleep", "Event.wait"])
def test_a_native_step_that_sleeps_lasts_as_long(sleep: str) -> None:
    async def body(step: Callable[..., Any], wait: Callable[[float], Any]) -> None:
        await step(lambda _: None)
        if sleep == "asyncio.sleep":
            await step(lambda _: asyncio.sleep(100))
        elif sleep == "Event.wait":
            await step(lambda _: threading.Event().wait(100))
        else:
            await step(lambda _: SLEEPS[sleep]())
        await step(lambda _: None)

    simulation = native(body)
    assert durations_of(simulation) == [0, 100, 0]
    assert simulation.virtual_seconds == 100


@pytest.mark.parametrize("sleep", SLEEPS)
def test_a_step_of_aws_s_sdk_that_sleeps_lasts_as_long(sleep: str) -> None:
    def body(ctx: Any) -> None:
        ctx.step(lambda _: None)
        ctx.step(lambda _: SLEEPS[sleep]())
        ctx.step(lambda _: None)

    simulation = aws(body)
    assert durations_of(simulation) == [0, 100, 0]
    assert simulation.virtual_seconds == 100


def expect_timeouts(simulation: Simulation) -> None:
    assert simulation.status is ExecutionStatus.FAILED
    for each in simulation.invocations:
        assert each.error is not None
        assert each.error.type == "Sandbox.Timedout"
        assert "Task timed out after 900.00 seconds" in (each.error.message or "")
        assert each.ended - each.began == timedelta(minutes=15)


def test_a_native_body_that_sleeps_past_the_longest_timeout_of_lambda_times_out() -> None:
    def sleeps(_: object) -> str:
        try:
            time.sleep(1_000)
        except Exception:
            return "caught"
        return "slept"

    async def body(step: Callable[..., Any], wait: Callable[[float], Any]) -> Any:
        return await step(sleeps)

    expect_timeouts(native(body))


def test_so_does_one_of_aws_s_sdk() -> None:
    expect_timeouts(aws(lambda ctx: ctx.step(lambda _: time.sleep(1_000))))


@pytest.mark.parametrize("seconds", [-1, float("nan"), "soon"])
def test_what_cannot_be_slept_raises_as_it_does_otherwise(seconds: Any) -> None:
    async def body(step: Callable[..., Any], wait: Callable[[float], Any]) -> str:
        try:
            time.sleep(seconds)
        except (ValueError, TypeError) as error:
            return type(error).__name__
        return "slept"

    assert result_of(native(body)) in ("ValueError", "TypeError")


def test_a_plain_target_that_sleeps_takes_as_long() -> None:
    def plain(event: Any, context: Any) -> str:
        time.sleep(20)
        return str(date.today())

    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.invoke("target", None)

    script = InvokeScript("target", InvokeOutcome.HANDLER, handler="m:f", after_seconds=1)
    simulation = simulate(handler, scenario=Scenario(invokes=(script,)), load=lambda _: plain)
    assert result_of(simulation) == "2026-01-01"
    assert simulation.virtual_seconds == 21


# -- real durations ----------------------------------------------------------------------------


def is_busy(_: object) -> float:
    """Work for some real time, and return how long that was for the clock that is read."""
    began = time.perf_counter()
    sum(range(400_000))
    return time.perf_counter() - began


@pytest.mark.parametrize("real_durations", [False, True])
def test_what_a_native_body_takes_passes_only_where_that_is_wanted(real_durations: bool) -> None:
    async def handler(event: Any, ctx: DurableContext) -> float:
        return float(await ctx.step(is_busy))

    simulation = simulate(handler, real_durations=real_durations)
    assert (result_of(simulation) > 0.001) is real_durations
    assert (durations_of(simulation)[0] > 0.001) is real_durations


@pytest.mark.parametrize("real_durations", [False, True])
def test_what_one_of_aws_s_sdk_takes_does_so_too(real_durations: bool) -> None:
    simulation = aws(lambda ctx: ctx.step(is_busy), real_durations=real_durations)
    assert (result_of(simulation) > 0.001) is real_durations
    assert (durations_of(simulation)[0] > 0.001) is real_durations


def test_what_a_thread_takes_that_an_event_loop_waits_for_is_no_virtual_time() -> None:
    async def body(step: Callable[..., Any], wait: Callable[[float], Any]) -> None:
        await step(lambda _: asyncio.to_thread(is_busy, None))

    assert native(body).virtual_seconds == 0


# -- the command -------------------------------------------------------------------------------

MODULE = """
import time
from datetime import datetime
from time import sleep, time as now
STARTED = now()
{head}
    print_nothing = {step}
    return [datetime.fromtimestamp(STARTED).year, round(now() - STARTED, 1)]
"""
HEADS = {
    "native": ("async def handler(event, ctx):", "await ctx.step(lambda _: sleep(30))"),
    "aws-sdk": (
        "from aws_durable_execution_sdk_python import durable_execution\n"
        "@durable_execution\ndef handler(event, ctx):",
        "ctx.step(lambda _: sleep(30))",
    ),
}


@pytest.mark.parametrize("option", ["--max-invocations=9", "--isolate", "--timeout=300"])
@pytest.mark.parametrize("runtime", HEADS)
def test_the_command_has_a_handler_read_it_from_its_import_on(
    runtime: str, option: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if runtime == "aws-sdk" and find_spec("aws_durable_execution_sdk_python") is None:
        pytest.skip("needs AWS's SDK")
    head, step = HEADS[runtime]
    path = tmp_path / f"reads_{runtime.replace('-', '_')}.py"
    path.write_text(MODULE.format(head=head, step=step))
    assert run(["simulate", "--handler", f"{path}:handler", "--format", "json", option]) == 0
    report = json.loads(capfd.readouterr().out)
    assert json.loads(report["execution"]["result"]) == [2026, 30.0]
    assert report["execution"]["virtual_seconds"] == 30


def test_crash_runs_and_determinism_runs_pass_virtual_time_too(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sleeps.py"
    path.write_text(
        "import time\n"
        "async def handler(event, ctx):\n"
        "    time.sleep(800)\n"
        "    await ctx.step(lambda _: time.sleep(50))\n"
    )
    checks = ["--crash", "every-checkpoint", "--check-determinism", "1"]
    assert run(["simulate", "--handler", f"{path}:handler", "--format", "json", *checks]) == 0
    report = json.loads(capfd.readouterr().out)
    assert report["execution"]["virtual_seconds"] == 850
    assert report["crashes"]["failures"] == []
    assert report["determinism"]["differences"] == []
