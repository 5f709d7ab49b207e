"""Every source of updates, and which one it was."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from durable_core.adapters.updates_file import UpdateStream, load_updates
from durable_core.errors import SourceError

UPDATES = [
    {"Id": "a", "Type": "STEP", "Action": "START", "Name": "charge"},
    {"Id": "a", "Type": "STEP", "Action": "SUCCEED", "Payload": "1"},
    {"Id": "b", "Type": "WAIT", "Action": "START", "WaitOptions": {"WaitSeconds": 5}},
]
REQUESTS = [
    {"DurableExecutionArn": "arn", "CheckpointToken": "t1", "Updates": UPDATES[:2]},
    {"DurableExecutionArn": "arn", "CheckpointToken": "t2", "Updates": UPDATES[2:], "New": 1},
]
EVENT = {"EventType": "StepStarted", "EventId": 1, "Id": "s", "EventTimestamp": 1_764_802_780}


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., UpdateStream]:
    def load(*documents: Any) -> UpdateStream:
        path = tmp_path / "updates"
        path.write_text("\n".join(map(json.dumps, documents)))
        return load_updates(str(path))

    return load


@pytest.mark.parametrize(
    "documents",
    [[UPDATES], UPDATES, [UPDATES[:1], UPDATES[1:]]],
    ids=["a list", "JSON lines", "lists"],
)
def test_bare_updates_came_in_no_requests(
    load: Callable[..., UpdateStream], documents: list[Any]
) -> None:
    stream = load(*documents)
    assert [(each.id, each.action) for each in stream.updates] == [
        ("a", "START"),
        ("a", "SUCCEED"),
        ("b", "START"),
    ]
    assert stream.updates[2].wait_seconds == 5
    assert stream.requests is None
    assert stream.history is None


@pytest.mark.parametrize("documents", [REQUESTS, [REQUESTS]], ids=["a stream", "a list"])
def test_requests_are_kept_as_they_were(
    load: Callable[..., UpdateStream], documents: list[Any]
) -> None:
    stream = load(*documents)
    assert stream.updates == load(UPDATES).updates
    assert stream.requests is not None
    assert [len(request.updates) for request in stream.requests] == [2, 1]
    assert stream.requests[0].checkpoint_token == "t1"
    assert stream.requests[1].extra == {"New": 1}


def test_one_request_is_a_stream_of_one(load: Callable[..., UpdateStream]) -> None:
    stream = load(REQUESTS[0])
    assert stream.requests is not None
    assert len(stream.requests) == 1


def test_an_empty_list_is_a_stream_without_updates(load: Callable[..., UpdateStream]) -> None:
    stream = load([])
    assert stream == UpdateStream(stream.source)


@pytest.mark.parametrize("document", [[EVENT], {"Events": [EVENT]}, {"Events": []}])
def test_a_history_is_handed_on(load: Callable[..., UpdateStream], document: object) -> None:
    stream = load(document)
    assert stream.updates == ()
    assert stream.requests is None
    assert stream.history is not None
    assert stream.history.source == stream.source


@pytest.mark.parametrize(
    ("documents", "problem"),
    [
        (
            [{"a": 1}],
            "not a stream of updates: expected a list of operation updates, "
            "CheckpointDurableExecution requests or a history, found an object with 'a'",
        ),
        (
            [[{**UPDATES[0], "Action": "PAUSE"}]],
            "Updates[0].Action: expected one of START, SUCCEED, FAIL, RETRY, CANCEL, found the "
            "string 'PAUSE'",
        ),
        (
            [REQUESTS[0], {"Updates": [{**UPDATES[0], "Id": ""}]}],
            "document 2: Request.Updates[0].Id: expected a string, found an empty string",
        ),
        (
            [REQUESTS[0], UPDATES],
            "a mixture of requests and bare updates: expected one kind",
        ),
        (
            [{"Events": [EVENT]}, UPDATES],
            "a mixture of history events and operation updates: expected one kind",
        ),
        (
            [[EVENT, {**EVENT, "EventId": 2, "EventType": "WaitStarted"}]],
            "EventId 2: WaitStarted for operation s, which is a STEP since EventId 1",
        ),
        ([{"Updates": {}}], "Updates: expected a list, found an object"),
    ],
)
def test_what_is_no_stream_is_one_line(
    load: Callable[..., UpdateStream], documents: list[Any], problem: str
) -> None:
    with pytest.raises(SourceError) as caught:
        load(*documents)
    assert str(caught.value) == f"{caught.value.source}: {problem}"
