"""Whether a wait_for_condition polls on. Names and defaults as in AWS's Python SDK 3.0.0."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Generic, TypeVar

from durable_core.exceptions import WaitForConditionError
from durable_core.frozen import dataclass
from durable_core.native.retries import JitterStrategy
from durable_core.native.serdes import SerDes

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WaitForConditionDecision:
    """Whether polling goes on, and after how long."""

    should_continue: bool
    delay: timedelta = timedelta()

    @classmethod
    def continue_waiting(cls, delay: timedelta) -> WaitForConditionDecision:
        """Return the decision to poll again after the delay."""
        return cls(should_continue=True, delay=delay)

    @classmethod
    def stop_polling(cls) -> WaitForConditionDecision:
        """Return the decision that the condition is met."""
        return cls(should_continue=False)


@dataclass(frozen=True)
class WaitStrategyConfig(Generic[T]):
    """Polling with backoff. `should_continue_polling` sees the state that the check returned."""

    should_continue_polling: Callable[[T], bool]
    max_attempts: int = 60
    initial_delay: timedelta = timedelta(seconds=5)
    max_delay: timedelta = timedelta(minutes=5)
    backoff_rate: int | float = 1.5
    jitter_strategy: JitterStrategy = JitterStrategy.FULL


def create_wait_strategy(
    config: WaitStrategyConfig[T],
) -> Callable[[T, int], WaitForConditionDecision]:
    """Return a wait strategy; it raises WaitForConditionError once the attempts run out."""

    def strategy(state: T, attempts_made: int) -> WaitForConditionDecision:
        if not config.should_continue_polling(state):
            return WaitForConditionDecision.stop_polling()
        if attempts_made >= config.max_attempts:
            raise WaitForConditionError(
                f"wait_for_condition exhausted {config.max_attempts} attempts "
                "before the condition was met"
            )
        longest = config.max_delay.total_seconds()
        try:
            grown = config.backoff_rate ** (attempts_made - 1)
            base = min(config.initial_delay.total_seconds() * grown, longest)
        except OverflowError:
            base = longest
        seconds = config.jitter_strategy.finalize_delay(base)
        return WaitForConditionDecision.continue_waiting(timedelta(seconds=seconds))

    return strategy


@dataclass(frozen=True)
class WaitForConditionConfig(Generic[T]):
    """How a wait_for_condition polls.

    `wait_strategy` is called after each poll with the state and the number of attempts made;
    `initial_state` is what the first poll gets, after a way through the serdes.
    """

    wait_strategy: Callable[[T, int], WaitForConditionDecision]
    initial_state: T
    serdes: SerDes[Any] | None = None
