"""Invocations in other processes, for handlers that end theirs, or have to be ended.

A process that is new is a cold start: modules are imported anew, no global survives. When it ends
without an answer, however it ended, the invocation is lost as it would be in the cloud. The
checkpoints come through a pipe; what the handler prints goes to stderr unless said otherwise.
Processes that a handler starts are its own to start and to wait for; those that it leaves running
end with the invocation.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from time import monotonic
from typing import Any, Final

from durable_core.interrupts import uninterrupted
from durable_core.model import ErrorObject, InvocationInput, OperationUpdate
from durable_core.native.checkpointer import RefusedCheckpoint
from durable_core.native.invocation import InvocationOptions, Invoked, LostInvocation
from durable_core.native.journal import Note
from durable_core.processes.channel import GARBLED, Channel, Garbled, new_token
from durable_core.processes.process_group import (
    IMPORT_SECONDS,
    START_SECONDS,
    end_group,
    lead_group,
    out_of_reach,
)
from durable_core.processes.safe_start import restore_environment, starting
from durable_core.processes.std_streams import make_stderr_lenient
from durable_core.runtimes.aws_python.invocation_observer import InvocationObserver
from durable_core.runtimes.lambda_environment import handed, variables_of
from durable_core.sandbox.handler_clock import StandingClock
from durable_core.sandbox.process_clocks import served_by
from durable_core.sandbox.process_exit import exit_sends_queued, watch_exits
from durable_core.service.values import CheckpointAnswer, Invocation, StatePage
from durable_core.signals import ProcessDied
from durable_core.simulation.link import ServiceLink, context_of
from durable_core.simulation.runner import Runner

_Started = tuple[Channel, BaseProcess, "weakref.finalize[Any, Any]"]

MakeRunner = Callable[[], Runner]
"""Makes the runner inside of the process. Picklable: a function of a module, or a partial of one.

It tells each note when it is made (`InvocationOptions.tell`), so that what a lost process did is
known.
"""


Prepare = Callable[[], None]
"""Sets up what the handler prints and logs to, inside of the process. Picklable too."""


def print_to_stderr() -> None:
    """Lead what is printed to stderr; logs stay as Python has them."""
    sys.stdout = sys.stderr


class IsolatedRunner(Runner):
    """Runs invocations in another process, which `prepare` sets up before anything else.

    `is_warm`: one process for all of them, as long as it lives, as Lambda keeps an environment;
    else a new one for each. `timeout` is in real seconds: an invocation that takes longer is ended,
    with its process, as Lambda ends one at the function's timeout.
    """

    def __init__(
        self,
        make: MakeRunner,
        prepare: Prepare = print_to_stderr,
        *,
        is_warm: bool = False,
        timeout: float | None = None,
    ) -> None:
        self._make = make
        self._prepare = prepare
        self._is_warm = is_warm
        self._timeout = timeout
        self._started: _Started | None = None

    def ask(self, question: Callable[[], Any]) -> Any:
        """Return what a function returns in the other process; one that is warm goes on after it.

        Raises what it raises in there, TimeoutError, ProcessEnded.
        """
        pipe, process, end = self._started or self._start()
        self._started = None
        try:
            answer = _answer_to(question, pipe, process, self._timeout)
        except BaseException:
            end()
            raise
        if self._is_warm:
            self._started = pipe, process, end
        else:
            end()
        return answer

    def invoke(
        self, given: InvocationInput, link: ServiceLink, options: InvocationOptions
    ) -> Invoked:
        """Run the handler in the other process. Raises what the runner in there raises."""
        pipe, process, end = self._started or self._start()
        self._started = None
        host = _Host(pipe, link, given, process, self._timeout)
        try:
            invoked = host.serve(options)
        except KeyboardInterrupt:
            invoked = host.lost(LostInvocation(interrupted=True))
        except BaseException:
            end()
            raise
        if self._is_warm and not isinstance(invoked.outcome, LostInvocation):
            self._started = pipe, process, end
        else:
            end()
        return invoked

    def _start(self) -> _Started:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        token = new_token()
        process = context.Process(
            target=_work, args=(theirs, token, self._prepare, self._make), daemon=True
        )
        with starting(), uninterrupted():
            process.start()
        theirs.close()
        pipe = Channel(ours, token)
        return pipe, process, weakref.finalize(self, _end, process, pipe)


class ProcessEnded(Exception):
    """The process ended, or broke its pipe, instead of answering; the text says how."""


def _answer_to(
    question: Callable[[], Any], pipe: Channel, process: BaseProcess, timeout: float | None
) -> Any:
    imports = math.inf if timeout is None else max(timeout, IMPORT_SECONDS)
    until = monotonic() + imports + START_SECONDS
    try:
        pipe.send(question, START_SECONDS)
        while True:
            if not _is_heard(pipe, process, until):
                raise TimeoutError
            kind, _, content = pipe.recv()
            if kind == "started":
                until = monotonic() + imports
            elif kind == "raised":
                raise content
            elif kind == "answer":
                return content
    except Garbled:
        raise ProcessEnded(GARBLED) from None
    except (EOFError, ConnectionError):
        process.join(1)
        raise ProcessEnded(f"its process ended (exit code {process.exitcode})") from None


def _leave_the_terminal() -> None:
    """Start a process group, which Ctrl-C doesn't reach and which can be ended as a whole.

    One that came meanwhile is let through to nobody. By a function, not SIG_IGN, which the
    processes that a handler starts would inherit.
    """
    lead_group()
    signal.signal(signal.SIGINT, lambda number, frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(process: BaseProcess, pipe: Channel) -> None:
    """End a process of ours and those that it started, as Lambda ends all of a sandbox."""
    end_group(process)
    pipe.close()


_LOOK_SECONDS: Final = 0.2
"""How often to look whether a process has ended that doesn't say so."""


