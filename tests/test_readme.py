"""Every claim of the README that a test can run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "fixtures"))

import readme  # noqa: E402  # the script that writes the examples' outputs


def test_every_example_prints_what_the_readme_shows() -> None:
    text = readme.README.read_text(encoding="utf-8")
    assert len(readme.BLOCK.findall(text)) >= 5
    assert readme.with_outputs(text) == text


RETRIES = "fixtures/handlers/native_retries.py:handler"
FLAT = "fixtures/histories/flat_overflow_reentered.json"
RENAMED = "fixtures/handlers/unsafe_rename.py:handler"
SCHEMAS = {
    "durable.replay/1": "replay fixtures/histories/nested_maps.json --format json --prices default",
    "durable.simulate/1": f"simulate --handler {RETRIES} --format json --prices default",
    "durable.verify/1": f"replay {FLAT} --handler {RENAMED} --format json",
    "durable.inspect-batch/1": "inspect-batch fixtures/updates/small_updates.json --format json",
}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_field_of_a_document_is_in_the_readme(schema: str) -> None:
    document = json.loads(readme.output_of(SCHEMAS[schema]))
    assert document.pop("schema") == schema
    if schema == "durable.simulate/1":  # these are as in durable.replay/1
        document |= dict.fromkeys(("metering", "limits", "nesting", "cost"))
    text = readme.README.read_text(encoding="utf-8")
    section = text[text.index(f"**`{schema}`**") :].split("\n**`", 1)[0]
    undocumented = {key for key in keys_of(document) if f"`{key}`" not in section}
    assert undocumented == set()


def keys_of(value: Any) -> Iterator[str]:
    """Give the fields of a document, at any depth, but of what others define: error objects,
    invocation times by what was done, and estimates by SDK."""
    if isinstance(value, list):
        for item in value:
            yield from keys_of(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            if key not in ("error", "in_invocations", "did", "estimates"):
                yield from keys_of(item)
