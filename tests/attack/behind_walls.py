"""What handlers and their libraries commonly do, behind the walls; prints what didn't work."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from durable_core.sandbox.scratch import use_for_temporary_files
from durable_core.sandbox.walls import raise_walls

SCRATCH: Final = sys.argv[1]
NEEDED: Final[list[Callable[[], Any]]] = []


def needed(function: Callable[[], Any]) -> Callable[[], Any]:
    NEEDED.append(function)
    return function


@needed
def threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(abs, range(20))) == 190


@needed
def an_event_loop() -> None:
    import asyncio

    async def run() -> int:
        await asyncio.sleep(0.001)
        return await asyncio.to_thread(lambda: 1)

    assert asyncio.run(run()) == 1


@needed
def clocks_and_chance() -> None:
    import random
    import time
    import uuid
    import zoneinfo

    time.sleep(0.001)
    assert len(os.urandom(8)) == 8
    with open("/dev/urandom", "rb") as chance:
        assert chance.read(4)
    random.seed()
    uuid.uuid4()
    zoneinfo.available_timezones()


@needed
def reading_files() -> None:
    assert Path(__file__).read_text()
    assert list(Path("/").iterdir())
    assert Path("/proc/self/status").read_text()
    assert Path("/etc/passwd").stat()


@needed
def the_null_device() -> None:
    with open(os.devnull, "w") as nowhere:
        print("nothing", file=nowhere)
    with open(os.devnull, "r+b", buffering=0) as nowhere:
        nowhere.write(b"x")


@needed
def temporary_files() -> None:
    import tempfile

    assert tempfile.gettempdir() == SCRATCH
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(b"x")
    with tempfile.TemporaryFile() as unnamed:
        unnamed.write(b"x")
    with tempfile.SpooledTemporaryFile(1) as spooled:
        spooled.write(b"xx")


@needed
def users_and_places() -> None:
    import locale
    import platform
    import pwd

    pwd.getpwuid(os.getuid())
    assert Path.home()
    assert os.cpu_count()
    platform.platform()
    locale.setlocale(locale.LC_ALL, "")
    os.getloadavg()
    os.uname()


@needed
def memory() -> None:
    import mmap

    mmap.mmap(-1, 4096)[0] = 1
    if hasattr(os, "memfd_create"):
        os.write(os.memfd_create("x"), b"x")
    import resource

    resource.getrusage(resource.RUSAGE_SELF)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@needed
def pipes_and_pairs() -> None:
    import select
    import socket

    reads, writes = os.pipe()
    os.write(writes, b"x")
    select.select([reads], [], [], 1)
    one, two = socket.socketpair()
    one.sendall(b"x")
    two.recv(1)
    with socket.socket() as inet:
        inet.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        inet.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert socket.gethostname()


@needed
def signals_to_itself() -> None:
    import signal

    signal.signal(signal.SIGUSR1, lambda *_: None)
    os.kill(os.getpid(), signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR1)
    signal.setitimer(signal.ITIMER_REAL, 0)


@needed
def logs() -> None:
    import logging

    logging.basicConfig()
    logging.getLogger("x").info("said")


@needed
def encrypted_connections_that_are_not_made() -> None:
    import ssl

    assert ssl.create_default_context().get_ca_certs() is not None
    ssl.RAND_bytes(4)


@needed
def a_database_in_memory() -> None:
    import sqlite3

    with sqlite3.connect(":memory:") as database:
        database.execute("create table t (x)")
        database.executemany("insert into t values (?)", [(each,) for each in range(100)])
        database.execute("create temporary table u as select * from t order by x desc")


@needed
def extension_modules() -> None:
    import _decimal
    import ctypes.util

    import orjson

    assert _decimal
    assert orjson.loads(b"1") == 1
    ctypes.CDLL(None).getpid()


@needed
def clients_of_aws() -> None:
    import boto3

    boto3.client("s3", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
    boto3.resource(
        "dynamodb", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
    )


@needed
def names_of_threads() -> None:
    import ctypes

    assert ctypes.CDLL(None).prctl(15, b"durable") == 0


def main() -> None:
    use_for_temporary_files(SCRATCH)
    missing = raise_walls(SCRATCH).missing
    failed = {}
    for function in NEEDED:
        try:
            function()
        except BaseException as error:
            failed[function.__name__] = repr(error)
    print(json.dumps([missing, failed]))


main()
