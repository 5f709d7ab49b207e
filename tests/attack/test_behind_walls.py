"""What handlers and their libraries commonly do works behind the walls."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

NEEDED = Path(__file__).with_name("behind_walls.py")


def test_what_handlers_and_their_libraries_commonly_do_works(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", NEEDED, tmp_path], capture_output=True, check=True
    )
    _, failed = json.loads(ran.stdout)
    assert failed == {}
