"""The benchmarks measure what they say: our sides of them run a workload to its end."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aws_durable_execution_sdk_python")

BENCHMARKS = Path(__file__).parent / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark of handlers of AWS's SDK."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import bench_aws_sdk

    yield bench_aws_sdk
    for name in ("bench_aws_sdk", "instant_service"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("side", ["ours", "at best"])
@pytest.mark.parametrize("workload", ["nested_map", "flat_map", "steps", "waits"])
def test_each_side_does_the_whole_workload(bench: Any, side: str, workload: str) -> None:
    handler, _, _ = bench.HELD_TO[workload]
    assert json.loads(bench.SIDES[side](handler, 3)) == 3
