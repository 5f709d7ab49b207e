"""One run of a handler under session: what it asks for, context by context, and what answers.

The two drivers (of the native runtime, and of AWS's SDK) ask here for every operation before
anything happens with it, and do with the answer what their runtime does with a recorded operation.
An operation that has no answer is where they stop: nothing new is ever done. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from durable_core.excerpts import excerpts
from durable_core.execution_facts import ExecutionFacts
from durable_core.fold import Recorded
from durable_core.ids import Path, position_text
from durable_core.model import ExecutionStatus, OperationStatus, OperationType
from durable_core.sandbox.user_code import CodeLine, calling_line
from durable_core.verifying.divergence import Found
from durable_core.verifying.leaks import LeakWatch, running_body
from durable_core.verifying.matching import Fit
from durable_core.verifying.missing_values import TRUNCATED, MissingValues, UnknownValue
from durable_core.verifying.option_changes import (
    NO_OPTIONS,
    OperationOptions,
    option_changes,
    retry_differences,
)
from durable_core.verifying.recorded_tree import (
    Node,
    RecordedTree,
    identity_of,
    placeholder_operation,
)
from durable_core.verifying.traces import (
    ContextTrace,
    Handed,
    RequestedOperation,
    Resolution,
    handled_error,
)
from durable_core.verifying.unit_divergence import BatchRun
from durable_core.verifying.verification import Difference, Identity, Inconclusive, line_at

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


class ReplaySession:
    """What one history holds, what one run asks of it, and what came of that.

    `uncertain` are the operations of which the code was handed a result or error that may not be
    whole, with the moment and the reason; `missing` is what of the recorded values isn't there.

    A run does what the service would do: it answers a completed context from its checkpoint, and
    runs the bodies of the others. `bodies` are the completed contexts, by operation id, whose
    bodies run all the same. `answered` are those that the run answered, `entered` the moments at
    which it entered others. `is_unclear_doubted`: what diverges inside of a context of which
    isn't known what the service would do (see `contexts`) is a reason for doubt. `stored` are
    those, by operation id, that are known by now to hold their results: they are answered.
    `substitutes`: an operation that isn't recorded is followed as a change of the recorded one, not
    as a new one; `matched` counts the operations that are as recorded, which tells how well that
    went: a named one twice, since an unnamed one may be another.
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
        substitutes: bool = True,
        leaks: LeakWatch | None = None,
    ) -> None:
        self.tree = tree
        self.facts = facts
        self.stand_ins = stand_ins
        if stand_ins is not None:
            stand_ins.hand_input(facts.input_payload)
        self.bodies = bodies
        self.is_unclear_doubted = is_unclear_doubted
        self.stored = stored
        self.summarized: set[Path] = set()
        self.answered: dict[str, Path] = {}
        self.entered: dict[str, int] = {}
        self.is_pruned = is_pruned
        self.substitutes = substitutes
        self.leaks = leaks
        self.matched = 0
        self.moment = 0
        self.traces: list[ContextTrace] = []
        self._nodes: dict[Path, Node] = {}
        self.batches: list[BatchRun] = []
        self.doubts: list[tuple[int, Inconclusive]] = []
        self.differences: list[NotedDifference] = []
        self.notes: list[str] = []
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
        self.is_refused = failed_on_rejected_checkpoint(facts)
        if self.is_refused:
            self.note(REFUSED)
        self.root = self.follow(self._trace_of_handler())

    def _trace_of_handler(self) -> ContextTrace:
        has_succeeded = self.facts.status is ExecutionStatus.SUCCEEDED
        has_failed = self.facts.status is ExecutionStatus.FAILED and not self.is_refused
        is_open = not (has_succeeded or has_failed)
        return ContextTrace(
            (), None, self.tree.root, is_open, has_succeeded, substitutes=self.substitutes
        )

    def follow(self, trace: ContextTrace) -> ContextTrace:
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
        trace: ContextTrace,
        identity: Identity,
        options: OperationOptions = NO_OPTIONS,
        line: CodeLine | None = None,
    ) -> Resolution:
        """Say what answers the next operation of a context.

        `options` may change, which is told; `line` is the one that asks, if not the one that runs.
        """
        self.moment += 1
        index = len(trace.asked)
        where = line or calling_line() or trace.where
        asked = RequestedOperation(identity, where, self.moment)
        path = (*trace.path, index + 1)
        if self.leaks is not None:
            self._note_stray(self.leaks, trace, asked)
        fits = is_known = trace.alignment.takes_own(identity)
        if fits:
            node = trace.sequence[index]
            self.matched += _weight(identity)
        else:
            asked, node, is_known = self._left(trace, asked, path)
            fits = asked.fit is Fit.DISPLACED
        trace.asked.append(asked)
        recorded = None if node is None else node.recorded
        if fits and recorded is not None:
            decide = options.decide
            if options.told:
                self._compare_options(path, asked, recorded, options)
            if decide is not None and decide.was_asked(recorded):
                with self.missing.comparing():
                    for each in retry_differences(recorded, decide):
                        self.differ(each.what, path, each.recorded, each.current, asked)
        return Resolution(path, identity, node, is_known, trace, index)

    def _note_stray(self, leaks: LeakWatch, trace: ContextTrace, asked: RequestedOperation) -> None:
        """Note where the body of a completed context asks in a context around it."""
        at = running_body.get()
        if at is None or trace.path[: len(at)] == at:
            return
        for node in self.completed_around(at):
            if trace.path[: len(node.path)] != node.path:
                label = str(line_at(node.path, identity_of(node) or asked.identity))
                leaks.strayed(label, str(asked.identity), asked.where)
                return

    def watched(self, answer: Resolution, *functions: object) -> AbstractContextManager[None]:
        """Watch for what the body of a context does outside of itself, where it runs although a
        replay answers it: `functions` are its code."""
        node = answer.node
        if self.leaks is None or node is None or not self.is_answered(node):
            return nullcontext()
        label = str(line_at(answer.path, answer.identity))
        where = answer.trace.asked[answer.asked_at].where
        return self.leaks.body(label, functions, where)

    def _left(
        self, trace: ContextTrace, asked: RequestedOperation, path: Path
    ) -> tuple[RequestedOperation, Node | None, bool]:
        """Return what is told of an operation that isn't recorded at its own position, what answers
        it, and whether anything does."""
        identity = asked.identity
        fit, at = trace.alignment.look(identity)
        node = None if at is None else trace.sequence[at]
        out_of = None
        is_synthetic = fit is Fit.SYNTHETIC
        if fit is Fit.DISPLACED:
            self.matched += _weight(identity)
        elif (claimed := self._claimed(trace, identity)) is not None:
            node, is_synthetic = claimed, False
            self.matched += _weight(identity)
        elif is_synthetic and identity.type != OperationType.CONTEXT:
            node = Node(path, placeholder_operation(identity))
        elif (inner := _same_inside(node, identity)) is not None:
            node, out_of = inner, identity_of(node)
        asked = replace(asked, fit=fit, out_of=out_of, handled=handled_error())
        return asked, node, fit is Fit.DISPLACED or is_synthetic or node is not None

    def _claimed(self, trace: ContextTrace, identity: Identity) -> Node | None:
        """Look in the contexts around a new one for what has moved into it."""
        at = trace
        while at.host is not None:
            host = at.host
            index = host.alignment.claim(identity)
            if index is not None:
                host.asked[at.host_index] = replace(host.asked[at.host_index], took_from=True)
                return host.sequence[index]
            at = host
        return None

    def _compare_options(
        self, path: Path, asked: RequestedOperation, recorded: Recorded, options: OperationOptions
    ) -> None:
        with self.missing.comparing():
            for what, before, now in option_changes(recorded, options, self.stand_ins):
                self.differ(what, path, before, now, asked)

    def take_payload(self, answer: Resolution) -> UnknownValue | None:
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

    def _note_uncertain(self, answer: Resolution, recorded: Recorded) -> None:
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
        doubt = Inconclusive(reason, remedy, position, is_refusal)
        if all(each != doubt for _, each in self.doubts):
            self.doubts.append((self.moment, doubt))

    def note(self, text: str) -> None:
        """Note what a person should know, whatever the verdict."""
        self.notes.append(text)

    def differ(
        self,
        what: str,
        path: Path | None,
        recorded: str | None,
        now: str | None,
        asked: RequestedOperation | None = None,
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


REFUSED: Final = (
    "the service refused a checkpoint, which ended the recorded execution: what the code asks for "
    "after the last recorded operation is not compared"
)


def failed_on_rejected_checkpoint(facts: ExecutionFacts) -> bool:
    """Return True when a runtime ended the execution since a request was refused.

    What the code asked for in that request isn't recorded then, nor what it asked for after it:
    AWS's Python SDK lets no handler catch it (`BackgroundThreadError`, 3.0.0), and the native
    runtime refuses every later update.
    """
    kind = (facts.error and facts.error.type) or ""
    is_failed = facts.status is ExecutionStatus.FAILED
    return is_failed and kind.rpartition(".")[2] == "CheckpointError"
