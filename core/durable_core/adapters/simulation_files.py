"""The files that a simulation reads and writes: events, scenarios, limits, histories, requests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from durable_core.adapters.documents import read_value
from durable_core.adapters.json_pieces import json_pieces
from durable_core.arns import parse_execution_arn
from durable_core.errors import SourceError
from durable_core.events import payload_of
from durable_core.limits import LIMITS, ServiceLimits
from durable_core.model import CheckpointRequest, ExecutionRecord
from durable_core.simulation.outcome import Simulation
from durable_core.simulation.scenario import Scenario, read_scenario
from durable_core.toml_document import read_toml
from durable_core.wire import event_to_wire, execution_record_to_wire, request_to_wire

# -- reading -----------------------------------------------------------------------------------


def read_event(source: str) -> Any:
    """Return the JSON value in a file, in standard input for `-`, or in the argument itself.

    Raises SourceError.
    """
    return read_value(source)


def read_scenario_file(path: str) -> Scenario:
    """Return what a scenario file says. Raises SourceError."""
    from durable_core.adapters.toml_text import text_of_toml

    return read_scenario(text_of_toml(path), path)


def read_limits(path: str) -> ServiceLimits:
    """Return the service's limits with those replaced that a TOML file names.

    The keys are the fields of `ServiceLimits`. Raises SourceError.
    """
    from durable_core.adapters.toml_text import text_of_toml

    document = read_toml(text_of_toml(path), path)
    known = [each.name for each in fields(ServiceLimits)]
    for key, value in document.items():
        if key not in known:
            expected = ", ".join(known)
            raise SourceError(path, f"unknown limit '{key}', expected one of {expected}")
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise SourceError(path, f"{key}: expected a whole number from 1, found {value!r}")
    return replace(LIMITS, **document)


# -- what is written ---------------------------------------------------------------------------


def history_document(simulation: Simulation) -> dict[str, Any]:
    """Return the history as GetDurableExecutionHistory answers it, and beside the events the
    execution's own record, as GetDurableExecution does."""
    function_arn, _, rest = simulation.arn.partition("/durable-execution/")
    name, version = rest.partition("/")[0], function_arn.rpartition(":")[2]
    over = not simulation.status.is_open
    record = ExecutionRecord(
        arn=simulation.arn,
        name=name or None,
        function_arn=function_arn.removesuffix(f":{version}"),
        version=version or None,
        status=simulation.status,
        input_payload=payload_of(simulation.events[0]),
        result=simulation.result,
        error=simulation.error,
        start_timestamp=simulation.began,
        end_timestamp=simulation.ended if over else None,
        pause=simulation.pause,
        expected_timeout=simulation.expected_timeout,
    )
    return {
        "Events": (event_to_wire(event) for event in simulation.events),
        **execution_record_to_wire(record),
    }


def history_texts(path: str, simulation: Simulation) -> dict[str, Iterator[str]]:
    """Return the histories of a simulation, each as the pieces of its text, by the names of their
    files: its own in `path`, and beside it those of the executions that it invoked, and that these
    did.

    Of `orders.json`, `orders.1.charge.json` is the first one's, of the function `charge`, and
    `orders.1.2.notify.json` that of the second one which that invoked. There are none of these
    where `path` is a pipe or a device.
    """
    main = Path(path)
    texts = {path: _json(history_document(simulation))}
    if main.exists() and not main.is_file():
        return texts
    for numbers, each in _invoked(simulation, ()):
        arn = parse_execution_arn(each.arn)
        function = f".{arn.function}" if arn is not None else ""
        beside = main.with_name(f"{main.stem}.{'.'.join(numbers)}{function}{main.suffix}")
        texts[str(beside)] = _json(history_document(each))
    return texts


def _invoked(
    simulation: Simulation, above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Simulation]]:
    for number, child in enumerate(simulation.children.values(), start=1):
        place = (*above, str(number))
        yield place, child
        yield from _invoked(child, place)


def requests_text(requests: Sequence[CheckpointRequest]) -> Iterator[str]:
    """Return the requests, as pieces of a text, as `durable inspect-batch` reads them."""
    return _json(request_to_wire(request) for request in requests)


def _json(document: Any) -> Iterator[str]:
    yield from json_pieces(document, partial(json.dumps, indent=2))
    yield "\n"
