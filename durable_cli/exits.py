"""The one place that maps an outcome to an exit code."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from durable_core.errors import AwsError, DurableError


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
    return Exit.AWS if isinstance(error, AwsError) else Exit.BAD_INPUT
