"""What code raised while it was verified: in words, and whether it was the code at all. Pure."""

from __future__ import annotations

import signal
import threading

from durable_core.model import ErrorObject


def format_exception(error: BaseException) -> str:
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
    """Return a recorded error in the words of `format_exception`."""
    name = (error.type or "Exception").rpartition(".")[2]
    return f"{name}: {error.message}" if error.message else name


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
