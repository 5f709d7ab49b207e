"""What a handler's modules do and open while they are imported: what is common works, the rest is
refused and told, once, with its line."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from durable_cli.app import run
from durable_core import verify

pytestmark = pytest.mark.attack

HANDLER: Final = """
from datetime import timedelta

async def handler(event, ctx):
    await ctx.wait(timedelta(seconds=1), name="breathe")
"""

REFUSED: Final = {
    "writes a file": 'FILE = open("reached", "w")',
    "writes in a function": 'def set_up():\n    return open("reached", "w")\nFILE = set_up()',
    "makes a folder": 'import os; os.makedirs("reached")',
    "connects": 'import socket; socket.create_connection(("127.0.0.1", PORT))',
    "sends a datagram": (
        "import socket\n"
        'socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", PORT))'
    ),
    "starts a process": 'import subprocess; subprocess.run(["touch", "reached"])',
    "starts a process of Python's": (
        'import multiprocessing\nmultiprocessing.get_context("fork").Process(target=print).start()'
    ),
    "makes a pipe": 'import os; os.mkfifo("reached")',
    "opens a database": 'import sqlite3; DATABASE = sqlite3.connect("reached")',
    "calls C": 'import ctypes; ctypes.CDLL(None).mkdir(b"reached", 511)',
    "asks a server": ('import urllib.request; urllib.request.urlopen("http://127.0.0.1:PORT")'),
    "imports what writes": "import helper",
    "runs a pool": (
        "import os, concurrent.futures as futures\n"
        'with futures.ThreadPoolExecutor(1) as pool:\n    pool.submit(os.mkdir, "reached").result()'
    ),
    "runs a loop": ('import asyncio, os\nasyncio.run(asyncio.to_thread(os.mkdir, "reached"))'),
    "says another error": (
        'try:\n    FILE = open("reached", "w")\n'
        'except OSError:\n    raise RuntimeError("no") from None'
    ),
    "needs what it did not get": (
        'FILE = None\ntry:\n    FILE = open("reached", "w")\nexcept OSError:\n    pass\nFILE.name'
    ),
}

COMMON: Final = {
    "reads files": "TEXT = open(__file__).read(); import json; LIST = json.loads('[1]')",
    "sets up logging": "import logging; logging.basicConfig(level='INFO', force=True)",
    "sets up a log file": (
        "import logging, logging.handlers\n"
        "logging.basicConfig(filename='reached', force=True)\n"
        "logging.getLogger('a').addHandler(logging.handlers.RotatingFileHandler('reached'))\n"
        "logging.getLogger('a').error('x')"
    ),
    "sets up a log file that is opened later": (
        "import logging\nlogging.getLogger().addHandler(logging.FileHandler('reached', delay=True))"
    ),
    "imports a package": "import email.mime.text, xml.dom.minidom, sqlite3, ctypes, decimal, uuid",
    "makes clients": (
        "import boto3\nS3 = boto3.client('s3', region_name='us-east-1')\n"
        "TABLE = boto3.resource('dynamodb', region_name='us-east-1').Table('t')"
    ),
    "makes sockets": "import socket; SOCKET = socket.socket()",
    "makes locks and queues": "import asyncio, queue, threading; LOCK = threading.Lock()",
    "makes a pool of threads": (
        "from concurrent.futures import ThreadPoolExecutor\nPOOL = ThreadPoolExecutor(2)\n"
        "POOL.submit(print).result()"
    ),
    "looks up symbols of C": "import ctypes; LENGTH = ctypes.CDLL(None).strlen",
    "makes a folder that is there": "import os; os.makedirs('there', exist_ok=True)",
    "keeps bytecode": "import kept",
    "writes to the null device": "import os; NOTHING = open(os.devnull, 'w')",
    "makes temporary files": (
        "import pathlib, tempfile\nFOLDER = tempfile.TemporaryDirectory()\n"
        "(pathlib.Path(FOLDER.name) / 'made').mkdir()\n"
        "(pathlib.Path(FOLDER.name) / 'made' / 'file').write_text('x')\n"
        "with tempfile.TemporaryFile() as file:\n    file.write(b'x')"
    ),
    "opens databases in memory": (
        "import sqlite3\nDATABASE = sqlite3.connect(':memory:')\n"
        "DATABASE.execute('create table t (x)')\nDATABASE.execute('vacuum')\n"
        "OTHER = sqlite3.connect('file::memory:?cache=shared', uri=True)"
    ),
    "makes a UUID of this machine": "import uuid; INSTANCE = uuid.uuid1(); NODE = uuid.getnode()",
    "asks for the platform": "import platform; AGENT = platform.platform(), platform.uname()",
    "registers what is called in the end": "import atexit; atexit.register(print)",
}


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, dict[str, Any]]]]:
    """Verify a handler whose module begins so against two histories; return the document."""
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", port))
    (tmp_path / "there").mkdir()
    (tmp_path / "kept.py").write_text("VALUE = 1\n")
    (tmp_path / "helper.py").write_text('open("reached", "w").close()\n')
    (tmp_path / "old.py").write_text(HANDLER)
    assert run(["simulate", "--handler", "old:handler", "--record", "one.json"]) == 0
    (tmp_path / "two.json").write_bytes((tmp_path / "one.json").read_bytes())

    def calling(begins: str, *options: str) -> tuple[int, dict[str, Any]]:
        (tmp_path / "app.py").write_text(begins.replace("PORT", str(port)) + "\n" + HANDLER)
        capfd.readouterr()
        sources = ["one.json", "two.json"]
        code = run(["replay", *sources, "--handler", "app:handler", "--format", "json", *options])
        out, err = capfd.readouterr()
        assert out, err
        for each in (server, datagrams):
            each.setblocking(False)
            with pytest.raises(BlockingIOError):
                each.accept() if each is server else each.recv(1)
        return code, json.loads(out)

    yield calling
    server.close()
    datagrams.close()


@pytest.mark.parametrize("what", REFUSED)
def test_a_module_that_reaches_outside_is_refused_and_told_with_its_line(
    what: str, call: Any, tmp_path: Path
) -> None:
    code, document = call(REFUSED[what])
    assert not (tmp_path / "reached").exists()
    assert code == 3
    for history in document["histories"]:
        assert history["verdict"] == "cannot-verify"
        (doubt,) = history["doubts"]
        assert "app.py:" in doubt["reason"] or "helper.py:" in doubt["reason"]
        assert "--allow-import" in doubt["remedy"]


@pytest.mark.parametrize("what", COMMON)
def test_what_modules_commonly_need_works_and_is_not_told(
    what: str, call: Any, tmp_path: Path
) -> None:
    code, document = call(COMMON[what])
    notes = [note for history in document["histories"] for note in history["notes"]]
    assert (code, [each for each in notes if "import" in each]) == (0, [])
    assert not (tmp_path / "reached").exists()


CAUGHT: Final = 'try:\n    FILE = open("reached", "w")\nexcept OSError:\n    FILE = None'


def test_a_module_that_goes_on_is_told_once(call: Any, tmp_path: Path) -> None:
    code, document = call(CAUGHT)
    notes = [note for history in document["histories"] for note in history["notes"]]
    told = [each for each in notes if each.startswith("importing the handler was refused")]
    assert (code, len(told)) == (0, 1)
    assert "writing a file (reached, w) at app.py:2" in told[0]
    assert "--allow-import" in told[0]
    assert not (tmp_path / "reached").exists()


def test_allow_import_lets_modules_do_it_and_says_nothing(call: Any, tmp_path: Path) -> None:
    code, document = call(CAUGHT, "--allow-import")
    assert code == 0
    assert "importing" not in json.dumps(document)
    assert (tmp_path / "reached").exists()


def test_a_thread_that_a_module_was_allowed_to_start_is_refused_in_the_handlers_run(
    call: Any, tmp_path: Path
) -> None:
    worker = (
        "import os, queue, threading\nWORK = queue.Queue()\n"
        "def works():\n    while True:\n        os.mkdir(WORK.get())\n"
        "threading.Thread(target=works, daemon=True).start()\n"
    )
    puts = (
        "\nasync def puts(event, ctx):\n    import time\n    WORK.put('reached')\n"
        "    time.sleep(0.05)\n    await wrapped(event, ctx)\n"
    )
    module = worker + HANDLER.replace("handler", "wrapped") + puts
    code, document = call(module, "--allow-import", "--handler", "app:puts")
    assert code == 3
    reason = document["histories"][0]["doubts"][0]["reason"]
    assert "making a folder (reached, 511) at app.py:5, in thread" in reason
    assert "started at app.py:6" in reason
    assert not (tmp_path / "reached").exists()


def test_warned_of_modules_do_it_and_are_told(call: Any, tmp_path: Path) -> None:
    code, document = call(CAUGHT, "--guard", "warn")
    assert code == 0
    assert "importing the handler reaches outside: writing a file" in json.dumps(document)
    assert (tmp_path / "reached").exists()


def test_a_missing_module_is_told_as_such_whatever_was_refused_before(
    call: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AssertionError, match="no module 'not_there'"):
        call(f"{CAUGHT}\nimport not_there")


def test_verify_refuses_what_a_named_handlers_module_does(call: Any, tmp_path: Path) -> None:
    call(CAUGHT)
    (tmp_path / "named.py").write_text(REFUSED["writes a file"] + HANDLER)
    outcome = verify("named:handler", "one.json")
    assert outcome.verdict.value == "cannot-verify"
    assert "writing a file (reached, w) at named.py:1" in outcome.doubts[0].reason
    (tmp_path / "caught.py").write_text(CAUGHT + HANDLER)
    outcome = verify("caught:handler", "one.json")
    assert outcome
    assert any("importing the handler was refused" in each for each in outcome.notes)
    (tmp_path / "allowed.py").write_text('open("reached", "w").close()' + HANDLER)
    assert not (tmp_path / "reached").exists()
    assert verify("allowed:handler", "one.json", allow_import=True)
    assert (tmp_path / "reached").exists()
