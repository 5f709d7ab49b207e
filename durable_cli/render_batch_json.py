"""The report of `durable inspect-batch` as a document, described in docs/json.md.

Never changes meaning within a schema version: fields are only added.
"""

from __future__ import annotations

from typing import Any, Final

from durable_core.batches.findings import Finding
from durable_core.batches.report import (
    BatchReport,
    Request,
    SdkComparison,
    StreamOrigin,
    WeighedUpdate,
)
from durable_core.model import OperationUpdate

SCHEMA: Final = "durable.inspect-batch/1"


def as_document(source: str, report: BatchReport) -> dict[str, Any]:
    """Return the report as the JSON document of `--format json`: requests and findings, of which
    there may be many, are made when they are written."""
    rules = report.rules
    return {
        "schema": SCHEMA,
        "source": source,
        "origin": report.origin.value,
        "reconstructed": report.origin is StreamOrigin.HISTORY,
        "fine": report.is_fine,
        "sdk": rules.sdk.value,
        "max_bytes": rules.max_bytes,
        "max_operations": rules.max_operations,
        "updates": report.updates,
        "operations": report.operations,
        "estimated_bytes": report.estimated_bytes,
        "exact_bytes": report.exact_bytes,
        "requests": (_request_document(request, rules.max_bytes) for request in report.requests),
        "largest_updates": [_weighed_document(item) for item in report.largest],
        "comparison": [_comparison_document(item) for item in report.comparison] or None,
        "findings": (_finding_document(finding) for finding in report.findings),
        "notes": list(report.notes),
    }


def _request_document(request: Request, max_bytes: int) -> dict[str, Any]:
    return {
        "number": request.number,
        "group": request.group,
        "first_update": request.first,
        "last_update": request.last,
        "updates": request.updates,
        "estimated_bytes": request.estimated_bytes,
        "exact_bytes": request.exact_bytes,
        "fill": round(request.exact_bytes / max_bytes, 6),
        "cut": request.cut.value,
    }


def _operation_document(update: OperationUpdate) -> dict[str, Any]:
    return {
        "operation_id": update.id,
        "type": update.type.value,
        "sub_type": update.sub_type,
        "name": update.name,
        "action": update.action.value,
    }


def _weighed_document(item: WeighedUpdate) -> dict[str, Any]:
    return {
        "update": item.number,
        **_operation_document(item.update),
        "payload_bytes": item.payload_bytes,
        "exact_bytes": item.exact_bytes,
        "estimates": {sdk.value: size for sdk, size in item.estimates.items()},
    }


def _comparison_document(item: SdkComparison) -> dict[str, Any]:
    return {
        "sdk": item.sdk.value,
        "requests": item.requests,
        "estimated_bytes": item.estimated_bytes,
        "exact_bytes": item.exact_bytes,
        "largest_request_bytes": item.largest_request_bytes,
        "most_underestimated_update": item.worst_under or None,
        "short_bytes": item.short_bytes,
        "stuck_updates": item.stuck,
    }


def _finding_document(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind.value,
        "severity": finding.severity.value,
        "problem": finding.problem,
        "size": finding.size,
        "limit": finding.limit,
        "unit": finding.unit,
        "update": finding.update or None,
        "request": finding.request or None,
        "operation": _operation_document(finding.operation) if finding.operation else None,
    }
