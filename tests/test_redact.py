"""What a redacted history keeps of the one it was made of, and what it doesn't."""

import copy
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from durable_cli.app import run
from durable_core.adapters.history_file import history_of_document
from durable_core.batches.reconstruct import updates_of
from durable_core.errors import UsageError
from durable_core.explaining.explain import explain
from durable_core.redaction.disguise import disguise_json
from durable_core.redaction.fakes import Fakes, Originals
from durable_core.redaction.keep_paths import parse_keep_path
from durable_core.redaction.redact import has_secret_ids, redact, redaction_key
from durable_core.sdks import SDKS
from durable_core.summaries.reading import read_summary

FIXTURES = Path(__file__).parent.parent / "fixtures"
HISTORIES = sorted((FIXTURES / "histories").glob("*.json"))
ARN = (
    "arn:aws:lambda:eu-west-1:246813579246:function:orders:7/durable-execution/order-1/"
    "5f0c1f6e-3a55-4b4c-9d41-6a1b7f0f2c11"
)

every_history = pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)


def document_of(path):
    """The history with an execution's record beside it, as `durable fetch` writes it."""
    document = json.loads(path.read_bytes())
    record = {"DurableExecutionArn": ARN}
    for event in document["Events"]:
        if event["EventType"].startswith("Execution"):
            details = event.get(f"{event['EventType']}Details") or {}
            for field, name in (
                ("Input", "InputPayload"),
                ("Result", "Result"),
                ("Error", "Error"),
            ):
                if field in details and "Payload" in details[field]:
                    record[name] = details[field]["Payload"]
    return {**record, **document}


def started(**details):
    return {
        "EventType": "ExecutionStarted",
        "EventId": 1,
        "EventTimestamp": "2026-11-01T10:00:00.000Z",
        "Id": "run",
        "ExecutionStartedDetails": details,
    }


def step_ended(payload, name="charge", event_id=2):
    return {
        "EventType": "StepSucceeded",
        "SubType": "Step",
        "EventId": event_id,
        "EventTimestamp": "2026-11-01T10:00:01.000Z",
        "Id": f"step-{event_id}",
        "Name": name,
        "StepSucceededDetails": {"Result": {"Payload": payload, "Truncated": False}},
    }


def redacted_payload(payload, *keep, name="charge"):
    document = {"Events": [step_ended(payload, name)]}
    [event] = redact(document, [parse_keep_path(each) for each in keep])["Events"]
    return event["StepSucceededDetails"]["Result"]["Payload"]


def secrets(document):
    """Every place of a document whose content has to go, as (path, text)."""
    for index, event in enumerate(document["Events"]):
        details = event.get(f"{event['EventType']}Details") or {}
        for field in ("Result", "Input", "Reason"):
            payload = (details.get(field) or {}).get("Payload")
            if payload:
                yield (index, field), payload
        error = (details.get("Error") or {}).get("Payload") or {}
        for field in ("ErrorMessage", "ErrorData"):
            if error.get(field):
                yield (index, field), error[field]
        for number, line in enumerate(error.get("StackTrace") or ()):
            yield (index, "StackTrace", number), line
        for field in ("CallbackId", "RequestId", "TenantId"):
            if details.get(field):
                yield (index, field), details[field]


def values_in(text):
    """The strings in a payload; all of it when it isn't JSON."""
    try:
        value = json.loads(text)
    except ValueError:
        return [text]
    found, todo = [], [value]
    while todo:
        each = todo.pop()
        if isinstance(each, str):
            found.append(each)
        elif isinstance(each, dict):
            todo += each.values()
        elif isinstance(each, list):
            todo += each
    return found


def shape_of(value):
    match value:
        case dict():
            return {key: shape_of(each) for key, each in value.items()}
        case list():
            return [shape_of(each) for each in value]
        case bool() | None:
            return value
        case str():
            return "", len(value.encode("utf-8", "surrogatepass"))
    return type(value).__name__


WORDS_OF_SUMMARIES = re.compile(
    "SUCCEEDED|FAILED|STARTED|SKIPPED|ALL_COMPLETED|COMPLETED_WITH_FAILURES|DagResult|MIN_SUCCESSFUL_REACHED|MapResult|ParallelResult"
    "|FAILURE_TOLERANCE_EXCEEDED|[SF-]+"
)


