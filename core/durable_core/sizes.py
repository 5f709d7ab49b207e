"""How many bytes an update takes on the wire, and what each SDK believes that it takes.

Exact sizes are computed from the texts without building the JSON. A Python process sends what
botocore's rest-json serializer writes: `json.dumps`, so every character beyond ASCII becomes an
escape of 6 or 12 bytes. The other SDKs are counted as compact JSON in UTF-8, with escapes as
`JSON.stringify` writes them. The estimates are those of `SDKS` in `sdks`, on which batches are cut;
AWS's SDKs make them from the update alone, some without its name or its error.

No text makes these functions fail: a lone surrogate counts as the escape or the replacement that a
serializer would write for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from json.encoder import encode_basestring as _quoted
from json.encoder import encode_basestring_ascii as _quoted_ascii
from typing import Any, Final

from durable_core.frozen import dataclass
from durable_core.model import ChainedInvokeOptions, ErrorObject, OperationUpdate
from durable_core.wire import update_to_wire

# -- text --------------------------------------------------------------------------------------


def utf8_bytes(text: str) -> int:
    """Return the size of a text in UTF-8, with no copy of it where it is all ASCII.

    A lone surrogate counts 3 bytes: what the replacement character takes that .NET and JavaScript
    write for it.
    """
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return len(_with_pairs_joined(text).encode("utf-8", "surrogatepass"))


def utf16_length(text: str) -> int:
    """Return the length that Java, JavaScript and .NET give a text: UTF-16 code units."""
    if text.isascii():
        return len(text)
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _with_pairs_joined(text: str) -> str:
    """Return the text with each high and low surrogate in a row made the character they mean."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _ascii_text(text: str) -> int:
    if len(text) > _LONG and text.isascii():
        return _quoted_bytes(text, _PLAIN_OF_ASCII)
    return len(_quoted_ascii(text))


def _utf8_text(text: str) -> int:
    if len(text) > _LONG and text.isascii():
        return _quoted_bytes(text, _PLAIN_OF_UTF8)
    return _escaped_utf8_bytes(_quoted(text))


_LONG: Final = 256
"""From which length on counting what is escaped is faster than writing the text."""
_SHORT_ESCAPES: Final = b'"\\\b\f\n\r\t'
"""What is escaped with one character more, and not as `\\u0000`."""
_PLAIN_OF_UTF8: Final = bytes(each for each in range(0x20, 0x80) if each not in b'"\\')
_PLAIN_OF_ASCII: Final = _PLAIN_OF_UTF8.replace(b"\x7f", b"")


def _quoted_bytes(text: str, plain: bytes) -> int:
    """Return the size of an ASCII text as a JSON string; `plain` is what isn't escaped."""
    escaped = text.encode().translate(None, plain)
    long = escaped.translate(None, _SHORT_ESCAPES)
    return _QUOTES + len(text) + len(escaped) + (_LONG_ESCAPE_EXTRA - 1) * len(long)


_QUOTES: Final = 2
_LONG_ESCAPE_EXTRA: Final = len("\\u0000") - 1


_SURROGATE_ESCAPE_EXTRA: Final = len("\\udXXX") - 3


def _escaped_utf8_bytes(written: str) -> int:
    """Return the UTF-8 size of JSON text in which lone surrogates have yet to be escaped."""
    if written.isascii():
        return len(written)
    try:
        return len(written.encode())
    except UnicodeEncodeError:
        joined = _with_pairs_joined(written)
        lone = sum("\ud800" <= character <= "\udfff" for character in joined)
        return len(joined.encode("utf-8", "surrogatepass")) + lone * _SURROGATE_ESCAPE_EXTRA


# -- JSON --------------------------------------------------------------------------------------


def _ascii_value(value: object) -> int:
    return len(json.dumps(value))


