"""A history that can be shown to others: as large and as shaped as before, all invented. Pure.

Replaced are payloads, error messages, error data and stack traces, ids of callbacks, requests,
tenants, traces and accounts, and every text in a field that isn't known. Kept are the names of
functions, executions and operations, statuses, error types, moments and durations: what the
picture of an execution is made of. What a map or parallel stored keeps its statuses and reason, so
that it still reads as stripped or whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

from durable_core.arns import accounts_in
from durable_core.events import EVENTS, Kind, details_key, parse_timestamp
from durable_core.model import OperationType, stores_summary
from durable_core.redaction.disguise import Keeps, Path, disguise_json, keep_nothing
from durable_core.redaction.fakes import Disguise, Fakes, Originals
from durable_core.redaction.keep_paths import INPUT, RESULT, KeepPath
from durable_core.summaries.reading import has_made_up_names, read_summary
from durable_core.summaries.values import Summary
from durable_core.wire import RECORD_KEYS, REDACTED

Json = Mapping[str, Any]

_ACCOUNTS: Final = ("111122223333", "444455556666", "777788889999", "123456789012")
"""The account ids that AWS's own examples use."""

_ARNS: Final = frozenset({"DurableExecutionArn", "FunctionArn", "FunctionName"})
_SAFE: Final = frozenset({"DurableExecutionName", "Version", "ExecutedVersion", "Status"})
_EVENT_BASE: Final = frozenset(
    {"EventType", "EventId", "EventTimestamp", "Id", "ParentId", "Name", "SubType"}
)
_RECORD_PAYLOADS: Final = {"InputPayload": INPUT, "Result": RESULT}

# The words of summaries in every form (`summaries`), and where values are in them.
_SUMMARY_WORD: Final = re.compile(
    "CompletionReason|Units|Index|Name|Status|Dispatched|UnitStatuses|NamesDropped|all|index|status"
    "|completionReason|completionStatus|type|totalCount|startedIndexes|completedIndexes|startedCount|successCount"
    "|failureCount|skippedCount|itemStatuses|items|statuses"
)
_TAGGED: Final = "v"  # AWS's Python SDK puts every value of a summary into {"t": type, "v": value}
_SUMMARY_VALUES: Final = frozenset({"Result", "Error", "result", "error", "summary"})
_PLAIN: Final = frozenset({Kind.RETRY, Kind.INTEGER, Kind.FLAG, Kind.TIMESTAMP})


def redact(
    document: Json, keep: Sequence[KeepPath] = (), key: bytes | None = None
) -> dict[str, Any]:
    """Return the history document with everything replaced that could be secret.

    `document` is as `GetDurableExecutionHistory` answers it, with the fields of GetDurableExecution
    beside the events. The same text gets the same stand-in wherever it stands; `key` decides which
    (None: one that follows from the document). The result says that it is redacted.
    """
    key = redaction_key(document) if key is None else key
    originals = Originals()
    _Redaction(originals, {}, keep).document(document)
    accounts = _fake_accounts(document)
    redacted = _Redaction(Fakes(key, originals.texts), accounts, keep).document(document)
    return {REDACTED: {"Kept": [each.text for each in keep]}, **redacted}


def look_over(
    payload: str,
    disguise: Disguise,
    names: Sequence[str | None],
    keep: Sequence[KeepPath],
    sub_type: str | None = None,
) -> None:
    """Show the disguise what a redaction replaces in a payload of the operation of that name or
    id."""
    summary = _summary_of(sub_type, payload)
    _Redaction(disguise, {}, keep).payload(payload, tuple(names), summary)


def redaction_key(document: Json) -> bytes:
    """Return a key that nobody can work out who doesn't have the document.

    That is so because of the request ids in it, which are random and don't survive. The same
    document always gives the same key.
    """
    text = json.dumps(document, sort_keys=True)
    return blake2b(text.encode("ascii"), digest_size=32, person=b"durable.redact").digest()


def has_secret_ids(document: Json) -> bool:
    """Tell whether the document has a request id, without which its key could be guessed."""
    invocations = (event.get("InvocationCompletedDetails") for event in document.get("Events", ()))
    return any(isinstance(each, Mapping) and each.get("RequestId") for each in invocations)


def _fake_accounts(document: Json) -> dict[str, str]:
    """Return a stand-in for each account, the execution's own first."""
    texts = [str(document.get(name) or "") for name in ("DurableExecutionArn", "FunctionArn")]
    for event in document.get("Events", ()):
        details = event.get(details_key(str(event.get("EventType"))))
        if not isinstance(details, Mapping):
            continue
        texts += [text for name in _ARNS if isinstance(text := details.get(name), str)]
    found = dict.fromkeys(account for text in texts for account in accounts_in(text))
    more = (f"{number:012d}" for number in range(900000000000, 900000000000 + 2 * len(found) + 1))
    free = (fake for fake in (*_ACCOUNTS, *more) if fake not in found)
    return {account: next(free) for account in found}


