"""The folder of processes behind the walls is gone afterwards, whatever is in there, and whatever
ended who made it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from durable_core.sandbox import scratch
from durable_core.sandbox.scratch import Scratch


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "YOUNG_SECONDS", -1)
    return tmp_path


def made() -> tuple[Scratch, Path]:
    new = Scratch()
    assert new.folder is not None
    return new, Path(new.folder)


def test_a_folder_of_any_depth_is_removed(folder: Path) -> None:
    new, at = made()
    home = Path.cwd()
    os.chdir(at)
    for _ in range(3_000):
        os.mkdir("d")  # noqa: PTH102
        os.chdir("d")
    Path("file").touch()
    os.chdir(home)
    new.remove()
    assert list(folder.iterdir()) == []


def test_what_is_locked_is_removed_and_what_links_lead_to_is_not(folder: Path) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    mode = elsewhere.stat().st_mode
    new, at = made()
    (at / "a" / "b").mkdir(parents=True)
    (at / "a" / "b" / "link").symlink_to(elsewhere)
    (at / "link").symlink_to(elsewhere)
    (at / "a" / "b").chmod(0)
    (at / "a").chmod(0)
    new.remove()
    assert list(folder.iterdir()) == [elsewhere]
    assert (elsewhere / "kept").exists()
    assert elsewhere.stat().st_mode == mode


def test_a_folder_is_removed_by_the_next_call_when_its_process_is_dead(folder: Path) -> None:
    code = (
        "import sys\n"
        "from durable_core.sandbox.scratch import Scratch\n"
        "print(Scratch().folder, flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    ) as process:
        assert process.stdout is not None
        other = Path(process.stdout.readline().strip())
        new, _ = made()
        assert other.exists()
        new.remove()
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert other.exists()
    new, at = made()
    assert list(folder.iterdir()) == [at]
    new.remove()


def test_a_folder_that_only_has_such_a_name_is_left_alone(folder: Path) -> None:
    (folder / "durable-project").mkdir()
    (folder / f"{scratch.PREFIX}link").symlink_to(folder / "durable-project")
    (folder / f"{scratch.PREFIX}file").touch()
    new, _ = made()
    new.remove()
    assert len(list(folder.iterdir())) == 3


def test_a_young_folder_may_be_about_to_be_locked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "YOUNG_SECONDS", 60)
    young = folder / f"{scratch.PREFIX}abc"
    young.mkdir()
    new, _ = made()
    new.remove()
    assert young.exists()
