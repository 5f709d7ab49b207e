"""Laws of the rules by which events can belong to one execution."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_core.errors import HistoryError
from durable_core.history import CLOCK_SKEW, check_events, find_cycle, history_of_events, in_order
from durable_core.model import Event

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
NAMES = st.sampled_from("abcdef")


def events(count: int) -> list[Event]:
    return [Event(number, "ContextStarted", NOON, id=str(number)) for number in range(1, count + 1)]


@given(data=st.data(), count=st.integers(0, 12))
def test_any_order_with_any_repeats_is_the_same(data: st.DataObject, count: int) -> None:
    expected = events(count)
    repeats = data.draw(st.lists(st.sampled_from(expected))) if expected else []
    shuffled = data.draw(st.permutations(expected + repeats))
    assert in_order(shuffled) == tuple(expected)


@given(missing=st.sets(st.integers(1, 20)))
def test_every_missing_event_before_the_last_is_counted(missing: set[int]) -> None:
    present = [each for each in events(21) if each.event_id not in missing]
    warnings = history_of_events("h", present).warnings
    assert warnings == (
        (
            f"incomplete: {len(missing)} of the EventIds up to 21 "
            f"{'is' if len(missing) == 1 else 'are'} missing, the first is {min(missing)}",
        )
        if missing
        else ()
    )


@given(parents=st.dictionaries(NAMES, st.none() | NAMES))
def test_a_cycle_is_found_exactly_when_there_is_one(parents: dict[str, str | None]) -> None:
    def is_own_ancestor(child: str) -> bool:
        at = parents.get(child)
        for _ in parents:
            if at is None or at == child:
                break
            at = parents.get(at)
        return at == child

    cycle = find_cycle(parents)
    assert bool(cycle) == any(map(is_own_ancestor, parents))
    assert all(parents[a] == b for a, b in zip(cycle, [*cycle[1:], *cycle[:1]], strict=True))


@pytest.mark.parametrize("kind", ["Wait", "Step", "Callback", "ChainedInvoke"])
def test_an_end_may_be_earlier_by_the_skew_of_clocks_and_no_more(kind: str) -> None:
    start = Event(1, f"{kind}Started", NOON, id="a")
    check_events([start, Event(2, f"{kind}Succeeded", NOON - CLOCK_SKEW, id="a")])
    earlier = NOON - CLOCK_SKEW - timedelta(milliseconds=1)
    with pytest.raises(HistoryError, match=r"5\.001 s earlier than its start at EventId 1"):
        check_events([start, Event(2, f"{kind}Succeeded", earlier, id="a")])


def test_a_later_attempt_is_compared_with_its_own_start() -> None:
    retry = {"RetryDetails": {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 60}}
    history = [
        Event(1, "StepStarted", NOON, id="a"),
        Event(2, "StepFailed", NOON, id="a", details=retry),
        Event(3, "StepStarted", NOON + timedelta(seconds=60), id="a"),
        Event(4, "StepSucceeded", NOON + timedelta(seconds=1), id="a"),
    ]
    with pytest.raises(HistoryError, match=r"is 59\.000 s earlier than its start at EventId 3"):
        check_events(history)


@pytest.mark.parametrize(
    ("details", "has_data"),
    [
        (None, False),
        ({}, False),
        ({"Input": {}}, False),
        ({"Input": {"Truncated": True}}, False),
        ({"Input": {"Truncated": False}}, True),
        ({"Input": {"Payload": "1"}}, True),
        ({"Input": {"Payload": "1", "Truncated": True}}, True),
        ({"Input": {"Payload": ""}}, True),
    ],
)
def test_a_start_without_its_input_shows_that_there_are_no_data(
    details: dict[str, object] | None, has_data: bool
) -> None:
    started = Event(1, "ExecutionStarted", NOON, id="e", details=details)
    assert history_of_events("h", [started]).has_execution_data is has_data
    with_a_result = Event(2, "StepSucceeded", NOON, id="s", details={"Result": {"Payload": "1"}})
    assert history_of_events("h", [started, with_a_result]).has_execution_data


def test_events_that_never_carry_a_payload_miss_none() -> None:
    waits = [Event(1, "WaitStarted", NOON, id="w"), Event(2, "WaitSucceeded", NOON, id="w")]
    assert history_of_events("h", waits).has_execution_data
