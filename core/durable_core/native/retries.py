"""Whether and when a failed attempt runs again. Names and defaults as in AWS's Python SDK 3.0.0."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from enum import StrEnum
from math import ceil

from durable_core.frozen import dataclass
from durable_core.native.chance import draw


class JitterStrategy(StrEnum):
    """How much of a delay is left to chance.

    NONE: nothing. FULL: between 0 and the delay. HALF: between half the delay and the delay.
    """

    NONE = "NONE"
    FULL = "FULL"
    HALF = "HALF"

    def apply_jitter(self, delay: float) -> float:
        """Return the delay with jitter, in the unit that it came in."""
        match self:
            case JitterStrategy.NONE:
                return delay
            case JitterStrategy.HALF:
                return delay / 2 + draw() * (delay / 2)
        return draw() * delay

    def finalize_delay(self, base_delay: float) -> int:
        """Return the delay with jitter in whole seconds, rounded up, at least 1."""
        return max(1, ceil(self.apply_jitter(base_delay)))


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """Whether an attempt is made again, and after how long."""

    should_retry: bool
    delay: timedelta = timedelta()

    @classmethod
    def retry(cls, delay: timedelta) -> RetryDecision:
        """Return the decision to try again after the delay."""
        return cls(should_retry=True, delay=delay)

    @classmethod
    def no_retry(cls) -> RetryDecision:
        """Return the decision to give up."""
        return cls(should_retry=False)


RetryStrategy = Callable[[Exception, int], RetryDecision]
"""Takes the error and how many attempts were made; decides about the next one."""


@dataclass(frozen=True)
class RetryStrategyConfig:
    """Exponential backoff: `initial_delay * backoff_rate ** (attempts - 1)`, up to `max_delay`.

    `retryable_errors` are texts or patterns looked for in the error's message, and
    `retryable_error_types` classes; with neither, every error is retried, with one, what matches.
    """

    max_attempts: int = 3
    initial_delay: timedelta = timedelta(seconds=5)
    max_delay: timedelta = timedelta(minutes=5)
    backoff_rate: int | float = 2.0
    jitter_strategy: JitterStrategy = JitterStrategy.FULL
    retryable_errors: Sequence[str | re.Pattern[str]] | None = None
    retryable_error_types: Sequence[type[Exception]] | None = None


@dataclass(frozen=True)
class LinearRetryStrategyConfig:
    """Linear backoff: `initial_delay + increment * (attempts - 1)`, up to `max_delay`."""

    max_attempts: int = 6
    initial_delay: timedelta = timedelta(seconds=1)
    increment: timedelta = timedelta(seconds=1)
    max_delay: timedelta = timedelta(minutes=5)
    jitter_strategy: JitterStrategy = JitterStrategy.FULL
    retryable_errors: Sequence[str | re.Pattern[str]] | None = None
    retryable_error_types: Sequence[type[Exception]] | None = None


def _is_retryable(
    error: Exception, config: RetryStrategyConfig | LinearRetryStrategyConfig
) -> bool:
    texts, kinds = config.retryable_errors, config.retryable_error_types
    if texts is None and kinds is None:
        return True
    if isinstance(error, tuple(kinds or ())):
        return True
    message = str(error)
    return any(
        text in message if isinstance(text, str) else bool(text.search(message))
        for text in texts or ()
    )


def _strategy(
    config: RetryStrategyConfig | LinearRetryStrategyConfig,
    base_seconds: Callable[[int], float],
) -> RetryStrategy:
    def decide(error: Exception, attempts_made: int) -> RetryDecision:
        if attempts_made >= config.max_attempts or not _is_retryable(error, config):
            return RetryDecision.no_retry()
        base = min(base_seconds(attempts_made), config.max_delay.total_seconds())
        return RetryDecision.retry(timedelta(seconds=config.jitter_strategy.finalize_delay(base)))

    return decide


def create_retry_strategy(config: RetryStrategyConfig | None = None) -> RetryStrategy:
    """Return a strategy with exponential backoff."""
    given = config or RetryStrategyConfig()

    def seconds(attempts: int) -> float:
        try:
            return given.initial_delay.total_seconds() * given.backoff_rate ** (attempts - 1)
        except OverflowError:
            return given.max_delay.total_seconds()

    return _strategy(given, seconds)


def create_linear_retry_strategy(config: LinearRetryStrategyConfig | None = None) -> RetryStrategy:
    """Return a strategy whose delay grows by the same amount each time."""
    given = config or LinearRetryStrategyConfig()
    return _strategy(
        given, lambda made: (given.initial_delay + given.increment * (made - 1)).total_seconds()
    )


class RetryPresets:
    """Ready-made strategies."""

    @classmethod
    def none(cls) -> RetryStrategy:
        """Never again."""
        return create_retry_strategy(RetryStrategyConfig(max_attempts=1))

    @classmethod
    def default(cls) -> RetryStrategy:
        """What a step without a strategy has: 6 attempts, from 5 s doubling up to 1 min, jitter."""
        return create_retry_strategy(
            RetryStrategyConfig(max_attempts=6, max_delay=timedelta(minutes=1), backoff_rate=2)
        )

    @classmethod
    def transient(cls) -> RetryStrategy:
        """3 attempts, half jitter."""
        return create_retry_strategy(
            RetryStrategyConfig(backoff_rate=2, jitter_strategy=JitterStrategy.HALF)
        )

    @classmethod
    def resource_availability(cls) -> RetryStrategy:
        """5 attempts, up to 5 min apart."""
        return create_retry_strategy(RetryStrategyConfig(max_attempts=5, backoff_rate=2))

    @classmethod
    def critical(cls) -> RetryStrategy:
        """10 attempts, from 1 s growing by half up to 1 min, no jitter."""
        return create_retry_strategy(
            RetryStrategyConfig(
                max_attempts=10,
                initial_delay=timedelta(seconds=1),
                max_delay=timedelta(minutes=1),
                backoff_rate=1.5,
                jitter_strategy=JitterStrategy.NONE,
            )
        )

    @classmethod
    def linear(cls) -> RetryStrategy:
        """6 attempts: after 1, 2, 3, 4 and 5 s."""
        return create_linear_retry_strategy(
            LinearRetryStrategyConfig(jitter_strategy=JitterStrategy.NONE)
        )

    @classmethod
    def fixed(cls, interval: timedelta | None = None) -> RetryStrategy:
        """5 attempts at a constant interval, 5 s unless given, no jitter."""
        delay = interval if interval is not None else timedelta(seconds=5)
        return create_retry_strategy(
            RetryStrategyConfig(
                max_attempts=5,
                initial_delay=delay,
                max_delay=delay,
                backoff_rate=1,
                jitter_strategy=JitterStrategy.NONE,
            )
        )
