from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_core.service.clock import Timers, VirtualClock

START = datetime(2026, 11, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_a_clock_moves_only_when_told():
    clock = VirtualClock(START)

    assert clock.now == START
    assert clock.advance_to(at(3600)) == at(3600)
    assert clock.now == at(3600)


def test_a_clock_never_goes_backwards():
    clock = VirtualClock(at(10))

    assert clock.advance_to(at(5)) == at(10)


def test_a_clock_wants_to_know_its_time_zone():
    with pytest.raises(ValueError, match="timezone"):
        VirtualClock(datetime(2026, 11, 1))


def test_nothing_is_due_where_nothing_is_set():
    timers: Timers[str] = Timers()

    assert timers.next_due() is None
    assert timers.take(at(1)) is None


def test_a_timer_is_due_at_its_moment_and_not_before():
    timers: Timers[str] = Timers()
    timers.set(at(5), "five")

    assert timers.take(at(4.999)) is None
    assert timers.take(at(5)) == (at(5), "five")
    assert timers.take(at(5)) is None


def test_a_long_wait_does_not_overtake_a_short_timeout():
    timers: Timers[str] = Timers()
    timers.set(at(3600), "wait of an hour")
    timers.set(at(5), "callback timeout")

    assert timers.take(at(3600)) == (at(5), "callback timeout")
    assert timers.take(at(3600)) == (at(3600), "wait of an hour")


def test_a_cancelled_timer_is_never_due():
    timers: Timers[str] = Timers()
    key = timers.set(at(1), "cancelled")
    timers.set(at(2), "kept")

    timers.cancel(key)
    timers.cancel(key)

    assert timers.next_due() == at(2)
    assert len(timers) == 1


def test_cleared_timers_are_gone():
    timers: Timers[str] = Timers()
    timers.set(at(1), "one")

    timers.clear()

    assert timers.next_due() is None


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans())))
def test_timers_ring_by_moment_then_in_the_order_of_their_setting(given_timers):
    timers: Timers[int] = Timers()
    kept = []
    for number, (seconds, cancelled) in enumerate(given_timers):
        key = timers.set(at(seconds), number)
        if cancelled:
            timers.cancel(key)
        else:
            kept.append((seconds, number))

    rung = []
    while (taken := timers.take(at(9))) is not None:
        rung.append(taken)

    assert rung == [(at(seconds), number) for seconds, number in sorted(kept)]
