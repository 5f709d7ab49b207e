"""What a process has of its own, chosen: ids, addresses, hashes, its host, the order of files.

For the code of the user's own project only, which is what may not depend on it; libraries get the
real ones. Done as `readings` does it, in a process of its own, for good.
"""

from __future__ import annotations

import asyncio
import builtins
import os
import platform
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from durable_core.sandbox.set_orders import OrderedSet, varies
from durable_core.sandbox.sources import Source
from durable_core.sandbox.user_code import is_users

if TYPE_CHECKING:
    from durable_core.sandbox.controlled_sources import ControlledSources

_MANY: Final = 2_520
"""Divisible by every number to 10: it and the one before leave other remainders by all of them."""
_FIRST_PROCESS: Final = 400_000 * _MANY
"""No system gives numbers so high to processes: nobody else's is meant by mistake."""
_FIRST_ADDRESS: Final = 140_000_000_000_000 - 140_000_000_000_000 % _MANY


def install(readings: ControlledSources) -> None:
    """Change Python's modules. Can't be undone."""
    _install_hash_and_id(readings)
    _install_process(readings)
    _install_files(readings)
    _install_tasks(readings)


def _install_hash_and_id(readings: ControlledSources) -> None:
    real_hash, real_id = builtins.hash, builtins.id

    def chosen_hash(thing: object, /) -> int:
        real = real_hash(thing)
        if not is_users(sys._getframe(1).f_code.co_filename):
            return real  # Python hashes and looks up addresses all the time
        if not varies(thing) or not readings.note(Source.HASH_SEED, "hash", directly=True):
            return real
        real = _settled(thing, real)
        even = real - real % _MANY
        # The same in bodies: what is equal there has one hash.
        return ~even if readings.reversed_order(Source.HASH_SEED, in_bodies=True) else even

    def chosen_id(thing: object, /) -> int:
        if not is_users(sys._getframe(1).f_code.co_filename):
            return real_id(thing)
        if not readings.note(Source.PROCESS, "id", directly=True):
            return real_id(thing)
        number = readings.number(thing) * 16
        reversed_order = readings.reversed_order(Source.PROCESS, in_bodies=True)
        return _FIRST_ADDRESS + (-number if reversed_order else number)

    vars(builtins).update(hash=chosen_hash, id=chosen_id)


def _settled(thing: object, real: int) -> int:
    """Return a hash of text that every process has the same of, so that an order by hashes is the
    opposite one in the next run, and not by chance the same."""
    if type(thing) is tuple:
        return hash(tuple(_settled(each, hash(each)) for each in thing))
    if type(thing) is not str and type(thing) is not bytes:
        return real
    text = thing if isinstance(thing, bytes) else thing.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=7).digest())


def _install_process(readings: ControlledSources) -> None:
    def chosen(module: Any, name: str, values: tuple[Any, Any]) -> None:
        real = getattr(module, name, None)
        if real is None:
            return

        def read(*args: Any) -> Any:
            said = f"{module.__name__}.{name}"
            if not readings.note(Source.PROCESS, said, directly=True):
                return real(*args)
            return values[readings.reversed_order(Source.PROCESS)]

        setattr(module, name, read)

    real_ids: dict[int, Callable[[], int]] = {}
    for number, name in enumerate(("getpid", "getppid")):
        first = _FIRST_PROCESS + number * _MANY
        real_ids |= dict.fromkeys((first, first - 1), getattr(os, name))
        chosen(os, name, (first, first - 1))
    real_kill = os.kill

    def kill(pid: int, signal: int, /) -> None:
        real_kill(real_ids[pid]() if pid in real_ids else pid, signal)

    os.kill = kill
    for number, name in enumerate(("get_ident", "get_native_id"), 1):
        chosen(threading, name, (_FIRST_ADDRESS * number, _FIRST_ADDRESS * number - 1))
    for module, name in ((socket, "gethostname"), (socket, "getfqdn"), (platform, "node")):
        chosen(module, name, ("host-1", "worker-2"))


def _install_files(readings: ControlledSources) -> None:
    """A folder lists what is in it in any order; here forwards or backwards."""
    real_list, real_scan = os.listdir, os.scandir

    def chosen(function: str, found: Iterable[Any], key: Callable[[Any], Any]) -> list[Any]:
        is_noted = readings.note(Source.FILES, function, by_users=True)
        if not is_noted:
            return list(found)
        return sorted(found, key=key, reverse=readings.reversed_order(Source.FILES))

    def listdir(*path: Any) -> list[Any]:
        return chosen("os.listdir", real_list(*path), lambda name: name)

    class Scanned:
        """An iterator that can be closed, as `os.scandir` returns one."""

        def __init__(self, entries: Any) -> None:
            with entries:
                self._entries = iter(chosen("os.scandir", entries, lambda entry: entry.name))

        def __iter__(self) -> Iterator[Any]:
            return self

        def __next__(self) -> Any:
            return next(self._entries)

        def __enter__(self) -> Scanned:
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

        def close(self) -> None:
            """Nothing is open."""

    vars(os).update(listdir=listdir, scandir=lambda *path: Scanned(real_scan(*path)))


def _install_tasks(readings: ControlledSources) -> None:
    """`asyncio.wait` returns sets, and `as_completed` starts what is in a set."""
    real_wait, real_as_completed = asyncio.wait, asyncio.as_completed

    async def wait(fs: Any, **given: Any) -> tuple[Any, Any]:
        fs = list(fs)
        for each in fs:
            readings.number(each)
        done, pending = await real_wait(fs, **given)
        return OrderedSet(done), OrderedSet(pending)

    def as_completed(fs: Any, **given: Any) -> Any:
        fs = list(fs)
        if not readings.note(Source.PROCESS, "asyncio.as_completed", by_users=True):
            return real_as_completed(fs, **given)
        if readings.reversed_order(Source.PROCESS):
            fs.reverse()
        return real_as_completed([asyncio.ensure_future(each) for each in fs], **given)

    vars(asyncio).update(wait=wait, as_completed=as_completed)
