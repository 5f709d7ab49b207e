"""Errors and durations in words."""

import pytest

from durable_core.explaining.messages import describe_error, duration_text
from durable_core.model import ErrorObject


@pytest.mark.parametrize(
    ("error_type", "shown"),
    [
        ("ValueError", "ValueError"),
        ("aws_durable_execution_sdk_python.exceptions.StepError", "StepError"),
        ("java.io.IOException", "IOException"),
        ("Callback.Timeout", "Callback.Timeout"),
        ("System.IO.IOException", "System.IO.IOException"),
        ("a sentence. And another", "a sentence. And another"),
        ("module.", "module."),
        (".", "."),
        ("..", ".."),
        ("targets.run.<locals>.Bad", "targets.run.<locals>.Bad"),
    ],
)
def test_an_error_is_named_by_its_class_without_the_module(error_type: str, shown: str) -> None:
    assert describe_error(ErrorObject(type=error_type), "FAILED") == shown


def test_an_error_is_its_type_and_its_message_or_whichever_there_is() -> None:
    assert describe_error(ErrorObject(type="E", message="m"), "FAILED") == "E: m"
    assert describe_error(ErrorObject(message="m"), "FAILED") == "m"
    assert describe_error(ErrorObject(message="", type=""), "TIMED_OUT") == "timed out"
    assert describe_error(None, "STOPPED") == "stopped"


def test_a_long_error_is_cut() -> None:
    text = describe_error(ErrorObject(message="x" * 1_000), "FAILED")
    assert (len(text), text[-4:]) == (300, "x...")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0, "0 ms"),
        (0.0004, "0 ms"),
        (0.9, "900 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (1, "1.00 s"),
        (119.99, "119.99 s"),
        (120, "2.0 min"),
        (7_199, "120.0 min"),
        (7_200, "2.0 h"),
        (172_800, "2.0 d"),
        (86_400 * 365, "365.0 d"),
    ],
)
def test_a_duration_is_said_in_the_unit_in_which_people_say_it(
    seconds: float | None, text: str
) -> None:
    assert duration_text(seconds) == text
