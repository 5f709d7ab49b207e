"""Every form in which SDKs store a map's or parallel's result, and what of it is trusted."""

import json
import tracemalloc
from typing import Any

import pytest
from aws_durable_execution_sdk_python.concurrency.models import (
    BatchItem,
    BatchResult,
    CompletionRecord,
)
from aws_durable_execution_sdk_python.concurrency.models import (
    CompletionReason as AwsReason,
)
from aws_durable_execution_sdk_python.config import BatchItemStatus
from aws_durable_execution_sdk_python.lambda_service import ErrorObject as AwsError
from aws_durable_execution_sdk_python.serdes import serialize
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_core.ids import BLAKE2B, MD5, IdScheme
from durable_core.limits import LIMITS
from durable_core.model import (
    CompletionReason,
    ContextDetails,
    ErrorObject,
    Operation,
    OperationStatus,
    OperationType,
    UnitStatus,
)
from durable_core.summaries.reading import read_summary
from durable_core.summaries.stripped import ReplayChildrenFact, replay_children_of
from durable_core.summaries.values import FrozenUnit, Summary, SummaryForm, SummaryTooLarge, UnitRun
from durable_core.summaries.writing import write_summary

S, F, R = UnitStatus.SUCCEEDED, UnitStatus.FAILED, UnitStatus.STARTED
LIMIT = LIMITS.payload_bytes


def dump(value: object) -> str:
    return json.dumps(value)


def read(value: object) -> Summary:
    summary = read_summary(dump(value))
    assert summary is not None
    return summary


def statuses(summary: Summary) -> list[tuple[UnitStatus | None, bool]]:
    return [
        (run.status, run.dispatched) for run in summary.runs for _ in range(run.start, run.stop)
    ]


# -- .NET ----------------------------------------------------------------------------------------


def test_dotnet_stripped_keeps_index_name_and_status() -> None:
    units = [
        {"Index": 0, "Name": "a", "Status": "SUCCEEDED"},
        {"Index": 1, "Name": None, "Status": "FAILED"},
        {"Index": 2, "Name": "c", "Status": "STARTED"},
    ]
    assert read({"CompletionReason": "MIN_SUCCESSFUL_REACHED", "Units": units}) == Summary(
        SummaryForm.DOTNET,
        stripped=True,
        total=3,
        reason="MIN_SUCCESSFUL_REACHED",
        runs=(UnitRun(0, 1, S), UnitRun(1, 2, F), UnitRun(2, 3, R)),
        names={0: "a", 2: "c"},
    )


@pytest.mark.parametrize("inline", [{"Result": '"x"'}, {"Result": None}, {"Error": {}}])
def test_dotnet_is_not_stripped_when_a_unit_carries_its_outcome(inline: dict[str, Any]) -> None:
    units = [{"Index": 0, "Name": "a", "Status": "SUCCEEDED", **inline}]
    assert not read({"CompletionReason": "ALL_COMPLETED", "Units": units}).stripped


def test_dotnet_without_any_ended_unit_has_no_value_to_strip() -> None:
    units = [{"Index": 0, "Name": "a", "Status": "STARTED"}]
    assert not read({"CompletionReason": "ALL_COMPLETED", "Units": units}).stripped
    assert not read({"CompletionReason": "ALL_COMPLETED", "Units": []}).stripped


def test_units_are_put_in_the_order_of_their_indexes() -> None:
    units = [{"Index": 2, "Status": "FAILED"}, {"Index": 0, "Status": "SUCCEEDED"}]
    assert read({"Units": units}).runs == (UnitRun(0, 1, S), UnitRun(2, 3, F))


def test_a_never_dispatched_unit_is_told_from_a_stopped_one() -> None:
    units = [{"Index": 0, "Status": "STARTED"}, {"Index": 1, "Status": "STARTED"}]
    units[1]["Dispatched"] = False
    assert read({"Units": units}).runs == (UnitRun(0, 1, R), UnitRun(1, 2, R, False))


# -- Python --------------------------------------------------------------------------------------

aws_items = st.lists(st.sampled_from(BatchItemStatus), max_size=40).map(
    lambda all_: [BatchItem(index, status) for index, status in enumerate(all_)]
)
aws_results = st.builds(BatchResult, aws_items, st.sampled_from(AwsReason))


