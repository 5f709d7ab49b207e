"""Functions that reach outside of the process and of which Python tells no audit hook: told here.

Each gets one in its place that raises an audit event first, called as Python would call it. What
code of C calls, and what someone has kept a reference to, isn't seen: the operating system's walls
are behind it.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from functools import wraps
from typing import Any, Final

_OF_OS: Final = (
    *("mkfifo", "mknod", "chroot", "setpriority", "nice", "tcsetpgrp", "unshare", "setns"),
    *("setpgid", "openpty", "posix_openpt"),
    *("sched_setaffinity", "sched_setparam", "sched_setscheduler"),
)
_FUNCTIONS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    # the module, or a class in it: the event's first part, and the functions
    "posix": ("os", _OF_OS),
    "os": ("os", _OF_OS),  # which has those of `posix`
    "_signal": ("signal", ("pidfd_send_signal",)),
    "signal": ("signal", ("pidfd_send_signal",)),
    "time": ("time", ("clock_settime", "clock_settime_ns")),
    "socket:socket": ("socket", ("listen",)),
    "subprocess": ("_posixsubprocess", ("_fork_exec",)),
    "_posixsubprocess": ("_posixsubprocess", ("fork_exec",)),
    "_posixshmem": ("_posixshmem", ("shm_open", "shm_unlink")),
    "_multiprocessing": ("_multiprocessing", ("SemLock",)),
    "_gdbm": ("_gdbm", ("open",)),
    "_dbm": ("_dbm", ("open",)),
    "readline": ("readline", ("write_history_file", "append_history_file")),
    "_tkinter": ("_tkinter", ("create",)),
    "_cffi_backend": ("_cffi_backend", ("load_library",)),
    "termios": ("termios", ("tcsetattr", "tcsendbreak", "tcflush", "tcflow", "tcsetwinsize")),
}
LATE: Final = frozenset(
    {"_posixsubprocess", "_posixshmem", "_multiprocessing", "_gdbm", "_dbm", "termios"}
    | {"readline", "_tkinter", "_cffi_backend", "_sqlite3"}
)
"""Modules that few import: theirs are told as soon as someone does."""

_OF_DATABASES: Final = ("_sqlite3", "sqlite3.dbapi2", "sqlite3")
"""Where SQLite's `connect` is."""
_ATTACHES: Final = "sqlite3.attach"

EVENTS: Final = frozenset(
    f"{event}.{name.lstrip('_')}" for event, functions in _FUNCTIONS.values() for name in functions
) | {_ATTACHES}
"""The audit events that are raised."""


_loaded = 0
"""How many modules there were the last time."""


def tell() -> None:
    """Have the functions of the modules that are loaded raise audit events. Can't be undone."""
    global _loaded
    if _loaded == len(sys.modules):
        return
    _loaded = len(sys.modules)
    for name in (*_FUNCTIONS, *_OF_DATABASES):
        module, _, within = name.partition(":")
        owner: Any = sys.modules.get(module)
        if owner is not None:
            _wrap(name, getattr(owner, within) if within else owner)


def tell_of(name: str) -> None:
    """Import one of the `LATE` modules, and have its functions raise audit events."""
    if name in sys.modules:
        return
    try:
        module = importlib.import_module(name)
    except ImportError:
        return  # who imports it is told so
    _wrap(name, module)


def _wrap(name: str, owner: Any) -> None:
    if name in _OF_DATABASES:
        if not hasattr(owner.connect, "durable_audits"):
            owner.connect = _audited_attaching(owner.connect, owner.Connection)
        return
    event, functions = _FUNCTIONS[name]
    for function in functions:
        original = getattr(owner, function, None)
        if original is not None and not hasattr(original, "durable_audits"):
            setattr(owner, function, _audited(f"{event}.{function.lstrip('_')}", original))


def _audited(event: str, original: Any) -> Any:
    @wraps(original)
    def audited(*args: Any, **keywords: Any) -> Any:
        sys.audit(event, *args, *keywords.values())
        return original(*args, **keywords)

    audited.durable_audits = True  # type: ignore[attr-defined]
    return audited


def _audited_attaching(connect: Any, kind: Any) -> Any:
    """Return SQLite's `connect`, whose connections tell of each database that is attached to them,
    as `VACUUM INTO` does too. An authorizer of somebody's own is asked after that. Who has a class
    of their own for connections may replace ours."""

    def authorized(action: int, name: str | None, *_: Any) -> int:
        if action == _ATTACH and name:  # one without a name is for a while, to tidy up
            sys.audit(_ATTACHES, name)
        return 0  # SQLITE_OK

    class Connection(kind):  # type: ignore[misc]
        def set_authorizer(self, authorizer_callback: Any) -> None:
            def both(*args: Any) -> Any:
                told = authorized(*args)
                return told if authorizer_callback is None else authorizer_callback(*args)

            super().set_authorizer(both)

    Connection.__module__, Connection.__qualname__ = kind.__module__, kind.__qualname__

    @wraps(connect)
    def connects(*args: Any, **keywords: Any) -> Any:
        if len(args) <= _BEFORE_FACTORY:
            keywords.setdefault("factory", Connection)
        connection = connect(*args, **keywords)
        with suppress(Exception):  # a factory may make anything
            kind.set_authorizer(connection, authorized)
        return connection

    connects.durable_audits = True  # type: ignore[attr-defined]
    return connects


_ATTACH: Final = 24  # SQLITE_ATTACH
_BEFORE_FACTORY: Final = 5
"""So many arguments `connect` has before the class of its connections."""
