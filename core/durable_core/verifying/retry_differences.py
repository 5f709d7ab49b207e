"""Where code would now decide otherwise about a further attempt than it is recorded to have.

No body runs for it: a retry strategy is asked about the errors that are recorded, the strategy of a
wait_for_condition about the states. What chance has a part in is told only as far as all draws
agree. Pure but for what the strategy does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from durable_core.fold import AttemptEnd, Recorded
from durable_core.model import ErrorObject, SubType

Decide = Callable[[object, int], int | None]
"""Takes an error, or the payload of a state, and the attempt's number, from 1; returns after how
many seconds there is another attempt, None: there is none. What it raises makes the decision
unknown."""


@dataclass(frozen=True, slots=True)
class RetryDifference:
    """A decision that isn't as recorded, in words."""

    what: str
    recorded: str
    current: str


_DRAWS: Final = 16
"""How often a strategy is asked: one with jitter then doesn't pass for one without."""

_MOST: Final = 4
"""How many classes of one name are tried; of more than these nobody knows which was raised."""


def retry_differences(recorded: Recorded, decide: Decide) -> Iterator[RetryDifference]:
    """Yield the attempts of a step, or polls, after which the code would now do something else."""
    polls = recorded.operation.sub_type == SubType.WAIT_FOR_CONDITION
    what = "poll" if polls else "attempt"
    for attempt, end in enumerate(recorded.ends, 1):
        if polls != (end.error is None):
            continue  # a step that succeeded, or a poll that failed: no strategy was asked
        given = [end.payload] if polls else list(_errors(end))
        decided = [_decided(decide, each, attempt) for each in given]
        if not decided or any(each != decided[0] for each in decided[1:]):
            continue
        seen = decided[0]
        if not seen or (None in seen and len(seen) > 1):
            continue
        if len(seen) == 1 and end.retry_seconds in seen:
            continue
        if len(seen) > 1 and end.retry_seconds is not None:
            continue
        now = "another after some delay" if len(seen) > 1 else _said(min(seen, key=str))
        yield RetryDifference(f"retry after {what} {attempt}", _said(end.retry_seconds), now)


def _said(seconds: int | None) -> str:
    return "no further one" if seconds is None else f"another after {seconds:,} s"


def _decided(decide: Decide, given: object, attempt: int) -> frozenset[int | None]:
    """Return all that the strategy says when it is asked several times; empty: nobody knows."""
    try:
        return frozenset(decide(given, attempt) for _ in range(_DRAWS))
    except Exception:
        return frozenset()


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
