"""What the world outside does in a simulation: the TOML file of `--scenario`, read and matched.

Everything is a value; `script` keeps the place in it. A wrong file raises SourceError:
one line, with the table and what was expected there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

from durable_core.errors import SourceError
from durable_core.frozen import dataclass
from durable_core.model import ErrorObject
from durable_core.service.faults import NO_FAULTS, Fault, FaultKind, Faults
from durable_core.toml_document import read_toml


class CallbackOutcome(StrEnum):
    """What happens to a callback."""

    SUCCESS = "success"
    FAILURE = "failure"
    HEARTBEAT = "heartbeat"
    TIMEOUT = "timeout"


class InvokeOutcome(StrEnum):
    """How a chained invoke ends."""

    HANDLER = "handler"
    RESULT = "result"
    ERROR = "error"
    TIMEOUT = "timeout"
    STOPPED = "stopped"
    NOT_FOUND = "not_found"


INVOKE_ENDS: Final = (InvokeOutcome.TIMEOUT, InvokeOutcome.STOPPED, InvokeOutcome.NOT_FOUND)
"""What `outcome` of an invoke may say."""


@dataclass(frozen=True, slots=True)
class CallbackScript:
    """One answer to a callback of this name, so long after what came before it.

    `*` answers every callback that has no entry of its own, however many there are. TIMEOUT is no
    answer at all: the callback's own timeout does the rest.
    """

    name: str
    outcome: CallbackOutcome = CallbackOutcome.SUCCESS
    payload: str | None = None
    error: ErrorObject | None = None
    after_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class InvokeScript:
    """How chained invokes of a function end. Scripts of one function are used in order, the last
    one for all that follow."""

    function: str
    outcome: InvokeOutcome
    handler: str | None = None
    result: str | None = None
    error: ErrorObject | None = None
    after_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class PauseScript:
    """One PauseDurableExecution, and its resume so long after (`for_seconds` None: none).

    It comes so long after the start of the execution, or, where `invocation` is set, right before
    a checkpoint of that invocation reaches the service, which counts both from 1.
    """

    after_seconds: float = 0.0
    invocation: int | None = None
    checkpoint: int = 1
    for_seconds: float | None = None
    extend_timeout: bool = True
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the world does. `seed` and `interleaving` None: the file names none."""

    seed: int | None = None
    callbacks: tuple[CallbackScript, ...] = ()
    invokes: tuple[InvokeScript, ...] = ()
    faults: Faults = NO_FAULTS
    pauses: tuple[PauseScript, ...] = ()
    interleaving: int | None = None


# -- reading -----------------------------------------------------------------------------------


def read_scenario(text: str, source: str = "scenario") -> Scenario:
    """Return the scenario that a TOML text describes. Raises SourceError."""

    return _Reader(source).scenario(read_toml(text, source))


