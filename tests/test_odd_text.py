"""Names, payloads, functions and errors of a handler that are not text: told, never a defect."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Any

import pytest

from durable_cli.app import run as run_cli
from durable_core.safe_text import plain, shown

pytestmark = pytest.mark.usefixtures("quiet")


class Evil(str):
    """A string whose own methods raise."""

    def __str__(self) -> str:
        raise RuntimeError("no str")

    __repr__ = __str__


class Opaque:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Colour(enum.StrEnum):
    RED = "red"


def test_a_subclass_of_str_is_taken_by_its_characters() -> None:
    assert type(plain(Evil("x"))) is str
    assert (plain(Evil("x")), plain(Colour.RED), shown(Evil("y"))) == ("x", "red", "y")


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (b"x", "b'x'"), (None, "None"), (Opaque(), "<Opaque without a repr>")],
)
def test_anything_can_be_shown(value: object, text: str) -> None:
    assert shown(value) == text


def test_what_is_shown_is_cut() -> None:
    assert len(shown(list(range(10_000)))) == 200


AWS = """
import enum
from aws_durable_execution_sdk_python import durable_execution
from aws_durable_execution_sdk_python.config import MapConfig, ParallelBranch, StepConfig
from aws_durable_execution_sdk_python.retries import RetryPresets
from aws_durable_execution_sdk_python.serdes import SerDes

ONCE = {"config": StepConfig(retry_strategy=RetryPresets.none())}
define, await_ = durable_execution, ""

@durable_execution
def handler(event, ctx):
    def body(child, *_):
        return child.step(lambda _: 1, name="in")

    def fails(_):
        raise VALUES[event["value"]]

    value = VALUES[event["value"]]
    match event["where"]:
        case "step":
            return ctx.step(lambda _: 1, name=value)
        case "child":
            return ctx.run_in_child_context(body, name=value)
        case "callback":
            return ctx.create_callback(name=value).callback_id
        case "invoke":
            return ctx.invoke(value, 1, name="call")
        case "unit":
            config = MapConfig(item_namer=lambda item, index: value)
            return ctx.map([1], body, name="parts", config=config).get_results()
        case "branch":
            return ctx.parallel([ParallelBranch(body, name=value)], name="both").get_results()
        case "payload":
            return ctx.step(lambda _: 1, name="s", config=StepConfig(serdes=Writes(value)))
        case "result":
            return value
        case "error":
            return ctx.step(fails, name="s", **ONCE)
        case "handler error":
            fails(None)
"""
NATIVE = (
    AWS.replace("from aws_durable_execution_sdk_python.retries import RetryPresets\n", "")
    .replace("from aws_durable_execution_sdk_python.serdes import SerDes\n", "")
    .replace("from aws_durable_execution_sdk_python import durable_execution\n", "")
    .replace(
        "from aws_durable_execution_sdk_python.config import MapConfig, ParallelBranch, StepConfig",
        "from durable_core import MapConfig, ParallelBranch, RetryPresets, SerDes, StepConfig",
    )
    .replace('define, await_ = durable_execution, ""\n', "")
    .replace("@durable_execution\n", "")
    .replace("def handler", "async def handler")
    .replace("def body", "async def body")
    .replace("return child.", "return await child.")
    .replace("return ctx.create_callback(name=value)", "return (await ctx.create_callback(value))")
    .replace(".get_results()", "")
    .replace("return ctx.", "return await ctx.")
)
VALUES = """
class Colour(str, enum.Enum):
    RED = "red"

class Evil(str):
    def __str__(self):
        raise RuntimeError("no str")
    __repr__ = __str__

class Opaque:
    def __repr__(self):
        raise RuntimeError("no repr")

class Unsayable(Exception):
    def __str__(self):
        raise RuntimeError("no text")

class Numeric(Exception):
    def __str__(self):
        return 5

class Writes(SerDes):
    def __init__(self, text):
        self.text = text
    def serialize(self, value, context):
        return self.text
    def deserialize(self, data, context):
        return data

VALUES = {
    "int": 1, "bytes": b"x", "enum": Colour.RED, "evil": Evil("evil"), "object": Opaque(),
    "list": ["a"], "control": "a\\x1b[31mb\\n", "surrogate": "\\ud800", "true": True,
    "unsayable": Unsayable("x"), "numeric": Numeric("x"), "arguments": ValueError(1, {2}),
    "evil argument": ValueError(Evil("evil")), "surrogate argument": ValueError("\\ud800"),
}
"""
TEXTS = ["int", "bytes", "enum", "evil", "object", "list", "control", "surrogate", "true"]
ERRORS = ["unsayable", "numeric", "arguments", "evil argument", "surrogate argument"]
PLACES = ["child", "callback", "invoke", "unit", "branch", "payload", "result"]
CASES = [
    *(("step", value) for value in TEXTS),
    *((where, value) for where in PLACES for value in ("int", "evil", "object")),
    *(("error", value) for value in ERRORS),
    ("handler error", "unsayable"),
    ("handler error", "evil argument"),
]


@pytest.mark.parametrize(("where", "value"), CASES)
@pytest.mark.parametrize("runtime", ["aws", "native"])
def test_what_is_no_text_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], runtime: str, where: str, value: str
) -> None:
    if runtime == "aws":
        pytest.importorskip("aws_durable_execution_sdk_python")
    handler = tmp_path / f"odd_{runtime}.py"
    handler.write_text({"aws": AWS, "native": NATIVE}[runtime] + VALUES)
    event = json.dumps({"where": where, "value": value})
    for shape in ("table", "json"):
        options: list[Any] = ["--handler", f"{handler}:handler", "-e", event, "--format", shape]
        code = run_cli(["simulate", *options])
        shown_text = capsys.readouterr()
        assert code in (0, 1, 3), shown_text.err
        assert "\x1b[31m" not in shown_text.out + shown_text.err


@pytest.mark.parametrize("where", ["step", "child", "unit", "branch"])
def test_a_name_that_is_a_number_is_refused_as_the_service_client_refuses_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    pytest.importorskip("aws_durable_execution_sdk_python")
    handler = tmp_path / "odd_aws.py"
    handler.write_text(AWS + VALUES)
    event = json.dumps({"where": where, "value": "int"})
    assert run_cli(["simulate", "--handler", f"{handler}:handler", "-e", event]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "Update.Name: expected a string, found the number 1" in said


@pytest.mark.parametrize(
    ("where", "value"),
    [("step", "int"), ("child", "evil"), ("unit", "object"), ("branch", "list")],
)
def test_a_name_that_became_no_text_has_diverged(
    tmp_path: Path, where: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("aws_durable_execution_sdk_python")
    handler = tmp_path / "odd_aws.py"
    handler.write_text(AWS + VALUES)
    record = tmp_path / "record.json"
    event = json.dumps({"where": where, "value": "enum"})
    options = ["--handler", f"{handler}:handler"]
    assert run_cli(["simulate", *options, "-e", event, "--record", str(record)]) == 0
    capsys.readouterr()
    recorded = record.read_text()
    record.write_text(recorded.replace('\\"value\\":\\"enum\\"', f'\\"value\\":\\"{value}\\"'))
    assert record.read_text() != recorded
    assert run_cli(["replay", str(record), *options]) == 1
    assert "diverged" in capsys.readouterr().out
