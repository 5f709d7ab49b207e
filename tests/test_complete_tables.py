"""A new member of an enumeration has a row in every table that is kept by it."""

import inspect
import pkgutil
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib import import_module
from typing import Any

import pytest

import durable_cli
import durable_core
from durable_core.events import EVENTS
from durable_core.metering import MeteredKind
from durable_core.model import OperationStatus, OperationType
from durable_core.sdks import ALL_SDKS
from durable_core.service.faults import Fault, FaultKind, Faults
from durable_core.service.validation import _ILLEGAL_MOVE
from durable_core.simulation.scenario import fault_text, read_scenario
from durable_core.summaries.values import SummaryForm
from durable_core.transitions import BACKEND, MOVES

PARTIAL = {
    # A table of some members only: which ones it is without, and why.
    "batches.findings._SEVERITIES": "PAYLOAD_TOO_LARGE ERROR_TOO_LARGE BAD_FIELD"
    " TOO_MANY_OPERATIONS TOO_MUCH_DATA",  # rejected, as what isn't in it is
    "batches.reconstruct._ACTIONS": "PENDING READY TIMED_OUT STOPPED",  # by no update's own action
    "decide._RULES": "EXECUTION",  # no code asks for it
    "decide._WANTS": "EXECUTION",
    "fold._FACTS": "EXECUTION CONTEXT STEP",  # their starts say nothing more
    "sdks.SDKS": "GO RUST",  # their requests aren't known
    "service.answers.INVOKE_ENDS": "STARTED PENDING READY CANCELLED",  # no end of an invoke
    "service.changes._CHANGES": "EXECUTION",  # its updates change no operation
    "service.ledger._END_EVENTS": "RUNNING DELETING PAUSING PAUSED",  # no ends
    "simulation.report._DOING": "REBUILT SUSPENDED",  # not shown
    "simulation.messages._WOKEN": "STARTED PENDING CANCELLED",  # wake nobody
    "adapters.shapes._NAMES": "EXECUTION",  # told by other fields
    "render_batch._GROUP_HEADS": "UPDATES",  # one group needs no head
    "render_simulation._DID_STYLES": "RAN BEGAN WENT_ON STOPPED",  # plain
    "render_simulation._END_STYLES": "PENDING INTERRUPTED",
    "simulation_text._IN_STORIES": "RAN BEGAN STOPPED STRIPPED RE_EXECUTED",  # said otherwise
}


def tables() -> Iterator[tuple[str, Mapping[Enum, Any]]]:
    """Yield every table of a module's that is kept by an enumeration, by its full name."""
    for package in (durable_core, durable_cli):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if info.name.endswith("__main__"):
                continue
            module = import_module(info.name)
            source = inspect.getsource(module)
            for name, table in vars(module).items():
                kinds = set(map(type, table)) if isinstance(table, Mapping) else set()
                is_own = re.search(rf"^{re.escape(name)}\s*[:=]", source, re.MULTILINE)
                if is_own and len(kinds) == 1 and issubclass(kinds.pop(), Enum):
                    yield f"{info.name.partition('.')[2]}.{name}", table


@pytest.fixture(scope="module")
def missing() -> dict[str, list[str]]:
    return {
        name: [each.name for each in type(next(iter(table))) if each not in table]
        for name, table in tables()
    }


def test_every_table_has_a_row_for_each_member(missing: dict[str, list[str]]) -> None:
    lacking = [
        f"{table} has no row for {member}"
        for table, members in missing.items()
        for member in members
        if member not in PARTIAL.get(table, "").split()
    ]
    assert not lacking, "\n".join(lacking)


def test_what_a_partial_table_is_said_to_be_without_it_is_without(
    missing: dict[str, list[str]],
) -> None:
    for table, members in PARTIAL.items():
        assert set(members.split()) <= set(missing[table]), table


@pytest.mark.parametrize("kind", OperationType)
def test_a_type_of_operation_begins_ends_is_recorded_and_metered(kind: OperationType) -> None:
    statuses = {spec.status for spec in EVENTS.values() if spec.operation is kind}
    assert OperationStatus.STARTED in statuses, f"events.EVENTS has no start of {kind}"
    assert any(status and status.is_terminal for status in statuses), (
        f"events.EVENTS has no end of {kind}"
    )
    assert any(of is kind for of, *_ in [*MOVES, *BACKEND]), f"transitions.MOVES has no {kind}"
    assert kind.name in MeteredKind.__members__, f"metering.MeteredKind has no {kind}"


@pytest.mark.parametrize("status", OperationStatus)
def test_a_status_can_be_reached(status: OperationStatus) -> None:
    reached = {*MOVES.values()}.union(*BACKEND.values())
    assert status in reached, f"transitions has no way to {status}"


@pytest.mark.parametrize("form", [each for each in SummaryForm if each is not SummaryForm.EMPTY])
def test_a_form_of_results_is_some_sdks(form: SummaryForm) -> None:
    assert any(form in row.forms for row in ALL_SDKS.values()), f"sdks has nobody's {form}"


@pytest.mark.parametrize("kind", FaultKind)
def test_a_scenario_can_say_every_fault(kind: FaultKind) -> None:
    fault = Fault(kind, invocation=1, checkpoint=2)
    assert read_scenario(fault_text(fault)).faults == Faults((fault,))


def test_a_move_that_comes_too_late_is_refused_in_words() -> None:
    lacking = {(kind, action) for kind, _, action in MOVES} - _ILLEGAL_MOVE.keys()
    assert lacking == set(), f"validation._ILLEGAL_MOVE has no row for {lacking}"
