"""What `durable inspect-batch` finds out about a stream of updates, as one frozen value.

Pure: from groups of updates and one SDK's rules to the requests that they become, the largest
updates, how far the estimates are off, and what would be rejected, would hang or deserves notice.
A finding is a field of the report; nothing here raises for one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from durable_core.batches.batching import Cut, Plan, plan
from durable_core.batches.findings import (
    BatchFindingKind,
    Finding,
    Severity,
    findings_of_stream,
    findings_of_updates,
)
from durable_core.frozen import dataclass
from durable_core.ids import IdScheme
from durable_core.limits import LIMITS, ServiceLimits
from durable_core.model import (
    OperationType,
    OperationUpdate,
)
from durable_core.positions import detect, places_of
from durable_core.sdks import SDKS, Sdk, SdkRules
from durable_core.sizes import CLIENT_TOKEN_LENGTH, request_bytes, utf8_bytes


class StreamOrigin(StrEnum):
    """What the updates were read from, and so how much of their grouping is recorded."""

    UPDATES = "updates"
    """A bare stream: taken as queued at once."""

    REQUESTS = "requests"
    """Recorded requests: each is cut again by itself, never merged with its neighbour."""

    HISTORY = "history"
    """Worked out from events: each invocation's updates are taken as queued at once."""


@dataclass(frozen=True, slots=True)
class UpdateGroup:
    """Updates that could share a request: all that is known of the boundaries between requests.

    `number` counts from 1: the recorded request or the invocation. The token lengths are those of
    the recorded request; 0 for a checkpoint token that isn't known.
    """

    number: int
    updates: tuple[OperationUpdate, ...]
    token_length: int = 0
    client_token_length: int = CLIENT_TOKEN_LENGTH


@dataclass(frozen=True, slots=True)
class Request:
    """One request: how it was cut and how large it is believed to be and really is.

    `number` counts from 1. `first` and `last` are the numbers of its updates in the stream, from 1
    (Python's overflow queue may leave some of those between to a later request).
    """

    number: int
    group: int
    first: int
    last: int
    updates: int
    estimated_bytes: int
    exact_bytes: int
    cut: Cut


@dataclass(frozen=True, slots=True)
class WeighedUpdate:
    """One update with its sizes. `number` is its place in the stream, from 1.

    `estimates` has every SDK's, `exact_bytes` is what the inspected SDK's client sends, and
    `payload_bytes` the payload in UTF-8, None where there is none.
    """

    number: int
    update: OperationUpdate
    payload_bytes: int | None
    exact_bytes: int
    estimates: dict[Sdk, int]


@dataclass(frozen=True, slots=True)
class SdkComparison:
    """What the same stream is for one SDK, requests and tokens included.

    `exact_bytes` is what that SDK's own client sends. `worst_under` is the update whose estimate
    falls short of its exact size by most (its number), `short_bytes` by how much; 0 where none
    does. `stuck` counts the updates that are never sent.
    """

    sdk: Sdk
    requests: int
    estimated_bytes: int
    exact_bytes: int
    largest_request_bytes: int
    worst_under: int
    short_bytes: int
    stuck: int


