"""Runs that read other times, chance and hash seeds: what departs, where, and what fed it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_cli.app import run
from durable_core import DurableContext
from durable_core.sandbox.sources import NondeterministicRead, Source
from durable_core.simulation.determinism import (
    RunDifference,
    Unclear,
    compare,
    fingerprint,
    fingerprint_from_json,
    fingerprint_to_json,
    step_ends,
)
from durable_core.simulation.simulate import simulate

HANDLERS = Path(__file__).parent.parent / "fixtures/handlers"


# -- comparing ---------------------------------------------------------------------------------


def run_of(name: str = "a", value: int = 1, seconds: int = 1, more: bool = False) -> Any:
    async def handler(event: Any, ctx: DurableContext) -> int:
        await ctx.step(lambda step: value, name=name)
        await ctx.wait(timedelta(seconds=seconds), name="pause")
        if more:
            await ctx.wait(timedelta(seconds=1), name="more")
        return 1

    return fingerprint(simulate(handler))


def test_equal_runs_have_no_difference() -> None:
    assert compare(run_of(), run_of(), 1) is None


def test_the_first_operation_that_differs_is_named_with_both_names() -> None:
    found = compare(run_of("a"), run_of("b", seconds=9), 4)
    assert found == RunDifference(4, 'Step "a" (1)', "its name was 'b', and 'a' in the first run")


def test_what_an_operation_is_asked_is_compared() -> None:
    assert compare(run_of(), run_of(seconds=9), 1) == RunDifference(
        1, 'Wait "pause" (2)', "its wait was 9, and 1 in the first run"
    )


def test_an_operation_too_many_and_one_too_few_are_differences() -> None:
    few, many = run_of(), run_of(more=True)
    assert compare(few, many, 1) == RunDifference(
        1, 'Wait "more" (3)', "it was asked for, and wasn't in the first run"
    )
    assert compare(many, few, 1) == RunDifference(1, 'Wait "more" (3)', "it wasn't asked for")


def test_what_a_step_came_to_makes_the_rest_unclear_not_different() -> None:
    found = compare(run_of(value=1), run_of(value=2, seconds=9), 1)
    assert isinstance(found, Unclear)
    assert 'the body of Step "a" (1)' in found.why


def test_another_result_is_a_difference_of_the_end() -> None:
    first = run_of()
    found = compare(first, replace(first, result="2"), 1)
    assert found == RunDifference(1, None, "the result is 2, not 1")


def test_a_fingerprint_survives_the_way_between_processes() -> None:
    whole = replace(run_of(), reads=(NondeterministicRead(Source.TIME, "time.time", "app.py", 3),))
    assert fingerprint_from_json(json.loads(json.dumps(fingerprint_to_json(whole)))) == whole


def test_the_ends_of_all_attempts_are_known_and_nothing_else() -> None:
    sys.path.insert(0, str(HANDLERS))
    try:
        import native_retries
    finally:
        sys.path.remove(str(HANDLERS))
    simulation = simulate(native_retries.handler)
    ends = step_ends(simulation.updates)
    assert [(attempt, end.name, end.action.value) for (_, attempt), end in ends.items()] == [
        (1, "charge", "RETRY"),
        (2, "charge", "RETRY"),
        (3, "charge", "SUCCEED"),
        (1, "refuse", "FAIL"),
    ]


# -- the command -------------------------------------------------------------------------------

APP = """
import datetime, os, random, secrets, time, uuid
from datetime import timedelta

async def steady(event, ctx):
    random.seed(4)
    wanted = random.choice(["a", "b", "c", "d"]) + str(random.Random(1).random())
    token = await ctx.step(lambda step: uuid.uuid4().hex + str(time.time()), name=wanted)
    with open("bodies.txt", "a") as bodies:
        await ctx.step(lambda step: bodies.write("x"), name="write")
    names = await ctx.step(lambda step: list({"p", "q", "r", token}), name="names")
    for name in names:
        await ctx.step(lambda step: 1, name=name)
    await ctx.wait(timedelta(seconds=1))
    time.sleep(0)
    print(time.time(), random.random())
    return token

