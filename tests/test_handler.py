"""From `module:fn` to a handler: what is loaded, and what can be wrong, each in its own line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial, wraps
from pathlib import Path
from typing import Any

import pytest

from durable_core.processes.verify import replayer_of
from durable_core.runtimes.handler import (
    BadSpec,
    FunctionMissing,
    HandlerError,
    HandlerKind,
    HandlerLoader,
    ImportFailed,
    ImportMissing,
    ModuleMissing,
    NotAHandler,
    kind_of,
)

NATIVE = "async def handler(event, ctx):\n    return 1\n"
AWS = """from aws_durable_execution_sdk_python import durable_execution
@durable_execution
def handler(event, context):
    return 1
"""
Write = Callable[..., HandlerLoader]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Write]:
    """Write files into a folder of their own; leave no trace in this process."""
    path, loaders = list(sys.path), []

    def write(**files: str) -> HandlerLoader:
        for name, text in files.items():
            *folders, last = name.split("__")
            stem = "__init__" if last == "init" else last
            file = tmp_path.joinpath(*folders, f"{stem}.py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        loaders.append(HandlerLoader(tmp_path))
        return loaders[-1]

    yield write
    for loader in loaders:
        loader.forget()
    sys.path[:] = path


def problem_of(loader: HandlerLoader, spec: str, kind: type[HandlerError]) -> str:
    with pytest.raises(HandlerError) as caught:
        loader.load(spec)
    assert type(caught.value) is kind
    line = str(caught.value)
    assert line.startswith(spec)
    assert "\n" not in line
    return line


# -- what is loaded ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        "shop.orders:handler",
        "shop.orders.handler",
        "shop/orders.handler",
        "shop/orders:handler",
        "shop/orders.py:handler",
    ],
)
def test_every_spelling_finds_the_function(project: Write, spec: str) -> None:
    loaded = project(shop__orders=NATIVE).load(spec)
    assert loaded.names == ("shop", "orders", "handler")
    assert loaded.kind is HandlerKind.NATIVE


def test_a_function_inside_of_something_is_found(project: Write) -> None:
    source = "class All:\n    @staticmethod\n    async def run(event, ctx): ...\n"
    assert project(holder_app=source).load("holder_app:All.run").names[1:] == ("All", "run")


def test_a_file_of_a_package_is_imported_as_a_part_of_it(project: Write) -> None:
    loader = project(
        pack_a__init="",
        pack_a__names="NAME = 7\n",
        pack_a__main=f"from .names import NAME\n{NATIVE}",
    )
    assert loader.load("pack_a/main.py:handler").target.__module__ == "pack_a.main"


def test_the_users_folder_goes_first_on_the_path_and_nothing_else_changes(project: Write) -> None:
    loader = project(path_app=NATIVE)
    before = list(sys.path)
    loader.load("path_app:handler")
    loader.load("path_app:handler")
    assert sys.path[1:] == before
    assert Path(sys.path[0], "path_app.py").is_file()


@pytest.mark.parametrize("name", ["core", "fixtures", "service", "simulate"])
def test_user_modules_named_like_our_folders_and_modules_work(project: Write, name: str) -> None:
    loader = project(**{f"{name}__init": "", f"{name}__app": NATIVE})
    assert loader.load(f"{name}.app:handler").kind is HandlerKind.NATIVE


def test_forgotten_modules_start_anew(project: Write) -> None:
    loader = project(
        state_app=f"from state_help import seen\nseen.append(1)\n{NATIVE}", state_help="seen = []\n"
    )
    loader.load("state_app:handler")
    loader.load("state_app:handler")
    assert len(sys.modules["state_help"].seen) == 1
    kept = set(sys.modules) - {"state_app", "state_help"}
    loader.forget()
    assert set(sys.modules) == kept
    loader.load("state_app:handler")
    assert len(sys.modules["state_help"].seen) == 1


# -- what kind it is ---------------------------------------------------------------------------


def test_a_handler_of_awss_sdk_is_told_also_below_other_decorators(project: Write) -> None:
    wrapped = f"""{AWS}
import functools
@functools.wraps(handler)
def outer(event, context):
    return handler(event, context)
"""
    loader = project(aws_app=wrapped)
    assert loader.load("aws_app:handler").kind is HandlerKind.AWS_SDK
    assert loader.load("aws_app:outer").kind is HandlerKind.AWS_SDK


DECORATED = {
    "a decorator that names nothing": "hiding(handler)",
    "two of them": "hiding(hiding(handler))",
    "one below functools.wraps": "naming(hiding(handler))",
    "a partial": "functools.partial(handler)",
    "a decorator around a partial": "hiding(functools.partial(handler))",
    "an object": "Object(handler)",
}


@pytest.mark.parametrize("made", DECORATED.values(), ids=DECORATED)
def test_whatever_decorates_a_handler_of_awss_sdk_it_is_found_and_verified(
    project: Write, made: str
) -> None:
    source = f"""{AWS}
import functools
def hiding(function):
    def around(event, context):
        return function(event, context)
    return around
def naming(function):
    @functools.wraps(function)
    def around(event, context):
        return function(event, context)
    return around
class Object:
    def __init__(self, function):
        self.function = function
    def __call__(self, event, context):
        return self.function(event, context)
