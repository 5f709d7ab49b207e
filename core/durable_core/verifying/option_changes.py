"""What of an operation is no part of its identity, and is told where it has changed. Pure."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from durable_core.fold import AttemptEnd, Recorded
from durable_core.frozen import dataclass
from durable_core.model import ErrorObject
from durable_core.raised import class_name, is_from_outside, module_of, qualified_name
from durable_core.verifying.payloads import same_json

if TYPE_CHECKING:
    from durable_core.verifying.redacted import StandIns

Input = Callable[[], str | None]
"""Makes the input of an invoked function, as it would be sent: only where one is recorded."""


@dataclass(frozen=True, slots=True)
class OperationOptions:
    """What an operation is asked for with, beside its identity, under the names by which it is
    recorded. `told` are the names of those that this operation has.

    `decide` is what the code decides about further attempts.
    """

    told: tuple[str, ...] = ()
    wait_seconds: int | Backoff | None = None
    function_name: str | None = None
    tenant_id: str | None = None
    invoke_input: Input | None = None
    callback_timeout_seconds: int | None = None
    callback_heartbeat_seconds: int | None = None
    decide: AttemptDecision | None = None


NO_OPTIONS: Final[OperationOptions] = OperationOptions()


def wait_options(seconds: int | Backoff) -> OperationOptions:
    """Return the options of a wait."""
    return OperationOptions(("wait_seconds",), wait_seconds=seconds)


def invoke_options(
    function_name: str, tenant_id: str | None, written_input: Input
) -> OperationOptions:
    """Return the options of a chained invoke."""
    return OperationOptions(
        ("function_name", _TENANT, "invoke_input"),
        function_name=function_name,
        tenant_id=tenant_id,
        invoke_input=written_input,
    )


def callback_options(
    timeout_seconds: int | None, heartbeat_seconds: int | None
) -> OperationOptions:
    """Return the options of a callback. None and 0: it has none."""
    return OperationOptions(
        _CALLBACK,
        callback_timeout_seconds=timeout_seconds or None,
        callback_heartbeat_seconds=heartbeat_seconds or None,
    )


_TENANT: Final = "tenant_id"
_CALLBACK: Final = ("callback_timeout_seconds", "callback_heartbeat_seconds")
_WORDS: Final = {
    "wait_seconds": "wait of seconds",
    "function_name": "invoked function",
    "callback_timeout_seconds": "callback timeout of seconds",
    "callback_heartbeat_seconds": "callback heartbeat of seconds",
    _TENANT: "tenant",
    "invoke_input": "input of the invoked function",
}


def option_changes(
    recorded: Recorded, options: OperationOptions, stand_ins: StandIns | None
) -> Iterator[tuple[str, str, str]]:
    """Yield what is another than recorded, as it is recorded and as it is now, in words."""
    for name in options.told:
        before, now = getattr(recorded, name), getattr(options, name)
        if before == now or (before is None and not _is_told(name, recorded)):
            continue  # not all that write histories tell all of it
        if isinstance(now, Backoff):
            told = now.difference(before)
            if told is not None:
                yield told.what, told.recorded, told.current
        elif callable(now):
            given = _written(now) if stand_ins is None else None
            if given is not None and not same_json(before, given):
                yield _WORDS[name], before, given
        elif stand_ins is not None and name == _TENANT:
            continue  # replaced as a whole
        elif stand_ins is None or stand_ins.differ(before, now):
            yield _WORDS[name], str(before or "none"), str(now or "none")


def _is_told(name: str, recorded: Recorded) -> bool:
    """Return True for a timeout of a callback that tells the other one: where that isn't there,
    there was none."""
    return name in _CALLBACK and any(getattr(recorded, each) is not None for each in _CALLBACK)


def _written(written: Input) -> str | None:
    """Return the input; None for one that can't be made, which nothing is said about here."""
    try:
        return written()
    except Exception:
        return None


StrategyAnswer = int | str | None
"""What a strategy decides: after how many seconds there is another attempt; None: there is none; a
text: how the operation fails instead."""


@dataclass(frozen=True, slots=True)
class AttemptDecision:
    """What the code decides about further attempts of an operation that it asks for.

    `ask` takes an error, or with `polls` the payload of a state, the attempt's number, from 1, and
    what chance draws: a number from 0 up to 1, or None, whatever it likes. What it raises makes the
    decision unknown. `polls`: the code asks for a wait_for_condition. The recorded sub-type doesn't
    say so: some SDKs let users name that of a step.
    """

    ask: Callable[[object, int, float | None], StrategyAnswer]
    polls: bool = False

    def was_asked(self, recorded: Recorded) -> bool:
        """Return True where it was asked: not in a step that succeeded with its first attempt."""
        ends = recorded.ends
        return len(ends) > 1 or (bool(ends) and (self.polls or ends[0].error is not None))


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


