"""The times that a handler read, in what it came to: other in each run that takes other time.

A step that notes when it ran is right to; so runs are compared without what can only be a time of
the execution: seconds, or parts of them, since 1970, and dates with a time of day.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from durable_core.sandbox.handler_clock import STARTS_AT

_TIME: Final = re.compile(
    r"(?<![\w.])(?P<seconds>\d{10})(?:\d{3}|\d{6}|\d{9})?(?:\.\d+)?(?![\w.])"
    r"|(?<!\d)(?P<date>\d{4}-\d\d-\d\d[T ]\d\d:\d\d)(?::\d\d(?:[.,]\d+)?)?(?!\d)"
)
_ZONES: Final = timedelta(hours=15)
"""How far a local time is from that of Greenwich, at most."""


def without_times(text: str | None, ended: datetime) -> str | None:
    """Return a text with `<time>` for each time between the start of an execution and its end."""

    def told(found: re.Match[str]) -> str:
        seconds, date = found["seconds"], found["date"]
        if seconds is not None:
            is_read = STARTS_AT.timestamp() <= int(seconds) <= ended.timestamp()
        else:
            is_read = _is_within(date, ended)
        return "<time>" if is_read else found[0]

    return None if text is None else _TIME.sub(told, text)


def _is_within(date: str, ended: datetime) -> bool:
    try:
        moment = datetime.fromisoformat(date).replace(tzinfo=STARTS_AT.tzinfo)
    except ValueError:
        return False
    return STARTS_AT - _ZONES <= moment <= ended + _ZONES
