"""How every command writes: where to, in which format, in which colours and how wide.

Data goes to stdout or to `-o FILE`, messages to stderr. Text that came from a history, a payload
or a name is hostile: it passes `clean` on its way to a terminal and `json_text` on its way into a
JSON document.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TextIO

from durable_core.errors import SourceError, UsageError
from durable_core.values import dataclass


class ReaderGone(Exception):
    """Whoever read what goes to stdout has gone: there is nobody left to tell.

    No BrokenPipeError, of which typer makes exit code 1.
    """


class Color(StrEnum):
    """When to colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


# What could reorder or hide text (Unicode's categories Cf, Zl and Zp): soft hyphens, joiners, bidi
# marks, separators, signs that embrace others, tags.
_HIDING: Final = (
    "\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
_UNSAFE = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff{_HIDING}]")
_UNSAFE_IN_JSON = re.compile(f"[\x7f-\x9f{_HIDING}]")


# What CI runners take for commands, on stdout and stderr alike: GitHub's `##[COMMAND]` anywhere in
# a line and `::COMMAND::` at its start, Azure's `##vso[COMMAND]`. GitHub's runner compares as its
# culture does, which may pass over characters that aren't ASCII.
_COMMAND: Final = re.compile(r"#(?=[^ -~]*+#[^ -~]*+(?:vso)?[^ -~]*+\[)", re.IGNORECASE)
_COMMAND_LINE: Final = re.compile(r"^([^!-~]*):(?=[^ -~]*:)")


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    short = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    if short:
        return short
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )


def clean(text: str) -> str:
    """Return the text with everything escaped that could move, colour or hide on a terminal, or
    that a CI runner takes for a command anywhere in a line."""
    text = _UNSAFE.sub(_escape, text)
    return _COMMAND.sub(_escape, text) if "#" in text else text


def _unicode_escape(text: str) -> str:
    """Return the text as the escapes of JSON, which people read as well."""
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def _escape_unencodable(error: UnicodeError) -> tuple[str, int]:
    """Write what a stream can't encode as an escape: what was valid JSON stays valid."""
    assert isinstance(error, UnicodeEncodeError)
    return _unicode_escape(error.object[error.start : error.end]), error.end


_ESCAPE: Final = "durable.escape"
codecs.register_error(_ESCAPE, _escape_unencodable)


def json_text(document: Any, *, indent: bool = True) -> str:
    """Return the document as JSON text that is also safe on a terminal and in the log of a CI run.

    Keys keep their order. Lone surrogates are written as escapes.
    """
    import orjson

    try:
        text = orjson.dumps(document, option=orjson.OPT_INDENT_2 if indent else None).decode()
    except (TypeError, UnicodeEncodeError):
        import json

        text = json.dumps(document, indent=2 if indent else None)
    if "##" in text or not text.isascii():
        text = _COMMAND.sub(lambda match: _unicode_escape(match.group()), text)
    if text.isascii() and "\x7f" not in text:
        return text
    return _UNSAFE_IN_JSON.sub(lambda match: _unicode_escape(match.group()), text)


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

        What it can't show is a question mark for each column. A line that would begin with `::`,
        where a text is broken there, has an escape instead: a CI runner takes it for a command.
        """
        if not self.unicode:
            spans = [(_in_marks(text, self.encoding), style) for text, style in spans]
        if self.color:
            line = "".join(_painted(text, style) for text, style in spans)
        else:
            line = "".join(text for text, _ in spans).rstrip()
        return _COMMAND_LINE.sub(r"\1\\x3a", line)


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
    """Where a command's data goes."""

    path: str | None = None
    color: Color = Color.AUTO
    width: int | None = None

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

    def spare(self, sources: Sequence[str]) -> None:
        """Raise UsageError when the file to be written is one of those that are read."""
        for source in sources:
            if self.path is not None and source != "-" and _is_same_file(source, self.path):
                raise UsageError(f"{source}: is read here, and --output would overwrite it")

    def write(self, text: str) -> None:
        """Write the whole text to the file or to stdout, ending in one newline.

        Raises SourceError when the file can't be written, ReaderGone where nobody reads stdout any
        more. A character that stdout can't encode is written as its escape.
        """
        body = text if text.endswith("\n") else text + "\n"
        if self.path is None:
            try:
                _write_stream(sys.stdout, body)
            except BrokenPipeError:
                raise ReaderGone from None
            return
        try:
            Path(self.path).write_text(body, encoding="utf-8", errors=_ESCAPE)
        except OSError as error:
            raise SourceError(self.path, f"can't be written: {error.strerror}") from None


def _is_same_file(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except (OSError, ValueError):  # at least one of them is no file
        return False


def _write_stream(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "ascii"
    if not _can_show(text, encoding):
        text = text.encode(encoding, _ESCAPE).decode(encoding)
    stream.write(text)
    stream.flush()


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
    sys.stderr.write(f"{clean(text).encode(encoding, _ESCAPE).decode(encoding)}\n")


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
