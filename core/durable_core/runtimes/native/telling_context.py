"""A native context that tells what of its operations may change without a divergence.

Just before an operation is asked for: how long it waits, whom it invokes, what its code decides
about further attempts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeVar, cast

from durable_core.exceptions import WaitForConditionError
from durable_core.native.chance import chance_is
from durable_core.native.config import CallbackConfig, InvokeConfig, StepConfig
from durable_core.native.context import DurableContext
from durable_core.native.durations import whole_seconds
from durable_core.native.operations.wait import Callback
from durable_core.native.retries import RetryDecision, RetryPresets, RetryStrategy
from durable_core.native.serdes import JSON, SerDes, SerDesContext, deserialize, serialize
from durable_core.native.types import StepContext, WaitForConditionCheckContext
from durable_core.native.waits import WaitForConditionConfig
from durable_core.sandbox.step_bodies import as_body
from durable_core.verifying.retry_differences import Backoff, Decide, Said, options_of

T = TypeVar("T")


class TellingContext(DurableContext):
    """The context of a run whose operations are compared with recorded ones."""

    def __init__(self, *args: Any, **given: Any) -> None:
        self._details: Mapping[str, object] | None = None
        self._decide: Decide | None = None
        self._backoff: Backoff | None = None
        super().__init__(*args, **given)

    def told(self) -> tuple[Mapping[str, object] | None, Decide | None]:
        """Return what is told of the operation that is asked for now, and forget it."""
        details, decide = self._details, self._decide
        self._details = self._decide = None
        return details, decide

    def _read_state(self, serdes: SerDes[Any], payload: str | None) -> Any:
        """Return an earlier state of a wait_for_condition."""
        return deserialize(serdes, payload, SerDesContext("", self._execution.arn))

    def _write_input(self, serdes: SerDes[Any], payload: Any) -> str | None:
        """Return what would be sent to an invoked function; None: it can't be made here."""
        return serialize(serdes, payload, SerDesContext("", self._execution.arn))

    async def step(
        self,
        func: Callable[[StepContext], Any],
        name: str | None = None,
        config: StepConfig | None = None,
    ) -> Any:
        """Return what the step came to, as recorded."""
        strategy = None if config is None else config.retry_strategy
        self._decide = _DEFAULT if strategy is None else Decide(partial(_asked, strategy))
        return await super().step(func, name, config)

    async def wait_for_condition(
        self,
        check: Callable[[T, WaitForConditionCheckContext], Awaitable[T] | T],
        config: WaitForConditionConfig[T],
        name: str | None = None,
    ) -> T:
        """Return the state that was polled for, as recorded."""

        def decide(payload: object, attempt: int, chance: float | None) -> Said:
            state = self._read_state(config.serdes or JSON, cast("str | None", payload))
            try:
                with chance_is(chance):
                    decision = config.wait_strategy(state, attempt)
            except WaitForConditionError as error:
                return f"fails with {type(error).__name__}"
            return max(1, whole_seconds(decision.delay)) if decision.should_continue else None

        self._decide = Decide(as_body(decide), polls=True)
        return await super().wait_for_condition(check, config, name)

    async def wait(self, duration: timedelta, name: str | None = None) -> None:
        """Wait, as recorded."""
        backoff, self._backoff = self._backoff, None
        self._details = {"wait of seconds": backoff or whole_seconds(duration)}
        await super().wait(duration, name)

    async def invoke(
        self,
        function_name: str,
        payload: Any,
        name: str | None = None,
        config: InvokeConfig | None = None,
    ) -> Any:
        """Invoke, as recorded."""
        given = config or InvokeConfig()

        def written() -> str | None:
            return self._write_input(given.serdes_payload or JSON, payload)

        self._details = {
            "invoked function": function_name,
            "tenant": given.tenant_id,
            "input of the invoked function": written,
        }
        return await super().invoke(function_name, payload, name, config)

    async def create_callback(
        self, name: str | None = None, config: CallbackConfig | None = None
    ) -> Callback[Any]:
        """Create a callback, as recorded."""
        given = config or CallbackConfig()
        self._details = {
            "callback timeout of seconds": whole_seconds(given.timeout) or None,
            "callback heartbeat of seconds": whole_seconds(given.heartbeat_timeout) or None,
        }
        return await super().create_callback(name, config)

    def decide_retry(
        self, strategy: RetryStrategy, error: Exception, attempt: int
    ) -> RetryDecision:
        """Ask the strategy of a block, and about the wait that it leads to."""
        decision = super().decide_retry(strategy, error, attempt)
        asked = partial(_asked, strategy, error, attempt)
        self._backoff = Backoff(attempt, options_of(asked)) if decision.should_retry else None
        return decision


def _asked(
    strategy: RetryStrategy | None, error: object, attempt: int, chance: float | None
) -> Said:
    """Return what a retry strategy decides about an error, for `retry_differences`."""
    with chance_is(chance):
        decision = as_body(strategy or RetryPresets.default())(cast(Exception, error), attempt)
    return max(1, whole_seconds(decision.delay)) if decision.should_retry else None


_DEFAULT: Final = Decide(partial(_asked, None))
"""Of a step without a strategy of its own."""
