"""What a redaction does with each field of a history, as tables: of a field that is in none, the
name is replaced too. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from durable_core.arns import accounts_in
from durable_core.events import CARRIERS, EVENTS, Kind, details_key
from durable_core.redaction.disguise import Fates, Path, Treatment, disguise_json, replace_all
from durable_core.redaction.document_facts import Facts, Json
from durable_core.redaction.fakes import Disguise
from durable_core.redaction.identifiers import replace_identifiers
from durable_core.redaction.keep_paths import INPUT, NAMES, RESULT, KeepPath, KeptNames
from durable_core.redaction.plain_values import (
    is_count,
    is_error_type,
    is_event_id,
    is_event_type,
    is_flag,
    is_known_event_type,
    is_known_sub_type,
    is_moment,
    is_status,
    is_sub_type,
    is_version,
)
from durable_core.redaction.summary_shapes import Form, fate_in, form_of
from durable_core.summaries.reading import read_summary
from durable_core.wire import REDACTED

Names = tuple[str | None, ...]
Rule = Callable[["Redaction", Any], Any]


class Redaction:
    """Redacts one document, or looks over it: that depends on the disguise."""

    def __init__(self, disguise: Disguise, keep: Sequence[KeepPath], facts: Facts) -> None:
        self._disguise = disguise
        self._keep = keep
        self._facts = facts
        self._keeps_names = any(each.steps == (NAMES,) for each in keep)
        self._depth = 0
        self.kept = KeptNames()

    def document(self, document: Json) -> dict[str, Any]:
        """Return the document redacted, without a word that it is."""
        redacted: dict[str, Any] = {}
        for name, value in document.items():
            if name == "Events" and isinstance(value, list):
                redacted[name] = [self._event(event) for event in value]
            elif name != REDACTED:
                self._put(redacted, name, value, _RECORD)
        return redacted

    def _put(
        self, redacted: dict[str, Any], name: str, value: Any, rules: Mapping[str, Rule]
    ) -> None:
        """Add a field; of one that is in no table the name is replaced too."""
        rule = rules.get(name)
        if rule is not None:
            redacted[name] = None if value is None else rule(self, value)
            return
        key = name if name in _WORDS else self._key(name)
        while key in redacted:
            key += "_"  # short ones may have the same stand-in
        redacted[key] = self.unknown(value)

    def _key(self, name: Any) -> str:
        return self._disguise.text(str(name))

    def fields(self, value: Any, rules: Mapping[str, Rule]) -> Any:
        """Return an object whose fields are in a table."""
        if not isinstance(value, Mapping):
            return self.unknown(value)
        redacted: dict[str, Any] = {}
        for name, each in value.items():
            self._put(redacted, name, each, rules)
        return redacted

    # -- events ----------------------------------------------------------------------------------

    def _event(self, event: Any) -> Any:
        if not isinstance(event, Mapping):
            return self.unknown(event)
        kind = event.get("EventType")
        details_at = details_key(kind) if isinstance(kind, str) else None
        is_known = is_known_event_type(kind)
        rules = _EVENT if _names_of(event)[0] not in (INPUT, RESULT) else _OF_EXECUTION
        redacted: dict[str, Any] = {}
        for name, value in event.items():
            if name != details_at:
                self._put(redacted, name, value, rules)
            elif is_known and isinstance(value, Mapping):
                redacted[name] = self._details(event, value)
            elif is_known or self.event_type(kind) == kind:
                redacted[name] = self.unknown(value)
            else:
                self._put(redacted, name, value, {})
        return redacted

    def _details(self, event: Json, details: Json) -> dict[str, Any]:
        kinds = EVENTS[event["EventType"]].fields
        redacted: dict[str, Any] = {}
        for name, value in details.items():
            kind = kinds.get(name) or CARRIERS.get(name)
            if kind in (Kind.PAYLOAD, Kind.ERROR) and isinstance(value, Mapping):
                redacted[name] = self._carrier(event, kind, value)
            else:
                rule = _DETAILS.get(name) or (_OF_KIND.get(kind) if kind else None)
                self._put(redacted, name, value, {} if rule is None else {name: rule})
        return redacted

    def _carrier(self, event: Json, kind: Kind | None, carrier: Json) -> Any:
        names = _names_of(event)

        def payload(redaction: Redaction, value: Any) -> Any:
            if kind is Kind.ERROR:
                return redaction.error(value, names)
            has_ended = event.get("EventType") == "ContextSucceeded"
            sub_type = event.get("SubType") if has_ended else None
            return redaction.payload(
                value, names, form_of(sub_type, value, redaction._facts.scheme)
            )

        return self.fields(carrier, {"Payload": payload, "Truncated": _kept_if(is_flag)})

    # -- payloads and errors ---------------------------------------------------------------------

    def payload(self, value: Any, names: Names, form: Form | None = None) -> Any:
        """Return the JSON text of a payload, or what stands in its place."""
        if not isinstance(value, str) or not value:
            return value if value == "" else self.unknown(value)
        if form is not None:
            self._note_summary(value)
        return disguise_json(value, self._disguise, self._fates(names, form))

    def _note_summary(self, payload: str) -> None:
        summary = read_summary(payload)
        self.kept.add_summary()
        for name in summary.names.values() if summary else ():
            self.kept.add("Units", self._label(name))

    def _fates(self, names: Names, form: Form | None) -> Fates:
        if form is None and not self._keep:
            return replace_all
        mine = [each for each in self._keep if each.keeps_operation(names) or len(each.steps) > 1]

        def fates(path: Path, is_name: bool) -> Treatment:
            fate = Treatment.REPLACED if form is None else fate_in(form, path, is_name)
            if fate is not Treatment.REPLACED or not mine:
                return fate
            if any(each.keeps(names, path) for each in mine):
                return Treatment.KEPT
            if is_name and any(each.passes(names, path) for each in mine):
                return Treatment.KEPT
            return Treatment.REPLACED

        return fates

    def error(self, value: Any, names: Names) -> Any:
        """Return an error object, or what stands in its place."""
        if any(each.keeps_operation(names) for each in self._keep):
            return value
        return self.fields(value, _ERROR)

    def error_type(self, value: Any) -> Any:
        """Return the name of a class; a sentence is none."""
        return self._named("ErrorTypes", value) if is_error_type(value) else self.unknown(value)

    def error_data(self, value: Any) -> Any:
        """Return the JSON text of an error's data, or what stands in its place."""
        is_text = isinstance(value, str)
        return disguise_json(value, self._disguise) if is_text else self.unknown(value)

    def event_type(self, value: Any) -> Any:
        """Return a type of event that is known, or is called as one is."""
        if is_known_event_type(value):
            return value
        return self._named("EventTypes", value) if is_event_type(value) else self.unknown(value)

    # -- names and ids ---------------------------------------------------------------------------

    def operation_id(self, value: Any) -> Any:
        """Return a position, or the hash of one; no other id."""
        is_plain = isinstance(value, str) and self._facts.tells_nothing(value)
        return value if is_plain else self.unknown(value)

    def operation_name(self, value: Any) -> Any:
        """Return the name of an operation without identifiers."""
        return self._named("Operations", value)

    def execution_name(self, value: Any) -> Any:
        """Return the name of an execution without identifiers."""
        return self._named("Executions", value)

    def sub_type(self, value: Any) -> Any:
        """Return a sub-type, which may be the user's own."""
        if is_known_sub_type(value):
            return value
        return self._named("SubTypes", value) if is_sub_type(value) else self.unknown(value)

    def arn(self, value: Any) -> Any:
        """Return an ARN, or the name of a function, with stand-ins for accounts and identifiers."""
        if not isinstance(value, str):
            return self.unknown(value)
        function, slash, execution = value.partition("/")
        of_function = [self._part(part) for part in function.split(":")]
        of_execution = [self._part(part) for part in execution.split("/")]
        if function not in self._facts.run_ids:
            at = of_function.index(_FUNCTION) + 1 if _FUNCTION in of_function[:-1] else 0
            self.kept.add("Functions", of_function[at])
        if of_execution[0] == _EXECUTION and len(of_execution) > 1:
            self.kept.add("Executions", of_execution[1])
        return ":".join(of_function) + slash + "/".join(of_execution)

    def _part(self, part: str) -> str:
        if part in self._facts.run_ids:
            return part
        return self._disguise.text(part) if accounts_in(part) == [part] else self._label(part)

    def _named(self, kind: str, value: Any) -> Any:
        if not isinstance(value, str):
            return self.unknown(value)
        label = self._label(value)
        if self._keeps_names or replace_identifiers(value, _nothing).strip(" -_"):
            self.kept.add(kind, label)
        return label

    def _label(self, name: str) -> str:
        return name if self._keeps_names else self._disguise.label(name)

    # -- everything else -------------------------------------------------------------------------

    def unknown(self, value: Any) -> Any:
        """Replace every text, number and key in a value of which nothing is known."""
        if isinstance(value, str):
            return self._disguise.text(value) if value else value
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int | float):
            return self._number(value)
        if not isinstance(value, Mapping | list):
            return self._disguise.text(str(value))
        if self._depth > _MOST_LEVELS:
            return None
        self._depth += 1
        is_list = isinstance(value, list)
        redacted = [self.unknown(each) for each in value] if is_list else self.fields(value, {})
        self._depth -= 1
        return redacted

    def _number(self, value: float) -> Any:
        try:
            return json.loads(self._disguise.number(json.dumps(value)))
        except ValueError:  # more digits than there are
            return 0


