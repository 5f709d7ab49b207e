"""Many histories verified in processes: a handler that hangs or dies takes none but its own down.

Each worker imports the handler once and verifies one history after another; results come back in
the order of the sources. A history takes as many runs as asked for, each in a worker whose Python
has another hash seed, and where time, chance and UUIDs are others; where they come to different
ends, the handler is not deterministic.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import wait
from time import monotonic
from typing import Any, Final

from durable_core.adapters.history_file import load_history
from durable_core.defects import defect_at, defects_at
from durable_core.errors import DurableError, NotEnforced
from durable_core.given import Given
from durable_core.history import RecordedHistory
from durable_core.processes.channel import GARBLED, ONLY_OWN_DESCRIPTORS, Garbled
from durable_core.processes.guard_findings import import_note, with_attempts
from durable_core.processes.merge_runs import Outcome, are_to_be_whole, merge_runs
from durable_core.processes.relayed_output import stderr_takes
from durable_core.processes.worker import (
    ENDED,
    TAKES_LONGER,
    HandlerImporting,
    HandlerReady,
    Job,
    LostRun,
    Source,
    TaskAnswer,
    VerifyTask,
    Worker,
)
from durable_core.processes.worker_walls import Walled, note_of, with_guard, with_refusals
from durable_core.runtimes.handler_errors import ImportFailed
from durable_core.sandbox.guard_mode import GuardMode
from durable_core.sandbox.scratch import Scratch
from durable_core.sandbox.secret_variables import hide_environment
from durable_core.sandbox.sources import NondeterministicRead
from durable_core.sandbox.user_code import is_installed
from durable_core.verifying.options import Part
from durable_core.verifying.verification import Verification


def cores() -> int:
    """Return how many processes this machine has room for."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def verify_sources(
    job: Job,
    sources: Sequence[str],
    read: Callable[[str], RecordedHistory],
    on_done: Callable[[int], None] = lambda done: None,
) -> Generator[tuple[str, Outcome], None, None]:
    """Verify each source and yield the outcomes in the order of the sources, as they come.

    `read` gets the history of a source that is no file.

    Raises what a worker can't go on from: a HandlerError, SdkMissing, SdkChanged. Ends its
    processes when it is closed early.
    """
    pool = _Pool(job, len(sources), read)
    try:
        yield from pool.run(sources, on_done)
    finally:
        pool.close()


_Answers = dict[int, Outcome | LostRun]
"""What each run of a source came to."""

_MANY: Final = 8
"""With so many sources the runs of each share the work; of fewer each run verifies all."""


_LOOK_SECONDS: Final = 0.1
"""How often to look whether stderr takes more again."""


