"""What of a redacted history isn't what was recorded, and which of it a handler was handed. Pure.

A handler that is verified against a redacted history gets stand-ins for values. Until it has been
handed one, it does what it would do with the real values; from then on it may go another way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from durable_core.errors import UsageError
from durable_core.history import RecordedHistory
from durable_core.model import Operation, OperationType
from durable_core.redaction.fakes import SHORT
from durable_core.redaction.identifiers import is_stand_in_of, replace_identifiers
from durable_core.redaction.keep_paths import INPUT, NAMES, RESULT, KeepPath, parse_keep_path
from durable_core.redaction.redact import look_over
from durable_core.state_errors import is_services_own
from durable_core.verifying.divergence import Found
from durable_core.verifying.verification import Divergence, Inconclusive

_NAMED: Final = 3
"""How many stand-ins are named before the others are counted."""


def stand_ins_of(history: RecordedHistory) -> StandIns:
    """Return the stand-ins of a redacted history.

    What it says was kept counts as real; what is no path there keeps nothing.
    """
    return StandIns(list(_paths(history.kept)))


def _paths(texts: Iterable[str]) -> Iterator[KeepPath]:
    for text in texts:
        with suppress(UsageError):
            yield parse_keep_path(text)


class StandIns:
    """The stand-ins of one redacted history, and the moments at which code was handed one."""

    remedy: Final = (
        "verify the history that isn't redacted, or fetch it with --redact and --keep what the "
        "code needs (--keep @input keeps the input)"
    )
    """What to do where a stand-in is in the way."""

    def __init__(self, kept: Sequence[KeepPath]) -> None:
        self._kept = kept
        self._handed: dict[str, int] = {}
        self._uncompared = 0

    def hand_input(self, payload: str | None) -> None:
        """Note that the handler is called with the input."""
        if self._is_in(payload, (INPUT,)):
            self._handed["the input"] = 0

    def hand(self, moment: int, label: str, operation: Operation) -> None:
        """Note that the outcome of an operation is handed to the code."""
        if label not in self._handed and self._is_in_outcome(operation):
            self._handed[label] = moment

    def compares(self, operation: Operation) -> bool:
        """Tell whether the recorded result of a context can be compared with what code returns."""
        return self._can_compare(operation.result, (operation.name, operation.id))

    def compares_result(self, payload: str | None) -> bool:
        """Tell whether the recorded result of the execution can be compared."""
        return self._can_compare(payload, (RESULT,))

    def differ(self, before: object, now: object) -> bool:
        """Tell whether a detail differs in more than identifiers, which are replaced."""
        if not (isinstance(before, str) and isinstance(now, str)):
            return before != now
        recorded, current = before.split(":"), now.split(":")  # the parts of an ARN
        return len(recorded) != len(current) or not all(map(is_stand_in_of, recorded, current))

    def doubt(self, found: Found) -> Inconclusive | None:
        """Return why a divergence may come from stand-ins only; None where it can't."""
        seen = found.divergence
        if _are_alike(seen):
            return Inconclusive(
                f"the names differ there in identifiers only ({seen.why}), and those of a redacted "
                "history are stand-ins",
                f"verify the history that isn't redacted, or fetch it with --redact --keep {NAMES}",
                seen.position,
            )
        handed = [label for label, moment in self._handed.items() if moment < found.moment]
        if not handed:
            return None
        return Inconclusive(
            f"the code leaves the record there ({seen.why}), but the history is redacted and the "
            f"code had been handed stand-ins by then ({_named(handed)}): with the real values it "
            "may go another way",
            self.remedy,
            seen.position,
        )

    def strict_doubt(self) -> Inconclusive | None:
        """Return why results can't be held to being the same; None where they can."""
        if not (self._handed or self._uncompared):
            return None
        return Inconclusive(
            "--strict asks for the same results, and those of a redacted history aren't real",
            "verify the history that isn't redacted, or its structure only, without --strict",
        )

    def note(self) -> str:
        """Return what stays open when the structure is the same."""
        results = f"{self._uncompared:,} result" + ("" if self._uncompared == 1 else "s")
        compared = f"; {results} could not be compared" if self._uncompared else ""
        if not self._handed:
            return f"redacted: no stand-in was handed to the code{compared}"
        return (
            f"redacted: the code was handed stand-ins ({_named(list(self._handed))}), so only the "
            "operations that it asks for with these are verified, not the paths that it takes by "
            f"the real values{compared}"
        )

    def _can_compare(self, payload: str | None, names: Sequence[str | None]) -> bool:
        if self._handed or self._is_in(payload, names):
            self._uncompared += 1
            return False
        return True

    def _is_in_outcome(self, operation: Operation) -> bool:
        names = (operation.name, operation.id)
        if operation.error is not None:
            is_kept = any(each.keeps_operation(names) for each in self._kept)
            is_told = bool(operation.error.message or operation.error.data)
            return is_told and not is_kept and not is_services_own(operation.error)
        is_context = operation.type is OperationType.CONTEXT
        return self._is_in(operation.result, names, operation.sub_type if is_context else None)

    def _is_in(
        self, payload: str | None, names: Sequence[str | None], sub_type: str | None = None
    ) -> bool:
        if not payload:
            return False
        finder = _Finder()
        look_over(payload, finder, names, self._kept, sub_type)
        return finder.found


def _are_alike(seen: Divergence) -> bool:
    """Tell whether the code asks for what is recorded, but for identifiers in the name."""
    before, now = seen.expected, seen.current
    if before is None or now is None or not before.name or not now.name:
        return False
    is_same_kind = (before.type, before.sub_type) == (now.type, now.sub_type)
    is_same_name = before.name == now.name
    return is_same_kind and not is_same_name and is_stand_in_of(before.name, now.name)


class _Finder:
    """Replaces nothing and notes whether a redaction would."""

    def __init__(self) -> None:
        self.found = False

    def text(self, original: str) -> str:
        """Note a text."""
        self.found = self.found or bool(original)
        return original

    def number(self, spelled: str) -> str:
        """Note a number."""
        self.found = True
        return spelled

    def name(self, original: str) -> str:
        """Note a field's name, which may be a stand-in as well."""
        self.found = self.found or len(original) >= SHORT
        return original

    def label(self, original: str) -> str:
        """Note an identifier in a name."""
        return replace_identifiers(original, self.text)


def _named(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - _NAMED:,} more" if len(labels) > _NAMED else ""
    return ", ".join(labels[:_NAMED]) + more
