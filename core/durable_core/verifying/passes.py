"""The runs that one record is verified by: one as the service replays it, and runs of the bodies of
completed contexts.

The service answers a completed context from its checkpoint. What a run that does the same diverges
by breaks executions that are past that place. The body of a completed context is run by executions
that are still inside of it. It is verified in another run, of which only counts what is inside of
completed contexts: what a body does to the handler's variables, or in the contexts around its own,
isn't there in a replay.

A body runs as it was recorded to run: there is a run for each invocation that completed contexts,
which answers those that had been completed before. Where a context diverges after other bodies
ran, or the code around left the record because of them, it is run again without the others.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from typing import Any, Final

from durable_core.events import INVOCATION_COMPLETED
from durable_core.excerpts import excerpt
from durable_core.execution_facts import has_suspended
from durable_core.fold import Folded, fold
from durable_core.frozen import dataclass
from durable_core.history import RecordedHistory
from durable_core.ids import Path, position_text
from durable_core.model import ExecutionStatus, OperationType
from durable_core.positions import label_of
from durable_core.verifying.divergence import SHOWN_OF_AN_ERROR, Found
from durable_core.verifying.options import Part
from durable_core.verifying.recorded_tree import Node, RecordedTree
from durable_core.verifying.session import ReplaySession
from durable_core.verifying.traces import BodyEnd
from durable_core.verifying.verification import Cause, Divergence, Inconclusive

MOST_RUNS: Final = 5
"""How many runs there are of the bodies of completed contexts, and how many divergences in them are
looked at again, each in a run of its own."""

MOST_AGAIN: Final = 20
"""How many such runs there are where all that they look at comes from bodies of others."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the handler, and where it left the record.

    `own` are the completed contexts, by operation id, of which counts what is in them; up to the
    moment `until`, if that isn't None.
    """

    session: ReplaySession
    found: Sequence[Found]
    own: Collection[str] = ()
    until: int | None = None

    def counts(self, moment: int, within: Path) -> bool:
        """Return True for what was met inside of a context of its own."""
        around = self.session.completed_around(within)
        is_own = bool(around) and next(_ids(around[-1:])) in self.own
        return is_own and (self.until is None or moment < self.until)


Runner = Callable[[Collection[str], Collection[str]], Run]
"""Runs the handler, and the bodies of the first completed contexts although a replay answers them.
Of the second it is known that their results are stored whole (see `ReplaySession`)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A divergence, and the run that met it.

    `inside`: the completed context that it is in; None: it is what the service's replay does.
    `leak` says why it isn't there where bodies of completed contexts run too.
    """

    found: Found
    run: Run
    inside: Node | None = None
    leak: str | None = None


@dataclass(slots=True)
class Passes:
    """All runs of one record. `service` None: not run, since the others show nothing.

    `unseen` are the completed contexts whose bodies could not be verified. `is_partial`: one of
    the two parts was left to another verification.
    """

    service: Run | None = None
    bodies: list[Run] = field(default_factory=list)
    inside: list[Seen] = field(default_factory=list)
    unseen: set[str] = field(default_factory=set)
    is_partial: bool = False

    @property
    def widest(self) -> Run:
        """The run that entered the most."""
        run = self.bodies[0] if self.bodies else self.service
        assert run is not None
        return run


def run_passes(
    run: Runner,
    tree: RecordedTree,
    completed: Mapping[str, int] | None,
    *,
    part: Part | None,
    needs_service: Callable[[Run], bool],
) -> Passes:
    """Run the handler as often as it takes.

    `completed` are the completed contexts whose bodies are to be verified, by operation id, and the
    invocation that completed each; None: of none, only what the service's replay does is looked
    into. Of one `part` the other is run only where it shows something, or `needs_service` says so.
    """
    if completed is None:
        return Passes(run((), ()))
    passes = Passes(is_partial=part is not None and bool(completed))
    if part is not Part.BODIES or not completed:
        passes.service = _as_stored(run, run((), ()))
        if part is Part.SERVICE or not passes.service.session.answered:
            completed = {}
    for numbers in _groups(completed.values()):
        _BodyPass(run, passes, tree, completed, numbers).verify()
    if passes.service is None and any(
        needs_service(each) or _shows(each) for each in passes.bodies
    ):
        passes.service = _as_stored(run, run((), ()))
    if part is Part.BODIES and passes.service is not None:
        passes.is_partial = False
    return passes


def _shows(run: Run) -> bool:
    return bool(run.session.doubts) or any(not _around(run, each) for each in run.found)


def _as_stored(run: Runner, service: Run) -> Run:
    """Return the run as the service replays it, once it is known which results are stored whole:
    of a context whose code stores summaries of its own, no event says so. Its body has run.

    Where it came to another result than the stored one, that stays unknown.
    """
    session = service.session
    stored = {key: at for key, at in session.answered.items() if at in session.unclear}
    for key in [key for key, at in stored.items() if at in session.summarized]:
        del stored[key]
    if not stored:
        return service
    other = run((), stored)
    one, two = (
        {each.divergence.position for each in either.found if not _around(either, each)}
        for either in (service, other)
    )
    unknown = [
        each.within
        for each in session.differences
        if each.difference.what == "context result" and each.within in stored.values()
    ]
    if one != two and unknown:
        identity = session.unclear[unknown[0]]
        reason = (
            f"{identity} completed with a result that may be a summary, and what its body does "
            "decides what the code around it asks for: no event says ReplayChildren, on which "
            "depends whether it runs again"
        )
        remedy = "verify against a state or invocation input of the execution, which say it"
        other.session.doubts.insert(0, (0, Inconclusive(reason, remedy, position_text(unknown[0]))))
    return other


def _around(run: Run, found: Found) -> list[Node]:
    return run.session.completed_around(found.within)


def _ids(nodes: Iterable[Node]) -> Iterator[str]:
    return (each.recorded.operation.id for each in nodes if each.recorded is not None)


def _groups(numbers: Iterable[int]) -> list[frozenset[int]]:
    """Return invocations, those that have a run together: neighbours, where there are many."""
    each = sorted(set(numbers))
    size = -(-len(each) // MOST_RUNS) or 1
    return [frozenset(each[at : at + size]) for at in range(0, len(each), size)]


class _BodyPass:
    """The bodies of the contexts that were completed in some invocations, verified."""

    def __init__(
        self,
        run: Runner,
        passes: Passes,
        tree: RecordedTree,
        completed: Mapping[str, int],
        numbers: frozenset[int],
    ) -> None:
        self._run = run
        self._passes = passes
        self._tree = tree
        self._completed = completed
        self._own = {key for key, number in completed.items() if number in numbers}
        self._since = min(numbers)
        self._again = 0
        self._real = 0
        self._confirmed: dict[Any, bool] = {}

    @cached_property
    def _nodes(self) -> Mapping[str, Node]:
        nodes = self._tree.root.walk()
        return {each.recorded.operation.id: each for each in nodes if each.recorded is not None}

    def verify(self) -> None:
        """Run the bodies, and again what others may have led astray."""
        bodies = {key for key, number in self._completed.items() if number >= self._since}
        run = self._run(bodies, ())
        astray = self._astray_at(run)
        run = replace(run, own=self._own, until=astray)
        self._passes.bodies.append(run)
        for found, node, key in self._inside(run):
            if run.counts(found.moment, found.within) and self._is_confirmed(run, found, key):
                self._passes.inside.append(Seen(found, run, node))
        if astray is not None:
            self._verify_apart(run, astray)

    def _astray_at(self, run: Run) -> int | None:
        """Return at which moment bodies of completed contexts led the code around them off the
        record, where the service's replay keeps to it; None: they didn't."""
        outside = [each for each in run.found if not _around(run, each)]
        if not outside:
            return None
        if self._passes.service is None:
            self._passes.service = _as_stored(self._run, self._run((), ()))
        known = {each.divergence.position for each in self._passes.service.found}
        moments = [each.moment for each in outside if each.divergence.position not in known]
        return min(moments, default=None)

    def _inside(self, run: Run) -> Iterator[tuple[Found, Node, str]]:
        for found in run.found:
            around = _around(run, found)
            if around:
                yield found, around[-1], next(_ids(around[-1:]))

    def _is_confirmed(self, run: Run, found: Found, key: str) -> bool:
        """Return True unless the context is as recorded where no body ran before it: what others
        left behind isn't there for executions that are inside of it."""
        told = found.divergence
        alike = (told.cause, told.why, told.where or told.position)
        if alike not in self._confirmed:
            self._confirmed[alike] = self._diverges_apart(run, key)
        return self._confirmed[alike]

    def _diverges_apart(self, run: Run, key: str) -> bool:
        around = set(self._completed_around(key))
        began = run.session.entered
        others = [each for each in began if each not in around and began[each] < began.get(key, 0)]
        if not others or self._real >= MOST_RUNS:
            return True
        if self._again >= MOST_AGAIN:
            self._passes.unseen.add(key)
            return False
        self._again += 1
        alone = self._run({*around, key}, ())
        is_real = any(each == key for _, _, each in self._inside(alone))
        self._real += is_real
        return is_real

    def _verify_apart(self, run: Run, astray: int) -> None:
        """Verify the contexts that come after bodies of others led the code astray, each with the
        bodies in it alone."""
        began = run.session.entered
        left = {key for key in self._own if began.get(key, astray) >= astray}
        for key in sorted(left, key=lambda each: self._nodes[each].path):
            around = set(self._completed_around(key))
            if around & left:
                continue  # in another one of them
            if self._again >= MOST_AGAIN:
                self._passes.unseen.add(key)
                continue
            self._again += 1
            inside = set(_ids(self._nodes[key].walk())) | {key}
            alone = self._run(around | inside, ())
            alone = replace(alone, own=inside & self._own)
            self._passes.bodies.append(alone)
            for found, node, _ in self._inside(alone):
                if alone.counts(found.moment, found.within):
                    self._passes.inside.append(Seen(found, alone, node))

    def _completed_around(self, key: str) -> Iterator[str]:
        """Yield the completed contexts around one."""
        path = self._nodes[key].path
        for each, node in self._nodes.items():
            size = len(node.path)
            if each in self._completed and size < len(path) and path[:size] == node.path:
                yield each


