"""The commands against AWS's own local web runner, with executions that were run there."""

import importlib.util
import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from aws_environment import prepare

from durable_cli.app import run
from durable_core.adapters.history_file import load_history
from durable_core.explaining.explain import explain

ROOT = Path(__file__).parent.parent
HANDLERS = ROOT / "fixtures" / "handlers"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("aws_durable_execution_sdk_python_testing") is None,
    reason="AWS's testing library isn't installed",
)


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    prepare(monkeypatch, tmp_path, attempts=2)
    monkeypatch.chdir(tmp_path)


def files_in(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def fields_of(path):
    return json.loads(Path(path).read_text())


RUNS = {
    "flat": ("aws_flat_overflow", None),
    "chained": ("aws_chained_invoke", {"wanted": "balance"}),
    "failed": ("aws_failed_execution", {"wanted": 3}),
    "texts": ("aws_non_ascii", {"name": "Zoë 王 🦊"}),
    "many": ("aws_five_hundred_units", None),
    "map": ("aws_flat_map_overflow", None),
}
WAITING = {
    "asked": ("aws_wait_for_callback", {"order": "A-17"}),
    "never": ("aws_wait_for_callback", None),
}


class LocalRunner:
    """AWS's web runner in a process of its own, and executions that were run there."""

    def __init__(self, process):
        self.process = process
        self.url = process.stdout.readline().strip()
        self.ids = {}

    def post(self, path, body):
        request = urllib.request.Request(f"{self.url}{path}", json.dumps(body).encode())
        return json.load(urllib.request.urlopen(request, timeout=10))

    def get(self, path):
        return json.load(urllib.request.urlopen(f"{self.url}{path}", timeout=10))

    def start(self, name, function, event):
        started = self.post(
            "/start-durable-execution",
            {
                "AccountId": "123456789012",
                "FunctionName": function,
                "FunctionQualifier": "$LATEST",
                "ExecutionName": name,
                "ExecutionTimeoutSeconds": 300,
                "ExecutionRetentionPeriodDays": 7,
                "Input": json.dumps(event),
            },
        )
        self.ids[name] = started["ExecutionArn"]

    def wait(self, name):
        quoted = self.ids[name].replace("/", "%2F")
        for _ in range(300):
            record = self.get(f"/2025-12-01/durable-executions/{quoted}")
            if record["Status"] != "RUNNING":
                return record
            time.sleep(0.1)
        raise TimeoutError(f"{name} is still running")

    def answer(self, name, payload):
        """Answer the callback that an execution waits for, as soon as it does."""
        quoted = self.ids[name].replace("/", "%2F")
        path = f"/2025-12-01/durable-executions/{quoted}/history?IncludeExecutionData=true"
        for _ in range(300):
            for event in self.get(path)["Events"]:
                if event["EventType"] == "CallbackStarted":
                    callback = event["CallbackStartedDetails"]["CallbackId"].replace("=", "%3D")
                    to = f"{self.url}/2025-12-01/durable-execution-callbacks/{callback}/succeed"
                    urllib.request.urlopen(urllib.request.Request(to, payload), timeout=10)
                    return
            time.sleep(0.1)
        raise TimeoutError(f"{name} waits for no callback")


@pytest.fixture(scope="module")
def runner():
    process = subprocess.Popen(
        [sys.executable, ROOT / "tests" / "lambda_servers" / "local_runner.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        runner = LocalRunner(process)
        for name, (function, event) in {**RUNS, **WAITING}.items():
            runner.start(name, function, event)
        for name in RUNS:
            runner.wait(name)
        yield runner
    finally:
        process.stdin.close()
        process.stdout.close()
        process.kill()
        process.wait()


@pytest.fixture
def local(runner, capsys):
    def call(*arguments):
        in_aws = arguments[0] == "fetch" or arguments[1] in runner.ids.values()
        to = ["--endpoint-url", runner.url] if in_aws else []
        code = run([*map(str, arguments), *to])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.mark.parametrize("name", list(RUNS))
def test_an_execution_of_the_local_runner_is_fetched_whole_and_replays(local, runner, name):
    code, _, err = local("fetch", runner.ids[name], "-o", "it.json", "--max-rate", "100")
    history = load_history("it.json")
    report = explain(history)

    assert (code, history.warnings) == (0, ())
    assert f"{len(history.events):,} events" in err
    assert report.status == ("FAILED" if name == "failed" else "SUCCEEDED")
    assert report.name == name
    assert report.function == RUNS[name][0]
    recorded = {"flat": 8, "chained": 1, "many": 501, "map": 6, "texts": None, "failed": None}[name]
    assert recorded in (None, report.totals.operations)


def test_payloads_come_from_the_local_runner_byte_for_byte(local, runner):
    quoted = runner.ids["texts"].replace("/", "%2F")
    told = runner.get(f"/2025-12-01/durable-executions/{quoted}/history?IncludeExecutionData=true")

    local("fetch", runner.ids["texts"], "-o", "it.json")

    def payloads(document):
        return re.findall(r'"Payload": ("(?:[^"\\]|\\.)*")', json.dumps(document))

    assert payloads(fields_of("it.json")) == payloads(told)
    assert payloads(told)


def test_the_local_runner_lists_its_executions(local, runner):
    failed = ("fetch", "--function-name", "aws_failed_execution", "--list", "--statuses", "FAILED")

    assert runner.ids["failed"] in local(*failed)[1]
    assert runner.ids["failed"] in local(*failed, "--started-after", "1h")[1]
    assert runner.ids["failed"] not in local(*failed, "--started-before", "1h")[1]


def test_executions_of_the_local_runner_are_fetched_by_function_and_redacted(local, runner):
    code, _, _ = local(
        *("fetch", "--function-name", "aws_chained_invoke", "--latest", "1", "--redact"),
        *("--with-children", "--output-dir", "d"),
    )
    files = files_in("d")

    assert code == 0
    assert [each.split(".")[0] for each in files] == ["accounts", "aws_chained_invoke"]
    assert "balance" not in "".join(Path("d", each).read_text() for each in files)
    assert local("replay", *(f"d/{each}" for each in files))[0] == 0


def test_the_id_of_a_local_execution_is_a_source_of_replay_and_inspect_batch(local, runner):
    code, out, _ = local("replay", runner.ids["flat"])
    assert code == 0
    assert "re-executed: its result" in out

    code, out, _ = local("inspect-batch", runner.ids["flat"])
    assert code == 0
    assert "updates of 8 operations" in out


def test_following_an_execution_that_has_ended_is_fetching_it(local, runner):
    code, _, err = local("fetch", runner.ids["chained"], "--follow", "-o", "it.json")

    assert code == 0
    assert 'ChainedInvokeStarted "ask-accounts"' in err
    assert err.splitlines()[-1].startswith("durable: SUCCEEDED, ")


def test_what_the_local_runner_does_not_have_is_not_found(local):
    unknown = "4d0971c5-3ac9-41a1-96ad-fa7327b9a8c0/17737de1-340b-4c0a-b231-a6bf750f0a23"

    code, _, err = local("fetch", unknown, "-o", "it.json")

    assert code == 4
    assert f"{unknown}: not found in us-east-1" in err


# -- verifying what was run there ----------------------------------------------------------------


def verified(local, source, handler, *more):
    handled = ("--handler", f"{HANDLERS / handler}.py:handler", "--runs", "1")
    code, out, err = local("replay", source, *handled, *more)
    assert err == ""
    return code, out


@pytest.mark.parametrize("name", ["map", "chained", "failed", "texts"])
def test_a_handler_is_compatible_with_what_it_did_there(local, runner, name):
    code, out = verified(local, runner.ids[name], RUNS[name][0])

    assert code == 0
    assert out.startswith(f"compatible  {runner.ids[name]}  ")
    assert "difference" not in out


def test_another_handler_diverges_from_what_was_done_there(local, runner):
    code, out = verified(local, runner.ids["chained"], "aws_failed_execution")

    assert code == 1
    assert 'ChainedInvoke "ask-accounts" has become Step "count-stock"' in out


def test_a_redacted_execution_is_fetched_replayed_and_verified(local, runner):
    local("fetch", runner.ids["map"], "--redact", "-o", "shown.json")

    code, out, _ = local("replay", "shown.json")
    assert code == 0
    assert "re-executed to rebuild its value" in out

    code, out = verified(local, "shown.json", "aws_flat_map_overflow", "--width", "200")
    assert code == 0
    assert "note: redacted: the code was handed stand-ins" in out

    code, out = verified(local, "shown.json", "aws_chained_invoke")
    assert code == 1  # nothing was handed over before


def test_an_execution_that_waits_is_explained_and_verified_from_its_id(local, runner):
    code, out, _ = local("replay", runner.ids["never"], "--width", "200")
    assert code == 0
    assert "why it waits" in out
    assert 'Callback "approval create callback id" waits for an answer' in out

    code, out = verified(local, runner.ids["never"], "aws_wait_for_callback")
    assert (code, out.split()[0]) == (0, "compatible")


def test_a_running_execution_is_followed_until_it_ends(local, runner):
    answering = threading.Timer(1, runner.answer, ("asked", b"yes"))
    answering.start()

    code, _, err = local(
        "fetch", runner.ids["asked"], "--follow", "--interval", "0.2", "-o", "it.json"
    )
    answering.join()

    assert code == 0
    assert err.index("CallbackStarted") < err.index("CallbackSucceeded")
    assert err.splitlines()[-1].startswith("durable: SUCCEEDED, ")
    assert load_history("it.json").execution.result == '"yes"'
    assert verified(local, "it.json", "aws_wait_for_callback")[0] == 0
