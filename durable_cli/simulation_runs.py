"""The runs of one call of `durable simulate`: the clean one, and those that the checks ask for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from durable_cli.ctrl_c import CtrlC
from durable_cli.exits import Exit
from durable_cli.figures import plural
from durable_cli.handler_output import discarded, redirect_here, redirected, unwritten
from durable_cli.output import error_lines, message
from durable_cli.progress import Progress
from durable_core.errors import SourceError
from durable_core.explaining.messages import duration_text
from durable_core.frozen import dataclass
from durable_core.processes.runners import SimulationRequest, UserRunner, run_request
from durable_core.processes.runs_again import Heard, RunsAgain
from durable_core.runtimes.handler import HandlerError, HandlerLoader
from durable_core.sandbox.handler_clock import STARTS_AT
from durable_core.sandbox.process_clocks import in_place
from durable_core.service.faults import NO_FAULTS
from durable_core.simulation.crash_runs import CrashMode, CrashReport
from durable_core.simulation.determinism import DeterminismReport
from durable_core.simulation.outcome import (
    Interrupted,
    InvocationRecord,
    Simulation,
    Stopped,
)
from durable_core.simulation.races import RaceReport


@dataclass(frozen=True, slots=True)
class SimulationRuns:
    """What came of all runs. `simulation` is the first one; `skipped` says why there were no
    further ones although they were asked for, `isolated` whether each invocation had a process.
    `interrupted`: the user ended them, and there is what came of them until then.
    `unwritten_output`: the file didn't take all of what the handler printed."""

    spec: str
    runtime: str
    simulation: Simulation
    real_seconds: float
    crashes: CrashReport | None = None
    determinism: DeterminismReport | None = None
    races: RaceReport | None = None
    skipped: str | None = None
    sdk_version: str | None = None
    isolated: bool = False
    interrupted: bool = False
    unwritten_output: SourceError | None = None


@dataclass(frozen=True, slots=True)
class HandlerOutput:
    """Where what the handler prints and logs goes: a file, which may exist with `force`, or stderr.
    `verbose`: its logs and tracebacks go there, too."""

    path: str | None = None
    force: bool = False
    verbose: bool = False


@dataclass(frozen=True, slots=True)
class Checks:
    """What is checked by further runs: crashes of a mode, how many runs for determinism and in how
    many other interleavings."""

    mode: CrashMode | None = None
    determinism_runs: int | None = None
    interleavings: int | None = None


def run_all(
    request: SimulationRequest,
    checks: Checks,
    printed: HandlerOutput,
    *,
    give_up: Callable[[SimulationRuns], int],
) -> SimulationRuns:
    """Run the handler, and run it again for the checks. For crashes the scenario's own faults are
    left out. Ctrl-C ends it, and what came of it until then is returned.

    `give_up` shows that in place of the caller where a handler goes on in spite of Ctrl-C, and
    returns the exit code: this process ends then.

    Raises a HandlerError, SourceError for a file that can't be written, RunLost.
    """
    if checks.mode is not None:
        request = replace(request, scenario=replace(request.scenario, faults=NO_FAULTS))
    progress = Progress()
    loader = HandlerLoader()
    done: list[SimulationRuns] = []

    def given_up(so_far: object) -> int:
        progress.clear()
        if done:
            return give_up(replace(done[0], interrupted=True))
        if user_of and isinstance(so_far, Simulation):
            seconds = time.perf_counter() - began
            return give_up(_runs_of(request, user_of[0], so_far, seconds))
        return int(Exit.INTERRUPTED)

    user_of: list[UserRunner] = []
    began = time.perf_counter()
    try:
        with in_place(), CtrlC(given_up):
            first = _first(request, checks.mode, loader, progress, printed, user_of)
            done.append(first)
            return _checked(request, first, checks, loader, progress)
    except KeyboardInterrupt:
        if not done:
            raise
        return replace(done[0], interrupted=True, skipped=_INTERRUPTED)
    finally:
        progress.clear()
        loader.forget()


_INTERRUPTED: Final = "you ended the command before all was checked"


