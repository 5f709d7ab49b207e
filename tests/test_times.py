"""Moments as people write them."""

from datetime import UTC, datetime, timedelta

import pytest

from durable_core.errors import UsageError
from durable_core.times import parse_time

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("45s", timedelta(seconds=45)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("1.5h", timedelta(minutes=90)),
        (" 7d ", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_an_age_counts_back_from_now(text, age):
    assert parse_time(text, NOW) == NOW - age


@pytest.mark.parametrize(
    "text", ["2026-11-01", "2026-11-01T00:00:00Z", "2026-11-01T02:00:00+02:00", "1793491200"]
)
def test_a_date_a_time_and_epoch_seconds_are_moments_in_utc(text):
    assert parse_time(text, NOW) == datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "soon", "2 hours", "-2h", "999999999w", "2026-13-01", "h"])
def test_anything_else_is_refused_with_examples(text):
    with pytest.raises(UsageError, match="is no moment: expected a date or time such as"):
        parse_time(text, NOW)
