"""`durable simulate`: what it runs, prints and writes, and how it exits."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from durable_cli.app import run
from durable_cli.commands.simulate import CrashChoice, RuntimeChoice
from durable_cli.output import cell_len
from durable_core.adapters.history_file import load_history
from durable_core.arns import parse_execution_arn
from durable_core.explaining.explain import explain
from durable_core.runtimes.handler import HandlerKind
from durable_core.simulation.crash_runs import CrashMode

SDK = version("aws-durable-execution-sdk-python")

ROOT = Path(__file__).parent.parent
HANDLERS = ROOT / "fixtures/handlers"
FLAT = f"{HANDLERS}/native_flat_overflow.py:handler"

APP = """
from datetime import timedelta
from durable_core import CallbackConfig, DurableContext

print("imported")

async def short(event, ctx):
    print("working")
    one = await ctx.step(lambda step: 1, name="one")
    await ctx.wait(timedelta(hours=1), name="pause")
    return [one, event]

async def fails(event, ctx):
    raise ValueError("no such order")

async def asks(event, ctx):
    callback = await ctx.create_callback("approval")
    return await callback.result()

async def invokes(event, ctx):
    return await ctx.invoke("helper", {"n": 1}, name="help")

async def large(event, ctx):
    return await ctx.step(lambda step: "x" * 300_000, name="export")

async def waits(event, ctx):
    for number in range(event):
        await ctx.wait(timedelta(seconds=1), name=f"wait-{number}")

async def many(event, ctx):
    async def unit(ctx, item, index, items):
        return await ctx.step(lambda step: item, name="item")
    await ctx.map(range(event), unit, name="all")

def plain(event, context):
    return event["n"] + 1

async def hostile(event, ctx):
    await ctx.step(lambda step: 1, name="a")
    raise ValueError("\\x1b[31mred\\nsecond line")
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a user's module in it, which is the current one."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "orders.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield tmp_path
    sys.path[:] = path


