"""How well `durable replay --handler` sees changed code: a corpus of mutants, made by program.

    python tests/benchmarks/mutate.py [fixtures|conformance|all|FOLDER] [--allowed] [--list]

Each handler is changed in every way of `mutations` at each of its operations and verified against
its own recorded history. A mutant is *visible* when what it asks for, context by context, is
another sequence of types, sub-types and names than the original asks for, when its units are others
as far as the history recorded them, or when a context raises that is recorded to have succeeded;
the invisible ones are counted apart. Where a visible
one should be found follows from the recorded positions of the operations on the changed line, not
from the verifier's own report. What only several runs show is run twice, each in a process with
other time and chance, as `--runs 2` does.
"""

from __future__ import annotations

import argparse
import ast
import logging
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from allowed_edits import ALLOWED
from mutations import CHANCE, Mutant, mutants
from subjects import Subject, subjects

from durable_core.ids import position_text
from durable_core.verifying.options import VerifyOptions
from durable_core.verifying.replay import verify_history
from durable_core.verifying.session import ReplaySession
from durable_core.verifying.traces import BodyEnd
from durable_core.verifying.verification import Cause, Verdict, Verification

Seen = dict[Any, Any]

CAUSES: dict[str, set[Cause]] = {
    "rename": {Cause.RENAMED},
    "delete": {Cause.REMOVED, Cause.ENDED_EARLY, Cause.RAISED},  # what needs its value raises
    "insert": {Cause.INSERTED},
    "insert, hidden by except": {Cause.INSERTED},
    "change type": {Cause.TYPE_CHANGED, Cause.REPLACED},
    "wrap in a child context": {Cause.MOVED_IN},
    "swap with the next": {Cause.REORDERED},
    "NESTED <-> FLAT": {Cause.NESTING},
    "drop the last unit": {Cause.UNIT_COUNT},
    "drop the first unit": {Cause.UNIT_COUNT},
    "add a unit": {Cause.UNIT_COUNT},
    "reverse the units": {Cause.REORDERED},
    "swap two units": {Cause.REORDERED},
    "early return": {Cause.ENDED_EARLY, Cause.REMOVED},
    "raise": {Cause.RAISED},
    "branch on random": {Cause.NON_DETERMINISTIC},
    "branch on time": {Cause.NON_DETERMINISTIC},
}
"""What a person who made the change would call it."""


def verified(
    subject: Subject, tree: ast.Module, begin: Callable[[], None] = lambda: None
) -> tuple[Verification, ReplaySession]:
    """Return the outcome for a changed source, and what its code asked for in the run that entered
    the most. `begin` is called before each run."""
    seen: list[ReplaySession] = []

    def watch(session: ReplaySession) -> Any:
        begin()
        seen.append(session)
        return nullcontext()

    replayer = subject.replayer(subject.load(tree))
    outcome = verify_history(replayer, subject.history, VerifyOptions(), watch)
    return outcome, max(reversed(seen), key=lambda each: len(each.entered))


def seen_of(session: ReplaySession) -> Seen:
    """Return all that a history could tell of what was asked for and of how contexts ended that it
    says succeeded, and of nothing else."""
    seen: Seen = {
        trace.path: (
            trace.has_succeeded and trace.outcome is BodyEnd.RAISED,
            [
                "virtual, without a name" if each.identity.virtual else str(each.identity)
                for each in trace.asked
            ],
        )
        for trace in session.traces
    }
    for batch in session.batches:
        count, known = len(batch.names), max(batch.units, default=-1) + 1
        names = [
            name or ""
            for index, name in enumerate(batch.names)
            if index in batch.units and batch.units[index].name is not None
        ]
        tells = any(unit.is_flat is not None for unit in batch.units.values())
        if batch.total is None:
            count = min(count, known)
        seen["units", batch.path] = (count, names, batch.is_flat if tells else None)
    return seen


