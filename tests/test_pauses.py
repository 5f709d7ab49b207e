"""Pauses of an execution: folded from events, explained, and no obstacle to a verification."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_cli.app import run
from durable_core.adapters.history_file import load_history
from durable_core.explaining.explain import explain
from durable_core.explaining.report import AtResume, Report
from durable_core.fold import fold
from durable_core.history import history_of_events
from durable_core.model import ExecutionStatus
from durable_core.wire import (
    events_from_wire,
    execution_record_from_wire,
    execution_record_to_wire,
)

FIXTURES = Path(__file__).parents[1] / "fixtures"
DAY = 86_400


def load(name: str, upto: int | None = None, record: dict[str, Any] | None = None) -> Report:
    history = load_history(str(FIXTURES / "histories" / f"{name}.json"))
    history = history_of_events("h", history.events[:upto])
    known = None if record is None else execution_record_from_wire(record)
    return explain(replace(history, execution=known), show_payloads=True)


def texts(report: Report) -> list[str]:
    return [reason.text for reason in report.reasons]


def at(seconds: float) -> str:
    return (datetime.fromisoformat("2026-03-02T09:00:00Z") + timedelta(seconds=seconds)).isoformat()


def events_of(*given: tuple[float, str, dict[str, Any]]) -> Sequence[Any]:
    raws = [
        {
            "EventType": kind,
            "EventId": number,
            "EventTimestamp": at(seconds),
            "Id": "x" if kind.startswith("Execution") else "1",
            f"{kind}Details": details,
        }
        for number, (seconds, kind, details) in enumerate(given, 1)
    ]
    return events_from_wire(raws)


STARTED = (0, "ExecutionStarted", {"Input": {"Payload": "{}"}, "ExecutionTimeout": DAY})


def paused(seconds: float, **details: Any) -> tuple[float, str, dict[str, Any]]:
    return (seconds, "ExecutionPaused", {"PauseRequestTimestamp": at(seconds), **details})


def resumed(seconds: float) -> tuple[float, str, dict[str, Any]]:
    return (seconds, "ExecutionResumed", {"ResumeRequestTimestamp": at(seconds)})


# -- folded --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pauses", "deadline"),
    [
        ([], DAY),
        ([paused(10), resumed(70)], DAY + 60),
        ([paused(10, ExecutionTimeoutPaused=False), resumed(70)], DAY),
        ([paused(10), resumed(70), paused(100), resumed(130)], DAY + 90),
        ([paused(10)], 366 * DAY),
        ([paused(10), resumed(70), paused(100, ExecutionTimeoutPaused=False)], DAY + 60),
        ([paused(10), resumed(366 * DAY - 5)], 366 * DAY),
    ],
)
def test_a_pause_extends_the_timeout_by_its_time_and_at_most_to_366_days(
    pauses: list[tuple[float, str, dict[str, Any]]], deadline: float
) -> None:
    facts = fold(events_of(STARTED, *pauses)).execution
    assert facts.deadline == datetime.fromisoformat(at(deadline))


def test_an_execution_that_has_ended_has_no_deadline_and_no_open_pause() -> None:
    facts = fold(events_of(STARTED, paused(10), (20, "ExecutionStopped", {}))).execution
    assert facts.status is ExecutionStatus.STOPPED
    assert (facts.deadline, facts.open_pause) == (None, None)
    assert facts.paused_seconds == 10


def test_what_the_service_completed_during_a_pause_is_kept_with_it() -> None:
    wait = (5, "WaitStarted", {"Duration": 20})
    folded = fold(events_of(STARTED, wait, paused(10), (25, "WaitSucceeded", {}), resumed(70)))
    (pause,) = folded.execution.pauses
    assert pause.completed == ("1",)
    assert pause.seconds(None) == 60
    assert folded.execution.status is ExecutionStatus.RUNNING


def test_a_resume_without_its_pause_changes_nothing_but_the_status() -> None:
    assert fold(events_of(STARTED, resumed(10))).execution.pauses == ()


# -- explained -----------------------------------------------------------------------------------


def test_a_paused_execution_says_since_when_why_and_what_comes_at_resume() -> None:
    head, deadline, resume, callback = texts(load("paused_execution", upto=6))
    assert head == (
        "the execution is paused since 2026-03-02T09:00:30.024Z (the payment provider is down): "
        "the function isn't invoked, while waits and callbacks still complete"
    )
    assert "it times out at 2027-03-03T09:00:00.004Z, 366 days after its start" in deadline
    assert resume.startswith("at resume it goes on waiting")
    assert 'Callback "approval"' in callback


def test_what_completed_while_paused_is_handed_over_at_resume() -> None:
    report = load("paused_execution", upto=7)
    assert report.at_resume is AtResume.INVOKES
    assert 'meanwhile Callback "approval" succeeded' in texts(report)
    assert any("at resume the function is invoked at once" in text for text in texts(report))


def test_a_pause_that_cut_an_invocation_short_lets_it_go_on_at_resume() -> None:
    report = load("running_paused")
    assert report.at_resume is AtResume.INVOKES
    assert report.paused_seconds == pytest.approx(60.008)
    assert any("which this pause doesn't extend" in text for text in texts(report))


def test_a_resumed_execution_says_how_long_it_was_paused_and_the_later_timeout() -> None:
    report = load("paused_execution", upto=9)
    assert (report.status, report.at_resume) == ("RUNNING", None)
    (pause,) = report.pauses
    assert (pause.seconds, pause.completed) == (pytest.approx(125.008), ("2",))
    assert pause.resume_reason == "it is up again"
    assert report.expected_timeout is not None
    assert report.expected_timeout.isoformat() == "2026-03-03T09:02:05.012000+00:00"


RECORD = {
    "Status": "PAUSED",
    "PauseDetails": {
        "PauseRequestTimestamp": "2026-03-02T09:00:10Z",
        "Reason": "by hand",
        "ExecutionTimeoutPaused": False,
    },
    "ExpectedExecutionTimeoutTimestamp": "2026-03-05T00:00:00Z",
}


def test_what_get_durable_execution_says_of_a_pause_is_used_where_no_event_does() -> None:
    report = load("paused_execution", upto=5, record=RECORD)
    assert (report.status, len(report.pauses)) == ("PAUSED", 1)
    assert "the execution is paused since 2026-03-02T09:00:10.000Z (by hand)" in texts(report)[0]
    assert report.expected_timeout == datetime.fromisoformat("2026-03-05T00:00:00Z")


def test_the_record_of_an_execution_is_written_as_it_was_read() -> None:
    record = execution_record_from_wire(RECORD)
    assert execution_record_from_wire(execution_record_to_wire(record)) == record


@pytest.mark.parametrize(
    ("status", "said"), [("PAUSING", "is being paused"), ("DELETING", "is being deleted")]
)
def test_an_execution_that_is_being_paused_or_deleted_says_so(status: str, said: str) -> None:
    upto = 5 if status == "PAUSING" else None
    report = load("paused_execution", upto=upto, record={"Status": status})
    assert report.status == status
    assert said in texts(report)[0]


def test_the_next_invocation_of_a_paused_execution_can_be_shown() -> None:
    history = load_history(str(FIXTURES / "histories" / "running_paused.json"))
    assert explain(history, invocation=2).rows[1].status == "SUCCEEDED"


def test_the_reason_of_a_pause_is_shown_to_who_asks_for_payloads(
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = str(FIXTURES / "histories" / "running_paused.json")
    for options, shown in (([], False), (["--show-payloads"], True)):
        assert run(["replay", source, *options]) == 0
        assert ("payment" in capsys.readouterr().out.replace("\n", " ")) is shown


def test_pauses_are_in_the_json(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    source = FIXTURES / "histories" / "running_paused.json"
    assert run(["replay", str(source), "--format", "json", "-o", str(out)]) == 0
    execution = json.loads(out.read_text())["histories"][0]["execution"]
    assert execution["pauses"] == [
        {
            "paused": "2026-03-02T09:00:00.028Z",
            "requested": "2026-03-02T09:00:00.017Z",
            "reason": None,
            "timeout_paused": False,
            "resumed": None,
            "resume_reason": None,
            "seconds": 60.008,
            "completed": ["2"],
        }
    ]
    assert execution["at_resume"] == "invokes"
    assert execution["expected_timeout"] == "2026-03-03T09:00:00.004Z"


@pytest.mark.parametrize(
    "details",
    [{"Reason": "text"}, {"PauseRequestTimestamp": []}, {"ExecutionTimeoutPaused": 1}],
)
def test_details_of_a_pause_that_are_of_a_wrong_type_are_one_line(
    tmp_path: Path, details: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    event = {"EventType": "ExecutionPaused", "EventId": 1, "EventTimestamp": 1}
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"Events": [{**event, "ExecutionPausedDetails": details}]}))
    good = FIXTURES / "histories" / "running_paused.json"
    assert run(["replay", str(bad), str(good)]) == 2
    shown = capsys.readouterr()
    assert "ExecutionPausedDetails" in shown.err
    assert "running-paused" in shown.out
