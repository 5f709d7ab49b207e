"""Records that the service can't have written, and errors that can't be made again."""

from __future__ import annotations

import abc
import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from recording import history_of

from durable_cli.app import run
from durable_core import (
    DurableContext,
    MapConfig,
    NestingType,
    RetryDecision,
    StepConfig,
    StepError,
    verify,
)
from durable_core.errors import DurableError
from durable_core.fold import AttemptEnd
from durable_core.history import RecordedHistory, history_of_events, history_of_operations
from durable_core.model import ErrorObject, Event, OperationStatus
from durable_core.raised import format_exception
from durable_core.runtimes.native.replay import NativeReplayer
from durable_core.simulation.simulate import simulate
from durable_core.verifying import option_changes as retry_differences
from durable_core.verifying.options import VerifyOptions
from durable_core.verifying.replay import verify_history
from durable_core.verifying.verification import Verdict, Verification
from durable_core.wire import event_to_wire

REST = """
from datetime import timedelta


async def handler(event, ctx):
    await ctx.wait(timedelta(seconds=1), name="breathe")
    return "rested"
"""

AWS_REST = """
from aws_durable_execution_sdk_python import durable_execution
from aws_durable_execution_sdk_python.config import Duration


@durable_execution
def handler(event, ctx):
    ctx.wait(Duration.from_seconds(1), name="breathe")
    return "rested"
"""


async def handler(event: Any, ctx: DurableContext) -> Any:
    async def unit(inner: DurableContext, item: int, index: int, items: object) -> int:
        return int(await inner.step(lambda _: item, name="inner"))

    async def once(_: object) -> None:
        raise ValueError("no")

    with suppress(StepError):
        await ctx.step(
            once,
            name="fails",
            config=StepConfig(retry_strategy=lambda e, n: RetryDecision(n < 2, timedelta(1))),
        )
    mapped = await ctx.map([1, 2], unit, name="units")
    flat = await ctx.map([1], unit, "flat", MapConfig(nesting_type=NestingType.FLAT))
    await ctx.wait(timedelta(seconds=1), name="rest")
    return [*mapped.get_results(), *flat.get_results()]


def history() -> RecordedHistory:
    simulation = simulate(handler, {"a": 1})
    return history_of(simulation)


def verified(recorded: RecordedHistory, **options: Any) -> Verification:
    return verify_history(NativeReplayer(handler), recorded, VerifyOptions(**options))


def with_payload(recorded: RecordedHistory, event_type: str, name: str | None, text: str) -> Any:
    def changed(event: Event) -> Event:
        if event.event_type != event_type or name not in (None, event.name):
            return event
        (key,) = [key for key in event.details or {} if key in ("Result", "Input")]
        return replace(event, details={**(event.details or {}), key: {"Payload": text}})

    return history_of_events("changed", map(changed, recorded.events), arn=recorded.arn)


def numbered(events: list[Event]) -> list[Event]:
    return [replace(each, event_id=number) for number, each in enumerate(events, 1)]


# -- payloads ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["not json", "{", "[1,", "NaN", '{"a": 1} x', "[" * 3_000])
@pytest.mark.parametrize(
    ("event_type", "name", "why"),
    [
        ("ExecutionStarted", None, "the recorded input is no JSON"),
        ("ExecutionSucceeded", None, "the recorded result is no JSON"),
        ("StepSucceeded", "inner", "the default SerDes, which the handler uses there, didn't"),
        ("ContextSucceeded", "units", "the recorded result of"),
        ("ContextSucceeded", "flat", "the recorded result of"),
    ],
)
def test_a_payload_that_is_no_json_cannot_be_what_the_service_has(
    event_type: str, name: str | None, why: str, text: str
) -> None:
    if event_type == "ExecutionSucceeded" and text == "NaN":
        pytest.skip("what Python's json makes of a float")
    outcome = verified(with_payload(history(), event_type, name, text))
    assert outcome.verdict is Verdict.CANNOT_VERIFY, outcome
    assert outcome.doubts[0].reason.startswith(why)


