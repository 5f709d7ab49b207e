"""The queue between operations and the service: batches in order, one request at a time.

An update is persisted when the future that `enqueue` returned is done. Whoever doesn't await it
fires and forgets; an error of such an update still fails everything that comes later, and shows at
the next await or at `drain`. Cancelling a waiter takes nothing back: the update is sent all the
same. Caps are those of `batching.Batcher`; nothing is counted here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from durable_core.batches.batching import Batcher, Cut
from durable_core.frozen import dataclass
from durable_core.model import Operation, OperationType, OperationUpdate
from durable_core.sdks import SDKS, Sdk, SdkRules
from durable_core.service.deterministic_ids import made_uuid
from durable_core.signals import CheckpointFailed, InvocationEnding


class RequestAnswer(Protocol):
    """What a checkpoint answers: the next token (None: the invocation is over), what changed."""

    @property
    def checkpoint_token(self) -> str | None: ...

    @property
    def operations(self) -> tuple[Operation, ...]: ...


class Transport(Protocol):
    """Whatever takes checkpoints: the simulated service, or a client of the real one.

    Raises TransientFailure for what may work when the very same request is sent again,
    RefusedCheckpoint for what never will, and any other exception for what went wrong on the way.
    """

    async def checkpoint(
        self, token: str, updates: Sequence[OperationUpdate], client_token: str
    ) -> RequestAnswer:
        """Persist the updates."""


class TransientFailure(Exception):
    """A request that may be sent again: throttled, or its answer was lost."""


class RefusedCheckpoint(Exception):
    """A request that the service refuses, now and always.

    `code` is the service's error type; `operation_id`, `size` and `limit` say what was too large,
    where something was.
    """

    def __init__(
        self,
        code: str,
        message: str,
        operation_id: str | None = None,
        size: int | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.operation_id = operation_id
        self.size = size
        self.limit = limit

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(frozen=True, slots=True)
class SentRequest:
    """One request as it was sent: its size as estimated, why it was cut, how often it was sent.

    `refused` is why it was turned down in the end, None when it was persisted.
    """

    operations: int
    estimated_bytes: int
    cut: Cut
    sends: int
    updates: tuple[OperationUpdate, ...]
    refused: str | None = None


SENDS: Final = 5
"""How often a request is sent before it fails the invocation (botocore's standard mode: 3 to 5)."""

_BACKOFF_SECONDS: Final = (1.0, 2.0, 4.0, 8.0)


class Checkpointer:
    """The queue and its worker. `run` is the worker; start it once, as a task of its own.

    `on_answer` gets every answer before the waiters of its batch do, `on_request` every request
    that was answered or refused. `on_revoked` is called when the service takes the token back: the
    invocation is over, and who waits for an update gets InvocationEnding. `flush_window` is how
    many seconds the first update of a batch waits for others. `last_updates` is what the latest
    request carried.
    """

    def __init__(
        self,
        transport: Transport,
        token: str,
        *,
        rules: SdkRules = SDKS[Sdk.DOTNET],
        flush_window: float = 0.0,
        on_answer: Callable[[RequestAnswer], None] = lambda answer: None,
        on_request: Callable[[SentRequest], None] = lambda request: None,
        on_revoked: Callable[[], None] = lambda: None,
    ) -> None:
        self._transport = transport
        self._token: str | None = token
        self._rules = rules
        self._flush_window = flush_window
        self._on_answer = on_answer
        self._on_request = on_request
        self._on_revoked = on_revoked
        self._revoked = False
        self._queue: deque[tuple[OperationUpdate, int, asyncio.Future[None]]] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._idle: list[asyncio.Future[None]] = []
        self._busy = False
        self._closed = False
        self._failure: BaseException | None = None
        self._reported = False
        self._requests = 0
        self.last_updates: Sequence[OperationUpdate] = ()

    @property
    def failure(self) -> BaseException | None:
        """Why nothing is persisted any more, or None."""
        return self._failure

    def enqueue(self, update: OperationUpdate) -> asyncio.Future[None]:
        """Queue an update; await what is returned to know that it is persisted."""
        future = asyncio.get_running_loop().create_future()
        if self._failure is not None or self._revoked:
            self._fail(future)
        else:
            self._queue.append((update, self._rules.estimate(update), future))
            if self._wake is not None and not self._wake.done():
                self._wake.set_result(None)
        return future

    async def persist(self, update: OperationUpdate) -> None:
        """Queue an update and wait until it is persisted. Raises CheckpointFailed."""
        try:
            await self.enqueue(update)
        except CheckpointFailed:
            self._reported = True
            raise

    async def drain(self) -> None:
        """Wait until nothing is queued or under way.

        Raises the error of an update that nobody awaited; one that was raised before isn't again.
        """
        while self._queue or self._busy:
            future = asyncio.get_running_loop().create_future()
            self._idle.append(future)
            await future
        if self._failure is not None and not self._reported:
            self._reported = True
            raise self._failure

    async def run(self) -> None:
        """Send what is queued until `close`. Ends early, without an error, after a failure."""
        try:
            while await self._something_queued():
                self._busy = True
                if self._flush_window > 0:
                    await asyncio.sleep(self._flush_window)
                await self._flush()
                self._busy = False
                self._tell_idle()
        except CheckpointFailed as error:
            self._give_up(error)
        except BaseException as error:
            self._give_up(error)
            raise

    def close(self) -> None:
        """Let the worker end once the queue is empty."""
        self._closed = True
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _something_queued(self) -> bool:
        while not self._queue:
            if self._closed:
                return False
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
            self._wake = None
        return True

    async def _flush(self) -> None:
        while self._queue:
            batch, estimated, cut = self._take()
            try:
                await self._send(tuple(item[0] for item in batch), estimated, cut)
            except BaseException:
                self._queue.extendleft(reversed(batch))
                raise
            for _, _, future in batch:
                if self._revoked:
                    self._fail(future)
                elif not future.done():
                    future.set_result(None)
            if self._revoked:
                self._fail_queued()

    def _take(
        self,
    ) -> tuple[list[tuple[OperationUpdate, int, asyncio.Future[None]]], int, Cut]:
        batcher = Batcher(self._rules, len(self._token or ""))
        batch = []
        cut = Cut.END
        while self._queue:
            size = self._queue[0][1]
            if (found := batcher.cut_before(size)) is not None:
                cut = found
                break
            batcher.add(size)
            batch.append(self._queue.popleft())
        if batcher.is_oversized:
            cut = Cut.OVERSIZED
        return batch, batcher.estimated_bytes, cut

    async def _send(
        self, updates: tuple[OperationUpdate, ...], estimated_bytes: int, cut: Cut
    ) -> None:
        if self._token is None:
            raise CheckpointFailed(RuntimeError("a checkpoint after the execution was decided"))
        self._requests += 1
        self.last_updates = updates
        client_token = made_uuid("checkpoint", self._token, self._requests)
        for attempt in range(1, SENDS + 1):
            sent = SentRequest(len(updates), estimated_bytes, cut, attempt, updates)
            try:
                answer = await self._transport.checkpoint(self._token, updates, client_token)
            except TransientFailure as error:
                if attempt == SENDS:
                    self._on_request(replace(sent, refused=str(error)))
                    raise CheckpointFailed(error) from error
                await asyncio.sleep(_BACKOFF_SECONDS[attempt - 1])
            except Exception as error:
                self._on_request(replace(sent, refused=str(error)))
                raise CheckpointFailed(error) from error
            else:
                self._on_request(sent)
                self._token = answer.checkpoint_token
                if self._token is None and not any(map(_decides, updates)):
                    self._revoked = True
                    self._on_revoked()
                self._on_answer(answer)
                return

    def _give_up(self, error: BaseException) -> None:
        self._failure = error
        self._busy = False
        self._fail_queued()
        self._tell_idle()

    def _fail_queued(self) -> None:
        while self._queue:
            self._fail(self._queue.popleft()[2])

    def _fail(self, future: asyncio.Future[None]) -> None:
        if not future.done():
            future.set_exception(self._failure or InvocationEnding())
            future.exception()  # asyncio would complain of those that nobody awaits

    def _tell_idle(self) -> None:
        for future in self._idle:
            if not future.done():
                future.set_result(None)
        self._idle.clear()


def _decides(update: OperationUpdate) -> bool:
    """Return True for an update that decides the execution: after it there is no token."""
    return update.type is OperationType.EXECUTION
