"""What is named as a file may be none, never end, or be very deep."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from durable_cli.app import run
from durable_cli.options import parse_size
from durable_core.adapters import files
from durable_core.errors import UsageError

HISTORY = (Path(__file__).parents[1] / "fixtures/histories/waits.json").read_text()
HANDLER = "async def handler(event, context): return 1\n"
Said = Callable[[], str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(HANDLER)
    return tmp_path


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("source", [["in"], ["in/*.json"], ["in/**/*.json"]])
@pytest.mark.parametrize("handler", [[], ["--handler", "app.py", "--runs", "1"]])
def test_what_is_no_file_in_a_folder_is_passed_over_with_a_line(
    source: list[str], handler: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "in").mkdir()
    Path("in/h.json").write_text(HISTORY)
    os.mkfifo("in/pipe.json")
    Path("in/device.json").symlink_to(os.devnull)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("in/socket.json")
        assert run(["replay", *source, *handler]) == (3 if handler else 0)
    kinds = {"pipe": "a named pipe", "device": "a device", "socket": "a socket"}
    assert sorted(lines(capsys)) == sorted(
        f"durable: in/{name}.json: passed over: {kind}, not a file" for name, kind in kinds.items()
    )


NAMED = {
    "replay": ["replay", "pipe"],
    "verify": ["replay", "pipe", "--handler", "app.py", "--runs", "1"],
    "inspect-batch": ["inspect-batch", "pipe"],
    "event": ["simulate", "--handler", "app.py", "-e", "pipe"],
    "scenario": ["simulate", "--handler", "app.py", "--scenario", "pipe"],
    "limits": ["simulate", "--handler", "app.py", "--limits", "pipe"],
    "prices": ["simulate", "--handler", "app.py", "--prices", "pipe"],
}


@pytest.mark.parametrize("call", NAMED)
def test_a_pipe_to_which_nobody_writes_is_given_up(
    call: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(files, "SILENT_SECONDS", 0.05)
    os.mkfifo("pipe")
    assert run(NAMED[call]) == 2
    assert lines(capsys) == ["durable: pipe: a pipe or device that said nothing for 0.05 s"]


def test_a_pipe_that_never_ends_is_given_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(files, "TOTAL_SECONDS", 0.1)
    os.mkfifo("pipe")
    over = threading.Event()

    def drip() -> None:
        with open("pipe", "wb", buffering=0) as pipe:
            while not over.wait(0.01):
                try:
                    pipe.write(b" ")
                except BrokenPipeError:
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    assert run(["replay", "pipe"]) == 2
    over.set()
    thread.join()
    assert lines(capsys) == ["durable: pipe: didn't end within 0.1 s"]


def test_a_pipe_that_is_written_late_is_read_whole(folder: Path) -> None:
    os.mkfifo("pipe")
    writing = threading.Thread(target=lambda: Path("pipe").write_text(HISTORY))
    writing.start()
    assert run(["replay", "pipe"]) == 0
    writing.join()


def test_a_device_that_never_ends_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(files, "MOST_DEVICE_BYTES", 2**20)
    assert run(["replay", "/dev/zero"]) == 2
    assert lines(capsys) == [
        "durable: /dev/zero: larger than 1 MiB of text: expected one execution's history or less"
    ]


@pytest.mark.parametrize(("source", "levels"), [("deep", 1_500), ("deep/**/*.json", 600)])
def test_folders_may_be_as_deep_as_paths_can_be_long(
    source: str, levels: int, folder: Path
) -> None:
    here = os.getcwd()  # noqa: PTH109
    Path("deep").mkdir()
    os.chdir("deep")
    for _ in range(levels):
        Path("d").mkdir()
        os.chdir("d")
    Path("h.json").write_text(HISTORY)
    os.chdir(here)
    limit = sys.getrecursionlimit()
    try:
        assert run(["replay", source, "--depth", "1"]) == 0
    finally:  # from the inside out: what removes temporary folders recurses
        os.chdir("/".join(["deep", *["d"] * levels]))
        Path("h.json").unlink()
        for _ in range(levels):
            os.chdir("..")
            Path("d").rmdir()
        os.chdir(here)
    assert sys.getrecursionlimit() == limit


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("1000000", 10**6),
        ("2K", 2048),
        ("1.5M", 3 * 2**19),
        ("2g", 2**31),
        ("1 GiB", 2**30),
    ],
)
def test_a_size_is_read_as_people_write_it(text: str, size: int) -> None:
    assert parse_size(text, "--max-bytes") == size


@pytest.mark.parametrize(
    "text", ["0", "-1", "x", "1e9", "1Q", "0.1", "nan", "9" * 40, "\N{ARABIC-INDIC DIGIT ONE}K"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a number of bytes such as"):
        parse_size(text, "--max-bytes")


@pytest.mark.parametrize("handler", [[], ["--handler", "app.py", "--runs", "1"]])
def test_a_larger_text_than_max_bytes_is_one_line(
    handler: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("h.json").write_text(HISTORY.ljust(5_000))
    assert run(["replay", "h.json", "--max-bytes", "4K", *handler]) == 2
    assert lines(capsys) == [
        "durable: h.json: larger than 4,096 bytes of text: expected one execution's history or less"
    ]
    assert run(["replay", "h.json", "--max-bytes", "4.9K", *handler]) == (3 if handler else 0)


TOML = {
    "deep lists": "a = " + "[" * 10_000,
    "deep tables": "a = " + "{a=" * 10_000,
    "a long key": ".".join("a" * 100_000) + " = 1",
    "a long quoted key": '"a" . ' * 100_000 + "a = 1",
    "a long header": "[" + ".".join("a" * 100_000) + "]",
    "a huge number": "a = " + "9" * 10_000,
}


@pytest.mark.parametrize("option", ["--scenario", "--limits", "--prices"])
@pytest.mark.parametrize("text", TOML)
def test_toml_that_would_take_for_ever_is_one_line(
    text: str, option: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("it.toml").write_text(TOML[text])
    assert run(["simulate", "--handler", "app.py", option, "it.toml"]) == 2
    (line,) = lines(capsys)
    assert line.startswith("durable: it.toml: not TOML: ")
