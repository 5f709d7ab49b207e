"""Every claim of the README that a test can run."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "fixtures"))

import readme  # noqa: E402  # the script that writes the examples' outputs


def test_every_example_prints_what_the_readme_shows() -> None:
    text = readme.README.read_text(encoding="utf-8")
    assert len(readme.BLOCK.findall(text)) >= 5
    assert readme.with_outputs(text) == text