class _Redaction:
    def __init__(
        self, disguise: Disguise, accounts: Mapping[str, str], keep: Sequence[KeepPath]
    ) -> None:
        self._disguise = disguise
        self._accounts = accounts
        self._account = re.compile("|".join(accounts) or r"(?!)")
        self._keep = keep

    def document(self, document: Json) -> dict[str, Any]:
        return {
            name: [self._event(event) for event in value]
            if name == "Events"
            else self._record_field(name, value)
            for name, value in document.items()
        }

    # -- the execution's record ------------------------------------------------------------------

    def _record_field(self, name: str, value: Any) -> Any:
        if name in _RECORD_PAYLOADS:
            return self.payload(value, (_RECORD_PAYLOADS[name],))
        if name == "Error":
            return self._error(value, (RESULT,))
        if name in _ARNS:
            return self._arn(value)
        return value if name in _SAFE & RECORD_KEYS else self._unknown(name, value)

    # -- events ----------------------------------------------------------------------------------

    def _event(self, event: Json) -> dict[str, Any]:
        spec = EVENTS.get(str(event.get("EventType")))
        details_at = details_key(str(event.get("EventType")))
        redacted: dict[str, Any] = {}
        for name, value in event.items():
            if name in _EVENT_BASE:
                redacted[name] = value
            elif name == details_at and spec and isinstance(value, Mapping):
                redacted[name] = {
                    field: self._detail(event, spec.fields.get(field), field, each)
                    for field, each in value.items()
                }
            else:
                redacted[name] = self._unknown(name, value)
        return redacted

    def _detail(self, event: Json, kind: Kind | None, field: str, value: Any) -> Any:
        if kind in (Kind.PAYLOAD, Kind.ERROR) and isinstance(value, Mapping):
            names = _names_of(event)
            return {
                name: self._carried(event, kind, names, each)
                if name == "Payload"
                else self._unknown(name, each)
                for name, each in value.items()
            }
        if field in _ARNS:
            return self._arn(value)
        return value if kind in _PLAIN or field in _SAFE else self._unknown(field, value)

    def _carried(self, event: Json, kind: Kind | None, names: Names, value: Any) -> Any:
        if kind is Kind.ERROR:
            return self._error(value, names)
        has_ended = event.get("EventType") == "ContextSucceeded"
        summary = _summary_of(event.get("SubType"), value) if has_ended else None
        return self.payload(value, names, summary)

    # -- values ----------------------------------------------------------------------------------

    def payload(self, value: Any, names: Names, summary: Summary | None = None) -> Any:
        if not isinstance(value, str) or not value:
            return value if value in (None, "") else self._unknown("", value)
        return disguise_json(value, self._disguise, self._keeps(names, summary))

    def _keeps(self, names: Names, summary: Summary | None) -> Keeps:
        if summary is None and not self._keep:
            return keep_nothing
        made_up = summary is not None and has_made_up_names(summary)
        mine = [each for each in self._keep if each.keeps_operation(names) or len(each.steps) > 1]

        def keeps(path: Path, is_name: bool) -> bool:
            if summary is not None and _of_a_summary(path, is_name, made_up):
                return True
            if mine and any(each.keeps(names, path) for each in mine):
                return True
            return is_name and any(each.passes(names, path) for each in mine)

        return keeps

    def _error(self, value: Any, names: Names) -> Any:
        if any(each.keeps_operation(names) for each in self._keep):
            return value
        if not isinstance(value, Mapping):
            return self._unknown("", value)
        redacted = dict(value)
        for name, each in value.items():
            if name == "ErrorData" and isinstance(each, str):
                redacted[name] = disguise_json(each, self._disguise)
            elif name != "ErrorType":
                redacted[name] = self._unknown("", each)
        return redacted

    def _arn(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return self._account.sub(lambda match: self._accounts[match[0]], value)

    def _unknown(self, name: str, value: Any) -> Any:
        """Replace every text in a value of which nothing is known but what it looks like."""
        if isinstance(value, str):
            if name in _ARNS:
                return self._arn(value)
            is_moment = name.endswith("Timestamp") and _is_moment(value)
            return value if is_moment or not value else self._disguise.text(value)
        if isinstance(value, Mapping):
            return {key: self._unknown(key, each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._unknown(name, each) for each in value]
        return value


Names = tuple[str | None, ...]


def _names_of(event: Json) -> Names:
    kind = str(event.get("EventType"))
    if kind == "ExecutionStarted":
        return (INPUT,)
    if kind.startswith("Execution"):
        return (RESULT,)
    return (event.get("Name"), event.get("Id"))


def _is_moment(text: str) -> bool:
    try:
        parse_timestamp(text)
    except ValueError:
        return False
    return True


def _summary_of(sub_type: Any, payload: Any) -> Summary | None:
    """Return what a map, parallel or DAG stored, in a form that is known; None of any other."""
    if not isinstance(payload, str) or not isinstance(sub_type, str):
        return None
    return read_summary(payload) if stores_summary(OperationType.CONTEXT, sub_type) else None


def _of_a_summary(path: Path, is_name: bool, made_up: bool) -> bool:
    """Tell whether this place of a summary says how units ended, and is no value of theirs."""
    names = [each for each in path if isinstance(each, str) and each != _TAGGED]
    last = names[-1] if names else ""
    if last == "name" and names[:-1] == ["all"]:
        return made_up  # a user's own document may have other names there
    if any(each in _SUMMARY_VALUES for each in names[:-1]):
        return False
    if last in _SUMMARY_VALUES:
        return is_name
    return _SUMMARY_WORD.fullmatch(last) is not None
