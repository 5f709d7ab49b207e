"""Where operations are: the way back from an id to a readable position, and what they are called.

`resolve` turns ids back into positions (`2.1.3`) by counting, since a hash can't be undone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import replace
from functools import cache
from typing import Final, Protocol, TypeGuard

from durable_core.events import EVENTS
from durable_core.excerpts import labelled
from durable_core.frozen import dataclass
from durable_core.ids import (
    DAG_NODE,
    SCHEMES,
    SHA256,
    SHA256_AT_ROOT,
    SHA256_OF_PATH,
    IdScheme,
    NamedPath,
    Path,
    position_text,
)
from durable_core.model import Event, Operation, OperationType, OperationUpdate, is_batch

_HEX = re.compile(r"[0-9a-f]+")


class Labelled(Protocol):
    """What has a label: an operation, an update of one, a row of a report."""

    @property
    def type(self) -> str: ...
    @property
    def sub_type(self) -> str | None: ...
    @property
    def name(self) -> str | None: ...


def label_of(each: Labelled) -> str:
    """Return an operation as reports call it, `Step "charge"`, whatever the length of its name."""
    return labelled(each.sub_type or each.type, each.name)


@dataclass(frozen=True, slots=True)
class Placed:
    """What `resolve` needs to know of an operation: its parent, and what it is itself.

    `is_batch`: its children may be units; `is_context`: it may have children at all. `name` is
    part of the id of a node of a DAG.
    """

    parent_id: str | None
    is_batch: bool
    name: str | None = None
    is_context: bool = False

    @classmethod
    def of(
        cls,
        kind: OperationType,
        sub_type: str | None,
        parent_id: str | None,
        name: str | None = None,
    ) -> Placed:
        """Return it for an operation of a type."""
        return cls(parent_id, is_batch(kind, sub_type), name, kind is OperationType.CONTEXT)


def places_of(operations: Iterable[Operation | OperationUpdate]) -> dict[str, Placed]:
    """Return what `resolve` needs to know of operations, or of the updates of some."""
    return {
        each.id: Placed.of(each.type, each.sub_type, each.parent_id, each.name)
        for each in operations
        if each.type is not OperationType.EXECUTION
    }


def places_of_events(events: Iterable[Event]) -> dict[str, Placed]:
    """Return what `resolve` needs to know of the operations in these events."""
    found: dict[str, Placed] = {}
    for event in events:
        spec = EVENTS.get(event.event_type)
        kind = spec.operation if spec is not None else None
        if event.id is None or kind is None or kind is OperationType.EXECUTION:
            continue
        if event.id not in found or (event.parent_id and not found[event.id].parent_id):
            found[event.id] = Placed.of(kind, event.sub_type, event.parent_id, event.name)
    return found


def detect(placed: Mapping[str, Placed]) -> IdScheme | None:
    """Return the scheme that the ids follow, or None when they fit none.

    A scheme fits when it makes at least one of the ids at the root. Two SDKs differ only in the
    ids inside of contexts: where there is none, it is SHA256_AT_ROOT.
    """
    roots = [key for key, place in placed.items() if place.parent_id is None]
    sample = roots[:64] or list(placed)[:64]
    likely = [
        _Search(scheme, placed)
        for scheme in SCHEMES
        if any(len(key) == scheme.length and _HEX.fullmatch(key) for key in sample)
    ]
    # Counting the root's own numbers is quick; looking into virtual contexts is not.
    found = next((each for each in likely if each.counts(roots)), None)
    found = found or next((each for each in likely if each.root_fits(roots)), None)
    if found is None:
        return None
    return found.scheme if found.scheme is not SHA256 else _which_sha256(placed)


def _which_sha256(placed: Mapping[str, Placed]) -> IdScheme:
    """Tell the SHA-256 schemes apart by the first ids inside of a context that fit one of them."""
    inside: dict[str | None, dict[str, Placed]] = {None: {}}
    for key, place in placed.items():
        inside.setdefault(place.parent_id, {})[key] = place
    roots = inside.pop(None)
    top = {SHA256.child(None, number)[0] for number in range(1, len(roots) + _SLACK)}
    deeper: list[Set[str]] = [
        roots.keys() - top
    ]  # in virtual contexts, or written without a parent
    deeper += [
        children.keys()
        for parent_id, children in inside.items()
        if parent_id in roots or parent_id not in placed  # others need the scheme to be found
    ]
    for keys in [each for each in deeper if each][:_MOST_MISSES]:
        some = {**roots, **{key: placed[key] for key in keys}}
        for scheme in (SHA256, SHA256_OF_PATH):
            if _Search(scheme, some).run().keys() & keys:
                return scheme
    return SHA256 if inside else SHA256_AT_ROOT


def resolve(placed: Mapping[str, Placed], scheme: IdScheme) -> dict[str, Path]:
    """Return the position of every id that the scheme explains.

    An operation inside a FLAT unit (or another virtual context) has its parent's position plus
    more than one number: `(1, 0, 2)` under parent `(1,)` is the second operation of unit 0. Parents
    that are named but not recorded are placed too where they are found. The work is linear in the
    number of ids; what is nested more than MOST_LEVELS deep has no position. Nodes of DAGs, and
    what is in them, have positions with names: see `locate`.
    """
    found = _Search(scheme, placed).run()
    return {key: path for key, path in found.items() if _is_numbered(path)}


def _is_numbered(path: NamedPath) -> TypeGuard[Path]:
    return not any(isinstance(each, str) for each in path)


@dataclass(frozen=True, slots=True)
class Located:
    """Where operations are: `paths` of all that are counted, `named` of what is in DAGs."""

    scheme: IdScheme | None
    paths: Mapping[str, Path]
    named: Mapping[str, NamedPath]

    def text(self, operation_id: str) -> str | None:
        """Return a position as people write it: `2.1.3`, in a DAG `2.fetch.1`; None: none fits."""
        path = self.paths.get(operation_id) or self.named.get(operation_id)
        return position_text(path) if path else None


def locate(placed: Mapping[str, Placed]) -> Located:
    """Return where every operation is, by the scheme that their ids follow."""
    scheme = detect(placed)
    if scheme is None:
        return Located(None, {}, {})
    found = _Search(scheme, placed).run()
    paths = {key: path for key, path in found.items() if _is_numbered(path)}
    if scheme is SHA256_OF_PATH and _counts_units_from_0(placed, paths):
        scheme = replace(scheme, first_unit=0)  # no source says from where Rust's SDK counts
    if len(paths) == len(found):
        return Located(scheme, paths, {})
    named = {key: path for key, path in found.items() if key not in paths}
    return Located(scheme, paths, named)


def _counts_units_from_0(placed: Mapping[str, Placed], paths: Mapping[str, Path]) -> bool:
    batches = {path for key, path in paths.items() if key in placed and placed[key].is_batch}
    return any(
        number == 0 and path[:depth] in batches
        for path in paths.values()
        for depth, number in enumerate(path)
    )


def missing_parents(placed: Mapping[str, Placed]) -> dict[str, str]:
    """Return the parent of each operation that was written without one, told by its id.

    Previews of AWS's .NET SDK left ParentId out (reference 2026-11): an operation that names no
    parent, and whose id is not one of the root's, is in the context that makes such an id.
    """
    roots = [key for key, place in placed.items() if place.parent_id is None]
    if not any(placed[key].is_context for key in roots) or not may_lack_parents(placed, roots):
        return {}
    orphans = _orphans(roots)
    if len(orphans) == len(roots):
        return {}
    found = resolve(placed, SHA256)
    at = {path: key for key, path in found.items() if key in placed}
    parents: dict[str, str] = {}
    for key in orphans:
        path = found.get(key, ())
        around = next((at[path[:n]] for n in range(len(path) - 1, 0, -1) if path[:n] in at), None)
        if around is not None:
            parents[key] = around
    return parents


def may_lack_parents(ids: Collection[str], roots: Collection[str]) -> bool:
    """Return False where none of the operations can have been written without its parent: `roots`
    are those that name none."""
    return not _first_ids().isdisjoint(ids) and bool(_orphans(roots))


def _orphans(roots: Collection[str]) -> set[str]:
    return set(roots).difference(
        SHA256.child(None, number)[0] for number in range(1, len(roots) + 1)
    )


@cache
def _first_ids() -> frozenset[str]:
    return frozenset(SHA256.child(None, number)[0] for number in range(1, _SLACK))


_SLACK: Final = 64
_INNER_SLACK: Final = 8
_VIRTUAL_DEPTH: Final = 3
_MOST_VIRTUAL: Final = 4_096
"""In how many virtual contexts of one is looked: an execution has 3,000 operations at most."""
_MOST_MISSES: Final = 16
_MOST_ORPHANS: Final = 1_000

MOST_LEVELS: Final = 100
"""Deeper positions aren't worked out: each is as long as its depth, and nobody could read it."""


