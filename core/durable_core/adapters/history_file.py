"""From a file or standard input to a recorded history.

Takes every shape in which histories and states occur: the answers of GetDurableExecutionHistory,
GetDurableExecutionState and CheckpointDurableExecution (one page or several, in any order), the
bare lists that tools make of them, JSON lines of their items, a whole invocation input, and the
answer of GetDurableExecution beside the events or after them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from durable_core.adapters.documents import (
    MAX_TEXT_BYTES,
    fitting_into_memory,
    read_documents,
    source_name,
)
from durable_core.adapters.shapes import DocumentPart, Shape, blaming, parts_of, shape_of
from durable_core.errors import SourceError
from durable_core.garbage_collection import pausing_collection
from durable_core.history import RecordedHistory, history_of_events, history_of_operations
from durable_core.model import Event, ExecutionRecord, Operation
from durable_core.wire import (
    RECORD_KEYS,
    REDACTED,
    events_from_wire,
    execution_record_from_wire,
    operation_from_wire,
)

_EXPECTED: Final = (
    'a history: expected {"Events": [...]}, a list of events, {"Operations": [...]} or an '
    "invocation input"
)
_MARKERS: Final = ("NextMarker", "NextToken")
"""Where a page says that there is another: in the service's answer, in that of AWS CLI's pager."""

_ITEMS: Final = frozenset(
    {"Events", "Operations", "Updates", "InitialExecutionState", "NewExecutionState"}
)

_REDACTED: Final = (
    "redacted: payloads, errors and ids are stand-ins of the same size, not what was recorded"
)

_NOT_OF_THE_EXECUTION: Final = frozenset(
    {"Events", "Operations", "InitialExecutionState", "NewExecutionState", "CheckpointToken"}
    | {"UpdatedOperationIds", "ResponseMetadata", *_MARKERS}
)


def load_history(source: str, max_text_bytes: int = MAX_TEXT_BYTES) -> RecordedHistory:
    """Read the history in a file, or in standard input for `-`.

    `max_text_bytes` is the most that is read of it, unpacked. Raises SourceError, with the place,
    when it can't be read, is no history or can't have happened.
    """
    name = source_name(source)
    with pausing_collection(), fitting_into_memory(name):
        documents = read_documents(source, max_text_bytes)
        return history_from_parts(name, parts_of(name, documents, _EXPECTED))


def history_of_document(source: str, document: Mapping[str, Any]) -> RecordedHistory:
    """Return the history in a document that is already parsed. Raises SourceError."""
    return history_from_parts(source, parts_of(source, [document], _EXPECTED))


def history_from_parts(source: str, parts: Iterable[DocumentPart]) -> RecordedHistory:
    """Return the history that the parts of a source make; each is let go of as soon as it is read.

    Raises SourceError.
    """
    with blaming(source):
        found = _Found()
        for part in parts:
            found.take(source, part)
        fields = _fields_of_the_execution(source, found.parts)
        shape = shape_of(source, found.shapes)
        if shape is Shape.UPDATES:
            what = "operation updates (`durable inspect-batch` reads them)"
            raise SourceError(source, f"not {_EXPECTED}, found {what}")
        if shape is Shape.EXECUTION:
            problem = f"not {_EXPECTED}, found {shape.value} without any events"
            raise SourceError(source, problem)
        if redacted := fields.pop(REDACTED, None):
            return _marked_as_redacted(_history(source, found, shape, fields), redacted)
        return _history(source, found, shape, fields)


class _Found:
    """What was found in the parts of a source: `parts` without their items."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.operations: list[Operation] = []
        self.parts: list[DocumentPart] = []
        self.shapes: list[Shape] = []

    def take(self, source: str, part: DocumentPart) -> None:
        if part.shape not in self.shapes:
            self.shapes.append(part.shape)
            shape_of(source, self.shapes)
        if part.shape is Shape.EVENTS:
            self.events += events_from_wire(part.items, part.path, part.first)
        elif part.shape is Shape.OPERATIONS:
            self.operations += [
                operation_from_wire(item, f"{part.path}[{index}]")
                for index, item in enumerate(part.items, part.first)
            ]
        if part.fields or part.shape not in (each.shape for each in self.parts):
            fields = {key: each for key, each in part.fields.items() if key not in _ITEMS}
            self.parts.append(replace(part, items=(), fields=fields))


def _history(
    source: str, found: _Found, shape: Shape, fields: Mapping[str, Any]
) -> RecordedHistory:
    arn, execution = fields.get("DurableExecutionArn"), _execution_record(fields)
    pages = [part for part in found.parts if part.shape is shape]
    warnings = tuple(_warn_of_missing_pages(pages))
    if shape is Shape.EVENTS:
        return history_of_events(source, found.events, arn, execution, warnings)
    return history_of_operations(source, found.operations, arn, execution, warnings)


def _marked_as_redacted(history: RecordedHistory, redacted: Any) -> RecordedHistory:
    kept = redacted.get("Kept") if isinstance(redacted, Mapping) else None
    paths = tuple(each for each in kept if isinstance(each, str)) if isinstance(kept, list) else ()
    warnings = (_REDACTED, *history.warnings)
    return replace(history, is_redacted=True, kept=paths, warnings=warnings)


def _fields_of_the_execution(source: str, parts: Sequence[DocumentPart]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for part in parts:
        for key, value in part.fields.items():
            if key in _NOT_OF_THE_EXECUTION:
                continue
            if fields.setdefault(key, value) != value and key == "DurableExecutionArn":
                raise SourceError(
                    source, f"a mixture of two executions, {fields[key]} and {value}: expected one"
                )
    return fields


def _execution_record(fields: Mapping[str, Any]) -> ExecutionRecord | None:
    """Return what the source says of the execution; its ARN alone is no record."""
    record = execution_record_from_wire(fields, "document")
    said = RECORD_KEYS.intersection(fields) - {"DurableExecutionArn"}
    return record if said else None


def _warn_of_missing_pages(pages: Sequence[DocumentPart]) -> Iterator[str]:
    if pages and all(any(page.fields.get(name) for name in _MARKERS) for page in pages):
        what = pages[0].shape.value
        yield f"incomplete: there are more {what}, since every page here names a next one"
