"""A process that verifies one history after another with one handler, and our end of its pipe.

Whatever the handler does to it, its own histories have an outcome: the process says what it can of
its end, and the pool sees the rest from outside.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import field, replace
from io import TextIOWrapper
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any, Final

from durable_core.adapters.channel import Channel, new_token
from durable_core.adapters.documents import MAX_TEXT_BYTES
from durable_core.adapters.guard import Guard, GuardMode
from durable_core.adapters.process_group import (
    IMPORT_SECONDS,
    START_SECONDS,
    end_group,
    lead_group,
    out_of_reach,
)
from durable_core.errors import DurableError
from durable_core.given import Given
from durable_core.history import RecordedHistory
from durable_core.interrupts import uninterrupted
from durable_core.reads import Read
from durable_core.values import dataclass
from durable_core.verifying.examination import Examination
from durable_core.verifying.passes import Part
from durable_core.verifying.raised import told
from durable_core.verifying.replay import VerifyOptions, Watch
from durable_core.verifying.verification import CodeLine, Verification


@dataclass(frozen=True, slots=True)
class Job:
    """How every source is verified.

    `timeout` is in seconds, for one run of one history. `max_text_bytes` is the most that is read
    of a file, unpacked. `jobs` is how many runs go on at once: each
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
    max_text_bytes: int = MAX_TEXT_BYTES


Source = str | RecordedHistory | DurableError
"""What is to be verified: a file's name, or the history of what is no file."""


@dataclass(frozen=True, slots=True)
class Task:
    """A source, and which part of it is verified; None: all."""

    source: Source
    part: Part | None = None


@dataclass(frozen=True, slots=True)
class Importing:
    """A worker's first answer: it has started, and imports the handler."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker's second answer: the handler is loaded."""

    runtime: str


@dataclass(frozen=True, slots=True)
class Lost:
    """There is no outcome, and it isn't one of ours to say why the handler did that.

    `remedy` is what to do; `is_last`: the process that says so ends.
    """

    why: str
    remedy: str
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a task; None: a history of another function. `reads` are those outside of steps
    in this run, `imported` those when the handler was imported; `given` is what operations are
    given, by their labels, where something is read."""

    outcome: Verification | DurableError | Lost | None
    reads: tuple[Read, ...] = ()
    imported: tuple[Read, ...] = ()
    given: Given = field(default_factory=dict)


_TURN_SECONDS: Final = 0.2
_MOST_AT_ONCE: Final = 64
_SOON_SECONDS: Final = 0.05
"""How long an answer may wait for others: each time that some come, whoever waits for them is woken
and another process is interrupted."""

TAKES_LONGER: Final = "--timeout gives it longer"
ENDED: Final = "the execution would be invoked again; look for it in the code outside of steps"
"""What to do where the handler takes its process down."""


class Worker:
    """A process, and what it does now. `number` of the run that it is for."""

    def __init__(self, job: Job, number: int) -> None:
        self.number = number
        self._job = job
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        token = new_token()
        self.pipe = Channel(ours, token, only_values=True)
        self._done, done = context.Pipe()
        os.set_blocking(self._done.fileno(), False)
        self._token, self._finished = token, b""
        process = context.Process(
            target=_work, args=(theirs, done, token, job, number), daemon=True
        )
        with _hash_seed(number), uninterrupted():
            process.start()
        self._process = process
        theirs.close()
        done.close()
        self.is_ready = False
        self.todo: deque[int] = deque()
        self.lost: Lost | None = None
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

    def give(self, todo: Sequence[int], tasks: list[Task]) -> None:
        """Let it verify the sources of these indices, one after another."""
        self.todo.extend(todo)
        self._begin()
        try:
            self.pipe.send(tasks, self._job.timeout)
        except TimeoutError:
            self.stop(Lost(f"it took nothing to do within {self._job.timeout:g} s", TAKES_LONGER))
        except OSError:
            pass  # it has ended, which is heard next

    def take(self, answers: int) -> list[int]:
        """Return the indices that it has just answered, and begin to count the time of the next."""
        took = (monotonic() - self._began) / answers
        self._pace = max(took, _TURN_SECONDS / _MOST_AT_ONCE)
        self._begin()
        self._was_in_time = self.lost is not None
        self._finished = self._told_done().replace(self._token, b"", answers)
        return [self.todo.popleft() for _ in range(answers)]

    def take_current(self) -> int | None:
        """Return the index at which it ended; what it has finished since it answered last, and what
        it has not begun, stays to be done. None: it wasn't at any, or was about to go on."""
        if not self.todo or self._was_in_time:
            return None
        finished = self._told_done().count(self._token)
        at = min(finished, len(self.todo) - 1)
        index = self.todo[at]
        del self.todo[at]
        return index

    def _told_done(self) -> bytes:
        """Return what it has sent each time that it finished a source, and what else came there."""
        with suppress(OSError):
            while data := os.read(self._done.fileno(), 65_536):
                self._finished += data
        return self._finished

    def begin_import(self) -> None:
        """Count the time of its import."""
        self.deadline = monotonic() + self.import_seconds

    def _begin(self) -> None:
        self._began = monotonic()
        self.deadline = self._began + self._job.timeout

    def stop(self, why: Lost) -> None:
        """End it; what it has answered by now is still to be heard."""
        self.lost = why
        end_group(self._process)

    def close(self) -> None:
        """End it."""
        end_group(self._process)
        self.pipe.close()
        self._done.close()

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


# -- in the process ------------------------------------------------------------------------------


