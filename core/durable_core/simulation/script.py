"""A place in a scenario: which answers are still to come, and which were never asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from durable_core.excerpts import short_name
from durable_core.simulation.scenario import (
    CallbackOutcome,
    CallbackScript,
    InvokeScript,
    Scenario,
    function_name_of,
)


class Script:
    """A place in a scenario: which answers are still to come."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._own = [n for n, each in enumerate(scenario.callbacks) if each.name != "*"]
        self._any = [n for n, each in enumerate(scenario.callbacks) if each.name == "*"]
        self._used_callbacks: set[int] = set()
        self._invokes: dict[str, list[int]] = {}
        for n, each in enumerate(scenario.invokes):
            self._invokes.setdefault(function_name_of(each.function), []).append(n)
        self._used_invokes: set[int] = set()

    @property
    def unused(self) -> tuple[str, ...]:
        """The entries that nothing has asked for yet: `[[callback]] 2 "approval"`."""
        callbacks = (each.name for each in self._scenario.callbacks)
        invokes = (each.function for each in self._scenario.invokes)
        return (
            *_unused("callback", callbacks, self._used_callbacks),
            *_unused("invoke", invokes, self._used_invokes),
        )

    def take_callback(self, names: Sequence[str | None]) -> tuple[CallbackScript, ...]:
        """Return the answers to a callback that goes by any of the names.

        They end with the first that is not a heartbeat; entries of the callback's own are taken out
        and go before those of any (`*`), of which the last ones stay. Empty: nobody answers.
        """
        scripts = self._scenario.callbacks
        taken = self._until_the_end([n for n in self._own if scripts[n].name in names])
        self._own = [n for n in self._own if n not in taken]
        if not self._ends(taken):
            taken += (of_any := self._until_the_end(self._any))
            if len(of_any) < len(self._any):
                self._any = self._any[len(of_any) :]
        self._used_callbacks.update(taken)
        return tuple(scripts[n] for n in taken)

    def _until_the_end(self, entries: Sequence[int]) -> list[int]:
        """Return the first entries, up to the first that is not a heartbeat."""
        for count in range(1, len(entries) + 1):
            if self._ends(entries[:count]):
                return list(entries[:count])
        return list(entries)

    def _ends(self, entries: Sequence[int]) -> bool:
        last = self._scenario.callbacks[entries[-1]].outcome if entries else None
        return last not in (None, CallbackOutcome.HEARTBEAT)

    def peek_invoke(self, function: str) -> InvokeScript | None:
        """Return how the next chained invoke of a function ends, and leave it there."""
        entries = self._entries_of(function)
        return self._scenario.invokes[entries[0]] if entries else None

    def take_invoke(self, function: str) -> InvokeScript | None:
        """Return how this chained invoke of a function ends, or None when nothing says so."""
        entries = self._entries_of(function)
        if not entries:
            return None
        entry = entries.pop(0) if len(entries) > 1 else entries[0]
        self._used_invokes.add(entry)
        return self._scenario.invokes[entry]

    def _entries_of(self, function: str) -> list[int]:
        return self._invokes.get(function_name_of(function)) or self._invokes.get("*") or []


def _unused(table: str, names: Iterable[str], used: Collection[int]) -> Iterator[str]:
    for n, name in enumerate(names):
        if n not in used:
            yield f'[[{table}]] {n + 1} "{short_name(name)}"'
