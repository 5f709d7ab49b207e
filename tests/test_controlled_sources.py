"""What the two runs of a verification read: whatever code asks of it has another answer."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from durable_core.sandbox.controlled_sources import ControlledSources, readings_of_verification
from durable_core.sandbox.sources import Source


def runs() -> tuple[ControlledSources, ControlledSources]:
    return readings_of_verification(0), readings_of_verification(1)


QUESTIONS: dict[str, Callable[[float], Any]] = {
    "an even second": lambda seconds: int(seconds) % 2,
    "an even millisecond": lambda seconds: int(seconds * 1_000) % 2,
    "the first half of the second": lambda seconds: seconds % 1 < 0.5,
    "an even minute": lambda seconds: at(seconds).minute % 2,
    "an even hour": lambda seconds: at(seconds).hour % 2,
    "the morning": lambda seconds: at(seconds).hour < 12,
    "an even day": lambda seconds: at(seconds).day % 2,
    "the day of the week": lambda seconds: at(seconds).weekday(),
    "the month": lambda seconds: at(seconds).month,
}


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_is_asked_of_the_time_has_another_answer_in_the_second_run(question: str) -> None:
    first, second = runs()
    ask = QUESTIONS[question]
    assert ask(first.seconds()) != ask(second.seconds())


def test_an_even_nanosecond_is_an_odd_one_in_the_second_run() -> None:
    first, second = runs()
    moments = [each.nanoseconds(each.seconds()) % 2 for each in (first, second)]
    assert moments[0] != moments[1]


@pytest.mark.parametrize("threshold", [0.02, 0.1, 0.5, 0.9, 0.98])
def test_the_first_number_drawn_is_on_the_other_side_of_any_threshold(threshold: float) -> None:
    first, second = runs()
    assert (first.fraction() < threshold) != (second.fraction() < threshold)


CHOICES = [
    "random.choice([True, False])",
    "random.randint(1, 6)",
    "random.sample([1, 2, 3, 4], 1)",
    "random.SystemRandom().randrange(4)",
    "secrets.choice(['a', 'b'])",
    "secrets.randbelow(10)",
    "secrets.token_hex(4)",
    "uuid.uuid4().int % 2",
    "os.urandom(1)[0] % 2",
]


def test_what_is_chosen_by_chance_is_another_one_in_the_second_run() -> None:
    drawn = [drawn_in(run) for run in (0, 1)]
    same = [code for code, *each in zip(CHOICES, *drawn, strict=True) if each[0] == each[1]]
    assert same == []


def test_chance_with_a_seed_of_the_users_own_is_pythons() -> None:
    code = "[random.Random(7).choice(range(100)), random.Random(7).random()]"
    random_of = [random.Random(7).choice(range(100)), random.Random(7).random()]
    assert drawn_in(0, [code]) == [repr(random_of)]


def drawn_in(run: int, codes: Sequence[str] = CHOICES) -> list[str]:
    """Return what the expressions come to in a process of one of the runs."""
    script = (
        "import os, random, secrets, uuid\n"
        "from durable_core.sandbox.controlled_sources import readings_of_verification\n"
        f"readings_of_verification({run}).install()\n"
        f"for code in {list(codes)!r}:\n"
        "    print(repr(eval(code)))\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()


@pytest.mark.parametrize("seconds", [0.1, 1, 60, 3_600, 86_400])
def test_more_time_than_any_goes_by_between_two_readings_of_one_run_only(seconds: float) -> None:
    gone_by = [-(each.seconds() - each.seconds()) for each in runs()]
    assert [each > seconds for each in gone_by] == [False, True]


def test_code_that_waits_for_the_time_to_pass_gets_there() -> None:
    first, _ = runs()
    begins = first.seconds()
    assert any(first.seconds() > begins + 3_600 for _ in range(100))


@pytest.mark.parametrize("question", [each for each in QUESTIONS if each != "the month"])
def test_what_is_asked_of_a_later_time_has_another_answer_too(question: str) -> None:
    first, second = runs()
    ask = QUESTIONS[question]
    for _ in range(4):
        assert ask(first.seconds()) != ask(second.seconds())


def test_every_random_bit_is_the_other_one_in_the_second_run() -> None:
    first, second = runs()
    for source in (Source.UUID, Source.URANDOM):
        pairs = zip(first.random_bytes(16, source), second.random_bytes(16, source), strict=True)
        assert all(one + other == 255 for one, other in pairs)


def test_numbers_stay_in_their_range_however_many_are_drawn() -> None:
    for variation in range(12):
        readings = ControlledSources(variation, tuple(Source))
        assert all(0 <= readings.fraction() < 1 for _ in range(1_000))