class Call:
    """What one call of the command printed and returned."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def document(self) -> dict[str, Any]:
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Any:
    def calling(handler: str, *arguments: str) -> Call:
        code = run(["simulate", "--handler", handler, *arguments])
        out, err = capsys.readouterr()
        return Call(code, out, err)

    return calling


def json_of(call: Any, handler: str, *arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = call(handler, "--format", "json", *arguments).document
    return document


# -- the report --------------------------------------------------------------------------------


def test_the_report_tells_what_each_invocation_did(call: Any) -> None:
    out = call(FLAT, "--width", "160").out
    assert "invocation 3 at 3.00 s\n" in out
    assert "  because       3 of wait 'boundary' succeeded\n" in out
    assert '  stripped      Parallel "parts" (1): 461,026 bytes, over 262,144\n' in out
    assert '  re-executed   Parallel "parts" (1); unit "a" (1.1); unit "b" (1.2)' in out
    assert "  sent          2 requests, 2 updates, 9.5 KiB: 1 with 5,033 bytes, 1 with" in out
    assert "  ended         PENDING  waits for wait 'post-overflow' (1 s)\n" in out
    assert "1 stripped, 4 re-executed, 0 skipped as Started" in out
    assert '  result        {"lengths":[153600,153600,153600],"letters":"abc"}\n' in out
    assert "virtual time 3.00 s, real time " in out
    assert "  seed          0\n" in out


def test_the_units_table_says_in_which_invocation_what_happened(call: Any) -> None:
    out = call(f"{HANDLERS}/native_short_circuit.py:handler", "--width", "160").out
    units = [line.split("  ") for line in out.splitlines() if " unit " in line and "(FLAT)" in line]
    assert [line[-1].strip() for line in units] == [
        "ran 1, stopped 1, skipped as Started 2",
        "ran 1, re-executed 2",
        "ran 1, re-executed 2",
        "not dispatched",
    ]


def test_the_document_has_everything_as_data(call: Any) -> None:
    document = json_of(call, FLAT)
    assert document["schema"] == "durable.simulate/1"
    assert document["runtime"] == "native"
    assert document["execution"]["status"] == "SUCCEEDED"
    assert document["execution"]["virtual_seconds"] == 3.0
    assert [block["end"] for block in document["invocations"]] == [
        "PENDING",
        "PENDING",
        "SUCCEEDED",
    ]
    second = document["invocations"][1]
    assert list(second["did"]) == ["began", "went-on", "stripped", "from-checkpoint"]
    assert second["did"]["stripped"] == [
        {
            "position": "1",
            "operation_id": document["operations"][0]["id"],
            "type": "CONTEXT",
            "sub_type": "Parallel",
            "name": "parts",
            "bytes": 461_026,
        }
    ]
    assert sum(request["updates"] for request in second["requests"]) == 2
    unit = document["operations"][1]
    assert (unit["unit"], unit["name"], unit["id"]) == (0, "a", None)
    assert unit["in_invocations"] == {"ran": [1], "went-on": [2], "re-executed": [3]}
    assert document["totals"]["re_executed"] == 4
    assert document["crashes"] is None
    assert document["determinism"] is None


def test_an_attempt_that_was_retried_says_which_it_was(call: Any) -> None:
    out = call(f"{HANDLERS}/native_retries.py:handler", "--width", "120").out
    assert '  ran           Step "charge" (1), attempt 2\n' in out
    assert "step 'charge' is due for its next attempt" in out


def test_many_alike_invocations_and_units_are_folded(call: Any, tmp_path: Path) -> None:
    (tmp_path / "many.json").write_text("1000")
    out = call("orders:many", "-e", "many.json", "--width", "120").out
    assert "units 0-999" in out
    assert '  ran           Map "all" (1); 1,000 units (1.1 .. 1.1000);' in out
    assert len(out.splitlines()) < 40
    (tmp_path / "waits.json").write_text("100")
    out = call("orders:waits", "-e", "waits.json", "--width", "120").out
    assert "(and 99 invocations alike, to 100)" in out
    assert out.count("because") == 2
    expanded = call("orders:waits", "-e", "waits.json", "--width", "120", "--expand").out
    assert expanded.count("because") == 101


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_no_line_is_wider_than_asked_for(call: Any, width: int) -> None:
    out = call(FLAT, "--width", str(width), "--crash", "lost-response").out
    assert max(map(cell_len, out.splitlines())) <= width


def test_colour_is_only_where_it_is_asked_for(call: Any) -> None:
    assert "\x1b[" not in call("orders:short").out
    assert "\x1b[" in call("orders:short", "--color", "always").out
    assert "\x1b" not in call("orders:short", "--color", "always", "--format", "json").out


def test_what_a_handler_says_cant_act_on_a_terminal(call: Any) -> None:
    shown = call("orders:hostile")
    assert "\x1b" not in shown.out
    assert "\\x1b[31mred\\nsecond line" in shown.out


def test_the_same_call_prints_the_same_but_for_real_time(call: Any) -> None:
    def steady(text: str) -> list[str]:
        return [line for line in text.splitlines() if "real time" not in line]

    assert steady(call(FLAT, "--seed", "3").out) == steady(call(FLAT, "--seed", "3").out)


# -- what goes in ------------------------------------------------------------------------------


def test_the_event_comes_from_a_file_or_stdin_and_is_null_without(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "event.json").write_text('{"order": "é"}')
    assert json_of(call, "orders:short", "-e", "event.json")["execution"]["result"] == (
        '[1,{"order":"é"}]'
    )
    stdin = io.TextIOWrapper(io.BytesIO(b"[2, 3]"))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert json_of(call, "orders:short", "--event", "-")["execution"]["result"] == "[1,[2,3]]"
    assert json_of(call, "orders:short")["execution"]["result"] == "[1,null]"


@pytest.mark.parametrize(
    ("name", "text", "option", "said"),
    [
        ("event.json", '{"order": }', "--event", "event.json: "),
        ("event.json", "", "--event", "event.json: "),
        (
            "event.json",
            "1 2",
            "--event",
            "event.json: line 1 column 3: expected one JSON value, found more",
        ),
        ("s.toml", "[[callback]]\nnam = 'x'", "--scenario", "s.toml: [[callback]] 1: unknown key"),
        ("s.toml", "= 1", "--scenario", "s.toml: not TOML"),
        ("l.toml", "operatoins = 5", "--limits", "l.toml: unknown limit 'operatoins', expected"),
        (
            "l.toml",
            "payload_bytes = 0",
            "--limits",
            "l.toml: payload_bytes: expected a whole number",
        ),
        ("l.toml", "operations = 'x'", "--limits", "l.toml: operations: expected a whole number"),
        ("l.toml", "\xff", "--limits", "l.toml: not TOML"),
    ],
)
def test_a_broken_input_is_one_line(
    call: Any, tmp_path: Path, name: str, text: str, option: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    done = call("orders:short", option, name)
    assert done.code == 2
    assert done.err.startswith(f"durable: {said}")
    assert done.err.count("\n") == 1
    assert done.out == ""


@pytest.mark.parametrize("option", ["--event", "--scenario", "--limits"])
def test_a_missing_file_is_one_line(call: Any, option: str) -> None:
    done = call("orders:short", option, "gone")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.startswith("durable: gone: ")


def test_any_limit_can_be_switched(call: Any, tmp_path: Path) -> None:
    assert call("orders:large").code == 1
    (tmp_path / "limits.toml").write_text("payload_bytes = 400_000\n")
    assert call("orders:large", "--limits", "limits.toml").code == 0


def test_what_the_service_rejects_is_named_with_size_and_limit(call: Any) -> None:
    document = json_of(call, "orders:large")
    assert document["execution"]["status"] == "FAILED"
    assert "300,002 against a limit of 262,144" in document["execution"]["error"]["ErrorMessage"]
    assert len(document["rejected"]) == 1
    assert "rejected" in call("orders:large").out


def test_the_scenario_answers_callbacks_and_runs_invoked_handlers(
    call: Any, tmp_path: Path
) -> None:
    (tmp_path / "s.toml").write_text(
        "seed = 5\n[[callback]]\nname = 'approval'\npayload = '\"yes\"'\n"
        "[[invoke]]\nfunction = 'helper'\nhandler = 'orders:plain'\n"
    )
    asked = json_of(call, "orders:asks", "--scenario", "s.toml")
    assert asked["execution"]["result"] == '"\\"yes\\""'
    assert asked["seed"] == 5
    assert json_of(call, "orders:invokes", "--scenario", "s.toml")["execution"]["result"] == "2"


def test_a_handler_of_the_scenario_that_isnt_there_is_one_line(call: Any, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("[[invoke]]\nfunction = 'helper'\nhandler = 'orders:gone'\n")
    done = call("orders:invokes", "--scenario", "s.toml")
    assert done.code == 2
    assert "orders has no 'gone'" in done.err


def test_the_runtime_is_found_out_and_can_be_asked_for(call: Any) -> None:
    aws = f"{HANDLERS}/aws_waits.py:handler"
    assert json_of(call, aws)["runtime"] == "aws-sdk"
    assert json_of(call, "orders:short", "--runtime", "native")["runtime"] == "native"
    done = call(aws, "--runtime", "native")
    assert (done.code, "decorated with @durable_execution" in done.err) == (2, True)
    done = call("orders:short", "--runtime", "aws-sdk")
    assert done.code == 2
    assert "@durable_execution" in done.err


def test_options_name_every_member_of_what_they_stand_for() -> None:
    assert {each.value for each in CrashChoice} == {each.value for each in CrashMode}
    assert {each.value for each in RuntimeChoice} == {each.value for each in HandlerKind} - {
        "plain"
    }


# -- how it ends -------------------------------------------------------------------------------


def test_a_failed_execution_exits_with_1(call: Any) -> None:
    done = call("orders:fails")
    assert done.code == 1
    assert "error         ValueError: no such order\n" in done.out


def test_the_handlers_own_traceback_is_shown_on_request(call: Any) -> None:
    assert "Traceback" not in call("orders:fails").err
    shown = call("orders:fails", "--verbose").err
    assert 'orders.py", line' in shown
    assert "durable_core" not in shown


def test_a_timeout_of_the_execution_exits_with_1(call: Any) -> None:
    done = call("orders:short", "--execution-timeout", "60")
    assert done.code == 1
    assert "TIMED_OUT" in done.out


def test_too_many_invocations_exit_with_1(call: Any) -> None:
    done = call("orders:short", "--max-invocations", "1")
    assert done.code == 1
    assert "RUNNING  stopped after 1 invocation\n" in done.out


@pytest.mark.parametrize("handler", ["orders:asks", "orders:invokes"])
def test_waiting_exits_with_3_and_gives_the_scenario_to_go_on(
    call: Any, tmp_path: Path, handler: str
) -> None:
    done = call(handler)
    assert done.code == 3
    snippet = done.out[done.out.index("# for the scenario file") :]
    (tmp_path / "s.toml").write_text(snippet)
    assert call(handler, "--scenario", "s.toml").code == 0
    assert json_of(call, handler)["waiting_for"][0]["scenario"] in snippet


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        ("nowhere:handler", "no module 'nowhere'"),
        ("orders:gone", "handlers in it: short, fails, asks, invokes, large, ..."),
        ("orders:plain", "a plain function"),
        ("orders", "module:function"),
    ],
)
def test_a_handler_that_cant_be_had_is_one_line_and_exits_with_2(
    call: Any, handler: str, said: str
) -> None:
    done = call(handler)
    assert done.code == 2
    assert said in done.err.splitlines()[-1]
    assert "Traceback" not in done.err
    assert done.out == ""


def test_an_import_that_fails_shows_its_traceback_on_request(call: Any, tmp_path: Path) -> None:
    (tmp_path / "broken_app.py").write_text("def f():\n    raise KeyError('x')\nf()\n")
    assert call("broken_app:handler").err.count("\n") == 1
    shown = call("broken_app:handler", "--verbose").err
    assert 'broken_app.py", line 2, in f' in shown
    assert "importlib" not in shown


def test_saving_failing_runs_without_crashes_is_wrong_usage(call: Any) -> None:
    done = call("orders:short", "--save-failing", "f.toml")
    assert done.code == 2
    assert "--crash" in done.err


# -- what is written ---------------------------------------------------------------------------

ALL = sorted(path.stem for path in HANDLERS.glob("native_*.py"))
NEEDS_ANSWERS = {"native_callbacks", "native_invoke"}


@pytest.mark.parametrize("name", [*ALL, "aws_flat_overflow", "aws_step_retries"])
def test_a_recorded_simulation_replays_with_the_same_operations(
    call: Any, tmp_path: Path, name: str
) -> None:
    history = str(tmp_path / "history.json")
    document = json_of(call, f"{HANDLERS}/{name}.py:handler", "--record", history)
    report = explain(load_history(history))
    shown = [(row.position, row.id, row.type, row.status) for row in report.rows]
    assert shown == [
        (each["position"], each["id"], each["type"], each["status"])
        for each in document["operations"]
    ]
    assert report.status == document["execution"]["status"]
    assert report.arn == document["execution"]["arn"]
    assert report.invocations == len(document["invocations"])
    assert report.warnings == ()


def test_a_recorded_history_carries_the_executions_own_record(call: Any, tmp_path: Path) -> None:
    call("orders:short", "--record", "history.json")
    found = json.loads((tmp_path / "history.json").read_text())
    assert found["Status"] == "SUCCEEDED"
    assert found["InputPayload"] == "null"
    assert found["FunctionArn"].endswith(":function:orders-short")
    assert found["Version"] == "$LATEST"
    assert {event["EventType"] for event in found["Events"]} >= {"ExecutionStarted", "StepStarted"}


INVOKES = """
from datetime import timedelta
from durable_core import InvokeConfig

