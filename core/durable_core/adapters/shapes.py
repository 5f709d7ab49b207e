"""Which of the known shapes JSON documents have, and the items in them.

Told from the fields alone. The shapes are the answers and requests of the service API, the lists
that tools make of them, and their items one by one (JSON lines).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from enum import Enum
from typing import Any, Final

from durable_core.errors import HistoryError, SourceError, WireError
from durable_core.values import dataclass
from durable_core.wire import describe


class Shape(Enum):
    """What a document holds, in words for an error."""

    EVENTS = "history events"
    OPERATIONS = "operations of a state"
    UPDATES = "operation updates"
    EXECUTION = "the answer of GetDurableExecution"


@dataclass(frozen=True, slots=True)
class Part:
    """The items of one document.

    `items` are as parsed, of any JSON type. `fields` is the object that carries them: nothing for
    a bare list. `path` is where they stand.
    """

    shape: Shape
    items: list[Any]
    path: str
    fields: Mapping[str, Any] = field(default_factory=dict)


_LISTS: Final = {
    "Events": Shape.EVENTS,
    "Operations": Shape.OPERATIONS,
    "Updates": Shape.UPDATES,
}
_NAMES: Final = {shape: name for name, shape in _LISTS.items()}
_STATES: Final = ("InitialExecutionState", "NewExecutionState")


def parts_of(source: str, documents: list[Any], expected: str) -> list[Part]:
    """Return the parts of the documents; items that are documents of their own make one part.

    Raises SourceError for a document of no known shape; `expected` says what was.
    """
    parts: list[Part] = []
    loose: dict[Shape, list[Any]] = {}
    for where, document in _flatten(documents):
        shape = _shape_of_item(document)
        if shape in loose:
            loose[shape].append(document)
        elif shape is not None:
            loose[shape] = [document]
            parts.append(Part(shape, loose[shape], _NAMES[shape]))
        else:
            parts.append(_part_of(source, document, where, expected))
    return parts


def _flatten(documents: list[Any]) -> Iterator[tuple[str, Any]]:
    """Yield every document and how to call it; a list of documents (`jq -s`) is as good as them."""
    pages = documents
    if len(documents) == 1 and _is_list_of_documents(documents[0]):
        pages = documents[0]
    for number, page in enumerate(pages, 1):
        yield (f"document {number}: " if len(pages) > 1 else ""), page


def _is_list_of_documents(value: object) -> bool:
    return isinstance(value, list) and bool(value) and _is_carrier(value[0])


def _is_carrier(value: object) -> bool:
    return isinstance(value, dict) and any(name in value for name in (*_LISTS, *_STATES))


def _shape_of_item(value: object) -> Shape | None:
    """Tell what an object is by itself, outside of any list."""
    if not isinstance(value, dict) or _is_carrier(value):
        return None
    if "EventType" in value or "EventId" in value:
        return Shape.EVENTS
    if "Action" in value and "Id" in value:
        return Shape.UPDATES
    if "Status" in value and "Id" in value:
        return Shape.OPERATIONS
    return None


def _part_of(source: str, document: object, where: str, expected: str) -> Part:
    if isinstance(document, list):
        if not document:
            return Part(Shape.EVENTS, [], f"{where}Events")
        if shape := next(filter(None, map(_shape_of_item, document)), None):
            return Part(shape, document, f"{where}{_NAMES[shape]}")
    if isinstance(document, dict):
        found = [name for name in (*_LISTS, *_STATES) if name in document]
        if len(found) > 1:
            raise SourceError(
                source, f"{where}has both {found[0]} and {found[1]}: expected one of them"
            )
        if found:
            return _part_in(source, document, found[0], where)
        if "DurableExecutionArn" in document and "Status" in document:
            return Part(Shape.EXECUTION, [], where, document)
    raise SourceError(source, f"{where}not {expected}, found {_looks_like(document)}")


def _part_in(source: str, document: dict[str, Any], name: str, where: str) -> Part:
    path, holder, key = f"{where}{name}", document, name
    if name in _STATES:
        holder = document[name]
        if not isinstance(holder, dict):
            raise SourceError(source, f"expected an object, found {describe(holder)}", path)
        path, key = f"{path}.Operations", "Operations"
    items = holder.get(key)
    if items is None:
        items = []
    if not isinstance(items, list):
        raise SourceError(source, f"expected a list, found {describe(items)}", path)
    return Part(_LISTS[key], items, path, {**document, **holder})


def _looks_like(value: object) -> str:
    if isinstance(value, list):
        return f"a list that starts with {_keys_of(value[0])}" if value else "an empty list"
    return _keys_of(value)


def _keys_of(value: object, shown: int = 4) -> str:
    if not isinstance(value, dict):
        return describe(value)
    if not value:
        return "an empty object"
    names = ", ".join(repr(key[:40]) for key in list(value)[:shown])
    return f"an object with {names}{', ...' if len(value) > shown else ''}"


def shape_of(source: str, parts: Iterable[Part]) -> Shape:
    """Return the one shape that the parts have, besides the answers of GetDurableExecution.

    Raises SourceError for a mixture.
    """
    shapes = list(dict.fromkeys(part.shape for part in parts))
    kinds = [shape for shape in shapes if shape is not Shape.EXECUTION]
    if len(kinds) > 1:
        raise SourceError(
            source, f"a mixture of {kinds[0].value} and {kinds[1].value}: expected one kind"
        )
    return kinds[0] if kinds else Shape.EXECUTION


@contextmanager
def blaming(source: str) -> Iterator[None]:
    """Turn what is wrong with a document into what is wrong with its source."""
    try:
        yield
    except WireError as error:
        raise SourceError(source, error.problem, error.path) from None
    except HistoryError as error:
        where = None if error.event_id is None else f"EventId {error.event_id}"
        raise SourceError(source, error.problem, where) from None
    except RecursionError:
        raise SourceError(source, "nested too deeply: expected a history or updates") from None
