"""The files that `durable simulate` writes beside its report: history, requests, scenario.

What can't be written is refused before the handler runs, as far as that can be known by then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from durable_cli.held_text import HeldText
from durable_cli.output import message
from durable_cli.simulation_runs import SimulationRuns
from durable_cli.whole_file import Spared, refuse_existing, write_whole
from durable_core.adapters.simulation_files import history_texts, requests_text
from durable_core.defects import defects_at
from durable_core.errors import DurableError, UsageError
from durable_core.frozen import dataclass
from durable_core.service.faults import Faults
from durable_core.simulation.scenario import Scenario, scenario_text


@dataclass(frozen=True, slots=True)
class RecordedFiles:
    """Which files are asked for, by their options. Existing ones stay unless `force`."""

    record: str | None = None
    record_updates: str | None = None
    save_failing: str | None = None
    force: bool = False

    def check(self, spared: Spared, others: Mapping[str, str | None]) -> None:
        """Raise UsageError or SourceError for what can't be written. `others` are the files that
        the call writes beside these, by their options."""
        for option, path in self._asked():
            if path == "-" or (others.get("--output") is None and _is_stdout(path)):
                raise UsageError(f"{option} {path}: expected a file: stdout has the report")
        spared.check({**others, **dict(self._asked())}, force=self.force)

    def write(self, scenario: Scenario, runs: SimulationRuns, spared: Spared) -> list[DurableError]:
        """Write them, and say what is written; one that can't be written stops no other. Return
        what kept them from being written."""
        problems: list[DurableError] = []
        for path, write in (
            (self.record, partial(self._write_histories, spared)),
            (self.record_updates, self._write_requests),
            (self.save_failing, partial(self._write_failing, scenario)),
        ):
            try:
                if path:
                    with defects_at(path):
                        write(path, runs)
            except DurableError as error:
                problems.append(error)
        return problems

    def _write_histories(self, spared: Spared, record: str, runs: SimulationRuns) -> None:
        recorded = history_texts(record, runs.simulation)
        texts = {path: HeldText(pieces) for path, pieces in recorded.items()}
        for path in texts:
            spared.refuse(path, "--record")
            if not self.force:
                refuse_existing(Path(path))
        for path, text in texts.items():
            write_whole(Path(path), text, force=self.force)
        message(f"wrote {_count(len(runs.simulation.events), 'event')} to {record}")
        if invoked := list(texts)[1:]:
            histories = "history" if len(invoked) == 1 else "histories"
            message(f"wrote the {histories} of what it invoked: {', '.join(invoked)}")

    def _write_requests(self, path: str, runs: SimulationRuns) -> None:
        requests = runs.simulation.updates
        write_whole(Path(path), HeldText(requests_text(requests)), force=self.force)
        message(f"wrote {_count(len(requests), 'request')} to {path}")

    def _write_failing(self, scenario: Scenario, path: str, runs: SimulationRuns) -> None:
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
