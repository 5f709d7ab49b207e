"""A process that verifies one history after another with one handler, seen from the one that
started it, and what the two tell each other.

Whatever the handler does to it, its own histories have an outcome: the process says what it can of
its end (`worker_process`), and the pool sees the rest from outside.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections import deque
from dataclasses import field
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from durable_core.adapters.documents import MAX_TEXT_BYTES
from durable_core.errors import DurableError, SourceDefect
from durable_core.frozen import dataclass
from durable_core.given import Given
from durable_core.history import RecordedHistory
from durable_core.interrupts import uninterrupted
from durable_core.processes.channel import Channel, Garbled, new_token
from durable_core.processes.declared import is_as_declared
from durable_core.processes.process_group import (
    IMPORT_SECONDS,
    START_SECONDS,
    end_group,
    lead_group,
)
from durable_core.processes.relayed_output import RelayedOutput
from durable_core.processes.safe_start import restore_environment, starting
from durable_core.processes.told_at_once import Told
from durable_core.processes.worker_walls import RaisedAt, Walled, watcher_at
from durable_core.sandbox.guard_mode import GuardMode
from durable_core.sandbox.secret_variables import changes_for, environment_with, withheld_from
from durable_core.sandbox.sources import NondeterministicRead
from durable_core.verifying.options import Part, VerifyOptions
from durable_core.verifying.verification import Inconclusive, Verification

if TYPE_CHECKING:
    from durable_core.sandbox.watcher import Watcher


@dataclass(frozen=True, slots=True)
class Job:
    """How every source is verified.

    `timeout` is in seconds, for one run of one history. `max_text_bytes` is the most that is read
    of a file, unpacked. `jobs` is how many runs go on at once: each
    run of a history is in a process that has a hash seed of its own, so that there are at least as
    many processes as `runs`, some of them idle. `allow_import`: what the handler's modules do while
    they are imported is neither refused nor told. `env` are the secret variables that the
    handler is handed all the same, `NAME` or `NAME=VALUE`. `enforce`: verify nothing unless the
    operating system holds all that the guard refuses.
    """

    spec: str
    options: VerifyOptions = field(default_factory=VerifyOptions)
    guard: GuardMode = GuardMode.BLOCK
    runs: int = 2
    timeout: float = 60.0
    jobs: int = 1
    function: str | None = None
    allow_import: bool = False
    enforce: bool = False
    env: tuple[str, ...] = ()
    max_text_bytes: int = MAX_TEXT_BYTES

    @property
    def walls(self) -> RaisedAt | None:
        """When the operating system's walls are raised; None: never, nothing is refused."""
        if self.guard is not GuardMode.BLOCK:
            return None
        return RaisedAt.AFTER_IMPORT if self.allow_import else RaisedAt.BEFORE_IMPORT

    @property
    def withheld(self) -> tuple[str, ...]:
        """The names of the variables that the handler isn't handed."""
        return () if self.guard is GuardMode.OFF else withheld_from(os.environ, self.env)


Source = str | RecordedHistory | DurableError
"""What is to be verified: a file's name, or the history of what is no file."""


@dataclass(frozen=True, slots=True)
class VerifyTask:
    """A source, and which part of it is verified; None: all."""

    source: Source
    part: Part | None = None

    @property
    def name(self) -> str:
        """What the source is called."""
        source = self.source
        return source.source if isinstance(source, RecordedHistory) else str(source)


@dataclass(frozen=True, slots=True)
class HandlerImporting:
    """A worker's first answer: it has started, and imports the handler."""


@dataclass(frozen=True, slots=True)
class HandlerReady:
    """A worker's second answer: the handler is loaded. `notes` say what its modules attempted while
    they were imported."""

    runtime: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LostRun:
    """There is no outcome, and it isn't one of ours to say why the handler did that.

    `remedy` is what to do; `is_last`: the process that says so ends. `what` couldn't be done.
    """

    why: str
    remedy: str
    is_last: bool = False
    what: str = "the handler could not be run to its end"


@dataclass(frozen=True, slots=True)
class TaskAnswer:
    """What came of a task; None: a history of another function. `reads` are those outside of steps
    in this run, `imported` those when the handler was imported; `given` is what operations are
    given, by their labels, where something is read."""

    outcome: Verification | DurableError | LostRun | None
    reads: tuple[NondeterministicRead, ...] = ()
    imported: tuple[NondeterministicRead, ...] = ()
    given: Given = field(default_factory=dict)


DEFECT: Final = 113
"""The exit code of a process in which a defect of ours showed that it couldn't tell."""
_TURN_SECONDS: Final = 0.2
_MOST_AT_ONCE: Final = 64
TAKES_LONGER: Final = "--timeout gives it longer"
ENDED: Final = "the execution would be invoked again; look for it in the code outside of steps"
"""What to do where the handler takes its process down."""


