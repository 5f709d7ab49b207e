"""Code in the current folder never runs unless the handler is there, and what the handler's own
folder has is what the handler gets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from durable_cli.app import run
from durable_core.processes.safe_start import restore_environment, start_variables, starting
from durable_core.runtimes.handler import HandlerError, HandlerLoader

ROOT = Path(__file__).parent.parent
HANDLER = """
async def handler(event, ctx):
    try:
        import only_in_the_current_folder
    except ImportError:
        pass
    return await ctx.step(lambda step: 41 + 1, name="a")
"""
SHADOWS = (
    *("__future__", "socket", "signal", "json", "typing", "re", "shutil", "traceback", "token"),
    *("orjson", "typer", "click", "rich", "boto3", "multiprocessing", "durable_core"),
    *("sitecustomize", "usercustomize", "only_in_the_current_folder"),
)


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a history, and with modules that leave a trace when they are imported; the
    handler is in another one."""
    base = tmp_path_factory.mktemp("others")
    (base / "app.py").write_text(HANDLER)
    folder = base / "downloads"
    folder.mkdir()
    for name in SHADOWS:
        (folder / f"{name}.py").write_text(
            f"open({str(base / 'ran')!r}, 'a').write(__name__ + ' ')\nraise SystemExit(99)\n"
        )
    handler = str(base / "app.py:handler")
    assert run(["simulate", "--handler", handler, "--record", str(folder / "h.json")]) == 0
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay", "h.json"],
        ["replay", "h.json", "--handler", "../app.py:handler"],
        ["simulate", "--handler", "../app.py:handler", "--isolate", "--check-determinism", "1"],
    ],
    ids=["explaining", "verifying", "simulating"],
)
def test_nothing_in_the_current_folder_runs(downloads: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "durable_cli", *arguments],  # which puts it first on the path
        cwd=downloads,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "core")])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    trace = downloads.parent / "ran"
    assert (done.returncode, trace.exists()) == (0, False), done.stderr


# -- what goes on the path -----------------------------------------------------------------------

Write = Callable[[dict[str, str]], HandlerLoader]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write files below a folder; the folder `here` in it is the working directory."""
    path, finders, loaders = list(sys.path), list(sys.meta_path), []

    def write(files: dict[str, str]) -> HandlerLoader:
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (tmp_path / "here").mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / "here")
        loaders.append(HandlerLoader())
        return loaders[-1]

    yield write
    for loader in loaders:
        loader.forget()
    sys.path[:], sys.meta_path[:] = path, finders


NATIVE = "async def handler(event, ctx):\n    return 1\n"


@pytest.mark.parametrize(
    ("files", "spec"),
    [
        ({"sp1/app1.py": NATIVE}, "../sp1/app1.py:handler"),
        ({"sp2/pyproject.toml": "", "sp2/src/app2.py": NATIVE}, "../sp2/src/app2.py"),
        ({"pyproject.toml": "", "app3.py": NATIVE}, "app3:handler"),
        ({"pyproject.toml": "", "src/sp4/app4.py": NATIVE}, "sp4.app4:handler"),
        ({"installed/sp5/__init__.py": NATIVE}, "sp5:handler"),
        ({"here/sp6/readme.txt": "", "installed/sp6/__init__.py": NATIVE}, "sp6:handler"),
    ],
    ids=["file", "project", "around", "src", "installed", "folder of its name"],
)
def test_the_current_folder_is_on_the_path_only_where_the_handler_is_in_it(
    project: Write, tmp_path: Path, files: dict[str, str], spec: str
) -> None:
    loader = project(files)
    sys.path.append(str(tmp_path / "installed"))
    loader.load(spec)
    assert str(tmp_path / "here") not in sys.path


def test_a_handler_that_is_nowhere_is_looked_for_without_running_anything(project: Write) -> None:
    loader = project({"here/socket.py": "1 / 0"})
    with pytest.raises(HandlerError, match=r"no module 'nowhere1' in .*here, or installed"):
        loader.load("nowhere1:handler")


# -- what the handler gets -----------------------------------------------------------------------

OWN = {
    "here/signal.py": "def notify():\n    return 'own signal'\n",
    "here/json.py": "import json\nloads = json.loads\nOWN = 'own json'\n",
    "here/orjson.py": "OWN = 'own orjson'\n",
    "here/shutil.py": "OWN = 'own shutil'\n",
    "here/rich.py": "OWN = 'own rich'\n",
    "here/email/__init__.py": "from email.parts import OWN\n",
    "here/email/parts.py": "from signal import notify\nOWN = notify() + ' in own email'\n",
    "here/app.py": """
