"""Simulates the handlers of each conformance requirement and compares what is recorded.

    python tests/conformance/run.py RUNTIME DIRECTORY [ID...] [--keep DIRECTORY] [--events]

RUNTIME is `native` or `aws`: its handlers are in that folder. DIRECTORY holds `match.py`
and `requirements/<suite>/<id>.yaml`; neither is part of this project.
The comparison is that of `match.py`, nothing is left out or forgiven. Exit status: 0 when all pass.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "core"), str(HERE.parents[1])]

from conformance_cases import CASES
from conformance_driver import RUNTIMES, history_of, run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("runtime", choices=RUNTIMES)
    parser.add_argument("directory", type=Path)
    parser.add_argument("ids", nargs="*")
    parser.add_argument("--keep", type=Path, help="write the histories here")
    parser.add_argument("--events", action="store_true", help="print what was recorded")
    args = parser.parse_args()
    keep = args.keep or Path(tempfile.gettempdir(), "durable-conformance", args.runtime)
    keep.mkdir(parents=True, exist_ok=True)
    requirements = {path.stem: path for path in args.directory.glob("requirements/*/*.yaml")}
    failed = 0
    for number in args.ids or sorted(requirements, key=lambda each: [*map(int, each.split("-"))]):
        began = time.perf_counter()
        history = history_of(run(args.runtime, CASES[number]))
        took = time.perf_counter() - began
        path = keep / f"{number}.json"
        path.write_text(json.dumps(history, indent=1))
        match = [sys.executable, args.directory / "match.py", requirements[number], path]
        said = subprocess.run(match, capture_output=True, text=True, check=False)
        failed += said.returncode != 0
        print(f"{said.stdout.strip() or said.stderr.strip()}  ({took * 1000:.0f} ms)")
        if args.events:
            for event in history["Events"]:
                print("   ", json.dumps(event))
    print(f"{len(args.ids or requirements) - failed} of {len(args.ids or requirements)} pass")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