class _Reader:
    def __init__(self, source: str) -> None:
        self._source = source

    def scenario(self, document: Mapping[str, Any]) -> Scenario:
        known = {"seed", "interleaving", "callback", "invoke", "pause", *_FAULT_TABLES}
        self._check_keys(document, known, None)
        seed, interleaving = document.get("seed"), document.get("interleaving")
        if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
            raise self._wrong("seed", "a whole number", seed)
        if interleaving is not None and (type(interleaving) is not int or interleaving < 0):
            raise self._wrong("interleaving", "a whole number from 0", interleaving)
        faults: list[Fault] = []
        for table, read in _FAULT_TABLES.items():
            for where, entry in self._entries(document, table):
                faults.append(read(self, entry, where))
        return Scenario(
            seed=seed,
            interleaving=interleaving,
            callbacks=tuple(self._callback(*each) for each in self._entries(document, "callback")),
            invokes=tuple(self._invoke(*each) for each in self._entries(document, "invoke")),
            faults=Faults(tuple(faults)),
            pauses=tuple(self._pause(*each) for each in self._entries(document, "pause")),
        )

    def _entries(
        self, document: Mapping[str, Any], table: str
    ) -> list[tuple[str, Mapping[str, Any]]]:
        entries = document.get(table, [])
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            raise SourceError(self._source, f"write [[{table}]], one table for each")
        return [(f"[[{table}]] {n}", entry) for n, entry in enumerate(entries, start=1)]

    def _callback(self, where: str, entry: Mapping[str, Any]) -> CallbackScript:
        known = {"name", "outcome", "payload", "error", "after_seconds"}
        self._check_keys(entry, known, where)
        outcome = self._one_of(entry, "outcome", CallbackOutcome, where, CallbackOutcome.SUCCESS)
        for key, only in (("payload", CallbackOutcome.SUCCESS), ("error", CallbackOutcome.FAILURE)):
            if key in entry and outcome is not only:
                raise SourceError(self._source, f"{key} goes with outcome = '{only}'", where)
        return CallbackScript(
            name=self._text(entry, "name", where),
            outcome=outcome,
            payload=self._optional_text(entry, "payload", where),
            error=self._error(entry, where),
            after_seconds=self._seconds(entry, where),
        )

    def _invoke(self, where: str, entry: Mapping[str, Any]) -> InvokeScript:
        known = {"function", "handler", "result", "error", "outcome", "after_seconds"}
        self._check_keys(entry, known, where)
        given = [key for key in ("handler", "result", "error", "outcome") if key in entry]
        if len(given) != 1:
            expected = "exactly one of handler, result, error and outcome"
            found = ", ".join(given) if given else "none"
            raise SourceError(self._source, f"expected {expected}, found {found}", where)
        kind = entry["outcome"] if given == ["outcome"] else given[0]
        if given == ["outcome"] and kind not in INVOKE_ENDS:
            expected = "'timeout', 'stopped' or 'not_found'"
            raise self._wrong("outcome", expected, entry["outcome"], where)
        return InvokeScript(
            function=self._text(entry, "function", where),
            outcome=InvokeOutcome(kind),
            handler=self._optional_text(entry, "handler", where),
            result=self._optional_text(entry, "result", where),
            error=self._error(entry, where),
            after_seconds=self._seconds(entry, where),
        )

    def _pause(self, where: str, entry: Mapping[str, Any]) -> PauseScript:
        place, moment = {"invocation", "checkpoint"}, {"after_seconds"}
        known = {"for_seconds", "extend_timeout", "reason", *place, *moment}
        self._check_keys(entry, known, where)
        if place & entry.keys() and moment & entry.keys():
            problem = "expected either after_seconds, or invocation and checkpoint"
            raise SourceError(self._source, problem, where)
        in_flight = bool(place & entry.keys())
        extend = entry.get("extend_timeout", True)
        if not isinstance(extend, bool):
            raise self._wrong("extend_timeout", "true or false", extend, where)
        reason = self._optional_text(entry, "reason", where)
        if reason is not None and len(reason) > _LONGEST_REASON:
            expected = f"at most {_LONGEST_REASON:,} characters"
            raise self._wrong("reason", expected, reason, where)
        return PauseScript(
            after_seconds=self._seconds(entry, where, default=0.0),
            invocation=self._count(entry, "invocation", where) if in_flight else None,
            checkpoint=self._count(entry, "checkpoint", where),
            for_seconds=self._seconds(entry, where, "for_seconds")
            if "for_seconds" in entry
            else None,
            extend_timeout=extend,
            reason=reason,
        )

    def superseded(self, entry: Mapping[str, Any], where: str) -> Fault:
        self._check_keys(entry, {"invocation", "checkpoint"}, where)
        return self._fault(FaultKind.SUPERSEDED, entry, where)

    def crash(self, entry: Mapping[str, Any], where: str) -> Fault:
        self._check_keys(entry, {"invocation", "checkpoint", "when"}, where)
        when = entry.get("when", "after")
        if when not in ("before", "after"):
            raise self._wrong("when", "'before' or 'after'", when, where)
        kind = FaultKind.CRASH_BEFORE if when == "before" else FaultKind.CRASH_AFTER
        return self._fault(kind, entry, where)

    def lost_response(self, entry: Mapping[str, Any], where: str) -> Fault:
        self._check_keys(entry, {"invocation", "checkpoint"}, where)
        return self._fault(FaultKind.LOST_RESPONSE, entry, where)

    def throttle(self, entry: Mapping[str, Any], where: str) -> Fault:
        self._check_keys(entry, {"invocation", "checkpoint", "times"}, where)
        return self._fault(FaultKind.THROTTLE, entry, where)

    def _fault(self, kind: FaultKind, entry: Mapping[str, Any], where: str) -> Fault:
        return Fault(
            kind,
            self._count(entry, "invocation", where),
            self._count(entry, "checkpoint", where),
            self._count(entry, "times", where),
        )

    # -- values --------------------------------------------------------------------------------

    def _check_keys(self, entry: Mapping[str, Any], known: set[str], where: str | None) -> None:
        for key in entry:
            if key not in known:
                expected = ", ".join(sorted(known))
                raise SourceError(
                    self._source, f"unknown key '{key}', expected one of {expected}", where
                )

    def _wrong(
        self, key: str, expected: str, found: object, where: str | None = None
    ) -> SourceError:
        shown = repr(found)
        shown = shown if len(shown) <= 40 else f"{shown[:40]}..."
        return SourceError(self._source, f"{key}: expected {expected}, found {shown}", where)

    def _text(self, entry: Mapping[str, Any], key: str, where: str) -> str:
        value = self._optional_text(entry, key, where)
        if not value:
            raise SourceError(self._source, f"{key} is missing", where)
        return value

    def _optional_text(self, entry: Mapping[str, Any], key: str, where: str) -> str | None:
        value = entry.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self._wrong(key, "a string", value, where)

    def _count(self, entry: Mapping[str, Any], key: str, where: str) -> int:
        value = entry.get(key, 1)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return value
        raise self._wrong(key, "a whole number from 1", value, where)

    def _seconds(
        self,
        entry: Mapping[str, Any],
        where: str,
        key: str = "after_seconds",
        default: float = 1.0,
    ) -> float:
        value = entry.get(key, default)
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if good and 0 <= value <= _LONGEST:
            return float(value)
        raise self._wrong(key, f"a number from 0 to {_LONGEST:,}", value, where)

    def _one_of(
        self,
        entry: Mapping[str, Any],
        key: str,
        kind: type[CallbackOutcome],
        where: str,
        default: CallbackOutcome,
    ) -> CallbackOutcome:
        value = entry.get(key, default)
        try:
            return kind(value)
        except ValueError:
            raise self._wrong(key, f"one of {', '.join(kind)}", value, where) from None

    def _error(self, entry: Mapping[str, Any], where: str) -> ErrorObject | None:
        value = entry.get("error")
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self._wrong("error", "{type = '...', message = '...'}", value, where)
        self._check_keys(value, {"type", "message", "data", "stack_trace"}, f"{where} error")
        message, kind, data = (
            self._optional_text(value, key, where) for key in ("message", "type", "data")
        )
        trace = value.get("stack_trace")
        if trace is not None and not (
            isinstance(trace, list) and all(isinstance(line, str) for line in trace)
        ):
            raise self._wrong("stack_trace", "a list of strings", trace, f"{where} error")
        return ErrorObject(message, kind, data, None if trace is None else tuple(trace))


