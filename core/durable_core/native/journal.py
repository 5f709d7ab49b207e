"""What an invocation did with each operation and unit, noted while it happens, for reports."""

from __future__ import annotations

from enum import StrEnum

from durable_core.frozen import dataclass
from durable_core.ids import Path


class Activity(StrEnum):
    """What happened."""

    RETURNED = "returned"
    """An earlier invocation's result came from its checkpoint."""
    RAISED = "raised"
    """An earlier invocation's error came from its checkpoint."""
    BEGAN = "began"
    """A wait, callback or chained invoke was created."""
    RAN = "ran"
    """A body ran: of a step's attempt, a poll, a child context or a unit."""
    RE_EXECUTED = "re-executed"
    """A body ran to rebuild a value that was stripped; nothing was written."""
    SKIPPED = "skipped"
    """A unit frozen as STARTED: its body did not run."""
    STRIPPED = "stripped"
    """A result over the limit was replaced by its summary; `size` is what it took."""
    REBUILT = "rebuilt"
    """A body that ran to rebuild a value has ended; `whole` is what it came to."""
    STOPPED = "stopped"
    """A unit was stopped by a short circuit before it ended."""
    SUSPENDED = "suspended"
    """Nothing could go on here until the service changes the operation."""


@dataclass(frozen=True, slots=True)
class Whole:
    """The whole result of a context, of which a checkpoint has a summary at most, as far as seen.

    `size` in UTF-8 bytes, `characters` and `digest` are those of its serialized text; `units` is
    how each listed unit of a map or parallel ended, by index.
    """

    size: int | None = None
    characters: int | None = None
    digest: str | None = None
    units: tuple[tuple[int, str], ...] | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that happened to one operation or unit.

    `path` is its position, `attempt` of a step or poll counts from 1, `index` is a unit's. A FLAT
    unit has an id but no operation of its own. `once`: the body of this attempt may never run
    again, whatever happens. `whole` is known of what AWS's SDK strips and rebuilds.
    """

    did: Activity
    id: str
    path: Path
    type: str
    sub_type: str | None
    name: str | None
    parent_id: str | None = None
    attempt: int | None = None
    index: int | None = None
    size: int | None = None
    once: bool = False
    whole: Whole | None = None
