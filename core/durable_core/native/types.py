"""What the bodies of steps, checks and submitters are handed."""

from __future__ import annotations

from durable_core.frozen import dataclass
from durable_core.native.logger import Logger


@dataclass(frozen=True, slots=True)
class StepContext:
    """Of a step. `attempt` counts from 1."""

    logger: Logger
    attempt: int


@dataclass(frozen=True, slots=True)
class WaitForConditionCheckContext:
    """Of a check of a wait_for_condition. `attempt` counts from 1."""

    logger: Logger
    attempt: int


@dataclass(frozen=True, slots=True)
class WaitForCallbackContext:
    """Of the submitter of a wait_for_callback."""

    logger: Logger


@dataclass(frozen=True, slots=True)
class ExecutionContext:
    """What is true of the whole execution."""

    durable_execution_arn: str
