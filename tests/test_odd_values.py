"""Moments, numbers and shapes that no service writes: a report, or one line."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from durable_cli.app import run

FIRST, LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"
CALLS = (
    *(["replay", "h.json", "--format", each] for each in ("table", "json", "markdown")),
    ["replay", "h.json", "--prices", "default", "--expand"],
    ["replay", "h.json", "--invocation", "1"],
    ["inspect-batch", "h.json"],
    ["replay", "h.json", "--handler", "app.py:handler", "--runs", "1"],
)


def history(first: object, last: object, number: object, *, ends: bool) -> dict[str, Any]:
    """Return a history from one moment to another, with a number wherever there is one."""
    wait = {"Duration": number, "ScheduledEndTimestamp": last}
    retry = {"CurrentAttempt": number, "NextAttemptDelaySeconds": number}
    callback = {"CallbackId": "it", "Timeout": number, "HeartbeatTimeout": number}
    invocation = {"StartTimestamp": first, "EndTimestamp": last, "RequestId": "it"}
    given = {"Input": {"Payload": "1"}, "ExecutionTimeout": number}
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("ExecutionStarted", given),
        ("WaitStarted", wait),
        ("StepStarted", {}),
        ("StepFailed", {"Error": {"Payload": {"ErrorMessage": "no"}}, "RetryDetails": retry}),
        ("CallbackStarted", callback),
        ("ExecutionPaused", {"PauseRequestTimestamp": first}),
        ("ExecutionResumed", {"ResumeRequestTimestamp": last}),
        ("InvocationCompleted", invocation),
        *([("ExecutionSucceeded", {"Result": {"Payload": "1"}})] if ends else []),
    ]
    events = [
        {
            "EventType": kind,
            "EventId": at,
            "Id": "step" if kind.startswith("Step") else kind.removesuffix("Started"),
            "EventTimestamp": first if at < 5 else last,
            f"{kind}Details": details,
        }
        for at, (kind, details) in enumerate(kinds, start=1)
    ]
    record = {"Status": "SUCCEEDED" if ends else "RUNNING", "StartTimestamp": first}
    return {"Events": events, **record}


MOMENTS: list[tuple[object, object]] = [
    (FIRST, FIRST),
    (FIRST, LAST),
    (LAST, LAST),
    ("0001-01-01T00:00:00+14:00", LAST),
    (FIRST, "9999-12-31T23:59:59-12:00"),
    (-62135596800, 253402300799),
    (0, 1e308),
    (0, float("nan")),
    (0, float("inf")),
    (0, "nan"),
    (0, "9" * 5_000),
]
NUMBERS: list[object] = [5, 0, -1, 10**18, -(10**18), 10**30, 1e308, float("nan")]


@pytest.mark.parametrize(
    ("first", "last", "number", "ends"),
    [
        *((*each, 5, ends) for each, ends in product(MOMENTS, (True, False))),
        *((FIRST, LAST, each, False) for each in NUMBERS[1:]),
    ],
)
def test_odd_moments_and_numbers_make_a_report_or_one_line(
    first: object,
    last: object,
    number: object,
    ends: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("h.json").write_text(json.dumps(history(first, last, number, ends=ends)))
    for call in CALLS[:-1]:
        assert run(call) in (0, 1, 2)
        assert capsys.readouterr().err.count("\n") <= 1


MODULES = {
    "a module whose attributes can't be had": "def __getattr__(name):\n    raise {}('no')\n",
    "a module that is none": (
        "import sys\nclass It:\n    def __getattribute__(self, name):\n        raise {}('no')\n"
        "sys.modules[__name__] = It()\n"
    ),
}


@pytest.mark.parametrize("call", [["replay", "h.json", "--runs", "1"], ["simulate"]])
@pytest.mark.parametrize("error", ["RuntimeError", "SystemExit"])
@pytest.mark.parametrize("handler", ["app.py:handler", "app.py"])
@pytest.mark.parametrize("module", MODULES)
def test_a_module_whose_attributes_raise_is_one_line(
    module: str,
    handler: str,
    error: str,
    call: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("app.py").write_text(MODULES[module].format(error))
    Path("h.json").write_text(json.dumps(history(0, 1, 5, ends=True)))
    assert run([*call, "--handler", handler]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"durable: {handler}: ")


DEEP = """
import json
async def handler(event, context):
    async def deep(step):
        found = []
        for _ in range(LEVELS):
            found = [found]
        return found
    callback = await context.create_callback("it")
    return [await context.step(deep, name="deep"), await callback.result()]
"""


@pytest.mark.parametrize("levels", [900, 5_000])
def test_answers_that_are_nested_deeply_are_an_end_of_the_execution_or_one_line(
    levels: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("app.py").write_text(DEEP.replace("LEVELS", str(levels)))
    deep = "[" * levels + "]" * levels
    Path("s.toml").write_text(f"[[callback]]\nname = \"it\"\npayload = '{deep}'\n")
    record = ["--record", "h.json", "--format", "json"]
    assert run(["simulate", "--handler", "app.py", "--scenario", "s.toml", *record]) in (0, 1)
    assert run(["replay", "h.json", "--show-payloads"]) == 0
    assert run(["replay", "h.json", "--handler", "app.py", "--runs", "1"]) in (0, 3)
    assert "defect" not in capsys.readouterr().err
