"""Counts and sizes in words, the same in every text that a command writes."""

from __future__ import annotations


def bytes_text(count: int | None) -> str:
    """Return a number of bytes in full: near a limit every byte counts."""
    return "?" if count is None else f"{count:,}"


def size_text(count: int) -> str:
    """Return a number of bytes in its largest unit."""
    for unit, factor in (("MiB", 1024 * 1024), ("KiB", 1024)):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count:,} bytes" if count != 1 else "1 byte"


def percent_text(part: float) -> str:
    """Return a part of a limit as a percentage; never 0 % or 100 % for what only comes near."""
    if 0 < part < 0.01:
        return "<1 %"
    if 0.99 < part < 1:
        return ">99 %"
    if 1 < part < 1.01:
        return ">100 %"
    return f"{part * 100:,.0f} %"


def metered_text(count: int, *, at_least: bool) -> str:
    """Return how many operations are metered, to stand in parentheses."""
    return f"{'at least ' if at_least else ''}{count:,} metered"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
