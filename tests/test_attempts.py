"""Which audit events are attempts to reach outside, and how they are told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from durable_core.sandbox import unaudited
from durable_core.sandbox.attempts import WHAT, described, is_harmless, is_of_clients


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
    ],
)
def test_what_changes_something_is_not(event: str, args: tuple[Any, ...]) -> None:
    assert not is_harmless(event, args)


def test_looking_for_credentials_and_for_ipv6_is_what_clients_do() -> None:
    metadata = ("169.254.169.254", 80)
    assert is_of_clients("socket.getaddrinfo", (*metadata, 0, 0, 0), "connect")
    assert is_of_clients("socket.connect", (None, metadata), "connect")
    assert is_of_clients("socket.bind", (None, ("::1", 0)), "_has_ipv6")
    assert not is_of_clients("socket.bind", (None, ("::1", 0)), "serve")
    assert not is_of_clients("socket.bind", (None, ("::1", 8080)), "_has_ipv6")
    assert not is_of_clients("socket.connect", (None, ("10.0.0.1", 80)), "connect")
    assert not is_of_clients("socket.connect", (None, "/run/socket"), "connect")
    assert not is_of_clients("os.remove", ("a",), "connect")


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