async def order(event, ctx):
    return [await ctx.invoke("charge", n, name=f"charge-{n}") for n in (1, 2)]

async def charge(event, ctx):
    return await ctx.invoke("notify:live", event, config=InvokeConfig(tenant_id="t-1"))

async def notify(event, ctx):
    await ctx.wait(timedelta(hours=1))
    return event * 10
"""

CHAIN = """
[[invoke]]
function = "charge"
handler = "shop:charge"

[[invoke]]
function = "notify"
handler = "shop:notify"
"""


def test_the_histories_of_what_it_invoked_are_written_beside_its_own(
    call: Any, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(INVOKES)
    (tmp_path / "chain.toml").write_text(CHAIN)
    done = call("shop:order", "--scenario", "chain.toml", "--record", "order.json")
    written = [
        "order.1.charge.json",
        "order.1.1.notify.json",
        "order.2.charge.json",
        "order.2.1.notify.json",
    ]
    assert done.code == 0
    assert f"durable: wrote the histories of what it invoked: {', '.join(written)}\n" in done.err
    statuses = {name: explain(load_history(name)).status for name in ("order.json", *written)}
    assert set(statuses.values()) == {"SUCCEEDED"}
    found = json.loads((tmp_path / "order.1.1.notify.json").read_text())
    started = [
        event["ChainedInvokeStartedDetails"]["DurableExecutionArn"]
        for event in json.loads((tmp_path / "order.1.charge.json").read_text())["Events"]
        if event["EventType"] == "ChainedInvokeStarted"
    ]
    assert [found["DurableExecutionArn"]] == started


def test_what_is_written_is_said_with_its_path_and_size(call: Any, tmp_path: Path) -> None:
    written = ("--record", "short.json", "--record-updates", "updates.json")
    lines = call("orders:short", *written).err.splitlines()
    events = len(json.loads((tmp_path / "short.json").read_text())["Events"])
    requests = len(json.loads((tmp_path / "updates.json").read_text()))
    assert lines[-2:] == [
        f"durable: wrote {events} events to short.json",
        f"durable: wrote {requests} requests to updates.json",
    ]
    assert [path.name for path in tmp_path.glob("short*")] == ["short.json"]


FILES = ["--record", "--record-updates", "--save-failing"]


@pytest.mark.parametrize("option", FILES)
def test_an_existing_file_is_overwritten_only_by_force(
    call: Any, tmp_path: Path, option: str
) -> None:
    file = tmp_path / "there.json"
    file.write_text("mine")
    more = ("--crash", "every-checkpoint") if option == "--save-failing" else ()
    done = call("orders:short", option, "there.json", *more)
    assert (done.code, done.out) == (2, "")
    assert done.err == "durable: there.json: exists (--force overwrites it)\n"  # nothing ran
    assert file.read_text() == "mine"
    done = call("orders:short", option, "there.json", *more, "--force")
    assert "SUCCEEDED" in done.out
    if option != "--save-failing":  # nothing failed
        assert file.read_text() != "mine"


def test_an_existing_history_of_what_it_invoked_stays_and_the_report_is_shown(
    call: Any, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(INVOKES)
    (tmp_path / "chain.toml").write_text(CHAIN)
    (tmp_path / "order.2.charge.json").write_text("mine")
    given = ("shop:order", "--scenario", "chain.toml", "--record", "order.json")
    done = call(*given)
    assert done.code == 2
    assert "order.2.charge.json: exists (--force overwrites it)" in done.err
    assert "SUCCEEDED" in done.out
    assert not (tmp_path / "order.json").exists()
    assert call(*given, "--force").code == 0


@pytest.mark.parametrize("option", FILES)
def test_what_is_no_place_for_a_file_is_one_line_before_anything_runs(
    call: Any, tmp_path: Path, option: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "e.json").write_text("1")
    more = ("--crash", "throttle") if option == "--save-failing" else ()
    for path, said in (
        ("-", f"{option} -: expected a file: stdout has the report"),
        ("no/such/file.json", "can't be written: there is no folder no/such"),
        ("folder", "folder: is a directory"),
        ("e.json", f"{option} and --event name the same file: e.json"),
    ):
        done = call("orders:short", "-e", "e.json", option, path, *more)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("durable: ")
        assert said in done.err
        assert done.err.count("\n") == 1


def test_a_record_doesnt_go_where_the_report_goes(tmp_path: Path) -> None:
    (tmp_path / "orders.py").write_text("async def handler(event, ctx): ...\n")
    done = durable(tmp_path, "--handler", "orders.py", "--record", "/dev/stdout")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "durable: --record /dev/stdout: expected a file: stdout has the report\n"
    given = ("--handler", "orders.py", "--record", "/dev/stdout", "-o", "report.txt")
    assert "Events" in json.loads(durable(tmp_path, *given).stdout)


def test_records_of_several_handlers_are_of_several_functions_and_executions(
    call: Any, tmp_path: Path
) -> None:
    code = "async def handler(event, ctx): ...\nasync def other(event, ctx): ...\n"
    deep = "/".join(["a_long_name_of_a_folder"] * 5)
    specs = ["a/app.py:handler", "a/app.py:other", "b/app.py:handler", "b-app.py:handler"]
    specs += ["b app.py:handler", f"{deep}/a.py:handler", f"{deep}/b.py:handler", "été.py:handler"]
    names = set()
    for number, spec in enumerate(specs):
        file = tmp_path / spec.partition(":")[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code)
        assert call(spec, "--record", f"{number}.json").code == 0
        found = json.loads((tmp_path / f"{number}.json").read_text())
        arn = parse_execution_arn(found["DurableExecutionArn"])
        assert arn is not None
        assert len(arn.function) <= 64
        assert len(arn.name) <= 64
        assert found["DurableExecutionName"] == found["Events"][0]["Name"] == arn.name
        names |= {("function", arn.function), ("execution", arn.name)}
    assert len(names) == 2 * len(specs)
    assert ("function", "a-app-handler") in names


def test_recorded_requests_are_what_inspect_batch_reads(
    call: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    totals = json_of(call, FLAT, "--record-updates", "updates.json")["totals"]
    assert run(["inspect-batch", "updates.json", "--format", "json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert seen["origin"] == "requests"
    assert seen["updates"] == totals["updates"]
    assert len(seen["requests"]) == totals["requests"]


def test_the_report_can_go_to_a_file(call: Any, tmp_path: Path) -> None:
    done = call("orders:short", "-o", "report.txt")
    assert done.out == ""
    assert "SUCCEEDED" in (tmp_path / "report.txt").read_text()


@pytest.mark.parametrize("option", ["--record", "--record-updates", "-o", "--handler-output"])
def test_a_file_that_cant_be_written_is_one_line(call: Any, option: str) -> None:
    done = call("orders:short", option, "no/such/folder")
    assert done.code == 2
    assert "can't be written" in done.err


# -- what the handler prints -------------------------------------------------------------------


def test_what_the_handler_prints_goes_to_stderr(call: Any) -> None:
    done = call("orders:short", "--format", "json")
    assert done.document["execution"]["status"] == "SUCCEEDED"
    assert done.err.count("imported\n") == 1
    assert done.err.count("working\n") == 2


def test_what_the_handler_prints_can_go_to_a_file(call: Any, tmp_path: Path) -> None:
    done = call("orders:short", "--handler-output", "printed.txt")
    assert done.err == ""
    assert (tmp_path / "printed.txt").read_text() == "imported\nworking\nworking\n"


def test_checks_dont_repeat_what_the_handler_prints(call: Any) -> None:
    done = call("orders:short", "--crash", "throttle", "--check-determinism", "1")
    assert done.code == 0
    assert done.err.count("working\n") == 2


NOISY = """
import atexit, logging, os, subprocess, sys, threading, warnings
from durable_core import DurableContext
atexit.register(lambda: print("at exit"))
async def handler(event, ctx):
    os.write(1, b"raw\\n")
    subprocess.run([sys.executable, "-c", "print('child')"], check=True)
    sys.__stdout__.write("dunder\\n")
    sys.__stdout__.flush()
    logging.getLogger("app").info("an info")
    logging.getLogger("app").error("an error")
    warnings.warn("careful")
    ctx.logger.info("from the context")
    return 1
