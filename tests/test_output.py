"""Laws of what is written: no column too many, nothing hostile, colours only where wanted."""

import io
import json
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from durable_cli.escapes import clean, json_text
from durable_cli.output import (
    Color,
    Output,
    Surface,
    bar,
    cell_len,
    chunks,
    fit,
    message,
    pad,
    wrap,
)
from durable_core.errors import SourceError
from durable_core.safe_text import without_commands

NASTY = st.text(
    alphabet=st.characters(codec=None)
    | st.sampled_from("\x1b\x07\x7f\x9b\u202e\u2066\u200d\u200b\ufeff\ud800\udfff\u2028\u00ad拒🛑é́")
)
HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def dangerous(text: str) -> list[str]:
    """Characters that could move, colour, reorder or hide text."""
    return [char for char in text if unicodedata.category(char) in HIDDEN]


# -- hostile text --------------------------------------------------------------------------------


@given(NASTY)
@example("\x1b[2J\x9b31m\u202egnp.exe\u2066\ud800\x00\r\n\t\x7f\u200b\U000e0041")
@example("".join(map(chr, range(sys.maxunicode + 1))))
def test_cleaned_text_moves_colours_reorders_and_hides_nothing(text: str) -> None:
    assert dangerous(clean(text)) == []


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S", "Zs", "M"])))
def test_cleaning_leaves_what_is_harmless(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b", "\\x9b"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\u202e", "\\u202e"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_is_dangerous_is_shown_as_its_escape(text: str, shown: str) -> None:
    assert clean(text) == shown


documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | NASTY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NASTY, inner, max_size=3),
    max_leaves=8,
)


@given(documents, st.booleans())
@example({"a": "\x7f\u202e", "b": "\ud800"}, True)
@example({"a": "\x7f", "b": 2**70}, False)
def test_json_says_the_same_and_is_safe_on_a_terminal(document: Any, indent: bool) -> None:
    text = json_text(document, indent=indent)
    assert json.loads(text) == document
    assert dangerous(text.replace("\n", "")) == []
    if not indent:
        assert "\n" not in text


def test_json_keeps_the_order_of_its_keys() -> None:
    assert list(json.loads(json_text({"z": 1, "a": 2, "m": 3}))) == ["z", "a", "m"]


# -- columns -------------------------------------------------------------------------------------

SHOWN = NASTY.map(clean)


@given(SHOWN, st.integers(1, 60), st.booleans())
def test_a_fitted_text_is_never_wider(text: str, width: int, unicode: bool) -> None:
    fitted = fit(text, width, unicode)
    assert cell_len(fitted) <= width
    if cell_len(text) <= width:
        assert fitted == text
    elif unicode:
        assert fitted.endswith("…")


@given(SHOWN, st.integers(0, 60), st.booleans())
def test_padding_fills_up_to_the_width_and_never_cuts(text: str, width: int, right: bool) -> None:
    padded = pad(text, width, right=right)
    assert cell_len(padded) == max(width, cell_len(text))
    assert padded.endswith(text) if right else padded.startswith(text)


@given(SHOWN, st.integers(2, 60))
def test_wrapped_lines_are_never_wider_and_lose_nothing_but_spaces(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert lines
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_text_is_wrapped_at_spaces_where_it_can_be() -> None:
    assert wrap("a bb ccc dddd", 6) == ["a bb", "ccc", "dddd"]
    assert wrap("abcdefgh ij", 4) == ["abcd", "efgh", "ij"]
    assert wrap("", 10) == [""]


@given(SHOWN, st.integers(2, 60))
def test_chunks_are_never_wider_and_lose_nothing(text: str, width: int) -> None:
    pieces = chunks(text, width)
    assert pieces
    assert all(cell_len(piece) <= width for piece in pieces)
    assert "".join(pieces) == text


@given(st.floats(0, 20), st.integers(1, 30), st.booleans())
def test_a_bar_has_exactly_its_cells(part: float, cells: int, unicode: bool) -> None:
    drawn = bar(part, cells, unicode)
    assert cell_len(drawn) == cells
    assert unicode or drawn.isascii()
    assert ("█" if unicode else "#") * cells == drawn or part < 1


def test_a_bar_shows_that_little_is_not_nothing() -> None:
    assert bar(0, 6, True) == "      "
    assert bar(0.001, 6, True) == "▏     "
    assert bar(0.5, 6, True) == "███   "
    assert bar(0.5, 6, False) == "###..."


def test_what_the_surface_can_not_show_takes_as_many_columns() -> None:
    ascii_only = Surface(width=80, color=False, unicode=False, encoding="ascii")
    line = ascii_only.line([("caf\u00e9 \u62d2\u5426", "title"), (" ok", "")])
    assert line == "caf? ???? ok"
    latin = Surface(width=80, color=False, unicode=False, encoding="latin-1")
    assert latin.line([("caf\u00e9 \u62d2", "")]) == "caf\u00e9 ??"


# -- colours -------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """A stream that says whether it is a terminal and how it encodes."""

    def __init__(self, tty: bool = True, encoding: str = "utf-8") -> None:
        super().__init__()
        self._tty = tty
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return self._tty


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("color", "tty", "environment", "path", "colored"),
    [
        ("auto", True, {}, None, True),
        ("auto", False, {}, None, False),
        ("auto", True, {}, "file", False),
        ("auto", True, {"NO_COLOR": "1"}, None, False),
        ("auto", True, {"NO_COLOR": ""}, None, True),
        ("auto", True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, None, False),
        ("auto", True, {"TERM": "dumb"}, None, False),
        ("auto", True, {"TERM": "xterm"}, None, True),
        ("auto", False, {"FORCE_COLOR": "1"}, None, True),
        ("auto", False, {"FORCE_COLOR": "1"}, "file", False),
        ("always", False, {"NO_COLOR": "1", "TERM": "dumb"}, None, True),
        ("always", False, {}, "file", True),
        ("never", True, {"FORCE_COLOR": "1"}, None, False),
    ],
)
def test_colours_are_where_they_are_wanted(
    monkeypatch: pytest.MonkeyPatch,
    color: str,
    tty: bool,
    environment: dict[str, str],
    path: str | None,
    colored: bool,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Terminal(tty))
    assert Output(path, Color(color)).surface().color is colored


