"""Whatever text a history, a record, a payload or a file's name holds: in every format of every
command, on stdout and stderr, it is shown and is nothing else."""

from __future__ import annotations

import io
import json
import os
import re
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from durable_cli.app import run
from durable_cli.escapes import json_text
from durable_cli.output import Color, Output, error_line
from durable_cli.render_fetch import event_line, executions_document, executions_table
from durable_cli.verifying import _rendered
from durable_core.errors import SourceDefect, SourceError
from durable_core.sandbox.user_code import CodeLine
from durable_core.verifying.verification import (
    Cause,
    Difference,
    Divergence,
    Inconclusive,
    Verdict,
    Verification,
)

HOSTILE: Final = [
    *("::error::", "::stop-commands::x", ":", "::", "##[error]", "##vso[task.x]", "##", "[", "]"),
    *("\x1b[2J", "\x9b31m", "\x07", "\x00", "\r", "\n", "\t", "\x7f", "\u202e", "\u2066", "\u2028"),
    *("\ufffe", "\uffff", "\ud800", "\udfff", "\ufeff", "\u200b", "\ufe0f", "\U000e0041"),
    *("@user", "@org/team", "a@b.co", "a@-b.co", "www.h.io", "http://h.io", "mailto:a@b.io"),
    *("[a](http://h)", "![i](u)", "<b>", "<!--", "]]>", "&lt;", "&#64;", '"', "'", "`", "|", "\\"),
    *(
        "# h",
        "- l",
        "1. l",
        "> q",
        "---",
        "$x$",
        ":smile:",
        "#1",
        "GH-1",
        "deadbeef0",
        "%0A",
        "%25",
    ),
    *(" ", "x", "é", "拒", "🛑"),
]
TEXTS: Final = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=4), max_size=6).map("".join)
EVERYTHING: Final = " ".join(HOSTILE) + "\n" + "".join(HOSTILE)
HIDDEN: Final = ("Cc", "Cf", "Cs", "Zl", "Zp")
OUR_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
PARSER: Final = MarkdownIt("commonmark").enable(["table", "strikethrough"])
FOUND_BY_GITHUB: Final = re.compile(
    r"@[\w.+-]|\w://|\bwww\.|#\w|:[\w+-]+:|\bGH-\d|\$\S+\$", re.IGNORECASE
)
MARKUP: Final = {
    "link_open",
    "image",
    "html_inline",
    "html_block",
    "code_inline",
    "em_open",
    "fence",
}


# -- what holds of an output ---------------------------------------------------------------------


def check_terminal(text: str) -> None:
    text = OUR_COLOURS.sub("", text)
    assert [char for char in text if char != "\n" and unicodedata.category(char) in HIDDEN] == []
    check_no_command(text)


def check_no_command(text: str) -> None:
    for line in text.split("\n"):
        assert not line.strip().startswith("::"), line
        assert not re.search(r"##(?:vso)?\[", re.sub("[^ -~]", "", line), re.IGNORECASE), line


def check_json(text: str) -> None:
    json.loads(text)
    check_terminal(text)


def check_json_lines(text: str) -> None:
    for line in text.splitlines():
        check_json(line)


def check_xml(text: str) -> None:
    ElementTree.fromstring(text)
    check_terminal(text)


def check_markdown(text: str) -> None:
    check_no_command(text)
    for token in PARSER.parse(text):
        assert token.type not in MARKUP
        for child in token.children or ():
            ours = child.content in ("<br>", "<span>", "</span>")
            assert ours or child.type not in MARKUP, child
            assert not FOUND_BY_GITHUB.search(child.content), child.content


def check_workflow(text: str) -> None:
    for line in text.splitlines():
        said = re.fullmatch(
            r"::(?:error|warning|notice) (?:file=[^:,]*,line=\d+,)?title=[^:,]+::(.*)", line
        )
        assert said is not None, line
        check_terminal(f"x{said.group(1)}")
        assert not re.search(r"%(?!25)", said.group(1)), line


CHECKS: Final[Mapping[str, Callable[[str], None]]] = {
    "table": check_terminal,
    "json": check_json,
    "jsonl": check_json_lines,
    "markdown": check_markdown,
    "junit": check_xml,
    "github": check_workflow,
}


# -- the commands --------------------------------------------------------------------------------


@contextmanager
def own_folder() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        yield