def asked_positions(session: ReplaySession, file: str) -> dict[int, set[str]]:
    """Return, for each line of the original, the position of the first operation asked for there.

    Of a line with several calls there is one for each operation and depth. Where the operation is
    taken away and the same comes next, the first place at which the sequence is another is meant
    too.
    """
    found: dict[tuple[int, int, str], tuple[int, set[str]]] = {}
    for trace in session.traces:
        sequence = [str(each.identity) for each in trace.asked]
        for index, asked in enumerate(trace.asked):
            recorded = index < len(trace.sequence) and trace.sequence[index] is not None
            if asked.where is None or asked.where.file != file or not recorded:
                continue
            key = asked.where.line, len(trace.path), str(asked.identity)
            if key not in found or asked.moment < found[key][0]:
                run = index
                while run + 1 < len(sequence) and sequence[run + 1] == sequence[index]:
                    run += 1
                places = {position_text((*trace.path, at + 1)) for at in (index, run)}
                found[key] = asked.moment, places
    lines = {line for line, *_ in found}
    return {
        line: set().union(*(places for (at, *_), (_, places) in found.items() if at == line))
        for line in lines
    }


@dataclass(frozen=True)
class Result:
    """A mutant, where it should be found, and what was found."""

    subject: Subject
    mutant: Mutant
    positions: set[str]
    outcome: Verification
    is_visible: bool

    @property
    def is_found(self) -> bool:
        """True when it is diverged."""
        return self.outcome.verdict is Verdict.DIVERGED

    @property
    def is_at_its_place(self) -> bool:
        """True when the first divergence is where the change is: there, or in a unit of it."""
        first = self.outcome.first
        if first is None:
            return False
        of_units = "unit" in self.mutant.kind or "FLAT" in self.mutant.kind
        in_a_unit = of_units and any(first.position.startswith(f"{at}.") for at in self.positions)
        return first.position in self.positions or in_a_unit

    @property
    def is_by_its_name(self) -> bool:
        """True when the cause that is told is the one."""
        first = self.outcome.first
        return first is not None and first.cause in CAUSES[self.mutant.kind]

    def __str__(self) -> str:
        where = f"{self.subject.name}:{self.mutant.line}"
        return f"{where} {self.mutant.kind}: at {sorted(self.positions)}: {self.outcome}"


def results(of: str = "fixtures", handler: str | None = None) -> Iterator[Result]:
    """Verify every mutant whose operation is in the history."""
    for subject in subjects(of):
        if handler is not None and subject.name != handler:
            continue
        _, original = verified(subject, ast.parse(subject.source))
        positions = asked_positions(original, str(subject.file))
        before = seen_of(original)
        for mutant in mutants(subject.source, native=subject.is_native):
            where = positions.get(mutant.line)
            if where is None:
                continue  # the recorded run never came there
            try:
                outcome, session = verified(subject, mutant.tree)
            except Exception as error:
                print(f"{subject.name}:{mutant.line} {mutant.kind}: {error!r}", file=sys.stderr)
                continue
            yield Result(subject, mutant, where, outcome, seen_of(session) != before)


def allowed_results(of: str, handler: str | None) -> Iterator[tuple[str, str, Verification]]:
    """Yield kind, place and outcome of each edit that must raise no alarm, in every mode."""
    modes = [
        VerifyOptions(deep=deep, every_invocation=every, strict=True)
        for deep in (True, False)
        for every in (True, False)
    ]
    for subject in subjects(of):
        if handler is not None and subject.name != handler:
            continue
        changed = mutants(subject.source, native=subject.is_native, mutations=ALLOWED)
        unchanged = Mutant("nothing", 0, ast.parse(subject.source))
        for mutant in (unchanged, *changed):
            for mode in modes:
                replayer = subject.replayer(subject.load(mutant.tree))
                outcome = verify_history(replayer, subject.history, mode)
                yield mutant.kind, f"{subject.name}:{mutant.line}", outcome


def print_allowed(of: str, handler: str | None, is_listing: bool) -> int:
    """Print how many of the allowed edits are compatible, without a difference."""
    made: Counter[str] = Counter()
    green: Counter[str] = Counter()
    for kind, place, outcome in allowed_results(of, handler):
        made[kind] += 1
        green[kind] += bool(outcome)
        if is_listing and not outcome:
            print(f"{place} {kind}: {outcome} {outcome.differences}")
    print(f"{'edit':28}{'verified':>11}{'compatible':>12}")
    for kind in ("nothing", *ALLOWED):
        print(f"{kind:28}{made[kind]:>11}{green[kind]:>12}")
    return 0 if made == green else 1


