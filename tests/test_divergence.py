from __future__ import annotations

import pytest

from durable_core.verifying.divergence import Found, first_divergence
from durable_core.verifying.matching import Alignment, Fit
from durable_core.verifying.traces import BodyEnd, ContextComparison, RequestedOperation
from durable_core.verifying.unit_divergence import BatchRun, UnitRecord, batch_divergence
from durable_core.verifying.verification import Cause, Identity

VIRTUAL = Identity("CONTEXT", None, None, virtual=True)


def step(name: str) -> Identity:
    return Identity("STEP", "Step", name or None)


def wait(name: str) -> Identity:
    return Identity("WAIT", "Wait", name or None)


def child(name: str) -> Identity:
    return Identity("CONTEXT", "RunInChildContext", name)


def steps(names: str) -> list[Identity | None]:
    return [step(name) for name in names]


def compared(
    recorded: list[Identity | None],
    asked: list[Identity | None],
    outcome: BodyEnd = BodyEnd.RETURNED,
    *,
    is_open: bool = False,
    succeeded: bool = True,
) -> Found | None:
    return first_divergence(
        ContextComparison(
            (2,),
            "the context",
            recorded,
            ["SUCCEEDED"] * len(recorded),
            [
                RequestedOperation(each, moment=n)
                for n, each in enumerate(asked, 1)
                if each is not None
            ],
            outcome,
            is_open=is_open,
            has_succeeded=succeeded,
            ended_at=100,
            error="ValueError: no",
        )
    )


@pytest.mark.parametrize(
    ("recorded", "asked", "cause", "position"),
    [
        ("abc", "axc", Cause.RENAMED, "2.2"),
        ("abc", "abx", Cause.RENAMED, "2.3"),
        ("abc", "axbc", Cause.INSERTED, "2.2"),
        ("abc", "xabc", Cause.INSERTED, "2.1"),
        ("abc", "axybc", Cause.INSERTED, "2.2"),
        ("abc", "abcx", Cause.INSERTED, "2.4"),
        ("abc", "ac", Cause.REMOVED, "2.2"),
        ("abc", "bc", Cause.REMOVED, "2.1"),
        ("abc", "ab", Cause.REMOVED, "2.3"),
        ("abab", "bab", Cause.REMOVED, "2.1"),
        ("aab", "ab", Cause.REMOVED, "2.2"),
        ("abc", "acb", Cause.REORDERED, "2.2"),
        ("abcd", "bacd", Cause.REORDERED, "2.1"),
        ("abcd", "dbca", Cause.REORDERED, "2.1"),
        ("abc", "a", Cause.ENDED_EARLY, "2.2"),
        ("abc", "", Cause.ENDED_EARLY, "2.1"),
    ],
)
def test_the_edit_distance_tells_what_happened(
    recorded: str, asked: str, cause: Cause, position: str
) -> None:
    found = compared(steps(recorded), steps(asked))
    assert found is not None
    assert (found.divergence.cause, found.divergence.position) == (cause, position)


def test_unnamed_operations_of_another_type_are_not_taken_for_removed_ones() -> None:
    found = compared([wait(""), step(""), wait(""), step("")], [step("")] * 4)
    assert found is not None
    assert found.divergence.cause is Cause.TYPE_CHANGED


def test_a_virtual_context_that_changed_places_is_reordered() -> None:
    found = compared([child("big"), VIRTUAL], [VIRTUAL, child("big")])
    assert found is not None
    assert found.divergence.cause is Cause.REORDERED


def test_something_new_before_a_virtual_context_is_inserted() -> None:
    found = compared([step("a"), VIRTUAL, step("b")], [step("a"), step("x"), VIRTUAL, step("b")])
    assert found is not None
    assert found.divergence.cause is Cause.INSERTED


def test_equal_sequences_are_compatible() -> None:
    assert compared(steps("abc"), steps("abc")) is None
    assert compared([], []) is None


def test_another_type_under_the_same_name_is_a_change_of_type() -> None:
    found = compared([step("a"), step("b")], [step("a"), wait("b")])
    assert found is not None
    assert found.divergence.cause is Cause.TYPE_CHANGED


def test_another_type_and_name_is_a_replacement() -> None:
    found = compared([step("a"), step("b")], [step("a"), wait("x")])
    assert found is not None
    assert found.divergence.cause is Cause.REPLACED


def test_beyond_the_record_of_an_open_context_is_the_frontier() -> None:
    found = compared(steps("ab"), steps("abc"), BodyEnd.SUSPENDED, is_open=True, succeeded=False)
    assert found is None


def test_what_an_open_context_recorded_must_still_be_reached() -> None:
    found = compared(steps("ab"), steps("a"), BodyEnd.SUSPENDED, is_open=True, succeeded=False)
    assert found is not None
    assert (found.divergence.cause, found.moment) == (Cause.WAITS, 100)


def test_raising_where_more_is_recorded_is_told_as_that() -> None:
    found = compared(steps("abc"), steps("a"), BodyEnd.RAISED)
    assert found is not None
    assert (found.divergence.cause, found.divergence.position) == (Cause.RAISED, "2.2")


def test_raising_after_all_operations_diverges_only_from_a_success() -> None:
    found = compared(steps("ab"), steps("ab"), BodyEnd.RAISED)
    assert found is not None
    assert (found.divergence.cause, found.divergence.position) == (Cause.RAISED, "2.3")
    assert compared(steps("ab"), steps("ab"), BodyEnd.RAISED, succeeded=False) is None


