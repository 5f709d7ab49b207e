"""A history on a few lines: one line for each event, without what differs from run to run.

    StepFailed a in b 'charge' (Step): RuntimeError: no, try 1, next in 1 s

An operation goes by a letter, in the order of its first event; `in b` is its parent. Results stand
after `=`, errors and other details after `:`. Long payloads are shown by their length. Ids, tokens,
timestamps, request ids and stack traces aren't shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_lowercase
from typing import Any

LONGEST = 60
NOT_SHOWN = {"StartTimestamp", "EndTimestamp", "RequestId", "ScheduledEndTimestamp"}
PRESENT = {"CallbackId", "DurableExecutionArn"}


def skeleton(events: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of a history in the service's wire form."""
    letters: dict[str, str] = {}
    for event in events[1:]:
        if "Id" in event and not event["EventType"].startswith("Execution"):
            letters.setdefault(event["Id"], ascii_lowercase[len(letters)])
    return [line(event, letters) for event in events]


def line(event: Mapping[str, Any], letters: Mapping[str, str]) -> str:
    """Return the line of an event."""
    kind = event["EventType"]
    words = [kind]
    if event.get("Id") in letters:
        words.append(letters[event["Id"]])
        if "ParentId" in event:
            words.append(f"in {letters[event['ParentId']]}")
        if "Name" in event:
            words.append(repr(event["Name"]))
        words.append(f"({event.get('SubType')})")
    details = [shown(key, value) for key, value in event.get(f"{kind}Details", {}).items()]
    said = ", ".join(each for each in details if each)
    return " ".join(words) + (f": {said}" if said else "")


def shown(key: str, value: Any) -> str:
    """Return one detail as text."""
    match key:
        case "Result" | "Input":
            payload = value.get("Payload")
            return "nothing" if payload is None else f"= {clipped(payload)}"
        case "Error":
            error = value.get("Payload", {})
            return f"{error.get('ErrorType')}: {clipped(error.get('ErrorMessage') or '')}"
        case "RetryDetails":
            delay = value.get("NextAttemptDelaySeconds")
            following = "" if delay is None else f", next in {delay} s"
            return f"try {value['CurrentAttempt']}{following}"
        case _ if key in NOT_SHOWN:
            return ""
        case _ if key in PRESENT:
            return key
    return f"{key} {value}"


def clipped(text: str) -> str:
    """Return a text, or how long it is."""
    return text if len(text) <= LONGEST else f"<{len(text):,} characters>"
