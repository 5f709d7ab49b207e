"""Units without an operation of their own, as a map's or parallel's stored result tells of them."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_cli.options import Only
from durable_cli.outline import select
from durable_core.explaining.explain import explain
from durable_core.explaining.report import Report
from durable_core.history import history_of_events, history_of_operations
from durable_core.model import (
    ContextDetails,
    NestingType,
    Operation,
    OperationStatus,
    OperationType,
)
from durable_core.wire import events_from_wire

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
MAP_ID = hashlib.blake2b(b"1").hexdigest()[:64]


def tagged(value: object) -> dict[str, Any]:
    """Return a value in the envelope of AWS's SDK for Python."""
    match value:
        case None:
            return {"t": "n", "v": None}
        case int():
            return {"t": "i", "v": value}
        case str():
            return {"t": "s", "v": value}
        case list():
            return {"t": "l", "v": [tagged(each) for each in value]}
        case dict():
            return {"t": "m", "v": {key: tagged(each) for key, each in value.items()}}
    raise TypeError(value)


ERROR = {"ErrorMessage": "odd 1", "ErrorType": "ValueError"}
ITEMS = [
    {"index": 0, "status": "SUCCEEDED", "result": 1, "error": None},
    {"index": 1, "status": "FAILED", "result": None, "error": ERROR},
    {"index": 2, "status": "SUCCEEDED", "result": 3, "error": None},
    {"index": 3, "status": "STARTED", "result": None, "error": None},
]
BATCH = {"all": ITEMS, "completionReason": "ALL_COMPLETED"}
FORMS = {
    "python": json.dumps({"t": "br", "v": {key: tagged(each) for key, each in BATCH.items()}}),
    "python-plain": json.dumps(BATCH),
    "javascript": json.dumps(
        {
            "all": [
                {key: each for key, each in item.items() if each is not None} for item in ITEMS
            ],
            "completionReason": "ALL_COMPLETED",
        }
    ),
    "dotnet": json.dumps(
        {
            "CompletionReason": "ALL_COMPLETED",
            "Units": [
                {"Index": 0, "Name": None, "Status": "SUCCEEDED", "Result": "1"},
                {"Index": 1, "Name": None, "Status": "FAILED", "Error": ERROR},
                {"Index": 2, "Name": None, "Status": "SUCCEEDED", "Result": "3"},
                {"Index": 3, "Name": None, "Status": "STARTED"},
            ],
        }
    ),
}
every_form = pytest.mark.parametrize("form", FORMS)


def report_of(payload: str) -> Report:
    """Explain a history of one map without operations inside, completed with this result."""
    base = {"Id": MAP_ID, "SubType": "Map", "Name": "parts", "EventTimestamp": BEGAN.isoformat()}
    events: list[dict[str, Any]] = [
        {
            "EventType": "ExecutionStarted",
            "EventId": 1,
            "Id": "e",
            "EventTimestamp": BEGAN.isoformat(),
            "ExecutionStartedDetails": {"Input": {"Payload": "{}"}},
        },
        {**base, "EventType": "ContextStarted", "EventId": 2, "ContextStartedDetails": {}},
        {
            **base,
            "EventType": "ContextSucceeded",
            "EventId": 3,
            "ContextSucceededDetails": {"Result": {"Payload": payload, "Truncated": False}},
        },
    ]
    return explain(history_of_events("h", events_from_wire(events, "Events")))


@every_form
def test_units_of_a_stored_result_are_shown_with_how_they_ended(form: str) -> None:
    units = [row for row in report_of(FORMS[form]).rows if row.unit is not None]
    assert [(row.unit, row.status) for row in units] == [
        (0, "SUCCEEDED"),
        (1, "FAILED"),
        (2, "SUCCEEDED"),
        (3, "STARTED"),
    ]
    assert {row.nesting for row in units} == {NestingType.FLAT}
    assert {row.replay.value for row in units} == {"not-reached"}


@every_form
def test_failed_units_of_a_stored_result_carry_their_error(form: str) -> None:
    report = report_of(FORMS[form])
    [row] = [row for row in select(report.rows, Only.FAILED, None) if row.unit is not None]
    assert row.unit == 1
    assert row.error is not None
    assert (row.error.type, row.error.message) == ("ValueError", "odd 1")
    assert row.why == (
        "not reached: 1 answers from its checkpoint; it failed with ValueError: odd 1"
    )
    assert report.totals.failed == 1


def test_alike_units_are_one_row_however_many_there_are() -> None:
    items = [{"index": i, "status": "SUCCEEDED", "result": i, "error": None} for i in range(5_000)]
    report = report_of(json.dumps({"all": items, "completionReason": "ALL_COMPLETED"}))
    assert [(row.position, row.units) for row in report.rows] == [("1", 1), ("1.0-4999", 5_000)]
    assert report.totals.units == 5_000


@pytest.mark.parametrize("error", ["text", 7, ["a"], {"ErrorMessage": 5}, {"t": "m", "v": 3}])
def test_an_error_in_no_known_form_is_left_out(error: object) -> None:
    items = [{"index": 0, "status": "FAILED", "result": None, "error": error}]
    report = report_of(json.dumps({"all": items, "completionReason": "ALL_COMPLETED"}))
    [unit] = [row for row in report.rows if row.unit is not None]
    assert (unit.status, unit.error) == ("FAILED", None)


def test_of_a_state_nobody_can_tell_whether_units_were_flat() -> None:
    # The service leaves out what is inside a completed context: NESTED units among it.
    operation = Operation(
        id=MAP_ID,
        type=OperationType.CONTEXT,
        sub_type="Map",
        name="parts",
        status=OperationStatus.SUCCEEDED,
        start_timestamp=BEGAN,
        end_timestamp=BEGAN + timedelta(seconds=1),
        context_details=ContextDetails(result=FORMS["python"]),
    )
    report = explain(history_of_operations("s", [operation], None))
    units = [row for row in report.rows if row.unit is not None]
    assert [row.status for row in units] == ["SUCCEEDED", "FAILED", "SUCCEEDED", "STARTED"]
    assert {row.nesting for row in units} == {None}
