"""Which body of a step or poll runs here: what it reads is recorded, other reads are not."""

from __future__ import annotations

from contextvars import ContextVar

running_body: ContextVar[str | None] = ContextVar("durable_body", default=None)
"""The operation's id and the attempt, `ID/ATTEMPT`; None outside of any body."""
