"""`verify()` in a process that does other things too: whose code is refused, and how it is told."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from recording import history_of

from durable_core import DurableContext, Verification, verify
from durable_core.simulation.simulate import simulate

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
"""What is refused in a thread ends that thread."""


async def breathes(event: object, ctx: DurableContext) -> None:
    await ctx.wait(timedelta(seconds=1), name="breathe")


Attack = Callable[[], Any]


def verified(attack: Attack) -> Verification:
    """Verify a handler that does that outside of steps."""

    async def handler(event: object, ctx: DurableContext) -> None:
        made = attack()
        if asyncio.iscoroutine(made):
            await made
        await ctx.wait(timedelta(seconds=1), name="breathe")

    recorded = simulate(breathes)
    return verify(handler, history_of(recorded))


def reasons(outcome: Verification) -> str:
    assert outcome.verdict.value == "cannot-verify"
    return "\n".join(each.reason for each in outcome.doubts)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


REACHED = Path("reached")


def in_a_thread() -> None:
    thread = threading.Thread(target=REACHED.mkdir)
    thread.start()
    thread.join()


def in_a_pool() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(os.mkdir, REACHED).exception()


async def in_a_task() -> None:
    await asyncio.wait([asyncio.create_task(asyncio.to_thread(REACHED.mkdir))])


async def in_a_callback() -> None:
    asyncio.get_running_loop().call_later(5, REACHED.mkdir)
    await asyncio.sleep(10)


def in_a_raw_thread() -> None:
    import _thread

    _thread.start_new_thread(os.mkdir, (REACHED,))
    time.sleep(0.02)


@pytest.mark.parametrize(
    ("attack", "where"),
    [
        (in_a_thread, "in thread 'Thread (mkdir)' started at"),
        (in_a_pool, "in thread 'ThreadPoolExecutor_0' started at"),
        (in_a_task, "in thread 'asyncio_0' started at"),
        (in_a_callback, "in a callback or task started at"),
        (in_a_raw_thread, "in a thread started at"),
        (REACHED.mkdir, "making a folder (reached, 511) at"),
    ],
)
def test_an_attempt_is_told_with_who_started_what_makes_it(attack: Attack, where: str) -> None:
    told = reasons(verified(attack))
    assert where in told
    assert "test_guard.py:" in told
    assert not REACHED.exists()


# -- what others do ------------------------------------------------------------------------------


@pytest.fixture
def busy_thread(folder: Path) -> Iterator[list[BaseException]]:
    """A thread of the test's that writes files, all the time; yield what was raised in it."""
    errors: list[BaseException] = []
    is_over = threading.Event()

    def write() -> None:
        while not is_over.is_set():
            try:
                (folder / "other").write_text("x")
            except BaseException as error:
                errors.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    yield errors
    is_over.set()
    thread.join()


def test_what_other_threads_of_a_test_do_is_neither_refused_nor_told(
    busy_thread: list[BaseException],
) -> None:
    for attack in (lambda: None, lambda: time.sleep(0.05)):
        outcome = verified(attack)
        assert outcome
        assert not outcome.notes
    assert "other" not in reasons(verified(in_a_thread))
    assert busy_thread == []


def test_of_a_pool_that_a_test_shares_with_a_handler_only_the_handlers_work_is_refused() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(Path("before").mkdir).result()
        told = reasons(verified(lambda: pool.submit(REACHED.mkdir).result()))
        pool.submit(Path("after").mkdir).result()
    assert "making a folder (reached, 511), in thread" in told
    assert (Path("before").exists(), REACHED.exists(), Path("after").exists()) == (
        True,
        False,
        True,
    )


def test_work_of_a_test_is_let_through_while_a_handler_runs_also_in_threads_of_the_handler() -> (
    None
):
    pools: list[concurrent.futures.ThreadPoolExecutor] = []
    done: list[object] = []

    def makes() -> None:
        pools.append(concurrent.futures.ThreadPoolExecutor(1))
        pools[-1].submit(int).result()

    assert verified(makes)
    for number, pool in enumerate(pools):
        done.append(pool.submit(Path(f"made-{number}").mkdir).result())
        pool.shutdown()
    assert done


def test_a_thread_that_a_handler_leaves_is_refused_after_its_verification_too() -> None:
    goes_on = threading.Event()
    errors: list[BaseException] = []

    def waits() -> None:
        goes_on.wait()
        try:
            REACHED.mkdir()
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=waits)]
    assert verified(lambda: threads and threads.pop().start())
    left = [each for each in threading.enumerate() if "waits" in each.name]
    goes_on.set()
    for each in left:
        each.join()
    assert len(errors) == 1
    assert not REACHED.exists()


def test_of_what_is_called_when_the_process_ends_only_the_handlers_is_refused(folder: Path) -> None:
    script = """
import atexit, os
from test_guard import verified

atexit.register(os.mkdir, "of-the-test")
verified(lambda: atexit.register(os.mkdir, "of-the-handler"))
verified(lambda: (atexit.register(list, "a"), atexit.unregister(list)))
"""
    (folder / "script.py").write_text(script)
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "script.py"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "making a folder (of-the-handler, 511)" in done.stderr
    assert "started at script.py:6" in done.stderr
    assert Path("of-the-test").exists()
    assert not Path("of-the-handler").exists()


def test_what_a_test_has_left_to_the_garbage_collector_is_cleaned_up_while_a_handler_runs() -> None:
    folder = tempfile.TemporaryDirectory(dir=".")
    held = [folder]
    path = Path(folder.name)
    del folder

    with pytest.warns(ResourceWarning):
        assert verified(held.clear)
    assert not path.exists()


def test_handlers_that_are_verified_side_by_side_are_told_apart() -> None:
    attacks = [functools.partial(os.mkdir, f"reached-{number}") for number in range(4)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        told = [reasons(each) for each in pool.map(verified, attacks)]
    for number, each in enumerate(told):
        assert f"reached-{number}" in each
        assert each.count("making a folder") == 1


def test_what_is_patched_while_a_handler_runs_is_as_it_was_afterwards() -> None:
    def patched() -> list[Any]:
        loop = asyncio.base_events.BaseEventLoop
        item = concurrent.futures.thread._WorkItem
        return [
            *(loop.create_task, item.__init__, asyncio.Handle.__init__),
            *(threading._start_new_thread,),  # type: ignore[attr-defined]
        ]

    before = patched()
    verified(in_a_thread)
    assert patched() == before
