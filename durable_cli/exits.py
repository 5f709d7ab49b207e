"""The one place that maps an outcome to an exit code."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import TYPE_CHECKING

from durable_core.errors import AwsError, DurableError, NotEnforced, SourceDefect

if TYPE_CHECKING:
    from durable_core.simulation.crash_runs import CrashReport
    from durable_core.simulation.determinism import DeterminismReport
    from durable_core.simulation.races import RaceReport
    from durable_core.simulation.report import SimulationReport


class Exit(IntEnum):
    """What the exit code of `durable` says."""

    FINE = 0
    FINDING = 1
    """Diverged, a simulated execution failed, something would be rejected."""
    BAD_INPUT = 2
    """Wrong usage, or an input that can't be read."""
    CANNOT_VERIFY = 3
    AWS = 4
    """AWS refused or was not reachable."""
    INTERNAL = 70
    """A defect of `durable` itself (EX_SOFTWARE of sysexits)."""
    INTERRUPTED = 130


_WORST_FIRST = (
    Exit.INTERRUPTED,
    Exit.INTERNAL,
    Exit.AWS,
    Exit.BAD_INPUT,
    Exit.FINDING,
    Exit.CANNOT_VERIFY,
    Exit.FINE,
)


def worst(codes: Iterable[Exit]) -> Exit:
    """Return the code of a call with several outcomes; FINE for none."""
    return min(codes, key=_WORST_FIRST.index, default=Exit.FINE)


def code_of(error: DurableError) -> Exit:
    """Return the exit code for a failure that ended a command."""
    if isinstance(error, AwsError):
        return Exit.AWS
    if isinstance(error, NotEnforced):
        return Exit.CANNOT_VERIFY
    if isinstance(error, SourceDefect):
        return Exit.INTERNAL
    return Exit.FINDING if error.is_finding else Exit.BAD_INPUT


def code_of_simulation(
    report: SimulationReport,
    crashes: CrashReport | None = None,
    determinism: DeterminismReport | None = None,
    races: RaceReport | None = None,
) -> Exit:
    """Return the exit code of a simulation and of what was checked with it.

    Waiting for an answer or a resume that the scenario doesn't give, and a check that can't tell,
    is CANNOT_VERIFY; every other end than SUCCEEDED is a finding.
    """
    from durable_core.model import ExecutionStatus
    from durable_core.simulation.outcome import Stopped

    simulation = report.simulation
    codes = [Exit.FINE]
    if simulation.stopped in (Stopped.WAITING, Stopped.PAUSED):
        codes.append(Exit.CANNOT_VERIFY)
    elif simulation.status is not ExecutionStatus.SUCCEEDED or report.rejected:
        codes.append(Exit.FINDING)
    if crashes is not None and crashes.failures:
        codes.append(Exit.FINDING)
    if determinism is not None and determinism.differences:
        codes.append(Exit.FINDING)
    elif determinism is not None and determinism.unclear:
        codes.append(Exit.CANNOT_VERIFY)
    if races is not None and races.races:
        codes.append(Exit.FINDING)
    elif races is not None and (races.unclear or races.unscheduled):
        codes.append(Exit.CANNOT_VERIFY)
    return worst(codes)
