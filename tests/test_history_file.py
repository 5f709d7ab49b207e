"""Every shape in which a history occurs, and the one line that what is no history gets."""

import gzip
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_core.adapters.history_file import load_history
from durable_core.errors import SourceError
from durable_core.history import RecordedHistory
from durable_core.model import ExecutionStatus, OperationStatus
from durable_core.wire import event_to_wire

Load = Callable[..., RecordedHistory]
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:f:1/durable-execution/order-1/5f0c"


def event(event_id: int, event_type: str, **fields: Any) -> dict[str, Any]:
    return {
        "EventType": event_type,
        "EventId": event_id,
        "EventTimestamp": f"2026-11-02T10:00:{event_id % 60:02d}.000Z",
        **fields,
    }


def result(payload: str = '"ok"', **fields: Any) -> dict[str, Any]:
    return {"Result": {"Payload": payload, **fields}}


EVENTS = [
    event(1, "ExecutionStarted", Id="e", ExecutionStartedDetails={"Input": {"Payload": "{}"}}),
    event(2, "ContextStarted", Id="c", Name="outer", SubType="RunInChildContext"),
    event(3, "StepStarted", Id="s", ParentId="c", Name="charge"),
    event(4, "StepSucceeded", Id="s", ParentId="c", StepSucceededDetails=result()),
    event(5, "ContextSucceeded", Id="c", ContextSucceededDetails=result()),
    event(6, "InvocationCompleted", InvocationCompletedDetails={"RequestId": "r"}),
    event(7, "ExecutionSucceeded", Id="e", ExecutionSucceededDetails=result()),
]
OPERATIONS = [
    {"Id": "e", "Type": "EXECUTION", "Status": "STARTED", "StartTimestamp": 1_764_802_780},
    {"Id": "s", "Type": "STEP", "Status": "SUCCEEDED", "StartTimestamp": 1_764_802_780.5},
]
UPDATES = [{"Id": "s", "Type": "STEP", "Action": "SUCCEED", "Payload": "1"}]
INVOCATION_INPUT = {
    "DurableExecutionArn": ARN,
    "CheckpointToken": "t",
    "InitialExecutionState": {"Operations": OPERATIONS, "NextMarker": ""},
    "UpdatedOperationIds": ["s"],
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("histories") / "history"


@pytest.fixture(scope="module")
def load(source: Path) -> Load:
    """Return a function that writes documents one after another and loads what it wrote."""

    def load(*documents: Any, separator: str = "\n", gzipped: bool = False) -> RecordedHistory:
        data = separator.join(json.dumps(each) for each in documents).encode()
        source.write_bytes(gzip.compress(data) if gzipped else data)
        return load_history(str(source))

    return load


@pytest.fixture(scope="module")
def problem_of(load: Load, source: Path) -> Callable[..., str]:
    """Return a function that loads documents and returns the error without the file's name."""

    def problem_of(*documents: Any) -> str:
        with pytest.raises(SourceError) as caught:
            load(*documents)
        line = str(caught.value)
        assert line.isprintable()
        assert line.startswith(f"{source}: ")
        return line.removeprefix(f"{source}: ")

    return problem_of


# -- shapes of events ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "documents",
    [
        [{"Events": EVENTS}],
        [EVENTS],
        [{"Events": EVENTS, "NextMarker": None, "ResponseMetadata": {"RetryAttempts": 0}}],
        [{"Events": EVENTS[:3], "NextMarker": "m"}, {"Events": EVENTS[3:]}],
        [{"Events": EVENTS[:4], "NextMarker": "m"}, {"Events": EVENTS[2:], "NextMarker": ""}],
        [{"Events": EVENTS[4:]}, {"Events": EVENTS[:4], "NextMarker": "m"}],
        [{"Events": EVENTS[::-1]}],
        [{"Events": EVENTS[:3:-1], "NextMarker": "m"}, {"Events": EVENTS[3::-1]}],
        [[{"Events": EVENTS[:3], "NextMarker": "m"}, {"Events": EVENTS[3:]}]],
        [EVENTS[:3], EVENTS[3:]],
        EVENTS,
    ],
    ids=[
        "GetDurableExecutionHistory",
        "a bare list",
        "boto3's answer",
        "pages",
        "overlapping pages",
        "pages out of order",
        "ReverseOrder",
        "ReverseOrder pages",
        "a list of pages (jq -s)",
        "bare lists",
        "JSON lines of events",
    ],
)
def test_every_shape_of_events_is_the_same_history(load: Load, documents: list[Any]) -> None:
    history = load(*documents)
    assert [each.event_id for each in history.events] == [1, 2, 3, 4, 5, 6, 7]
    assert history == load({"Events": EVENTS})
    assert history.warnings == ()
    assert history.operations is None


