"""The queue of checkpoints: what goes together, what an error takes with it, what survives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from durable_core.batches.batching import Cut
from durable_core.model import Operation, OperationAction, OperationType, OperationUpdate
from durable_core.native.checkpointer import Checkpointer, SentRequest, TransientFailure
from durable_core.native.event_loop import VirtualTimeLoop
from durable_core.sdks import SDKS, Sdk, SdkRules
from durable_core.signals import CheckpointFailed


@dataclass
class Answer:
    checkpoint_token: str | None
    operations: tuple[Operation, ...] = ()


@dataclass
class Service:
    """Takes everything, unless told to fail at the n-th request."""

    refuse: dict[int, Exception] = field(default_factory=dict)
    requests: list[tuple[str, list[str], str]] = field(default_factory=list)

    async def checkpoint(
        self, token: str, updates: Sequence[OperationUpdate], client_token: str
    ) -> Answer:
        self.requests.append((token, [update.id for update in updates], client_token))
        if error := self.refuse.get(len(self.requests)):
            raise error
        return Answer(f"token-{len(self.requests)}")

    @property
    def batches(self) -> list[list[str]]:
        return [ids for _, ids, _ in self.requests]


def step(name: str, size: int = 10) -> OperationUpdate:
    return OperationUpdate(name, OperationType.STEP, OperationAction.SUCCEED, payload="x" * size)


def capped(max_bytes: int) -> SdkRules:
    """Return .NET's rules with another cap, and an estimate that is just the payload."""
    return replace(
        SDKS[Sdk.DOTNET],
        max_bytes=max_bytes,
        base_bytes=0,
        estimate=lambda update: len(update.payload or ""),
    )


def stuck() -> None:
    raise AssertionError("the loop is idle")


Scene = Callable[[Checkpointer], Awaitable[None]]


def play(
    scene: Scene,
    service: Service,
    rules: SdkRules = SDKS[Sdk.DOTNET],
    flush_window: float = 0.0,
    sent: list[SentRequest] | None = None,
) -> VirtualTimeLoop:
    async def main() -> None:
        checkpointer = Checkpointer(
            service,
            "token-0",
            rules=rules,
            flush_window=flush_window,
            on_request=(sent if sent is not None else []).append,
        )
        worker = asyncio.create_task(checkpointer.run())
        await scene(checkpointer)
        checkpointer.close()
        await worker

    loop = VirtualTimeLoop(stuck)
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    return loop


def test_updates_that_would_go_over_the_cap_are_split() -> None:
    async def scene(checkpointer: Checkpointer) -> None:
        await asyncio.gather(*(checkpointer.persist(step(name, 6 * 1024)) for name in "abc"))

    service, sent = Service(), list[SentRequest]()
    play(scene, service, capped(10 * 1024), sent=sent)
    assert service.batches == [["a"], ["b"], ["c"]]
    assert [request.cut for request in sent] == [Cut.BYTES, Cut.BYTES, Cut.END]


def test_a_lone_oversized_update_goes_alone_and_once() -> None:
    async def scene(checkpointer: Checkpointer) -> None:
        checkpointer.enqueue(step("small"))
        checkpointer.enqueue(step("huge", 50 * 1024))
        checkpointer.enqueue(step("after"))
        await checkpointer.drain()

    service, sent = Service(), list[SentRequest]()
    play(scene, service, capped(4 * 1024), sent=sent)
    assert service.batches == [["small"], ["huge"], ["after"]]
    assert [request.cut for request in sent] == [Cut.BYTES, Cut.OVERSIZED, Cut.END]


def test_a_request_holds_at_most_200_operations() -> None:
    async def scene(checkpointer: Checkpointer) -> None:
        await asyncio.gather(*(checkpointer.persist(step(str(n))) for n in range(401)))

    service = Service()
    play(scene, service)
    assert [len(batch) for batch in service.batches] == [200, 200, 1]


def test_each_answer_gives_the_token_of_the_next_request() -> None:
    async def scene(checkpointer: Checkpointer) -> None:
        for name in "abc":
            await checkpointer.persist(step(name))

    service = Service()
    play(scene, service)
    assert [token for token, _, _ in service.requests] == ["token-0", "token-1", "token-2"]
    assert len({client_token for _, _, client_token in service.requests}) == 3


