"""What a redaction has to know of the whole document before it redacts a part. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from durable_core.arns import EXECUTION_ARN, accounts_in, is_local_execution
from durable_core.events import details_key
from durable_core.frozen import dataclass
from durable_core.ids import IdScheme
from durable_core.model import Event
from durable_core.positions import detect, places_of_events
from durable_core.redaction.plain_values import is_position

Json = Mapping[str, Any]

_ACCOUNTS: Final = ("111122223333", "444455556666", "777788889999", "123456789012")
"""The account ids that AWS's own examples use."""

_ARNS: Final = ("DurableExecutionArn", "FunctionArn", "FunctionName")
_RUN_ID: Final = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Facts:
    """`scheme` of the operations' ids, which tells whose SDK wrote the history; `run_ids` that the
    service gave executions: random, so that they tell nothing."""

    scheme: IdScheme | None = None
    run_ids: frozenset[str] = frozenset()

    def tells_nothing(self, operation_id: str) -> bool:
        """Tell whether the id of an operation is its position, or made of that."""
        if is_position(operation_id) or operation_id in self.run_ids:
            return True
        is_long = self.scheme is not None and len(operation_id) == self.scheme.length
        return is_long and _HASH.fullmatch(operation_id) is not None


_HASH: Final = re.compile("[0-9a-f]+")


def facts_of(document: Json) -> Facts:
    """Return the facts of a document."""
    return Facts(_scheme_of(document), _run_ids_of(document))


def events_of(document: Json) -> list[Json]:
    """Return the events that are objects."""
    events = document.get("Events")
    return (
        [each for each in events if isinstance(each, Mapping)] if isinstance(events, list) else []
    )


def _arns_of(document: Json) -> list[str]:
    """Return every text in a field for an ARN, the execution's own first."""
    places: list[Json] = [document]
    for event in events_of(document):
        details = event.get(details_key(str(event.get("EventType"))))
        if isinstance(details, Mapping):
            places.append(details)
    return [text for place in places for name in _ARNS if isinstance(text := place.get(name), str)]


def fake_accounts(document: Json) -> dict[str, str]:
    """Return a stand-in for each account in an ARN."""
    found = dict.fromkeys(account for text in _arns_of(document) for account in accounts_in(text))
    more = (f"{number:012d}" for number in range(900000000000, 900000000000 + 2 * len(found) + 1))
    free = (fake for fake in (*_ACCOUNTS, *more) if fake not in found)
    return {account: next(free) for account in found}


def _run_ids_of(document: Json) -> frozenset[str]:
    """Return the random ids that the service gave executions: they tell nothing."""
    found: set[str] = set()
    for text in _arns_of(document):
        if match := EXECUTION_ARN.fullmatch(text):
            found.add(match["run_id"])
        elif is_local_execution(text):
            found.update(text.split("/"))
    return frozenset(filter(_RUN_ID.fullmatch, found))


def _scheme_of(document: Json) -> IdScheme | None:
    """Return the scheme of the operations' ids: they are hashes of positions, and tell whose SDK
    wrote the history."""

    def as_event(event: Json) -> Event:
        def text(name: str) -> str | None:
            value = event.get(name)
            return value if isinstance(value, str) else None

        ids = text("Id"), text("ParentId"), text("Name"), text("SubType")
        return Event(0, str(event.get("EventType")), _ANY_TIME, *ids)

    return detect(places_of_events(map(as_event, events_of(document))))
