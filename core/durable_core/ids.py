"""Operation ids, by the schemes that SDKs have. Whose each one is stands in `sdks`.

An id is the hash of a position: the n-th operation of a context. `positions` finds the way back.
Sources: `identifier.py` of AWS's Python SDK 3.0.0 (`context.py` of 1.x), `hashId` of AWS's
JavaScript SDK 2.4.0; .NET, Java, Go, Rust and the nodes of DAGs as in reference 2026-11.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Final

from durable_core.frozen import dataclass

Path = tuple[int, ...]

NamedPath = tuple[int | str, ...]
"""A path through a node of a DAG, which has its name where others have a number."""

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
    `first_unit` is the number of the first unit of a map or parallel. `at_root` is True where only
    ids at the root are known, which don't tell chained ones from others.
    """

    name: str
    digest: Callable[[str], str]
    length: int
    chained: bool
    first_unit: int
    at_root: bool = False

    def child(self, prefix: str | None, number: int | str) -> tuple[str, str]:
        """Return the id of a context's n-th operation, and the prefix of *its* operations.

        `prefix` is what this function returned for the context, None for the root. In a DAG a node
        has DAG_NODE and its name in the place of the number.
        """
        text = str(number) if prefix is None else f"{prefix}-{number}"
        operation_id = self.digest(text)
        return operation_id, operation_id if self.chained else text

    def is_like(self, other: IdScheme) -> bool:
        """Return True when both make the same ids, as far as they are known."""
        return self.digest is other.digest and (self.at_root or self.chained is other.chained)

    def id_at(self, path: Iterable[int]) -> str:
        """Return the id of the operation at a position, such as (2, 1, 3)."""
        prefix: str | None = None
        operation_id = ""
        for number in path:
            operation_id, prefix = self.child(prefix, number)
        return operation_id


SHA256: Final = IdScheme("SHA-256", _sha256, 64, True, 1)
BLAKE2B: Final = IdScheme("BLAKE2b", _blake2b, 64, True, 0)
MD5: Final = IdScheme("MD5", _md5, 16, False, 1)
SHA256_OF_PATH: Final = IdScheme("unchained SHA-256", _sha256, 64, False, 1)
SHA256_AT_ROOT: Final = replace(SHA256, at_root=True)
"""What a history follows that has nothing inside of a context: there both SHA-256 schemes agree."""

SCHEMES: Final = (BLAKE2B, SHA256, MD5, SHA256_OF_PATH)

DAG_NODE: Final = "DAG_NODE_T_"


def position_text(path: NamedPath) -> str:
    """Return a position as people write it: `2.1.3`."""
    return ".".join(map(str, path))