@given(aws_results, st.sampled_from(["MapResult", "ParallelResult"]), st.none() | st.text())
def test_python_3_summaries_are_read_as_the_sdk_writes_and_reads_them(
    result: BatchResult, kind: str, own: str | None
) -> None:
    payload = CompletionRecord.summary_envelope(result, kind, own)
    record = CompletionRecord.from_summary_payload(payload)
    assert record is not None
    summary = read_summary(payload)
    assert summary is not None
    assert summary.form is SummaryForm.PYTHON
    assert summary.stripped
    assert summary.reason == record.completion_reason.value
    assert summary.total == record.started_total
    assert summary.failures == result.failure_count
    read_statuses = statuses(summary)
    assert {i for i, each in enumerate(read_statuses) if each[0] is R} == record.started_indexes
    # Where it says how a unit ended, that is how it did; it always says when all ended alike.
    for (status, dispatched), item in zip(read_statuses, result.all, strict=True):
        assert dispatched
        if status is not None:
            assert status.value == item.status.value
    if not (result.success_count and result.failure_count):
        assert None not in [status for status, _ in read_statuses]


def aws_values() -> st.SearchStrategy[Any]:
    scalars = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
    return st.recursive(
        scalars | st.binary() | st.dates() | st.decimals(allow_nan=False) | st.uuids(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    )


@settings(max_examples=40)
@given(st.data())
def test_python_results_in_its_default_serdes_are_whole(data: st.DataObject) -> None:
    errors = st.builds(AwsError, st.none() | st.text(), st.none() | st.text(), st.none(), st.none())
    items = [
        BatchItem(index, status, data.draw(aws_values()), data.draw(st.none() | errors))
        for index, status in enumerate(data.draw(st.lists(st.sampled_from(BatchItemStatus))))
    ]
    result = BatchResult(items, data.draw(st.sampled_from(AwsReason)))
    for payload in (
        serialize(None, result, "id", "arn"),
        json.dumps(result.to_dict(), default=str),
    ):
        summary = read_summary(payload)
        assert summary is not None
        assert (summary.form, summary.stripped) == (SummaryForm.INLINE, False)
        assert (summary.total, summary.reason) == (len(items), result.completion_reason.value)
        assert [s.value for s, _ in statuses(summary) if s] == [i.status.value for i in items]


COUNTS = {"successCount": 2, "failureCount": 1, "completionReason": "ALL_COMPLETED"}


def test_python_before_the_index_lists_counts_only() -> None:
    document = {"totalCount": 3, **COUNTS, "status": "FAILED", "type": "MapResult"}
    summary = read(document)
    assert (summary.form, summary.stripped) == (SummaryForm.PYTHON_1, True)
    assert summary.runs == (UnitRun(0, 3, None),)
    assert summary.failures == 1


def test_counts_tell_the_statuses_when_all_units_ended_alike() -> None:
    one_kind = {"totalCount": 3, "successCount": 3, "failureCount": 0, "type": "MapResult"}
    assert read(one_kind).runs == (UnitRun(0, 3, S),)
    other_kind = {"totalCount": 3, "successCount": 0, "failureCount": 3, "type": "MapResult"}
    assert read(other_kind).runs == (UnitRun(0, 3, F),)
    some_started = {"totalCount": 3, "successCount": 2, "failureCount": 0, "type": "MapResult"}
    assert read(some_started).runs == (UnitRun(0, 3, None),)


@pytest.mark.parametrize("listed", [[3], [-1], [True], ["0"], [0.0], [None], "0", 7, {"0": 1}])
def test_index_lists_that_the_sdk_would_not_read_leave_the_counts(listed: object) -> None:
    document = {"type": "MapResult", "totalCount": 3, **COUNTS, "startedIndexes": listed}
    assert CompletionRecord.from_summary_payload(dump(document)) is None
    assert read(document).runs == (UnitRun(0, 3, None),)


# -- JavaScript ----------------------------------------------------------------------------------


def test_javascript_writes_one_letter_for_each_unit() -> None:
    document = {"type": "MapResult", "totalCount": 4, **COUNTS, "itemStatuses": "SSF-"}
    summary = read(document)
    assert (summary.form, summary.stripped, summary.total) == (SummaryForm.JAVASCRIPT, True, 4)
    assert summary.runs == (UnitRun(0, 2, S), UnitRun(2, 3, F), UnitRun(3, 4, R))


def test_a_letter_that_is_not_known_leaves_the_status_open() -> None:
    document = {"type": "MapResult", "totalCount": 2, **COUNTS, "itemStatuses": "S?"}
    assert read(document).runs == (UnitRun(0, 1, S), UnitRun(1, 2, None))


def test_javascript_before_the_letters_counts_only() -> None:
    document = {"type": "ParallelResult", "totalCount": 3, **COUNTS, "status": "FAILED"}
    summary = read(document)
    assert (summary.form, summary.stripped) == (SummaryForm.JAVASCRIPT_OLD, True)
    assert summary.runs == (UnitRun(0, 3, None),)


def test_a_whole_javascript_result_is_not_stripped() -> None:
    items = [{"index": 0, "status": "SUCCEEDED", "result": 1}, {"index": 1, "status": "STARTED"}]
    summary = read({"all": items, "completionReason": "MIN_SUCCESSFUL_REACHED"})
    assert (summary.form, summary.stripped) == (SummaryForm.INLINE, False)
    assert summary.runs == (UnitRun(0, 1, S), UnitRun(1, 2, R))


# -- Java ----------------------------------------------------------------------------------------


def test_a_java_map_keeps_the_statuses_and_skipped_means_never_dispatched() -> None:
    items = [
        {"status": status, "result": None, "error": None}
        for status in ("SUCCEEDED", "FAILED", "STARTED", "SKIPPED")
    ]
    assert read({"items": items, "completionReason": "ALL_COMPLETED"}) == Summary(
        SummaryForm.JAVA,
        stripped=True,
        total=4,
        reason="ALL_COMPLETED",
        runs=(UnitRun(0, 1, S), UnitRun(1, 2, F), UnitRun(2, 3, R), UnitRun(3, 4, R, False)),
    )


def test_a_java_map_with_its_results_is_not_stripped() -> None:
    items = [{"status": "SUCCEEDED", "result": 7, "error": None}]
    assert not read({"items": items, "completionReason": "ALL_COMPLETED"}).stripped


def test_a_java_parallel_lists_statuses_only() -> None:
    summary = read({"size": 2, "statuses": ["SUCCEEDED", "SKIPPED"], "completionStatus": "X"})
    assert (summary.form, summary.stripped, summary.total) == (SummaryForm.JAVA, True, 2)
    assert summary.runs == (UnitRun(0, 1, S), UnitRun(1, 2, R, False))


def test_a_java_parallel_tells_why_it_completed() -> None:
    document = {"statuses": ["SUCCEEDED"], "completionStatus": "ALL_COMPLETED"}
    assert read(document).reason == "ALL_COMPLETED"
    assert read({**document, "completionReason": "FAILED"}).reason == "FAILED"


# -- no summary ----------------------------------------------------------------------------------


def test_an_empty_payload_is_a_stripped_result_without_units() -> None:
    assert read_summary("") == Summary(SummaryForm.EMPTY, stripped=True)


@pytest.mark.parametrize(
    "payload",
    [
        *[None, " ", "null", "1", '"text"', "[]", "{}", "{", "\x00", "\ud800", '{"all": 1}'],
        *['{"a": 1}', '{"type": "MapResult"}', '{"type": "Other", "totalCount": 1}'],
        *['{"t": "br", "v": []}', '{"t": "br", "v": null}', '{"t": "br", "v": "x"}'],
        *['{"t": "br"}', '{"t": ["br"], "v": {}}'],
    ],
)
def test_what_is_in_no_known_form_is_no_summary(payload: str | None) -> None:
    assert read_summary(payload) is None


# -- hostile -------------------------------------------------------------------------------------

BILLION = 10**9


@pytest.mark.parametrize(
    "document",
    [
        {"type": "MapResult", "totalCount": BILLION, **COUNTS},
        {"type": "MapResult", "totalCount": BILLION, **COUNTS, "startedIndexes": []},
        {
            "type": "MapResult",
            "totalCount": BILLION,
            **COUNTS,
            "completedIndexes": [5, BILLION - 1],
        },
        {"totalCount": BILLION, **COUNTS, "type": "ParallelResult"},
        {"Units": [{"Index": BILLION, "Status": "SUCCEEDED"}]},
        {"all": [{"index": BILLION, "status": "FAILED"}]},
        {"UnitStatuses": "999999999999S", "CompletionReason": "ALL_COMPLETED"},
        {"UnitStatuses": "9999999999S3R999999999N"},
    ],
)
def test_a_summary_costs_what_it_takes_and_not_what_it_claims(document: dict[str, Any]) -> None:
    payload = dump(document)
    tracemalloc.start()
    summary = read_summary(payload)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert summary is not None
    assert len(summary.runs) <= 5
    assert summary.status_of(10**13) is None
    assert peak < 100_000


@pytest.mark.parametrize(
    "document",
    [
        {"UnitStatuses": "9999999999999S"},
        {"UnitStatuses": "9" * 5_000 + "S"},
        {"UnitStatuses": "3X"},
        {"UnitStatuses": "S3"},
        {"UnitStatuses": "-3S"},
        {"Units": [{"Index": -1, "Status": "SUCCEEDED"}]},
        {"Units": [{"Index": 10**13, "Status": "SUCCEEDED"}]},
        {"Units": [{"Index": True, "Status": "SUCCEEDED"}]},
        {"Units": [{"Index": "0", "Status": "SUCCEEDED"}]},
        {"Units": [{"Index": 1.5, "Status": "SUCCEEDED"}]},
        {"Units": ["SUCCEEDED"]},
        {"all": [{"index": None, "status": "SUCCEEDED"}]},
        {"type": "MapResult", "totalCount": -1, **COUNTS},
        {"type": "MapResult", "totalCount": 10**13, **COUNTS},
        {"type": "MapResult", "totalCount": True, **COUNTS},
        {"type": "MapResult", "totalCount": "3", **COUNTS},
        {"items": [1]},
        {"statuses": "SUCCEEDED"},
    ],
)
def test_numbers_that_cannot_be_counts_make_no_summary(document: dict[str, Any]) -> None:
    assert read_summary(dump(document)) is None


def test_deep_nesting_makes_no_summary() -> None:
    for deep in ("[" * 200_000, '{"all":' * 200_000, '{"t":"br","v":' * 200_000):
        assert read_summary(deep) is None
    assert read_summary('{"t":"br","v":' * 400 + "1" + "}" * 400) is None


WORDS = (
    "t v all index status result Units Index Name Status Result Dispatched CompletionReason "
    "completionReason UnitStatuses NamesDropped type totalCount successCount failureCount "
    "startedIndexes completedIndexes itemStatuses items statuses error summary"
)
KEYS = st.sampled_from(WORDS.split())
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["br", "MapResult", "ParallelResult", "SUCCEEDED", "STARTED", "SKIPPED"])
    | st.text(alphabet="SFRN-0123456789x", max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)