@dataclass(frozen=True, slots=True)
class BatchReport:
    """All that `inspect-batch` says of a stream."""

    origin: StreamOrigin
    rules: SdkRules
    updates: int
    operations: int
    requests: tuple[Request, ...]
    largest: tuple[WeighedUpdate, ...]
    findings: tuple[Finding, ...]
    comparison: tuple[SdkComparison, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def estimated_bytes(self) -> int:
        """The estimates of all requests together."""
        return sum(request.estimated_bytes for request in self.requests)

    @property
    def exact_bytes(self) -> int:
        """The bodies of all requests together."""
        return sum(request.exact_bytes for request in self.requests)

    @property
    def is_fine(self) -> bool:
        """True when nothing would be rejected and nothing hangs."""
        return all(finding.severity is Severity.NOTICE for finding in self.findings)


def inspect(
    groups: Sequence[UpdateGroup],
    origin: StreamOrigin,
    rules: SdkRules,
    *,
    compare: bool = False,
    largest: int = 10,
    notes: Iterable[str] = (),
    limits: ServiceLimits = LIMITS,
) -> BatchReport:
    """Weigh the updates, cut them into requests and say what would go wrong with them."""
    stream = [update for group in groups for update in group.updates]
    plans = [plan(group.updates, rules, group.token_length) for group in groups]
    exact = [rules.exact(update) for update in stream]
    requests = tuple(_requests(groups, plans, exact))
    operations = {item.id for item in stream if item.type is not OperationType.EXECUTION}
    return BatchReport(
        origin=origin,
        rules=rules,
        updates=len(stream),
        operations=len(operations),
        requests=requests,
        largest=tuple(_largest(stream, exact, largest)),
        findings=(
            *findings_of_updates(stream, rules, limits),
            *findings_of_stream(stream, len(operations), limits),
            *_stuck(groups, plans),
            *_over_cap(requests, rules),
        ),
        comparison=tuple(_compare(groups, rules)) if compare else (),
        notes=tuple(notes),
    )


def written_by(updates: Iterable[OperationUpdate]) -> IdScheme | None:
    """Return the scheme that the ids of the updates follow, which tells the SDK; None if none."""
    return detect(places_of(updates))


# -- requests ----------------------------------------------------------------------------------


def _requests(
    groups: Sequence[UpdateGroup], plans: Sequence[Plan], exact: Sequence[int]
) -> Iterator[Request]:
    number = offset = 0
    for group, planned in zip(groups, plans, strict=True):
        for batch in planned.batches:
            number += 1
            sizes = [exact[offset + index] for index in batch.indexes]
            yield Request(
                number=number,
                group=group.number,
                first=offset + min(batch.indexes) + 1,
                last=offset + max(batch.indexes) + 1,
                updates=len(batch.updates),
                estimated_bytes=batch.estimated_bytes,
                exact_bytes=request_bytes(
                    sizes, planned.rules.style, group.token_length, group.client_token_length
                ),
                cut=batch.cut,
            )
        offset += len(group.updates)


def _largest(
    stream: Sequence[OperationUpdate], exact: Sequence[int], count: int
) -> Iterator[WeighedUpdate]:
    for index in heapq.nlargest(count, range(len(stream)), key=exact.__getitem__):
        update = stream[index]
        yield WeighedUpdate(
            number=index + 1,
            update=update,
            payload_bytes=None if update.payload is None else utf8_bytes(update.payload),
            exact_bytes=exact[index],
            estimates={sdk: rules.estimate(update) for sdk, rules in SDKS.items()},
        )


def _compare(groups: Sequence[UpdateGroup], chosen: SdkRules) -> Iterator[SdkComparison]:
    for rules in SDKS.values():
        yield _comparison(groups, chosen if rules.sdk is chosen.sdk else rules)


def _comparison(groups: Sequence[UpdateGroup], rules: SdkRules) -> SdkComparison:
    stream = [update for group in groups for update in group.updates]
    plans = [plan(group.updates, rules, group.token_length) for group in groups]
    exact = [rules.exact(update) for update in stream]
    requests = list(_requests(groups, plans, exact))
    short = [size - rules.estimate(item) for size, item in zip(exact, stream, strict=True)]
    worst = max(range(len(short)), key=short.__getitem__, default=None)
    under = worst is not None and short[worst] > 0
    return SdkComparison(
        sdk=rules.sdk,
        requests=len(requests),
        estimated_bytes=sum(request.estimated_bytes for request in requests),
        exact_bytes=sum(request.exact_bytes for request in requests),
        largest_request_bytes=max((request.exact_bytes for request in requests), default=0),
        worst_under=worst + 1 if worst is not None and under else 0,
        short_bytes=short[worst] if worst is not None and under else 0,
        stuck=sum(len(planned.stuck) for planned in plans),
    )


# -- findings ----------------------------------------------------------------------------------


def _stuck(groups: Sequence[UpdateGroup], plans: Sequence[Plan]) -> Iterator[Finding]:
    offset = 0
    for group, planned in zip(groups, plans, strict=True):
        rules = planned.rules
        for index in planned.stuck:
            update = group.updates[index]
            size = rules.estimate(update)
            never = rules.base(group.token_length) + size > rules.max_bytes
            yield Finding(
                BatchFindingKind.NEVER_SENT if never else BatchFindingKind.STRANDED,
                f"queued behind another update, {rules.title} puts it aside and never sends it"
                if never
                else f"{rules.title} puts it aside behind one that is never sent, and it waits "
                "there until another update comes",
                size,
                rules.max_bytes,
                update=offset + index + 1,
                operation=update,
            )
        offset += len(group.updates)


def _over_cap(requests: Sequence[Request], rules: SdkRules) -> Iterator[Finding]:
    for request in requests:
        if request.estimated_bytes <= rules.max_bytes < request.exact_bytes:
            yield Finding(
                BatchFindingKind.REQUEST_OVER_CAP,
                f"it takes more than the cap, although {rules.title} estimates "
                f"{request.estimated_bytes:,} bytes",
                request.exact_bytes,
                rules.max_bytes,
                request=request.number,
            )
