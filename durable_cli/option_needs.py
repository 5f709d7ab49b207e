"""Which options have an effect in which calls: one table, by command.

An option without effect in a call is refused with exit code 2, in one line that says what it needs:
whoever gave it expects something of it. What is its default counts as given when it is written out.

To add an option to a command, add a row for it below: its first spelling, then what it needs, or
nothing where it has an effect in every call:

    "--timeout": [],                                # an effect in every call
    "--every-invocation": [needs("--handler")],     # only where that is given, too
    "--prices": [excludes("--handler"), in_format("table", "json")],

The first need that a call doesn't meet is told. Tests walk all options of all commands: one without
a row fails `test_option_needs.py`. In `test_option_effects.py` each option has a call in which its
effect is seen: add one there, in each format in which it is not refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from durable_core.frozen import dataclass

if TYPE_CHECKING:
    from typer import Context


@dataclass(frozen=True, slots=True)
class CommandCall:
    """What a command was called with: values by the first spelling of each option, those of its
    arguments by their names. `given`: the options that were written out."""

    values: Mapping[str, Any]
    given: Sequence[str]

    def has(self, option: str) -> bool:
        """Tell whether an option is on, or has a value."""
        return self.values.get(option) not in (None, False, [], ())


Need = Callable[[CommandCall], str | None]
"""Returns why an option has no effect in a call, to be read after its name; None: it has one."""


def needs(*options: str) -> Need:
    """It has an effect only with one of these options."""

    def need(call: CommandCall) -> str | None:
        return None if any(map(call.has, options)) else f"has no effect without {_any_of(options)}"

    return need


def excludes(option: str, because: str = "") -> Need:
    """It has no effect with this option."""

    def need(call: CommandCall) -> str | None:
        return f"has no effect with {option}{because}" if call.has(option) else None

    return need


def in_format(*formats: str) -> Need:
    """It has an effect only where the report is written in one of these formats."""

    def need(call: CommandCall) -> str | None:
        format = call.values["--format"]
        if format in formats:
            return None
        return f"has no effect with --format {format}: it needs --format {_any_of(formats)}"

    return need


def _any_of(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _verdict_needs_handler(call: CommandCall) -> str | None:
    format = call.values["--format"]
    if format not in ("junit", "github") or call.has("--handler"):
        return None
    return f"{format} needs --handler: there is no verdict without one"


def _guards(call: CommandCall) -> str | None:
    return "has no effect with --guard off" if call.values["--guard"] == "off" else None


def _secrets_are_withheld(call: CommandCall) -> str | None:
    sets_one = any("=" in each for each in call.values["--env"])
    if call.values["--guard"] != "off" or sets_one:
        return None
    return "has no effect with --guard off, which withholds no variable"


def _several_histories(call: CommandCall) -> str | None:
    """A folder or a pattern may hold any number: only what is one by its looks is refused."""
    import glob
    import os

    sources: Sequence[str] = call.values["sources"]
    if len(sources) > 1 or os.path.isdir(sources[0]) or glob.has_magic(sources[0]):  # noqa: PTH112
        return None
    return "has no effect with one history: it needs several, a folder or a pattern"


def _source_in_aws(call: CommandCall) -> str | None:
    """Sources may be one (`source`) or several (`sources`)."""
    from durable_core.adapters.connection import Connection
    from durable_core.adapters.sources import is_execution

    endpoint = Connection(endpoint_url=call.values["--endpoint-url"]).endpoint
    given = call.values.get("sources") or [call.values["source"]]
    if any(is_execution(source, endpoint) for source in given):
        return None
    return "has no effect without the ARN of an execution as a source"


_SEARCHING: Final = [needs("--function-name")]
_FETCHING: Final = [excludes("--list")]
_VERIFYING: Final = [needs("--handler")]
_EXPLAINING: Final = [excludes("--handler")]
_LAID_OUT: Final = [in_format("table")]
_IN_AWS: Final[dict[str, list[Need]]] = {
    "--profile": [_source_in_aws],
    "--region": [_source_in_aws],
    "--endpoint-url": [_source_in_aws],
}

NEEDS: Final[Mapping[str, Mapping[str, Sequence[Need]]]] = {
    "replay": {
        "--handler": [],
        "--shallow": _VERIFYING,
        "--every-invocation": _VERIFYING,
        "--strict": _VERIFYING,
        "--runs": _VERIFYING,
        "--guard": _VERIFYING,
        "--allow-import": [*_VERIFYING, _guards],
        "--env": [*_VERIFYING, _secrets_are_withheld],
        "--timeout": _VERIFYING,
        "--jobs": _VERIFYING,  # a cap, which one history may not reach
        "--fail-fast": [*_VERIFYING, _several_histories],
        "--function": _VERIFYING,
        "--format": [_verdict_needs_handler],
        "--output": [],
        "--force": [needs("--output")],
        "--invocation": _EXPLAINING,
        "--only": _EXPLAINING,
        "--depth": _EXPLAINING,
        "--expand": [
            *_EXPLAINING,
            in_format("table", "markdown"),
            excludes("--show-payloads", ", which shows every unit"),
        ],
        "--show-payloads": _EXPLAINING,
        "--prices": _EXPLAINING,
        "--max-bytes": [],
        **_IN_AWS,
        "--color": _LAID_OUT,
        "--width": _LAID_OUT,
    },
    "inspect-batch": {
        "--sdk": [],
        "--max-bytes": [],
        "--max-operations": [],
        "--compare": [],
        "--expand": _LAID_OUT,
        "--format": [],
        "--output": [],
        "--force": [needs("--output")],
        **_IN_AWS,
        "--color": _LAID_OUT,
        "--width": _LAID_OUT,
    },
    "fetch": {
        "--function-name": [],
        "--qualifier": _SEARCHING,
        "--durable-execution-name": _SEARCHING,
        "--statuses": _SEARCHING,
        "--started-after": _SEARCHING,
        "--started-before": _SEARCHING,
        "--latest": _SEARCHING,
        "--reverse-order": [
            *_SEARCHING,
            excludes("--latest", ", which takes those that started last first"),
        ],
        "--list": _SEARCHING,
        "--format": [needs("--list")],
        "--output": [],
        "--output-dir": _FETCHING,
        "--force": [needs("--output", "--output-dir")],
        "--include-execution-data": _FETCHING,
        "--follow": _FETCHING,
        "--interval": [needs("--follow")],
        "--with-children": _FETCHING,
        "--depth": [needs("--with-children")],
        "--redact": _FETCHING,
        "--keep": [needs("--redact")],
        "--max-rate": [],
        "--timeout": [],
        "--profile": [],
        "--region": [],
        "--endpoint-url": [],
        "--color": [needs("--list"), *_LAID_OUT],
        "--width": [needs("--list"), *_LAID_OUT],
    },
    "simulate": {
        "--handler": [],
        "--event": [],
        "--scenario": [],
        "--record": [],
        "--record-updates": [],
        "--force": [
            needs("--record", "--record-updates", "--save-failing", "--output", "--handler-output")
        ],
        "--crash": [],
        "--save-failing": [needs("--crash")],
        "--check-determinism": [],
        "--check-races": [],
        "--interleaving": [],
        "--seed": [],
        "--runtime": [],
        "--isolate": [],
        "--timeout": [],
        "--real-durations": [],
        "--invocation-type": [],
        "--max-invocations": [],
        "--execution-timeout": [],
        "--prices": [],
        "--limits": [],
        "--handler-output": [],
        "--expand": _LAID_OUT,
        "--verbose": [],
        "--format": [],
        "--output": [],
        "--color": _LAID_OUT,
        "--width": _LAID_OUT,
    },
}


def refuse_without_effect(context: Context) -> None:
    """Raise UsageError for the first option of a call that has no effect in it."""
    spellings = {
        each.name: each.opts[0] if each.param_type_name == "option" else str(each.name)
        for each in context.command.params
    }
    values = {spellings[name]: value for name, value in context.params.items()}
    given = [
        spelling
        for name, spelling in spellings.items()
        if name and getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    ]
    call = CommandCall(values, given)
    rows = NEEDS.get(context.command.name or "", {})
    for option in given:
        for need in rows.get(option, ()):
            if (problem := need(call)) is not None:
                from durable_core.errors import UsageError

                raise UsageError(f"{_as_written(context, option, values[option])} {problem}")


def _as_written(context: Context, option: str, value: object) -> str:
    """Return how an option was spelled: one that can be on or off has two names."""
    for each in context.command.params:
        if each.opts[0] == option and value is False and each.secondary_opts:
            return str(each.secondary_opts[0])
    return option
