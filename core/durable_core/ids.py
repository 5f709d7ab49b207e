"""Operation ids: the scheme of every SDK, and the way back from an id to a readable position.

An id is the hash of a position: the n-th operation of a context. The schemes are one table;
`resolve` turns ids back into positions (`2.1.3`) by counting, since a hash can't be undone.
Sources: `identifier.py` of AWS's Python SDK 3.0.0 (`context.py` of 1.x), `hashId` of AWS's
JavaScript SDK 2.4.0; .NET and Java as in reference 2026-11.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from typing import Final

from durable_core.values import dataclass

Path = tuple[int, ...]

_MOST_IDS: Final = 8192
"""How many are kept of each scheme: an execution asks for each again with every invocation."""


@lru_cache(_MOST_IDS)
def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@lru_cache(_MOST_IDS)
def _blake2b(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass")).hexdigest()[:64]


def _md5(text: str) -> str:
    encoded = text.encode("utf-8", "surrogatepass")
    return hashlib.md5(encoded, usedforsecurity=False).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class IdScheme:
    """How one family of SDKs makes the id of the n-th operation of a context.

    `chained` says whether the parent goes in as its hashed id (True) or as its plain path (False).
    `first_unit` is the number of the first unit of a map or parallel.
    """

    name: str
    sdks: tuple[str, ...]
    digest: Callable[[str], str]
    length: int
    chained: bool
    first_unit: int

    def child(self, prefix: str | None, number: int) -> tuple[str, str]:
        """Return the id of a context's n-th operation, and the prefix of *its* operations.

        `prefix` is what this function returned for the context, None for the root.
        """
        text = str(number) if prefix is None else f"{prefix}-{number}"
        operation_id = self.digest(text)
        return operation_id, operation_id if self.chained else text

    def id_at(self, path: Iterable[int]) -> str:
        """Return the id of the operation at a position, such as (2, 1, 3)."""
        prefix: str | None = None
        operation_id = ""
        for number in path:
            operation_id, prefix = self.child(prefix, number)
        return operation_id


SHA256: Final = IdScheme("SHA-256", ("dotnet", "java"), _sha256, 64, True, 1)
BLAKE2B: Final = IdScheme("BLAKE2b", ("python",), _blake2b, 64, True, 0)
MD5: Final = IdScheme("MD5", ("javascript",), _md5, 16, False, 1)

SCHEMES: Final = (BLAKE2B, SHA256, MD5)

_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Placed:
    """What `resolve` needs to know of an operation: its parent, and whether that has units."""

    parent_id: str | None
    is_batch: bool


def detect(placed: Mapping[str, Placed]) -> IdScheme | None:
    """Return the scheme that the ids follow, or None when they fit none.

    A scheme fits when it makes at least one of the ids at the root.
    """
    roots = [key for key, place in placed.items() if place.parent_id is None]
    sample = roots[:64] or list(placed)[:64]
    for scheme in SCHEMES:
        if not any(len(key) == scheme.length and _HEX.fullmatch(key) for key in sample):
            continue
        if _Search(scheme, placed).root_fits(roots):
            return scheme
    return None


def resolve(placed: Mapping[str, Placed], scheme: IdScheme) -> dict[str, Path]:
    """Return the position of every id that the scheme explains.

    An operation inside a FLAT unit (or another virtual context) has its parent's position plus
    more than one number: `(1, 0, 2)` under parent `(1,)` is the second operation of unit 0. Parents
    that are named but not recorded are placed too where they are found. The work is linear in the
    number of ids; what is nested more than MOST_LEVELS deep has no position.
    """
    return _Search(scheme, placed).run()


_SLACK: Final = 64
_INNER_SLACK: Final = 8
_VIRTUAL_DEPTH: Final = 3

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
        self.found: dict[str, Path] = {}
        self.prefixes: dict[str, str] = {}

    def root_fits(self, roots: Collection[str]) -> bool:
        wanted = set(roots)
        if any(self.scheme.child(None, n)[0] in wanted for n in range(1, len(wanted) + _SLACK)):
            return True
        self._context(None, None, (), False, wanted)
        return bool(self.found)

    def run(self) -> dict[str, Path]:
        self._context(None, None, (), False, set(self.children.get(None, ())))
        queue = list(self.found)
        for key in queue:
            path = self.found[key]
            if len(path) >= MOST_LEVELS or not (self.missing or key in self.children):
                continue
            place = self.placed.get(key)
            is_batch = place is None or place.is_batch
            wanted = set(self.children.get(key, ()))
            queue += self._context(key, self.prefixes[key], path, is_batch, wanted)
        return self.found

    def _context(
        self, key: str | None, prefix: str | None, path: Path, batch: bool, wanted: set[str]
    ) -> list[str]:
        """Find the children of one context, then those in virtual contexts inside it.

        Also finds missing parents among them, on the way. Returns the ids that it found.
        """
        hits: list[str] = []
        own = len(self.children.get(key, ()))
        slack = own + (_SLACK if wanted or key is None else _INNER_SLACK)
        level = [(prefix, path)]
        for depth in range(_VIRTUAL_DEPTH + 1):
            virtual: list[tuple[str | None, Path]] = []
            budget = (own + _SLACK) * 8
            for inner_prefix, inner_path in level:
                first = 0 if batch and depth == 0 else 1
                virtual += self._count(inner_prefix, inner_path, first, slack, wanted, hits)
                if (depth and not wanted) or len(virtual) > budget:
                    break
            if not wanted:
                break
            level, slack = virtual, _INNER_SLACK
        return hits

    def _count(
        self,
        prefix: str | None,
        path: Path,
        first: int,
        slack: int,
        wanted: set[str],
        hits: list[str],
    ) -> list[tuple[str | None, Path]]:
        """Count upwards from `first`; return what was not found: it may be a virtual context."""
        unused: list[tuple[str | None, Path]] = []
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
            self.found[operation_id] = at
            self.prefixes[operation_id] = inner
            hits.append(operation_id)
            last = number + slack
            number += 1
        return unused


def position_text(path: Path) -> str:
    """Return a position as people write it: `2.1.3`."""
    return ".".join(map(str, path))
