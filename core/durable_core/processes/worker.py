"""A process that verifies one history after another with one handler, and our end of its pipe.

Whatever the handler does to it, its own histories have an outcome: the process says what it can of
its end, and the pool sees the rest from outside.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import field, replace
from multiprocessing.connection import Connection
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from durable_core.adapters.documents import MAX_TEXT_BYTES
from durable_core.adapters.relayed_output import RelayedOutput
from durable_core.defects import defect_at, defects_at, is_ours
from durable_core.errors import DurableError, SourceDefect
from durable_core.given import Given
from durable_core.history import RecordedHistory
from durable_core.interrupts import uninterrupted
from durable_core.processes.channel import Channel, new_token
from durable_core.processes.guard import Guard, GuardMode
from durable_core.processes.process_group import (
    IMPORT_SECONDS,
    START_SECONDS,
    end_group,
    lead_group,
    out_of_reach,
)
from durable_core.processes.safe_start import restore_environment, starting
from durable_core.processes.std_streams import lenient, make_stderr_lenient
from durable_core.processes.withheld import Withheld
from durable_core.processes.worker_walls import RaisedAt, WorkerWalls, watcher_at
from durable_core.raised import told
from durable_core.sandbox.secret_variables import changes_for, environment_with, withheld_from
from durable_core.sandbox.sources import Read
from durable_core.values import dataclass
from durable_core.verifying.passes import Part
from durable_core.verifying.replay import VerifyOptions, Watch
from durable_core.verifying.session import Examination
from durable_core.verifying.verification import CodeLine, Doubt, Verification

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
class Task:
    """A source, and which part of it is verified; None: all."""

    source: Source
    part: Part | None = None

    @property
    def name(self) -> str:
        """What the source is called."""
        source = self.source
        return source.source if isinstance(source, RecordedHistory) else str(source)


@dataclass(frozen=True, slots=True)
class Importing:
    """A worker's first answer: it has started, and imports the handler."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker's second answer: the handler is loaded. `notes` say what its modules attempted while
    they were imported."""

    runtime: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lost:
    """There is no outcome, and it isn't one of ours to say why the handler did that.

    `remedy` is what to do; `is_last`: the process that says so ends. `what` couldn't be done.
    """

    why: str
    remedy: str
    is_last: bool = False
    what: str = "the handler could not be run to its end"


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

    def __init__(self, job: Job, number: int, scratch: str | None) -> None:
        self.number = number
        self._job = job
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        token = new_token()
        self.pipe = Channel(ours, token, only_values=True)
        self._done, done = context.Pipe(duplex=False)
        os.set_blocking(self._done.fileno(), False)
        self._hearing, heard = context.Pipe()
        self._token, self._finished = token, b""
        withheld = job.withheld
        reads, prints = context.Pipe(duplex=False) if number == 0 else (None, None)
        self.printed = None if reads is None else RelayedOutput(reads)
        """What the handler prints; None: none of it is shown, as it is of the first run."""
        arguments = (theirs, done, heard, prints, token, job, number, scratch, withheld)
        process = context.Process(target=_work, args=arguments, daemon=True)
        handed = environment_with(changes_for(withheld, job.env))
        with handed, starting(hash_seed=number * 7919), uninterrupted():
            process.start()
        self._process = process
        theirs.close()
        done.close()
        heard.close()
        if prints is not None:
            prints.close()
        self._scratch = scratch
        self.watcher: Watcher | None = None
        """Who hears what the operating system refuses it."""
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

    def give(self, tasks: list[Task]) -> None:
        """Let it verify the sources of the indices that it has to do, one after another."""
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
        index = self.current
        if index is not None:
            self.todo.remove(index)
        return index

    @property
    def current(self) -> int | None:
        """Return the index at which it is now, or was last; None: at none."""
        finished = self._told_done().count(self._token)
        return self.todo[min(finished, len(self.todo) - 1)] if self.todo else None

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

    def _told_done(self) -> bytes:
        """Return what it has sent each time that it finished a source, and what else came there."""
        with suppress(OSError):
            while data := os.read(self._done.fileno(), 65_536):
                self._finished += data
        return self._finished

    def begin_import(self) -> None:
        """Count the time of its import."""
        self.deadline = monotonic() + self.import_seconds

    def answer_all(self, doubt: Doubt) -> None:
        """Have it answer whatever it is given with the reason for which nothing was imported."""
        self.pipe.send(doubt)

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
        if self.printed is not None:
            self.printed.close()
        self.pipe.close()
        self._done.close()
        self._hearing.close()
        self._stop_hearing()

    def defect_at(self, source: str) -> SourceDefect | None:
        """Return the defect of ours by which the process ended; None: it was none."""
        if self.lost is None or self._process.exitcode != _DEFECT:
            return None
        return SourceDefect(source, "its process ended", f"exit code {_DEFECT}")

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


# -- in the process ------------------------------------------------------------------------------


def _work(
    theirs: Connection,
    done: Connection,
    heard: Connection,
    prints: Connection | None,
    token: bytes,
    job: Job,
    number: int,
    scratch: str | None,
    withheld: Sequence[str],
) -> None:
    """Verify what comes through the pipe, in a process of its own."""
    lead_group()
    restore_environment()
    _keep_quiet(prints)
    pipe, finished = Channel(_away(theirs), token), _away(done)
    try:
        walls = WorkerWalls(scratch, heard, (pipe, finished), job.walls)
        walls.before_import()
        _verify_all(pipe, _Answers(pipe, finished, token), job, number, walls, Withheld(withheld))
    except BaseException as error:
        is_defect = is_ours(error) and not isinstance(error, OSError | EOFError)
        os._exit(_DEFECT if is_defect else _BROKEN)  # the pipe is gone, or what else it broke
    os._exit(0)  # what the handler left running or registered is not waited for


_BROKEN: Final = 1
_DEFECT: Final = 113
"""The exit code of a process in which a defect of ours showed that it couldn't tell."""


