"""The same history to the byte in every process, and what depends on the order of turns."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import timedelta
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from durable_cli.app import run
from durable_core import DurableContext
from durable_core.model import ExecutionStatus
from durable_core.simulation.races import Race, check_races
from durable_core.simulation.simulate import simulate

ROOT = Path(__file__).parent.parent
HANDLERS = ROOT / "fixtures/handlers"
OLD = find_spec("aws_durable_execution_sdk_python") is not None and version(
    "aws-durable-execution-sdk-python"
).startswith(("0.", "1."))

# -- native handlers: the order of tasks -------------------------------------------------------


async def fills(_event: Any, ctx: DurableContext) -> list[int]:
    seen: list[int] = []

    async def unit(unit: DurableContext, item: int, _index: int, _items: object) -> None:
        await unit.step(lambda _: item)
        seen.append(item)

    await ctx.map([1, 2, 3, 4], unit, name="fill")
    return seen


async def awaits_in_order(_event: Any, ctx: DurableContext) -> list[int]:
    async def unit(unit: DurableContext, item: int, _index: int, _items: object) -> int:
        await unit.wait(timedelta(seconds=5 - item))
        return await unit.step(lambda _: item * 2)

    found = await ctx.map([1, 2, 3, 4], unit, name="double")
    return list(found.get_results())


async def first_task_wins(_event: Any, ctx: DurableContext) -> str:
    won: list[str] = []

    async def competes(name: str) -> None:
        await asyncio.sleep(0)
        won.append(name)

    await asyncio.gather(*map(competes, "abc"))
    return await ctx.step(lambda _: won[0], name="winner")


def races_of(handler: Any, interleavings: int = 4) -> tuple[Race, ...]:
    report = check_races(
        simulate(handler),
        interleavings,
        lambda number: simulate(handler, interleaving=number),
    )
    assert report.unclear == report.unscheduled == ()
    return report.races


def test_a_list_that_units_fill_depends_on_their_order() -> None:
    first = races_of(fills)[0]
    assert (first.interleaving, first.operation) == (1, None)
    assert first.how == "the result is [4,3,2,1], not [1,2,3,4]"


def test_the_operation_that_depends_on_an_order_first_is_named() -> None:
    assert races_of(first_task_wins)[0] == Race(
        1, 'Step "winner" (1)', """its result was "c", and "a" in the first run"""
    )


def test_what_is_taken_in_order_depends_on_none() -> None:
    assert races_of(awaits_in_order) == ()


@pytest.mark.parametrize("path", sorted(HANDLERS.glob("native_*.py")), ids=lambda path: path.stem)
def test_native_handlers_come_to_the_same_in_every_order(path: Path, tmp_path: Path) -> None:
    if path.stem in ("native_callbacks", "native_invoke", "native_short_circuit"):
        pytest.skip("needs a scenario, or takes who comes first")
    out = tmp_path / "report.json"
    spec = f"{path}:handler"
    run(["simulate", "--handler", spec, "--check-races", "3", "--format", "json", "-o", str(out)])
    assert json.loads(out.read_text())["races"]["races"] == []


def test_what_differs_in_the_same_order_too_is_told_and_not_taken_for_a_race() -> None:
    counted: list[int] = []

    async def counts(_event: Any, ctx: DurableContext) -> int:
        await ctx.step(lambda _: counted.append(1) or len(counted), name="count")
        return await ctx.step(lambda _: 1, name="one")

    report = check_races(simulate(counts), 2, lambda number: simulate(counts, interleaving=number))
    assert report.races == ()
    (why,) = report.unclear
    assert why.startswith('Step "count" (1) differs between two runs of the same interleaving')


# -- handlers of AWS's SDK: the order of threads -----------------------------------------------

AWS = """
import random, threading, time, uuid
from concurrent.futures import ThreadPoolExecutor, as_completed
from aws_durable_execution_sdk_python import durable_execution
from aws_durable_execution_sdk_python.config import Duration

LOCK = threading.Lock()

@durable_execution
def fills(event, context):
    seen = []
    def unit(each, item, index, items):
        seen.append(each.step(lambda _: item, name="item"))
    context.map([1, 2, 3, 4], unit, name="fill")
    return context.step(lambda _: seen, name="seen")

