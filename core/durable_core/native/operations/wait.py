"""Operations that wait for the service or for the world outside: wait, invoke, callback."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, cast

from durable_core.decide import Verb, Want
from durable_core.exceptions import (
    CallbackError,
    CallbackExternalError,
    CallbackTimeoutError,
    DurableOperationError,
    InvokeError,
    raise_recorded,
)
from durable_core.model import ChainedInvokeOptions, OperationAction, OperationStatus
from durable_core.native.call import Call
from durable_core.native.config import CallbackConfig, InvokeConfig
from durable_core.native.durations import whole_seconds
from durable_core.native.journal import Activity
from durable_core.native.serdes import PASS_THROUGH

T = TypeVar("T")


async def wait(call: Call, seconds: int) -> None:
    """Return once the time has passed. A wait that was cancelled raises DurableOperationError."""
    while True:
        decision = call.decide()
        match decision.verb:
            case Verb.REUSE:
                return
            case Verb.RAISE:
                raise DurableOperationError(f"{call.label} was cancelled")
            case Verb.SUSPEND:
                await call.park(decision)
            case _:
                call.execution.check(call.scope)
                call.note(Activity.BEGAN)
                await call.persist(OperationAction.START, wait_seconds=seconds)


async def invoke(call: Call, function_name: str, payload: Any, config: InvokeConfig) -> Any:
    """Return what the invoked function returned, or raise InvokeError."""
    while True:
        decision = call.decide()
        recorded = call.recorded
        match decision.verb:
            case Verb.REUSE:
                result = recorded.result if recorded else None
                return call.to_value(config.serdes_result, result)
            case Verb.RAISE:
                raise_recorded(recorded.error if recorded else None, InvokeError)
            case Verb.SUSPEND:
                await call.park(decision)
            case _:
                text = call.to_payload(config.serdes_payload, payload)
                call.execution.check(call.scope)
                call.note(Activity.BEGAN)
                await call.persist(
                    OperationAction.START,
                    payload=text,
                    chained_invoke=ChainedInvokeOptions(function_name, config.tenant_id),
                )


class Callback(Generic[T]):
    """A callback that exists at the service: give its id away, then await `result`."""

    def __init__(self, call: Call, callback_id: str, config: CallbackConfig) -> None:
        self.callback_id = callback_id
        self._call = call
        self._config = config

    async def result(self) -> T | None:
        """Return what was answered.

        Raises CallbackExternalError for a failure and CallbackTimeoutError when nobody answered.
        """
        call = self._call
        call.execution.check(call.scope)
        call.scope.enter()
        try:
            while (decision := call.decide()).verb is Verb.SUSPEND:
                await call.park(decision)
        finally:
            call.scope.leave()
        recorded = call.recorded
        assert recorded is not None
        if decision.verb is Verb.REUSE:
            value = call.to_value(self._config.serdes or PASS_THROUGH, recorded.result)
            return cast(T | None, value)
        if recorded.status is OperationStatus.TIMED_OUT:
            return raise_recorded(recorded.error, CallbackTimeoutError)
        return raise_recorded(recorded.error, CallbackExternalError)


async def create_callback(call: Call, config: CallbackConfig) -> Callback[Any]:
    """Return the callback. How it ends shows in its `result` only."""
    decision = call.decide(Want.CALLBACK_ID)
    if decision.verb is Verb.RUN:
        call.execution.check(call.scope)
        call.note(Activity.BEGAN)
        await call.persist(
            OperationAction.START,
            callback_timeout_seconds=whole_seconds(config.timeout) or None,
            callback_heartbeat_seconds=whole_seconds(config.heartbeat_timeout) or None,
        )
    recorded = call.recorded
    details = recorded.callback_details if recorded else None
    if details is None or details.callback_id is None:
        raise CallbackError(f"{call.label}: the service gave no callback id")
    return Callback(call, details.callback_id, config)
