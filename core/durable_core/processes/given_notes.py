"""What operations are given in this run, noted as digests by the id of each.

Only where something outside of steps is read that varies: nothing else can make two runs differ.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import partial, wraps
from hashlib import blake2b
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from durable_core.given import OPERATION, Given
from durable_core.patterns import pattern
from durable_core.runtimes.native.call_lines import OPERATIONS, handed_by
from durable_core.sandbox.user_code import is_installed, is_users
from durable_core.verifying.replay import Watch
from durable_core.verifying.session import ReplaySession
from durable_core.verifying.traces import Handed
from durable_core.verifying.verification import line_at

if TYPE_CHECKING:
    from durable_core.sandbox.controlled_sources import ControlledSources

_MANY: Final = 10_000
"""Of so many operations more is looked at than of those that come after them."""
_VALUES: Final = 1_000
_FEW_VALUES: Final = 50


class GivenNotes:
    """Notes what each operation is given when it is first asked for."""

    def __init__(self, readings: ControlledSources) -> None:
        self._readings = readings
        self.given: dict[tuple[str, int], str] = {}

    def note(self, operation_id: str, ask: Callable[[], Handed]) -> None:
        """Note what an operation, and each of its units, is given."""
        if not self._readings.is_read:
            return
        handed = ask()
        if handed.values:
            self._add((operation_id, OPERATION), handed.values)
        for number, unit in enumerate(handed.units):
            self._add((operation_id, number), (unit,))

    def _add(self, key: tuple[str, int], values: tuple[object, ...]) -> None:
        if key in self.given:
            return
        digest = ""
        with suppress(Exception):  # a value that can't be looked at, changed by another thread
            digest = digest_of(values, _VALUES if len(self.given) < _MANY else _FEW_VALUES)
        self.given[key] = digest

    def watching(self, watch: Watch) -> Watch:
        """Return what watches over a run of a verification, and notes what operations are given:
        by their labels, each where it was first asked for."""

        @contextmanager
        def watching(session: ReplaySession) -> Iterator[None]:
            before = self.take()
            session.on_handed = self.note
            with watch(session):
                yield
            self.given = _by_labels(self.given, session) | before

        return watching

    def take(self) -> dict[tuple[str, int], str]:
        """Return what was noted, and forget it."""
        given, self.given = self.given, {}
        return given


def _by_labels(given: Given, session: ReplaySession) -> dict[tuple[str, int], str]:
    if not given:
        return {}
    labels = {
        session.id_at(path): str(line_at(path, asked.identity))
        for trace in session.traces
        for path, asked in (
            ((*trace.path, index), each) for index, each in enumerate(trace.asked, start=1)
        )
    }
    return {(labels.get(key, key), unit): digest for (key, unit), digest in given.items()}


def watch_native(notes: GivenNotes) -> None:
    """Have the operations of native handlers noted when they run. Can't be undone."""
    from durable_core.native.context import DurableContext

    call = DurableContext._call

    @wraps(call)
    def noted_call(self: Any, *args: Any, **keywords: Any) -> Any:
        arguments = vars(self).pop("arguments", None)
        made = call(self, *args, **keywords)
        if arguments is not None:
            notes.note(made.id, partial(handed_by, arguments))
        return made

    DurableContext._call = noted_call  # type: ignore[method-assign]
    for name in OPERATIONS:
        setattr(DurableContext, name, _noting(name, getattr(DurableContext, name)))


