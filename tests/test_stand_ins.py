"""Handlers against redacted histories: structure is verified, values never are."""

from __future__ import annotations

import importlib
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from recording import verified

from durable_cli.app import run
from durable_core import DurableContext, SerDes, StepConfig, StepError
from durable_core.adapters.history_file import history_of_document
from durable_core.history import RecordedHistory
from durable_core.redaction.keep_paths import parse_keep_path
from durable_core.redaction.redact import redact
from durable_core.simulation.simulate import simulate
from durable_core.verifying.options import VerifyOptions
from durable_core.verifying.replay import verify_history
from durable_core.verifying.verification import Cause, Verdict
from durable_core.wire import event_to_wire

ROOT = Path(__file__).parents[1]
Handler = Callable[..., Any]


def redacted(handler: Handler, event: Any, *keep: str, events: int | None = None) -> Any:
    """The document of what the handler does with the event, redacted."""
    simulation = simulate(handler, event)
    document = {
        "DurableExecutionArn": simulation.arn,
        "Events": [event_to_wire(each) for each in simulation.events][:events],
    }
    return redact(document, [parse_keep_path(each) for each in keep])


def history(handler: Handler, event: Any, *keep: str, events: int | None = None) -> RecordedHistory:
    return history_of_document("it", redacted(handler, event, *keep, events=events))


async def ships(event: Any, ctx: DurableContext) -> Any:
    order = await ctx.step(lambda _: {"kind": "express", "count": 12}, name="load")
    if order["kind"] == "express":
        await ctx.step(lambda _: "plane", name="book plane")
    await ctx.wait(timedelta(seconds=order["count"]), name="delivery")
    return {"sent": order["count"]}


async def counts(event: Any, ctx: DurableContext) -> Any:
    total = await ctx.step(lambda _: 12, name="count")
    await ctx.wait(timedelta(seconds=1), name="pause")
    return {"total": total}


async def counts_otherwise(event: Any, ctx: DurableContext) -> Any:
    total = await ctx.step(lambda _: 12, name="count")
    await ctx.wait(timedelta(seconds=1), name="pause")
    return {"total": total + 1}


async def counts_renamed(event: Any, ctx: DurableContext) -> Any:
    total = await ctx.step(lambda _: 12, name="count all")
    return {"total": total}


# -- green ---------------------------------------------------------------------------------------


def test_the_same_structure_is_compatible_and_what_stays_open_is_said() -> None:
    outcome = verified(counts, history(counts, None))

    assert outcome.verdict is Verdict.COMPATIBLE
    assert outcome.differences == ()
    [note] = outcome.notes
    assert note.startswith('redacted: the code was handed stand-ins (1 Step "count")')
    assert note.endswith(
        "not the paths that it takes by the real values; 1 result could not be compared"
    )


def test_results_are_not_told_as_different_since_they_are_not_real() -> None:
    assert verified(counts_otherwise, history(counts, None)).differences == ()


def test_a_history_in_which_all_that_code_gets_was_kept_is_compared_as_a_real_one() -> None:
    recorded = history(counts, None, "count", "@result")
    outcome = verified(counts, recorded, strict=True)

    assert outcome.verdict is Verdict.COMPATIBLE
    assert outcome.notes == ("redacted: no stand-in was handed to the code",)
    [difference] = verified(counts_otherwise, recorded).differences
    assert difference.what == "final result"
    assert verified(counts_otherwise, recorded, strict=True).verdict is Verdict.DIVERGED


def test_strict_cannot_be_said_of_results_that_are_not_real() -> None:
    outcome = verified(counts, history(counts, None), strict=True)

    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert "--strict asks for the same results" in outcome.doubts[0].reason


def test_an_account_in_the_name_of_an_invoked_function_is_no_difference() -> None:
    async def asks(event: Any, ctx: DurableContext) -> None:
        name = "arn:aws:lambda:eu-west-1:246813579246:function:accounts:1"
        await ctx.invoke(name, {}, name="ask")

    recorded = history(asks, None)
    assert "246813579246" not in str(recorded.events)
    outcome = verified(asks, recorded)

    assert (outcome.verdict, outcome.differences) == (Verdict.COMPATIBLE, ())


# -- a divergence --------------------------------------------------------------------------------


def test_code_that_leaves_the_record_before_it_has_a_stand_in_has_diverged() -> None:
    outcome = verified(counts_renamed, history(counts, None))

    assert outcome.verdict is Verdict.DIVERGED
    assert outcome.first is not None
    assert outcome.first.cause is Cause.RENAMED


def test_code_that_leaves_the_record_after_a_stand_in_cannot_be_verified() -> None:
    outcome = verified(ships, history(ships, None))

    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert outcome.first is not None
    assert outcome.first.position == "2"
    [doubt] = outcome.doubts
    assert doubt.position == "2"
    assert 'handed stand-ins by then (1 Step "load")' in doubt.reason
    assert "--keep" in doubt.remedy


