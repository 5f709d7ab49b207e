"""How every command writes: where to, in which format, in which colours and how wide.

Data goes to stdout or to `-o FILE`, messages to stderr. Text that came from a history, a payload
or a name is hostile: see `escapes`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from durable_cli.escapes import ESCAPE, clean
from durable_cli.held_text import Text, pieces_of
from durable_cli.whole_file import write_whole
from durable_core.errors import SourceError
from durable_core.frozen import dataclass
from durable_core.processes.std_streams import Unwritten, lead_to_nothing
from durable_core.safe_text import LineWatch, without_commands


class Color(StrEnum):
    """When to colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


Span = tuple[str, str]
"""A piece of clean text and the name of its style ('' for none)."""

STYLES = {
    "title": "bold",
    "dim": "dim",
    "good": "green",
    "bad": "bold red",
    "warn": "yellow",
    "info": "cyan",
    "key": "magenta",
}


@dataclass(frozen=True, slots=True)
class Surface:
    """What a text is laid out for: columns, colours or none, and whether it can show Unicode.

    `unicode` False: only what `encoding` has is shown, and frames and bars are of ASCII.
    """

    width: int
    color: bool
    unicode: bool
    encoding: str = "utf-8"

    def line(self, spans: Iterable[Span]) -> str:
        """Return the spans as one line, coloured where this surface is.

        What it can't show is a question mark for each column.
        """
        if not self.unicode:
            spans = [(_in_marks(text, self.encoding), style) for text, style in spans]
        if self.color:
            return "".join(_painted(text, style) for text, style in spans)
        return "".join(text for text, _ in spans).rstrip()


def _in_marks(text: str, encoding: str) -> str:
    if _can_show(text, encoding):
        return text
    return "".join(char if _can_show(char, encoding) else "?" * cell_len(char) for char in text)


def _painted(text: str, style: str) -> str:
    if not style or not text:
        return text
    from rich.color import ColorSystem
    from rich.style import Style

    return Style.parse(STYLES[style]).render(text, color_system=ColorSystem.STANDARD)


DEFAULT_WIDTH = 120
MIN_WIDTH = 40


@dataclass(frozen=True, slots=True)
class Output:
    """Where a command's data goes. A file that exists is replaced only with `force`."""

    path: str | None = None
    color: Color = Color.AUTO
    width: int | None = None
    force: bool = False

    def surface(self) -> Surface:
        """Return what the text is to be laid out for.

        A file gets `--width` or 120 columns and no colour unless `--color always`; a terminal its
        own width. NO_COLOR and TERM=dumb are honoured, FORCE_COLOR too.
        """
        stream = sys.stdout
        to_terminal = self.path is None and stream.isatty()
        if self.width is not None:
            width = self.width
        elif to_terminal or "COLUMNS" in os.environ:
            import shutil

            width = shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns
        else:
            width = DEFAULT_WIDTH
        encoding = "utf-8" if self.path is not None else (stream.encoding or "ascii")
        return Surface(
            width=max(width, MIN_WIDTH),
            color=self._colored(to_terminal),
            unicode=_can_show("│├└─█→…", encoding),
            encoding=encoding,
        )

    def _colored(self, to_terminal: bool) -> bool:
        if self.color is not Color.AUTO:
            return self.color is Color.ALWAYS
        if os.environ.get("NO_COLOR"):
            return False
        if os.environ.get("FORCE_COLOR") and self.path is None:
            return True
        return to_terminal and os.environ.get("TERM") != "dumb"

    def write(self, text: Text, *, has_commands: bool = False) -> None:
        """Write the whole text to the file or to stdout, ending in one newline. No line of it is a
        command to a CI runner, unless it `has_commands` of ours.

        Raises SourceError when it can't be written. A reader of stdout that has gone wants no more:
        the rest is left out, and what the command came to stands. A character that stdout can't
        encode is written as its escape.
        """
        body = _ending_in_newline(pieces_of(text))
        if not has_commands:
            body = map(LineWatch().filtered, body)
        if self.path is not None:
            write_whole(Path(self.path), body, force=self.force)
            return
        try:
            for piece in body:
                _write_stream(sys.stdout, piece)
            sys.stdout.flush()
        except (OSError, Unwritten) as problem:
            error = problem.error if isinstance(problem, Unwritten) else problem
            unwritten = unwritten_stdout(error)
            if not isinstance(error, BrokenPipeError):
                raise unwritten from None


