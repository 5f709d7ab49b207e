"""Sizes equal what the real serializers write, and the estimates are what the SDKs make."""

import json
from dataclasses import replace

import botocore.serialize
import botocore.session
import pytest
from aws_durable_execution_sdk_python.lambda_service import OperationUpdate as AwsUpdate
from aws_durable_execution_sdk_python.state import ExecutionState, QueuedOperation
from botocore.exceptions import ParamValidationError
from hypothesis import example, given
from hypothesis import strategies as st

from durable_core.model import (
    ChainedInvokeOptions,
    ErrorObject,
    OperationAction,
    OperationType,
    OperationUpdate,
)
from durable_core.sdks import SDKS, Sdk
from durable_core.sizes import (
    COMPACT_UTF8,
    SPACED_ASCII,
    dotnet_estimate,
    error_bytes,
    java_estimate,
    javascript_estimate,
    python_estimate,
    update_bytes,
    utf8_bytes,
    utf16_length,
)
from durable_core.wire import error_to_wire, update_to_wire

SERVICE = botocore.session.get_session().get_service_model("lambda")
CHECKPOINT = SERVICE.operation_model("CheckpointDurableExecution")
# Without the validation of ranges: a WaitSeconds of 0 is refused, but it has a size.
SERIALIZER = botocore.serialize.create_serializer("rest-json", include_validation=False)

NASTY = '"\\/\b\f\n\r\t\x00\x1f\x7f\x80é\u2028\u2029€\ud800\udbff\udc00\udfff\ufeff\uffff😀'
TEXT = st.text(st.one_of(st.sampled_from(NASTY), st.characters(codec=None)), max_size=40)
NAMED = TEXT.filter(bool)
MAYBE_TEXT = st.none() | TEXT
SECONDS = st.none() | st.integers(0, 99_999_999)

ERRORS = st.builds(
    ErrorObject,
    message=MAYBE_TEXT,
    type=MAYBE_TEXT,
    data=MAYBE_TEXT,
    stack_trace=st.none() | st.lists(TEXT, max_size=3).map(tuple),
)
UPDATES = st.builds(
    OperationUpdate,
    id=NAMED,
    type=st.sampled_from(OperationType),
    action=st.sampled_from(OperationAction),
    parent_id=MAYBE_TEXT,
    name=MAYBE_TEXT,
    sub_type=MAYBE_TEXT,
    payload=MAYBE_TEXT,
    error=st.none() | ERRORS,
    replay_children=st.none() | st.booleans(),
    next_attempt_delay_seconds=SECONDS,
    wait_seconds=SECONDS,
    callback_timeout_seconds=SECONDS,
    callback_heartbeat_seconds=SECONDS,
    chained_invoke=st.none() | st.builds(ChainedInvokeOptions, NAMED, MAYBE_TEXT, MAYBE_TEXT),
)
PLAIN = OperationUpdate("a", OperationType.STEP, OperationAction.SUCCEED)


def botocore_body(updates: list[OperationUpdate], token: str) -> bytes:
    """Return the body that boto3 sends; its ClientToken is like the UUID that boto3 fills in."""
    request = SERIALIZER.serialize_to_request(
        {
            "DurableExecutionArn": "arn",
            "CheckpointToken": token,
            "Updates": [update_to_wire(update) for update in updates],
            "ClientToken": "0b5ddb5f-5a51-4b0a-94e0-2d0e4b4d7c11",
        },
        CHECKPOINT,
    )
    body = request["body"]
    assert isinstance(body, bytes)
    return body


