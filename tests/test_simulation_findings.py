"""Where AWS's SDK is seen to do otherwise than our rules say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aws_durable_execution_sdk_python")

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import (
    ChildConfig,
    CompletionConfig,
    Duration,
    MapConfig,
    NestingType,
)
from aws_durable_execution_sdk_python.serdes import SerDes

from durable_cli.app import run as run_cli
from durable_core import DurableContext as NativeContext
from durable_core import MapConfig as NativeMapConfig
from durable_core.limits import LIMITS, ServiceLimits
from durable_core.native.journal import Activity
from durable_core.runtimes.aws_python.runner import AwsSdkRunner
from durable_core.simulation.findings import FindingKind, SdkFinding
from durable_core.simulation.outcome import Simulation
from durable_core.simulation.report import report_of
from durable_core.simulation.simulate import simulate

pytestmark = pytest.mark.usefixtures("quiet")

SDK = version("aws-durable-execution-sdk-python")
HOUR = Duration.from_hours(1)


class Utf8(SerDes[Any]):
    """Writes characters as they are, where the SDK's own form escapes all but ASCII."""

    def serialize(self, value: Any, _: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    def deserialize(self, data: str, _: Any) -> Any:
        return json.loads(data)


def run(handler: Callable[..., Any], limits: ServiceLimits = LIMITS) -> Simulation:
    """Run a handler of AWS's SDK to the end of its execution."""
    return simulate(AwsSdkRunner(handler), limits=limits)


def findings(simulation: Simulation) -> list[SdkFinding]:
    """Return the findings of its report."""
    return list(report_of(simulation).findings)


def child(value: object, serdes: SerDes[Any] | None = None) -> Callable[..., Any]:
    """Return a handler with one child context that returns the value."""

    @durable_execution
    def handler(_event: object, context: DurableContext) -> None:
        context.run_in_child_context(
            lambda _: value, name="report", config=ChildConfig(serdes=serdes)
        )
        context.wait(HOUR)

    return handler


# -- what is stripped --------------------------------------------------------------------------


def test_a_stripped_result_is_noted_with_its_size_as_it_was_serialized() -> None:
    simulation = run(child("漢" * 100_000))
    (note,) = simulation.invocations[0].did(Activity.STRIPPED)
    assert note.size == 600_002  # the SDK's own form escapes: six ASCII characters each
    assert findings(simulation) == []


def test_characters_below_the_limit_that_are_bytes_over_it_are_sent_whole_and_refused() -> None:
    (finding,) = findings(run(child("漢" * 100_000, Utf8())))
    assert (finding.kind, finding.position, finding.name) == (
        FindingKind.NOT_STRIPPED,
        "1",
        "report",
    )
    assert finding.rejected
    assert finding.problem == (
        "its result was sent whole, 100,002 characters, though they are 300,002 bytes of UTF-8, "
        "over 262,144"
    )


def test_a_result_that_the_service_would_take_whole_is_stripped_all_the_same() -> None:
    limits = replace(LIMITS, payload_bytes=400_000)
    (finding,) = findings(run(child("x" * 300_000), limits))
    assert (finding.kind, finding.rejected) == (FindingKind.STRIPPED_SMALL, False)
    assert "300,002 of 400,000 bytes are fine" in finding.problem


def test_a_summary_over_the_limit_is_refused() -> None:
    config = ChildConfig(summary_generator=lambda _: "s" * 300_000)

    @durable_execution
    def handler(_event: object, context: DurableContext) -> None:
        context.run_in_child_context(lambda _: "x" * 400_000, config=config)

    (finding,) = findings(run(handler))
    assert (finding.kind, finding.rejected) == (FindingKind.SUMMARY_TOO_LARGE, True)
    assert "a summary of 300,000 bytes, over 262,144" in finding.problem


# -- what a summary keeps, and what is rebuilt -------------------------------------------------


def batch(nesting: NestingType, unit: Callable[..., Any], items: int = 3) -> Callable[..., Any]:
    """Return a handler whose map is stripped and rebuilt."""
    config = MapConfig(
        max_concurrency=1,
        nesting_type=nesting,
        completion_config=CompletionConfig(tolerated_failure_count=items),
    )

    @durable_execution
    def handler(_event: object, context: DurableContext) -> None:
        context.map(range(items), unit, name="pages", config=config)
        context.wait(HOUR)

    return handler


def page(_context: DurableContext, item: int, _index: int, _items: object) -> str:
    if item == 3:
        raise ValueError("no such page")
    return "x" * 140_000


def test_the_summary_of_flat_units_has_no_names() -> None:
    found = findings(run(batch(NestingType.FLAT, page)))
    (first, *others) = found
    assert (first.kind, first.position) == (FindingKind.SUMMARY_LACKS, "1")
    if SDK < "2":
        assert first.problem == "its summary says of no unit how it ended"
        assert [each.kind for each in others] == [FindingKind.REBUILT_OTHERWISE]
        assert others[0].problem == (
            "what a replay rebuilds isn't what was stripped: unit 0 is STARTED, and was SUCCEEDED, "
            "and 2 more differ"
        )
    else:
        assert first.problem == "its summary doesn't keep the names of its units"
        assert others == []


@pytest.mark.skipif(SDK < "2", reason="its summary says nothing of units")
def test_the_summary_of_flat_units_does_not_tell_the_failed_ones() -> None:
    (finding,) = findings(run(batch(NestingType.FLAT, page, items=4)))
    assert finding.problem == (
        "its summary doesn't keep which of its units SUCCEEDED and which FAILED, nor their names"
    )


def test_nested_units_keep_all_of_it_in_operations_of_their_own() -> None:
    assert findings(run(batch(NestingType.NESTED, page, items=4))) == []


@pytest.mark.skipif(SDK < "2", reason="it doesn't serialize what it rebuilds")
def test_values_that_are_rebuilt_otherwise_are_told_with_their_sizes() -> None:
    made: list[str] = []

    def longer(_: object) -> str:
        made.append("x" * 300_000)
        return "".join(made)

    @durable_execution
    def handler(_event: object, context: DurableContext) -> None:
        context.run_in_child_context(longer, name="report")
        context.wait(HOUR)
        context.wait(HOUR)

    (finding,) = findings(run(handler))
    assert (finding.kind, finding.invocation) == (FindingKind.REBUILT_OTHERWISE, 2)
    assert "its values differ, in 600,002 bytes instead of 300,002" in finding.problem


def test_units_that_run_or_do_not_run_against_the_record_are_told() -> None:
    simulation = run(batch(NestingType.FLAT, page))
    if SDK < "2":
        pytest.skip("its units do not run again")
    last = simulation.invocations[-1]
    without = tuple(note for note in last.notes if note.name != "map-item-1")
    missed = replace(
        simulation, invocations=(*simulation.invocations[:-1], replace(last, notes=without))
    )
    (_, finding) = findings(missed)
    assert (finding.kind, finding.position) == (FindingKind.UNIT_NOT_RUN, "1.1")


async def native_pages(_event: object, context: NativeContext) -> None:
    async def unit(_context: NativeContext, item: int, _index: int, _items: object) -> str:
        if item == 3:
            raise ValueError("no such page")
        return "x" * 140_000

    await context.map(range(3), unit, name="pages", config=NativeMapConfig())


def test_the_native_runtime_keeps_our_rules() -> None:
    assert findings(simulate(native_pages)) == []


# -- as they are shown -------------------------------------------------------------------------

PROJECT = """
from aws_durable_execution_sdk_python import durable_execution
from aws_durable_execution_sdk_python.config import Duration, MapConfig, NestingType


@durable_execution
def handler(event, context):
    for name in ("spring", "autumn"):
        context.map(
            range(3),
            lambda each, item, index, items: "x" * 140_000,
            name=name,
            config=MapConfig(max_concurrency=1, nesting_type=NestingType.FLAT),
        )
    context.wait(Duration.from_hours(1))
"""


@pytest.mark.skipif(SDK < "2", reason="the wording of 3.0.0")
def test_a_difference_is_told_once_for_all_operations_and_does_not_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pages.py").write_text(PROJECT)
    call = ["simulate", "--handler", f"{tmp_path / 'pages.py'}:handler"]
    assert run_cli([*call, "--width", "200"]) == 0
    assert (
        '  SDK differs   Map "spring" (1) and 1 more, to 2: '
        "its summary doesn't keep the names of its units\n"
    ) in capsys.readouterr().out
    assert run_cli([*call, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["position"] for each in document["findings"]] == ["1", "2"]
    first = document["findings"][0]
    assert (first["kind"], first["severity"], first["invocation"]) == ("summary-lacks", "notice", 1)