def _away(pipe: Connection) -> Connection:
    """Return the pipe where the handler doesn't get at it by chance."""
    moved = Connection(out_of_reach(os.dup(pipe.fileno())))
    pipe.close()
    return moved


def _keep_quiet(prints: Connection | None) -> None:
    """Let nobody but us say how things end; what the handler prints goes to `prints`, or nowhere.
    It has no descriptor of its parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.excepthook = _say_nothing
    sys.unraisablehook = _say_nothing
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(os.devnull, os.O_WRONLY) if prints is None else prints.fileno()
    os.dup2(output, 2)
    os.dup2(output, 1)  # what the handler prints is no data of ours
    if prints is not None:
        prints.close()
    make_stderr_lenient()
    sys.stdout = lenient(sys.stdout)  # by lines: what is printed is seen, whatever comes next


def _say_nothing(what: Any) -> None:
    """Take the place of Python's own hooks, which print tracebacks."""


class _Answers:
    """Sends answers, several together. `done` is told of each as soon as there is one, so that
    whatever the process comes to, it is known at which source it was."""

    def __init__(self, pipe: Channel, done: Connection, token: bytes) -> None:
        self._pipe = pipe
        self._done = done
        self._token = token
        self._waiting: list[tuple[Answer, str]] = []
        self._sent = monotonic()

    def add(self, answer: Answer, source: str) -> None:
        """Send an answer for a source, soon; one that is bad news now."""
        os.write(self._done.fileno(), self._token)
        self._waiting.append((answer, source))
        is_bad = isinstance(answer.outcome, Verification) and not answer.outcome
        if is_bad or monotonic() - self._sent > _SOON_SECONDS:
            self.send()

    def send(self, *last: Answer) -> None:
        """Send all that wait, and the last one of this process."""
        if self._waiting or last:
            try:
                self._pipe.send([*(answer for answer, _ in self._waiting), *last])
            except OSError:
                raise
            except Exception:  # nothing of it is sent before all of it is packed
                for answer, source in self._waiting:
                    self._send_alone(answer, source)
                if last:
                    self._pipe.send([*last])
        self._waiting.clear()
        self._sent = monotonic()

    def _send_alone(self, answer: Answer, source: str) -> None:
        try:
            self._pipe.send([answer])
        except OSError:
            raise
        except Exception as error:
            self._pipe.send([Answer(_why_unverified(error, source))])


