"""Retrying a block of several operations, as `with_retry` of AWS's Python SDK 3.0.0 does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from durable_core.exceptions import ExecutionError, InvocationError
from durable_core.frozen import dataclass
from durable_core.native.config import ChildConfig
from durable_core.native.context import DurableContext
from durable_core.native.retries import RetryStrategy, create_retry_strategy

T = TypeVar("T")


@dataclass(frozen=True)
class WithRetryConfig(Generic[T]):
    """How a block is retried: the strategy, and whether the block gets a child context.

    In a child context the last failure is raised as ChildContextError, without one as it is.
    """

    retry_strategy: RetryStrategy | None = None
    wrap_with_run_in_child_context: bool = True
    child_context_config: ChildConfig[T] | None = None


async def with_retry(
    context: DurableContext,
    func: Callable[[DurableContext, int], Awaitable[T]],
    config: WithRetryConfig[T],
    name: str | None = None,
) -> T:
    """Run `func(ctx, attempt)` until it returns, waiting between attempts as the strategy says.

    The waits are named `<name>-backoff-<attempt>` when there is a name. Attempts count from 1.
    """
    strategy = config.retry_strategy or create_retry_strategy()

    async def run(ctx: DurableContext) -> T:
        attempt = 0
        while True:
            attempt += 1
            try:
                return await func(ctx, attempt)
            except (ExecutionError, InvocationError):
                raise
            except Exception as error:
                decision = ctx.decide_retry(strategy, error, attempt)
                if not decision.should_retry:
                    raise
            await ctx.wait(decision.delay, f"{name}-backoff-{attempt}" if name else None)

    if config.wrap_with_run_in_child_context:
        return await context.run_in_child_context(run, name, config.child_context_config)
    return await run(context)
