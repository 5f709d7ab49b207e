"""Verifying a handler against what was recorded: the run, and what it comes to.

The handler runs once on the whole record, or once for each invocation that was recorded. Nothing
that the record holds is done again and nothing new is done; see `examination`.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Final, Protocol, cast

from durable_core.checkpointer import Checkpointer
from durable_core.code_lines import shown
from durable_core.consequences import Runtime, with_consequence
from durable_core.divergence import Found, Outcome
from durable_core.event_loop import VirtualTimeLoop
from durable_core.examination import Ended, Examination, note_end
from durable_core.execution import Scope
from durable_core.explain import folded_of
from durable_core.fold import Folded, fold
from durable_core.history import RecordedHistory
from durable_core.ids import SHA256, IdScheme
from durable_core.invocation import Handler, abandon
from durable_core.model import ExecutionStatus, OperationType
from durable_core.recorded_tree import RecordedTree, tree_of
from durable_core.replay_context import VerifyingContext, VerifyingExecution
from durable_core.serdes import JSON, SerDesContext, serialize
from durable_core.verification import (
    Cause,
    Divergence,
    Doubt,
    Verdict,
    Verification,
)


class Replayer(Protocol):
    """Runs a handler, whatever SDK it is written with, under an examination."""

    @property
    def runtime(self) -> Runtime: ...
    @property
    def scheme(self) -> IdScheme: ...
    def replay(self, examination: Examination, arn: str) -> None:
        """Run the handler once, to its end or as far as it can go, and note how it ended."""


class NativeReplayer:
    """Runs an `async def handler(event, ctx)`."""

    runtime: Final = Runtime("durable", is_native=True, compares=True)
    scheme: Final = SHA256

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def replay(self, examination: Examination, arn: str) -> None:
        """Run it once."""
        run = _NativeRun(self._handler, examination, arn)
        loop = VirtualTimeLoop(run.on_idle)
        try:
            loop.run_until_complete(run.main())
        finally:
            run.stop()
            abandon(loop)
            loop.close()


class _NativeRun:
    def __init__(self, handler: Handler, examination: Examination, arn: str) -> None:
        self._handler = handler
        self._examination = examination
        self._arn = arn
        self._idle: asyncio.Future[None] | None = None
        self._execution: VerifyingExecution | None = None

    def on_idle(self) -> None:
        if self._execution is not None and self._execution.give_up_a_look():
            return
        if self._idle is None or self._idle.done():
            raise _Hangs
        self._idle.set_result(None)

    def stop(self) -> None:
        """Let no operation be asked for any more: what is left of the handler is only ended."""
        if self._execution is not None:
            self._execution.ending = True

    async def main(self) -> None:
        loop = asyncio.get_running_loop()
        self._idle = loop.create_future()
        self._execution = execution = VerifyingExecution(
            self._arn,
            cast(Checkpointer, None),  # nothing is ever written
            loop.create_future(),
            examination=self._examination,
        )
        root = self._examination.root
        context = VerifyingContext(execution, Scope(), root)
        task = loop.create_task(self._call(context), name="handler")
        await asyncio.wait((task, self._idle), return_when=asyncio.FIRST_COMPLETED)
        note_end(self._examination, root, _end_of(task))
        if root.outcome is Outcome.RETURNED:
            compare_final_result(self._examination, task.result())

    async def _call(self, context: VerifyingContext) -> str | None:
        given = self._examination.facts.input_payload
        event = None if given is None else json.loads(given)
        try:
            result = self._handler(event, context)
            if inspect.isawaitable(result):
                result = await result
        except SystemExit as error:
            exited = HandlerExited(f"the handler ended the process ({error.code})")
            raise exited.with_traceback(error.__traceback__) from None
        return serialize(JSON, result, SerDesContext("", self._arn))


class HandlerExited(Exception):
    """The handler called sys.exit."""


class _Hangs(Exception):
    """Nothing can go on, although everything was told to end."""


def _end_of(task: asyncio.Task[Any]) -> Ended:
    if not task.done():
        return Ended(Outcome.SUSPENDED)
    if task.cancelled():
        return Ended(Outcome.RAISED, error=asyncio.CancelledError())
    error = task.exception()
    return Ended(Outcome.RETURNED if error is None else Outcome.RAISED, error=error)


def compare_final_result(examination: Examination, payload: str | None) -> None:
    """Note where the handler returned something else than is recorded."""
    facts = examination.facts
    if facts.status is ExecutionStatus.SUCCEEDED:
        if facts.result is not None and not _same_result(facts.result, payload):
            examination.differ("final result", None, facts.result, payload)
    elif facts.status is ExecutionStatus.FAILED:
        error = facts.error
        was = f"{error.type}: {error.message}" if error is not None else "an error"
        examination.differ("end", None, f"failed with {was}", "returns")


def _same_result(one: str, other: str | None) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other or "null"))
    except ValueError:
        return one == other


# -- one history -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """How a history is verified. `most` is how many divergences are told."""

    deep: bool = True
    every_invocation: bool = False
    strict: bool = False
    most: int = 10


@dataclass(frozen=True, slots=True)
class _Picture:
    """What one run is compared with: a record as it stood. `number` of the invocation, if one."""

    folded: Folded
    number: int | None = None
    suspended: bool = False


Watch = Callable[[Examination], AbstractContextManager[None]]
"""Watches over a run of a handler."""


def verify_history(
    replayer: Replayer,
    history: RecordedHistory,
    options: VerifyOptions | None = None,
    watch: Watch = lambda examination: nullcontext(),
) -> Verification:
    """Verify the replayer's handler against a history. What the handler does wrong is a value."""
    options = options or VerifyOptions()
    began = perf_counter()
    folded = folded_of(history)
    doubts = tuple(_doubts(history, folded))
    base = Verification(
        source=history.source,
        verdict=Verdict.CANNOT_VERIFY if doubts else Verdict.COMPATIBLE,
        doubts=doubts,
        status=folded.execution.status.value,
        operations=len(folded.operations),
        runtime=replayer.runtime.name,
        name=folded.execution.name,
        function=function_of(history.arn),
    )
    if doubts:
        return base
    outcome = base
    for picture in _pictures(history, folded, options):
        outcome = _run(replayer, history, picture, options, outcome, watch)
        if outcome.verdict is not Verdict.COMPATIBLE:
            break
    if options.strict and outcome.verdict is Verdict.COMPATIBLE and outcome.differences:
        outcome = replace(outcome, verdict=Verdict.DIVERGED)
    return replace(outcome, seconds=perf_counter() - began)


