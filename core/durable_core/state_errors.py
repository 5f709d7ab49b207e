"""What the service hands an SDK in its state and leaves out of the events, as one table. Pure.

The events of a history are folded into the operations that the service hands over (`fold`), and a
simulated service writes both (`service`): the table is read in both directions.

What else a state holds follows from the events, and `fold` works it out: READY and
NextAttemptTimestamp from RetryDetails and the time, Attempt from the ends of attempts, CallbackId
and ScheduledEndTimestamp from the start, ReplayChildren from the stored payload (`summaries`).
The other way round: the error of WaitCancelled, and the input and target of a chained invoke,
stand in events only. How an execution itself ended is handed to no SDK.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from durable_core.frozen import dataclass
from durable_core.model import ErrorObject


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The message of an error that a type of event carries without it.

    `message` None: there is one, which depends on what no event says. `assumed`: not seen of the
    cloud itself. `source` is where it is known from.
    """

    message: str | None
    source: str
    assumed: bool = False
    in_events: bool = False
    """The simulated service writes the message into events: not known to be left out there."""


LEFT_OUT: Final[Mapping[tuple[str, str], LeftOut]] = {
    ("CallbackTimedOut", "Callback.Heartbeat"): LeftOut(
        "Callback timed out on heartbeat",
        "recorded cloud executions of September 2026: the code had this message, the event has "
        "the type only",
    ),
    ("CallbackTimedOut", "Callback.Timeout"): LeftOut(
        "Callback timed out",
        "the published conformance requirements 4-3, 4-8 and 4-11 name the type only, where those "
        "of answered callbacks name the message too; the text is that of AWS's testing library "
        "1.4.0, and what AWS's SDK says by itself where it is handed none",
        assumed=True,
    ),
    ("ChainedInvokeTimedOut", "ChainedInvoke.Timeout"): LeftOut(
        None,
        "AWS's testing library 1.4.0, in state and events alike: 'CHAINED_INVOKE timed out after N "
        "seconds.', N being the timeout of the invoked function",
        assumed=True,
        in_events=True,
    ),
}
"""By the type of the event and the type of its error. An error that isn't here has its message in
events too: CallbackFailed and the ends of steps, contexts and invokes (the published conformance
requirements, recorded executions), ChainedInvokeStopped (assumed: AWS's testing library 1.4.0)."""


def error_in_state(event_type: str, error: ErrorObject | None) -> ErrorObject | None:
    """Return the error that the service hands over, from the one that the event carries."""
    if error is None or error.message or error.type is None:
        return error
    found = LEFT_OUT.get((event_type, error.type))
    return error if found is None else replace(error, message=found.message)


def error_in_event(event_type: str, error: ErrorObject | None) -> ErrorObject | None:
    """Return the error that the event carries, from the one that the service hands over."""
    if error is None or error.type is None:
        return error
    found = LEFT_OUT.get((event_type, error.type))
    is_left_out = found is not None and not found.in_events and found.message == error.message
    return replace(error, message=None) if is_left_out else error


def lacks_message(event_type: str, error: ErrorObject | None) -> bool:
    """Return True for an error that the service hands over with a message that nothing tells."""
    if error is None or error.type is None or error.message:
        return False
    found = LEFT_OUT.get((event_type, error.type))
    return found is not None and found.message is None


def is_services_own(error: ErrorObject) -> bool:
    """Return True for an error whose message is the service's own and in no event: whatever is
    redacted, it isn't a stand-in."""
    return any(
        error.type == kind and error.message == each.message for (_, kind), each in LEFT_OUT.items()
    )
