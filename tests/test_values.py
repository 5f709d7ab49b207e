"""Values: what is declared with `values.dataclass` is a dataclass in all that can be seen of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_core.frozen import dataclass


def declared(with_: Callable[..., Any], **options: Any) -> Any:
    """Return a class with a required field, one with a default, one that isn't compared, and one
    that isn't shown."""

    class Value:
        """A value."""

        a: object
        b: object = None
        seen: object = field(default=0, compare=False)
        hidden: object = field(default=0, repr=False)

    return with_(**options)(Value)


some = st.none() | st.integers(0, 2) | st.text(max_size=2) | st.tuples(st.integers(0, 1))
fields = st.tuples(some, some, some, some)


@given(fields, fields, st.booleans(), st.booleans())
def test_values_compare_hash_and_show_as_those_of_the_standard_library(
    one: tuple[object, ...], other: tuple[object, ...], slots: bool, frozen: bool
) -> None:
    ours = declared(dataclass, slots=slots, frozen=frozen)
    theirs = declared(dataclasses.dataclass, slots=slots, frozen=frozen)
    assert (ours(*one) == ours(*other)) == (theirs(*one) == theirs(*other))
    assert (ours(*one) != ours(*other)) == (theirs(*one) != theirs(*other))
    assert ours(*one) != one
    assert ours(*one) != theirs(*one)
    assert repr(ours(*one)) == repr(theirs(*one))
    if frozen:
        assert ours(*one) != ours(*other) or hash(ours(*one)) == hash(ours(*other))
    else:
        for kind in (ours, theirs):
            with pytest.raises(TypeError, match="unhashable"):
                hash(kind(*one))


def test_what_a_class_defines_itself_is_kept() -> None:
    @dataclass(frozen=True, slots=True)
    class Loud:
        """A value."""

        text: str

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Loud) and self.text.lower() == other.text.lower()

        def __hash__(self) -> int:
            return hash(self.text.lower())

        def __repr__(self) -> str:
            return self.text.upper()

    assert Loud("a") == Loud("A")
    assert hash(Loud("a")) == hash(Loud("A"))
    assert repr(Loud("a")) == "A"


def test_a_value_of_another_class_is_another_value() -> None:
    @dataclass(frozen=True)
    class Value:
        """A value."""

        a: int = 1

    class Inner(Value):
        """Another one with the same fields."""

    @dataclass(frozen=True)
    class Wider(Value):
        """One with more fields."""

        b: int = 2

    assert Value() != Inner()
    assert Inner() == Inner()
    assert Wider(1, 2) != Wider(1, 3)
    assert repr(Wider(1, 3)).endswith("Wider(a=1, b=3)")


def test_a_value_without_fields_and_one_that_holds_itself() -> None:
    @dataclass(frozen=True)
    class Nothing:
        """No fields."""

    @dataclass
    class Ring:
        """Holds itself."""

        at: object = None

    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())
    ring = Ring()
    ring.at = ring
    assert repr(ring).endswith("Ring(at=...)")
    assert dataclasses.asdict(Ring(Ring(1))) == {"at": {"at": 1}}


def made_of_all_kinds(with_: Callable[..., Any], **options: Any) -> Any:
    """Return a class with every kind of field, and one that is derived from it."""

    class Value:
        """A value."""

        a: object
        made: list[object] = field(default_factory=list)
        fixed: object = field(default=7, init=False)
        fresh: list[object] = field(default_factory=lambda: [1], init=False)
        named: object = field(default="n", kw_only=True)
        needed: object = field(kw_only=True)
        counted: object = field(init=False)

        def __post_init__(self) -> None:
            self.counted = (self.a, self.named)

    base = with_(**options)(Value)

    class Derived(base):  # type: ignore[misc, valid-type]
        """A value with one more field."""

        last: object = None

    return base, with_(**options)(Derived)


@pytest.mark.parametrize("slots", [False, True])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    ("args", "keywords"),
    [
        ((1,), {"needed": 2}),
        ((1, [2]), {"needed": None, "named": 3}),
        ((), {"a": 1, "made": (), "needed": 2}),
        ((1, 2, 3), {"needed": 4}),
        ((1, 2, 3, 4), {"needed": 5}),
        ((), {"needed": 1}),
        ((1,), {}),
        ((1,), {"needed": 2, "fixed": 3}),
        ((1,), {"needed": 2, "other": 3}),
    ],
)
def test_values_are_made_and_refused_as_those_of_the_standard_library(
    slots: bool, which: int, args: tuple[object, ...], keywords: dict[str, object]
) -> None:
    def made(with_: Callable[..., Any]) -> object:
        kind = made_of_all_kinds(with_, slots=slots)[which]
        try:
            first, second = kind(*args, **keywords), kind(*args, **keywords)
        except TypeError as error:
            return str(error).replace("made_of_all_kinds.<locals>.", "")
        assert first.fresh is not second.fresh
        return [(each.name, getattr(first, each.name)) for each in dataclasses.fields(first)]

    assert made(dataclass) == made(dataclasses.dataclass)
