"""Names of operations: the one that is given, or that of the function, and what is one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from durable_core.exceptions import ValidationError
from durable_core.safe_text import plain, shown

_NAME: Final = re.compile(r"[\x20-\x7E]{1,256}")


def name_of(name: str | None, func: Callable[..., Any]) -> str | None:
    """Return the given name, or the one that a decorator noted on the function."""
    return name or getattr(func, "_original_name", None)


def checked_name(name: str | None) -> str | None:
    """Return the name, None for an empty one. Raises ValidationError for what isn't a name."""
    if not name:
        return None
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise ValidationError(f"a name is 1 to 256 printable ASCII characters, got: {shown(name)}")
    return plain(name)