@dataclass(frozen=True, slots=True)
class Picture:
    """What one run is compared with: a record as it stood. `number` of the invocation, if one.

    `is_whole`: all that is recorded.
    `suspended`: the invocation ended and the execution went on; `proven`: something came after it,
    or the service said of the execution that it runs.
    `left_at` is after which event the last invocation left it, where something came since that the
    code may go on with.
    """

    folded: Folded
    number: int | None = None
    is_whole: bool = False
    suspended: bool = False
    proven: bool = True
    left_at: int | None = None


def pictures_of(
    history: RecordedHistory, folded: Folded, *, every_invocation: bool
) -> Iterator[Picture]:
    """Return the records to compare with: as each invocation left it, then the whole."""
    invocations = folded.invocations
    if every_invocation:
        for each in invocations[:-1]:
            events = history.events[: each.stop]
            cut = fold(events)
            suspended = has_suspended(each, folded.execution.pauses)
            yield Picture(cut, each.number, suspended=suspended)
    last = invocations[-1] if invocations else None
    suspended = last is not None and has_suspended(last, folded.execution.pauses)
    number = len(invocations) if every_invocation else None
    known = None if history.execution is None else history.execution.status
    proven = (known is not None and known.is_open) or (
        bool(history.events) and history.events[-1].event_type != INVOCATION_COMPLETED
    )
    is_open = folded.execution.status.is_open
    came_since = last is not None and suspended and last.stop < len(history.events)
    left_at = last.stop if last is not None and is_open and came_since else None
    yield Picture(folded, number, True, suspended, proven, left_at)


