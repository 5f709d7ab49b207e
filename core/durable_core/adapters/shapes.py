"""Which of the known shapes JSON documents have, and the items in them.

Told from the fields alone. The shapes are the answers and requests of the service API, the lists
that tools make of them, and their items one by one (JSON lines).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from enum import Enum
from itertools import chain, islice
from typing import Any, Final, TypeGuard

from durable_core.adapters.large_text import LargeItems
from durable_core.errors import HistoryError, SourceError, WireError
from durable_core.frozen import dataclass
from durable_core.wire import describe


class Shape(Enum):
    """What a document holds, in words for an error."""

    EVENTS = "history events"
    OPERATIONS = "operations of a state"
    UPDATES = "operation updates"
    EXECUTION = "the answer of GetDurableExecution"


@dataclass(frozen=True, slots=True)
class DocumentPart:
    """The items of one document.

    `items` are as parsed, of any JSON type. `fields` is the object that carries them: nothing for
    a bare list. `path` is where they stand, `first` the index that the first of them has there.
    """

    shape: Shape
    items: Iterable[Any]
    path: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    first: int = 0


_LISTS: Final = {
    "Events": Shape.EVENTS,
    "Operations": Shape.OPERATIONS,
    "Updates": Shape.UPDATES,
}
_NAMES: Final = {shape: name for name, shape in _LISTS.items()}
_STATES: Final = ("InitialExecutionState", "NewExecutionState")


def parts_of(source: str, documents: Iterable[Any], expected: str) -> Iterator[DocumentPart]:
    """Yield the parts of the documents, one after another; items that are documents of their own
    make parts of some of them.

    Raises SourceError for a document of no known shape; `expected` says what was.
    """
    loose: list[Any] = []
    kind: Shape | None = None
    before: dict[Shape, int] = {}
    pages = 0
    for where, document in _flatten(documents):
        shape = _shape_of_item(document)
        if loose and (shape is not kind or len(loose) == _MOST_AT_ONCE) and kind is not None:
            yield DocumentPart(kind, loose, _NAMES[kind], first=before.get(kind, 0))
            before[kind] = before.get(kind, 0) + len(loose)
            loose = []
        kind = shape
        if shape is not None:
            loose.append(document)
            continue
        pages += 1
        if pages > _MOST_PAGES:
            problem = f"more than {_MOST_PAGES:,} documents: expected the pages of one execution"
            raise SourceError(source, problem)
        yield _part_of(source, document, where, expected)
    if loose and kind is not None:
        yield DocumentPart(kind, loose, _NAMES[kind], first=before.get(kind, 0))


_MOST_AT_ONCE: Final = 10_000
_MOST_PAGES: Final = 100_000
_MOST_LOOKED_AT: Final = 1_000


def _flatten(documents: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Yield every document and how to call it; a list of documents (`jq -s`) is as good as them."""
    left = iter(documents)
    pages = list(islice(left, 2))
    if len(pages) == 1 and _is_list_of_documents(pages[0]):
        left = iter(pages[0])
        pages = list(islice(left, 2))
    for number, page in enumerate(chain(pages, left), 1):
        yield (f"document {number}: " if len(pages) > 1 else ""), page


def _is_list_of_documents(value: object) -> bool:
    return is_list(value) and _is_carrier(next(iter(value), None))


def is_list(value: object) -> TypeGuard[list[Any] | LargeItems]:
    """Tell whether a value is a JSON list, however it is held."""
    return isinstance(value, list | LargeItems)


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


def _part_of(source: str, document: object, where: str, expected: str) -> DocumentPart:
    if is_list(document):
        if not isinstance(document, LargeItems) and not document:
            return DocumentPart(Shape.EVENTS, [], f"{where}Events")
        some = islice(document, _MOST_LOOKED_AT)
        if shape := next(filter(None, map(_shape_of_item, some)), None):
            return DocumentPart(shape, document, f"{where}{_NAMES[shape]}")
    if isinstance(document, dict):
        found = [name for name in (*_LISTS, *_STATES) if name in document]
        if len(found) > 1:
            raise SourceError(
                source, f"{where}has both {found[0]} and {found[1]}: expected one of them"
            )
        if found:
            return _part_in(source, document, found[0], where)
        if "DurableExecutionArn" in document and "Status" in document:
            return DocumentPart(Shape.EXECUTION, [], where, document)
    raise SourceError(source, f"{where}not {expected}, found {_looks_like(document)}")


def _part_in(source: str, document: dict[str, Any], name: str, where: str) -> DocumentPart:
    path, holder, key = f"{where}{name}", document, name
    if name in _STATES:
        holder = document[name]
        if not isinstance(holder, dict):
            raise SourceError(source, f"expected an object, found {describe(holder)}", path)
        path, key = f"{path}.Operations", "Operations"
    items = holder.get(key)
    if items is None:
        items = []
    if not is_list(items):
        raise SourceError(source, f"expected a list, found {describe(items)}", path)
    return DocumentPart(_LISTS[key], items, path, {**document, **holder})


def _looks_like(value: object) -> str:
    if not is_list(value):
        return _keys_of(value)
    for first in value:
        return f"a list that starts with {_keys_of(first)}"
    return "an empty list"


def _keys_of(value: object, shown: int = 4) -> str:
    if not isinstance(value, dict):
        return describe(value)
    if not value:
        return "an empty object"
    names = ", ".join(repr(key[:40]) for key in list(value)[:shown])
    return f"an object with {names}{', ...' if len(value) > shown else ''}"


def shape_of(source: str, shapes: Iterable[Shape]) -> Shape:
    """Return the one shape that parts have, besides the answers of GetDurableExecution.

    Raises SourceError for a mixture.
    """
    kinds = [shape for shape in dict.fromkeys(shapes) if shape is not Shape.EXECUTION]
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