@given(data=st.data(), gzipped=st.booleans(), separator=st.sampled_from(["", "\n", " \r\n"]))
def test_order_paging_and_packing_do_not_matter(
    load: Load, data: st.DataObject, gzipped: bool, separator: str
) -> None:
    order = data.draw(st.permutations(EVENTS + data.draw(st.lists(st.sampled_from(EVENTS)))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=3)))
    bounds = [0, *cuts, len(order)]
    pages = [{"Events": order[a:b]} for a, b in pairwise(bounds)]
    assert load(*pages, gzipped=gzipped, separator=separator) == load(EVENTS)


def test_the_events_are_kept_as_they_were(load: Load) -> None:
    assert [event_to_wire(each) for each in load(EVENTS).events] == EVENTS


@pytest.mark.parametrize("document", [[], {"Events": []}, {"Events": None}])
def test_no_events_are_a_history(load: Load, document: object) -> None:
    history = load(document)
    assert history.events == ()
    assert history.warnings == ()
    assert history.has_execution_data


def test_the_source_is_named_as_the_user_named_it(load: Load, source: Path) -> None:
    assert load(EVENTS).source == str(source)


# -- what stands beside the events ---------------------------------------------------------------

RECORD = {
    "DurableExecutionArn": ARN,
    "DurableExecutionName": "order-1",
    "FunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:f:1",
    "Version": "1",
    "Status": "FAILED",
    "InputPayload": "{}",
    "Error": {"ErrorMessage": "no", "ErrorType": "E"},
    "StartTimestamp": 1_764_802_780.25,
    "EndTimestamp": "2025-12-03 23:59:40+00:00",
    "TraceHeader": {"XAmznTraceId": "x"},
}


@pytest.mark.parametrize(
    "documents",
    [
        [{**RECORD, "Events": EVENTS}],
        [RECORD, {"Events": EVENTS}],
        [{"Events": EVENTS}, RECORD],
        [{**RECORD, "Events": EVENTS[:3], "NextMarker": "m"}, {**RECORD, "Events": EVENTS[3:]}],
    ],
    ids=["beside the events", "before them", "after them", "on every page"],
)
def test_what_get_durable_execution_says_is_read(load: Load, documents: list[Any]) -> None:
    history = load(*documents)
    assert history.arn == ARN
    assert history.execution is not None
    assert history.execution.name == "order-1"
    assert history.execution.status is ExecutionStatus.FAILED
    assert history.execution.error is not None
    assert history.execution.error.message == "no"
    assert history.execution.extra == {"TraceHeader": {"XAmznTraceId": "x"}}
    assert len(history.events) == 7


def test_a_status_of_the_future_is_kept(load: Load) -> None:
    execution = load({"Events": EVENTS, "Status": "FROZEN"}).execution
    assert execution is not None
    assert execution.status is None
    assert execution.extra == {"Status": "FROZEN"}


def test_an_arn_alone_is_no_record(load: Load) -> None:
    history = load({"Events": EVENTS, "DurableExecutionArn": ARN})
    assert history.arn == ARN
    assert history.execution is None


