"""How many operations and how much data AWS meters for what an execution did. Pure.

One row of `METERING` holds what one kind of operation counts; everything that is composed of
several operations is the sum of its parts:

- `wait_for_callback`, "3 + retries", is its context, its callback, and each attempt of its
  submitter's step; "two copies of the callback's payload" are the callback's and the context's;
- `map` and `parallel`, "1 + units", are their own context and that of each NESTED unit; "up to two
  copies of each unit's result" are the unit's and the one in the result of the map or parallel,
  which a stripped result lacks.

What is metered is what was recorded: an attempt or a poll counts from the moment it began, and a
scheduled retry that hasn't begun doesn't count yet. Data are the UTF-8 bytes of payloads, and the
JSON of error objects, which are what a failed attempt writes.

Source: the table of metered operations in AWS's developer guide for durable functions, 2026-11.
What that leaves open is said by the constants below, with how it is counted here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from durable_core.fold import AttemptEnd, Recorded
from durable_core.frozen import dataclass
from durable_core.invocations import RecordedInvocation
from durable_core.model import OperationStatus, OperationType, SubType, Word
from durable_core.sizes import error_bytes


class MeteredKind(Word):
    """What AWS's table tells apart, as far as it isn't composed of other kinds."""

    EXECUTION = "execution"
    STEP = "step"
    WAIT_FOR_CONDITION = "wait-for-condition"
    WAIT = "wait"
    CALLBACK = "callback"
    CONTEXT = "context"
    CHAINED_INVOKE = "chained-invoke"
    INVOCATION_RETRY = "invocation-retry"


@dataclass(frozen=True, slots=True)
class MeteringRule:
    """What one kind counts: operations once, operations for each attempt or poll, and its data.

    `data` says which payloads count; empty: none do.
    """

    operations: int
    per_attempt: int
    data: str


METERING: Final[Mapping[MeteredKind, MeteringRule]] = MappingProxyType(
    {
        MeteredKind.EXECUTION: MeteringRule(1, 0, "input; output or error"),
        # "1 + retries" is one for each attempt. The promise helpers of JavaScript are steps.
        MeteredKind.STEP: MeteringRule(0, 1, "payload or error of each attempt"),
        MeteredKind.WAIT_FOR_CONDITION: MeteringRule(1, 1, "payload or error of each poll"),
        MeteredKind.WAIT: MeteringRule(1, 0, ""),
        MeteredKind.CALLBACK: MeteringRule(1, 0, "payload or error that completed it"),
        MeteredKind.CONTEXT: MeteringRule(1, 0, "result or error"),
        MeteredKind.CHAINED_INVOKE: MeteringRule(1, 0, "input; result or error"),
        MeteredKind.INVOCATION_RETRY: MeteringRule(1, 0, "error of the failed invocation"),
    }
)

CHAINED_INVOKES_UNPUBLISHED: Final = (
    "how AWS meters chained invokes is not published: each is counted as 1 operation, with its "
    "input and its result"
)
FLAT_UNITS_UNPUBLISHED: Final = (
    "how AWS meters FLAT units is not published: they checkpoint nothing, so only the operations "
    "in them are counted"
)


@dataclass(frozen=True, slots=True)
class Metered:
    """What was metered: operations, and bytes of data written."""

    operations: int = 0
    bytes: int = 0


def metered_kind(each: Recorded) -> MeteredKind:
    """Return by which rule an operation is metered."""
    operation = each.operation
    if operation.type is OperationType.STEP and _is_condition(each):
        return MeteredKind.WAIT_FOR_CONDITION
    return MeteredKind[operation.type.name]


def _is_condition(each: Recorded) -> bool:
    """Tell whether a step is a wait_for_condition: some SDKs let users name the sub-type.

    Only a condition goes on to another attempt without having failed, and only a step after it has.
    """
    if _polls_that_go_on(each):
        return True
    retried = any(end.failed and end.retry_seconds is not None for end in each.ends)
    return each.operation.sub_type == SubType.WAIT_FOR_CONDITION and not retried


def _polls_that_go_on(each: Recorded) -> list[AttemptEnd]:
    return [end for end in each.ends if end.retry_seconds is not None and not end.failed]


def begun_attempts(each: Recorded) -> int:
    """Return how many attempts of a step, or polls, began: those that ended, and one that runs.

    A state document tells only by `Attempt` how many ended.
    """
    if not each.ends:
        return max(1, each.attempts)
    return len(each.ends) + (each.operation.status is OperationStatus.STARTED)


def lacks_data(each: Recorded) -> bool:
    """Tell whether the source leaves out a payload or an error that was metered.

    AWS's local runner (1.4.0) leaves out the payloads of polls that go on, without saying so.
    """
    if each.truncated or not each.ends:
        return each.truncated
    return any(end.payload is None for end in _polls_that_go_on(each))


def metered(each: Recorded, stored_bytes: int) -> Metered:
    """Return what an operation is metered; `stored_bytes` is all that was ever stored for it."""
    rule = METERING[metered_kind(each)]
    operations = rule.operations
    if rule.per_attempt:
        operations += rule.per_attempt * begun_attempts(each)
    return Metered(operations, stored_bytes if rule.data else 0)


def metered_execution(stored_bytes: int) -> Metered:
    """Return what the execution itself is metered, with so many bytes of input and output."""
    return Metered(METERING[MeteredKind.EXECUTION].operations, stored_bytes)


def metered_retries(invocations: Iterable[RecordedInvocation]) -> Metered:
    """Return what is metered for the invocations that failed and were tried again.

    `invocations` are those after which another one began.
    """
    failures = [each.error for each in invocations if each.error is not None]
    operations = METERING[MeteredKind.INVOCATION_RETRY].operations * len(failures)
    return Metered(operations, sum(error_bytes(failure) for failure in failures))
