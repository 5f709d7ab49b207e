"""The environment's variables that Lambda sets, while a handler runs as if it were there."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from durable_core.arns import UNKNOWN_ARN
from durable_core.sandbox.lambda_context import LambdaContext
from durable_core.sandbox.process_environment import is_set

REQUEST_ID: Final = "00000000-0000-4000-8000-000000000000"
"""Of the invocation in which recorded code is verified."""
BEGAN: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""When that invocation began, and all that is in its state: long ago, so that nothing is due."""


def variables_of(context: LambdaContext) -> dict[str, str]:
    """Return the variables that say of an invocation what its context says.

    None by which code finds out that it runs in Lambda, and then uses what is real there: that is
    left to who runs it. In a simulation the bodies of steps run.
    """
    return {
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": context.memory_limit_in_mb,
        "AWS_LAMBDA_FUNCTION_VERSION": context.function_version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": context.log_group_name,
        "AWS_LAMBDA_LOG_STREAM_NAME": context.log_stream_name,
        "_X_AMZN_TRACE_ID": _trace_of(context.aws_request_id),
    }


def _trace_of(request_id: str) -> str:
    drawn = request_id.replace("-", "")
    return f"Root=1-{drawn[:8]}-{drawn[8:]};Parent={drawn[:16]};Sampled=0"


def recorded_variables(arn: str | None) -> Mapping[str, str]:
    """Return the variables as an invocation of a recorded execution has them; None: of any."""
    return _variables_of_function((arn or UNKNOWN_ARN).partition("/")[0])


@lru_cache(maxsize=16)
def _variables_of_function(arn: str) -> dict[str, str]:
    return variables_of(LambdaContext(arn, REQUEST_ID, BEGAN))


@contextmanager
def handed(variables: Mapping[str, str]) -> Iterator[None]:
    """Set the variables that aren't set, as long as it takes."""
    missing = [name for name in variables if not is_set(name)]
    for name in missing:
        os.environ[name] = variables[name]
    try:
        yield
    finally:
        for name in missing:
            if is_set(name):
                del os.environ[name]


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
