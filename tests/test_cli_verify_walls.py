"""`durable replay --handler` behind the operating system's walls, and where it has none."""

from __future__ import annotations

import ctypes
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from durable_cli.app import run
from durable_cli.render_verify import render
from durable_cli.render_verify_ci import render_github, render_junit, render_markdown
from durable_cli.render_verify_json import verify_document, verify_line
from durable_core import Verdict, Verification, verify
from durable_core.runtimes.handler import HandlerLoader
from durable_core.sandbox import landlock
from durable_core.sandbox.walls import SWITCHED_OFF
from durable_core.simulation.simulate import simulate
from durable_core.wire import event_to_wire

HANDLERS = """
import contextlib
import ctypes
import os
import tempfile
import threading
import time
from pathlib import Path


async def handler(event, ctx):
    await ctx.step(lambda _: 1, name="one")
    return "done"


def by_number(path):
    # What isn't asked for by its name is nothing that the guard in the process could tell of.
    getpid = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p).value
    call = ctypes.CFUNCTYPE(*[ctypes.c_long] * 3, ctypes.c_char_p, *[ctypes.c_long] * 2)
    number = {"x86_64": 257, "aarch64": 56}[os.uname().machine]
    flags = os.O_CREAT | os.O_WRONLY
    call(getpid + DISTANCE)(number, -100, os.fsencode(path), flags, 0o644)


async def swallows(event, ctx):
    by_number("swallowed")
    return await handler(event, ctx)


async def swallows_what_it_is_named(event, ctx):
    by_number(event)
    return await handler(event, ctx)


async def odd_names(event, ctx):
    by_number(b"odd-\\xff-\\x1b[31m-" + b"x" * 200)
    return await handler(event, ctx)


async def in_a_thread(event, ctx):
    thread = threading.Thread(target=by_number, args=("swallowed",))
    thread.start()
    thread.join()
    return await handler(event, ctx)


async def blinds_the_guard(event, ctx):
    from durable_core.processes import guard

    for name, value in list(vars(guard).items()):
        if callable(value) and getattr(value, "__module__", None) == guard.__name__:
            for attribute in list(vars(value)) if isinstance(value, type) else ():
                with contextlib.suppress(Exception):
                    setattr(value, attribute, lambda *args, **named: None)
    ctypes.pythonapi.PySys_AddAuditHook.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    with contextlib.suppress(Exception):
        ctypes.CDLL(None)._PySys_ClearAuditHooks(ctypes.c_void_p.in_dll(ctypes.pythonapi, "x"))
    exec(compile("open('blinded', 'w').close()", guard.__file__, "exec"), {})
    return await handler(event, ctx)


async def hangs(event, ctx):
    Path(tempfile.gettempdir(), "left").write_text("x")
    while True:
        time.sleep(1)


async def leaves_a_folder_locked(event, ctx):
    os.makedirs(os.path.join(tempfile.gettempdir(), "a/b"), 0o000)
    return await handler(event, ctx)
"""

IMPORTING = """
import handlers

handlers.by_number("imported")
handler = handlers.handler
"""

LOOKING = """
import contextlib
import fcntl
import os
from multiprocessing import resource_tracker

from handlers import handler

found = []
for each in map(int, os.listdir("/proc/self/fd")):
    with contextlib.suppress(OSError):
        if fcntl.fcntl(each, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY and each > 2:
            found.append(os.readlink(f"/proc/self/fd/{each}").partition(":")[0])
assert sorted(found) == ["pipe", "socket"], found  # its answers, and that there is one
assert resource_tracker._resource_tracker._fd is None
"""

try:
    IS_HELD = sys.platform.startswith("linux") and landlock.version() > 0
except OSError:
    IS_HELD = False
needs_walls = pytest.mark.skipif(not IS_HELD, reason="this system has no walls to raise")

Call = Callable[..., tuple[int, str, str]]


