"""`durable replay --handler`: code that asks by what isn't the same in each invocation is caught.

Every source is read to decide between two orders of the same two steps. The strings in sets are so
many that some of them have one order under both hash seeds: what is found is not found by luck.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from durable_cli.app import run
from durable_core.runtimes.handler import HandlerLoader
from durable_core.simulation.simulate import simulate
from durable_core.wire import event_to_wire

HELPER = """
TONES = frozenset({"one", "two"})


def first_of(names):
    return [each for each in names][0]


def is_late(context):
    return context.get_remaining_time_in_millis() < 10_000
"""

ORDERS = '''
import asyncio
import datetime
import os
import random
import secrets
import socket
import threading
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import helper

RNG = random.Random(4)
STARTED = datetime.datetime.now().second % 2
PROCESS = uuid.uuid4().int % 2
FLAGS = {"one", "two"}
IS_LARGE = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] != "128"


class Config:
    day = datetime.date.today().day % 2


@dataclass
class Basket:
    names: set = field(default_factory=set)


class Thing:
    pass


def turned(reversed_order):
    return ["two", "one"] if reversed_order else ["one", "two"]


def pairs(event):
    """Return many pairs of strings, so that some stand in one order whatever the seed."""
    return [(f"a{number}", f"b{number}") for number in range(event["pair"], event["pair"] + 1)]


ONE, TWO = Thing(), Thing()


def order(how, event):
    (a, b), = pairs(event)
    match how:
        case "a set":
            return turned(list({a, b})[0] == a)  # read here: the order of a set
        case "a set in a loop":
            for each in {a, b}:  # read here: the order of a set
                return turned(each == a)
        case "a set of a list":
            return turned(next(iter(set([a, b]))) == a)  # read here: the order of a set
        case "a comprehension":
            return turned([*{each for each in (a, b)}][0] == a)  # read here: the order of a set
        case "a frozenset":
            return turned(", ".join(frozenset((a, b))).startswith(a))  # read here: the order
        case "a constant":
            return list(FLAGS)  # read here: the order of a set
        case "a constant of another module":
            return turned(helper.first_of(helper.TONES) == "one")
        case "keys in common":
            one, other = {a: 1, b: 2}, {a: 1, b: 3, "c": 4}
            return turned(list(one.keys() & other.keys())[0] == a)  # read here
        case "what is left":
            return turned(({a, b, "c"} - {"c"}).pop() == a)  # read here: the order of a set
        case "united":
            both = {a}.union([b])
            return turned(min(both, key=len) == a)  # read here: the order of a set
        case "a set that grows":
            names = set()
            names.add(b)
            names |= {a}
            return turned(tuple(names)[0] == a)  # read here: the order of a set
        case "a field":
            basket = Basket()
            basket.names.update([a, b])
            return turned(str(basket.names)[2] == "a")  # read here: the order of a set
        case "a default":
            groups = defaultdict(set)
            groups["x"] |= {a, b}
            return turned(list(groups["x"])[0] == a)  # read here: the order of a set
        case "a set of pairs":
            return turned(list({(1, a), (1, b)})[0][1] == a)  # read here: the order of a set
        case "a set of objects":
            return turned(list({ONE, TWO})[0] is ONE)  # read here: the order of a set
        case "hash":
            return turned(hash(a) % 2)  # read here: hash
        case "id":
            return turned(sorted([ONE, TWO], key=lambda each: id(each))[0] is ONE)  # read here: id
        case "pid":
            return turned(os.getpid() % 2)  # read here: os.getpid
        case "thread":
            return turned(threading.get_ident() % 2)  # read here: threading.get_ident
        case "host":
            return turned(socket.gethostname() < "m")  # read here: socket.gethostname
        case "files":
            return turned(os.listdir("files")[0] == "a")  # read here: os.listdir
        case "paths":
            return turned(next(Path("files").iterdir()).name == "a")  # read here: os.
        case "globbed":
            return turned(next(iter(Path("files").glob("*"))).name == "a")  # read here: os.scandir
        case "walked":
            return turned(next(os.walk("files"))[2][0] == "a")  # read here: os.scandir
        case "time at import":
            return turned(STARTED)
        case "date at import":
            return turned(Config.day)
        case "uuid at import":
            return turned(PROCESS)
        case "seeded at import":
            return turned(RNG.random() < 0.5)  # read here: random
        case "shuffled by what is seeded at import":
            names = ["one", "two"]
            RNG.shuffle(names)  # read here: random
            return names
        case "uuid1":
            return turned(uuid.uuid1().int % 2)  # read here: uuid.uuid1
        case "secrets":
            return turned(secrets.randbelow(2))  # read here: os.urandom
        case "monotonic":
            return turned(int(time.monotonic() * 1000) % 2)  # read here: time.monotonic
        case "perf_counter":
            return turned(time.perf_counter_ns() % 2)  # read here: time.perf_counter_ns
        case "process_time":
            return turned(int(time.process_time() * 1000) % 2)  # read here: time.process_time
        case "clock_gettime":
            now = time.clock_gettime(time.CLOCK_MONOTONIC)  # read here: time.clock_gettime
            return turned(int(now * 1000) % 2)
        case "mail":
            from email.utils import formatdate

            return turned(int(formatdate()[20:22]) % 2)  # read here: time.time
        case "log stream":
            stream = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]  # read here: os.environ["AWS_LAMBDA_
            return turned(int(stream[-1], 16) % 2)
        case "version of the function":
            return turned(os.getenv("AWS_LAMBDA_FUNCTION_VERSION") == "2")  # read here: os.environ
        case "trace":
            trace = os.environ.get("_X_AMZN_TRACE_ID", "")  # read here: os.environ["_X_AMZN_TRACE
            return turned(trace.endswith("1"))
        case "memory in a copy":
            copy = os.environ.copy()  # read here: all of os.environ
            return turned(int(copy["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]) > 1_000)
        case "all variables":
            for name, value in os.environ.items():  # read here: all of os.environ
                if name == "AWS_LAMBDA_INITIALIZATION_TYPE":
                    return turned(value == "on-demand")
        case "bytes of the environment":
            group = os.environb[b"AWS_LAMBDA_LOG_GROUP_NAME"]  # read here: os.environ["AWS_LAMBDA
            return turned(group.startswith(b"/aws"))
        case "memory at import":
            return turned(IS_LARGE)

    return fine(how, event)


def of_context(how, context):
    match how:
        case "remaining time":
            left = context.get_remaining_time_in_millis()  # read here: get_remaining_time_in_millis
            return turned(left > 10_000)
        case "remaining time in a helper":
            return turned(helper.is_late(context))
        case "request id":
            return turned(int(context.aws_request_id[-1], 16) % 2)  # read here: context.aws_request
        case "deadline":
            return turned(context._epoch_deadline_time_in_ms % 2)  # read here: context._epoch_dead
        case "log stream of the context":
            return turned(int(context.log_stream_name[-1], 16) % 2)  # read here: context.log_stream
        case "log group of the context":
            return turned("lambda" in context.log_group_name)  # read here: context.log_group_name
        case "memory of the context":
            return turned(int(context.memory_limit_in_mb) > 1_000)  # read here: context.memory_limi
        case "version of the context":
            return turned(context.function_version == "2")  # read here: context.function_version
        case "arn":
            return turned(context.invoked_function_arn.endswith(":2"))  # read here: context.invoked
        case "client":
            return turned(context.client_context is None)  # read here: context.client_context
        case "identity":
            return turned(context.identity.cognito_identity_id)  # read here: context.identity
        case "text of the context":
            return turned("function_version=2" in str(context))  # read here: all of the context
        case "what the context holds":
            return turned(vars(context)["function_version"] == "2")  # read here: all of the context
    return order(how, {"pair": 0})


def fine(how, event):
    (a, b), = pairs(event)
    match how:
        case "numbers":
            return turned(list({1, 2})[0] == 2)
        case "pairs of numbers":
            return turned(list({(1, 2), (2, 3)})[0] == list({(1, 2), (2, 3)})[1])
        case "sorted":
            return sorted({"one", "two"})
        case "smallest":
            return turned(min({"one", "two"}) == "two")
        case "one only":
            return turned(list({"one"}) != ["one"])
        case "is in":
            return turned("three" in FLAGS or len(FLAGS) == 3 or FLAGS != {"two", "one"})
        case "a dict":
            return list({"one": 1, "two": 2})
        case "hash of a number":
            return turned(hash(7) != 7)
        case "seeded here":
            return turned(random.Random(3).random() > 0.3)
        case "sorted files":
            return turned(sorted(os.listdir("files"))[0] != "a")
        case "the function's name":
            return turned("AWS_LAMBDA_FUNCTION_NAME" in os.environ)
        case "configuration":
            os.environ["AWS_LAMBDA_RUNTIME_API"] = "set"
            named = os.environ.get("TABLE_NAME", os.environ["AWS_LAMBDA_RUNTIME_API"])
            return turned(named != "set" or "AWS_LAMBDA_LOG_STREAM_NAME" not in os.environ)
        case "same object":
            return turned(id(ONE) == id(TWO) or id(ONE) != id(ONE))
        case "types":
            is_set = isinstance({"one"}, set) and isinstance(frozenset(), frozenset)
            return turned(not is_set or {1} | {2} != {1, 2} or 7 - 2 != 5 or 6 & 3 != 2)
    return turned(False)
'''

NATIVE = """
import asyncio
import orders