class _Search:
    """One run of `resolve`: counts upwards in each context until every child is found."""

    def __init__(self, scheme: IdScheme, placed: Mapping[str, Placed]) -> None:
        self.scheme = scheme
        self.placed = placed
        self.children: dict[str | None, list[str]] = {}
        for key, place in placed.items():
            self.children.setdefault(place.parent_id, []).append(key)
        self.missing = {key for key in self.children if key is not None and key not in placed}
        self.found: dict[str, NamedPath] = {}
        self.prefixes: dict[str, str] = {}

    def counts(self, roots: Collection[str]) -> bool:
        """Return True where one of the root's own numbers makes one of these ids."""
        wanted = set(roots)
        return any(self.scheme.child(None, n)[0] in wanted for n in range(1, len(wanted) + _SLACK))

    def root_fits(self, roots: Collection[str]) -> bool:
        """Return True where one of these ids is found, in virtual contexts too."""
        self._context(None, None, (), False, set(roots))
        return bool(self.found)

    def run(self) -> dict[str, NamedPath]:
        roots = set(self.children.get(None, ()))
        self._context(None, None, (), False, roots)
        queue = list(self.found)
        self._below(queue)
        if roots and self.found:
            self._adopt(roots)
        return self.found

    def _adopt(self, orphans: set[str]) -> None:
        """Find those that name no parent, and are not the root's, in the contexts that are found.

        `orphans` are taken out of the set as they are found. Ends when contexts in a row have none.
        """
        misses = 0
        queue = list(self.found)
        for key in queue:
            place = self.placed.get(key)
            if place is None or not place.is_context:
                continue
            if not orphans or misses == _MOST_MISSES:
                return
            path, prefix = self.found[key], self.prefixes[key]
            more = min(len(orphans), _MOST_ORPHANS)
            hits = self._context(key, prefix, path, place.is_batch, orphans, more)
            misses = 0 if hits else misses + 1
            queue += hits
            self._below(hits)

    def _below(self, queue: list[str]) -> None:
        """Find what is below the ids that are found, and below those."""
        for key in queue:
            path = self.found[key]
            if len(path) >= MOST_LEVELS or not (self.missing or key in self.children):
                continue
            place = self.placed.get(key)
            is_batch = place is None or place.is_batch
            wanted = set(self.children.get(key, ()))
            queue += self._context(key, self.prefixes[key], path, is_batch, wanted)

    def _context(
        self,
        key: str | None,
        prefix: str | None,
        path: NamedPath,
        batch: bool,
        wanted: set[str],
        more: int = 0,
    ) -> list[str]:
        """Find the children of one context, then those in virtual contexts inside it.

        Also finds missing parents among them, on the way. Returns the ids that it found. `more` is
        how many of the wanted ones may be children although they don't say so.
        """
        hits: list[str] = []
        own = len(self.children.get(key, ())) + more
        slack = own + (_SLACK if wanted or key is None else _INNER_SLACK)
        level = [(prefix, path)]
        for depth in range(2 if more else _VIRTUAL_DEPTH + 1):
            virtual: list[tuple[str | None, NamedPath]] = []
            budget = min(own + _SLACK, _MOST_VIRTUAL) * 8
            for inner_prefix, inner_path in level:
                first = 0 if batch and depth == 0 else 1
                virtual += self._count(inner_prefix, inner_path, first, slack, wanted, hits)
                if (depth and not wanted) or len(virtual) > budget:
                    break
            if depth == 0 and wanted and key is not None:
                self._named(key, prefix, path, wanted, hits)
            if not wanted:
                break
            level, slack = virtual, _INNER_SLACK
        return hits

    def _named(
        self, key: str, prefix: str | None, path: NamedPath, wanted: set[str], hits: list[str]
    ) -> None:
        """Find the nodes of a DAG among its children: their ids are made of their names."""
        for each in list(wanted):
            place = self.placed.get(each)
            if place is None or not place.name or place.parent_id != key:
                continue
            for around in dict.fromkeys((prefix, key)):
                operation_id, inner = self.scheme.child(around, f"{DAG_NODE}{place.name}")
                if operation_id == each:
                    wanted.remove(each)
                    self._hit(each, inner, (*path, place.name), hits)
                    break

    def _hit(self, operation_id: str, inner: str, at: NamedPath, hits: list[str]) -> None:
        self.found[operation_id] = at
        self.prefixes[operation_id] = inner
        hits.append(operation_id)

    def _count(
        self,
        prefix: str | None,
        path: NamedPath,
        first: int,
        slack: int,
        wanted: set[str],
        hits: list[str],
    ) -> list[tuple[str | None, NamedPath]]:
        """Count upwards from `first`; return what was not found: it may be a virtual context."""
        unused: list[tuple[str | None, NamedPath]] = []
        number, last = first, first + slack
        missing, child = self.missing, self.scheme.child
        while number <= last and (wanted or missing):
            operation_id, inner = child(prefix, number)
            at = (*path, number)
            if operation_id in wanted:
                wanted.remove(operation_id)
            elif operation_id in missing:
                missing.remove(operation_id)
            else:
                unused.append((inner, at))
                number += 1
                continue
            self._hit(operation_id, inner, at, hits)
            last = number + slack
            number += 1
        return unused