def _distance() -> int:
    """Return how far `syscall` is from `getpid` in this process's C library, as in any other's."""
    libc = ctypes.CDLL(None)
    at = [ctypes.cast(each, ctypes.c_void_p).value or 0 for each in (libc.syscall, libc.getpid)]
    return at[0] - at[1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Handlers that try to get out, and a history."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    scratches = tmp_path / "scratches"
    scratches.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratches))
    (tmp_path / "handlers.py").write_text(f"{HANDLERS}\n\nDISTANCE = {_distance()}\n")
    (tmp_path / "importing.py").write_text(IMPORTING)
    (tmp_path / "looking.py").write_text(LOOKING)
    loader = HandlerLoader()
    simulation = simulate(loader.load("handlers:handler").target)
    loader.forget()
    events = [event_to_wire(each) for each in simulation.events]
    document = {"DurableExecutionArn": simulation.arn, "Events": events}
    (tmp_path / "history.json").write_text(json.dumps(document, default=str))
    return tmp_path


@pytest.fixture
def call(project: Path, capfd: pytest.CaptureFixture[str]) -> Call:
    def calling(handler: str, *arguments: str) -> tuple[int, str, str]:
        code = run(["replay", "history.json", "--handler", handler, "--runs", "1", *arguments])
        out, err = capfd.readouterr()
        return code, out, err

    return calling


# -- what is held ---------------------------------------------------------------------------------


@needs_walls
@pytest.mark.parametrize("name", ["swallows", "in_a_thread"])
def test_what_goes_past_the_guard_is_refused_and_told_though_the_handler_swallows_it(
    project: Path, call: Call, name: str
) -> None:
    code, out, _ = call(f"handlers:{name}")
    assert (code, out.split()[:2]) == (3, ["cannot", "verify"])
    assert "past the guard in its process: writing a file (openat, " in out
    assert str(project / "swallowed") in "".join(each.strip() for each in out.splitlines())
    assert not (project / "swallowed").exists()