@settings(max_examples=150)
@given(st.dictionaries(KEYS, VALUES, max_size=8))
def test_no_document_makes_reading_fail_or_gives_runs_that_overlap(document: object) -> None:
    summary = read_summary(dump(document))
    if summary is None:
        return
    before = 0
    for run in summary.runs:
        assert before <= run.start < run.stop
        assert run.status is R or run.dispatched
        assert summary.status_of(run.start) == UnitRun(run.start, run.start + 1, *run[2:])
        before = run.stop


@given(st.text())
def test_no_text_makes_reading_fail(text: str) -> None:
    read_summary(text)


# -- asking a summary ----------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(1, 3), st.sampled_from([S, F, R])), max_size=8),
    st.integers(0, 30),
    st.integers(0, 30),
)
def test_the_runs_between_two_units_are_those_units(
    lengths: list[tuple[int, UnitStatus]], start: int, stop: int
) -> None:
    runs: list[UnitRun] = []
    for length, status in lengths:
        at = runs[-1].stop + length % 2 if runs else 0
        runs.append(UnitRun(at, at + length, status))
    summary = Summary(SummaryForm.DOTNET, True, runs=tuple(runs))
    expected = {index: run.status for run in runs for index in range(run.start, run.stop)}
    found = {
        index: run.status
        for run in summary.between(start, stop)
        for index in range(run.start, run.stop)
    }
    assert found == {i: status for i, status in expected.items() if start <= i < stop}
    alone = summary.status_of(start)
    assert (alone and alone.status) == expected.get(start)


