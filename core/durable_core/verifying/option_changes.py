"""What of an operation is no part of its identity, and is told where it has changed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from durable_core.fold import Recorded
from durable_core.verifying.retry_differences import Backoff
from durable_core.verifying.values import same_json

if TYPE_CHECKING:
    from durable_core.verifying.redacted import StandIns

_TENANT: Final = "tenant"
_DETAILS: Final = {
    "wait of seconds": "wait_seconds",
    "invoked function": "function_name",
    "callback timeout of seconds": "callback_timeout_seconds",
    "callback heartbeat of seconds": "callback_heartbeat_seconds",
    _TENANT: "tenant_id",
    "input of the invoked function": "invoke_input",
}
"""Each, and where it is recorded."""

_TOLD_TOGETHER: Final = {
    "callback timeout of seconds": "callback_heartbeat_seconds",
    "callback heartbeat of seconds": "callback_timeout_seconds",
}
"""Who tells the one tells the other: where it isn't there, there was none."""

Input = Callable[[], str | None]
"""Makes the input of an invoked function, as it would be sent: only where one is recorded."""


def detail_differences(
    recorded: Recorded, details: Mapping[str, object], stand_ins: StandIns | None
) -> Iterator[tuple[str, str, str]]:
    """Yield what is another than recorded, as it is recorded and as it is now, in words."""
    for what, now in details.items():
        before = getattr(recorded, _DETAILS[what])
        if before == now or (before is None and not _is_told(what, recorded)):
            continue  # not all that write histories tell all of it
        if isinstance(now, Backoff):
            told = now.difference(before)
            if told is not None:
                yield told.what, told.recorded, told.current
        elif callable(now):
            given = _made(now) if stand_ins is None else None
            if given is not None and not same_json(before, given):
                yield what, before, given
        elif stand_ins is not None and what == _TENANT:
            continue  # replaced as a whole
        elif stand_ins is None or stand_ins.differ(before, now):
            yield what, str(before or "none"), str(now or "none")


def _is_told(what: str, recorded: Recorded) -> bool:
    other = _TOLD_TOGETHER.get(what)
    return other is not None and getattr(recorded, other) is not None


def _made(made: Input) -> str | None:
    """Return the input; None for one that can't be made, which nothing is said about here."""
    try:
        return made()
    except Exception:
        return None