def _verify_all(
    pipe: Channel,
    answers: _Answers,
    job: Job,
    number: int,
    walls: WorkerWalls,
    withheld: Withheld,
) -> None:
    import logging  # not for the process that only starts others

    from durable_core.processes.given_notes import GivenNotes
    from durable_core.processes.import_watch import NOT_IMPORTED, import_note, refused_import
    from durable_core.processes.verify import replayer_of
    from durable_core.runtimes.handler import HandlerError, HandlerLoader
    from durable_core.runtimes.lambda_logging import LambdaLogHandler, write_new_warnings
    from durable_core.sandbox.process_exit import exit_is_told, watch_exits
    from durable_core.sandbox.readings import readings_of_verification

    readings = readings_of_verification(number)
    if job.runs > 1:
        readings.install()
    withheld.install()
    watch_exits()
    logging.getLogger().addHandler(LambdaLogHandler(write_new_warnings))

    def tell_exit(status: int, line: CodeLine | None) -> None:
        at = "" if line is None else f" at {line}"
        why = f"it ended its process with os._exit({status}){at}"
        answers.send(Answer(Lost(*withheld.blamed_for(why, ENDED), is_last=True)))

    pipe.send(Importing())
    guard = Guard(job.guard, stays=True, allow_import=job.allow_import)
    with exit_is_told(tell_exit):
        with guard.importing() as attempts:
            try:
                replayer = replayer_of(HandlerLoader().load(job.spec).target)
            except HandlerError as error:
                refusal = refused_import(error, attempts if guard.refuses else ())
                doubt = refusal or withheld.failed_import(error)
                if doubt is None:
                    pipe.send(error)
                    doubt = pipe.recv()  # where the operating system has refused it something
                lost = Lost(doubt.reason, doubt.remedy, what=NOT_IMPORTED)
                _answer_all(pipe, answers, lost)
                return
            except DurableError as error:
                pipe.send(error)
                return
            walls.after_import()
        imported = readings.forget_reads()
        withheld.imported()
        told = (import_note(each, is_refused=guard.refuses) for each in attempts)
        pipe.send(Ready(replayer.runtime.name, tuple(told)))
        notes = GivenNotes(readings)

        def begin(examination: Examination) -> AbstractContextManager[None]:
            readings.begin_again()  # what is read is the same in every run on a record
            return guard(examination)

        watch = notes.watching(begin)

        def verify(task: Task) -> Answer:
            guard.of = object()
            try:
                outcome = _verified(task, job, replayer, watch)
                if isinstance(outcome, Verification):
                    outcome = withheld.judged(guard.with_late(outcome))
                given = notes.take() if isinstance(outcome, Verification) else {}
                return Answer(outcome, readings.forget_reads(), imported, given)
            except BaseException as error:
                return Answer(_why_unverified(error, task.name))

        _verify_each(pipe, answers, verify)


def _verify_each(pipe: Channel, answers: _Answers, verify: Callable[[Task], Answer]) -> None:
    """Verify what comes through the pipe, until that ends or the handler has closed our files."""
    home = os.getcwd()  # noqa: PTH109
    canary = os.open(os.devnull, os.O_RDONLY)
    while True:
        try:
            tasks: list[Task] = pipe.recv()
        except EOFError:
            return
        for task in tasks:
            answer = verify(task)
            os.chdir(home)
            if not _is_open(canary):
                answers.send(Answer(Lost(_CLOSED, ENDED, is_last=True)))
                return
            answers.add(answer, task.name)
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


def _answer_all(pipe: Channel, answers: _Answers, lost: Lost) -> None:
    """Answer whatever comes through the pipe alike."""
    pipe.send(Ready(""))
    while True:
        try:
            tasks: list[Task] = pipe.recv()
        except EOFError:
            return
        for task in tasks:
            answers.add(Answer(lost), task.name)
        answers.send()


def _size(file: str) -> int:
    try:
        return os.path.getsize(file)  # noqa: PTH202
    except OSError:
        return 0


def _verified(
    task: Task, job: Job, replayer: Any, watch: Watch
) -> Verification | DurableError | Lost | None:
    from durable_core.adapters.history_file import load_history, pausing_collection
    from durable_core.runtimes.lambda_environment import handed, recorded_variables
    from durable_core.verifying.replay import function_of, verify_history

    source, options = task.source, job.options
    if isinstance(source, DurableError):
        return source
    if task.part is not None:
        options = replace(options, part=task.part)
    try:
        with pausing_collection(), defects_at(task.name):
            most = job.max_text_bytes
            history = source if isinstance(source, RecordedHistory) else load_history(source, most)
        if job.function is not None and function_of(history.arn) not in (None, job.function):
            return None
        with handed(recorded_variables(history.arn)):
            return verify_history(replayer, history, options, watch)
    except BaseException as error:
        return _why_unverified(error, task.name)


def _why_unverified(error: BaseException, source: str) -> DurableError | Lost:
    """Return what is told of a source at which this was raised: by the handler's code, or ours."""
    if isinstance(error, DurableError):
        return error
    if isinstance(error, MemoryError):
        return Lost("it needs more memory than there is", "verify fewer at once, with --jobs 1")
    if isinstance(error, Exception) and is_ours(error):
        return defect_at(source, error)
    return Lost(told(error), "report it, with the handler")
