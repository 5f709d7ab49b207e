"""How a stream of updates is cut into requests: the caps, in one place for all who need them.

`Batcher` keeps the account of one request; the checkpointer of the native runtime asks it update
by update, and `plan` asks it for a whole stream. `plan` takes the stream as queued at once, which
gives the fewest requests: a live handler that waits for each checkpoint sends more and smaller
ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from durable_core.frozen import dataclass
from durable_core.model import OperationUpdate
from durable_core.sdks import SdkRules


class Cut(StrEnum):
    """Why a request was closed."""

    BYTES = "bytes"
    """The next update would have put its estimate over the byte cap."""

    OPERATIONS = "operations"
    """It holds as many updates as a request may."""

    OVERSIZED = "oversized"
    """Its only update is over the byte cap by itself."""

    END = "end"
    """Nothing was left to send."""


class Batcher:
    """The account of one request under one SDK's caps. Each question takes constant time.

    Never looks at an update: its callers give the size that `rules.estimate` returns.
    """

    __slots__ = ("_base", "_max_bytes", "_max_operations", "count", "estimated_bytes")

    def __init__(self, rules: SdkRules, token_length: int = 0) -> None:
        self._max_bytes = rules.max_bytes
        self._max_operations = rules.max_operations
        self._base = rules.base(token_length)
        self.reset()

    def reset(self) -> None:
        """Begin a request."""
        self.count = 0
        self.estimated_bytes = self._base

    def add(self, size: int) -> None:
        """Count an update in."""
        self.count += 1
        self.estimated_bytes += size

    def fits(self, size: int) -> bool:
        """Return True when an update of this size stays within the byte cap."""
        return self.estimated_bytes + size <= self._max_bytes

    @property
    def is_full(self) -> bool:
        """True when the request takes no further update, however small."""
        return self.count >= self._max_operations

    @property
    def is_oversized(self) -> bool:
        """True when the request is over the byte cap: it then holds one update, its first."""
        return self.estimated_bytes > self._max_bytes and self.count > 0

    def cut_before(self, size: int) -> Cut | None:
        """Return why the request has to be sent before an update of this size, or None.

        An empty request takes any update: one that is over the cap by itself goes alone.
        """
        if self.count == 0:
            return None
        if self.estimated_bytes > self._max_bytes:
            return Cut.OVERSIZED
        if self.count >= self._max_operations:
            return Cut.OPERATIONS
        return Cut.BYTES if self.estimated_bytes + size > self._max_bytes else None


@dataclass(frozen=True, slots=True)
class Batch:
    """The updates of one request, in the order in which they are sent.

    `indexes` are their places in the stream, `estimated_bytes` what the SDK believes that the
    request takes; `SdkRules.exact_request(updates)` is what it takes.
    """

    indexes: Sequence[int]
    updates: tuple[OperationUpdate, ...]
    estimated_bytes: int
    cut: Cut


@dataclass(frozen=True, slots=True)
class Plan:
    """The requests that a stream becomes.

    `stuck` are the places of the updates that are never sent, so that a handler that waits for one
    hangs. Only `rules.hangs_on_oversized` has any; without them the batches hold the whole stream
    in its order.
    """

    rules: SdkRules
    batches: tuple[Batch, ...]
    stuck: tuple[int, ...] = ()


def plan(updates: Iterable[OperationUpdate], rules: SdkRules, token_length: int = 0) -> Plan:
    """Cut a stream of updates, all queued at once, into requests as one SDK does.

    `token_length` is that of the checkpoint token, for the SDK that counts it.
    """
    stream = tuple(updates)
    batcher = Batcher(rules, token_length)
    sizes = [rules.estimate(update) for update in stream]
    if rules.hangs_on_oversized:
        batches, stuck = _through_overflow(stream, sizes, batcher)
        return Plan(rules, tuple(batches), stuck)
    return Plan(rules, tuple(_in_order(stream, sizes, batcher)))


def _in_order(
    stream: tuple[OperationUpdate, ...], sizes: list[int], batcher: Batcher
) -> Iterator[Batch]:
    first = 0
    for index, size in enumerate(sizes):
        if cut := batcher.cut_before(size):
            yield _close(stream, range(first, index), batcher, cut)
            first = index
        batcher.add(size)
    if stream:
        yield _close(stream, range(first, len(stream)), batcher, Cut.END)


def _through_overflow(
    stream: tuple[OperationUpdate, ...], sizes: list[int], batcher: Batcher
) -> tuple[list[Batch], tuple[int, ...]]:
    """Cut the stream as `ExecutionState._collect_checkpoint_batch` does (Python SDK 3.0.0).

    What doesn't fit is put into an overflow queue, which is emptied first for the next request. But
    there even the first update is checked: one that is over the cap by itself goes back to the end
    of that queue, for ever, and what comes behind it is sent only while the main queue still moves.
    """
    main, overflow = deque(range(len(stream))), deque[int]()
    batches: list[Batch] = []
    while main or overflow:
        cut = Cut.END
        taken = _drain_overflow(overflow, sizes, batcher)
        if not taken:
            if not main:
                break  # it now waits for an update that doesn't come
            taken.append(main.popleft())
            batcher.add(sizes[taken[0]])
        while main and not batcher.is_full:
            index = main.popleft()
            if not batcher.fits(sizes[index]):
                overflow.append(index)
                cut = Cut.BYTES
                break
            taken.append(index)
            batcher.add(sizes[index])
        if batcher.is_full and (main or overflow):
            cut = Cut.OPERATIONS
        batches.append(_close(stream, tuple(taken), batcher, cut))
    return batches, tuple(sorted(overflow))


def _drain_overflow(overflow: deque[int], sizes: list[int], batcher: Batcher) -> list[int]:
    taken: list[int] = []
    while overflow and not batcher.is_full:
        index = overflow.popleft()
        if not batcher.fits(sizes[index]):
            overflow.append(index)
            break
        taken.append(index)
        batcher.add(sizes[index])
    return taken


def _close(
    stream: tuple[OperationUpdate, ...], indexes: Sequence[int], batcher: Batcher, cut: Cut
) -> Batch:
    estimated = batcher.estimated_bytes
    cut = Cut.OVERSIZED if batcher.is_oversized else cut
    batcher.reset()
    return Batch(indexes, tuple([stream[index] for index in indexes]), estimated, cut)