# -- shapes of a state ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "documents",
    [
        [{"Operations": OPERATIONS}],
        [{"Operations": OPERATIONS[:1], "NextMarker": "m"}, {"Operations": OPERATIONS[1:]}],
        [{"Operations": OPERATIONS}, {"Operations": OPERATIONS[1:]}],
        [OPERATIONS],
        OPERATIONS,
        [INVOCATION_INPUT],
        [{"CheckpointToken": "t", "NewExecutionState": {"Operations": OPERATIONS}}],
    ],
    ids=[
        "GetDurableExecutionState",
        "pages",
        "overlapping pages",
        "a bare list",
        "JSON lines of operations",
        "an invocation input",
        "CheckpointDurableExecution's answer",
    ],
)
def test_every_shape_of_a_state_is_read(load: Load, documents: list[Any]) -> None:
    history = load(*documents)
    assert history.operations is not None
    assert [each.id for each in history.operations] == ["e", "s"]
    assert history.operations[1].status is OperationStatus.SUCCEEDED
    assert history.events == ()
    assert history.warnings == ()


def test_an_invocation_input_tells_the_arn(load: Load) -> None:
    assert load(INVOCATION_INPUT).arn == ARN


def test_an_empty_state_is_read(load: Load) -> None:
    assert load({"Operations": []}).operations == ()


# -- what is missing is a warning ----------------------------------------------------------------


def test_pages_that_all_name_a_next_one_are_incomplete(load: Load) -> None:
    history = load({"Events": EVENTS, "NextMarker": "m"})
    assert history.warnings == (
        "incomplete: there are more history events, since every page here names a next one",
    )


def test_the_pager_of_the_aws_cli_names_it_differently(load: Load) -> None:
    assert load({"Operations": OPERATIONS, "NextToken": "t"}).warnings == (
        "incomplete: there are more operations of a state, since every page here names a next one",
    )


@pytest.mark.parametrize(
    ("events", "warning"),
    [
        (EVENTS[2:], "incomplete: 2 of the EventIds up to 7 are missing, the first is 1"),
        (
            EVENTS[:3] + EVENTS[4:],
            "incomplete: 1 of the EventIds up to 7 is missing, the first is 4",
        ),
        (
            [event(10**15, "ContextStarted", Id="c")],
            "incomplete: 999,999,999,999,999 of the EventIds up to 1,000,000,000,000,000 are "
            "missing, the first is 1",
        ),
    ],
)
def test_a_gap_in_the_event_ids_is_a_warning(
    load: Load, events: list[dict[str, Any]], warning: str
) -> None:
    assert load(events).warnings == (warning,)


def test_unknown_event_types_are_kept_and_named_once(load: Load) -> None:
    new = [event(8, "StepPaused", Id="s", StepPausedDetails={"Why": 1}), event(9, "StepPaused")]
    history = load([*EVENTS, *new, event(10, "AuditWritten")])
    assert history.events[7].extra == {"StepPausedDetails": {"Why": 1}}
    assert history.warnings == (
        "this version doesn't know event type AuditWritten: 1 event of it kept but not explained",
        "this version doesn't know event type StepPaused: 2 events of it kept but not explained",
    )


def test_a_history_without_payloads_is_told(load: Load) -> None:
    bare = [
        event(
            1, "ExecutionStarted", Id="e", ExecutionStartedDetails={"Input": {"Truncated": True}}
        ),
        event(2, "StepSucceeded", Id="s", StepSucceededDetails={}),
    ]
    history = load(bare)
    assert not history.has_execution_data
    assert history.warnings == (
        "no payloads: the history was fetched without IncludeExecutionData",
    )


def test_a_result_of_nothing_is_no_missing_payload(load: Load) -> None:
    history = load([*EVENTS[:3], event(4, "StepSucceeded", Id="s", StepSucceededDetails={})])
    assert history.has_execution_data
    assert history.warnings == ()


