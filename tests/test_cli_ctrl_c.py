"""Ctrl-C and `--timeout` end what a handler doesn't: with a report, whatever the handler does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

HEAD = {
    "native": "import durable_core\nasync def handler(event, ctx):\n    await ctx.step(stuck)\n",
    "aws-sdk": (
        "from aws_durable_execution_sdk_python import durable_execution\n"
        "@durable_execution\ndef handler(event, ctx):\n    ctx.step(stuck)\n"
    ),
}
STUCK = {
    "busy": "    while True: sum(range(9))\n",
    "lock": "    lock = threading.Lock()\n    lock.acquire()\n    lock.acquire()\n",
    "process": "    import subprocess\n    subprocess.run(['sleep', '300'])\n",
    "in C": "    import ctypes\n    ctypes.CDLL(None).sleep(300)\n",
    "threads": (
        "    lock = threading.Lock()\n    lock.acquire()\n"
        "    thread = threading.Thread(target=lock.acquire)\n    thread.start()\n"
        "    thread.join()\n"
    ),
    "catching": (
        "    while True:\n        try: select.select([], [], [], 300)\n"
        "        except BaseException: pass\n"
    ),
}
"""What the body of a step does after it has said that it began."""


def written(tmp_path: Path, runtime: str, stuck: str) -> str:
    if runtime == "aws-sdk" and find_spec("aws_durable_execution_sdk_python") is None:
        pytest.skip("needs AWS's SDK")
    path = tmp_path / "never_ends.py"
    body = "import pathlib, select, threading\ndef stuck(_):\n    pathlib.Path('began').touch()\n"
    path.write_text(f"{body}{STUCK[stuck]}\n{HEAD[runtime]}")
    return f"{path}:handler"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "durable_cli", "simulate", "--format", "json", *arguments]


def interrupted(
    tmp_path: Path, handler: str, *arguments: str, whole_terminal: bool = False
) -> dict[str, Any]:
    """Return the report of a command that is interrupted once its handler runs."""
    process = subprocess.Popen(
        command("--handler", handler, *arguments),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while not (tmp_path / "began").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        if whole_terminal:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err == ""
    report: dict[str, Any] = json.loads(out)
    return report


@pytest.mark.parametrize("runtime", HEAD)
@pytest.mark.parametrize("stuck", STUCK)
def test_ctrl_c_ends_a_body_with_a_report_of_what_was_done(
    stuck: str, runtime: str, tmp_path: Path
) -> None:
    report = interrupted(tmp_path, written(tmp_path, runtime, stuck))
    assert report["execution"]["stopped"] == "interrupted"
    assert report["execution"]["status"] == "RUNNING"
    assert [each["type"] for each in report["operations"]] == ["STEP"]
    if report["invocations"]:  # none where the body caught what ends it
        assert report["invocations"][-1]["end"] == "INTERRUPTED"


@pytest.mark.parametrize("runtime", HEAD)
@pytest.mark.parametrize("option", ["--isolate", "--timeout=300"])
def test_so_it_does_where_the_handler_runs_in_another_process(
    option: str, runtime: str, tmp_path: Path
) -> None:
    handler = written(tmp_path, runtime, "process")
    report = interrupted(tmp_path, handler, option, whole_terminal=True)
    assert report["invocations"][-1]["end"] == "INTERRUPTED"
    assert len(report["invocations"][-1]["did"]["ran"]) == 1


SECOND_TIME = """
import pathlib, select
async def handler(event, ctx):
    await ctx.step(lambda _: 1)
    if pathlib.Path('once').exists():
        pathlib.Path('began').touch()
        select.select([], [], [], 300)
    pathlib.Path('once').touch()
"""


@pytest.mark.parametrize("check", ["--crash=every-checkpoint", "--check-determinism=1"])
def test_ctrl_c_in_a_check_leaves_the_report_of_the_run_before(check: str, tmp_path: Path) -> None:
    (tmp_path / "second.py").write_text(SECOND_TIME)
    report = interrupted(tmp_path, "second.py:handler", check)
    assert report["execution"]["status"] == "SUCCEEDED"
    assert report["not_checked"].startswith("you ended the command")


# -- timeouts ----------------------------------------------------------------------------------


def timed_out(tmp_path: Path, handler: str, *arguments: str) -> dict[str, Any]:
    ended = subprocess.run(
        command("--handler", handler, "--timeout", "0.2", *arguments),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr == ""
    report: dict[str, Any] = json.loads(ended.stdout)
    return report


@pytest.mark.parametrize(
    ("runtime", "stuck"), [("native", "in C"), ("native", "catching"), ("aws-sdk", "busy")]
)
def test_an_invocation_that_takes_too_long_times_out_as_in_lambda_and_is_retried(
    runtime: str, stuck: str, tmp_path: Path
) -> None:
    report = timed_out(tmp_path, written(tmp_path, runtime, stuck))
    assert report["execution"]["status"] == "FAILED"
    assert len(report["invocations"]) == 5
    for each in report["invocations"]:
        assert each["error"]["ErrorType"] == "Sandbox.Timedout"
        assert each["error"]["ErrorMessage"] == (
            f"RequestId: {each['request_id']} Error: Task timed out after 0.20 seconds"
        )
        assert each["seconds"] == 0.2


def test_with_a_timeout_globals_live_on_as_without(tmp_path: Path) -> None:
    (tmp_path / "counts.py").write_text(
        "import datetime\ncalls = 0\n"
        "async def handler(event, ctx):\n"
        "    global calls\n    calls += 1\n"
        "    await ctx.wait(datetime.timedelta(seconds=1))\n"
        "    return calls\n"
    )
    ended = subprocess.run(
        command("--handler", "counts.py:handler", "--timeout", "300"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.stderr == ""
    report = json.loads(ended.stdout)
    assert report["execution"]["result"] == "2"
    assert not report["isolated"]


def test_a_run_of_the_determinism_check_that_takes_too_long_says_so(tmp_path: Path) -> None:
    (tmp_path / "second.py").write_text(SECOND_TIME)
    ended = subprocess.run(
        command("--handler", "second.py:handler", "--timeout", "1", "--check-determinism", "1"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "gave no answer: an invocation took longer than 1 s" in ended.stderr
    assert "Traceback" not in ended.stderr


TARGETS = """
import pathlib, select

