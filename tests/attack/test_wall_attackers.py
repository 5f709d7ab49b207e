"""Nothing gets out of a process whose walls are raised, whoever tries, also without the guard."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from durable_core.sandbox import landlock

ATTACKERS: Final = Path(__file__).with_name("wall_attackers.py")

REFUSED: Final = {"EPERM", "EACCES", "ENOSYS"}
ALSO_REFUSED: Final = {"EXDEV"}  # a link that would give more rights to a file

VICTIM: Final = """
import signal, time
signal.signal(signal.SIGUSR1, lambda *_: print("signalled", flush=True))
print("ready", flush=True)
while True:
    time.sleep(60)
"""


def _has_walls() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    with suppress(OSError):
        return landlock.version() >= 1
    return False


pytestmark = pytest.mark.skipif(not _has_walls(), reason="this system has no walls to raise")


class Tried(NamedTuple):
    """What attackers came to, and how the world outside was before and after."""

    missing: list[str]
    outcomes: dict[str, str | None]
    before: Any
    after: Any
    heard: list[str]
    said: str


def _state(folder: Path, victim: int) -> Any:
    """Return what attackers are after, as far as it can be seen."""
    files = {
        str(each.relative_to(folder)): (each.lstat()[:2], each.lstat()[3:7], each.lstat()[8:])
        for each in sorted(folder.rglob("*"))
    }
    texts = {each.name: each.read_text() for each in sorted(folder.glob("*")) if each.is_file()}
    scheduled = (
        os.getpriority(os.PRIO_PROCESS, victim),
        os.sched_getscheduler(victim),
        os.sched_getaffinity(victim),
        Path(f"/proc/{victim}/limits").read_text(),
    )
    return (
        files,
        texts,
        scheduled,
        os.getpriority(os.PRIO_PROCESS, 0),
        Path("/dev/shm/durable-attack").exists(),
    )


def _listeners(folder: Path, victim: int) -> Iterator[tuple[str, socket.socket]]:
    for name, family, kind, at in (
        ("TCP", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
        ("UDP", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        ("a path", socket.AF_UNIX, socket.SOCK_STREAM, str(folder / "socket")),
        ("an abstract name", socket.AF_UNIX, socket.SOCK_STREAM, f"\0durable-attack-{victim}"),
    ):
        listener = socket.socket(family, kind)
        listener.bind(at)
        if kind is socket.SOCK_STREAM:
            listener.listen()
        listener.setblocking(False)
        yield name, listener


def _hears(listener: socket.socket) -> bool:
    try:
        if listener.type is socket.SOCK_STREAM:
            listener.accept()[0].close()
        else:
            listener.recv(10)
    except BlockingIOError:
        return False
    return True


_VERSIONS: Final = (
    *(pytest.param(each, marks=pytest.mark.attack) for each in range(2, landlock.NEWEST)),
    *(1, landlock.NEWEST),
)


@pytest.fixture(scope="module", params=_VERSIONS)
def tried(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    """What all attackers come to, with each version of Landlock that this kernel has."""
    if request.param > landlock.version():
        pytest.skip("this kernel's Landlock is older")
    outside, scratch = tmp_path_factory.mktemp("outside"), tmp_path_factory.mktemp("scratch")
    for name in ("file", "truncated", *(f"removed{end}" for end in ("", "-2", "-3", "-4"))):
        (outside / name).write_text("content")
    (outside / "folder").mkdir()
    with subprocess.Popen([sys.executable, "-c", VICTIM], stdout=subprocess.PIPE) as victim:
        try:
            assert victim.stdout is not None
            victim.stdout.readline()
            listeners = dict(_listeners(outside, victim.pid))
            ports = ",".join(str(listeners[each].getsockname()[1]) for each in ("TCP", "UDP"))
            before = _state(outside, victim.pid)
            arguments = ["raise", outside, scratch, victim.pid, ports, request.param]
            ran = subprocess.run(
                [sys.executable, ATTACKERS, *map(str, arguments)],
                capture_output=True,
                text=True,
                timeout=120,
                check=True,
            )
            after = _state(outside, victim.pid)
            heard = [name for name, each in listeners.items() if _hears(each)]
            for each in listeners.values():
                each.close()
        finally:
            victim.send_signal(signal.SIGTERM)
        said = victim.stdout.read().decode()
    found = json.loads(ran.stdout)
    return Tried(found["missing"], found["outcomes"], before, after, heard, said)


def test_everything_is_held(tried: Tried) -> None:
    assert tried.missing == []


def test_every_attempt_is_refused(tried: Tried) -> None:
    fine = REFUSED | ALSO_REFUSED
    assert {name: came for name, came in tried.outcomes.items() if came not in fine} == {}


def test_there_are_attackers_of_many_kinds(tried: Tried) -> None:
    assert len(tried.outcomes) > 140


def test_nothing_outside_is_changed(tried: Tried) -> None:
    assert tried.after == tried.before


def test_nobody_outside_hears_of_it(tried: Tried) -> None:
    assert (tried.heard, tried.said) == ([], "")