def test_a_payload_that_the_service_left_out_is_a_warning(load: Load) -> None:
    cut = event(4, "StepSucceeded", Id="s", StepSucceededDetails={"Result": {"Truncated": True}})
    history = load([*EVENTS[:3], cut])
    assert history.has_execution_data
    assert history.warnings == (
        "1 payload left out by the service (Truncated), the first at EventId 4",
    )


def test_ends_without_a_start_are_a_warning(load: Load) -> None:
    assert load([EVENTS[0], event(2, "WaitSucceeded", Id="w")]).warnings == (
        "1 operation without a start, the first is w at EventId 2",
    )


# -- what is no history --------------------------------------------------------------------------

EXPECTED = (
    'not a history: expected {"Events": [...]}, a list of events, {"Operations": [...]} or an '
    "invocation input, found "
)


@pytest.mark.parametrize(
    ("document", "found"),
    [
        (5, "the number 5"),
        (None, "null"),
        ("text", "the string 'text'"),
        ({}, "an empty object"),
        ({"a": 1, "b\n": 2}, r"an object with 'a', 'b\n'"),
        ({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}, "an object with 'a', 'b', 'c', 'd', ..."),
        ([1, 2], "a list that starts with the number 1"),
        ([[]], "a list that starts with a list of 0"),
        ([[], 1], "a list that starts with a list of 0"),
        ([{"a": 1}], "a list that starts with an object with 'a'"),
        ({"Status": "SUCCEEDED", "Result": "1"}, "an object with 'Status', 'Result'"),
        (UPDATES, "operation updates (`durable inspect-batch` reads them)"),
        ({"Updates": UPDATES}, "operation updates (`durable inspect-batch` reads them)"),
        (RECORD, "the answer of GetDurableExecution without any events"),
    ],
)
def test_other_json_is_said_to_be_no_history(
    problem_of: Callable[..., str], document: object, found: str
) -> None:
    assert problem_of(document) == EXPECTED + found


@pytest.mark.parametrize(
    ("documents", "problem"),
    [
        (
            [{"Events": EVENTS}, {"Operations": OPERATIONS}],
            "a mixture of history events and operations of a state: expected one kind",
        ),
        (
            [{"Events": EVENTS}, UPDATES],
            "a mixture of history events and operation updates: expected one kind",
        ),
        (
            [{"Events": EVENTS, "Operations": OPERATIONS}],
            "has both Events and Operations: expected one of them",
        ),
        (
            [
                {"Events": EVENTS[:2], "DurableExecutionArn": "arn:a"},
                {"Events": EVENTS[2:], "DurableExecutionArn": "arn:b"},
            ],
            "a mixture of two executions, arn:a and arn:b: expected one",
        ),
        ([{"Events": EVENTS}, 7], f"document 2: {EXPECTED}the number 7"),
    ],
)
def test_a_mixture_is_refused(
    problem_of: Callable[..., str], documents: list[Any], problem: str
) -> None:
    assert problem_of(*documents) == problem


# -- what is wrong in one place ------------------------------------------------------------------


