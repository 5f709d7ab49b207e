"""What a process tells at once is heard in its order, for the source that it belongs to."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from multiprocessing.connection import Connection

import pytest

from durable_core.processes.told_at_once import Teller, Told

TOKEN = b"0123456789abcdef"


@pytest.fixture
def ends() -> tuple[Teller, Told, Connection]:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    return Teller(theirs, TOKEN), Told(ours, TOKEN), theirs


Ends = tuple[Teller, Told, Connection]


def test_each_attempt_belongs_to_the_source_that_is_finished_next(ends: Ends) -> None:
    teller, told, _ = ends
    teller.attempt("importing", at_import=True)
    teller.attempt("one")
    teller.finished()
    teller.finished()
    teller.attempt("two\nlines")
    teller.attempt("two\nlines")
    assert told.finished() == 2
    assert told.take(1) == [["one"]]
    assert told.finished() == 1
    teller.finished()
    assert told.take(2) == [[], ["two lines"]]
    assert told.at_import() == ["importing"]


def test_an_answer_that_comes_without_its_end_has_no_attempts(ends: Ends) -> None:
    assert ends[1].take(2) == [[], []]


def test_what_others_write_there_is_no_attempt(ends: Ends) -> None:
    teller, told, pipe = ends
    os.write(pipe.fileno(), b"!no\n.")
    teller.attempt("yes")
    os.write(pipe.fileno(), TOKEN + b"?\n")
    teller.finished()
    assert told.take(1) == [["yes"]]


def test_a_text_of_any_length_and_kind_is_told(ends: Ends) -> None:
    teller, told, _ = ends
    teller.attempt("\udcff" + "ä" * 10_000)
    teller.finished()
    ((text,),) = told.take(1)
    assert text.startswith(r"\udcffä")
    assert len(text) < 1_000


def test_a_process_that_can_tell_nobody_ends() -> None:
    code = (
        "import multiprocessing\n"
        "from durable_core.processes.told_at_once import Teller\n"
        "ours, theirs = multiprocessing.Pipe(duplex=False)\n"
        "ours.close()\n"
        "Teller(theirs, b'x' * 16).attempt('it')\n"
        "print('goes on')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (ran.returncode, ran.stdout) == (1, b"")
