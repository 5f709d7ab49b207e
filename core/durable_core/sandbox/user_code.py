"""Which line of the user's code is running, for reports."""

from __future__ import annotations

import linecache
import os
import sys
import sysconfig
import traceback
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import FrameType, TracebackType

from durable_core.raised import told
from durable_core.verifying.runs import Handled
from durable_core.verifying.verification import CodeLine

_OURS = str(Path(__file__).parent.parent) + os.sep
_PATHS = sysconfig.get_paths()  # once: each `get_path` finds all
_STDLIB = _PATHS["stdlib"] + os.sep
_SITE = tuple(path + os.sep for path in {_PATHS["purelib"], _PATHS["platlib"]})
_SDK = f"{os.sep}aws_durable_execution_sdk_python{os.sep}"


class _Files(dict[str, bool]):
    """Whose each file is: asked for every frame of every call, so that a lookup is all it takes."""

    def __missing__(self, file: str) -> bool:
        users = not file.startswith(("<frozen", _OURS)) and _SDK not in file
        self[file] = users and (not file.startswith(_STDLIB) or file.startswith(_SITE))
        return self[file]


_USERS = _Files()


def is_users(file: str) -> bool:
    """Return True for a file that is neither ours, nor the SDK's, nor of Python itself."""
    return _USERS[file]


def is_ours(file: str) -> bool:
    """Return True for a file of this package."""
    return file.startswith(_OURS)


def is_installed(file: str) -> bool:
    """Return True for a file of an installed package: the user's too, but not what they edit."""
    return file.startswith(_SITE)


def calling_line(depth: int = 1) -> CodeLine | None:
    """Return the innermost line of the user's code that is being executed, `depth` frames up or
    further.

    None where none is: a coroutine that a lambda made is awaited by ours. What calls us is no code
    of the handler, whosever it is.
    """
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None:
        code = frame.f_code  # asked for once: an audit hook is told of it
        file = code.co_filename
        if _USERS[file]:
            return _line(file, frame.f_lineno, code.co_name)
        if file == _CALLED_FROM:
            return None
        frame = frame.f_back
    return None


_CALLED_FROM = str(Path(__file__).with_name("replay.py"))


@lru_cache(maxsize=4096)
def _line(file: str, line: int, function: str) -> CodeLine:
    return CodeLine(file, line, function)


def raising_line(error: BaseException) -> CodeLine | None:
    """Return the innermost line of the user's code that the error came through."""
    found = None
    at: TracebackType | None = error.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        if is_users(code.co_filename):
            found = CodeLine(code.co_filename, at.tb_lineno, code.co_name)
        at = at.tb_next
    return found


def handled_error() -> Handled | None:
    """Return the error that the running code handles now, where its own code raised it; None: it
    handles none, or what a recorded operation raised."""
    error = sys.exception()
    if error is None or not _is_codes_own(error):
        return None
    return Handled(told(error), users_traceback(error), raising_line(error))


def _is_codes_own(error: BaseException) -> bool:
    """Return True for an error that neither came of an operation nor was made from one that did."""
    at: TracebackType | None = error.__traceback__
    innermost = None
    while at is not None:
        innermost, at = at.tb_frame.f_code.co_filename, at.tb_next
    if innermost is None or innermost.startswith(_OURS) or _SDK in innermost:
        return False
    return error.__cause__ is None or _is_codes_own(error.__cause__)


def users_traceback(error: BaseException) -> str:
    """Return the traceback with the user's frames only."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if is_users(each.filename)]
    head = (
        ["Traceback (most recent call last):\n", *traceback.format_list(frames)] if frames else []
    )
    return "".join([*head, *traceback.format_exception_only(error)]).rstrip()


def shown(line: CodeLine | None) -> CodeLine | None:
    """Return the line with its text, the file as seen from the working directory."""
    if line is None:
        return None
    text = linecache.getline(line.file, line.line).strip()
    file = line.file
    with suppress(ValueError, OSError):
        file = str(Path(file).relative_to(Path.cwd()))
    return CodeLine(file, line.line, line.function, text)