@needs_walls
def test_each_history_is_told_of_its_own_attempts_only(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    document = json.loads((project / "history.json").read_text())
    given = document["Events"][0]["ExecutionStartedDetails"]
    names = [f"of-{number}" for number in range(60)]
    for name in names:
        given["Input"] = {"Payload": json.dumps(name), "Truncated": False}
        (project / f"{name}.json").write_text(json.dumps(document))
    sources = [f"{name}.json" for name in names]
    run(
        ["replay", *sources, "--handler", "handlers:swallows_what_it_is_named", "--format", "jsonl"]
    )
    outcomes = map(json.loads, capfd.readouterr().out.splitlines())
    told = {
        each["source"]: {
            Path(doubt["reason"].partition("openat, ")[2].partition(")")[0]).name
            for doubt in each["doubts"]
        }
        for each in outcomes
    }
    assert told == {f"{name}.json": {name} for name in names}


@needs_walls
def test_what_is_told_of_a_path_is_text_whatever_bytes_it_has(call: Call) -> None:
    _, out, _ = call("handlers:odd_names", "--format", "jsonl")
    assert "\x1b" not in out
    assert r"odd-\udcff-\x1b[31m-xxx" in json.loads(out)["doubts"][0]["reason"]


@needs_walls
def test_who_blinds_the_guard_is_held_all_the_same(project: Path, call: Call) -> None:
    code, out, _ = call("handlers:blinds_the_guard")
    assert not (project / "blinded").exists()
    assert code != 0, out


@needs_walls
def test_what_a_module_does_while_it_is_imported_is_refused_and_told(
    project: Path, call: Call
) -> None:
    _, out, err = call("importing:handler")
    assert "imported" in out + err
    assert "refused" in out + err
    assert not (project / "imported").exists()


@needs_walls
@pytest.mark.parametrize("runs", ["1", "2"])
def test_a_module_that_needs_what_the_system_refused_cannot_be_verified(
    project: Path, call: Call, runs: str
) -> None:
    (project / "needing.py").write_text(f"{IMPORTING}\nopen('imported').close()\n")
    code, out, _ = call("needing:handler", "--runs", runs, "--format", "jsonl")
    (doubt,) = json.loads(out)["doubts"]
    assert code == 3
    assert doubt["reason"].startswith("the handler could not be imported: importing the handler ")
    assert f"writing a file (openat, {project / 'imported'})" in doubt["reason"]
    assert "FileNotFoundError" in doubt["reason"]
    assert "--allow-import" in doubt["remedy"]
    assert json.loads(out)["notes"] == []


@needs_walls
def test_a_process_that_verifies_can_write_to_nothing_but_where_its_answers_go(call: Call) -> None:
    code, out, err = call("looking:handler")
    assert (code, err) == (0, ""), out


@pytest.mark.parametrize("name", ["handler", "hangs", "leaves_a_folder_locked"])
def test_the_scratch_folder_is_gone_afterwards(project: Path, call: Call, name: str) -> None:
    call(f"handlers:{name}", "--timeout", "1")
    assert list((project / "scratches").iterdir()) == []


@pytest.mark.parametrize("mode", ["warn", "off"])
def test_a_guard_that_only_tells_raises_no_walls(project: Path, call: Call, mode: str) -> None:
    _, out, _ = call("handlers:swallows", "--guard", mode, "--format", "json")
    (history,) = json.loads(out)["histories"]
    assert (history["guard"], history["guard_reason"]) == (mode, None)
    assert (project / "swallowed").exists()


# -- where it isn't -------------------------------------------------------------------------------


@needs_walls
def test_a_report_says_that_everything_is_enforced(call: Call) -> None:
    code, out, _ = call("handlers:handler", "--guard", "enforce", "--format", "jsonl")
    assert (code, json.loads(out)["guard"]) == (0, "enforced")


@pytest.mark.parametrize("absent", ["landlock", "seccomp", "landlock,seccomp"])
def test_enforcing_what_the_system_cannot_is_refused(
    call: Call, monkeypatch: pytest.MonkeyPatch, absent: str
) -> None:
    monkeypatch.setenv(SWITCHED_OFF, absent)
    code, out, err = call("handlers:handler", "--guard", "enforce")
    assert (code, out) == (3, "")
    assert err.count("\n") == 1
    assert "--guard enforce can't be had on this system" in err


def test_without_walls_the_guard_in_the_process_is_said_to_be_alone(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SWITCHED_OFF, "landlock,seccomp")
    code, out, _ = call("handlers:handler")
    assert code == 0
    assert "guard: in-process only (" in out


ALONE = Verification(
    "h.json", Verdict.COMPATIBLE, guard="in-process only", guard_reason="this system has no *walls*"
)
HELD = Verification("h.json", Verdict.COMPATIBLE, guard="enforced")


def _texts(outcome: Verification) -> dict[str, str]:
    from durable_cli.output import Color, Output

    results = [("h.json", outcome)]
    return {
        "table": render(results, 0, Output(None, Color.NEVER, 200).surface()),
        "junit": render_junit(results),
        "markdown": render_markdown(results, 0),
        "github": render_github(results),
    }


def test_every_format_says_where_the_guard_stands_alone() -> None:
    for format, text in _texts(ALONE).items():
        assert "guard: in-process only " in text, format
    for format, text in _texts(HELD).items():
        assert "guard" not in text, format


def test_json_says_it_of_each_history() -> None:
    lines = [verify_line("h.json", ALONE), *verify_document([("h.json", ALONE)], 0)["histories"]]
    for each in lines:
        assert each["guard"] == "in-process only"
        assert each["guard_reason"] == "this system has no *walls*"


# -- in the caller's process ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "expected"), [("block", "in-process only"), ("warn", "warn"), ("off", "off")]
)
def test_verify_says_that_its_guard_is_in_process_only(
    project: Path, mode: str, expected: str
) -> None:
    outcome = verify("handlers:handler", "history.json", guard=mode)
    assert outcome
    assert outcome.guard == expected
    assert os.access(project, os.W_OK)
    (project / "still-ours").write_text("x")


@needs_walls
def test_verify_can_have_it_enforced_in_a_process_of_its_own(project: Path) -> None:
    outcome = verify("handlers:swallows", "history.json", guard="enforce")
    assert (outcome.verdict, outcome.guard) == (Verdict.CANNOT_VERIFY, "enforced")
    (project / "still-ours").write_text("x")


def test_a_function_cannot_be_verified_in_a_process_of_its_own(project: Path) -> None:
    async def handler(event: object, ctx: object) -> None: ...

    with pytest.raises(ValueError, match="module:fn"):
        verify(handler, "history.json", guard="enforce")