def _run(
    replayer: Replayer,
    history: RecordedHistory,
    picture: _Picture,
    options: VerifyOptions,
    so_far: Verification,
    watch: Watch,
) -> Verification:
    tree = tree_of(picture.folded.operations, replayer.scheme)
    doubt = _scheme_doubt(tree, replayer)
    if doubt is not None:
        return replace(so_far, verdict=Verdict.CANNOT_VERIFY, doubts=(doubt,))
    is_state = history.operations is not None
    examination = Examination(tree, picture.folded.execution, deep=options.deep, is_pruned=is_state)
    with watch(examination):
        replayer.replay(examination, history.arn or _NO_ARN)
    found = examination.found()
    ended = _end_divergence(examination, picture)
    if ended is not None and not found:
        found = [ended]
    compared = max(so_far.compared, sum(len(trace.asked) for trace in examination.traces))
    differences = tuple(dict.fromkeys((*so_far.differences, *examination.differences)))
    outcome = replace(
        so_far,
        compared=compared,
        differences=differences,
        notes=tuple(_notes(examination)),
        invocations=len(picture.folded.invocations) or 1,
    )
    first = found[0].moment if found else None
    doubts = tuple(each for moment, each in examination.doubts if first is None or moment < first)
    if doubts:
        return replace(outcome, verdict=Verdict.CANNOT_VERIFY, doubts=doubts)
    if not found:
        return outcome
    told = tuple(
        _told(each.divergence, replayer.runtime, picture.number) for each in found[: options.most]
    )
    return replace(
        outcome,
        verdict=Verdict.DIVERGED,
        divergences=told,
        more_divergences=len(found) - len(told),
    )


_NO_ARN: Final = (
    "arn:aws:lambda:us-east-1:123456789012:function:handler:$LATEST/durable-execution/verified/1"
)


def _told(divergence: Divergence, runtime: Runtime, invocation: int | None) -> Divergence:
    divergence = with_consequence(divergence, runtime)
    return replace(divergence, where=shown(divergence.where), invocation=invocation)


def _pictures(
    history: RecordedHistory, folded: Folded, options: VerifyOptions
) -> Iterator[_Picture]:
    """Return the records to compare with: as each invocation left it, then the whole."""
    invocations = folded.invocations
    if options.every_invocation:
        for each in invocations[:-1]:
            events = history.events[: each.stop]
            cut = fold(events)
            suspended = each.ended is not None and each.error is None
            yield _Picture(cut, each.number, suspended)
    last = invocations[-1] if invocations else None
    suspended = last is not None and last.ended is not None and last.error is None
    number = len(invocations) if options.every_invocation else None
    yield _Picture(folded, number, suspended)


