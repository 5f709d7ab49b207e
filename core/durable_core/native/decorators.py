"""Decorators that bind arguments to the functions of operations, and give these their names.

As in AWS's Python SDK 3.0.0: `await ctx.step(charge(order_id))` is a step named `charge`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from durable_core.native.config import ParallelBranch
from durable_core.native.context import DurableContext
from durable_core.native.types import StepContext, WaitForCallbackContext

T = TypeVar("T")
P = ParamSpec("P")


def _named(bound: Callable[..., Any], func: Callable[..., Any]) -> Any:
    bound._original_name = func.__name__  # type: ignore[attr-defined]
    return bound


def durable_step(
    func: Callable[Concatenate[StepContext, P], T],
) -> Callable[P, Callable[[StepContext], T]]:
    """Turn `func(step, ...)` into what takes the rest and returns a step function."""

    def bind(*args: P.args, **kwargs: P.kwargs) -> Callable[[StepContext], T]:
        return _named(lambda step: func(step, *args, **kwargs), func)  # type: ignore[no-any-return]

    return bind


def durable_with_child_context(
    func: Callable[Concatenate[DurableContext, P], T],
) -> Callable[P, Callable[[DurableContext], T]]:
    """Turn `func(ctx, ...)` into what takes the rest and returns a child context's function."""

    def bind(*args: P.args, **kwargs: P.kwargs) -> Callable[[DurableContext], T]:
        return _named(lambda ctx: func(ctx, *args, **kwargs), func)  # type: ignore[no-any-return]

    return bind


def durable_parallel_branch(
    name: str | None = None,
) -> Callable[
    [Callable[Concatenate[DurableContext, P], Awaitable[T]]], Callable[P, ParallelBranch[T]]
]:
    """Turn `func(ctx, ...)` into what takes the rest and returns a branch of that name."""

    def decorate(
        func: Callable[Concatenate[DurableContext, P], Awaitable[T]],
    ) -> Callable[P, ParallelBranch[T]]:
        def bind(*args: P.args, **kwargs: P.kwargs) -> ParallelBranch[T]:
            return ParallelBranch(lambda ctx: func(ctx, *args, **kwargs), name)

        return bind

    return decorate


def durable_wait_for_callback(
    func: Callable[Concatenate[str, WaitForCallbackContext, P], T],
) -> Callable[P, Callable[[str, WaitForCallbackContext], T]]:
    """Turn `func(callback_id, context, ...)` into what takes the rest and returns a submitter."""

    def bind(*args: P.args, **kwargs: P.kwargs) -> Callable[[str, WaitForCallbackContext], T]:
        return _named(  # type: ignore[no-any-return]
            lambda callback_id, context: func(callback_id, context, *args, **kwargs), func
        )

    return bind
