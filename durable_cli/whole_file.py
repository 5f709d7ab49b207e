"""Files that are whole or absent: written under another name first."""

from __future__ import annotations

import os
from pathlib import Path

from durable_core.errors import SourceError


def refuse_existing(path: Path) -> None:
    """Raise SourceError when something is there that would be overwritten."""
    if path.is_file() or path.is_dir():
        problem = "is a directory" if path.is_dir() else "exists (--force overwrites it)"
        raise SourceError(str(path), problem)


def refuse_missing_folder(path: Path) -> None:
    """Raise SourceError when there is no folder for the file, before any work is done for it."""
    if not path.parent.is_dir():
        raise SourceError(str(path), f"can't be written: there is no folder {path.parent}")


def refuse_unwritable(path: Path, *, force: bool) -> None:
    """Raise SourceError when the file can't be written, before any work is done for it."""
    refuse_missing_folder(path)
    if not force:
        refuse_existing(path)
    if path.is_dir():
        raise SourceError(str(path), "is a directory")
    if path.exists() and not path.is_file():  # a pipe or a device
        return
    if not os.access(path.parent, os.W_OK):
        raise SourceError(str(path), f"can't be written: no permission to write in {path.parent}")


def write_whole(path: Path, text: str, *, force: bool = False) -> None:
    """Write the text to a file that appears only when it is complete.

    Raises SourceError when the file exists (without `force`) or can't be written.
    """
    if not force:
        refuse_existing(path)
    if path.exists() and not path.is_file():  # a pipe or a device
        _write(path, text, path)
        return
    temporary = path.with_name(f".{path.name[:200]}.{os.getpid()}.part")
    try:
        _write(temporary, text, path)
        os.replace(temporary, path)  # noqa: PTH105
    except OSError as error:
        raise SourceError(str(path), f"can't be written: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _write(to: Path, text: str, called: Path) -> None:
    try:
        to.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise SourceError(str(called), f"can't be written: {error.strerror}") from None