@pytest.mark.parametrize("text", ["5", '"x"', "{}", '{"Units": 5}', '{"all": []}'])
def test_a_result_that_is_none_of_a_map_cannot_be_what_its_runtime_wrote(text: str) -> None:
    outcome = verified(with_payload(history(), "ContextSucceeded", "units", text))
    assert outcome.verdict is Verdict.CANNOT_VERIFY, outcome


@pytest.mark.parametrize("code", [REST, AWS_REST], ids=["native", "aws"])
def test_the_command_and_verify_say_the_same_of_an_input_that_is_no_json(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"rest_{len(code)}"
    if code is AWS_REST:
        pytest.importorskip("aws_durable_execution_sdk_python")
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    started = {"Input": {"Payload": "not json"}}
    wire = [
        {"EventType": "ExecutionStarted", "EventId": 1, "Id": "e", "EventTimestamp": 1},
        {"EventType": "InvocationCompleted", "EventId": 2, "EventTimestamp": 2},
    ]
    wire[0]["ExecutionStartedDetails"] = started
    (tmp_path / "h.json").write_text(json.dumps({"Events": wire}))
    assert run(["replay", "h.json", "--handler", f"{name}:handler", "--width", "200"]) == 3
    printed = capsys.readouterr().out
    assert "the recorded input is no JSON" in printed
    assert "report it" not in printed
    outcome = verify(f"{name}:handler", "h.json")
    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert outcome.doubts[0].reason.startswith("the recorded input is no JSON")


# -- order and structure -------------------------------------------------------------------------


def test_an_event_after_the_end_of_its_operation_cannot_be() -> None:
    events = list(history().events)
    at = next(i for i, each in enumerate(events) if each.event_type == "WaitSucceeded")
    outcome = verified(
        history_of_events("twice", numbered([*events[: at + 1], events[at], *events[at + 1 :]]))
    )
    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert "comes after WaitSucceeded" in outcome.doubts[0].reason


def test_nothing_of_the_handler_comes_after_the_end_of_the_execution() -> None:
    events = list(history().events)
    late = replace(events[1], id="f" * 64, name="late")
    outcome = verified(history_of_events("late", numbered([*events, late])))
    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert "comes after ExecutionSucceeded" in outcome.doubts[0].reason


def test_an_operation_in_a_context_of_which_nothing_is_recorded_cannot_be() -> None:
    events = [
        each
        for each in history().events
        if (each.event_type, each.name) != ("ContextStarted", "map-item-0")
    ]
    outcome = verified(history_of_events("orphans", numbered(events)))
    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert "before any event of the context that it is in" in outcome.doubts[0].reason


@pytest.mark.parametrize("left_out", ["ExecutionStarted", "WaitStarted"])
def test_a_start_that_must_be_there_is_missed(left_out: str) -> None:
    events = [each for each in history().events if each.event_type != left_out]
    outcome = verified(history_of_events("cut", numbered(events)))
    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert "has no start" in outcome.doubts[0].reason or "begins with" in outcome.doubts[0].reason


def test_a_status_that_an_operation_cannot_have_is_told() -> None:
    operations = [
        replace(each, status=OperationStatus.STOPPED) if each.name == "rest" else each
        for each in simulate(handler, {"a": 1}).operations.values()
    ]
    outcome = verified(history_of_operations("state", operations))
    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert outcome.doubts[0].reason == 'Wait "rest" is STOPPED, which a WAIT can\'t be'


def test_a_unit_that_ended_otherwise_than_its_map_says_is_told() -> None:
    def changed(event: Event) -> Event:
        if (event.event_type, event.name) != ("ContextSucceeded", "map-item-0"):
            return event
        error = {"Payload": {"ErrorType": "ValueError"}}
        return replace(event, event_type="ContextFailed", details={"Error": error})

    outcome = verified(history_of_events("changed", map(changed, history().events)))
    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert outcome.doubts[0].reason.startswith("the unit is SUCCEEDED in the stored result")


def mutations(events: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield the history with each payload or error cut, spoilt or renamed, and each event gone,
    twice or a place later."""
    text = json.dumps(events)
    for index, event in enumerate(events):
        for change in (_gone, _twice, _later):
            changed = json.loads(text)
            change(changed, index)
            yield [{**each, "EventId": number} for number, each in enumerate(changed, 1)]
        details = next((key for key in event if key.endswith("Details")), "")
        for key in ("Input", "Result", "Error"):
            if key not in event.get(details, {}):
                continue
            for carrier in _ERRORS if key == "Error" else _PAYLOADS:
                changed = json.loads(text)
                changed[index][details][key] = carrier
                yield changed


def _gone(events: list[Any], index: int) -> None:
    del events[index]


def _twice(events: list[Any], index: int) -> None:
    events.insert(index, events[index])


def _later(events: list[Any], index: int) -> None:
    events.insert(index + 1, events.pop(index))


_PAYLOADS: list[Any] = [
    {},
    {"Truncated": True},
    {"Truncated": True, "Payload": '{"a'},
    *({"Payload": text} for text in ("no", "", "7", "null", "[" * 3_000, '{"Units": [{}]}')),
]
_ERRORS: list[Any] = [
    {},
    {"Truncated": True},
    {"Truncated": True, "Payload": '{"ErrorTy'},
    {"Payload": {}},
    *({"Payload": {"ErrorType": each, "ErrorMessage": "x"}} for each in ("dict", "gone.Away", "")),
    *({"Payload": {"ErrorType": each}} for each in ("ExceptionGroup", "KeyboardInterrupt", "\0")),
]


def test_whatever_a_record_holds_there_is_a_verdict_with_a_reason(tmp_path: Path) -> None:
    from durable_core.adapters.history_file import load_history

    events = [event_to_wire(each) for each in history().events]
    changed = list(mutations(events))
    chance = random.Random(7)
    for number, each in enumerate(chance.sample(changed, 150)):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps({"Events": each}))
        try:
            recorded = load_history(str(file))
        except DurableError:
            continue  # it can't have happened at all
        for deep in (True, False):
            outcome = verified(recorded, deep=deep)
            reasons = [doubt.reason for doubt in outcome.doubts]
            assert bool(reasons) is (outcome.verdict is Verdict.CANNOT_VERIFY)
            assert not any("report it" in doubt.remedy for doubt in outcome.doubts)


# -- errors that can't be made again -------------------------------------------------------------


class Hidden(type):
    """A metaclass that answers nothing about its classes."""

    __hash__ = None  # type: ignore[assignment]

    @property
    def __module__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("no module")

    @property
    def __name__(cls) -> str:
        raise RuntimeError("no name")

    def __call__(cls, *args: Any) -> Any:
        raise RuntimeError("none is made")

    def __eq__(cls, other: object) -> bool:
        raise RuntimeError("not compared")


class Concealed(Exception, metaclass=Hidden):
    """Nothing of it can be had by asking its class."""


class Keyed(Exception):
    """Wants a keyword."""

    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")


class Unmade(Exception):
    """Ends the process where it is made."""

    def __new__(cls, *args: Any) -> Unmade:
        raise SystemExit(3)


class Abstract(Exception, metaclass=abc.ABCMeta):
    """Can't be made."""

    @abc.abstractmethod
    def why(self) -> str: ...


class Textless(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise SystemExit(4)


class Numbered(Exception):
    """Makes its text of what isn't recorded."""

    def __str__(self) -> str:
        return f"number {getattr(self, 'number', 0)}"


class Module5(Exception):
    """Is of no module."""


Module5.__module__ = 5  # type: ignore[assignment]

ERRORS = [
    "ExceptionGroup",
    "BaseExceptionGroup",
    "UnicodeDecodeError",
    "subprocess.CalledProcessError",
    "urllib.error.HTTPError",
    "KeyboardInterrupt",
    "SystemExit",
    "asyncio.exceptions.CancelledError",
    "KeyError",
    "dict",
    "gone.Away",
    "app.<locals>.Local",
    "..",
    *(f"{__name__}.{each}" for each in ("Concealed", "Keyed", "Unmade", "Abstract", "Textless")),
    f"{__name__}.Numbered",
    "Module5",
]


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_that_cannot_be_made_again_says_nothing_about_the_code(kind: str) -> None:
    def failing(event: Event) -> Event:
        if event.event_type != "StepFailed":
            return event
        details = dict(event.details or {})
        details["Error"] = {"Payload": {"ErrorType": kind, "ErrorMessage": "it was so"}}
        return replace(event, details=details)

    recorded = history_of_events("changed", map(failing, history().events))
    outcome = verified(recorded)
    assert outcome.verdict is Verdict.COMPATIBLE, outcome
    assert outcome.differences == ()


@pytest.mark.parametrize("kind", ERRORS)
def test_awss_sdk_answers_with_its_own_error_for_one_that_cannot_be_made_again(kind: str) -> None:
    sdk = pytest.importorskip("aws_durable_execution_sdk_python", minversion="3")
    from aws_durable_execution_sdk_python.config import StepConfig
    from aws_durable_execution_sdk_python.retries import RetryStrategyConfig, create_retry_strategy

    from durable_core.runtimes.aws_python.replay import AwsReplayer
    from durable_core.runtimes.aws_python.runner import AwsSdkRunner

    @sdk.durable_execution
    def fails(event: Any, context: Any) -> Any:
        config = StepConfig(retry_strategy=create_retry_strategy(RetryStrategyConfig(2)))
        seen = []
        for around in (lambda body: body(context), context.run_in_child_context):
            try:
                around(lambda inner: inner.step(lambda _: 1 / 0, name="fails", config=config))
            except sdk.DurableExecutionsError as error:
                seen.append(type(error).__name__)
        return seen

    simulation = simulate(AwsSdkRunner(fails))

    def failing(event: Event) -> Event:
        if event.event_type != "StepFailed":
            return event
        error = {"Payload": {"ErrorType": kind, "ErrorMessage": "it was so"}}
        return replace(event, details={**(event.details or {}), "Error": error})

    recorded = history_of_events("changed", map(failing, simulation.events))
    outcome = verify_history(AwsReplayer(fails), recorded)
    assert outcome.verdict is Verdict.COMPATIBLE, outcome


@pytest.mark.parametrize(
    ("name", "message", "made"),
    [
        ("ValueError", "no", True),
        ("KeyError", "'key'", True),
        (f"{__name__}.Keyed", "code 4", True),
        (f"{__name__}.Unmade", "no", True),
        (f"{__name__}.Numbered", "number 4", False),
        ("UnicodeDecodeError", "'utf-8' codec can't decode", False),
        ("ExceptionGroup", "one (1 sub-exception)", False),
    ],
)
def test_an_error_is_made_again_where_its_text_then_is_the_recorded_one(
    name: str, message: str, made: bool
) -> None:
    end = AttemptEnd(ErrorObject(message, name), None, None, failed=True)
    errors = retry_differences._errors(end)
    assert [str(each) for each in errors] == ([message] if made else [])


def test_an_error_that_hides_its_name_is_told_all_the_same() -> None:
    error = Concealed.__new__(Concealed, "hidden")
    assert format_exception(error) == "Concealed: hidden"
    textless: Callable[..., Any] = Textless
    assert format_exception(textless()) == "Textless: (its text can't be had: SystemExit)"


def test_a_class_of_ours_is_none_of_a_users_with_the_same_name() -> None:
    from durable_core.processes.guard import Refused as Ours

    assert Ours not in retry_differences._classes("Refused")
    assert retry_differences._classes(f"{Ours.__module__}.Refused") == [Ours]
