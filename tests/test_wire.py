"""Both directions of the service API's JSON: nothing lost, nothing invented, errors by path."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_core.errors import WireError
from durable_core.events import (
    EVENTS,
    Kind,
    detail,
    details_key,
    format_timestamp,
    is_truncated,
    parse_timestamp,
    payload_of,
)
from durable_core.frozen import NOTHING
from durable_core.model import (
    CallbackDetails,
    ChainedInvokeDetails,
    ChainedInvokeOptions,
    CheckpointRequest,
    ContextDetails,
    ErrorObject,
    Event,
    ExecutionDetails,
    ExecutionRecord,
    ExecutionStatus,
    InvocationInput,
    Operation,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
    StepDetails,
    WaitDetails,
)
from durable_core.wire import (
    RECORD_KEYS,
    error_from_wire,
    error_of,
    error_to_wire,
    event_from_wire,
    event_to_wire,
    events_from_wire,
    execution_record_from_wire,
    execution_record_to_wire,
    invocation_input_from_wire,
    invocation_input_to_wire,
    operation_from_wire,
    operation_to_wire,
    request_from_wire,
    request_to_wire,
    update_from_wire,
    update_to_wire,
)

# -- any value of the model ----------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)
# Names that the service doesn't use.
EXTRA = st.just(NOTHING) | st.dictionaries(st.text().map("New{}".format), JSON, min_size=1)
TEXT = st.text()
NAME = st.text(min_size=1)
TIMES = st.datetimes(timezones=st.just(UTC))
WHOLE = st.integers()


def build(kind: type[Any], *required: st.SearchStrategy[Any], **optional: Any) -> Any:
    fields = {name: st.none() | values for name, values in optional.items()}
    return st.builds(kind, *required, **fields, extra=EXTRA)


ERRORS = build(
    ErrorObject, message=TEXT, type=TEXT, data=TEXT, stack_trace=st.lists(TEXT).map(tuple)
)
DETAILS = {
    OperationType.EXECUTION: (
        "execution_details",
        build(ExecutionDetails, input_payload=TEXT),
    ),
    OperationType.CONTEXT: (
        "context_details",
        build(ContextDetails, replay_children=st.booleans(), result=TEXT, error=ERRORS),
    ),
    OperationType.STEP: (
        "step_details",
        build(StepDetails, attempt=WHOLE, next_attempt_timestamp=TIMES, result=TEXT, error=ERRORS),
    ),
    OperationType.WAIT: ("wait_details", build(WaitDetails, scheduled_end_timestamp=TIMES)),
    OperationType.CALLBACK: (
        "callback_details",
        build(CallbackDetails, callback_id=TEXT, result=TEXT, error=ERRORS),
    ),
    OperationType.CHAINED_INVOKE: (
        "chained_invoke_details",
        build(ChainedInvokeDetails, result=TEXT, error=ERRORS),
    ),
}


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    kind = draw(st.sampled_from(OperationType))
    field, details = DETAILS[kind]
    built: Operation = draw(
        build(
            Operation,
            NAME,
            st.just(kind),
            st.sampled_from(OperationStatus),
            TIMES,
            parent_id=TEXT,
            name=TEXT,
            sub_type=TEXT,
            end_timestamp=TIMES,
            **{field: details},
        )
    )
    return built


UPDATES = build(
    OperationUpdate,
    NAME,
    st.sampled_from(OperationType),
    st.sampled_from(OperationAction),
    parent_id=TEXT,
    name=TEXT,
    sub_type=TEXT,
    payload=TEXT,
    error=ERRORS,
    replay_children=st.booleans(),
    next_attempt_delay_seconds=WHOLE,
    wait_seconds=WHOLE,
    callback_timeout_seconds=WHOLE,
    callback_heartbeat_seconds=WHOLE,
    chained_invoke=build(ChainedInvokeOptions, NAME, tenant_id=TEXT, trace_id=TEXT),
)
REQUESTS = build(
    CheckpointRequest,
    st.lists(UPDATES, max_size=3).map(tuple),
    durable_execution_arn=TEXT,
    checkpoint_token=TEXT,
    client_token=TEXT,
)
INPUTS = build(
    InvocationInput,
    NAME,
    NAME,
    st.lists(operations(), max_size=3).map(tuple),
    next_marker=TEXT,
    updated_operation_ids=st.lists(TEXT).map(tuple),
)
RECORDS = build(
    ExecutionRecord,
    arn=TEXT,
    name=TEXT,
    function_arn=TEXT,
    version=TEXT,
    status=st.sampled_from(ExecutionStatus),
    input_payload=TEXT,
    result=TEXT,
    error=ERRORS,
    start_timestamp=TIMES,
    end_timestamp=TIMES,
)

VALUES = {
    Kind.PAYLOAD: st.fixed_dictionaries(
        {}, optional={"Payload": TEXT, "Truncated": st.booleans(), "New": JSON}
    ),
    Kind.ERROR: st.fixed_dictionaries(
        {}, optional={"Payload": ERRORS.map(error_to_wire), "Truncated": st.booleans()}
    ),
    Kind.RETRY: st.fixed_dictionaries(
        {}, optional={"CurrentAttempt": WHOLE, "NextAttemptDelaySeconds": WHOLE}
    ),
    Kind.INTEGER: WHOLE,
    Kind.TEXT: TEXT,
    Kind.FLAG: st.booleans(),
    Kind.TIMESTAMP: TIMES.map(format_timestamp),
}


@st.composite
def events(draw: st.DrawFn) -> Event:
    event_type = draw(st.sampled_from(sorted(EVENTS)) | st.text(min_size=1).map("New{}".format))
    details = None
    if event_type in EVENTS:
        known = {name: VALUES[kind] for name, kind in EVENTS[event_type].fields.items()}
        details = draw(st.none() | st.fixed_dictionaries({}, optional={**known, "New": JSON}))
    built: Event = draw(
        build(
            Event,
            st.integers(min_value=1),
            st.just(event_type),
            TIMES,
            id=TEXT,
            parent_id=TEXT,
            name=TEXT,
            sub_type=TEXT,
            details=st.just(details),
        )
    )
    return built


Read = Callable[[object], Any]
Write = Callable[[Any], Mapping[str, Any]]
PAIRS = pytest.mark.parametrize(
    ("values", "write", "read"),
    [
        pytest.param(ERRORS, error_to_wire, error_from_wire, id="ErrorObject"),
        pytest.param(operations(), operation_to_wire, operation_from_wire, id="Operation"),
        pytest.param(UPDATES, update_to_wire, update_from_wire, id="OperationUpdate"),
        pytest.param(REQUESTS, request_to_wire, request_from_wire, id="CheckpointRequest"),
        pytest.param(
            INPUTS, invocation_input_to_wire, invocation_input_from_wire, id="InvocationInput"
        ),
        pytest.param(events(), event_to_wire, event_from_wire, id="Event"),
        pytest.param(
            RECORDS, execution_record_to_wire, execution_record_from_wire, id="ExecutionRecord"
        ),
    ],
)


# -- both directions -----------------------------------------------------------------------------


@PAIRS
@given(data=st.data())
def test_what_is_written_is_read_as_it_was(
    data: st.DataObject, values: st.SearchStrategy[Any], write: Write, read: Read
) -> None:
    value = data.draw(values)
    written = write(value)
    assert read(json.loads(json.dumps(written))) == value
    assert write(read(written)) == written


@pytest.mark.parametrize(
    ("write", "value", "keys"),
    [
        (error_to_wire, ErrorObject(), []),
        (
            operation_to_wire,
            Operation("a", OperationType.STEP, OperationStatus.READY, step_details=StepDetails()),
            ["Id", "Type", "Status", "StepDetails"],
        ),
        (
            update_to_wire,
            OperationUpdate("a", OperationType.STEP, OperationAction.START),
            ["Id", "Type", "Action"],
        ),
        (request_to_wire, CheckpointRequest(()), ["Updates"]),
        (
            invocation_input_to_wire,
            InvocationInput("a", "t"),
            ["DurableExecutionArn", "CheckpointToken", "InitialExecutionState"],
        ),
        (
            event_to_wire,
            Event(1, "StepStarted", datetime(2026, 1, 1, tzinfo=UTC)),
            ["EventType", "EventId", "EventTimestamp"],
        ),
        (execution_record_to_wire, ExecutionRecord(), []),
    ],
)
def test_nothing_absent_is_written(write: Write, value: object, keys: list[str]) -> None:
    assert list(write(value)) == keys


@pytest.mark.parametrize(
    ("read", "wire", "absent"),
    [
        (error_from_wire, {}, ["ErrorMessage", "ErrorType", "ErrorData", "StackTrace"]),
        (
            operation_from_wire,
            {"Id": "a", "Type": "STEP", "Status": "READY"},
            ["ParentId", "Name", "SubType", "StartTimestamp", "EndTimestamp", "StepDetails"],
        ),
        (
            update_from_wire,
            {"Id": "a", "Type": "STEP", "Action": "START"},
            ["ParentId", "Payload", "Error", "StepOptions", "ChainedInvokeOptions"],
        ),
        (request_from_wire, {"Updates": []}, ["CheckpointToken", "ClientToken"]),
        (
            event_from_wire,
            {"EventType": "StepStarted", "EventId": 1, "EventTimestamp": 0},
            ["Id", "ParentId", "Name", "SubType", "StepStartedDetails"],
        ),
        (execution_record_from_wire, {}, sorted(RECORD_KEYS)),
    ],
)
def test_null_is_the_same_as_absent(read: Read, wire: Mapping[str, Any], absent: list[str]) -> None:
    assert read({**wire, **dict.fromkeys(absent)}) == read(wire)


def test_unknown_options_are_kept_inside_of_their_object() -> None:
    wire = {
        "Id": "a",
        "Type": "CONTEXT",
        "Action": "SUCCEED",
        "ContextOptions": {"ReplayChildren": True, "New": 1},
        "StepOptions": {"New": [2]},
        "ChainedInvokeOptions": {"FunctionName": "f", "New": 3},
    }
    update = update_from_wire(wire)
    assert update.replay_children is True
    assert update_to_wire(update) == wire


_TYPED = [
    *((field, {"Payload": "y"}) for field in ("Result", "Input")),
    *((field, {"Truncated": True}) for field in ("Result", "Input", "Error")),
    ("Error", {"Payload": {"ErrorMessage": "y"}}),
    ("RetryDetails", {"CurrentAttempt": 1}),
]


@pytest.mark.parametrize(
    ("field", "value"), [*_TYPED, *(("Reason", value) for value in ("x", 1, [], True, {"a": "y"}))]
)
@pytest.mark.parametrize(
    "kind", ["StepStarted", "WaitStarted", "ContextStarted", "InvocationCompleted"]
)
def test_what_a_type_of_event_does_not_have_is_an_unknown_field_of_its_details(
    kind: str, field: str, value: object
) -> None:
    if field in EVENTS[kind].fields:
        return
    wire = _event_with(kind, field, value)
    event = event_from_wire(wire)
    assert (payload_of(event), error_of(event), detail(event, field)) == (None, None, None)
    assert not is_truncated(event)
    assert event_to_wire(event) == wire


@pytest.mark.parametrize("value", ["x", 1, [], True, {"Payload": 1}, {"CurrentAttempt": "1"}])
@pytest.mark.parametrize("field", ["Result", "Input", "Error", "RetryDetails"])
@pytest.mark.parametrize("kind", ["StepStarted", "ContextStarted", "InvocationCompleted"])
def test_what_stands_by_the_name_of_a_payload_has_its_form_in_every_type_of_event(
    kind: str, field: str, value: object
) -> None:
    if isinstance(value, dict) and (field == "RetryDetails") != ("CurrentAttempt" in value):
        return
    with pytest.raises(WireError, match=field):
        event_from_wire(_event_with(kind, field, value))


def _event_with(kind: str, field: str, value: object) -> dict[str, Any]:
    time = "2026-11-02T10:00:00.000Z"
    wire: dict[str, Any] = {"EventType": kind, "EventId": 1, "EventTimestamp": time, "Id": "a"}
    return {**wire, f"{kind}Details": {field: value}}


def test_an_event_of_an_unknown_type_keeps_its_details() -> None:
    wire = {
        "EventType": "StepPaused",
        "EventId": 1,
        "EventTimestamp": "2026-11-02T10:00:00.000Z",
        "StepPausedDetails": {"Reason": "x"},
    }
    event = event_from_wire(wire)
    assert event.details is None
    assert event.extra == {"StepPausedDetails": {"Reason": "x"}}
    assert event_to_wire(event) == wire


def test_an_update_is_written_in_the_order_of_the_service_model() -> None:
    update = OperationUpdate(
        "a",
        OperationType.STEP,
        OperationAction.FAIL,
        parent_id="p",
        name="n",
        sub_type="Step",
        payload="1",
        error=ErrorObject(message="m"),
        next_attempt_delay_seconds=1,
    )
    order = list(SERVICE.shape_for("OperationUpdate").members)
    written = list(update_to_wire(update))
    assert written == [name for name in order if name in written]


# -- the service's own model ---------------------------------------------------------------------

SERVICE = botocore.session.get_session().get_service_model("lambda")


def test_every_event_of_the_service_is_in_the_table() -> None:
    assert set(SERVICE.shape_for("EventType").enum) <= set(EVENTS)


@pytest.mark.parametrize("event_type", sorted(EVENTS))
def test_every_detail_of_an_event_is_in_the_table(event_type: str) -> None:
    details = SERVICE.shape_for("Event").members[details_key(event_type)]
    assert set(details.members) == set(EVENTS[event_type].fields)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ("OperationType", OperationType),
        ("OperationStatus", OperationStatus),
        ("OperationAction", OperationAction),
        ("ExecutionStatus", ExecutionStatus),
    ],
)
def test_every_enum_has_the_values_of_the_service(shape: str, kind: Any) -> None:
    assert set(SERVICE.shape_for(shape).enum) == set(kind)


@given(update=UPDATES)
def test_every_field_of_an_update_is_one_of_the_service(update: OperationUpdate) -> None:
    members = SERVICE.shape_for("OperationUpdate").members
    for key, value in update_to_wire(update).items():
        if key.startswith("New"):
            continue
        assert key in members
        if key.endswith("Options"):
            assert {k for k in value if not k.startswith("New")} <= set(members[key].members)


@given(operation=operations())
def test_every_field_of_an_operation_is_one_of_the_service(operation: Operation) -> None:
    members = SERVICE.shape_for("Operation").members
    for key, value in operation_to_wire(operation).items():
        if key.startswith("New"):
            continue
        assert key in members
        if key.endswith("Details"):
            assert {k for k in value if not k.startswith("New")} <= set(members[key].members)


def test_every_field_of_a_record_is_one_of_the_service() -> None:
    assert set(SERVICE.shape_for("GetDurableExecutionResponse").members) >= RECORD_KEYS


# -- wrong shapes --------------------------------------------------------------------------------

EVENT = {"EventType": "StepFailed", "EventId": 4, "EventTimestamp": 0}
OPERATION = {"Id": "a", "Type": "STEP", "Status": "STARTED"}
UPDATE = {"Id": "a", "Type": "STEP", "Action": "START"}


@pytest.mark.parametrize(
    ("read", "wire", "problem"),
    [
        (error_from_wire, "x", "Error: expected an object, found the string 'x'"),
        (
            error_from_wire,
            {"ErrorMessage": 1},
            "Error.ErrorMessage: expected a string, found the number 1",
        ),
        (
            error_from_wire,
            {"StackTrace": "at x"},
            "Error.StackTrace: expected a list, found the string 'at x'",
        ),
        (
            error_from_wire,
            {"StackTrace": ["a", None]},
            "Error.StackTrace[1]: expected a string, found null",
        ),
        (operation_from_wire, [], "Operation: expected an object, found a list of 0"),
        (operation_from_wire, {}, "Operation.Id: expected a string, found nothing"),
        (
            operation_from_wire,
            {**OPERATION, "Type": "LOOP"},
            "Operation.Type: expected one of EXECUTION, CONTEXT, STEP, WAIT, CALLBACK, "
            "CHAINED_INVOKE, found the string 'LOOP'",
        ),
        (
            operation_from_wire,
            {**OPERATION, "StartTimestamp": True},
            "Operation.StartTimestamp: expected a timestamp (ISO-8601 or epoch seconds), found "
            "true",
        ),
        (
            operation_from_wire,
            {**OPERATION, "StepDetails": {"Attempt": 1.5}},
            "Operation.StepDetails.Attempt: expected a whole number, found the number 1.5",
        ),
        (
            operation_from_wire,
            {**OPERATION, "ContextDetails": {"ReplayChildren": "yes"}},
            "Operation.ContextDetails.ReplayChildren: expected true or false, found the string "
            "'yes'",
        ),
        (
            operation_from_wire,
            {**OPERATION, "CallbackDetails": {"Error": {"ErrorType": []}}},
            "Operation.CallbackDetails.Error.ErrorType: expected a string, found a list of 0",
        ),
        (update_from_wire, None, "Update: expected an object, found null"),
        (
            update_from_wire,
            {**UPDATE, "Payload": {"a": 1}},
            "Update.Payload: expected a string, found an object",
        ),
        (
            update_from_wire,
            {**UPDATE, "WaitOptions": 5},
            "Update.WaitOptions: expected an object, found the number 5",
        ),
        (
            update_from_wire,
            {**UPDATE, "WaitOptions": {"WaitSeconds": "5"}},
            "Update.WaitOptions.WaitSeconds: expected a whole number, found the string '5'",
        ),
        (
            update_from_wire,
            {**UPDATE, "ChainedInvokeOptions": {}},
            "Update.ChainedInvokeOptions.FunctionName: expected a string, found nothing",
        ),
        (request_from_wire, {"Updates": 1}, "Request.Updates: expected a list, found the number 1"),
        (
            request_from_wire,
            {"Updates": [UPDATE, {**UPDATE, "Id": 10**30}]},
            "Request.Updates[1].Id: expected a string, found a huge number",
        ),
        (
            invocation_input_from_wire,
            {"DurableExecutionArn": "a", "CheckpointToken": "t"},
            "InvocationInput.InitialExecutionState: expected an object, found null",
        ),
        (
            invocation_input_from_wire,
            {
                "DurableExecutionArn": "a",
                "CheckpointToken": "t",
                "InitialExecutionState": {"Operations": [OPERATION, 1]},
            },
            "InvocationInput.InitialExecutionState.Operations[1]: expected an object, found the "
            "number 1",
        ),
        (
            event_from_wire,
            {**EVENT, "StepFailedDetails": {"Error": {"Payload": {"StackTrace": [1]}}}},
            "Event (EventId 4).StepFailedDetails.Error.Payload.StackTrace[0]: expected a string, "
            "found the number 1",
        ),
        (
            event_from_wire,
            {**EVENT, "StepFailedDetails": {"RetryDetails": {"CurrentAttempt": None}, "Error": 0}},
            "Event (EventId 4).StepFailedDetails.Error: expected an object, found the number 0",
        ),
        (
            event_from_wire,
            {**EVENT, "EventType": ""},
            "Event (EventId 4).EventType: expected a string, found an empty string",
        ),
        (
            execution_record_from_wire,
            {"Status": 5},
            "Execution.Status: expected a string, found the number 5",
        ),
    ],
)
def test_a_wrong_shape_is_named_by_its_path(read: Read, wire: object, problem: str) -> None:
    with pytest.raises(WireError) as caught:
        read(wire)
    assert str(caught.value) == problem


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_detail_is_checked(kind: Kind) -> None:
    event_type, name = next(
        (event_type, name)
        for event_type, spec in sorted(EVENTS.items())
        for name, each in spec.fields.items()
        if each is kind
    )
    details = details_key(event_type)
    with pytest.raises(WireError) as caught:
        event_from_wire({**EVENT, "EventType": event_type, details: {name: [[]]}})
    assert caught.value.path == f"Event (EventId 4).{details}.{name}"


def test_the_place_in_a_list_is_in_the_path() -> None:
    with pytest.raises(WireError) as caught:
        events_from_wire([EVENT, {**EVENT, "Id": 1}], "page.Events")
    assert caught.value.path == "page.Events[1] (EventId 4).Id"


def test_a_long_value_is_clipped_in_the_error() -> None:
    with pytest.raises(WireError) as caught:
        error_from_wire("secret " * 1000)
    assert len(str(caught.value)) < 100


def test_a_control_character_is_escaped_in_the_error() -> None:
    with pytest.raises(WireError) as caught:
        error_from_wire({"StackTrace": "\x1b]0;x\x07\n"})
    assert str(caught.value).isprintable()


@given(wire=JSON | st.dictionaries(st.sampled_from(["EventType", "EventId", "Id", "Type"]), JSON))
@pytest.mark.parametrize(
    "read", [error_from_wire, operation_from_wire, update_from_wire, event_from_wire]
)
def test_any_json_is_read_or_refused(read: Read, wire: object) -> None:
    try:
        read(wire)
    except WireError as error:
        text = str(error)
    else:
        text = ""
    assert text == "" or text.isprintable()


# -- errors in events ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("details", "error"),
    [
        (None, None),
        ({}, None),
        ({"Error": None}, None),
        ({"Error": {"Truncated": True}}, None),
        ({"Error": {"Payload": {"ErrorMessage": "m"}}}, ErrorObject(message="m")),
    ],
)
def test_the_error_of_an_event_is_read(details: Any, error: ErrorObject | None) -> None:
    event = event_from_wire({**EVENT, "StepFailedDetails": details})
    assert error_of(event) == error


# -- timestamps ----------------------------------------------------------------------------------

MOMENT = datetime(2025, 12, 3, 22, 59, 40, 378000, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2025-12-03T22:59:40.378Z",
        "2025-12-03T22:59:40.378000+00:00",
        "2025-12-03T23:59:40.378+01:00",
        "2025-12-03 22:59:40.378000+00:00",
        "2025-12-03 22:59:40.378",
        "20251203T225940.378Z",
        1764802780.378,
        "1764802780.378",
        1764802780378,
        "1764802780378",
    ],
)
def test_every_form_of_a_timestamp_is_the_same_moment(value: object) -> None:
    moment = parse_timestamp(value)
    assert abs(moment - MOMENT) < timedelta(milliseconds=1)
    assert moment.tzinfo is UTC


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1_764_802_780, "2025-12-03T22:59:40.000Z"),
        (0, "1970-01-01T00:00:00.000Z"),
        (-1.5, "1969-12-31T23:59:58.500Z"),
        ("2025-12-03", "2025-12-03T00:00:00.000Z"),
        ("2025-12-03T22:59:40.378123Z", "2025-12-03T22:59:40.378123Z"),
    ],
)
def test_a_timestamp_is_written_in_utc(value: object, text: str) -> None:
    assert format_timestamp(parse_timestamp(value)) == text


@given(
    moment=st.datetimes(
        min_value=datetime(1, 1, 2),
        max_value=datetime(9999, 12, 30),
        timezones=st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m))),
    )
)
def test_a_moment_is_the_same_after_writing_and_reading(moment: datetime) -> None:
    assert parse_timestamp(format_timestamp(moment)) == moment
    assert parse_timestamp(moment.isoformat()) == moment
    assert parse_timestamp(str(moment)) == moment


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        [],
        {},
        "",
        "now",
        "2025-13-01",
        "T",
        "nan",
        float("nan"),
        float("inf"),
        "inf",
        1e300,
        10**400,
        -(10**400),
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
    ],
)
def test_what_is_no_timestamp_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_timestamp(value)
