"""From a file or standard input to the stream of checkpoint updates in it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Final

from durable_core.adapters.documents import read_documents, source_name
from durable_core.adapters.history_file import history_from_parts, pausing_collection
from durable_core.adapters.shapes import Part, Shape, blaming, parts_of, shape_of
from durable_core.errors import SourceError
from durable_core.history import RecordedHistory
from durable_core.model import CheckpointRequest, OperationUpdate
from durable_core.values import dataclass
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
    with pausing_collection():
        parts = list(parts_of(name, read_documents(source), _EXPECTED))
        shape = shape_of(name, (part.shape for part in parts))
        if shape is Shape.UPDATES:
            with blaming(name):
                return _stream(name, parts)
        if shape is Shape.EVENTS and not any(part.items or part.fields for part in parts):
            return UpdateStream(name)  # []: a list of nothing is a list of no updates
        return UpdateStream(name, history=history_from_parts(name, parts))


def _stream(source: str, parts: list[Part]) -> UpdateStream:
    pages = [part for part in parts if part.shape is Shape.UPDATES]
    recorded = [part for part in pages if "Updates" in part.fields]
    if not recorded:
        return UpdateStream(source, tuple(chain.from_iterable(map(_bare_updates, pages))))
    if len(recorded) < len(pages):
        raise SourceError(source, "a mixture of requests and bare updates: expected one kind")
    requests = tuple(request_from_wire(part.fields, _path_of_request(part)) for part in pages)
    return UpdateStream(
        source, tuple(chain.from_iterable(request.updates for request in requests)), requests
    )


def _bare_updates(part: Part) -> Iterator[OperationUpdate]:
    for index, item in enumerate(part.items, part.first):
        yield update_from_wire(item, f"{part.path}[{index}]")


def _path_of_request(part: Part) -> str:
    return f"{part.path.removesuffix('Updates')}Request"
