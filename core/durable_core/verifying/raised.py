"""What code raised while it was verified: in words, and whether it was the code at all. Pure."""

from __future__ import annotations

import signal
import threading

from durable_core.model import ErrorObject


def told(error: BaseException) -> str:
    """Return an error's name and text. The text is the handler's: having it may raise anything."""
    try:
        text = str(error)
    except BaseException as failure:
        text = f"(its text can't be had: {type(failure).__name__})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def told_as_recorded(error: ErrorObject) -> str:
    """Return a recorded error in the words of `told`."""
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
