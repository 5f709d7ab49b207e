"""A value is taken for what its class declares only where all that is in it is so, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pytest

from durable_core.processes.declared import is_as_declared


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Inner:
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Outer:
    colour: Colour = Colour.RED
    inner: tuple[Inner, ...] = ()
    seconds: float = 0.0
    count: int = 0
    given: Mapping[tuple[str, int], str] = field(default_factory=dict)
    told: tuple[Any, ...] = ()


GOOD = [
    Outer(),
    Outer(inner=(Inner("a"), Inner())),
    Outer(seconds=1),
    Outer(given={("a", 1): "b"}),
    Outer(told=(1, "a", None, (Colour.RED,))),
]
wrong: Any = object.__new__(Outer)
BAD = [
    None,
    Inner(),
    wrong,
    Outer(colour="red"),  # type: ignore[arg-type]
    Outer(inner=5),  # type: ignore[arg-type]
    Outer(inner=(5,)),  # type: ignore[arg-type]
    Outer(inner=(Inner(5),)),  # type: ignore[arg-type]
    Outer(inner=[Inner()]),  # type: ignore[arg-type]
    Outer(count=1.5),  # type: ignore[arg-type]
    Outer(given={"a": "b"}),  # type: ignore[dict-item]
    Outer(given={("a", 1, 2): "b"}),  # type: ignore[dict-item]
    Outer(told=([],)),
]


@pytest.mark.parametrize("value", GOOD)
def test_what_is_as_declared_is_taken(value: object) -> None:
    assert is_as_declared(value, Outer)


@pytest.mark.parametrize("value", BAD, ids=range(len(BAD)))
def test_what_is_not_is_not(value: object) -> None:
    assert not is_as_declared(value, Outer)