_MOST_LEVELS: Final = 100
"""What is nested deeper in a field that isn't known is left out."""


def _nothing(identifier: str) -> str:
    return ""


def _kept_if(is_plain: Callable[[Any], bool]) -> Rule:
    """Return the rule that keeps what can be nothing else than it should be."""
    return lambda redaction, value: value if is_plain(value) else redaction.unknown(value)


_FUNCTION: Final = "function"
_EXECUTION: Final = "durable-execution"
"""What comes before their names in an ARN."""

_RECORD: Final[Mapping[str, Rule]] = {
    "DurableExecutionArn": Redaction.arn,
    "DurableExecutionName": Redaction.execution_name,
    "FunctionArn": Redaction.arn,
    "Version": _kept_if(is_version),
    "Status": _kept_if(is_status),
    "InputPayload": lambda self, value: self.payload(value, (INPUT,)),
    "Result": lambda self, value: self.payload(value, (RESULT,)),
    "Error": lambda self, value: self.error(value, (RESULT,)),
    "StartTimestamp": _kept_if(is_moment),
    "EndTimestamp": _kept_if(is_moment),
    "ExpectedExecutionTimeoutTimestamp": _kept_if(is_moment),
    "ExecutionDataIncluded": _kept_if(is_flag),
    "PauseDetails": lambda self, value: self.fields(value, _PAUSE),
    "DurableConfig": lambda self, value: self.fields(value, _CONFIG),
    "TraceHeader": lambda self, value: self.fields(value, _TRACE),
    "NextMarker": Redaction.unknown,
}
"""What GetDurableExecution answers, and what becomes of it. Source: botocore 1.44."""
_PAUSE: Final[Mapping[str, Rule]] = {
    "PauseRequestTimestamp": _kept_if(is_moment),
    "Reason": Redaction.unknown,
    "ExecutionTimeoutPaused": _kept_if(is_flag),
}
_CONFIG: Final[Mapping[str, Rule]] = {
    "KMSKeyArn": Redaction.unknown,
    "RetentionPeriodInDays": _kept_if(is_count),
    "ExecutionTimeout": _kept_if(is_count),
}
_TRACE: Final[Mapping[str, Rule]] = {"XAmznTraceId": Redaction.unknown}
_EVENT: Final[Mapping[str, Rule]] = {
    "EventType": Redaction.event_type,
    "EventId": _kept_if(is_event_id),
    "EventTimestamp": _kept_if(is_moment),
    "Id": Redaction.operation_id,
    "ParentId": Redaction.operation_id,
    "Name": Redaction.operation_name,
    "SubType": Redaction.sub_type,
}
_OF_EXECUTION: Final[Mapping[str, Rule]] = {**_EVENT, "Name": Redaction.execution_name}
_ERROR: Final[Mapping[str, Rule]] = {
    "ErrorType": Redaction.error_type,
    "ErrorMessage": Redaction.unknown,
    "ErrorData": Redaction.error_data,
    "StackTrace": Redaction.unknown,
}
_RETRY: Final[Mapping[str, Rule]] = {
    "CurrentAttempt": _kept_if(is_count),
    "NextAttemptDelaySeconds": _kept_if(is_count),
}
_OF_KIND: Final[Mapping[Kind, Rule]] = {
    Kind.RETRY: lambda self, value: self.fields(value, _RETRY),
    Kind.INTEGER: _kept_if(is_count),
    Kind.FLAG: _kept_if(is_flag),
    Kind.TIMESTAMP: _kept_if(is_moment),
    Kind.TEXT: Redaction.unknown,
    Kind.PAYLOAD: Redaction.unknown,
    Kind.ERROR: Redaction.unknown,
}
"""What becomes of a field in the details of an event, by what it is."""
_DETAILS: Final[Mapping[str, Rule]] = {
    "FunctionName": Redaction.arn,
    "DurableExecutionArn": Redaction.arn,
    "ExecutedVersion": _kept_if(is_version),
}
"""Texts there that are no secret."""
_WORDS: Final = frozenset(
    {*_RECORD, *_PAUSE, *_CONFIG, *_TRACE, *_EVENT, *_ERROR, *_RETRY, *_DETAILS, *CARRIERS}
    | {name for spec in EVENTS.values() for name in spec.fields}
    | {details_key(kind) for kind in EVENTS}
    | {"Payload", "Truncated", "Events"}
)
"""Every name of a field that the service has."""


def _names_of(event: Json) -> Names:
    kind = str(event.get("EventType"))
    if kind == "ExecutionStarted":
        return (INPUT,)
    if kind.startswith("Execution"):
        return (RESULT,)
    return (event.get("Name"), event.get("Id"))
