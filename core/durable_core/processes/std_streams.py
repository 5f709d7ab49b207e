"""The standard streams of a process of ours, whatever they were led to.

Whoever calls us may have closed one (`2>&-`), or led it to a full disk or a pipe that nobody reads.
Nothing that is printed beside the data may make a difference then: neither to us nor to a handler,
which would otherwise get an OSError from its `print`.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Final, TextIO

from durable_core.safe_text import LineWatch


class LenientStream(io.TextIOWrapper):
    """A text stream whose writes never fail: after the first that does, nothing is written any
    more. `problem` is why. With a `watch`, nothing that is written is a command to a CI runner:
    a handler may print what a history says."""

    problem: OSError | None = None
    watch: LineWatch | None = None

    def write(self, text: str, /) -> int:
        """Write the text where that can be done."""
        try:
            super().write(text if self.watch is None else self.watch.filtered(text))
        except OSError as error:
            self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Write what is held back where that can be done."""
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Close the stream, with what is held back where that can be written."""
        if not self.closed:
            self.flush()
        super().close()

    def _give_up(self, error: OSError) -> None:
        self.problem = self.problem or error
        lead_to_nothing(self)


class Unwritten(Exception):
    """Stdout didn't take a text: `error` says why. No OSError, of which typer makes an exit code of
    its own."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.error = error


class CheckedStream(io.TextIOWrapper):
    """A text stream that raises Unwritten, so that one knows that it was this one."""

    def write(self, text: str, /) -> int:
        """Write the text. Raises Unwritten."""
        try:
            return super().write(text)
        except OSError as error:
            raise Unwritten(error) from None

    def flush(self) -> None:
        """Write what is held back. Raises Unwritten."""
        try:
            super().flush()
        except OSError as error:
            raise Unwritten(error) from None


def lead_to_nothing(stream: TextIO) -> None:
    """Lead a stream to the null device, so that what it holds back can be flushed."""
    with suppress(OSError, ValueError):  # it has no descriptor, or is closed
        number = stream.fileno()
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, number)
        os.close(nothing)


_WATCH: Final = LineWatch()
"""Of stdout and stderr together, which lead to one place where both are lenient."""


def lenient(stream: TextIO) -> TextIO:
    """Return a LenientStream in place of a text stream, which can't be used any more; of another
    kind of stream, that one."""
    if type(stream) is not io.TextIOWrapper:
        return stream
    encoding, errors = stream.encoding, stream.errors
    if stream not in (sys.stdout, sys.stderr):
        return LenientStream(stream.detach(), encoding, errors, line_buffering=True)
    # Made anew, since what is behind the descriptor may be another file by now.
    raw = io.FileIO(stream.fileno(), "w", closefd=False)
    new = LenientStream(io.BufferedWriter(raw), encoding, errors, line_buffering=True)
    new.watch = _WATCH
    return new


def make_stderr_lenient() -> None:
    """Have nothing that is printed to stderr fail in this process from now on."""
    if sys.stderr is not None:
        sys.stderr = lenient(sys.stderr)
        vars(sys)["__stderr__"] = sys.stderr


def check_stdout() -> None:
    """Have stdout raise Unwritten in this process from now on."""
    stream = sys.stdout
    if type(stream) is io.TextIOWrapper:
        encoding, errors, by_lines = stream.encoding, stream.errors, stream.line_buffering
        buffer = stream.detach()
        sys.stdout = CheckedStream(buffer, encoding, errors, line_buffering=by_lines)
        vars(sys)["__stdout__"] = sys.stdout


def open_closed_streams() -> None:
    """Open the standard streams that are closed, so that no file gets their descriptors.

    What is written to a closed stdout raises OSError, as it does on a full disk; what is written to
    a closed stderr is lost.
    """
    for number, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, flags)  # the lowest number that is free: this one
            os.set_inheritable(opened, True)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
