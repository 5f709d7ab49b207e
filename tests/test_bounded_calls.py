"""Servers that never end what they say, or say too much: each is one line, in time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from aws_environment import prepare
from scripted_lambda import ScriptedLambda, arn_of, execution, numbered, steps

from durable_cli.app import run
from durable_core.adapters import bounded_calls, downloads, lambda_api
from durable_core.adapters.connection import Connection
from durable_core.adapters.downloads import download, download_all
from durable_core.adapters.lambda_api import LambdaApi
from durable_core.errors import AwsError

ARN = arn_of("order-1")
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
Say = Callable[[socket.socket, threading.Event], None]


def drip(piece: bytes) -> Say:
    def say(connection: socket.socket, over: threading.Event) -> None:
        while not over.wait(0.01):
            connection.sendall(piece)

    return say


def flood(head: bytes, piece: bytes) -> Say:
    def say(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        while not over.is_set():
            connection.sendall(piece)

    return say


def after(head: bytes, then: Say) -> Say:
    def say(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        then(connection, over)

    return say


def once(answer: bytes) -> Say:
    return after(answer, lambda connection, over: None)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    prepare(monkeypatch, tmp_path)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(bounded_calls, "MOST_ANSWER_BYTES", 2**22)


@pytest.fixture
def serve() -> Iterator[Callable[[Say], str]]:
    """Return a function that serves what it is given to each connection, and says where."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket, say: Say) -> None:
        with connection, suppress(OSError):
            connection.recv(65_536)
            say(connection, over)

    def listen(say: Say) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=answer, args=(connection, say), daemon=True).start()

    def serve(say: Say) -> str:
        threading.Thread(target=listen, args=(say,), daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield serve
    over.set()
    listener.close()


HOSTILE: dict[str, tuple[Say, str]] = {
    "a body that drips": (
        after(OK + b"Content-Length: 100000\r\n\r\n{", drip(b" ")),
        "the answer didn't end within 0.5 s",
    ),
    "a status line that drips": (drip(b"H"), "the answer didn't end within 0.5 s"),
    "a header that drips": (
        after(OK + b"X-Long: ", drip(b"x")),
        "the answer didn't end within 0.5 s",
    ),
    "chunks that drip": (
        after(OK + b"Transfer-Encoding: chunked\r\n\r\n", drip(b"1\r\n \r\n")),
        "the answer didn't end within 0.5 s",
    ),
    "a body without an end": (flood(OK + b"\r\n", b" " * 65_536), "the answer has more than 4 MiB"),
    "an absurd length": (
        flood(OK + b"Content-Length: 99999999999999\r\n\r\n", b" " * 65_536),
        "the answer has more than 4 MiB",
    ),
    "headers without an end": (flood(OK, b"X-Header: x\r\n"), ""),
    "a header of a megabyte": (once(OK + b"X: " + b"x" * 2**20 + b"\r\n\r\n"), ""),
    "a deep answer": (once(OK + b"\r\n" + b"[" * 100_000), ""),
    "a redirect to itself": (once(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"), ""),
    "a negative length": (once(OK + b"Content-Length: -1\r\n\r\n{}"), ""),
    "a length of letters": (once(OK + b"Content-Length: ten\r\n\r\n{}"), ""),
    "gzip that says nothing": (once(OK + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b"), ""),
    "no HTTP": (once(b"\x00\x01\x02\r\n\r\n"), ""),
    "nothing": (once(b""), ""),
}


@pytest.mark.parametrize("server", HOSTILE)
def test_a_hostile_server_is_one_line_in_time(
    server: str, serve: Callable[[Say], str], capsys: pytest.CaptureFixture[str]
) -> None:
    say, problem = HOSTILE[server]
    url = serve(say)
    assert run(["fetch", ARN, "--endpoint-url", url, "--timeout", "0.1"]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"durable: {ARN}: {problem}")


def test_an_answer_of_many_small_values_is_refused_before_it_is_parsed(
    serve: Callable[[Say], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from durable_core.adapters import large_text

    monkeypatch.setattr(large_text, "_ALWAYS_BYTES", 2**20)
    body = b"[" + b"{}," * 1_000_000 + b"{}]"
    url = serve(once(OK + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)))
    with pytest.raises(AwsError, match="so many small values"):
        download(LambdaApi(Connection(endpoint_url=url)), ARN)


@pytest.fixture
def scripted() -> Iterator[ScriptedLambda]:
    with ScriptedLambda() as server:
        yield server
        server.shutdown()


def family(name: str, *children: str) -> Any:
    invoking = [
        {
            "EventType": "ChainedInvokeStarted",
            "Id": f"{name}-{at}",
            "ChainedInvokeStartedDetails": {"DurableExecutionArn": arn_of(child)},
        }
        for at, child in enumerate(children)
    ]
    return execution(name, numbered(invoking))


def test_no_more_children_are_read_than_a_cap_which_is_said(
    scripted: ScriptedLambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MAX_CHILDREN", 2)
    scripted.add(family("a", "b", "c", "d", "e"), *map(family, "bcde"))
    api = LambdaApi(Connection(endpoint_url=scripted.url, max_rate=2_000))
    found = list(download_all(lambda arn: download(api, arn), [arn_of("a")], depth=3))
    assert sum(each.document is not None for each in found) == 3
    problem = "not read, and 1 more: 2 invoked executions were: name those that are wanted"
    assert str(found[-1].error) == f"{arn_of('d')}: {problem}"


def test_children_that_invoke_their_parents_are_read_once(scripted: ScriptedLambda) -> None:
    scripted.add(family("a", "b"), family("b", "a", "b"))
    api = LambdaApi(Connection(endpoint_url=scripted.url, max_rate=2_000))
    found = list(download_all(lambda arn: download(api, arn), [arn_of("a")], depth=100))
    assert [each.arn for each in found] == [arn_of("a"), arn_of("b")]


def test_an_execution_that_is_too_large_is_not_read_to_its_end(
    scripted: ScriptedLambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MAX_TOTAL_BYTES", 2**10)
    scripted.page_size = 2
    scripted.add(execution("order-1", steps(20), "RUNNING"))
    with pytest.raises(AwsError, match=r"it is larger than 0 MiB: stopped after \d pages"):
        download(LambdaApi(Connection(endpoint_url=scripted.url, max_rate=2_000)), ARN)


def test_waiting_for_ones_turn_is_not_counted(
    scripted: ScriptedLambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lambda_api, "DRIP_FACTOR", 1)
    scripted.add(execution("order-1", steps(1), "RUNNING"))
    api = LambdaApi(Connection(endpoint_url=scripted.url, max_rate=4, timeout_seconds=0.15))
    assert download(api, ARN).events
