"""Handlers of AWS's SDK whose own threads ask for operations, verified against their records."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

pytest.importorskip("aws_durable_execution_sdk_python")

from aws_durable_execution_sdk_python import DurableContext
from aws_durable_execution_sdk_python.config import Duration
from recording import recorded_by_aws, verified_by_aws

from durable_core.verifying.verification import Verdict

pytestmark = pytest.mark.usefixtures("quiet")

Handler = Callable[[Any, DurableContext], Any]


def step(context: DurableContext, name: str) -> str:
    return context.step(lambda _: name, name=name)


def settle(context: DurableContext) -> None:
    context.wait(Duration.from_seconds(5), name="settle")


def in_a_thread(function: Callable[[], Any]) -> Any:
    came: list[Any] = []

    def run() -> None:
        try:
            came.append((function(), None))
        except BaseException as error:
            came.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    value, error = came[0]
    if error is not None:
        raise error
    return value


def threads(name: str) -> Handler:
    def handler(event: Any, context: DurableContext) -> Any:
        first = in_a_thread(lambda: step(context, name))
        in_a_thread(lambda: settle(context))
        return [first, step(context, "last")]

    return handler


def a_pool(name: str) -> Handler:
    def handler(event: Any, context: DurableContext) -> Any:
        with ThreadPoolExecutor(3) as pool:
            futures = [
                pool.submit(context.run_in_child_context, lambda child: step(child, name), "part")
                for _ in range(3)
            ]
            found = [each.result() for each in futures]
        settle(context)
        return found

    return handler


def coroutines_in_threads(name: str) -> Handler:
    def part(child: DurableContext) -> None:
        step(child, name)
        settle(child)

    async def parts(context: DurableContext) -> None:
        await asyncio.gather(
            *(asyncio.to_thread(context.run_in_child_context, part, "part") for _ in range(3))
        )

    def handler(event: Any, context: DurableContext) -> Any:
        asyncio.run(parts(context))
        return step(context, "last")

    return handler


def units_with_threads(name: str) -> Handler:
    def unit(child: DurableContext, item: int, index: int, items: object) -> Any:
        return in_a_thread(lambda: step(child, name))

    def handler(event: Any, context: DurableContext) -> Any:
        found = context.map([1, 2, 3], unit, name="parts")
        settle(context)
        return len(found.all)

    return handler


MAKERS = [threads, a_pool, coroutines_in_threads, units_with_threads]


@pytest.mark.parametrize("made", MAKERS)
def test_unchanged_code_is_compatible_each_time_whichever_thread_comes_first(
    made: Callable[[str], Handler],
) -> None:
    history = recorded_by_aws(made("check"))
    for _ in range(12):
        outcome = verified_by_aws(made("check"), history, every_invocation=True)
        assert outcome.verdict is Verdict.COMPATIBLE, str(outcome)


@pytest.mark.parametrize("made", MAKERS)
def test_a_change_in_a_thread_is_told_the_same_each_time(made: Callable[[str], Handler]) -> None:
    history = recorded_by_aws(made("check"))
    told = {
        str(verified_by_aws(made("look"), history, every_invocation=True).first) for _ in range(6)
    }
    assert len(told) == 1
    assert 'Step "check" is now named "look"' in told.pop()


def test_a_change_is_told_where_the_handler_waits_for_a_thread_that_suspends() -> None:
    def made(name: str) -> Handler:
        def handler(event: Any, context: DurableContext) -> Any:
            goes_on = threading.Event()

            def work() -> None:
                with suppress(BaseException):
                    step(context, name)
                    settle(context)
                    goes_on.set()

            threading.Thread(target=work, daemon=True).start()
            goes_on.wait(0.2)
            return step(context, "last")

        return handler

    history = recorded_by_aws(threads("check"))
    outcome = verified_by_aws(made("look"), history, every_invocation=True)
    assert outcome.verdict is Verdict.DIVERGED
    assert 'Step "check" is now named "look"' in str(outcome.first)
