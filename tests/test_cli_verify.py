"""`durable replay --handler`: what it prints, where, and how it exits."""

from __future__ import annotations

import contextlib
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

from durable_cli.app import run
from durable_core import NotCompatible, Verdict, verify
from durable_core.runtimes.handler import HandlerLoader
from durable_core.simulation.simulate import simulate
from durable_core.wire import event_to_wire

ORDERS = """
from datetime import timedelta


async def handler(event, ctx):
    async def notify(inner):
        await inner.step(lambda _: "mail sent", name="mail")
        return await inner.step(lambda _: "text sent", name="text")

    order = await ctx.step(lambda _: {"total": 12}, name="reserve")
    receipt = await ctx.step(lambda _: "r-1", name="charge")
    await ctx.wait(timedelta(days=2), name="delivery")
    told = await ctx.run_in_child_context(notify, name="notify")
    return {"receipt": receipt, "told": told, **order}
"""

ODD = """
import os
import random
import socket
import subprocess
import time

import orders


async def loops(event, ctx):
    while True:
        pass


async def dies(event, ctx):
    os._exit(3)


async def connects(event, ctx):
    try:
        socket.create_connection(("127.0.0.1", 9))
    except OSError:
        pass
    return await orders.handler(event, ctx)


async def spawns(event, ctx):
    subprocess.run(["true"])


async def writes(event, ctx):
    with open("written.txt", "w") as file:
        file.write("no")


async def prints(event, ctx):
    print("what a handler says")
    return await orders.handler(event, ctx)


async def by_hash(event, ctx):
    for name in {"a", "b", "c", "d", "reserve"}:
        await ctx.step(lambda _: {}, name=name)


async def by_chance(event, ctx):
    await ctx.step(lambda _: 1, name="reserve" if random.random() < 0.5 else "other")


async def by_time(event, ctx):
    started = time.time()
    await ctx.step(lambda _: 1, name="early" if started < 1e9 else f"at {started}")


async def tells_the_time(event, ctx):
    await orders.handler(event, ctx)
    return time.time()


async def shorter_wait(event, ctx):
    return await orders.handler(event, Shorter(ctx))


class Shorter:
    def __init__(self, ctx):
        self.ctx = ctx

    def __getattr__(self, name):
        return getattr(self.ctx, name)

    async def wait(self, duration, name):
        await self.ctx.wait(duration / 2, name)


async def alone(event, ctx):
    os.close(os.open("running", os.O_CREAT | os.O_EXCL))
    try:
        return await orders.handler(event, ctx)
    finally:
        os.unlink("running")
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's project: its handlers, a changed one, and two histories."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "orders.py").write_text(ORDERS)
    (tmp_path / "renamed.py").write_text(ORDERS.replace('name="charge"', 'name="charge-card"'))
    (tmp_path / "odd.py").write_text(ODD)
    folder = tmp_path / "histories"
    folder.mkdir()
    loader = HandlerLoader()
    simulation = simulate(loader.load("orders:handler").target)
    loader.forget()
    events = [event_to_wire(each) for each in simulation.events]
    arn = simulation.arn
    cut = next(n for n, each in enumerate(events, 1) if each["EventType"] == "InvocationCompleted")
    for name, kept in (("done", events), ("in-flight", events[:cut])):
        document = {"DurableExecutionArn": arn, "Events": kept}
        (folder / f"{name}.json").write_text(json.dumps(document, default=str))
    return tmp_path


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    def calling(*arguments: str) -> tuple[int, str, str]:
        code = run(["replay", *arguments, "--runs", "1", "--jobs", "1"])
        out, err = capfd.readouterr()
        return code, out, err

    return calling


def test_unchanged_code_is_compatible_with_every_history_of_a_folder(
    project: Path, call: Call
) -> None:
    code, out, _ = call("histories", "--handler", "orders:handler", "--every-invocation")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[:2]] == ["compatible", "compatible"]
    assert "2 histories: 2 compatible, 0 diverged, 0 cannot verify" in out


def test_a_renamed_step_is_shown_on_both_sides_with_its_line(project: Path, call: Call) -> None:
    code, out, _ = call("histories/done.json", "--handler", "renamed:handler")
    assert code == 1
    assert "first divergence at 2 in the handler: renamed" in out
    assert 'Step "charge" is now named "charge-card"' in out
    shown = next(line for line in out.splitlines() if line.startswith("    ~"))
    assert '2 Step "charge" SUCCEEDED' in shown
    assert '2 Step "charge-card"' in shown
    assert "code: renamed.py:11 in handler" in out
    assert "NonDeterministicExecutionError" in out


def test_a_new_operation_stands_alone_and_what_it_moves_is_in_one_row_but_not_marked_as_equal(
    project: Path, call: Call
) -> None:
    added = ORDERS.replace(
        "    receipt = await", '    await ctx.step(lambda _: 1, name="audit")\n    receipt = await'
    )
    (project / "added.py").write_text(added)
    _, out, _ = call("histories/done.json", "--handler", "added:handler")
    start = next(n for n, line in enumerate(out.splitlines()) if "recorded   " in line)
    rows = [" ".join(line.split()) for line in out.splitlines()[start + 1 : start + 6]]
    assert rows == [
        '= 1 Step "reserve" 1 Step "reserve"',
        '+ 2 Step "audit"',
        '2 Step "charge" SUCCEEDED 3 Step "charge"',
        '3 Wait "delivery" SUCCEEDED 4 Wait "delivery"',
        '4 RunInChildContext "notify" SUCCEEDED 5 RunInChildContext "notify"',
    ]


def test_the_worst_verdict_makes_the_exit_code(project: Path, call: Call) -> None:
    assert call("histories", "--handler", "renamed:handler")[0] == 1
    assert call("histories", "nothing.json", "--handler", "orders:handler")[0] == 2


def test_a_handler_that_never_ends_or_dies_does_not_take_others_with_it(
    project: Path, call: Call
) -> None:
    for name, why in (("loops", "did not end within 1 s"), ("dies", "os._exit(3) at odd.py:17")):
        code, out, _ = call("histories", "--handler", f"odd:{name}", "--timeout", "1")
        assert code == 3
        assert out.count(why) == 2
        assert "2 cannot verify" in out


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("connects", "looking up a host (127.0.0.1, 9) at odd.py:22"),
        ("spawns", "starting a process (true, ['true']) at odd.py:29"),
        ("writes", "writing a file (written.txt, w) at odd.py:33"),
    ],
)
def test_what_a_handler_does_outside_of_steps_is_refused_and_told(
    project: Path, call: Call, name: str, what: str
) -> None:
    code, out, _ = call("histories/done.json", "--handler", f"odd:{name}", "--width", "200")
    assert code == 3
    assert what in out
    assert not (project / "written.txt").exists()


def test_the_guard_can_warn_only(project: Path, call: Call) -> None:
    code, out, _ = call(
        "histories/done.json", "--handler", "odd:connects", "--guard", "warn", "--width", "200"
    )
    assert code == 0
    assert "note: the handler reaches outside of steps: a network connection" in out


def test_another_hash_seed_shows_code_that_walks_a_set(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = run(["replay", "histories/done.json", "--handler", "odd:by_hash", "--jobs", "1"])
    out, _ = capfd.readouterr()
    assert code == 1
    assert "first divergence at 1 in the handler: non deterministic" in out


@pytest.mark.parametrize(
    ("name", "read"), [("by_chance", "random at odd.py:48"), ("by_time", "time.time at odd.py:52")]
)
def test_other_times_and_chance_show_code_that_depends_on_them(
    project: Path, capfd: pytest.CaptureFixture[str], name: str, read: str
) -> None:
    code = run(
        ["replay", "histories/done.json", "--handler", f"odd:{name}", "--jobs", "1", "--width=300"]
    )
    out, _ = capfd.readouterr()
    assert code == 1
    assert "non deterministic" in out
    assert f"the code outside of steps reads {read}" in " ".join(out.split())


def test_a_result_that_depends_on_the_time_is_told_but_no_replay_stumbles_over_it(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = ["replay", "histories/done.json", "--handler", "odd:tells_the_time", "--width=300"]
    assert run(given) == 0
    out, _ = capfd.readouterr()
    assert "not the same in every run: final result" in out
    assert "the code outside of steps reads time.time at odd.py:" in out
    assert run([*given, "--strict"]) == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_the_handler_prints_is_not_among_the_data(
    project: Path, call: Call, unbuffered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    code, out, err = call("histories/done.json", "--handler", "odd:prints", "--format", "json")
    assert code == 0
    assert json.loads(out)["histories"][0]["verdict"] == "compatible"
    assert "what a handler says" in err


def test_json_carries_everything_under_a_schema(project: Path, call: Call) -> None:
    _, out, _ = call("histories/done.json", "--handler", "renamed:handler", "--format", "json")
    document = json.loads(out)
    assert document["schema"] == "durable.verify/1"
    history = document["histories"][0]
    assert history["verdict"] == "diverged"
    found = history["divergences"][0]
    assert (found["position"], found["cause"]) == ("2", "renamed")
    assert found["expected"]["name"] == "charge"
    assert found["current"]["name"] == "charge-card"
    assert found["where"]["file"] == "renamed.py"
    _, out, _ = call("histories", "--handler", "renamed:handler", "--format", "jsonl")
    assert [json.loads(line)["verdict"] for line in out.splitlines()] == ["diverged"] * 2


def test_reports_for_machines_name_the_place(project: Path, call: Call) -> None:
    arguments = ("histories/done.json", "--handler", "renamed:handler", "--format")
    _, out, _ = call(*arguments, "github")
    assert out.startswith("::error file=renamed.py,line=11,title=durable replay%3A histories/done")
    _, out, _ = call(*arguments, "junit")
    suite = ElementTree.fromstring(out)
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    _, out, _ = call(*arguments, "markdown")
    assert "| histories/done.json | diverged | 2 renamed.py:11 |" in out


def test_a_junit_report_is_well_formed_whatever_characters_a_name_has(
    project: Path, call: Call
) -> None:
    recorded = Path("histories/done.json").read_text()
    name = json.dumps("".join(map(chr, (*range(32), 0xD800, 0xFFFE, 0xFFFF))) + ']]>&<"')
    Path("odd.json").write_text(recorded.replace('"charge"', name))
    _, out, _ = call("odd.json", "--handler", "orders:handler", "--format", "junit")
    assert "\\ufffe\\uffff" in (ElementTree.fromstring(out)[0][0].get("message") or "")


def test_every_place_is_annotated_once_however_many_histories_diverge_there(
    project: Path, call: Call
) -> None:
    source = (project / "renamed.py").read_text().replace('name="mail"', 'name="letter"')
    (project / "twice.py").write_text(source)
    _, out, _ = call("histories", "--handler", "twice:handler", "--format", "github")
    errors = [line for line in out.splitlines() if line.startswith("::error")]
    assert len(errors) == 2
    both = "title=durable replay%3A 2 histories%2C first histories/done.json::"
    one = "title=durable replay%3A histories/done.json::"
    assert errors[0].startswith(f"::error file=twice.py,line=11,{both}diverged at 2: ")
    assert errors[1].startswith(f"::error file=twice.py,line=7,{one}diverged at 4.1: ")


def test_a_difference_that_strict_makes_a_finding_is_annotated_at_its_line(
    project: Path, call: Call
) -> None:
    given = ("histories/done.json", "--handler", "odd:shorter_wait", "--strict")
    _, out, _ = call(*given, "--format", "github")
    assert "::error file=odd.py,line=73,title=durable replay%3A histories/done.json::" in out
    assert "wait of seconds: recorded 172800, now 86400" in out


def test_a_unit_count_is_told_to_machines_too(tmp_path: Path, call: Call) -> None:
    for name, items in (("was", 2), ("now", 3)):
        (tmp_path / f"{name}.py").write_text(
            "async def unit(ctx, item, index, items):\n    return item\n\n\n"
            "async def handler(event, ctx):\n"
            f"    await ctx.map(list(range({items})), unit, name='all')\n"
        )
    with contextlib.chdir(tmp_path):
        assert run(["simulate", "--handler", "was:handler", "--record", "it.json"]) == 0
        _, out, _ = call("it.json", "--handler", "now:handler", "--format", "junit")
    assert 'recorded: 1 Map "all", 2 units' in out
    assert 'current:  1 Map "all", 3 units' in out


def test_differences_are_findings_only_when_strict(project: Path, call: Call) -> None:
    code, out, _ = call("histories/done.json", "--handler", "odd:shorter_wait")
    assert code == 0
    assert (
        'difference at 3 Wait "delivery" [odd.py:73]: wait of seconds: recorded 172800, now 86400'
    ) in out
    assert call("histories/done.json", "--handler", "odd:shorter_wait", "--strict")[0] == 1


def test_no_more_runs_go_on_at_once_than_jobs(project: Path) -> None:
    for number in range(10):
        copied = (project / "histories" / "done.json").read_bytes()
        (project / "histories" / f"more-{number}.json").write_bytes(copied)
    arguments = ["histories", "--handler", "odd:alone", "--guard", "off", "--jobs", "1"]
    assert run(["replay", *arguments, "--runs", "3"]) == 0


def test_histories_of_other_functions_are_skipped(project: Path, call: Call) -> None:
    code, out, err = call("histories", "--handler", "renamed:handler", "--function", "other")
    assert code == 3
    assert "2 of other functions skipped" in out
    assert "nothing is verified: no history is one of function 'other'" in err


def test_fail_fast_stops_at_the_first(project: Path, call: Call) -> None:
    _, out, _ = call("histories", "--handler", "renamed:handler", "--fail-fast")
    assert out.count("first divergence") == 1


def test_a_handler_that_cannot_be_had_is_one_line(project: Path, call: Call) -> None:
    code, out, err = call("histories", "--handler", "nowhere:handler")
    assert (code, out) == (2, "")
    assert "there is no module 'nowhere'" in err


def test_formats_of_verdicts_need_a_handler(project: Path) -> None:
    assert run(["replay", "histories/done.json", "--format", "junit"]) == 2


# -- the Python API ------------------------------------------------------------------------------


def test_verify_is_three_lines_in_a_test(project: Path) -> None:
    assert verify("orders:handler", "histories/done.json")
    outcome = verify("renamed:handler", project / "histories" / "done.json")
    assert outcome.verdict is Verdict.DIVERGED
    with pytest.raises(NotCompatible, match="charge-card"):
        outcome.check()