def is_summary(document, path):
    event = document["Events"][path[0]]
    stores = event.get("SubType") in ("Map", "Parallel", "Dag")
    return stores and event["EventType"] == "ContextSucceeded"


# -- laws, over every fixture --------------------------------------------------------------------


@every_history
def test_no_original_text_of_four_characters_survives(path):
    document = document_of(path)
    redacted = redact(document)
    places = dict(secrets(redacted))
    payloads = {text for _, text in secrets(document)}
    originals = {
        text
        for where, secret in secrets(document)
        for text in values_in(secret)
        # A payload of names and words only ({"approved": true}) is its own shape.
        if not (text in payloads and text != secret)
        if len(text) >= 4 and re.search("[!#-\\[\\]-~\x80-\U0010ffff]", text)
        if not WORDS_OF_SUMMARIES.fullmatch(text)
        if not (is_summary(document, where) and text in read_summary(secret).names.values())
    }
    whole = json.dumps(redacted, ensure_ascii=False)
    kept = [ARN, *re.findall('"(?:Name|SubType|ErrorType)": "[^"]*"', whole)]

    for original in originals:
        for where, text in places.items():
            decoded = values_in(text)
            assert not any(original in each for each in (text, *decoded)), (where, original[:80])
        assert original not in whole or original in "\n".join(kept), original[:80]
    assert "246813579246" not in whole


@every_history
def test_the_explanation_stays_the_same_but_for_what_is_quoted(path):
    document = document_of(path)

    def picture(document):
        report = explain(history_of_document("it", document))

        def without_texts(row):
            why = re.sub(r"(error [^:]*|failed with ).*", r"\1", row.why, flags=re.DOTALL)
            return replace(row, error=None, why=why, payload=None)

        return replace(
            report,
            rows=tuple(map(without_texts, report.rows)),
            arn=None,
            error=None,
            warnings=tuple(each for each in report.warnings if not each.startswith("redacted")),
            reasons=tuple(replace(each, text="") for each in report.reasons),
            pauses=tuple(replace(each, reason=None, resume_reason=None) for each in report.pauses),
        )

    assert picture(redact(document)) == picture(document)


@every_history
def test_every_estimate_of_every_sdk_stays_the_same(path):
    def sizes(document):
        return [
            (rules.sdk, update.id, rules.estimate(update), rules.exact(update))
            for invocation in updates_of(history_of_document("it", document).events)
            for update in invocation.updates
            for rules in SDKS.values()
        ]

    document = document_of(path)

    assert sizes(redact(document)) == sizes(document)


@every_history
def test_every_request_is_planned_as_before(path, tmp_path, capsys):
    def planned(document):
        file = tmp_path / "it.json"
        file.write_text(json.dumps(document))
        run(["inspect-batch", str(file), "--format", "json", "--compare"])
        report = json.loads(capsys.readouterr().out)
        return {**report, "notes": [each for each in report["notes"] if "redacted" not in each]}

    document = document_of(path)

    assert planned(redact(document)) == planned(document)


@every_history
def test_every_payload_keeps_its_size_and_its_shape(path):
    document = document_of(path)
    before, after = dict(secrets(document)), dict(secrets(redact(document)))

    assert before.keys() == after.keys()
    for where, text in before.items():
        assert len(after[where].encode()) == len(text.encode())
        try:
            value = json.loads(text)
        except ValueError:
            continue
        keys = json.dumps(shape_of(value), sort_keys=True)
        # A key that is a value elsewhere ("balance") is replaced with it.
        assert len(json.dumps(shape_of(json.loads(after[where])), sort_keys=True)) == len(keys)


@every_history
def test_what_a_map_or_parallel_stored_reads_as_before(path):
    document = document_of(path)
    after = dict(secrets(redact(document)))

    for where, text in secrets(document):
        if is_summary(document, where):
            assert without_errors(read_summary(after[where])) == without_errors(read_summary(text))


def without_errors(summary):
    return None if summary is None else replace(summary, errors={})


@every_history
def test_the_document_that_is_redacted_is_not_changed(path):
    document = document_of(path)
    before = copy.deepcopy(document)

    redact(document)

    assert document == before


@every_history
def test_redacting_twice_gives_the_same(path):
    assert redact(document_of(path)) == redact(document_of(path))


# -- laws of the texts ---------------------------------------------------------------------------

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


