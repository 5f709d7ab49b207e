"""`verify(handler, history)`: the whole of verifying one history, in this process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final

from durable_core.adapters.history_file import load_history
from durable_core.history import RecordedHistory
from durable_core.processes.guard import Guard
from durable_core.runtimes.drivers import replayer_of
from durable_core.runtimes.lambda_environment import handed, logging_as_lambda, recorded_variables
from durable_core.sandbox.guard_mode import GuardMode
from durable_core.verifying.options import VerifyOptions
from durable_core.verifying.replay import unverified, verify_history
from durable_core.verifying.verification import IN_PROCESS_ONLY, Inconclusive, Verdict, Verification


def verify(
    handler: Callable[..., Any] | str,
    history: RecordedHistory | str | PathLike[str],
    *,
    deep: bool = True,
    every_invocation: bool = False,
    strict: bool = False,
    guard: str = "block",
    allow_import: bool = False,
) -> Verification:
    """Run a handler against a recorded history and say whether it still replays it.

    `handler` is a native `async def handler(event, ctx)`, what `@durable_execution` of AWS's SDK
    made, or the name of one (`module:fn`). `history` is a file, or one that is loaded. The outcome
    is truthy when compatible; `.check()` raises when it isn't.

    No step body, submitter, check or invoke runs, nothing is written anywhere, and connections,
    processes and changes of files outside of steps are refused (`guard`: block, warn or off).
    What other threads do than those that the handler started is nothing of ours. Where `handler` is
    a name, its import is watched too, unless `allow_import`. Only what runs in this process keeps
    it from that, as the outcome says; with `guard="enforce"` a handler that is named runs in a
    process of its own, behind the operating system's walls.
    The environment is this process's own, with the secrets in it: `durable replay` withholds them.
    Raises SourceError for a history that can't be read, HandlerError for a handler that can't be
    had, SdkMissing, and NotEnforced where the system has no such walls.
    """
    recorded = history if isinstance(history, RecordedHistory) else load_history(fspath(history))
    options = VerifyOptions(deep=deep, every_invocation=every_invocation, strict=strict)
    if guard == "enforce":
        return _in_a_process(handler, recorded, options, allow_import)
    mode = GuardMode(guard)
    outcome = _in_this_process(handler, recorded, options, Guard(mode, allow_import=allow_import))
    if mode is GuardMode.BLOCK:
        return replace(outcome, guard=IN_PROCESS_ONLY, guard_reason=_NO_PROCESS)
    return replace(outcome, guard=mode.value)


_NO_PROCESS: Final = 'verify() runs the handler in this process; with guard="enforce" in another'


def _in_a_process(
    handler: Callable[..., Any] | str,
    recorded: RecordedHistory,
    options: VerifyOptions,
    allow_import: bool,
) -> Verification:
    from durable_core.processes.pool import verify_sources
    from durable_core.processes.worker import Job

    if not isinstance(handler, str):
        raise ValueError('guard="enforce" needs a process of its own: name the handler, module:fn')
    job = Job(handler, options, runs=1, enforce=True, allow_import=allow_import)
    with closing(verify_sources(job, [""], lambda source: recorded)) as outcomes:
        _, outcome = next(outcomes)
    if not isinstance(outcome, Verification):
        assert outcome is not None
        raise outcome
    return outcome


def _in_this_process(
    handler: Callable[..., Any] | str,
    recorded: RecordedHistory,
    options: VerifyOptions,
    watch: Guard,
) -> Verification:
    notes: tuple[str, ...] = ()
    loaded: Callable[..., Any] | str | Inconclusive = handler
    if isinstance(loaded, str):
        loaded, notes = _imported(loaded, watch)
    if isinstance(loaded, Inconclusive):
        known = unverified(recorded, "")
        return replace(known, verdict=Verdict.CANNOT_VERIFY, doubts=(*known.doubts, loaded))
    with handed(recorded_variables(recorded.arn)), logging_as_lambda():
        outcome = verify_history(replayer_of(loaded), recorded, options, watch)
    return replace(outcome, notes=(*outcome.notes, *notes))


def _imported(spec: str, watch: Guard) -> tuple[Callable[..., Any] | Inconclusive, tuple[str, ...]]:
    """Return the handler of that name, or why it can't be imported while it is watched over; and
    what its import attempted."""
    from durable_core.processes.guard_findings import import_note, refused_import
    from durable_core.runtimes.handler import HandlerError, HandlerLoader

    with watch.importing() as attempts:
        try:
            handler = HandlerLoader(Path.cwd()).load(spec).target
        except HandlerError as error:
            refusal = refused_import(error, attempts if watch.refuses else ())
            if refusal is None:
                raise
            return refusal, ()
    return handler, tuple(import_note(each, is_refused=watch.refuses) for each in attempts)