decorated = {made}
"""
    loaded = project(decorated_app=source).load("decorated_app:decorated")
    assert loaded.kind is HandlerKind.AWS_SDK
    assert not replayer_of(loaded.target).runtime.is_native


def test_a_plain_function_that_only_uses_a_durable_one_stays_plain(project: Write) -> None:
    source = f"{AWS}\ndef helper(event, context):\n    return handler.__name__\n"
    assert project(plain_app=source).load("plain_app:helper").kind is HandlerKind.PLAIN


async def native(event: Any, ctx: Any) -> None: ...


def plain(event: Any, context: Any) -> None: ...


@wraps(native)
def decorated(event: Any, ctx: Any) -> Any:
    return native(event, ctx)


class Callable_:
    async def __call__(self, event: Any, ctx: Any) -> None: ...


async def with_extra(extra: int, event: Any, ctx: Any) -> None: ...


@pytest.mark.parametrize("target", [native, decorated, Callable_(), partial(with_extra, 1)])
def test_whatever_is_awaited_is_native(target: Any) -> None:
    assert kind_of("spec", target) is HandlerKind.NATIVE


def test_an_ordinary_function_is_plain() -> None:
    assert kind_of("spec", plain) is HandlerKind.PLAIN


# -- what can be wrong -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec", ["", "handler", "app:", ":handler", "app:1", "a b/ c:fn", "app:a b", "a..b:fn"]
)
def test_what_names_no_function_says_what_was_expected(project: Write, spec: str) -> None:
    assert "module:function" in problem_of(project(), spec, BadSpec)


def test_a_missing_module_says_where_it_was_looked_for(project: Write, tmp_path: Path) -> None:
    line = problem_of(project(), "nowhere_app:handler", ModuleMissing)
    assert "no module 'nowhere_app'" in line
    assert str(tmp_path) in line


def test_a_missing_module_of_a_package_and_a_missing_file_are_missing_modules(
    project: Write,
) -> None:
    loader = project(pack_b__init="")
    assert "no module 'pack_b.gone'" in problem_of(loader, "pack_b.gone:handler", ModuleMissing)
    assert "no file" in problem_of(loader, "gone/app.py:handler", ModuleMissing)


def test_a_missing_import_inside_says_who_imports_it_and_where(project: Write) -> None:
    loader = project(imports_app=f"import os\nimport not_there_at_all\n{NATIVE}")
    line = problem_of(loader, "imports_app:handler", ImportMissing)
    assert "no module 'not_there_at_all' (imports_app.py, line 2)" in line


def test_a_module_that_imports_its_own_missing_sibling_isnt_missing_itself(project: Write) -> None:
    loader = project(pack_c__init="from pack_c.gone import x\n", pack_c__app=NATIVE)
    assert "pack_c.gone" in problem_of(loader, "pack_c.app:handler", ImportMissing)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise ValueError('bad\\nconfig')", "raised ValueError: bad"),
        ("import sys\nsys.exit(3)", "raised SystemExit: 3"),
        ("def broken(:\n    pass", "SyntaxError"),
        ("import json\njson.nothing", "AttributeError"),
        ("from json import nothing", "cannot import name 'nothing'"),
    ],
)
def test_an_exception_at_import_is_named(project: Write, source: str, said: str) -> None:
    assert said in problem_of(project(failing_app=source), "failing_app:handler", ImportFailed)


def test_the_traceback_of_an_import_has_the_users_frames_only(project: Write) -> None:
    loader = project(trace_app="import trace_deep\n", trace_deep="def f():\n    1 / 0\nf()\n")
    with pytest.raises(ImportFailed) as caught:
        loader.load("trace_app:handler")
    shown = caught.value.traceback or ""
    assert [
        line.split(",")[0].rpartition("/")[2] for line in shown.splitlines() if "File" in line
    ] == [
        'trace_app.py"',
        'trace_deep.py"',
        'trace_deep.py"',
    ]
    assert shown.endswith("ZeroDivisionError: division by zero\n")


def test_a_missing_function_names_the_handlers_that_there_are(project: Write) -> None:
    loader = project(
        function_app=(
            f"{NATIVE}\nfrom durable_core import with_retry\n"
            "async def other(event, ctx): ...\ndef helper(): ...\n"
        )
    )
    line = problem_of(loader, "function_app:hnadler", FunctionMissing)
    assert line.endswith("has no 'hnadler'; handlers in it: handler, other")


def test_the_decorator_itself_is_no_handler(project: Write) -> None:
    pytest.importorskip("aws_durable_execution_sdk_python")
    loader = project(
        app="from aws_durable_execution_sdk_python import durable_execution\n"
        "@durable_execution\ndef handler(event, context): ...\n"
    )
    line = problem_of(loader, "app:hnadler", FunctionMissing)
    assert line.endswith("has no 'hnadler'; handlers in it: handler")
    assert loader.load("app:handler").kind is HandlerKind.AWS_SDK
    problem_of(loader, "app:durable_execution", NotAHandler)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("handler = 5", "a value of type int"),
        ("class handler: ...", "a class"),
        ("async def handler(event, ctx):\n    yield 1", "an async generator"),
        ("async def handler(event): ...", "too many positional arguments"),
        ("async def handler(event, ctx, more): ...", "missing a required argument: 'more'"),
    ],
)
def test_what_isnt_a_handler_is_said_to_be_what_it_is(
    project: Write, source: str, said: str
) -> None:
    assert said in problem_of(project(kind_app=source), "kind_app:handler", NotAHandler)
