"""What of an operation is no part of its identity, and is told where it has changed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from durable_core.fold import Recorded
from durable_core.values import dataclass
from durable_core.verifying.retry_differences import Backoff, Decide
from durable_core.verifying.values import same_json

if TYPE_CHECKING:
    from durable_core.verifying.stand_ins import StandIns

Input = Callable[[], str | None]
"""Makes the input of an invoked function, as it would be sent: only where one is recorded."""


@dataclass(frozen=True, slots=True)
class OperationOptions:
    """What an operation is asked for with, beside its identity, under the names by which it is
    recorded. `told` are the names of those that this operation has.

    `decide` is what the code decides about further attempts.
    """

    told: tuple[str, ...] = ()
    wait_seconds: int | Backoff | None = None
    function_name: str | None = None
    tenant_id: str | None = None
    invoke_input: Input | None = None
    callback_timeout_seconds: int | None = None
    callback_heartbeat_seconds: int | None = None
    decide: Decide | None = None


NO_OPTIONS: Final = OperationOptions()


def wait_options(seconds: int | Backoff) -> OperationOptions:
    """Return the options of a wait."""
    return OperationOptions(("wait_seconds",), wait_seconds=seconds)


def invoke_options(
    function_name: str, tenant_id: str | None, written_input: Input
) -> OperationOptions:
    """Return the options of a chained invoke."""
    return OperationOptions(
        ("function_name", _TENANT, "invoke_input"),
        function_name=function_name,
        tenant_id=tenant_id,
        invoke_input=written_input,
    )


def callback_options(
    timeout_seconds: int | None, heartbeat_seconds: int | None
) -> OperationOptions:
    """Return the options of a callback. None and 0: it has none."""
    return OperationOptions(
        _CALLBACK,
        callback_timeout_seconds=timeout_seconds or None,
        callback_heartbeat_seconds=heartbeat_seconds or None,
    )


_TENANT: Final = "tenant_id"
_CALLBACK: Final = ("callback_timeout_seconds", "callback_heartbeat_seconds")
_WORDS: Final = {
    "wait_seconds": "wait of seconds",
    "function_name": "invoked function",
    "callback_timeout_seconds": "callback timeout of seconds",
    "callback_heartbeat_seconds": "callback heartbeat of seconds",
    _TENANT: "tenant",
    "invoke_input": "input of the invoked function",
}


def option_changes(
    recorded: Recorded, options: OperationOptions, stand_ins: StandIns | None
) -> Iterator[tuple[str, str, str]]:
    """Yield what is another than recorded, as it is recorded and as it is now, in words."""
    for name in options.told:
        before, now = getattr(recorded, name), getattr(options, name)
        if before == now or (before is None and not _is_told(name, recorded)):
            continue  # not all that write histories tell all of it
        if isinstance(now, Backoff):
            told = now.difference(before)
            if told is not None:
                yield told.what, told.recorded, told.current
        elif callable(now):
            given = _made(now) if stand_ins is None else None
            if given is not None and not same_json(before, given):
                yield _WORDS[name], before, given
        elif stand_ins is not None and name == _TENANT:
            continue  # replaced as a whole
        elif stand_ins is None or stand_ins.differ(before, now):
            yield _WORDS[name], str(before or "none"), str(now or "none")


def _is_told(name: str, recorded: Recorded) -> bool:
    """Return True for a timeout of a callback that tells the other one: where that isn't there,
    there was none."""
    return name in _CALLBACK and any(getattr(recorded, each) is not None for each in _CALLBACK)


def _made(made: Input) -> str | None:
    """Return the input; None for one that can't be made, which nothing is said about here."""
    try:
        return made()
    except Exception:
        return None
