"""The values that options take. Light: every call of `durable` imports it."""

from __future__ import annotations

from enum import StrEnum


class Only(StrEnum):
    """Which operations and units to show; their ancestors stay, so that one sees where they are."""

    STRIPPED = "stripped"
    RE_EXECUTED = "re-executed"
    SKIPPED = "skipped"
    PENDING = "pending"
    FAILED = "failed"
    LARGE = "large"