def disguised(text):
    originals = Originals()
    disguise_json(text, originals)
    return disguise_json(text, Fakes(b"key", originals.texts)), originals.texts


@given(ANY_JSON, st.booleans())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_json_keeps_its_measures_and_stays_json(value, is_ascii):
    text = json.dumps(value, ensure_ascii=is_ascii)
    fake, _ = disguised(text)

    json.loads(fake)
    assert len(fake) == len(text)
    assert len(fake.encode("utf-8", "surrogatepass")) == len(text.encode("utf-8", "surrogatepass"))
    assert len(fake.encode("utf-16", "surrogatepass")) == len(
        text.encode("utf-16", "surrogatepass")
    )
    assert len(json.dumps(fake)) == len(json.dumps(text))


@given(ANY_JSON)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_value_of_any_json_survives(value):
    fake, originals = disguised(json.dumps(value))
    values = values_in(fake)

    for original in originals:
        # What JSON escapes in two characters stays: it tells nothing.
        if re.search("[!#-\\[\\]-~\x80-\ud7ff\ue000-\U0010ffff]|  ", original):
            assert not any(original in each for each in values)


@given(st.text())
@settings(deadline=None)
def test_a_text_that_is_not_json_is_replaced_as_a_whole(text):
    fake, originals = disguised(text)

    assert len(fake.encode("utf-8", "surrogatepass")) == len(text.encode("utf-8", "surrogatepass"))
    if re.search("[a-z]", text) and text in originals:
        assert fake != text


@given(st.lists(st.text(min_size=4), unique=True, max_size=30))
@settings(deadline=None)
def test_different_texts_get_different_stand_ins(texts):
    texts = [text for text in texts if re.search("[A-Za-z]{4}", text)]
    fakes = Fakes(b"key", texts)

    assert len({fakes.text(text) for text in texts}) == len(texts)


def test_a_stand_in_depends_on_the_key():
    assert Fakes(b"one").text("Zoë Example") != Fakes(b"two").text("Zoë Example")


def test_the_key_follows_from_the_whole_document():
    one, other = {"Events": [step_ended('"a"')]}, {"Events": [step_ended('"b"')]}

    assert redaction_key(one) == redaction_key(copy.deepcopy(one)) != redaction_key(other)


def test_a_document_without_request_ids_has_nothing_that_cannot_be_guessed():
    ended = {"EventType": "InvocationCompleted", "InvocationCompletedDetails": {"RequestId": "x"}}

    assert not has_secret_ids({"Events": [step_ended('"a"')]})
    assert has_secret_ids({"Events": [ended]})


