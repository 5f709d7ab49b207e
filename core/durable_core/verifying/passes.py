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

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from typing import Any, Final

from durable_core.ids import Path, position_text
from durable_core.values import dataclass
from durable_core.verifying.divergence import Found
from durable_core.verifying.options import Part
from durable_core.verifying.recorded_tree import Node, RecordedTree
from durable_core.verifying.session import Examination
from durable_core.verifying.verification import Doubt

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

    examination: Examination
    found: Sequence[Found]
    own: Collection[str] = ()
    until: int | None = None

    def counts(self, moment: int, within: Path) -> bool:
        """Return True for what was met inside of a context of its own."""
        around = self.examination.completed_around(within)
        is_own = bool(around) and next(_ids(around[-1:])) in self.own
        return is_own and (self.until is None or moment < self.until)


Runner = Callable[[Collection[str], Collection[str]], Run]
"""Runs the handler, and the bodies of the first completed contexts although a replay answers them.
Of the second it is known that their results are stored whole (see `Examination`)."""


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
        if part is Part.SERVICE or not passes.service.examination.answered:
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
    return bool(run.examination.doubts) or any(not _around(run, each) for each in run.found)


def _as_stored(run: Runner, service: Run) -> Run:
    """Return the run as the service replays it, once it is known which results are stored whole:
    of a context whose code stores summaries of its own, no event says so. Its body has run.

    Where it came to another result than the stored one, that stays unknown.
    """
    examination = service.examination
    stored = {key: at for key, at in examination.answered.items() if at in examination.unclear}
    for key in [key for key, at in stored.items() if at in examination.summarized]:
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
        for each in examination.differences
        if each.difference.what == "context result" and each.within in stored.values()
    ]
    if one != two and unknown:
        identity = examination.unclear[unknown[0]]
        reason = (
            f"{identity} completed with a result that may be a summary, and what its body does "
            "decides what the code around it asks for: no event says ReplayChildren, on which "
            "depends whether it runs again"
        )
        remedy = "verify against a state or invocation input of the execution, which say it"
        other.examination.doubts.insert(0, (0, Doubt(reason, remedy, position_text(unknown[0]))))
    return other


def _around(run: Run, found: Found) -> list[Node]:
    return run.examination.completed_around(found.within)


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
        began = run.examination.entered
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
        began = run.examination.entered
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