_LONGEST: Final = 31_622_400

_LONGEST_REASON: Final = 1_024
"""Characters of a reason to pause (service model, botocore 1.44)."""

_FAULT_TABLES: Final[Mapping[str, Callable[[_Reader, Mapping[str, Any], str], Fault]]] = {
    "crash": _Reader.crash,
    "lost_response": _Reader.lost_response,
    "throttle": _Reader.throttle,
    "superseded": _Reader.superseded,
}


# -- writing -----------------------------------------------------------------------------------


def scenario_text(scenario: Scenario) -> str:
    """Return the TOML text of a scenario: `read_scenario` gives it back."""
    blocks: list[str] = []
    if scenario.seed is not None:
        blocks.append(f"seed = {scenario.seed}\n")
    if scenario.interleaving:
        blocks.append(f"interleaving = {scenario.interleaving}\n")
    blocks += [callback_text(each) for each in scenario.callbacks]
    blocks += [invoke_text(each) for each in scenario.invokes]
    blocks += [fault_text(each) for each in scenario.faults.faults]
    blocks += [pause_text(each) for each in scenario.pauses]
    return "\n".join(blocks)


def callback_text(script: CallbackScript) -> str:
    """Return the table of one answer to a callback."""
    lines = ["[[callback]]", f"name = {_quoted(script.name)}", f'outcome = "{script.outcome}"']
    if script.payload is not None:
        lines.append(f"payload = {_quoted(script.payload)}")
    if script.error is not None:
        lines.append(_error_line(script.error))
    return "\n".join([*lines, f"after_seconds = {script.after_seconds:g}", ""])


