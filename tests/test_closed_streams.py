"""Whatever stdout and stderr are led to: the right exit code, and one line where it is read."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from durable_cli.app import run
from durable_core.processes.std_streams import LenientStream

ROOT = Path(__file__).parent.parent
APP = """
import sys
async def handler(event, ctx):
    print("said")
    print("said", file=sys.stderr)
    sys.stderr.flush()
    return await ctx.step(lambda step: 1, name="a")

async def other(event, ctx):
    return await ctx.step(lambda step: 1, name="b")
"""
pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    (folder / "app.py").write_text(APP)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(["simulate", "--handler", "app.py:handler", "--record", "h.json"]) == 0
    return folder


@contextmanager
def stdout_led_to(file: io.TextIOWrapper) -> Iterator[None]:
    before = sys.stdout
    sys.stdout = file
    try:
        yield
    finally:
        sys.stdout = before
        file.close()


def nobody() -> io.TextIOWrapper:
    """Return a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return open(writer, "w")


FORMATS = {
    "replay": (["replay", "h.json", "missing.json"], ("table", "json", "jsonl", "markdown"), 2),
    "inspect-batch": (["inspect-batch", "h.json"], ("table", "json"), 0),
    "simulate": (["simulate", "--handler", "app.py:other", "--max-invocations=1"], ("json",), 0),
}
CALLS = [(call, format, code) for call, formats, code in FORMATS.values() for format in formats] + [
    (["replay", "h.json", "--handler", "app.py:other"], format, 1)
    for format in ("table", "json", "jsonl", "markdown", "junit", "github")
]


@pytest.mark.parametrize(("call", "format", "code"), CALLS)
def test_a_report_that_nobody_reads_or_takes(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    call: list[str],
    format: str,
    code: int,
) -> None:
    monkeypatch.chdir(folder)
    with stdout_led_to(nobody()):
        assert run([*call, "--format", format]) == code
    missing = capsys.readouterr().err
    with stdout_led_to(open("/dev/full", "w")):
        assert run([*call, "--format", format]) == 2
    said = "durable: standard output: can't be written: No space left on device\n"
    assert capsys.readouterr().err == missing + said


CLOSED = {
    "--version >&-": (2, True),
    "--help >/dev/full": (2, True),
    "--help | true": (0, False),
    "replay h.json missing.json 2>&-": (2, False),
    "replay h.json >&- 2>&- <&-": (2, False),
    "replay h.json -o report.txt --force >&-": (0, False),
    "replay h.json --handler app.py:handler 2>/dev/full": (0, False),
    "replay h.json --handler app.py:handler 2>&-": (0, False),
    "replay h.json --handler app.py:other >&-": (2, True),
    "simulate --handler app.py:handler --isolate 2>/dev/full": (0, False),
    "simulate --handler app.py:handler --check-determinism 1 >&- 2>&- <&-": (2, False),
    "simulate --handler app.py:handler --handler-output /dev/full": (2, True),
}


@pytest.mark.parametrize("call", CLOSED)
def test_a_process_whose_streams_are_closed_or_full(folder: Path, call: str) -> None:
    code, is_told = CLOSED[call]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "core")])
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{sys.executable} -m durable_cli {call}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    lines = [line for line in done.stderr.splitlines() if line != "said"]
    assert len(lines) == is_told, lines
    assert all("can't be written" in line for line in lines)


def test_a_lenient_stream_never_fails_and_says_why_it_gave_up() -> None:
    stream = LenientStream(io.BufferedWriter(io.FileIO("/dev/full", "w")), line_buffering=True)
    print("one", file=stream)
    stream.write("two\n" * 100_000)
    stream.flush()
    assert stream.problem is not None
    assert stream.problem.errno == 28
    stream.close()