def test_a_virtual_context_fits_where_nothing_is_recorded() -> None:
    assert compared([step("a"), None, step("b")], [step("a"), VIRTUAL, step("b")]) is None
    assert compared([step("a"), VIRTUAL], [step("a"), VIRTUAL]) is None


def test_a_context_that_becomes_virtual_has_another_nesting() -> None:
    for recorded, asked in ((child("c"), VIRTUAL), (VIRTUAL, child("c"))):
        found = compared([recorded], [asked])
        assert found is not None
        assert found.divergence.cause is Cause.NESTING


def test_a_divergence_shows_what_is_around_it_on_both_sides() -> None:
    found = compared(steps("abcdefgh"), steps("abcdxfgh"))
    assert found is not None
    told = found.divergence
    assert [line.name for line in told.matching] == ["b", "c", "d"]
    assert told.expected is not None
    assert told.current is not None
    assert (told.expected.name, told.current.name) == ("e", "x")
    assert [line.name for line in told.next_recorded] == ["f", "g", "h"]
    assert [line.name for line in told.next_current] == ["f", "g", "h"]
    assert told.distance == 1


def test_long_sequences_are_cheap() -> None:
    recorded: list[Identity | None] = [step(str(n)) for n in range(20_000)]
    found = compared(recorded, recorded[1:])
    assert found is not None
    assert found.divergence.cause in (Cause.REMOVED, Cause.RENAMED)


# -- units ---------------------------------------------------------------------------------------


def units(
    recorded: list[str | None],
    names: list[str],
    *,
    total: int | None = None,
    was_flat: bool | None = False,
    is_flat: bool = False,
) -> Found | None:
    records = {index: UnitRecord(name, was_flat) for index, name in enumerate(recorded)}
    return batch_divergence(
        BatchRun((4,), Identity("CONTEXT", "Map", "m"), records, total, names, is_flat, 1)
    )


def test_the_same_units_are_compatible() -> None:
    assert units(["a", "b"], ["a", "b"], total=2) is None


def test_units_that_were_never_dispatched_may_be_more_than_are_recorded() -> None:
    assert units(["a", "b"], ["a", "b", "c"], total=None) is None


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"]])
def test_another_number_of_units_diverges_at_the_operation(names: list[str]) -> None:
    found = units(["a", "b"], names, total=2)
    assert found is not None
    assert (found.divergence.cause, found.divergence.position) == (Cause.UNIT_COUNT, "4")


def test_fewer_units_than_are_recorded_diverge_though_the_total_is_unknown() -> None:
    found = units(["a", "b"], ["a"], total=None)
    assert found is not None
    assert found.divergence.cause is Cause.UNIT_COUNT


def test_a_renamed_unit_diverges_at_its_own_position() -> None:
    found = units(["a", "b"], ["a", "x"], total=2)
    assert found is not None
    assert (found.divergence.cause, found.divergence.position) == (Cause.RENAMED, "4.2")


def test_units_in_another_order_are_told_as_that() -> None:
    found = units(["a", "b"], ["b", "a"], total=2)
    assert found is not None
    assert (found.divergence.cause, found.divergence.position) == (Cause.REORDERED, "4.1")


def test_nested_units_that_become_flat_diverge_and_the_other_way_round() -> None:
    for was, now in ((False, True), (True, False)):
        found = units(["a"], ["a"], total=1, was_flat=was, is_flat=now)
        assert found is not None
        assert found.divergence.cause is Cause.NESTING


def test_names_of_flat_units_that_nobody_recorded_are_not_compared() -> None:
    assert units([None, None], ["a", "b"], total=2, was_flat=True, is_flat=True) is None


# -- following ------------------------------------------------------------------------------------


def followed(recorded: str, asked: str) -> list[tuple[Fit, int | None]]:
    alignment = Alignment([step(name) for name in recorded])

    def answer(index: int, one: Identity) -> tuple[Fit, int | None]:
        return (Fit.EXACT, index) if alignment.takes_own(one) else alignment.look(one)

    return [answer(index, step(name)) for index, name in enumerate(asked)]


def test_equal_code_is_answered_position_by_position() -> None:
    assert followed("aab", "aab") == [(Fit.EXACT, 0), (Fit.EXACT, 1), (Fit.EXACT, 2)]


def test_a_renamed_operation_borrows_the_value_at_its_place() -> None:
    assert followed("abc", "axc") == [(Fit.EXACT, 0), (Fit.SUBSTITUTED, 1), (Fit.EXACT, 2)]


def test_after_an_insertion_everything_is_found_again() -> None:
    assert [at for _, at in followed("abc", "axbc")] == [0, 1, 1, 2]


def test_after_a_removal_everything_is_found_again() -> None:
    assert followed("abc", "ac") == [(Fit.EXACT, 0), (Fit.DISPLACED, 2)]


def test_swapped_operations_are_answered_with_their_own_values() -> None:
    assert [at for _, at in followed("abc", "acb")] == [0, 2, 1]


def test_what_comes_after_the_record_is_new() -> None:
    assert followed("a", "ab") == [(Fit.EXACT, 0), (Fit.NEW, None)]
