"""No option takes an empty text, or a number that isn't one: both are slips, told in one line."""

from __future__ import annotations

from typing import Any, Final

import pytest
from typer.main import get_command

from durable_cli.app import app, run

COMMANDS: Final[Any] = get_command(app).commands  # type: ignore[attr-defined]
WITH: Final[dict[str, list[str]]] = {
    "replay": ["history.json"],
    "simulate": ["--handler", "app:handler"],
    "inspect-batch": ["history.json"],
    "fetch": ["--function-name", "orders"],
}


def options(*types: str) -> list[tuple[str, str]]:
    """Return commands and the options of them whose values are of these types."""
    return [
        (command, each.opts[0])
        for command in COMMANDS
        for each in COMMANDS[command].params
        if each.param_type_name == "option" and each.type.name in types
    ]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


@pytest.mark.parametrize(("command", "option"), options("text", "str", "path"))
def test_an_empty_text_is_refused(
    command: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, command, *WITH[command], option, "")
    assert said.startswith(f"durable: {option} is empty: expected ")


@pytest.mark.parametrize("command", ["replay", "inspect-batch", "fetch"])
def test_an_empty_argument_is_refused(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(capsys, command, "")
    assert said.split(" is empty")[0] in ("durable: SOURCE", "durable: ARN")


@pytest.mark.parametrize("value", ["nan", "inf", "1e300"])
@pytest.mark.parametrize(("command", "option"), options("float", "float range"))
def test_a_number_without_bound_is_refused(
    command: str, option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert option in refusal(capsys, command, *WITH[command], option, value)