import json, email.parts as parts
from signal import notify
from orjson import OWN as orjson

async def handler(event, ctx):
    from rich import OWN as rich
    import shutil
    found = [notify(), json.OWN, json.loads("2"), orjson, shutil.OWN, parts.OWN, rich]
    return await ctx.step(lambda step: found, name="a")
""",
}
FOUND = [
    *("own signal", "own json", 2, "own orjson", "own shutil"),
    *("own signal in own email", "own rich"),
]


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        ("app:handler", []),
        ("app.py:handler", ["--isolate"]),
        ("app:handler", ["--check-determinism", "1"]),
    ],
)
def test_modules_of_the_handlers_folder_win_over_those_of_python_and_of_installed_packages(
    project: Write, capsys: pytest.CaptureFixture[str], spec: str, options: list[str]
) -> None:
    project(OWN)
    code = run(["simulate", "--handler", spec, "--record", "h.json", *options])
    assert code == 0, capsys.readouterr().err
    assert json.loads(json.loads(Path("h.json").read_text())["Result"]) == FOUND
    if not options:
        assert run(["replay", "h.json", "--handler", spec]) == 0


def test_nothing_else_gets_the_modules_of_the_handlers_folder(project: Write) -> None:
    loader = project(OWN | {"here/turtledemo/__init__.py": "OWN = 1\n"})
    loader.load("app:handler")
    for name in ("signal", "json", "orjson", "shutil", "email"):
        assert not hasattr(sys.modules.get(name, ModuleType(name)), "OWN")
    assert not hasattr(__import__("turtledemo"), "OWN")  # not loaded before


def test_two_handlers_have_a_module_of_one_name_each(project: Write) -> None:
    uses = "from own_helper import which\n" + NATIVE
    loader = project(
        {
            "here/a/one.py": uses,
            "here/a/own_helper.py": "which = 'a'\n",
            "here/b/two.py": uses,
            "here/b/own_helper.py": "which = 'b'\n",
        }
    )
    found = [loader.load(f"{each}.py:handler").target for each in ("a/one", "b/two")]
    assert [each.__globals__["which"] for each in found] == ["a", "b"]


# -- how processes start -------------------------------------------------------------------------


def test_a_process_starts_with_the_safe_path_and_without_empty_entries() -> None:
    given = {"PYTHONPATH": os.pathsep.join(["", "/a", "", "/b"]), "HOME": "/h"}
    variables = start_variables(given, hash_seed=7)
    assert variables.pop("PYTHONSAFEPATH")
    assert variables == {"PYTHONPATH": f"/a{os.pathsep}/b", "HOME": "/h", "PYTHONHASHSEED": "7"}
    assert "PYTHONPATH" not in start_variables({"PYTHONPATH": ""})


@pytest.mark.parametrize("users", [None, "1"])
def test_what_the_user_starts_from_there_has_the_users_environment(
    monkeypatch: pytest.MonkeyPatch, users: str | None
) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    if users:
        monkeypatch.setenv("PYTHONSAFEPATH", users)
    before = dict(os.environ)
    with starting():
        assert os.environ["PYTHONSAFEPATH"]
        restore_environment()  # as the process does
        assert os.environ.get("PYTHONSAFEPATH") == users
    assert dict(os.environ) == before
