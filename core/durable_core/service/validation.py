"""What the service refuses in a checkpoint request, as tables of checks.

A check looks at one update against what is there and says what is wrong, or nothing. The messages
are the service's own as AWS's Python testing library 1.4.0 and the SDKs' issues quote them; where
none is known, they are worded alike, and the check says so. A violation of the service model
(botocore 1.44) is reported as AWS's API front end words it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from durable_core.frozen import dataclass
from durable_core.limits import ServiceLimits, payload_limit
from durable_core.model import (
    Operation,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
)
from durable_core.service.values import INVALID_PARAMETER, Refusal
from durable_core.sizes import error_bytes, utf8_bytes
from durable_core.transitions import MOVES, after

_START, _SUCCEED, _FAIL = OperationAction.START, OperationAction.SUCCEED, OperationAction.FAIL
_RETRY, _CANCEL = OperationAction.RETRY, OperationAction.CANCEL
_EXECUTION, _CONTEXT = OperationType.EXECUTION, OperationType.CONTEXT
_STEP, _WAIT, _CALLBACK = OperationType.STEP, OperationType.WAIT, OperationType.CALLBACK
_INVOKE = OperationType.CHAINED_INVOKE


@dataclass(slots=True)  # not frozen: one is made for every update, and that takes five times longer
class Proposal:
    """One update and all that a check may look at. Nothing changes it.

    `current` and `parent` are what the request has made of them so far. `earlier` is the last
    action that the same request took on the same operation. `operations` and `stored_bytes` count
    this update in. `index` counts from 1. `result_limit` is how many bytes the result of
    the execution may have, where that depends on how it was started.
    """

    update: OperationUpdate
    current: Operation | None
    parent: Operation | None
    earlier: OperationAction | None
    operations: int
    stored_bytes: int
    index: int
    limits: ServiceLimits
    result_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with an update. `size` and `limit` are set where something is too large."""

    message: str
    size: int | None = None
    limit: int | None = None


Check = Callable[[Proposal], Problem | None]

# -- the shape of a field (service model) ------------------------------------------------------

