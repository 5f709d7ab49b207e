"""The report of `durable simulate` as a document, described in docs/json.md.

Never changes meaning within a schema version: fields are only added.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from durable_cli.render_cost import cost_object, nesting_objects
from durable_cli.render_json import (
    limit_objects,
    metering_object,
    pause_object,
    row_identity,
)
from durable_cli.simulation_runs import SimulationRuns
from durable_core.events import format_timestamp
from durable_core.explaining.costs import Cost
from durable_core.model import ErrorObject
from durable_core.native.journal import Note
from durable_core.service.faults import Fault
from durable_core.simulation.crash_runs import CrashReport, fault_text
from durable_core.simulation.determinism import DeterminismReport, RunDifference
from durable_core.simulation.findings import SdkFinding
from durable_core.simulation.outcome import WaitingFor
from durable_core.simulation.races import RaceReport
from durable_core.simulation.report import InvocationBlock, OperationTimeline, SimulationReport
from durable_core.wire import error_to_wire

SCHEMA: Final = "durable.simulate/1"


def as_document(
    runs: SimulationRuns, report: SimulationReport, cost: Cost | None = None
) -> dict[str, Any]:
    """Return the report as the JSON document of `--format json`.

    `cost` is what the execution costs, where there are prices.
    """
    priced = {} if cost is None else {"cost": cost_object(cost)}
    simulation, totals = report.simulation, report.totals
    return {
        "schema": SCHEMA,
        "handler": runs.spec,
        "runtime": runs.runtime,
        "sdk_version": runs.sdk_version,
        "isolated": runs.isolated,
        "seed": simulation.seed,
        "interleaving": simulation.interleaving,
        "execution": {
            "arn": simulation.arn,
            "status": simulation.status.value,
            "stopped": simulation.stopped.value,
            "invocation_type": "Event" if simulation.asynchronous else "RequestResponse",
            "result": simulation.result,
            "error": _error(simulation.error),
            "began": _moment(simulation.began),
            "ended": _moment(simulation.ended),
            "virtual_seconds": simulation.virtual_seconds,
            "real_seconds": round(runs.real_seconds, 6),
            "pauses": [pause_object(pause) for pause in report.explained.pauses],
        },
        "invocations": [_block_document(block, report) for block in report.invocations],
        "operations": [_story_document(story) for story in report.stories],
        "totals": {name: getattr(totals, name) for name in totals.__slots__},
        "metering": metering_object(report.explained.metering),
        "limits": limit_objects(report.limits),
        "nesting": nesting_objects(report.explained, cost),
        **priced,
        "waiting_for": [_wanted_document(each) for each in simulation.waiting_for],
        "unanswered": [_wanted_document(each) for each in simulation.unanswered],
        "unused": list(simulation.unused),
        "rejected": list(report.rejected),
        "findings": [_finding_document(finding) for finding in report.findings],
        "crashes": _crashes_document(runs.crashes),
        "determinism": _determinism_document(runs.determinism),
        "races": _races_document(runs.races),
        "not_scheduled": list(simulation.unscheduled),
        "not_checked": runs.skipped,
    }


def _wanted_document(wanted: WaitingFor) -> dict[str, Any]:
    return {
        "operation_id": wanted.operation.id,
        "operation": wanted.label,
        "scenario": wanted.snippet,
    }


def _moment(moment: datetime) -> str:
    return format_timestamp(moment)


def _error(error: ErrorObject | None) -> dict[str, Any] | None:
    return None if error is None else error_to_wire(error)


def _block_document(block: InvocationBlock, report: SimulationReport) -> dict[str, Any]:
    record = block.record
    return {
        "number": record.number,
        "request_id": record.request_id,
        "began": _moment(record.began),
        "seconds": block.seconds,
        "began_because": record.began_because,
        "handed_operations": record.handed_operations,
        "did": {
            doing.value: [_note_document(note, report) for note in notes]
            for doing, notes in block.did.items()
        },
        "requests": [
            {
                "updates": request.operations,
                "estimated_bytes": request.estimated_bytes,
                "cut": request.cut.value,
                "sends": request.sends,
                "refused": request.refused,
            }
            for request in record.requests
        ],
        "end": record.end.value,
        "ended_because": record.ended_because,
        "error": _error(record.error),
    }


def _note_document(note: Note, report: SimulationReport) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "position": report.position(note),
        "operation_id": note.id,
        "type": note.type,
        "sub_type": note.sub_type,
        "name": note.name,
    }
    if note.attempt is not None:
        shown["attempt"] = note.attempt
    if note.size is not None:
        shown["bytes"] = note.size
    return shown


def _story_document(story: OperationTimeline) -> dict[str, Any]:
    row = story.row
    return {
        **row_identity(row),
        "payload_bytes": row.payload_bytes,
        "stripped": row.is_stripped,
        "whole_bytes": story.stripped_bytes,
        "completion_reason": row.completion_reason,
        "error": _error(row.error),
        "in_invocations": {doing.value: list(each) for doing, each in story.happened.items()},
    }


def _finding_document(finding: SdkFinding) -> dict[str, Any]:
    return {
        "kind": finding.kind.value,
        "severity": "rejected" if finding.rejected else "notice",
        "problem": finding.problem,
        "position": finding.position,
        "operation_id": finding.operation_id or None,
        "type": finding.type,
        "sub_type": finding.sub_type,
        "name": finding.name,
        "invocation": finding.invocation,
    }


def _fault_document(fault: Fault) -> dict[str, Any]:
    return {
        "kind": fault.kind.value,
        "invocation": fault.invocation,
        "checkpoint": fault.checkpoint,
        "times": fault.times,
    }


def _crashes_document(report: CrashReport | None) -> dict[str, Any] | None:
    if report is None:
        return None
    return {
        "mode": report.mode.value,
        "runs": report.runs,
        "failures": [
            {
                "fault": _fault_document(failure.fault),
                "where": fault_text(failure.fault),
                "problems": list(failure.problems),
            }
            for failure in report.failures
        ],
    }


def _determinism_document(report: DeterminismReport | None) -> dict[str, Any] | None:
    if report is None:
        return None
    return {
        "runs": report.runs,
        "differences": [_difference_document(each) for each in report.differences],
        "warnings": [_difference_document(each) for each in report.warnings],
        "unclear": list(report.unclear),
    }


def _difference_document(found: RunDifference) -> dict[str, Any]:
    return {
        "run": found.run,
        "operation": found.operation,
        "problem": found.how,
        "fed_by": [source.value for source in found.fed_by],
        "reads": [
            {"function": read.function, "file": read.file, "line": read.line}
            for read in found.reads
        ],
    }


def _races_document(report: RaceReport | None) -> dict[str, Any] | None:
    if report is None:
        return None
    return {
        "interleavings": report.interleavings,
        "races": [
            {"interleaving": each.interleaving, "operation": each.operation, "problem": each.how}
            for each in report.races
        ],
        "unclear": list(report.unclear),
        "not_scheduled": list(report.unscheduled),
    }
