"""Write the saved corpus anew from the fixtures: `python tests/fuzz/make_corpus.py`.

Small on purpose: events of every type once, stored results of every SDK, scenarios. Inputs that
broke something are put beside these by hand, named by what they broke.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FIXTURES = HERE.parents[1] / "fixtures"
CORPUS = HERE / "corpus"

SCENARIO = """seed = 7
interleaving = 1

[[callback]]
name = "approval"
outcome = "succeed"
payload = '{"by": "Ann"}'
after_seconds = 1.5

[[invoke]]
function = "charge"
error = { type = "Declined", message = "no" }

[[pause]]
after_seconds = 1
for_seconds = 60

[[throttle]]
invocation = 1
checkpoint = 1
"""
LIMITS = "payload_bytes = 1000\noperations = 5\nname_length = 10\n"


def histories() -> list[dict[str, Any]]:
    """Return the fixtures' histories."""
    paths = sorted((FIXTURES / "histories").glob("*.json"))
    return [json.loads(path.read_bytes()) for path in paths]


def shortened(value: Any) -> Any:
    """Return a value with its long texts cut."""
    if isinstance(value, dict):
        return {key: shortened(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shortened(each) for each in value]
    return value[:300] if isinstance(value, str) else value


def main() -> None:
    """Write it."""
    (CORPUS / "summaries").mkdir(parents=True, exist_ok=True)
    kinds: dict[str, dict[str, Any]] = {}
    summaries: dict[str, str] = {}
    for document in histories():
        for event in document["Events"]:
            kinds.setdefault(event["EventType"], shortened(event))
            details = event.get(f"{event['EventType']}Details") or {}
            payload = (details.get("Result") or {}).get("Payload")
            if event.get("SubType") in ("Map", "Parallel", "Dag") and payload:
                shape = json.loads(payload)
                form = ",".join(sorted(shape)) if isinstance(shape, dict) else type(shape).__name__
                if form not in summaries or len(payload) < len(summaries[form]):
                    summaries[form] = payload
    for number, event in enumerate(kinds.values(), start=1):
        event["EventId"] = number
        event["Id"] = f"{event.get('Id')}-{number}"[-64:]
    every = {"Events": list(kinds.values())}
    (CORPUS / "every_event.json").write_text(json.dumps(every))
    for number, payload in enumerate(summaries.values()):
        (CORPUS / "summaries" / f"{number}.json").write_text(payload[:4_000])
    (CORPUS / "scenario.toml").write_text(SCENARIO)
    (CORPUS / "limits.toml").write_text(LIMITS)


if __name__ == "__main__":
    main()
