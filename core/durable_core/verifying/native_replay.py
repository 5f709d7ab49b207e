"""Running a native handler under an examination: an event loop with no clock, to the end of what is
recorded."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any, Final, cast

from durable_core.ids import SHA256
from durable_core.native.checkpointer import Checkpointer
from durable_core.native.event_loop import VirtualTimeLoop
from durable_core.native.execution import Scope
from durable_core.native.invocation import Handler, abandon
from durable_core.native.serdes import JSON, SerDesContext, serialize
from durable_core.verifying.consequences import Runtime
from durable_core.verifying.divergence import Outcome
from durable_core.verifying.examination import Examination, note_end
from durable_core.verifying.replay_context import VerifyingContext, VerifyingExecution
from durable_core.verifying.traces import Ended


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
            self._examination.compare_final_result(task.result())

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
