"""Running a native handler under an session: an event loop with no clock, to the end of what is
recorded."""

from __future__ import annotations

import asyncio
import inspect
import json
from contextlib import suppress
from functools import partial
from typing import Final, cast

from durable_core.ids import SHA256
from durable_core.native.checkpointer import Checkpointer
from durable_core.native.event_loop import VirtualTimeLoop
from durable_core.native.execution import Scope
from durable_core.native.invocation import Handler, abandon
from durable_core.native.serdes import JSON, SerDesContext, serialize
from durable_core.raised import is_from_outside
from durable_core.runtimes.native.replay_call import VerifyingExecution
from durable_core.runtimes.native.replay_context import VerifyingContext
from durable_core.signals import InvocationEnding
from durable_core.verifying.consequences import ReplayRuntime
from durable_core.verifying.differences import compare_final_result, note_end
from durable_core.verifying.handler_state import HandlerState
from durable_core.verifying.session import ReplaySession
from durable_core.verifying.traces import BodyEnd, BodyOutcome


class NativeReplayer:
    """Runs an `async def handler(event, ctx)`."""

    runtime: Final = ReplayRuntime("durable's native runtime", is_native=True, compares=True)
    scheme: Final = SHA256

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._state = HandlerState([handler])

    @property
    def function(self) -> Handler:
        """The handler."""
        return self._handler

    def replay(self, session: ReplaySession, arn: str, *, in_turn: bool = False) -> None:
        """Run it once."""
        with self._state.run():
            self._run(session, arn)

    def _run(self, session: ReplaySession, arn: str) -> None:
        run = _NativeRun(self._handler, session, arn)
        loop = VirtualTimeLoop(run.on_idle)
        # How everything ended is noted; what asyncio finds wrong besides is the handler's affair.
        loop.set_exception_handler(lambda loop, context: None)
        try:
            loop.run_until_complete(run.main())
        except (SystemExit, KeyboardInterrupt) as error:  # asyncio lets a task of the handler's
            if is_from_outside(error):
                raise
            run.exited(error)
        finally:
            run.stop()
            with suppress(_Hangs):  # code that goes on waiting although it was told to end
                abandon(loop)
            loop.close()


class _NativeRun:
    def __init__(self, handler: Handler, session: ReplaySession, arn: str) -> None:
        self._handler = handler
        self._session = session
        self._arn = arn
        self._idle: asyncio.Future[None] | None = None
        self._execution: VerifyingExecution | None = None
        session.missing.suspension = InvocationEnding

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

    def exited(self, error: BaseException) -> None:
        """Note that a task of the handler's own ended the process."""
        root = self._session.root
        if root.outcome is BodyEnd.NOT_RUN:
            note_end(self._session, root, BodyOutcome(BodyEnd.RAISED, error=error))

    async def main(self) -> None:
        loop = asyncio.get_running_loop()
        self._idle = loop.create_future()
        self._execution = execution = VerifyingExecution(
            self._arn,
            cast(Checkpointer, None),  # nothing is ever written
            loop.create_future(),
            session=self._session,
        )
        root = self._session.root
        context = VerifyingContext(execution, Scope(), root)
        task = loop.create_task(self._call(context), name="handler")
        await asyncio.wait((task, self._idle), return_when=asyncio.FIRST_COMPLETED)
        ended = _end_of(task)
        note_end(self._session, root, ended)
        if root.outcome is BodyEnd.RETURNED:
            compare_final_result(self._session, ended.value)

    async def _call(self, context: VerifyingContext) -> BodyOutcome:
        given = self._session.facts.input_payload
        event = None if given is None or not given.strip() else json.loads(given)
        try:
            result = self._handler(event, context)
            if inspect.isawaitable(result):
                result = await result
        except InvocationEnding:
            return BodyOutcome(BodyEnd.SUSPENDED)
        except (SystemExit, KeyboardInterrupt, asyncio.CancelledError) as error:
            # A task would hand on the first two to whoever runs the loop, and lose the third.
            if is_from_outside(error):
                raise
            return BodyOutcome(BodyEnd.RAISED, error=error)
        where = SerDesContext("", self._arn)
        work = partial(serialize, JSON, result, where)
        return BodyOutcome(BodyEnd.RETURNED, self._session.missing.serialize(work))


class _Hangs(Exception):
    """Nothing can go on, although everything was told to end."""


def _end_of(task: asyncio.Task[BodyOutcome]) -> BodyOutcome:
    if not task.done():
        return BodyOutcome(BodyEnd.SUSPENDED)
    error = task.exception()
    return task.result() if error is None else BodyOutcome(BodyEnd.RAISED, error=error)