def _is_heard(pipe: Channel, process: BaseProcess, until: float) -> bool:
    """Wait for a message. Return False when there is none in time.

    Raises EOFError where there is none and the process has ended: its own children may have the
    pipe open still.
    """
    while not pipe.poll(min(_LOOK_SECONDS, max(0.0, until - monotonic()))):
        if process.exitcode is not None and not pipe.poll():
            raise EOFError
        if monotonic() >= until:
            return False
    return True


class _Host:
    """This side of the pipe."""

    def __init__(
        self,
        pipe: Channel,
        link: ServiceLink,
        given: InvocationInput,
        process: BaseProcess,
        timeout: float | None,
    ) -> None:
        self._pipe = pipe
        self._given = given
        self._timeout = timeout
        self._imports = math.inf if timeout is None else max(timeout, IMPORT_SECONDS)
        self._until = monotonic() + self._imports + START_SECONDS
        self._process = process
        self._link = link
        self._observed = InvocationObserver(given.operations)
        self._notes: list[Note] = []
        self._elapsed = 0.0
        link.elapsed = lambda: self._elapsed

    def serve(self, options: InvocationOptions) -> Invoked:
        try:
            self._pipe.send((self._given, self._link.invocation, self._link.began, options))
        except ConnectionError:
            return self.lost(LostInvocation(exit_status=self._exit_status()))
        while True:
            try:
                if not _is_heard(self._pipe, self._process, self._until):
                    return self._timed_out()
                kind, self._elapsed, content = self._pipe.recv()
            except Garbled:
                end_group(self._process)
                return self.lost(LostInvocation(ErrorObject(GARBLED), self._exit_status()))
            except (EOFError, ConnectionError):
                return self.lost(LostInvocation(exit_status=self._exit_status()))
            match kind:
                case "started":
                    self._until = monotonic() + self._imports
                case "begun":
                    self._until = monotonic() + (self._timeout or math.inf)
                case "note":
                    self._notes.append(content)
                case "done":
                    done: Invoked = content
                    return done
                case "raised":
                    return self._raised(content)
                case _:
                    try:
                        self._pipe.send(self._answer(kind, content))
                    except ProcessDied as error:
                        return self.lost(LostInvocation(exit_status=error.status))

    def _raised(self, error: Exception) -> Invoked:
        if not isinstance(error, OSError):
            raise error
        # Its event loop has lost a descriptor: the handler closed it, or used them all up.
        return self.lost(LostInvocation(ErrorObject(str(error), type(error).__name__)))

    def _timed_out(self) -> Invoked:
        assert self._timeout is not None
        self._elapsed = max(self._elapsed, self._timeout)
        return self.lost(LostInvocation(stuck=True, stuck_seconds=self._timeout))

    def _answer(self, kind: str, content: Any) -> tuple[bool, Any]:
        try:
            if kind == "due":
                return True, self._link.next_due()
            if kind == "state":
                return True, self._link.get_state(*content)
            return True, self._sent(*content)
        except Exception as error:
            return False, error

    def _sent(
        self, token: str, updates: tuple[OperationUpdate, ...], client_token: str
    ) -> CheckpointAnswer:
        refused = None
        try:
            return self._link.checkpoint(token, updates, client_token)
        except RefusedCheckpoint as error:
            refused = str(error)
            raise
        finally:
            self._observed.sent(updates, 1, refused)

    def _exit_status(self) -> int:
        """Return how the process ended, which closes its pipe with its end or just before it."""
        self._process.join(1)
        return 1 if self._process.exitcode is None else self._process.exitcode

    def lost(self, lost: LostInvocation) -> Invoked:
        """Return what is known of an invocation that gave no answer: also what it noted last, where
        nobody came to read that before it ended."""
        with suppress(Garbled, EOFError, OSError):
            for _ in range(_MOST_UNREAD):
                if not self._pipe.poll():
                    break
                kind, _, content = self._pipe.recv()
                if kind == "note":
                    self._notes.append(content)
        return Invoked(lost, tuple(self._notes), self._observed.requests(), self._elapsed)