def _end_divergence(examination: Examination, picture: _Picture) -> Found | None:
    """Return where the handler ends although the invocation is recorded to have suspended, or
    suspends although the execution is recorded to have succeeded."""
    root, status = examination.root, picture.folded.execution.status
    position = str(len(root.asked) + 1)
    if status is ExecutionStatus.SUCCEEDED and root.outcome is Outcome.SUSPENDED:
        why = "the code waits for something that the recorded run did not wait for"
        return Found(
            root.ended_at,
            Divergence(position, root.label, Cause.WAITS, why, where=_last_line(examination)),
        )
    if status is not ExecutionStatus.RUNNING or not picture.suspended:
        return None
    waiting = [
        each.operation
        for each in picture.folded.operations.values()
        if not each.operation.is_terminal and each.operation.type is not OperationType.CONTEXT
    ]
    if not waiting or root.outcome not in (Outcome.RETURNED, Outcome.RAISED):
        return None
    label = f'{waiting[0].sub_type or waiting[0].type} "{waiting[0].name or ""}"'
    if root.outcome is Outcome.RETURNED:
        why = f"the code ends where it is recorded to wait for {label}"
        cause = Cause.ENDED_EARLY
    else:
        why = f"the code raises {root.error} where it is recorded to wait for {label}"
        cause = Cause.RAISED
    return Found(
        root.ended_at,
        Divergence(
            position,
            root.label,
            cause,
            why,
            where=root.raised_where or _last_line(examination),
            traceback=root.traceback,
        ),
    )


def _last_line(examination: Examination) -> Any:
    asked = examination.root.asked
    return asked[-1].where if asked else None


def function_of(arn: str | None) -> str | None:
    """Return the name of the function in an execution's ARN."""
    _, found, rest = (arn or "").partition(":function:")
    return rest.partition("/")[0].partition(":")[0] if found else None


# -- what can't be verified, and what stays open ---------------------------------------------------


def _doubts(history: RecordedHistory, folded: Folded) -> Iterator[Doubt]:
    if not history.has_execution_data:
        yield Doubt(
            "the history has no execution data: what operations returned isn't known",
            "fetch it with `durable fetch`, or with --include-execution-data",
        )
    elif folded.execution.truncated and folded.execution.input_payload is None:
        yield Doubt(
            "the input of the execution was left out of the history (Truncated)",
            "give a history that has it",
        )
    if history.events and history.events[-1].event_id != len(history.events):
        yield Doubt(
            "the history is incomplete: events are missing",
            "fetch all of its pages, as `durable fetch` does",
        )
    if not history.events and history.operations is None:
        yield Doubt("nothing is recorded: there are no events", "give a history that has some")


def _scheme_doubt(tree: RecordedTree, replayer: Replayer) -> Doubt | None:
    if tree.scheme is None:
        if not tree.lost:
            return None
        return Doubt(
            "the ids of the recorded operations follow no known scheme",
            "verify with a version of durable that knows the SDK that wrote them",
        )
    if tree.scheme is not replayer.scheme:
        return Doubt(
            f"the history was written by another SDK ({', '.join(tree.scheme.sdks)}: ids are "
            f"{tree.scheme.name}) than the handler's ({', '.join(replayer.scheme.sdks)}: "
            f"{replayer.scheme.name})",
            "give the handler that the history is of",
        )
    if tree.lost:
        return Doubt(
            f"{len(tree.lost):,} recorded operations have ids that fit no position",
            "give a history that is complete",
        )
    return None


def _notes(examination: Examination) -> Iterator[str]:
    yield from dict.fromkeys(examination.remarks)
    unnamed = _alike(examination)
    if unnamed:
        yield (
            f"{unnamed:,} unnamed operations have a neighbour of the same type: if two of them "
            "changed places, that could not be seen"
        )
    if examination.unlooked:
        yield (
            f"{examination.unlooked:,} completed contexts were not looked into: this source is a "
            "state, from which the service leaves their operations out"
        )


def _alike(examination: Examination) -> int:
    """Count the unnamed operations that could stand in each other's place unseen."""
    count = 0
    for trace in examination.traces:
        kinds: dict[tuple[str, str | None], int] = {}
        for asked in trace.asked:
            if not asked.identity.name:
                key = (asked.identity.type, asked.identity.sub_type)
                kinds[key] = kinds.get(key, 0) + 1
        count += sum(number for number in kinds.values() if number > 1)
    return count
