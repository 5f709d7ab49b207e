"""Handlers that tamper with the process that verifies them, to be called compatible all the same.

Nothing in one process is safe from the rest of it. What holds: an attempt that was refused has been
told to another process by then, what a guard that was switched off lets through is refused by what
has no name in its process, and what goes past that meets the walls.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from durable_cli.app import run
from durable_core.sandbox.walls import SWITCHED_OFF

HANDLER: Final = """
import contextlib
import gc
import inspect
import sys
from datetime import timedelta


def attempt(name="reached"):
    with contextlib.suppress(Exception):
        open(name, "w").close()


def objects(name):
    # By frames: nothing tells of that.
    found, seen, frame = [], set(), inspect.currentframe()
    todo = []
    while frame is not None:
        todo += frame.f_locals.values()
        frame = frame.f_back
    while todo:
        each = todo.pop()
        if id(each) in seen or isinstance(each, type(sys)):
            continue
        seen.add(id(each))
        if type(each).__name__ == name:
            found.append(each)
        if type(each).__module__.startswith(("durable_core", "contextlib", "types")):
            with contextlib.suppress(TypeError):
                todo += vars(each).values()
        for cell in getattr(each, "__closure__", None) or ():
            with contextlib.suppress(ValueError):
                todo.append(cell.cell_contents)
        if isinstance(each, (list, tuple)):
            todo += each
        if inspect.isgenerator(each):
            todo += each.gi_frame.f_locals.values() if each.gi_frame else []
    return found


def collected(name):
    return [each for each in gc.get_objects() if type(each).__name__ == name]


def hook():
    from durable_core.sandbox import guard_hook
    return guard_hook.hook_of_process()


def tamper(ctx):
    TAMPER


async def handler(event, ctx):
    tamper(ctx)
    await ctx.wait(timedelta(seconds=1), name="breathe")
"""

AFTERWARDS: Final = {
    "clears doubts that it finds by frames": (
        "attempt()\nfound = objects('ReplaySession')\nassert found\n"
        "for each in found:\n    each.doubts.clear()"
    ),
    "clears doubts that it finds by the collector": (
        "attempt()\nfor each in collected('ReplaySession'):\n    each.doubts.clear()"
    ),
    "has its verdict rewritten": (
        "attempt()\nfrom dataclasses import replace\n"
        "from durable_core.processes import worker_process as worker\n"
        "from durable_core.verifying.verification import Verdict\n"
        "verified = worker._verified\n"
        "worker._verified = lambda *given: replace("
        "verified(*given), verdict=Verdict.COMPATIBLE, doubts=())"
    ),
    "clears what was attempted between two runs": (
        "from durable_core.processes import worker_process as worker\n"
        "guards = objects('Guard')\nassert guards\n"
        "def between(canary):\n"
        "    attempt()\n    [each._late.clear() for each in guards]\n    return True\n"
        "worker._is_open = between"
    ),
}
"""What is done to the guard after it has refused something."""

PAST_IT: Final = {
    "switches the guard off and on": (
        "guard = hook()\nguard.is_on = False\nattempt()\nguard.is_on = True"
    ),
    "has the guard forget its runs for a while": (
        "guard = hook()\nkept = guard._running[:], guard._resident[:]\n"
        "guard._running.clear(); guard._resident.clear()\n"
        "attempt()\nguard._running += kept[0]; guard._resident += kept[1]"
    ),
    "changes the mode of its run": (
        "from durable_core.sandbox.guard_hook import GuardMode\n"
        "(*_, each) = hook()._resident\n"
        "each.mode = GuardMode.OFF\nattempt()\nEACH.mode = GuardMode.BLOCK".replace("EACH", "each")
    ),
    "changes a table for a while": (
        "from durable_core.sandbox import attempts\n"
        "kept = attempts._HARMLESS['open']\n"
        "attempts._HARMLESS['open'] = lambda args: True\n"
        "attempt()\nattempts._HARMLESS['open'] = kept"
    ),
    "replaces a function for a while": (
        "from durable_core.sandbox import guard_hook\n"
        "kept = guard_hook.is_harmless\nguard_hook.is_harmless = lambda *_: True\n"
        "attempt()\nguard_hook.is_harmless = kept"
    ),
    "replaces a method for a while": (
        "from durable_core.sandbox.guard_hook import GuardedRun\n"
        "kept = GuardedRun.attempts\nGuardedRun.attempts = lambda *_: None\n"
        "attempt()\nGuardedRun.attempts = kept"
    ),
    "has the name of the null device changed": (
        "import os\nos.devnull = 'reached'\nattempt()\nos.devnull = '/dev/null'"
    ),
}
"""What is done to the guard before an attempt, and undone."""

FORGED: Final = {
    "sends that it is compatible": (
        "from durable_core.processes.worker import TaskAnswer\n"
        "attempt()\n(channel,) = objects('Channel')\n"
        "from durable_core.verifying.verification import Verdict, Verification\n"
        "channel.send([TaskAnswer(Verification('x', Verdict.COMPATIBLE))])\n"
        "import os\nos._exit(0)"
    ),
    "says again and again that it imports": (
        "import time\nfrom durable_core.processes.worker import HandlerImporting\n"
        "(channel,) = objects('Channel')\n"
        "while True:\n    channel.send(HandlerImporting())\n    time.sleep(0.1)"
    ),
    "sends walls of its own": (
        "from durable_core.processes.worker_walls import Walled\n"
        "objects('Channel')[0].send(Walled((), True))\n"
        "hook()._resident.clear()\nattempt()"
    ),
    "sends an error": (
        "from durable_core.errors import DurableError\n"
        "objects('Channel')[0].send(DurableError('it is over'))"
    ),
    "sends more answers than were asked for": (
        "from durable_core.processes.worker import TaskAnswer\n"
        "from durable_core.verifying.verification import Verdict, Verification\n"
        "answer = TaskAnswer(Verification('x', Verdict.COMPATIBLE))\n"
        "attempt()\nobjects('Channel')[0].send([answer] * 9)"
    ),
    "sends an answer of other types": (
        "from durable_core.processes.worker import TaskAnswer\n"
        "objects('Channel')[0].send([TaskAnswer(None, reads=5)])"
    ),
    "sends a verdict of other types": (
        "from durable_core.processes.worker import TaskAnswer\n"
        "from durable_core.verifying.verification import Verdict, Verification\n"
        "verdict = Verification('x', Verdict.COMPATIBLE, notes=(7,))\n"
        "objects('Channel')[0].send([TaskAnswer(verdict)])"
    ),
    "sends what is no answer": "objects('Channel')[0].send([1, 2])",
    "sends what is no message": "objects('Channel')[0].send('hello')",
}
"""What is said in the name of the process."""

Verified = Callable[[str], tuple[int, dict[str, Any]]]


@pytest.fixture
def verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Verified:
    """Verify a handler that tampers so against two histories; return the document."""
    monkeypatch.chdir(tmp_path)
    Path("app.py").write_text(HANDLER.replace("TAMPER", "pass"))
    assert run(["simulate", "--handler", "app:handler", "--record", "one.json"]) == 0
    Path("two.json").write_bytes(Path("one.json").read_bytes())

    def verifying(tamper: str) -> tuple[int, dict[str, Any]]:
        Path("app.py").write_text(HANDLER.replace("TAMPER", tamper.replace("\n", "\n    ")))
        capfd.readouterr()
        options = ["--runs", "1", "--timeout", "3", "--format", "json"]
        code = run(["replay", "one.json", "two.json", "--handler", "app:handler", *options])
        out, err = capfd.readouterr()
        assert out, err
        return code, json.loads(out)

    return verifying


def reasons(document: dict[str, Any]) -> list[str]:
    """Return why the first history can't be verified: what runs later may be told of either."""
    (first, _) = document["histories"]
    assert first["verdict"] == "cannot-verify", first
    return [each["reason"] for each in first["doubts"]]


