"""A history on a few lines: one line for each event, the same whichever runtime wrote it.

    StepFailed a in b 'charge' (Step): RuntimeError: no, try 1, next in 1 s

An operation goes by a letter, in the order of its first event; `in b` is its parent. Results stand
after `=`, errors and other details after `:`. JSON is shown compact, a long payload by its length,
an error's type without its module, and what a map or parallel came to by its reason and how each
unit ended that was started. Ids, tokens, timestamps, request ids, stack traces, long messages and
what an SDK's own errors say aren't shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from durable_core.model import BATCH_SUB_TYPES
from durable_core.summaries.reading import read_summary

LONGEST = 60
NOT_SHOWN = {"StartTimestamp", "EndTimestamp", "RequestId", "ScheduledEndTimestamp"}
PRESENT = {"CallbackId", "DurableExecutionArn"}
WORDED_BY_THE_SDK = {"StepInterruptedError"}
MODULES = ("durable_core.", "aws_durable_execution_sdk_python.", "handlers_")


def expected() -> dict[str, list[str]]:
    """Return the lines of each history in `expected.txt`."""
    text = (Path(__file__).parent / "expected.txt").read_text(encoding="utf-8")
    blocks = [block.splitlines() for block in text.split("# ")[1:]]
    return {number: [line for line in lines if line] for number, *lines in blocks}


def skeleton(history: Mapping[str, Any], *, chance: bool = False) -> list[str]:
    """Return the lines of a history in the service's wire form. `chance`: delays aren't shown."""
    lines = _lines(history["Events"])
    return [re.sub(r"next in \d+ s", "next in * s", each) for each in lines] if chance else lines


def _lines(events: Sequence[Mapping[str, Any]]) -> list[str]:
    letters: dict[str, str] = {}
    for event in events[1:]:
        if "Id" in event and not event["EventType"].startswith("Execution"):
            letters.setdefault(event["Id"], ascii_lowercase[len(letters)])
    return [line(event, letters) for event in events]


def line(event: Mapping[str, Any], letters: Mapping[str, str]) -> str:
    """Return the line of an event."""
    kind, sub_type = event["EventType"], event.get("SubType")
    words = [kind]
    if event.get("Id") in letters:
        words.append(letters[event["Id"]])
        if "ParentId" in event:
            words.append(f"in {letters[event['ParentId']]}")
        if "Name" in event:
            words.append(repr(event["Name"]))
        words.append(f"({sub_type})")
    details = [
        batch(value) if key == "Result" and sub_type in BATCH_SUB_TYPES else shown(key, value)
        for key, value in event.get(f"{kind}Details", {}).items()
    ]
    said = ", ".join(each for each in details if each)
    return " ".join(words) + (f": {said}" if said else "")


def shown(key: str, value: Any) -> str:
    """Return one detail as text."""
    match key:
        case "Result" | "Input":
            payload = value.get("Payload")
            return "nothing" if payload is None else f"= {clipped(compact(payload))}"
        case "Error":
            error = value.get("Payload", {})
            kind = error.get("ErrorType") or "?"
            if kind.startswith(MODULES):
                kind = kind.rpartition(".")[2]
            if kind in WORDED_BY_THE_SDK:
                return kind
            message = error.get("ErrorMessage") or ""
            shown = message if len(message) <= LONGEST else "<long>"
            return f"{kind}: {shown}" if shown else kind
        case "RetryDetails":
            delay = value.get("NextAttemptDelaySeconds")
            following = "" if delay is None else f", next in {delay} s"
            return f"try {value['CurrentAttempt']}{following}"
        case _ if key in NOT_SHOWN:
            return ""
        case _ if key in PRESENT:
            return key
    return f"{key} {value}"


def batch(value: Mapping[str, Any]) -> str:
    """Return what a map or parallel came to, as text."""
    summary = read_summary(value["Payload"])
    assert summary is not None
    statuses = [
        f"{run.status}"
        for run in summary.runs
        if run.dispatched
        for _ in range(run.start, run.stop)
    ]
    form = "stripped" if summary.stripped else "whole"
    return f"{form}, {summary.reason}, {' '.join(statuses)}"


def compact(payload: str) -> str:
    """Return JSON without spaces and without the types that AWS's SDK adds; else the payload."""
    try:
        return json.dumps(untagged(json.loads(payload)), separators=(",", ":"))
    except ValueError:
        return payload


def untagged(value: Any) -> Any:
    """Return the value in AWS's `{"t": type, "v": value}`; any other value as it is."""
    if isinstance(value, dict) and value.keys() == {"t", "v"}:
        inner = value["v"]
        if isinstance(inner, dict):
            return {key: untagged(each) for key, each in inner.items()}
        return [untagged(each) for each in inner] if isinstance(inner, list) else inner
    return value


def clipped(text: str) -> str:
    """Return a text, or how long it is."""
    return text if len(text) <= LONGEST else f"<{len(text):,} characters>"
