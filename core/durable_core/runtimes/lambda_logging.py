"""How Lambda's runtime for Python logs: what goes wrong in a call is raised in it.

Python's own handlers print what goes wrong in formatting, and go on. Lambda's handler of the root
logger, which is there before the function's modules are imported, lets it out (source:
`awslambdaric` 4.2, `bootstrap.py`: `LambdaLoggerHandler`).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Write = Callable[[logging.LogRecord, str], None]


class LambdaLogHandler(logging.Handler):
    """Formats every record, and hands it to `write`."""

    def __init__(self, write: Write = lambda record, text: None) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Format a record and write it. Raises what formatting does."""
        self._write(record, self.format(record))


def write_new_warnings(record: logging.LogRecord, text: str) -> None:
    """Print warnings and errors as Python does where no handler was set up, but not what the logger
    of a durable context says: a replay doesn't say it again."""
    is_ours_alone = len(logging.getLogger().handlers) == 1
    if is_ours_alone and record.levelno >= logging.WARNING and not hasattr(record, "executionArn"):
        sys.stderr.write(f"{text}\n")


@contextmanager
def logging_as_lambda(write: Write = write_new_warnings) -> Iterator[None]:
    """Log as Lambda does, as long as it takes."""
    handler = LambdaLogHandler(write)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
