"""Values that a run doesn't have: what stands for them, and what a SerDes keeps elsewhere."""

from __future__ import annotations

import base64
import copy
import json
import os
import pickle
import socket
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
from recording import history_of

from durable_core import (
    CallbackConfig,
    ChildConfig,
    DurableContext,
    MapConfig,
    NestingType,
    StepConfig,
    StepError,
    WaitForConditionConfig,
    WaitForConditionDecision,
)
from durable_core.adapters.history_file import load_history
from durable_core.history import RecordedHistory, history_of_events
from durable_core.model import Event
from durable_core.native.serdes import SerDes, SerDesContext
from durable_core.processes.guard import Guard
from durable_core.runtimes.native.replay import NativeReplayer
from durable_core.sandbox.guard_mode import GuardMode
from durable_core.simulation.scenario import Scenario, read_scenario
from durable_core.simulation.simulate import simulate
from durable_core.verifying.missing_values import NotKnown, is_unknown, stand_for_unknown
from durable_core.verifying.options import VerifyOptions
from durable_core.verifying.replay import verify_history
from durable_core.verifying.verification import Verdict, Verification
from durable_core.wire import event_to_wire

Handler = Callable[..., Any]


# -- what stands for a value ---------------------------------------------------------------------


class Looked(BaseException):
    """The value was looked at."""


def stand_in() -> Any:
    def on_use() -> NoReturn:
        raise Looked

    return stand_for_unknown(on_use)


def matched(value: Any) -> str:
    match value:
        case {"a": _}:
            return "mapping"
        case _:
            return "anything"


