"""Every file that is written is whole or as it was, and none that the call needs is overwritten."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from durable_cli import whole_file
from durable_cli.app import run
from durable_cli.whole_file import write_whole
from durable_core.errors import SourceError

HISTORY = Path(__file__).parent.parent / "fixtures" / "histories" / "step_retries_exhausted.json"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files() -> list[str]:
    return sorted(path.name for path in Path.cwd().iterdir())


# -- whole or as it was --------------------------------------------------------------------------


def fail(*arguments: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("there", [None, "before"])
@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
def test_a_file_on_a_full_disk_is_as_it_was(
    monkeypatch: pytest.MonkeyPatch, where: str, there: str | None
) -> None:
    if there:
        Path("it").write_text(there)
    with monkeypatch.context() as patch:
        patch.setattr(whole_file.os, where, fail)
        with pytest.raises(SourceError, match="it: can't be written: No space left on device"):
            write_whole(Path("it"), "after", force=True)
    assert files() == (["it"] if there else [])
    assert there is None or Path("it").read_text() == there


def test_a_file_is_as_it_was_when_the_process_is_killed_while_it_is_written() -> None:
    Path("it").write_text("before")
    code = (
        "import os, pathlib; from durable_cli import whole_file as w\n"
        "w.os.fsync = lambda descriptor: os.kill(os.getpid(), 9)\n"
        "w.write_whole(pathlib.Path('it'), 'after' * 10**6, force=True)"
    )
    paths = os.pathsep.join(map(str, (HISTORY.parents[2], HISTORY.parents[2] / "core")))
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths})
    assert done.returncode == -9
    assert Path("it").read_text() == "before"


def test_what_is_written_is_beside_the_file_under_a_random_name_until_it_is_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(whole_file.os, "fsync", lambda descriptor: seen.append(files()))
    for _ in range(2):
        write_whole(Path("it"), "text", force=True)
    assert len({name for names in seen for name in names if name != "it"}) == 2
    assert files() == ["it"]


def test_a_link_that_waits_under_the_name_of_the_temporary_file_is_not_written_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = iter([b"taken", b"free"])
    Path("precious").write_text("mine")
    Path(f".durable-{b'taken'.hex()}.part").symlink_to("precious")
    with monkeypatch.context() as patch:
        patch.setattr(whole_file.os, "urandom", lambda size: next(names))
        write_whole(Path("it"), "text")
    assert (Path("precious").read_text(), Path("it").read_text()) == ("mine", "text")


def test_a_name_of_the_longest_length_can_be_written() -> None:
    name = "é" * 127
    write_whole(Path(name), "text")
    assert files() == [name]


def test_one_that_came_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_file.os, "fsync", lambda number: Path("it").write_text("mine"))
    with pytest.raises(SourceError, match="exists"):
        write_whole(Path("it"), "text")
    assert (files(), Path("it").read_text()) == (["it"], "mine")


def test_the_rights_of_a_file_that_is_replaced_stay() -> None:
    Path("it").write_text("before")
    Path("it").chmod(0o640)
    write_whole(Path("it"), "after", force=True)
    assert stat.S_IMODE(Path("it").stat().st_mode) == 0o640


# -- links, pipes and devices --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["link", "link to nothing", "hard link"])
def test_what_a_link_leads_to_stays(kind: str) -> None:
    if kind != "link to nothing":
        Path("precious").write_text("mine")
    link: Callable[[str, str], None] = os.link if kind == "hard link" else os.symlink
    link("precious", "it")
    with pytest.raises(SourceError, match="exists"):
        write_whole(Path("it"), "text")
    write_whole(Path("it"), "text", force=True)
    assert Path("it").read_text() == "text"
    assert not Path("it").is_symlink()
    assert kind == "link to nothing" or Path("precious").read_text() == "mine"


def test_a_pipe_is_written_as_it_is() -> None:
    os.mkfifo("pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_text()))
    reader.start()
    write_whole(Path("pipe"), "text")
    reader.join(10)
    assert (read, files()) == (["text"], ["pipe"])


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="there is no /proc here")
def test_a_name_of_stdout_is_stdout_whatever_it_was_led_to(name: str) -> None:
    Path("link").symlink_to("/dev/stdout")
    code = f"import pathlib; from durable_cli.whole_file import *; write_whole(Path({name!r}), 'b')"
    paths = os.pathsep.join(map(str, (HISTORY.parents[2], HISTORY.parents[2] / "core")))
    with Path("out").open("a") as out:
        out.write("a")
        out.flush()
        environment = {**os.environ, "PYTHONPATH": paths}
        subprocess.run([sys.executable, "-c", code], stdout=out, env=environment, check=True)
    assert Path("out").read_text() == "ab"
    assert Path("link").is_symlink()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_devices_are_written_as_they_are() -> None:
    write_whole(Path("/dev/null"), "text")
    with pytest.raises(SourceError, match="/dev/full: can't be written: No space left on device"):
        write_whole(Path("/dev/full"), "text")


# -- what a command overwrites -------------------------------------------------------------------

APP = """
from helper import name
async def handler(event, ctx):
    return await ctx.step(lambda step: 1, name=name)
