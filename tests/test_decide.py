"""The replay rule, cell by cell: type x status x ReplayChildren x what the code asks for."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest

from durable_core.decide import (
    AskedOperation,
    Mismatch,
    ReplayDecision,
    Verb,
    Want,
    compare,
    decide,
    decide_unit,
)
from durable_core.errors import ImpossibleOperation
from durable_core.model import (
    CallbackDetails,
    ChainedInvokeDetails,
    ContextDetails,
    Operation,
    OperationStatus,
    OperationType,
    StepDetails,
    UnitStatus,
    WaitDetails,
)

LATER = datetime(2026, 11, 3, tzinfo=UTC)
STATUSES = (
    "STARTED",
    "PENDING",
    "READY",
    "SUCCEEDED",
    "FAILED",
    "CANCELLED",
    "TIMED_OUT",
    "STOPPED",
)
X = "impossible"

# What is asked, whether the context is rebuilt -> the verb for each status, in the order above.
# fmt: off
TABLE = {
    ("STEP", "operation", False): (
        "run-again", "suspend", "run", "reuse", "raise", X, X, X),
    ("STEP", "operation", True): (
        "run-again", "suspend", "run", "reuse", "raise", X, X, X),
    ("STEP", "at-most-once", False): (
        "interrupted", "suspend", "run", "reuse", "raise", X, X, X),
    ("STEP", "at-most-once", True): (
        "interrupted", "suspend", "run", "reuse", "raise", X, X, X),
    ("CONTEXT", "operation", False): (
        "run-again", X, X, "reuse", "raise", X, X, X),
    ("CONTEXT", "operation", True): (
        "run-again", X, X, "re-execute", "raise", X, X, X),
    ("WAIT", "operation", False): (
        "suspend", X, X, "reuse", X, "raise", X, X),
    ("WAIT", "operation", True): (
        "suspend", X, X, "reuse", X, "raise", X, X),
    ("CALLBACK", "operation", False): (
        "suspend", X, X, "reuse", "raise", X, "raise", X),
    ("CALLBACK", "operation", True): (
        "suspend", X, X, "reuse", "raise", X, "raise", X),
    ("CALLBACK", "callback-id", False): (
        "reuse", X, X, "reuse", "reuse", X, "reuse", X),
    ("CALLBACK", "callback-id", True): (
        "reuse", X, X, "reuse", "reuse", X, "reuse", X),
    ("CHAINED_INVOKE", "operation", False): (
        "suspend", "suspend", X, "reuse", "raise", X, "raise", "raise"),
    ("CHAINED_INVOKE", "operation", True): (
        "suspend", "suspend", X, "reuse", "raise", X, "raise", "raise"),
}
# fmt: on

DETAILS = {
    "STEP": {"step_details": StepDetails(attempt=2, next_attempt_timestamp=LATER)},
    "CONTEXT": {"context_details": ContextDetails()},
    "WAIT": {"wait_details": WaitDetails(scheduled_end_timestamp=LATER)},
    "CALLBACK": {"callback_details": CallbackDetails(callback_id="c")},
    "CHAINED_INVOKE": {"chained_invoke_details": ChainedInvokeDetails()},
    "EXECUTION": {},
}
CELLS = [
    (kind, want, rebuilt, status, verb)
    for (kind, want, rebuilt), row in TABLE.items()
    for status, verb in zip(STATUSES, row, strict=True)
]
ASKABLE = ("STEP", "CONTEXT", "WAIT", "CALLBACK", "CHAINED_INVOKE")


def recorded(kind: str, status: str) -> Operation:
    return Operation(
        id="abc",
        type=OperationType(kind),
        status=OperationStatus(status),
        name="n",
        sub_type="s",
        parent_id="p",
        **DETAILS[kind],
    )


def asked(kind: str, want: str = "operation", *, check: bool = True) -> AskedOperation:
    return AskedOperation(OperationType(kind), "s", "n", "p", Want(want), check=check)


def verb_of(operation: Operation | None, what: AskedOperation, rebuilt: bool = False) -> str:
    try:
        return decide(operation, what, replay_children=rebuilt).verb.value
    except ImpossibleOperation:
        return X


def test_the_table_has_every_type_that_code_can_ask_for_with_every_status() -> None:
    wants = {"STEP": ("operation", "at-most-once"), "CALLBACK": ("operation", "callback-id")}
    keys = {
        (kind, want, rebuilt)
        for kind in ASKABLE
        for want in wants.get(kind, ("operation",))
        for rebuilt in (False, True)
    }
    assert set(TABLE) == keys
    assert set(STATUSES) == set(OperationStatus)
    assert set(ASKABLE) == set(OperationType) - {"EXECUTION"}


@pytest.mark.parametrize("check", [True, False], ids=["checked", "unchecked"])
@pytest.mark.parametrize(("kind", "want", "rebuilt", "status", "verb"), CELLS)
def test_each_cell_has_the_verb_of_the_table(
    kind: str, want: str, rebuilt: bool, status: str, verb: str, check: bool
) -> None:
    assert verb_of(recorded(kind, status), asked(kind, want, check=check), rebuilt) == verb


@pytest.mark.parametrize(("kind", "want", "rebuilt", "status", "verb"), CELLS)
def test_another_name_diverges_in_each_cell_and_only_when_identity_is_checked(
    kind: str, want: str, rebuilt: bool, status: str, verb: str
) -> None:
    other = replace(asked(kind, want), name="other")
    assert verb_of(recorded(kind, status), other, rebuilt) == "diverge"
    assert verb_of(recorded(kind, status), replace(other, check=False), rebuilt) == verb


@pytest.mark.parametrize(("kind", "other"), list(product(ASKABLE, ASKABLE)))
@pytest.mark.parametrize("check", [True, False], ids=["checked", "unchecked"])
def test_another_type_always_diverges(kind: str, other: str, check: bool) -> None:
    diverges = verb_of(recorded(kind, "STARTED"), asked(other, check=check)) == "diverge"
    assert diverges == (kind != other)


@pytest.mark.parametrize("want", Want)
@pytest.mark.parametrize("kind", ASKABLE)
def test_what_is_not_recorded_runs_for_the_first_time(kind: str, want: Want) -> None:
    possible = (kind, want.value, False) in TABLE
    assert verb_of(None, asked(kind, want.value)) == ("run" if possible else X)


def test_only_a_step_counts_attempts() -> None:
    assert {kind: decide(None, asked(kind)).attempt for kind in ASKABLE} == {
        "STEP": 1,
        "CONTEXT": None,
        "WAIT": None,
        "CALLBACK": None,
        "CHAINED_INVOKE": None,
    }


@pytest.mark.parametrize(
    ("kind", "want"),
    [each for each in product(ASKABLE, Want) if (*each, False) not in TABLE],
)
def test_wanting_what_a_type_does_not_have_is_impossible_by_name(kind: str, want: Want) -> None:
    with pytest.raises(ImpossibleOperation, match=f"{kind} can't be asked for as {want}"):
        decide(recorded(kind, "STARTED"), asked(kind, want.value))


@pytest.mark.parametrize("check", [True, False], ids=["checked", "unchecked"])
def test_no_code_can_ask_for_an_execution(check: bool) -> None:
    with pytest.raises(ImpossibleOperation, match="can't ask for an EXECUTION"):
        decide(None, asked("EXECUTION", check=check))


def test_a_recorded_execution_is_never_what_the_code_asked_for() -> None:
    for kind in ASKABLE:
        assert verb_of(recorded("EXECUTION", "STARTED"), asked(kind, check=False)) == "diverge"


def test_an_impossible_state_is_told_with_the_operation_and_the_state() -> None:
    with pytest.raises(
        ImpossibleOperation, match="operation abc: a WAIT operation can't be READY"
    ) as caught:
        decide(recorded("WAIT", "READY"), asked("WAIT"))
    assert caught.value.operation_id == "abc"


def test_every_difference_of_identity_is_told_in_order() -> None:
    other = AskedOperation(OperationType.WAIT, "S", "N", "P")
    assert decide(recorded("STEP", "SUCCEEDED"), other) == ReplayDecision(
        Verb.DIVERGE,
        mismatches=(
            Mismatch("type", "STEP", "WAIT"),
            Mismatch("sub-type", "s", "S"),
            Mismatch("name", "n", "N"),
            Mismatch("parent", "p", "P"),
        ),
    )


@pytest.mark.parametrize("field", ["sub_type", "name", "parent_id"])
def test_an_absent_field_and_an_empty_one_are_the_same_identity(field: str) -> None:
    operation, what = recorded("STEP", "SUCCEEDED"), asked("STEP")
    for before, now in product((None, ""), repeat=2):
        assert not compare(replace(operation, **{field: before}), replace(what, **{field: now}))
    assert compare(replace(operation, **{field: None}), what)
    assert compare(operation, replace(what, **{field: None}))


@pytest.mark.parametrize(
    ("recorded", "asked", "differs"),
    [
        ("MapItem", "MapIteration", False),
        ("MapIteration", "MapItem", False),
        ("MapItem", "ParallelBranch", True),
        ("Mapitem", "MapIteration", True),
    ],
)
def test_a_unit_that_a_preview_of_the_dotnet_sdk_wrote_is_a_unit_of_a_map(
    recorded: str, asked: str, differs: bool
) -> None:
    unit = Operation("a", OperationType.CONTEXT, OperationStatus.STARTED, LATER, sub_type=recorded)
    assert bool(compare(unit, AskedOperation(OperationType.CONTEXT, asked))) is differs


@pytest.mark.parametrize(
    ("status", "attempt"), [("STARTED", 3), ("READY", 3), ("PENDING", 3), ("SUCCEEDED", None)]
)
def test_the_attempt_that_runs_follows_those_that_ended(status: str, attempt: int | None) -> None:
    assert decide(recorded("STEP", status), asked("STEP")).attempt == attempt


def test_a_step_without_details_is_in_its_first_attempt() -> None:
    bare = replace(recorded("STEP", "STARTED"), step_details=None)
    assert decide(bare, asked("STEP")).attempt == 1


def test_what_suspends_goes_on_when_the_service_said_so() -> None:
    untils = {
        kind: decide(recorded(kind, status), asked(kind)).until
        for kind, status in (
            ("STEP", "PENDING"),
            ("WAIT", "STARTED"),
            ("CALLBACK", "STARTED"),
            ("CHAINED_INVOKE", "STARTED"),
        )
    }
    assert untils == {"STEP": LATER, "WAIT": LATER, "CALLBACK": None, "CHAINED_INVOKE": None}


# -- units ---------------------------------------------------------------------------------------

UNIT_TABLE = {
    UnitStatus.SUCCEEDED: "re-execute",
    UnitStatus.FAILED: "re-execute",
    UnitStatus.STARTED: "skip",
    None: "re-execute",
}


@pytest.mark.parametrize("frozen", [*UnitStatus, None])
@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        (None, None, True),
        (None, "b", True),
        ("a", "a", True),
        ("", None, True),
        ("", "", True),
        ("a", "b", False),
        ("a", None, False),
        ("a", "", False),
        ("", "b", False),
    ],
)
def test_a_unit_follows_its_frozen_status_unless_its_name_drifted(
    frozen: UnitStatus | None, before: str | None, now: str | None, same: bool
) -> None:
    decision = decide_unit(frozen, before, now)
    if same:
        assert decision == ReplayDecision(Verb(UNIT_TABLE[frozen]))
    else:
        drift = (Mismatch("unit name", before, now),)
        assert decision == ReplayDecision(Verb.DIVERGE, mismatches=drift)
