"""Digests of what is handed to functions: alike for what is built alike, in any process."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict, deque, namedtuple
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_core.given import GivenDifference, given_difference
from durable_core.processes.digests import digest_of


def digest(*values: object) -> str:
    return digest_of(values, 1_000)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.floats(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


def copied(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(copied(each) for each in value)
    if isinstance(value, dict):
        return {key: copied(each) for key, each in value.items()}
    return value


@given(plain, plain)
def test_what_is_built_alike_has_one_digest_and_nothing_else_has(one: Any, other: Any) -> None:
    assert digest(one) == digest(copied(one))
    assert (digest(one) == digest(other)) == (repr(one) == repr(other))


class Colour(Enum):
    RED = 1
    BLUE = 2


Point = namedtuple("Point", "x y")


class Task:
    def __init__(self, name: str) -> None:
        self.name = name

    def go(self) -> str:
        return self.name

    def __call__(self) -> str:
        return self.name


class Slots:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


def with_default(name: str) -> Callable[..., str]:
    def go(given: str = name, *, more: int = 1) -> str:
        return given * more

    return go


def closed_over(name: Any) -> Callable[[], Any]:
    return lambda: name


def loop(name: str) -> list[Any]:
    inside: list[Any] = [name]
    inside.append(inside)
    return inside


MAKERS: dict[str, Callable[[str], Any]] = {
    "a closure": closed_over,
    "a default": with_default,
    "a partial": lambda name: partial(print, name),
    "a keyword of a partial": lambda name: partial(print, end=name),
    "a method": lambda name: Task(name).go,
    "a method of a list": lambda name: [name].append,
    "a callable object": Task,
    "an object with slots": Slots,
    "a named tuple": lambda name: Point(name, 1),
    "an enumeration": lambda name: Colour.RED if name == "one" else Colour.BLUE,
    "a dict in an order": lambda name: dict.fromkeys([name, "one", "two"]),
    "an ordered dict": lambda name: OrderedDict({name: 1, "one": 2, "two": 2}),
    "a deque": lambda name: deque([name]),
    "a path": Path,
    "an error": ValueError,
    "a date": lambda name: date(2026, 1, len(name)) if name == "one" else date(2026, 2, 1),
    "a time": lambda name: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=name == "one"),
    "a number": lambda name: Decimal(1 if name == "one" else 2),
    "a UUID": lambda name: UUID(int=name == "one"),
    "a set in a set": lambda name: {frozenset({name, 1})},
    "what holds itself": loop,
    "characters that no codec has": lambda name: f"{name}\ud800",
    "a closure in a closure": lambda name: closed_over(closed_over(name)),
    "a number of many digits": lambda name: 10**9999 + (name == "one"),
    "bytes that change": lambda name: bytearray(name, "ascii"),
}


@pytest.mark.parametrize("what", MAKERS)
def test_another_value_inside_is_another_digest(what: str) -> None:
    make = MAKERS[what]
    assert digest(make("one")) == digest(make("one"))
    assert digest(make("one")) != digest(make("two"))


class Client:
    def __init__(self, number: int) -> None:
        self.session = UUID(int=number)
        self.key = self.session.hex
        self.made = 1_767_225_600.5 + number
        self.address = 140_000_000_000_000 + number
        self.lock = Lock()
        self.table = "orders"


ALIKE: dict[str, Callable[[int], Any]] = {
    "a lock": lambda number: Lock(),
    "an object": lambda number: object(),
    "a client with ids of its own": Client,
    "the method of a client": lambda number: Client(number).__init__,  # type: ignore[misc]
    "a stream": lambda number: iter([number]),
    "what is no data of an installed package": lambda number: pytest.Config,
    "a set in another order": lambda number: set([1, 2, "a", "b"][:: 1 - 2 * number]),
}


@pytest.mark.parametrize("what", ALIKE)
def test_what_is_no_data_and_the_order_of_a_set_make_no_difference(what: str) -> None:
    make = ALIKE[what]
    assert digest(make(0)) == digest(make(1))


class Hostile:
    """Does something in all that Python may ask of it."""

    def __init__(self) -> None:
        object.__setattr__(self, "inside", 1)

    def fails(self, *_: object) -> Any:
        raise AssertionError("asked")

    __repr__ = __str__ = __eq__ = __hash__ = __bool__ = __len__ = __iter__ = fails
    __getattr__ = __getattribute__ = __reduce_ex__ = fails


class HostileList(list[int]):
    __iter__ = __len__ = __getitem__ = __eq__ = Hostile.fails


class HostileText(str):
    __iter__ = __len__ = __getitem__ = __eq__ = __hash__ = Hostile.fails
    encode = __str__ = Hostile.fails


def test_no_code_of_a_value_runs() -> None:
    hostile: Any = Hostile()
    values = [HostileList([1]), HostileText("a"), hostile, {"a": hostile}, closed_over(hostile)]
    assert digest(*values) == digest(*values)


def test_a_value_of_any_size_takes_few_looks() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    wide = list(range(1_000_000))
    assert digest(deep, wide, "x" * 10_000_000) == digest(deep, wide, "x" * 10_000_000)
    assert digest(wide, "near") != digest(wide, "by")


def test_another_process_with_another_hash_seed_comes_to_the_same() -> None:
    code = (
        "from durable_core.processes.digests import digest_of\n"
        "print(digest_of([{'a', 'b', 'c'}, {'k': frozenset('xyz')}, lambda x={'p', 'q'}: x], 99))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


# -- between two runs ----------------------------------------------------------------------------


def test_the_same_and_what_only_one_run_asked_for_is_no_difference() -> None:
    assert (
        given_difference({("a", -1): "x", ("b", -1): "y"}, {("a", -1): "x", ("c", 0): "z"}) is None
    )


def test_values_that_change_places_are_exchanged_and_new_ones_are_not() -> None:
    one, two, keys = {("a", -1): "x", ("b", -1): "y"}, {("a", -1): "y", ("b", -1): "x"}, ("a", "b")
    assert given_difference(one, two) == GivenDifference(tuple((each, -1) for each in keys), True)
    new = {("a", -1): "p", ("b", -1): "q"}
    assert given_difference(one, new) == GivenDifference(tuple((each, -1) for each in keys), False)
