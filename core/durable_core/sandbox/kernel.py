"""System calls by their numbers, for what Python and the C library have no function.

By `ctypes`, which every CPython has. No package of PyPI does this for us: `pyseccomp` (last release
2021) needs a `libseccomp.so` that most images of Python lack, `landlock` has never left its
development releases, and others are months old; all would be a dependency for what are six calls.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Mapping
from contextlib import suppress
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


def give_up_privileges(numbers: Mapping[str, int]) -> None:
    """Let no program that this thread starts have more rights than it, which both walls need, and
    leave it of root's rights those to read files only: with others the memory and the environment
    of all processes can be read. `numbers` are those of the system calls. Raises OSError.
    Source: capabilities(7).
    """
    system_call(numbers["prctl"], _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    with suppress(OSError):  # where it is forbidden there are none either
        _drop_capabilities(numbers["capget"], numbers["capset"])


def _drop_capabilities(capget: int, capset: int) -> None:
    held = ctypes.create_string_buffer(24)  # effective, permitted, inheritable; then the high words
    system_call(capget, _CAPABILITIES_OF_THIS_THREAD, held)
    effective, permitted, *_ = struct.unpack("=6I", held.raw)
    kept = (effective & _READS_FILES, permitted & _READS_FILES, 0, 0, 0, 0)
    system_call(capset, _CAPABILITIES_OF_THIS_THREAD, struct.pack("=6I", *kept))


_CAPABILITIES_OF_THIS_THREAD: Final = struct.pack("=Ii", 0x20080522, 0)
"""Version 3 of the interface (linux/capability.h)."""
_READS_FILES: Final = 1 << 1 | 1 << 2
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: everything stays readable."""