def stringified(value: object) -> bytes:
    """Return `JSON.stringify(value)` in UTF-8, the slow way, after ECMA-262 (QuoteJSONString)."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    characters = text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass")
    return "".join(
        f"\\u{ord(one):04x}" if "\ud800" <= one <= "\udfff" else one for one in characters
    ).encode()


@given(UPDATES)
@example(replace(PLAIN, payload=NASTY, name=NASTY, error=ErrorObject()))
def test_an_update_from_python_takes_the_bytes_that_botocore_writes(
    update: OperationUpdate,
) -> None:
    empty = len(botocore_body([], "token"))
    assert SDKS[Sdk.PYTHON].exact(update) == len(botocore_body([update], "token")) - empty


@given(st.lists(UPDATES, max_size=4), st.integers(1, 2_048))
def test_a_request_from_python_takes_the_bytes_that_botocore_writes(
    updates: list[OperationUpdate], token_length: int
) -> None:
    body = botocore_body(updates, "t" * token_length)
    assert SDKS[Sdk.PYTHON].exact_request(updates, token_length) == len(body)


@given(UPDATES)
@example(replace(PLAIN, payload=NASTY, name=NASTY))
def test_an_update_from_another_sdk_takes_its_compact_json_in_utf8(update: OperationUpdate) -> None:
    written = stringified(update_to_wire(update))
    for sdk in (Sdk.DOTNET, Sdk.JAVA, Sdk.JAVASCRIPT):
        assert SDKS[sdk].exact(update) == len(written)


@given(st.text(st.characters(max_codepoint=0x7F), max_size=40), st.integers(8, 400))
@example("".join(map(chr, range(0x80))), 3)
def test_a_long_text_takes_as_many_bytes_as_a_short_one_with_its_characters(
    text: str, times: int
) -> None:
    update = replace(PLAIN, payload=text * times)
    assert SDKS[Sdk.PYTHON].exact(update) == len(json.dumps(update_to_wire(update)))
    assert SDKS[Sdk.JAVASCRIPT].exact(update) == len(stringified(update_to_wire(update)))


@given(st.lists(UPDATES, max_size=4))
def test_a_request_from_another_sdk_takes_its_compact_json_in_utf8(
    updates: list[OperationUpdate],
) -> None:
    body = {
        "CheckpointToken": "t" * 7,
        "Updates": [update_to_wire(update) for update in updates],
        "ClientToken": "c" * 36,
    }
    assert SDKS[Sdk.JAVA].exact_request(updates, token_length=7) == len(stringified(body))


EXTRA = st.dictionaries(
    st.sampled_from(["Later", "Née"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXT,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
        max_leaves=4,
    ),
)


OPTIONS = st.fixed_dictionaries({"StepOptions": EXTRA, "WaitOptions": EXTRA})


@given(UPDATES, EXTRA, OPTIONS)
def test_a_field_of_a_newer_service_counts_like_any_other(
    update: OperationUpdate, extra: dict[str, object], inner: dict[str, dict[str, object]]
) -> None:
    later = replace(
        update,
        extra={**extra, **{name: options for name, options in inner.items() if options}},
        error=ErrorObject("no", extra=extra),
        chained_invoke=ChainedInvokeOptions("f", extra=extra),
    )
    wire = update_to_wire(later)
    assert update_bytes(later, SPACED_ASCII) == len(json.dumps(wire))
    assert update_bytes(later, COMPACT_UTF8) == len(stringified(wire))


def test_botocore_refuses_a_field_that_its_model_does_not_know() -> None:
    later = update_to_wire(replace(PLAIN, extra={"Later": 1}))
    request = {"DurableExecutionArn": "arn", "CheckpointToken": "token", "Updates": [later]}
    with pytest.raises(ParamValidationError, match=r'Unknown parameter in Updates.*"Later"'):
        botocore.serialize.create_serializer("rest-json").serialize_to_request(request, CHECKPOINT)


@given(TEXT)
@example(NASTY)
def test_utf8_bytes_are_those_of_the_encoding_with_lone_surrogates_replaced(text: str) -> None:
    units = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    replaced = "".join("\ufffd" if "\ud800" <= one <= "\udfff" else one for one in units)
    assert utf8_bytes(text) == len(replaced.encode())


def test_a_surrogate_pair_counts_as_the_one_character_that_it_means() -> None:
    assert utf8_bytes("\ud83d\ude00") == utf8_bytes("😀") == 4


def test_utf16_counts_two_units_for_a_character_beyond_the_basic_plane() -> None:
    assert [utf16_length(text) for text in ("a", "é", "😀", "\ud800")] == [1, 1, 2, 1]


@given(ERRORS)
def test_an_error_is_as_large_as_the_local_runner_counts_it(error: ErrorObject) -> None:
    assert error_bytes(error) == len(json.dumps(error_to_wire(error)))


# -- estimates ---------------------------------------------------------------------------------


@given(UPDATES.filter(lambda update: update.error != ErrorObject()))
def test_the_estimate_of_python_is_what_its_sdk_calculates(update: OperationUpdate) -> None:
    queued = QueuedOperation(AwsUpdate.from_dict(update_to_wire(update)))
    assert python_estimate(update) == ExecutionState._calculate_operation_size(queued)


@given(UPDATES)
def test_the_estimate_of_javascript_is_the_step_id_and_the_data_stringified(
    update: OperationUpdate,
) -> None:
    item = {"stepId": update.id, "data": update_to_wire(update)}
    assert javascript_estimate(update) == len(stringified(item))


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        (PLAIN, 512 + 1),
        (replace(PLAIN, payload="é"), 512 + 1 + 2 * 2),
        (replace(PLAIN, parent_id="bb", name="ccc", sub_type="Step"), 512 + 1 + 2 + 3),
        (replace(PLAIN, error=ErrorObject("m", "tt", "ddd")), 512 + 1 + 6),
        (replace(PLAIN, error=ErrorObject(stack_trace=("é", ""))), 512 + 1 + (2 + 8) + 8),
    ],
)
def test_the_estimate_of_dotnet_doubles_the_payload_and_knows_name_and_error(
    update: OperationUpdate, expected: int
) -> None:
    assert dotnet_estimate(update) == expected


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        (PLAIN, 100 + len("aSTEPSUCCEED")),
        (replace(PLAIN, payload="é😀"), 100 + len("aSTEPSUCCEED") + 3),
        (replace(PLAIN, name="n" * 200, parent_id="p"), 100 + len("aSTEPSUCCEED")),
        (replace(PLAIN, error=ErrorObject("m" * 9_000)), 100 + len("aSTEPSUCCEED")),
    ],
)
def test_the_estimate_of_java_ignores_parent_name_and_error(
    update: OperationUpdate, expected: int
) -> None:
    assert java_estimate(update) == expected


def test_the_estimate_of_dotnet_undercounts_what_a_python_sender_escapes() -> None:
    update = replace(PLAIN, payload="é" * 10_000)
    assert dotnet_estimate(update) < SDKS[Sdk.PYTHON].exact(update)


# -- rules -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sdk", "max_bytes", "max_operations", "base", "base_with_token"),
    [
        (Sdk.DOTNET, 768_000, 200, 4_096, 4_096),
        (Sdk.JAVA, 768_000, 200, 0, 0),
        (Sdk.JAVASCRIPT, 768_000, 250, 100, 110),
        (Sdk.PYTHON, 768_000, 250, 0, 0),
    ],
)
def test_the_caps_of_a_request_are_those_of_the_sdk(
    sdk: Sdk, max_bytes: int, max_operations: int, base: int, base_with_token: int
) -> None:
    rules = SDKS[sdk]
    assert (rules.max_bytes, rules.max_operations) == (max_bytes, max_operations)
    assert (rules.base(), rules.base(token_length=10)) == (base, base_with_token)


@pytest.mark.parametrize(
    ("sdk", "text", "stripped"),
    [
        (Sdk.DOTNET, "é" * 131_072, False),
        (Sdk.DOTNET, "é" * 131_072 + "a", True),
        (Sdk.JAVASCRIPT, "é" * 131_072, False),
        (Sdk.JAVASCRIPT, "é" * 131_072 + "a", True),
        (Sdk.JAVA, "a" * 262_143, False),
        (Sdk.JAVA, "a" * 262_144, True),
        (Sdk.PYTHON, "é" * 262_144, False),
        (Sdk.PYTHON, "a" * 262_145, True),
    ],
)
def test_each_sdk_strips_a_result_at_its_own_measure(sdk: Sdk, text: str, stripped: bool) -> None:
    assert SDKS[sdk].strips(text) is stripped