def completed_contexts(picture: Picture, tree: RecordedTree) -> Mapping[str, int]:
    """Return the completed contexts that a replay answers from their checkpoints, by operation id,
    and the number of the invocation that completed each."""
    contexts = {
        key: each
        for key, each in picture.folded.operations.items()
        if each.operation.type is OperationType.CONTEXT and each.operation.is_terminal
    }
    stops = [each.stop for each in picture.folded.invocations]
    found = {key: bisect_right(stops, each.events[1] - 1) + 1 for key, each in contexts.items()}
    return {key: at for key, at in found.items() if not tree.is_stripped(contexts[key])}


def end_divergence(session: ReplaySession, picture: Picture) -> Found | None:
    """Return where the handler ends although the invocation is recorded to have suspended, or
    suspends although the execution is recorded to have succeeded."""
    root, status = session.root, picture.folded.execution.status
    position = str(len(root.asked) + 1)
    if status is ExecutionStatus.SUCCEEDED and root.outcome is BodyEnd.SUSPENDED:
        if len(root.asked) > len(root.sequence):
            return None  # it goes on after the recorded end
        why = "the code waits for something that the recorded run did not wait for"
        return Found(
            root.ended_at,
            Divergence(position, root.label, Cause.WAITS, why, where=_last_line(session)),
        )
    if not status.is_open or not picture.suspended:
        return None
    waiting = list(session.tree.root.open_operations())
    if not waiting or root.outcome not in (BodyEnd.RETURNED, BodyEnd.RAISED):
        return None
    label = label_of(waiting[0])
    if not picture.proven:
        # Nobody need wait for what was asked for: a callback, a task that lost a race. The
        # invocation may have been about to end the execution.
        session.doubt(
            f"the code ends without waiting for {label}, and the history stops where the recorded "
            "run either waited for it or had just ended too",
            "fetch the history again: it says by now which of the two",
        )
        return None
    if root.outcome is BodyEnd.RETURNED:
        why = f"the code ends where it is recorded to wait for {label}"
        cause = Cause.ENDED_EARLY
    else:
        error = excerpt(root.error, SHOWN_OF_AN_ERROR)
        why = f"the code raises {error} where it is recorded to wait for {label}"
        cause = Cause.RAISED
    return Found(
        root.ended_at,
        Divergence(
            position,
            root.label,
            cause,
            why,
            where=root.raised_where or _last_line(session),
            traceback=root.traceback,
            escapes=root.escapes,
        ),
    )


def _last_line(session: ReplaySession) -> Any:
    asked = session.root.asked
    return asked[-1].where if asked else None
