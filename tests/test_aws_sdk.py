from __future__ import annotations

import queue
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
    Duration,
    JitterStrategy,
    MapConfig,
    NestingType,
    StepConfig,
    StepSemantics,
)
from aws_durable_execution_sdk_python.retries import RetryStrategyConfig, create_retry_strategy

from durable_core.ids import position_text
from durable_core.limits import LIMITS, ServiceLimits
from durable_core.model import ExecutionStatus
from durable_core.native.journal import Activity
from durable_core.runtimes.aws_python.attach import attach
from durable_core.runtimes.aws_python.installed import SdkChanged, SdkMissing, is_aws_handler
from durable_core.runtimes.aws_python.queue import UpdateQueue
from durable_core.runtimes.aws_python.runner import AwsSdkRunner
from durable_core.runtimes.aws_python.shapes import update_of
from durable_core.service.faults import NO_FAULTS, Fault, FaultKind, Faults, every_crash
from durable_core.simulation.crash_runs import CrashMode, CrashReport, crash_runs
from durable_core.simulation.outcome import Simulation
from durable_core.simulation.simulate import simulate
from durable_core.wire import update_from_wire

pytestmark = pytest.mark.usefixtures("quiet")

HOUR = Duration.from_hours(1)

SDK = version("aws-durable-execution-sdk-python")

HOURLY = StepConfig(
    retry_strategy=create_retry_strategy(
        RetryStrategyConfig(max_attempts=3, initial_delay=HOUR, max_delay=HOUR, backoff_rate=1)
    )
)


def run(
    handler: Callable[..., Any],
    faults: Faults = NO_FAULTS,
    limits: ServiceLimits = LIMITS,
    event: object = None,
) -> Simulation:
    """Run the handler to the end of its execution."""
    runner = AwsSdkRunner(handler)
    return simulate(runner, event, faults=faults, limits=limits, check_every_request=True)


def requests(simulation: Simulation) -> int:
    """Return how many checkpoint requests were made."""
    return sum(simulation.checkpoints)


@durable_execution
def waits_for_an_hour(_event: Any, context: DurableContext) -> str:
    context.wait(HOUR)
    return "done"


# -- finding out what a handler is -------------------------------------------------------------


def test_a_decorated_handler_is_recognized() -> None:
    assert is_aws_handler(waits_for_an_hour)


def test_other_callables_are_not_taken_for_handlers_of_the_sdk() -> None:
    async def native(_event: Any, _context: Any) -> None: ...

    assert not is_aws_handler(native)
    assert not is_aws_handler(print)
    assert not is_aws_handler(AwsSdkRunner)


def test_a_missing_sdk_names_the_extra_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aws_durable_execution_sdk_python", None)
    with pytest.raises(SdkMissing) as raised:
        AwsSdkRunner(waits_for_an_hour)
    assert str(raised.value) == (
        "the handler needs AWS's SDK, which isn't installed: pip install 'durable-cli[aws-sdk]'"
    )


