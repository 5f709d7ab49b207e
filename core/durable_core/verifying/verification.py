"""What verifying code against a recorded history comes to, as frozen values ready to be shown.

A verdict is a value: nothing here raises because code diverged, unless the caller asks for it with
`Verification.check`. Positions are written as people read them (`2.1.3`), sequences are in the
order in which the code asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final, NamedTuple

from durable_core.excerpts import labelled, short_name
from durable_core.frozen import dataclass
from durable_core.ids import Path, position_text
from durable_core.model import Word, is_batch
from durable_core.positions import label_of
from durable_core.sandbox.user_code import CodeLine


class Verdict(Word):
    """What was found of one history."""

    COMPATIBLE = "compatible"
    DIVERGED = "diverged"
    CANNOT_VERIFY = "cannot-verify"


class Fate(Word):
    """What a deploy of the code means for the recorded execution itself."""

    ENDED = "ended"
    SAFE = "safe"
    BREAKS = "breaks"


class Cause(Word):
    """What most likely happened to the code, for a person."""

    RENAMED = "renamed"
    INSERTED = "inserted"
    REMOVED = "removed"
    REORDERED = "reordered"
    TYPE_CHANGED = "type-changed"
    REPLACED = "replaced"
    MOVED_IN = "moved-into-a-context"
    MOVED_OUT = "moved-out-of-a-context"
    UNIT_COUNT = "unit-count-changed"
    NESTING = "nesting-changed"
    ENDED_EARLY = "ended-early"
    RAISED = "raised"
    WAITS = "waits"
    NON_DETERMINISTIC = "non-deterministic"


class Identity(NamedTuple):
    """What tells one operation from another at the same position.

    `virtual`: a context without an operation of its own (a FLAT unit, a virtual child context).
    An empty name is no name.
    """

    type: str
    sub_type: str | None = None
    name: str | None = None
    virtual: bool = False

    @property
    def is_batch(self) -> bool:
        """True for a map or parallel."""
        return is_batch(self.type, self.sub_type)

    def __str__(self) -> str:
        label = self.sub_type or self.type
        if self.virtual and not self.name:
            return "a context without an operation of its own (FLAT, or virtual)"
        return labelled(label, self.name) if self.name else f"{short_name(label)} (unnamed)"


@dataclass(frozen=True, slots=True)
class Line:
    """An operation at its position, recorded or asked for. `units`: how many a batch has, where
    that is what differs."""

    position: str
    type: str
    sub_type: str | None = None
    name: str | None = None
    status: str | None = None
    virtual: bool = False
    units: int | None = None

    def __str__(self) -> str:
        return f"{self.position} {label_of(self)}"


def line_at(path: Path, identity: Identity, status: str | None = None) -> Line:
    """Return an identity at a position."""
    return Line(
        position_text(path),
        identity.type,
        identity.sub_type,
        identity.name or None,
        status,
        identity.virtual,
    )


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where the code first leaves what one context recorded.

    `expected` is what is recorded at the position and `current` what the code does there; either is
    None where there is nothing. `matching` are the last operations before it that agree,
    `next_recorded` and `next_current` what follows on each side, and `more_recorded` and
    `more_current` how many come after those. `also_at` are the positions, in other contexts, at
    which the same line of code diverges in the same way. `distance` is how many edits lie between
    the two sequences of the context. `consequence` is what the runtime of the handler would
    do there in production. `escapes`: what is raised there is no Exception, and has no answer.

    `breaks` are the executions that are hurt: `past POSITION`, where a replay meets it, or `inside
    CONTEXT`, a completed one: those past it answer it from its checkpoint. `found_by` is `shallow`
    (what the service's replay does) or `deep` (the body of a completed context). `leak` says of
    one that isn't there while bodies of completed contexts run what those do outside of themselves.
    """

    position: str
    context: str
    cause: Cause
    why: str
    breaks: str | None = None
    found_by: str = ""
    leak: str | None = None
    expected: Line | None = None
    current: Line | None = None
    where: CodeLine | None = None
    matching: tuple[Line, ...] = ()
    next_recorded: tuple[Line, ...] = ()
    next_current: tuple[Line, ...] = ()
    more_recorded: int = 0
    more_current: int = 0
    also_at: tuple[str, ...] = ()
    distance: int = 0
    consequence: str = ""
    traceback: str | None = None
    escapes: bool = False
    invocation: int | None = None