LOOKS: dict[str, Callable[[Any], object]] = {
    "attribute": lambda x: x.name,
    "setting an attribute": lambda x: setattr(x, "name", 1),
    "item": lambda x: x["a"],
    "truth": bool,
    "equality": lambda x: x == 1,
    "equality, from the other side": lambda x: None or 1 == x,  # noqa: SIM300
    "order": lambda x: x < 1,
    "membership": lambda x: x in [1, 2],
    "containment": lambda x: 1 in x,
    "length": len,
    "iteration": list,
    "unpacking": lambda x: [*x],
    "keywords": lambda x: dict(**x),
    "hash": lambda x: {x: 1},
    "text": str,
    "repr": repr,
    "format": lambda x: f"{x}",
    "percent": lambda x: "%s" % x,  # noqa: UP031
    "sum": lambda x: 1 + x,
    "product": lambda x: x * 2,
    "in place": lambda x: [].__iadd__(x),
    "number": int,
    "index": lambda x: [1, 2][x],
    "call": lambda x: x(),
    "isinstance": lambda x: isinstance(x, dict),
    "mapping pattern": matched,
    "json": json.dumps,
    "json inside": lambda x: json.dumps({"a": [x]}),
    "copy": copy.copy,
    "deep copy": lambda x: copy.deepcopy([x]),
    "pickle": pickle.dumps,
    "with": lambda x: x.__enter__(),
    "path": os.fspath,
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_whatever_looks_at_a_value_that_is_not_known_is_seen(look: Callable[[Any], object]) -> None:
    with pytest.raises(Looked):
        look(stand_in())


def test_a_value_that_is_not_known_can_be_handed_on() -> None:
    value = stand_in()
    kept = {"a": [value]}
    assert is_unknown(kept["a"][0])
    assert kept["a"][0] is value
    assert not is_unknown({})


# -- a SerDes that keeps payloads elsewhere ------------------------------------------------------


class Filed(SerDes[Any]):
    """Keeps every payload in a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def serialize(self, value: Any, serdes_context: SerDesContext) -> str:
        self._folder.mkdir(exist_ok=True)
        path = self._folder / serdes_context.operation_id
        path.write_text(json.dumps(value))
        return json.dumps({"file": str(path)})

    def deserialize(self, data: str, serdes_context: SerDesContext) -> Any:
        return json.loads(Path(json.loads(data)["file"]).read_text())


class Sent(Filed):
    """As Filed while it is recorded; asks a server afterwards, and puts up with having none."""

    is_recording = True

    def serialize(self, value: Any, serdes_context: SerDesContext) -> str:
        if not self.is_recording:
            self._ask()
        return super().serialize(value, serdes_context)

    def deserialize(self, data: str, serdes_context: SerDesContext) -> Any:
        if not self.is_recording:
            self._ask()
        return super().deserialize(data, serdes_context)

    def _ask(self) -> None:
        for _ in range(3):
            try:
                socket.create_connection(("127.0.0.1", 9)).close()
            except Exception:
                continue


class Packed(SerDes[Any]):
    """Transforms only, and needs nothing from elsewhere."""

    def serialize(self, value: Any, serdes_context: SerDesContext) -> str:
        return base64.b64encode(zlib.compress(json.dumps(value).encode())).decode()

    def deserialize(self, data: str, serdes_context: SerDesContext) -> Any:
        return json.loads(zlib.decompress(base64.b64decode(data)))


async def pause(ctx: DurableContext) -> None:
    await ctx.wait(timedelta(seconds=5), name="pause")


def step(serdes: SerDes[Any], looks: bool) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> Any:
        made = await ctx.step(lambda _: {"n": 2}, name="made", config=StepConfig(serdes=serdes))
        await pause(ctx)
        return made["n"] if looks else {"kept": made}

    return handler


def child(serdes: SerDes[Any], looks: bool, *, virtual: bool = False) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async def body(inner: DurableContext) -> list[str]:
            return [await inner.step(lambda _: "x", name="inner")]

        config = ChildConfig(serdes=serdes, is_virtual=virtual)
        made = await ctx.run_in_child_context(body, name="made", config=config)
        await pause(ctx)
        return len(made) if looks else made

    return handler


def virtual(serdes: SerDes[Any], looks: bool) -> Handler:
    return child(serdes, looks, virtual=True)


def mapped(
    serdes: SerDes[Any], looks: bool, nesting: NestingType = NestingType.NESTED, size: int = 1
) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async def unit(inner: DurableContext, item: int, index: int, items: object) -> str:
            return str(await inner.step(lambda _: "x" * item * size, name="inner"))

        config: MapConfig[Any] = MapConfig(item_serdes=serdes, nesting_type=nesting)
        made = await ctx.map([1, 2, 3], unit, name="made", config=config)
        await pause(ctx)
        return sum(map(len, made.get_results())) if looks else made.get_results()

    return handler


def flat(serdes: SerDes[Any], looks: bool) -> Handler:
    return mapped(serdes, looks, NestingType.FLAT)


def stripped(serdes: SerDes[Any], looks: bool) -> Handler:
    return mapped(serdes, looks, size=100_000)


def condition(serdes: SerDes[Any], looks: bool) -> Handler:
    def decide(state: int, attempt: int) -> WaitForConditionDecision:
        if state >= 2:
            return WaitForConditionDecision.stop_polling()
        return WaitForConditionDecision.continue_waiting(timedelta(seconds=1))

    async def handler(event: Any, ctx: DurableContext) -> Any:
        made = await ctx.wait_for_condition(
            lambda state, _: state + 1, WaitForConditionConfig(decide, 0, serdes=serdes), "made"
        )
        await pause(ctx)
        return made + 1 if looks else [made]

    return handler


def callback(serdes: SerDes[Any], looks: bool) -> Handler:
    async def handler(event: Any, ctx: DurableContext) -> Any:
        asked = await ctx.create_callback("made", CallbackConfig(serdes=serdes))
        made = await asked.result()
        await pause(ctx)
        return made["n"] if looks else made

    return handler


BODIES = (child, virtual, mapped, flat, stripped)
"""What has bodies that say what a value is."""
ALL = (step, condition, callback, *BODIES)


def recorded(make: Any, serdes: SerDes[Any], looks: bool) -> tuple[Handler, RecordedHistory]:
    handler = make(serdes, looks)
    scenario = Scenario()
    if make is callback:
        payload = serdes.serialize({"n": 1}, SerDesContext("answer"))
        text = f"[[callback]]\nname = 'made'\npayload = '''{payload}'''\n"
        scenario = read_scenario(text)
    simulation = simulate(handler, scenario=scenario)
    return handler, history_of(simulation)


def verified(
    handler: Handler, history: RecordedHistory, guard: str = "block", **options: Any
) -> Verification:
    watch = Guard(GuardMode(guard))
    return verify_history(NativeReplayer(handler), history, VerifyOptions(**options), watch)


def files_in(folder: Path) -> dict[str, int]:
    return {each.name: each.stat().st_mtime_ns for each in folder.iterdir()}


MODES = [{}, {"deep": False}, {"every_invocation": True}, {"guard": "off"}, {"guard": "warn"}]


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("make", ALL)
def test_a_serdes_that_only_transforms_does_it_for_real(make: Any, mode: Any) -> None:
    handler, history = recorded(make, Packed(), looks=True)
    outcome = verified(handler, history, **mode)
    assert outcome.verdict is Verdict.COMPATIBLE, outcome
    assert outcome.differences == ()
    assert not any("comparable" in each for each in outcome.notes)


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("make", ALL)
def test_nothing_is_written_where_the_files_of_a_serdes_are(
    make: Any, mode: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    handler, history = recorded(make, Filed(folder), looks=True)
    before = files_in(folder)
    outcome = verified(handler, history, **mode)
    assert outcome.verdict is Verdict.COMPATIBLE, outcome
    assert outcome.differences == ()
    assert files_in(folder) == before


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("make", BODIES)
def test_a_context_whose_value_is_kept_elsewhere_has_the_value_of_its_body(
    make: Any, mode: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    handler, history = recorded(make, Filed(folder), looks=True)
    folder.rename(tmp_path / "gone")
    outcome = verified(handler, history, **mode)
    assert outcome.verdict is Verdict.COMPATIBLE, outcome
    assert outcome.differences == ()
    assert any(each.startswith("not comparable: the result of") for each in outcome.notes)
    assert not folder.exists()


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("make", [step, condition, callback])
def test_a_value_that_is_kept_elsewhere_is_needed_where_the_code_looks_at_it(
    make: Any, mode: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    for looks in (True, False):
        handler, history = recorded(make, Filed(folder), looks)
        folder.rename(tmp_path / f"gone-{looks}")
        outcome = verified(handler, history, **mode)
        assert not folder.exists()
        assert outcome.divergences == ()
        if looks:
            (doubt,) = outcome.doubts
            assert "its SerDes loads it from elsewhere (FileNotFoundError" in doubt.reason
            assert doubt.position == "1"
            assert "--guard" not in doubt.remedy
        else:
            assert outcome.verdict is Verdict.COMPATIBLE, outcome
            assert outcome.differences == ()
            assert any("the code doesn't look at it" in each for each in outcome.notes)


@pytest.mark.parametrize("guard", ["block", "warn", "off"])
@pytest.mark.parametrize("make", ALL)
def test_a_connection_of_a_serdes_is_refused_and_is_not_the_handlers(
    make: Any, guard: str, tmp_path: Path
) -> None:
    serdes = Sent(tmp_path / "kept")
    handler, history = recorded(make, serdes, looks=False)
    serdes.is_recording = False
    outcome = verified(handler, history, guard)
    assert outcome.verdict is Verdict.COMPATIBLE, outcome
    assert outcome.differences == ()
    assert not any("outside of steps" in each for each in outcome.notes)


def test_a_divergence_before_a_value_that_is_not_known_is_one(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    _, history = recorded(step, Filed(folder), looks=True)
    folder.rename(tmp_path / "gone")

    async def renamed(event: Any, ctx: DurableContext) -> Any:
        config = StepConfig(serdes=Filed(folder))
        made = await ctx.step(lambda _: {"n": 2}, name="renamed", config=config)
        return made["n"]

    outcome = verified(renamed, history)
    assert outcome.verdict is Verdict.DIVERGED
    assert outcome.first is not None
    assert outcome.first.position == "1"


def test_a_type_check_of_the_interpreter_itself_is_no_error_of_the_code(tmp_path: Path) -> None:
    folder = tmp_path / "kept"

    async def handler(event: Any, ctx: DurableContext) -> str:
        config = StepConfig(serdes=Filed(folder))
        made = await ctx.step(lambda _: "a", name="made", config=config)
        return ",".join([made])

    simulation = simulate(handler)
    folder.rename(tmp_path / "gone")
    outcome = verified(handler, history_of_events("recorded", simulation.events))
    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert "its SerDes loads it from elsewhere" in outcome.doubts[0].reason


def test_a_serdes_that_can_not_read_what_another_wrote_is_told_as_that() -> None:
    _, history = recorded(step, Packed(), looks=True)

    async def handler(event: Any, ctx: DurableContext) -> Any:
        return (await ctx.step(lambda _: {"n": 2}, name="made"))["n"]

    outcome = verified(handler, history)
    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert "the default SerDes" in outcome.doubts[0].reason
    assert "a replay by this one fails there" in outcome.doubts[0].remedy


@pytest.mark.parametrize("guard", ["block", "off"])
@pytest.mark.parametrize("is_flat", [True, False])
def test_files_of_awss_file_system_serdes_are_neither_written_nor_the_handlers(
    guard: str, is_flat: bool, tmp_path: Path
) -> None:
    sdk = pytest.importorskip("aws_durable_execution_sdk_python", minversion="3")
    from aws_durable_execution_sdk_python.config import (
        ChildConfig,
        Duration,
        NestingType,
        ParallelConfig,
        StepConfig,
    )
    from aws_durable_execution_sdk_python.filesystem_serdes import FileSystemSerDes

    from durable_core.runtimes.aws_python.replay import AwsReplayer
    from durable_core.runtimes.aws_python.runner import AwsSdkRunner

    folder = tmp_path / "mount"
    files: Any = FileSystemSerDes(str(folder))
    nesting = NestingType.FLAT if is_flat else NestingType.NESTED

    @sdk.durable_execution
    def handler(event: Any, context: Any) -> Any:
        config = ChildConfig(serdes=files)
        one = context.run_in_child_context(
            lambda inner: inner.step(lambda _: "s", name="s") * 3, name="child", config=config
        )
        two = context.parallel(
            [lambda inner: inner.step(lambda _: "x", name="x"), lambda inner: "y"],
            name="both",
            config=ParallelConfig(serdes=files, item_serdes=files, nesting_type=nesting),
        )
        kept = context.step(lambda _: {"n": 1}, name="kept", config=StepConfig(serdes=files))
        context.wait(Duration.from_seconds(5), name="pause")
        return [one + "!", len(two.get_results()), kept]

    simulation = simulate(AwsSdkRunner(handler))
    history = history_of(simulation)
    for here in (True, False):
        if not here:
            folder.rename(tmp_path / "gone")
        for deep in (True, False):
            options = VerifyOptions(deep=deep)
            watch = Guard(GuardMode(guard))
            outcome = verify_history(AwsReplayer(handler), history, options, watch)
            assert outcome.verdict is Verdict.COMPATIBLE, outcome
            assert outcome.differences == ()
            assert any("comparable" in each for each in outcome.notes) or (here and not deep)
    assert not folder.exists()


# -- what the history leaves out -----------------------------------------------------------------


def cut(history: RecordedHistory, event_type: str, name: str | None, payload: Any = None) -> Any:
    """Return the history with a truncated payload; `payload` is what is left of it."""

    def truncated(event: Event) -> Event:
        if event.event_type != event_type or name not in (None, event.name):
            return event
        (key,) = [key for key in event.details or {} if key in ("Result", "Error", "Input")]
        rest = {} if payload is None else {"Payload": payload}
        return replace(event, details={**(event.details or {}), key: {"Truncated": True, **rest}})

    return history_of_events("cut", map(truncated, history.events), arn=history.arn)


async def orders(event: Any, ctx: DurableContext) -> Any:
    async def body(inner: DurableContext) -> int:
        return int(await inner.step(lambda _: 21, name="inner")) * 2

    unread = await ctx.create_callback("unread")
    plan = await ctx.step(lambda _: {"n": 4}, name="plan")
    doubled = await ctx.run_in_child_context(body, name="double")
    try:
        await ctx.step(refuse, name="refused", config=StepConfig(retry_strategy=never))
    except StepError:
        await ctx.step(lambda _: None, name="undo")
    await pause(ctx)
    return [plan["n"], doubled, bool(unread)]


def refuse(_: object) -> None:
    raise ValueError("refused")


def never(error: Exception, attempt: int) -> Any:
    from durable_core import RetryDecision

    return RetryDecision.no_retry()


def orders_history() -> RecordedHistory:
    simulation = simulate(orders, {"id": 1})
    return history_of(simulation)


@pytest.mark.parametrize(
    ("event_type", "name", "payload", "why"),
    [
        ("ExecutionStarted", None, '{"id', "the input of the execution was left out"),
        ("ExecutionStarted", None, "1", "the input of the execution was left out"),
        ("ExecutionStarted", None, None, "the input of the execution was left out"),
        ("StepSucceeded", "plan", '{"n', 'the payload of Step "plan" was left out'),
        ("StepSucceeded", "plan", "4", 'the payload of Step "plan" was left out'),
        ("StepSucceeded", "plan", None, 'the payload of Step "plan" was left out'),
        ("StepFailed", "refused", '{"ErrorMess', 'the error of Step "refused" was left out'),
        ("StepFailed", "refused", None, 'the error of Step "refused" was left out'),
        ("ContextSucceeded", "double", "4", "the payload of RunInChildContext"),
    ],
)
def test_a_truncated_payload_that_a_replay_needs_cannot_be_known(
    event_type: str, name: str | None, payload: Any, why: str, tmp_path: Path
) -> None:
    history = cut(orders_history(), event_type, name, payload)
    for deep in (True, False):
        outcome = verified(orders, history, deep=deep)
        assert outcome.verdict is Verdict.CANNOT_VERIFY, outcome
        assert outcome.doubts[0].reason.startswith(why)
        assert "(Truncated)" in outcome.doubts[0].reason
    file = tmp_path / "cut.json"
    file.write_text(json.dumps({"Events": [event_to_wire(each) for each in history.events]}))
    (warning,) = load_history(str(file)).warnings
    how = "left out" if payload is None else "left out or cut"
    assert warning.startswith(f"1 payload {how} by the service (Truncated)")


def test_a_truncated_payload_that_no_replay_reads_is_not_needed() -> None:
    history = cut(orders_history(), "StepSucceeded", "inner", "2")
    assert verified(orders, history, deep=False)
    history = cut(orders_history(), "ExecutionSucceeded", None, "[4")
    outcome = verified(orders, history)
    assert outcome
    assert outcome.differences == ()


def test_an_error_that_is_marked_as_truncated_is_whole_enough_as_long_as_nothing_diverges() -> None:
    part = {"ErrorType": "ValueError", "ErrorMessage": "ref"}
    history = cut(orders_history(), "StepFailed", "refused", part)
    outcome = verified(orders, history)
    assert outcome
    assert any("is marked as truncated" in each for each in outcome.notes)

    async def goes_by_the_text(event: Any, ctx: DurableContext) -> Any:
        await ctx.create_callback("unread")
        await ctx.step(lambda _: {"n": 4}, name="plan")
        await ctx.run_in_child_context(
            lambda inner: inner.step(lambda _: 21, name="inner"), "double"
        )
        try:
            await ctx.step(refuse, name="refused", config=StepConfig(retry_strategy=never))
        except StepError as error:
            if "refused" in str(error):
                await ctx.step(lambda _: None, name="undo")
        await pause(ctx)
        return [4, 42, True]

    outcome = verified(goes_by_the_text, history)
    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert "is marked as truncated" in outcome.doubts[0].reason
    assert verified(goes_by_the_text, orders_history()).verdict is Verdict.COMPATIBLE


def test_not_known_is_a_type_error_so_that_what_makes_json_takes_it_for_one() -> None:
    assert issubclass(NotKnown, TypeError)