class Worker:
    """A process, and what it does now. `number` of the run that it is for."""

    def __init__(self, job: Job, number: int, scratch: str | None) -> None:
        self.number = number
        self._job = job
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        token = new_token()
        self.pipe = Channel(ours, token, only_values=True)
        told, tells = context.Pipe(duplex=False)
        self.told = Told(told, token)
        """What it has told at once."""
        self._hearing, heard = context.Pipe()
        withheld = job.withheld
        reads, prints = context.Pipe(duplex=False) if number == 0 else (None, None)
        self.printed = None if reads is None else RelayedOutput(reads)
        """What the handler prints; None: none of it is shown, as it is of the first run."""
        arguments = (theirs, tells, heard, prints, token, job, number, scratch, withheld)
        process = context.Process(target=_work, args=arguments, daemon=True)
        handed = environment_with(changes_for(withheld, job.env))
        with handed, starting(hash_seed=number * 7919), uninterrupted():
            process.start()
        self._process = process
        theirs.close()
        tells.close()
        heard.close()
        if prints is not None:
            prints.close()
        self._scratch = scratch
        self.watcher: Watcher | None = None
        """Who hears what the operating system refuses it."""
        self.is_ready = False
        self._said: set[type] = set()
        self.todo: deque[int] = deque()
        self.lost: LostRun | None = None
        """Why it is gone, where that isn't for its end to say."""
        self.deadline = monotonic() + self.import_seconds + START_SECONDS
        self._began = 0.0
        self._pace = _TURN_SECONDS
        self._was_in_time = False

    @property
    def import_seconds(self) -> float:
        """How long it may take to import the handler."""
        return max(self._job.timeout, IMPORT_SECONDS)

    @property
    def turn(self) -> int:
        """How many sources to give it at once: processes that take turns wait for their memory."""
        return max(1, min(_MOST_AT_ONCE, int(_TURN_SECONDS / self._pace)))

    def may_say(self, message: Any) -> bool:
        """Tell whether a message has its turn: each of the first ones comes once, then answers."""
        if self.is_ready:
            are_answers = isinstance(message, list)
            return are_answers and all(is_as_declared(each, TaskAnswer) for each in message)
        is_new = type(message) not in self._said
        self._said.add(type(message))
        return is_new and is_as_declared(
            message, HandlerImporting | Walled | HandlerReady | DurableError
        )

    def give(self, tasks: list[VerifyTask]) -> None:
        """Let it verify the sources of the indices that it has to do, one after another."""
        self._begin()
        try:
            self.pipe.send(tasks, self._job.timeout)
        except TimeoutError:
            self.stop(
                LostRun(f"it took nothing to do within {self._job.timeout:g} s", TAKES_LONGER)
            )
        except OSError:
            pass  # it has ended, which is heard next

    def take(self, answers: int) -> list[tuple[int, list[str]]]:
        """Return the indices that it has just answered, each with the attempts that it told of it,
        and begin to count the time of the next. Raises Garbled: it was asked for fewer."""
        if answers > len(self.todo):
            raise Garbled
        took = (monotonic() - self._began) / answers
        self._pace = max(took, _TURN_SECONDS / _MOST_AT_ONCE)
        self._begin()
        self._was_in_time = self.lost is not None
        return [(self.todo.popleft(), attempts) for attempts in self.told.take(answers)]

    def take_current(self) -> int | None:
        """Return the index at which it ended; what it has finished since it answered last, and what
        it has not begun, stays to be done. None: it wasn't at any, or was about to go on."""
        if not self.todo or self._was_in_time:
            return None
        index = self.current
        if index is not None:
            self.todo.remove(index)
        return index

    @property
    def current(self) -> int | None:
        """Return the index at which it is now, or was last; None: at none."""
        return self.todo[min(self.told.finished(), len(self.todo) - 1)] if self.todo else None

    def watch(self) -> None:
        """Hear from now on what the operating system refuses it."""
        self.watcher = watcher_at(self._hearing, self._scratch)

    def hear(self) -> str | None:
        """Answer what the operating system is about to refuse it. Return what that is, or None."""
        if self.watcher is None:
            return None
        attempt = self.watcher.hear()
        if self.watcher.is_over:
            self._stop_hearing()
        return attempt

    def _stop_hearing(self) -> None:
        if self.watcher is not None:
            self.watcher.close()
            self.watcher = None

    def begin_import(self) -> None:
        """Count the time of its import."""
        self.deadline = monotonic() + self.import_seconds

    def answer_all(self, doubt: Inconclusive) -> None:
        """Have it answer whatever it is given with the reason for which nothing was imported."""
        self.pipe.send(doubt)

    def _begin(self) -> None:
        self._began = monotonic()
        self.deadline = self._began + self._job.timeout

    def stop(self, why: LostRun) -> None:
        """End it; what it has answered by now is still to be heard."""
        self.lost = why
        end_group(self._process)

    def close(self) -> None:
        """End it."""
        end_group(self._process)
        if self.printed is not None:
            self.printed.close()
        self.pipe.close()
        self.told.close()
        self._hearing.close()
        self._stop_hearing()

    def defect_at(self, source: str) -> SourceDefect | None:
        """Return the defect of ours by which the process ended; None: it was none."""
        if self.lost is None or self._process.exitcode != DEFECT:
            return None
        return SourceDefect(source, "its process ended", f"exit code {DEFECT}")

    @property
    def how_it_ended(self) -> str:
        """How the process ended, in words."""
        self._process.join(1)
        code = self._process.exitcode
        if code is None or code >= 0:
            return f"its process ended without an answer (exit code {code})"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"its process was ended by {name}"


def _work(*given: Any) -> None:
    """Run in the process. Nothing of what it needs is imported before it leads its group: it is
    forked then, which is the quicker the less it holds."""
    lead_group()
    restore_environment()
    gc.disable()  # what is imported stays: the collector need not walk it, now or later
    from durable_core.processes.worker_process import work

    gc.freeze()
    gc.enable()
    work(*given)
