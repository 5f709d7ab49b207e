"""The table of limits says who says so and when, and what AWS's sources dispute is marked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from durable_cli.app import run
from durable_core import DurableContext
from durable_core.errors import UsageError
from durable_core.explaining.explain import explain
from durable_core.history import history_of_events
from durable_core.limits import LIMITS, ServiceLimits, limit_rows
from durable_core.model import ExecutionStatus
from durable_core.simulation.simulate import simulate


async def echo(event: Any, ctx: DurableContext) -> Any:
    return event


async def fails(event: Any, ctx: DurableContext) -> None:
    async def bad(_: Any) -> None:
        raise ValueError("no")

    from durable_core import RetryPresets, StepConfig

    await ctx.step(bad, name="bad", config=StepConfig(retry_strategy=RetryPresets.none()))


def test_every_limit_has_a_source_and_a_date() -> None:
    rows = limit_rows()
    assert {row.key for row in rows} == set(ServiceLimits.__slots__)
    assert all(row.source and row.as_of for row in rows)
    disputed = {row.key: row.disputed for row in rows if row.disputed}
    assert set(disputed) == {"error_bytes", "callback_payload_bytes"}
    assert "262,144" in (disputed["error_bytes"] or "")
    assert "256 KB" in (disputed["callback_payload_bytes"] or "")


def large_error(folder: Path) -> Path:
    error = {"Payload": {"ErrorMessage": "x" * 30_000}}
    started = {"EventType": "StepStarted", "EventId": 1, "EventTimestamp": 1, "Id": "a"}
    details = {"Error": error, "RetryDetails": {}}
    ended = {"EventType": "StepFailed", "EventId": 2, "EventTimestamp": 1, "Id": "a"}
    path = folder / "large.json"
    path.write_text(json.dumps([started, {**ended, "StepFailedDetails": details}]))
    return path


def test_a_disputed_limit_is_marked_where_its_use_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    simulation = simulate(fails)
    report = explain(history_of_events("h", simulation.events))
    error = next(use for use in report.limits if use.key == "error_bytes")
    assert error.disputed == "262,144 in the runner of AWS's Go SDK"
    assert (error.source, error.as_of) == ("AWS's Python local runner 1.4.0 enforces it", "2026-11")
    fixtures = Path(__file__).parents[1] / "fixtures" / "histories"
    assert run(["replay", str(fixtures / "step_retries_exhausted.json"), "--width", "150"]) == 0
    assert "32,768 bytes, disputed (" in capsys.readouterr().out
    assert run(["replay", str(large_error(tmp_path)), "--width", "150"]) == 0
    assert "32,768 bytes (disputed: 262,144 in the runner of AWS's Go SDK)" in (
        capsys.readouterr().out
    )
    out = tmp_path / "out.json"
    source = str(fixtures / "callback_succeeded.json")
    assert run(["replay", source, "--format", "json", "-o", str(out)]) == 0
    limits = json.loads(out.read_text())["histories"][0]["limits"]
    assert all(each["source"] and each["as_of"] == "2026-11" for each in limits)


def test_whether_the_cap_counts_distinct_operations_is_said_by_who_comes_near() -> None:
    async def many(event: Any, ctx: DurableContext) -> None:
        for number in range(event):
            await ctx.step(lambda _: None, name=str(number))

    def note(count: int) -> str | None:
        report = explain(history_of_events("h", simulate(many, count).events))
        return next(use.note for use in report.limits if use.key == "operations")

    assert note(10) is None
    assert "distinct operations or metered ones" in (note(1_500) or "")


# -- synchronous and asynchronous starts ---------------------------------------------------------


@pytest.mark.parametrize(
    ("asynchronous", "limit"), [(False, LIMITS.input_bytes), (True, LIMITS.async_input_bytes)]
)
def test_an_input_is_refused_that_lambda_would_not_start_with(
    asynchronous: bool, limit: int
) -> None:
    async def ignores(event: Any, ctx: DurableContext) -> None:
        return None

    fits = simulate(ignores, "x" * (limit - 2), asynchronous=asynchronous)
    assert fits.status is ExecutionStatus.SUCCEEDED
    with pytest.raises(UsageError, match=f"the event has {limit + 1:,} bytes.*{limit:,}"):
        simulate(ignores, "x" * (limit - 1), asynchronous=asynchronous)


def test_the_bytes_of_an_input_are_those_of_its_utf8() -> None:
    with pytest.raises(UsageError, match="RequestTooLarge"):
        simulate(echo, "é" * (LIMITS.async_input_bytes // 2), asynchronous=True)


@pytest.mark.parametrize("length", [LIMITS.async_result_bytes - 2, LIMITS.async_result_bytes - 1])
def test_an_asynchronous_result_has_room_for_a_megabyte(length: int) -> None:
    async def large(event: Any, ctx: DurableContext) -> str:
        return "x" * length

    fits = length + 2 <= LIMITS.async_result_bytes
    ended = simulate(large, asynchronous=True)
    assert (ended.status is ExecutionStatus.SUCCEEDED) is fits
    if not fits:
        assert "less than or equal to 1048576 bytes" in str(ended.error)
    assert simulate(large).status is ExecutionStatus.SUCCEEDED


def test_an_asynchronous_result_that_is_checkpointed_is_refused_too() -> None:
    async def huge(event: Any, ctx: DurableContext) -> str:
        return "x" * LIMITS.response_bytes

    assert simulate(huge).status is ExecutionStatus.SUCCEEDED
    refused = simulate(huge, asynchronous=True)
    assert refused.status is ExecutionStatus.FAILED
    assert "1,048,576" in str(refused.error)


def test_the_invocation_type_is_an_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "h.py").write_text("async def handler(event, ctx):\n    return 1\n")
    event = tmp_path / "e.json"
    event.write_text(json.dumps("x" * 1_100_000))
    call = ["simulate", "--handler", f"{tmp_path / 'h.py'}:handler", "-e"]
    assert run([*call, str(event)]) == 0
    assert run([*call, str(event), "--invocation-type", "Event"]) == 2
    assert "Lambda refuses more than 1,048,576 in an asynchronous" in capsys.readouterr().err
    assert run([*call, "1", "--invocation-type", "Event"]) == 0
    assert "started asynchronously (Event)" in capsys.readouterr().out