@pytest.mark.parametrize(("color", "escapes"), [(False, False), (True, True)])
def test_a_coloured_line_says_the_same(color: bool, escapes: bool) -> None:
    line = Surface(80, color, True).line([("bad", "bad"), (" ", ""), ("good", "good")])
    assert ("\x1b[" in line) is escapes
    for code in ("1", "0", "31", "32", "1;31"):
        line = line.replace(f"\x1b[{code}m", "")
    assert line == "bad good"


@pytest.mark.parametrize(
    ("width", "columns", "tty", "expected"),
    [
        (None, None, False, 120),
        (77, "90", True, 77),
        (None, "90", False, 90),
        (None, "7", True, 40),
    ],
)
def test_the_width_is_asked_for_or_that_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
    width: int | None,
    columns: str | None,
    tty: bool,
    expected: int,
) -> None:
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys, "stdout", Terminal(tty))
    assert Output(width=width).surface().width == expected


# -- streams and files ---------------------------------------------------------------------------


class Encoded(io.TextIOWrapper):
    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="")

    def written(self) -> bytes:
        self.flush()
        return self.buffer.getvalue()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", "utf-16"])
@given(document=documents)
@example(document={"name": "é 拒 🛑 \ud800"})
def test_json_is_valid_in_every_encoding_of_stdout(encoding: str, document: Any) -> None:
    stream, before = Encoded(encoding), sys.stdout
    sys.stdout = stream
    try:
        Output().write(json_text(document))
    finally:
        sys.stdout = before
    assert json.loads(stream.written().decode(encoding)) == document


def test_a_stream_shows_what_it_can_and_escapes_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Encoded("latin-1")
    monkeypatch.setattr(sys, "stdout", stream)
    Output().write("é 拒")
    assert stream.written() == b"\xe9 \\u62d2\n"


def test_a_surface_knows_what_its_stream_can_show(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding, unicode in (("utf-8", True), ("ascii", False), ("cp1252", False)):
        monkeypatch.setattr(sys, "stdout", Terminal(encoding=encoding))
        assert Output().surface().unicode is unicode
        assert Output("file").surface().unicode


def test_a_file_is_utf_8_and_ends_in_one_newline(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    for text in ("é\ud800", "é\ud800\n"):
        Output(str(path), force=True).write(text)
        assert path.read_bytes() == "é\\ud800\n".encode()


def test_a_file_that_can_not_be_written_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a directory"):
        Output(str(tmp_path)).write("x")


def test_a_message_is_one_safe_line_on_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Encoded("ascii")
    monkeypatch.setattr(sys, "stderr", stream)
    message("bad\n\x1b[31m name é")
    assert stream.written() == b"durable: bad\\n\\x1b[31m name \\u00e9\n"


@given(st.text(st.characters()))
def test_what_is_clean_can_stand_in_an_xml_document(text: str) -> None:
    from xml.etree import ElementTree
    from xml.sax.saxutils import quoteattr

    written = clean(text)
    assert ElementTree.fromstring(f"<a b={quoteattr(written)}/>").get("b") == written


@pytest.mark.parametrize("char", ["\x00", "\x0b", "\ufffe", "\uffff", "\ud800"])
def test_what_xml_can_not_hold_is_escaped(char: str) -> None:
    assert clean(char).isascii()


@pytest.mark.parametrize("piece", ["ä", "#ä", "\x1b[m", "\x1b[", "#", ":", "::ä"])
def test_commands_are_looked_for_in_linear_time(piece: str) -> None:
    """Each of these took minutes, or would where a pattern goes back over what it has passed."""
    text = clean("##" + piece * 100_000)
    assert without_commands(text).count("\n") == 0