async def by_time(event, ctx):
    await ctx.step(lambda step: 1, name=str(int(time.time())))

async def by_date(event, ctx):
    await ctx.step(lambda step: 1, name=str(datetime.date.today()))

async def by_random(event, ctx):
    await ctx.step(lambda step: 1, name=str(random.randint(0, 1_000_000)))

async def by_shuffle(event, ctx):
    order = list("abcdefgh")
    random.shuffle(order)
    await ctx.step(lambda step: 1, name="".join(order))

async def by_uuid(event, ctx):
    await ctx.step(lambda step: 1, name=str(uuid.uuid4()))

async def by_urandom(event, ctx):
    await ctx.step(lambda step: 1, name=secrets.token_hex(8))

async def by_set(event, ctx):
    for name in {"alpha", "beta", "gamma", "delta", "epsilon"}:
        await ctx.step(lambda step: 1, name=name)

async def by_branch(event, ctx):
    if random.random() < 0.5:
        await ctx.wait(timedelta(seconds=1), name="half")
    return 1

async def by_invocation(event, ctx):
    started = time.time()
    await ctx.wait(timedelta(seconds=5), name="pause")
    await ctx.step(lambda step: 1, name=f"at {started:.0f}")

async def result(event, ctx):
    return str(uuid.uuid4())

async def by_stream(event, ctx):
    await ctx.step(lambda step: 1, name=os.environ["AWS_LAMBDA_LOG_STREAM_NAME"])

async def by_trace(event, ctx):
    await ctx.wait(timedelta(seconds=1))
    await ctx.step(lambda step: 1, name=os.getenv("_X_AMZN_TRACE_ID"))

async def configured(event, ctx):
    await ctx.step(lambda step: os.environ["AWS_LAMBDA_LOG_STREAM_NAME"], name="stream")
    await ctx.step(lambda step: 1, name=os.environ["TABLE_NAME"])
    print(os.environ["AWS_LAMBDA_LOG_STREAM_NAME"])

async def dies(event, ctx):
    os.kill(os.getpid(), 9)
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "clock_app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield tmp_path
    sys.path[:] = path


def check(
    capsys: pytest.CaptureFixture[str], handler: str, runs: int = 2, *arguments: str
) -> tuple[int, dict[str, Any]]:
    asked = ["--check-determinism", str(runs), "--format", "json", *arguments]
    code = run(["simulate", "--handler", handler, *asked])
    document = json.loads(capsys.readouterr().out)
    return code, document["determinism"]


