"""Executions that ended because the service refused a request of updates."""

from __future__ import annotations

from typing import Final

from durable_core.fold import ExecutionFacts
from durable_core.model import ExecutionStatus

REFUSED: Final = (
    "the service refused a checkpoint, which ended the recorded execution: what the code asks for "
    "after the last recorded operation is not compared"
)


def ended_by_refusal(facts: ExecutionFacts) -> bool:
    """Return True when a runtime ended the execution since a request was refused.

    What the code asked for in that request isn't recorded then, nor what it asked for after it:
    AWS's Python SDK lets no handler catch it (`BackgroundThreadError`, 3.0.0), and the native
    runtime refuses every later update.
    """
    kind = (facts.error and facts.error.type) or ""
    is_failed = facts.status is ExecutionStatus.FAILED
    return is_failed and kind.rpartition(".")[2] == "CheckpointError"
