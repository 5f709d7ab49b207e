"""What the code of a handler can change and keep: variables, containers, attributes, caches.

Found by a walk from a function: what its closure holds, the global names that it uses, defaults of
parameters, what is in containers, what `lru_cache` keeps, and the attributes of classes and objects
of the user's own modules. Not found: what only installed packages or the standard library hold (but
containers), and what is outside of the process.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache, partial
from operator import is_
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

from durable_core.frozen import dataclass
from durable_core.sandbox.process_environment import variables_kept
from durable_core.sandbox.user_code import is_installed, is_ours, is_users

_MOST_PLACES: Final = 500
_LONGEST: Final = 2_000
"""Of a longer container no copy is held."""

_PLAIN: Final = (bool, int, float, complex, str, bytes, type(None))
_CACHED: Final = type(cache(len))
_id: Final = id
"""Python's own, which is not the one that a handler is given while what it reads is varied."""
_EMPTY: Final = object()
"""What a cell holds before its variable has a value."""


@dataclass(slots=True)
class StatePlace:
    """Something that code can change, and what it held.

    `name` is how it is called in the code, `key` the last word of it. `read` returns what it holds
    now, as a list or a dict; `write` puts something back. `is_object`: it holds attributes.
    """

    name: str
    key: str
    read: Callable[[], Any]
    write: Callable[[Any], None]
    held: Any
    is_object: bool = False

    def has_changed(self) -> bool:
        """Return True when it holds something else now."""
        return not _is_same(self.held, self.read())