def test_the_input_is_a_stand_in_unless_it_holds_nothing_or_was_kept() -> None:
    def verdict(event: Any, *keep: str) -> Verdict:
        return verified(counts_renamed, history(counts, event, *keep)).verdict

    assert verdict({"order": "A-17"}) is Verdict.CANNOT_VERIFY
    assert verdict({"order": "A-17"}, "@input") is Verdict.DIVERGED
    assert verdict({"order": "A-17"}, "@input.order") is Verdict.DIVERGED
    for empty in (None, {}, [], "", True):
        assert verdict(empty) is Verdict.DIVERGED


def test_what_the_code_decides_by_can_be_kept() -> None:
    outcome = verified(ships, history(ships, None, "load.kind", "load.count"))

    assert outcome.verdict is Verdict.COMPATIBLE
    assert outcome.differences == ()


def test_code_that_raises_on_a_stand_in_cannot_be_verified() -> None:
    async def parses(event: Any, ctx: DurableContext) -> Any:
        text = await ctx.step(lambda _: "number: 12", name="read")
        number = int(text.removeprefix("number: "))
        await ctx.wait(timedelta(seconds=number), name="pause")

    outcome = verified(parses, history(parses, None))

    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert "ValueError" in outcome.doubts[0].reason
    assert '1 Step "read"' in outcome.doubts[0].reason


def test_code_that_looks_for_a_key_that_is_data_cannot_be_verified() -> None:
    async def looks_up(event: Any, ctx: DurableContext) -> Any:
        prices = await ctx.step(lambda _: {"2026-11-01": None}, name="prices")
        prices["2026-11-01"]
        await ctx.wait(timedelta(seconds=1), name="pause")

    outcome = verified(looks_up, history(looks_up, None))

    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert "KeyError" in outcome.doubts[0].reason


def test_the_message_of_an_error_is_a_stand_in_too() -> None:
    async def fails(event: Any, ctx: DurableContext) -> Any:
        def refuse(_: Any) -> None:
            raise ValueError("card is expired")

        try:
            await ctx.step(refuse, name="charge", config=StepConfig(retry_strategy=None))
        except StepError as error:
            if "expired" in str(error):
                await ctx.step(lambda _: None, name="ask for another")

    assert verified(fails, history(fails, None)).verdict is Verdict.CANNOT_VERIFY
    assert verified(fails, history(fails, None, "charge")).verdict is Verdict.COMPATIBLE


def test_what_units_of_a_map_came_to_is_a_stand_in() -> None:
    async def maps(event: Any, ctx: DurableContext) -> Any:
        async def unit(inner: DurableContext, item: Any, index: int, items: Any) -> Any:
            return "y" * 150_000 if index else "x" * 150_000

        result = await ctx.map([1, 2], unit, name="texts")
        if result.get_results()[0].startswith("xxxxx"):
            await ctx.wait(timedelta(seconds=1), name="pause")

    recorded = history(maps, None)
    outcome = verified(maps, recorded)

    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert "1.0 MapIteration" in outcome.doubts[0].reason or "1.1" in outcome.doubts[0].reason


def test_a_payload_that_a_serdes_cannot_read_is_said_to_be_a_stand_in() -> None:
    class Tagged(SerDes[str]):
        def serialize(self, value: str, context: Any) -> str:
            return f"tagged:{value}"

        def deserialize(self, data: str, context: Any) -> str:
            if not data.startswith("tagged:"):
                raise ValueError("no tag")
            return data.removeprefix("tagged:")

    async def tags(event: Any, ctx: DurableContext) -> Any:
        await ctx.step(lambda _: "it", name="tag", config=StepConfig(serdes=Tagged()))
        await ctx.wait(timedelta(seconds=1), name="pause")

    outcome = verified(tags, history(tags, None))

    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert "can't read the payload" in outcome.doubts[0].reason
    assert "isn't redacted" in outcome.doubts[0].remedy


def test_each_invocation_of_a_redacted_history_is_verified_too() -> None:
    outcome = verified(counts, history(counts, None), every_invocation=True)

    assert outcome.verdict is Verdict.COMPATIBLE
    assert outcome.notes[0].startswith("redacted: ")


