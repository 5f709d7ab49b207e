"""Which audit events are attempts to reach outside, and how they are told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from durable_core.sandbox import unaudited
from durable_core.sandbox.attempts import WHAT, described, is_harmless, is_of_libraries


class Liar(str):
    """Text that says of itself that it is another one."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash(os.devnull)

    def __str__(self) -> str:
        raise AssertionError("code of the user's runs")

    __repr__ = __str__


def test_every_function_that_python_does_not_audit_is_an_event_of_the_table() -> None:
    assert set(WHAT) >= unaudited.EVENTS


@pytest.mark.parametrize(
    ("event", "args"),
    [
        ("open", ("a", "r", 0)),
        ("open", ("a", None, os.O_RDONLY | os.O_CLOEXEC)),
        ("open", (os.devnull, "w", os.O_WRONLY)),
        ("open", (os.devnull.encode(), "w", os.O_WRONLY)),
        ("open", (3, "w", os.O_WRONLY)),
        ("os.mkdir", (".", 511, -1)),
        ("ctypes.dlsym", (None, "strlen")),
        ("ctypes.dlsym/handle", ("Py_IncRef",)),
        ("_posixshmem.shm_open", ("/a", os.O_RDONLY)),
        ("sqlite3.connect", (":memory:",)),
        ("sqlite3.connect", ("file::memory:?cache=shared",)),
        ("sqlite3.connect", ("file:a.db?mode=ro",)),
        ("sqlite3.connect", ("file:/a/b.db?immutable=1&mode=ro",)),
        ("_cffi_backend.load_library", ("libsndfile.so.1", 0)),
    ],
)
def test_what_only_reads_is_harmless(event: str, args: tuple[Any, ...]) -> None:
    assert is_harmless(event, args)


@pytest.mark.parametrize(
    ("event", "args"),
    [
        ("open", ("a", "w", 0)),
        ("open", ("a", "r+", os.O_RDWR)),
        ("open", (Path("a"), "x", 0)),
        ("open", ("a", None, os.O_CREAT)),
        ("open", ("a", None, os.O_TRUNC)),
        ("open", (Liar("a"), "w", os.O_WRONLY)),
        ("os.mkdir", ("not there", 511, -1)),
        ("os.mkdir", (".", 511, 3)),
        ("ctypes.dlsym", (None, "mkdir")),
        ("ctypes.dlsym", (None, "__libc_open64")),
        ("ctypes.dlsym/handle", (Liar("system"),)),
        ("_posixshmem.shm_open", ("/a", os.O_RDWR)),
        ("fcntl.ioctl", (0, 0x5412, 0, True)),
        ("os.remove", ("a", -1)),
        ("sqlite3.connect", ("a.db",)),
        ("sqlite3.connect", ("",)),
        ("sqlite3.connect", ("file:a.db?mode=rwc",)),
        ("sqlite3.connect", ("file:a.db?mode=ro&mode=rwc",)),
        ("sqlite3.connect", ("file:a.db?immutable=1",)),
        ("sqlite3.connect", ("file:a.db?x=mode=ro",)),
        ("sqlite3.connect", ("a.db?:memory:",)),
        ("_cffi_backend.load_library", (None, 0)),
        ("_cffi_backend.load_library", ("/lib/libc.so.6", 0)),
    ],
)
def test_what_changes_something_is_not(event: str, args: tuple[Any, ...]) -> None:
    assert not is_harmless(event, args)


CONNECTS: Final = ("socket.connect", (None, ("169.254.169.254", 80)))
LOOKS_UP: Final = ("socket.getaddrinfo", ("169.254.169.254", 80, 0, 0, 0))
BINDS: Final = ("socket.bind", (None, ("::1", 0)))
STARTS: Final = ("subprocess.Popen", ("uname", ["uname", "-p"], None, None))


@pytest.mark.parametrize(
    ("module", "function", "attempt"),
    [
        ("botocore.utils", "fetch", CONNECTS),
        ("aiobotocore.utils", "fetch", LOOKS_UP),
        ("urllib3.util.connection", "_has_ipv6", BINDS),
        ("platform", "from_subprocess", STARTS),
    ],
)
def test_what_libraries_try_by_themselves_is_known_by_their_own_code(
    module: str, function: str, attempt: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ModuleType(module)
    text = f"import sys\ndef {function}():\n    return (lambda: sys._getframe())()"
    exec(text, vars(made))
    frame = vars(made)[function]()
    monkeypatch.setitem(sys.modules, module, made)
    assert is_of_libraries(*attempt, frame)
    monkeypatch.setitem(sys.modules, module, ModuleType(module))
    assert not is_of_libraries(*attempt, frame), "who only has its name"


@pytest.mark.parametrize(
    "attempt",
    [CONNECTS, LOOKS_UP, BINDS, STARTS, ("os.remove", ("a", -1))],
)
def test_what_others_try_is_none_of_that(attempt: tuple[str, Any]) -> None:
    assert not is_of_libraries(*attempt, sys._getframe())
    assert not is_of_libraries(*attempt, None)


@pytest.mark.parametrize(
    ("event", "args", "told"),
    [
        ("open", ("a.txt", "w", 0), "writing a file (a.txt, w)"),
        ("open", (Liar("a.txt"), "w", 0), "writing a file (a.txt, w)"),
        ("open", (object(), "w", 0), "writing a file (w)"),
        ("socket.connect", (None, ("::1", 80)), "a network connection (('::1', 80))"),
        ("socket.connect", (None, (Liar("h"), 80)), "a network connection (('h', 80))"),
        ("subprocess.Popen", ("ls", ["ls", Path("a")]), "starting a process (ls, ['ls', 'a'])"),
        ("os.kill", (17, 9), "sending a signal (9)"),
        ("os.fork", (), "starting a process"),
        ("os.remove", ("a" * 500, -1), f"removing a file ({'a' * 120}...)"),
    ],
)
def test_an_attempt_is_told_with_what_says_it_best(
    event: str, args: tuple[Any, ...], told: str
) -> None:
    assert described(event, args) == told


def test_functions_are_told_of_modules_that_are_imported_later() -> None:
    script = """
import sys
from durable_core.sandbox import unaudited
events = []
sys.addaudithook(lambda event, args: events.append(event))
unaudited.tell_of("_posixsubprocess")
import _posixsubprocess, os, time
unaudited.tell()
for function in (_posixsubprocess.fork_exec, os.mkfifo, time.clock_settime):
    try:
        function()
    except TypeError:
        pass
print(*(each for each in events if each in unaudited.EVENTS))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert re.split(r"\s+", done.stdout.strip()) == [
        "_posixsubprocess.fork_exec",
        "os.mkfifo",
        "time.clock_settime",
    ], done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the commands of Linux")
def test_a_descriptor_is_asked_but_neither_locked_nor_made_to_signal() -> None:
    import fcntl

    for harmless in ("F_GETFL", "F_SETFL", "F_GETFD", "F_SETFD", "F_DUPFD_CLOEXEC"):
        assert is_harmless("fcntl.fcntl", (0, getattr(fcntl, harmless), 0))
    for told in ("F_SETLK", "F_SETLKW", "F_SETOWN", "F_SETSIG", "F_SETLEASE", "F_NOTIFY"):
        assert not is_harmless("fcntl.fcntl", (0, getattr(fcntl, told), 0))
