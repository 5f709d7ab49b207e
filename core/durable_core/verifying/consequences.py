"""What a runtime does in production where code has diverged, in words. Pure.

Sources: the native runtime here; `identifier.py` and `concurrency/executor.py` of AWS's Python SDK
3.0.0, `operation/*.py` of 1.7.0 and 2.1.0; reference 2026-11 section 7.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from durable_core.verifying.verification import Cause, Divergence


@dataclass(frozen=True, slots=True)
class Runtime:
    """The runtime of a handler. `compares`: it compares the identity of what it replays.

    `is_native`: a mismatch ends the execution there whatever the handler catches.
    """

    name: str
    is_native: bool
    compares: bool


def with_consequence(
    divergence: Divergence, runtime: Runtime, inside: str | None = None
) -> Divergence:
    """Return the divergence with what the runtime would do there.

    `inside` is the completed context around it that a replay answers from its checkpoint, if any.
    """
    does = _consequence(divergence, runtime)
    if inside is not None:
        does = (
            f"answers from the checkpoint of {inside}, which is complete, and doesn't run this "
            f"code; in an execution that is still inside of it, it {does}"
        )
    return replace(divergence, consequence=f"{runtime.name} {does}")


_UNSEEN = "doesn't notice: what is recorded is never reached, and the execution goes on without it"


def _consequence(divergence: Divergence, runtime: Runtime) -> str:
    expected, current = divergence.expected, divergence.current
    if divergence.escapes:
        return "gives no answer: the invocation fails, and the service invokes it again"
    if divergence.cause is Cause.RAISED:
        return "fails the execution with that error, unless the code around it handles it"
    if divergence.cause is Cause.WAITS and current is None:
        return "waits there too: what is recorded is never reached, and the execution doesn't end"
    if current is None:
        return _UNSEEN
    if expected is None:
        return "doesn't notice: it runs the new operation"
    if divergence.cause is Cause.UNIT_COUNT and not runtime.is_native:
        return (
            "doesn't compare the number of units: it silently returns another result, or runs the "
            "new units"
        )
    if runtime.is_native:
        return "ends the execution as FAILED with NonDeterministicExecutionError"
    if runtime.compares:
        return (
            "raises NonDeterministicExecutionError, an ordinary Exception: a handler that catches "
            "it goes on; otherwise the execution is FAILED"
        )
    if expected.type == current.type:
        return f"doesn't notice: it silently returns what is recorded for {expected} to {current}"
    return f"doesn't compare identities: it reads the record of {expected} as that of {current}"
