"""Runs the handler of a conformance case to its end."""

from __future__ import annotations

import importlib.util
from functools import cache, partial
from pathlib import Path
from typing import Any

from conformance_cases import Case

from durable_core.adapters.aws_sdk import AwsSdkRunner
from durable_core.adapters.isolated import IsolatedRunner
from durable_core.scenario import read_scenario
from durable_core.simulate import simulate
from durable_core.simulation import Simulation
from durable_core.wire import event_to_wire

HANDLERS = Path(__file__).parent / "handlers"


@cache
def runner_in(path: Path, function: str) -> AwsSdkRunner:
    """Return what runs a handler in a file."""
    found = importlib.util.spec_from_file_location(f"handlers_{path.stem}", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return AwsSdkRunner(getattr(module, function))


def runner_of(spec: str) -> AwsSdkRunner:
    """Return what runs the handler that `module:function` names in `handlers/`."""
    module, _, function = spec.partition(":")
    return runner_in(HANDLERS / f"{module}.py", function)


def run(case: Case) -> Simulation:
    """Run a case to the end of its execution."""
    make = partial(runner_of, case.handler)
    return simulate(
        IsolatedRunner(make) if case.isolated else make(),
        case.event,
        scenario=read_scenario(case.scenario),
        function_name=case.handler.partition(":")[2],
        load=runner_of,
        check_every_request=True,
    )


def history_of(simulation: Simulation) -> dict[str, Any]:
    """Return its history, as GetDurableExecutionHistory would answer it."""
    return {"Events": [event_to_wire(event) for event in simulation.events]}
