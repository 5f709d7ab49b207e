"""What a handler reads outside of steps: where its runs may differ."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from durable_core.frozen import dataclass


class Source(StrEnum):
    """What a handler can read that is another thing each time."""

    TIME = "time"
    RANDOM = "random"
    UUID = "uuid"
    URANDOM = "urandom"
    HASH_SEED = "hash seed"
    """It decides in which order a set is walked."""
    PROCESS = "process"
    """Ids of processes and threads, addresses in memory, the host."""
    FILES = "order of files"
    """In which order a folder lists what is in it."""
    INVOCATION = "invocation"
    """What is another in each invocation: its request id, its deadline and the time that remains,
    the trace it belongs to."""
    ENVIRONMENT = "environment"
    """What another environment or deployment may have: log stream and group, version, memory."""


ORDERS: Final = frozenset({Source.HASH_SEED, Source.FILES})
"""What decides in which order things come."""


@dataclass(frozen=True, slots=True)
class NondeterministicRead:
    """A place outside of steps that reads a source: a function, called at a line of a file."""

    source: Source
    function: str
    file: str
    line: int
