"""What runs in a process that verifies: histories that come through a pipe, one after another.

Imported in there only: the process that starts it needs nothing of what a handler runs in.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any, Final

from durable_core.adapters.history_file import load_history
from durable_core.defects import defect_at, defects_at, is_ours
from durable_core.errors import DurableError
from durable_core.garbage_collection import pausing_collection
from durable_core.history import RecordedHistory
from durable_core.processes.channel import Channel
from durable_core.processes.given_notes import GivenNotes
from durable_core.processes.guard import Guard
from durable_core.processes.guard_findings import NOT_IMPORTED, import_note, refused_import
from durable_core.processes.process_group import out_of_reach
from durable_core.processes.std_streams import lenient, make_stderr_lenient
from durable_core.processes.told_at_once import Teller
from durable_core.processes.withheld import Withheld
from durable_core.processes.worker import (
    DEFECT,
    ENDED,
    HandlerImporting,
    HandlerReady,
    Job,
    LostRun,
    TaskAnswer,
    VerifyTask,
)
from durable_core.processes.worker_walls import WorkerWalls
from durable_core.raised import format_exception
from durable_core.runtimes.drivers import replayer_of
from durable_core.runtimes.handler import HandlerError, HandlerLoader
from durable_core.runtimes.lambda_environment import (
    LambdaLogHandler,
    handed,
    recorded_variables,
    write_new_warnings,
)
from durable_core.sandbox.controlled_sources import readings_of_verification
from durable_core.sandbox.process_exit import exit_is_told, watch_exits
from durable_core.sandbox.user_code import CodeLine
from durable_core.verifying.replay import Replayer, Watch, function_of, verify_history
from durable_core.verifying.session import ReplaySession
from durable_core.verifying.verification import Verification


def work(
    theirs: Connection,
    tells: Connection,
    heard: Connection,
    prints: Connection | None,
    token: bytes,
    job: Job,
    number: int,
    scratch: str | None,
    withheld: Sequence[str],
) -> None:
    """Verify what comes through the pipe, in a process of its own."""
    _keep_quiet(prints)
    pipe, tells = Channel(_away(theirs), token), _away(tells)
    try:
        walls = WorkerWalls(scratch, heard, (pipe, tells), job.walls)
        walls.before_import()
        answers = _Answers(pipe, Teller(tells, token))
        _verify_all(pipe, answers, job, number, walls, Withheld(withheld))
    except BaseException as error:
        is_defect = is_ours(error) and not isinstance(error, OSError | EOFError)
        os._exit(DEFECT if is_defect else _BROKEN)  # the pipe is gone, or what else it broke
    os._exit(0)  # what the handler left running or registered is not waited for


_BROKEN: Final = 1


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


_SOON_SECONDS: Final = 0.05
"""How long an answer may wait for others: each time that some come, whoever waits for them is woken
and another process is interrupted."""


class _Answers:
    """Sends answers, several together. `teller` tells of each as soon as there is one, so that
    whatever the process comes to, it is known at which source it was."""

    def __init__(self, pipe: Channel, teller: Teller) -> None:
        self._pipe = pipe
        self.teller = teller
        self._waiting: list[tuple[TaskAnswer, str]] = []
        self._sent = monotonic()

    def add(self, answer: TaskAnswer, source: str) -> None:
        """Send an answer for a source, soon; one that is bad news now."""
        self.teller.finished()
        self._waiting.append((answer, source))
        is_bad = isinstance(answer.outcome, Verification) and not answer.outcome
        if is_bad or monotonic() - self._sent > _SOON_SECONDS:
            self.send()

    def send(self, *last: TaskAnswer) -> None:
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

    def _send_alone(self, answer: TaskAnswer, source: str) -> None:
        try:
            self._pipe.send([answer])
        except OSError:
            raise
        except Exception as error:
            self._pipe.send([TaskAnswer(_why_unverified(error, source))])


def _verify_all(
    pipe: Channel,
    answers: _Answers,
    job: Job,
    number: int,
    walls: WorkerWalls,
    withheld: Withheld,
) -> None:
    readings = readings_of_verification(number)
    if job.runs > 1:
        readings.install()
    withheld.install()
    watch_exits()
    logging.getLogger().addHandler(LambdaLogHandler(write_new_warnings))

    def tell_exit(status: int, line: CodeLine | None) -> None:
        at = "" if line is None else f" at {line}"
        why = f"it ended its process with os._exit({status}){at}"
        answers.send(TaskAnswer(LostRun(*withheld.blamed_for(why, ENDED), is_last=True)))

    pipe.send(HandlerImporting())
    tell = answers.teller.attempt
    guard = Guard(job.guard, stays=True, allow_import=job.allow_import, tell_at_once=tell)
    with exit_is_told(tell_exit):
        with guard.importing() as attempts:
            refused = attempts if guard.refuses else ()
            replayer = _import_handler(pipe, answers, job.spec, refused, withheld)
            if replayer is None:
                return
            walls.after_import()
        imported = readings.forget_reads()
        withheld.imported()
        format_exception = (import_note(each, is_refused=guard.refuses) for each in attempts)
        pipe.send(HandlerReady(replayer.runtime.name, tuple(format_exception)))
        notes = GivenNotes(readings)

        def begin(session: ReplaySession) -> AbstractContextManager[None]:
            readings.begin_again()  # what is read is the same in every run on a record
            return guard(session)

        watch = notes.watching(begin)

        def verify(task: VerifyTask) -> TaskAnswer:
            guard.of = object()
            try:
                outcome = _verified(task, job, replayer, watch)
                if isinstance(outcome, Verification):
                    outcome = withheld.judged(guard.with_late(outcome))
                given = notes.take() if isinstance(outcome, Verification) else {}
                return TaskAnswer(outcome, readings.forget_reads(), imported, given)
            except BaseException as error:
                return TaskAnswer(_why_unverified(error, task.name))

        _verify_each(pipe, answers, verify)


def _import_handler(
    pipe: Channel, answers: _Answers, spec: str, refused: Sequence[str], withheld: Withheld
) -> Replayer | None:
    """Import the handler and return what runs it; None where it can't be, which is told."""
    try:
        return replayer_of(HandlerLoader().load(spec).target)
    except HandlerError as error:
        doubt = refused_import(error, refused) or withheld.failed_import(error)
        if doubt is None:
            pipe.send(error)
            doubt = pipe.recv()  # where the operating system has refused it something
        _answer_all(pipe, answers, LostRun(doubt.reason, doubt.remedy, what=NOT_IMPORTED))
    except DurableError as error:
        pipe.send(error)
    return None


