"""What becomes of what a handler attempts: known where no guard is."""

from __future__ import annotations

from enum import StrEnum


class GuardMode(StrEnum):
    """What becomes of what the handler attempts."""

    BLOCK = "block"
    WARN = "warn"
    OFF = "off"
