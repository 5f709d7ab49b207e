"""The report as text: never wider than its surface, whatever stands in the history."""

import re
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from durable_cli import render_markdown, render_text
from durable_cli.figures import bytes_text, percent_text, plural, size_text
from durable_cli.outline import outline
from durable_cli.output import Surface, cell_len
from durable_core.adapters.history_file import load_history
from durable_core.explaining.explain import explain
from durable_core.explaining.report import Reason, Replay, Report, Row
from durable_core.model import ErrorObject

FIXTURES = Path(__file__).parent.parent / "fixtures"
SOURCES = [*(FIXTURES / "histories").glob("*.json"), *(FIXTURES / "states").glob("*.json")]
every_source = pytest.mark.parametrize("path", sorted(SOURCES), ids=lambda path: path.stem)
WIDTHS = (*range(40, 160, 7), 60, 79, 80, 100, 120, 180, 200, 250)


@cache
def report_of(path: Path) -> Report:
    return explain(load_history(str(path)), show_payloads=path.stem.startswith("non_ascii"))


def rendered(report: Report, width: int, *, unicode: bool = True, expand: bool = False) -> str:
    surface = Surface(width, False, unicode, "utf-8" if unicode else "ascii")
    return render_text.render(report, outline(report.rows, expand=expand), surface)


def too_wide(text: str, width: int) -> list[str]:
    return [line for line in text.splitlines() if cell_len(line) > width]


@every_source
def test_no_line_is_wider_than_the_surface(path: Path) -> None:
    for width in WIDTHS:
        assert not too_wide(rendered(report_of(path), width), width), width


@every_source
def test_an_ascii_surface_gets_ascii_only_and_no_wider(path: Path) -> None:
    for width in (40, 60, 80, 120):
        text = rendered(report_of(path), width, unicode=False)
        assert text.isascii()
        assert not too_wide(text, width)


@every_source
def test_no_line_ends_in_a_space(path: Path) -> None:
    for width in (60, 120, 200):
        lines = rendered(report_of(path), width).splitlines()
        assert [line for line in lines if line.endswith(" ")] == []


@every_source
def test_every_position_and_what_a_replay_does_is_in_the_text(path: Path) -> None:
    report = report_of(path)
    text = " ".join(rendered(report, 200, expand=True).split())
    for row in report.rows:
        assert f" {row.position} " in text
        assert row.why[:20] in text


@every_source
def test_colour_changes_nothing_but_the_colour(path: Path) -> None:
    report = report_of(path)
    lines = outline(report.rows, expand=False)
    colored = render_text.render(report, lines, Surface(120, True, True))
    for code in ("0", "1", "2", "31", "32", "33", "35", "36", "1;31"):
        colored = colored.replace(f"\x1b[{code}m", "")
    plain = rendered(report, 120)
    assert [line.rstrip() for line in colored.splitlines()] == plain.splitlines()


def of(name: str) -> Report:
    return report_of(FIXTURES / "histories" / f"{name}.json")


def test_the_heading_says_who_wrote_it_how_it_stands_and_how_long_it_took() -> None:
    lines = rendered(of("flat_overflow_reentered"), 120).splitlines()[1:5]
    assert [line.split(maxsplit=1)[0] for line in lines] == [
        "execution",
        "written",
        "time",
        "stored",
    ]
    assert "SUCCEEDED" in lines[0]
    assert "Python SDK" in lines[1]
    assert "3 invocations" in lines[2]
    assert "8 operations" in lines[3]


def test_five_hundred_units_fold_into_ranges() -> None:
    text = rendered(of("five_hundred_units"), 120)
    assert "units 0-98" in text
    assert len(text.splitlines()) < 40
    assert len(rendered(of("five_hundred_units"), 120, expand=True).splitlines()) > 500


def test_a_payload_over_the_limit_is_said_to_be() -> None:
    assert "OVER THE LIMIT" in rendered(of("large_step"), 120)
    assert "OVER THE LIMIT" not in rendered(of("five_hundred_units"), 120)


NASTY = st.text(
    alphabet=st.characters(codec=None)
    | st.sampled_from("\x1b\x07\x7f\x9b\u202e\u2066\u200b\ufeff\ud800\u2028拒🛑é́ "),
    max_size=80,
)


