"""Functions that reach outside of the process and of which Python tells no audit hook: told here.

Each gets one in its place that raises an audit event first, called as Python would call it. What
code of C calls, and what someone has kept a reference to, isn't seen: the operating system's walls
are behind it.
"""

from __future__ import annotations

import importlib
import sys
from functools import wraps
from types import ModuleType
from typing import Any, Final

_FUNCTIONS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    # the event's first part: {module: functions}; `os` has those of `posix`
    "os": dict.fromkeys(
        ("posix", "os"),
        (
            *("mkfifo", "mknod", "chroot", "setpriority", "nice"),
            *("sched_setaffinity", "sched_setparam", "sched_setscheduler"),
        ),
    ),
    "signal": dict.fromkeys(("_signal", "signal"), ("pidfd_send_signal",)),
    "time": {"time": ("clock_settime", "clock_settime_ns")},
    "_posixsubprocess": {"_posixsubprocess": ("fork_exec",)},
    "_posixshmem": {"_posixshmem": ("shm_open", "shm_unlink")},
    "_gdbm": {"_gdbm": ("open",)},
    "_dbm": {"_dbm": ("open",)},
}
_BY_MODULE: Final = {
    module: (event, functions)
    for event, modules in _FUNCTIONS.items()
    for module, functions in modules.items()
}
LATE: Final = frozenset({"_posixsubprocess", "_posixshmem", "_gdbm", "_dbm"})
"""Modules that few import: theirs are told as soon as someone does."""

EVENTS: Final = frozenset(
    f"{event}.{name}" for event, functions in _BY_MODULE.values() for name in functions
)


def tell() -> None:
    """Have the functions of the modules that are loaded raise audit events. Can't be undone."""
    for name in _BY_MODULE:
        module = sys.modules.get(name)
        if module is not None:
            _wrap(name, module)


def tell_of(name: str) -> None:
    """Import one of the `LATE` modules, and have its functions raise audit events."""
    if name in sys.modules:
        return
    try:
        module = importlib.import_module(name)
    except ImportError:
        return  # who imports it is told so
    _wrap(name, module)


def _wrap(name: str, module: ModuleType) -> None:
    event, functions = _BY_MODULE[name]
    for function in functions:
        original = getattr(module, function, None)
        if original is not None and not hasattr(original, "durable_audits"):
            setattr(module, function, _audited(f"{event}.{function}", original))


def _audited(event: str, original: Any) -> Any:
    @wraps(original)
    def audited(*args: Any, **keywords: Any) -> Any:
        sys.audit(event, *args, *keywords.values())
        return original(*args, **keywords)

    audited.durable_audits = True  # type: ignore[attr-defined]
    return audited
