"""What can be wrong with checkpoint updates: a table of kinds, and the checks of single updates.

Limits are those of `limits`, shapes of fields those of the service model (botocore 1.44). A check
returns a finding; it never raises. What concerns requests is found in `report`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Final

from durable_core.frozen import dataclass
from durable_core.limits import ServiceLimits, payload_limit
from durable_core.model import OperationAction, OperationType, OperationUpdate
from durable_core.sdks import ResultUnit, SdkRules
from durable_core.sizes import error_bytes, utf8_bytes


class Severity(StrEnum):
    """How bad a finding is. The first two make the exit code 1."""

    REJECTED = "rejected"
    HANGS = "hangs"
    NOTICE = "notice"


class BatchFindingKind(StrEnum):
    """What can be wrong with a stream of updates."""

    PAYLOAD_TOO_LARGE = "payload-too-large"
    ERROR_TOO_LARGE = "error-too-large"
    BAD_FIELD = "bad-field"
    TOO_MANY_OPERATIONS = "too-many-operations"
    TOO_MUCH_DATA = "too-much-data"
    NEVER_SENT = "never-sent"
    STRANDED = "stranded"
    STRIPPED = "stripped"
    REQUEST_OVER_CAP = "request-over-cap"


_SEVERITIES: Final = {
    BatchFindingKind.NEVER_SENT: Severity.HANGS,
    BatchFindingKind.STRANDED: Severity.HANGS,
    BatchFindingKind.STRIPPED: Severity.NOTICE,
    BatchFindingKind.REQUEST_OVER_CAP: Severity.NOTICE,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, with the update or request it is wrong with.

    `update` and `request` are numbers from 1, 0 where the finding is about none; `operation` is
    that update. `size` and `limit` are in `unit`s: bytes, operations, characters or seconds.
    """

    kind: BatchFindingKind
    problem: str
    size: int
    limit: int
    unit: str = "bytes"
    update: int = 0
    request: int = 0
    operation: OperationUpdate | None = None

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return _SEVERITIES.get(self.kind, Severity.REJECTED)


def findings_of_updates(
    stream: Sequence[OperationUpdate], rules: SdkRules, limits: ServiceLimits
) -> Iterator[Finding]:
    """Yield what the service refuses each update for, and what the SDK would strip."""
    for number, update in enumerate(stream, 1):
        found = (
            _payload(update, rules, limits),
            _error(update, limits),
            *_fields(update, limits),
        )
        for finding in found:
            if finding is not None:
                yield replace(finding, update=number, operation=update)


def _payload(update: OperationUpdate, rules: SdkRules, limits: ServiceLimits) -> Finding | None:
    if update.payload is None:
        return None
    size, limit = utf8_bytes(update.payload), payload_limit(update.type, limits)
    strippable = (
        update.type is OperationType.CONTEXT
        and update.action is OperationAction.SUCCEED
        and not update.replay_children
    )
    if strippable and rules.strips(update.payload, limit):
        return Finding(
            BatchFindingKind.STRIPPED,
            f"its result overflows: {rules.title} stores it stripped, and a replay rebuilds it "
            "(planned as given, whole)",
            size,
            limit,
        )
    if size <= limit:
        return None
    return Finding(
        BatchFindingKind.PAYLOAD_TOO_LARGE, _why_not_stripped(update, rules), size, limit
    )


def _why_not_stripped(update: OperationUpdate, rules: SdkRules) -> str:
    if update.type is not OperationType.CONTEXT or update.action is not OperationAction.SUCCEED:
        return "its payload is too large, and only a context's result is ever stripped"
    if update.replay_children:
        return "its payload is too large although it is stripped already"
    if rules.result_unit is ResultUnit.CHARACTERS:
        length = len(update.payload or "")
        return (
            f"its payload is too large, and {rules.title} doesn't strip it: it counts "
            f"{length:,} characters, not bytes"
        )
    return "its payload is too large"


def _error(update: OperationUpdate, limits: ServiceLimits) -> Finding | None:
    if update.error is None:
        return None
    size = error_bytes(update.error)
    if size <= limits.error_bytes:
        return None
    problem = "its error object is too large"
    return Finding(BatchFindingKind.ERROR_TOO_LARGE, problem, size, limits.error_bytes)


_WORD: Final = re.compile(r"[a-zA-Z0-9\-_]*")
_PRINTABLE: Final = re.compile(r"[\x20-\x7E]*")


def _fields(update: OperationUpdate, limits: ServiceLimits) -> Iterator[Finding]:
    """Check what the service model (botocore 1.44) says of an update's texts and durations."""
    texts = (
        ("Id", update.id, limits.id_length, _WORD, "letters, digits, - and _"),
        ("ParentId", update.parent_id, limits.id_length, _WORD, "letters, digits, - and _"),
        ("Name", update.name, limits.name_length, _PRINTABLE, "printable ASCII"),
        ("SubType", update.sub_type, limits.sub_type_length, _WORD, "letters, digits, - and _"),
    )
    for field, text, longest, pattern, allowed in texts:
        if text is None:
            continue
        if not 1 <= len(text) <= longest:
            problem = f"its {field} is {'too long' if text else 'empty'}"
            yield Finding(BatchFindingKind.BAD_FIELD, problem, len(text), longest, "characters")
        elif pattern.fullmatch(text) is None:
            problem = f"its {field} has characters other than {allowed}"
            yield Finding(BatchFindingKind.BAD_FIELD, problem, len(text), longest, "characters")
    least, most = limits.wait_min_seconds, limits.wait_max_seconds
    longest = limits.callback_timeout_seconds
    durations = (
        ("WaitSeconds", update.wait_seconds, least, most),
        ("NextAttemptDelaySeconds", update.next_attempt_delay_seconds, least, most),
        ("TimeoutSeconds", update.callback_timeout_seconds, 0, longest),
        ("HeartbeatTimeoutSeconds", update.callback_heartbeat_seconds, 0, longest),
    )
    for field, seconds, low, high in durations:
        if seconds is not None and not low <= seconds <= high:
            problem = f"its {field} is out of range: at least {low:,}, at most {high:,}"
            yield Finding(BatchFindingKind.BAD_FIELD, problem, seconds, high, "seconds")


def findings_of_stream(
    stream: Sequence[OperationUpdate], operations: int, limits: ServiceLimits
) -> Iterator[Finding]:
    """Yield what the whole stream is too much for, if it is of one execution."""
    if operations > limits.operations:
        yield Finding(
            BatchFindingKind.TOO_MANY_OPERATIONS,
            "an execution may not have so many operations",
            operations,
            limits.operations,
            "operations",
        )
    stored = sum(_stored_bytes(update) for update in stream)
    if stored > limits.stored_bytes:
        yield Finding(
            BatchFindingKind.TOO_MUCH_DATA,
            "an execution may not write so many bytes of payloads and errors",
            stored,
            limits.stored_bytes,
        )


def _stored_bytes(update: OperationUpdate) -> int:
    payload = 0 if update.payload is None else utf8_bytes(update.payload)
    return payload if update.error is None else payload + error_bytes(update.error)