@durable_execution
def first_wins(event, context):
    won = []
    def branch(name):
        def body(each):
            leads = not won
            won.append(name)
            return each.step(lambda _: name, name="lead" if leads else "follow")
        return body
    return context.parallel([branch("a"), branch("b")], name="both").get_results()

@durable_execution
def adds_up(event, context):
    total = [0]
    def unit(each, item, index, items):
        before = total[0]
        each.step(lambda _: item, name="item")
        total[0] = before + item
    context.map([1, 2, 3], unit, name="add")
    return total[0]

@durable_execution
def deadlocks(event, context):
    one, other = threading.Lock(), threading.Lock()
    def branch(first, second):
        def body(each):
            with first:
                each.step(lambda _: 1, name="inside")
                with second:
                    return 1
        return body
    return context.parallel([branch(one, other), branch(other, one)]).get_results()

@durable_execution
def clean(event, context):
    total = [0]
    def unit(each, item, index, items):
        drawn = each.step(lambda _: [random.random(), str(uuid.uuid4()), time.time()], name="draw")
        each.wait(Duration.from_seconds(item))
        with LOCK:
            total[0] += item
            each.step(lambda _: time.sleep(1), name="locked")
        return drawn
    drawn = context.map([3, 1, 2], unit, name="units").get_results()
    def pooled(_):
        with ThreadPoolExecutor(3) as pool:
            futures = [pool.submit(pow, n, 2) for n in range(6)]
            return sorted(each.result() for each in as_completed(futures))
    return [drawn, context.step(pooled, name="pooled"), total[0]]

@durable_execution
def completion_order(event, context):
    def pooled(_):
        def work(n):
            time.sleep(n % 3)
            return [n, str(uuid.uuid4()), random.random()]
        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(work, n) for n in range(9)]
            return [each.result() for each in as_completed(futures)]
    return context.step(pooled, name="pooled")
"""


@pytest.fixture
def racy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("aws_durable_execution_sdk_python")
    (tmp_path / "racy.py").write_text(AWS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checked(name: str, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, Any]:
    arguments = ["simulate", "--handler", f"racy:{name}", "--format", "json", *options]
    code = run(arguments)
    return int(code), json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("name", "operation"),
    [("fills", 'Step "seen" (2)'), ("first_wins", 'Step "lead" (1.0.1)'), ("adds_up", None)],
)
def test_a_race_is_found_told_and_seen_again(
    racy: Path, capsys: pytest.CaptureFixture[str], name: str, operation: str | None
) -> None:
    code, report = checked(name, capsys, "--check-races", "4")
    assert code == 1
    first = report["races"]["races"][0]
    assert first["operation"] == operation
    _, other = checked(name, capsys, "--interleaving", str(first["interleaving"]))
    assert other["interleaving"] == first["interleaving"]
    assert (other["execution"], other["operations"]) != (report["execution"], report["operations"])
    assert run(["simulate", "--handler", f"racy:{name}", "--check-races", "4"]) == 1
    table = capsys.readouterr().out
    assert f"see it with --interleaving {first['interleaving']}" in table


def test_a_clean_handler_with_threads_locks_and_chance_passes(
    racy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, report = checked("clean", capsys, "--check-races", "6")
    assert (code, report["races"]["races"], report["races"]["unclear"]) == (0, [], [])
    assert report["not_scheduled"] == []


def test_a_deadlock_of_the_handlers_own_threads_is_told_with_its_lines(
    racy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["simulate", "--handler", "racy:deadlocks"]) == 1
    said = capsys.readouterr().err
    assert "all of its threads wait, and nothing ends that" in said
    assert said.count("with second:") == 2


def test_another_seed_is_another_interleaving(
    racy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = {
        checked("fills", capsys, "--seed", str(seed))[1]["execution"]["result"] for seed in range(6)
    }
    assert len(results) > 2


@pytest.mark.skipif(OLD, reason="each invocation has a process of its own, which forgets anyway")
def test_a_saved_crash_fails_each_time(racy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (racy / "forgets.py").write_text(
        AWS
        + "calls = []\n"
        + "@durable_execution\n"
        + "def forgets(event, context):\n"
        + "    calls.append(1)\n"
        + "    def unit(each, item, index, items):\n"
        + "        return each.step(lambda _: item + len(calls), name='item')\n"
        + "    found = context.map([1, 2, 3], unit, name='units').get_results()\n"
        + "    context.wait(Duration.from_seconds(1))\n"
        + "    return [found, len(calls)]\n"
    )
    options = ["simulate", "--handler", "forgets:forgets", "--seed", "3"]
    saving = ["--crash", "every-checkpoint", "--save-failing", "failing.toml"]
    assert run([*options, *saving]) == 1
    results = set()
    for _ in range(3):
        run(
            [
                "simulate",
                "--handler",
                "forgets:forgets",
                "--scenario",
                "failing.toml",
                "--record",
                "again.json",
                "--force",
            ]
        )
        results.add((racy / "again.json").read_bytes())
    assert len(results) == 1
    capsys.readouterr()


DRAWS_AT_IMPORT = """
import os, random, uuid
from random import Random

