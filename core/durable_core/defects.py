"""Defects of ours that show at one source: a line for that source, and the others go on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from durable_core.errors import DurableError, SourceDefect
from durable_core.raised import class_name

_MOST_TEXT: Final = 300


def defect_at(source: str, error: Exception) -> SourceDefect:
    """Return the line for a defect. With DURABLE_DEBUG set in the environment, raise it again."""
    if os.environ.get("DURABLE_DEBUG"):
        raise error
    try:
        text = str(error)
    except Exception:
        text = ""
    shown = text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."
    return SourceDefect(source, class_name(type(error)), shown)


@contextmanager
def defects_at(source: str) -> Iterator[None]:
    """Raise SourceDefect for whatever goes wrong inside, but DurableErrors as they are."""
    try:
        yield
    except DurableError:
        raise
    except Exception as error:
        raise defect_at(source, error) from error


def is_ours(error: BaseException) -> bool:
    """Tell whether it was code of ours that raised, not the handler's or that of its SDK."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OURS)


_OURS: Final = str(Path(__file__).resolve().parents[1]) + os.sep
