"""One execution as one document: its record and all of its events. Pure.

The document is what GetDurableExecutionHistory answers (`{"Events": [...]}`), with the fields of
GetDurableExecution beside the events, so that every tool that reads a history reads it too. Nothing
that the service sent is lost; moments are ISO-8601, as AWS CLI writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from durable_core.events import (
    EXECUTION_ENDS,
    details_key,
    format_timestamp,
    parse_timestamp,
)
from durable_core.frozen import dataclass
from durable_core.model import ExecutionStatus

Json = Mapping[str, Any]

_RUNNING: Final = frozenset(status.value for status in ExecutionStatus if status.is_open)
_INVOKED: Final = "ChainedInvokeStarted"


@dataclass(frozen=True, slots=True)
class ExecutionDocument:
    """What was read of one execution. `record` and `events` are as the service spells them."""

    arn: str
    record: Json
    events: Sequence[Json]

    def to_wire(self) -> dict[str, Any]:
        """Return the document, the events last."""
        document: dict[str, Any] = {
            "DurableExecutionArn": self.arn,
            **self.record,
            "Events": list(self.events),
        }
        document.pop("NextMarker", None)
        return {key: with_iso_moments(value, key) for key, value in document.items()}

    @property
    def status(self) -> str:
        """The status that the record gives, or UNKNOWN."""
        return str(self.record.get("Status") or "UNKNOWN")

    @property
    def children(self) -> tuple[str, ...]:
        """The ARNs of the executions that this one started, each once, in their order."""
        return children_of(self.events)


def is_running(record: Json) -> bool:
    """Tell whether more events can come."""
    return record.get("Status") in _RUNNING


def has_ended(events: Iterable[Json]) -> bool:
    """Tell whether the events go to the end of the execution."""
    return any(event.get("EventType") in EXECUTION_ENDS for event in events)


def children_of(events: Iterable[Json]) -> tuple[str, ...]:
    """Return the ARNs of the executions that chained invokes started, each once."""
    found: dict[str, None] = {}
    for event in events:
        if event.get("EventType") == _INVOKED:
            details = event.get(details_key(_INVOKED))
            arn = details.get("DurableExecutionArn") if isinstance(details, Mapping) else None
            if isinstance(arn, str) and arn:
                found[arn] = None
    return tuple(found)


def with_iso_moments(value: Any, name: str = "") -> Any:
    """Return the value with every number in a field named `...Timestamp` as an ISO-8601 text."""
    if isinstance(value, Mapping):
        return {key: with_iso_moments(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [with_iso_moments(each) for each in value]
    if name.endswith("Timestamp") and isinstance(value, int | float):
        try:
            return format_timestamp(parse_timestamp(value))
        except ValueError:
            return value
    return value