async def handler(event, ctx):
    if event["how"] == "as completed":
        wanted = [ctx.step(lambda _: 1, name=each) for each in ("one", "two")]
        for each in asyncio.as_completed(wanted):  # read here: asyncio.as_completed
            await each
        return
    if event["how"] == "waited for":
        tasks = [asyncio.create_task(asyncio.sleep(0, each)) for each in ("one", "two")]
        done, _ = await asyncio.wait(tasks)
        for each in done:  # read here: the order of a set
            await ctx.step(lambda _: 1, name=each.result())
        return
    for name in orders.order(event["how"], event):
        await ctx.step(lambda _: 1, name=name)
"""

AWS = """
import orders
from aws_durable_execution_sdk_python import durable_execution


@durable_execution
def handler(event, ctx):
    if event["how"] in orders.OF_CONTEXT:
        names = orders.of_context(event["how"], ctx.lambda_context)
    else:
        names = orders.order(event["how"], event)
    for name in names:
        ctx.step(lambda _: 1, name=name)
"""


GIVEN = """
import orders


async def handler(event, ctx):
    for each in orders.order(event["how"], event):
        await ctx.step(lambda _, given=each: 1, name="same")
"""

AWS_GIVEN = """
import orders
from aws_durable_execution_sdk_python import durable_execution
from functools import partial


