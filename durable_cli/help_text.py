"""How `durable COMMAND --help` is laid out: groups of options, and examples, by command.

To add an option to a command, add its first spelling to a group below. Tests hold that each option
is in one group, and that each example is a call that works.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from click import HelpFormatter
    from typer import Context

_AWS: Final = ("--profile", "--region", "--endpoint-url")
_REPORT: Final = ("--format", "--output", "--force", "--color", "--width")

GROUPS: Final[Mapping[str, Mapping[str, Sequence[str]]]] = {
    "replay": {
        "Explain": (
            *("--invocation", "--only", "--depth", "--expand", "--show-payloads", "--prices"),
        ),
        "Verify a handler": (
            *("--handler", "--shallow", "--every-invocation", "--strict", "--function"),
            *("--runs", "--guard", "--allow-import", "--env", "--timeout", "--jobs", "--fail-fast"),
        ),
        "Report": _REPORT,
        "Files": ("--max-bytes",),
        "AWS, for sources that are ARNs": _AWS,
    },
    "simulate": {
        "What runs": (
            *("--handler", "--event", "--scenario", "--seed", "--runtime", "--isolate"),
            *("--invocation-type", "--limits"),
        ),
        "Time": (*("--timeout", "--execution-timeout", "--max-invocations", "--real-durations"),),
        "Checks": ("--crash", "--check-determinism", "--check-races", "--interleaving"),
        "Files": ("--record", "--record-updates", "--save-failing"),
        "Report": (*_REPORT, "--expand", "--prices", "--verbose", "--handler-output"),
    },
    "inspect-batch": {
        "Batching": ("--sdk", "--max-bytes", "--max-operations"),
        "Report": (*_REPORT, "--expand", "--compare"),
        "AWS, for a source that is an ARN": _AWS,
    },
    "fetch": {
        "Find executions": (
            *("--function-name", "--qualifier", "--durable-execution-name", "--statuses"),
            *("--started-after", "--started-before", "--latest", "--reverse-order"),
        ),
        "List them": ("--list", "--format", "--color", "--width"),
        "Download them": (
            *("--output", "--output-dir", "--force", "--include-execution-data"),
            *("--with-children", "--depth", "--follow", "--interval"),
        ),
        "Redact them": ("--redact", "--keep"),
        "AWS": (*_AWS, "--max-rate", "--timeout"),
    },
}
"""The options of each command under the headings of its help, in the order in which they appear."""

EXAMPLES: Final[Mapping[str, Sequence[str]]] = {
    "replay": (
        "durable replay order-17.json",
        "durable replay order-17.json --only failed --show-payloads",
        "durable replay failed/*.json --prices default --depth 1",
        "durable replay tests/histories --handler app:handler --format junit -o replay.xml",
    ),
    "simulate": (
        "durable simulate --handler app:handler -e '{\"order\": 17}'",
        "durable simulate --handler app.py --scenario answers.toml --record order.json --force",
        "durable simulate --handler app:handler --crash every-checkpoint --check-determinism 3",
    ),
    "inspect-batch": (
        "durable inspect-batch order-17.json --compare",
        "durable inspect-batch updates.json --sdk java",
    ),
    "fetch": (
        "durable fetch ARN -o order-17.json",
        "durable fetch --function-name orders --list --started-after 2h",
        "durable fetch --function-name orders --statuses FAILED --latest 20 --output-dir failed",
        "durable fetch ARN --redact --keep charge.order.id -o to-show.json",
    ),
}
"""Calls that show what a command is for."""


def write_options(context: Context, formatter: HelpFormatter) -> None:
    """Write the arguments of a command, its options by group, and its examples."""
    name = context.command.name or ""
    records: dict[str, tuple[str, str]] = {}
    arguments: list[tuple[str, str]] = []
    for each in context.command.get_params(context):
        if (record := each.get_help_record(context)) is None:
            continue
        if each.param_type_name == "argument":
            arguments.append(record)
        else:
            records[each.opts[0]] = record
    sections: dict[str, list[tuple[str, str]]] = {"Arguments": arguments}
    for heading, options in GROUPS[name].items():
        sections[heading] = [records.pop(option) for option in options]
    sections["Help"] = list(records.values())
    for heading, lines in sections.items():
        if lines:
            with formatter.section(heading):
                formatter.write_dl(lines)
    with formatter.section("Examples"):
        for example in EXAMPLES[name]:
            formatter.write(f"{'':{formatter.current_indent}}{example}\n")
