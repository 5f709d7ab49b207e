"""Every option that isn't refused changes what its command prints, writes or ends with.

For each option a call in which that is to be seen; where reports have several formats, in each of
them: an option is refused there, or it makes a difference there, too.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from aws_environment import prepare
from scripted_lambda import ScriptedLambda, arn_of, ended, execution, steps
from typer.main import get_command

from durable_cli.app import app, run
from durable_core.frozen import dataclass

ROOT = Path(__file__).resolve().parent.parent
COMMANDS: Final[Any] = get_command(app).commands  # type: ignore[attr-defined]
FLAT = "flat_overflow_reentered.json"
MANY = "five_hundred_units.json"
OVERSIZED = f"{ROOT}/fixtures/updates/oversized_step_update.json"
SMALL = f"{ROOT}/fixtures/updates/small_updates.json"
ARN = arn_of("order-1")
NOBODY = "http://127.0.0.1:9"
"""Where nobody listens."""

APP = """
import asyncio, logging, os, random
from datetime import timedelta
from durable_core import CallbackConfig

async def handler(event, ctx):
    print("printed")
    logging.getLogger().warning("logged")
    return [event, await ctx.step(lambda step: 1, name="one")]

async def fails(event, ctx):
    raise ValueError("no")

async def asks(event, ctx):
    callback = await ctx.create_callback("approval")
    return await callback.result()

async def waits(event, ctx):
    for number in range(30):
        await ctx.wait(timedelta(hours=1), name="pause")

async def side_by_side(event, ctx):
    one = lambda step: 1
    await asyncio.gather(*(ctx.step(one, name=f"step-{number}") for number in range(9)))

async def works(event, ctx):
    await ctx.step(lambda step: sum(range(1_000_000)), name="one")

async def retries(event, ctx):
    await ctx.step(fail, name="fails")

def fail(step):
    raise ValueError("no")

async def counts(event, ctx):
    seen.append(1)
    await ctx.step(lambda step: 1, name="one")
    await ctx.wait(timedelta(seconds=1), name="pause")
    return len(seen)

async def by_chance(event, ctx):
    await ctx.step(lambda step: 1, name=f"roll-{random.random()}")

async def inner(ctx):
    return await ctx.step(lambda step: 1, name="one")

async def child(event, ctx):
    await ctx.run_in_child_context(inner, name="child")
    await ctx.wait(timedelta(seconds=1), name="pause")
    return "old"

