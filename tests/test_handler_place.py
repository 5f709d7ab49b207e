"""Handlers are found where Python finds modules, in every layout, and start anew in each."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from durable_cli.app import run
from durable_core.runtimes.handler import (
    FunctionMissing,
    HandlerError,
    HandlerKind,
    HandlerLoader,
    ImportFailed,
    NotAHandler,
)

NATIVE = "async def handler(event, ctx):\n    return 1\n"
AWS = """from aws_durable_execution_sdk_python import durable_execution
@durable_execution
def handler(event, context):
    return 1
"""
STATE = """
from datetime import timedelta
{imports}
runs = []

async def handler(event, ctx):
    runs.append(1)
    await ctx.step(lambda step: len(runs), name="count")
    await ctx.wait(timedelta(seconds=1), name="pause")
    return await ctx.step(lambda step: len(runs), name="count again")
"""
Write = Callable[[dict[str, str]], HandlerLoader]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write files into a folder of their own, which is the working directory; leave no trace."""
    path, finders, loaders = list(sys.path), list(sys.meta_path), []

    def write(files: dict[str, str]) -> HandlerLoader:
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        loaders.append(HandlerLoader())
        return loaders[-1]

    monkeypatch.chdir(tmp_path)
    yield write
    for loader in loaders:
        loader.forget()
    sys.path[:], sys.meta_path[:] = path, finders


USES = "from {} import VALUE\nassert VALUE == 7\n" + NATIVE
VALUE = "VALUE = 7\n"

