"""What `inspect` says of a stream: its requests, the largest updates, the estimates, findings."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_core.batches.findings import BatchFindingKind, Finding, Severity
from durable_core.batches.report import BatchReport, StreamOrigin, UpdateGroup, inspect, written_by
from durable_core.ids import BLAKE2B, MD5, SHA256, IdScheme
from durable_core.limits import LIMITS, payload_limit
from durable_core.model import (
    ErrorObject,
    OperationAction,
    OperationType,
    OperationUpdate,
    SubType,
)
from durable_core.sdks import SDKS, Sdk

STEP = OperationUpdate("a", OperationType.STEP, OperationAction.SUCCEED)
CONTEXT = OperationUpdate("c", OperationType.CONTEXT, OperationAction.SUCCEED, sub_type=SubType.MAP)
KIB_256 = 262_144


def inspected(
    *updates: OperationUpdate, sdk: Sdk = Sdk.DOTNET, max_bytes: int = 768_000
) -> BatchReport:
    rules = replace(SDKS[sdk], max_bytes=max_bytes)
    return inspect([UpdateGroup(1, updates)], StreamOrigin.UPDATES, rules)


def kinds(report: BatchReport) -> list[BatchFindingKind]:
    return [finding.kind for finding in report.findings]


def only(report: BatchReport) -> Finding:
    (finding,) = report.findings
    return finding


# -- payloads ----------------------------------------------------------------------------------


def test_a_payload_of_256_kib_is_fine_and_one_byte_more_is_rejected() -> None:
    assert inspected(replace(STEP, payload="x" * KIB_256)).is_fine
    report = inspected(replace(STEP, payload="x" * (KIB_256 + 1)))
    finding = only(report)
    assert finding.kind is BatchFindingKind.PAYLOAD_TOO_LARGE
    assert (finding.update, finding.size, finding.limit) == (1, KIB_256 + 1, KIB_256)
    assert finding.operation == report.largest[0].update
    assert not report.is_fine


def test_a_payload_is_measured_in_utf8() -> None:
    assert inspected(replace(STEP, payload="é" * (KIB_256 // 2))).is_fine
    assert not inspected(replace(STEP, payload="é" * (KIB_256 // 2 + 1))).is_fine


def test_a_context_over_the_limit_is_stripped_and_not_rejected() -> None:
    report = inspected(replace(CONTEXT, payload="x" * (KIB_256 + 1)))
    assert only(report).kind is BatchFindingKind.STRIPPED
    assert report.is_fine


def test_a_context_that_is_stripped_already_and_still_too_large_is_rejected() -> None:
    report = inspected(replace(CONTEXT, payload="x" * (KIB_256 + 1), replay_children=True))
    assert kinds(report) == [BatchFindingKind.PAYLOAD_TOO_LARGE]


def test_python_counts_characters_so_that_a_long_non_ascii_result_is_rejected() -> None:
    wide = replace(CONTEXT, payload="é" * 200_000)
    assert kinds(inspected(wide, sdk=Sdk.PYTHON)) == [BatchFindingKind.PAYLOAD_TOO_LARGE]
    assert "200,000 characters" in only(inspected(wide, sdk=Sdk.PYTHON)).problem
    assert kinds(inspected(wide, sdk=Sdk.DOTNET)) == [BatchFindingKind.STRIPPED]


def test_java_strips_at_the_limit_itself() -> None:
    exact = replace(CONTEXT, payload="x" * KIB_256)
    assert kinds(inspected(exact, sdk=Sdk.JAVA)) == [BatchFindingKind.STRIPPED]
    assert kinds(inspected(exact, sdk=Sdk.JAVASCRIPT)) == []


def test_a_chained_invoke_may_carry_one_mib_and_an_execution_its_six() -> None:
    assert payload_limit(OperationType.CHAINED_INVOKE) == 1_048_576
    assert payload_limit(OperationType.EXECUTION) == 6_291_456
    assert payload_limit(OperationType.CALLBACK) == 1_048_576
    others = (OperationType.STEP, OperationType.CONTEXT, OperationType.WAIT)
    assert {payload_limit(kind) for kind in others} == {KIB_256}


def test_an_error_object_may_have_32768_bytes_of_json() -> None:
    frame = len('{"ErrorMessage": ""}')
    fits = replace(STEP, error=ErrorObject("e" * (32_768 - frame)))
    assert inspected(fits).is_fine
    over = replace(STEP, error=ErrorObject("e" * (32_768 - frame + 1)))
    assert only(inspected(over)).kind is BatchFindingKind.ERROR_TOO_LARGE
    assert only(inspected(over)).size == 32_769


# -- fields ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "update",
    [
        replace(STEP, name="n" * 256, sub_type="s" * 32, id="i" * 64, parent_id="p_-9"),
        replace(STEP, name=" ~"),
        replace(STEP, wait_seconds=1, next_attempt_delay_seconds=31_622_400),
        replace(STEP, callback_timeout_seconds=0, callback_heartbeat_seconds=99_999_999),
    ],
)
def test_fields_within_the_service_model_are_fine(update: OperationUpdate) -> None:
    assert inspected(update).findings == ()


@pytest.mark.parametrize(
    ("update", "problem"),
    [
        (replace(STEP, name="n" * 257), "its Name is too long"),
        (replace(STEP, name=""), "its Name is empty"),
        (replace(STEP, name="né"), "its Name has characters other than printable ASCII"),
        (replace(STEP, name="a\n"), "its Name has characters other than printable ASCII"),
        (replace(STEP, id="i" * 65), "its Id is too long"),
        (replace(STEP, parent_id="1.2"), "its ParentId has characters other than letters"),
        (replace(STEP, sub_type="s" * 33), "its SubType is too long"),
        (replace(STEP, wait_seconds=0), "its WaitSeconds is out of range"),
        (replace(STEP, next_attempt_delay_seconds=31_622_401), "its NextAttemptDelaySeconds is"),
        (replace(STEP, callback_timeout_seconds=100_000_000), "its TimeoutSeconds is out of"),
    ],
)
def test_a_field_outside_of_the_service_model_is_rejected(
    update: OperationUpdate, problem: str
) -> None:
    finding = only(inspected(update))
    assert finding.kind is BatchFindingKind.BAD_FIELD
    assert finding.severity is Severity.REJECTED
    assert finding.problem.startswith(problem)


# -- the stream --------------------------------------------------------------------------------


def test_an_execution_may_have_3000_operations() -> None:
    many = [replace(STEP, id=f"{number}") for number in range(3_000)]
    assert inspected(*many, replace(STEP, id="0", action=OperationAction.FAIL)).is_fine
    assert kinds(inspected(*many, replace(STEP, id="more"))) == [
        BatchFindingKind.TOO_MANY_OPERATIONS
    ]


def test_an_execution_may_write_100_mb() -> None:
    row = replace(STEP, payload="x" * 250_000)
    assert inspected(*[row] * 400).is_fine
    assert kinds(inspected(*[row] * 400, replace(STEP, payload="x"))) == [
        BatchFindingKind.TOO_MUCH_DATA
    ]


def test_an_update_that_python_never_sends_hangs() -> None:
    report = inspected(STEP, replace(STEP, payload="x" * 768_000), sdk=Sdk.PYTHON)
    assert kinds(report) == [BatchFindingKind.PAYLOAD_TOO_LARGE, BatchFindingKind.NEVER_SENT]
    hang = report.findings[1]
    assert (hang.severity, hang.update, hang.limit) == (Severity.HANGS, 2, 768_000)
    assert hang.size == SDKS[Sdk.PYTHON].estimate(report.largest[0].update)
    assert sum(request.updates for request in report.requests) == 1


def test_a_small_update_that_is_stranded_behind_it_is_named_too() -> None:
    large = [replace(STEP, payload="x" * size) for size in (768_000, 700_000, 100_000)]
    report = inspected(STEP, *large, sdk=Sdk.PYTHON)
    stuck = {
        finding.update: finding.kind
        for finding in report.findings
        if finding.severity is Severity.HANGS
    }
    assert stuck == {2: BatchFindingKind.NEVER_SENT, 4: BatchFindingKind.STRANDED}


def test_a_request_over_the_cap_that_its_estimate_does_not_see_is_noticed() -> None:
    error = ErrorObject("e" * 30_000)
    report = inspected(*[replace(STEP, error=error)] * 30, sdk=Sdk.JAVA)
    finding = only(report)
    assert finding.kind is BatchFindingKind.REQUEST_OVER_CAP
    assert (finding.request, finding.size) == (1, report.requests[0].exact_bytes)
    assert report.requests[0].estimated_bytes <= 768_000 < finding.size
    assert report.is_fine


# -- requests ----------------------------------------------------------------------------------

UPDATES = st.lists(
    st.builds(
        lambda number, size, kind: OperationUpdate(
            f"op-{number}", kind, OperationAction.SUCCEED, payload="é" * size
        ),
        st.integers(1, 20),
        st.integers(0, 900),
        st.sampled_from(OperationType),
    ),
    max_size=30,
)
GROUPS = st.lists(UPDATES, max_size=5)


@given(GROUPS, st.sampled_from(list(SDKS)), st.integers(0, 300))
def test_each_request_takes_the_bytes_of_its_updates_and_tokens(
    groups: Sequence[Sequence[OperationUpdate]], sdk: Sdk, token_length: int
) -> None:
    rules = replace(SDKS[sdk], max_bytes=6_000, max_operations=7)
    given = [
        UpdateGroup(number, tuple(updates), token_length, client_token_length=9)
        for number, updates in enumerate(groups, 1)
    ]
    report = inspect(given, StreamOrigin.REQUESTS, rules)
    stream = [update for group in given for update in group.updates]
    stuck = {finding.update for finding in report.findings if finding.severity is Severity.HANGS}
    for request in report.requests:
        if not stuck:
            sent = stream[request.first - 1 : request.last]
            assert request.exact_bytes == rules.exact_request(sent, token_length, 9)
    assert sum(request.updates for request in report.requests) == len(stream) - len(stuck)
    assert [request.number for request in report.requests] == [*range(1, len(report.requests) + 1)]


def test_updates_of_two_recorded_requests_are_never_merged() -> None:
    groups = [UpdateGroup(1, (STEP,)), UpdateGroup(2, (STEP, STEP))]
    requests = inspect(groups, StreamOrigin.REQUESTS, SDKS[Sdk.JAVA]).requests
    assert [(request.group, request.updates) for request in requests] == [(1, 1), (2, 2)]
    assert [(request.first, request.last) for request in requests] == [(1, 1), (2, 3)]


def test_the_largest_updates_come_first_and_ties_in_their_order() -> None:
    small, large = replace(STEP, payload="x"), replace(STEP, payload="x" * 9)
    report = inspect([UpdateGroup(1, (small, large, small))], StreamOrigin.UPDATES, SDKS[Sdk.JAVA])
    assert [item.number for item in report.largest] == [2, 1, 3]
    assert [item.payload_bytes for item in report.largest] == [9, 1, 1]


def test_each_of_the_largest_has_the_estimate_of_every_sdk() -> None:
    (item,) = inspected(replace(STEP, payload="é")).largest
    assert item.estimates == {sdk: rules.estimate(item.update) for sdk, rules in SDKS.items()}


def test_a_comparison_has_every_sdk_and_the_worst_underestimate() -> None:
    updates = (STEP, replace(STEP, error=ErrorObject("e" * 500)))
    rules = replace(SDKS[Sdk.JAVA], max_operations=1)
    report = inspect([UpdateGroup(1, updates)], StreamOrigin.UPDATES, rules, compare=True)
    rows = {row.sdk: row for row in report.comparison}
    assert list(rows) == list(SDKS)
    java = rows[Sdk.JAVA]
    assert java.requests == 2, "the inspected SDK keeps the caps that were asked for"
    assert rows[Sdk.DOTNET].requests == 1
    assert java.worst_under == 2
    assert java.short_bytes == rules.exact(updates[1]) - rules.estimate(updates[1])
    assert rows[Sdk.DOTNET].worst_under == 0


def test_nothing_makes_an_empty_report() -> None:
    report = inspect([], StreamOrigin.UPDATES, SDKS[Sdk.PYTHON], compare=True)
    assert (report.updates, report.requests, report.largest) == (0, (), ())
    assert report.is_fine


# -- whose ids ---------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [BLAKE2B, SHA256, MD5])
def test_the_ids_tell_the_sdk(scheme: IdScheme) -> None:
    root, child = scheme.id_at((1,)), scheme.id_at((1, 1))
    updates = [replace(CONTEXT, id=root), replace(STEP, id=child, parent_id=root)]
    assert written_by(updates) is scheme


def test_ids_of_no_scheme_tell_nothing() -> None:
    assert written_by([STEP]) is None


def test_the_limits_are_those_of_the_one_table() -> None:
    finding = only(inspected(replace(STEP, payload="x" * (KIB_256 + 1))))
    assert finding.limit == LIMITS.payload_bytes