def test_units_are_counted_by_status_and_by_dispatch() -> None:
    runs = (UnitRun(0, 5, S), UnitRun(5, 7, R), UnitRun(7, 10, R, False))
    summary = Summary(SummaryForm.COMPACT, True, runs=runs)
    assert (summary.count(S), summary.count(F), summary.count(R)) == (5, 0, 5)
    assert summary.count(R, dispatched=True) == 2
    assert summary.count(R, dispatched=False) == 3


# -- writing -------------------------------------------------------------------------------------


def frozen(
    many: list[tuple[UnitStatus, bool]], names: list[str | None] | None = None
) -> list[FrozenUnit]:
    names = names or [None] * len(many)
    return [
        FrozenUnit(index, names[index], status, dispatched or status is not R)
        for index, (status, dispatched) in enumerate(many)
    ]


frozen_units = st.lists(
    st.tuples(st.sampled_from(UnitStatus), st.booleans(), st.none() | st.text(max_size=5)),
    max_size=30,
).map(lambda many: frozen([each[:2] for each in many], [each[2] for each in many]))


@given(frozen_units, st.sampled_from(CompletionReason))
def test_what_is_written_is_read_again(units: list[FrozenUnit], reason: CompletionReason) -> None:
    summary = read_summary(write_summary(units, reason))
    assert summary is not None
    assert (summary.form, summary.reason) == (SummaryForm.DOTNET, reason)
    assert statuses(summary) == [(unit.status, unit.dispatched) for unit in units]
    assert summary.names == {u.index: u.name for u in units if u.name is not None}
    assert not summary.names_dropped


