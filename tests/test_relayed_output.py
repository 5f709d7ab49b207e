"""What a verified handler prints comes through a pipe: it has no descriptor of the command's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from durable_core.processes.relayed_output import RelayedOutput

BEGUN = {
    "EventId": 1,
    "EventType": "ExecutionStarted",
    "EventTimestamp": "2026-11-01T00:00:00Z",
    "ExecutionStartedDetails": {"Input": {"Payload": "{}"}, "ExecutionTimeout": 60},
}


def command(handler: str, *options: str) -> list[str]:
    """Return a call that verifies a handler of this body, and reads a file that isn't there."""
    Path("app.py").write_text(f"import os, sys\nasync def handler(event, ctx):\n    {handler}\n")
    Path("one.json").write_text(json.dumps({"Events": [BEGUN]}))
    call = [sys.executable, "-m", "durable_cli", "replay", "one.json", "none.json", "two.json"]
    return [*call, "--handler", "app.py", "--runs", "1", "--timeout", "5", *options]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "does",
    [
        "os.lseek(2, 0, 0); os.write(2, b'over')",
        "os.ftruncate(2, 0)",
        "os.pwrite(2, b'over', 0)",
        "os.lseek(1, 0, 0); os.ftruncate(1, 0)",
    ],
)
def test_a_handler_changes_nothing_in_the_file_that_stderr_is(does: str) -> None:
    with open("err", "w+b") as err:
        err.write(b"what was there\n")
        err.flush()
        call = command(f"print('hello', flush=True); {does}", "--guard", "off")
        subprocess.run(call, stdout=subprocess.DEVNULL, stderr=err, timeout=60)
    lines = Path("err").read_text().splitlines()
    assert lines[0] == "what was there"
    assert "hello" in lines
    assert any(line.startswith("durable: none.json: ") for line in lines)
    assert any(line.startswith("durable: two.json: ") for line in lines)


def test_a_handler_does_not_make_the_commands_stderr_return_at_once() -> None:
    reads, writes = os.pipe()
    call = command("for n in (0, 1, 2): os.set_blocking(n, False)", "--guard", "off")
    subprocess.run(call, stdin=reads, stdout=subprocess.DEVNULL, stderr=writes, timeout=60)
    assert os.get_blocking(reads)  # on a terminal, stdin and stderr are one
    assert os.get_blocking(writes)
    os.close(reads)
    os.close(writes)


@pytest.mark.parametrize("streams", ["2", "1"])
def test_all_that_a_handler_prints_arrives_in_its_order(streams: str) -> None:
    call = command(f"[os.write({streams}, b'%06d\\n' % n) for n in range(50_000)]")
    err = subprocess.run(call, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60).stderr
    numbers = [line for line in err.splitlines() if line.isdigit()]
    assert numbers == [b"%06d" % number for number in range(50_000)]


def test_a_handler_that_prints_without_an_end_is_ended_though_nobody_reads() -> None:
    reads, writes = os.pipe()
    call = command("while True: os.write(2, b'x' * 65536)", "--timeout", "1")
    done = subprocess.run(call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert b"did not end within 1 s" in done.stdout
    call.remove("none.json")
    call.remove("two.json")
    try:
        done = subprocess.run(call, stdout=subprocess.PIPE, stderr=writes, timeout=60)
        assert b"did not end within 1 s" in done.stdout
    finally:
        os.close(writes)
        os.close(reads)


def test_what_is_left_in_the_pipe_is_led_on_at_its_end(capfd: pytest.CaptureFixture[str]) -> None:
    import multiprocessing

    reads, writes = multiprocessing.get_context("spawn").Pipe(duplex=False)
    relayed = RelayedOutput(reads)
    os.write(writes.fileno(), b"x" * 60_000)
    relayed.close()
    assert capfd.readouterr().err == "x" * 60_000
    writes.close()
