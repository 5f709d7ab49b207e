"""Handlers that reach outside of steps, by all ways that were thought of: nothing happens, and each
is told, with its line."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from durable_cli.app import run

SOURCE: Final = Path(__file__).with_name("attackers.py").read_text()
ASYNC: Final = re.findall(r"^@attacker\nasync def (\w+)", SOURCE, re.MULTILINE)
ALL: Final = re.findall(r"^@attacker\n(?:async )?def (\w+)", SOURCE, re.MULTILINE)
ON_OURSELVES: Final = ALL[ALL.index("guard_switched_off") : ALL.index("error_caught")]
"""Those that change the guard's own objects: each in processes of its own."""
NEVER_RUNS: Final = {"at_exit"}
"""The process ends without that."""
NATIVE_ONLY: Final = {"called_in_an_hour", "signal_handler", "raised_signal"}
"""AWS's SDK runs a handler in a thread, which sets no signal handlers, and knows no virtual time
while verifying."""

NATIVE = """
import inspect
import os
from datetime import timedelta

import attackers


async def recorded(event, ctx):
    await ctx.wait(timedelta(seconds=1), name="breathe")


async def handler(event, ctx):
    os.chdir(event)
    made = attackers.ATTACKERS[event]()
    if inspect.isawaitable(made):
        await made
    await ctx.wait(timedelta(seconds=1), name="breathe")
"""

AWS = """
import asyncio
import inspect
import os

from aws_durable_execution_sdk_python import durable_execution
from aws_durable_execution_sdk_python.config import Duration

import attackers


@durable_execution
def recorded(event, ctx):
    ctx.wait(Duration.from_seconds(1), name="breathe")


@durable_execution
def handler(event, ctx):
    os.chdir(event)
    made = attackers.ATTACKERS[event]()
    if inspect.isawaitable(made):
        asyncio.run(made)
    ctx.wait(Duration.from_seconds(1), name="breathe")
"""


class Field:
    """Where attackers try: a folder for each, what they may reach, and what they did."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.victim = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.stream = socket.create_server(("127.0.0.1", 0))
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.bind(self.stream.getsockname())
        for each in (self.stream, self.datagrams):
            each.setblocking(False)
        (folder / "attackers.py").write_text(SOURCE)
        (folder / "writes_when_imported.py").write_text('open("reached", "w").close()')
        for name, text in (("native", NATIVE), ("aws", AWS)):
            (folder / f"{name}.py").write_text(text)
        for name in ALL:
            (folder / name / "there").mkdir(parents=True)
            (folder / name / "there.txt").write_text("as it was")
            (folder / name / "port.txt").write_text(str(self.stream.getsockname()[1]))
            (folder / name / "victim.txt").write_text(str(self.victim.pid))
        self.priority = os.getpriority(os.PRIO_PROCESS, self.victim.pid)
        self.before = self._state()

    def close(self) -> None:
        self.victim.kill()
        self.victim.communicate()
        self.stream.close()
        self.datagrams.close()

    def record(self, runtime: str) -> None:
        """Make a history for each attacker, whose name is the event."""
        recorded = self.folder / "recorded.json"
        handler = ["--handler", f"{runtime}:recorded", "--event", '"NAME"']
        assert run(["simulate", *handler, "--record", str(recorded)]) == 0
        text = recorded.read_text()
        recorded.unlink()
        (self.folder / "histories").mkdir()
        for name in ALL:
            (self.folder / "histories" / f"{name}.json").write_text(text.replace("NAME", name))

    def _state(self) -> dict[str, Any]:
        return {
            str(path.relative_to(self.folder)): (
                path.stat().st_mode,
                path.stat().st_mtime_ns,
                path.read_text() if path.is_file() else "",
                path.stat().st_nlink if path.is_file() else 0,
            )
            for path in self.folder.rglob("*")
            if "__pycache__" not in path.parts and path.name != "histories"
        }

    def reached(self) -> list[str]:
        """Return what has happened to the world outside."""
        now = self._state()
        changed = [
            name
            for name in {*now, *self.before}
            if now.get(name) != self.before.get(name)
            and not name.startswith("histories")
            and not (name in ALL and (self.folder / name).is_dir() and len(now) == len(self.before))
        ]
        told = sorted(changed)
        for what, taken in (
            ("a connection", lambda: self.stream.accept()),
            ("a datagram", lambda: self.datagrams.recv(10)),
        ):
            try:
                taken()
            except BlockingIOError:
                continue
            told.append(what)
        if self.victim.poll() is not None:
            told.append("a signal")
        elif os.getpriority(os.PRIO_PROCESS, self.victim.pid) != self.priority:
            told.append("a priority")
        return told


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Field]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    field = Field(tmp_path)
    yield field
    field.close()


def verified(
    runtime: str, names: list[str], capfd: pytest.CaptureFixture[str], *options: str
) -> dict[str, Any]:
    sources = [f"histories/{name}.json" for name in names]
    capfd.readouterr()
    run(["replay", *sources, "--handler", f"{runtime}:handler", "--format", "json", *options])
    out, err = capfd.readouterr()
    assert out, err
    histories = json.loads(out)["histories"]
    return {Path(each["source"]).stem: each for each in histories}


def untold(outcome: dict[str, Any]) -> bool:
    """Return True where nothing says that the handler reaches outside, and by which line."""
    reasons = [each["reason"] for each in outcome.get("doubts", ())]
    lines = [
        each for each in reasons if re.search(r"(attackers|writes_when_imported)\.py:\d+", each)
    ]
    return outcome.get("verdict") != "cannot-verify" or not lines


@pytest.mark.parametrize("runtime", ["native", pytest.param("aws", marks=pytest.mark.attack)])
def test_every_attacker_is_refused_and_told_with_its_line(
    field: Field, runtime: str, capfd: pytest.CaptureFixture[str]
) -> None:
    field.record(runtime)
    left_out = {*ON_OURSELVES, *(NATIVE_ONLY if runtime == "aws" else ())}
    names = [each for each in ALL if each not in left_out]
    outcomes = verified(runtime, names, capfd)
    assert len(outcomes) == len(names) > 80
    silent = {
        name: (each.get("verdict"), each.get("doubts"), [d["why"] for d in each["divergences"]])
        for name, each in outcomes.items()
        if untold(each) and name not in NEVER_RUNS
    }
    assert (silent, field.reached()) == ({}, [])


@pytest.mark.attack
@pytest.mark.parametrize("name", ON_OURSELVES)
def test_who_changes_the_guard_itself_is_told(
    field: Field, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    field.record("native")
    outcome = verified("native", [name], capfd, "--runs", "1")[name]
    assert outcome["verdict"] == "cannot-verify"
