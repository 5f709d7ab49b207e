"""The fuzzer's targets hold for its corpus and for a few mutations; `make attack` tries more."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).with_name("fuzz")))

from mutated_inputs import VALUES, mutated
from targets import TARGETS, seeds

MUTATIONS = 12


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_breaks_a_target(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLE_DEBUG", "1")
    corpus, chance = seeds(target), random.Random(7)
    for data in chance.sample(corpus, min(4, len(corpus))):
        TARGETS[target](data)
    for _ in range(MUTATIONS):
        TARGETS[target](mutated(chance.choice(corpus), corpus, chance))


def test_mutations_leave_the_values_that_they_put_in_as_they_are() -> None:
    before, chance = repr(VALUES), random.Random(7)
    for _ in range(500):
        mutated(b"[[], {}]", [b"[]"], chance)
    assert repr(VALUES) == before


def test_the_corpus_is_small() -> None:
    corpus = Path(__file__).with_name("fuzz") / "corpus"
    assert sum(path.stat().st_size for path in corpus.rglob("*") if path.is_file()) < 200_000
