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
from typing import TextIO, cast

from durable_core.errors import SourceError


@contextmanager
def redirected(
    path: str | None, *, verbose: bool, before_write: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Lead what the handler prints to stderr, or to the file; logs too, with either of `verbose`
    and a file, else they are not shown.

    `before_write` is called before something is printed to stderr. Raises SourceError when the
    file can't be written.
    """
    stream = _opened(path) if path is not None else cast(TextIO, _Stderr(before_write))
    stdout, stderr = sys.stdout, sys.stderr
    sys.stdout = stream
    if path is not None:
        sys.stderr = stream
    try:
        with (
            _descriptor(1, stream if path is not None else stderr),
            _logs(stream if verbose or path is not None else None),
        ):
            yield
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


def _opened(path: str) -> TextIO:
    try:
        return open(path, "a" if path == os.devnull else "w", encoding="utf-8", buffering=1)
    except OSError as error:
        raise SourceError(path, f"can't be written: {error.strerror}") from None


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
        return sys.stderr.write(text)

    def flush(self) -> None:
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
    with suppress(OSError, ValueError):
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
    handler: logging.Handler = logging.NullHandler()
    if stream is not None:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    root.addHandler(handler)
    if stream is not None:
        root.setLevel(min(level, logging.INFO))
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers


def _lead_away() -> None:
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        os.dup2(2, 1)
        sys.stdout = sys.stderr