IN_PROCESS_ONLY: Final = "in-process only"
"""What `Verification.guard` is where the operating system holds nothing, or not everything."""
ENFORCED: Final = "enforced"
"""What it is where the operating system holds all that the guard refuses."""

GOES_ON: Final = "goes on after the recorded end"
"""What of a Difference: an operation that comes after all that is recorded, which breaks nobody."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that a replay doesn't stumble over, but that isn't as it was recorded.

    `operation` is what it is about, at its `position` in the code, `where` the line of the call.
    """

    what: str
    position: str | None = None
    recorded: str | None = None
    current: str | None = None
    operation: str | None = None
    where: CodeLine | None = None

    def __str__(self) -> str:
        if self.what == GOES_ON:
            return f"{self.what}: {self.current}"
        return f"{self.what}: recorded {self.recorded}, now {self.current}"


@dataclass(frozen=True, slots=True)
class Inconclusive:
    """Why a history can't be verified, and what to do about it. `is_refusal`: something was refused
    to the handler, which another run may have come to earlier or later."""

    reason: str
    remedy: str
    position: str | None = None
    is_refusal: bool = False


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What runs on a record came to. Those of a deterministic handler tell the same, each time, and
    ask for the same `outside` of the completed contexts that a replay answers."""

    told: tuple[Any, ...] = ()
    differences: tuple[Difference, ...] = ()
    outside: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """The outcome for one history. Truthy when it is compatible.

    `divergences` come in the order in which the code met them, at most one a context, those that
    one line of code makes in several contexts as one. `notes` are sentences
    about what a green verdict leaves open. `operations` counts what the history holds, `compared`
    what the code asked for. `this_execution` says what the service would do with this one; None
    where that isn't known. `by_run` is what each kind of run came to: several runs of a history are
    compared by it. `is_partial`: another run looks into the rest. `guard` says what keeps
    the handler from reaching outside: `enforced`, `in-process only` (why: `guard_reason`), `warn`
    or `off`.
    """

    source: str
    verdict: Verdict
    divergences: tuple[Divergence, ...] = ()
    more_divergences: int = 0
    doubts: tuple[Inconclusive, ...] = ()
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    status: str = ""
    operations: int = 0
    compared: int = 0
    invocations: int = 1
    runtime: str = ""
    name: str | None = None
    function: str | None = None
    this_execution: Fate | None = None
    seconds: float = field(default=0.0, compare=False)
    guard: str = field(default="", compare=False)
    guard_reason: str | None = field(default=None, compare=False)
    is_partial: bool = field(default=False, compare=False)
    by_run: Mapping[Any, RunOutcome] = field(default_factory=dict, compare=False)

    def __bool__(self) -> bool:
        return self.verdict is Verdict.COMPATIBLE

    @property
    def first(self) -> Divergence | None:
        """The first divergence."""
        return self.divergences[0] if self.divergences else None

    def check(self) -> None:
        """Raise NotCompatible unless the verdict is compatible."""
        if not self:
            raise NotCompatible(self)

    def __str__(self) -> str:
        if self.verdict is Verdict.COMPATIBLE:
            return f"{self.source}: compatible ({self.compared:,} operations compared)"
        if self.verdict is Verdict.CANNOT_VERIFY:
            return f"{self.source}: cannot verify: {'; '.join(each.reason for each in self.doubts)}"
        found = self.first
        where = f" [{found.where}]" if found and found.where else ""
        if found is None:
            return f"{self.source}: diverged: {'; '.join(map(str, self.differences))}"
        whom = "no execution" if found.breaks is None else f"executions {found.breaks}"
        return f"{self.source}: diverged at {found.position}: {found.why}{where}; breaks {whom}"


class NotCompatible(AssertionError):
    """What `Verification.check` raises; the verification is in it."""

    def __init__(self, verification: Verification) -> None:
        super().__init__(str(verification))
        self.verification = verification
