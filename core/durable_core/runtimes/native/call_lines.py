"""The lines at which native operations are asked for: where they are called, not where awaited.

`asyncio.gather(ctx.step(...), ctx.step(...))` runs both in tasks of their own, under no line of the
user's code. With the line comes what the operation is given.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from typing import Any, Final, TypeVar

from durable_core.native.config import ParallelBranch
from durable_core.sandbox.user_code import calling_line
from durable_core.verifying.handed import Handed

C = TypeVar("C", bound=type[Any])


_TAKEN: Final[dict[str, tuple[str, ...]]] = {
    "step": ("func",),
    "wait": (),
    "invoke": ("function_name", "payload"),
    "create_callback": (),
    "wait_for_callback": ("submitter",),
    "wait_for_condition": ("check", "config"),
    "run_in_child_context": ("func",),
    "map": ("inputs", "func"),
    "parallel": ("functions",),
}
"""The operations, and which of their first parameters are given to the code that they run."""
OPERATIONS: Final = tuple(_TAKEN)
_UNITS: Final = ("inputs", "functions")

Arguments = tuple[str, tuple[Any, ...], Mapping[str, Any]]
"""How an operation was called: its name, its arguments, and those that have names."""


def handed_by(arguments: Arguments) -> Handed:
    """Return what an operation gives to the code that it runs."""
    operation, args, keywords = arguments
    taken = dict(zip(_TAKEN[operation], args, strict=False))
    taken |= {name: keywords[name] for name in _TAKEN[operation] if name in keywords}
    if "config" in taken:
        taken["config"] = getattr(taken["config"], "initial_state", None)
    taken.pop("function_name", None)  # part of what the service is asked for
    units = next((taken.pop(name) for name in _UNITS if _has_units(taken.get(name))), ())
    units = [each.func if isinstance(each, ParallelBranch) else each for each in units]
    return Handed(tuple(taken.values()), units)


def _has_units(value: object) -> bool:
    return isinstance(value, list | tuple)


def notes_lines(contexts: C) -> C:
    """Let the operations of a class of contexts note in `line` which line has called them, and in
    `arguments` with what, just before they run: none is asked for in between."""
    for name in OPERATIONS:
        setattr(contexts, name, _noting(name, getattr(contexts, name)))
    return contexts


def _noting(name: str, operation: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    async def run(context: Any, line: Any, args: Any, keywords: Any) -> Any:
        context.line = line
        context.arguments = (name, args, keywords)
        return await operation(context, *args, **keywords)

    @wraps(operation)
    def called(context: Any, *args: Any, **keywords: Any) -> Any:
        running: Any = run(context, calling_line(2), args, keywords)
        running.__qualname__ = operation.__qualname__  # what Python says of one never awaited
        return running

    return called
