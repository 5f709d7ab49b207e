"""What code draws while it is simulated comes from the seed, and nothing else does."""

from __future__ import annotations

import json
import os
import random
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest

from durable_cli.app import run
from durable_core import DurableContext, simulate
from durable_core.sandbox.step_bodies import running_body
from durable_core.simulation.chance import drawn_from
from durable_core.simulation.scenario import read_scenario


def reseeded() -> float:
    random.seed()
    return random.random()


DRAWS: dict[str, Any] = {
    "random": lambda: random.random(),  # by its name: what is in place there
    "uuid1": lambda: uuid.uuid1().hex[16:],
    "uuid4": lambda: uuid.uuid4().hex,
    "a Random of one's own": lambda: random.Random().random(),
    "after random.seed()": reseeded,
    "SystemRandom": lambda: random.SystemRandom().random(),
}


def drawn(what: str, seed: str, invocation: int = 1, body: str | None = None) -> Any:
    token = running_body.set(body)
    try:
        with drawn_from(seed, invocation):
            return [DRAWS[what](), DRAWS[what]()]
    finally:
        running_body.reset(token)


@pytest.mark.parametrize("what", DRAWS)
def test_a_seed_draws_the_same_and_another_one_something_else(what: str) -> None:
    first = drawn(what, "a")
    assert first == drawn(what, "a")
    assert first != drawn(what, "b")
    if what != "uuid1":
        assert first[0] != first[1]


@pytest.mark.parametrize("what", DRAWS)
def test_a_body_draws_the_same_in_whichever_invocation_it_runs(what: str) -> None:
    assert drawn(what, "a", 1, "step/1") == drawn(what, "a", 2, "step/1")
    assert drawn(what, "a", 1, "step/1") != drawn(what, "a", 1, "step/2")
    assert drawn(what, "a", 1) != drawn(what, "a", 2)


def test_uuids_of_a_time_are_different_ones() -> None:
    with drawn_from("a"):
        made = {uuid.uuid1() for _ in range(100)}
    assert len(made) == 100


def test_invocations_side_by_side_draw_from_their_own_seeds() -> None:
    alone = {seed: drawn("random", seed) for seed in "ab"}
    both, found = threading.Barrier(2), {}

    def draws(seed: str) -> None:
        with drawn_from(seed):
            both.wait()
            found[seed] = [random.random(), random.random()]
            both.wait()

    threads = [threading.Thread(target=draws, args=(seed,)) for seed in alone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == alone


async def draws(event: Any, ctx: DurableContext) -> Any:
    async def body(_: Any) -> str:
        return uuid.uuid4().hex

    return [random.random(), os.urandom(4).hex(), await ctx.step(body, "draw")]


def test_a_simulation_in_a_test_draws_from_its_seed() -> None:
    state = random.getstate()
    results = [simulate(draws, seed=seed).result for seed in (1, 1, 2)]
    assert results[0] == results[1] != results[2]
    assert results[0] is not None
    assert random.getstate() == state, "the source of everybody else is left alone"
    assert "_urandom" not in repr(os.urandom)


def test_a_plain_target_draws_from_the_request_that_it_answers() -> None:
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return [await ctx.invoke("plain", None) for _ in range(2)]

    def plain(event: Any, context: Any) -> float:
        return random.random()

    scenario = read_scenario("[[invoke]]\nfunction = 'plain'\nhandler = 'any:plain'\n")
    one, other = (
        simulate(handler, scenario=scenario, load=lambda _: plain).result for _ in range(2)
    )
    assert one == other
    first, second = json.loads(one or "")
    assert first != second


HANDLERS = """
import random, uuid

def plain(event, context):
    return [random.random(), str(uuid.uuid4()), event]

async def durable(event, ctx):
    return await ctx.step(lambda _: random.random(), name="draw")

async def handler(event, ctx):
    return [await ctx.invoke(name, 1) for name in ("plain", "plain", "durable", "durable")]
"""


def test_what_targets_draw_is_the_same_in_each_run_and_other_for_each_invoke(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "asks.py").write_text(HANDLERS)
    named = "[[invoke]]\nfunction = '{0}'\nhandler = 'asks:{0}'\n"
    scenario = "".join(named.format(each) for each in ("plain", "plain", "durable", "durable"))
    (tmp_path / "world.toml").write_text(scenario)
    monkeypatch.chdir(tmp_path)
    arguments = ["simulate", "--handler", "asks:handler", "--scenario", "world.toml", "--record"]
    records = []
    for name in ("one.json", "other.json"):
        assert run([*arguments, name]) == 0
        records.append((tmp_path / name).read_text())
    assert records[0] == records[1]
    children = [tmp_path / f"one.{number}.durable.json" for number in (1, 2)]
    results = [each.read_text().split('"Payload": "0.')[1][:10] for each in children]
    assert results[0] != results[1]
    capsys.readouterr()