def with_event(number: int, **changes: Any) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in {**each, **changes}.items() if value is not ...}
        if each["EventId"] == number
        else each
        for each in EVENTS
    ]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"Events": 3}, "Events: expected a list, found the number 3"),
        ({"Operations": {}}, "Operations: expected a list, found an object"),
        (
            {"InitialExecutionState": []},
            "InitialExecutionState: expected an object, found a list of 0",
        ),
        ([EVENTS[0], 7], "Events[1]: expected an object, found the number 7"),
        (
            with_event(4, EventId=...),
            "Events[3].EventId: expected a whole number from 1, found nothing",
        ),
        (
            with_event(4, EventId=0),
            "Events[3].EventId: expected a whole number from 1, found the number 0",
        ),
        (
            with_event(4, EventId=True),
            "Events[3].EventId: expected a whole number from 1, found true",
        ),
        (
            with_event(4, EventType=...),
            "Events[3] (EventId 4).EventType: expected a string, found nothing",
        ),
        (
            with_event(4, EventTimestamp=...),
            "Events[3] (EventId 4).EventTimestamp: expected a timestamp (ISO-8601 or epoch "
            "seconds), found nothing",
        ),
        (
            with_event(4, EventTimestamp="tomorrow"),
            "Events[3] (EventId 4).EventTimestamp: expected a timestamp (ISO-8601 or epoch "
            "seconds), found the string 'tomorrow'",
        ),
        (
            with_event(4, Name=["a"]),
            "Events[3] (EventId 4).Name: expected a string, found a list of 1",
        ),
        (
            with_event(4, StepSucceededDetails=[]),
            "Events[3] (EventId 4).StepSucceededDetails: expected an object, found a list of 0",
        ),
        (
            with_event(4, StepSucceededDetails={"Result": "x\x1b"}),
            "Events[3] (EventId 4).StepSucceededDetails.Result: expected an object, found the "
            r"string 'x\x1b'",
        ),
        (
            with_event(4, StepSucceededDetails={"Result": {"Payload": {}}}),
            "Events[3] (EventId 4).StepSucceededDetails.Result.Payload: expected a string, found "
            "an object",
        ),
        (
            {"Operations": [{**OPERATIONS[0], "Status": "LOST"}]},
            "Operations[0].Status: expected one of STARTED, PENDING, READY, SUCCEEDED, FAILED, "
            "CANCELLED, TIMED_OUT, STOPPED, found the string 'LOST'",
        ),
        (
            {"InitialExecutionState": {"Operations": [{"Id": "a", "Status": "STARTED"}]}},
            "InitialExecutionState.Operations[0].Type: expected a string, found nothing",
        ),
        (
            {"Events": EVENTS, "StartTimestamp": "soon"},
            "document.StartTimestamp: expected a timestamp (ISO-8601 or epoch seconds), found the "
            "string 'soon'",
        ),
    ],
)
def test_a_wrong_value_is_named_by_its_place(
    problem_of: Callable[..., str], document: object, problem: str
) -> None:
    assert problem_of(document) == problem


def test_a_wrong_value_on_a_later_page_names_the_page(problem_of: Callable[..., str]) -> None:
    assert problem_of({"Events": EVENTS[:3]}, {"Events": [{**EVENTS[3], "Id": 1}]}) == (
        "document 2: Events[0] (EventId 4).Id: expected a string, found the number 1"
    )


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        (
            [*EVENTS, event(3, "StepStarted", Id="other")],
            "EventId 3: two different events have this EventId (StepStarted and StepStarted): "
            "expected the pages of one execution",
        ),
        (
            [*EVENTS[:2], event(3, "StepSucceeded", Id="s"), event(4, "StepStarted", Id="s")],
            "EventId 4: StepStarted of s comes after its end, StepSucceeded at EventId 3",
        ),
        (
            with_event(4, EventTimestamp="2026-11-02T09:00:03.000Z"),
            "EventId 4: StepSucceeded of s is 3,600.000 s earlier than its start at EventId 3",
        ),
        (with_event(3, Id=...), "EventId 3: StepStarted without the Id of its operation"),
        (
            with_event(4, EventType="WaitSucceeded", StepSucceededDetails=...),
            "EventId 4: WaitSucceeded for operation s, which is a STEP since EventId 3",
        ),
        (
            with_event(4, ParentId="d"),
            "EventId 4: operation s has the parent d here and c at EventId 3",
        ),
        (with_event(3, ParentId="s"), "EventId 4: operation s has the parent c here and s at "),
        (
            [event(1, "ContextStarted", Id="a", ParentId="a")],
            "EventId 1: a parent cycle: a is in a",
        ),
        (
            [
                event(number, "ContextStarted", Id=child, ParentId=parent)
                for number, (child, parent) in enumerate(
                    [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "b")], 1
                )
            ],
            "EventId 2: a parent cycle: b is in c is in d is in e is in b",
        ),
    ],
)
def test_what_cannot_have_happened_is_named_by_its_event_id(
    problem_of: Callable[..., str], events: list[dict[str, Any]], problem: str
) -> None:
    assert problem_of(events).startswith(problem)