def retry_differences(recorded: Recorded, decide: AttemptDecision) -> Iterator[RetryDifference]:
    """Yield the attempts of a step, or polls, after which the code would now do something else."""
    polls = decide.polls
    what = "poll" if polls else "attempt"
    for attempt, end in enumerate(recorded.ends, 1):
        if polls != (end.error is None):
            continue  # a step that succeeded, or a poll that failed: no strategy was asked
        if polls and end.payload is None:
            continue  # AWS's local runner doesn't record the states of polls
        given: Sequence[object] = [end.payload] if polls else _errors(end)
        seen = [options_of(partial(decide.ask, each, attempt)) for each in given]
        if not seen or seen[0] is None or any(each != seen[0] for each in seen[1:]):
            continue
        if not seen[0].allows(end.retry_seconds):
            yield RetryDifference(
                f"retry after {what} {attempt}", said(end.retry_seconds), str(seen[0])
            )


def said(decision: StrategyAnswer) -> str:
    """Return a decision in words."""
    if isinstance(decision, str):
        return decision
    return "no further one" if decision is None else f"another after {decision:,} s"


@dataclass(frozen=True, slots=True)
class Options:
    """All that a strategy may say. `is_whole`: seconds in between are possible, no others are."""

    decisions: frozenset[StrategyAnswer]
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


def options_of(decide: Callable[[float | None], StrategyAnswer]) -> Options | None:
    """Return all that a strategy may say, whatever chance does; None: nobody knows."""
    try:
        ends = [frozenset(decide(chance) for _ in range(_TWICE)) for chance in _ENDS_OF_CHANCE]
        if all(len(each) == 1 for each in ends):
            return Options(frozenset().union(*ends), is_whole=True)
        return Options(frozenset(decide(None) for _ in range(_DRAWS)), is_whole=False)
    except BaseException as error:
        if is_from_outside(error):
            raise
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


def _errors(end: AttemptEnd) -> list[Exception]:
    """Return what may have been raised: an exception of each class with the recorded name.

    Nothing where one of them can't be made as it was: then nobody knows what a strategy says.
    """
    if end.error is None or not end.error.type:
        return []
    try:
        kinds = _classes(end.error.type)
        if len(kinds) > _MOST or any(map(_ends_a_step, kinds)):
            return []
        return [_made(kind, end.error) for kind in kinds]
    except Exception:
        return []


def _ends_a_step(kind: type[Exception]) -> bool:
    """Return True for an error of an SDK's that ends a step whatever the strategy says."""
    package = module_of(kind).partition(".")[0]
    is_of_an_sdk = package in ("durable_core", "aws_durable_execution_sdk_python")
    return is_of_an_sdk and class_name(kind) != "StepInterruptedError"


def _made(kind: type[Exception], error: ErrorObject) -> Exception:
    """Return an exception of a class with the recorded text, without calling anything of the class.

    Raises where it can't be made so, or where its text isn't made of what it is given.
    """
    message = error.message or ""
    built_in = next(each for each in type.mro(kind) if not each.__flags__ & _IS_DEFINED)
    made = cast(Exception, cast(Any, built_in).__new__(kind, message))
    BaseException.__init__(made, message)
    if built_in is KeyError:  # whose text is the repr of its key
        BaseException.__init__(made, literal_eval(message))
    text = _own_text(made)
    if text is not None and text != message:
        raise TypeError("its text is made of what isn't recorded")
    return made


_IS_DEFINED: Final = 1 << 9
"""Py_TPFLAGS_HEAPTYPE: a class that Python code, or an extension, made while running."""


def _own_text(error: Exception) -> str | None:
    """Return an exception's text; None where it has none, as it then has for a strategy too."""
    try:
        return str(error)
    except BaseException as failure:
        if is_from_outside(failure):
            raise
        return None


_OURS: Final = tuple(
    f"durable_core.{package}."
    for package in ("adapters", "processes", "runtimes", "sandbox", "simulation", "verifying")
)
"""Modules of which no handler raises anything by name: their classes may be called as a user's."""


def _classes(name: str) -> list[type[Exception]]:
    """Return the classes of a recorded type, `ValueError` or `app.errors.Refused`.

    The module may be another one here: then those of the same name are.
    """
    exact, alike = [], []
    stack: list[type[Exception]] = [Exception]
    seen: set[int] = set()
    while stack:
        kind = stack.pop()
        if id(kind) in seen:
            continue
        seen.add(id(kind))
        stack += type.__subclasses__(kind)
        module = module_of(kind)
        if f"{module}.{qualified_name(kind)}" == name:
            exact.append(kind)
        elif class_name(kind) == name.rpartition(".")[2] and not module.startswith(_OURS):
            alike.append(kind)
    return exact or alike
