"""What a SerDes does for a verification: its own files and connections are nobody's to redo. Pure.

A SerDes may keep payloads elsewhere (AWS's FileSystemSerDes, a bucket, a database): it loads them
when it deserializes, and stores them when it serializes. Nothing is stored while verifying, and
what can't be loaded is a value that isn't known. A SerDes that only transforms does it for real.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from durable_core.sandbox.attempts import Reach, ReachesOut
from durable_core.values import dataclass

Watching = Callable[[], AbstractContextManager[Reach]]
"""Refuses, while it is entered, what a SerDes would change or connect to outside."""


@contextmanager
def unwatched() -> Iterator[Reach]:
    """Watch nothing: where no guard can be had."""
    yield Reach()


@dataclass(frozen=True, slots=True)
class NotDone:
    """A SerDes can't do its work here. `why` says what it needs."""

    why: str


def run_serdes(watching: Watching, work: Callable[[], Any], *, loads: bool = True) -> Any:
    """Return what a SerDes makes, or NotDone where it needs what is outside of the process.

    With `loads`, files that are there and that it reads are no such thing. Raises what it raises
    for any other reason.
    """
    outside = sys.exception()
    with watching() as reach:
        try:
            made = work()
        except ReachesOut as refused:
            return NotDone(reach.refused or str(refused))
        except Exception as error:
            why = reach.refused or _missing(error, outside)
            if why is None:
                raise
            return NotDone(why)
    why = reach.refused or (None if loads else reach.loaded)
    return made if why is None else NotDone(why)


_CHAIN: Final = 20
_CLIENTS: Final = ("botocore", "boto3", "urllib3", "requests", "httpx", "aiohttp")
"""Packages whose errors are those of a connection."""


def _missing(error: BaseException, outside: BaseException | None) -> str | None:
    """Return the error of a file or connection that another one comes from; None: it has none.

    What was being handled before the SerDes was called (`outside`) isn't its own.
    """
    at: BaseException | None = error
    for _ in range(_CHAIN):
        if at is None or at is outside:
            return None
        package = str(type(at).__module__).partition(".")[0]
        if isinstance(at, OSError) or package in _CLIENTS:
            return f"{type(at).__name__}: {at}"
        at = at.__cause__ or at.__context__
    return None
