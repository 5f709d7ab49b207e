"""What verifying came to as JSON, schema `durable.verify/1`; docs/json.md describes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from durable_core.errors import DurableError
from durable_core.verifying.verification import Inconclusive, Verification

if TYPE_CHECKING:
    from durable_cli.render_verify import Result

VERIFY_SCHEMA: Final = "durable.verify/1"


def verify_document(results: Iterable[Result], skipped: int) -> dict[str, Any]:
    """Return the document of `--format json`: every history of the call."""
    return {
        "schema": VERIFY_SCHEMA,
        "histories": [history_object(*each) for each in results],
        "skipped": skipped,
    }


def verify_line(source: str, outcome: Verification | DurableError) -> dict[str, Any]:
    """Return one line of `--format jsonl`: one history."""
    return {"schema": VERIFY_SCHEMA, **history_object(source, outcome)}


def history_object(source: str, outcome: Verification | DurableError) -> dict[str, Any]:
    """Return one history."""
    if isinstance(outcome, DurableError):
        from durable_cli.render_json import unread_history  # most can be read

        return unread_history(source, outcome)
    return {
        "source": outcome.source,
        "verdict": outcome.verdict.value,
        "this_execution": outcome.this_execution and outcome.this_execution.value,
        "execution": {
            "name": outcome.name,
            "function": outcome.function,
            "status": outcome.status,
            "operations": outcome.operations,
            "invocations": outcome.invocations,
        },
        "runtime": outcome.runtime,
        "compared": outcome.compared,
        "divergences": [asdict(each) for each in outcome.divergences],
        "more_divergences": outcome.more_divergences,
        "doubts": [_doubt(each) for each in outcome.doubts],
        "differences": [asdict(each) for each in outcome.differences],
        "notes": list(outcome.notes),
        "guard": outcome.guard or None,
        "guard_reason": outcome.guard_reason,
        "seconds": round(outcome.seconds, 6),
    }


def _doubt(doubt: Inconclusive) -> dict[str, Any]:
    return {"reason": doubt.reason, "remedy": doubt.remedy, "position": doubt.position}
