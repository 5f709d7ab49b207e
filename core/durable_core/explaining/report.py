"""What the explanation of a history says, as frozen values ready to be shown.

Rows are flat and in the order of the tree (a parent before its children, `depth` from 0), so that
no depth of nesting is too much for a reader. Bytes are UTF-8 bytes of payloads, moments aware
datetimes, durations seconds.
"""

from __future__ import annotations

from datetime import datetime

from durable_core.frozen import dataclass
from durable_core.limits import AS_OF, LIMITS
from durable_core.metering import Metered
from durable_core.model import ErrorObject, NestingType, Word
from durable_core.sdks import Sdk


class Replay(Word):
    """What a replay does with an operation or unit."""

    FROM_CHECKPOINT = "from-checkpoint"
    RAISES = "raises-recorded-error"
    RE_EXECUTED = "re-executed"
    ERROR_RECOVERED = "error-recovered"
    SKIPPED = "skipped-as-started"
    NOT_DISPATCHED = "not-dispatched"
    RUNS_AGAIN = "runs-again"
    NEXT_ATTEMPT = "next-attempt"
    WAITS = "waits"
    NOT_REACHED = "not-reached"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Row:
    """One operation, or one unit that has no operation of its own.

    `position` is what the id resolves to (`2.1.3`); it is the id itself where that fits no scheme.
    `units` counts the units that a row stands for: 1, or more for neighbours that a summary lists
    and of which nothing else is recorded. `payload_bytes` is the stored result or error, None where
    the history leaves it out, `payload_limit` what it may have, `stored_bytes` all that was ever
    written. `is_stripped` says that the result isn't in the checkpoint, `is_inferred` that this is
    no recorded fact, `why` is the sentence that says what a replay does and why.
    `metered_operations` and `metered_bytes` are what AWS meters for it (see `metering`): 0 for a
    unit without an operation.
    """

    position: str
    depth: int
    type: str
    replay: Replay
    why: str
    id: str | None = None
    parent_id: str | None = None
    sub_type: str | None = None
    name: str | None = None
    status: str | None = None
    unit: int | None = None
    units: int = 1
    nesting: NestingType | None = None
    attempts: int = 0
    started: datetime | None = None
    ended: datetime | None = None
    payload_bytes: int | None = None
    payload_limit: int = LIMITS.payload_bytes
    stored_bytes: int = 0
    is_stripped: bool = False
    is_inferred: bool = False
    completion_reason: str | None = None
    until: datetime | None = None
    error: ErrorObject | None = None
    payload: str | None = None
    metered_operations: int = 0
    metered_bytes: int = 0

    @property
    def duration_seconds(self) -> float | None:
        """How long it took, None while it is open or where a moment isn't recorded."""
        if self.started is None or self.ended is None:
            return None
        return (self.ended - self.started).total_seconds()

    @property
    def positions(self) -> tuple[str, ...]:
        """The positions that a row of units stands for: `1.4-9` is six of them."""
        base, dot, numbers = self.position.rpartition(".")
        first, _, last = numbers.partition("-")
        if self.units == 1 or not (first.isdecimal() and last.isdecimal()):
            return (self.position,)
        return tuple(f"{base}{dot}{number}" for number in range(int(first), int(last) + 1))

    @property
    def is_flat_unit(self) -> bool:
        """True for a unit without an operation of its own."""
        return self.unit is not None and self.id is None


@dataclass(frozen=True, slots=True)
class LimitUse:
    """How much of a limit is used. `where` names the operation for limits of one operation.

    `source` is who says so, `as_of` when that was read, `disputed` what another source of AWS's
    says (None where they agree). `note` is what must be known to read it; `at_least`: the source
    doesn't hold all that counts.
    """

    key: str
    what: str
    unit: str
    used: int
    limit: int
    where: str | None = None
    note: str | None = None
    at_least: bool = False
    source: str = ""
    as_of: str = AS_OF
    disputed: str | None = None

    @property
    def fraction(self) -> float:
        """The part of the limit that is used; over 1 is over the limit."""
        return self.used / self.limit

    @property
    def is_warning(self) -> bool:
        """True from 80 % on."""
        return self.fraction >= 0.8


@dataclass(frozen=True, slots=True)
class ReplayCost:
    """What every further invocation of the execution costs before it does anything new."""

    operations: int
    """Operations that the service hands over."""
    payload_bytes: int
    """Payload bytes in them."""
    answered: int
    """Operations that are answered from their checkpoint."""
    contexts_re_executed: int
    """Stripped or unfinished contexts whose bodies run again."""
    unit_bodies: int
    """Bodies of FLAT units that run again, as far as the history shows."""


@dataclass(frozen=True, slots=True)
class Totals:
    """How many operations and units there are of what one wants to know."""

    operations: int
    units: int
    stripped: int
    re_executed: int
    skipped: int
    not_dispatched: int
    failed: int
    pending: int
    metered_operations: int
    metered_bytes: int


@dataclass(frozen=True, slots=True)
class Metering:
    """What AWS meters beside the rows: with theirs it adds up to `Totals`.

    `operations_at_least` and `bytes_at_least` say that the source leaves something out, so that
    the totals are lower bounds; `notes` are sentences on what isn't known.
    """

    execution: Metered
    invocation_retries: Metered
    operations_at_least: bool = False
    bytes_at_least: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ComputeUse:
    """How long the invocations ran, each rounded up to the millisecond, as Lambda bills them.

    `invocations` is None where the source holds none, a state. `seconds` is what all that ended
    took; `timed` counts those of which both moments are recorded: of the others only their events
    are, so that they took longer.
    """

    invocations: int | None
    timed: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason why an execution waits or has failed, as a sentence.

    In a chain of errors the root cause comes first.
    """

    text: str
    position: str | None = None
    until: datetime | None = None


class AtResume(Word):
    """What the service does when a paused execution is resumed."""

    INVOKES = "invokes"
    WAITS = "waits"


@dataclass(frozen=True, slots=True)
class PauseRow:
    """One pause. `resumed` None: it goes on. `completed` are the positions of the operations that
    the service completed meanwhile."""

    paused: datetime
    requested: datetime | None
    reason: str | None
    timeout_paused: bool
    resumed: datetime | None
    resume_reason: str | None
    seconds: float
    completed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The explanation of one history."""

    source: str
    name: str | None
    arn: str | None
    function: str | None
    version: str | None
    sdks: tuple[Sdk, ...]
    id_scheme: str | None
    status: str
    started: datetime | None
    ended: datetime | None
    last_event: datetime | None
    wall_seconds: float | None
    suspended_seconds: float | None
    invocations: int
    failed_invocations: int
    invocation: int | None
    stored_bytes: int
    input_bytes: int | None
    result_bytes: int | None
    rows: tuple[Row, ...]
    totals: Totals
    metering: Metering
    compute: ComputeUse
    cost: ReplayCost
    limits: tuple[LimitUse, ...]
    reasons: tuple[Reason, ...]
    warnings: tuple[str, ...]
    error: ErrorObject | None = None
    pauses: tuple[PauseRow, ...] = ()
    paused_seconds: float = 0.0
    expected_timeout: datetime | None = None
    """When the execution times out, its extension by pauses included."""
    at_resume: AtResume | None = None
