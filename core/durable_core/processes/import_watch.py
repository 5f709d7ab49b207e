"""What a handler's modules do while they are imported: what is common there and no finding, such as
bytecode and log files, and what becomes of the rest.
"""

from __future__ import annotations

import importlib.machinery
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import _bootstrap_external
from types import FrameType
from typing import Any, Final, TextIO

from durable_core.runtimes.handler_errors import HandlerError, ImportFailed
from durable_core.sandbox.attempts import text_of
from durable_core.verifying.verification import Doubt

_WRITERS: Final = frozenset(
    {
        id(vars(_bootstrap_external)["_write_atomic"].__code__),
        id(importlib.machinery.SourceFileLoader.set_data.__code__),
    }
)
_BYTECODE: Final = re.compile(r".*\.pyc(\.\d+)?", re.DOTALL)


def is_common(
    event: str, args: tuple[Any, ...], frame: FrameType | None, scratch: str | None
) -> bool:
    """Return True for what imports commonly write: bytecode, and what is in the folder for
    temporary files that this process has for itself."""
    paths = list(map(text_of, args[: 2 if event == "os.rename" else 1]))
    if (
        scratch is not None
        and event in _IN_SCRATCH
        and all(_is_in(each, scratch) for each in paths)
    ):
        return True
    # By the function that writes bytecode, not by a name that any code may have.
    if frame is None or id(frame.f_code) not in _WRITERS:
        return False
    path = paths[0] or ""
    if event == "os.mkdir":
        return os.path.basename(path) == "__pycache__"  # noqa: PTH119
    return event in ("open", "os.rename", "os.remove") and _BYTECODE.fullmatch(path) is not None


_IN_SCRATCH: Final = frozenset(
    {"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.chmod", "os.utime"}
)


def _is_in(path: str | None, folder: str) -> bool:
    found = "" if path is None else os.path.realpath(path)
    return found == folder or found.startswith(folder + os.sep)


def folder_for_temporary_files() -> str | None:
    """Return the folder that this process has for itself, where one was made for it."""
    found = vars(sys.modules["tempfile"]).get("tempdir") if "tempfile" in sys.modules else None
    return None if found is None else os.path.realpath(found)


def _open_nothing() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


@contextmanager
def logging_to_nowhere() -> Iterator[None]:
    """Have the log files that are set up while the block runs go nowhere, now and later: modules
    set up logging when they are imported, and what they log is no part of what is verified."""
    kind: Any = logging.FileHandler
    made = kind.__init__

    def init(handler: Any, *args: Any, **keywords: Any) -> None:
        handler._open = _open_nothing
        made(handler, *args, **keywords)

    kind.__init__ = init
    try:
        yield
    finally:
        kind.__init__ = made


NOT_IMPORTED: Final = "the handler could not be imported"
ALLOW_IMPORT: Final = "--allow-import lets the handler's modules do it while they are imported"


def refused_import(error: HandlerError, refused: Sequence[str]) -> Doubt | None:
    """Return why nothing can be verified where an import failed that was refused something; None
    where it failed for another reason."""
    if not refused or not isinstance(error, ImportFailed):
        return None
    what = f"refused while verifying: {'; '.join(refused)}"
    if not isinstance(error.__cause__, PermissionError):
        what += f"; {error.problem}"
    return Doubt(what, ALLOW_IMPORT)


def refused_by_system(error: ImportFailed, refused: Iterable[str]) -> Doubt:
    """Return why nothing can be verified where an import failed that the operating system refused
    something, past the guard."""
    return Doubt(f"{'; '.join(refused)}; {error.problem}", ALLOW_IMPORT)


def import_note(attempt: str, *, is_refused: bool) -> str:
    """Return what is told of an attempt after which the import went on."""
    if is_refused:
        return f"importing the handler was refused {attempt}; {ALLOW_IMPORT}"
    return f"importing the handler reaches outside: {attempt}"
