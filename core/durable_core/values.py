"""How classes of values are declared: `@dataclass(frozen=True)`, made in a seventh of the time.

A frozen dataclass sets each of its fields by a call of `object.__setattr__`. Reading a history
makes thousands of them, which would be a tenth of the time of a replay, and a command declares more
than a hundred before it does anything. mypy holds these classes frozen, as it knows no other
`dataclass` than that of `dataclasses`; at run time they compare and hash as frozen ones do, and
nothing but mypy keeps code from writing to them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass as dataclass
from typing import TYPE_CHECKING, Any

if not TYPE_CHECKING:

    def dataclass(kind: type | None = None, /, *, frozen: bool = False, **options: Any) -> Any:
        """Declare a dataclass, as `dataclasses.dataclass` does; see above what `frozen` does."""
        if kind is None:
            return lambda each: dataclass(each, frozen=frozen, **options)
        hashes = frozen and options.get("eq", True) and "__hash__" not in kind.__dict__
        return dataclasses.dataclass(kind, unsafe_hash=hashes, **options)
