"""What an operation hands to the code that it runs."""

from __future__ import annotations

from collections.abc import Sequence

from durable_core.values import dataclass


@dataclass(frozen=True, slots=True)
class Handed:
    """What an operation gives to the code that it runs, and what to that of each of its units."""

    values: tuple[object, ...]
    units: Sequence[object] = ()
