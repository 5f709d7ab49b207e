"""What a process of ours prints, led on to our stderr through a pipe.

A descriptor that two processes share is one: who seeks in it, cuts off the file behind it or has it
not block, does so for both. So a process that runs a handler has no other end of our stderr.
"""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Final

_STDERR: Final = 2
_PIECE_BYTES: Final = select.PIPE_BUF
"""What a pipe that is ready takes without making us wait, whoever reads it."""
_PIECES: Final = 32
"""How many are led on at once: who prints without an end holds up nobody else."""
_MOST_LEFT: Final = 2**20 // _PIECE_BYTES
"""What a pipe can hold, as far as the system lets its size be changed."""
_PATIENCE_SECONDS: Final = 1.0
"""How long our stderr may take none of what is left at the end."""


class RelayedOutput:
    """Our end of the pipe into which a process prints. Holds nothing: what our stderr doesn't take
    stays in the pipe, and the process waits."""

    def __init__(self, printed: Connection) -> None:
        self._printed = printed
        self.is_at_end = False
        """True when nobody can print any more."""
        os.set_blocking(printed.fileno(), False)

    def fileno(self) -> int:
        """Return the descriptor, to wait for."""
        return self._printed.fileno()

    def relay(self) -> None:
        """Lead on some of what was printed, as far as our stderr takes it now."""
        self._relay(_PIECES, 0.0)

    def close(self) -> None:
        """Lead on what is left, if our stderr takes it soon, and close the pipe."""
        self._relay(_MOST_LEFT, _PATIENCE_SECONDS)
        self._printed.close()

    def _relay(self, pieces: int, patience: float) -> None:
        for _ in range(pieces):
            if self.is_at_end or not stderr_takes(patience):
                return
            try:
                piece = os.read(self.fileno(), _PIECE_BYTES)
            except BlockingIOError:
                return
            self.is_at_end = not piece
            _print(piece)


def stderr_takes(patience: float = 0.0) -> bool:
    """Tell whether something can be printed without waiting for longer than so many seconds."""
    waiting = select.poll()
    waiting.register(_STDERR, select.POLLOUT)
    return bool(waiting.poll(patience * 1000))


def _print(piece: bytes) -> None:
    with suppress(OSError, ValueError):  # there is nobody left to tell
        sys.stderr.flush()
    with suppress(OSError):
        while piece:
            try:
                piece = piece[os.write(_STDERR, piece) :]
            except BlockingIOError:  # whoever else has it open has it not block
                if not stderr_takes(_PATIENCE_SECONDS):
                    return
