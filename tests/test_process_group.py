"""What we start ends with us, and with what it started itself, whatever kills us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

# Starts a program, says who it is and who that is, and then lets no other thread run.
BUSY = """
import os, re, subprocess
child = subprocess.Popen(["sleep", "600"])
def never_ends():
    with open("pids", "a") as file:
        print(os.getpid(), child.pid, file=file)
    re.match(r"(a+)+$", "a" * 60 + "b")
"""
AT_IMPORT = BUSY + "never_ends()\nasync def handler(event, context): pass\n"

HISTORY = """{"Events": [
  {"EventType": "ExecutionStarted", "EventId": 1, "Id": "e", "EventTimestamp": 1,
   "ExecutionStartedDetails": {"Input": {"Payload": "1"}}},
  {"EventType": "ExecutionSucceeded", "EventId": 2, "Id": "e", "EventTimestamp": 2,
   "ExecutionSucceededDetails": {"Result": {"Payload": "1"}}}
]}"""

CALLS = {
    "replay": ("replay", "h.json", "--guard", "off"),
    "isolate": ("simulate", "--isolate"),
    "timeout": ("simulate", "--timeout", "600"),
    "determinism": ("simulate", "--check-determinism", "1"),
}


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def comes_to(condition: Callable[[], bool], seconds: float = 60) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "durable_cli", *arguments, "--handler", "app.py:handler"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def pids(folder: Path) -> list[int]:
    file = folder / "pids"
    return [int(each) for each in file.read_text().split()] if file.exists() else []


@pytest.mark.parametrize("call", ["replay", "isolate", "timeout", "determinism"])
def test_processes_end_with_the_command_that_is_killed_although_the_handler_is_busy(
    call: str, tmp_path: Path
) -> None:
    # The first run of the determinism check is the command's own: only the others are busy.
    only = "if '-c' in sys.orig_argv: " if call == "determinism" else ""
    text = f"import sys\n{BUSY}async def handler(event, context):\n    {only}never_ends()\n"
    (tmp_path / "app.py").write_text(text)
    (tmp_path / "h.json").write_text(HISTORY)
    command = start(tmp_path, *CALLS[call])
    assert comes_to(lambda: len(pids(tmp_path)) >= 2)
    os.kill(command.pid, signal.SIGKILL)
    command.wait()
    assert comes_to(lambda: not any(map(is_there, pids(tmp_path))))


@pytest.mark.parametrize("call", ["replay", "isolate", "timeout"])
def test_an_import_that_never_ends_is_ended_after_the_time_limit(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from durable_cli.app import run
    from durable_core.processes import isolated, runners, worker

    for module in (isolated, runners, worker):
        monkeypatch.setattr(module, "IMPORT_SECONDS", 0.5)
    (tmp_path / "app.py").write_text(AT_IMPORT)
    (tmp_path / "h.json").write_text(HISTORY)
    monkeypatch.chdir(tmp_path)
    options = {"timeout": (), "isolate": ("--timeout", "0.2"), "replay": ("--timeout", "0.2")}
    arguments = [each if each != "600" else "0.2" for each in (*CALLS[call], *options[call])]
    assert run([*arguments, "--handler", "app.py:handler"]) == 2
    assert "app.py:handler: can't be imported: it did not end within 0.5 s" in (
        capsys.readouterr().err
    )
    assert comes_to(lambda: not any(map(is_there, pids(tmp_path))))


LEFT = {
    "thread": "threading.Thread(target=threading.Event().wait).start()",
    "pool": "ThreadPoolExecutor().submit(threading.Event().wait)",
    "program": "subprocess.Popen(['sleep', '600'])",
    "deaf program": "subprocess.Popen(['sh', '-c', 'trap \"\" TERM; sleep 600; sleep 600'])",
}


@pytest.mark.parametrize("left", LEFT)
def test_what_a_handler_leaves_running_does_not_keep_a_simulation_from_ending(
    left: str, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(
        "import subprocess, threading\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "async def handler(event, context):\n"
        f"    async def leave(step):\n        found = {LEFT[left]}\n"
        "        if hasattr(found, 'pid'):\n            open('pids', 'w').write(str(found.pid))\n"
        "    await context.step(leave)\n"
    )
    assert start(tmp_path, "simulate").wait(timeout=60) == 0
    assert comes_to(lambda: not any(map(is_there, pids(tmp_path))))
