"""Every option of every command either has an effect in a call or is refused with what it needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from typer.core import TyperCommand
from typer.main import get_command

from durable_cli.app import app, run
from durable_cli.option_needs import NEEDS

ROOT = Path(__file__).resolve().parent.parent
COMMANDS: Final[Any] = get_command(app).commands  # type: ignore[attr-defined]
HISTORY = f"{ROOT}/fixtures/histories/flat_overflow_reentered.json"
UPDATES = f"{ROOT}/fixtures/updates/small_updates.json"
ARN = (
    "arn:aws:lambda:eu-west-1:111122223333:function:orders:7/durable-execution/order-1/"
    "0b6cbfc4-1c53-3a17-9d7e-0a4d9b2f7a11"
)
VERIFIES = ["--handler", "app:handler"]
APP = """
async def handler(event, ctx):
    print("printed")
    return await ctx.step(lambda step: 1, name="one")
"""


def options_of(command: str) -> list[Any]:
    return [
        each
        for each in COMMANDS[command].params
        if each.param_type_name == "option" and each.opts[0] != "--help"
    ]


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_option_has_a_row_and_every_row_an_option(command: str) -> None:
    assert set(NEEDS[command]) == {each.opts[0] for each in options_of(command)}


# -- what is refused -----------------------------------------------------------------------------

VALUES: Final = {
    "--handler": "app:handler",
    "--guard": "block",
    "--env": "A_TOKEN=one",
    "--only": "failed",
    "--format": "table",
    "--color": "auto",
    "--sdk": "python",
    "--output": "out.txt",
    "--output-dir": "out",
    "--crash": "throttle",
    "--runtime": "native",
    "--invocation-type": "Event",
    "--statuses": "FAILED",
    "--started-after": "2h",
    "--started-before": "2h",
    "--keep": "charge",
    "--prices": "default",
}


def written(option: Any) -> list[str]:
    """Return an option with its default, where it has one: that counts as given, too."""
    if option.is_flag:
        return [option.opts[0]]
    value = option.default if isinstance(option.default, int | float | str) else None
    return [option.opts[0], str(VALUES.get(option.opts[0], value or "50"))]


EXPLAINED = ["--shallow", "--every-invocation", "--strict", "--runs", "--guard", "--timeout"]
EXPLAINED += ["--jobs", "--fail-fast", "--function", "--allow-import", "--env"]
VERIFIED = ["--invocation", "--only", "--depth", "--expand", "--show-payloads", "--prices"]
LAID_OUT = ["--color", "--width"]
IN_AWS = ["--profile", "--region", "--endpoint-url"]
FOUND = ["--qualifier", "--durable-execution-name", "--statuses", "--started-after"]
FOUND += ["--started-before", "--latest", "--reverse-order", "--list", "--format"]
FETCHED = ["--output-dir", "--force", "--include-execution-data", "--follow", "--with-children"]
FETCHED += ["--redact", "--interval", "--depth", "--keep"]
LIST = ["fetch", "--function-name", "orders", "--list"]

REFUSED: Final[list[tuple[list[str], list[str]]]] = [
    (["replay", HISTORY], [*EXPLAINED, *IN_AWS, "--force"]),
    (["replay", HISTORY, "--format", "markdown"], [*EXPLAINED, *IN_AWS, "--force", *LAID_OUT]),
    (
        ["replay", HISTORY, "--format", "json"],
        [*EXPLAINED, *IN_AWS, "--force", "--expand", *LAID_OUT],
    ),
    (
        ["replay", HISTORY, "--format", "jsonl"],
        [*EXPLAINED, *IN_AWS, "--force", "--expand", *LAID_OUT],
    ),
    (["replay", HISTORY, "--show-payloads"], [*EXPLAINED, *IN_AWS, "--force", "--expand"]),
    (["replay", ARN], [*EXPLAINED, "--force"]),
    (["replay", HISTORY, *VERIFIES], [*VERIFIED, *IN_AWS, "--fail-fast", "--force"]),
    (["replay", HISTORY, HISTORY, *VERIFIES], [*VERIFIED, *IN_AWS, "--force"]),
    (["replay", ARN, *VERIFIES], [*VERIFIED, "--fail-fast", "--force"]),
    *(
        (
            ["replay", HISTORY, HISTORY, *VERIFIES, "--format", format],
            [*VERIFIED, *IN_AWS, *LAID_OUT, "--force"],
        )
        for format in ("json", "jsonl", "markdown", "junit", "github")
    ),
    (["inspect-batch", UPDATES], [*IN_AWS, "--force"]),
    (["inspect-batch", UPDATES, "--format", "json"], [*IN_AWS, *LAID_OUT, "--expand", "--force"]),
    (["inspect-batch", ARN], ["--force"]),
    (["replay", HISTORY, "-o", "f"], [*EXPLAINED, *IN_AWS]),
    (["inspect-batch", UPDATES, "-o", "f"], IN_AWS),
    (["fetch", ARN], [*FOUND, *LAID_OUT, "--force", "--interval", "--depth", "--keep"]),
    (["fetch", ARN, "-o", "f"], [*FOUND, *LAID_OUT, "--interval", "--depth", "--keep"]),
    (
        ["fetch", "--function-name", "orders"],
        ["--format", *LAID_OUT, "--force", "--interval", "--depth", "--keep"],
    ),
    (
        ["fetch", "--function-name", "orders", "--latest", "2"],
        ["--format", *LAID_OUT, "--force", "--interval", "--depth", "--keep", "--reverse-order"],
    ),
    (LIST, FETCHED),
    ([*LIST, "--format", "json"], [*FETCHED, *LAID_OUT]),
    (["simulate", *VERIFIES], ["--save-failing", "--force"]),
    (
        ["simulate", *VERIFIES, "--format", "json"],
        ["--save-failing", "--force", *LAID_OUT, "--expand"],
    ),
    (["simulate", *VERIFIES, "--crash", "throttle"], ["--force"]),
    *(
        (["simulate", *VERIFIES, "--crash", "throttle", option, "f.json"], [])
        for option in ("--record", "--record-updates", "--save-failing", "-o", "--handler-output")
    ),
]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


class _Ran(Exception):
    """The command itself was entered: the call was not refused."""


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Returns with which line a call is refused; None for one that isn't."""

    def call(arguments: Sequence[str]) -> str | None:
        with monkeypatch.context() as patch:
            patch.setattr(TyperCommand, "invoke", _raise_ran)
            patch.setenv("DURABLE_DEBUG", "1")
            try:
                code = run(list(arguments))
            except _Ran:
                return None
        out, err = capsys.readouterr()
        assert (code, out, err.count("\n")) == (2, "", 1)
        return err

    return call