def _noting(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(operation)
    async def noting(context: Any, *args: Any, **keywords: Any) -> Any:
        context.arguments = (name, args, keywords)
        return await operation(context, *args, **keywords)

    return noting


_MOST_TEXT: Final = 65_536
_TEXTS: Final = (str, bytes, bytearray)

_PLAIN: Final[dict[type, Callable[[Any], str]]] = {
    type(None): repr,
    bool: repr,
    int: hex,
    float: repr,
    complex: repr,
    date: date.isoformat,
    time: lambda value: time.isoformat(value.replace(tzinfo=None)),
    datetime: lambda value: datetime.isoformat(value.replace(tzinfo=None)),
    timedelta: repr,
    UUID: str,
}
"""Values without parts, as text."""


def _plain_of(kind: type) -> Callable[[Any], str] | None:
    """Return how to write a Decimal, whose module takes longer to import than all others here."""
    module = sys.modules.get("decimal")
    return str if module is not None and kind is module.Decimal else None


def digest_of(values: Sequence[object], most: int) -> str:
    """Return the digest of some values. `most` is how many parts of them are looked at."""
    return _Digest(most).of(values)


class _Digest:
    def __init__(self, most: int) -> None:
        self._left = most
        self._hash = blake2b(digest_size=8)
        self._open: deque[object] = deque()
        self._met: dict[int, int] = {}
        self._kept: list[object] = []

    def of(self, values: Sequence[object]) -> str:
        self._open.extend(values)
        while self._open and self._left > 0:
            self._left -= 1
            self._add(self._open.popleft())
        return self._hash.hexdigest()

    def _write(self, kind: str, text: str | bytes | bytearray = b"") -> None:
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        self._hash.update(f"{kind} {len(data)} ".encode())
        self._hash.update(data)

    def _add(self, value: object) -> None:
        kind = type(value)
        plain = _PLAIN.get(kind) or _plain_of(kind)
        if plain is not None:
            self._write(kind.__name__, plain(value))
        elif issubclass(kind, str | bytes | bytearray):
            self._add_text(value)
        elif (met := self._met.get(id(value))) is not None:
            self._write("again", str(met))
        else:
            self._met[id(value)] = len(self._met)
            self._kept.append(value)  # so that no other object gets its id
            self._add_parts(value)

    def _add_text(self, value: Any) -> None:
        base: Any = next(each for each in _TEXTS if issubclass(type(value), each))
        part = base.__getitem__(value, slice(0, _MOST_TEXT))
        self._write(f"{base.__name__} of {base.__len__(value)}", part)

    def _add_parts(self, value: object) -> None:
        # `isinstance` would ask the value for its `__class__`.
        kind = type(value)
        for base, parts in _PARTS:
            if issubclass(kind, base):
                self._put(*parts(value))
                return
        if issubclass(kind, set | frozenset):
            self._add_set(value)
        elif _is_of_the_project(kind):
            said = _attributes(value)
            said = said if _is_data(kind) else _without_ids(said)
            self._put(_name_of(kind), (each for pair in said.items() for each in pair))
        else:
            self._put(_name_of(type(value)))

    def _put(self, said: str, parts: Iterable[object] = ()) -> None:
        parts = list(parts)
        self._write(said, str(len(parts)))
        self._open.extend(parts)

    def _add_set(self, value: Any) -> None:
        base: Any = set if issubclass(type(value), set) else frozenset
        size = base.__len__(value)
        share = self._left // max(1, size)
        self._write("set", str(size))
        if share:
            inside = sorted(digest_of([each], share) for each in base.__iter__(value))
            self._left -= size
            self._write("of", "".join(inside))


# -- what values are made of -------------------------------------------------------------------


def _items(value: Any) -> tuple[str, Iterator[object]]:
    return "dict", (each for pair in dict.items(value) for each in pair)


def _function(value: Any) -> tuple[str, Iterator[object]]:
    """Return what a function is, and what it is given beside its arguments."""
    code = value.__code__

    def parts() -> Iterator[object]:
        yield from value.__defaults__ or ()
        yield from (value.__kwdefaults__ or {}).values()
        for cell in value.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:  # nothing is in it yet
                yield None

    return f"function {code.co_filename} {code.co_firstlineno} {code.co_name}", parts()


def _partial(value: Any) -> tuple[str, Iterable[object]]:
    return "partial", (value.func, value.args, value.keywords)


def _builtin(value: Any) -> tuple[str, Iterable[object]]:
    owner = value.__self__
    return f"builtin {value.__name__}", () if type(owner) is ModuleType else (owner,)


_PARTS: Final[tuple[tuple[Any, Callable[[Any], tuple[str, Iterable[object]]]], ...]] = (
    (Enum, lambda value: (_name_of(type(value)), (value._name_,))),
    (list, lambda value: ("list", list.__iter__(value))),
    (tuple, lambda value: ("tuple", tuple.__iter__(value))),
    (dict, _items),
    (deque, lambda value: ("deque", deque.__iter__(value))),
    (FunctionType, _function),
    (MethodType, lambda value: ("method", (value.__func__, value.__self__))),
    (partial, _partial),
    (BuiltinFunctionType, _builtin),
    (type, lambda value: (f"class {_name_of(value)}", ())),
    (ModuleType, lambda value: (f"module {vars(value).get('__name__')}", ())),
    (PurePath, lambda value: (f"path {PurePath.__str__(value)}", ())),
    (BaseException, lambda value: (_name_of(type(value)), (value.args,))),
)
"""How to take apart what has parts."""


def _name_of(kind: type) -> str:
    return f"{_module_of(kind)}.{type.__getattribute__(kind, '__qualname__')}"


def _module_of(kind: type) -> str:
    return str(type.__getattribute__(kind, "__module__"))


_PROJECT: Final[dict[type, bool]] = {}


def _is_of_the_project(kind: type) -> bool:
    """Return True for a class that is defined in the user's own project."""
    if kind not in _PROJECT:
        module = sys.modules.get(_module_of(kind))
        file = None if module is None else vars(module).get("__file__")
        _PROJECT[kind] = isinstance(file, str) and is_users(file) and not is_installed(file)
    return _PROJECT[kind]


def _attributes(value: object) -> dict[str, object]:
    """Return what an object has, by name, without asking the object."""
    found: dict[str, object] = {}
    for base in type(value).__mro__:
        for name, descriptor in vars(base).items():
            if type(descriptor) is MemberDescriptorType:
                try:
                    found[name] = descriptor.__get__(value)
                except AttributeError:
                    continue
            elif name == "__dict__" and type(descriptor) is GetSetDescriptorType:
                found |= descriptor.__get__(value)
    return found


def _without_ids(attributes: dict[str, object]) -> dict[str, object]:
    """Leave out what an object that is more than data (a client, a tracer) makes itself known by,
    and when it was made: another in each process, and given to nobody."""
    return {name: value for name, value in attributes.items() if not _is_id(value)}


def _is_id(value: Any) -> bool:
    kind = type(value)
    if kind is int:
        return bool(abs(value) >= _LARGE)
    if kind is str:
        return _ID.fullmatch(value) is not None
    return kind in (float, UUID, datetime)


def _is_data(kind: type) -> bool:
    """Return True for a class of nothing but fields: a dataclass, or one of attrs or pydantic."""
    return any(mark in vars(base) for base in kind.__mro__ for mark in _DATA)


_DATA: Final = ("__dataclass_fields__", "__attrs_attrs__", "__pydantic_fields__")


_LARGE: Final = 1_000_000_000
_ID: Final = pattern(r"[0-9a-fA-F-]{16,}")