def hostile(report: Report, text: str, number: int) -> Report:
    """Put the text wherever a history's own text can stand."""
    rows = tuple(
        replace(
            row,
            position=text or "1",
            name=text,
            sub_type=text,
            started=datetime.min.replace(tzinfo=UTC),
            ended=datetime.max.replace(tzinfo=UTC),
            why=text,
            completion_reason=text,
            payload=text,
            payload_bytes=number,
            attempts=number,
            error=ErrorObject(type=text, message=text),
        )
        for row in report.rows
    )
    return replace(
        report,
        source=text,
        name=text,
        function=text,
        version=text,
        rows=rows,
        stored_bytes=number,
        limits=tuple(replace(use, where=text, used=number) for use in report.limits),
        reasons=(Reason(text, text),) * 2,
        warnings=(text,),
    )


@settings(max_examples=60)
@given(NASTY, st.integers(0, 10**13), st.integers(40, 250), st.booleans(), st.booleans())
@example("\x1b[31m\u202e拒" * 30, 10**13, 40, False, True)
@example("x" * 300, 10**13, 40, True, True)
@example("\n", 0, 60, True, False)
def test_hostile_text_is_shown_within_the_columns_and_moves_nothing(
    text: str, number: int, width: int, unicode: bool, expand: bool
) -> None:
    report = hostile(of("flat_overflow_reentered"), text, number)
    shown = rendered(report, width, unicode=unicode, expand=expand)
    assert not too_wide(shown, width)
    assert unicode or shown.isascii()
    for char in shown.replace("\n", ""):
        assert unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
    marked = render_markdown.render(report, outline(report.rows, expand=expand))
    for char in marked.replace("\n", ""):
        assert unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


@pytest.mark.parametrize("depth", [1, 12, 13, 14, 40, 5_000])
def test_a_deep_tree_stays_within_the_columns(depth: int) -> None:
    rows = [
        Row(f"{n}", n, "CONTEXT", Replay.RUNS_AGAIN, "runs again", id=f"{n}", name="nested")
        for n in range(depth)
    ]
    for width in (40, 80, 120):
        for unicode in (True, False):
            text = rendered(replace(of("waits"), rows=tuple(rows)), width, unicode=unicode)
            assert not too_wide(text, width)


def test_a_report_without_any_row_that_matches_says_so() -> None:
    report = of("waits")
    text = render_text.render(report, [], Surface(80, False, True))
    assert "nothing to show: no operation matches" in text


def test_the_last_line_of_several_histories_counts_them() -> None:
    surface = Surface(120, False, True)
    reports = [of("waits"), of("running_on_wait"), of("empty_execution")]
    assert render_text.summary_line(reports, 2, surface) == (
        "3 histories: 1 RUNNING, 2 SUCCEEDED; 2 could not be read"
    )
    assert render_text.summary_line(reports[:1], 0, surface) == "1 history: 1 SUCCEEDED"


# -- markdown ------------------------------------------------------------------------------------


def test_markdown_is_a_heading_and_a_table() -> None:
    report = of("flat_overflow_reentered")
    lines = render_markdown.render(report, outline(report.rows, expand=False)).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert lines[0].startswith("### ")
    assert len(table) == 2 + len(report.rows)
    assert {line.count("|") for line in table} == {8}


@settings(max_examples=60)
@given(NASTY)
@example("| a\n| b | <script>@everyone [x](y) `z` # *b* _i_ \\| http://h")
def test_no_name_breaks_out_of_its_markdown_cell(text: str) -> None:
    report = hostile(of("flat_overflow_reentered"), text, 1)
    marked = render_markdown.render(report, outline(report.rows, expand=True))
    rows = [line for line in marked.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(report.rows)
    assert {line.count("|") for line in rows} == {8}
    marked = re.sub(r"`[^`\n]*`", "", marked)
    for markup in ("<script", "](", "@everyone", "http://"):
        assert markup not in marked


# -- figures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "text"),
    [
        *[(0, "0 %"), (0.0001, "<1 %"), (0.01, "1 %"), (0.5, "50 %"), (0.985, "98 %")],
        *[(0.991, ">99 %"), (0.99999, ">99 %"), (1, "100 %"), (12.5, "1,250 %")],
    ],
)
def test_a_percentage_is_never_0_or_100_for_what_only_comes_near(part: float, text: str) -> None:
    assert percent_text(part) == text


def test_bytes_are_said_in_full_and_sizes_in_their_largest_unit() -> None:
    assert (bytes_text(262_144), bytes_text(None)) == ("262,144", "?")
    assert [size_text(n) for n in (0, 1, 1_023, 1_024, 1_048_576, 10**9)] == [
        *["0 bytes", "1 byte", "1,023 bytes", "1.0 KiB", "1.0 MiB", "953.7 MiB"]
    ]
    assert (plural(1, "unit"), plural(2_000, "unit")) == ("1 unit", "2,000 units")
