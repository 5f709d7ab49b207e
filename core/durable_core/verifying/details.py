"""What of an operation is no part of its identity, and is told where it has changed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from durable_core.fold import Recorded
from durable_core.verifying.retry_differences import Backoff
from durable_core.verifying.stand_ins import StandIns

_DETAILS: Final = {
    "wait of seconds": "wait_seconds",
    "invoked function": "function_name",
    "callback timeout of seconds": "callback_timeout_seconds",
    "callback heartbeat of seconds": "callback_heartbeat_seconds",
    "tenant": "tenant_id",
}
"""Each, and where it is recorded."""


def detail_differences(
    recorded: Recorded, details: Mapping[str, object], stand_ins: StandIns | None
) -> Iterator[tuple[str, str, str]]:
    """Yield what is another than recorded, as it is recorded and as it is now, in words."""
    for what, now in details.items():
        before = getattr(recorded, _DETAILS[what])
        if before is None or before == now:
            continue  # not all that write histories tell all of it
        if isinstance(now, Backoff):
            told = now.difference(before)
            if told is not None:
                yield told.what, told.recorded, told.current
        elif stand_ins is None or stand_ins.differ(before, now):
            yield what, str(before), str(now) if now else "none"
