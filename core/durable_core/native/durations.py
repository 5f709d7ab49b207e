"""Durations as users give them, `datetime.timedelta`, and as the service counts them."""

from __future__ import annotations

from datetime import timedelta
from math import ceil


def whole_seconds(duration: timedelta) -> int:
    """Return the duration in whole seconds, rounded up: never less time than was asked for."""
    return ceil(duration / timedelta(seconds=1))
