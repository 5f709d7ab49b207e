"""Files that are whole or as they were, whatever happens while they are written.

The text goes to a file of a random name beside the target, which is then given its name. A link is
replaced by the file, never written through. What is no regular file (a pipe, a device,
`/dev/stdout`) is written as it is.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from durable_cli.held_text import Text, pieces_of
from durable_core.errors import SourceError, UsageError

# -- before any work is done ---------------------------------------------------------------------


def refuse_existing(path: Path) -> None:
    """Raise SourceError when something is there that would be overwritten."""
    if path.is_dir():
        raise SourceError(str(path), "is a directory")
    if os.path.lexists(path) and not _is_written_as_it_is(path):
        raise SourceError(str(path), "exists (--force overwrites it)")


def refuse_unwritable(path: Path, *, force: bool) -> None:
    """Raise SourceError when the file can't be written, before any work is done for it."""
    if not path.parent.is_dir():
        raise SourceError(str(path), f"can't be written: there is no folder {path.parent}")
    if not force:
        refuse_existing(path)
    if path.is_dir():
        raise SourceError(str(path), "is a directory")
    if not _is_written_as_it_is(path) and not os.access(path.parent, os.W_OK):
        raise SourceError(str(path), f"can't be written: no permission to write in {path.parent}")


class Spared:
    """The files that a call reads, which it never overwrites, not even with `--force`: its inputs,
    and the code of its handler. No file of Python code is overwritten either."""

    def __init__(
        self,
        read: Mapping[str, str | None],
        sources: Iterable[str] = (),
        handler: str | None = None,
    ) -> None:
        """Take what is read by the options that name it, and what is named by no option."""
        options = {option: path for option, path in read.items() if path not in (None, "-")}
        self._read: list[tuple[str | None, str]] = [(each, str(options[each])) for each in options]
        self._read += [(None, each) for each in sources if each != "-"]
        self._code = list(_files_of_handler(handler)) if handler is not None else []

    def check(self, written: Mapping[str, str | None], *, force: bool) -> None:
        """Raise UsageError or SourceError for a file that can't be written, or is to be spared;
        `written` are the files by the options that name them."""
        known: list[tuple[str, str]] = []
        for option, path in written.items():
            if path is None:
                continue
            if not _is_name(path):
                raise UsageError(f"{option} {path}: no name of a file")
            for other, there in known:
                if _is_same(path, there):
                    raise UsageError(f"{option} and {other} name the same file: {path}")
            self.refuse(path, option)
            refuse_unwritable(Path(path), force=force)
            known.append((option, path))

    def refuse(self, path: str, option: str) -> None:
        """Raise UsageError for a file that is to be spared."""
        for other, there in self._read:
            if _is_same(path, there):
                if other is None:
                    also = "" if path == there else f" ({path} is the same file)"
                    raise UsageError(
                        f"{there}: is read here, and {option} would overwrite it{also}"
                    )
                raise UsageError(f"{option} and {other} name the same file: {path}")
        if any(_is_same(path, each) for each in self._code):
            raise UsageError(f"{path}: is the handler's code, and {option} would overwrite it")
        real = os.path.realpath(path)
        if real.endswith(_CODE) and os.path.isfile(real):  # noqa: PTH113
            raise UsageError(f"{path}: is Python code, and {option} would overwrite it")


def _is_name(path: str) -> bool:
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


_CODE: Final = (".py", ".pyi", ".pyw", ".pyx")


def _files_of_handler(spec: str) -> Iterator[str]:
    from durable_core.runtimes.handler_errors import HandlerError
    from durable_core.runtimes.handler_place import place_of

    with suppress(HandlerError):  # which is told when it is loaded
        place = place_of(spec, Path.cwd().resolve())
        yield from (str(each) for each in (place.file, place.top) if each is not None)
        if place.first is not None:
            yield str(place.first.joinpath(*place.parts).with_suffix(".py"))


_FOLDS_CASE: Final = sys.platform in ("darwin", "win32")


def _is_same(one: str, other: str) -> bool:
    """Tell whether two names are of one file, by whichever links and spelling."""
    try:
        return os.path.samefile(one, other)  # noqa: PTH121
    except (OSError, ValueError):  # at least one of them isn't there yet
        names = [os.path.realpath(each) for each in (one, other)]
        if _FOLDS_CASE:
            names = [each.casefold() for each in names]
        return names[0] == names[1]


# -- writing -------------------------------------------------------------------------------------


def write_whole(path: Path, text: Text, *, force: bool = False) -> None:
    """Write the text to a file that appears only when it is complete.

    Raises SourceError when the file exists (without `force`) or can't be written.
    """
    if path.is_dir():
        raise SourceError(str(path), "is a directory")
    pieces = pieces_of(text)
    try:
        if _is_written_as_it_is(path):
            _write(os.open(path, os.O_WRONLY | os.O_APPEND), pieces)
        else:
            _write_beside(path, pieces, force=force)
    except FileExistsError:
        raise SourceError(str(path), "exists (--force overwrites it)") from None
    except OSError as error:
        raise SourceError(str(path), f"can't be written: {error.strerror}") from None


def _write_beside(path: Path, pieces: Iterable[str], *, force: bool) -> None:
    before = os.lstat(path) if os.path.lexists(path) else None
    if before is not None and not force:
        raise FileExistsError
    # One that replaces another is nobody else's to read, until it has that one's rights.
    descriptor, temporary = _create_beside(path, 0o666 if before is None else 0o600)
    try:
        _write(descriptor, pieces, like=before, keep=True)
        if force:
            os.replace(temporary, path)  # noqa: PTH105
        else:
            _publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _create_beside(path: Path, rights: int) -> tuple[int, Path]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    for _ in range(_TRIES):
        temporary = path.with_name(f".durable-{os.urandom(8).hex()}.part")
        with suppress(FileExistsError):
            return os.open(temporary, flags, rights), temporary
    raise SourceError(str(path), "can't be written: there is no free name beside it")


_TRIES: Final = 100


def _publish(temporary: Path, path: Path) -> None:
    """Give a file its name, unless something has it by now."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise FileExistsError from None
        os.replace(temporary, path)  # noqa: PTH105


def _write(
    descriptor: int,
    pieces: Iterable[str],
    *,
    like: os.stat_result | None = None,
    keep: bool = False,
) -> None:
    """Write all of it, with the rights that a file had before, and onto the disk with `keep`."""
    try:
        if like is not None and stat.S_ISREG(like.st_mode):
            with suppress(OSError):
                os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
        for piece in pieces:
            left = memoryview(piece.encode("utf-8", "backslashreplace"))
            while left:
                left = left[os.write(descriptor, left) :]
        if keep:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_written_as_it_is(path: Path) -> bool:
    """Tell whether something is no file of its own: a pipe, a device, or a name of what a process
    has open (`/dev/stdout`, `/dev/fd/1`), whichever kind that is."""
    for _ in range(_MOST_LINKS):
        folder = os.path.realpath(path.parent)
        if folder.startswith("/proc/") or folder == "/dev/fd":
            return True
        if not path.is_symlink():
            break
        path = path.parent / path.readlink()
    return path.exists() and not path.is_file()


_MOST_LINKS: Final = 40
