"""Many histories verified in processes: a handler that hangs or dies takes none but its own down.

Each worker imports the handler once and verifies one history after another; results come back in
the order of the sources. A history takes as many runs as asked for, each in a worker whose Python
has another hash seed, and where time, chance and UUIDs are others; where they come to different
ends, the handler is not deterministic.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from time import monotonic
from typing import Any, Final

from durable_core.adapters.guard import Guard, GuardMode
from durable_core.errors import DurableError
from durable_core.history import RecordedHistory
from durable_core.simulation.determinism import Read, Source
from durable_core.verifying.code_lines import is_installed, shown
from durable_core.verifying.replay import VerifyOptions
from durable_core.verifying.verification import (
    Cause,
    CodeLine,
    Divergence,
    Doubt,
    Verdict,
    Verification,
)

SLACK_SECONDS: Final = 30.0
"""How much longer than `timeout` a worker's first answer may take: it has to start, and to import
the handler."""


@dataclass(frozen=True, slots=True)
class Job:
    """How every source is verified.

    `timeout` is in seconds, for one run of one history. `jobs` is how many runs go on at once: each
    run of a history is in a process that has a hash seed of its own, so that there are at least as
    many processes as `runs`, some of them idle.
    """

    spec: str
    options: VerifyOptions = field(default_factory=VerifyOptions)
    guard: GuardMode = GuardMode.BLOCK
    runs: int = 2
    timeout: float = 60.0
    jobs: int = 1
    function: str | None = None


def cores() -> int:
    """Return how many processes this machine has room for."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


Outcome = Verification | DurableError | None
"""A verification; why there is none; None: a history of another function."""


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


# -- the workers ---------------------------------------------------------------------------------


def _work(pipe: Connection, job: Job, number: int) -> None:
    """Verify what comes through the pipe, in a process of its own."""
    from durable_core.adapters.handler import HandlerLoader
    from durable_core.adapters.readings import Readings
    from durable_core.adapters.verify import replayer_of

    os.dup2(2, 1)  # what the handler prints is no data of ours
    # Odd variations: chance is over a half in the first run and far under it in the second.
    readings = Readings(2 * number + 1, tuple(Source))
    if job.runs > 1:
        readings.install()
    try:
        replayer = replayer_of(HandlerLoader().load(job.spec).target)
    except BaseException as error:
        pipe.send(error if isinstance(error, DurableError) else _Lost(repr(error)))
        return
    pipe.send(None)
    guard = Guard(job.guard)
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        readings.begin_again()
        pipe.send((_verified(task, job, replayer, guard), readings.reads))


def _verified(task: Any, job: Job, replayer: Any, guard: Guard) -> Any:
    from durable_core.adapters.history_file import load_history, pausing_collection
    from durable_core.verifying.replay import function_of, verify_history

    if isinstance(task, DurableError):
        return task
    try:
        with pausing_collection():
            history = task if isinstance(task, RecordedHistory) else load_history(task)
        if job.function is not None and function_of(history.arn) not in (None, job.function):
            return None
        return verify_history(replayer, history, job.options, guard)
    except DurableError as error:
        return error
    except Exception as error:
        return _Lost(f"{type(error).__name__}: {error}")


@dataclass(frozen=True, slots=True)
class _Lost:
    """A worker's answer where something went wrong that isn't the handler's fault."""

    why: str


class _Worker:
    """A process, and what it does now. `number` of the run that it is for."""

    def __init__(self, job: Job, number: int) -> None:
        self.number = number
        self._job = job
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, job, number), daemon=True)
        with _hash_seed(number):
            process.start()
        self._process = process
        theirs.close()
        self.is_ready = False
        self.task: int | None = None
        self.deadline = monotonic() + job.timeout + SLACK_SECONDS

    def give(self, index: int, task: str | RecordedHistory | DurableError) -> None:
        self.task = index
        self.deadline = monotonic() + self._job.timeout
        self.pipe.send(task)

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self.pipe.close()

    @property
    def exit_code(self) -> int | None:
        self._process.join(1)
        return self._process.exitcode


