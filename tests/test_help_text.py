"""What `durable --help` and `durable COMMAND --help` show: whole summaries, groups, examples."""

from __future__ import annotations

import shlex
from itertools import chain
from typing import Any, Final

import pytest
from typer.core import TyperCommand
from typer.main import get_command

from durable_cli.app import app, run
from durable_cli.help_text import EXAMPLES, GROUPS

COMMANDS: Final[Any] = get_command(app).commands  # type: ignore[attr-defined]
ARN = (
    "arn:aws:lambda:eu-west-1:111122223333:function:orders:7/durable-execution/order-1/"
    "0b6cbfc4-1c53-3a17-9d7e-0a4d9b2f7a11"
)


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run([*arguments, "--help"]) == 0
    return capsys.readouterr().out


def test_the_list_of_commands_shows_the_summary_of_each_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    listed = " ".join(shown(capsys).split())
    assert "..." not in listed.replace("[ARGS]...", "")
    for command in COMMANDS.values():
        summary, _, _ = command.help.partition("\n\n")
        assert " ".join(summary.split()) in listed


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_of_a_command_is_in_one_group(name: str) -> None:
    options = [each.opts[0] for each in COMMANDS[name].params if each.param_type_name == "option"]
    assert sorted(chain(*GROUPS[name].values())) == sorted(options)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_its_groups_options_and_examples(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(capsys, name).splitlines()
    for heading, options in GROUPS[name].items():
        start = lines.index(f"{heading}:")
        group = " ".join(lines[start : lines.index("", start)])
        assert [option for option in options if option not in group] == []
    examples = lines[lines.index("Examples:") + 1 :]
    assert [line.strip() for line in examples] == list(EXAMPLES[name])


class _Ran(Exception):
    """The command was entered: the call was refused neither by the parser nor for an option."""


@pytest.mark.parametrize("example", list(chain(*EXAMPLES.values())))
def test_each_example_of_the_help_is_a_call_that_is_not_refused(
    example: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ran(*_: Any) -> Any:
        raise _Ran

    monkeypatch.setattr(TyperCommand, "invoke", ran)
    monkeypatch.setenv("DURABLE_DEBUG", "1")
    words = [ARN if word == "ARN" else word for word in shlex.split(example)]
    assert words[0] == "durable"
    with pytest.raises(_Ran):
        run(words[1:])
