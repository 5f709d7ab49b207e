"""Verifying a handler against what was recorded: the runs, and what they come to.

The handler runs on the whole record, or also as each recorded invocation left it, and there more
than once: see `passes`. Nothing that the record holds is done again and nothing new is done; see
`session`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from durable_core.arns import UNKNOWN_ARN
from durable_core.fold import Folded, fold, folded_of
from durable_core.history import RecordedHistory
from durable_core.ids import IdScheme
from durable_core.sandbox.user_code import calls_handlers, shown
from durable_core.verifying.consequences import ReplayRuntime, told_alike
from durable_core.verifying.differences import compare_final_error
from durable_core.verifying.findings import (
    differences_seen,
    divergences_seen,
    doubts_seen,
    is_of_service,
    outcome_by_run,
)
from durable_core.verifying.leaks import LeakWatch
from durable_core.verifying.options import VerifyOptions
from durable_core.verifying.passes import (
    Passes,
    Picture,
    Run,
    completed_contexts,
    end_divergence,
    pictures_of,
    run_passes,
)
from durable_core.verifying.recorded_tree import RecordedTree, tree_of
from durable_core.verifying.relocations import find_divergences
from durable_core.verifying.session import ReplaySession
from durable_core.verifying.verifiability import (
    doubts_of,
    notes_of,
    scheme_doubt,
    uncertain_doubts,
)
from durable_core.verifying.verification import Cause, Fate, Inconclusive, Verdict, Verification

if TYPE_CHECKING:
    from durable_core.verifying.redacted import StandIns


class Replayer(Protocol):
    """Runs a handler, whatever SDK it is written with, under an session."""

    @property
    def runtime(self) -> ReplayRuntime: ...
    @property
    def scheme(self) -> IdScheme: ...
    @property
    def function(self) -> Any:
        """The function of the user's that runs."""

    def replay(self, session: ReplaySession, arn: str, *, in_turn: bool = False) -> None:
        """Run the handler once, to its end or as far as it can go, and note how it ended.

        `in_turn`: where it has threads of its own, one runs at a time, in an order that is the same
        in every run.
        """


# -- one history -------------------------------------------------------------------------------


Watch = Callable[[ReplaySession], AbstractContextManager[None]]
"""Watches over a run of a handler."""


def verify_history(
    replayer: Replayer,
    history: RecordedHistory,
    options: VerifyOptions | None = None,
    watch: Watch = lambda session: nullcontext(),
) -> Verification:
    """Verify the replayer's handler against a history. What the handler does wrong is a value."""
    options = options or VerifyOptions()
    began = perf_counter()
    folded = folded_of(history)
    outcome = _before(history, folded, replayer.runtime.name)
    if not outcome:
        return outcome
    for picture in pictures_of(history, folded, every_invocation=options.every_invocation):
        if outcome.verdict is Verdict.COMPATIBLE:
            outcome = _Verifier(replayer, history, picture, options, watch).verify(outcome)
    # What the service does with this execution shows at its end, whatever an invocation found.
    if outcome.this_execution is None and outcome.divergences and options.every_invocation:
        last = _Verifier(replayer, history, picture, replace(options, deep=False), watch)
        outcome = replace(outcome, this_execution=last.verify(outcome).this_execution)
    if options.strict and outcome.verdict is Verdict.COMPATIBLE and outcome.differences:
        outcome = replace(outcome, verdict=Verdict.DIVERGED)
    return replace(outcome, seconds=perf_counter() - began)


def unverified(history: RecordedHistory, runtime: str) -> Verification:
    """Return what is known of a history that no handler could be run against."""
    return _before(history, folded_of(history), runtime)


def _before(history: RecordedHistory, folded: Folded, runtime: str) -> Verification:
    doubts = tuple(doubts_of(history, folded))
    status = folded.execution.status
    return Verification(
        source=history.source,
        verdict=Verdict.CANNOT_VERIFY if doubts else Verdict.COMPATIBLE,
        doubts=doubts,
        status=status.value,
        operations=len(folded.operations),
        invocations=len(folded.invocations) or 1,
        runtime=runtime,
        name=folded.execution.name,
        function=function_of(history.arn),
        this_execution=None if status.is_open else Fate.ENDED,
    )