_MOST_UNREAD: Final = 100
"""So many messages are read after the end: the process may go on sending."""


class _RemoteLink:
    """A service link at the other end of the pipe. One call at a time."""

    def __init__(self, pipe: Channel, invocation: Invocation, began: datetime) -> None:
        self._pipe = pipe
        self._process = os.getpid()
        self._lock = threading.Lock()
        self.invocation = invocation
        self.began = began
        self.elapsed: Callable[[], float] = lambda: 0.0

    def now(self) -> datetime:
        return self.began + timedelta(seconds=self.elapsed())

    def tell(self, kind: str, content: Any) -> None:
        with self._lock:
            self._send(kind, content)

    def _send(self, kind: str, content: Any) -> None:
        if os.getpid() != self._process:
            os._exit(1)  # a forked process went on with the handler instead of ending
        self._pipe.send((kind, self.elapsed(), content))

    def _call(self, kind: str, *content: Any) -> Any:
        with self._lock:
            self._send(kind, content)
            good, answer = self._pipe.recv()
        if good:
            return answer
        raise answer

    def next_due(self) -> datetime | None:
        due: datetime | None = self._call("due")
        return due

    def checkpoint(
        self, token: str, updates: Sequence[OperationUpdate], client_token: str
    ) -> CheckpointAnswer:
        answer: CheckpointAnswer = self._call("checkpoint", token, tuple(updates), client_token)
        return answer

    def get_state(self, token: str, marker: str | None = None) -> StatePage:
        page: StatePage = self._call("state", token, marker)
        return page


def _work(theirs: Connection, token: bytes, prepare: Prepare, make: MakeRunner) -> None:
    """Run the invocations that come through the pipe, and send what came of each."""
    _leave_the_terminal()
    pipe = Channel(Connection(out_of_reach(os.dup(theirs.fileno()))), token)
    theirs.close()
    restore_environment()
    make_stderr_lenient()
    prepare()
    watch_exits()
    pipe.send(("started", 0.0, None))
    runner: Runner | None = None
    while True:
        try:
            asked = pipe.recv()
        except EOFError:
            return
        if callable(asked):
            pipe.send(_asked(asked))
            continue
        given, invocation, began, options = asked
        link = _RemoteLink(pipe, invocation, began)
        try:
            if runner is None:
                with served_by(StandingClock(began)):
                    runner = make()
        except Exception as error:
            link.tell("raised", error)
            return
        _run(runner, given, link, options)


def _asked(question: Callable[[], Any]) -> tuple[str, float, Any]:
    try:
        return "answer", 0.0, question()
    except Exception as error:
        return "raised", 0.0, error


def _run(runner: Runner, given: InvocationInput, link: Any, options: InvocationOptions) -> None:
    """Run one invocation and send what came of it."""
    link.tell("begun", None)
    try:
        options = replace(options, tell=lambda note: link.tell("note", note))
        with handed(variables_of(context_of(link))), exit_sends_queued(runner.die):
            invoked = runner.invoke(given, link, options)
        link.tell("done", invoked)
    except Exception as error:
        link.tell("raised", error)
