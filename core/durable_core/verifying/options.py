"""How a history is verified: known where none is."""

from __future__ import annotations

from durable_core.frozen import dataclass
from durable_core.model import Word


class Part(Word):
    """A part of what a history is verified by, where the other is left to another run of it, with
    other times and chance."""

    SERVICE = "service"
    BODIES = "bodies"


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """How a history is verified. `most` is how many divergences are told.

    `deep`: the bodies of completed contexts are verified too. `part`, which needs `deep`: only that
    part is verified, as long as nothing is found; another run verifies the other.
    """

    deep: bool = True
    every_invocation: bool = False
    strict: bool = False
    most: int = 10
    part: Part | None = None