def work(name, step):
    return 1


@durable_execution
def handler(event, ctx):
    if event["how"] in orders.OF_CONTEXT:
        names = orders.of_context(event["how"], ctx.lambda_context)
    else:
        names = orders.order(event["how"], event)
    for each in names:
        ctx.step(partial(work, each), name="same")
"""


def cases(text: str) -> list[str]:
    return [line.split('"')[1] for line in text.splitlines() if line.strip().startswith('case "')]


_ANYWHERE, _REST = ORDERS.split("def of_context")
_OF_CONTEXT, _FINE = _REST.split("def fine")
VARYING, AWS_ONLY, FINE = (cases(part) for part in (_ANYWHERE, _OF_CONTEXT, _FINE))
ORDERS += f"\n\nOF_CONTEXT = {AWS_ONLY!r}\n"
NATIVE_ONLY = ["as completed", "waited for"]
AT_IMPORT = {
    "time at import": ("datetime.now", "STARTED ="),
    "date at import": ("date.today", "day ="),
    "uuid at import": ("uuid.uuid4", "PROCESS ="),
    "memory at import": ('os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]', "IS_LARGE ="),
    "a constant of another module": ("the order of a set", "return [each"),
    "remaining time in a helper": ("get_remaining_time_in_millis", "return context.get_rem"),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose handlers read what the input of each history says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sources = {"helper": HELPER, "orders": ORDERS, "native": NATIVE, "aws": AWS}
    sources |= {"given": GIVEN, "aws_given": AWS_GIVEN}
    for name, text in sources.items():
        (tmp_path / f"{name}.py").write_text(text)
    files = tmp_path / "files"
    files.mkdir()
    for name in ("b", "a"):
        (files / name).touch()
    return tmp_path


def write_histories(runtime: str, inputs: dict[str, dict[str, Any]]) -> None:
    loader = HandlerLoader()
    handler: Any = loader.load(f"{runtime}:handler").target
    if runtime.startswith("aws"):
        from durable_core.runtimes.aws_python.runner import AwsSdkRunner

        handler = AwsSdkRunner(handler)
    simulation = simulate(handler, {"how": "", "pair": 0})
    loader.forget()
    events = json.dumps([event_to_wire(each) for each in simulation.events], default=str)
    Path("histories").mkdir()
    for name, given in inputs.items():
        changed = json.loads(events)
        changed[0]["ExecutionStartedDetails"]["Input"]["Payload"] = json.dumps(given)
        document = {"DurableExecutionArn": simulation.arn, "Events": changed}
        (Path("histories") / f"{name}.json").write_text(json.dumps(document))


def line_of(how: str) -> tuple[str, str]:
    """Return the file and line at which it is said to be read, and what is."""
    told, start = AT_IMPORT.get(how, ("", ""))
    for file in ("native.py", "orders.py", "helper.py"):
        lines = Path(file).read_text().splitlines()
        at = next((n for n, line in enumerate(lines) if f'"{how}"' in line), len(lines))
        for number, line in enumerate(lines):
            if start and start in line:
                return f"{file}:{number + 1}", told
            if number >= at and not start and "# read here" in line:
                return f"{file}:{number + 1}", line.partition("# read here: ")[2]
    raise AssertionError(how)


def verified(
    runtime: str, varying: list[str], pairs: range, capfd: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """Verify a history for each thing that is read, all alike but for their input."""
    if runtime.startswith("aws"):
        pytest.importorskip("aws_durable_execution_sdk_python")
    inputs = {f"{how}#{pair}": {"how": how, "pair": pair} for pair in pairs for how in varying} | {
        how: {"how": how, "pair": 0} for how in FINE
    }
    write_histories(runtime, inputs)
    assert run(["replay", "histories", "--handler", f"{runtime}:handler", "--format", "json"]) == 1
    out, err = capfd.readouterr()
    assert err == ""
    return {Path(each["source"]).stem: each for each in json.loads(out)["histories"]}


def assert_all_are_told(found: dict[str, Any], varying: list[str], pairs: range) -> None:
    missed = [
        name
        for name, each in found.items()
        if "#" in name
        and [one["cause"] for one in each["divergences"][:1]] != ["non-deterministic"]
    ]
    assert missed == []
    for how in varying:
        place, told = line_of(how)
        for pair in pairs:
            why = found[f"{how}#{pair}"]["divergences"][0]["why"]
            assert f" at {place}" in why, (how, why)
            assert told in why, (how, why)
    for how in FINE:
        assert found[how]["verdict"] == "compatible", (how, found[how]["divergences"])


@pytest.mark.parametrize("runtime", ["native", "aws"])
def test_code_that_depends_on_what_varies_is_not_deterministic_and_its_line_is_told(
    runtime: str, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    varying = [*VARYING, *(NATIVE_ONLY if runtime == "native" else AWS_ONLY)]
    found = verified(runtime, varying, range(4), capfd)
    assert_all_are_told(found, varying, range(4))
    assert [note for how in FINE for note in found[how]["notes"]] == []


@pytest.mark.parametrize("runtime", ["given", "aws_given"])
def test_an_order_that_decides_only_what_steps_are_given_is_told_with_its_line(
    runtime: str, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    varying = [*VARYING, *(() if runtime == "given" else AWS_ONLY)]
    found = verified(runtime, varying, range(1), capfd)
    assert_all_are_told(found, varying, range(1))
    notes = {note for how in FINE for note in found[how]["notes"]}
    assert not any("not the same in every run" in note for note in notes)


ONE_VALUE = """
import time