def _verify_each(
    pipe: Channel, answers: _Answers, verify: Callable[[VerifyTask], TaskAnswer]
) -> None:
    """Verify what comes through the pipe, until that ends or the handler has closed our files."""
    home = os.getcwd()  # noqa: PTH109
    canary = os.open(os.devnull, os.O_RDONLY)
    while True:
        try:
            tasks: list[VerifyTask] = pipe.recv()
        except EOFError:
            return
        for task in tasks:
            answer = verify(task)
            os.chdir(home)
            if not _is_open(canary):
                answers.send(TaskAnswer(LostRun(_CLOSED, ENDED, is_last=True)))
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


def _answer_all(pipe: Channel, answers: _Answers, lost: LostRun) -> None:
    """Answer whatever comes through the pipe alike."""
    pipe.send(HandlerReady(""))
    while True:
        try:
            tasks: list[VerifyTask] = pipe.recv()
        except EOFError:
            return
        for task in tasks:
            answers.add(TaskAnswer(lost), task.name)
        answers.send()


def _size(file: str) -> int:
    try:
        return os.path.getsize(file)  # noqa: PTH202
    except OSError:
        return 0


def _verified(
    task: VerifyTask, job: Job, replayer: Any, watch: Watch
) -> Verification | DurableError | LostRun | None:
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


def _why_unverified(error: BaseException, source: str) -> DurableError | LostRun:
    """Return what is told of a source at which this was raised: by the handler's code, or ours."""
    if isinstance(error, DurableError):
        return error
    if isinstance(error, MemoryError):
        return LostRun("it needs more memory than there is", "verify fewer at once, with --jobs 1")
    if isinstance(error, Exception) and is_ours(error):
        return defect_at(source, error)
    return LostRun(format_exception(error), "report it, with the handler")
