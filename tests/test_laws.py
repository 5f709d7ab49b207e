"""Laws of the engine, over generated workflows: every operation, three levels deep, sizes around
the limits.

A workflow is a tree of `Node`s; `Player` runs it as a handler and notes what each node came to.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recording import history_of

from durable_core import (
    BatchResult,
    CallbackConfig,
    CompletionConfig,
    DurableContext,
    DurableOperationError,
    JitterStrategy,
    MapConfig,
    NestingType,
    ParallelBranch,
    ParallelConfig,
    RetryStrategyConfig,
    StepConfig,
    StepContext,
    StepSemantics,
    WaitForConditionConfig,
    WaitStrategyConfig,
    create_retry_strategy,
    create_wait_strategy,
)
from durable_core.explaining.explain import explain
from durable_core.history import history_of_events
from durable_core.limits import LIMITS
from durable_core.metering import Metered
from durable_core.model import (
    ErrorObject,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
    SubType,
)
from durable_core.native.journal import Activity
from durable_core.runtimes.native.replay import NativeReplayer
from durable_core.service.faults import Faults, every_crash
from durable_core.simulation.outcome import InvocationEnd, Simulation, Stopped
from durable_core.simulation.scenario import (
    CallbackOutcome,
    CallbackScript,
    InvokeOutcome,
    InvokeScript,
    Scenario,
)
from durable_core.simulation.simulate import simulate
from durable_core.sizes import error_bytes, utf8_bytes
from durable_core.verifying.options import VerifyOptions
from durable_core.verifying.replay import verify_history

LIMIT = LIMITS.payload_bytes

# -- workflows ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Node:
    """One operation. `many` are those inside: of a child one list, of a batch one per unit; beside:
    the one that runs in a task, and those that are asked for meanwhile."""

    kind: str
    size: int = 1
    fails: int = 0
    once: bool = False
    flat: bool = False
    concurrency: int | None = None
    policy: str = "all"
    many: tuple[tuple[Node, ...], ...] = ()


# Around half of the limit, and all of it: two together, or one with its frame, go over.
sizes = st.sampled_from([1, 40, 90_000, LIMIT // 2 - 40, LIMIT // 2 + 40, LIMIT - 2])

steps = st.one_of(
    st.builds(Node, st.just("step"), sizes, st.integers(0, 3)),
    # A crash costs an at-most-once step an attempt: with three, one more may fail.
    st.builds(Node, st.just("step"), sizes, st.integers(0, 1), st.just(True)),
)
leaves = st.one_of(
    steps,
    st.builds(Node, st.just("wait"), st.integers(1, 5)),
    st.builds(Node, st.just("condition"), st.integers(1, 3)),
    st.builds(Node, st.sampled_from(["callback", "submitted"]), fails=st.integers(0, 2)),
    st.builds(Node, st.just("invoke"), fails=st.integers(0, 1)),
    st.builds(Node, st.just("gather"), st.integers(1, 3)),
)


def inner(nodes: st.SearchStrategy[Node], *, ordered: bool) -> st.SearchStrategy[Node]:
    bodies = st.lists(nodes, max_size=3).map(tuple)
    flat = st.booleans()
    batch = st.sampled_from(["map", "parallel"])
    units = st.lists(bodies, min_size=1, max_size=4).map(tuple)
    child = st.builds(Node, st.just("child"), sizes, st.integers(0, 1), many=st.tuples(bodies))
    in_turn = st.builds(
        Node,
        batch,
        flat=flat,
        concurrency=st.just(1),
        policy=st.sampled_from(["all", "first", "fast"]),
        many=units,
    )
    at_once = st.builds(
        Node,
        batch,
        flat=flat,
        concurrency=st.sampled_from([2, None]),
        policy=st.just("all") if ordered else st.sampled_from(["all", "first", "fast"]),
        many=units,
    )
    beside = st.builds(Node, st.just("beside"), many=st.tuples(st.tuples(leaves), bodies))
    return st.one_of(child, in_turn, at_once, beside)


def workflows(*, ordered: bool) -> st.SearchStrategy[tuple[Node, ...]]:
    """Give workflows. `ordered`: how a batch completes doesn't hang on who is faster."""
    one = leaves | inner(leaves, ordered=ordered)
    two = leaves | inner(one, ordered=ordered)
    three = two | inner(two, ordered=ordered)
    return st.lists(three, min_size=1, max_size=4).map(tuple)


