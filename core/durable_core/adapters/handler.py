"""From `module:fn` to the handler that it names: the only place where user code is imported.

The user's folder goes first on `sys.path`, as Lambda's task root does; nothing else of it changes.
What can be wrong with the user's code is told apart, each in one line; `traceback` of the error is
the user's own, without our frames.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Final

from durable_core.adapters.aws_sdk.installed import EXTRA, PACKAGE, found_below
from durable_core.errors import DurableError, printable
from durable_core.values import dataclass
from durable_core.verifying.raised import is_from_outside

_OURS: Final = frozenset({"durable_core", "durable_cli"})
_OUR_FOLDER: Final = str(Path(__file__).resolve().parent.parent)
_LIBRARIES: Final = tuple(
    str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "purelib", "platlib")
)


class HandlerKind(StrEnum):
    """Which runtime a handler is written for."""

    NATIVE = "native"
    AWS_SDK = "aws-sdk"
    PLAIN = "plain"
    """An ordinary Lambda function: no durable execution of its own."""


# -- what can be wrong with it -----------------------------------------------------------------


class HandlerError(DurableError):
    """The handler that the user named can't be had. The user's code or call is to blame.

    `spec` is what the user wrote, `traceback` the user's frames where code of theirs raised.
    """

    def __init__(self, spec: str, problem: str, traceback: str | None = None) -> None:
        super().__init__(spec, problem)
        self.spec = spec
        self.problem = problem
        self.traceback = traceback

    def __str__(self) -> str:
        return printable(f"{self.spec}: {self.problem}")


class BadSpec(HandlerError):
    """What the user wrote names no function of a module."""


class ModuleMissing(HandlerError):
    """There is no such module."""


class ImportMissing(HandlerError):
    """The module is there, but something that it imports isn't."""


class ImportFailed(HandlerError):
    """The module raises while it is imported."""


class FunctionMissing(HandlerError):
    """The module has no such function."""


class NotAHandler(HandlerError):
    """The module has that name, but it is no handler, or none of the kind that is needed."""


# -- what is loaded ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LoadedHandler:
    """A handler, ready to be called. `name` is the function's, for a function name."""

    spec: str
    name: str
    target: Callable[..., Any]
    kind: HandlerKind


@dataclass(frozen=True, slots=True)
class _Spec:
    """Where a handler is looked for."""

    module: str
    function: str
    folder: Path


class HandlerLoader:
    """Loads handlers of one folder: the current one, unless a file elsewhere is named.

    `forget` makes the next `load` import the user's modules anew, as a new process would. Modules
    that were there before the loader, and those that are installed, are left alone.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or Path.cwd()).resolve()
        self._folders = {self.folder}
        self._before = frozenset(sys.modules)

    def load(self, spec: str) -> LoadedHandler:
        """Import the handler that a spec names.

        `module:fn`, `module.fn` and `folder/module.fn` (as Lambda spells them), `file.py:fn`.
        Raises a HandlerError.
        """
        parsed = _parse(spec, self.folder)
        self._folders.add(parsed.folder)
        _put_first(parsed.folder)
        importlib.invalidate_caches()
        module = _import(spec, parsed)
        target = _find(spec, parsed, module)
        name = parsed.function.rpartition(".")[2]
        return LoadedHandler(spec, name, target, kind_of(spec, target))

    def forget(self) -> None:
        """Forget the user's modules, so that the next `load` starts cold."""
        for name, module in list(sys.modules.items()):
            if name not in self._before and self._is_the_users(name, module):
                del sys.modules[name]

    def _is_the_users(self, name: str, module: ModuleType) -> bool:
        if name.partition(".")[0] in _OURS or name == "__main__":
            return False
        file = getattr(module, "__file__", None)
        places = [file] if file else list(getattr(module, "__path__", ()))
        paths = [Path(place).resolve() for place in places]
        return any(
            path.is_relative_to(folder) for path in paths for folder in self._folders
        ) and not any(str(path).startswith(_LIBRARIES) for path in paths)


def _put_first(folder: Path) -> None:
    path = str(folder)
    if sys.path[:1] != [path]:
        if path in sys.path:
            sys.path.remove(path)
        sys.path.insert(0, path)


# -- what a spec says --------------------------------------------------------------------------

_EXPECTED: Final = "expected module:function, module.function or file.py:function"


def _parse(spec: str, folder: Path) -> _Spec:
    left, colon, function = spec.rpartition(":")
    if not colon:
        left, _, function = spec.rpartition(".")
    if not left or not all(part.isidentifier() for part in function.split(".")):
        raise BadSpec(spec, f"names no function of a module: {_EXPECTED}")
    if colon and left.endswith(".py"):
        return _of_file(spec, folder / left, function)
    module = left.strip("/").replace("/", ".")  # Lambda lets folders be written so
    if not all(part.isidentifier() for part in module.split(".")):
        raise BadSpec(spec, f"{left!r} is no name of a module: {_EXPECTED}")
    return _Spec(module, function, folder)


def _of_file(spec: str, file: Path, function: str) -> _Spec:
    """Return the module that a file is: inside of its package, where it belongs to one."""
    if not file.is_file():
        raise ModuleMissing(spec, f"there is no file {file}")
    file = file.resolve()
    module, folder = file.stem, file.parent
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        module, folder = f"{folder.name}.{module}", folder.parent
    if not all(part.isidentifier() for part in module.split(".")):
        raise BadSpec(spec, f"{file.name!r} can't be imported: its name is no name of a module")
    return _Spec(module, function, folder)


