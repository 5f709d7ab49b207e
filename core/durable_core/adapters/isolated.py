"""Invocations in a process of their own each, for handlers that end their process.

Each invocation is a cold start: modules are imported anew, no global survives. When the process
ends without an answer, however it ended, the invocation is lost as it would be in the cloud. The
checkpoints come through a pipe; what the handler prints goes to stderr unless said otherwise.
Processes that a handler starts are its own to start and to wait for; those that it leaves running
end with the invocation.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final

from durable_core.adapters.aws_sdk.observed import Observed
from durable_core.adapters.lambda_environment import handed, variables_of
from durable_core.adapters.process_exit import exit_sends_queued, watch_exits
from durable_core.adapters.process_group import end_group, lead_group
from durable_core.model import InvocationInput, OperationUpdate
from durable_core.native.checkpointer import RefusedCheckpoint
from durable_core.native.invocation import InvocationOptions, Invoked, Lost
from durable_core.native.journal import Note
from durable_core.native.signals import ProcessDied
from durable_core.service.values import CheckpointAnswer, Invocation, StatePage
from durable_core.simulation.lambda_context import context_of
from durable_core.simulation.link import ServiceLink
from durable_core.simulation.simulate import Runner

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
    """Runs each invocation in a new process, which `prepare` sets up before anything else."""

    def __init__(self, make: MakeRunner, prepare: Prepare = print_to_stderr) -> None:
        self._make = make
        self._prepare = prepare

    def invoke(
        self, given: InvocationInput, link: ServiceLink, options: InvocationOptions
    ) -> Invoked:
        """Run the handler in a process of its own. Raises what the runner in there raises."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_run_there,
            args=(theirs, self._prepare, self._make, given, link.invocation, link.began, options),
            daemon=True,
        )
        process.start()
        theirs.close()
        try:
            return _Host(ours, link, given, process).serve()
        finally:
            end_group(process)
            ours.close()


_LOOK_SECONDS: Final = 0.2
"""How often to look whether a process has ended that doesn't say so."""


class _Host:
    """This side of the pipe."""

    def __init__(
        self, pipe: Connection, link: ServiceLink, given: InvocationInput, process: BaseProcess
    ) -> None:
        self._pipe = pipe
        self._process = process
        self._link = link
        self._observed = Observed(given.operations)
        self._notes: list[Note] = []
        self._elapsed = 0.0
        link.elapsed = lambda: self._elapsed

    def serve(self) -> Invoked:
        while True:
            try:
                self._wait()
                kind, self._elapsed, content = self._pipe.recv()
            except (EOFError, ConnectionError):
                return self._lost(self._exit_status())
            match kind:
                case "note":
                    self._notes.append(content)
                case "done":
                    done: Invoked = content
                    return done
                case "raised":
                    raise content
                case "due":
                    self._pipe.send((True, self._link.next_due()))
                case _:
                    try:
                        answer = self._answer(kind, content)
                    except ProcessDied as error:
                        return self._lost(error.status)
                    self._pipe.send(answer)

    def _wait(self) -> None:
        """Wait for what is sent. Raises EOFError where nothing is and the process has ended: its
        own children may have the pipe open still."""
        while not self._pipe.poll(_LOOK_SECONDS):
            if self._process.exitcode is not None and not self._pipe.poll():
                raise EOFError

    def _answer(self, kind: str, content: Any) -> tuple[bool, Any]:
        try:
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

    def _lost(self, status: int) -> Invoked:
        lost, requests = Lost(exit_status=status), self._observed.requests()
        return Invoked(lost, tuple(self._notes), requests, self._elapsed)


class _RemoteLink:
    """A service link at the other end of the pipe. One call at a time."""

    def __init__(self, pipe: Connection, invocation: Invocation, began: datetime) -> None:
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


def _run_there(
    pipe: Connection,
    prepare: Prepare,
    make: MakeRunner,
    given: InvocationInput,
    invocation: Invocation,
    began: datetime,
    options: InvocationOptions,
) -> None:
    """Run one invocation in this process, which is new, and send what came of it."""
    lead_group(outlives_parent=False)
    prepare()
    link: Any = _RemoteLink(pipe, invocation, began)
    watch_exits()
    try:
        runner = make()
        options = replace(options, tell=lambda note: link.tell("note", note))
        with handed(variables_of(context_of(link))), exit_sends_queued(runner.die):
            invoked = runner.invoke(given, link, options)
        link.tell("done", invoked)
    except Exception as error:
        link.tell("raised", error)
