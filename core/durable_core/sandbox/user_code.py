"""Which line of the user's code is running, for reports."""

from __future__ import annotations

import linecache
import os
import sys
import sysconfig
import traceback
from contextlib import suppress
from functools import lru_cache
from opcode import opmap
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from durable_core.frozen import dataclass

_PACKAGE = Path(str(sys.modules[__name__.partition(".")[0]].__file__)).parent
PACKAGE_FOLDER = _PACKAGE.resolve()
"""Where this package is."""
_OURS = str(_PACKAGE) + os.sep
_PATHS = sysconfig.get_paths()  # once: each `get_path` finds all
_STDLIB = _PATHS["stdlib"] + os.sep
_SITE = tuple(path + os.sep for path in {_PATHS["purelib"], _PATHS["platlib"]})
_SDK = f"{os.sep}aws_durable_execution_sdk_python{os.sep}"


@dataclass(frozen=True, slots=True)
class CodeLine:
    """A line of the user's code."""

    file: str
    line: int
    function: str = ""
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


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


def is_runtimes(file: str) -> bool:
    """Return True for a file of this package or of AWS's SDK."""
    return file.startswith(_OURS) or _SDK in file


def is_installed(file: str) -> bool:
    """Return True for a file of an installed package: the user's too, but not what they edit."""
    return file.startswith(_SITE)


_id = id  # Python's own, also where a handler is given another one
_DRIVERS: set[int] = set()


def calls_handlers(module: dict[str, Any]) -> None:
    """Take a module, given by its globals, for one that calls handlers: what calls its functions
    is no code of a handler."""
    _DRIVERS.add(_id(module))


def is_driver(frame: FrameType) -> bool:
    """Return True for a frame of a module that calls handlers."""
    return _id(frame.f_globals) in _DRIVERS


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
        if is_driver(frame):
            return None
        frame = frame.f_back
    return None


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


def users_traceback(error: BaseException, *, chained: bool = True) -> str:
    """Return the traceback of an error with the frames of the user's code only. `chained`: with the
    errors that it came from, and those of a group."""
    shown = traceback.TracebackException.from_exception(error)
    waiting: list[traceback.TracebackException | None] = [shown]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        kept = [frame for frame in each.stack if is_users(frame.filename)]
        each.stack = traceback.StackSummary.from_list(kept)
        waiting += [each.__cause__, each.__context__, *(each.exceptions or ())]
    return "".join(shown.format(chain=chained))


def shown(line: CodeLine | None) -> CodeLine | None:
    """Return the line with its text, the file as seen from the working directory."""
    if line is None:
        return None
    text = linecache.getline(line.file, line.line).strip()
    file = line.file
    with suppress(ValueError, OSError):
        file = str(Path(file).relative_to(Path.cwd()))
    return CodeLine(file, line.line, line.function, text)


def is_defect(error: BaseException) -> bool:
    """Return True for what went wrong in code of ours that verifies, while the handler called it.

    What such code raises on purpose, or the runtime that is verified with, is the handler's.
    """
    innermost = None
    is_verifying = False
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith(_OURS):
            is_verifying = False
        elif file.startswith((*_VERIFIES, _NATIVE)):
            is_verifying = file.startswith(_VERIFIES)
        innermost, trace = trace, trace.tb_next
    if innermost is None or not is_verifying or not isinstance(error, Exception):
        return False
    code, at = innermost.tb_frame.f_code.co_code, innermost.tb_lasti
    return isinstance(error, AssertionError) or code[at] != _RAISE


_VERIFIES = tuple(os.path.join(_OURS, each, "") for each in ("verifying", "runtimes"))  # noqa: PTH118
_NATIVE = os.path.join(_OURS, "native", "")  # noqa: PTH118
_RAISE = opmap["RAISE_VARARGS"]