POLICIES = {
    "all": CompletionConfig.all_completed(),
    "first": CompletionConfig(min_successful=1),
    "fast": CompletionConfig(),
}

RETRIES = create_retry_strategy(
    RetryStrategyConfig(max_attempts=3, jitter_strategy=JitterStrategy.HALF)
)


def digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return f"{len(text)}:{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def of_batch(result: BatchResult[Any]) -> list[Any]:
    items = [
        [item.index, item.status.value, item.result, item.error and item.error.message]
        for item in result.all
    ]
    return [result.completion_reason.value, items]


@dataclass
class Player:
    """Runs a workflow. `values` is what each node came to, whenever it came to something."""

    workflow: Sequence[Node]
    values: dict[str, set[str]] = field(default_factory=dict)

    async def __call__(self, event: Any, ctx: DurableContext) -> str:
        return digest(await self.body(self.workflow, ctx, "w"))

    async def body(self, nodes: Sequence[Node], ctx: DurableContext, where: str) -> list[Any]:
        return [
            await self.node(node, ctx, f"{where}.{number}") for number, node in enumerate(nodes)
        ]

    async def node(self, node: Node, ctx: DurableContext, where: str) -> Any:
        try:
            value = await getattr(self, node.kind)(node, ctx, where)
        except DurableOperationError as error:
            value = [type(error).__name__, error.error_type, error.message]
        self.values.setdefault(where, set()).add(digest(value))
        return value

    async def step(self, node: Node, ctx: DurableContext, where: str) -> Any:
        def run(step: StepContext) -> str:
            if step.attempt <= node.fails:
                raise ConnectionError(f"attempt {step.attempt} of {where}")
            return "x" * node.size

        at_most, at_least = StepSemantics
        semantics = at_most if node.once else at_least
        return await ctx.step(run, where, StepConfig(RETRIES, semantics))

    async def wait(self, node: Node, ctx: DurableContext, where: str) -> Any:
        return await ctx.wait(timedelta(seconds=node.size), where)

    async def condition(self, node: Node, ctx: DurableContext, where: str) -> Any:
        strategy = create_wait_strategy(WaitStrategyConfig[int](lambda state: state < node.size))
        config = WaitForConditionConfig(wait_strategy=strategy, initial_state=0)
        return await ctx.wait_for_condition(lambda state, check: state + 1, config, where)

    async def callback(self, node: Node, ctx: DurableContext, where: str) -> Any:
        config = CallbackConfig(timedelta(minutes=1))
        callback = await ctx.create_callback(["good", "bad", "silent"][node.fails], config)
        return await callback.result()

    async def submitted(self, node: Node, ctx: DurableContext, where: str) -> Any:
        name = ["good", "bad", "good"][node.fails]
        return await ctx.wait_for_callback(lambda callback_id, context: None, name)

    async def invoke(self, node: Node, ctx: DurableContext, where: str) -> Any:
        return await ctx.invoke(["echo", "broken"][node.fails], [where], name=where)

    async def gather(self, node: Node, ctx: DurableContext, where: str) -> Any:
        return await asyncio.gather(
            *(ctx.step(lambda step, n=n: n, f"{where}.{n}") for n in range(node.size)),
            ctx.wait(timedelta(seconds=node.size), where),
        )

    async def beside(self, node: Node, ctx: DurableContext, where: str) -> Any:
        task = asyncio.create_task(self.node(node.many[0][0], ctx, f"{where}.0"))
        return [await self.body(node.many[1], ctx, f"{where}.1"), await task]

    async def child(self, node: Node, ctx: DurableContext, where: str) -> Any:
        async def run(inside: DurableContext) -> list[Any]:
            value = await self.body(node.many[0], inside, where)
            if node.fails:
                raise ValueError(f"{where} fails")
            return [*value, "é" * (node.size // 2)]

        return await ctx.run_in_child_context(run, where)

    async def map(self, node: Node, ctx: DurableContext, where: str) -> Any:
        async def unit(inside: DurableContext, nodes: Any, index: int, all_: Any) -> Any:
            return await self.unit(nodes, inside, f"{where}.{index}")

        config = MapConfig[Any](
            max_concurrency=node.concurrency,
            completion_config=POLICIES[node.policy],
            nesting_type=NestingType.FLAT if node.flat else NestingType.NESTED,
        )
        return of_batch(await ctx.map(node.many, unit, where, config))

    async def parallel(self, node: Node, ctx: DurableContext, where: str) -> Any:
        def branch(index: int) -> ParallelBranch[Any]:
            async def unit(inside: DurableContext) -> Any:
                return await self.unit(node.many[index], inside, f"{where}.{index}")

            return ParallelBranch(unit, f"{index}")

        config = ParallelConfig(
            max_concurrency=node.concurrency,
            completion_config=POLICIES[node.policy],
            nesting_type=NestingType.FLAT if node.flat else NestingType.NESTED,
        )
        return of_batch(
            await ctx.parallel([branch(n) for n in range(len(node.many))], where, config)
        )

    async def unit(self, nodes: Sequence[Node], ctx: DurableContext, where: str) -> Any:
        value = await self.body(nodes, ctx, where)
        if len(nodes) == 1 and nodes[0].fails == 3:
            raise ValueError(f"{where} has a node that fails")
        return value


SCENARIO = Scenario(
    callbacks=tuple(
        script
        for _ in range(60)
        for script in (
            CallbackScript("good", payload='"yes"', after_seconds=2),
            CallbackScript("bad", CallbackOutcome.FAILURE, after_seconds=1),
        )
    ),
    invokes=(
        InvokeScript("echo", InvokeOutcome.RESULT, result='"echo"', after_seconds=3),
        InvokeScript("broken", InvokeOutcome.ERROR),
    ),
)


def play(player: Player, faults: Faults | None = None) -> Simulation:
    simulation = simulate(
        player,
        scenario=SCENARIO,
        faults=faults or Faults(),
        check_every_request=True,  # the events fold into the operations after every request
        max_invocations=400,
    )
    assert simulation.stopped is Stopped.OVER, simulation.waiting_for
    return simulation


def updates(simulation: Simulation) -> Iterator[OperationUpdate]:
    for request in simulation.updates:
        yield from request.updates


laws = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
)

# -- what every run keeps -------------------------------------------------------------------------


def assert_no_update_is_sent_twice(simulation: Simulation) -> None:
    sent = Counter((update.id, update.action) for update in updates(simulation))
    for (operation_id, action), count in sent.items():
        operation = simulation.operations[operation_id]
        attempts = sent[operation_id, OperationAction.RETRY] + 1
        starts = operation.type is OperationType.STEP and action is OperationAction.START
        retries = action is OperationAction.RETRY
        assert count <= (attempts if starts or retries else 1), (operation, action)


def assert_parents_are_open_before_their_children(simulation: Simulation) -> None:
    open_: set[str] = set()
    ended: set[str] = set()
    for update in updates(simulation):
        assert update.parent_id is None or update.parent_id in open_ - ended
        if update.type is OperationType.CONTEXT:
            starts = update.action is OperationAction.START
            (open_ if starts else ended).add(update.id)


def assert_nothing_is_over_a_limit(simulation: Simulation) -> None:
    for update in updates(simulation):
        assert utf8_bytes(update.payload or "") <= LIMIT
        assert update.error is None or error_bytes(update.error) <= LIMITS.error_bytes
    for record in simulation.invocations:
        for request in record.requests:
            assert request.operations <= 200


ATTEMPT_ENDS = (OperationAction.RETRY, OperationAction.SUCCEED, OperationAction.FAIL)
ANSWERED = (OperationType.CALLBACK, OperationType.CHAINED_INVOKE)


def size_of(payload: str | None, error: ErrorObject | None) -> int:
    return utf8_bytes(payload or "") + (error_bytes(error) if error else 0)


def assert_what_was_checkpointed_is_metered(simulation: Simulation) -> None:
    """Count from the updates that were sent and the answers that came, not from the events."""
    operations = simulation.operations.values()
    steps = [each for each in operations if each.type is OperationType.STEP]
    ended = sum(
        update.type is OperationType.STEP and update.action in ATTEMPT_ENDS
        for update in updates(simulation)
    )
    running = sum(each.status is OperationStatus.STARTED for each in steps)
    conditions = sum(each.sub_type == SubType.WAIT_FOR_CONDITION for each in steps)
    others = len(simulation.operations) - len(steps)  # the execution's own is one of them
    sent = sum(size_of(update.payload, update.error) for update in updates(simulation))
    came = sum(size_of(each.result, each.error) for each in operations if each.type in ANSWERED)
    own = size_of(simulation.result, simulation.error) + len("null")

    report = explain(history_of_events("simulated", simulation.events))
    assert report.metering.invocation_retries == Metered()
    assert report.totals.metered_operations == others + ended + running + conditions
    assert report.totals.metered_bytes == sent + came + own


@laws
@given(workflows(ordered=False))
def test_every_run_keeps_the_laws_and_replays_what_it_returned(
    workflow: tuple[Node, ...],
) -> None:
    player = Player(workflow)
    simulation = play(player)
    assert simulation.status == "SUCCEEDED", simulation.error
    assert {where: len(values) for where, values in player.values.items() if len(values) > 1} == {}
    assert_no_update_is_sent_twice(simulation)
    assert_parents_are_open_before_their_children(simulation)
    assert_nothing_is_over_a_limit(simulation)
    assert_what_was_checkpointed_is_metered(simulation)


@laws
@given(workflows(ordered=False), st.booleans())
def test_every_run_verifies_as_compatible_with_its_own_handler(
    workflow: tuple[Node, ...], every_invocation: bool
) -> None:
    simulation = play(Player(workflow))
    history = history_of(simulation)
    for deep in (True, False):
        options = VerifyOptions(deep=deep, every_invocation=every_invocation)
        outcome = verify_history(NativeReplayer(Player(workflow)), history, options)
        assert outcome, f"{outcome} {outcome.first}"


@laws
@given(workflows(ordered=True), st.data())
def test_a_crash_anywhere_converges(workflow: tuple[Node, ...], data: st.DataObject) -> None:
    clean = play(Player(workflow))
    points = list(every_crash(clean.checkpoints))
    if not points:
        return
    for faults in data.draw(st.lists(st.sampled_from(points), min_size=1, max_size=3)):
        simulation = play(Player(workflow), faults)
        assert (simulation.status, simulation.result) == (clean.status, clean.result)
        assert_parents_are_open_before_their_children(simulation)
        assert_nothing_is_over_a_limit(simulation)
        assert_at_most_once_bodies_ran_once(simulation, workflow)
        assert_every_retry_of_an_invocation_is_metered(simulation)


def assert_every_retry_of_an_invocation_is_metered(simulation: Simulation) -> None:
    report = explain(history_of_events("simulated", simulation.events))
    crashed = sum(record.end is InvocationEnd.CRASHED for record in simulation.invocations)
    assert report.metering.invocation_retries.operations == crashed


def at_most_once(nodes: Sequence[Node], where: str = "w") -> Iterator[str]:
    for number, node in enumerate(nodes):
        here = f"{where}.{number}"
        if node.kind == "step" and node.once:
            yield here
        inside = [here] if node.kind == "child" else [f"{here}.{n}" for n in range(len(node.many))]
        for nodes_inside, place in zip(node.many, inside, strict=False):
            yield from at_most_once(nodes_inside, place)


def assert_at_most_once_bodies_ran_once(simulation: Simulation, workflow: Sequence[Node]) -> None:
    names = set(at_most_once(workflow))
    ran = Counter(
        (note.id, note.attempt)
        for record in simulation.invocations
        for note in record.did(Activity.RAN)
        if note.name in names and note.type == OperationType.STEP
    )
    assert all(count == 1 for count in ran.values())


@laws
@given(workflows(ordered=False), st.integers(0, 3))
def test_the_same_seed_gives_the_same_events(workflow: tuple[Node, ...], seed: int) -> None:
    first, second = (simulate(Player(workflow), scenario=SCENARIO, seed=seed) for _ in range(2))
    assert first.events == second.events
    assert first.updates == second.updates