def _work(theirs: Connection, done: Connection, token: bytes, job: Job, number: int) -> None:
    """Verify what comes through the pipe, in a process of its own."""
    lead_group()
    _keep_quiet(number)
    pipe, finished = Channel(_away(theirs), token), _away(done)
    try:
        _verify_all(pipe, _Answers(pipe, finished, token), job, number)
    except BaseException:
        os._exit(_BROKEN)  # the pipe is gone, or what else the handler broke of ours
    os._exit(0)  # what the handler left running or registered is not waited for


_BROKEN: Final = 1


def _away(pipe: Connection) -> Connection:
    """Return the pipe where the handler doesn't get at it by chance."""
    moved = Connection(out_of_reach(os.dup(pipe.fileno())))
    pipe.close()
    return moved


def _keep_quiet(number: int) -> None:
    """Let nobody but us say how things end; what the handler prints is shown of the first run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.excepthook = _say_nothing
    sys.unraisablehook = _say_nothing
    if number:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 2)
    os.dup2(2, 1)  # what the handler prints is no data of ours
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what is printed is seen, whatever comes next


def _say_nothing(what: Any) -> None:
    """Take the place of Python's own hooks, which print tracebacks."""


class _Answers:
    """Sends answers, several together. `done` is told of each as soon as there is one, so that
    whatever the process comes to, it is known at which source it was."""

    def __init__(self, pipe: Channel, done: Connection, token: bytes) -> None:
        self._pipe = pipe
        self._done = done
        self._token = token
        self._waiting: list[Answer] = []
        self._sent = monotonic()

    def add(self, answer: Answer) -> None:
        """Send an answer, soon; one that is bad news now."""
        os.write(self._done.fileno(), self._token)
        self._waiting.append(answer)
        is_bad = isinstance(answer.outcome, Verification) and not answer.outcome
        if is_bad or monotonic() - self._sent > _SOON_SECONDS:
            self.send()

    def send(self, *last: Answer) -> None:
        """Send all that wait, and the last one of this process."""
        if self._waiting or last:
            self._pipe.send([*self._waiting, *last])
        self._waiting.clear()
        self._sent = monotonic()


def _verify_all(pipe: Channel, answers: _Answers, job: Job, number: int) -> None:
    from durable_core.adapters.given_notes import GivenNotes
    from durable_core.adapters.handler import HandlerLoader
    from durable_core.adapters.lambda_logging import LambdaLogHandler, write_new_warnings
    from durable_core.adapters.process_exit import exit_is_told, watch_exits
    from durable_core.adapters.readings import readings_of_verification
    from durable_core.adapters.verify import replayer_of

    readings = readings_of_verification(number)
    if job.runs > 1:
        readings.install()
    watch_exits()
    logging.getLogger().addHandler(LambdaLogHandler(write_new_warnings))

    def tell_exit(status: int, line: CodeLine | None) -> None:
        at = "" if line is None else f" at {line}"
        why = f"it ended its process with os._exit({status}){at}"
        answers.send(Answer(Lost(why, ENDED, is_last=True)))

    pipe.send(Importing())
    with exit_is_told(tell_exit):
        try:
            replayer = replayer_of(HandlerLoader().load(job.spec).target)
        except DurableError as error:
            pipe.send(error)
            return
        imported = readings.forget_reads()
        pipe.send(Ready(replayer.runtime.name))
        notes = GivenNotes(readings)
        guard = Guard(job.guard, stays=True)

        def begin(examination: Examination) -> AbstractContextManager[None]:
            readings.begin_again()  # what is read is the same in every run on a record
            return guard(examination)

        watch = notes.watching(begin)
        home = os.getcwd()  # noqa: PTH109
        canary = os.open(os.devnull, os.O_RDONLY)
        while True:
            try:
                tasks: list[Task] = pipe.recv()
            except EOFError:
                return
            for task in tasks:
                outcome = _verified(task, job, replayer, watch)
                os.chdir(home)
                if not _is_open(canary):
                    answers.send(Answer(Lost(_CLOSED, ENDED, is_last=True)))
                    return
                given = notes.take() if isinstance(outcome, Verification) else {}
                answers.add(Answer(outcome, readings.forget_reads(), imported, given))
                if not isinstance(task.source, str) or _size(task.source) > _LARGE:
                    gc.collect()  # a run leaves cycles, which would hold its history for long
            answers.send()


_CLOSED: Final = "it closed files that it had not opened itself, so its process can't go on"

_LARGE: Final = 2**20


def _is_open(canary: int) -> bool:
    """Tell whether a descriptor that only code which closes all of them closes is open still."""
    try:
        return os.path.samestat(os.fstat(canary), os.stat(os.devnull))  # noqa: PTH116
    except OSError:
        return False


def _size(file: str) -> int:
    try:
        return os.path.getsize(file)  # noqa: PTH202
    except OSError:
        return 0


def _verified(
    task: Task, job: Job, replayer: Any, watch: Watch
) -> Verification | DurableError | Lost | None:
    from durable_core.adapters.history_file import load_history, pausing_collection
    from durable_core.adapters.lambda_environment import handed, recorded_variables
    from durable_core.verifying.replay import function_of, verify_history

    source, options = task.source, job.options
    if isinstance(source, DurableError):
        return source
    if task.part is not None:
        options = replace(options, part=task.part)
    try:
        with pausing_collection():
            history = source
            if not isinstance(history, RecordedHistory):
                history = load_history(history, job.max_text_bytes)
        if job.function is not None and function_of(history.arn) not in (None, job.function):
            return None
        with handed(recorded_variables(history.arn)):
            return verify_history(replayer, history, options, watch)
    except DurableError as error:
        return error
    except MemoryError:
        return Lost("it needs more memory than there is", "verify fewer at once, with --jobs 1")
    except BaseException as error:
        return Lost(told(error), "report it, with the handler")
