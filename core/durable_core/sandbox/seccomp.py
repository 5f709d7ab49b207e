"""seccomp: the system calls that this process can't make any more, as a program for the kernel.

A program of classic BPF: it gets the call's number, architecture and arguments, and returns what to
do with it. Sources: `include/uapi/linux/seccomp.h`, `linux/filter.h`, seccomp(2).
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Collection, Mapping
from typing import Final

from durable_core.sandbox.rules import Action, Check, Rules, action_of
from durable_core.sandbox.system_calls import SystemCallTable, system_call

Instruction = tuple[int, int, int, int]
"""Code, where to jump to when true and when false (counted from the next one), and a constant."""

_LOAD: Final = 0x20
_AND: Final = 0x54
_EQUAL: Final = 0x15
_GREATER: Final = 0x25
_RETURN: Final = 0x06

_NUMBER_AT: Final = 0
_ARCHITECTURE_AT: Final = 4
_ARGUMENTS_AT: Final = 16

_RETURN_ERROR: Final = 0x00050000
_RETURN_NOTIFY: Final = 0x7FC00000
_RETURN_ALLOW: Final = 0x7FFF0000
_EPERM: Final = _RETURN_ERROR | errno.EPERM
_ENOSYS: Final = _RETURN_ERROR | errno.ENOSYS

Answers = Mapping[Action, int]

UNWATCHED: Final[Answers] = {
    Action.ALLOW: _RETURN_ALLOW,
    Action.REFUSE: _EPERM,
    Action.TELL: _EPERM,
    Action.ASK: _RETURN_ALLOW,
    Action.ABSENT: _ENOSYS,
}
WATCHED: Final[Answers] = {
    **UNWATCHED,
    Action.TELL: _RETURN_NOTIFY,
    Action.ASK: _RETURN_NOTIFY,
}
"""With a watcher, in another process, that each call waits for."""


def program(
    architecture: SystemCallTable,
    checks: Rules,
    answers: Answers,
    refused: Collection[str] = (),
) -> list[Instruction]:
    """Return the filter of all calls. `refused`: also these, whatever the rules say."""
    bodies = {
        number: [_returns(answers[Action.TELL])]
        if name in refused
        else _body(checks.get(name, ()), answers, action_of(name))
        for name, number in architecture.numbers.items()
    }
    lines = _start(architecture)
    for last, body in _ranges(bodies):
        lines += [(_GREATER, len(body), 0, last), *body]
    return [*lines, _returns(_ENOSYS)]


def refusing(architecture: SystemCallTable, refused: Rules) -> list[Instruction]:
    """Return a filter that refuses calls that pass their checks, and lets all others through to the
    filter that was there before."""
    lines = _start(architecture)
    allows = dict.fromkeys(Action, _RETURN_ALLOW)
    for name, checks in refused.items():
        body = [line for check in checks for line in _checked(check, allows)]
        lines += [(_EQUAL, 0, len(body) + 1, architecture.numbers[name]), *body, _returns(_EPERM)]
    return [*lines, _returns(_RETURN_ALLOW)]


def _start(architecture: SystemCallTable) -> list[Instruction]:
    return [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, architecture.audit),
        (_RETURN, 0, 0, _EPERM),  # a program for another machine, or 32 bits
        (_LOAD, 0, 0, _NUMBER_AT),
    ]


def _ranges(bodies: Mapping[int, list[Instruction]]) -> list[tuple[int, list[Instruction]]]:
    """Return the last number of each row of calls that are treated alike."""
    absent = [_returns(_ENOSYS)]
    ranges: list[tuple[int, list[Instruction]]] = []
    for number in range(max(bodies) + 1):
        body = bodies.get(number, absent)
        if ranges and ranges[-1][1] == body:
            ranges.pop()
        ranges.append((number, body))
    return ranges


def _body(checks: tuple[Check, ...], answers: Answers, action: Action) -> list[Instruction]:
    if not checks:
        return [_returns(answers[action])]
    lines = [line for check in checks for line in _checked(check, answers)]
    return [*lines, _returns(_RETURN_ALLOW)]


def _checked(check: Check, answers: Answers) -> list[Instruction]:
    at = _ARGUMENTS_AT + 8 * check.argument + (4 if check.high else 0)  # both are little-endian
    lines: list[Instruction] = [(_LOAD, 0, 0, at)]
    if check.mask != 0xFFFFFFFF:
        lines.append((_AND, 0, 0, check.mask))
    left = len(check.values)
    lines += [(_EQUAL, left - index, 0, value) for index, value in enumerate(check.values)]
    return [*lines, _returns(answers[check.otherwise])]


def _returns(value: int) -> Instruction:
    return (_RETURN, 0, 0, value)


# -- handing it to the kernel --------------------------------------------------------------------

SET_MODE_FILTER: Final = 1
_ALL_THREADS: Final = 1 | 16  # SECCOMP_FILTER_FLAG_TSYNC, _TSYNC_ESRCH (since 5.7)
_NO_SLOWER: Final = 4  # SECCOMP_FILTER_FLAG_SPEC_ALLOW
_LISTENER: Final = 8  # SECCOMP_FILTER_FLAG_NEW_LISTENER


def install(
    architecture: SystemCallTable, instructions: list[Instruction], *, listens: bool = False
) -> int:
    """Filter the calls of all threads of this process, for good.

    Returns, with `listens`, the descriptor at which a watcher hears of them. Raises OSError.
    """
    code = b"".join(struct.pack("=HBBI", *each) for each in instructions)
    held = ctypes.create_string_buffer(code, len(code))
    filter_ = struct.pack("@HP", len(instructions), ctypes.addressof(held))
    flags = _ALL_THREADS | _NO_SLOWER | (_LISTENER if listens else 0)
    number = architecture.numbers["seccomp"]
    return system_call(number, SET_MODE_FILTER, flags, filter_)