def test_a_history_that_says_nonsense_of_what_was_kept_counts_as_replaced() -> None:
    for kept in (True, [], {"Kept": "count"}, {"Kept": [1, "[", None]}, {"Kept": {"a": 1}}):
        document = {**redacted(ships, None), "Redacted": kept or True}
        outcome = verified(ships, history_of_document("it", document))
        assert outcome.verdict is Verdict.CANNOT_VERIFY


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (ROOT / "fixtures" / "histories").glob("*.json"))
)
def test_the_sdks_handlers_are_compatible_with_their_redacted_histories_or_it_is_said_why(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aws_durable_execution_sdk_python")
    from durable_core.runtimes.aws_python.replay import AwsReplayer

    for folder in (ROOT / "fixtures", ROOT / "fixtures" / "handlers"):
        monkeypatch.syspath_prepend(str(folder))
    recording = importlib.import_module("record").RECORDINGS.get(name)
    if recording is None:
        pytest.skip("made by hand: no handler belongs to it")
    try:
        handler = importlib.import_module(recording.module).handler
    except ImportError:
        pytest.skip("written for a later SDK than the one that is installed")
    document = json.loads((ROOT / "fixtures" / "histories" / f"{name}.json").read_bytes())
    recorded = history_of_document("it", redact(document))

    outcome = verify_history(AwsReplayer(handler), recorded, VerifyOptions())

    assert outcome.verdict is not Verdict.DIVERGED
    assert outcome.differences == ()
    if outcome.verdict is Verdict.COMPATIBLE:
        assert outcome.notes[0].startswith("redacted: ")
    else:
        assert "handed stand-ins" in outcome.doubts[0].reason


# -- identifiers in names ------------------------------------------------------------------------


async def names_after_its_input(event: Any, ctx: DurableContext) -> Any:
    for number in event["accounts"]:
        await ctx.step(lambda _: None, name=f"charge {number}")


async def names_by_itself(event: Any, ctx: DurableContext) -> Any:
    await ctx.step(lambda _: None, name="charge 4711471147")
    await ctx.wait(timedelta(seconds=1), name="pause")


async def names_another(event: Any, ctx: DurableContext) -> Any:
    await ctx.step(lambda _: None, name="refund 4711471147")


def test_a_name_that_the_code_makes_of_its_input_is_found() -> None:
    accounts = ["4711471147", 4711471148, "5f0c1f6e-3a55-4b4c-9d41-6a1b7f0f2c11", "zoe@example.com"]
    recorded = history(names_after_its_input, {"accounts": accounts})
    outcome = verified(names_after_its_input, recorded)

    assert "471" not in str([event.name for event in recorded.events])
    assert outcome.verdict is Verdict.COMPATIBLE


def test_a_real_identifier_in_a_name_of_the_code_is_no_divergence() -> None:
    outcome = verified(names_by_itself, history(names_by_itself, None))

    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert "the names differ there in identifiers only" in outcome.doubts[0].reason
    assert outcome.doubts[0].remedy.endswith("--keep @names")
    kept = verified(names_by_itself, history(names_by_itself, None, "@names"))
    assert kept.verdict is Verdict.COMPATIBLE


def test_another_name_around_an_identifier_is_a_divergence() -> None:
    assert verified(names_another, history(names_by_itself, None)).verdict is Verdict.DIVERGED


# -- how it is told ------------------------------------------------------------------------------

PROJECT = """
from datetime import timedelta


async def handler(event, ctx):
    order = await ctx.step(lambda _: {"kind": "express"}, name="load")
    if order["kind"] == "express":
        await ctx.step(lambda _: "plane", name="book plane")
    return order


async def simple(event, ctx):
    await ctx.step(lambda _: {"kind": "express"}, name="load")
    await ctx.step(lambda _: "plane", name="book plane")
"""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """Verifies one of the project's handlers and returns (exit code, stdout)."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("shop.py").write_text(PROJECT)
    names: dict[str, Any] = {}
    exec(compile(PROJECT, "shop.py", "exec"), names)
    Path("it.json").write_text(json.dumps(redacted(names["handler"], None), default=str))

    def call(handler: str, format: str) -> tuple[int, str]:
        arguments = ["--handler", f"shop:{handler}", "--format", format, "--runs", "1"]
        width = ["--width", "200"] if format == "table" else []
        code = run(["replay", "it.json", *arguments, *width])
        return code, capfd.readouterr().out

    return call


def test_every_format_says_what_a_green_verdict_leaves_open(told: Any) -> None:
    said = "redacted: the code was handed stand-ins"
    for format in ("table", "json", "jsonl", "junit", "markdown", "github"):
        code, out = told("simple", format)
        assert code == 0
        assert said in out, format
    assert told("simple", "table")[1].splitlines()[1].startswith(f"  note: {said}")
    assert told("simple", "github")[1].startswith("::notice title=durable replay%3A it.json::reda")
    case = ElementTree.fromstring(told("simple", "junit")[1])[0]
    assert (case.find("system-out").text or "").startswith(said)  # type: ignore[union-attr]


def test_every_format_says_why_a_redacted_history_cannot_be_verified(told: Any) -> None:
    for format in ("table", "json", "jsonl", "junit", "markdown", "github"):
        code, out = told("handler", format)
        assert code == 3
        assert "history is redacted" in out, format
        assert "diverged at" not in out
    document = json.loads(told("handler", "json")[1])["histories"][0]
    assert document["verdict"] == "cannot-verify"
    assert document["divergences"][0]["position"] == "2"
    assert told("handler", "github")[1].startswith("::warning file=shop.py,line=")
    suite = ElementTree.fromstring(told("handler", "junit")[1])
    assert (suite.get("failures"), suite.get("errors")) == ("0", "1")