@pytest.mark.parametrize(
    ("operations", "problem"),
    [
        (
            [*OPERATIONS, {**OPERATIONS[1], "Name": "x"}],
            "two different operations have the Id s",
        ),
        (
            [{**OPERATIONS[1], "EndTimestamp": 1_764_802_770}],
            "operation s ends 10.500 s before it starts",
        ),
        (
            [{**OPERATIONS[0], "ParentId": "s"}, {**OPERATIONS[1], "ParentId": "e"}],
            "a parent cycle: e is in s is in e",
        ),
    ],
)
def test_a_state_that_cannot_be_is_refused(
    problem_of: Callable[..., str], operations: list[dict[str, Any]], problem: str
) -> None:
    assert problem_of({"Operations": operations}) == problem


@pytest.mark.parametrize("depth", [900, 1_000, 1_020])
def test_nesting_that_is_read_breaks_nothing_later(source: Path, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    source.write_text(deep)
    with pytest.raises(SourceError, match="a list that starts with a list of 1"):
        load_history(str(source))
    # A repeated event is compared with the first one, as deep as it goes.
    new = f'{{"EventType": "New", "EventId": 1, "EventTimestamp": 0, "X": {deep}}}'
    source.write_text(f"[{new}, {new}]")
    try:
        events = load_history(str(source)).events
    except SourceError as error:
        line = str(error)
    else:
        line = f"{len(events)} event"
    assert line.endswith(("1 event", "nested too deeply: expected a history or updates"))


# -- what is fine --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "events",
    [
        [event(1, "StepStarted", Id="s", ParentId="nowhere")],
        [
            event(1, "StepFailed", Id="s", StepFailedDetails={"RetryDetails": {
                "CurrentAttempt": 1, "NextAttemptDelaySeconds": 5}}),
            event(2, "StepStarted", Id="s"),
        ],
        [
            event(1, "StepSucceeded", Id="s", SubType="WaitForCondition"),
            event(2, "StepStarted", Id="s", SubType="WaitForCondition"),
        ],
        [event(1, "ContextStarted", Id="c"), {
            **event(2, "ContextSucceeded", Id="c"), "EventTimestamp": "2026-11-02T09:59:57Z"}],
        [event(1, "ContextSucceeded", Id="c"), event(2, "StepSucceeded", Id="s")],
        [event(1, "StepStarted", Id="s", ParentId="c"), event(2, "StepSucceeded", Id="s")],
        [event(1, "ExecutionStarted"), event(2, "ExecutionStopped")],
    ],
    ids=[
        "a parent that isn't there",
        "a retry of a step whose first start wasn't sent",
        "a poll of a condition",
        "an end within the skew of the clocks",
        "an end without the start that only some types need",
        "a parent that only one event names",
        "execution events without an Id",
    ],
)  # fmt: skip
def test_what_can_have_happened_is_read(load: Load, events: list[dict[str, Any]]) -> None:
    data_warning = "no payloads: the history was fetched without IncludeExecutionData"
    assert set(load(events).warnings) <= {data_warning}


def test_an_end_before_its_start_is_read_where_events_are_missing(load: Load) -> None:
    history = load([event(7, "WaitSucceeded", Id="w"), event(9, "WaitStarted", Id="w")])
    assert [each.split(":")[0] for each in history.warnings] == ["incomplete"]


def test_a_chain_of_a_hundred_thousand_parents_is_read(load: Load) -> None:
    count = 100_000
    events = [
        event(number, "ContextStarted", Id=str(number), ParentId=str(number + 1))
        for number in range(1, count + 1)
    ]
    assert len(load(events).events) == count
