"""Runs are compared without the times that a handler read: a crash takes time, too."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from durable_core import DurableContext, MapConfig
from durable_core.sandbox.handler_clock import STARTS_AT
from durable_core.service.faults import Faults
from durable_core.simulation.crash_runs import CrashMode, crash_runs
from durable_core.simulation.outcome import Simulation
from durable_core.simulation.races import check_races
from durable_core.simulation.read_times import without_times
from durable_core.simulation.simulate import simulate

ENDED = STARTS_AT + timedelta(hours=1)
MOMENT = STARTS_AT + timedelta(minutes=5, microseconds=7)
SECONDS = MOMENT.timestamp()


@pytest.mark.parametrize(
    "time_read",
    [
        repr(SECONDS),
        str(int(SECONDS)),
        str(int(SECONDS * 1_000)),
        str(int(SECONDS) * 1_000_000_000),
        MOMENT.isoformat(),
        str(MOMENT),
        MOMENT.strftime("%Y-%m-%dT%H:%M:%SZ"),
    ],
)
def test_a_time_of_the_execution_is_left_out(time_read: str) -> None:
    left = without_times(f'[1,"{time_read}",{time_read}]', ENDED)
    assert left is not None
    assert left.startswith('[1,"<time>')
    assert "2026" not in left
    assert "17672" not in left


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "1767225600.5.1",
        "x1767225600",
        "17672256001",
        "1500000000",
        "2020-01-01T00:00:00",
        "{}",
    ],
)
def test_anything_else_stays(text: str) -> None:
    assert without_times(text, ENDED) == text


async def notes_when(event: object, ctx: DurableContext) -> object:
    async def unit(each: DurableContext, item: int, index: int, items: object) -> object:
        await each.wait(timedelta(seconds=item))
        return await each.step(lambda _: [time.time(), str(datetime.now(UTC))], name="when")

    found = await ctx.map([2, 1, 3], unit, name="units", config=MapConfig(max_concurrency=2))
    found.throw_if_error()
    return found.get_results()


def test_a_step_that_notes_when_it_ran_is_none_that_a_crash_changes() -> None:
    def crashed(faults: Faults) -> Simulation:
        return simulate(notes_when, faults=faults)

    report = crash_runs(simulate(notes_when), CrashMode.EVERY_CHECKPOINT, crashed)
    assert report.failures == ()


def test_nor_a_race() -> None:
    def other(number: int) -> Simulation:
        return simulate(notes_when, interleaving=number)

    assert check_races(simulate(notes_when), 4, other).races == ()
