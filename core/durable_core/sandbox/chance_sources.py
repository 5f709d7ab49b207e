"""Random numbers, random bytes and UUIDs as `readings` chooses them, for good."""

from __future__ import annotations

import os
import random
import sys
import uuid
from random import Random as _RealRandom
from typing import TYPE_CHECKING, Any

from durable_core.sandbox.sources import Source

if TYPE_CHECKING:
    from durable_core.sandbox.controlled_sources import ControlledSources


def install(readings: ControlledSources) -> None:
    """Change Python's modules. Can't be undone."""
    _install_random(readings)
    _install_uuid(readings)


def _install_random(readings: ControlledSources) -> None:
    Random = _random_class(readings)
    shared: Any = Random()
    for name in dir(shared):
        if not name.startswith("_") and callable(getattr(random, name, None)):
            setattr(random, name, getattr(shared, name))
    random.__dict__["Random"] = Random
    random.__dict__["_inst"] = shared


def _install_uuid(readings: ControlledSources) -> None:
    real_urandom = os.urandom

    def urandom(count: int, /) -> bytes:
        if not readings.note(Source.URANDOM, "os.urandom"):
            return real_urandom(count)
        return readings.random_bytes(count, Source.URANDOM)

    def drawn(name: str, version: int) -> None:
        real = getattr(uuid, name, None)
        if real is None:
            return

        def read(*args: Any, **keywords: Any) -> uuid.UUID:
            if not readings.note(Source.UUID, f"uuid.{name}"):
                made: uuid.UUID = real(*args, **keywords)
                return made
            return uuid.UUID(bytes=readings.random_bytes(16, Source.UUID), version=version)

        setattr(uuid, name, read)

    real_below = random.SystemRandom._randbelow  # type: ignore[attr-defined]

    def below(system: random.SystemRandom, n: int) -> int:
        if not readings.note(Source.URANDOM, "os.urandom"):
            return int(real_below(system, n))
        return int.from_bytes(readings.random_bytes(8, Source.URANDOM)) * n >> 64

    random.SystemRandom._randbelow = below  # type: ignore[attr-defined]
    os.urandom = urandom
    random._urandom = urandom  # type: ignore[attr-defined]
    for name, version in (("uuid1", 1), ("uuid4", 4), ("uuid6", 1), ("uuid7", 4)):
        drawn(name, version)


def _random_class(readings: ControlledSources) -> Any:
    """Return the class that takes the place of `random.Random`."""

    class Random(_RealRandom):
        """Seeded by the user in this run it is Python's own; else it draws what we choose.

        One that was seeded before goes on where what ran before has left it.
        """

        _seeded_in = -1

        @property
        def _seeded(self) -> bool:
            return self._seeded_in == readings.epoch

        def seed(self, a: Any = None, version: int = 2) -> None:
            if a is None or readings.is_exempt(sys._getframe(1)):
                self._seeded_in = -1
                super().seed(0)
            else:
                self._seeded_in = readings.epoch
                super().seed(a, version)

        def random(self) -> float:
            if self._seeded:
                return super().random()
            readings.note(Source.RANDOM, "random")
            return readings.fraction()

        def getrandbits(self, k: int, /) -> int:
            if self._seeded:
                return super().getrandbits(k)
            readings.note(Source.RANDOM, "random")
            high = int(readings.fraction() * (1 << min(k, 52)))
            if k <= 52:
                return high
            low = _RealRandom(high).getrandbits(k - 52)
            return high << (k - 52) | low

        def _randbelow(self, n: int) -> int:
            # What choice, randint and shuffle draw by; getrandbits would draw until one fits.
            if self._seeded:
                return int(super()._randbelow(n))  # type: ignore[misc]
            readings.note(Source.RANDOM, "random")
            return int(readings.fraction() * n)

    return Random