def plain(event, context):
    pathlib.Path('began').touch()
    while True: select.select([], [], [], 300)

async def durable(event, ctx):
    await ctx.step(lambda _: plain(event, None), name="stuck")

async def quick(event, ctx):
    return await ctx.step(lambda _: event, name="quick")

def once(event, context):
    return event

async def handler(event, ctx):
    ends = []
    for name in ("plain", "once", "durable", "quick"):
        try:
            ends.append(await ctx.invoke(name, name))
        except Exception as error:
            ends.append(f"{error.error_type}: {error}")
    return ends
"""
SCENARIO = "".join(
    f"[[invoke]]\nfunction = '{name}'\nhandler = 'targets.py:{name}'\n"
    for name in ("plain", "once", "durable", "quick")
)


@pytest.fixture
def invoking(tmp_path: Path) -> Path:
    (tmp_path / "targets.py").write_text(TARGETS)
    (tmp_path / "world.toml").write_text(SCENARIO)
    return tmp_path


def test_a_target_of_a_chained_invoke_that_takes_too_long_times_out_as_in_lambda(
    invoking: Path,
) -> None:
    ended = subprocess.run(
        command("--handler", "targets.py:handler", "--timeout", "0.3", "--scenario", "world.toml"),
        cwd=invoking,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    plain, once, durable, quick = json.loads(json.loads(ended.stdout)["execution"]["result"])
    for each in (plain, durable):
        assert each.startswith("Sandbox.Timedout")
        assert each.endswith("Error: Task timed out after 0.30 seconds")
    assert (once, quick) == ("once", "quick")


def test_a_target_that_takes_too_long_in_a_run_of_a_check_ends_the_check(invoking: Path) -> None:
    (invoking / "targets.py").write_text(
        TARGETS.replace("'began').touch()", "'began')")
        .replace("while True: select", "while pathlib.Path('began').exists(): select")
        .replace(
            "def once(event, context):",
            "def once(event, context):\n    pathlib.Path('began').touch()",
        )
    )
    ended = subprocess.run(
        command(
            *("--handler", "targets.py:handler", "--timeout", "1", "--scenario", "world.toml"),
            *("--check-determinism", "1"),
        ),
        cwd=invoking,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "gave no answer: an invocation took longer than 1 s" in ended.stderr


@pytest.mark.parametrize("option", [[], ["--timeout=300"]])
def test_ctrl_c_in_a_target_ends_the_command_with_a_report(
    invoking: Path, option: list[str]
) -> None:
    report = interrupted(invoking, "targets.py:handler", "--scenario", "world.toml", *option)
    assert report["execution"]["stopped"] == "interrupted"
    assert [each["type"] for each in report["operations"]] == ["CHAINED_INVOKE"]


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_timeout_that_is_none_is_refused(
    seconds: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from durable_cli.app import run

    assert run(["simulate", "--handler", "any.py:handler", "--timeout", seconds]) == 2
    assert "--timeout" in capsys.readouterr().err


MADE = """
import os, signal
async def handler(event, ctx):
    return await ctx.step(lambda _: 1, name="one")

import durable_cli.render_simulation_json as reports
real = reports.as_document
def as_document(*args):
    os.kill(os.getpid(), signal.SIGINT)
    return real(*args)
reports.as_document = as_document
"""


def test_ctrl_c_while_the_report_is_made_lets_it_be_made(tmp_path: Path) -> None:
    (tmp_path / "made.py").write_text(MADE)
    ended = subprocess.run(
        command("--handler", "made:handler", "--record", "made.json"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 130
    assert "Traceback" not in ended.stderr
    assert json.loads(ended.stdout)["execution"]["result"] == "1"
    assert (tmp_path / "made.json").exists()
