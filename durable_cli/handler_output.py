"""Where a handler's own output goes: to stderr or a file, never among the data on stdout.

What is written to the stream, to file descriptor 1 (by a subprocess, by C code) and by `logging`
is all led there. Our own report is written after `redirected` has ended.
"""

from __future__ import annotations

import atexit
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO, cast

from durable_cli.whole_file import write_whole
from durable_core.errors import SourceError
from durable_core.processes.std_streams import LenientStream, Unwritten, lenient
from durable_core.runtimes.lambda_logging import LambdaLogHandler


@contextmanager
def redirected(
    path: str | None,
    *,
    verbose: bool,
    force: bool = False,
    before_write: Callable[[], None] = lambda: None,
) -> Iterator[TextIO]:
    """Lead what the handler prints to stderr, or to the file; logs too, with either of `verbose`
    and a file, else they are not shown. Yields the stream that it is led to.

    `before_write` is called before something is printed to stderr. Raises SourceError when the
    file can't be written, or exists (without `force`).
    """
    stream = _opened(path, force) if path is not None else cast(TextIO, _Stderr(before_write))
    stdout, stderr = sys.stdout, sys.stderr
    sys.stdout = stream
    if path is not None:
        sys.stderr = stream
    try:
        with (
            _descriptor(1, stream if path is not None else stderr),
            _logs(stream if verbose or path is not None else None),
        ):
            yield stream
    finally:
        sys.stdout, sys.stderr = stdout, stderr
        if path is not None:
            stream.close()
        if stdout is sys.__stdout__:
            # What the user registered with atexit runs after this, and may print.
            atexit.register(_lead_away)


@contextmanager
def discarded() -> Iterator[None]:
    """Let nothing through of what the handler prints: for the second and later runs of it."""
    with redirected(os.devnull, verbose=False):
        yield


def redirect_here(path: str | None, verbose: bool) -> None:
    """Lead all as `redirected` does, to the same file, for as long as this process lives: that of
    one invocation, which has the descriptors of the one that started it."""
    stream: TextIO = sys.stderr
    if path is not None:
        stream = sys.stderr = _appending(path)
    sys.stdout = stream
    _log_to(stream if verbose or path is not None else None)


def unwritten(path: str | None, stream: TextIO) -> SourceError | None:
    """Return the error where the file didn't take all of what the handler printed."""
    problem = stream.problem if isinstance(stream, LenientStream) else None
    if path is None or problem is None:
        return None
    return SourceError(path, f"can't be written, what the handler prints: {problem.strerror}")


def _opened(path: str, force: bool) -> TextIO:
    try:
        if path != os.devnull:
            write_whole(Path(path), "", force=force)
        return _appending(path)
    except OSError as error:
        raise SourceError(path, f"can't be written: {error.strerror}") from None


def _appending(path: str) -> TextIO:
    """Open a file to which the processes of invocations write too. A handler never fails because
    of what it prints."""
    return lenient(open(path, "a", encoding="utf-8"))


class _Stderr(io.TextIOBase):
    """What `sys.stdout` is while the handler runs: it writes to stderr."""

    def __init__(self, before_write: Callable[[], None]) -> None:
        self._before_write = before_write

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a property, as of TextIOWrapper
        return sys.stderr.encoding

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return sys.stderr.isatty()

    def fileno(self) -> int:
        return sys.stderr.fileno()

    def write(self, text: str) -> int:
        self._before_write()
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


@contextmanager
def _descriptor(number: int, to: TextIO) -> Iterator[None]:
    """Lead a file descriptor to a stream. Nothing happens where there are none to lead."""
    try:
        target = to.fileno()
        saved = os.dup(number)
    except (OSError, ValueError, io.UnsupportedOperation):
        yield
        return
    with suppress(OSError, ValueError, Unwritten):
        (sys.__stdout__ or to).flush()
    os.dup2(target, number)
    try:
        yield
    finally:
        os.dup2(saved, number)
        os.close(saved)


@contextmanager
def _logs(stream: TextIO | None) -> Iterator[None]:
    """Show what is logged, from INFO on, or nothing of it (Python would show warnings)."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    _log_to(stream)
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers


def _log_to(stream: TextIO | None) -> None:
    def write(record: logging.LogRecord, text: str) -> None:
        if stream is not None:
            stream.write(f"{text}\n")
            stream.flush()

    root = logging.getLogger()
    handler = LambdaLogHandler(write)
    if stream is not None:
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        root.setLevel(min(root.level, logging.INFO))
    root.addHandler(handler)


def _lead_away() -> None:
    with suppress(OSError, ValueError, Unwritten):
        sys.stdout.flush()
        os.dup2(2, 1)
        sys.stdout = sys.stderr
