"""What the service hands an SDK and leaves out of events: one table, read in both directions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_core import CallbackConfig, CallbackTimeoutError, DurableContext
from durable_core.events import EVENTS
from durable_core.fold import fold
from durable_core.history import history_of_events
from durable_core.model import ErrorObject, Event, OperationStatus
from durable_core.runtimes.native.replay import NativeReplayer
from durable_core.simulation.simulate import simulate
from durable_core.state_errors import LEFT_OUT, error_in_event, error_in_state
from durable_core.verifying.replay import verify_history
from durable_core.verifying.verification import Verdict

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(("event_type", "kind"), sorted(LEFT_OUT))
def test_what_a_simulated_event_leaves_out_the_fold_puts_back(event_type: str, kind: str) -> None:
    entry = LEFT_OUT[event_type, kind]
    handed = ErrorObject(entry.message or "CHAINED_INVOKE timed out after 3 seconds.", kind)
    told = error_in_event(event_type, handed)
    assert error_in_state(event_type, told) == handed
    assert told is not None
    assert (told.message is None) is not entry.in_events


@pytest.mark.parametrize("entry", LEFT_OUT.values())
def test_each_entry_of_the_table_says_where_it_is_known_from(entry: Any) -> None:
    assert entry.source
    assert entry.assumed or entry.message


def test_the_table_is_about_events_that_carry_an_error() -> None:
    assert all("Error" in EVENTS[event_type].fields for event_type, _ in LEFT_OUT)


@pytest.mark.parametrize("message", [None, ""])
@pytest.mark.parametrize(
    ("kind", "handed"),
    [
        ("Callback.Heartbeat", "Callback timed out on heartbeat"),
        ("Callback.Timeout", "Callback timed out"),
    ],
)
def test_a_timed_out_callback_is_handed_over_with_its_message(
    kind: str, handed: str, message: str | None
) -> None:
    error = {"ErrorType": kind, **({} if message is None else {"ErrorMessage": message})}
    events = [
        Event(1, "CallbackStarted", NOON, id="c", details={"CallbackId": "x"}),
        Event(2, "CallbackTimedOut", NOON, id="c", details={"Error": {"Payload": error}}),
    ]
    operation = fold(events).operations["c"].operation
    assert operation.status is OperationStatus.TIMED_OUT
    assert operation.error == ErrorObject(handed, kind)


def test_a_message_that_the_event_has_is_kept() -> None:
    error = ErrorObject("another", "Callback.Heartbeat")
    assert error_in_state("CallbackTimedOut", error) == error
    assert error_in_event("CallbackTimedOut", error) == error


def test_code_that_goes_by_the_message_of_a_heartbeat_replays_what_it_recorded() -> None:
    async def handler(event: Any, ctx: DurableContext) -> str:
        config = CallbackConfig(heartbeat_timeout=timedelta(seconds=5))
        callback = await ctx.create_callback("lease", config)
        try:
            await callback.result()
        except CallbackTimeoutError as error:
            if "heartbeat" in str(error):
                await ctx.step(lambda _: None, name="terminate")
            return str(error)
        return ""

    simulation = simulate(handler)
    (ended,) = [each for each in simulation.events if each.event_type == "CallbackTimedOut"]
    assert ended.details == {
        "Error": {"Payload": {"ErrorType": "Callback.Heartbeat"}, "Truncated": False}
    }
    outcome = verify_history(
        NativeReplayer(handler), history_of_events("recorded", simulation.events)
    )
    assert outcome
    assert outcome.differences == ()


def test_a_message_that_no_event_tells_is_no_divergence() -> None:
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            return str(await ctx.invoke("slow", None, name="ask"))
        except Exception as error:
            if "after 7 seconds" in str(error):
                await ctx.step(lambda _: None, name="again")
            return "late"

    def events(message: str | None, *more: Event) -> list[Event]:
        error = {"ErrorType": "ChainedInvoke.Timeout", "ErrorMessage": message}
        begun = simulate(handler, max_invocations=1).events
        number = len(begun)
        ended = Event(
            number + 1,
            "ChainedInvokeTimedOut",
            begun[-1].timestamp,
            id=next(each.id for each in begun if each.event_type == "ChainedInvokeStarted"),
            name="ask",
            sub_type="ChainedInvoke",
            details={"Error": {"Payload": error}},
        )
        return [*begun, ended, *more]

    known = simulate_step_after(events("CHAINED_INVOKE timed out after 7 seconds."))
    assert verify_history(NativeReplayer(handler), history_of_events("known", known))
    unknown = simulate_step_after(events(None))
    outcome = verify_history(NativeReplayer(handler), history_of_events("unknown", unknown))
    assert outcome.verdict is Verdict.CANNOT_VERIFY
    assert "which the event leaves out" in outcome.doubts[0].reason


def simulate_step_after(events: list[Event]) -> list[Event]:
    """Return the events with a step after them, as the handler above asks for it."""
    from durable_core.ids import SHA256

    step_id, _ = SHA256.child(None, 2)
    at, number = events[-1].timestamp, len(events)
    result = {"Result": {"Payload": "null", "Truncated": False}}
    return [
        *events,
        Event(number + 1, "StepStarted", at, id=step_id, name="again", sub_type="Step"),
        Event(
            number + 2,
            "StepSucceeded",
            at,
            id=step_id,
            name="again",
            sub_type="Step",
            details=result,
        ),
    ]