DRAWN = [random.random(), Random().random(), str(uuid.uuid4()), os.urandom(4).hex()]

async def native(event, ctx):
    await ctx.step(lambda _: DRAWN, name="drawn")
    return DRAWN
"""


@pytest.mark.parametrize("option", [[], ["--timeout", "60"]], ids=["here", "in a process"])
def test_what_modules_draw_while_they_are_imported_comes_from_the_seed(
    tmp_path: Path, option: list[str]
) -> None:
    (tmp_path / "draws.py").write_text(DRAWS_AT_IMPORT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "core")])}
    command = [sys.executable, "-m", "durable_cli", "simulate", "--handler", "draws.py:native"]

    def drawn(seed: str) -> str:
        done = subprocess.run(
            [*command, "--seed", seed, "--format", "json", *option],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            check=True,
            timeout=60,
        )
        result: str = json.loads(done.stdout)["execution"]["result"]
        return result

    assert drawn("1") == drawn("1")
    assert drawn("1") != drawn("2")


# -- the same to the byte ----------------------------------------------------------------------

RECORDS = """
import hashlib, json, logging, sys
from durable_core.runtimes.handler import HandlerError, HandlerLoader
from durable_core.processes.runners import SimulationRequest, UserRunner, run_request

logging.disable()
found = {}
for spec in sys.argv[2:]:
    for seed in (0, 7):
        try:
            user = UserRunner(HandlerLoader(), spec)
        except HandlerError:
            continue  # written for a later SDK
        simulation = run_request(SimulationRequest(spec, seed=seed, max_invocations=60), user)
        said = repr((simulation.events, simulation.updates))
        found[f"{spec} {seed}"] = hashlib.sha256(said.encode()).hexdigest()
json.dump(found, open(sys.argv[1], "w"))
"""


def test_every_handler_records_the_same_in_every_process(racy: Path) -> None:
    names = ("fills", "first_wins", "adds_up", "clean", "completion_order")
    specs = [*(f"racy:{each}" for each in names)]
    specs += [f"{path}:handler" for path in sorted(HANDLERS.glob("aws_*.py"))]
    (racy / "records.py").write_text(RECORDS)
    paths = os.pathsep.join([str(ROOT), str(ROOT / "core")])
    processes = [
        subprocess.Popen(
            [sys.executable, "records.py", f"{hash_seed}.json", *specs],
            env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for hash_seed in ("0", "4711")
    ]
    assert [each.wait(timeout=120) for each in processes] == [0, 0]
    first, other = (json.loads((racy / f"{each}.json").read_text()) for each in ("0", "4711"))
    assert len(first) > len(specs)
    assert {key: value for key, value in first.items() if other[key] != value} == {}


def test_a_handler_that_starts_processes_is_not_promised_to_be_scheduled(
    racy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (racy / "starts.py").write_text(
        "import subprocess, sys\n"
        "from aws_durable_execution_sdk_python import durable_execution\n"
        "@durable_execution\n"
        "def handler(event, context):\n"
        "    run = lambda _: subprocess.run([sys.executable, '-c', '']).returncode\n"
        "    return context.step(run, name='process')\n"
    )
    arguments = ["simulate", "--handler", "starts:handler", "--check-races", "2"]
    assert run([*arguments, "--format", "json"]) == 3
    report = json.loads(capsys.readouterr().out)
    assert report["execution"]["status"] == ExecutionStatus.SUCCEEDED
    assert report["not_scheduled"] == ["a process that was started works in real time"]
    assert run(arguments) == 3
    assert "not scheduled" in capsys.readouterr().out
