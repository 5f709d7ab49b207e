"""`durable replay --handler`: whom a divergence breaks, in every format, and many histories whose
runs share the work."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from durable_cli.app import run
from durable_core import verify
from durable_core.runtimes.handler import HandlerLoader
from durable_core.simulation.simulate import simulate
from durable_core.wire import event_to_wire

HANDLERS = """
import random
from datetime import timedelta

FOUND = []


def made(leaks=False, name="check", chance=False, more=False):
    async def handler(event, ctx):
        async def unit(inner, item, index, items):
            await inner.step(lambda _: item, name=name)
            if leaks:
                FOUND.append(item)
            if chance and random.random() < 0.5:
                await inner.step(lambda _: item, name="sometimes")

        await ctx.map([1, 2], unit, name="checks")
        if FOUND or not leaks:
            await ctx.step(lambda _: 1, name="alert")
        await ctx.wait(timedelta(hours=1), name="settle")
        if more:
            await ctx.step(lambda _: 1, name="audit")

    return handler


old = made()
leaks = made(leaks=True)
renamed = made(name="look")
chance = made(chance=True)
more = made(more=True)
"""
MANY = 9


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "checks.py").write_text(HANDLERS)
    simulation = simulate(HandlerLoader(tmp_path).load("checks:old").target)
    events = list(map(event_to_wire, simulation.events))
    end = next(n for n, e in enumerate(events) if e["EventType"] == "InvocationCompleted")
    (tmp_path / "histories").mkdir()
    for number in range(MANY):
        shown = events if number % 3 else events[: end + 1]
        document = json.dumps({"Events": shown}, default=str)
        (tmp_path / "histories" / f"{number}.json").write_text(document)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def summary(out: str) -> list[str]:
    return out.splitlines()[-2:]


@pytest.mark.parametrize(
    ("handler", "code", "told"),
    [
        ("old", 0, "3 running: 3 safe, 0 breaks; code diverges from 0 of 9 records"),
        ("leaks", 1, "3 running: 0 safe, 3 breaks; code diverges from 9 of 9 records"),
        ("renamed", 1, "3 running: 3 safe, 0 breaks; code diverges from 9 of 9 records"),
        ("more", 0, "3 running: 3 safe, 0 breaks; code diverges from 0 of 9 records"),
    ],
)
def test_the_summary_counts_executions_and_records(
    project: Path, capfd: pytest.CaptureFixture[str], handler: str, code: int, told: str
) -> None:
    assert run(["replay", "histories", "--handler", f"checks:{handler}", "--width=200"]) == code
    out, _ = capfd.readouterr()
    assert summary(out)[1] == told
    if handler == "leaks":
        assert out.count("breaks: executions past 2 (found in what the service's replay") == MANY
        assert out.count("because: the body of 1 Map") == MANY
        assert "this execution: breaks" in out
    if handler == "more":
        assert out.count('goes on after the recorded end: Step "audit"') == MANY - 3


def test_chance_in_the_body_of_a_completed_context_is_told_from_a_leak(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["replay", "histories", "--handler", "checks:chance", "--width=200"]) == 1
    out, _ = capfd.readouterr()
    assert out.count("non deterministic") == MANY
    assert "the code outside of steps reads random at checks.py:" in out


def test_every_format_says_whom_a_divergence_breaks(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told: dict[str, str] = {}
    for format in ("json", "junit", "github", "markdown"):
        given = ["histories/0.json", "histories/1.json", "--handler", "checks:renamed"]
        assert run(["replay", *given, "--format", format]) == 1
        told[format], _ = capfd.readouterr()
    inside = 'inside 1.1 MapIteration "map-item-0"'
    running, ended = json.loads(told["json"])["histories"]
    assert (running["this_execution"], ended["this_execution"]) == ("safe", "ended")
    found = running["divergences"][0]
    assert (found["breaks"], found["found_by"], found["leak"]) == (inside, "deep", None)
    (first, _) = ElementTree.fromstring(told["junit"]).iter("failure")
    assert first.get("message", "").endswith(f"breaks executions {inside}")
    assert "this execution: safe" in (first.text or "")
    fates = "1 running: 1 safe, 0 breaks; code diverges from 2 of 2 records"
    assert f"breaks executions {inside}" in told["github"]
    assert told["github"].splitlines()[-1] == f"::notice title=durable replay::{fates}"
    assert fates in told["markdown"].splitlines()
    assert told["markdown"].count("| safe |") == 1


def test_one_run_looks_into_both(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for handler, breaks in (("leaks", "past 2"), ("renamed", "inside 1.1 MapIteration")):
        given = ["histories/1.json", "--handler", f"checks:{handler}", "--runs", "1"]
        assert run(["replay", *given, "--width=200"]) == 1
        assert f"breaks: executions {breaks}" in capfd.readouterr().out


def test_verify_says_what_becomes_of_the_execution(project: Path) -> None:
    outcome = verify("checks:leaks", "histories/0.json")
    assert outcome.this_execution == "breaks"
    assert outcome.first is not None
    assert str(outcome).endswith("breaks executions past 2")
    assert verify("checks:old", "histories/0.json").this_execution == "safe"