# -- importing ---------------------------------------------------------------------------------


def _import(spec: str, parsed: _Spec) -> ModuleType:
    try:
        module = importlib.import_module(parsed.module)
    except ModuleNotFoundError as error:
        raise _not_found(spec, parsed, error) from error
    except BaseException as error:
        if is_from_outside(error):
            raise
        problem = f"importing {parsed.module} raised {_said(error)}{_place_of(error)}"
        raise ImportFailed(spec, problem, users_traceback(error)) from error
    _check_not_shadowed(spec, parsed, module)
    return module


def _not_found(spec: str, parsed: _Spec, error: ModuleNotFoundError) -> HandlerError:
    parts = parsed.module.split(".")
    own = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    if error.name in own and not list(_users_frames(error.__traceback__)):
        where = f"in {parsed.folder}, or installed"
        return ModuleMissing(spec, f"there is no module {error.name!r} {where}")
    missing = f"no module {error.name!r}" if error.name else str(error)
    problem = f"{parsed.module} imports what isn't there: {missing}{_place_of(error)}"
    if (error.name or "").partition(".")[0] == PACKAGE:
        problem += f": pip install '{EXTRA}'"
    return ImportMissing(spec, problem, users_traceback(error))


def _check_not_shadowed(spec: str, parsed: _Spec, module: ModuleType) -> None:
    """Raise where the user's own file can't be had, because Python has loaded its namesake."""
    root = parsed.module.partition(".")[0]
    own = [parsed.folder / f"{root}.py", parsed.folder / root / "__init__.py"]
    loaded = getattr(sys.modules.get(root, module), "__file__", None)
    found = next((path for path in own if path.is_file()), None)
    if found is not None and (loaded is None or Path(loaded).resolve() != found.resolve()):
        problem = f"{found.name} has the name of a module that is loaded already ({root}): rename"
        raise ModuleMissing(spec, f"{problem} the file")


def _find(spec: str, parsed: _Spec, module: ModuleType) -> Callable[..., Any]:
    found: Any = module
    for part in parsed.function.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            others = ", ".join(_handlers_in(module)) or "none"
            problem = f"{parsed.module} has no {parsed.function!r}; handlers in it: {others}"
            raise FunctionMissing(spec, problem) from None
    if not callable(found):
        kind = type(found).__name__
        raise NotAHandler(spec, f"no handler, but a value of type {kind}: expected a function")
    target: Callable[..., Any] = found
    return target


def _handlers_in(module: ModuleType, most: int = 5) -> list[str]:
    names = [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value)
        and (
            found_below(value) is not None
            or (_is_async(value) and value.__module__ == module.__name__)
        )
    ]
    return names if len(names) <= most else [*names[:most], "..."]


# -- what kind of handler ----------------------------------------------------------------------


def kind_of(spec: str, target: Callable[..., Any]) -> HandlerKind:
    """Return which runtime a callable is written for. Raises NotAHandler. Imports no SDK."""
    if inspect.isclass(target):
        raise NotAHandler(spec, "no handler, but a class: expected a function")
    if found_below(target) is not None:
        return HandlerKind.AWS_SDK
    layers = list(_unwrapped(target))
    if any(map(inspect.isasyncgenfunction, layers)):
        raise NotAHandler(spec, "no handler, but an async generator: a handler doesn't yield")
    try:
        inspect.signature(target).bind(None, None)
    except TypeError as error:
        problem = f"no handler: it is called with an event and a context, but {error}"
        raise NotAHandler(spec, problem) from None
    except ValueError:  # built-in functions have no signature to look at
        pass
    return HandlerKind.NATIVE if any(map(_is_async, layers)) else HandlerKind.PLAIN


def _unwrapped(target: object) -> Iterator[object]:
    """Yield the callable and what decorators and `partial` put around, from the outside in."""
    seen: set[int] = set()
    layer: object | None = target
    while layer is not None and id(layer) not in seen:
        seen.add(id(layer))
        yield layer
        if isinstance(layer, partial):
            layer = layer.func
        else:
            layer = getattr(layer, "__wrapped__", None)


def _is_async(target: object) -> bool:
    call = vars(type(target)).get("__call__")  # an object with `async def __call__` will do
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(call)


# -- whose frames ------------------------------------------------------------------------------


def _users_frames(found: TracebackType | None) -> Iterator[traceback.FrameSummary]:
    return (frame for frame in traceback.extract_tb(found) if not _is_our_frame(frame))


def _is_our_frame(frame: traceback.FrameSummary) -> bool:
    name = frame.filename
    imports = name.startswith("<frozen importlib") or name == importlib.__file__
    return imports or name.startswith(_OUR_FOLDER) or "/asyncio/" in name.replace("\\", "/")


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _place_of(error: BaseException) -> str:
    """Return where in the user's code it happened, as the end of a line."""
    if isinstance(error, SyntaxError) and error.filename:
        return ""  # its text says where
    frames = list(_users_frames(error.__traceback__))
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


def users_traceback(error: BaseException) -> str:
    """Return the traceback of an error as its author knows it: without our frames."""
    shown = traceback.TracebackException.from_exception(error)
    seen: set[int] = set()
    waiting: list[traceback.TracebackException | None] = [shown]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        kept = [frame for frame in each.stack if not _is_our_frame(frame)]
        each.stack = traceback.StackSummary.from_list(kept)
        waiting += [each.__cause__, each.__context__, *(each.exceptions or ())]
    return "".join(shown.format())
