"""Nothing that could be secret survives a redaction, wherever in a history it stands.

A canary is planted in one place after another, in every form in which data occurs there; none may
be in what comes out. The places where names are kept are listed, as docs/fetch.md lists them.
"""

import base64
import copy
import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from durable_core.events import EVENTS, Kind, details_key
from durable_core.ids import BLAKE2B, MD5, SHA256, SHA256_OF_PATH
from durable_core.model import SubType
from durable_core.redaction.fakes import SHORT
from durable_core.redaction.redact import redact
from durable_core.wire import RECORD_KEYS

TEXT = "Zebra quill 7"
NUMBER = 918273645546
FRACTION = 918273.645546
BASE64 = base64.b64encode(TEXT.encode() * 3).decode()
SIGNS = ("Zebra", "zebra", "quill", "918273", "645546", BASE64[:12], r"\u005a\u0065")

FORMS = {
    "text": TEXT,
    "number": NUMBER,
    "negative number": -NUMBER,
    "fraction": FRACTION,
    "numeral": str(NUMBER),
    "key": {TEXT: 1},
    "field-like key": {"zebraQuill": 1},
    "number as a key": {str(NUMBER): True},
    "deep": {"a": [{"b": [[TEXT, {"c": NUMBER}]]}]},
    "list": [TEXT, NUMBER],
    "JSON in a text": json.dumps({"who": TEXT, "card": NUMBER}),
    "JSON in JSON in a text": json.dumps({"body": json.dumps({"who": [TEXT, NUMBER]})}),
    "base64": BASE64,
}
ENDED = "2026-11-01T10:00:00.000Z"
HASH = BLAKE2B.id_at([1])


def survivors(document: Any) -> list[str]:
    """What of a canary is in a document, as it is written and with escapes undone."""
    text = json.dumps(document)
    texts = [text, text.encode().decode("unicode_escape"), json.dumps(document, ensure_ascii=False)]
    return [sign for sign in SIGNS if any(sign in each for each in texts)]


# -- every field of every event and of the record ------------------------------------------------

VALUES: dict[Kind, Any] = {
    Kind.PAYLOAD: {"Payload": '{"a": 1}', "Truncated": False},
    Kind.ERROR: {
        "Payload": {
            "ErrorType": "ValueError",
            "ErrorMessage": "no",
            "ErrorData": '"it"',
            "StackTrace": ["line"],
        },
        "Truncated": False,
    },
    Kind.RETRY: {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 3},
    Kind.INTEGER: 3,
    Kind.TEXT: "it",
    Kind.FLAG: True,
    Kind.TIMESTAMP: ENDED,
}


def event_of(kind: str) -> dict[str, Any]:
    details = {name: copy.deepcopy(VALUES[each]) for name, each in EVENTS[kind].fields.items()}
    return {
        "EventType": kind,
        "SubType": "Step",
        "EventId": 2,
        "EventTimestamp": ENDED,
        "Id": HASH,
        "ParentId": HASH,
        "Name": "charge",
        details_key(kind): details,
    }


RECORD: dict[str, Any] = {
    **dict.fromkeys(RECORD_KEYS, "it"),
    "Status": "SUCCEEDED",
    "InputPayload": '{"a": 1}',
    "Result": '{"a": 1}',
    "Error": VALUES[Kind.ERROR]["Payload"],
    "StartTimestamp": ENDED,
    "PauseDetails": {"PauseRequestTimestamp": ENDED, "Reason": "x", "ExecutionTimeoutPaused": True},
    "DurableConfig": {"KMSKeyArn": "x", "RetentionPeriodInDays": 3, "ExecutionTimeout": 5},
    "TraceHeader": {"XAmznTraceId": "x"},
    "ExecutionDataIncluded": True,
    "NextMarker": "x",
}

Path = tuple[str | int, ...]


