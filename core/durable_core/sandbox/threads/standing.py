"""Where a thread stands: whether at a lock, and at which line of whose code."""

from __future__ import annotations

import dis
import traceback
from types import FrameType
from typing import Final

from durable_core.sandbox.user_code import is_users, shown
from durable_core.verifying.verification import CodeLine

_NEAR: Final = 8
"""How many instructions a call is away from the name of the method that is called, at most."""


def stands_at_a_lock(frame: FrameType) -> bool:
    """Return True for a frame that begins a `with`, or calls a method `acquire`, and stands there:
    in Python's locks, which are no Python code, there is no frame."""
    before: list[dis.Instruction] = []
    for each in dis.get_instructions(frame.f_code):
        before.append(each)
        if each.offset >= frame.f_lasti:
            break
    if not before:
        return False
    if before[-1].opname == "BEFORE_WITH" or before[-1].argval == "__enter__":
        return True
    near = before[-_NEAR:]
    return "CALL" in near[-1].opname and any(each.argval == "acquire" for each in near)


def users_line(frame: FrameType | None) -> CodeLine | None:
    """Return the innermost line of the user's code, as reports show it."""
    while frame is not None:
        if is_users(frame.f_code.co_filename):
            return shown(CodeLine(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
        frame = frame.f_back
    return None


def place_of(frame: FrameType | None) -> str:
    """Say at which line of the user's code a thread stands: `stood at app.py:12 in f (...)`."""
    line = users_line(frame)
    if line is not None:
        return f"stood at {line}" + (f" ({line.text})" if line.text else "")
    if frame is None:
        return "stood"
    summary = traceback.StackSummary.extract([(frame, frame.f_lineno)])[0]
    return f"stood in {summary.name} of {frame.f_globals.get('__name__', '?')}"
