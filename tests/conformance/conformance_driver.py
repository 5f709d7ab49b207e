"""Runs the handler of a conformance case to its end."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from conformance_cases import Case

from durable_core.adapters.aws_sdk import AwsSdkRunner
from durable_core.scenario import read_scenario
from durable_core.simulate import simulate
from durable_core.simulation import Simulation
from durable_core.wire import event_to_wire

HANDLERS = Path(__file__).parent / "handlers"


@cache
def handler_of(spec: str) -> Callable[..., Any]:
    """Return the handler that a spec `module:function` names."""
    module_name, _, function = spec.partition(":")
    path = HANDLERS / f"{module_name}.py"
    found = importlib.util.spec_from_file_location(f"conformance_{module_name}", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    handler: Callable[..., Any] = getattr(module, function)
    return handler


def runner_of(spec: str) -> AwsSdkRunner:
    """Return what runs the handler that a spec names."""
    return AwsSdkRunner(handler_of(spec))


def run(case: Case) -> Simulation:
    """Run a case to the end of its execution."""
    return simulate(
        runner_of(case.handler),
        case.event,
        scenario=read_scenario(case.scenario),
        function_name=case.handler.partition(":")[2],
        load=runner_of,
        check_every_request=True,
    )


def history_of(simulation: Simulation) -> dict[str, Any]:
    """Return its history, as GetDurableExecutionHistory would answer it."""
    return {"Events": [event_to_wire(event) for event in simulation.events]}