"""


def durable(cwd: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "core")])
    return subprocess.run(
        [sys.executable, "-P", "-m", "durable_cli", "simulate", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_nothing_that_a_handler_does_gets_into_the_document(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(NOISY)
    done = durable(tmp_path, "--handler", "noisy:handler", "--format", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["execution"]["status"] == "SUCCEEDED"
    for said in ("raw", "child", "dunder", "at exit"):
        assert said in done.stderr
    assert "an error" not in done.stderr
    assert "from the context" in durable(tmp_path, "--handler", "noisy:handler", "--verbose").stderr


NOISY_AWS = """
import logging, os, subprocess, sys, warnings

from aws_durable_execution_sdk_python import durable_execution
from aws_durable_execution_sdk_python.config import CompletionConfig, MapConfig, StepConfig
from aws_durable_execution_sdk_python.retries import RetryStrategyConfig, create_retry_strategy

ONCE = StepConfig(retry_strategy=create_retry_strategy(RetryStrategyConfig(max_attempts=1)))
SOME = MapConfig(completion_config=CompletionConfig(tolerated_failure_count=1))

print("said at import")


def fail(step):
    raise ValueError("told by a traceback of the SDK")


def unit(ctx, item, index, items):
    print("said in a thread")
    print("said past sys.stdout", file=sys.__stdout__, flush=True)
    logging.getLogger("app").error("logged in a thread")
    return ctx.step(fail if item else lambda step: item, config=ONCE)


