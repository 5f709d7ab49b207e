"""Reports of many operations are written piece by piece: the same text, in bounded memory."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from durable_cli.escapes import json_text
from durable_cli.held_text import HeldText, held_json, held_json_lines
from durable_cli.output import Output
from durable_cli.render_json import history_object, replay_document
from durable_core.adapters.history_file import load_history
from durable_core.adapters.json_pieces import json_pieces
from durable_core.explaining.explain import explain

DOCUMENTS: list[Any] = [
    {},
    {"a": 1, "b": [], "c": {"d": [1, {"e": None}]}},
    {"a": [{"b": [{"c": [1, 2]}, {}], "d": "e\nf"}, {"b": []}], "g": [[], [1]]},
    {"##[add-mask]": ["##[add-mask]", "\u202e\x7f::debug::", "é"]},
    {"a": [2**70, 1.5, "\ud800"]},
]


def lazy(value: Any) -> Any:
    """Return a document with a generator for each list that isn't below another object's key."""
    if isinstance(value, list):
        return (lazy(each) for each in value)
    if isinstance(value, dict):
        return {key: lazy(each) for key, each in value.items()}
    return value


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_in_pieces_is_the_same_text(document: Any) -> None:
    # Of an object without a list nothing inside is looked at: that is how rows stay fast.
    made = lazy(document) if not isinstance(document.get("c"), dict) else document
    assert "".join(held_json(made)) == json_text(document)


@pytest.mark.parametrize("document", DOCUMENTS[:4])
def test_lines_of_documents_in_pieces_are_the_same_text(document: Any) -> None:
    made = [document, *([lazy(document)] if "c" not in document else [])]
    lines = "\n".join(json_text(document, indent=False) for _ in made)
    assert "".join(held_json_lines(made)) == lines


@pytest.mark.parametrize("document", DOCUMENTS[1:2])
def test_a_recorded_document_in_pieces_is_what_json_makes_of_it(document: Any) -> None:
    made = {**document, "events": (each for each in [document, {}])}
    whole = {**document, "events": [document, {}]}
    assert "".join(json_pieces(made, partial(json.dumps, indent=2))) == json.dumps(whole, indent=2)


@pytest.mark.parametrize("pieces", [[], ["a"], ["a" * 200_000, "é\ud800" * 100_000, "b"]])
def test_a_text_that_is_held_is_read_as_often_as_one_likes(pieces: list[str]) -> None:
    held = HeldText(pieces)
    assert bool(held) == bool(pieces)
    assert "".join(held) == "".join(held) == "".join(pieces)


# -- memory --------------------------------------------------------------------------------------


def tiny_events(kind: str, many: int) -> Iterator[dict[str, Any]]:
    """Yield a history with as many operations as small as they can be."""
    parent: dict[str, str] = {}
    details = {"Input": {"Payload": "{}"}, "ExecutionTimeout": 60}
    yield event(1, "ExecutionStarted", ExecutionStartedDetails=details)
    for number in range(many):
        key = hashlib.blake2b(str(number).encode()).hexdigest()[:64]
        one: dict[str, Any] = {"Id": key, "SubType": "Step", **parent}
        if kind == "waits":
            one["SubType"] = "Wait"
            begun = {"Duration": 1, "ScheduledEndTimestamp": "2026-11-01T00:00:01Z"}
            yield event(2 * number + 2, "WaitStarted", WaitStartedDetails=begun, **one)
            yield event(
                2 * number + 3, "WaitSucceeded", WaitSucceededDetails={"Duration": 1}, **one
            )
        elif kind == "contexts" or (kind == "chain" and number < 300):
            one["SubType"] = "RunInChildContext"
            yield event(number + 2, "ContextStarted", ContextStartedDetails={}, **one)
            if kind == "chain" or not parent:
                parent = {"ParentId": key}
        else:
            done = {"Result": {"Payload": "1"}}
            yield event(2 * number + 2, "StepStarted", StepStartedDetails={}, **one)
            yield event(2 * number + 3, "StepSucceeded", StepSucceededDetails=done, **one)


def event(number: int, kind: str, **fields: Any) -> dict[str, Any]:
    at = f"2026-11-01T00:{number // 1000 % 60:02}:00.{number % 1000:03}Z"
    return {"EventType": kind, "EventId": number, "EventTimestamp": at, **fields}


@pytest.mark.parametrize("made", [held_json, lambda document: held_json_lines([document])])
@pytest.mark.parametrize("kind", ["steps", "waits", "contexts", "chain"])
def test_a_report_in_json_takes_less_memory_than_the_text_of_its_history(
    tmp_path: Path, kind: str, made: Callable[[Any], HeldText]
) -> None:
    source, to = tmp_path / "h.json", tmp_path / "report"
    source.write_text(json.dumps({"Events": list(tiny_events(kind, 3_000))}))
    report = explain(load_history(str(source)))
    Output(str(to)).write(made(replay_document([history_object(report, report.rows[:9])])))
    tracemalloc.start()
    try:
        text = made(replay_document([history_object(report, report.rows)]))
        Output(str(to), force=True).write(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < source.stat().st_size
    written = json.loads(to.read_text())
    history = written.get("histories", [written])[0]
    assert len(history["operations"]) == 3_000
