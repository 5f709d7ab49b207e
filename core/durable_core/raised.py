"""What code raised while it was verified: in words, and whether it was the code at all. Pure."""

from __future__ import annotations

import os
import signal
import threading
from opcode import opmap
from pathlib import Path
from typing import Final

from durable_core.model import ErrorObject


def told(error: BaseException) -> str:
    """Return an error's name and text. The text is the handler's: having it may raise anything."""
    name = class_name(type(error))
    try:
        text = str(error)
    except BaseException as failure:
        text = f"(its text can't be had: {class_name(type(failure))})"
    return f"{name}: {text}" if text else name


def class_name(kind: type) -> str:
    """Return the name of a class. Its metaclass, which may be the handler's, isn't asked."""
    return str(type.__dict__["__name__"].__get__(kind))


def qualified_name(kind: type) -> str:
    """Return the qualified name of a class, as `class_name` does."""
    return str(type.__dict__["__qualname__"].__get__(kind))


def module_of(kind: type) -> str:
    """Return the name of the module of a class, as `class_name` does; what isn't text is none."""
    module = type.__dict__["__module__"].__get__(kind)
    return module if type(module) is str else ""


def told_as_recorded(error: ErrorObject) -> str:
    """Return a recorded error in the words of `told`."""
    name = (error.type or "Exception").rpartition(".")[2]
    return f"{name}: {error.message}" if error.message else name


def is_defect(error: BaseException) -> bool:
    """Return True for what went wrong in code of ours that verifies, while the handler called it.

    What such code raises on purpose, or the runtime that is verified with, is the handler's.
    """
    innermost = None
    is_verifying = False
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith(_PACKAGE):
            is_verifying = False
        elif file.startswith((_VERIFYING, _RUNTIME)):
            is_verifying = file.startswith(_VERIFYING)
        innermost, trace = trace, trace.tb_next
    if innermost is None or not is_verifying or not isinstance(error, Exception):
        return False
    code, at = innermost.tb_frame.f_code.co_code, innermost.tb_lasti
    return isinstance(error, AssertionError) or code[at] != _RAISE


_PACKAGE: Final = str(Path(__file__).resolve().parents[1]) + os.sep
_VERIFYING: Final = os.path.join(_PACKAGE, "verifying", "")  # noqa: PTH118
_RUNTIME: Final = os.path.join(_PACKAGE, "native", "")  # noqa: PTH118
_RAISE: Final = opmap["RAISE_VARARGS"]


def is_from_outside(error: BaseException) -> bool:
    """Return True for a KeyboardInterrupt by which somebody interrupts us, not the code itself.

    They reach the main thread only, and only where the signal isn't ignored, as it is in processes
    of ours that run nothing but handlers.
    """
    return (
        isinstance(error, KeyboardInterrupt)
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    )
