"""Landlock: nothing that has a path is changed outside of a scratch folder; all stays readable.

Each version of its interface (1 in Linux 5.13, 7 in 6.15) refuses more; what an older one can't,
seccomp does (`rules`): `truncate` before version 3, requests to devices before 5, signals and
abstract Unix sockets before 6. Source: `Documentation/userspace-api/landlock.rst`,
`include/uapi/linux/landlock.h`.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from typing import Final

from durable_core.sandbox.system_calls import system_call

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_ASK_VERSION: Final = 1
_BENEATH: Final = 1  # LANDLOCK_RULE_PATH_BENEATH

_EXECUTE: Final = 1 << 0
_WRITE_FILE: Final = 1 << 1
_CHANGE_FOLDERS: Final = 0b1_1111_1111 << 4  # LANDLOCK_ACCESS_FS_REMOVE_DIR to _MAKE_SYM
_REFER: Final = 1 << 13
_TRUNCATE: Final = 1 << 14
_IOCTL_DEV: Final = 1 << 15
_SINCE: Final = {2: _REFER, 3: _TRUNCATE, 5: _IOCTL_DEV}

_TCP: Final = 0b11  # LANDLOCK_ACCESS_NET_BIND_TCP and _CONNECT_TCP, since 4
_SCOPES: Final = 0b11  # abstract Unix sockets and signals, since 6
_NO_LOG: Final = 1  # LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF, since 7

NEWEST: Final = 7
"""The newest version that is known here: rights that a later one brings aren't handled."""
TRUNCATES_SINCE: Final = 3
"""From which version on Landlock judges `truncate`."""


def version() -> int:
    """Return the version of the kernel's Landlock. Raises OSError where it has none."""
    return system_call(_CREATE_RULESET, None, 0, _ASK_VERSION)


def restrict_files(version: int, scratch: str | None) -> None:
    """Refuse this thread, and those that it starts, all changes of files outside of `scratch`.

    Nor can programs be started, TCP connections made or others signalled, where the version has
    that. `/dev/null` stays writable. Raises OSError.
    """
    files = _files(version)
    words = 1 if version < 4 else 2 if version < 6 else 3
    attributes = struct.pack("=QQQ", files, _TCP, _SCOPES)[: 8 * words]
    ruleset = system_call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        if scratch is not None:
            _allow(ruleset, scratch, files & ~(_EXECUTE | _IOCTL_DEV))
        with suppress(OSError):
            _allow(ruleset, os.devnull, files & (_WRITE_FILE | _TRUNCATE))
        system_call(_RESTRICT_SELF, ruleset, _NO_LOG if version >= 7 else 0)
    finally:
        os.close(ruleset)


def _files(version: int) -> int:
    """Return the rights that a version knows: all but those to read."""
    newer = [right for since, right in _SINCE.items() if version >= since]
    return sum(newer, _EXECUTE | _WRITE_FILE | _CHANGE_FOLDERS)


def _allow(ruleset: int, path: str, rights: int) -> None:
    at = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        system_call(_ADD_RULE, ruleset, _BENEATH, struct.pack("=Qi", rights, at), 0)
    finally:
        os.close(at)
