"""What holds for the code as a whole: names that stand once, and files that can be read at once."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
LONGEST_FILE = 440


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("figures", ROOT / "tests" / "figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["figures"] = module
    spec.loader.exec_module(module)
    return module


def test_no_public_class_has_the_name_of_another_one(figures: ModuleType) -> None:
    homes: dict[str, list[str]] = {}
    for name, module in figures.modules(ROOT).items():
        for each in figures.public_classes(module):
            homes.setdefault(each, []).append(name)
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def test_no_module_is_longer_than_can_be_read_at_once(figures: ModuleType) -> None:
    found = {name: module.lines for name, module in figures.modules(ROOT).items()}
    assert {name: lines for name, lines in found.items() if lines > LONGEST_FILE} == {}


def test_no_module_imports_itself_by_way_of_others(figures: ModuleType) -> None:
    known = figures.modules(ROOT)
    loaded = {name: figures.imports(each, known, late=False) for name, each in known.items()}
    assert figures.circles(loaded) == []
