"""The large-payload overflow of the native runtime: design section 1, points 1 to 8, as written."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_core import (
    BatchResult,
    ChildConfig,
    CompletionConfig,
    CompletionReason,
    DurableContext,
    MapConfig,
    NestingType,
    ParallelBranch,
    ParallelConfig,
)
from durable_core.ids import SHA256
from durable_core.limits import LIMITS
from durable_core.model import (
    ContextDetails,
    InvocationInput,
    InvocationOutput,
    InvocationStatus,
    Operation,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
    StepDetails,
    SubType,
    UnitStatus,
)
from durable_core.native.invocation import Invoked, invoke_handler
from durable_core.native.journal import Activity
from durable_core.simulation.outcome import Simulation
from durable_core.simulation.simulate import simulate
from durable_core.summaries.reading import read_summary
from durable_core.summaries.values import FrozenUnit, SummaryForm
from durable_core.summaries.writing import write_summary

LIMIT = LIMITS.payload_bytes
FLAT, NESTED = NestingType.FLAT, NestingType.NESTED
both_nestings = pytest.mark.parametrize("nesting", [FLAT, NESTED])


def updates_of(simulation: Simulation, action: OperationAction) -> list[OperationUpdate]:
    return [
        update
        for request in simulation.updates
        for update in request.updates
        if update.action is action
    ]


def context_end(simulation: Simulation, name: str) -> OperationUpdate:
    ends = updates_of(simulation, OperationAction.SUCCEED)
    (end,) = [end for end in ends if end.type is OperationType.CONTEXT and end.name == name]
    return end


def ran(simulation: Simulation, number: int, did: Activity) -> list[str | None]:
    return [note.name for note in simulation.invocations[number - 1].did(did)]


def texts(letters: str, size: int) -> list[ParallelBranch[str]]:
    def branch(letter: str) -> ParallelBranch[str]:
        async def fill(ctx: DurableContext) -> str:
            text: str = await ctx.step(lambda step: letter * size, name="fill")
            return text

        return ParallelBranch(fill, name=letter)

    return [branch(letter) for letter in letters]


# -- the threshold ------------------------------------------------------------------------------


async def child_of(size: int, character: str, ctx: DurableContext) -> int:
    async def body(inner: DurableContext) -> str:
        return character * size

    text = await ctx.run_in_child_context(body, name="child")
    await ctx.wait(timedelta(seconds=1))
    return len(text)


def test_a_result_of_exactly_262144_bytes_is_stored_whole() -> None:
    simulation = simulate(lambda event, ctx: child_of(LIMIT - 2, "x", ctx))
    end = context_end(simulation, "child")
    assert len(end.payload or "") == 262_144
    assert end.replay_children is None
    assert ran(simulation, 2, Activity.RE_EXECUTED) == []


def test_one_byte_more_is_stripped() -> None:
    simulation = simulate(lambda event, ctx: child_of(LIMIT - 1, "x", ctx))
    end = context_end(simulation, "child")
    assert (end.payload, end.replay_children) == ("", True)
    assert ran(simulation, 2, Activity.RE_EXECUTED) == ["child"]
    assert simulation.result == str(LIMIT - 1)


def test_the_threshold_counts_utf8_bytes_not_characters() -> None:
    simulation = simulate(lambda event, ctx: child_of(LIMIT // 2, "é", ctx))
    assert context_end(simulation, "child").replay_children is True
    simulation = simulate(lambda event, ctx: child_of(LIMIT // 2 - 1, "é", ctx))
    assert context_end(simulation, "child").replay_children is None


# -- stripping ----------------------------------------------------------------------------------


@both_nestings
@pytest.mark.parametrize("operation", ["parallel", "map"])
def test_two_branches_of_200_kb_are_whole_in_memory_and_stripped_in_the_checkpoint(
    nesting: NestingType, operation: str
) -> None:
    seen: list[BatchResult[str]] = []

    async def item(ctx: DurableContext, letter: str, index: int, letters: Sequence[str]) -> str:
        return letter * 200_000

    async def handler(event: Any, ctx: DurableContext) -> list[int]:
        if operation == "map":
            namer = MapConfig[str](nesting_type=nesting, item_namer=lambda letter, index: letter)
            seen.append(await ctx.map("ab", item, "both", namer))
        else:
            config = ParallelConfig(nesting_type=nesting)
            seen.append(await ctx.parallel(texts("ab", 200_000), "both", config))
        await ctx.wait(timedelta(seconds=1))
        return [len(text) for text in seen[-1].get_results()]

    simulation = simulate(handler)
    end = context_end(simulation, "both")
    assert end.replay_children is True
    assert json.loads(end.payload or "") == {
        "CompletionReason": "ALL_COMPLETED",
        "Units": [
            {"Index": 0, "Name": "a", "Status": "SUCCEEDED"},
            {"Index": 1, "Name": "b", "Status": "SUCCEEDED"},
        ],
    }
    live, rebuilt = seen
    assert [len(text) for text in live.get_results()] == [200_000, 200_000]
    assert rebuilt == live
    assert simulation.result == "[200000,200000]"


def test_a_nested_unit_that_fits_returns_from_its_own_checkpoint() -> None:
    async def handler(event: Any, ctx: DurableContext) -> int:
        result = await ctx.parallel(texts("ab", 200_000), "both")
        await ctx.wait(timedelta(seconds=1))
        return len(result.get_results())

    simulation = simulate(handler)
    assert ran(simulation, 2, Activity.RE_EXECUTED) == ["both"]
    assert ran(simulation, 2, Activity.RETURNED)[:2] == ["a", "b"]


def test_a_summary_generator_writes_what_is_stored_of_a_large_child() -> None:
    async def body(ctx: DurableContext) -> str:
        return "x" * 300_000

    async def handler(event: Any, ctx: DurableContext) -> int:
        config = ChildConfig[str](summary_generator=lambda text: f"{len(text)} letters")
        return len(await ctx.run_in_child_context(body, "child", config))

    end = context_end(simulate(handler), "child")
    assert (end.payload, end.replay_children) == ("300000 letters", True)


def test_a_summary_generator_adds_to_the_summary_of_a_batch() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        config = ParallelConfig(summary_generator=lambda batch: f"{batch.total_count} parts")
        await ctx.parallel(texts("ab", 200_000), "both", config)

    end = context_end(simulate(handler), "both")
    assert json.loads(end.payload or "")["Summary"] == "2 parts"
    summary = read_summary(end.payload)
    assert summary is not None
    assert summary.form is SummaryForm.DOTNET


# -- replaying a frozen summary -----------------------------------------------------------------

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
BATCH, _ = SHA256.child(None, 1)


@dataclass
class Recorder:
    """A transport that takes everything down and answers nothing but a token."""

    updates: list[OperationUpdate] = field(default_factory=list)
    checkpoint_token: str | None = "token"
    operations: tuple[Operation, ...] = ()

    async def checkpoint(
        self, token: str, updates: Sequence[OperationUpdate], client_token: str
    ) -> Recorder:
        self.updates.extend(updates)
        return self

    async def get_state(self, token: str, marker: str) -> Any:
        raise AssertionError("there is one page")


def frozen_batch(
    statuses: Sequence[UnitStatus],
    reason: CompletionReason = CompletionReason.ALL_COMPLETED,
    names: str = "abc",
    dispatched: Sequence[bool] = (True, True, True),
) -> Operation:
    units = [
        FrozenUnit(index, names[index], status, dispatched[index])
        for index, status in enumerate(statuses)
    ]
    return Operation(
        id=BATCH,
        type=OperationType.CONTEXT,
        status=OperationStatus.SUCCEEDED,
        start_timestamp=MOMENT,
        name="batch",
        sub_type=SubType.PARALLEL,
        context_details=ContextDetails(True, write_summary(units, reason)),
    )


def recorded_step(unit: int, result: str) -> Operation:
    return Operation(
        id=SHA256.id_at((1, unit + 1, 1)),
        type=OperationType.STEP,
        status=OperationStatus.SUCCEEDED,
        parent_id=BATCH,
        name="fill",
        sub_type=SubType.STEP,
        step_details=StepDetails(1, result=json.dumps(result)),
    )


@dataclass
class Replay:
    invoked: Invoked
    updates: list[OperationUpdate]
    bodies: list[str]
    results: list[BatchResult[str]]

    @property
    def batch(self) -> BatchResult[str]:
        (result,) = self.results
        return result

    @property
    def error(self) -> str:
        assert isinstance(self.invoked.outcome, InvocationOutput)
        assert self.invoked.outcome.status is InvocationStatus.FAILED
        assert self.invoked.outcome.error is not None
        return self.invoked.outcome.error.message or ""


def replay(
    operations: Sequence[Operation],
    letters: str = "abc",
    body: Callable[[str], str] = lambda letter: letter * 3,
) -> Replay:
    bodies: list[str] = []
    results: list[BatchResult[str]] = []

    def branch(letter: str) -> ParallelBranch[str]:
        async def fill(ctx: DurableContext) -> str:
            bodies.append(letter)
            await ctx.step(lambda step: pytest.fail("a recorded step ran"), name="fill")
            return body(letter)

        return ParallelBranch(fill, name=letter)

    async def handler(event: Any, ctx: DurableContext) -> None:
        branches = [branch(letter) for letter in letters]
        results.append(await ctx.parallel(branches, "batch", ParallelConfig(nesting_type=FLAT)))

    recorder = Recorder()
    given = InvocationInput("arn:test", "token", tuple(operations))
    invoked = invoke_handler(handler, None, given, recorder)
    return Replay(invoked, recorder.updates, bodies, results)


S, F, STARTED = UnitStatus.SUCCEEDED, UnitStatus.FAILED, UnitStatus.STARTED


def test_a_frozen_summary_reruns_the_bodies_and_never_checkpoints_the_parent() -> None:
    replayed = replay([frozen_batch([S, S]), recorded_step(0, "a"), recorded_step(1, "b")], "ab")
    assert replayed.bodies == ["a", "b"]
    assert replayed.batch.get_results() == ["aaa", "bbb"]
    assert replayed.updates == []


def test_a_unit_frozen_as_started_never_runs() -> None:
    minimum = CompletionReason.MIN_SUCCESSFUL_REACHED
    replayed = replay(
        [frozen_batch([S, S, STARTED], minimum), recorded_step(0, "a"), recorded_step(1, "b")]
    )
    assert replayed.bodies == ["a", "b"]
    assert [item.status for item in replayed.batch.all] == [S, S, STARTED]
    assert replayed.batch.completion_reason is minimum
    assert replayed.updates == []
    skipped = [note for note in replayed.invoked.notes if note.did is Activity.SKIPPED]
    assert [note.name for note in skipped] == ["c"]


def test_a_unit_that_was_never_dispatched_is_not_listed_on_the_replay_either() -> None:
    minimum = CompletionReason.MIN_SUCCESSFUL_REACHED
    summary = frozen_batch([S, STARTED, STARTED], minimum, dispatched=[True, True, False])
    replayed = replay([summary, recorded_step(0, "a")])
    assert [item.index for item in replayed.batch.all] == [0, 1]


def test_the_error_of_a_unit_frozen_as_failed_is_recovered() -> None:
    def body(letter: str) -> str:
        if letter == "b":
            raise ValueError("b is wrong")
        return letter

    steps = [recorded_step(0, "a"), recorded_step(1, "b")]
    replayed = replay([frozen_batch([S, F]), *steps], "ab", body)
    (error,) = replayed.batch.get_errors()
    assert error is not None
    assert (error.type, error.message) == ("ValueError", "b is wrong")
    assert replayed.updates == []


def test_a_frozen_failure_that_now_succeeds_stays_failed_without_an_error() -> None:
    steps = [recorded_step(0, "a"), recorded_step(1, "b")]
    replayed = replay([frozen_batch([S, F]), *steps], "ab")
    assert [item.status for item in replayed.batch.all] == [S, F]
    assert replayed.batch.get_errors() == [None]
    assert replayed.batch.all[1].result is None


def test_a_frozen_success_that_now_raises_is_a_clear_error_and_writes_no_fail() -> None:
    def body(letter: str) -> str:
        raise ValueError("now it fails")

    replayed = replay([frozen_batch([S]), recorded_step(0, "a")], "a", body)
    assert "'a' (1.1): recorded as SUCCEEDED" in replayed.error
    assert "ValueError: now it fails" in replayed.error
    assert replayed.updates == []


@pytest.mark.parametrize("index", [0, 2])
def test_a_renamed_unit_is_found_before_any_body_runs_started_ones_too(index: int) -> None:
    names = "".join("z" if n == index else letter for n, letter in enumerate("abc"))
    operations = [
        frozen_batch([S, S, STARTED], names=names),
        recorded_step(0, "a"),
        recorded_step(1, "b"),
    ]
    replayed = replay(operations)
    assert replayed.bodies == []
    assert f"recorded as 'z', the code now names the unit '{'abc'[index]}'" in replayed.error
    assert replayed.updates == []


def test_another_number_of_units_is_found_before_any_body_runs() -> None:
    replayed = replay([frozen_batch([S, S, S])], "ab")
    assert replayed.bodies == []
    assert "recorded 3 units, the code asks for 2" in replayed.error


def test_a_rebuilding_body_that_asks_for_something_new_diverges_and_writes_nothing() -> None:
    replayed = replay([frozen_batch([S])], "a")
    assert "is not recorded, but the context around it is complete" in replayed.error
    assert replayed.updates == []


def test_a_nested_recording_replayed_as_flat_diverges() -> None:
    unit = Operation(
        id=SHA256.id_at((1, 1)),
        type=OperationType.CONTEXT,
        status=OperationStatus.SUCCEEDED,
        parent_id=BATCH,
        name="a",
        sub_type=SubType.PARALLEL_BRANCH,
        context_details=ContextDetails(None, '"a"'),
    )
    replayed = replay([frozen_batch([S]), unit], "a")
    assert "recorded as a NESTED unit, the code asks for a FLAT one" in replayed.error
    assert replayed.bodies == []


def test_a_child_that_raises_on_such_a_replay_is_a_clear_error_and_writes_no_fail() -> None:
    runs: list[int] = []

    async def body(ctx: DurableContext) -> str:
        runs.append(1)
        if len(runs) > 1:
            raise ValueError("not again")
        return "x" * 300_000

    async def handler(event: Any, ctx: DurableContext) -> int:
        text = await ctx.run_in_child_context(body, name="child")
        await ctx.wait(timedelta(seconds=1))
        return len(text)

    simulation = simulate(handler)
    assert simulation.status == "FAILED"
    assert simulation.error is not None
    assert "CONTEXT 'child' (1) had succeeded" in (simulation.error.message or "")
    assert "ValueError: not again" in (simulation.error.message or "")
    assert updates_of(simulation, OperationAction.FAIL) == []


def test_steps_inside_reexecuted_bodies_return_from_their_checkpoints() -> None:
    bodies: list[str] = []

    def fill(letter: str) -> ParallelBranch[str]:
        async def branch(ctx: DurableContext) -> str:
            def body(step: Any) -> str:
                bodies.append(letter)
                return letter * 200_000

            text: str = await ctx.step(body, name="fill")
            return text

        return ParallelBranch(branch, name=letter)

    async def handler(event: Any, ctx: DurableContext) -> int:
        branches = [fill("a"), fill("b")]
        result = await ctx.parallel(branches, "both", ParallelConfig(nesting_type=FLAT))
        for _ in range(3):
            await ctx.wait(timedelta(seconds=1))
        return len(result.get_results())

    simulation = simulate(handler)
    assert len(simulation.invocations) == 4
    assert bodies == ["a", "b"]
    assert ran(simulation, 4, Activity.RE_EXECUTED) == ["both", "a", "b"]


# -- the scenario of the .NET change --------------------------------------------------------------


async def dotnet_scenario(event: Any, ctx: DurableContext) -> dict[str, Any]:
    def branch(letter: str) -> ParallelBranch[str]:
        async def generate(inner: DurableContext) -> str:
            text: str = await inner.step(lambda step: letter * 153_600, name="generate")
            await inner.wait(timedelta(seconds=2), name="boundary")
            return text

        return ParallelBranch(generate, name=letter)

    branches = [branch(letter) for letter in "abc"]
    result = await ctx.parallel(branches, "parts", ParallelConfig(nesting_type=FLAT))
    await ctx.wait(timedelta(seconds=1), name="post-overflow")
    parts = result.get_results()
    return {"lengths": [len(part) for part in parts], "letters": "".join(p[0] for p in parts)}


def test_the_integration_scenario_of_the_dotnet_change() -> None:
    simulation = simulate(dotnet_scenario, check_every_request=True)
    assert simulation.status == "SUCCEEDED"
    assert json.loads(simulation.result or "") == {"lengths": [153_600] * 3, "letters": "abc"}
    assert len(simulation.invocations) >= 3
    contexts = [o for o in simulation.operations.values() if o.type is OperationType.CONTEXT]
    assert [context.name for context in contexts] == ["parts"]
    steps = [o for o in simulation.operations.values() if o.name == "generate"]
    assert [step.parent_id for step in steps] == [contexts[0].id] * 3
    assert ran(simulation, 3, Activity.RE_EXECUTED) == ["parts", "a", "b", "c"]
    assert simulation.invocations[2].requests == ()


# -- what is not stripped -------------------------------------------------------------------------


def test_an_oversized_step_is_refused_once_and_fails_the_execution() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.step(lambda step: "x" * LIMIT, name="big")
        except Exception:
            await ctx.step(lambda step: None, name="never")

    simulation = simulate(handler)
    assert simulation.status == "FAILED"
    assert len(simulation.invocations) == 1
    assert len(updates_of(simulation, OperationAction.SUCCEED)) == 1
    assert simulation.error is not None
    message = simulation.error.message or ""
    assert "STEP 'big' (1): 262,146 against a limit of 262,144" in message
    assert "STEP output payload size must be less than or equal to 262144 bytes" in message


def test_an_oversized_invoke_input_is_refused_once_and_fails_the_execution() -> None:
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.invoke("target", "x" * LIMITS.invoke_payload_bytes, name="call")

    simulation = simulate(handler)
    assert simulation.status == "FAILED"
    assert len(simulation.invocations) == 1
    assert len(simulation.updates) == 1
    message = (simulation.error.message if simulation.error else None) or ""
    assert "CHAINED_INVOKE 'call' (1): 1,048,578 against a limit of 1,048,576" in message


def test_nothing_over_the_limit_is_sent_for_contexts() -> None:
    simulation = simulate(dotnet_scenario)
    for request in simulation.updates:
        assert all(len(update.payload or "") <= LIMIT for update in request.updates)


def test_a_large_error_is_cut_to_what_the_service_takes() -> None:
    async def handler(event: Any, ctx: DurableContext) -> str:
        async def body(inner: DurableContext) -> None:
            raise ValueError("é" * 100_000)

        try:
            await ctx.run_in_child_context(body, name="child")
        except Exception as error:
            return str(error)[-60:]
        return "nothing"

    simulation = simulate(handler)
    assert simulation.status == "SUCCEEDED"
    assert "cut: an error takes at most 32,768 bytes" in (simulation.result or "")


# -- compact summaries and large final results ----------------------------------------------------


def test_5000_flat_units_over_the_limit_take_the_compact_summary_and_replay_right() -> None:
    runs: list[int] = []

    async def item(ctx: DurableContext, number: int, index: int, numbers: Sequence[int]) -> str:
        runs.append(number)
        if number % 1000 == 7:
            raise ValueError(f"{number}")
        return "x" * 60

    async def handler(event: Any, ctx: DurableContext) -> list[Any]:
        config = MapConfig[int](
            nesting_type=FLAT, completion_config=CompletionConfig.all_completed()
        )
        result = await ctx.map(range(5000), item, "many", config)
        await ctx.wait(timedelta(seconds=1))
        errors = [error.message for error in result.get_errors() if error]
        return [result.success_count, errors, result.completion_reason.value]

    simulation = simulate(handler)
    end = context_end(simulation, "many")
    summary = read_summary(end.payload)
    assert summary is not None
    assert summary.form is SummaryForm.COMPACT
    assert (summary.total, summary.names_dropped, end.replay_children) == (5000, True, True)
    assert json.loads(simulation.result or "") == [
        4995,
        ["7", "1007", "2007", "3007", "4007"],
        "ALL_COMPLETED",
    ]
    assert len(runs) == 10_000


def test_a_final_result_over_the_response_limit_goes_through_an_execution_checkpoint() -> None:
    size = LIMITS.response_bytes - 2

    async def handler(event: Any, ctx: DurableContext) -> str:
        return "x" * (size + event)

    fits, too_large = simulate(handler, 0), simulate(handler, 1)
    assert fits.updates == ()
    (request,) = too_large.updates
    assert [update.type for update in request.updates] == [OperationType.EXECUTION]
    assert request.updates[0].action is OperationAction.SUCCEED
    assert too_large.status == "SUCCEEDED"
    assert len(too_large.result or "") == size + 3


def test_a_short_circuited_overflow_replays_what_it_returned_live() -> None:
    seen: list[BatchResult[str]] = []

    async def item(ctx: DurableContext, letter: str, index: int, letters: Sequence[str]) -> str:
        if letter == "a":
            await ctx.wait(timedelta(hours=1), name="never over")
        text: str = await ctx.step(lambda step: letter * 140_000, name="fill")
        return text

    async def handler(event: Any, ctx: DurableContext) -> list[Any]:
        config = MapConfig[str](
            max_concurrency=2, completion_config=CompletionConfig(min_successful=2)
        )
        config = replace(config, nesting_type=FLAT if event == "FLAT" else NESTED)
        seen.append(await ctx.map("abcd", item, "first two", config))
        await ctx.wait(timedelta(seconds=1))
        return [item.status.value for item in seen[-1].all]

    for nesting in ("FLAT", "NESTED"):
        seen.clear()
        simulation = simulate(handler, nesting)
        assert json.loads(simulation.result or "") == ["STARTED", "SUCCEEDED", "SUCCEEDED"]
        live, rebuilt = seen
        assert rebuilt == live
        assert ran(simulation, 2, Activity.SKIPPED) == ["map-item-0"]
        units = json.loads(context_end(simulation, "first two").payload or "")["Units"]
        assert [unit.get("Dispatched") for unit in units] == [None, None, None, False]