@durable_execution
def handler(event, context):
    os.write(1, b"said by descriptor\\n")
    subprocess.run([sys.executable, "-c", "print('said by a child')"])
    warnings.warn("warned")
    context.logger.warning("logged by the context")
    return context.map([0, 1], unit, config=SOME).success_count
"""

SAID = (
    "said at import",
    "said in a thread",
    "said past sys.stdout",
    "said by descriptor",
    "said by a child",
    "warned",
)
LOGGED = ("logged in a thread", "logged by the context", "told by a traceback of the SDK")


@pytest.mark.parametrize("how", [(), ("--isolate",)])
def test_a_handler_of_the_sdk_is_loud_on_stderr_only_and_logs_only_with_verbose(
    tmp_path: Path, how: tuple[str, ...]
) -> None:
    (tmp_path / "loud.py").write_text(NOISY_AWS)
    call = ("--handler", "loud:handler", "--format", "json", *how)
    quiet, verbose = durable(tmp_path, *call), durable(tmp_path, *call, "--verbose")
    for done in (quiet, verbose):
        assert json.loads(done.stdout)["execution"]["result"] == "1"
        assert [text for text in SAID if text not in done.stderr] == []
    assert [text for text in LOGGED if text in quiet.stderr] == []
    assert [text for text in LOGGED if text not in verbose.stderr] == []


@pytest.mark.parametrize("how", [(), ("--isolate",)])
def test_what_a_handler_of_the_sdk_says_goes_to_the_file_that_is_named(
    tmp_path: Path, how: tuple[str, ...]
) -> None:
    (tmp_path / "loud.py").write_text(NOISY_AWS)
    (tmp_path / "said.txt").write_text("of an earlier run")
    call = ("--handler", "loud:handler", "--format", "json", "--handler-output", "said.txt", *how)
    done = durable(tmp_path, *call, "--force")
    assert json.loads(done.stdout)["execution"]["result"] == "1"
    assert done.stderr == ""
    said = (tmp_path / "said.txt").read_text()
    assert [text for text in (*SAID, *LOGGED) if text not in said] == []
    assert "of an earlier run" not in said


def test_the_crash_runs_of_isolated_handlers_are_silent(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(NOISY_AWS)
    call = ("--handler", "loud:handler", "--isolate", "--format", "json")
    clean, crashed = durable(tmp_path, *call), durable(tmp_path, *call, "--crash", "lost-response")
    assert json.loads(crashed.stdout)["crashes"]["failures"] == []
    assert crashed.stderr.count("said by a child") == clean.stderr.count("said by a child") == 1


def test_a_process_shows_no_progress_on_a_pipe(tmp_path: Path) -> None:
    done = durable(tmp_path, "--handler", "orders:short", "--crash", "every-checkpoint")
    assert done.returncode == 0
    assert done.stderr == "imported\nworking\nworking\n"


@pytest.mark.parametrize("name", ["core", "tests", "fixtures", "durable"])
def test_projects_with_packages_named_as_ours_run(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    (tmp_path / name / "app.py").write_text("async def handler(event, ctx):\n    return 1\n")
    assert durable(tmp_path, "--handler", f"{name}.app.handler").returncode == 0


def test_the_same_seed_writes_the_same_bytes_for_any_hash_seed(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        name = f"history-{seed}.json"
        durable(tmp_path, "--handler", FLAT, "--record", name, PYTHONHASHSEED=seed)
    assert (tmp_path / "history-1.json").read_bytes() == (tmp_path / "history-2.json").read_bytes()


def test_a_handler_may_end_its_process_where_each_invocation_has_one(tmp_path: Path) -> None:
    (tmp_path / "exits.py").write_text(
        "import os\n"
        "async def handler(event, ctx):\n"
        "    await ctx.step(lambda step: 1, name='one')\n"
        "    if not os.path.exists('once'):\n"
        "        open('once', 'w').close()\n"
        "        os._exit(7)\n"
        "    return 'alive'\n"
    )
    done = durable(tmp_path, "--handler", "exits:handler", "--isolate", "--format", "json")
    document = json.loads(done.stdout)
    assert document["execution"]["result"] == '"alive"'
    first, second = document["invocations"]
    assert (first["end"], second["end"]) == ("CRASHED", "SUCCEEDED")
    assert [each["name"] for each in first["did"]["ran"]] == ["one"]
    assert [each["name"] for each in second["did"]["from-checkpoint"]] == ["one"]


DYING = {
    "native": """
