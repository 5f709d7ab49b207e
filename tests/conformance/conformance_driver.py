"""Runs the handler of a conformance case to its end, in either runtime."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from conformance_cases import Case

from durable_core.service.faults import NO_FAULTS
from durable_core.simulation.outcome import Simulation
from durable_core.simulation.scenario import Scenario, read_scenario
from durable_core.simulation.simulate import NativeRunner, Runner, simulate
from durable_core.wire import event_to_wire

HERE = Path(__file__).parent
RUNTIMES = ("native", "aws")
"""Each has its handlers in the folder of this name."""


@cache
def handler_in(path: Path, function: str) -> Any:
    """Return a handler in a file."""
    found = importlib.util.spec_from_file_location(f"handlers_{path.stem}", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return getattr(module, function)


def runner_in(path: Path, function: str) -> Runner:
    """Return what runs a handler of AWS's SDK in a file."""
    from durable_core.runtimes.aws_python.runner import AwsSdkRunner

    return AwsSdkRunner(handler_in(path, function))


def target_of(runtime: str, spec: str) -> Any:
    """Return what a chained invoke runs: a function that is called plain as it is."""
    module, _, function = spec.partition(":")
    if function.startswith("plain_"):
        return handler_in(HERE / runtime / f"{module}.py", function)
    return runner_of(runtime, spec)


def runner_of(runtime: str, spec: str) -> Runner:
    """Return what runs the handler that `module:function` names in the folder of the runtime."""
    module, _, function = spec.partition(":")
    path = HERE / runtime / f"{module}.py"
    if runtime == "native":
        return NativeRunner(handler_in(path, function))
    return runner_in(path, function)


def runner_for(runtime: str, case: Case) -> Runner:
    """Return what runs a case. A native handler that ends its process needs none of its own."""
    make = partial(runner_of, runtime, case.handler)
    if runtime == "native" or not case.isolated:
        return make()
    from durable_core.processes.isolated import IsolatedRunner

    return IsolatedRunner(make)


def scenario_of(runtime: str, case: Case) -> Scenario:
    """Return what the world does. A native handler that has to crash ends the process itself."""
    scenario = read_scenario(case.scenario)
    return replace(scenario, faults=NO_FAULTS) if runtime == "native" else scenario


def run(runtime: str, case: Case) -> Simulation:
    """Run a case to the end of its execution."""
    return simulate(
        runner_for(runtime, case),
        case.event,
        scenario=scenario_of(runtime, case),
        function_name=case.handler.partition(":")[2],
        load=partial(target_of, runtime),
        check_every_request=True,
    )


def history_of(simulation: Simulation) -> dict[str, Any]:
    """Return its history, as GetDurableExecutionHistory would answer it."""
    return {"Events": [event_to_wire(event) for event in simulation.events]}