def invoke_text(script: InvokeScript) -> str:
    """Return the table of how chained invokes of a function end."""
    lines = ["[[invoke]]", f"function = {_quoted(script.function)}"]
    match script.outcome:
        case InvokeOutcome.HANDLER:
            lines.append(f"handler = {_quoted(script.handler or '')}")
        case InvokeOutcome.RESULT:
            lines.append(f"result = {_quoted(script.result or 'null')}")
        case InvokeOutcome.ERROR:
            lines.append(_error_line(script.error or ErrorObject()))
        case _:
            lines.append(f'outcome = "{script.outcome}"')
    return "\n".join([*lines, f"after_seconds = {script.after_seconds:g}", ""])


def pause_text(script: PauseScript) -> str:
    """Return the table of one pause."""
    lines = ["[[pause]]"]
    if script.invocation is None:
        lines.append(f"after_seconds = {script.after_seconds:g}")
    else:
        lines += [f"invocation = {script.invocation}", f"checkpoint = {script.checkpoint}"]
    if script.for_seconds is not None:
        lines.append(f"for_seconds = {script.for_seconds:g}")
    if not script.extend_timeout:
        lines.append("extend_timeout = false")
    if script.reason is not None:
        lines.append(f"reason = {_quoted(script.reason)}")
    return "\n".join([*lines, ""])


def fault_text(fault: Fault) -> str:
    """Return the table of one fault."""
    place = [f"invocation = {fault.invocation}", f"checkpoint = {fault.checkpoint}"]
    match fault.kind:
        case FaultKind.LOST_RESPONSE:
            lines = ["[[lost_response]]", *place]
        case FaultKind.SUPERSEDED:
            lines = ["[[superseded]]", *place]
        case FaultKind.THROTTLE:
            lines = ["[[throttle]]", *place, f"times = {fault.times}"]
        case _:
            when = "before" if fault.kind is FaultKind.CRASH_BEFORE else "after"
            lines = ["[[crash]]", *place, f'when = "{when}"']
    return "\n".join([*lines, ""])


def _error_line(error: ErrorObject) -> str:
    pairs = (("type", error.type), ("message", error.message), ("data", error.data))
    inside = [f"{key} = {_quoted(value)}" for key, value in pairs if value is not None]
    if error.stack_trace is not None:
        inside.append(f"stack_trace = [{', '.join(map(_quoted, error.stack_trace))}]")
    return f"error = {{{', '.join(inside)}}}"


def _quoted(text: str) -> str:
    """Return a TOML string: literal where it can be, basic with escapes where it can't."""
    if "'" not in text and all(character.isprintable() for character in text):
        return f"'{text}'"
    out = []
    for character in text:
        if character in '"\\':
            out.append(f"\\{character}")
        elif character.isprintable():
            out.append(character)
        else:
            out.append(f"\\U{ord(character):08x}")
    return f'"{"".join(out)}"'


def function_name_of(function: str) -> str:
    """Return the bare name in a function name, a qualified one (`name:alias`) or an ARN."""
    if function.startswith("arn:"):
        parts = function.split(":")
        return parts[6] if len(parts) > 6 else function
    return function.partition(":")[0]
