"""Fuzz everything for a while: `python tests/fuzz/run.py --seconds 60`.

By atheris, which looks at what code is reached, where it is installed (`pip install -e '.[fuzz]'`);
else by mutations of the corpus that know JSON. What breaks is written to tests/fuzz/found, from
where it goes into the corpus once it is mended. An input that takes longer than ten seconds breaks
too. Exit code 1 when something was found.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

os.environ["DURABLE_DEBUG"] = "1"  # a defect is raised
sys.path.insert(0, str(Path(__file__).parent))

from mutated_inputs import mutated
from targets import TARGETS, seeds

MOST_SECONDS = 10
FOUND = Path(__file__).with_name("found")


class Hangs(AssertionError):
    """An input takes too long."""


@contextmanager
def limited() -> Iterator[None]:
    """Raise Hangs where the block takes too long."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Hangs(f"takes longer than {MOST_SECONDS} s")

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(MOST_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


def broken(target: str, data: bytes) -> str | None:
    """Return how an input breaks a target; None: it doesn't."""
    try:
        with limited():
            TARGETS[target](data)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        frames = traceback.extract_tb(error.__traceback__)
        at = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
        return f"{type(error).__name__} at {at}: {str(error)[:200]}"
    return None


def save(target: str, data: bytes) -> Path:
    """Keep an input that breaks a target."""
    FOUND.mkdir(exist_ok=True)
    path = FOUND / f"{target}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    return path


def fuzz(target: str, seconds: float, chance: random.Random) -> tuple[int, int]:
    """Try inputs for a while. Return how many, and how many kinds of breaking were found."""
    corpus = seeds(target)
    kinds: set[str] = set()
    tried = 0
    until = time.monotonic() + seconds
    for data in corpus:
        tried += 1
        tell(target, data, broken(target, data), kinds)
    while time.monotonic() < until:
        data = mutated(chance.choice(corpus), corpus, chance)
        tried += 1
        tell(target, data, broken(target, data), kinds)
    return tried, len(kinds)


def tell(target: str, data: bytes, problem: str | None, kinds: set[str]) -> None:
    """Say what was found, each kind once."""
    if problem is None or (kind := problem.partition(": ")[0]) in kinds:
        return
    kinds.add(kind)
    print(f"{target}: {problem}\n  {save(target, data)}", flush=True)


def fuzz_with_atheris(target: str, seconds: float) -> int:
    """Let atheris try inputs. Return 1 when it found something."""
    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(seeds(target)):
            Path(folder, str(number)).write_bytes(data)
        FOUND.mkdir(exist_ok=True)
        code = (
            f"import atheris, sys; sys.path.insert(0, {str(FOUND.parent)!r})\n"
            "with atheris.instrument_imports(include=['durable_cli', 'durable_core']):\n"
            f"    import targets\ntargets.main({target!r})"
        )
        limits = [f"-max_total_time={max(1, round(seconds))}", f"-timeout={MOST_SECONDS}"]
        where = [f"-artifact_prefix={FOUND}/{target}-", "-rss_limit_mb=2048", folder]
        ended = subprocess.run([sys.executable, "-c", code, *limits, *where], check=False)
        return int(ended.returncode != 0)


def main() -> int:
    """Fuzz as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--target", choices=sorted(TARGETS), action="append")
    parser.add_argument("--mutations", action="store_true", help="not atheris, also where it is")
    asked = parser.parse_args()
    targets = asked.target or list(TARGETS)
    each = asked.seconds / len(targets)
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(2**32)
    by_atheris = importlib.util.find_spec("atheris") is not None and not asked.mutations
    print(f"fuzzing by {'atheris' if by_atheris else f'mutations, --seed {seed}'}", flush=True)
    all_found = 0
    for target in targets:
        if by_atheris:
            all_found += fuzz_with_atheris(target, each)
            continue
        tried, found = fuzz(target, each, random.Random(f"{seed} {target}"))
        all_found += found
        print(f"{target}: {tried:,} inputs, {found} found", flush=True)
    return int(all_found > 0)


if __name__ == "__main__":
    sys.exit(main())
