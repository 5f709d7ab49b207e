"""System calls by their numbers, for what Python and the C library have no function.

By `ctypes`, which every CPython has. No package of PyPI does this for us: `pyseccomp` (last release
2021) needs a `libseccomp.so` that most images of Python lack, `landlock` has never left its
development releases, and others are months old; all would be a dependency for what are six calls.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any, Final

_PR_SET_NO_NEW_PRIVS: Final = 38


def system_call(number: int, *arguments: Any) -> int:
    """Make a system call. Raises OSError where the kernel answers with an error."""
    libc = ctypes.CDLL(None, use_errno=True)
    widened = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result: int = libc.syscall(ctypes.c_long(number), *widened)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def give_up_privileges(prctl: int) -> None:
    """Let no program that this process starts have more rights than it. Needed by both walls."""
    system_call(prctl, _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