def test_the_written_form_is_that_of_the_dotnet_sdk() -> None:
    units = [FrozenUnit(0, "a", S), FrozenUnit(1, None, R), FrozenUnit(2, "é", R, False)]
    assert write_summary(units, CompletionReason.MIN_SUCCESSFUL_REACHED) == (
        '{"CompletionReason":"MIN_SUCCESSFUL_REACHED","Units":['
        '{"Index":0,"Name":"a","Status":"SUCCEEDED"},'
        '{"Index":1,"Name":null,"Status":"STARTED"},'
        '{"Index":2,"Name":"é","Status":"STARTED","Dispatched":false}]}'
    )


MIXED = [(S, True), (F, True), (R, True), (R, False)]


@pytest.mark.parametrize("count", [5_000, 50_000])
def test_thousands_of_units_take_the_compact_form_which_keeps_every_status(count: int) -> None:
    many = [MIXED[index * index % 4] if index % 3 else (S, True) for index in range(count)]
    text = write_summary(frozen(many, [f"unit {i}" for i in range(count)]), "ALL_COMPLETED")
    assert len(text.encode()) <= LIMIT
    summary = read_summary(text)
    assert summary is not None
    assert (summary.form, summary.stripped) == (SummaryForm.COMPACT, True)
    assert (summary.names_dropped, summary.names) == (True, {})
    assert (summary.total, summary.reason) == (count, "ALL_COMPLETED")
    assert statuses(summary) == [(status, d or status is not R) for status, d in many]


@pytest.mark.parametrize("name", ["x", "é", "\ud800", '"'])
def test_the_names_are_kept_up_to_the_very_last_byte_of_the_limit(name: str) -> None:
    empty = len(write_summary([FrozenUnit(0, "", S)], "ALL_COMPLETED").encode())
    size = len(name.encode("utf-8", "surrogatepass")) + (name == '"')
    fits = (LIMIT - empty) // size
    kept = write_summary([FrozenUnit(0, name * fits, S)], "ALL_COMPLETED")
    assert LIMIT - size < len(kept.encode("utf-8", "surrogatepass")) <= LIMIT
    dropped = write_summary([FrozenUnit(0, name * (fits + 1), S)], "ALL_COMPLETED")
    assert "NamesDropped" not in kept
    assert dropped == '{"CompletionReason":"ALL_COMPLETED","UnitStatuses":"S","NamesDropped":true}'


def test_a_summary_that_no_form_holds_is_an_error_with_its_size() -> None:
    alternating = frozen([(S, True), (F, True)] * 140_000)
    with pytest.raises(SummaryTooLarge, match=r"280,000 units takes 280,0\d\d bytes even"):
        write_summary(alternating, "ALL_COMPLETED")