def _utf8_value(value: object) -> int:
    return _escaped_utf8_bytes(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


@dataclass(frozen=True, slots=True)
class JsonStyle:
    """How a serializer writes JSON: the size of a string, of any value, and of its separators."""

    text: Callable[[str], int]
    value: Callable[[object], int]
    comma: int
    colon: int

    def members(self, count: int) -> int:
        """Return the size of an object's braces, colons and commas."""
        return 2 + count * self.colon + max(count - 1, 0) * self.comma

    def elements(self, sizes: Sequence[int]) -> int:
        """Return the size of a list of elements of these sizes."""
        return 2 + sum(sizes) + max(len(sizes) - 1, 0) * self.comma


SPACED_ASCII: Final = JsonStyle(_ascii_text, _ascii_value, comma=len(", "), colon=len(": "))
"""`json.dumps` as Python calls it by default, and so botocore."""

COMPACT_UTF8: Final = JsonStyle(_utf8_text, _utf8_value, comma=len(","), colon=len(":"))
"""`JSON.stringify`, sent in UTF-8."""


def _key(name: str) -> int:
    return len(f'"{name}"')


_OPTIONS_OF_ONE: Final = (
    ("replay_children", _key("ContextOptions"), _key("ReplayChildren")),
    ("next_attempt_delay_seconds", _key("StepOptions"), _key("NextAttemptDelaySeconds")),
    ("wait_seconds", _key("WaitOptions"), _key("WaitSeconds")),
)
_REQUIRED_KEYS: Final = _key("Id") + _key("Type") + _key("Action")


def update_bytes(update: OperationUpdate, style: JsonStyle) -> int:
    """Return the exact size of one update, as `wire.update_to_wire` gives it, in that style.

    A field that this version doesn't know (`extra`) counts like the others: an SDK that writes it
    has a service model that knows it. (Today's botocore refuses the whole request.)
    """
    if update.extra:
        return style.value(update_to_wire(update))
    text = style.text
    count = 3
    size = _REQUIRED_KEYS + text(update.id)
    size += len(update.type.text) + len(update.action.text) + 2 * _QUOTES
    if update.parent_id is not None:
        size += _PARENT_ID + text(update.parent_id)
        count += 1
    if update.name is not None:
        size += _NAME + text(update.name)
        count += 1
    if update.sub_type is not None:
        size += _SUB_TYPE + text(update.sub_type)
        count += 1
    if update.payload is not None:
        size += _PAYLOAD + text(update.payload)
        count += 1
    if update.error is not None:
        size += _ERROR + error_object_bytes(update.error, style)
        count += 1
    for member in _option_members(update, style):
        size += member
        count += 1
    return size + style.members(count)


_PARENT_ID: Final = _key("ParentId")
_NAME: Final = _key("Name")
_SUB_TYPE: Final = _key("SubType")
_PAYLOAD: Final = _key("Payload")
_ERROR: Final = _key("Error")


def _option_members(update: OperationUpdate, style: JsonStyle) -> list[int]:
    """Return the size, without its colon, of each option that the update carries."""
    members = [
        outer + style.members(1) + inner + style.value(value)
        for attribute, outer, inner in _OPTIONS_OF_ONE
        if (value := getattr(update, attribute)) is not None
    ]
    callback = _callback_bytes(update, style)
    if callback:
        members.append(_key("CallbackOptions") + callback)
    if update.chained_invoke is not None:
        members.append(_key("ChainedInvokeOptions") + _invoke_bytes(update.chained_invoke, style))
    return members


def _extra_members(extra: Mapping[str, Any], style: JsonStyle) -> list[int]:
    return [style.text(key) + style.value(value) for key, value in extra.items()]


def _object_bytes(members: list[int], style: JsonStyle) -> int:
    return sum(members) + style.members(len(members))


def _callback_bytes(update: OperationUpdate, style: JsonStyle) -> int:
    fields = (
        ("TimeoutSeconds", update.callback_timeout_seconds),
        ("HeartbeatTimeoutSeconds", update.callback_heartbeat_seconds),
    )
    members = [_key(key) + style.value(value) for key, value in fields if value is not None]
    return _object_bytes(members, style) if members else 0


def _invoke_bytes(options: ChainedInvokeOptions, style: JsonStyle) -> int:
    fields = (
        ("FunctionName", options.function_name),
        ("TenantId", options.tenant_id),
        ("XAmznTraceId", options.trace_id),
    )
    members = [_key(key) + style.text(value) for key, value in fields if value is not None]
    return _object_bytes(members + _extra_members(options.extra, style), style)


def error_object_bytes(error: ErrorObject, style: JsonStyle) -> int:
    """Return the exact size of an error object in that style."""
    fields = (
        ("ErrorMessage", error.message),
        ("ErrorType", error.type),
        ("ErrorData", error.data),
    )
    members = [_key(key) + style.text(value) for key, value in fields if value is not None]
    if error.stack_trace is not None:
        lines = [style.text(line) for line in error.stack_trace]
        members.append(_key("StackTrace") + style.elements(lines))
    return _object_bytes(members + _extra_members(error.extra, style), style)


def error_bytes(error: ErrorObject) -> int:
    """Return an error's size as the limit on error objects counts it.

    Source: AWS's Python local runner 1.4.0, which takes `len(json.dumps(error))`: escapes and
    spaces after the separators count.
    """
    return error_object_bytes(error, SPACED_ASCII)


CLIENT_TOKEN_LENGTH: Final = 36
"""An idempotency token that nobody gave: every AWS SDK fills in a UUID."""

_REQUEST_KEYS: Final = _key("CheckpointToken") + _key("Updates") + _key("ClientToken")


def request_bytes(
    update_sizes: Sequence[int],
    style: JsonStyle,
    token_length: int = 0,
    client_token_length: int = CLIENT_TOKEN_LENGTH,
) -> int:
    """Return the exact size of a CheckpointDurableExecution body with updates of these sizes.

    The ARN isn't in it: it travels in the URI. Tokens are of plain ASCII.
    """
    tokens = token_length + client_token_length + 2 * _QUOTES
    return _REQUEST_KEYS + tokens + style.elements(update_sizes) + style.members(3)


# -- what each SDK estimates -------------------------------------------------------------------


def dotnet_estimate(update: OperationUpdate) -> int:
    """Return .NET's estimate: generous with the payload, blind to the escapes of a Python sender.

    512 + 2 x UTF-8 bytes of the payload + UTF-8 bytes of id, parent, name and error, and 8 more
    for each line of the stack.
    """
    size = 512 + utf8_bytes(update.id)
    if update.payload is not None:
        size += 2 * utf8_bytes(update.payload)
    if update.parent_id is not None:
        size += utf8_bytes(update.parent_id)
    if update.name is not None:
        size += utf8_bytes(update.name)
    if (error := update.error) is not None:
        texts = (error.type, error.message, error.data)
        size += sum(utf8_bytes(text) for text in texts if text is not None)
        size += sum(utf8_bytes(line) + 8 for line in error.stack_trace or ())
    return size


def java_estimate(update: OperationUpdate) -> int:
    """Return Java's estimate: UTF-16 lengths of id, type, action and payload + 100.

    Name, parent and error aren't counted at all.
    """
    size = 100 + utf16_length(update.id) + len(update.type.text) + len(update.action.text)
    return size if update.payload is None else size + utf16_length(update.payload)


def javascript_estimate(update: OperationUpdate) -> int:
    """Return JavaScript's estimate: the UTF-8 bytes of `JSON.stringify({stepId, data})`.

    The SDK takes its own step id there ("1-2-3"), twice, before it is hashed. An update carries
    only the hash, which stands in for it here.
    Source: `CheckpointManager.checkpoint` in the SDK's index.mjs, 2.4.0.
    """
    data = update_bytes(update, COMPACT_UTF8)
    return _STEP_ID_AND_DATA + _utf8_text(update.id) + data


_STEP_ID_AND_DATA: Final = len('{"stepId":,"data":}')


def python_estimate(update: OperationUpdate) -> int:
    """Return Python's estimate: the bytes of `json.dumps(update.to_dict())`.

    Source: `ExecutionState._calculate_operation_size` and `OperationUpdate.to_dict`, SDK 3.0.0.
    """
    return update_bytes(_as_python_writes(update), SPACED_ASCII)


def _as_python_writes(update: OperationUpdate) -> OperationUpdate:
    """Return the update as `to_dict` gives it: no empty names, both callback options or none."""
    timeout, heartbeat = update.callback_timeout_seconds, update.callback_heartbeat_seconds
    empty = "" in (update.parent_id, update.name, update.sub_type)
    if not empty and (timeout is None) == (heartbeat is None):
        return update
    callback = timeout is not None or heartbeat is not None
    return replace(
        update,
        parent_id=update.parent_id or None,
        name=update.name or None,
        sub_type=update.sub_type or None,
        callback_timeout_seconds=(timeout or 0) if callback else None,
        callback_heartbeat_seconds=(heartbeat or 0) if callback else None,
    )