LAYOUTS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "a namespace package": (
        {"np1/sub/mod.py": NATIVE},
        ("np1.sub.mod:handler", "np1.sub.mod.handler", "np1/sub/mod.handler", "np1/sub/mod.py"),
    ),
    "a namespace package below a regular one": (
        {
            "rp1/__init__.py": "",
            "rp1/sub/mod.py": USES.format("rp1.sub.values"),
            "rp1/sub/values.py": VALUE,
        },
        (
            "rp1.sub.mod:handler",
            "rp1/sub/mod.handler",
            "rp1/sub/mod.py:handler",
            "./rp1/sub/mod:handler",
        ),
    ),
    "relative imports below a regular one": (
        {"rp2/__init__.py": "", "rp2/sub/mod.py": USES.format("..values"), "rp2/values.py": VALUE},
        ("rp2.sub.mod:handler", "rp2/sub/mod.py:handler", "rp2/sub/mod.py"),
    ),
    "relative imports without any __init__.py": (
        {"rp3/mod.py": USES.format(".values"), "rp3/values.py": VALUE},
        ("rp3.mod:handler", "rp3/mod.handler", "rp3/mod.py:handler"),
    ),
    "a regular package below a folder": (
        {
            "rp4/pack/__init__.py": "",
            "rp4/pack/mod.py": USES.format(".values"),
            "rp4/pack/values.py": VALUE,
        },
        ("rp4.pack.mod:handler", "rp4/pack/mod.py:handler"),
    ),
    "a package whose function is in its __init__.py": (
        {"rp5/__init__.py": USES.format(".values"), "rp5/values.py": VALUE},
        ("rp5:handler", "rp5.handler", "rp5/__init__.py:handler", "rp5/__init__.py"),
    ),
    "a src layout": (
        {
            "pyproject.toml": "",
            "src/sl1/__init__.py": "",
            "src/sl1/mod.py": USES.format("sl1.values"),
            "src/sl1/values.py": VALUE,
        },
        ("sl1.mod:handler", "src/sl1/mod.py:handler", "src.sl1.mod:handler"),
    ),
    "a src layout without a project file": (
        {"src/sl2/mod.py": USES.format(".values"), "src/sl2/values.py": VALUE},
        ("sl2.mod:handler", "src/sl2/mod.py:handler"),
    ),
    "a package called src": (
        {
            "src/__init__.py": "",
            "src/step/step.py": USES.format("src.step.values"),
            "src/step/values.py": VALUE,
        },
        ("src.step.step:handler", "src/step/step.py:handler", "src/step/step.handler"),
    ),
    "a file that imports its neighbour": (
        {"fn1/mod.py": USES.format("fn1_values"), "fn1/fn1_values.py": VALUE},
        ("fn1/mod.py:handler",),
    ),
    "a file of a package that imports its neighbour as if alone": (
        {
            "fn2/__init__.py": "",
            "fn2/mod.py": USES.format("fn2_values"),
            "fn2/fn2_values.py": VALUE,
        },
        ("fn2/mod.py:handler",),
    ),
    "a file that imports from the working directory": (
        {"fn3/mod.py": USES.format("wd_values"), "wd_values.py": VALUE},
        ("fn3/mod.py:handler",),
    ),
    "a file that imports from the project": (
        {
            "fn4/pyproject.toml": "",
            "fn4/functions/mod.py": USES.format("fn4_common"),
            "fn4/src/fn4_common.py": VALUE,
        },
        ("fn4/functions/mod.py:handler",),
    ),
    "a name that is no identifier": (
        {"basic-wait.py": NATIVE, "my wait.py": NATIVE, "1_wait.py": NATIVE, "v1.wait.py": NATIVE},
        (
            "basic-wait.py:handler",
            "basic-wait:handler",
            "basic-wait.handler",
            "my wait.py:handler",
            "1_wait.py:handler",
            "v1.wait.py:handler",
            "v1.wait.py",
        ),
    ),
    "folders that are no identifiers": (
        {
            "my-app/v1.2/mod.py": USES.format("values_1"),
            "my-app/v1.2/values_1.py": VALUE,
            "my-app/pack/__init__.py": "",
            "my-app/pack/a.b.py": USES.format(".values"),
            "my-app/pack/values.py": VALUE,
        },
        ("my-app/v1.2/mod.py:handler", "my-app/pack/a.b.py:handler"),
    ),
    "modules that have names of Python's": (
        {
            "json.py": NATIVE,
            "time.py": NATIVE,
            "calendar.py": NATIVE,
            "queue.py": NATIVE,
            "__main__.py": NATIVE,
            "runpy.py": NATIVE,
            "types.py": NATIVE,
        },
        (
            "json:handler",
            "json.py:handler",
            "time:handler",
            "calendar.py",
            "queue:handler",
            "__main__.py:handler",
            "runpy:handler",
            "types.py:handler",
        ),
    ),
    "a package that has a name of Python's": (
        {
            "email/__init__.py": "",
            "email/mod.py": USES.format(".values"),
            "email/values.py": VALUE,
            "logging/__init__.py": "",
            "logging/deep/mod.py": USES.format("..values"),
            "logging/values.py": VALUE,
        },
        (
            "email.mod:handler",
            "email/mod.py:handler",
            "logging.deep.mod:handler",
            "logging/deep/mod.py:handler",
        ),
    ),
    "modules that have names of installed packages": (
        {
            "pytest.py": NATIVE,
            "typer/__init__.py": "",
            "typer/mod.py": USES.format(".values"),
            "typer/values.py": VALUE,
        },
        ("pytest:handler", "pytest.py:handler", "typer.mod:handler"),
    ),
    "files of one name": (
        {"one/same.py": NATIVE, "two/same.py": NATIVE},
        ("one/same.py:handler", "two/same.py:handler", "one.same:handler"),
    ),
}