def test_an_error_fails_the_batch_the_queued_and_the_later_ones() -> None:
    outcomes: list[str] = []

    async def ask(checkpointer: Checkpointer, name: str) -> None:
        try:
            await checkpointer.persist(step(name, 6 * 1024))
        except CheckpointFailed as failed:
            outcomes.append(f"{name}: {failed}")

    async def scene(checkpointer: Checkpointer) -> None:
        await asyncio.gather(*(ask(checkpointer, name) for name in "abc"))
        await ask(checkpointer, "late")

    service = Service(refuse={1: ValueError("no")})
    play(scene, service, capped(10 * 1024))
    assert outcomes == ["a: no", "b: no", "c: no", "late: no"]
    assert service.batches == [["a"]]


def test_an_error_that_was_raised_is_not_reported_again_at_drain() -> None:
    async def scene(checkpointer: Checkpointer) -> None:
        with pytest.raises(CheckpointFailed):
            await checkpointer.persist(step("a"))
        await checkpointer.drain()

    play(scene, Service(refuse={1: ValueError("no")}))


def test_a_fire_and_forget_error_surfaces_at_the_next_await() -> None:
    async def scene(checkpointer: Checkpointer) -> None:
        checkpointer.enqueue(step("forgotten"))
        await asyncio.sleep(0)
        with pytest.raises(CheckpointFailed, match="no"):
            await checkpointer.persist(step("next"))

    service = Service(refuse={1: ValueError("no")})
    play(scene, service)
    assert service.batches == [["forgotten"]]


def test_a_fire_and_forget_error_surfaces_at_drain_once() -> None:
    async def scene(checkpointer: Checkpointer) -> None:
        checkpointer.enqueue(step("forgotten"))
        with pytest.raises(CheckpointFailed, match="no"):
            await checkpointer.drain()
        await checkpointer.drain()

    play(scene, Service(refuse={1: ValueError("no")}))


def test_drain_waits_for_everything_that_was_queued() -> None:
    async def scene(checkpointer: Checkpointer) -> None:
        for name in "abc":
            checkpointer.enqueue(step(name, 6 * 1024))
        await checkpointer.drain()
        assert service.batches == [["a"], ["b"], ["c"]]

    service = Service()
    play(scene, service, capped(10 * 1024))


def test_a_flush_window_gathers_late_arrivals() -> None:
    async def scene(checkpointer: Checkpointer) -> None:
        checkpointer.enqueue(step("early"))
        await asyncio.sleep(1)
        checkpointer.enqueue(step("late"))
        await checkpointer.drain()

    apart, together = Service(), Service()
    play(scene, apart)
    play(scene, together, flush_window=2)
    assert apart.batches == [["early"], ["late"]]
    assert together.batches == [["early", "late"]]


def test_cancelling_a_waiter_loses_no_update() -> None:
    async def scene(checkpointer: Checkpointer) -> None:
        waiter = asyncio.create_task(checkpointer.persist(step("cancelled")))
        other = asyncio.create_task(checkpointer.persist(step("other")))
        await asyncio.sleep(0)
        waiter.cancel()
        await other
        assert waiter.cancelled()

    service = Service()
    play(scene, service)
    assert service.batches == [["cancelled", "other"]]


def test_a_transient_failure_is_sent_again_with_the_same_client_token() -> None:
    async def scene(checkpointer: Checkpointer) -> None:
        await checkpointer.persist(step("a"))

    service = Service(refuse={1: TransientFailure("slow down"), 2: TransientFailure("again")})
    sent: list[SentRequest] = []
    loop = play(scene, service, sent=sent)
    assert service.batches == [["a"]] * 3
    assert len({client_token for _, _, client_token in service.requests}) == 1
    assert [request.sends for request in sent] == [3]
    assert loop.time() == pytest.approx(1 + 2)


def test_transient_failures_end_in_an_error() -> None:
    async def scene(checkpointer: Checkpointer) -> None:
        with pytest.raises(CheckpointFailed, match="slow down"):
            await checkpointer.persist(step("a"))

    service = Service(refuse=dict.fromkeys(range(1, 9), TransientFailure("slow down")))
    play(scene, service)
    assert len(service.requests) == 5
