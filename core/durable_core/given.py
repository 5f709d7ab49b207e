"""What operations are given by the code that asks for them, compared between two runs. Pure.

The service knows an operation by its type and name; what its body is given (a closure's variables,
default arguments, an item of a map) it never sees. Where two runs give a body something else, an
execution is recorded with one of them and goes on with the other.
"""

from __future__ import annotations

from collections.abc import Mapping

from durable_core.frozen import dataclass

Given = Mapping[tuple[str, int], str]
"""Digests of what is given, by the id of the operation and the number of its unit; -1: the
operation itself."""

OPERATION = -1
"""In the place of a unit's number: what is given to the operation itself."""


@dataclass(frozen=True, slots=True)
class GivenDifference:
    """Who is given something else in another run, in the order in which they were asked for.

    `is_exchanged`: one of them is given what another one is given in the other run, so that a
    replay gives one what another one has had already, and leaves something out.
    """

    keys: tuple[tuple[str, int], ...]
    is_exchanged: bool


def given_difference(one: Given, other: Given) -> GivenDifference | None:
    """Return who is given something else; None: all that both runs asked for is given the same."""
    keys = tuple(key for key, digest in one.items() if other.get(key, digest) != digest)
    if not keys:
        return None
    is_exchanged = not {one[key] for key in keys}.isdisjoint(other[key] for key in keys)
    return GivenDifference(keys, is_exchanged)
