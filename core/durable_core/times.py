"""Moments as people write them: dates, times, and how long ago. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from durable_core.errors import UsageError
from durable_core.events import parse_timestamp

_AGO: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_time(text: str, now: datetime) -> datetime:
    """Return the moment: `2h` or `7d` before `now`, a date, a time, or epoch seconds; in UTC.

    What has no zone is UTC, as every moment that `durable` prints. Raises UsageError.
    """
    wanted = text.strip()
    try:
        if ago := _AGO.fullmatch(wanted):
            return now - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        return parse_timestamp(wanted)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is no moment: expected a date or time such as 2026-11-01 or "
            "2026-11-01T08:30:00Z (UTC unless it says otherwise), or an age such as 30m, 2h or 7d"
        ) from None
