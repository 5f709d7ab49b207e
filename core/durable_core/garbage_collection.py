"""How often Python's garbage collector walks what a command keeps to its end anyway."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final


@contextmanager
def pausing_collection() -> Iterator[None]:
    """Keep the garbage collector from walking what is being read, over and over again.

    Parsed documents have no cycles, and the collector would take a third of the time of a history
    of many events.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


COLLECTED_AT: Final = 50_000
"""How many objects more there are, than after the last garbage collection, at the next one."""


class _RarerCollection:
    """Lets the garbage collector run less often while simulations run, also in several threads, and
    leave alone what was there before.

    Nearly all that a simulation makes stays to its end, and walking it again and again, with all
    that was imported, would take a fifth of the time of 10,000 units. The last one to end gives
    back what the first one found.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._found = (0, 0, 0)
        self._freezes = False

    def __enter__(self) -> None:
        with self._lock:
            self._running += 1
            if self._running == 1:
                self._found = found = gc.get_threshold()
                gc.set_threshold(max(found[0], COLLECTED_AT) if found[0] else 0, *found[1:])
                self._freezes = not gc.get_freeze_count()
                if self._freezes:
                    gc.freeze()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._running -= 1
            if self._running == 0:
                if self._freezes:
                    gc.unfreeze()
                gc.set_threshold(*self._found)


rarer_collection: Final = _RarerCollection()