"""
COMMANDS: dict[str, tuple[list[str], list[str]]] = {
    "replay -o": (["replay", "in.json", "--prices", "prices.toml"], ["-o"]),
    "replay --handler -o": (["replay", "one.json", "--handler", "app.py:handler"], ["-o"]),
    "inspect-batch -o": (["inspect-batch", "in.json"], ["-o"]),
    **{
        f"simulate {option}": (
            ["simulate", "--handler", "app.py:handler", "-e", "in.json", "--limits", "l.toml"],
            [*more, option],
        )
        for option, more in {
            "-o": [],
            "--record": [],
            "--record-updates": [],
            "--handler-output": [],
            "--save-failing": ["--crash", "throttle"],
        }.items()
    },
}


@pytest.fixture
def inputs(here: Path) -> list[str]:
    """Write what the commands read; return the names of what is never overwritten."""
    Path("in.json").write_text(HISTORY.read_text())
    Path("l.toml").write_text("operations = 5\n")
    Path("prices.toml").write_text("memory_mb = 512\n")
    Path("app.py").write_text(APP)
    Path("helper.py").write_text("name = 'a'\n")
    assert run(["simulate", "--handler", "app.py:handler", "--record", "one.json"]) == 0
    return ["in.json", "l.toml", "prices.toml", "app.py", "helper.py", "one.json"]


@pytest.mark.parametrize(("call", "option"), COMMANDS.values(), ids=COMMANDS)
def test_a_file_that_exists_is_overwritten_only_with_force(
    inputs: list[str], capsys: pytest.CaptureFixture[str], call: list[str], option: list[str]
) -> None:
    capsys.readouterr()
    Path("out").write_text("mine")
    assert run([*call, *option, "out"]) == 2
    assert capsys.readouterr() == ("", "durable: out: exists (--force overwrites it)\n")
    assert Path("out").read_text() == "mine"
    assert run([*call, *option, "out", "--force"]) == 0
    is_written = option[-1] != "--save-failing"  # nothing failed
    assert (Path("out").read_text() != "mine") == is_written
    assert [name for name in files() if name.startswith(".")] == []


@pytest.mark.parametrize("how", ["name", "link", "hard link"])
@pytest.mark.parametrize(("call", "option"), COMMANDS.values(), ids=COMMANDS)
def test_what_the_call_reads_and_the_handlers_code_are_not_overwritten_even_with_force(
    inputs: list[str],
    capsys: pytest.CaptureFixture[str],
    call: list[str],
    option: list[str],
    how: str,
) -> None:
    before = {name: Path(name).read_text() for name in inputs}
    for name in inputs:
        is_read = name in call or f"{name}:handler" in call
        if not is_read and (name != "helper.py" or how == "hard link"):
            continue
        target = name if how == "name" else f"link to {name}"
        if how != "name":
            (os.link if how == "hard link" else os.symlink)(name, target)
        assert run([*call, *option, target, "--force"]) == 2, name
        assert target in capsys.readouterr().err
        assert {name: Path(name).read_text() for name in inputs} == before


def test_what_a_simulation_invoked_is_not_recorded_over_its_event(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("app.py").write_text(
        "async def handler(event, ctx):\n    return await ctx.invoke('other', event)\n"
        "async def other(event, ctx):\n    return event\n"
    )
    Path("s.toml").write_text("[[invoke]]\nfunction = 'other'\nhandler = 'app.py:other'\n")
    call = ["simulate", "--handler", "app.py:handler", "--scenario", "s.toml", "--force"]
    assert run([*call, "--record", "a.json"]) == 0
    child = next(name for name in files() if name.startswith("a.1."))
    Path(child).write_text("17")
    assert run([*call, "--record", "a.json", "-e", child]) == 2
    assert f"--record and --event name the same file: {child}" in capsys.readouterr().err
    assert Path(child).read_text() == "17"


def test_one_file_that_can_not_be_written_keeps_no_other_from_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("app.py").write_text("async def handler(event, ctx): ...\n")
    call = ["simulate", "--handler", "app.py", "--format", "json", "--record", "/dev/full"]
    assert run([*call, "--record-updates", "updates.json"]) == 2
    out, err = capsys.readouterr()
    assert "/dev/full: can't be written: No space left on device" in err
    assert json.loads(out)["execution"]["status"] == "SUCCEEDED"
    assert json.loads(Path("updates.json").read_text()) is not None
