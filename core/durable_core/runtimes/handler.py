"""From `module:fn` to the handler that it names: the only place where user code is imported.

What can be wrong with the user's code is told apart, each in one line; `traceback` of the error is
the user's own, without our frames.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from durable_core.frozen import dataclass
from durable_core.raised import is_from_outside
from durable_core.runtimes.aws_python.installed import EXTRA, PACKAGE, found_below
from durable_core.runtimes.handler_errors import (
    BadSpec,
    FunctionMissing,
    HandlerError,
    ImportFailed,
    ImportMissing,
    ModuleMissing,
    NotAHandler,
)
from durable_core.runtimes.handler_modules import (
    file_in_place_of,
    forget_modules,
    import_name,
    put_on_path,
)
from durable_core.runtimes.handler_place import Place, place_of
from durable_core.sandbox.user_code import raising_line, users_traceback
from durable_core.sdks import Sdk

__all__ = [
    "BadSpec",
    "FunctionMissing",
    "HandlerError",
    "HandlerKind",
    "HandlerLoader",
    "ImportFailed",
    "ImportMissing",
    "LoadedHandler",
    "ModuleMissing",
    "NotAHandler",
    "kind_of",
]


class HandlerKind(StrEnum):
    """Which runtime a handler is written for."""

    NATIVE = "native"
    AWS_SDK = "aws-sdk"
    PLAIN = "plain"
    """An ordinary Lambda function: no durable execution of its own."""

    @property
    def sdk(self) -> Sdk:
        """Whose SDK's rules its requests follow."""
        return Sdk.PYTHON if self is HandlerKind.AWS_SDK else Sdk.DOTNET


# -- what is loaded ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LoadedHandler:
    """A handler, ready to be called. `names` tell it from those of other modules and functions."""

    spec: str
    names: tuple[str, ...]
    target: Callable[..., Any]
    kind: HandlerKind


class HandlerLoader:
    """Loads handlers by what the user calls them, as seen from one working directory.

    `forget` makes the next `load` import the user's modules anew, as a new process would. Modules
    that were there before the loader, and those that are installed, are left alone.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or Path.cwd()).resolve()
        self._folders = {self.folder}
        self._own: set[str] = set()
        self._before = frozenset(sys.modules)

    def load(self, spec: str) -> LoadedHandler:
        """Import the handler that a spec names.

        `module:fn`, `module.fn` and `folder/module.fn` (as Lambda spells them), `file.py:fn`, and
        `file.py` alone where that has one handler. Raises a HandlerError.
        """
        place = place_of(spec, self.folder)
        self._folders |= place.folders
        put_on_path(place)
        name = import_name(place)
        self._own.add(name.partition(".")[0])
        module = _import(spec, place, name)
        with _blaming_the_module(spec):
            if place.function is None:
                function, target = _only_handler(spec, module)
            else:
                function, target = place.function, _find(spec, place.function, module)
            names = (*place.names, *function.split("."))
            return LoadedHandler(spec, names, target, kind_of(spec, target))

    def forget(self) -> None:
        """Forget the user's modules, so that the next `load` starts cold."""
        forget_modules(self._before, self._folders, self._own)


# -- importing ---------------------------------------------------------------------------------


def _import(spec: str, place: Place, name: str) -> ModuleType:
    from durable_core.runtimes.lambda_environment import handed, recorded_variables

    try:
        with handed(recorded_variables(None)):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise _not_found(spec, place, name, error) from error
    except BaseException as error:
        if is_from_outside(error):
            raise
        problem = f"importing {place.module} raised {_said(error)}{_place_of(error)}"
        if isinstance(error, ImportError):
            problem += _shadow(error)
        raise ImportFailed(spec, problem, users_traceback(error)) from error


def _not_found(spec: str, place: Place, name: str, error: ModuleNotFoundError) -> HandlerError:
    parts = name.split(".")
    own = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    if error.name in own and raising_line(error) is None:
        where = f"in {place.folder}, or installed"
        return ModuleMissing(spec, f"there is no module {error.name!r} {where}")
    missing = f"no module {error.name!r}" if error.name else str(error)
    problem = f"{place.module} imports what isn't there: {missing}{_place_of(error)}"
    if (error.name or "").partition(".")[0] == PACKAGE:
        problem += f": pip install '{EXTRA}'"
    return ImportMissing(spec, problem + _shadow(error), users_traceback(error))


def _shadow(error: ImportError) -> str:
    """Return, as the end of a line, which file of the user's is found in the place of the package
    that is wanted; it is in Lambda, too."""
    name = (error.name or "").partition(".")[0]
    file = file_in_place_of(name)
    return f"; {file} takes the place of the installed package {name!r}: rename it" if file else ""


@contextmanager
def _blaming_the_module(spec: str) -> Iterator[None]:
    """Turn what a module raises, or its attributes do, while it is looked into, into what is wrong
    with it."""
    try:
        yield
    except HandlerError:
        raise
    except BaseException as error:
        if is_from_outside(error):
            raise
        problem = f"can't be looked into: it raised {_said(error)}{_place_of(error)}"
        raise ImportFailed(spec, problem, users_traceback(error)) from error


# -- which function ----------------------------------------------------------------------------