def printed(*arguments: str, check: Callable[[str], None]) -> str:
    """Run a command, check what it prints, and return its report."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(list(arguments))
    assert code != 70, err.getvalue()
    check_terminal(err.getvalue())
    if out.getvalue():
        check(out.getvalue())
    return out.getvalue()


def file_named(text: str, content: str) -> str:
    """Write a file whose name holds the text, as far as a name can."""
    name = re.sub("[/\0\ud800-\udfff]", "_", text).encode()[:180].decode(errors="ignore")
    path = Path(f"{name}.json" if not name.startswith("-") else f"_{name}.json")
    path.write_text(content)
    return os.fspath(path)


def event(number: int, kind: str, text: str, **more: Any) -> dict[str, Any]:
    told = {"Id": text or "a", "Name": text, "SubType": text, **more}
    return {"EventType": kind, "EventId": number, "EventTimestamp": number, **told}


def hostile_history(text: str) -> dict[str, Any]:
    failed = {"ErrorType": text, "ErrorMessage": text, "ErrorData": text, "StackTrace": [text]}
    return {
        "DurableExecutionArn": text,
        "DurableExecutionName": text,
        "FunctionArn": text,
        "Version": text,
        "Events": [
            {
                **event(1, "ExecutionStarted", text, Id="e"),
                "ExecutionStartedDetails": {"Input": {"Payload": text}},
            },
            event(2, "StepStarted", text),
            {
                **event(3, "StepFailed", text),
                "StepFailedDetails": {"Error": {"Payload": failed}, text: text},
            },
            event(4, "ContextStarted", text, Id="c", ParentId=None),
            {
                **event(5, "ContextSucceeded", text, Id="c"),
                "ContextSucceededDetails": {"Result": {"Payload": text}},
            },
            {**event(6, "InvocationCompleted", text), "InvocationCompletedDetails": {}},
            {
                **event(7, "ExecutionFailed", text, Id="e"),
                "ExecutionFailedDetails": {"Error": {"Payload": failed}},
            },
        ],
    }


@settings(max_examples=10, deadline=None)
@given(TEXTS)
@example(EVERYTHING)
def test_a_history_that_is_explained(text: str) -> None:
    with own_folder():
        source = file_named(text, json.dumps(hostile_history(text)))
        broken = file_named(f"{text}2", json.dumps({"Events": [{"EventType": text or "x"}]}))
        for format in ("table", "json", "jsonl", "markdown"):
            more = ["--show-payloads", "--prices", "default", "--format", format]
            printed("replay", source, broken, f"{text}!", *more, check=CHECKS[format])
        printed("replay", source, "--width", "57", "--color=always", check=check_terminal)
        for format in ("table", "json"):
            printed("inspect-batch", source, "--compare", "--format", format, check=CHECKS[format])


HANDLER: Final = """
from datetime import timedelta
async def handler(event, ctx):
    async def child(inner):
        await inner.step(lambda step: event, name=event)
        await inner.wait(timedelta(seconds=1), name=event)
        return event
    await ctx.run_in_child_context(child, name=event)
    raise type(event or "E", (Exception,), {})(event)
"""


@settings(max_examples=5, deadline=None)
@given(TEXTS.filter(lambda text: "\0" not in text and text.isprintable()))
@example("::error::x ##[group] @user a@b.co www.h.io <b> ]]> %0A")
def test_a_handler_that_is_simulated(text: str) -> None:
    with own_folder():
        Path("app.py").write_text(HANDLER)
        Path("e.json").write_text(json.dumps(text))
        for format in ("table", "json"):
            call = ["simulate", "--handler", "app.py:handler", "-e", "e.json", "--format", format]
            printed(*call, check=CHECKS[format])
            printed(*call, "--verbose", "--crash", "throttle", check=CHECKS[format])


@settings(max_examples=40, deadline=None)
@given(TEXTS, st.sampled_from(sorted(CHECKS)))
@example(EVERYTHING, "table")
@example(EVERYTHING, "json")
@example(EVERYTHING, "jsonl")
@example(EVERYTHING, "markdown")
@example(EVERYTHING, "junit")
@example(EVERYTHING, "github")
def test_verdicts(text: str, format: str) -> None:
    line = CodeLine(text, 3, text, text)
    seen = Divergence(
        *(text, text, Cause.RENAMED, text, text, "deep", text),
        where=line,
        consequence=text,
        also_at=(text, text),
    )
    outcomes: list[Any] = [
        Verification(text, Verdict.COMPATIBLE, notes=(text, text), name=text, function=text),
        Verification(text, Verdict.DIVERGED, divergences=(seen,), status=text, runtime=text),
        Verification(text, Verdict.CANNOT_VERIFY, doubts=(Inconclusive(text, text, text),)),
        Verification(text, Verdict.DIVERGED, differences=(Difference(text, text, text, text),)),
        SourceError(text, text, text),
        SourceDefect(text, text, text),
    ]
    out = io.StringIO()
    target = Output(width=60, color=Color.NEVER)
    with redirect_stdout(out):
        shown = _rendered([(text, each) for each in outcomes], 2, format, target)
        target.write(shown, has_commands=format == "github")
    CHECKS[format](out.getvalue())


@settings(max_examples=40, deadline=None)
@given(TEXTS)
@example(EVERYTHING)
def test_executions_that_are_listed_and_followed(text: str) -> None:
    names = ("DurableExecutionArn", "DurableExecutionName", "Status", "StartTimestamp")
    items = [dict.fromkeys(names, text), {text: text}]
    target = Output(width=60, color=Color.ALWAYS)
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        target.write(executions_table(text, items, target.surface()))
        for each in hostile_history(text)["Events"]:
            error_line(event_line(each))
    check_terminal(out.getvalue())
    check_terminal(err.getvalue())
    check_json(json_text(executions_document(text, items)))


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay", EVERYTHING.replace("\0", "")],
        ["replay", "x", "--format", EVERYTHING],
        [EVERYTHING],
        ["replay", "x", "--only", EVERYTHING],
        ["simulate", "--handler", EVERYTHING],
        ["simulate", "--handler", "a:b", "-e", EVERYTHING],
        ["fetch", EVERYTHING],
        ["fetch", "--function-name", EVERYTHING, "--started-after", EVERYTHING],
        ["fetch", "--function-name", "f", "--statuses", EVERYTHING],
        ["inspect-batch", "x", "-o", EVERYTHING],
    ],
    ids=range(10),
)
def test_wrong_usage(arguments: list[str]) -> None:
    with own_folder():
        printed(*arguments, check=check_terminal)
