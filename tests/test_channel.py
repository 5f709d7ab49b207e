"""Messages between our processes, whatever a handler writes to their pipe."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import struct
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from durable_core.errors import SourceError
from durable_core.model import ErrorObject, OperationStatus
from durable_core.processes.channel import Channel, Garbled, new_token


def both_ends(*, only_values: bool = False, token: bytes | None = None) -> tuple[Channel, Channel]:
    one, other = multiprocessing.get_context("spawn").Pipe()
    token = token or new_token()
    return Channel(one, token, only_values=only_values), Channel(other, token)


VALUES: tuple[Any, ...] = (
    None,
    [1, "text", {"a": b"bytes"}],
    ErrorObject("message", "Type"),
    OperationStatus.STARTED,
    datetime(2026, 1, 1, tzinfo=UTC),
    {frozenset({1, 2})},
)


@pytest.mark.parametrize("only_values", [False, True])
def test_what_is_sent_arrives_in_its_order(only_values: bool) -> None:
    ours, theirs = both_ends(only_values=only_values)
    for each in VALUES:
        theirs.send(each)
    assert tuple(ours.recv() for _ in VALUES) == VALUES
    assert not ours.poll()


def test_an_error_of_ours_arrives_as_it_is() -> None:
    ours, theirs = both_ends(only_values=True)
    theirs.send(SourceError("file", "problem", "where"))
    assert str(ours.recv()) == "file: where: problem"


def test_a_message_larger_than_the_pipe_arrives_whole() -> None:
    ours, theirs = both_ends()
    sending = threading.Thread(target=theirs.send, args=("x" * 5_000_000,))
    sending.start()
    assert len(ours.recv()) == 5_000_000
    sending.join()


def test_sending_to_an_end_that_does_not_read_ends_in_time() -> None:
    _, theirs = both_ends()
    with pytest.raises(TimeoutError):
        theirs.send("x" * 5_000_000, timeout=0.01)


def test_the_end_of_the_pipe_is_told_after_what_was_sent_before() -> None:
    ours, theirs = both_ends()
    theirs.send(1)
    theirs.close()
    assert ours.recv() == 1
    with pytest.raises(EOFError):
        ours.recv()


@given(st.binary(min_size=1))
def test_garbage_is_told_and_never_waited_for(garbage: bytes) -> None:
    token = b"sixteen bytes it"
    assume(not token.startswith(garbage))  # that may be the beginning of a message
    ours, theirs = both_ends(token=token)
    os.write(theirs.fileno(), garbage)
    with pytest.raises(Garbled):  # noqa: PT012
        assert ours.poll()
        ours.recv()
    ours.close()
    theirs.close()


@pytest.mark.parametrize(
    "garbage", [b"\x7f\xff\xff\xff", struct.pack("!i", 2) + pickle.dumps(1), b"hello\n" * 1000]
)
def test_garbage_between_two_messages_is_told(garbage: bytes) -> None:
    ours, theirs = both_ends()
    theirs.send("one")
    os.write(theirs.fileno(), garbage)
    theirs.send("other")
    assert ours.recv() == "one"
    with pytest.raises(Garbled):
        ours.recv()


class Acting:
    """What runs a command where it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


class Naming:
    """What is made of a class of this package that is no value."""

    def __reduce__(self) -> Any:
        from durable_core.runtimes.handler import HandlerLoader

        return HandlerLoader, ()


def test_where_only_values_are_taken_nothing_else_is_made(tmp_path: Path) -> None:
    for thing in (Acting(f"touch {tmp_path}/there"), Naming()):
        ours, theirs = both_ends(only_values=True)
        theirs.send(thing)
        with pytest.raises(Garbled):
            ours.recv()
    assert not list(tmp_path.iterdir())
