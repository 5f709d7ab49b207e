"""Between the shapes of AWS's SDK and ours: operations to it, updates and answers from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

from durable_core.model import (
    InvocationOutput,
    InvocationStatus,
    Operation,
    OperationAction,
    OperationType,
    OperationUpdate,
)
from durable_core.runtimes.aws_python.installed import InstalledSdk
from durable_core.wire import error_from_wire, operation_to_wire, update_from_wire


class Converter:
    """Makes the SDK's operations from ours: each once, however many invocations are handed it."""

    def __init__(self, sdk: InstalledSdk) -> None:
        self._from_dict = sdk.operation.from_dict
        self._made: dict[str, tuple[Operation, Any]] = {}

    def __call__(self, operations: Sequence[Operation]) -> list[Any]:
        """Return the operations as the SDK's own."""
        return [self._converted(each) for each in operations]

    def _converted(self, operation: Operation) -> Any:
        known = self._made.get(operation.id)
        if known is not None and known[0] is operation:
            return known[1]
        made = self._from_dict(_as_answered(operation))
        self._made[operation.id] = (operation, made)
        return made


def _as_answered(operation: Operation) -> dict[str, Any]:
    """Return an operation as botocore would parse it: the wire form, timestamps as datetimes."""
    return operation_to_wire(operation, written=_as_it_is)


def _as_it_is(moment: datetime | None) -> datetime | None:
    return moment


_TYPES: Final = {each.value: each for each in OperationType}
_ACTIONS: Final = {each.value: each for each in OperationAction}
_OPTIONS: Final = attrgetter(
    "step_options", "wait_options", "callback_options", "chained_invoke_options"
)
_TEXTS: Final = frozenset({str, type(None)})


def update_of(update: Any) -> OperationUpdate:
    """Return an update of the SDK's as ours. Raises WireError.

    By way of its wire form, but the most frequent ones, those without error and options, directly:
    that takes a fifth of the time.
    """
    texts = update.operation_id, update.parent_id, update.name, update.payload
    if (
        update.error
        or update.payload == ""  # which 1.x leaves out
        or any(_OPTIONS(update))
        or not _TEXTS.issuperset(map(type, texts))
    ):
        return update_from_wire(update.to_dict())
    context = update.context_options
    return OperationUpdate(
        update.operation_id,
        _TYPES[update.operation_type._value_],  # of a property that takes ten times as long
        _ACTIONS[update.action._value_],
        update.parent_id or None,
        update.name or None,
        str(getattr(update.sub_type, "value", update.sub_type)) if update.sub_type else None,
        update.payload,
        replay_children=None if context is None else bool(context.replay_children),
    )


def output_of(answer: object) -> InvocationOutput:
    """Return what a handler answered. One that isn't an answer at all has no status."""
    if not isinstance(answer, dict):
        return InvocationOutput(None)
    status = answer.get("Status")
    error = answer.get("Error")
    return InvocationOutput(
        InvocationStatus(str(status)) if status in set(InvocationStatus) else None,
        answer.get("Result"),
        None if error is None else error_from_wire(error),
    )