seen = []
"""
NEW = (
    APP.replace('name="one"', 'name="renamed"')
    .replace('print("printed")', 'open("written", "w").close()')
    .replace('return "old"', 'return "new"')
)
TABLE_JSON = ("table", "json")


@dataclass(frozen=True, slots=True)
class Probe:
    """A call, and an option whose effect is to be seen in it, in each of these formats."""

    call: Sequence[str]
    option: Sequence[str]
    formats: Sequence[str] = ()


def explains(*option: str, source: str = FLAT) -> Probe:
    return Probe(["replay", source], option, ("table", "json", "jsonl", "markdown"))


def verifies(handler: str, *option: str, sources: Sequence[str] = ("child.json",)) -> Probe:
    return Probe(["replay", *sources, "--handler", handler, "--runs=1"], option, ("json",))


def simulates(handler: str, *option: str) -> Probe:
    return Probe(["simulate", "--handler", handler], option, TABLE_JSON)


def fetches(*call: str, option: Sequence[str]) -> Probe:
    return Probe(["fetch", *call, "--max-rate", "1000"], option)


LIST = ("--function-name", "orders", "--list")
PROBES = {
    "replay": [
        explains("--handler", "old:child", source="child.json"),
        verifies("new:child", "--shallow"),
        verifies("new:child", "--every-invocation"),
        verifies("result:child", "--strict"),
        verifies("old:by_chance", "--runs", "2", sources=["chance.json"]),
        verifies("new:handler", "--guard", "off", sources=["handler.json"]),
        verifies("writes:handler", "--allow-import", sources=["handler.json"]),
        verifies("secret:child", "--env", "A_TOKEN=one"),
        verifies("new:child", "--fail-fast", sources=["child.json", "handler.json"]),
        verifies("new:child", "--function", "other", sources=["child.json", "handler.json"]),
        Probe(["replay", FLAT], ["--format", "markdown"]),
        explains("--output", "out.txt"),
        Probe(["replay", FLAT, "--output", "child.json"], ["--force"]),
        explains("--invocation", "2"),
        explains("--prices", "default"),
        explains("--only", "stripped"),
        explains("--depth", "1"),
        explains("--expand", source=MANY),
        explains("--show-payloads"),
        explains("--color", "always"),
        explains("--width", "60"),
        explains("--max-bytes", "1K"),
        explains("--region", "us-east-2", source=arn_of("nobody")),
        explains("--profile", "nobody", source=ARN),
        explains("--endpoint-url", NOBODY, source=ARN),
    ],
    "inspect-batch": [
        Probe(["inspect-batch", source], option, TABLE_JSON)
        for source, *option in (
            (SMALL, "--sdk", "java"),
            (SMALL, "--max-bytes", "400"),
            (SMALL, "--max-operations", "1"),
            (SMALL, "--compare"),
            (SMALL, "--format", "json"),
            (SMALL, "--output", "out.txt"),
            (SMALL, "--color", "always"),
            (SMALL, "--width", "60"),
            (ARN, "--profile", "nobody"),
            (arn_of("nobody"), "--region", "us-east-2"),
            (ARN, "--endpoint-url", NOBODY),
        )
    ]
    + [
        Probe(["inspect-batch", MANY, "--max-operations", "1"], ["--expand"], TABLE_JSON),
        Probe(["inspect-batch", SMALL, "--output", "child.json"], ["--force"], TABLE_JSON),
    ],
    "fetch": [
        fetches(option=LIST[:2]),
        fetches(*LIST, option=["--qualifier", "7"]),
        fetches(*LIST, option=["--durable-execution-name", "order-2"]),
        fetches(*LIST, option=["--statuses", "FAILED"]),
        fetches(*LIST, option=["--started-after", "2h"]),
        fetches(*LIST, option=["--started-before", "2h"]),
        fetches(*LIST, option=["--latest", "1"]),
        fetches(*LIST, option=["--reverse-order"]),
        fetches(*LIST[:2], option=["--list"]),
        fetches(*LIST, option=["--format", "json"]),
        fetches(*LIST, option=["--color", "always"]),
        fetches(*LIST, option=["--width", "60"]),
        fetches(ARN, option=["--output", "out.json"]),
        fetches(ARN, option=["--output-dir", "out"]),
        fetches(ARN, "--output", "child.json", option=["--force"]),
        fetches(ARN, option=["--no-include-execution-data"]),
        fetches(ARN, option=["--follow"]),
        fetches(ARN, "--output-dir", "out", option=["--with-children"]),
        fetches(ARN, option=["--redact"]),
        fetches(ARN, "--redact", option=["--keep", "work-1"]),
        fetches(ARN, option=["--profile", "nobody"]),
        fetches(arn_of("nobody"), option=["--region", "us-east-2"]),
        fetches(ARN, option=["--endpoint-url", NOBODY]),
    ],
    "simulate": [
        Probe(["simulate", "--handler", "old:handler"], ["--handler", "old:fails"]),
        simulates("old:handler", "--event", "event.json"),
        simulates("old:asks", "--scenario", "scenario.toml"),
        simulates("old:handler", "--record", "out.json"),
        simulates("old:handler", "--record-updates", "out.json"),
        Probe(["simulate", "--handler", "old:handler", "--record", "child.json"], ["--force"]),
        simulates("old:counts", "--crash", "every-checkpoint"),
        Probe(
            ["simulate", "--handler", "old:counts", "--crash", "every-checkpoint"],
            ["--save-failing", "out.toml"],
        ),
        Probe(["simulate", "--handler", "old:by_chance"], ["--check-determinism", "1"]),
        Probe(["simulate", "--handler", "old:side_by_side"], ["--check-races", "1"]),
        simulates("old:side_by_side", "--interleaving", "1"),
        simulates("old:retries", "--seed", "5"),
        simulates("old:handler", "--runtime", "aws-sdk"),
        Probe(["simulate", "--handler", "old:counts"], ["--isolate"]),
        Probe(
            ["simulate", "--handler", "old:handler", "--event", "big.json"],
            ["--invocation-type", "Event"],
            TABLE_JSON,
        ),
        simulates("old:works", "--real-durations"),
        simulates("old:waits", "--max-invocations", "2"),
        simulates("old:waits", "--execution-timeout", "5"),
        simulates("old:waits", "--limits", "limits.toml"),
        simulates("old:handler", "--prices", "default"),
        simulates("old:handler", "--handler-output", "out.txt"),
        simulates("old:waits", "--expand"),
        simulates("old:fails", "--verbose"),
        Probe(["simulate", "--handler", "old:handler"], ["--format", "json"]),
        simulates("old:handler", "--output", "out.txt"),
        simulates("old:handler", "--color", "always"),
        simulates("old:handler", "--width", "60"),
    ],
}
CAPS = {
    "replay": {"--jobs", "--timeout"},
    "inspect-batch": set[str](),
    "fetch": {"--interval", "--depth", "--max-rate", "--timeout"},
    "simulate": {"--timeout"},
}
"""Options that say how much or how long at most, which no call has to reach: tested elsewhere."""


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_option_has_a_call_in_which_its_effect_is_seen(command: str) -> None:
    options = {each.opts[0] for each in COMMANDS[command].params if each.opts[0].startswith("--")}
    seen = {probe.option[0].replace("--no-", "--") for probe in PROBES[command]}
    assert seen | CAPS[command] == options - {"--help"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with handlers and with histories of theirs."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "old.py").write_text(APP)
    (folder / "new.py").write_text(NEW)
    (folder / "result.py").write_text(APP.replace('return "old"', 'return "new"'))
    (folder / "writes.py").write_text(f"{APP}\nopen('imported.log', 'w').close()\n")
    (folder / "secret.py").write_text(f"{APP}\nos.environ['A_TOKEN']\n")
    (folder / "event.json").write_text('{"order": 1}')
    (folder / "big.json").write_text(json.dumps("x" * 1_100_000))
    (folder / "scenario.toml").write_text("[[callback]]\nname = 'approval'\npayload = '1'\n")
    (folder / "limits.toml").write_text("operations = 5\n")
    for name in (FLAT, MANY):
        shutil.copy(ROOT / "fixtures" / "histories" / name, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, function in (("child", "child"), ("handler", "handler"), ("chance", "by_chance")):
            run(
                [
                    "simulate",
                    "--handler",
                    f"old:{function}",
                    "--record",
                    f"{name}.json",
                    "-o",
                    "o",
                    "--force",
                ]
            )
    return folder


@pytest.fixture
def outcome(
    recorded: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[Callable[[Sequence[str]], Any]]:
    """Returns what a call prints, writes and ends with, but what its time took."""
    prepare(monkeypatch, tmp_path, attempts=1)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    with ScriptedLambda() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", server.url)
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        server.add(*(execution(f"order-{n}", ended(steps(2))) for n in (1, 2)))
        count = 0

        def call(arguments: Sequence[str]) -> Any:
            nonlocal count
            count += 1
            folder = tmp_path / str(count)
            shutil.copytree(recorded, folder)
            monkeypatch.chdir(folder)
            code = run(list(arguments))
            said = [_timeless(each.replace(server.url, "")) for each in capfd.readouterr()]
            files = {
                path.name: _timeless(path.read_text())
                for path in sorted(folder.rglob("*.*"))
                if path.suffix in (".json", ".txt", ".toml")
                and path.name not in (FLAT, MANY, "big.json")
            }
            asked = [each[2] for each in server.asked[-4:]] if arguments[0] == "fetch" else []
            return code, said, files, asked

        yield call
        server.shutdown()


def _timeless(text: str) -> str:
    text = re.sub(r"real time [\d.]+ m?s", "", text)
    return re.sub(r'("?(?:real_|\b)(?:seconds|time)"?[:=] ?"?)[\d.e-]+', r"\1", text)


ALL = [
    pytest.param(probe, format, id=f"{command} {probe.option[0]} {format} {number}")
    for command, probes in PROBES.items()
    for number, probe in enumerate(probes)
    for format in probe.formats or (None,)
    if not (format and probe.option[0] == "--format")
]


@pytest.mark.parametrize(("probe", "format"), ALL)
def test_an_option_makes_a_difference_or_is_refused(
    outcome: Any, probe: Probe, format: str | None
) -> None:
    call = [*probe.call, *(["--format", format] if format else [])]
    without, with_it = outcome(call), outcome([*call, *probe.option])
    assert "a defect in durable" not in str(with_it)
    assert with_it != without
    refused = with_it[0] == 2 and " has no effect with" in with_it[1][1]
    assert refused or with_it[1][1].count("has no effect") == 0
