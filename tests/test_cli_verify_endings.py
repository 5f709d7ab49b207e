"""`durable replay --handler`: handlers that end in odd ways, each told of its own history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from durable_cli.app import run
from durable_core.runtimes.handler import HandlerLoader
from durable_core.simulation.simulate import simulate
from durable_core.wire import event_to_wire

ODD = """
import asyncio
import ctypes
import os
import signal
import sys
import threading


class Odd(BaseException):
    pass


class Unspeakable(Exception):
    def __str__(self):
        raise SystemExit("no text")


def dies_in_a_thread():
    raise ValueError("in a thread")


def end(how):
    match how:
        case "KeyboardInterrupt":
            raise KeyboardInterrupt
        case "SystemExit":
            sys.exit(4)
        case "GeneratorExit":
            raise GeneratorExit
        case "CancelledError":
            raise asyncio.CancelledError
        case "BaseException":
            raise Odd("odd one")
        case "BaseExceptionGroup":
            raise BaseExceptionGroup("several", [KeyboardInterrupt()])
        case "RecursionError":
            end(how)
        case "MemoryError":
            raise MemoryError
        case "unspeakable":
            raise Unspeakable
        case "os._exit":
            os._exit(0)
        case "core dump":
            ctypes.string_at(0)
        case "signal":
            os.kill(os.getpid(), signal.SIGINT)
        case "closed files":
            os.closerange(3, 200)
        case "thread":
            thread = threading.Thread(target=dies_in_a_thread)
            thread.start()
            thread.join()
        case "chdir":
            os.chdir("/")
        case "hangs":
            while True:
                pass
"""

NATIVE = """
import asyncio
import odd


async def fails():
    raise ValueError("nobody looks")


async def handler(event, ctx):
    async def notify(inner):
        await inner.step(lambda _: 1, name="mail")
        odd.end(event["inside"])
        await inner.step(lambda _: 1, name="text")

    await ctx.step(lambda _: 1, name="reserve")
    if event["end"] == "task":
        task = asyncio.create_task(fails())
        await asyncio.wait([task])
        del task
    while event["end"] == "never":
        try:
            await asyncio.Event().wait()
        except BaseException:
            pass
    odd.end(event["end"])
    await ctx.step(lambda _: 1, name="charge")
    await ctx.run_in_child_context(notify, name="notify")
"""

AWS = """
import odd
from aws_durable_execution_sdk_python import durable_execution


@durable_execution
def handler(event, ctx):
    def notify(inner):
        inner.step(lambda _: 1, name="mail")
        odd.end(event["inside"])
        inner.step(lambda _: 1, name="text")

    ctx.step(lambda _: 1, name="reserve")
    odd.end(event["end"])
    ctx.step(lambda _: 1, name="charge")
    ctx.run_in_child_context(notify, name="notify")