async def handler(event, ctx):
    now = time.time()
    await ctx.step(lambda _: now, name="stamp")
    await ctx.step(lambda _: 1, name="other")
"""


def test_another_value_for_one_step_is_a_note_with_its_line_and_no_finding(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "stamp.py").write_text(ONE_VALUE)
    assert run(["simulate", "--handler", "stamp:handler", "--record", "h.json"]) == 0
    capfd.readouterr()
    arguments = ["replay", "h.json", "--handler", "stamp:handler"]
    assert run([*arguments, "--format", "json"]) == 0
    (history,) = json.loads(capfd.readouterr().out)["histories"]
    (note,) = [each for each in history["notes"] if "not the same in every run" in each]
    assert note.startswith(
        'not the same in every run: what is given to the code of 1 Step "stamp"; the code outside '
        "of steps reads time.time at stamp.py:6 ("
    )
    assert run([*arguments, "--runs", "3", "--format", "json"]) == 0
    (history,) = json.loads(capfd.readouterr().out)["histories"]
    assert sum("not the same in every run" in each for each in history["notes"]) == 1
    assert run([*arguments, "--runs", "1"]) == 0
    assert "not the same" not in capfd.readouterr().out


def test_an_order_is_told_of_any_number_of_runs(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    inputs = {"a set in a loop#0": {"how": "a set in a loop", "pair": 0}}
    write_histories("given", inputs)
    asked = ["replay", "histories", "--handler", "given:handler", "--runs", "3", "--format", "json"]
    assert run(asked) == 1
    (history,) = json.loads(capfd.readouterr().out)["histories"]
    (divergence,) = history["divergences"]
    assert divergence["cause"] == "non-deterministic"
    assert (
        'it decides what is given to the code of 1 Step "same" and of 1 more operation'
        in (divergence["why"])
    )
    assert divergence["where"]["file"] == "orders.py"