class HandlerState:
    """All that is found from some functions, as it is now. `codes` are the functions' own code."""

    def __init__(self, roots: Iterable[Any]) -> None:
        self.places: list[StatePlace] = []
        self.codes: dict[CodeType, None] = {}
        self._caches: list[_Cache] = []
        self._seen: dict[object, object] = {}
        self._todo: deque[tuple[str, str, Any]] = deque(("", "", each) for each in roots)
        while self._goes_on():
            with suppress(Exception):  # what objects of the user's answer is theirs
                while self._goes_on():
                    self._visit(*self._todo.popleft())

    def _goes_on(self) -> bool:
        return bool(self._todo) and len(self.places) < _MOST_PLACES

    @contextmanager
    def run(self) -> Iterator[None]:
        """Begin a run with all as it was, and leave no environment variables behind."""
        self.restore()
        with variables_kept():
            yield

    def restore(self) -> None:
        """Put back what has changed; but not over objects that aren't data, which code makes once
        and keeps: a client, a connection."""
        for place in self.places:
            with suppress(Exception):
                now = place.read()
                if not _is_same(place.held, now) and all(map(_is_data, _values(now))):
                    place.write(place.held)
        for each in self._caches:
            each.restore()

    def changed(self) -> Iterator[StatePlace]:
        """Yield what has changed."""
        return (each for each in self.places if each.has_changed())

    # -- the walk ------------------------------------------------------------------------------

    def _visit(self, name: str, key: str, thing: Any) -> None:
        kind = type(thing)  # a proxy says of itself that it is something else
        if kind in _PLAIN or _id(thing) in self._seen or issubclass(kind, _PLAIN):
            return
        self._seen[_id(thing)] = thing
        if issubclass(kind, FunctionType):
            self._function(thing)
        elif issubclass(kind, _CACHED):
            self._caches.append(_Cache(thing))
            self._function(thing.__wrapped__)
        elif issubclass(kind, MethodType):
            self._todo.append((type(thing.__self__).__name__, key, thing.__self__))
            self._add(key, thing.__func__)
        elif issubclass(kind, partial):
            self._add(key, thing.func, *thing.args, *thing.keywords.values())
        elif issubclass(kind, list | set | bytearray | deque | dict):
            self._container(name, key, thing)
        elif issubclass(kind, tuple | frozenset):
            self._todo.extend((name, key, each) for each in thing)
        elif issubclass(kind, type):
            self._class(thing)
        elif _is_users_class(kind):
            self._object(name, thing)

    def _add(self, key: str, *things: Any) -> None:
        self._todo.extend([(key, key, each) for each in things])

    def _function(self, function: FunctionType) -> None:
        code = function.__code__
        visit = self._own_variable if is_ours(code.co_filename) else self._variable
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            visit(name, cell)
        if function.__defaults__ or function.__kwdefaults__:
            self._add("", *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        if function.__dict__:
            self._add("", *(each for key, each in function.__dict__.items() if key[:2] != "__"))
            self._add("", function.__dict__.get("__wrapped__"))
        if not _is_users_file(code.co_filename):
            return
        self.codes[code] = None
        names = _names(code)
        for name in names:
            self._attribute(name, function.__globals__, name)
            module = function.__globals__.get(name)
            if isinstance(module, ModuleType) and _is_users_module(module):
                for inner in names:
                    self._attribute(f"{name}.{inner}", module.__dict__, inner)

    def _variable(self, name: str, cell: CellType) -> None:
        if _id(cell) in self._seen:
            return
        self._seen[_id(cell)] = cell

        def read() -> Any:
            try:
                return [cell.cell_contents]
            except ValueError:
                return [_EMPTY]

        def write(held: Any) -> None:
            if held[0] is _EMPTY:
                del cell.cell_contents
            else:
                cell.cell_contents = held[0]

        held = read()
        self.places.append(StatePlace(name, name, read, write, held))
        self._add(name, held[0])

    def _own_variable(self, name: str, cell: CellType) -> None:
        """Note what a closure of ours holds: code of the handler doesn't set its variables."""
        if _id(cell) in self._seen:
            return
        self._seen[_id(cell)] = cell
        with suppress(ValueError):
            self._todo.append((name, name, cell.cell_contents))

    def _attribute(self, name: str, holder: dict[str, Any], key: str) -> None:
        value = holder.get(key, _EMPTY)
        if value is _EMPTY or isinstance(value, ModuleType) or (_id(holder), key) in self._seen:
            return
        self._seen[_id(holder), key] = holder
        if not isinstance(value, FunctionType | type):

            def read() -> Any:
                return [holder.get(key, _EMPTY)]

            def write(held: Any) -> None:
                holder[key] = held[0]

            self.places.append(StatePlace(name, key, read, write, [value]))
        self._todo.append((name, key, value))

    def _container(self, name: str, key: str, thing: Any) -> None:
        if len(thing) > _LONGEST:
            return
        if isinstance(thing, dict):

            def copy() -> Any:
                return dict(thing)

        else:

            def copy() -> Any:
                return list(thing)

        def write(held: Any) -> None:
            thing.clear()
            (thing.extend if hasattr(thing, "extend") else thing.update)(held)

        held = copy()
        self.places.append(StatePlace(name, key, copy, write, held))
        if not isinstance(thing, bytearray):
            self._todo.extend((name, key, each) for each in _values(held))

    def _class(self, kind: type) -> None:
        if not _is_users_class(kind):
            return
        for each in kind.__mro__:
            if _is_users_class(each):
                self._named(each.__name__, vars(each), partial(_set_attributes, each))

    def _object(self, name: str, thing: Any) -> None:
        self._todo.append(("", "", type(thing)))
        own = getattr(thing, "__dict__", None)
        if isinstance(own, dict):
            self._named(name, own, partial(_set_all, own))

    def _named(self, name: str, own: Mapping[str, Any], write: Callable[[Any], None]) -> None:
        """Note the attributes of a class or object, each by its name."""
        for key, value in list(own.items()):
            if key[:2] == "__":
                continue
            if isinstance(value, FunctionType):
                self._function(value)
            elif isinstance(value, staticmethod | classmethod):
                self._add("", value.__func__)
            else:
                self._todo.append((f"{name}.{key}" if name else key, key, value))

        def read() -> Any:
            return {key: each for key, each in own.items() if key[:2] != "__"}

        self.places.append(StatePlace(name, name, read, write, read(), is_object=True))


class _Cache:
    """What `lru_cache` keeps of a function's results."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._misses = function.cache_info().misses
        self._own = {_id(each) for each in gc.get_referents(function)}

    def restore(self) -> None:
        """Forget what is kept, where something came since, unless it is a client or the like."""
        if self._function.cache_info().misses != self._misses and all(map(_is_data, self._held())):
            self._function.cache_clear()
            self._misses = 0

    def _held(self) -> Iterator[Any]:
        """Yield arguments and results. An unlimited cache has them in a dictionary."""
        for each in gc.get_referents(self._function):
            if _id(each) not in self._own:
                yield each
            elif isinstance(each, dict) and "__wrapped__" not in each:
                yield from (one for one in each.values() if type(one).__module__ != "functools")


def _set_attributes(kind: type, held: Mapping[str, Any]) -> None:
    for key in [each for each in vars(kind) if each[:2] != "__" and each not in held]:
        delattr(kind, key)
    for key, value in held.items():
        if vars(kind).get(key) is not value:
            setattr(kind, key, value)


def _set_all(own: dict[str, Any], held: Mapping[str, Any]) -> None:
    own.clear()
    own.update(held)


def _values(held: Any) -> Iterable[Any]:
    return held.values() if isinstance(held, dict) else held


def _is_same(before: Any, now: Any) -> bool:
    if len(before) != len(now):
        return False
    if isinstance(before, dict) and not all(map(_is_equal, before, now)):
        return False
    ours, theirs = _values(before), _values(now)
    return all(map(is_, ours, theirs)) or all(map(_is_equal, ours, theirs))


def _is_equal(before: Any, now: Any) -> bool:
    if before is now:
        return True
    return type(before) is type(now) and isinstance(before, _PLAIN) and bool(before == now)


def _is_data(thing: Any) -> bool:
    """Return True for what is made anew at no cost: no client, connection, lock."""
    plain = (*_PLAIN, list, dict, set, tuple, frozenset, bytearray, deque, FunctionType, type)
    return thing is _EMPTY or issubclass(type(thing), plain) or _is_users_class(type(thing))


@cache
def _names(code: CodeType) -> tuple[str, ...]:
    """Return the names of globals and attributes that a function and those in it use."""
    names = dict.fromkeys(code.co_names)
    for each in code.co_consts:
        if isinstance(each, CodeType):
            names.update(dict.fromkeys(_names(each)))
    return tuple(names)


@cache
def _is_users_file(file: str) -> bool:
    return bool(file) and is_users(file) and not is_installed(file)


def _is_users_class(kind: type) -> bool:
    module = sys.modules.get(getattr(kind, "__module__", ""))
    return module is not None and _is_users_module(module)


def _is_users_module(module: ModuleType) -> bool:
    return _is_users_file(getattr(module, "__file__", None) or "")