def test_reading_anything_in_steps_and_seeded_chance_anywhere_is_fine(
    capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    code, found = check(capsys, "clock_app:steady", 3)
    assert found == {"runs": 3, "differences": [], "warnings": [], "unclear": []}
    assert code == 0
    assert (project / "bodies.txt").read_text() == "x"  # bodies ran once, in the first run of all


@pytest.mark.parametrize(
    ("handler", "source", "function"),
    [
        ("by_time", "time", "time.time"),
        ("by_date", "time", "date.today"),
        ("by_random", "random", "random"),
        ("by_shuffle", "random", "random"),
        ("by_uuid", "uuid", "uuid.uuid4"),
        ("by_urandom", "urandom", "os.urandom"),
        ("by_invocation", "time", "time.time"),
        ("by_stream", "environment", 'os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]'),
        ("by_trace", "invocation", 'os.environ["_X_AMZN_TRACE_ID"]'),
    ],
)
def test_what_fed_a_difference_is_named_with_its_place(
    capsys: pytest.CaptureFixture[str], handler: str, source: str, function: str
) -> None:
    code, found = check(capsys, f"clock_app:{handler}", 1)
    assert code == 1
    (difference,) = found["differences"]
    assert difference["operation"].startswith("Step ")
    assert difference["fed_by"] == [source]
    (read,) = difference["reads"]
    assert read["function"] == function
    line = Path(read["file"]).read_text().splitlines()[read["line"] - 1]
    told = (handler.partition("_")[2], "started", "token_hex", "os.environ", "os.getenv")
    assert any(each in line for each in told)


def test_configuration_and_what_is_only_printed_or_read_in_steps_is_fine(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TABLE_NAME", "orders")
    code, found = check(capsys, "clock_app:configured", 2)
    assert (code, found["differences"]) == (0, [])


CONTEXT = """
from aws_durable_execution_sdk_python import durable_execution

@durable_execution
def handler(event, ctx):
    def batch(inner):
        done = 0
        while done < 3 and inner.lambda_context.get_remaining_time_in_millis() > 30_000:
            inner.step(lambda _: done, name=f"chunk-{done}")
            done += 1
        return done

    print(ctx.lambda_context.aws_request_id, ctx.lambda_context)
    return ctx.run_in_child_context(batch, name="batch")

@durable_execution
def steady(event, ctx):
    seen = ctx.lambda_context
    ctx.step(lambda _: [seen.aws_request_id, seen.memory_limit_in_mb], name=seen.function_name)
    if seen.get_remaining_time_in_millis() < 0:
        ctx.step(lambda _: 1, name="late")
"""


def test_the_remaining_time_of_an_invocation_is_told_where_it_decides(
    capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    pytest.importorskip("aws_durable_execution_sdk_python")
    (project / "budget_app.py").write_text(CONTEXT)
    code, found = check(capsys, "budget_app:handler", 1)
    assert code == 1
    (difference,) = found["differences"]
    assert difference["fed_by"] == ["invocation"]
    read = [(each["function"], each["line"]) for each in difference["reads"]]
    assert ("get_remaining_time_in_millis", 8) in read


def test_what_lambda_hands_out_is_fine_where_it_decides_nothing(
    capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    pytest.importorskip("aws_durable_execution_sdk_python")
    (project / "budget_app.py").write_text(CONTEXT)
    code, found = check(capsys, "budget_app:steady", 2)
    assert (code, found["differences"], found["unclear"]) == (0, [], [])


def test_the_order_of_a_set_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = check(capsys, "clock_app:by_set", 3)
    assert code == 1
    first = found["differences"][0]
    assert first["fed_by"] == ["hash seed"]
    (read,) = first["reads"]
    assert read["function"] == "the order of a set"
    line = Path(read["file"]).read_text().splitlines()[read["line"] - 1]
    assert line.strip().startswith("for name in {")


GIVEN = """
import os, time
from functools import partial
from aws_durable_execution_sdk_python import durable_execution

REGIONS = {"eu-west-1", "us-east-1", "ap-south-1", "sa-east-1"}

async def steps(event, ctx):
    for region in REGIONS:
        await ctx.step(lambda step: f"deployed {region}", name="deploy")

async def units(event, ctx):
    async def deploy(inner, region, index, regions):
        await inner.step(lambda step: 1, name="deploy")

    await ctx.map([*REGIONS], deploy, name="regions")

async def folder(event, ctx):
    for name in os.listdir("."):
        await ctx.step(partial(print, name), name="read")

async def stamp(event, ctx):
    now = time.time()
    await ctx.step(lambda step: 1 if now else 0, name="stamp")

@durable_execution
def aws_steps(event, ctx):
    return [ctx.step(lambda _: f"deployed {region}", name="deploy") for region in REGIONS]

@durable_execution
def aws_units(event, ctx):
    def deploy(inner, region, index, regions):
        return inner.step(lambda _: region, name="deploy")

    ctx.map(list(REGIONS), deploy, name="regions")

@durable_execution
def aws_stamp(event, ctx):
    ctx.step(lambda _, now=time.time(): now, name="stamp")
"""


@pytest.mark.parametrize(
    ("handler", "operation", "source", "line"),
    [
        ("steps", 'Step "deploy" (1)', "hash seed", "for region in REGIONS:"),
        ("units", 'unit 0 of Map "regions" (1)', "hash seed", "await ctx.map([*REGIONS]"),
        ("folder", 'Step "read" (1)', "order of files", "for name in os.listdir("),
        ("aws_steps", 'Step "deploy" (1)', "hash seed", "for region in REGIONS]"),
        ("aws_units", 'unit 0 of Map "regions" (1)', "hash seed", "ctx.map(list(REGIONS)"),
    ],
)
def test_an_order_that_decides_only_what_operations_are_given_is_found(
    capsys: pytest.CaptureFixture[str],
    project: Path,
    handler: str,
    operation: str,
    source: str,
    line: str,
) -> None:
    pytest.importorskip("aws_durable_execution_sdk_python")
    (project / "given_app.py").write_text(GIVEN)
    code, found = check(capsys, f"given_app:{handler}", 1)
    assert code == 1
    (difference,) = found["differences"]
    assert (difference["operation"], difference["fed_by"]) == (operation, [source])
    (read,) = difference["reads"]
    assert line in Path(read["file"]).read_text().splitlines()[read["line"] - 1]


@pytest.mark.parametrize("handler", ["stamp", "aws_stamp"])
def test_another_value_for_one_step_is_a_warning_and_no_finding(
    capsys: pytest.CaptureFixture[str], project: Path, handler: str
) -> None:
    pytest.importorskip("aws_durable_execution_sdk_python")
    (project / "given_app.py").write_text(GIVEN)
    code, found = check(capsys, f"given_app:{handler}", 1)
    assert (code, found["differences"], found["unclear"]) == (0, [], [])
    (warning,) = found["warnings"]
    assert (warning["operation"], warning["fed_by"]) == ('Step "stamp" (1)', ["time"])
    assert "time.time()" in GIVEN.splitlines()[warning["reads"][0]["line"] - 1]
    asked = ["--handler", f"given_app:{handler}", "--check-determinism", "1", "--width", "200"]
    assert run(["simulate", *asked]) == 0
    out = capsys.readouterr().out
    assert "warning: what operations are given is not the same in every run" in out


def test_a_branch_that_chance_takes_is_found_in_few_runs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, found = check(capsys, "clock_app:by_branch", 3)
    assert code == 1
    assert found["differences"][0]["fed_by"] == ["random"]


def test_another_result_is_a_finding(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = check(capsys, "clock_app:result", 1)
    assert code == 1
    assert found["differences"][0]["operation"] is None
    assert found["differences"][0]["fed_by"] == ["uuid"]


def test_the_report_says_it_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--handler", "clock_app:by_uuid", "--check-determinism", "1", "--width", "200"]
    assert run(["simulate", *asked]) == 1
    out = capsys.readouterr().out
    assert "determinism   1 of 1 run with other values asked for something else\n" in out
    assert "                fed by uuid\n" in out
    assert "clock_app.py, line" in out


def test_a_run_that_ends_its_process_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    from durable_core.processes.determinism_run import RunLost, check_determinism
    from durable_core.processes.runners import SimulationRequest

    with pytest.raises(RunLost, match="run 0 of the determinism check gave no answer"):
        check_determinism(SimulationRequest("clock_app:dies"), 1)
    with pytest.raises(RunLost, match="no module 'gone'"):
        check_determinism(SimulationRequest("gone:handler"), 1)


EXAMPLES = ["native_flat_overflow", "native_retries", "native_condition", "aws_flat_overflow"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_deterministic(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, found = check(capsys, f"{HANDLERS}/{name}.py:handler", 1)
    assert found["differences"] == []
    assert found["unclear"] == []
    assert code == 0
