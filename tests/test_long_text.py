"""Whatever is long in a history or of a handler: a report shows a part of it, JSON all of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable_cli.app import run
from durable_core.excerpts import labelled, short_name

HISTORIES = Path(__file__).resolve().parent.parent / "fixtures" / "histories"
HISTORY: Any = json.loads((HISTORIES / "step_retries_exhausted.json").read_text())
LONG = "n" * 30_000
ROOM = 16_000


def with_long_texts() -> Iterator[Any]:
    """Yield the history with each kind of text that it holds made long, one after another."""
    for event in HISTORY["Events"]:
        for key in ("EventType", "Id", "Name", "SubType", "ParentId"):
            if key in event:
                yield f"{event['EventType']}-{key}", (event["EventId"] - 1, key)
    last = HISTORY["Events"][-1]["ExecutionFailedDetails"]["Error"]["Payload"]
    for key in last:
        path = (len(HISTORY["Events"]) - 1, "ExecutionFailedDetails", "Error", "Payload", key)
        yield f"error-{key}", path


def lengthened(path: tuple[Any, ...]) -> Any:
    document = copy.deepcopy(HISTORY)
    node = document["Events"]
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = [LONG] if path[-1] == "StackTrace" else LONG
    return document


CASES = dict(with_long_texts())


@pytest.mark.parametrize("path", CASES.values(), ids=CASES)
def test_no_text_of_a_history_makes_a_report_long(
    path: tuple[Any, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "h.json"
    source.write_text(json.dumps(lengthened(path)))
    for arguments in (["replay"], ["replay", "--format", "markdown"], ["inspect-batch"]):
        assert run([*arguments, str(source)]) in (0, 1, 2)
        shown = capsys.readouterr()
        assert len(shown.out) + len(shown.err) < ROOM, arguments


def test_json_keeps_a_long_name_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "h.json"
    at = next(n for n, each in enumerate(HISTORY["Events"]) if each["EventType"] == "StepStarted")
    source.write_text(json.dumps(lengthened((at, "Name"))))
    assert run(["replay", str(source), "--format", "json"]) == 0
    [history] = json.loads(capsys.readouterr().out)["histories"]
    assert LONG in [each["name"] for each in history["operations"]]


HANDLER = """
from durable_core import RetryPresets, StepConfig

ONCE = StepConfig(retry_strategy=RetryPresets.none())


async def handler(event, ctx):
    def fails(_):
        raise ValueError("e" * event)

    await ctx.step(fails, "fails", ONCE)


async def leaves_the_record(event, ctx):
    try:
        raise KeyError("k" * 100_000)
    except KeyError:
        await ctx.step(lambda _: 1, "instead")
"""


def test_an_error_of_a_handler_does_not_make_a_report_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "app.py").write_text(HANDLER)
    app, record = f"{tmp_path / 'app.py'}", str(tmp_path / "h.json")
    simulation = ["simulate", "--handler", f"{app}:handler", "-e", "30000", "--record", record]
    assert run(simulation) == 1
    assert len(capsys.readouterr().out) < ROOM
    for format in ("table", "github"):
        arguments = [record, "--handler", f"{app}:leaves_the_record", "--format", format]
        assert run(["replay", *arguments]) == 1
        out = capsys.readouterr().out
        assert len(out) < ROOM
        assert "breaks" in out, "what comes after a long error is shown"


@pytest.mark.parametrize("name", ["pay", "n" * 256])
def test_a_name_that_the_service_takes_is_shown_whole(name: str) -> None:
    assert short_name(name) == name
    assert labelled("Step", name) == f'Step "{name}"'


def test_a_longer_one_is_shown_with_its_length() -> None:
    assert labelled("Step", "n" * 800_000) == f'Step "{"n" * 40}... (800,000 characters)"'
    assert labelled("Step", None) == "Step"
