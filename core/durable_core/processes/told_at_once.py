"""What a process that verifies tells at once, so that nothing later takes it back.

The handler's code can change whatever its process has noted, and the answers that it sends. What
has gone through a pipe stands: which source was finished, and what the guard refused until then.
Both are in the order in which they happened.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Final

_FINISHED: Final = b"."
_ATTEMPT: Final = b"!"
_AT_IMPORT: Final = b"^"
_MOST_BYTES: Final = 1_000
"""So much of an attempt is told: all of a history together must be less than a pipe takes."""
_MOST_HEARD: Final = 50
"""So many attempts of one source are kept."""

_exit: Final = os._exit
"""Python's own: the one that a handler is given tells who calls it."""
_UNHEARD: Final = 1


class Teller:
    """The end in the process. Each record begins with a token that the two ends know."""

    def __init__(self, pipe: Connection, token: bytes) -> None:
        self._descriptor = pipe.fileno()
        self._token = token

    def finished(self) -> None:
        """Tell that a source is finished. Raises OSError: nobody hears any more."""
        os.write(self._descriptor, self._token + _FINISHED)

    def attempt(self, text: str, /, *, at_import: bool = False) -> None:
        """Tell what was refused. Ends the process where that can't be told."""
        line = text.replace("\n", " ").encode("utf-8", "backslashreplace")[:_MOST_BYTES]
        kind = _AT_IMPORT if at_import else _ATTEMPT
        try:
            os.write(self._descriptor, self._token + kind + line + b"\n")
        except OSError:
            _exit(_UNHEARD)


class Told:
    """The other end, and what has been heard there. It never waits."""

    def __init__(self, pipe: Connection, token: bytes) -> None:
        self._pipe = pipe
        os.set_blocking(pipe.fileno(), False)
        record = rb"(?:(\.)|!([^\n]*)\n|\^([^\n]*)\n)"
        self._record = re.compile(re.escape(token) + record)
        self._got = b""
        self._attempts: list[list[str]] = [[]]
        self._at_import: list[str] = []

    def close(self) -> None:
        """Hear no more."""
        self._pipe.close()

    def finished(self) -> int:
        """Return how many sources are finished, but for those that were taken."""
        self._hear()
        return len(self._attempts) - 1

    def at_import(self) -> list[str]:
        """Return what importing the handler was refused."""
        self._hear()
        return self._at_import

    def take(self, sources: int) -> list[list[str]]:
        """Return what each of the next sources was refused."""
        self._hear()
        while len(self._attempts) <= sources:  # there is an answer, so that it is finished
            self._attempts.append([])
        taken = self._attempts[:sources]
        del self._attempts[:sources]
        return taken

    def _hear(self) -> None:
        with suppress(OSError):
            while data := os.read(self._pipe.fileno(), 65_536):
                self._got += data
        end = 0
        for record in self._record.finditer(self._got):
            end = record.end()
            finished, attempt, at_import = record.groups()
            if finished:
                self._attempts.append([])
            else:
                heard = self._at_import if attempt is None else self._attempts[-1]
                text = (at_import if attempt is None else attempt).decode("utf-8", "replace")
                if text not in heard and len(heard) < _MOST_HEARD:
                    heard.append(text)
        self._got = self._got[end:]