ATTEMPTED: Final = "writing a file (reached, w) at app.py:"


@pytest.mark.parametrize("walls", ["walls", "no walls"])
@pytest.mark.parametrize(
    "what",
    [
        pytest.param(each, marks=() if number == 0 else pytest.mark.attack)
        for number, each in enumerate(AFTERWARDS)
    ],
)
def test_an_attempt_stands_whatever_is_done_to_the_guard_afterwards(
    what: str, walls: str, verified: Verified, monkeypatch: pytest.MonkeyPatch
) -> None:
    if walls == "no walls":
        monkeypatch.setenv(SWITCHED_OFF, "landlock,seccomp")
    code, document = verified(AFTERWARDS[what])
    told = [each["verdict"] for each in document["histories"]]
    assert "cannot-verify" in told
    said = [doubt["reason"] for each in document["histories"] for doubt in each.get("doubts", ())]
    assert any(ATTEMPTED in each for each in said), said
    assert not Path("reached").exists()
    assert code == 3


@pytest.mark.parametrize("walls", ["walls", "no walls"])
@pytest.mark.parametrize(
    "what",
    [
        pytest.param(each, marks=() if number == 0 else pytest.mark.attack)
        for number, each in enumerate(PAST_IT)
    ],
)
def test_what_is_attempted_while_the_guard_is_switched_off_is_refused_and_told(
    what: str, walls: str, verified: Verified, monkeypatch: pytest.MonkeyPatch
) -> None:
    if walls == "no walls":
        monkeypatch.setenv(SWITCHED_OFF, "landlock,seccomp")
    code, document = verified(PAST_IT[what])
    assert any("writing a file" in each for each in reasons(document))
    assert not Path("reached").exists()
    assert code == 3


@pytest.mark.attack
@pytest.mark.parametrize("found", ["gc.get_objects()", "gc.get_referrers(type(hook()))"])
def test_who_looks_for_the_guard_by_the_collector_is_told_also_without_walls(
    found: str, verified: Verified, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SWITCHED_OFF, "landlock,seccomp")
    code, document = verified(
        f"found = {found}\n"
        "guards = [each for each in found if type(each).__name__ == 'Hook']\n"
        "for each in guards:\n    each.is_on = False\n"
        "attempt()\n"
        "for each in guards:\n    each.is_on = True"
    )
    assert "going through the objects of the process at app.py:" in reasons(document)[0]
    assert not Path("reached").exists()
    assert code == 3


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(each, marks=() if each == "sends an error" else pytest.mark.attack)
        for each in FORGED
    ],
)
def test_what_is_said_in_the_name_of_the_process_changes_nothing(
    what: str, verified: Verified
) -> None:
    code, document = verified(FORGED[what])
    assert reasons(document)
    assert not Path("reached").exists()
    assert code == 3