# -- was it stripped? ----------------------------------------------------------------------------


def context(
    payload: str | None,
    sub_type: str = "Map",
    *,
    flag: bool | None = None,
    status: str = "SUCCEEDED",
) -> Operation:
    details = ContextDetails(replay_children=flag, result=payload)
    state = OperationStatus(status)
    return Operation("1", OperationType.CONTEXT, state, sub_type=sub_type, context_details=details)


def fact(
    operation: Operation, *, payload_known: bool = True, scheme: IdScheme | None = None
) -> ReplayChildrenFact:
    summary = read_summary(operation.result)
    return replay_children_of(operation, summary, payload_known=payload_known, scheme=scheme)


def test_a_child_without_a_payload_is_stripped_where_awss_sdk_for_python_wrote_it() -> None:
    child = context(None, "RunInChildContext")
    assert fact(child, scheme=BLAKE2B).value
    assert fact(child, scheme=BLAKE2B).stripped
    assert not fact(child, scheme=MD5).value
    assert not fact(child, scheme=BLAKE2B, payload_known=False).value
    assert not fact(context("null", "RunInChildContext"), scheme=BLAKE2B).value
    assert not fact(context(None, "WaitForCallback"), scheme=BLAKE2B).value
    assert not fact(context(None, "RunInChildContext", status="FAILED"), scheme=BLAKE2B).value


DOTNET_STRIPPED = dump({"Units": [{"Index": 0, "Status": "SUCCEEDED"}]})
DOTNET_WHOLE = dump({"Units": [{"Index": 0, "Status": "SUCCEEDED", "Result": "1"}]})
PYTHON_STRIPPED = dump({"type": "MapResult", "totalCount": 1, **COUNTS, "startedIndexes": []})
PYTHON_WHOLE = dump({"all": [], "completionReason": "ALL_COMPLETED"})
JS_STRIPPED = dump({"type": "MapResult", "totalCount": 1, **COUNTS, "itemStatuses": "S"})
JAVA_STRIPPED = dump({"items": [{"status": "SUCCEEDED", "result": None, "error": None}]})
JAVA_WHOLE = dump({"items": [{"status": "SUCCEEDED", "result": 1, "error": None}]})
JAVA_PARALLEL = dump({"size": 1, "statuses": ["SUCCEEDED"]})


@pytest.mark.parametrize(
    ("payload", "sub_type", "expected"),
    [
        ("", "RunInChildContext", True),
        ('"whole"', "RunInChildContext", False),
        (None, "RunInChildContext", False),
        # A child context's summary of the user's own can't be told from a result.
        (PYTHON_STRIPPED, "RunInChildContext", False),
        ("", "Map", True),
        (DOTNET_STRIPPED, "Map", True),
        (DOTNET_STRIPPED, "Parallel", True),
        (DOTNET_WHOLE, "Map", False),
        (PYTHON_STRIPPED, "Map", True),
        (PYTHON_WHOLE, "Parallel", False),
        (JS_STRIPPED, "Map", True),
        (JAVA_STRIPPED, "Map", True),
        (JAVA_WHOLE, "Map", False),
        (JAVA_PARALLEL, "Parallel", True),
        ("anything else", "Map", False),
    ],
)
def test_events_tell_by_the_payload_whether_the_children_are_replayed(
    payload: str | None, sub_type: str, expected: bool
) -> None:
    found = fact(context(payload, sub_type))
    assert (found.value, found.inferred) == (expected, True)
    assert found.reason


def unit(result: str | None, sub_type: str = "MapIteration", **more: Any) -> Operation:
    details = ContextDetails(result=result, **more)
    done = OperationStatus.SUCCEEDED if "error" not in more else OperationStatus.FAILED
    return Operation("2", OperationType.CONTEXT, done, sub_type=sub_type, context_details=details)


def fact_with(payload: str, *units: Operation, flag: bool | None = None) -> ReplayChildrenFact:
    batch = context(payload, flag=flag)
    return replay_children_of(batch, read_summary(payload), units=units)


