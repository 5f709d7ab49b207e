"""One run of a handler under examination: what it asks for, context by context, and what answers.

The two drivers (of the native runtime, and of AWS's SDK) ask here for every operation before
anything happens with it, and do with the answer what their runtime does with a recorded operation.
An operation that has no answer is where they stop: nothing new is ever done. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from durable_core.excerpts import excerpts
from durable_core.fold import ExecutionFacts, Recorded
from durable_core.ids import Path, position_text
from durable_core.model import (
    ExecutionStatus,
    OperationStatus,
    OperationType,
)
from durable_core.sandbox.user_code import (
    calling_line,
    handled_error,
)
from durable_core.verifying.divergence import Found
from durable_core.verifying.handed import Handed
from durable_core.verifying.leaks import LeakWatch, running_body
from durable_core.verifying.matching import Fit
from durable_core.verifying.missing_values import TRUNCATED, MissingValues
from durable_core.verifying.option_changes import detail_differences
from durable_core.verifying.planting import invented
from durable_core.verifying.recorded_tree import Node, RecordedTree, identity_of
from durable_core.verifying.refusals import REFUSED, ended_by_refusal
from durable_core.verifying.retry_differences import Decide, retry_differences
from durable_core.verifying.runs import Asked
from durable_core.verifying.traces import Answer, Trace, UnitAnswer, status_of
from durable_core.verifying.unit_divergence import BatchRun
from durable_core.verifying.unknown import UnknownValue
from durable_core.verifying.verification import (
    CodeLine,
    Difference,
    Doubt,
    Identity,
    line_at,
)

if TYPE_CHECKING:
    from durable_core.verifying.redacted import StandIns

NOT_READABLE: Final = (
    "give the handler the SerDes that wrote it, with the key or dictionary that it needs; if the "
    "SerDes was changed, a replay of this execution fails there"
)
NOT_DEFAULT: Final = (
    "give a history as the service returns it; if the version that wrote it had a SerDes of its "
    "own there, a replay by this one fails there"
)


_SHOWN: Final = 200
"""How much is shown of a value that isn't as recorded."""


class NotedDifference(NamedTuple):
    """A difference, the moment at which it was met, and the context that it is of or in."""

    moment: int
    within: Path
    difference: Difference


