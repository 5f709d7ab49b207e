"""What is said of what a handler's modules attempt while they are imported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from durable_core.runtimes.handler_errors import HandlerError, ImportFailed
from durable_core.verifying.verification import Doubt

NOT_IMPORTED: Final = "the handler could not be imported"
ALLOW_IMPORT: Final = "--allow-import lets the handler's modules do it while they are imported"


def refused_import(error: HandlerError, refused: Sequence[str]) -> Doubt | None:
    """Return why nothing can be verified where an import failed that was refused something; None
    where it failed for another reason."""
    if not refused or not isinstance(error, ImportFailed):
        return None
    what = f"refused while verifying: {'; '.join(refused)}"
    if not isinstance(error.__cause__, PermissionError):
        what += f"; {error.problem}"
    return Doubt(what, ALLOW_IMPORT)


def refused_by_system(error: ImportFailed, refused: Iterable[str]) -> Doubt:
    """Return why nothing can be verified where an import failed that the operating system refused
    something, past the guard."""
    return Doubt(f"{'; '.join(refused)}; {error.problem}", ALLOW_IMPORT)


def import_note(attempt: str, *, is_refused: bool) -> str:
    """Return what is told of an attempt after which the import went on."""
    if is_refused:
        return f"importing the handler was refused {attempt}; {ALLOW_IMPORT}"
    return f"importing the handler reaches outside: {attempt}"