@pytest.mark.parametrize("flag", [None, True])
@pytest.mark.parametrize(
    "kept",
    [
        unit('"small"'),
        unit('"small"', "MapItem"),
        unit(json.dumps("x" * 300_000), "MapItem"),
        unit(None, "MapItem", error=ErrorObject("bad")),
    ],
    ids=["small", "preview", "large in a preview", "failed"],
)
def test_results_that_a_preview_of_dotnet_kept_on_units_only_were_not_stripped(
    kept: Operation, flag: bool | None
) -> None:
    found = fact_with(DOTNET_STRIPPED, kept, flag=flag)
    assert (found.value, found.stripped, found.inferred) == (True, False, flag is None)
    assert "nothing was stripped" in found.reason


@pytest.mark.parametrize(
    "units", [(), (unit(json.dumps("x" * 262_144)),), (unit(""),)], ids=["FLAT", "large", "hollow"]
)
def test_a_dotnet_result_that_may_have_been_too_large_was_stripped(
    units: tuple[Operation, ...],
) -> None:
    assert fact_with(DOTNET_STRIPPED, *units).stripped


def test_javas_parallel_is_rebuilt_though_nothing_was_stripped() -> None:
    for flag in (None, True):
        batch = context(JAVA_PARALLEL, "Parallel", flag=flag)
        found = replay_children_of(batch, read_summary(JAVA_PARALLEL))
        assert (found.value, found.stripped) == (True, False)
        assert found.reason == "Java's parallel is always rebuilt"


def test_javas_map_whose_units_returned_nothing_is_whole() -> None:
    assert not fact_with(JAVA_STRIPPED, unit("null")).value
    assert fact_with(JAVA_STRIPPED, unit(json.dumps("x" * 262_144))).stripped


def test_a_summary_of_the_users_own_is_told_from_a_whole_result_by_the_sdk() -> None:
    child = context("a summary", "RunInChildContext", flag=True)
    assert fact(child, scheme=BLAKE2B).stripped
    assert not fact(child, scheme=MD5).stripped
    assert "stored whole (or a summary" in fact(child, scheme=MD5).reason


def test_a_child_context_may_have_any_sub_type() -> None:
    assert fact(context(None, "Order"), scheme=BLAKE2B).stripped


@pytest.mark.parametrize("kind", [OperationType.STEP, OperationType.CALLBACK])
@pytest.mark.parametrize("sub_type", ["Map", "MapIteration", "Dag"])
def test_a_step_or_callback_with_the_sub_type_of_a_map_is_none(
    kind: OperationType, sub_type: str
) -> None:
    operation = Operation("1", kind, OperationStatus.SUCCEEDED, sub_type=sub_type)
    assert not operation.is_batch
    assert not operation.is_unit
    assert not replay_children_of(operation, read_summary(JS_STRIPPED)).value


def test_a_dag_says_which_nodes_it_skipped_and_that_it_has_no_values() -> None:
    counted = read({"type": "DagResult", "totalCount": 3, "itemStatuses": "SF-"})
    assert (counted.form, counted.stripped, counted.total) == (SummaryForm.DAG, True, 3)
    assert read({"type": "DagResult", "totalCount": 3}).stripped
    nodes = [{"index": 0, "status": "SUCCEEDED"}, {"index": 1, "status": "SKIPPED"}]
    whole = read({"all": nodes, "completionReason": "COMPLETED_WITH_FAILURES"})
    assert whole.reason == "COMPLETED_WITH_FAILURES"
    assert [run.dispatched for run in whole.runs] == [True, False]


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize("payload", ["", DOTNET_STRIPPED, PYTHON_WHOLE, "anything", None])
def test_an_explicit_flag_wins_over_any_payload(payload: str | None, flag: bool) -> None:
    # So JavaScript's childOperationsDepth, whose payload is whole, is told from a state only.
    hollow = payload in ("", DOTNET_STRIPPED, None)
    found = fact(context(payload, flag=flag))
    assert (found.value, found.inferred, found.stripped) == (flag, False, flag and hollow)
    assert fact(context(payload, flag=flag), payload_known=False).value is flag


@pytest.mark.parametrize("status", ["STARTED", "FAILED"])
def test_only_a_succeeded_context_is_rebuilt(status: str) -> None:
    assert not fact(context("", status=status)).value


def test_without_payloads_nothing_is_inferred() -> None:
    found = fact(context(None), payload_known=False)
    assert (found.value, found.inferred) == (False, True)
    assert "unknown" in found.reason
