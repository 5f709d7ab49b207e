"""What AWS's SDK never comes back from ends the run, and is said; what is slow is left alone."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aws_durable_execution_sdk_python")

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import (
    CompletionConfig,
    MapConfig,
    NestingType,
    StepConfig,
)
from aws_durable_execution_sdk_python.retries import RetryPresets
from aws_durable_execution_sdk_python.serdes import SerDes, SerDesContext
from aws_durable_execution_sdk_python.waits import WaitForConditionConfig, WaitForConditionDecision

from durable_core.limits import LIMITS
from durable_core.model import ExecutionStatus
from durable_core.runtimes.aws_python.deadlock import HandlerStuck
from durable_core.runtimes.aws_python.runner import AwsSdkRunner
from durable_core.simulation.outcome import Simulation
from durable_core.simulation.simulate import simulate

pytestmark = pytest.mark.usefixtures("quiet")

SDK = version("aws-durable-execution-sdk-python")

WAITS_FOR_LOST_UNITS = SDK.startswith(("0.", "1."))

TOO_LARGE = "x" * (LIMITS.payload_bytes + 1)

Handler = Callable[[Any, DurableContext], Any]


def run(handler: Handler) -> Simulation:
    return simulate(AwsSdkRunner(durable_execution(handler)), None)


def why_stuck(handler: Handler) -> str:
    with pytest.raises(HandlerStuck) as raised:
        run(handler)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def refused_in(unit: Callable[[DurableContext, int], Any], **config: Any) -> Handler:
    """Return a handler with a map of three units, of which the second one does `unit`."""

    def body(context: DurableContext, item: int, _index: int, _items: object) -> Any:
        if item == 1:
            return unit(context, item)
        return context.step(lambda _: item, name=f"small {item}")

    def handler(_event: Any, context: DurableContext) -> int:
        return context.map([0, 1, 2], body, name="parts", config=MapConfig(**config)).success_count

    return handler


def too_large(context: DurableContext, _item: int) -> str:
    return context.step(lambda _: TOO_LARGE, name="large")


def expect_refusal(handler: Handler, *said: str) -> None:
    """Expect that the handler fails by a refused checkpoint or, in 1.x, that it waits for ever."""
    if WAITS_FOR_LOST_UNITS:
        text = why_stuck(handler)
    else:
        simulation = run(handler)
        assert simulation.status is ExecutionStatus.FAILED
        text = str(simulation.error)
    for part in said:
        assert part in text


# -- a refused checkpoint ----------------------------------------------------------------------

SIZE_REFUSED = "STEP output payload size must be less than or equal to 262144 bytes"


@pytest.mark.parametrize("nesting", [NestingType.NESTED, NestingType.FLAT])
def test_a_unit_whose_checkpoint_is_refused_ends_the_run(nesting: NestingType) -> None:
    expect_refusal(refused_in(too_large, nesting_type=nesting), SIZE_REFUSED)


def test_so_it_does_where_no_worker_is_left_for_the_units_that_wait_for_their_turn() -> None:
    expect_refusal(refused_in(too_large, max_concurrency=1), SIZE_REFUSED)


def test_so_it_does_in_a_map_in_a_map_in_a_child_context() -> None:
    inner = refused_in(too_large)

    def handler(_event: Any, context: DurableContext) -> int:
        return context.run_in_child_context(
            lambda child: (
                child.map([1, 2], lambda unit, *_: inner(None, unit), name="outer").success_count
            )
        )

    expect_refusal(handler, SIZE_REFUSED)


def test_so_it_does_in_the_branch_of_a_parallel_beside_a_wait() -> None:
    from aws_durable_execution_sdk_python.config import Duration

    def handler(_event: Any, context: DurableContext) -> int:
        branches = [
            lambda branch: branch.wait(Duration.from_hours(1)),
            lambda branch: too_large(branch, 1),
        ]
        return context.parallel(branches, name="both").success_count

    expect_refusal(handler, SIZE_REFUSED)


def test_so_it_does_where_the_service_refuses_a_name() -> None:
    long_name = refused_in(lambda context, _: context.step(lambda _: 1, name="n" * 257))
    expect_refusal(long_name, "Member must have length less than or equal to 256")


@pytest.mark.skipif(not WAITS_FOR_LOST_UNITS, reason="from 2.0 on it doesn't wait for ever")
def test_what_is_said_names_the_map_the_reason_and_the_version() -> None:
    assert why_stuck(refused_in(too_large)) == (
        'Map "parts" (1): a checkpoint of Step "large" (1.1.1) was refused '
        f"(InvalidParameterValueException: {SIZE_REFUSED}), and AWS's SDK {SDK} waits for ever "
        "for the unit that it was in; in the cloud the invocation would time out"
    )


@pytest.mark.skipif(not WAITS_FOR_LOST_UNITS, reason="from 2.0 on it doesn't wait for ever")
def test_a_unit_that_ends_with_what_is_no_exception_ends_the_run() -> None:
    def exits(_context: DurableContext, _item: int) -> None:
        sys.exit(3)

    assert f"SystemExit was raised, and AWS's SDK {SDK} waits for ever for the unit" in why_stuck(
        refused_in(exits)
    )


def test_a_refused_step_at_the_top_fails_the_execution_in_every_version() -> None:
    simulation = run(lambda _event, context: too_large(context, 1))
    assert simulation.status is ExecutionStatus.FAILED
    assert SIZE_REFUSED in str(simulation.error)


# -- what only takes long ----------------------------------------------------------------------


def test_units_that_are_still_at_work_after_a_refusal_are_waited_for() -> None:
    refused = threading.Event()
    ended: list[int] = []

    def unit(context: DurableContext, item: int, _index: int, _items: object) -> Any:
        if item == 1:
            try:
                return too_large(context, item)
            finally:
                refused.set()
        refused.wait()
        time.sleep(1)
        ended.append(item)
        return item

    def handler(_event: Any, context: DurableContext) -> int:
        config = MapConfig(
            nesting_type=NestingType.FLAT, completion_config=CompletionConfig(min_successful=1)
        )
        return context.map([0, 1], unit, name="parts", config=config).success_count

    simulation = run(handler)  # the map comes to its end, but can't be stored
    assert ended == [0]
    assert simulation.status is ExecutionStatus.FAILED
    assert SIZE_REFUSED in str(simulation.error)


def test_units_that_a_short_circuit_left_behind_do_not_keep_the_command_from_its_end(
    tmp_path: Path,
) -> None:
    path = tmp_path / "left_behind.py"
    path.write_text(
        "import time\n"
        "from aws_durable_execution_sdk_python import durable_execution\n"
        "from aws_durable_execution_sdk_python.config import CompletionConfig, MapConfig\n"
        "def unit(context, item, index, items):\n"
        "    if item == 1:\n"
        "        time.sleep(1)\n"
        "    if item == 2:\n"
        "        context.map([0], slow)\n"
        "    return context.step(lambda _: item)\n"
        "def slow(context, item, index, items):\n"
        "    time.sleep(1)\n"
        "    return context.step(lambda _: item)\n"
        "@durable_execution\n"
        "def handler(event, context):\n"
        "    config = MapConfig(completion_config=CompletionConfig(min_successful=1))\n"
        "    return context.map([0, 1, 2], unit, config=config).success_count\n"
    )
    command = [sys.executable, "-m", "durable_cli", "simulate", "--handler", f"{path}:handler"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0
    assert ended.stderr == ""
    assert "result        1\n" in ended.stdout


# -- the thread that sends checkpoints ---------------------------------------------------------


class Bytes(SerDes[Any]):
    """Serializes to what no request can hold."""

    def serialize(self, value: Any, serdes_context: SerDesContext) -> Any:
        return str(value).encode()

    def deserialize(self, data: Any, serdes_context: SerDesContext) -> Any:
        return data


def in_bytes(context: DurableContext, item: int) -> Any:
    return context.step(lambda _: item, name="bytes", config=StepConfig(serdes=Bytes()))


@pytest.mark.parametrize("handler", [lambda _, context: in_bytes(context, 1), refused_in(in_bytes)])
def test_an_update_that_ends_the_thread_which_sends_them_ends_the_run(handler: Handler) -> None:
    text = why_stuck(handler)
    assert text.startswith("STEP bytes: ")
    assert "TypeError: Object of type bytes is not JSON serializable" in text
    assert "in the cloud the invocation would time out" in text


HUGE = "x" * 800_000
ONCE = StepConfig(retry_strategy=RetryPresets.none())


def fails(*_: object) -> None:
    raise ValueError(HUGE)


def named_huge(*_: object) -> None:
    raise type(HUGE, (Exception,), {})("a type with a long name")


def of_surrogates(*_: object) -> None:
    raise ValueError("\N{GRINNING FACE}" * 70_000)


POLLS = WaitForConditionConfig(
    wait_strategy=lambda _state, _attempt: WaitForConditionDecision.stop_polling(), initial_state=0
)
LOST: dict[str, Callable[[DurableContext], object]] = {
    "STEP result": lambda context: context.step(lambda _: HUGE, name="result"),
    "STEP error": lambda context: context.step(fails, name="error", config=ONCE),
    "STEP error to be tried again": lambda context: context.step(
        fails, name="error to be tried again"
    ),
    "STEP type of error": lambda context: context.step(
        named_huge, name="type of error", config=ONCE
    ),
    "STEP surrogates": lambda context: context.step(of_surrogates, name="surrogates", config=ONCE),
    "STEP check": lambda context: context.wait_for_condition(fails, POLLS, name="check"),
    "STEP state": lambda context: context.wait_for_condition(lambda *_: HUGE, POLLS, name="state"),
    "STEP callback submitter": lambda context: context.wait_for_callback(fails, name="callback"),
    "CONTEXT child": lambda context: context.run_in_child_context(fails, name="child"),
    "STEP in a child": lambda context: context.run_in_child_context(
        lambda child: child.step(fails, name="in a child", config=ONCE)
    ),
    "CONTEXT map-item-0": lambda context: context.map([1, 2], fails),
    "CONTEXT parallel-branch-0": lambda context: context.parallel([fails]),
    f"STEP {'x' * 40}... (800,000 characters)": lambda context: context.step(
        lambda _: 1, name=HUGE
    ),
}


@pytest.mark.parametrize("operation", LOST)
def test_an_update_that_the_sdk_loses_in_its_queue_ends_the_run(operation: str) -> None:
    text = why_stuck(lambda _event, context: LOST[operation](context))
    assert text.startswith(f"{operation}: an update of ")
    assert "is over the 768,000 bytes that a request may have" in text
    assert "in the cloud the invocation would time out" in text
    assert len(text) < 500
