"""What is said of what the guard refused a handler, in its runs and while it is imported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from durable_core.runtimes.handler_errors import HandlerError, ImportFailed
from durable_core.verifying.verification import Inconclusive, Verdict, Verification

NOT_IMPORTED: Final = "the handler could not be imported"
ALLOW_IMPORT: Final = "--allow-import lets the handler's modules do it while they are imported"


def refused_import(error: HandlerError, refused: Sequence[str]) -> Inconclusive | None:
    """Return why nothing can be verified where an import failed that was refused something; None
    where it failed for another reason."""
    if not refused or not isinstance(error, ImportFailed):
        return None
    what = f"refused while verifying: {'; '.join(refused)}"
    if not isinstance(error.__cause__, PermissionError):
        what += f"; {error.problem}"
    return Inconclusive(what, ALLOW_IMPORT)


def refused_by_system(error: ImportFailed, refused: Iterable[str]) -> Inconclusive:
    """Return why nothing can be verified where an import failed that the operating system refused
    something, past the guard."""
    return Inconclusive(f"{'; '.join(refused)}; {error.problem}", ALLOW_IMPORT)


def import_note(attempt: str, *, is_refused: bool) -> str:
    """Return what is told of an attempt after which the import went on."""
    if is_refused:
        return f"importing the handler was refused {attempt}; {ALLOW_IMPORT}"
    return f"importing the handler reaches outside: {attempt}"


_MOVE: Final = "move it into a step: a replay does it again"


def with_attempts(outcome: Verification, attempts: Sequence[str]) -> Verification:
    """Return the outcome of a history in which attempts stand that were told at once: the process
    that calls it compatible may have been made to."""
    return with_refusals_told(outcome, attempts) if outcome and attempts else outcome


def with_refusals_told(outcome: Verification, attempts: Sequence[str]) -> Verification:
    """Return the outcome, which can't be known after these attempts."""
    doubts = (*outcome.doubts, *map(refusal_of, attempts))
    return replace(outcome, verdict=Verdict.CANNOT_VERIFY, doubts=doubts)


def refusal_of(attempt: str) -> Inconclusive:
    """Return what an attempt outside of steps makes of a history."""
    return Inconclusive(f"the handler reaches outside of a step: {attempt}", _MOVE, is_refusal=True)
