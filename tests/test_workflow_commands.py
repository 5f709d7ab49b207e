"""No text of a history is a command to the CI runner that reads what `durable` prints.

GitHub's runner obeys a line that begins, after spaces, with `::COMMAND::`, and `##[COMMAND]`
anywhere in a line; Azure's obeys `##vso[COMMAND]`. It reads stdout and stderr alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_cli.app import run
from durable_cli.escapes import clean, json_text
from durable_cli.output import Surface, wrap
from durable_core.safe_text import LineWatch, without_commands

FIXTURES: Final = Path(__file__).parent.parent / "fixtures"
HISTORY: Final = FIXTURES / "histories" / "step_retries_exhausted.json"
HANDLER: Final = str(FIXTURES / "handlers" / "aws_step_retries_exhausted.py:handler")
HOSTILE: Final = "##[stop-commands]a ##vso[task.x]b #\ufe0f#[c] " + "::add-mask::x " * 40
ANYWHERE: Final = re.compile(r"##(?:vso)?\[")


def commands(text: str) -> list[str]:
    """Return the lines that a runner takes for commands."""
    return [
        line
        for line in text.splitlines()
        if line.lstrip().startswith("::") or ANYWHERE.search(re.sub("[^ -~]", "", line))
    ]


@pytest.fixture
def history(tmp_path: Path) -> str:
    text = HISTORY.read_text().replace("attempt 3 was refused", HOSTILE)
    path = tmp_path / "##[error]history.json"
    path.write_text(text.replace('"call-service"', '"::error::##[error]"'))
    path.with_name("##[x]broken.json").write_text('{"Events": [{"EventType": "##[x]"')
    return str(path)


@pytest.mark.parametrize(
    "options",
    [
        *(["--width", str(width)] for width in range(40, 140, 7)),
        ["--color", "always"],
        ["--show-payloads", "--prices", "default"],
        ["--format", "json"],
        ["--format", "jsonl"],
        ["--format", "markdown", "--prices", "default"],
        *(
            ["--handler", HANDLER, "--runs", "1", "--format", format]
            for format in ("table", "json", "markdown", "junit")
        ),
    ],
    ids=" ".join,
)
def test_what_a_history_says_is_no_command(
    options: Sequence[str], history: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["replay", str(Path(history).parent), *options])
    out, err = capsys.readouterr()
    assert out
    assert "broken.json" in err
    assert commands(out) == []
    assert commands(err) == []
    if "junit" in options:
        ElementTree.fromstring(out)


def test_in_githubs_format_the_only_commands_are_annotations(
    history: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["replay", history, "--handler", HANDLER, "--runs", "1", "--format", "github"])
    out, err = capsys.readouterr()
    assert commands(err) == []
    assert commands(out) == out.splitlines() != []
    for line in out.splitlines():
        assert re.match(r"::(?:notice|warning|error) (?:file=[^:,]+,line=\d+,)?title=[^:]+::", line)


SIGNS: Final = st.text(st.sampled_from("#:[] avso\ufe0f\t")).map(clean)


@given(SIGNS, st.integers(1, 9))
def test_no_line_of_a_table_is_a_command(text: str, width: int) -> None:
    surface = Surface(80, color=False, unicode=True)
    lines = [surface.line([("  ", ""), (line, "")]) for line in wrap(text, width)]
    assert commands(without_commands("\n".join(lines))) == []


@given(st.text(st.sampled_from('#:[] avso\ufe0f\t\n"\\')))
def test_a_json_text_holds_no_command_and_the_same_value(text: str) -> None:
    for written in (json_text([text]), json_text({text: text}, indent=False)):
        assert commands(written) == []
    assert json.loads(json_text([text])) == [text]


@given(st.lists(st.text(st.sampled_from("#:[] avso\ufe0f\t\n\x1b")), max_size=8))
def test_nothing_that_a_handler_prints_in_pieces_is_a_command(pieces: list[str]) -> None:
    watch = LineWatch()
    written = "".join(watch.filtered(piece) for piece in pieces)
    assert commands(written.replace("\x1b[", "")) == []
    assert written.replace("\\x3a", ":").replace("\\x5b", "[") == "".join(pieces)


def test_no_number_of_spaces_hides_a_command() -> None:
    watch = LineWatch()
    pieces = [" " * 1000, "\t", ":", ":error::x"]
    assert commands("".join(map(watch.filtered, pieces))) == []


def test_a_line_that_grows_piece_by_piece_takes_no_more_time_than_its_pieces() -> None:
    watch = LineWatch()
    for _ in range(3):
        assert watch.filtered("." * 1_000_000) == "." * 1_000_000
        assert len(watch._line) < 100
