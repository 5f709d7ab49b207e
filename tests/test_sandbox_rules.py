"""What the filter of system calls answers, on both architectures, as the kernel would run it."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final

import pytest

from durable_core.sandbox import rules, seccomp
from durable_core.sandbox.rules import Action, action_of, checks
from durable_core.sandbox.seccomp import UNWATCHED, WATCHED, Answers, Instruction
from durable_core.sandbox.system_calls import ARCHITECTURES, SystemCallTable

PID: Final = 4321
LISTED: Final = rules.ALLOWED | rules.ASKED | rules.ABSENT | rules.QUIET | checks(PID).keys()
both = pytest.mark.parametrize("machine", ARCHITECTURES)
watched_or_not = pytest.mark.parametrize("answers", [UNWATCHED, WATCHED], ids=["alone", "watched"])


def answer(
    program: Sequence[Instruction], architecture: int, number: int, arguments: Sequence[int] = ()
) -> int:
    """Run a filter as the kernel does (classic BPF over `struct seccomp_data`)."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    held, at = 0, 0
    while True:
        code, when_true, when_false, constant = program[at]
        at += 1
        match code:
            case 0x20:
                (held,) = struct.unpack_from("=I", data, constant)
            case 0x54:
                held &= constant
            case 0x15:
                at += when_true if held == constant else when_false
            case 0x25:
                at += when_true if held > constant else when_false
            case 0x06:
                return constant


class Filter:
    """The whole filter on a machine."""

    def __init__(self, machine: str, answers: Answers = UNWATCHED) -> None:
        self.on: SystemCallTable = ARCHITECTURES[machine]
        self.answers: Mapping[Action, int] = answers
        self.program = seccomp.program(self.on, checks(PID), answers)
        self.number = self.on.numbers

    def __call__(self, name: str | int, *arguments: int) -> Action:
        """Return what a call comes to."""
        number = self.number[name] if isinstance(name, str) else name
        came = answer(self.program, self.on.audit, number, arguments)
        return next(action for action, value in self.answers.items() if value == came)


@both
@watched_or_not
def test_every_call_that_depends_on_no_argument_is_answered_by_its_rule(
    machine: str, answers: Answers
) -> None:
    filter_ = Filter(machine, answers)
    plain = filter_.number.keys() - checks(PID).keys()
    assert {name: answers[filter_(name)] for name in plain} == {
        name: answers[action_of(name)] for name in plain
    }


@both
def test_a_call_that_the_table_does_not_know_is_absent(machine: str) -> None:
    filter_ = Filter(machine)
    unknown = {*range(600)} - {*filter_.number.values()}
    assert {filter_(number) for number in unknown} == {Action.ABSENT}


@both
def test_a_call_of_another_architecture_is_refused(machine: str) -> None:
    filter_ = Filter(machine)
    other = answer(filter_.program, 0x40000003, filter_.number["read"])
    assert other == UNWATCHED[Action.REFUSE]


def test_a_call_with_the_numbers_of_x32_is_absent() -> None:
    assert Filter("x86_64")(0x40000000 | 1) is Action.ABSENT


def test_each_rule_is_about_a_call_that_there_is() -> None:
    known = {name for each in ARCHITECTURES.values() for name in each.numbers}
    assert known >= LISTED


def test_no_call_has_two_rules() -> None:
    groups = (rules.ALLOWED, rules.ASKED, rules.ABSENT, rules.QUIET, checks(PID).keys())
    assert sum(map(len, groups)) == len(LISTED)


def test_no_number_is_of_two_calls() -> None:
    for each in ARCHITECTURES.values():
        assert len(set(each.numbers.values())) == len(each.numbers)


SELF: Final = (PID, -PID & 0xFFFFFFFF)


@both
@pytest.mark.parametrize(
    ("call", "arguments", "expected"),
    [
        *[("kill", (each, 9), Action.ALLOW) for each in SELF],
        *[("kill", (each, 0), Action.TELL) for each in (0, 1, PID + 1, 0xFFFFFFFF)],
        ("tgkill", (PID, 7, 9), Action.ALLOW),
        ("tgkill", (PID + 1, 7, 9), Action.TELL),
        ("rt_sigqueueinfo", (PID + 1, 9, 1), Action.TELL),
        ("clone", (0x3D0F00,), Action.ALLOW),  # a thread, as glibc starts it
        ("clone", (17,), Action.TELL),  # fork: SIGCHLD only
        ("clone", (0x4111,), Action.TELL),  # vfork, posix_spawn
        ("clone", (0x3D0F00 | 0x40000000,), Action.TELL),  # in a new network namespace
        ("socket", (2, 1), Action.ALLOW),
        ("socket", (10, 2 | 0o2000000), Action.ALLOW),
        ("socket", (1, 1), Action.ALLOW),
        ("socket", (16, 3), Action.REFUSE),
        ("socket", (17, 3), Action.REFUSE),
        ("socket", (2, 3), Action.TELL),
        ("sendto", (5, 1, 1, 0, 0, 0), Action.ALLOW),
        ("sendto", (5, 1, 1, 0, 0x1000, 16), Action.TELL),
        ("sendto", (5, 1, 1, 0, 0x7F0000000000, 16), Action.TELL),
        ("openat", (0, 0, 0), Action.ALLOW),
        ("openat", (0, 0, 0o2000000), Action.ALLOW),
        *[("openat", (0, 0, each), Action.ASK) for each in (1, 2, 0o100, 0o1001, 0o20200002)],
        ("openat", (0, 0, 0o1000), Action.TELL),
        ("fcntl", (3, 1030), Action.ALLOW),
        *[("fcntl", (3, each), Action.TELL) for each in (8, 10, 15, 1024, 1026)],
        ("ioctl", (3, 0x5401), Action.ALLOW),
        *[("ioctl", (3, each), Action.REFUSE) for each in (0x5412, 0x40086602, 0x8902, 0x8914)],
        ("prctl", (15, 0), Action.ALLOW),
        *[("prctl", (each, 0), Action.REFUSE) for each in (1, 4, 22, 35, 0x59616D61)],
        ("prlimit64", (0, 4), Action.ALLOW),
        ("prlimit64", (PID + 1, 4), Action.TELL),
        ("sched_setaffinity", (0,), Action.ALLOW),
        ("sched_setaffinity", (PID + 1,), Action.REFUSE),
        ("setsockopt", (3, 1, 2), Action.ALLOW),
        ("setsockopt", (3, 0, 35), Action.REFUSE),
        ("personality", (0xFFFFFFFF,), Action.ALLOW),
        ("personality", (0x40000,), Action.TELL),
    ],
)
def test_what_depends_on_arguments(
    machine: str, call: str, arguments: tuple[int, ...], expected: Action
) -> None:
    filter_ = Filter(machine, WATCHED)
    assert WATCHED[filter_(call, *arguments)] == WATCHED[expected]