class _Verifier:
    """One record of an execution, verified."""

    def __init__(
        self,
        replayer: Replayer,
        history: RecordedHistory,
        picture: Picture,
        options: VerifyOptions,
        watch: Watch,
    ) -> None:
        self._replayer = replayer
        self._history = history
        self._picture = picture
        self._options = options
        self._watch = watch
        self._has_watched = False

    def verify(self, so_far: Verification) -> Verification:
        """Return what comes of it on top of what is known."""
        scheme = self._replayer.scheme
        tree = tree_of(self._picture.folded.operations, scheme)
        doubt = scheme_doubt(tree, scheme)
        if doubt is not None:
            return _unsure(so_far, doubt)
        picture = self._picture
        # The bodies of completed contexts are verified once, when all that complete have.
        deep = self._options.deep and picture.is_whole
        passes = run_passes(
            lambda bodies, stored: self._run(tree, picture, bodies, stored),
            tree,
            completed_contexts(picture, tree) if deep else None,
            part=self._options.part,
            needs_service=self._needs_service,
        )
        if passes.service is not None:
            passes.service = self._with_end(passes.service)
        if passes.service is not None and passes.bodies:
            passes.bodies[0] = self._with_same_end(passes.bodies[0])
        return self._outcome(so_far, passes)

    # -- running -------------------------------------------------------------------------------

    def _run(
        self,
        tree: RecordedTree,
        picture: Picture,
        bodies: Collection[str],
        stored: Collection[str],
    ) -> Run:
        """Run the handler, and again where its code left the record by an operation that may be
        new.

        Code that has left its record can only be followed on a supposition: that the operation is
        the recorded one, changed, or that it is a new one. The one on which more is as recorded is
        told.
        """

        def run(substitutes: bool) -> Run:
            made = once(substitutes)
            if made.found and made.session.has_threads:
                # It may only have been another one of its threads that came first.
                return once(substitutes, in_turn=True)
            return made

        def once(substitutes: bool, *, in_turn: bool = False) -> Run:
            session = ReplaySession(
                tree,
                picture.folded.execution,
                bodies=bodies,
                is_unclear_doubted=not self._options.deep,
                stored=stored,
                is_pruned=self._history.operations is not None,
                stand_ins=_stand_ins_of(self._history),
                substitutes=substitutes,
                leaks=LeakWatch(self._replayer.function) if watches else None,
            )
            with self._watch(session):
                arn = self._history.arn or UNKNOWN_ARN
                self._replayer.replay(session, arn, in_turn=in_turn)
            if session.defect is not None:
                raise session.defect
            return Run(session, find_divergences(session))

        watches = bool(bodies) and not self._has_watched
        self._has_watched = self._has_watched or watches
        one = run(True)
        if not one.found or one.found[0].divergence.cause not in _MAY_BE_NEW:
            return one
        other = run(False)
        if not other.found:
            return one
        first, second = (each.found[0].divergence.position for each in (one, other))
        is_better = other.session.matched > one.session.matched
        return other if first == second and is_better else one

    def _needs_service(self, run: Run) -> bool:
        return end_divergence(run.session, self._picture) is not None

    def _with_end(self, service: Run) -> Run:
        """Return the run with how it ended, where that is a divergence of its own or another error
        than the execution is recorded to have failed with."""
        if any(is_of_service(service.session, each) for each in service.found):
            return service
        picture = self._picture
        ended = end_divergence(service.session, picture)
        if ended is not None and picture.left_at is not None:
            left = fold(self._history.events[: picture.left_at])
            earlier = Picture(left, picture.number, suspended=picture.suspended)
            tree = tree_of(earlier.folded.operations, self._replayer.scheme)
            again = self._run(tree, earlier, (), ())
            ended = end_divergence(again.session, earlier)
        if ended is not None:
            return replace(service, found=[*service.found, ended])
        compare_final_error(service.session)
        return service

    def _with_same_end(self, run: Run) -> Run:
        """Return a run of bodies with how it ended, to be held against the service's replay."""
        ended = end_divergence(run.session, self._picture)
        return run if ended is None else replace(run, found=[*run.found, ended])

    # -- what comes of it ----------------------------------------------------------------------

    def _outcome(self, so_far: Verification, passes: Passes) -> Verification:
        seen = divergences_seen(passes)
        session = passes.widest.session
        number, by_run = self._picture.number, outcome_by_run(passes)
        compared = sum(len(trace.asked) for trace in session.traces)
        new = (replace(each, where=shown(each.where)) for each in differences_seen(passes))
        outcome = replace(
            so_far,
            compared=max(so_far.compared, compared),
            differences=tuple(dict.fromkeys((*so_far.differences, *new))),
            notes=tuple(notes_of(passes, is_green=not seen)),
            is_partial=passes.is_partial,
            by_run={**so_far.by_run, **{(kind, number): told for kind, told in by_run.items()}},
        )
        doubts = doubts_seen(passes, seen)
        if seen and not doubts:
            doubts = list(uncertain_doubts(seen[0].run.session, seen[0].found))
        if doubts:
            return replace(outcome, verdict=Verdict.CANNOT_VERIFY, doubts=tuple(doubts))
        is_running = self._picture.is_whole and so_far.this_execution is None
        if is_running and passes.service is not None:
            breaks = any(each.inside is None for each in seen)
            outcome = replace(outcome, this_execution=Fate.BREAKS if breaks else Fate.SAFE)
        if not seen:
            return self._green(outcome, session.stand_ins)
        alike = told_alike(seen, self._replayer.runtime)
        outcome = replace(
            outcome,
            verdict=Verdict.DIVERGED,
            divergences=tuple(
                replace(each, where=shown(each.where), invocation=number)
                for each in alike[: self._options.most]
            ),
            more_divergences=max(0, len(alike) - self._options.most),
        )
        stand_ins = seen[0].run.session.stand_ins
        doubt = stand_ins.doubt(seen[0].found) if stand_ins is not None else None
        return outcome if doubt is None else _unsure(outcome, doubt)

    def _green(self, outcome: Verification, stand_ins: StandIns | None) -> Verification:
        if stand_ins is None:
            return outcome
        doubt = stand_ins.strict_doubt() if self._options.strict else None
        noted = replace(outcome, notes=(stand_ins.note(), *outcome.notes))
        return noted if doubt is None else _unsure(outcome, doubt)


def _stand_ins_of(history: RecordedHistory) -> StandIns | None:
    if not history.is_redacted:
        return None
    from durable_core.verifying.redacted import stand_ins_of

    return stand_ins_of(history)


_MAY_BE_NEW: Final = (Cause.RENAMED, Cause.TYPE_CHANGED, Cause.REPLACED)


def _unsure(outcome: Verification, doubt: Inconclusive) -> Verification:
    running = outcome.this_execution in (Fate.SAFE, Fate.BREAKS)
    fate = None if running else outcome.this_execution
    return replace(outcome, verdict=Verdict.CANNOT_VERIFY, doubts=(doubt,), this_execution=fate)


def function_of(arn: str | None) -> str | None:
    """Return the name of the function in an execution's ARN."""
    _, found, rest = (arn or "").partition(":function:")
    return rest.partition("/")[0].partition(":")[0] if found else None


calls_handlers(globals())