import os
from os import _exit
from pathlib import Path

seen = []

async def handler(event, ctx):
    seen.append(1)
    def body(step):
        if not Path("once").exists():
            Path("once").touch()
            END
        return len(seen)
    return await ctx.run_in_child_context(lambda inner: inner.step(body, name="charge"), "order")
""",
    "aws-sdk": """
import os
from os import _exit
from pathlib import Path
from aws_durable_execution_sdk_python import durable_execution

seen = []

@durable_execution
def handler(event, context):
    seen.append(1)
    def body(step):
        if not Path("once").exists():
            Path("once").touch()
            END
        return len(seen)
    return context.run_in_child_context(lambda inner: inner.step(body, name="charge"), "order")
""",
}


@pytest.mark.parametrize("end", ["os._exit(7)", "_exit(7)", "raise SystemExit(7)"])
@pytest.mark.parametrize("isolate", [False, True])
@pytest.mark.parametrize("runtime", sorted(DYING))
def test_a_process_that_ends_in_a_step_has_begun_it_and_forgets_its_globals(
    tmp_path: Path, runtime: str, isolate: bool, end: str
) -> None:
    if runtime == "aws-sdk" and not isolate and "_exit" in end and SDK.startswith("1."):
        pytest.skip("os._exit needs --isolate with AWS's SDK 1.x")
    (tmp_path / "dies.py").write_text(DYING[runtime].replace("END", end))
    options = ["--isolate"] if isolate else []
    done = durable(tmp_path, "--handler", "dies:handler", "--record", "history.json", *options)
    assert done.returncode == 0, done.stderr
    events = json.loads((tmp_path / "history.json").read_text())["Events"]
    assert [each["EventType"] for each in events] == [
        "ExecutionStarted",
        "ContextStarted",
        "StepStarted",
        "InvocationCompleted",
        "StepSucceeded",
        "ContextSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]
    error = events[3]["InvocationCompletedDetails"]["Error"]["Payload"]
    assert error["ErrorType"] == "Runtime.ExitError"
    assert error["ErrorMessage"].endswith("Error: Runtime exited with error: exit status 7")
    assert events[-1]["ExecutionSucceededDetails"]["Result"]["Payload"] == "1"


@pytest.mark.skipif(SDK.startswith("1."), reason="os._exit needs --isolate with AWS's SDK 1.x")
def test_an_exit_that_the_handler_catches_has_its_status_nevertheless(tmp_path: Path) -> None:
    catching = DYING["aws-sdk"].replace(
        "END", "try: os._exit(-1)\n            except BaseException: pass"
    )
    (tmp_path / "dies.py").write_text(catching)
    done = durable(tmp_path, "--handler", "dies:handler", "--format", "json")
    first = json.loads(done.stdout)["invocations"][0]
    assert first["end"] == "CRASHED"
    assert first["error"]["ErrorMessage"].endswith("exit status 255")


@pytest.mark.parametrize("target", ["plain", "durable"])
def test_a_target_that_ends_its_process_does_not_end_the_command(
    tmp_path: Path, target: str
) -> None:
    (tmp_path / "caller.py").write_text(
        "import os\n"
        "from durable_core import InvokeError\n"
        "async def handler(event, ctx):\n"
        "    try:\n"
        "        await ctx.invoke('target', None)\n"
        "    except InvokeError as error:\n"
        "        return error.error_type\n"
        "def plain(event, context):\n"
        "    os._exit(7)\n"
        "async def durable(event, ctx):\n"
        "    os._exit(7)\n"
    )
    (tmp_path / "world.toml").write_text(
        f"[[invoke]]\nfunction = 'target'\nhandler = 'caller:{target}'\n"
    )
    options = ("--handler", "caller:handler", "--scenario", "world.toml", "--format", "json")
    done = durable(tmp_path, *options)
    assert json.loads(done.stdout)["execution"]["result"] == '"Runtime.ExitError"'


def test_an_sdk_that_cant_be_unwound_needs_isolation_for_a_process_that_ends(
    tmp_path: Path,
) -> None:
    (tmp_path / "dies.py").write_text(DYING["aws-sdk"].replace("END", "os._exit(7)"))
    (tmp_path / "old.py").write_text(
        "import sys\n"
        "from durable_core.runtimes.aws_python.runner import AwsSdkRunner\n"
        "AwsSdkRunner.unwinds_crashes = False\n"
        "from durable_cli.app import run\n"
        "sys.exit(run(['simulate', '--handler', 'dies:handler', *sys.argv[1:]]))\n"
    )
    root = str(Path(__file__).parent.parent)
    paths = os.environ | {"PYTHONPATH": os.pathsep.join((root, f"{root}/core"))}
    command = [sys.executable, "old.py"]
    done = subprocess.run(command, cwd=tmp_path, env=paths, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "use --isolate" in done.stderr


def test_an_execution_that_timed_out_says_so_without_a_type_that_there_is_not(
    tmp_path: Path,
) -> None:
    (tmp_path / "slow.py").write_text(
        "from datetime import timedelta\n"
        "async def handler(event, ctx):\n"
        "    await ctx.wait(timedelta(hours=1))\n"
    )
    done = durable(tmp_path, "--handler", "slow:handler", "--execution-timeout", "10")
    assert done.returncode == 1
    assert "  error         Execution timed out after 10 seconds." in done.stdout


def test_a_child_process_of_the_handler_may_end_itself(tmp_path: Path) -> None:
    (tmp_path / "forks.py").write_text(
        "import os\n"
        "async def handler(event, ctx):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        os._exit(5)\n"
        "    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
    )
    done = durable(tmp_path, "--handler", "forks:handler", "--format", "json")
    document = json.loads(done.stdout)
    assert document["execution"]["result"] == "5"
    assert [each["end"] for each in document["invocations"]] == ["SUCCEEDED"]


def test_the_report_holds_payloads_against_the_limits_of_the_what_if(
    call: Any, tmp_path: Path
) -> None:
    (tmp_path / "limits.toml").write_text("payload_bytes = 160_000\n")
    shown = call(FLAT, "--limits", str(tmp_path / "limits.toml")).out
    assert "153,602 of 160,000 bytes" in shown
