"""Regular expressions that are compiled when they are first used.

To compile one takes as long as to import a module, and a command uses few of those that the modules
have which it imports.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


def pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return what `re.compile` would, for all that is done with it by its methods."""
    return cast("re.Pattern[AnyStr]", _Pattern(text, flags))


class _Pattern:
    def __init__(self, text: str | bytes, flags: int) -> None:
        self._given: tuple[Any, int] = text, flags

    def __getattr__(self, name: str) -> Any:
        """Find a method of the compiled expression, and keep it."""
        found = getattr(re.compile(*self._given), name)
        setattr(self, name, found)
        return found
