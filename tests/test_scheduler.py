"""Threads that run one at a time on virtual time: who waits for whom, for how long, in which order.

Nothing here goes by how long something takes.
"""

from __future__ import annotations

import asyncio
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from multiprocessing.pool import ThreadPool
from typing import Any

import pytest

from durable_core.sandbox.interleavings import order_of
from durable_core.sandbox.threads.patches import in_place
from durable_core.sandbox.threads.primitives import LightEvent, UsersLock
from durable_core.sandbox.threads.scheduler import Scheduler
from durable_core.sandbox.threads.tasks import SECOND, Stuck, current_task
from durable_core.signals import Overdue

INTERLEAVINGS = range(6)


def run(
    body: Callable[[], Any], interleaving: int = 0, limit: int | None = None
) -> tuple[Any, float]:
    """Run a body in a scheduler of its own; return its result and the virtual seconds it took."""
    scheduler = Scheduler()
    try:
        with in_place():
            order = order_of(0, interleaving)
            result = scheduler.run(body, began=5 * SECOND, order=order, limit=limit)
        assert not scheduler.unscheduled
        return result, (scheduler.now - 5 * SECOND) / SECOND
    finally:
        scheduler.close()


def started(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Run work in threads side by side; return what they came to, in the order of their ends."""
    ended: list[Any] = []
    threads = [
        threading.Thread(target=lambda i=i: ended.append(work(i)))  # type: ignore[misc]
        for i in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
        assert not thread.is_alive()
    return ended


# -- time --------------------------------------------------------------------------------------


def test_sleeps_pass_virtual_time_side_by_side() -> None:
    def body() -> list[Any]:
        return started(3, lambda i: time.sleep(3600 * (3 - i)) or i)

    assert run(body) == ([2, 1, 0], 3 * 3600)


def test_a_wait_with_a_timeout_ends_in_virtual_time_or_before_it() -> None:
    def body() -> list[object]:
        event, items = threading.Event(), queue.Queue[str]()
        threading.Timer(30, event.set).start()
        threading.Timer(40, lambda: items.put("item")).start()
        early, in_time, item = event.wait(10), event.wait(100), items.get(timeout=100)
        with pytest.raises(queue.Empty):
            items.get(timeout=5)
        return [early, in_time, item]

    assert run(body) == ([False, True, "item"], 45)


def test_an_event_loop_passes_virtual_time_and_waits_for_its_threads() -> None:
    async def main() -> list[object]:
        loop = asyncio.get_running_loop()
        found = await asyncio.gather(
            asyncio.sleep(2, "slept"),
            asyncio.to_thread(lambda: time.sleep(1) or "threaded"),
            loop.run_in_executor(None, abs, -3),
        )
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(100), 3)
        return found

    assert run(lambda: asyncio.run(main())) == (["slept", "threaded", 3], 5)


def test_no_more_virtual_time_passes_than_the_limit() -> None:
    with pytest.raises(Overdue):
        run(lambda: time.sleep(901), limit=900 * SECOND)


# -- what threads wait for ---------------------------------------------------------------------


@pytest.mark.parametrize("interleaving", INTERLEAVINGS)
def test_whatever_threads_wait_at_works_in_every_interleaving(interleaving: int) -> None:
    def body() -> object:
        barrier, semaphore, condition = (
            threading.Barrier(3),
            threading.Semaphore(2),
            threading.Condition(),
        )
        seen: list[int] = []

        def work(i: int) -> int:
            with semaphore:
                time.sleep(i)
            barrier.wait()
            with condition:
                seen.append(i)
                condition.notify_all()
            return i

        threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        with condition:
            all_came = condition.wait_for(lambda: len(seen) == 3, timeout=60)
        with ThreadPool(2) as pool:
            mapped = pool.map(abs, [-1, -2])
        return all_came, sorted(seen), mapped

    result, _ = run(body, interleaving)
    assert result == (True, [0, 1, 2], [1, 2])


@pytest.mark.parametrize("interleaving", INTERLEAVINGS)
@pytest.mark.parametrize("make", [threading.Lock, threading.RLock, UsersLock])
def test_a_lock_that_is_held_over_a_wait_lets_nobody_else_in(
    make: Callable[[], Any], interleaving: int
) -> None:
    def body() -> list[int]:
        lock = threading.RLock() if make is threading.RLock else threading.Lock()
        inside: list[int] = []
        most: list[int] = []

        def work(i: int) -> None:
            with lock:
                inside.append(i)
                time.sleep(1)
                most.append(len(inside))
                inside.remove(i)

        started(4, work)
        return most

    assert run(body, interleaving) == ([1, 1, 1, 1], 4)


@pytest.mark.parametrize("interleaving", INTERLEAVINGS)
def test_a_lock_that_is_let_go_when_the_time_of_a_wait_for_it_is_over_is_for_one_of_the_two(
    interleaving: int,
) -> None:
    def work(lock: Any, which: int) -> bool:
        if which == 2:
            is_mine = bool(lock.acquire(timeout=1))
            if is_mine:
                lock.release()
            return is_mine
        with lock:
            time.sleep(1 - which)
        return True

    def body() -> list[bool]:
        lock = threading.Lock()
        ended = started(3, lambda which: work(lock, which))
        assert not lock.locked()
        return ended

    ended, _ = run(body, interleaving)
    assert len(ended) == 3


@pytest.mark.parametrize("kind", [threading.Event, LightEvent])
@pytest.mark.parametrize("interleaving", INTERLEAVINGS)
def test_an_event_lets_all_go_on_that_wait_for_it_and_those_whose_time_is_over(
    kind: Any, interleaving: int
) -> None:
    def body() -> list[tuple[bool, float]]:
        event, task = kind(), current_task()
        assert task is not None
        scheduler = task.scheduler
        began = scheduler.now

        def work(which: int) -> tuple[bool, float]:
            if which == 3:
                time.sleep(2)
                event.set()
            came = event.wait((None, 1, 5, 0)[which])
            return came, (scheduler.now - began) / SECOND

        ended = sorted(started(4, work))
        assert event.is_set()
        event.clear()
        assert not event.is_set()
        assert not event.wait(-1)
        return ended

    assert run(body, interleaving)[0] == [(False, 1), (True, 2), (True, 2), (True, 2)]


def test_an_event_works_in_threads_that_are_not_scheduled() -> None:
    event = LightEvent()
    assert not event.wait(0.001)
    with ThreadPoolExecutor(4) as pool:
        waits = [pool.submit(event.wait) for _ in range(3)]
        event.set()
    assert [each.result() for each in waits] == [True] * 3


@pytest.mark.parametrize("interleaving", INTERLEAVINGS)
def test_a_pool_runs_every_task_once_and_futures_come_in_one_order(interleaving: int) -> None:
    def body() -> tuple[list[int], list[int]]:
        begun: list[int] = []

        def work(i: int) -> int:
            begun.append(i)
            time.sleep(i % 3)
            return i

        with ThreadPoolExecutor(3) as pool:
            ended = [
                each.result() for each in as_completed([pool.submit(work, i) for i in range(8)])
            ]
        return begun, ended

    result = run(body, interleaving)
    assert sorted(result[0][0]) == sorted(result[0][1]) == list(range(8))
    assert run(body, interleaving) == result


def test_interleavings_are_other_orders() -> None:
    def body() -> tuple[int, ...]:
        begun: list[int] = []
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(begun.append, range(4)))
        return tuple(begun)

    assert run(body, 0)[0] == (0, 1, 2, 3)
    assert run(body, 1)[0] == (3, 2, 1, 0)
    assert len({run(body, each)[0] for each in INTERLEAVINGS}) > 3


def test_sets_of_futures_and_of_threads_are_walked_in_the_order_in_which_they_were_made() -> None:
    def body() -> bool:
        futures = [Future[None]() for _ in range(50)]
        return list(set(futures)) == futures

    assert run(body)[0]


def test_a_pool_that_was_made_before_is_scheduled_too() -> None:
    with ThreadPoolExecutor(2) as pool:
        assert run(lambda: [*pool.map(abs, [-1, -2, -3])])[0] == [1, 2, 3]
        assert pool.submit(abs, -4).result() == 4  # and its threads go on afterwards


# -- what can't go on --------------------------------------------------------------------------


def test_threads_that_wait_for_each_other_are_found_stuck_with_where_they_wait() -> None:
    def body() -> None:
        one, other = threading.Lock(), threading.Lock()

        def work(i: int) -> None:
            first, second = (one, other) if i else (other, one)
            with first:
                time.sleep(1)
                second.acquire()

        started(2, work)

    with pytest.raises(Stuck) as raised:
        run(body)
    assert len(raised.value.waiting) == 3
    assert all(frame is not None for _, frame in raised.value.waiting)


def test_a_thread_that_blocks_at_a_lock_of_others_gives_up_its_turn_which_is_noted() -> None:
    lock = threading.Lock()  # made where no thread is scheduled, and held over a wait
    scheduler = Scheduler()

    def body() -> int:
        def holds() -> None:
            with lock:
                time.sleep(5)

        thread = threading.Thread(target=holds, name="holder")
        thread.start()
        time.sleep(1)
        with lock:
            return 7

    with in_place():
        assert scheduler.run(body, began=0, order=order_of(0)) == 7
    (said,) = scheduler.unscheduled
    assert said.startswith("invocation stood at")
    assert "with lock:" in said


def test_a_thread_that_the_machine_lets_wait_for_its_turn_keeps_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real_sleep = time.sleep
    monkeypatch.setattr("durable_core.sandbox.threads.scheduler.LOOK_SECONDS", 0.005)
    scheduler = Scheduler()
    hand_over = scheduler._hand_over

    def slowly(task: Any) -> None:
        scheduler._holder = task
        real_sleep(0.1)
        hand_over(task)

    monkeypatch.setattr(scheduler, "_hand_over", slowly)
    with in_place():
        scheduler.run(lambda: started(3, time.sleep), began=0, order=order_of(0))
    assert not scheduler.unscheduled


def test_a_process_is_waited_for_and_noted() -> None:
    scheduler = Scheduler()

    def body() -> str:
        command = [sys.executable, "-c", "print('from the process')"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout

    with in_place():
        assert scheduler.run(body, began=0, order=order_of(0)) == "from the process\n"
    assert list(scheduler.unscheduled) == ["a process that was started works in real time"]
    assert scheduler.now == 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_process_that_is_forked_has_threads_as_any_other() -> None:
    def body() -> int:
        child = os.fork()
        if child == 0:
            with ThreadPoolExecutor(2) as pool:
                found = list(pool.map(abs, [-1, -2]))
            os._exit(0 if found == [1, 2] and current_task() is None else 1)
        return os.waitpid(child, 0)[1]

    scheduler = Scheduler()
    with in_place():
        assert scheduler.run(body, began=0, order=order_of(0)) == 0


# -- nothing is left behind --------------------------------------------------------------------

NAMES = (
    (threading, "Lock RLock _allocate_lock _time"),
    (threading.Thread, "start join is_alive"),
    (queue, "SimpleQueue time"),
    (time, "sleep"),
    (asyncio.BaseEventLoop, "time"),
    (ThreadPoolExecutor, "_adjust_thread_count"),
)


def _found() -> list[object]:
    return [owner.__dict__.get(name) for owner, names in NAMES for name in names.split()]


def test_what_python_had_is_back_afterwards_also_after_an_error() -> None:
    before = _found()
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 / 0)
    run(lambda: time.sleep(1))
    assert _found() == before


def test_other_threads_of_the_process_wait_as_ever() -> None:
    seen: list[object] = []
    go = threading.Event()

    def other() -> None:
        go.wait()
        began = time.monotonic()
        time.sleep(0.01)
        seen.append(time.monotonic() - began >= 0.01)
        seen.append(current_task())

    thread = threading.Thread(target=other)
    thread.start()
    run(lambda: go.set() or time.sleep(1000))
    thread.join()
    assert seen == [True, None]


def test_a_thread_that_is_left_stands_still_until_the_next_run_and_goes_on_when_closed() -> None:
    scheduler = Scheduler()
    seen: list[str] = []
    go = threading.Event()

    def leaves() -> None:
        def work() -> None:
            for each in ("next run", "closed"):
                time.sleep(10)
                seen.append(each)
            go.set()

        threading.Thread(target=work).start()
        time.sleep(0)  # it begins before the run ends

    with in_place():
        scheduler.run(leaves, began=0, order=order_of(0))
        assert seen == []
        scheduler.run(lambda: time.sleep(1), began=15 * SECOND, order=order_of(0))
    assert seen == ["next run"]
    scheduler.give_up()
    assert not go.is_set()