def _checked(
    request: SimulationRequest,
    runs: SimulationRuns,
    checks: Checks,
    loader: HandlerLoader,
    progress: Progress,
) -> SimulationRuns:
    """Return the runs with those of the checks."""
    simulation = runs.simulation
    if runs.isolated and not request.isolate:
        message(_WHY_ISOLATED.format(runs.sdk_version))
        request = replace(request, isolate=True)
    if checks == Checks():
        return runs
    if runs.interrupted:
        return replace(runs, skipped=_INTERRUPTED)
    if simulation.stopped is not Stopped.OVER:
        return replace(runs, skipped="the checks need an execution that ends")
    again = RunsAgain(request, loader, simulation, partial(redirect_here, os.devnull, False))

    def heard(what: str) -> Heard:
        return lambda done, total: progress.show(f"{what} {done:,} of {total:,}")

    if checks.mode is not None:
        with discarded():
            found = again.crashes(checks.mode, heard("crash run"))
        runs = replace(runs, crashes=found)
        if found.unmade:
            why = f"you ended the command: {plural(found.unmade, 'crash run')} not made"
            return replace(runs, interrupted=True, skipped=why)
    try:
        if checks.determinism_runs is not None:
            determinism = again.determinism(checks.determinism_runs, heard("determinism run"))
            runs = replace(runs, determinism=determinism)
        if checks.interleavings is not None:
            with discarded():
                races = again.races(checks.interleavings, heard("interleaving"))
            runs = replace(runs, races=races)
    except (KeyboardInterrupt, Interrupted):
        return replace(runs, interrupted=True, skipped=_INTERRUPTED)
    return runs


def _runs_of(
    request: SimulationRequest, user: UserRunner, simulation: Simulation, seconds: float
) -> SimulationRuns:
    return SimulationRuns(
        request.spec,
        user.kind.value,
        simulation,
        seconds,
        sdk_version=user.sdk_version,
        isolated=user.isolates,
        interrupted=simulation.stopped is Stopped.INTERRUPTED,
    )


_WHY_ISOLATED: Final = (
    "each invocation has a process of its own, as with --isolate: where an invocation of AWS's "
    "SDK {} dies, its threads can't be ended otherwise"
)


def _first(
    request: SimulationRequest,
    mode: CrashMode | None,
    loader: HandlerLoader,
    progress: Progress,
    printed: HandlerOutput,
    user_of: list[UserRunner],
) -> SimulationRuns:
    """Run it for the first time; put what runs it into `user_of` before."""
    may_crash = mode is CrashMode.EVERY_CHECKPOINT or request.scenario.faults.kill

    def heard(record: InvocationRecord) -> None:
        passed = duration_text((record.ended - STARTS_AT).total_seconds())
        progress.show(f"invocation {record.number:,}, {passed} of virtual time")

    with redirected(
        printed.path, verbose=printed.verbose, force=printed.force, before_write=progress.clear
    ) as stream:
        user = _loaded(request, may_crash, loader, printed)
        user_of.append(user)
        began = time.perf_counter()
        try:
            simulation = run_request(request, user, on_invocation=heard)
        except Interrupted as interrupted:
            simulation = interrupted.simulation
        seconds = time.perf_counter() - began
    progress.clear()
    if printed.verbose and user.traceback:
        error_lines(user.traceback)
    runs = _runs_of(request, user, simulation, seconds)
    return replace(runs, unwritten_output=unwritten(printed.path, stream))


def _loaded(
    request: SimulationRequest,
    may_crash: bool,
    loader: HandlerLoader,
    printed: HandlerOutput,
) -> UserRunner:
    try:
        return UserRunner(
            loader,
            request.spec,
            request.runtime,
            isolate=request.isolate,
            timeout=request.timeout,
            may_crash=may_crash,
            prepare=partial(redirect_here, printed.path, printed.verbose),
            seed=request.any_seed,
        )
    except HandlerError as error:
        if printed.verbose and error.traceback:
            error_lines(error.traceback)
        raise
