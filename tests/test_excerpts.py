"""Excerpts of two long texts: both from the same place on, a little before they first differ."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_core.excerpts import excerpt, excerpts


def test_short_texts_and_none_stay_as_they_are() -> None:
    assert excerpts("a", "b", 60) == ("a", "b")
    assert excerpts(None, "b", 60) == (None, "b")
    assert excerpts(None, "b" * 99, 60) == (None, f"{'b' * 60}... (99 characters)")


def test_two_long_texts_are_shown_from_a_little_before_their_first_difference() -> None:
    one, other = "x" * 500 + "ours" + "y" * 500, "x" * 500 + "theirs" + "y" * 500
    assert excerpts(one, other, 20) == (
        "...xxxxxoursyyyyyyyyyyy... (1,004 characters)",
        "...xxxxxtheirsyyyyyyyyy... (1,006 characters)",
    )


def test_a_difference_that_is_seen_anyway_leaves_the_beginning() -> None:
    one, other = excerpts("abc" + "x" * 99, "abd" + "x" * 99, 20)
    assert (one, other) == (
        f"abc{'x' * 17}... (102 characters)",
        f"abd{'x' * 17}... (102 characters)",
    )


def test_where_one_text_goes_on_after_the_other_ends_both_begin_at_the_same_place() -> None:
    assert excerpts("x" * 100, "x" * 100 + "more", 20) == (
        "...xxxxx (100 characters)",
        "...xxxxxmore (104 characters)",
    )


def shown(text: str) -> str:
    return text.removesuffix(")").rpartition(" (")[0].removeprefix("...").removesuffix("...")


@given(st.text(min_size=100), st.text(max_size=50), st.text(max_size=50), st.integers(40, 80))
def test_the_first_difference_is_always_shown(same: str, one: str, other: str, most: int) -> None:
    texts = same + "1" + one, same + "2" + other
    parts = excerpts(*texts, most)
    for text, part, mark in zip(texts, parts, "12", strict=True):
        assert part is not None
        assert part == text or mark in part
        assert part == text or shown(part) in text


@pytest.mark.parametrize(
    ("character", "what"),
    [
        ("e\u0301", "an accent of its own"),
        ("\U0001f469\u200d\U0001f469\u200d\U0001f467", "a family"),
        ("\U0001f44d\U0001f3fd", "a coloured thumb"),
        ("\U0001f1eb\U0001f1f7", "a flag"),
        ("\ud83d\ude00", "two surrogates"),
        ("\\u00e9", "an escape"),
        ("\\ud83d\\ude00", "an escape of two surrogates"),
        ('\\"', "a quoted quote"),
        ("\\\\", "a quoted backslash"),
    ],
)
def test_no_character_and_no_escape_is_cut(character: str, what: str) -> None:
    for before in range(len(character) + 1):
        for after in range(3):
            same = "x" * before + character * 100
            one, _ = excerpts(same + "1" + "y" * after, same + "2", 20)
            assert one is not None, what
            whole = shown(one).rstrip("y").removesuffix("1")
            assert whole == character * (len(whole) // len(character)), (what, before)
            part = excerpt(same, 20 + after)
            assert part is not None
            whole = shown(part).lstrip("x")
            assert whole == character * (len(whole) // len(character)), (what, before)


def test_wide_characters_count_as_two_columns() -> None:
    assert excerpt("\u6f22" * 50, 20) == f"{chr(0x6F22) * 10}... (50 characters)"


def test_a_megabyte_is_compared_in_no_time() -> None:
    one = json.dumps(["x" * 1_000_000, 1])
    parts = excerpts(one, one[:-2] + "2]", 60)
    assert [part and part[-28:] for part in parts] == [
        'xx", 1] (1,000,007 characters)'[-28:],
        'xx", 2] (1,000,007 characters)'[-28:],
    ]
