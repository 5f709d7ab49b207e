"""Laws of the table of legal moves."""

from itertools import product

import pytest

from durable_core.events import EVENTS
from durable_core.model import OperationAction, OperationStatus, OperationType
from durable_core.transitions import BACKEND, MOVES, STATUSES, after

T, S, A = OperationType, OperationStatus, OperationAction

LEGAL = {
    (T.CONTEXT, None): {"START": "STARTED", "SUCCEED": "SUCCEEDED", "FAIL": "FAILED"},
    (T.CONTEXT, S.STARTED): {"SUCCEED": "SUCCEEDED", "FAIL": "FAILED"},
    (T.STEP, None): {
        "START": "STARTED",
        "SUCCEED": "SUCCEEDED",
        "FAIL": "FAILED",
        "RETRY": "PENDING",
    },
    (T.STEP, S.STARTED): {"SUCCEED": "SUCCEEDED", "FAIL": "FAILED", "RETRY": "PENDING"},
    (T.STEP, S.READY): {
        "START": "STARTED",
        "SUCCEED": "SUCCEEDED",
        "FAIL": "FAILED",
        "RETRY": "PENDING",
    },
    (T.WAIT, None): {"START": "STARTED"},
    (T.WAIT, S.STARTED): {"CANCEL": "CANCELLED"},
    (T.CALLBACK, None): {"START": "STARTED"},
    (T.CHAINED_INVOKE, None): {"START": "STARTED"},
    (T.EXECUTION, S.STARTED): {"SUCCEED": "SUCCEEDED", "FAIL": "FAILED"},
}


@pytest.mark.parametrize(("kind", "status"), list(product(OperationType, [None, *OperationStatus])))
def test_every_action_leads_where_the_table_says_or_is_refused(
    kind: OperationType, status: OperationStatus | None
) -> None:
    legal = LEGAL.get((kind, status), {})
    assert {a.value: after(kind, status, a) for a in A} == {a.value: legal.get(a) for a in A}


def test_nothing_moves_once_it_is_terminal() -> None:
    moved = {status for _, status, _ in MOVES if status is not None}
    moved |= {status for _, status in BACKEND}
    assert not [status for status in moved if status.is_terminal]


def test_the_service_never_moves_an_operation_back_to_where_it_was() -> None:
    for (_, before), later in BACKEND.items():
        assert before not in later


def test_every_status_of_a_type_can_be_reached_from_nothing() -> None:
    for kind in OperationType:
        reached: set[OperationStatus] = {S.STARTED} if kind is T.EXECUTION else set()
        while True:
            more = {
                after
                for (type_, before, _), after in MOVES.items()
                if type_ is kind and (before is None or before in reached)
            }
            for (type_, before), later in BACKEND.items():
                if type_ is kind and before in reached:
                    more |= later
            if more <= reached:
                break
            reached |= more
        # The service itself queues a chained invoke before it starts it.
        unreached = {S.PENDING} if kind is T.CHAINED_INVOKE else set()
        assert STATUSES[kind] - reached == unreached


def test_every_event_leaves_its_operation_in_a_status_of_its_type() -> None:
    for spec in EVENTS.values():
        if spec.operation is not None:
            assert spec.status in STATUSES[spec.operation]


def test_events_of_the_backend_are_those_that_no_action_of_a_handler_makes() -> None:
    for name, spec in EVENTS.items():
        if spec.operation in (None, T.EXECUTION):
            assert spec.backend, name
            continue
        by_handler = spec.status in {
            status for (kind, _, _), status in MOVES.items() if kind is spec.operation
        }
        assert spec.backend != by_handler, name