class Examination:
    """What one history holds, what one run asks of it, and what came of that.

    `uncertain` are the operations of which the code was handed a result or error that may not be
    whole, with the moment and the reason; `missing` is what of the recorded values isn't there.

    A run does what the service would do: it answers a completed context from its checkpoint, and
    runs the bodies of the others. `bodies` are the completed contexts, by operation id, whose
    bodies run all the same. `answered` are those that the run answered, `entered` the moments at
    which it entered others. `is_unclear_doubted`: what diverges inside of a context of which
    isn't known what the service would do (see `looks_inside`) is a reason for doubt. `stored` are
    those, by operation id, that are known by now to hold their results: they are answered.
    `borrows`: an operation that isn't recorded is followed as a change of the recorded one, not as
    a new one; `matched` counts the operations that are as recorded, which tells how well that went:
    a named one twice, since an unnamed one may be another.
    """

    def __init__(
        self,
        tree: RecordedTree,
        facts: ExecutionFacts,
        *,
        bodies: Collection[str] = (),
        is_unclear_doubted: bool = False,
        stored: Collection[str] = (),
        is_pruned: bool = False,
        stand_ins: StandIns | None = None,
        borrows: bool = True,
        leaks: LeakWatch | None = None,
    ) -> None:
        self.tree = tree
        self.facts = facts
        self.stand_ins = stand_ins
        if stand_ins is not None:
            stand_ins.hand_input(facts.input_payload)
        self._bodies = bodies
        self.is_unclear_doubted = is_unclear_doubted
        self._stored = stored
        self.summarized: set[Path] = set()
        self.answered: dict[str, Path] = {}
        self.entered: dict[str, int] = {}
        self._is_pruned = is_pruned
        self.borrows = borrows
        self.leaks = leaks
        self.matched = 0
        self.moment = 0
        self.traces: list[Trace] = []
        self._nodes: dict[Path, Node] = {}
        self.batches: list[BatchRun] = []
        self.doubts: list[tuple[int, Doubt]] = []
        self.differences: list[NotedDifference] = []
        self.remarks: list[str] = []
        self.unlooked = 0
        self.extra: list[Found] = []
        self.unclear: dict[Path, Identity] = {}
        self.log_calls = 0
        self.is_log_refused = False
        self.defect: BaseException | None = None
        """What went wrong in code of ours that the handler called, and was taken for its own."""
        self.has_threads = False
        """Whether threads of the handler's own asked: in an order that may be another one."""
        self.on_handed: Callable[[str, Callable[[], Handed]], None] | None = None
        """Hears of each operation, by its id, and may ask what it gives to the code it runs."""
        self.uncertain: dict[str, tuple[int, str]] = {}
        self.missing = MissingValues(self.doubt)
        status = facts.status
        self.is_refused = ended_by_refusal(facts)
        ended = (
            status in (ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED) and not self.is_refused
        )
        if self.is_refused:
            self.remark(REFUSED)
        self.root = self.follow(
            Trace(
                (),
                None,
                tree.root,
                not ended,
                status is ExecutionStatus.SUCCEEDED,
                borrows=borrows,
            )
        )

    def follow(self, trace: Trace) -> Trace:
        """Note that the body of a context runs in this run."""
        self.traces.append(trace)
        if trace.node is not None:
            self._nodes[trace.path] = trace.node
        return trace

    @property
    def first_unit(self) -> int:
        """The number of the first unit in a position."""
        return 1 if self.tree.scheme is None else self.tree.scheme.first_unit

    def id_at(self, path: Path) -> str:
        """Return the id of the operation at a position."""
        scheme = self.tree.scheme
        return "" if scheme is None else scheme.id_at(path)

    # -- operations ----------------------------------------------------------------------------

    def ask(
        self,
        trace: Trace,
        identity: Identity,
        details: Mapping[str, object] | None = None,
        decide: Decide | None = None,
        line: CodeLine | None = None,
    ) -> Answer:
        """Say what answers the next operation of a context.

        `details` are what of it may change and is worth telling then; `decide` is what its code
        now decides about a further attempt; `line` is the one that asks, if not the one that runs.
        """
        self.moment += 1
        index = len(trace.asked)
        where = line or calling_line() or trace.where
        asked = Asked(identity, where, self.moment)
        path = (*trace.path, index + 1)
        if self.leaks is not None:
            self._note_stray(self.leaks, trace, asked)
        fits = is_known = trace.alignment.takes_own(identity)
        if fits:
            node = trace.sequence[index]
            self.matched += _weight(identity)
        else:
            asked, node, is_known = self._left(trace, asked, path)
            fits = asked.fit is Fit.ELSEWHERE
        trace.asked.append(asked)
        recorded = None if node is None else node.recorded
        if fits and recorded is not None:
            if details:
                self._compare_details(path, asked, recorded, details)
            if decide is not None and decide.was_asked(recorded):
                with self.missing.comparing():
                    for each in retry_differences(recorded, decide):
                        self.differ(each.what, path, each.recorded, each.current, asked)
        return Answer(path, identity, node, is_known, trace, index)

    def _note_stray(self, leaks: LeakWatch, trace: Trace, asked: Asked) -> None:
        """Note where the body of a completed context asks in a context around it."""
        at = running_body.get()
        if at is None or trace.path[: len(at)] == at:
            return
        for node in self.completed_around(at):
            if trace.path[: len(node.path)] != node.path:
                label = str(line_at(node.path, identity_of(node) or asked.identity))
                leaks.strayed(label, str(asked.identity), asked.where)
                return

    def watched(self, answer: Answer, *functions: object) -> AbstractContextManager[None]:
        """Watch for what the body of a context does outside of itself, where it runs although a
        replay answers it: `functions` are its code."""
        node = answer.node
        if self.leaks is None or node is None or not self.is_answered(node):
            return nullcontext()
        label = str(line_at(answer.path, answer.identity))
        where = answer.trace.asked[answer.asked_at].where
        return self.leaks.body(label, functions, where)

    def _left(self, trace: Trace, asked: Asked, path: Path) -> tuple[Asked, Node | None, bool]:
        """Return what is told of an operation that isn't recorded at its own position, what answers
        it, and whether anything does."""
        identity = asked.identity
        fit, at = trace.alignment.look(identity)
        node = None if at is None else trace.sequence[at]
        out_of = None
        is_invented = fit is Fit.INVENTED
        if fit is Fit.ELSEWHERE:
            self.matched += _weight(identity)
        elif (lent := self._lent(trace, identity)) is not None:
            node, is_invented = lent, False
            self.matched += _weight(identity)
        elif is_invented and identity.type != OperationType.CONTEXT:
            node = Node(path, invented(identity))
        elif (inner := _same_inside(node, identity)) is not None:
            node, out_of = inner, identity_of(node)
        asked = replace(asked, fit=fit, out_of=out_of, handled=handled_error())
        return asked, node, fit is Fit.ELSEWHERE or is_invented or node is not None

    def _lent(self, trace: Trace, identity: Identity) -> Node | None:
        """Look in the contexts around a new one for what has moved into it."""
        at = trace
        while at.host is not None:
            host = at.host
            index = host.alignment.lend(identity)
            if index is not None:
                host.asked[at.host_index] = replace(host.asked[at.host_index], took_from=True)
                return host.sequence[index]
            at = host
        return None

    def _compare_details(
        self, path: Path, asked: Asked, recorded: Recorded, details: Mapping[str, object]
    ) -> None:
        with self.missing.comparing():
            for what, before, now in detail_differences(recorded, details, self.stand_ins):
                self.differ(what, path, before, now, asked)

    def take_payload(self, answer: Answer) -> UnknownValue | None:
        """Note that what is recorded of an operation is handed to the code.

        Returns what stands for a result that the history leaves out. That a replay needs it is a
        reason not to verify.
        """
        recorded = answer.recorded
        if recorded is None:
            return None
        if self.stand_ins is not None:
            self.hand(str(line_at(answer.path, answer.identity)), recorded)
        self._note_uncertain(answer, recorded)
        if not recorded.is_lost:
            return None
        is_result = recorded.operation.status is OperationStatus.SUCCEEDED
        what = "payload" if is_result else "error"
        why = f"the {what} of {answer.identity} was left out of the history (Truncated)"
        if not is_result or not self.completed_around(answer.path[:-1]):
            self.doubt(why, TRUNCATED, answer.path)
        # In a completed context only we read it: no replay does.
        return (
            self.missing.unknown(answer.path, answer.identity, why, TRUNCATED)
            if is_result
            else None
        )

    def _note_uncertain(self, answer: Answer, recorded: Recorded) -> None:
        if recorded.outcome_doubt is not None:
            where = str(line_at(answer.path, answer.identity))
            what = "error" if recorded.operation.error is not None else "result"
            why = f"the {what} of {where} {recorded.outcome_doubt}"
            self.uncertain.setdefault(where, (self.moment, why))

    def hand(self, label: str, recorded: Recorded | None) -> None:
        """Note that what is recorded of an operation is handed to the code."""
        if self.stand_ins is not None and recorded is not None:
            self.stand_ins.hand(self.moment, label, recorded.operation)

    def unreadable(
        self, operation: object, path: Path, error: Exception, *, is_default: bool = False
    ) -> None:
        """Note that the handler's SerDes can't read a recorded payload. `is_default`: it is the
        runtime's own."""
        if self.stand_ins is not None:
            remedy = self.stand_ins.remedy
        else:
            remedy = NOT_DEFAULT if is_default else NOT_READABLE
        what = "the handler can't read the payload of"
        if is_default:
            what = "the default SerDes, which the handler uses there, didn't write the payload of"
        self.doubt(f"{what} {operation}: {error}", remedy, path)

    # -- contexts ------------------------------------------------------------------------------

    def context(self, answer: Answer) -> Trace:
        """Return the trace for the body of a context that the code asks for."""
        node, recorded = answer.node, answer.recorded
        is_context = node is not None and (
            answer.identity.virtual
            or (recorded is not None and recorded.operation.type is OperationType.CONTEXT)
        )
        around = answer.trace
        if answer.identity.virtual:
            is_open, succeeded = around.is_open, False
        else:
            is_open = node is not None and not node.is_terminal
            succeeded = status_of(node) == OperationStatus.SUCCEEDED
        is_new = not is_context and not answer.identity.virtual
        return self.follow(
            Trace(
                answer.path,
                answer.identity,
                node if is_context else None,
                is_open and not is_new,
                succeeded and not is_new,
                is_exact=not is_new and around.is_exact,
                where=around.asked[answer.asked_at].where,
                host=around if is_new else None,
                host_index=answer.asked_at,
                borrows=self.borrows,
            )
        )

    def may_enter(self, answer: Answer) -> bool:
        """Return True when the body of a context may run: not beyond the frontier."""
        return answer.is_known or answer.identity.virtual

    def is_stripped(self, recorded: Recorded | None) -> bool:
        """Return True when the value isn't stored: the service would have the body run again."""
        return recorded is not None and self.tree.is_stripped(recorded)

    def completed_around(self, path: Path) -> list[Node]:
        """Return the completed contexts that a replay answers from their checkpoints, so that what
        is in them doesn't run: of those at a path and around it, the outermost first."""
        around = (path[:size] for size in range(1, len(path) + 1))
        found = (self._nodes.get(each) or self.tree.root.at(each) for each in around)
        return [each for each in found if each is not None and self.is_answered(each)]

    def is_answered(self, node: Node) -> bool:
        """Return True for a completed context that a replay answers from its checkpoint."""
        recorded = node.recorded
        return (
            recorded is not None
            and recorded.operation.type is OperationType.CONTEXT
            and node.is_terminal
            and node.path not in self.summarized
            and not self.is_stripped(recorded)
        )

    def can_look_inside(self, answer: Answer) -> bool:
        """Return True where the operations of a completed context are in the source: from a state
        the service leaves them out."""
        return not self._is_pruned or answer.node is None or bool(answer.node.children)

    def looks_inside(self, answer: Answer, *, summarizes: bool = False) -> bool:
        """Return True when the body of a completed context is to run.

        `summarizes`: its code stores a summary of its own in the place of a large result. Then no
        event says whether what is stored is one, and its body runs for us to know whether that
        matters; see `found`.
        """
        node, recorded = answer.node, answer.recorded
        if self.is_stripped(recorded):
            return True
        if not self.can_look_inside(answer):
            self.unlooked += 1
            return False
        if node is None or recorded is None:
            return False
        if recorded.operation.type is not OperationType.CONTEXT:
            return True  # the code has left the record, and is followed to tell the cause
        if self._enters(node):
            return True
        if summarizes and recorded.operation.status is OperationStatus.SUCCEEDED:
            details = recorded.operation.context_details
            if details is None or details.replay_children is None:
                self.unclear[answer.path] = answer.identity
                return recorded.operation.id not in self._stored
        return False

    def looks_inside_unit(self, unit: UnitAnswer) -> bool:
        """Return True when the body of a unit is to run, which the map or parallel has begun."""
        node = unit.node
        if node is None or not self.is_answered(node):
            return True
        if self._is_pruned and not node.children:
            self.unlooked += 1
            return False
        return self._enters(node)

    def _enters(self, node: Node) -> bool:
        """Return True for a completed context whose body runs although a replay answers it."""
        assert node.recorded is not None
        operation_id = node.recorded.operation.id
        if operation_id in self._bodies:
            self.entered.setdefault(operation_id, self.moment)
            return True
        self.answered[operation_id] = node.path
        return False

    # -- logging -------------------------------------------------------------------------------

    @contextmanager
    def logs(self) -> Iterator[None]:
        """Watch over a call of the context's logger. It may write where nothing is written while
        verifying: that it was refused is neither told nor raised, since no operation depends on it.
        """
        self.log_calls += 1
        self.is_log_refused = False
        try:
            yield
        except Exception:
            if not self.is_log_refused:
                raise
        finally:
            self.log_calls -= 1

    # -- findings ------------------------------------------------------------------------------

    def doubt(
        self, reason: str, remedy: str, path: Path | None = None, *, is_refusal: bool = False
    ) -> None:
        """Note why the outcome can't be known."""
        position = None if path is None else position_text(path)
        doubt = Doubt(reason, remedy, position, is_refusal)
        if all(each != doubt for _, each in self.doubts):
            self.doubts.append((self.moment, doubt))

    def remark(self, text: str) -> None:
        """Note what a person should know, whatever the verdict."""
        self.remarks.append(text)

    def differ(
        self,
        what: str,
        path: Path | None,
        recorded: str | None,
        now: str | None,
        asked: Asked | None = None,
        *,
        of_context: bool = False,
    ) -> None:
        """Note what isn't as recorded, though no replay stumbles over it; of `asked`, if any.

        `of_context`: it is what the body of the context at `path` came to.
        """
        position = None if path is None else position_text(path)
        operation, where = (None, None) if asked is None else (str(asked.identity), asked.where)
        before, after = excerpts(recorded, now, _SHOWN)
        within = () if path is None else path if of_context else path[:-1]
        told = Difference(what, position, before, after, operation, where)
        self.differences.append(NotedDifference(self.moment, within, told))


def _weight(identity: Identity) -> int:
    return 2 if identity.name else 1


def _same_inside(node: Node | None, identity: Identity) -> Node | None:
    """Return the operation of a recorded context that is what is asked for outside of it."""
    if node is None or node.recorded is None or node.is_batch:
        return None
    for each in node.sequence():
        if each is not None and identity_of(each) == identity:
            return each
    return None