"""

RAISED = {
    "KeyboardInterrupt": "KeyboardInterrupt",
    "SystemExit": "SystemExit: 4",
    "GeneratorExit": "GeneratorExit",
    "CancelledError": "CancelledError",
    "BaseException": "Odd: odd one",
    "BaseExceptionGroup": "BaseExceptionGroup: several (1 sub-exception)",
    "RecursionError": "RecursionError: maximum recursion depth exceeded",
    "MemoryError": "MemoryError",
    "unspeakable": "Unspeakable: (its text can't be had: SystemExit)",
}
ENDS_THE_INVOCATION = set(RAISED) - {
    "CancelledError",
    "RecursionError",
    "MemoryError",
    "unspeakable",
}
DIED = {
    "os._exit": "it ended its process with os._exit(0) at odd.py:44",
    "core dump": "its process was ended by SIGSEGV",
    "signal": "the handler reaches outside of a step: sending a signal",
    "closed files": "it closed files that it had not opened itself",
}
GOES_ON = ("", "thread", "task", "chdir")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose handlers end as the input of each history says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, text in (("odd", ODD), ("native", NATIVE), ("aws", AWS)):
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


def write_histories(runtime: str, *more: str) -> None:
    """Write one history for each way to end, of an execution that ended in none."""
    loader = HandlerLoader()
    handler: Any = loader.load(f"{runtime}:handler").target
    if runtime == "aws":
        from durable_core.runtimes.aws_python.runner import AwsSdkRunner

        handler = AwsSdkRunner(handler)
    simulation = simulate(handler, {"end": "", "inside": ""})
    loader.forget()
    events = [event_to_wire(each) for each in simulation.events]
    folder = Path("histories")
    folder.mkdir()
    inputs = {how: {"end": how, "inside": ""} for how in (*RAISED, *DIED, *GOES_ON, *more)}
    inputs |= {f"inside {how}": {"end": "", "inside": how} for how in RAISED}
    for name, given in inputs.items():
        changed = json.loads(json.dumps(events, default=str))
        changed[0]["ExecutionStartedDetails"]["Input"]["Payload"] = json.dumps(given)
        document = {"DurableExecutionArn": simulation.arn, "Events": changed}
        (folder / f"{name or 'as ever'}.json").write_text(json.dumps(document))


def test_native_code_that_waits_for_ever_whatever_ends_it_has_a_verdict(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_histories("native", "never")
    assert run(["replay", "histories/never.json", "--handler", "native:handler"]) == 1
    out, err = capfd.readouterr()
    assert err == ""
    assert 'the code waits for something else before Step "charge"' in " ".join(out.split())


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("runtime", ["native", "aws"])
def test_each_odd_end_of_a_handler_is_told_of_its_own_history_only(
    runtime: str, jobs: str, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if runtime == "aws":
        pytest.importorskip("aws_durable_execution_sdk_python")
    write_histories(runtime)
    given = ["histories", "--handler", f"{runtime}:handler", "--jobs", jobs, "--format", "json"]
    assert run(["replay", *given]) == 1
    out, err = capfd.readouterr()
    assert err == ""
    found = {Path(each["source"]).stem: each for each in json.loads(out)["histories"]}
    for how, error in RAISED.items():
        for name, position, before in ((how, "2", "charge"), (f"inside {how}", "3.2", "text")):
            first = found[name]["divergences"][0]
            assert (first["position"], first["cause"]) == (position, "raised"), name
            assert first["why"] == f'the code raises {error} where Step "{before}" is recorded'
            assert first["where"]["file"] == "odd.py"
            assert len(found[name]["divergences"]) == 1
            assert ("invokes it again" in first["consequence"]) is (how in ENDS_THE_INVOCATION)
    for how, why in DIED.items():
        assert found[how]["verdict"] == "cannot-verify", how
        assert why in found[how]["doubts"][0]["reason"]
        assert found[how]["execution"]["operations"] == 5
        assert found[how]["runtime"] is not None
    for how in GOES_ON:
        assert found[how or "as ever"]["verdict"] == "compatible"


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_of_many_histories_only_those_have_no_verdict_whose_code_dies_exits_or_hangs(
    jobs: str, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_histories("native", "hangs")
    texts = {file.stem: file.read_text() for file in Path("histories").iterdir()}
    odd = {7: "core dump", 8: "os._exit", 40: "hangs", 41: "core dump", 89: "os._exit"}
    ends = {f"{number:02}": odd.get(number, "") for number in range(90)}
    Path("many").mkdir()
    for name, how in ends.items():
        Path(f"many/{name}.json").write_text(texts[how or "as ever"])
    given = ["many", "--handler", "native:handler", "--jobs", jobs, "--format", "json"]
    assert run(["replay", *given, "--timeout", "2"]) == 3
    out, err = capfd.readouterr()
    assert err == ""
    found = {Path(each["source"]).stem: each for each in json.loads(out)["histories"]}
    why = {**DIED, "hangs": "it did not end within 2 s"}
    assert list(found) == list(ends)
    for name, how in ends.items():
        assert found[name]["verdict"] == ("cannot-verify" if how else "compatible"), name
        assert not how or why[how] in found[name]["doubts"][0]["reason"]
