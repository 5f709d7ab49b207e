"""The lines at which native operations are asked for: where they are called, not where awaited.

`asyncio.gather(ctx.step(...), ctx.step(...))` runs both in tasks of their own, under no line of the
user's code. With the line comes what the operation is given.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar

from durable_core.verifying.code_lines import calling_line
from durable_core.verifying.handed import OPERATIONS

C = TypeVar("C", bound=type[Any])


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
