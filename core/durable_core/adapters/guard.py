"""Refuses what a handler does to the world outside while it is verified, and says what it was.

By Python's audit hooks, which see connections, subprocesses and changes of files before they
happen, whichever library makes them. A hook can't be taken away again: it is put in place once a
process, and does nothing but while a handler is being verified.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, Final, NoReturn

from durable_core.verifying.code_lines import calling_line, shown
from durable_core.verifying.examination import Examination
from durable_core.verifying.serdes_io import Reach, ReachesOut


class GuardMode(StrEnum):
    """What becomes of what the handler attempts."""

    BLOCK = "block"
    WARN = "warn"
    OFF = "off"


class Refused(PermissionError):
    """What the handler attempted was refused: it is being verified."""


_WHAT: Final = {
    "socket.connect": "a network connection",
    "socket.getaddrinfo": "looking up a host",
    "socket.gethostbyname": "looking up a host",
    "socket.gethostbyaddr": "looking up a host",
    "socket.getnameinfo": "looking up a host",
    "socket.sendto": "sending over the network",
    "socket.sendmsg": "sending over the network",
    "socket.bind": "listening on the network",
    "subprocess.Popen": "starting a process",
    "os.system": "starting a process",
    "os.exec": "starting a process",
    "os.spawn": "starting a process",
    "os.posix_spawn": "starting a process",
    "os.fork": "starting a process",
    "os.forkpty": "starting a process",
    "os.kill": "sending a signal",
    "os.killpg": "sending a signal",
    "signal.pthread_kill": "sending a signal",
    "os.remove": "removing a file",
    "os.rename": "renaming a file",
    "os.mkdir": "making a folder",
    "os.rmdir": "removing a folder",
    "os.truncate": "changing a file",
    "os.chmod": "changing a file",
    "os.chown": "changing a file",
    "os.utime": "changing a file",
    "os.setxattr": "changing a file",
    "os.removexattr": "changing a file",
    "os.link": "making a link",
    "os.symlink": "making a link",
    "sqlite3.connect": "opening a database",
    "open": "writing a file",
}
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class _Watch:
    """What the one hook of this process knows."""

    def __init__(self) -> None:
        self.examination: Examination | None = None
        self.mode = GuardMode.OFF
        self.is_installed = False
        self.stays = False
        self.serdes: Reach | None = None
        self._serdes_thread = 0
        self._asking = threading.local()

    def install(self) -> None:
        """Put the hook in place, once a process."""
        if not self.is_installed:
            sys.addaudithook(_hook)
            self.is_installed = True

    @contextmanager
    def over_serdes(self) -> Iterator[Reach]:
        """Refuse what a SerDes would do outside, whatever the mode: it isn't the handler that does
        it, and we call it."""
        self.install()
        before = self.serdes, self._serdes_thread
        self.serdes = reach = Reach()
        self._serdes_thread = threading.get_ident()
        writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            yield reach
        finally:
            self.serdes, self._serdes_thread = before
            sys.dont_write_bytecode = writes_bytecode

    def sees(self, event: str, args: tuple[Any, ...]) -> None:
        if self.examination is None and self.serdes is None and not self.stays:
            return
        if getattr(self._asking, "now", False):
            return
        self._asking.now = True  # what follows may open files itself
        try:
            if event == "open" and not _is_write(args):
                if self.serdes is not None and not _is_code(args[0]):
                    self.serdes.loaded = self.serdes.loaded or f"reading a file ({args[0]})"
                return
            if self.serdes is not None:
                self._refuse_serdes(self.serdes, f"{_WHAT[event]} ({_said(event, args)})")
            self._attempted(event, args)
        finally:
            self._asking.now = False

    def _refuse_serdes(self, reach: Reach, what: str) -> NoReturn:
        reach.refused = reach.refused or what
        if threading.get_ident() == self._serdes_thread:
            raise ReachesOut(what)  # no retry and no `except Exception` of a client gets in between
        raise Refused(f"{what} is refused while verifying")  # a thread of its own is to end as ever

    def _attempted(self, event: str, args: tuple[Any, ...]) -> None:
        where = shown(calling_line())
        if where is None:
            return  # nobody of the user's
        what = f"{_WHAT[event]} ({_said(event, args)})"
        place = f" at {where}"
        if self.examination is not None and self.examination.log_calls:
            self.examination.is_log_refused = True
            if self.mode is GuardMode.BLOCK:
                raise Refused(f"{what} is refused while verifying{place}")
            return
        if self.examination is None:  # a thread that the handler has left running
            if self.mode is GuardMode.BLOCK:
                raise Refused(f"{what} is refused after verifying{place}")
            return
        if self.mode is GuardMode.WARN:
            self.examination.remark(f"the handler reaches outside of steps: {what}{place}")
            return
        self.examination.doubt(
            f"the handler reaches outside of a step: {what}{place}",
            "move it into a step: a replay does it again",
        )
        raise Refused(f"{what} is refused while verifying{place}")


def _is_code(path: object) -> bool:
    """Tell whether a file is read since something is imported."""
    return str(path).endswith((".py", ".pyc", ".so"))


def _is_write(args: tuple[Any, ...]) -> bool:
    path, mode, flags = (*args, None, None, None)[:3]
    if path in (os.devnull, os.devnull.encode()) or isinstance(path, int):
        return False
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & _WRITES)


_ABOUT_THE_SECOND: Final = frozenset(
    {"os.kill", "os.killpg", "signal.pthread_kill"}
    | {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"}
)


def _said(event: str, args: tuple[Any, ...]) -> str:
    told = args[1:] if event in _ABOUT_THE_SECOND else args
    text = ", ".join(str(each) for each in told[:2] if each is not None)
    return text if len(text) <= 120 else f"{text[:120]}..."


_watch: Final = _Watch()


def _hook(event: str, args: tuple[Any, ...]) -> None:
    # A function, no method: Python asks a hook for an attribute each time before it calls it, and
    # to look for one that a method doesn't have takes longer than all else here.
    if event in _WHAT:
        _watch.sees(event, args)


class Guard:
    """Watches over runs of a handler.

    `stays`: also over what it leaves running, in a process that runs nothing else.
    """

    def __init__(self, mode: GuardMode = GuardMode.BLOCK, *, stays: bool = False) -> None:
        self._mode = mode
        self._stays = stays

    @contextmanager
    def __call__(self, examination: Examination) -> Iterator[None]:
        """Watch over what happens inside."""
        examination.missing.watching = _watch.over_serdes
        if self._mode is GuardMode.OFF:
            yield
            return
        _watch.install()
        writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        _watch.mode, _watch.examination = self._mode, examination
        _watch.stays = self._stays
        try:
            yield
        finally:
            _watch.examination = None
            sys.dont_write_bytecode = writes_bytecode