def _find(spec: str, function: str, module: ModuleType) -> Callable[..., Any]:
    found: Any = module
    for part in function.split("."):
        try:
            found = _attribute(found, part)
        except AttributeError:
            others = ", ".join(_shortened(list(_handlers_in(module)))) or "none"
            problem = f"{module.__name__} has no {function!r}; handlers in it: {others}"
            raise FunctionMissing(spec, f"in {_file_of(module)}: {problem}") from None
        except BaseException as error:
            if is_from_outside(error):
                raise
            problem = f"{part!r} can't be had: it raised {_said(error)}{_place_of(error)}"
            raise ImportFailed(spec, problem, users_traceback(error)) from error
    if not callable(found):
        kind = type(found).__name__
        problem = f"no handler, but a value of type {kind}: expected a function"
        raise NotAHandler(spec, f"{problem} ({_file_of(module)})")
    target: Callable[..., Any] = found
    return target


def _attribute(thing: object, name: str) -> Any:
    """Return an attribute by name, importing it where it is a module of a package."""
    try:
        return getattr(thing, name)
    except AttributeError:
        if not isinstance(thing, ModuleType) or not hasattr(thing, "__path__"):
            raise
        full = f"{thing.__name__}.{name}"
        try:
            return importlib.import_module(full)
        except ModuleNotFoundError as error:
            if error.name == full:
                raise AttributeError(name) from None
            raise


def _only_handler(spec: str, module: ModuleType) -> tuple[str, Callable[..., Any]]:
    """Return the handler of a file of which no function is named: its only durable one, or the one
    that is called as Lambda's console calls it; where it has none, a plain function so called.

    Raises FunctionMissing where that leaves none, or several.
    """
    found = _handlers_in(module)
    named = {name: found[name] for name in _USUAL if name in found}
    if len(set(map(id, found.values()))) > 1:
        found = named
    if not found:
        found = {name: vars(module)[name] for name in _USUAL if callable(vars(module).get(name))}
    if len(set(map(id, found.values()))) == 1:
        return next(iter(found.items()))
    several = _shortened(list(_handlers_in(module)))
    if several:
        which = f"has several handlers: name one of them, {spec}:{several[0]}"
        raise FunctionMissing(spec, f"{which} ({', '.join(several)})")
    expected = "expected async def handler(event, ctx), or one decorated with @durable_execution"
    raise FunctionMissing(spec, f"has no handler: {expected}")


_USUAL: Final[tuple[str, ...]] = ("lambda_handler", "handler")


def _handlers_in(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """Return the durable handlers of a module by their names: its own, else what it imports."""
    found = {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("__") and callable(value) and _is_durable(value)
    }
    own = {
        name: value
        for name, value in found.items()
        if getattr(value, "__module__", module.__name__) == module.__name__
    }
    return own or {name: each for name, each in found.items() if found_below(each) is not None}


def _is_durable(value: Callable[..., Any]) -> bool:
    if inspect.isclass(value):
        return False
    try:
        return kind_of("", value) is not HandlerKind.PLAIN
    except HandlerError:
        return False


def _shortened(names: list[str], most: int = 5) -> list[str]:
    return names if len(names) <= most else [*names[:most], "..."]


def _file_of(module: ModuleType) -> str:
    file = getattr(module, "__file__", None)
    return Path(file).name if file else "a folder without __init__.py"


# -- what kind of handler ----------------------------------------------------------------------


def kind_of(spec: str, target: Callable[..., Any]) -> HandlerKind:
    """Return which runtime a callable is written for. Raises NotAHandler. Imports no SDK."""
    if inspect.isclass(target):
        problem = "no handler, but a class: expected a function"
        raise NotAHandler(spec, f"{problem}{_where_defined(target)}")
    if found_below(target) is not None:
        return HandlerKind.AWS_SDK
    layers = list(_unwrapped(target))
    if any(map(inspect.isasyncgenfunction, layers)):
        problem = "no handler, but an async generator: a handler doesn't yield"
        raise NotAHandler(spec, f"{problem}{_where_defined(target)}")
    try:
        inspect.signature(target).bind(None, None)
    except TypeError as error:
        problem = f"no handler: it is called with an event and a context, but {error}"
        raise NotAHandler(spec, f"{problem}{_where_defined(target)}") from None
    except ValueError:  # built-in functions have no signature to look at
        pass
    return HandlerKind.NATIVE if any(map(_is_async, layers)) else HandlerKind.PLAIN


def _where_defined(target: object) -> str:
    """Return where a function or a class is in the user's code, as the end of a line."""
    code = getattr(inspect.unwrap(target) if callable(target) else target, "__code__", None)
    if code is not None:
        return f" ({Path(code.co_filename).name}, line {code.co_firstlineno})"
    module = sys.modules.get(getattr(target, "__module__", ""))
    return f" ({_file_of(module)})" if module is not None else ""


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
    # An object with `async def __call__` will do, of its class or of one that this inherits from.
    calls = (vars(one).get("__call__") for one in type(target).__mro__)
    call = next((each for each in calls if each is not None), None)
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(call)


# -- in words ----------------------------------------------------------------------------------


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _place_of(error: BaseException) -> str:
    """Return where in the user's code it happened, as the end of a line."""
    if isinstance(error, SyntaxError) and error.filename:
        return ""  # its text says where
    line = raising_line(error)
    return f" ({Path(line.file).name}, line {line.line})" if line is not None else ""