_ID: Final = re.compile(r"[a-zA-Z0-9\-_]+")
_NAME: Final = re.compile(r"[\x20-\x7E]+")
_TENANT: Final = re.compile(r"[a-zA-Z0-9._:/=+\-@ ]{1,256}")
_FUNCTION: Final = re.compile(
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?"
    r"(\d{12}:)?(function:)?([a-zA-Z0-9-_.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
_FUNCTION_LENGTH: Final = 256


def _violation(proposal: Proposal, value: object, field: str, constraint: str) -> Problem:
    return Problem(
        f"1 validation error detected: Value '{value}' at "
        f"'updates.{proposal.index}.member.{field}' "
        f"failed to satisfy constraint: Member must {constraint}"
    )


def _text_shape(
    proposal: Proposal, value: str | None, field: str, longest: int, pattern: re.Pattern[str]
) -> Problem | None:
    if value is None:
        return None
    if not value:
        return _violation(proposal, value, field, "have length greater than or equal to 1")
    if len(value) > longest:
        return _violation(proposal, value, field, f"have length less than or equal to {longest}")
    if pattern.fullmatch(value) is None:
        shown = f"satisfy regular expression pattern: {pattern.pattern}"
        return _violation(proposal, value, field, shown)
    return None


def _ids(proposal: Proposal) -> Problem | None:
    update, longest = proposal.update, proposal.limits.id_length
    return _text_shape(proposal, update.id, "id", longest, _ID) or _text_shape(
        proposal, update.parent_id, "parentId", longest, _ID
    )


def _names(proposal: Proposal) -> Problem | None:
    update, limits = proposal.update, proposal.limits
    return _text_shape(proposal, update.name, "name", limits.name_length, _NAME) or _text_shape(
        proposal, update.sub_type, "subType", limits.sub_type_length, _ID
    )


_SECONDS: Final = (
    ("next_attempt_delay_seconds", "stepOptions.nextAttemptDelaySeconds", False),
    ("wait_seconds", "waitOptions.waitSeconds", False),
    ("callback_timeout_seconds", "callbackOptions.timeoutSeconds", True),
    ("callback_heartbeat_seconds", "callbackOptions.heartbeatTimeoutSeconds", True),
)


def _in_range(proposal: Proposal, value: int, field: str, least: int, most: int) -> Problem | None:
    if value < least:
        return _violation(proposal, value, field, f"have value greater than or equal to {least}")
    if value > most:
        return _violation(proposal, value, field, f"have value less than or equal to {most}")
    return None


def _seconds(proposal: Proposal) -> Problem | None:
    limits = proposal.limits
    short, long = limits.wait_min_seconds, limits.wait_max_seconds
    for attribute, field, is_timeout in _SECONDS:
        value = getattr(proposal.update, attribute)
        if value is None:
            continue
        least, most = (0, limits.callback_timeout_seconds) if is_timeout else (short, long)
        problem = _in_range(proposal, value, field, least, most)
        if problem is not None:
            return problem
    return None


# -- where the update belongs ------------------------------------------------------------------


def _once_per_request(proposal: Proposal) -> Problem | None:
    if proposal.earlier is None:
        return None
    starts_and_moves = (
        proposal.update.type in (_STEP, _CONTEXT)
        and proposal.earlier is _START
        and proposal.update.action is not _START
    )
    if starts_and_moves:
        return None
    return Problem("Cannot checkpoint multiple operations with the same ID.")


def _parent(proposal: Proposal) -> Problem | None:
    # That a completed context takes no more children has no message that is known; the service
    # has one message for a parent that can't be one.
    if proposal.update.parent_id is None:
        return None
    parent = proposal.parent
    if parent is not None and parent.type is _CONTEXT and not parent.is_terminal:
        return None
    return Problem("Invalid parent operation id.")


def _same_operation(proposal: Proposal) -> Problem | None:
    update, current = proposal.update, proposal.current
    if current is None:
        return None
    if update.type is not current.type:
        return Problem("Inconsistent operation type.")
    if update.type is _EXECUTION:
        return None
    if update.sub_type is not None and update.sub_type != current.sub_type:
        return Problem("Inconsistent operation subtype.")
    if update.name is not None and update.name != current.name:
        return Problem("Inconsistent operation name.")
    if update.parent_id is not None and update.parent_id != current.parent_id:
        return Problem("Inconsistent parent operation id.")
    return None


# -- whether the move is legal -----------------------------------------------------------------

_ACTIONS: Final = frozenset((kind, action) for kind, _, action in MOVES)

_ILLEGAL_MOVE: Final = {
    (_STEP, _START): "Invalid current STEP state to start.",
    (_STEP, _SUCCEED): "Invalid current STEP state to close.",
    (_STEP, _FAIL): "Invalid current STEP state to close.",
    (_STEP, _RETRY): "Invalid current STEP state to re-attempt.",
    (_CONTEXT, _START): "Cannot start a CONTEXT that already exist.",
    (_CONTEXT, _SUCCEED): "Invalid current CONTEXT state to close.",
    (_CONTEXT, _FAIL): "Invalid current CONTEXT state to close.",
    (_WAIT, _START): "Cannot start a WAIT that already exist.",
    (_WAIT, _CANCEL): "Cannot cancel a WAIT that does not exist or has already completed.",
    (_CALLBACK, _START): "Cannot start a CALLBACK that already exist.",
    (_INVOKE, _START): "Cannot start a CHAINED_INVOKE operation that already exists.",
    (_EXECUTION, _SUCCEED): "Cannot make multiple close workflow decisions.",
    (_EXECUTION, _FAIL): "Cannot make multiple close workflow decisions.",
}


def _known_action(proposal: Proposal) -> Problem | None:
    if (proposal.update.type, proposal.update.action) in _ACTIONS:
        return None
    return Problem("Invalid action for the given operation type.")


def _legal_move(proposal: Proposal) -> Problem | None:
    update, current = proposal.update, proposal.current
    status: OperationStatus | None = None if current is None else current.status
    if after(update.type, status, update.action) is not None:
        return None
    return Problem(_ILLEGAL_MOVE[update.type, update.action])


# -- what it carries ---------------------------------------------------------------------------


def _outcome(proposal: Proposal) -> Problem | None:
    update = proposal.update
    if update.action is _FAIL and update.payload is not None:
        return Problem("Cannot provide a Payload for FAIL action.")
    if update.action is _SUCCEED and update.error is not None:
        return Problem("Cannot provide an Error for SUCCEED action.")
    if update.action is _RETRY and update.error is not None and update.payload is not None:
        return Problem("Cannot provide both error and payload to RETRY a STEP.")
    return None


def _options(proposal: Proposal) -> Problem | None:
    # The message for a WAIT is worded like the known one for a CHAINED_INVOKE.
    update = proposal.update
    if update.action is _RETRY and update.next_attempt_delay_seconds is None:
        return Problem("Invalid StepOptions for the given action.")
    if update.action is not _START:
        return None
    if update.type is _WAIT and update.wait_seconds is None:
        return Problem("Update for WAIT operation requires WaitOptions.")
    if update.type is _INVOKE and update.chained_invoke is None:
        return Problem("Update for CHAINED_INVOKE operation requires ChainedInvokeOptions.")
    return None


def _target(proposal: Proposal) -> Problem | None:
    options = proposal.update.chained_invoke
    if options is None:
        return None
    name, tenant = options.function_name, options.tenant_id
    if len(name) > _FUNCTION_LENGTH or _FUNCTION.fullmatch(name) is None:
        return Problem(f"Invalid function ARN '{name}'")
    if tenant is not None and _TENANT.fullmatch(tenant) is None:
        return Problem("TenantId must be 1 to 256 characters matching [a-zA-Z0-9._:/=+-@ ].")
    return None


# -- how large it is ---------------------------------------------------------------------------


def too_large(kind: OperationType, direction: str, limit: int) -> str:
    """Return the service's message for a payload over the limit.

    The message for a STEP and those for CHAINED_INVOKE and EXECUTION are the service's own, the
    full stop of the latter included; CONTEXT follows STEP.
    """
    word = "Execution" if kind is _EXECUTION else kind.value
    stop = "." if kind in (_EXECUTION, _INVOKE) else ""
    return f"{word} {direction} payload size must be less than or equal to {limit} bytes{stop}"


def _payload_size(proposal: Proposal) -> Problem | None:
    update = proposal.update
    if update.payload is None:
        return None
    size, limit = utf8_bytes(update.payload), payload_limit(update.type, proposal.limits)
    if update.type is _EXECUTION and proposal.result_limit is not None:
        limit = proposal.result_limit
    if size <= limit:
        return None
    direction = "input" if update.action is _START else "output"
    return Problem(too_large(update.type, direction, limit), size, limit)


def _error_size(proposal: Proposal) -> Problem | None:
    if proposal.update.error is None:
        return None
    size, limit = error_bytes(proposal.update.error), proposal.limits.error_bytes
    if size <= limit:
        return None
    return Problem(f"Error object size must be less than {limit} bytes.", size, limit)


def _operation_count(proposal: Proposal) -> Problem | None:
    # The message isn't known; the quota is.
    count, limit = proposal.operations, proposal.limits.operations
    if count <= limit:
        return None
    text = f"The number of operations of a durable execution must be less than or equal to {limit}."
    return Problem(text, count, limit)


def _storage(proposal: Proposal) -> Problem | None:
    # The message isn't known; the quota is.
    size, limit = proposal.stored_bytes, proposal.limits.stored_bytes
    if size <= limit:
        return None
    text = f"Data written by a durable execution must be less than or equal to {limit} bytes."
    return Problem(text, size, limit)


CHECKS: Final[tuple[Check, ...]] = (
    _ids,
    _names,
    _seconds,
    _once_per_request,
    _parent,
    _same_operation,
    _payload_size,
    _error_size,
    _known_action,
    _legal_move,
    _outcome,
    _options,
    _target,
    _operation_count,
    _storage,
)
"""Every check of one update. The first that finds something decides what is answered."""


def refuse_request(updates: Sequence[OperationUpdate]) -> Refusal | None:
    """Return why a request is refused as a whole, or None: an EXECUTION update ends it, once."""
    decisions = [update for update in updates if update.type is _EXECUTION]
    if not decisions:
        return None
    if len(decisions) > 1:
        return Refusal(INVALID_PARAMETER, "Cannot checkpoint multiple EXECUTION updates.")
    if updates[-1].type is not _EXECUTION:
        return Refusal(INVALID_PARAMETER, "EXECUTION checkpoint must be the last update.")
    return None


def refuse_update(proposal: Proposal) -> Refusal | None:
    """Return why an update is refused, or None."""
    for check in CHECKS:
        problem = check(proposal)
        if problem is not None:
            return Refusal(
                INVALID_PARAMETER,
                problem.message,
                operation_id=proposal.update.id,
                size=problem.size,
                limit=problem.limit,
            )
    return None