@pytest.mark.parametrize(
    ("original", "form"),
    [
        ("2026-11-01", r"20\d\d-0[1-9]-1\d"),
        ("2026-11-01T10:20:30.123456+02:00", r"20\d\d-0[1-9]-1\dT1\d:2\d:3\d\.\d{6}\+02:00"),
        ("2026-11-01 10:20", r"20\d\d-0[1-9]-1\d 1\d:2\d"),
        ("4111111111111111", r"[1-9]\d{15}"),
        ("-12.50", r"-[1-9]\d\.\d\d"),
        ("5f0c1f6e-3a55-4b4c-9d41-6a1b7f0f2c11", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    ],
)
def test_a_moment_a_numeral_and_a_uuid_stay_such(original, form):
    fake = Fakes(b"key").text(original)

    assert re.fullmatch(form, fake)
    assert fake != original


def test_json_inside_of_json_keeps_its_shape():
    body = json.dumps({"Records": [{"body": json.dumps({"order": "A-17", "n": 3})}]})
    inner = json.loads(json.loads(redacted_payload(body))["Records"][0]["body"])

    assert inner.keys() == {"order", "n"}
    assert inner["order"] != "A-17"


def test_the_type_tags_of_the_python_sdk_stay_so_that_a_handler_can_read_a_stand_in():
    payload = json.dumps({"t": "dt", "v": "2026-11-01T10:20:30+00:00"})
    fake = json.loads(redacted_payload(payload))

    assert fake["t"] == "dt"
    assert fake["v"] != "2026-11-01T10:20:30+00:00"


@pytest.mark.parametrize("key", ["alice@example.com", "Zoë Example", "customer-4711"])
def test_a_key_that_is_data_is_replaced(key):
    fake = json.loads(redacted_payload(json.dumps({key: 1, "amount": 2})))

    assert key not in fake
    assert "amount" in fake


def test_a_key_that_is_also_a_value_is_replaced_by_the_same_stand_in():
    fake = json.loads(redacted_payload('{"alice": 1, "who": "alice"}'))

    assert fake.keys() == {fake["who"], "who"}


# -- what else is in a document ------------------------------------------------------------------


def test_the_same_text_gets_the_same_stand_in_wherever_it_is():
    document = {
        "InputPayload": '{"customer": "Zoë Example"}',
        "Events": [
            started(Input={"Payload": '{"customer": "Zoë Example"}'}),
            step_ended('["Zoë Example"]'),
        ],
    }
    redacted = redact(document)
    first, second = redacted["Events"]

    given_ = json.loads(redacted["InputPayload"])["customer"]
    assert json.loads(first["ExecutionStartedDetails"]["Input"]["Payload"])["customer"] == given_
    assert json.loads(second["StepSucceededDetails"]["Result"]["Payload"]) == [given_]


def test_account_ids_become_those_of_examples_and_arns_stay_arns():
    other = ARN.replace("246813579246", "135792468135")
    invoked = {
        "EventType": "ChainedInvokeStarted",
        "EventId": 2,
        "EventTimestamp": 1.5,
        "Id": "a",
        "Name": "ask",
        "ChainedInvokeStartedDetails": {
            "FunctionName": "arn:aws:lambda:eu-west-1:135792468135:function:accounts",
            "TenantId": "tenant-17",
            "DurableExecutionArn": other,
            "ExecutedVersion": "12",
        },
    }
    redacted = redact({"DurableExecutionArn": ARN, "Events": [invoked]})
    details = redacted["Events"][0]["ChainedInvokeStartedDetails"]

    assert redacted["DurableExecutionArn"] == ARN.replace("246813579246", "111122223333")
    assert details["DurableExecutionArn"] == ARN.replace("246813579246", "444455556666")
    assert details["FunctionName"].endswith(":444455556666:function:accounts")
    assert details["ExecutedVersion"] == "12"
    assert len(details["TenantId"]) == len("tenant-17")
    assert details["TenantId"] != "tenant-17"


def test_texts_in_fields_that_are_not_known_are_replaced():
    event = {
        **step_ended('"a"'),
        "Note": "secret one",
        "Other": {"deep": ["secret two"], "At": 1, "SeenTimestamp": "2026-11-01T10:00:00Z"},
        "LastTimestamp": "secret five",
    }
    unknown = {
        "EventType": "LoopStarted",
        "EventId": 3,
        "EventTimestamp": 1.5,
        "LoopStartedDetails": {"Result": {"Payload": "secret three"}},
    }
    odd = {"EventType": "StepFailed", "StepFailedDetails": "secret six", "EventId": 4}
    events = [event, unknown, odd, {"EventType": 7, "EventId": 5}]
    redacted = redact({"TraceHeader": {"XAmznTraceId": "secret four"}, "Events": events})
    text = json.dumps(redacted)

    assert "secret" not in text
    assert "2026-11-01T10:00:00Z" not in text
    assert "LoopStarted" in text


def test_an_error_keeps_its_type_and_loses_everything_else():
    error = {
        "ErrorType": "builtins.ValueError",
        "ErrorMessage": 'no such account: "alice"',
        "ErrorData": '{"account": "alice"}',
        "StackTrace": ['  File "/var/task/app.py", line 3, in handler'],
    }
    redacted = redact({"Status": "FAILED", "Error": error, "Events": []})["Error"]

    assert redacted["ErrorType"] == "builtins.ValueError"
    assert list(json.loads(redacted["ErrorData"])) == ["account"]
    assert "alice" not in json.dumps(redacted)
    assert "app.py" not in json.dumps(redacted)


def test_a_redacted_history_says_that_it_is_one_and_still_loads():
    history = history_of_document("it", redact({"Events": [started()]}))

    assert history.is_redacted
    assert history.warnings[0].startswith("redacted: ")
    assert not history_of_document("it", {"Events": [started()]}).is_redacted


# -- what is kept --------------------------------------------------------------------------------

ORDER = json.dumps({"id": "A-17", "items": [{"sku": "pear", "n": 2}], "to": {"sku": "plum"}})


@pytest.mark.parametrize(
    ("path", "kept", "gone"),
    [
        ("charge", ["A-17", "pear", "plum"], []),
        ("$.charge", ["A-17", "pear", "plum"], []),
        ("charge.id", ["A-17"], ["pear", "plum"]),
        ("charge.items[0].sku", ["pear"], ["A-17", "plum"]),
        ("charge.items[1]", [], ["A-17", "pear", "plum"]),
        ("charge.items[*].sku", ["pear"], ["A-17", "plum"]),
        ("charge..sku", ["pear", "plum"], ["A-17"]),
        ("*..id", ["A-17"], ["pear", "plum"]),
        ("['charge']['to']", ["plum"], ["A-17", "pear"]),
        ("refund", [], ["A-17", "pear", "plum"]),
        ("step-2.id", ["A-17"], ["pear", "plum"]),
    ],
)
def test_a_path_keeps_what_it_leads_to(path, kept, gone):
    fake = redacted_payload(ORDER, path)

    assert [text for text in kept if text not in fake] == []
    assert [text for text in gone if text in fake] == []


def test_a_path_keeps_names_that_would_be_data_on_its_way():
    payload = '{"by customer": {"alice@example.com": "gold"}}'
    fake = redacted_payload(payload, 'charge["by customer"]["alice@example.com"]')

    assert json.loads(fake) == json.loads(payload)


def test_the_execution_has_names_for_its_input_and_its_result():
    document = {
        "InputPayload": '"secret one"',
        "Result": '"secret two"',
        "Events": [started(Input={"Payload": '"secret one"'})],
    }
    redacted = redact(document, [parse_keep_path("@input")])

    assert redacted["InputPayload"] == '"secret one"'
    assert redacted["Events"] == document["Events"]
    assert "secret two" not in redacted["Result"]


def test_what_was_kept_is_said():
    keep = [parse_keep_path("charge.id")]

    assert redact({"Events": []}, keep)["Redacted"] == {"Kept": ["charge.id"]}


@pytest.mark.parametrize("path", ["", "$", "..id", "charge..", "charge[", "charge.items[x]"])
def test_what_is_no_path_is_refused_with_examples(path):
    with pytest.raises(UsageError, match="is not a path: expected"):
        parse_keep_path(path)


# -- the work that it takes ----------------------------------------------------------------------


def calls_of(action):
    """How many functions an action calls, Python's own and those that are built in."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


HOSTILE = {
    "quotes": lambda n: '"' * n,
    "quotes in JSON": lambda n: json.dumps('"' * n),
    "backslashes": lambda n: "\\" * n,
    "spaces": lambda n: " " * n,
    "quotes and letters": lambda n: 'a"' * (n // 2),
    "quotes and letters in JSON": lambda n: json.dumps('a"' * (n // 2)),
    "two bytes and quotes": lambda n: 'é"' * (n // 2),
    "escapes": lambda n: '"' + "\\u0041\\/" * (n // 8) + '"',
    "empty texts": lambda n: json.dumps([""] * (n // 4)),
    "brackets in a text": lambda n: json.dumps("[" * n),
    "brackets in texts": lambda n: json.dumps(["[[["] * (n // 8)),
    "texts in texts": lambda n: json.dumps([json.dumps([json.dumps(["x" * n])])]),
    "a long name of a field": lambda n: json.dumps({"k" * n: 1}),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("place", ["payload", "name"])
def test_twice_the_text_takes_at_most_twice_the_work(kind, place):
    def work(size):
        text = HOSTILE[kind](size)
        event = step_ended(text) if place == "payload" else step_ended('"x"', text)
        return calls_of(lambda: redact({"Events": [event]}))

    assert work(80_000) <= 2.1 * work(40_000) + 200


def test_the_stand_in_of_a_long_text_is_drawn_a_few_times_at_most():
    originals = {f'""{a}' for a in "bcdfghjklmnpqrstvwxz"}  # each stand-in will show one
    fakes = Fakes(b"key", [each + '"' for each in originals])

    assert calls_of(lambda: fakes.text('""a"' * 100_000)) < 20_000


def test_many_steps_of_any_depth_take_no_more_than_their_number_times_the_depth():
    path = parse_keep_path("charge" + "..a" * 20 + "..b")
    deep = "[" * 300 + "1" + "]" * 300
    payload = json.dumps({"a": json.loads(deep)})

    assert calls_of(lambda: redact({"Events": [step_ended(payload)]}, [path])) < 1_000_000