class _Pool:
    def __init__(self, job: Job, sources: int, read: Callable[[str], RecordedHistory]) -> None:
        self._job = job
        self._read = read
        self._histories: dict[str, RecordedHistory | DurableError] = {}
        self._runs = job.runs
        self._at_once = max(1, min(job.jobs, sources * job.runs))
        lanes = -(-self._at_once // job.runs)
        if job.withheld:
            hide_environment()
        self._scratch = Scratch()
        self._missing: tuple[str, ...] = ()
        self._refused: dict[int | None, dict[str, None]] = {}
        """What the operating system refused workers, by the source that they were at: None, before
        the first and between two."""
        self._attempts: dict[int, dict[str, None]] = {}
        """What the guards in workers refused, as they told at once, by the source."""
        self._workers = [self._worker(run) for _ in range(lanes) for run in range(self._runs)]
        self._open = [deque(range(sources)) for _ in range(self._runs)]
        self._answers: dict[int, _Answers] = {}
        self._reads: dict[int, dict[NondeterministicRead, None]] = {}
        self._reading: set[int] = set()
        self._all_reads: dict[NondeterministicRead, None] = {}
        self._given: dict[int, dict[int, Given]] = {}
        self._runtime = ""
        self._import_notes: dict[str, bool] = {}
        """What importing the handler attempted, and whether that was told."""
        self._whole: set[int] = set()
        self._are_few = sources < _MANY
        self._one_by_one = False

    def close(self) -> None:
        for worker in self._workers:
            worker.close()
        self._scratch.remove()

    def _worker(self, number: int) -> Worker:
        return Worker(self._job, number, self._scratch.folder)

    def run(
        self, sources: Sequence[str], on_done: Callable[[int], None]
    ) -> Iterator[tuple[str, Outcome]]:
        told = 0
        while told < len(sources):
            answers = self._answers.get(told, {})
            if len(answers) == self._runs and not self._looks_further(sources[told], told, answers):
                answers = self._answers.pop(told)
                yield sources[told], self._outcome(sources[told], told, answers)
                self._histories.pop(sources[told], None)
                told += 1
                on_done(told)
                continue
            self._step(sources)

    def _looks_further(self, source: str, index: int, answers: _Answers) -> bool:
        """Have each run verify all of a source of which they verified parts, if that has shown
        anything; return False when it hasn't."""
        try:
            with defects_at(source):
                is_enough = not are_to_be_whole(answers, reads=index in self._reading)
        except DurableError as error:
            self._answers[index] = dict.fromkeys(answers, error)
            return False
        if index in self._whole or is_enough:
            return False
        self._whole.add(index)
        answers.clear()
        for each in self._open:
            each.appendleft(index)
        return True

    def _outcome(self, source: str, index: int, answers: _Answers) -> Outcome:
        try:
            with defects_at(source):
                outcome = self._with_import(self._told(source, index, answers))
                return self._guarded(index, outcome)
        except DurableError as error:
            return error

    def _told(self, source: str, index: int, answers: _Answers) -> Outcome:
        reads = self._reads.pop(index, {}) or self._all_reads  # what was read may be remembered
        given = self._given.pop(index, None)
        if not all(isinstance(each, LostRun) for each in answers.values()):
            return merge_runs(answers, tuple(reads), given=given)
        from durable_core.verifying.replay import unverified

        recorded = self._source(source)  # no run of it got as far as saying what it is
        try:
            most = self._job.max_text_bytes
            history = load_history(recorded, most) if isinstance(recorded, str) else recorded
        except DurableError as error:
            return error
        if isinstance(history, DurableError):
            return history
        return merge_runs(answers, (), unverified(history, self._runtime))

    def _with_import(self, outcome: Outcome) -> Outcome:
        """Return an outcome, the first with what the import of the handler attempted: it is told
        once, not of each history."""
        new = [note for note, is_told in self._import_notes.items() if not is_told]
        if not isinstance(outcome, Verification) or not new:
            return outcome
        self._import_notes.update(dict.fromkeys(new, True))
        return replace(outcome, notes=(*outcome.notes, *new))

    def _guarded(self, index: int, outcome: Outcome) -> Outcome:
        """Return an outcome with what kept the handler from reaching outside, and what that
        refused it; the first one also with what it refused its import."""
        attempts, told = self._refused.pop(index, ()), self._attempts.pop(index, ())
        if not isinstance(outcome, Verification):
            return outcome
        if self._job.guard is not GuardMode.BLOCK:
            return replace(outcome, guard=self._job.guard.value)
        outcome = with_attempts(outcome, list(told))
        said = [each.reason for each in outcome.doubts]
        notes = [each for each in self._refused.pop(None, ()) if not any(each in s for s in said)]
        outcome = replace(outcome, notes=(*outcome.notes, *notes))
        return with_guard(with_refusals(outcome, attempts), self._missing)

    def _hear(self, worker: Worker) -> None:
        """Hear the next attempt of a worker that went past its own guard."""
        index = worker.current  # before the answer: with it the worker may go on to the next
        attempt = worker.hear()
        if attempt is None:
            return
        if index is None:
            attempt = note_of(attempt, is_import=not worker.is_ready)
        self._refused.setdefault(index, {})[attempt] = None

    def _step(self, sources: Sequence[str]) -> None:
        """Wait for the next answer, or for the next worker that takes too long."""
        soonest = min((each.deadline for each in self._busy()), default=monotonic() + 1)
        pipes: dict[Any, Worker] = {each.pipe.fileno(): each for each in self._workers}
        heard: dict[Any, Worker] = {
            each.watcher.fileno(): each for each in self._workers if each.watcher is not None
        }
        printed: dict[Any, Worker] = {
            each.printed.fileno(): each
            for each in self._workers
            if each.printed is not None and not each.printed.is_at_end
        }
        if printed and not stderr_takes():
            printed.clear()
            soonest = min(soonest, monotonic() + _LOOK_SECONDS)
        for end in wait([*printed, *heard, *pipes], timeout=max(0.0, soonest - monotonic())):
            if end in printed:
                self._handle(self._relay, printed[end], sources)
            elif end in heard:
                self._handle(self._hear, heard[end], sources)
            else:
                self._heard(pipes[end], sources)
        self._feed(sources)
        for worker in list(self._busy()):
            if worker.lost is None and worker.deadline < monotonic():
                seconds = self._job.timeout if worker.is_ready else worker.import_seconds
                why = f"it did not end within {seconds:g} s"
                worker.stop(LostRun(why, TAKES_LONGER))
                self._heard(worker, sources)

    def _relay(self, worker: Worker) -> None:
        """Lead on what a worker has printed."""
        if worker.printed is not None:
            worker.printed.relay()

    def _busy(self) -> Iterator[Worker]:
        return (each for each in self._workers if each.todo or not each.is_ready)

    def _heard(self, worker: Worker, sources: Sequence[str]) -> None:
        """Take all that has come from a worker, after what it has printed before."""
        is_well = self._handle(lambda one: self._receive(one, sources), worker, sources)
        if is_well and worker.lost is not None:
            self._gone(worker, worker.lost, sources)

    def _handle(
        self, handle: Callable[[Worker], None], worker: Worker, sources: Sequence[str]
    ) -> bool:
        """Do something with a worker, and go on where a defect of ours shows in that; return False
        where one did. It is one of the source that the worker is at: to know which, workers get one
        at a time from then on. Raises it where there is none."""
        if worker not in self._workers:
            return False  # ended meanwhile
        try:
            handle(worker)
        except DurableError:
            raise
        except Exception as error:
            if not worker.todo:
                raise
            if len(worker.todo) == 1:
                index = worker.todo.popleft()
                self._answer(worker, index, defect_at(sources[index], error))
            self._one_by_one = True
            self._end(worker)
            return False
        return True

    def _receive(self, worker: Worker, sources: Sequence[str]) -> None:
        self._relay(worker)
        try:
            while worker.pipe.poll():
                self._take_message(worker, worker.pipe.recv(), sources)
        except Garbled:
            worker.stop(LostRun(GARBLED, ONLY_OWN_DESCRIPTORS))
        except (EOFError, OSError):
            worker.lost = worker.lost or LostRun(worker.how_it_ended, ENDED)

    def _take_message(self, worker: Worker, heard: Any, sources: Sequence[str]) -> None:
        """Take a message of a worker. Raises Garbled: our side of it would not say that now."""
        if not worker.may_say(heard):
            raise Garbled
        match heard:
            case ImportFailed() if None in self._refused:
                from durable_core.processes.guard_findings import refused_by_system

                worker.answer_all(refused_by_system(heard, self._refused[None]))
            case DurableError():
                raise heard
            case HandlerImporting():
                worker.begin_import()
            case Walled(missing, is_watched):
                if missing and self._job.enforce:
                    raise NotEnforced(missing)
                self._missing = missing or self._missing
                if is_watched:
                    worker.watch()
            case HandlerReady(runtime, notes):
                worker.is_ready = True
                self._runtime = runtime
                told = [import_note(each, is_refused=True) for each in worker.told.at_import()]
                self._import_notes = dict.fromkeys([*notes, *told], False) | self._import_notes
            case list(answers):
                self._take(worker, answers, sources)

    def _take(self, worker: Worker, answers: list[TaskAnswer], sources: Sequence[str]) -> None:
        end = answers.pop().outcome if answers and _is_last(answers[-1]) else None
        if answers:
            taken = worker.take(len(answers))
            for (index, attempts), answer in zip(taken, answers, strict=True):
                if attempts:
                    self._attempts.setdefault(index, {}).update(dict.fromkeys(attempts))
                try:
                    with defects_at(sources[index]):
                        self._learn(worker, index, answer)
                except DurableError as error:
                    self._answer(worker, index, error)
        if isinstance(end, LostRun):
            worker.stop(end)

    def _learn(self, worker: Worker, index: int, answer: TaskAnswer) -> None:
        reads = (*answer.reads, *answer.imported)
        if reads:
            self._reads.setdefault(index, {}).update(dict.fromkeys(reads))
            self._all_reads.update(dict.fromkeys(reads))
        if answer.reads or any(not is_installed(each.file) for each in answer.imported):
            self._reading.add(index)
        if answer.given:
            self._given.setdefault(index, {})[worker.number] = answer.given
        self._answer(worker, index, answer.outcome)

    def _answer(self, worker: Worker, index: int, outcome: Outcome | LostRun) -> None:
        self._answers.setdefault(index, {})[worker.number] = outcome

    def _feed(self, sources: Sequence[str]) -> None:
        """Give idle workers something to do, the run that is furthest behind first."""
        idle = [each for each in self._workers if each.is_ready and not each.todo and not each.lost]
        working = sum(bool(each.todo) for each in self._workers)
        for _ in range(self._at_once - working):
            open_ = [each for each in idle if self._open[each.number]]
            if not open_:
                return
            worker = max(open_, key=lambda each: len(self._open[each.number]))
            idle.remove(worker)
            self._handle(lambda one: self._give(one, sources), worker, sources)

    def _give(self, worker: Worker, sources: Sequence[str]) -> None:
        """Give a worker its next sources: several files, or one that has to be held in memory."""
        left = self._open[worker.number]
        lanes = sum(each.number == worker.number for each in self._workers)
        most = 1 if self._one_by_one else min(worker.turn, len(left) // lanes)
        todo = [left.popleft()]
        given = [self._source(sources[todo[0]])]
        while len(todo) < most and isinstance(given[-1], str) and _is_file(sources[left[0]]):
            todo.append(left.popleft())
            given.append(sources[todo[-1]])
        worker.todo.extend(todo)
        each = zip(todo, given, strict=True)
        worker.give([VerifyTask(one, self._part(index, worker.number)) for index, one in each])

    def _part(self, index: int, number: int) -> Part | None:
        """Return which part of a source a run verifies: of each part every other source."""
        if self._are_few or self._runs == 1 or index in self._whole or not self._job.options.deep:
            return None
        return Part.BODIES if (index + number) % 2 else Part.SERVICE

    def _source(self, source: str) -> Source:
        """Return what a worker is given: a file's name, or the history of what is no file."""
        if _is_file(source):
            return source
        if source not in self._histories:
            began = monotonic()
            try:
                with defects_at(source):
                    self._histories[source] = self._read(source)
            except DurableError as error:
                self._histories[source] = error
            for each in self._workers:  # none was heard meanwhile: it may have waited for us
                each.deadline += monotonic() - began
        return self._histories[source]

    def _gone(self, worker: Worker, lost: LostRun, sources: Sequence[str]) -> None:
        current = worker.take_current()
        if current is not None:
            self._answer(worker, current, worker.defect_at(sources[current]) or lost)
        elif not worker.is_ready:
            raise ImportFailed(self._job.spec, f"can't be imported: {lost.why}")
        self._end(worker)

    def _end(self, worker: Worker) -> None:
        """End a worker; what it was still to verify is left to another one."""
        worker.close()
        self._workers.remove(worker)
        self._open[worker.number].extendleft(reversed(worker.todo))
        if self._open[worker.number]:
            self._workers.append(self._worker(worker.number))


def _is_last(answer: TaskAnswer) -> bool:
    return isinstance(answer.outcome, LostRun) and answer.outcome.is_last


def _is_file(source: str) -> bool:
    return os.path.isfile(source)  # noqa: PTH113