def places(value: Any, path: Path = ()) -> list[Path]:
    """Every place in a document, that of each container too."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    found = [path] if path else []
    for key, each in inner:
        found += places(each, (*path, key))
    return found


def with_canary(document: Any, path: Path, canary: Any) -> Any:
    changed = copy.deepcopy(document)
    at = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = canary
    return changed


NAMES = {"Name", "DurableExecutionName", "FunctionArn", "FunctionName", "DurableExecutionArn"}
NAME_FORMS = {"text", "JSON in a text", "JSON in JSON in a text"}
"""In a name only what is recognized as an identifier is replaced."""

EVERY_PLACE = [
    (document, path)
    for document in (
        {**RECORD, "Events": [event_of("StepSucceeded")]},
        *({"Events": [event_of(kind)]} for kind in EVENTS),
    )
    for path in places(document)
    if path[0] != "Events" or len(path) > 2 or len(document) == 1
]


@pytest.mark.parametrize("form", FORMS)
def test_no_field_of_any_event_or_record_lets_a_canary_through(form: str) -> None:
    tried = 0
    for document, path in EVERY_PLACE:
        if path[-1] in NAMES and form in NAME_FORMS:
            continue
        redacted = redact(with_canary(document, path, FORMS[form]))
        assert survivors(redacted) == [], path
        tried += 1
    assert tried > 100


@pytest.mark.parametrize("form", FORMS)
def test_no_field_that_is_not_known_lets_a_canary_through_at_any_level(form: str) -> None:
    document = {**RECORD, "Events": [event_of(kind) for kind in EVENTS]}
    inside = [(), *(path for path in places(document) if isinstance(_at(document, path), dict))]
    for path in inside:
        for name in ("Unknown", "unknown", TEXT):
            redacted = redact(with_canary(document, (*path, name), FORMS[form]))
            assert survivors(redacted) == [], (path, name)


def _at(document: Any, path: Path) -> Any:
    for key in path:
        document = document[key]
    return document


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["LoopStarted", "Zebra quill 7", "zebraquill", NUMBER, None])
def test_no_event_of_a_type_that_is_not_known_lets_a_canary_through(form: str, kind: Any) -> None:
    canary = FORMS[form]
    details = {"Result": {"Payload": canary}, "Error": canary, "Other": {"Deep": [canary]}}
    event = {
        "EventType": kind,
        "EventId": 1,
        f"{kind}Details": details,
        "StepSucceededDetails": details,
        "Extra": canary,
    }

    assert survivors(redact({"Events": [event, canary]})) == []
    assert survivors(redact({"Events": canary})) == []


@pytest.mark.parametrize(
    ("kind", "is_class"),
    [
        *[(each, True) for each in ("ValueError", "java.io.IOException", "*errors.errorString")],
        *[(each, True) for each in ("app::Failed", "Callback.Timeout", "Outer$Inner", "List`1[T]")],
        *[(each, True) for each in ("app.make.<locals>.Failed", "Failed<app::Why, T>", "E")],
        *[
            (each, False)
            for each in ("password:hunter", "zoe/owes:much", "42abc", "a.b.", "zoe, x")
        ],
    ],
)
def test_an_error_type_stays_where_it_can_be_the_name_of_a_class(kind: str, is_class: bool) -> None:
    assert (redact({"Error": {"ErrorType": kind}})["Error"]["ErrorType"] == kind) is is_class


@pytest.mark.parametrize("operation_id", ["078-051-120", "007", "0001-1"])
def test_an_id_with_leading_zeros_is_no_position(operation_id: str) -> None:
    event = {**ended("1"), "Id": operation_id, "ParentId": operation_id}
    [redacted] = redact({"Events": [event]})["Events"]

    assert (operation_id in redacted.values()) is (len(operation_id) < SHORT)


def test_a_version_of_six_digits_is_none() -> None:
    assert redact({"Version": "918273"})["Version"] != "918273"
    assert redact({"Version": "91827"})["Version"] == "91827"


# -- payloads ------------------------------------------------------------------------------------


def ended(payload: Any, kind: str = "StepSucceeded", sub_type: str = "Step", id: str = HASH) -> Any:
    return {
        "EventType": kind,
        "SubType": sub_type,
        "EventId": 2,
        "EventTimestamp": ENDED,
        "Id": id,
        "Name": "charge",
        f"{kind}Details": {"Result": {"Payload": payload, "Truncated": False}},
    }


SPELLINGS = {
    "text": json.dumps(TEXT),
    "no JSON": TEXT,
    "half of a JSON text": '{"who": "Zebra quill 7", "x',
    "escaped": '"\\u005a\\u0065bra qu\\u0069ll 7"',
    "every character escaped": '"' + "".join(f"\\u{ord(c):04X}" for c in TEXT) + '"',
    "key with a space": json.dumps({TEXT: None}),
    "number": "918273645546",
    "number with an exponent": "918273645546e2",
    "exponent": "1e918273645546",
    "fraction": "-918273.645546",
    "key that is a number": '{"918273645546": 1}',
    "key that is a value elsewhere": '{"zebra": 1, "who": "zebra"}',
    "field twice": '{"a": "Zebra", "a": "quill"}',
    "JSON five deep": json.dumps(json.dumps(json.dumps(json.dumps(json.dumps({"who": TEXT}))))),
    "list in a text": json.dumps(json.dumps([TEXT, NUMBER])),
    "base64": json.dumps(BASE64),
    "a tag that is none": json.dumps({"t": "zebra", "v": TEXT}),
    "a tag's value": json.dumps({"t": "i", "v": NUMBER}),
    "bytes": json.dumps({"t": "B", "v": BASE64}),
    "tagged map": json.dumps({"t": "m", "v": {TEXT: {"t": "s", "v": TEXT}}}),
    "spaces": '"Zebra  quill  7"',
    "token as a key": json.dumps({"AKIAZEBRA918273645546": 1}),
    "after a byte order mark": "\ufeff" + json.dumps(TEXT),
    "lone surrogate": '"\\ud800 Zebra quill"',
    "not a number": "[NaN, 918273645546]",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("kind", ["StepSucceeded", "ContextSucceeded", "CallbackSucceeded"])
def test_no_spelling_of_a_payload_lets_a_canary_through(kind: str, spelling: str) -> None:
    payload = SPELLINGS[spelling]
    document = {"InputPayload": payload, "Result": payload, "Events": [ended(payload, kind)]}

    assert survivors(redact(document)) == []


def test_a_tag_of_a_document_that_is_no_envelope_is_a_value() -> None:
    [event] = redact({"Events": [ended('{"t": "br", "who": 1}')]})["Events"]
    document = json.loads(event["StepSucceededDetails"]["Result"]["Payload"])

    assert document["t"] != "br"


# -- what looks like a summary -------------------------------------------------------------------

COUNTS = {
    "totalCount": 2,
    "successCount": 2,
    "failureCount": 0,
    "completionReason": "ALL_COMPLETED",
}
PYTHON = {
    "type": "MapResult",
    **COUNTS,
    "startedIndexes": [],
    "startedCount": 0,
    "status": "SUCCEEDED",
}
OLD_PYTHON = {**COUNTS, "status": "SUCCEEDED", "type": "MapResult"}
OLD_PARALLEL = {**COUNTS, "status": "SUCCEEDED", "startedCount": 0, "type": "ParallelResult"}
JAVASCRIPT = {"type": "MapResult", **COUNTS, "status": "SUCCEEDED", "itemStatuses": "SS"}
DAG = {"type": "DagResult", **COUNTS, "skippedCount": 0, "status": "SUCCEEDED"}
JAVA = {
    "items": [{"status": "SUCCEEDED", "result": None, "error": None}],
    "completionReason": "ALL_COMPLETED",
}
JAVA_PARALLEL = {
    "size": 1,
    "succeeded": 1,
    "failed": 0,
    "skipped": 0,
    "completionStatus": "ALL_COMPLETED",
    "statuses": ["SUCCEEDED"],
}
DOTNET = {
    "CompletionReason": "ALL_COMPLETED",
    "Units": [{"Index": 0, "Name": "a", "Status": "SUCCEEDED"}],
}
COMPACT = {"CompletionReason": "ALL_COMPLETED", "UnitStatuses": "2SF", "NamesDropped": True}
INLINE = {
    "all": [{"index": 0, "status": "SUCCEEDED", "result": None}, {"index": 1, "status": "STARTED"}],
    "completionReason": "MIN_SUCCESSFUL_REACHED",
}
TAGGED = {
    "t": "br",
    "v": {
        "all": {
            "t": "l",
            "v": [
                {
                    "t": "m",
                    "v": {
                        "index": {"t": "i", "v": 0},
                        "status": {"t": "s", "v": "SUCCEEDED"},
                        "result": {"t": "n", "v": None},
                        "error": {"t": "n", "v": None},
                    },
                }
            ],
        },
        "completionReason": {"t": "s", "v": "ALL_COMPLETED"},
    },
}
SUMMARIES: dict[str, tuple[Any, str, Any]] = {
    "Python 2.0 to 3.0": (PYTHON, "Map", BLAKE2B),
    "Python 1.x, a map": (OLD_PYTHON, "Map", BLAKE2B),
    "Python 1.x, a parallel": (OLD_PARALLEL, "Parallel", BLAKE2B),
    "Python, whole": (TAGGED, "Map", BLAKE2B),
    "JavaScript": (JAVASCRIPT, "Map", MD5),
    "JavaScript, whole": (INLINE, "Map", MD5),
    "a DAG": (DAG, "Dag", MD5),
    "Rust, whole": (INLINE, "Map", SHA256_OF_PATH),
    "Java, a map": (JAVA, "Map", SHA256),
    "Java, a parallel": (JAVA_PARALLEL, "Parallel", SHA256),
    ".NET": (DOTNET, "Map", SHA256),
    ".NET, compact": (COMPACT, "Map", SHA256),
}
every_summary = pytest.mark.parametrize("name", SUMMARIES)


def history_of(payload: str, sub_type: str, scheme: Any) -> Any:
    """A history that the SDK with this scheme of ids wrote, to the last: unchained ids too."""
    step = ended('"x"', id=scheme.id_at([2, 1]))
    step["ParentId"] = scheme.id_at([2])
    around = ended('""', "ContextSucceeded", "RunInChildContext", scheme.id_at([2]))
    batch = ended(payload, "ContextSucceeded", sub_type, scheme.id_at([1]))
    return {"Events": [batch, around, step]}


def redacted_summary(summary: Any, sub_type: str, scheme: Any) -> Any:
    payload = summary if isinstance(summary, str) else json.dumps(summary)
    batch = redact(history_of(payload, sub_type, scheme))["Events"][0]
    return batch["ContextSucceededDetails"]["Result"]["Payload"]


@every_summary
def test_what_an_sdk_wrote_of_its_units_stays(name: str) -> None:
    summary, sub_type, scheme = SUMMARIES[name]

    assert json.loads(redacted_summary(summary, sub_type, scheme)) == summary
    assert redact(history_of(json.dumps(summary), sub_type, scheme))["Redacted"]["Summaries"] == 1


@every_summary
@pytest.mark.parametrize("form", FORMS)
def test_no_place_of_a_summary_lets_a_canary_through(name: str, form: str) -> None:
    summary, sub_type, scheme = SUMMARIES[name]
    for path in places(summary):
        if (path[-1] == "Name" and form in NAME_FORMS) or form == "field-like key":
            continue  # names of units, and of fields in a payload
        changed = with_canary(summary, path, FORMS[form])
        redacted = redacted_summary(changed, sub_type, scheme)
        assert survivors([redacted, json.loads(redacted)]) == [], path


@every_summary
@pytest.mark.parametrize("form", FORMS)
def test_no_field_beside_those_of_a_summary_lets_a_canary_through(name: str, form: str) -> None:
    summary, sub_type, scheme = SUMMARIES[name]
    inside = [(), *(path for path in places(summary) if isinstance(_at(summary, path), dict))]
    for path in inside:
        for field in ("note", "summary", "name", "email", TEXT):
            if form == "field-like key":
                continue  # the name of a field in a payload
            changed = with_canary(summary, (*path, field), FORMS[form])
            redacted = redacted_summary(changed, sub_type, scheme)
            assert survivors([redacted, json.loads(redacted)]) == [], (path, field)


@every_summary
def test_words_that_stand_twice_are_no_sdks(name: str) -> None:
    summary, sub_type, scheme = SUMMARIES[name]
    payload = json.dumps(summary)
    for first in ('{"status": "Zebra", ', '{"completionReason": "Zebra", ', '{"Units": "Zebra", '):
        assert survivors(redacted_summary(first + payload[1:], sub_type, scheme)) == []


@pytest.mark.parametrize(
    "document",
    [
        {"items": [{"Name": "Zebra", "type": "VISA 918273", "status": "owes quill"}]},
        {"items": [{"status": "Zebra"}], "statuses": ["quill paid"]},
        {"statuses": ["Zebra", "quill"]},
        {"UnitStatuses": "9S", "CompletionReason": "Zebra"},
        {"UnitStatuses": "918273645546S", "CompletionReason": "ALL_COMPLETED"},
        {**PYTHON, "totalCount": 918273645546, "successCount": 918273645546},
        {**PYTHON, "startedIndexes": [918273]},
        {**OLD_PYTHON, "totalCount": 918273645546},
        {**JAVASCRIPT, "itemStatuses": "Zebra"},
        {**DOTNET, "Units": [{"Index": 918273645546, "Name": "a", "Status": "SUCCEEDED"}]},
        {**DOTNET, "Units": [{"Index": 0, "Name": "a", "Status": "Zebra"}]},
        {"all": [{"index": 0, "name": "Zebra", "status": "SUCCEEDED"}], "completionReason": "X"},
        {"all": [{"index": 0, "name": TEXT, "status": "SUCCEEDED"}], "completionReason": "Z"},
        {"all": [{"index": 0, "name": "map-item-918273645546", "status": "SUCCEEDED"}]},
        # Nearly what an SDK writes, but for numbers that can't be of that many units.
        {**INLINE, "all": [{"index": 91827, "status": "SUCCEEDED"}]},
        {**INLINE, "all": [{"index": 0, "name": "map-item-91827", "status": "SUCCEEDED"}]},
        {**DOTNET, "Units": [{"Index": 91827, "Name": "a", "Status": "SUCCEEDED"}]},
        json.loads(json.dumps(TAGGED).replace('"v": 0', '"v": 91827')),
        {**PYTHON, "totalCount": 918273, "successCount": 918273},
        {**JAVASCRIPT, "totalCount": 91827},
        {**OLD_PYTHON, "totalCount": 91827},
        {**DAG, "totalCount": 91827},
        {**COMPACT, "UnitStatuses": "918273S"},
        {**COMPACT, "UnitStatuses": "91827S91827S"},
        {**COMPACT, "UnitStatuses": "91827S91827F"},
        {"type": "Zebra", "totalCount": 1},
        {"status": "Zebra", "completionReason": "quill", "type": "MapResult", "totalCount": 1},
    ],
)
@pytest.mark.parametrize("scheme", [BLAKE2B, MD5, SHA256, SHA256_OF_PATH])
def test_a_document_of_the_users_with_the_words_of_summaries_is_a_document(
    document: Any, scheme: Any
) -> None:
    for sub_type in ("Map", "Parallel", "Dag"):
        redacted = redacted_summary(document, sub_type, scheme)
        assert survivors([redacted, json.loads(redacted)]) == []
        assert "91827" not in redacted


def test_the_form_of_another_sdk_than_wrote_the_history_is_a_document_of_the_users() -> None:
    for name, (summary, sub_type, scheme) in SUMMARIES.items():
        for other in (BLAKE2B, SHA256):
            if scheme is not other and sub_type != SubType.DAG and summary is not INLINE:
                redacted = redacted_summary(summary, sub_type, other)
                if summary not in (OLD_PYTHON, OLD_PARALLEL):
                    assert json.loads(redacted) != summary, (name, other.name)


# -- identifiers in names ------------------------------------------------------------------------

IDENTIFIERS = [
    "246813579246",
    "5f0c1f6e-3a55-4b4c-9d41-6a1b7f0f2c11",
    "5F0C1F6E-3A55-4B4C-9D41-6A1B7F0F2C11",
    "5f0c1f6e3a554b4c9d416a1b7f0f2c11",
    "a3f09c2e",
    "zoe.example@example.com",
    "4111111111111111",
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "+49 170 1234567",
    "(555) 123-4567",
    "123-45-6789",
    "DE89 3704 0044 0532 0130 00",
    "arn:aws:s3:::zoes-bucket/letter.pdf",
    "arn:aws:iam::246813579246:role/zoe",
    "AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "em9lLmV4YW1wbGVAZXhhbXBsZS5jb20=",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ6b2UifQ.c2lnbmF0dXJl",
    "https://example.com/users/zoe",
    "10.20.30.40",
    "ghp_abcdefghijklmnop1234",
    "sk_live_abcdefgh1234",
    "10004711",
]
every_identifier = pytest.mark.parametrize("identifier", IDENTIFIERS)


@every_identifier
@pytest.mark.parametrize("around", ["{}", "charge {}", "charge {} again", "order-{}", "order_{}"])
def test_an_identifier_in_a_name_is_replaced_and_the_rest_of_the_name_stays(
    identifier: str, around: str
) -> None:
    name = around.format(identifier)
    document = {
        "DurableExecutionName": name,
        "Events": [
            {**ended('"x"'), "Name": name},
            {**ended(json.dumps(DOTNET), "ContextSucceeded", "Map"), "Name": name},
        ],
    }
    redacted = redact(document)

    assert identifier not in json.dumps(redacted)
    kept = redacted["Events"][0]["Name"]
    assert kept == redacted["DurableExecutionName"]
    assert kept == redacted["Events"][1]["Name"]
    assert len(kept) == len(name)
    if " " in around:  # what is joined to an address or a URL may be a part of it
        assert kept.startswith(around.partition("{}")[0])
        assert kept.endswith(around.partition("{}")[2])


OTHER_SURROUNDINGS = [
    *("order{246813579246}Prod", "chargeCard{4111111111111111}Now", "user{AKIAIOSFODNN7EXAMPLE}"),
    *("order{5f0c1f6e-3a55-4b4c-9d41-6a1b7f0f2c11}", "{5f0c1f6e_3a55_4b4c_9d41_6a1b7f0f2c11}-x"),
    *("of_{4111_1111_1111_1111}", "{4111/1111/1111/1111}", "{4111:1111:1111:1111}", "{12,345,678}"),
    *("call {06.12.34.56.78}", "call {06-12-34-56-78}", "call {+49 (0)30 / 1234567}"),
    *("{DE89_3704_0044_0532_0130_00}", "ssn-{078_05_1120}", "{1HGCM82633A004352}", "{C01X00T47}"),
    *("{AROAEXAMPLEIDZEBRA12}", "{01ARZ3NDEKTSV4RRFFQ69G5FAV}", "{cjld2cjxh0000qzrmn831i7rn}"),
    *("{glpat-abcdefABCDEF12345678}", "{AIzaSyD-abcdefghij_klmnopqrstuvwx123456}"),
    *("{0x1234abcd}", "{deadbeefcafebabe}", "{2001:db8::8a2e:370:7334}", "{00:1A:2B:3C:4D:5E}"),
    *("ip-{10-0-12-254}", "{ARN:AWS:S3:::zoes-bucket}", "{HTTPS://EXAMPLE.COM/ZOE}"),
    *("my{arn:aws-cn:s3:::zoes-bucket}", "{arn:aws-us-gov:iam::246813579246:user/zoe}"),
    *("at {www.example.com/zoe}", "{zoe%40example.com}", "{zoe(at)example.com}"),
    # With the digits, dashes, spaces and signs of other scripts, and what can't be seen.
    *("{\uff11\uff12\uff13\uff14\uff15\uff16\uff17}", "{\u0661\u0662\u0663\u0664\u0665\u0666}"),
    *("{4111\u20131111\u20131111\u20131111}", "{4111\xa01111\xa01111\xa01111}"),
    *("{4111\u200b1111\u200b1111\u200b1111}", "{zoe\uff20example.com}", "{zoe@example\u3002com}"),
]


@pytest.mark.parametrize("spelled", OTHER_SURROUNDINGS)
def test_an_identifier_in_other_surroundings_or_signs_is_replaced_alone(spelled: str) -> None:
    before, _, rest = spelled.partition("{")
    identifier, _, after = rest.partition("}")
    name = before + identifier + after
    kept = redact({"Events": [{**ended('"x"'), "Name": name}]})["Events"][0]["Name"]

    assert len(kept) == len(name)
    assert kept.startswith(before)
    assert kept.endswith(after)
    assert all(part not in kept for part in re.findall(r"\w{4,}", identifier))
    assert identifier not in kept


@pytest.mark.parametrize(
    "name",
    [
        "charge",
        "step_1_2_3",
        "at 10:30:00",
        "2026_11_01",
        "2026-11-01 10:30:00",
        "std::io::Error",
        "generateReport2026Q4Final",
        "défi à Zürich — 第3章",
        "2-1-4-10-12",
        "page-17",
        "map-item-3",
        "processOrderForCustomer2WithRetry",
        "build_report_for_all_customers",
        "report 2026-11-01",
        "v1.2.3",
        "items 100-199",
        "retry 3 of 10",
        "stage2/build/artifact",
    ],
)
def test_words_dates_and_small_numbers_in_a_name_stay(name: str) -> None:
    assert redact({"Events": [{**ended('"x"'), "Name": name}]})["Events"][0]["Name"] == name


@every_identifier
def test_an_identifier_has_the_same_stand_in_in_a_name_and_in_the_input(identifier: str) -> None:
    payload = json.dumps({"who": identifier})
    document = {"InputPayload": payload, "Events": [{**ended('"x"'), "Name": f"for {identifier}"}]}
    redacted = redact(document)

    given_ = json.loads(redacted["InputPayload"])["who"]
    assert redacted["Events"][0]["Name"] == f"for {given_}"


def test_a_number_and_its_numeral_have_the_same_stand_in() -> None:
    payload = json.dumps({"number": 4711471147, "numeral": "4711471147"})
    document = {"InputPayload": payload, "Events": [{**ended('"x"'), "Name": "for 4711471147"}]}
    redacted = redact(document)
    given_ = json.loads(redacted["InputPayload"])

    assert str(given_["number"]) == given_["numeral"]
    assert redacted["Events"][0]["Name"] == f"for {given_['numeral']}"


def test_operations_with_other_identifiers_keep_other_names() -> None:
    names = [f"order {4711000000 + number}" for number in range(200)]
    events = [{**ended('"x"'), "Name": name, "EventId": n} for n, name in enumerate(names, 1)]

    assert len({event["Name"] for event in redact({"Events": events})["Events"]}) == len(names)


# -- anything anywhere ---------------------------------------------------------------------------

WORDS = [
    *["Payload", "Truncated", "Result", "Error", "Input", "RetryDetails", "StackTrace", "Reason"],
    *["ErrorType", "ErrorMessage", "ErrorData", "t", "v", "all", "index", "status", "type"],
    *["completionReason", "totalCount", "Units", "Index", "Status", "items", "statuses", "summary"],
    *["Id", "ParentId", "EventId", "EventTimestamp", "SubType", "Version", "Other", "note"],
]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(0, 9)
    | st.sampled_from(["SUCCEEDED", "MapResult", "ALL_COMPLETED", "br", "m", "x", ENDED, ""])
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
        | inner.map(json.dumps)
    ),
    max_leaves=8,
)


@st.composite
def planted(draw: st.DrawFn) -> Any:
    """A document of the words that histories have, with a canary in one place of it."""
    kind = draw(st.sampled_from([*EVENTS, "LoopStarted"]))
    event = {
        **draw(st.dictionaries(st.sampled_from(WORDS), ANYTHING, max_size=4)),
        "EventType": kind,
        "SubType": draw(st.sampled_from(["Step", "Map", "Parallel", "Dag"])),
        details_key(kind): draw(st.dictionaries(st.sampled_from(WORDS), ANYTHING, max_size=4)),
    }
    record = draw(st.dictionaries(st.sampled_from([*sorted(RECORD_KEYS), *WORDS]), ANYTHING))
    document = {**record, "Events": [event]}
    canary = draw(st.sampled_from([*FORMS.values(), *SPELLINGS.values()]))
    path = draw(st.sampled_from(places(document)))
    return with_canary(document, path, canary), path


@given(planted())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_canary_in_any_place_of_any_document_is_not_in_what_comes_out(planted: Any) -> None:
    document, path = planted
    if path[-1] in NAMES:
        return
    assert survivors(redact(document)) == [], path
