"""Functions that Python tells no audit hook of work as ever where they are told of."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

DATABASES = """
import json
import sqlite3
import sys

from durable_core.sandbox import unaudited

heard, denied = [], []
unaudited.tell()
sys.addaudithook(lambda event, args: heard.append(args[0]) if event == "sqlite3.attach" else None)


class Own(sqlite3.Connection):
    pass


def deny(action, name, *_):
    denied.append(name)
    return sqlite3.SQLITE_DENY if name == "b" else sqlite3.SQLITE_OK


made = sqlite3.connect(":memory:")
made.set_authorizer(None)
made.execute("attach ':memory:' as a")
made.set_authorizer(deny)
made.execute("attach ':memory:' as a2")
refused = False
try:
    made.execute("create table b (x)")
    made.execute("drop table b")
except sqlite3.DatabaseError:
    refused = True
own = sqlite3.connect(":memory:", factory=Own)
print(json.dumps({
    "heard": heard,
    "is one": isinstance(made, sqlite3.Connection),
    "name": type(made).__name__,
    "own": type(own) is Own,
    "refused": refused,
    "asked": ":memory:" in denied,
}))
"""


def said(code: str) -> Any:
    """Return what a process of its own says: what is told of is so for good."""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


def test_a_database_that_is_attached_is_told_whatever_authorizer_a_connection_has() -> None:
    assert said(DATABASES) == {
        "heard": [":memory:"] * 2,
        "is one": True,
        "name": "Connection",
        "own": True,
        "refused": True,
        "asked": True,
    }
