"""What operations of native handlers give to the code that they run. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from durable_core.native.config import ParallelBranch
from durable_core.values import dataclass

_TAKEN: Final[dict[str, tuple[str, ...]]] = {
    "step": ("func",),
    "wait": (),
    "invoke": ("function_name", "payload"),
    "create_callback": (),
    "wait_for_callback": ("submitter",),
    "wait_for_condition": ("check", "config"),
    "run_in_child_context": ("func",),
    "map": ("inputs", "func"),
    "parallel": ("functions",),
}
"""The operations, and which of their first parameters are given to the code that they run."""
OPERATIONS: Final = tuple(_TAKEN)
_UNITS: Final = ("inputs", "functions")

Arguments = tuple[str, tuple[Any, ...], Mapping[str, Any]]
"""How an operation was called: its name, its arguments, and those that have names."""


@dataclass(frozen=True, slots=True)
class Handed:
    """What an operation gives to the code that it runs, and what to that of each of its units."""

    values: tuple[object, ...]
    units: Sequence[object] = ()


def handed_by(arguments: Arguments) -> Handed:
    """Return what an operation gives to the code that it runs."""
    operation, args, keywords = arguments
    taken = dict(zip(_TAKEN[operation], args, strict=False))
    taken |= {name: keywords[name] for name in _TAKEN[operation] if name in keywords}
    if "config" in taken:
        taken["config"] = getattr(taken["config"], "initial_state", None)
    taken.pop("function_name", None)  # part of what the service is asked for
    units = next((taken.pop(name) for name in _UNITS if _has_units(taken.get(name))), ())
    units = [each.func if isinstance(each, ParallelBranch) else each for each in units]
    return Handed(tuple(taken.values()), units)


def _has_units(value: object) -> bool:
    return isinstance(value, list | tuple)
