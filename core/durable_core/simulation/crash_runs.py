"""What has to hold when things go wrong: runs of a handler with a fault at every place.

A handler is run once clean, then once for each place where a fault can strike. However it is
interrupted, an execution has to end as the clean one did, a completed step's body must not run
again, and an at-most-once body never twice in one attempt. What doesn't hold is a value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Final

from durable_core.events import next_attempt_delay_of
from durable_core.excerpts import excerpts, first_difference, short_name
from durable_core.frozen import dataclass
from durable_core.ids import position_text
from durable_core.model import Event, OperationType
from durable_core.native.journal import Activity, Note
from durable_core.service.faults import Fault, FaultKind, Faults, every_crash
from durable_core.simulation.outcome import Simulation, Stopped
from durable_core.simulation.read_times import without_times


class CrashMode(StrEnum):
    """What goes wrong in the runs, in each one at one place."""

    EVERY_CHECKPOINT = "every-checkpoint"
    """The process dies before the checkpoint is sent, and in another run after it is persisted."""
    LOST_RESPONSE = "lost-response"
    """The checkpoint is persisted and its answer lost; it is sent again."""
    THROTTLE = "throttle"
    """The checkpoint is refused with TooManyRequests, twice; it is sent again later."""


THROTTLED_TIMES: Final = 2
SHOWN: Final = 60
"""How much a sentence shows of a value that isn't the same in every run."""


@dataclass(frozen=True, slots=True)
class CrashRun:
    """A run in which something doesn't hold. `problems` are sentences, the gravest first."""

    fault: Fault
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CrashReport:
    """What came of the runs. `failures` are in the order of the places in the clean run; `unmade`
    runs were left out because the user ended the check."""

    mode: CrashMode
    runs: int
    failures: tuple[CrashRun, ...] = ()
    unmade: int = 0

    @property
    def smallest(self) -> CrashRun | None:
        """The failure with the earliest place: the one to look at first."""
        return self.failures[0] if self.failures else None


def plans(mode: CrashMode, checkpoints: Sequence[int]) -> Iterator[Faults]:
    """Yield the faults of each run; `checkpoints` are those of each invocation of the clean run."""
    if mode is CrashMode.EVERY_CHECKPOINT:
        yield from every_crash(checkpoints)
        return
    throttles = mode is CrashMode.THROTTLE
    kind, times = FaultKind.LOST_RESPONSE, 1
    if throttles:
        kind, times = FaultKind.THROTTLE, THROTTLED_TIMES
    for invocation, count in enumerate(checkpoints, start=1):
        for checkpoint in range(1, count + 1):
            yield Faults((Fault(kind, invocation, checkpoint, times),))


def crash_runs(
    clean: Simulation,
    mode: CrashMode,
    run: Callable[[Faults], Simulation],
    on_run: Callable[[int, int], None] = lambda done, total: None,
) -> CrashReport:
    """Run the handler with each fault that the mode asks for, and judge what comes of it.

    `run` runs it once more with the faults given, from a cold start. `on_run` hears how many runs
    are done, of how many. A KeyboardInterrupt ends the check, with what there is of it.
    """
    planned = list(plans(mode, clean.checkpoints))
    failures: list[CrashRun] = []
    for done, faults in enumerate(planned, start=1):
        try:
            crashed = run(faults)
        except KeyboardInterrupt:
            unmade = len(planned) - done + 1
            return CrashReport(mode, done - 1, tuple(failures), unmade)
        if problems := judge(clean, crashed):
            failures.append(CrashRun(faults.faults[0], problems))
        on_run(done, len(planned))
    return CrashReport(mode, len(planned), tuple(failures))


# -- judging -----------------------------------------------------------------------------------


def judge(clean: Simulation, crashed: Simulation) -> tuple[str, ...]:
    """Return what doesn't hold of a run, as sentences."""
    return (*_other_ends(clean, crashed), *_repeated(crashed))


def _other_ends(clean: Simulation, crashed: Simulation) -> Iterator[str]:
    if crashed.stopped is not Stopped.OVER:
        waits = ", ".join(each.label for each in crashed.waiting_for)
        yield (
            f"it doesn't end: it waits for {waits}"
            if waits
            else f"it doesn't end within {len(crashed.invocations):,} invocations"
        )
    elif crashed.status is not clean.status:
        error = crashed.error
        why = f" with {error}" if error is not None else ""
        yield f"it ends {crashed.status.value}{why} instead of {clean.status.value}"
    elif (result := _compared(crashed)) != (before := _compared(clean)):
        ours, was = excerpts(_told(result), _told(before), SHOWN)
        yield f"its result is {ours} instead of {was}{_where(before, result)}"
    elif _type_of(crashed) != _type_of(clean):
        yield f"it fails with {_type_of(crashed)} instead of {_type_of(clean)}"


def _type_of(simulation: Simulation) -> str | None:
    return None if simulation.error is None else simulation.error.type


def _where(one: str | None, other: str | None) -> str:
    if one is None or other is None or max(len(one), len(other)) <= SHOWN:
        return ""
    return f", first at character {first_difference(one, other) + 1:,}"


def _compared(run: Simulation) -> str | None:
    """Return the result but for the times in it: a crash takes time."""
    return without_times(run.result, run.ended)


def _told(result: str | None) -> str:
    return "nothing" if result is None else result


def _repeated(crashed: Simulation) -> Iterator[str]:
    """Yield every body that ran although it must not have."""
    done = _completed_after(crashed.events)
    attempts: Counter[tuple[str, int]] = Counter()
    for index, record in enumerate(crashed.invocations):
        here: Counter[tuple[str, int]] = Counter()
        for note in record.did(Activity.RAN):
            if note.attempt is None or note.type != OperationType.STEP:
                continue  # a context: its body runs in every invocation until it is complete
            key = (note.id, note.attempt)
            here[key] += 1
            attempts[key] += note.once
            if done.get(note.id, index + 1) <= index or here[key] > 1:
                yield f"{_label(note)} ran again in invocation {record.number} although complete"
            elif note.once and attempts[key] > 1:
                yield (
                    f"{_label(note)} is at most once, and attempt {note.attempt} ran again in "
                    f"invocation {record.number}"
                )


def _completed_after(events: Sequence[Event]) -> dict[str, int]:
    """Return after how many invocations each step was complete: 1 for one that the first did."""
    done: dict[str, int] = {}
    invocations = 0
    for event in events:
        if event.event_type == "InvocationCompleted":
            invocations += 1
        elif (
            event.event_type in ("StepSucceeded", "StepFailed")
            and event.id is not None
            and next_attempt_delay_of(event) is None
        ):
            done[event.id] = invocations + 1
    return done


def _label(note: Note) -> str:
    name = f" {short_name(note.name)!r}" if note.name else ""
    return f"the body of step{name} ({position_text(note.path)})"


def fault_text(fault: Fault) -> str:
    """Return a fault in words: `a crash after checkpoint 2 of invocation 1`."""
    what = {
        FaultKind.CRASH_BEFORE: "a crash before",
        FaultKind.CRASH_AFTER: "a crash after",
        FaultKind.LOST_RESPONSE: "the answer lost of",
        FaultKind.THROTTLE: "throttling of",
    }[fault.kind]
    return f"{what} checkpoint {fault.checkpoint} of invocation {fault.invocation}"