@contextmanager
def _hash_seed(number: int) -> Iterator[None]:
    """Start a process with a hash seed of its own: 0 for the first run, then others."""
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = str(number * 7919)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONHASHSEED"]
        else:
            os.environ["PYTHONHASHSEED"] = before


class _Pool:
    def __init__(self, job: Job, sources: int, read: Callable[[str], RecordedHistory]) -> None:
        self._job = job
        self._read = read
        self._histories: dict[str, RecordedHistory | DurableError] = {}
        self._runs = job.runs
        self._at_once = max(1, min(job.jobs, sources * job.runs))
        lanes = -(-self._at_once // job.runs)
        self._workers = [_Worker(job, run) for _ in range(lanes) for run in range(self._runs)]
        self._next = [0] * self._runs
        self._answers: dict[int, dict[int, Any]] = {}
        self._reads: dict[Read, None] = {}

    def close(self) -> None:
        for worker in self._workers:
            worker.close()

    def run(
        self, sources: Sequence[str], on_done: Callable[[int], None]
    ) -> Iterator[tuple[str, Outcome]]:
        told = 0
        while told < len(sources):
            answers = self._answers.get(told, {})
            if len(answers) == self._runs:
                del self._answers[told]
                yield sources[told], _combined(sources[told], answers, tuple(self._reads))
                told += 1
                on_done(told)
                continue
            self._step(sources)

    def _step(self, sources: Sequence[str]) -> None:
        """Wait for the next answer, or for the next worker that takes too long."""
        soonest = min((each.deadline for each in self._busy()), default=monotonic() + 1)
        pipes = {each.pipe: each for each in self._workers}
        ready = wait(list(pipes), timeout=max(0.0, soonest - monotonic()))
        for pipe in ready:
            self._heard(pipes[pipe], sources)  # type: ignore[index]
        self._feed(sources)
        for worker in list(self._busy()):
            if worker.deadline < monotonic():
                self._gone(worker, f"it did not end within {self._job.timeout:g} s", sources)

    def _busy(self) -> Iterator[_Worker]:
        return (each for each in self._workers if each.task is not None or not each.is_ready)

    def _heard(self, worker: _Worker, sources: Sequence[str]) -> None:
        try:
            answer = worker.pipe.recv()
        except (EOFError, OSError):
            self._gone(worker, f"its process died (exit code {worker.exit_code})", sources)
            return
        if worker.task is None:
            if answer is not None:
                raise answer if isinstance(answer, DurableError) else RuntimeError(answer.why)
            worker.is_ready = True
        else:
            self._answers.setdefault(worker.task, {})[worker.number], reads = answer
            self._reads.update(dict.fromkeys(reads))
            worker.task = None

    def _feed(self, sources: Sequence[str]) -> None:
        """Give idle workers something to do, the run that is furthest behind first."""
        idle = [each for each in self._workers if each.is_ready and each.task is None]
        working = sum(each.task is not None for each in self._workers)
        for _ in range(self._at_once - working):
            open_ = [each for each in idle if self._next[each.number] < len(sources)]
            if not open_:
                return
            worker = min(open_, key=lambda each: self._next[each.number])
            idle.remove(worker)
            index = self._next[worker.number]
            self._next[worker.number] = index + 1
            worker.give(index, self._task(sources[index]))

    def _task(self, source: str) -> str | RecordedHistory | DurableError:
        """Return what a worker is given: a file's name, or the history of what is no file."""
        if os.path.isfile(source):  # noqa: PTH113
            return source
        if source not in self._histories:
            try:
                self._histories[source] = self._read(source)
            except DurableError as error:
                self._histories[source] = error
        return self._histories[source]

    def _gone(self, worker: _Worker, why: str, sources: Sequence[str]) -> None:
        worker.close()
        self._workers.remove(worker)
        if worker.task is None:
            raise RuntimeError(f"the handler could not be loaded: {why}")
        self._answers.setdefault(worker.task, {})[worker.number] = _Lost(why)
        if self._next[worker.number] < len(sources):
            self._workers.append(_Worker(self._job, worker.number))


# -- one outcome from several runs -----------------------------------------------------------------


def _combined(source: str, answers: dict[int, Any], reads: Sequence[Read]) -> Outcome:
    first = answers[0]
    for number in sorted(answers):
        answer = answers[number]
        if isinstance(answer, _Lost):
            doubt = Doubt(
                f"the handler could not be run to its end: {answer.why}",
                "run it by itself; --timeout gives it longer",
            )
            base = first if isinstance(first, Verification) else Verification(source, _CANNOT)
            return replace(base, verdict=_CANNOT, doubts=(doubt,), divergences=())
    if not isinstance(first, Verification):
        return first if isinstance(first, DurableError) else None
    for number in sorted(answers)[1:]:
        other = answers[number]
        if isinstance(other, Verification) and _said(other) != _said(first):
            return _non_deterministic(first, other, number, reads)
        if isinstance(other, Verification):
            first = _with_note(first, other, reads)
    return first


_CANNOT: Final = Verdict.CANNOT_VERIFY


def _said(outcome: Verification) -> Any:
    """Return what two runs of a deterministic handler have in common."""
    told = [
        (each.position, each.cause, each.expected, each.current) for each in outcome.divergences
    ]
    return outcome.verdict, told, outcome.compared


def _with_note(first: Verification, other: Verification, reads: Sequence[Read]) -> Verification:
    """Say what isn't the same in each run although the operations are: no replay stumbles over
    it, but it may not be what was meant."""
    ours, theirs = (
        {(each.what, each.position, each.current) for each in outcome.differences}
        for outcome in (first, other)
    )
    whats = sorted({f"{what} at {at}" if at else what for what, at, _ in ours ^ theirs})
    if not whats:
        return first
    note = f"not the same in every run: {', '.join(whats)}; {_read(reads)}"
    return replace(first, notes=(*first.notes, note))


def _non_deterministic(
    first: Verification, other: Verification, number: int, reads: Sequence[Read]
) -> Verification:
    diverged = [each for each in (first, other) if each.verdict is Verdict.DIVERGED]
    outcome = min(diverged, key=_place, default=other)
    seen = outcome.first
    if seen is None:
        seen = Divergence("end", "the handler", Cause.NON_DETERMINISTIC, "")
    why = (
        f"two runs on the same record differ (run 1: {_short(first)}; run {number + 1}, with "
        "other values for time, random, uuid, urandom and another hash seed: "
        f"{_short(other)}): {_read(reads)}"
    )
    consequence = f"{first.runtime} goes one way or the other, from one invocation to the next"
    told = replace(seen, cause=Cause.NON_DETERMINISTIC, why=why, consequence=consequence)
    return replace(
        outcome,
        verdict=Verdict.DIVERGED,
        doubts=(),
        divergences=(told, *outcome.divergences[1:]),
    )


def _place(outcome: Verification) -> tuple[int, ...]:
    """Return where a run first diverged: the earlier of two is where the code leaves the record."""
    position = outcome.first.position if outcome.first is not None else ""
    return tuple(int(each) for each in position.split(".") if each.isdecimal())


def _read(reads: Sequence[Read]) -> str:
    """Say what was read outside of steps, and where: by the user's code, if any of it was."""
    reads = [each for each in reads if not is_installed(each.file)] or reads
    if not reads:
        return "nothing else was read outside of steps, so it depends on the order of a set"
    places = [
        f"{each.function} at {shown(CodeLine(each.file, each.line))}"
        for each in reads[:_MOST_READS]
    ]
    more = f" and {len(reads) - _MOST_READS:,} more" if len(reads) > _MOST_READS else ""
    return f"the code outside of steps reads {', '.join(places)}{more}"


_MOST_READS: Final = 5


def _short(outcome: Verification) -> str:
    if outcome.first is not None:
        return f"at {outcome.first.position} {outcome.first.why}"
    if outcome.differences:
        each = outcome.differences[0]
        return f"{each.what} {each.current}"
    return outcome.verdict.value
