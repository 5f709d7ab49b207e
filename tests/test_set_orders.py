"""Sets of the user's own modules: walked in an order that we choose, Python's own otherwise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
from __future__ import annotations
import copy
import json
import pickle
from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from functools import singledispatch
from typing import get_type_hints

NAMES = {"a", "b", *["c"]}
FROZEN = frozenset(NAMES)
MASK = 6 & 3


class Colour(Enum):
    RED = 1
    BLUE = 2


class Number(IntEnum):
    ONE = 1
    TWO = 2


@dataclass
class Basket:
    tags: set[str] = field(default_factory=set)
    sizes: set = field(default_factory=lambda: {1, 2})
    either: int | None = None


@dataclass(frozen=True)
class Place:
    name: str


class Named:
    def __init__(self, name):
        self.name = name

    def __eq__(self, other):
        return self.name == other.name

    def __hash__(self):
        return hash(self.name)


@singledispatch
def told(value):
    return "something"


@told.register
def _(value: set):
    return "a set"


def shown(value):
    return type(value).__name__, sorted(map(repr, value))


def facts():
    groups = defaultdict(set)
    groups["x"].add("y")
    yield shown(NAMES), shown(FROZEN), MASK, shown({each for each in "abca"})
    yield shown(NAMES | {"d"}), shown(NAMES & FROZEN), shown(FROZEN - {"a"}), shown(NAMES ^ {"a"})
    yield shown({"a": 1}.keys() & {"a": 2}.keys()), shown(NAMES.union(["z"], "q"))
    yield shown(["a", "b"]), 7 - 2, 0x0F | 0x10, NAMES - NAMES == set(), bool(set())
    yield isinstance(NAMES, set), isinstance(FROZEN, frozenset), type(NAMES) is type({"b"})
    yield NAMES == {"c", "b", "a"}, hash(FROZEN) == hash(frozenset("abc")), "a" in NAMES, len(NAMES)
    yield FROZEN in {FROZEN}, {FROZEN: 1}[frozenset("abc")], NAMES <= {*"abcd"}
    yield NAMES.isdisjoint("x")
    yield repr(set()), repr({"a"}), repr(frozenset()), repr(frozenset({"a"})), f"{ {1} }"
    yield shown(copy.copy(NAMES)), shown(copy.deepcopy(NAMES))
    yield shown(pickle.loads(pickle.dumps(NAMES)))
    yield pickle.loads(pickle.dumps(FROZEN)) == FROZEN, shown(groups["x"]), told(NAMES), told({1})
    yield get_type_hints(Basket), shown(Basket({"t"}).tags), list(Basket().sizes), list({3, 1, 2})
    yield sorted(NAMES, key=str.upper), max(NAMES), min({"q", "p"}), any(NAMES), all({"", "x"})
    yield list({Number.TWO, Number.ONE}), shown({Colour.RED, Colour.BLUE})
    yield sorted({None, "a"}, key=str)
    keys = {Colour.RED: 1, Place("x"): 2, Named("y"): 3, copy.copy(Named("z")): 4, "s": 5}
    yield keys[Colour.RED], keys[Place("x")], keys[Named("y")], keys[Named("z")], keys["s"]
    yield copy.deepcopy(keys)[Place("x")], pickle.loads(pickle.dumps(keys))[Named("y")]
    yield hash("a") == hash("a"), hash(("a", 1)) == hash(("a", 1.0)), hash(1), id(keys) == id(keys)
    yield [*map(shown, map(set, ["ab", "c"]))]
    names = {"a", "b"}
    names |= {"c"}
    names.discard("a")
    names.update(["e"])
    names -= {"b"}
    taken = {"only"}
    yield shown(names), taken.pop(), shown(taken), shown({(1, 2), (3, 4)})
    try:
        set().pop()
    except KeyError as error:
        yield repr(error)
    try:
        json.dumps(NAMES)
    except TypeError as error:
        yield str(error)
    match NAMES:
        case set():
            yield "matched"


for fact in facts():
    print(fact)
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("variation", [1, 3])
def test_sets_of_the_users_modules_are_those_of_python_but_for_their_order(
    tmp_path: Path, variation: int
) -> None:
    (tmp_path / "module.py").write_text(MODULE)
    plain = run(str(tmp_path / "module.py"))
    script = (
        "import sys\n"
        "from durable_core.sandbox.controlled_sources import ControlledSources\n"
        "from durable_core.sandbox.sources import Source\n"
        f"ControlledSources({variation}, tuple(Source)).install()\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "import module\n"
    )
    ours = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    expected = plain.stdout.replace("__main__.", "module.")
    assert ours.stderr == plain.stderr == ""
    assert ours.stdout.splitlines() == expected.splitlines()


def test_a_line_that_raises_is_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("names = {\n  'a',\n}\nx = names - 1\n")
    script = (
        "import sys\n"
        "from durable_core.sandbox.controlled_sources import ControlledSources\n"
        "ControlledSources(1, ()).install()\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "import module\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert 'module.py", line 4, in <module>' in ran.stderr
    assert "unsupported operand type(s) for -: 'set' and 'int'" in ran.stderr