def test_a_handler_that_imports_a_missing_sdk_names_the_extra_in_one_line() -> None:
    handler = Path(__file__).parents[1] / "fixtures/handlers/aws_flat_overflow.py"
    script = (
        "import sys; sys.modules['aws_durable_execution_sdk_python'] = None; "
        "from durable_cli.app import run; sys.exit(run(['simulate', '--handler', sys.argv[1]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, f"{handler}:handler"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.endswith("pip install 'durable-cli[aws-sdk]'")


def test_an_sdk_that_has_changed_is_named_with_what_is_missing() -> None:
    class Stopless:
        def __init__(self, service_client: object) -> None: ...

        def create_checkpoint(self, operation_update: object, is_sync: bool) -> None: ...

    class Renamed(Stopless):
        def __init__(self, client: object) -> None: ...

        def stop_checkpointing(self) -> None: ...

        def checkpoint_batches_forever(self) -> None: ...

    with pytest.raises(SdkChanged, match=r"9\.9 .*stop_checkpointing"):
        attach(Stopless, "9.9")
    with pytest.raises(SdkChanged, match=r"9\.9 .*: no service_client in .*__init__"):
        attach(Renamed, "9.9")


# -- time --------------------------------------------------------------------------------------


def test_an_hour_of_waiting_takes_no_time() -> None:
    simulation = run(waits_for_an_hour)
    assert simulation.result == '"done"'
    assert simulation.virtual_seconds == 3600


def test_an_invocation_ends_without_the_sdks_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would read its queue until a read's time is up; ours ends each read before."""
    long, get, timed_out = 20.0, UpdateQueue.get, []

    def patient(self: UpdateQueue, block: bool = True, timeout: float | None = None) -> Any:
        began = time.monotonic()
        try:
            return get(self, block, timeout and long)
        finally:
            timed_out.append(time.monotonic() - began >= long)

    monkeypatch.setattr(UpdateQueue, "get", patient)
    simulation = run(waits_for_an_hour)
    assert len(simulation.invocations) == 2
    assert timed_out
    assert not any(timed_out)


def test_a_branch_that_waits_never_holds_up_the_one_that_works() -> None:
    @durable_execution
    def waits_and_works(_event: Any, context: DurableContext) -> list[object]:
        def wait(branch: DurableContext) -> str:
            branch.wait(HOUR)
            return "waited"

        def work(branch: DurableContext) -> str:
            return branch.step(lambda _: "worked")

        return context.parallel([wait, work]).get_results()

    simulation = run(waits_and_works)
    assert simulation.result == '["waited", "worked"]'
    assert len(simulation.invocations) == 2


def test_a_retry_that_is_due_later_does_not_make_the_sdk_spin() -> None:
    tries: list[int] = []

    @durable_execution
    def retries(_event: Any, context: DurableContext) -> list[object]:
        def flaky(branch: DurableContext) -> object:
            def body(_: object) -> int:
                tries.append(1)
                if len(tries) < 3:
                    raise RuntimeError("not yet")
                return len(tries)

            return branch.step(body, config=HOURLY)

        def waits(branch: DurableContext) -> str:
            branch.wait(Duration.from_minutes(90))
            return "waited"

        return context.parallel([flaky, waits]).get_results()

    simulation = run(retries)
    assert simulation.result == '[3, "waited"]'
    assert requests(simulation) < 20


def test_work_that_outlasts_a_wait_lets_the_waiting_branch_go_on_in_the_same_invocation() -> None:
    @durable_execution
    def outlasts(_event: Any, context: DurableContext) -> list[object]:
        def wait(branch: DurableContext) -> str:
            branch.wait(Duration.from_seconds(1))
            return "waited"

        def work(branch: DurableContext) -> str:
            return branch.step(lambda _: time.sleep(1.3) or "worked")

        return context.parallel([wait, work]).get_results()

    simulation = run(outlasts)
    assert simulation.result == '["waited", "worked"]'
    assert len(simulation.invocations) == 1
    assert simulation.virtual_seconds == 1.3


def test_jitter_comes_from_the_seed() -> None:
    @durable_execution
    def jitters(_event: Any, context: DurableContext) -> list[float]:
        strategy = JitterStrategy.FULL
        return [strategy.apply_jitter(1) for _ in range(3)]

    assert run(jitters).result == run(jitters).result


# -- what is handed over -----------------------------------------------------------------------


def test_the_event_arrives_and_the_context_says_what_lambda_says() -> None:
    @durable_execution
    def tells(event: Any, context: DurableContext) -> list[object]:
        about = context.lambda_context
        assert about is not None
        return [
            event,
            about.function_name,
            about.function_version,
            about.invoked_function_arn,
            about.memory_limit_in_mb,
            about.get_remaining_time_in_millis(),
            len(about.aws_request_id),
        ]

    simulation = run(tells, event={"a": [1, "é"]})
    assert simulation.result == (
        '[{"a": [1, "\\u00e9"]}, "handler", "$LATEST", '
        '"arn:aws:lambda:us-east-1:123456789012:function:handler:$LATEST", "128", 900000, 36]'
    )


def test_state_that_comes_in_pages_is_whole() -> None:
    calls: list[int] = []

    @durable_execution
    def many_steps(_event: Any, context: DurableContext) -> int:
        for number in range(10):
            context.step(lambda _, number=number: calls.append(number))
        context.wait(HOUR)
        return len(calls)

    simulation = run(many_steps, limits=ServiceLimits(state_page_operations=3))
    assert simulation.result == "10"
    assert len(simulation.invocations) == 2


def test_a_result_over_the_response_limit_is_checkpointed() -> None:
    @durable_execution
    def large(_event: Any, _context: DurableContext) -> str:
        return "x" * (6 * 1024 * 1024 - 40)

    simulation = run(large)
    assert simulation.status is ExecutionStatus.SUCCEEDED
    assert len(simulation.result or "") == 6 * 1024 * 1024 - 38
    assert requests(simulation) == 1


def test_an_update_is_read_directly_as_it_would_be_from_its_wire_form() -> None:
    from aws_durable_execution_sdk_python import lambda_service

    cases = [
        lambda_service.OperationUpdate(
            operation_id="a" * 64,
            operation_type=kind,
            action=action,
            parent_id=parent,
            name=name,
            sub_type=lambda_service.OperationSubType.STEP if name else None,
            payload=payload,
            context_options=options,
        )
        for kind in lambda_service.OperationType
        for action in lambda_service.OperationAction
        for parent in (None, "", "b" * 64)
        for name in (None, "", "charge")
        for payload in (None, "", '"é"')
        for options in (None, lambda_service.ContextOptions(replay_children=True))
    ]
    for update in cases:
        assert update_of(update) == update_from_wire(update.to_dict())


# -- refusals ----------------------------------------------------------------------------------


def test_an_oversized_step_is_refused_once_and_fails_the_execution() -> None:
    calls: list[int] = []

    @durable_execution
    def oversized(_event: Any, context: DurableContext) -> str:
        return context.step(lambda _: calls.append(1) or "x" * 262_143)

    simulation = run(oversized)
    assert simulation.status is ExecutionStatus.FAILED
    assert len(simulation.invocations) == 1
    assert calls == [1]
    assert "STEP output payload size must be less than or equal to 262144 bytes" in str(
        simulation.error
    )


# -- crashes -----------------------------------------------------------------------------------


def crashing(ran: list[str]) -> Callable[..., Any]:
    """Return a handler with a bit of everything, which notes the bodies that run."""

    @durable_execution
    def handler(_event: Any, context: DurableContext) -> list[object]:
        def unit(item_context: DurableContext, item: int, _index: int, _items: object) -> int:
            return item_context.step(lambda _: ran.append(f"unit {item}") or item)

        first = context.step(lambda _: ran.append("first") or 1)
        context.wait(HOUR)
        once = context.step(
            lambda _: ran.append("once") or 2,
            config=StepConfig(
                step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY,
                retry_strategy=HOURLY.retry_strategy,
            ),
        )
        batch = context.map([3, 4], unit, config=MapConfig(max_concurrency=1))
        return [first, once, *batch.get_results()]

    return handler


@pytest.mark.skipif(SDK < "2", reason="before 2.0 a map hangs when a checkpoint fails: isolate it")
def test_a_crash_at_any_checkpoint_leads_to_the_same_result() -> None:
    clean = run(crashing([]))
    points = clean.checkpoints
    crashes = list(every_crash(points))
    assert len(crashes) == 2 * sum(points) > 10
    for faults in crashes:
        simulation = run(crashing([]), faults)
        assert simulation.result == clean.result, faults
        assert len(simulation.invocations) > len(clean.invocations)


def test_a_completed_step_does_not_run_again_after_a_crash() -> None:
    ran: list[str] = []
    simulation = run(crashing(ran), Faults((Fault(FaultKind.CRASH_AFTER, 1, 2),)))
    assert simulation.status is ExecutionStatus.SUCCEEDED
    assert ran.count("first") == 1


def test_a_crash_is_recorded_as_lambda_reports_it() -> None:
    simulation = run(waits_for_an_hour, Faults((Fault(FaultKind.CRASH_BEFORE, 1, 1),)))
    completed = next(each for each in simulation.events if each.event_type == "InvocationCompleted")
    assert completed.details is not None
    assert completed.details["Error"]["Payload"]["ErrorType"] == "Runtime.ExitError"
    assert simulation.result == '"done"'


def test_an_exit_in_a_step_is_a_crash_and_is_retried() -> None:
    tries: list[int] = []

    @durable_execution
    def exits(_event: Any, context: DurableContext) -> int:
        def body(_: object) -> int:
            tries.append(1)
            if len(tries) == 1:
                sys.exit(3)
            return len(tries)

        return context.step(body)

    simulation = run(exits)
    assert simulation.result == "2"
    assert len(simulation.invocations) == 2


def test_a_lost_answer_is_asked_for_again_and_nothing_happens_twice() -> None:
    simulation = run(waits_for_an_hour, Faults((Fault(FaultKind.LOST_RESPONSE, 1, 1),)))
    assert simulation.result == '"done"'
    assert [each.sends for each in simulation.invocations[0].requests] == [2]
    assert len(simulation.operations) == 2


@pytest.mark.parametrize(("times", "invocations"), [(1, 2), (4, 2), (5, 3)])
def test_throttling_is_retried_first_by_botocore_then_by_the_service(
    times: int, invocations: int
) -> None:
    simulation = run(waits_for_an_hour, Faults((Fault(FaultKind.THROTTLE, 1, 1, times),)))
    assert simulation.result == '"done"'
    assert len(simulation.invocations) == invocations


def test_a_wait_that_ends_while_a_throttled_request_is_sent_again_goes_on_when_it_is_over() -> None:
    def unit(context: DurableContext, seconds: int, _index: int, _items: object) -> int:
        context.wait(Duration.from_seconds(seconds))
        return seconds

    @durable_execution
    def two_of_three(_event: Any, context: DurableContext) -> int:
        config = MapConfig(completion_config=CompletionConfig(min_successful=2))
        return context.map([1, 2, 3600], unit, config=config).success_count

    simulation = run(two_of_three, Faults((Fault(FaultKind.THROTTLE, 2, 1, 2),)))
    assert simulation.result == "2"
    assert (simulation.ended - simulation.began).total_seconds() < 10


def test_what_is_no_answer_fails_the_execution() -> None:
    simulation = run(lambda _event, _context: "not an answer")
    assert simulation.status is ExecutionStatus.FAILED
    assert "status is required" in str(simulation.error)


def charging(semantics: StepSemantics) -> Callable[..., Any]:
    """Return a handler whose only step has the semantics, and is tried once more an hour later."""

    @durable_execution
    def handler(_event: Any, context: DurableContext) -> str:
        config = StepConfig(step_semantics=semantics, retry_strategy=HOURLY.retry_strategy)
        return context.step(lambda _: "charged", name="charge", config=config)

    return handler


def crashed_everywhere(handler: Callable[..., Any]) -> CrashReport:
    """Return what came of crashes at every checkpoint of a handler."""
    clean = run(handler)
    return crash_runs(clean, CrashMode.EVERY_CHECKPOINT, lambda faults: run(handler, faults))


def test_a_step_that_is_at_most_once_is_seen_to_be_and_passes_every_crash() -> None:
    handler = charging(StepSemantics.AT_MOST_ONCE_PER_RETRY)
    assert [note.once for note in run(handler).invocations[0].did(Activity.RAN)] == [True]
    assert crashed_everywhere(handler).failures == ()


def test_a_step_that_is_at_least_once_may_run_again() -> None:
    handler = charging(StepSemantics.AT_LEAST_ONCE_PER_RETRY)
    assert [note.once for note in run(handler).invocations[0].did(Activity.RAN)] == [False]
    assert crashed_everywhere(handler).failures == ()


def test_an_at_most_once_body_that_runs_twice_for_one_attempt_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from aws_durable_execution_sdk_python.operation import base, step

    checks = step.StepOperationExecutor.check_result_status

    def forgetful(self: Any) -> Any:
        """Run the body of a step that was interrupted, as if it were at least once."""
        known = self.state.get_checkpoint_result(self.operation_identifier.operation_id)
        if known.is_started():
            return base.CheckResult.create_is_ready_to_execute(known)
        return checks(self)

    monkeypatch.setattr(step.StepOperationExecutor, "check_result_status", forgetful)
    report = crashed_everywhere(charging(StepSemantics.AT_MOST_ONCE_PER_RETRY))
    problems = {problem for failure in report.failures for problem in failure.problems}
    assert problems == {
        "the body of step 'charge' (1) is at most once, and attempt 1 ran again in invocation 2"
    }


# -- what is reported of an invocation ---------------------------------------------------------


def did(simulation: Simulation, invocation: int) -> list[tuple[str, str, str | None]]:
    """Return what an invocation did: what, where, and the name of the operation."""
    return [
        (note.did.value, position_text(note.path), note.name)
        for note in simulation.invocations[invocation - 1].notes
    ]


def test_what_ran_and_what_came_from_checkpoints_is_noted_with_its_position() -> None:
    @durable_execution
    def handler(_event: Any, context: DurableContext) -> None:
        context.step(lambda _: 1, name="first")
        context.run_in_child_context(lambda child: child.step(lambda _: 2, name="inner"), name="c")
        context.wait(HOUR, name="pause")
        context.step(lambda _: 3, name="last")

    simulation = run(handler)
    assert did(simulation, 1) == [
        ("ran", "1", "first"),
        ("ran", "2", "c"),
        ("ran", "2.1", "inner"),
        ("began", "3", "pause"),
    ]
    assert did(simulation, 2) == [
        ("returned", "1", "first"),
        ("returned", "2", "c"),
        ("returned", "3", "pause"),
        ("ran", "4", "last"),
    ]


@pytest.mark.parametrize(
    "nesting",
    [
        NestingType.NESTED,
        pytest.param(
            NestingType.FLAT,
            marks=pytest.mark.skipif(SDK < "2", reason="1.7 loses the results of a stripped one"),
        ),
    ],
)
def test_a_stripped_map_is_seen_to_be_re_executed_and_its_started_unit_skipped(
    nesting: NestingType,
) -> None:
    @durable_execution
    def handler(_event: Any, context: DurableContext) -> list[int]:
        def unit(each: DurableContext, item: int, _index: int, _items: object) -> str:
            if item == 2:
                each.wait(HOUR)
            return each.step(lambda _: "x" * 140_000, name=f"make {item}")

        batch = context.map(
            range(3),
            unit,
            name="large",
            config=MapConfig(
                nesting_type=nesting, completion_config=CompletionConfig(min_successful=2)
            ),
        )
        context.wait(HOUR)
        return [len(each) for each in batch.get_results()]

    simulation = run(handler)
    assert simulation.result == "[140000, 140000]"
    first, second = did(simulation, 1), did(simulation, 2)
    assert ("ran", "1.0.1", "make 0") in first
    assert ("stripped", "1", "large") in first
    assert ("re-executed", "1", "large") in second
    assert [each[:2] for each in second if each[0] == "skipped"] == [("skipped", "1.2")]
    assert not [each for each in second if each[0] == "ran"]
    flat = nesting is NestingType.FLAT
    assert [each[:2] for each in second if each[1] in ("1.0", "1.1")] == [
        ("re-executed" if flat else "returned", "1.0"),
        ("re-executed" if flat else "returned", "1.1"),
    ]
    assert (("returned", "1.0.1", "make 0") in second) is flat


def test_a_stopped_queue_lets_its_reader_go_where_nothing_is_scheduled() -> None:
    updates = UpdateQueue(lambda _: None)
    found: list[str] = []

    def read() -> None:
        try:
            updates.get(timeout=3_600)
        except queue.Empty:
            found.append("empty")

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    updates.stop()
    reader.join(30)
    assert found == ["empty"]
