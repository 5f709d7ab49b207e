"""What the body of a completed context does outside of itself, which isn't done where a replay
answers the context from its checkpoint.

Seen are operations that it asks for in contexts around its own, and changes of what
`handler_state` finds from its code; told are those that code of the handler outside of the body
reads by the same name.
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache, partial
from itertools import pairwise
from types import CodeType, FunctionType, MethodType
from typing import Any, Final

from durable_core.frozen import dataclass
from durable_core.ids import Path
from durable_core.sandbox.user_code import CodeLine, shown
from durable_core.verifying.handler_state import HandlerState, StatePlace

running_body: ContextVar[Path | None] = ContextVar("durable_verified_body", default=None)
"""The position of the context whose body runs here; None: the handler itself."""


@dataclass(frozen=True, slots=True)
class Leak:
    """What the body of a completed context does outside of itself, in words; and those of how many
    `others`."""

    label: str
    does: str
    others: int = 0

    def __str__(self) -> str:
        others = f" (and of {self.others:,} others)" if self.others else ""
        return (
            f"the body of {self.label}{others} {self.does}: a replay answers it from its "
            "checkpoint and doesn't run its body"
        )


class LeakWatch:
    """Watches the bodies of completed contexts in one run. `handler` is the function that runs."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler
        self._is_watching = False
        self._unread: dict[tuple[str, str], str] = {}
        self._labels: dict[str, dict[str, None]] = {}

    @property
    def leaks(self) -> list[Leak]:
        """What was seen, each once, in the order of its first time."""
        return [
            Leak(next(iter(labels)), does, len(labels) - 1) for does, labels in self._labels.items()
        ]

    def _add(self, label: str, does: str) -> None:
        self._labels.setdefault(does, {})[label] = None

    @contextmanager
    def body(self, label: str, functions: Iterable[Any], where: CodeLine | None) -> Iterator[None]:
        """Watch the body of a completed context, which runs inside, asked for at `where`."""
        if self._is_watching:  # what is in it is part of it
            yield
            return
        functions = list(functions)
        self._note_reads(functions)
        state = HandlerState(functions)
        self._is_watching = True
        try:
            yield
        finally:
            self._is_watching = False
            for place in state.changed():
                for key in _keys(place):
                    self._note(label, (place, key), (state, functions), where)

    def strayed(self, label: str, operation: str, where: CodeLine | None) -> None:
        """Note that a body asks for an operation in a context around its own."""
        line = shown(where)
        at = f" at {line}" if line is not None else ""
        self._add(label, f"asks for {operation}{at} in a context around its own")

    def _note(
        self,
        label: str,
        what: tuple[StatePlace, str],
        code: tuple[HandlerState, Sequence[Any]],
        where: CodeLine | None,
    ) -> None:
        (place, key), (state, functions) = what, code
        codes = _nested(state.codes)
        changes = _first_line(codes, key, _changes) or _first_line(codes, key, _reads)
        own = _nested(_own_codes(functions))
        outside = [each for each in self._handlers_codes() if each not in own]
        reads = _first_line(outside, key, _reads, where)
        if changes is None:
            return
        name = f"{place.name}.{key}".lstrip(".") if place.is_object else place.name
        does = f"changes {name} at {shown(changes)}"
        if reads is None:
            self._unread.setdefault((key, does), label)
        else:
            self._add(label, f"{does}, which is read at {shown(reads)}")

    def _note_reads(self, functions: Sequence[Any]) -> None:
        """Note what another body has changed before that this one reads."""
        own = _nested(_own_codes(functions)) if self._unread else {}
        for (key, does), label in self._unread.items():
            reads = _first_line(own, key, _only_reads)
            if reads is not None:
                self._add(label, f"{does}, which is read at {shown(reads)}")

    def _handlers_codes(self) -> Iterable[CodeType]:
        return _nested(HandlerState([self._handler]).codes)


def _keys(place: StatePlace) -> Iterator[str]:
    """Yield the names by which code reaches what has changed: attributes each by its own."""
    if not place.is_object:
        yield place.key
        return
    now, missing = place.read(), object()
    for key in {**place.held, **now}:
        if now.get(key, missing) is not place.held.get(key, missing):
            yield key


# -- lines -----------------------------------------------------------------------------------------


def _own_codes(functions: Iterable[Any]) -> Iterator[CodeType]:
    """Yield the code of functions, and of those that they are made from: what they wrap, are bound
    to, or hold in their closures."""
    todo, seen = list(functions), set[int]()
    while todo:
        each = todo.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, MethodType):
            todo.append(each.__func__)
        elif isinstance(each, partial):
            todo.append(each.func)
        elif isinstance(each, list | tuple):  # the branches of a parallel
            todo += each
        elif isinstance(each, FunctionType):
            yield each.__code__
            for cell in each.__closure__ or ():
                with suppress(ValueError):
                    todo.append(cell.cell_contents)


def _nested(codes: Iterable[CodeType]) -> dict[CodeType, None]:
    """Return code and all that is defined in it."""
    found: dict[CodeType, None] = {}
    todo = list(codes)[::-1]
    while todo:
        code = todo.pop()
        if code not in found:
            found[code] = None
            todo += [each for each in code.co_consts if isinstance(each, CodeType)][::-1]
    return found


def _first_line(
    codes: Iterable[CodeType],
    key: str,
    lines_of: Callable[[CodeType, str], Sequence[int]],
    after: CodeLine | None = None,
) -> CodeLine | None:
    """Return the first line of code that does something with a name; in the function that `after`
    is a line of, after it, unless it loops."""
    for code in codes:
        for line in lines_of(code, key):
            if after is None or line > after.line or not _is_of(after, code) or _loops(code):
                return CodeLine(code.co_filename, line, code.co_name)
    return None


def _is_of(line: CodeLine, code: CodeType) -> bool:
    return (line.file, line.function) == (code.co_filename, code.co_name)


@cache
def _loops(code: CodeType) -> bool:
    return any("JUMP_BACKWARD" in each.opname for each in dis.get_instructions(code))


_LOADS: Final = frozenset(
    {"LOAD_DEREF", "LOAD_FROM_DICT_OR_DEREF", "LOAD_CLASSDEREF", "LOAD_GLOBAL", "LOAD_NAME"}
    | {"LOAD_ATTR", "LOAD_METHOD"}
)
_CALLS: Final = frozenset({"LOAD_ATTR", "LOAD_METHOD"})


@cache
def _reads(code: CodeType, key: str) -> Sequence[int]:
    found = (
        each.positions.lineno if each.positions else None
        for each in dis.get_instructions(code)
        if each.opname in _LOADS and each.argval == key
    )
    return sorted({line for line in found if line is not None})


@cache
def _changes(code: CodeType, key: str) -> Sequence[int]:
    """Return the lines that set a name, or that call a method of what it names."""
    instructions = list(dis.get_instructions(code))
    found = []
    for each, following in pairwise(instructions):
        is_set = each.opname.startswith(("STORE_", "DELETE_")) and each.argval == key
        is_called = each.opname in _LOADS and each.argval == key and following.opname in _CALLS
        if (is_set or is_called) and each.positions and each.positions.lineno is not None:
            found.append(each.positions.lineno)
    return sorted(set(found))


def _only_reads(code: CodeType, key: str) -> Sequence[int]:
    return [line for line in _reads(code, key) if line not in _changes(code, key)]
