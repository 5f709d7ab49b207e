"""No text of a history becomes anything in Markdown, in whichever report it stands."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from durable_cli import render_markdown
from durable_cli.escapes import clean, markdown_text
from durable_cli.outline import outline
from durable_cli.render_verify_ci import render_markdown as render_verdicts
from durable_core.adapters.history_file import load_history
from durable_core.errors import SourceError
from durable_core.explaining.explain import explain
from durable_core.explaining.report import Reason, Report
from durable_core.model import ErrorObject
from durable_core.sandbox.user_code import CodeLine
from durable_core.verifying.verification import (
    Cause,
    Difference,
    Divergence,
    Inconclusive,
    Verdict,
    Verification,
)

HISTORIES = Path(__file__).parent.parent / "fixtures" / "histories"
GAP = "\u200b"
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
OURS = {
    *("paragraph_open", "paragraph_close", "inline", "text", "softbreak"),
    *("table_open", "table_close", "thead_open", "thead_close", "tbody_open", "tbody_close"),
    *("tr_open", "tr_close", "th_open", "th_close", "td_open", "td_close"),
    *("heading_open", "heading_close", "blockquote_open", "blockquote_close"),
    *("ordered_list_open", "ordered_list_close", "bullet_list_open", "bullet_list_close"),
    *("list_item_open", "list_item_close", "strong_open", "strong_close"),
}
"""What a report of ours is made of, with no text from elsewhere in it."""
LOOKED_FOR: Final = {
    "mention": r"@\w",
    "issue": r"#\w|\b[Gg][Hh]-\d|\b[A-Z][A-Z0-9]+-\d",
    "address": r"\w://|\bwww\.",
    "emoji": r":[\w+-]+:",
    "formula": r"\$\S+\$",
    "commit": r"(?<![0-9A-Za-z])[0-9a-fA-F]{7,40}(?![0-9A-Za-z])",
}
"""What GitHub looks for in the text that was parsed."""

HOSTILE = [
    "@user",
    "@org/team",
    "#1",
    "GH-1",
    "gh-22",
    "JIRA-7",
    "org/repo#3",
    "user@host.com",
    "CVE-2026-1",
    "http://h.io/x",
    "https://h.io",
    "www.h.io",
    "ftp://h",
    "<http://h.io>",
    "mailto:a@b.io",
    "[a](http://h)",
    "![i](u)",
    "[r]: u",
    "[^1]",
    "[^1]: note",
    "[ ] task",
    "`code`",
    "``",
    "```\nx",
    "*b*",
    "**b**",
    "_i_",
    "__b__",
    "~~s~~",
    "<b>",
    "<script>x</script>",
    "<!-- c",
    "&lt;",
    "&#64;x",
    "a|b",
    "\\|",
    "\\",
    "\n",
    "\r\n- x",
    "# h",
    "> q",
    "- l",
    "+ l",
    "1. l",
    "1) l",
    "---",
    "===",
    "    code",
    "\t",
    ":smile:",
    ":+1:",
    "$x$",
    "$$x$$",
    "$`x`$",
    "1ced8f5be2db",
    "deadbeef",
    "\u200b",
    "5ac76cb",
    "a" * 40,
    "\u202e",
    "| a | b |\n|---|---|",
    "@",
    "#",
    ":",
    "",
    " ",
]
TEXTS = st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=6)), max_size=5).map("".join)


def texts_of(marked: str) -> list[str]:
    """Return the texts of a document, as they stand in its parsed form, and hold its parts.

    GitHub looks into each text by itself: one ends where an element begins, here with a NUL.
    """
    found = []
    for token in PARSER.parse(marked):
        assert token.type in OURS, token
        if token.type != "inline":
            continue
        text = ""
        for child in token.children or ():
            is_our_element = child.content in ("<br>", "<span>", "</span>")
            assert child.type in OURS or is_our_element, child
            text += child.content if child.type == "text" else "\0"
        found.append(text)
    return found


def assert_nothing_is_found(texts: Iterable[str]) -> None:
    for text in (part for each in texts for part in each.split("\0")):
        for what, pattern in LOOKED_FOR.items():
            assert re.search(pattern, text) is None, (what, text)


TABLE = "| a | b |\n|---|---|\n| {} | {} |"


@settings(max_examples=300)
@given(TEXTS, st.sampled_from(["{}", "### {}", "- {}", "1. {}", "> {}", TABLE]))
def test_whatever_the_text_it_is_shown_and_is_nothing_else(text: str, around: str) -> None:
    found = texts_of("first\n\n" + around.replace("{}", markdown_text(text)) + "\n\nlast\n")
    assert_nothing_is_found(found)
    shown = [each.replace(GAP, "").replace("\0", "").strip() for each in found[1:-1]]
    expected = clean(text).strip()
    if around == TABLE:
        assert shown == ["a", "b", expected, expected]
    elif expected:
        assert shown == [expected]


@pytest.mark.parametrize("text", HOSTILE)
def test_each_kind_of_text_is_harmless_in_a_cell(text: str) -> None:
    found = texts_of(f"| a | b |\n|---|---|\n| {markdown_text(text)} | x |\n")
    assert len(found) == 4
    assert_nothing_is_found(found)


def test_what_is_harmless_stays_legible() -> None:
    for text in ("renamed.py:11", "histories/done.json", "1.0.1", "order-17", "262,144 bytes"):
        assert markdown_text(text) == text


# -- the reports ---------------------------------------------------------------------------------


def hostile_report(text: str) -> Report:
    report = explain(load_history(str(HISTORIES / "flat_overflow_reentered.json")))
    error = ErrorObject(type=text, message=text)
    rows = tuple(
        replace(row, position=text, name=text, sub_type=text, status=text, why=text, error=error)
        if number % 2
        else replace(row, completion_reason=text, payload=text, until=text)
        for number, row in enumerate(report.rows)
    )
    limits = tuple(replace(use, where=text, used=use.limit) for use in report.limits)
    return replace(
        report,
        source=text,
        name=text,
        function=text,
        version=text,
        status=text,
        rows=rows,
        limits=limits,
        reasons=(Reason(text, text), Reason(text)),
        warnings=(text,),
    )


@settings(max_examples=40)
@given(TEXTS)
@example("".join(HOSTILE))
def test_an_explained_history_is_nothing_but_its_report(text: str) -> None:
    report = hostile_report(text)
    assert_nothing_is_found(
        texts_of(render_markdown.render(report, outline(report.rows, expand=True)))
    )


@settings(max_examples=40)
@given(TEXTS)
@example("".join(HOSTILE))
@example(":smile:0")
def test_verdicts_are_nothing_but_their_report(text: str) -> None:
    line = CodeLine(text, 3, text, text)
    seen = Divergence(text, text, Cause.RENAMED, text, where=line, consequence=text)
    outcomes: list[tuple[str, Verification | SourceError]] = [
        (text, Verification(text, Verdict.COMPATIBLE, notes=(text, text))),
        (text, Verification(text, Verdict.DIVERGED, divergences=(seen,))),
        (text, Verification(text, Verdict.CANNOT_VERIFY, doubts=(Inconclusive(text, text, text),))),
        (
            text,
            Verification(text, Verdict.DIVERGED, differences=(Difference(text, text, text, text),)),
        ),
        (text, SourceError(text, text)),
    ]
    assert_nothing_is_found(texts_of(render_verdicts(outcomes, 2)))