def _raise_ran(*_: Any, **__: Any) -> Any:
    raise _Ran


@pytest.mark.parametrize(("call", "refused"), REFUSED, ids=lambda each: " ".join(each)[-60:])
def test_an_option_without_effect_is_refused_with_what_it_needs(
    refusal: Any, call: list[str], refused: list[str]
) -> None:
    assert refusal(call) is None
    for option in options_of(call[0]):
        name = option.opts[0]
        if name in call:
            continue
        said = refusal([*call, *written(option)])
        if name in refused:
            assert said is not None, f"{name} is not refused"
            assert re.match(rf"durable: {name} has no effect with(out)? ", said)
        else:
            others = [each for each in call if each.startswith("--")]
            assert said is None or said.split()[1] in others, said


def test_a_negated_option_is_named_as_it_was_written(refusal: Any) -> None:
    said = refusal([*LIST, "--no-include-execution-data"])
    assert said == "durable: --no-include-execution-data has no effect with --list\n"


def test_a_format_of_verdicts_needs_a_handler(refusal: Any) -> None:
    for format in ("junit", "github"):
        said = refusal(["replay", HISTORY, "--format", format])
        assert (
            said == f"durable: --format {format} needs --handler: there is no verdict without one\n"
        )


def test_a_folder_or_a_pattern_may_hold_several_histories(refusal: Any, project: Path) -> None:
    for source in (str(project), "*.json"):
        assert refusal(["replay", source, *VERIFIES, "--fail-fast"]) is None
