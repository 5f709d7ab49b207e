"""From a file or standard input to the stream of checkpoint updates in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from durable_core.adapters.documents import (
    fitting_into_memory,
    read_documents,
    source_name,
)
from durable_core.adapters.history_file import history_from_parts
from durable_core.adapters.shapes import DocumentPart, Shape, blaming, parts_of, shape_of
from durable_core.errors import SourceError
from durable_core.frozen import dataclass
from durable_core.garbage_collection import pausing_collection
from durable_core.history import RecordedHistory
from durable_core.model import CheckpointRequest, OperationUpdate
from durable_core.wire import request_from_wire, update_from_wire

_EXPECTED: Final = (
    "a stream of updates: expected a list of operation updates, CheckpointDurableExecution "
    "requests or a history"
)


@dataclass(frozen=True, slots=True)
class UpdateStream:
    """The updates of a source, in their order, and what they came in.

    `requests` are the requests that were recorded, None for bare updates. `history` is set when the
    source holds a history or a state: it has no updates, they have to be worked out from it.
    """

    source: str
    updates: tuple[OperationUpdate, ...] = ()
    requests: tuple[CheckpointRequest, ...] | None = None
    history: RecordedHistory | None = None


def load_updates(source: str) -> UpdateStream:
    """Read the updates in a file, or in standard input for `-`.

    Raises SourceError, with the place, when it can't be read or holds nothing of the kind.
    """
    name = source_name(source)
    with pausing_collection(), fitting_into_memory(name):
        parts = parts_of(name, read_documents(source), _EXPECTED)
        head: list[DocumentPart] = []  # up to what says the shape
        for part in parts:
            head.append(part)
            if part.shape is not Shape.EXECUTION and not _is_nothing(part):
                break
        else:
            if any(map(_is_nothing, head)) and not any(part.fields for part in head):
                return UpdateStream(name)  # []: a list of nothing is a list of no updates
        if head and head[-1].shape is Shape.UPDATES:
            with blaming(name):
                return _stream(name, chain(head, parts))
        return UpdateStream(name, history=history_from_parts(name, chain(head, parts)))


def _is_nothing(part: DocumentPart) -> bool:
    return part.shape is Shape.EVENTS and not part.items and not part.fields


def _stream(source: str, parts: Iterable[DocumentPart]) -> UpdateStream:
    updates: list[OperationUpdate] = []
    requests: list[CheckpointRequest] = []
    shapes: list[Shape] = []
    has_bare = False
    for part in parts:
        shapes.append(part.shape)
        shape_of(source, shapes[-2:])
        if part.shape is not Shape.UPDATES:
            continue
        if "Updates" in part.fields:
            fields = {**part.fields, "Updates": list(part.items)}
            requests.append(request_from_wire(fields, _path_of_request(part)))
            updates += requests[-1].updates
        else:
            has_bare = True
            updates += _bare_updates(part)
        if requests and has_bare:
            raise SourceError(source, "a mixture of requests and bare updates: expected one kind")
    return UpdateStream(source, tuple(updates), tuple(requests) or None)


def _bare_updates(part: DocumentPart) -> Iterator[OperationUpdate]:
    for index, item in enumerate(part.items, part.first):
        yield update_from_wire(item, f"{part.path}[{index}]")


def _path_of_request(part: DocumentPart) -> str:
    return f"{part.path.removesuffix('Updates')}Request"
