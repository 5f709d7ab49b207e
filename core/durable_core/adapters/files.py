"""The bytes of whatever a user names as a file, of a size and within a time that are bounded."""

from __future__ import annotations

import io
import os
import select
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import IO, Final, Protocol

from durable_core.errors import SourceError
from durable_core.limits import MIB

STDIN: Final = "-"

CHUNK_BYTES: Final = MIB

SILENT_SECONDS: Final = 30.0
"""How long a pipe or device may say nothing: nobody may write to it at all."""

TOTAL_SECONDS: Final = 600.0
"""How long it may take altogether."""


MOST_DEVICE_BYTES: Final = 64 * MIB
"""How much is read of a device, of which several never end."""


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most so many; none at the end."""
        ...


HISTORY: Final = "expected one execution's history or less"


def read_file(source: str, name: str, limit: int, expected: str = HISTORY) -> bytes:
    """Return the bytes of a file, or of standard input for `-`, at most `limit`.

    A pipe or a device that says nothing for SILENT_SECONDS, or doesn't end, is given up. Raises
    SourceError: not found, not readable, too large (`expected` says what is not), too slow.
    """
    with _errors_of_the_system(name), _open(source) as stream:
        mode = None if source == STDIN else os.fstat(stream.fileno()).st_mode
        if mode is None or stat.S_ISREG(mode):
            first = _size_hint(stream, name, limit, expected)
            return read_all(name, stream, first, limit, expected)
        if stat.S_ISCHR(mode):
            limit = min(limit, MOST_DEVICE_BYTES)
        return read_all(name, _Timed(name, stream), CHUNK_BYTES, limit, expected)


def read_all(
    name: str, stream: Readable, first_bytes: int, limit: int, expected: str = HISTORY
) -> bytes:
    """Return all that a stream has, asked for `first_bytes` first. Raises SourceError."""
    first = chunk = stream.read(first_bytes)
    found = io.BytesIO()
    total = 0
    while chunk:
        total += len(chunk)
        if total > limit:
            raise _too_large(name, limit, expected)
        following = stream.read(CHUNK_BYTES)
        if not following and chunk is first:
            return first
        found.write(chunk)
        chunk = following
    return found.getvalue()


def kind_of_file(mode: int) -> str | None:
    """Return what something is called that is in a folder and no file; None for a file or folder.

    `mode` is that of `os.stat`.
    """
    kinds = (
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((what for is_kind, what in kinds if is_kind(mode)), None)


class _Timed:
    """Reads from what may never say anything, or never end."""

    def __init__(self, name: str, stream: IO[bytes]) -> None:
        self._name = name
        self._descriptor = stream.fileno()
        self._until = monotonic() + TOTAL_SECONDS

    def read(self, size: int, /) -> bytes:
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLIN)
        left = self._until - monotonic()
        is_heard = left > 0 and waiting.poll(min(SILENT_SECONDS, left) * 1_000)
        if not is_heard and left < SILENT_SECONDS:
            raise SourceError(self._name, f"didn't end within {TOTAL_SECONDS:g} s")
        if not is_heard:
            problem = f"a pipe or device that said nothing for {SILENT_SECONDS:g} s"
            raise SourceError(self._name, problem)
        return os.read(self._descriptor, size)


@contextmanager
def _errors_of_the_system(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise SourceError(name, "not found: expected a file, or - for standard input") from None
    except IsADirectoryError:
        raise SourceError(name, "is a directory: expected a file") from None
    except PermissionError:
        raise SourceError(name, "permission denied: expected a file that can be read") from None
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the name, or a standard input that was closed.
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SourceError(name, f"can't be read: {reason}") from None


@contextmanager
def _open(source: str) -> Iterator[IO[bytes]]:
    if source == STDIN:
        if sys.stdin is None:
            raise ValueError("there is no standard input")
        yield sys.stdin.buffer
        return
    with open(source, "rb", opener=_without_waiting) as stream:
        yield stream


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a named pipe, too, to which nobody writes yet."""
    return os.open(path, flags | os.O_NONBLOCK)


def _size_hint(stream: IO[bytes], name: str, limit: int, expected: str) -> int:
    """Return how many bytes to ask for first: a whole file at once, so that it isn't copied."""
    try:
        size = os.fstat(stream.fileno()).st_size
    except OSError:
        return CHUNK_BYTES
    if size > limit:
        raise _too_large(name, limit, expected)
    return max(size + 1, CHUNK_BYTES)


def _too_large(name: str, limit: int, expected: str) -> SourceError:
    size = f"{limit / MIB:g} MiB" if limit >= MIB else f"{limit:,} bytes"
    return SourceError(name, f"larger than {size} of text: {expected}")
