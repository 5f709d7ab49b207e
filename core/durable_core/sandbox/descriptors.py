"""What a process was handed open: through such a descriptor it could change what no wall refuses.

The walls refuse opening. What was open before they were raised stays as it is.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, Final

_STANDARD: Final = (0, 1, 2)


def close_writable(kept: Collection[int]) -> None:
    """Close every descriptor that can be written to, but the standard ones and those `kept`."""
    leave_resource_tracker()
    for descriptor in list(writable(kept)):
        with suppress(OSError):
            os.close(descriptor)


def writable(but: Collection[int]) -> Iterator[int]:
    """Yield the descriptors that can be written to, but the standard ones and those."""
    for descriptor in _open_descriptors():
        if descriptor not in _STANDARD and descriptor not in but and _is_writable(descriptor):
            yield descriptor


def leave_resource_tracker() -> None:
    """Forget the process in which `multiprocessing` removes what others leave behind: it is outside
    of the walls, and removes whatever name it is told. Code that needs one gets its own."""
    tracker: Any = resource_tracker._resource_tracker
    descriptor: int | None = getattr(tracker, "_fd", None)
    if descriptor is not None:
        tracker._fd = None
        with suppress(OSError):
            os.close(descriptor)


def _open_descriptors() -> Iterator[int]:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            names = [each.name for each in Path(folder).iterdir()]
        except OSError:
            continue
        yield from (int(each) for each in names if each.isdecimal())
        return


def _is_writable(descriptor: int) -> bool:
    import fcntl

    try:
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    except OSError:
        return False  # the one that listed the folder
    return flags & os.O_ACCMODE != os.O_RDONLY
