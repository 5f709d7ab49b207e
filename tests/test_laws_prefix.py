"""Replaying any prefix ends in the same result.

Every update goes in a request of its own here, and the run dies before and after each of them: what
the next invocation finds is any prefix of what the clean run wrote. The corpus: the handlers of the
conformance cases, the example handlers, and generated workflows full of results that are stripped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from conformance_cases import CASES
from conformance_driver import runner_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from durable_core import DurableContext, MapConfig, NestingType
from durable_core.model import InvocationInput
from durable_core.native.invocation import InvocationOptions, Invoked
from durable_core.sdks import SDKS, Sdk
from durable_core.service.faults import NO_FAULTS, Fault, FaultKind, Faults, every_crash
from durable_core.simulation.crash_runs import judge
from durable_core.simulation.link import ServiceLink
from durable_core.simulation.outcome import Simulation, Stopped
from durable_core.simulation.scenario import read_scenario
from durable_core.simulation.simulate import NativeRunner, Runner, simulate

ONE_AT_A_TIME = replace(SDKS[Sdk.DOTNET], max_operations=1)
DIE_BY_THEMSELVES = {"1-17", "1-18", "3-12"}


class OneAtATime(Runner):
    """Sends every update in a request of its own."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def invoke(
        self, given: InvocationInput, link: ServiceLink, options: InvocationOptions
    ) -> Invoked:
        return self._runner.invoke(given, link, replace(options, rules=ONE_AT_A_TIME))


def run(runner: Runner, faults: Faults = NO_FAULTS, **options: Any) -> Simulation:
    simulation = simulate(OneAtATime(runner), faults=faults, check_every_request=True, **options)
    assert simulation.stopped is Stopped.OVER
    assert all(len(request.updates) == 1 for request in simulation.updates)
    return simulation


def assert_converges(clean: Simulation, crashed: Simulation) -> None:
    assert judge(clean, crashed) == ()
    outcomes = [
        {
            key: (each.status, each.result, each.replay_children)
            for key, each in run_.operations.items()
        }
        for run_ in (clean, crashed)
    ]
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("number", sorted(set(CASES) - DIE_BY_THEMSELVES))
def test_any_prefix_of_a_conformance_case_ends_in_the_same_result(number: str) -> None:
    case = CASES[number]

    def again(faults: Faults = NO_FAULTS) -> Simulation:
        return run(
            runner_of("native", case.handler),
            faults,
            event=case.event,
            scenario=read_scenario(case.scenario),
            load=lambda spec: runner_of("native", spec),
        )

    clean = again()
    for faults in every_crash(clean.checkpoints):
        assert_converges(clean, again(faults))


# -- generated ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A step with a result of this size; or a context or map with parts inside."""

    kind: str
    size: int = 0
    parts: tuple[Part, ...] = ()


steps = st.builds(Part, st.just("step"), st.sampled_from([1, 90_000, 140_000, 250_000]))


def around(inner: st.SearchStrategy[Part]) -> st.SearchStrategy[Part]:
    parts = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.builds(Part, st.sampled_from(["child", "flat", "nested"]), parts=parts)


workflows = st.lists(around(steps | around(steps | around(steps))), min_size=1, max_size=2)


def workflow(parts: Sequence[Part]) -> NativeRunner:
    """Return what runs the parts one after the other, a wait after each of them."""

    async def handler(event: Any, ctx: DurableContext) -> list[str]:
        digests = []
        for part in parts:
            text = await play(part, ctx)
            digests.append(f"{len(text)} {sha256(text.encode()).hexdigest()}")
            await ctx.wait(timedelta(seconds=1))
        return digests

    return NativeRunner(handler)


async def play(part: Part, ctx: DurableContext) -> str:
    async def inside(child: DurableContext) -> str:
        return "".join([await play(each, child) for each in part.parts])

    async def unit(child: DurableContext, each: Part, index: int, parts: Any) -> str:
        return await play(each, child)

    match part.kind:
        case "step":
            return await ctx.step(lambda step: "x" * part.size)
        case "child":
            return await ctx.run_in_child_context(inside)
    nesting = NestingType.FLAT if part.kind == "flat" else NestingType.NESTED
    config = MapConfig[Part](max_concurrency=2, nesting_type=nesting)
    return "|".join((await ctx.map(part.parts, unit, None, config)).get_results())


@settings(
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
@given(workflows)
def test_any_prefix_of_stripped_results_ends_in_the_same_result(parts: list[Part]) -> None:
    clean = run(workflow(parts))
    for faults in every_crash(clean.checkpoints):
        assert_converges(clean, run(workflow(parts), faults))


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(workflows, st.lists(st.integers(1, 12), min_size=2, max_size=4))
def test_a_run_may_die_again_and_again(parts: list[Part], checkpoints: list[int]) -> None:
    # Five deaths in a row would be the end: the service tries no more often.
    deaths = [
        Fault(FaultKind.CRASH_AFTER, invocation, checkpoint)
        for invocation, checkpoint in enumerate(checkpoints, start=1)
    ]
    assert_converges(run(workflow(parts)), run(workflow(parts), Faults(tuple(deaths))))
