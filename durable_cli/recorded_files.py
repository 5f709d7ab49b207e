"""The files that `durable simulate` writes beside its report: history, requests, scenario.

What can't be written is refused before the handler runs, as far as that can be known by then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from durable_cli.output import message
from durable_cli.simulation_runs import SimulationRuns
from durable_cli.whole_file import refuse_existing, refuse_unwritable, write_whole
from durable_core.adapters.simulation_files import history_texts, requests_text
from durable_core.errors import UsageError
from durable_core.service.faults import Faults
from durable_core.simulation.scenario import Scenario, scenario_text
from durable_core.values import dataclass


@dataclass(frozen=True, slots=True)
class RecordedFiles:
    """Which files are asked for, by their options. Existing ones stay unless `force`."""

    record: str | None = None
    record_updates: str | None = None
    save_failing: str | None = None
    force: bool = False

    def check(self, others: dict[str, str | None]) -> None:
        """Raise UsageError or SourceError for what can't be written. `others` are the files that
        the call reads or writes beside these, by what they are to it."""
        known = [(option, path) for option, path in others.items() if path is not None]
        for option, path in self._asked():
            if path == "-" or (others.get("--output") is None and _is_stdout(path)):
                raise UsageError(f"{option} {path}: expected a file: stdout has the report")
            for other, there in known:
                if _is_same(path, there):
                    raise UsageError(f"{option} and {other} name the same file: {path}")
            refuse_unwritable(Path(path), force=self.force)
            known.append((option, path))

    def write(self, scenario: Scenario, runs: SimulationRuns) -> None:
        """Write them, and say what is written. Raises SourceError."""
        if self.record:
            self._write_histories(self.record, runs)
        if self.record_updates:
            requests = runs.simulation.updates
            write_whole(Path(self.record_updates), requests_text(requests), force=self.force)
            message(f"wrote {_count(len(requests), 'request')} to {self.record_updates}")
        if self.save_failing:
            self._write_failing(self.save_failing, scenario, runs)

    def _write_histories(self, record: str, runs: SimulationRuns) -> None:
        texts = history_texts(record, runs.simulation)
        if not self.force:
            for path in texts:
                refuse_existing(Path(path))
        for path, text in texts.items():
            write_whole(Path(path), text, force=self.force)
        message(f"wrote {_count(len(runs.simulation.events), 'event')} to {record}")
        if invoked := list(texts)[1:]:
            histories = "history" if len(invoked) == 1 else "histories"
            message(f"wrote the {histories} of what it invoked: {', '.join(invoked)}")

    def _write_failing(self, path: str, scenario: Scenario, runs: SimulationRuns) -> None:
        smallest = runs.crashes.smallest if runs.crashes else None
        if smallest is None:
            message(f"nothing failed: {path} isn't written")
            return
        faults = Faults((smallest.fault,))
        first = runs.simulation
        failing = replace(scenario, seed=first.seed, interleaving=first.interleaving, faults=faults)
        write_whole(Path(path), scenario_text(failing), force=self.force)
        message(f"wrote the smallest failure to {path}")

    def _asked(self) -> Iterator[tuple[str, str]]:
        for option, path in (
            ("--record", self.record),
            ("--record-updates", self.record_updates),
            ("--save-failing", self.save_failing),
        ):
            if path is not None:
                yield option, path


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _is_stdout(path: str) -> bool:
    try:
        is_it = os.path.samestat(os.stat(path), os.fstat(1))  # noqa: PTH116
        return is_it and not os.path.samefile(path, os.devnull)  # noqa: PTH121
    except OSError:  # no such file yet, or there is no stdout
        return False


def _is_same(one: str, other: str) -> bool:
    return other != "-" and Path(one).resolve() == Path(other).resolve()