# -- what only several runs show -------------------------------------------------------------------


def _run_with(number: int, of: str, handler: str | None, pipe: Any) -> None:
    from durable_core.sandbox.controlled_sources import readings_of_verification

    logging.disable()
    readings = readings_of_verification(number)
    readings.install()
    for subject in subjects(of):
        if handler is not None and subject.name != handler:
            continue
        _, original = verified(subject, ast.parse(subject.source))
        positions = asked_positions(original, str(subject.file))
        for mutant in mutants(subject.source, native=subject.is_native, mutations=CHANCE):
            if mutant.line in positions:
                outcome, _ = verified(subject, mutant.tree, readings.begin_again)
                key = (mutant.kind, subject.name, mutant.line, sorted(positions[mutant.line]))
                pipe.send((key, outcome, readings.forget_reads()))
    pipe.send(None)


def chance_results(
    of: str, handler: str | None
) -> Iterator[tuple[str, str, list[str], Verification]]:
    """Yield kind, name, positions and outcome of what depends on chance or time, of two runs."""
    from durable_core.processes.merge_runs import merge_runs

    context = multiprocessing.get_context("spawn")
    pipes = []
    for number in range(2):
        os.environ["PYTHONHASHSEED"] = str(number * 7919)
        mine, theirs = context.Pipe()
        context.Process(target=_run_with, args=(number, of, handler, theirs), daemon=True).start()
        pipes.append(mine)
    while (first := pipes[0].recv()) is not None:
        second = pipes[1].recv()
        key, one, reads = first
        outcome = merge_runs({0: one, 1: second[1]}, reads)
        assert isinstance(outcome, Verification)
        kind, name, line, positions = key
        yield kind, f"{name}:{line}", positions, outcome


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("subjects", nargs="?", default="fixtures")
    parser.add_argument("--list", action="store_true", help="list what was not found")
    parser.add_argument("--handler", help="only this one")
    parser.add_argument("--allowed", action="store_true", help="edits that are no change instead")
    arguments = parser.parse_args()
    logging.disable()
    if arguments.allowed:
        return print_allowed(arguments.subjects, arguments.handler, arguments.list)
    made: Counter[str] = Counter()
    invisible: Counter[str] = Counter()
    warned: Counter[str] = Counter()
    found: Counter[str] = Counter()
    placed: Counter[str] = Counter()
    named: Counter[str] = Counter()
    for result in results(arguments.subjects, arguments.handler):
        kind = result.mutant.kind
        made[kind] += 1
        if not result.is_visible:
            invisible[kind] += 1
            warned[kind] += bool(result.outcome.notes)
            if arguments.list:
                print(f"invisible {result} {result.outcome.notes}")
            continue
        found[kind] += result.is_found
        placed[kind] += result.is_at_its_place
        named[kind] += result.is_by_its_name
        if arguments.list and not (result.is_at_its_place and result.is_by_its_name):
            print(result)
    for kind, name, positions, outcome in chance_results(arguments.subjects, arguments.handler):
        made[kind] += 1
        found[kind] += outcome.verdict is Verdict.DIVERGED
        first = outcome.first
        at_place = first is not None and first.position in positions
        placed[kind] += at_place
        named[kind] += first is not None and first.cause in CAUSES[kind]
        if arguments.list and not at_place:
            print(f"{name} {kind}: at {positions}: {outcome}")
    columns = {
        "made": made,
        "invisible": invisible,
        "warned": warned,
        "diverged": found,
        "in place": placed,
        "cause": named,
    }
    print(f"{'mutation':28}" + "".join(f"{each:>11}" for each in columns))
    for kind in CAUSES:
        print(f"{kind:28}" + "".join(f"{each[kind]:>11}" for each in columns.values()))
    print(f"{'all':28}" + "".join(f"{each.total():>11}" for each in columns.values()))
    return 0 if found.total() + invisible.total() == made.total() else 1


if __name__ == "__main__":
    sys.exit(main())
