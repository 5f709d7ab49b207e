"""Messages between our processes, over a pipe that a handler's code may write to as well.

A handler that writes to every descriptor must neither keep our side waiting for the rest of a
message that never comes nor have it make objects of the handler's choice. So a message begins with
a token that only its two ends know, our side never waits inside of one, and where it takes no more
than our own values (`only_values`), nothing else is made of what comes.
"""

from __future__ import annotations

import dataclasses
import io
import os
import pickle
import select
import struct
from contextlib import suppress
from enum import Enum
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any, Final

from durable_core.errors import DurableError
from durable_core.frozen import NOTHING

TOKEN_BYTES: Final = 16
_LENGTH: Final = struct.Struct("!Q")
_HEAD: Final = TOKEN_BYTES + _LENGTH.size
_READ_BYTES: Final = 2**20
_MOST_BYTES: Final = 2**32
"""No message is as long: what says so is none of ours."""

GARBLED: Final = "something else than its answer came from its process"
ONLY_OWN_DESCRIPTORS: Final = "let the handler write only to descriptors that it opened itself"
"""What to do about it."""


class Garbled(OSError):
    """What came through the pipe was not written by our side of the other process."""


def new_token() -> bytes:
    """Return what messages of a new channel begin with."""
    return os.urandom(TOKEN_BYTES)


class Channel:
    """One end of a pipe that goes both ways. One thread at a time sends, one receives.

    `only_values`: what comes may be made of plain data and of our own values and errors only.
    """

    def __init__(self, pipe: Connection, token: bytes, *, only_values: bool = False) -> None:
        self._pipe = pipe
        self._token = token
        self._loads = _values_of if only_values else pickle.loads
        self._got = bytearray()
        self._is_at_end = False
        os.set_blocking(pipe.fileno(), False)

    def fileno(self) -> int:
        """Return the descriptor, to wait for."""
        return self._pipe.fileno()

    def close(self) -> None:
        """Close this end."""
        self._pipe.close()

    def send(self, message: Any, timeout: float | None = None) -> None:
        """Send a message. Raises OSError: the other end is gone, or doesn't read (`timeout`)."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        left = memoryview(self._token + _LENGTH.pack(len(data)) + data)
        until = None if timeout is None else monotonic() + timeout
        while left:
            if not self._is_ready(until, to_write=True):
                raise TimeoutError
            with suppress(BlockingIOError):
                left = left[os.write(self.fileno(), left) :]

    def poll(self, timeout: float = 0.0) -> bool:
        """Wait for a message. Return False when there is none in time; True also where `recv`
        raises that there will be none."""
        until = monotonic() + timeout
        while not self._is_at_end and self._size() is None:
            if not self._is_ready(until):
                return False
            self._read()
        return True

    def recv(self) -> Any:
        """Return the next message. Raises EOFError at the end, Garbled."""
        while (size := self._size()) is None:
            if self._is_at_end:
                raise EOFError
            self._is_ready(None)
            self._read()
        data = bytes(self._got[_HEAD : _HEAD + size])
        del self._got[: _HEAD + size]
        try:
            return self._loads(data)
        except Exception as error:
            raise Garbled from error

    def _size(self) -> int | None:
        """Return the size of the next message where all of it is here. Raises Garbled."""
        if not self._token.startswith(self._got[:TOKEN_BYTES]):
            raise Garbled
        if len(self._got) < _HEAD:
            return None
        size: int = _LENGTH.unpack_from(self._got, TOKEN_BYTES)[0]
        if size > _MOST_BYTES:
            raise Garbled
        return size if len(self._got) >= _HEAD + size else None

    def _read(self) -> None:
        try:
            data = os.read(self.fileno(), _READ_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        self._got += data
        self._is_at_end = not data

    def _is_ready(self, until: float | None, *, to_write: bool = False) -> bool:
        waiting = select.poll()
        waiting.register(self.fileno(), select.POLLOUT if to_write else select.POLLIN)
        left = None if until is None else max(0.0, until - monotonic()) * 1000
        return bool(waiting.poll(left))


# -- our own values ------------------------------------------------------------------------------

_PLAIN: Final = {
    "builtins": {"set", "frozenset", "complex", "bytearray"},
    "collections": {"OrderedDict", "deque"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
}


def _values_of(data: bytes) -> Any:
    return _Values(io.BytesIO(data)).load()


class _Values(pickle.Unpickler):
    """Makes plain data, and values, words and errors of this package: nothing that acts."""

    def find_class(self, module: str, name: str) -> Any:
        if name in _PLAIN.get(module, ()):
            return super().find_class(module, name)
        if module == "durable_core" or module.startswith("durable_core."):
            found = super().find_class(module, name)
            if isinstance(found, type) and _is_value(found):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no value")


def _is_value(kind: type) -> bool:
    is_ours = dataclasses.is_dataclass(kind) or issubclass(kind, Enum | DurableError)
    return is_ours or kind is type(NOTHING)
