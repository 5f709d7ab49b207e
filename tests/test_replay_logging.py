"""Logging is not muted while a handler is verified: what a call raises is raised."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from durable_cli.app import run
from durable_core import DurableContext
from durable_core.history import RecordedHistory
from durable_core.processes.verify import verify
from durable_core.simulation.simulate import simulate
from durable_core.verifying.verification import Verification


class Untold:
    """What can't say itself."""

    def __str__(self) -> str:
        raise LookupError("no text")


class Unwilling:
    """A logger that raises."""

    def info(self, msg: object, *args: object, extra: Any = None) -> None:
        raise RuntimeError("unwilling")

    debug = warning = error = exception = info


class Connecting(logging.Handler):
    """Sends what is logged over the network, or tries to."""

    def emit(self, record: logging.LogRecord) -> None:
        socket.create_connection(("127.0.0.1", 9), timeout=1)


def connecting() -> logging.Logger:
    logger = logging.getLogger("connecting")
    logger.propagate = False
    logger.handlers[:] = [Connecting()]
    return logger


Log = Callable[[Any], None]
"""What a handler does with its context, which has a logger."""

RAISES: dict[str, tuple[Log, str]] = {
    "a key that a record has": (lambda ctx: ctx.logger.warning("x", extra={"name": 1}), "KeyError"),
    "a text that raises": (lambda ctx: ctx.logger.error("%s", Untold()), "LookupError"),
    "an argument of another type": (lambda ctx: ctx.logger.warning("%d", "x"), "TypeError"),
    "a logger of the user's": (
        lambda ctx: (ctx.set_logger(Unwilling()), ctx.logger.debug("x"))[1],
        "RuntimeError: unwilling",
    ),
    "a logger beside the context's": (
        lambda ctx: logging.getLogger("beside").error("%d", "x"),
        "TypeError",
    ),
}
QUIET: dict[str, Log] = {
    "what is logged as it was": lambda ctx: ctx.logger.warning("%s", "x"),
    "what no level lets through": lambda ctx: ctx.logger.debug("%d", Untold()),
    "a logger that connects": lambda ctx: (
        ctx.set_logger(connecting()),
        ctx.logger.warning("x"),
    )[1],
}


@pytest.fixture(autouse=True)
def no_handlers_of_pytest() -> Iterator[None]:
    """pytest's own handlers raise what formatting does."""
    root = logging.getLogger()
    handlers, root.handlers[:] = list(root.handlers), []
    yield
    root.handlers[:] = handlers


def native(log: Log) -> Any:
    async def inner(ctx: DurableContext) -> int:
        log(ctx)
        return await ctx.step(lambda _: 1, name="in")

    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda _: 1, name="a")
        if event == "inside":
            await ctx.run_in_child_context(inner, name="child")
        else:
            log(ctx)
        await ctx.step(lambda _: 1, name="b")

    return handler


def aws(log: Log) -> Any:
    sdk = pytest.importorskip("aws_durable_execution_sdk_python")

    @sdk.durable_execution
    def handler(event: Any, ctx: Any) -> None:
        def inner(child: Any) -> Any:
            log(child)
            return child.step(lambda _: 1, name="in")

        ctx.step(lambda _: 1, name="a")
        if event == "inside":
            ctx.run_in_child_context(inner, name="child")
        else:
            log(ctx)
        ctx.step(lambda _: 1, name="b")

    return handler


def recorded(make: Callable[[Log], Any], event: Any) -> RecordedHistory:
    handler = make(lambda ctx: None)
    if make is aws:
        from durable_core.runtimes.aws_python.runner import AwsSdkRunner

        handler = AwsSdkRunner(handler)
    return RecordedHistory("history", simulate(handler, event).events)


RUNTIMES = pytest.mark.parametrize("make", [native, aws])
PLACES = pytest.mark.parametrize("event", ["outside", "inside"])


@RUNTIMES
@PLACES
@pytest.mark.parametrize("what", RAISES)
def test_what_a_log_call_raises_is_raised(make: Any, event: str, what: str) -> None:
    log, error = RAISES[what]
    found = verify(make(log), recorded(make, event))
    assert not found
    assert found.first is not None
    assert error in found.first.why


@RUNTIMES
@PLACES
@pytest.mark.parametrize("what", QUIET)
def test_what_only_writes_is_nobodys_finding(
    make: Any, event: str, what: str, capfd: pytest.CaptureFixture[str]
) -> None:
    found: Verification = verify(make(QUIET[what]), recorded(make, event))
    assert found, found
    assert found.notes == ()
    assert "no text" not in capfd.readouterr().out


@RUNTIMES
def test_a_context_says_that_it_replays_as_long_as_something_is_recorded(make: Any) -> None:
    said: list[bool] = []
    verify(make(lambda ctx: said.append(ctx.is_replaying())), recorded(make, "outside"))
    assert set(said) == {True}

    def replaying_at_the_end(ctx: Any) -> None:
        said.append(ctx.is_replaying())

    said.clear()
    history = recorded(make, "outside")
    last = [each for each in history.events if each.name == "b"]
    cut = history.events[: history.events.index(last[0])]
    verify(make(replaying_at_the_end), RecordedHistory("cut", cut))
    assert set(said) == {False}


APP = """
import logging

async def handler(event, ctx):
    await ctx.step(lambda _: 1, name="a")
    ctx.logger.warning("said again by %s", "the context")
    logging.getLogger("app").warning("said by the code")
    if event == "raises":
        logging.getLogger("app").warning("%d", "x")
    print("printed")
"""


def test_the_command_keeps_logs_off_the_report_and_doesnt_repeat_what_a_replay_wouldnt(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logging_app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    handler = ["--handler", "logging_app:handler"]
    assert run(["simulate", *handler, "--record", "h.json"]) == 0
    capfd.readouterr()
    assert run(["replay", "h.json", *handler, "--format", "json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["histories"][0]["verdict"] == "compatible"
    assert err.splitlines() == ["said by the code", "printed"]


def test_what_a_log_call_raises_ends_a_simulated_invocation_as_it_does_in_lambda(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logging_app.py").write_text(APP)
    (tmp_path / "event.json").write_text('"raises"')
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    asked = ["--handler", "logging_app:handler", "--event", "event.json"]
    for verbose in ([], ["--verbose"]):
        assert run(["simulate", *asked, *verbose]) == 1
        assert "error         TypeError: %d format" in capfd.readouterr().out
