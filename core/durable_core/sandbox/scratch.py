"""The one folder that processes behind the walls can write to, for libraries that need one."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import tempfile
from contextlib import suppress
from time import time
from typing import Final

PREFIX: Final = "durable-scratch-"
YOUNG_SECONDS: Final = 60
"""A folder that is as new may have been made just now, and be locked next."""


class Scratch:
    """A new, empty folder of this user's only. `folder` is None where the system has no room.

    It is locked as long as this process lives. Those that nobody locks are removed: what made them
    was killed.
    """

    def __init__(self) -> None:
        self._lock: int | None = None
        try:
            self.folder: str | None = tempfile.mkdtemp(prefix=PREFIX)
        except OSError:
            self.folder = None
        else:
            self._lock = _locked(self.folder)
            _remove_left_behind(os.path.dirname(self.folder))  # noqa: PTH120

    def remove(self) -> None:
        """Remove it with all that is in there."""
        if self.folder is not None:
            _remove(self.folder)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def use_for_temporary_files(folder: str | None) -> None:
    """Let this process make its temporary files in there."""
    if folder is None:
        return
    tempfile.tempdir = folder
    os.environ["TMPDIR"] = folder


def _locked(folder: str) -> int | None:
    """Return a descriptor that keeps a folder locked as long as it is open; None: another does, or
    that can't be had."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_left_behind(place: str) -> None:
    with suppress(OSError), os.scandir(place) as entries:
        for each in [each for each in entries if each.name.startswith(PREFIX)]:
            about = each.stat(follow_symlinks=False)
            is_young = about.st_ctime > time() - YOUNG_SECONDS
            if is_young or about.st_uid != os.getuid() or not stat.S_ISDIR(about.st_mode):
                continue
            lock = _locked(each.path)
            if lock is not None:
                _remove(each.path)
                os.close(lock)


def _remove(top: str) -> None:
    """Remove a folder, whatever its depth: what is in a folder of it is moved up first. What can't
    be removed stays."""
    new = secrets.token_hex(8)
    folders = [top]
    moved = 0
    while folders:
        folder = folders.pop()
        with suppress(OSError):
            os.chmod(folder, 0o700)  # noqa: PTH101
            with os.scandir(folder) as entries:
                inside = list(entries)
            for each in inside:
                if not each.is_dir(follow_symlinks=False):
                    os.unlink(each.path)  # noqa: PTH108
                    continue
                os.chmod(each.path, 0o700)  # noqa: PTH101
                moved += 1
                folders.append(f"{top}/{new}-{moved}")
                os.rename(each.path, folders[-1])  # noqa: PTH104
            if folder != top:
                os.rmdir(folder)  # noqa: PTH106
    with suppress(OSError):
        os.rmdir(top)  # noqa: PTH106