def unwritten_stdout(error: OSError) -> SourceError:
    """Return the error for what stdout didn't take, and let it take the rest."""
    lead_to_nothing(sys.stdout)
    return SourceError("standard output", f"can't be written: {error.strerror}")


def _write_stream(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "ascii"
    if not _can_show(text, encoding):
        text = text.encode(encoding, ESCAPE).decode(encoding)
    stream.write(text)


def _ending_in_newline(pieces: Iterable[str]) -> Iterator[str]:
    last = ""
    for piece in pieces:
        if piece:
            yield piece
            last = piece
    if not last.endswith("\n"):
        yield "\n"


def _can_show(text: str, encoding: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def message(text: str) -> None:
    """Write one line to stderr, as every message, warning and error of a command is."""
    error_line(f"durable: {text}")


def error_line(text: str) -> None:
    """Write one line to stderr, with everything escaped that doesn't belong on a terminal."""
    encoding = sys.stderr.encoding or "ascii"
    with suppress(OSError):  # there is nobody left to tell
        line = without_commands(clean(text)).encode(encoding, ESCAPE).decode(encoding)
        sys.stderr.write(f"{line}\n")


def error_lines(text: str) -> None:
    """Write a text of several lines to stderr, each as `error_line` does."""
    for line in text.splitlines():
        error_line(line)


def bar(part: float, cells: int, unicode: bool) -> str:
    """Return a bar of so many cells, filled to `part` (0 to 1; more is shown full)."""
    filled = min(cells, round(part * cells))
    if part > 0 and filled == 0 and unicode:
        return "▏" + " " * (cells - 1)
    full, empty = ("█", " ") if unicode else ("#", ".")
    return full * filled + empty * (cells - filled)


def cell_len(text: str) -> int:
    """Return how many columns the text takes on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len as measured

    return measured(text)


def fit(text: str, width: int, unicode: bool = True) -> str:
    """Return the text cut to so many columns, with an ellipsis where something is left out."""
    if cell_len(text) <= width:
        return text
    ellipsis = "…" if unicode else "..."
    room = max(0, width - len(ellipsis))
    out = ""
    taken = 0
    for char in text:
        taken += cell_len(char)
        if taken > room:
            break
        out += char
    return (out + ellipsis)[: max(width, 0)] if not unicode else out + ellipsis


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Return the text padded with spaces to so many columns, on the left when `right`."""
    space = " " * max(0, width - cell_len(text))
    return space + text if right else text + space


def wrap(text: str, width: int) -> list[str]:
    """Return the text broken at spaces into lines of at most so many columns. Linear."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        if cell_len(word) > width:
            head = _head(word, width - cell_len(line) - bool(line))
            if head and line:
                line = f"{line} {head}"
            if line:
                lines.append(line)
            *pieces, word = chunks(word[len(head) if line else 0 :], width)
            lines += pieces
            line = ""
        if line and cell_len(line) + 1 + cell_len(word) > width:
            lines.append(line)
            line = word
        elif word or not line:
            line = f"{line} {word}" if line else word
    lines.append(line)
    return lines


def _head(word: str, width: int) -> str:
    taken = 0
    for index, char in enumerate(word):
        taken += cell_len(char)
        if taken > width:
            return word[:index]
    return word


def chunks(text: str, width: int) -> list[str]:
    """Return the text cut into pieces of at most so many columns, wherever that is. Linear."""
    if text.isascii():
        return [text[at : at + width] for at in range(0, len(text), width)] or [""]
    pieces: list[str] = []
    start = taken = 0
    for index, char in enumerate(text):
        size = cell_len(char)
        if taken + size > width and index > start:
            pieces.append(text[start:index])
            start, taken = index, 0
        taken += size
    pieces.append(text[start:])
    return pieces


def join_lines(lines: Sequence[str]) -> str:
    """Return the lines as one text that ends in a newline."""
    return "\n".join(lines) + "\n"