@pytest.mark.parametrize(("files", "specs"), LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_is_found_and_starts_anew(
    project: Write, files: dict[str, str], specs: tuple[str, ...]
) -> None:
    loader = project(files)
    others = set(sys.modules)
    for spec in specs:
        first = loader.load(spec)
        assert first.kind is HandlerKind.NATIVE, spec
        assert first.names[-1] == "handler"
        assert loader.load(spec).target is first.target
        loader.forget()
        assert set(sys.modules) == others, spec
        assert loader.load(spec).target is not first.target


def test_files_of_one_name_are_two_modules_side_by_side(project: Write) -> None:
    loader = project({"one/same.py": NATIVE + "which = 1\n", "two/same.py": NATIVE + "which = 2\n"})
    found = [loader.load(f"{folder}/same.py:handler").target for folder in ("one", "two")]
    assert [each.__globals__["which"] for each in found] == [1, 2]


def test_nothing_of_pythons_is_replaced(project: Write) -> None:
    project({"json.py": NATIVE}).load("json:handler")
    assert sys.modules["json"] is json


def test_an_editable_install_is_found_and_starts_anew(project: Write, tmp_path: Path) -> None:
    loader = project({"elsewhere/src/ed1/__init__.py": "", "elsewhere/src/ed1/mod.py": NATIVE})
    sys.path.append(str(tmp_path / "elsewhere" / "src"))  # as its .pth file does
    first = loader.load("ed1.mod:handler")
    loader.forget()
    assert "ed1" not in sys.modules
    assert loader.load("ed1.mod:handler").target is not first.target


# -- which function ----------------------------------------------------------------------------

ONLY = {
    "one handler": ("async def whatever(event, ctx): ...\ndef helper(a, b): ...\n", "whatever"),
    "one that is called handler": (
        "async def handler(event, ctx): ...\nasync def load(event, ctx): ...\n",
        "handler",
    ),
    "one that is called lambda_handler": (
        "async def load(event, ctx): ...\nasync def lambda_handler(event, ctx): ...\n",
        "lambda_handler",
    ),
    "two names of one": ("async def work(event, ctx): ...\nhandler = work\n", "work"),
    "bodies of steps beside it": (
        "async def run(event, ctx): ...\nasync def load(step): ...\n",
        "run",
    ),
    "one of AWS's SDK": (AWS.replace("def handler", "def order"), "order"),
    "one that is imported": ("from other_app import work\n", "work"),
}


@pytest.mark.parametrize(("source", "name"), ONLY.values(), ids=ONLY)
def test_a_file_alone_is_its_only_handler(project: Write, source: str, name: str) -> None:
    other = "from aws_durable_execution_sdk_python import durable_execution\n"
    other += "@durable_execution\ndef work(event, context): ...\n"
    loader = project({"alone.py": source, "other_app.py": other})
    assert loader.load("alone.py").names == ("alone", name)


def test_of_several_handlers_in_a_file_alone_all_are_named(project: Write) -> None:
    loader = project({"several.py": "async def a(event, ctx): ...\nasync def b(event, ctx): ...\n"})
    with pytest.raises(FunctionMissing) as caught:
        loader.load("several.py")
    said = "several.py: has several handlers: name one of them, several.py:a (a, b)"
    assert str(caught.value) == said


def test_a_file_alone_without_a_handler_says_what_was_expected(project: Write) -> None:
    with pytest.raises(FunctionMissing, match=r"has no handler: expected async def handler\(event"):
        project({"none.py": "x = 1\n"}).load("none.py")


OBJECTS = """
from functools import partial, wraps

class Base:
    async def __call__(self, event, ctx): ...
class Callable_(Base):
    pass
class Service:
    async def handle(self, event, ctx): ...
    @classmethod
    async def of_class(cls, event, ctx): ...
    @staticmethod
    async def alone(event, ctx): ...
async def with_more(more, event, ctx): ...
def decorated(function):
    @wraps(function)
    def around(*args, **kwargs):
        return function(*args, **kwargs)
    return around
@decorated
async def wrapped(event, ctx): ...
called = Callable_()
service = Service()
part = partial(with_more, 1)
class api:
    part = part
"""


@pytest.mark.parametrize(
    "function",
    [
        "called",
        "service.handle",
        "Service.of_class",
        "Service.alone",
        "part",
        "wrapped",
        "api.part",
    ],
)
def test_whatever_can_be_called_is_found(project: Write, function: str) -> None:
    loaded = project({"objects.py": OBJECTS}).load(f"objects:{function}")
    assert loaded.kind is HandlerKind.NATIVE
    assert loaded.names == ("objects", *function.split("."))


def test_a_module_of_a_package_is_found_as_its_attribute(project: Write) -> None:
    loader = project({"pk1/__init__.py": "", "pk1/api.py": NATIVE})
    assert loader.load("pk1:api.handler").kind is HandlerKind.NATIVE


# -- what can be wrong -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "kind", "said"),
    [
        ("handler = 5", NotAHandler, "a value of type int: expected a function (wrong.py)"),
        ("def handler(event):\n    pass", NotAHandler, "(wrong.py, line 1)"),
        ("class handler:\n    pass", NotAHandler, "(wrong.py"),
        ("x = 1", FunctionMissing, "in wrong.py: wrong has no 'handler'; handlers in it: none"),
        ("1 / 0", ImportFailed, "raised ZeroDivisionError: division by zero (wrong.py, line 1)"),
        ("def broken(:", ImportFailed, "SyntaxError: invalid syntax (wrong.py, line 1)"),
        ("import os\nos._exit(3)", ImportFailed, "os._exit(3) (wrong.py, line 2)"),
        (
            "def __getattr__(name):\n    raise ValueError(name)",
            ImportFailed,
            "'handler' can't be had: it raised ValueError: handler (wrong.py, line 2)",
        ),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(
    project: Write,
    capsys: pytest.CaptureFixture[str],
    source: str,
    kind: type[HandlerError],
    said: str,
) -> None:
    loader = project({"wrong.py": source + "\n"})
    if "_exit" not in source:
        with pytest.raises(HandlerError) as caught:
            loader.load("wrong:handler")
        assert type(caught.value) is kind
    assert run(["simulate", "--handler", "wrong:handler"]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("needs", ["import shadowed.inner", "from shadowed import INNER"])
def test_a_file_that_takes_the_place_of_an_installed_package_is_named(
    project: Write, capsys: pytest.CaptureFixture[str], needs: str
) -> None:
    project(
        {
            "site-packages/shadowed/__init__.py": "INNER = 1\n",
            "site-packages/shadowed/inner.py": "",
            "site-packages/uses.py": needs + "\n",
            "shadowed.py": "",
            "wrong.py": "import uses\n" + NATIVE,
        }
    )
    sys.path.append(str(Path("site-packages").resolve()))
    assert run(["simulate", "--handler", "wrong:handler"]) == 2
    err = capsys.readouterr().err
    assert "shadowed.py takes the place of the installed package 'shadowed': rename it" in err
    assert err.count("\n") == 1
    for name in ("uses", "shadowed"):
        sys.modules.pop(name, None)


# -- every way of running one ------------------------------------------------------------------

RUN = {
    "ns/below/mod.py": STATE.format(imports=""),
    "reg/__init__.py": "",
    "reg/below/mod.py": STATE.format(imports="from ..values import VALUE"),
    "reg/values.py": VALUE,
    "src/laid/mod.py": STATE.format(imports="from .values import VALUE"),
    "src/laid/values.py": VALUE,
    "basic-wait.py": STATE.format(imports=""),
    "calendar.py": STATE.format(imports=""),
    "v1.wait.py": STATE.format(imports=""),
}
SPECS = ["ns.below.mod:handler", "reg.below.mod:handler", "reg/below/mod.py", "laid.mod:handler"]
SPECS += ["basic-wait.py:handler", "calendar.py", "v1.wait.py"]


@pytest.mark.parametrize("spec", SPECS[1::2])
def test_every_command_runs_every_layout(
    project: Write, capsys: pytest.CaptureFixture[str], spec: str
) -> None:
    project(RUN)

    def durable(*arguments: str) -> str:
        code = run([*arguments, "--handler", spec])
        out, err = capsys.readouterr()
        assert (code, [line for line in err.splitlines() if "wrote" not in line]) == (0, []), err
        return out

    assert "result        2" in durable("simulate", "--record", "it.json")
    assert "result        1" in durable("simulate", "--isolate")
    assert "1 run" in durable("simulate", "--check-determinism", "1")
    assert durable("replay", "it.json").startswith("compatible  it.json")


def test_a_crash_loses_what_the_modules_of_every_layout_hold(
    project: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    project(RUN)
    for spec in SPECS:
        code = run(["simulate", "--handler", spec, "--crash", "throttle"])
        assert (code, capsys.readouterr().err) == (0, ""), spec
        crash = ["simulate", "--handler", spec, "--crash", "every-checkpoint", "--format", "json"]
        assert run(crash) == 1  # what it counts is lost, and begins anew
        failures = json.loads(capsys.readouterr().out)["crashes"]["failures"]
        assert "its result is 1 instead of 2" in json.dumps(failures), spec


def test_a_scenario_names_handlers_in_every_way(
    project: Write, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    project(
        RUN | {"asks.py": "async def handler(event, ctx):\n    return await ctx.invoke('it', 1)\n"}
    )
    for spec in SPECS:
        scenario = f"[[invoke]]\nfunction = 'it'\nhandler = '{spec}'\n"
        (tmp_path / "s.toml").write_text(scenario)
        assert run(["simulate", "--handler", "asks.py", "--scenario", "s.toml"]) == 0, spec
        assert "SUCCEEDED" in capsys.readouterr().out
