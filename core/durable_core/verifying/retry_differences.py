"""Where code would now decide otherwise about a further attempt than it is recorded to have.

No body runs for it: a retry strategy is asked about the errors that are recorded, the strategy of a
wait_for_condition about the states. Where chance has a part in it, a strategy is asked what it says
at both ends of chance: what is recorded must lie in between. Pure but for what the strategy does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from durable_core.fold import AttemptEnd, Recorded
from durable_core.model import ErrorObject, SubType
from durable_core.values import dataclass

Said = int | str | None
"""What a strategy decides: after how many seconds there is another attempt; None: there is none; a
text: how the operation fails instead."""

Decide = Callable[[object, int, float | None], Said]
"""Takes an error, or the payload of a state, the attempt's number, from 1, and what chance draws: a
number from 0 up to 1, or None, whatever it likes. What it raises makes the decision unknown."""


@dataclass(frozen=True, slots=True)
class RetryDifference:
    """A decision that isn't as recorded, in words."""

    what: str
    recorded: str
    current: str


_DRAWS: Final = 16
"""How often a strategy is asked that draws in a way of its own: then it doesn't pass for one that
doesn't draw."""

_ENDS_OF_CHANCE: Final = (0.0, 0.5, 1 - 2**-53)
_TWICE: Final = 3
"""How often it is asked at an end of chance, to see whether it draws in a way of its own."""

_MOST: Final = 4
"""How many classes of one name are tried; of more than these nobody knows which was raised."""


def was_asked(recorded: Recorded) -> bool:
    """Return True where what decides about further attempts was asked: not in a step that succeeded
    with its first."""
    ends = recorded.ends
    return len(ends) > 1 or (
        bool(ends)
        and (ends[0].error is not None or recorded.operation.sub_type == SubType.WAIT_FOR_CONDITION)
    )


def retry_differences(recorded: Recorded, decide: Decide) -> Iterator[RetryDifference]:
    """Yield the attempts of a step, or polls, after which the code would now do something else."""
    polls = recorded.operation.sub_type == SubType.WAIT_FOR_CONDITION
    what = "poll" if polls else "attempt"
    for attempt, end in enumerate(recorded.ends, 1):
        if polls != (end.error is None):
            continue  # a step that succeeded, or a poll that failed: no strategy was asked
        if polls and end.payload is None:
            continue  # AWS's local runner doesn't record the states of polls
        given = [end.payload] if polls else list(_errors(end))
        seen = [options_of(partial(decide, each, attempt)) for each in given]
        if not seen or seen[0] is None or any(each != seen[0] for each in seen[1:]):
            continue
        if not seen[0].allows(end.retry_seconds):
            yield RetryDifference(
                f"retry after {what} {attempt}", said(end.retry_seconds), str(seen[0])
            )


def said(decision: Said) -> str:
    """Return a decision in words."""
    if isinstance(decision, str):
        return decision
    return "no further one" if decision is None else f"another after {decision:,} s"


@dataclass(frozen=True, slots=True)
class Options:
    """All that a strategy may say. `is_whole`: seconds in between are possible, no others are."""

    decisions: frozenset[Said]
    is_whole: bool

    @property
    def _seconds(self) -> list[int]:
        return sorted(each for each in self.decisions if isinstance(each, int))

    def allows(self, seconds: int | None) -> bool:
        """Return True for what may have been decided so."""
        if seconds in self.decisions or (None in self.decisions and self._seconds):
            return True
        if seconds is None or not self._seconds:
            return False
        if self.is_whole:
            return self._seconds[0] <= seconds <= self._seconds[-1]
        return len(self.decisions) > 1

    def __str__(self) -> str:
        if len(self.decisions) == 1:
            return said(next(iter(self.decisions)))
        if not self.is_whole:
            return "another after some delay"
        return f"another after {self._seconds[0]:,} to {self._seconds[-1]:,} s"


def options_of(decide: Callable[[float | None], Said]) -> Options | None:
    """Return all that a strategy may say, whatever chance does; None: nobody knows."""
    try:
        ends = [frozenset(decide(chance) for _ in range(_TWICE)) for chance in _ENDS_OF_CHANCE]
        if all(len(each) == 1 for each in ends):
            return Options(frozenset().union(*ends), is_whole=True)
        return Options(frozenset(decide(None) for _ in range(_DRAWS)), is_whole=False)
    except Exception:
        return None


@dataclass(frozen=True, slots=True)
class Backoff:
    """A wait between two attempts of a block: which attempt failed, and what may be waited for."""

    attempt: int
    options: Options | None

    def difference(self, waited: int) -> RetryDifference | None:
        """Return how the recorded wait is none of those that the block would make now."""
        if self.options is None or self.options.allows(waited):
            return None
        what = f"retry after attempt {self.attempt}"
        return RetryDifference(what, said(waited), str(self.options))


# -- the error that was raised -------------------------------------------------------------------


def _errors(end: AttemptEnd) -> Iterator[Exception]:
    """Yield what may have been raised: an exception of each class with the recorded name."""
    if end.error is None or not end.error.type:
        return
    kinds = _classes(end.error.type)
    for kind in kinds if len(kinds) <= _MOST else ():
        if _is_of_an_sdk(kind) and kind.__name__ != "StepInterruptedError":
            return  # it ends a step whatever the strategy says
        yield _made(kind, end.error)


def _made(kind: type[Exception], error: ErrorObject) -> Exception:
    made = kind.__new__(kind, error.message or "")
    made.args = (error.message or "",)
    return made


def _is_of_an_sdk(kind: type[Exception]) -> bool:
    return kind.__module__.partition(".")[0] in ("durable_core", "aws_durable_execution_sdk_python")


def _classes(name: str) -> list[type[Exception]]:
    """Return the classes of a recorded type, `ValueError` or `app.errors.Refused`.

    The module may be another one here: then those of the same name are.
    """
    exact, alike = [], []
    stack: list[type[Exception]] = [Exception]
    seen: set[type[Exception]] = set()
    while stack:
        kind = stack.pop()
        if kind in seen:
            continue
        seen.add(kind)
        stack += type.__subclasses__(kind)
        if f"{kind.__module__}.{kind.__qualname__}" == name:
            exact.append(kind)
        elif kind.__name__ == name.rpartition(".")[2]:
            alike.append(kind)
    return exact or alike
