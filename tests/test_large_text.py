"""Texts that are read piece by piece say the same as those that are parsed at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_core.adapters import large_text
from durable_core.adapters.history_file import load_history
from durable_core.adapters.large_text import LargeItems, LargeText, is_dense
from durable_core.adapters.updates_file import load_updates
from durable_core.errors import SourceError

FIXTURES = Path(__file__).parents[1] / "fixtures"

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@pytest.fixture(params=[0, 100])
def piece_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Have texts read piece by piece that are no larger than fixtures."""
    size: int = request.param
    monkeypatch.setattr(large_text, "PIECE_BYTES", size)
    return size


def whole(value: Any) -> Any:
    """Return a document with its lists as they are."""
    if isinstance(value, LargeItems):
        value = list(value)
    if isinstance(value, dict):
        return {key: whole(each) for key, each in value.items()}
    return [whole(each) for each in value] if isinstance(value, list) else value


def documents(text: str) -> list[Any]:
    return [whole(each) for each in LargeText("it", text.encode(), 1_024).documents()]


@pytest.mark.usefixtures("piece_bytes")
@pytest.mark.parametrize("separator", ["", "\n", "\n\n\t "])
@pytest.mark.parametrize("indent", [None, 1])
def test_what_is_read_piece_by_piece_is_what_json_says(indent: int | None, separator: str) -> None:
    @settings(max_examples=25)
    @given(st.lists(values, max_size=3))
    def check(found: list[Any]) -> None:
        found = [[each] for each in found]
        text = separator.join(json.dumps(each, indent=indent) for each in found)
        assert documents(text) == found

    check()


@pytest.mark.usefixtures("piece_bytes")
@settings(max_examples=40)
@given(cut=st.integers(1, 10**6))
def test_a_text_that_is_cut_is_told(cut: int) -> None:
    text = json.dumps({"Events": [{"a": "b\\"}, [1, {}], "c", -1.5e3, None]}, indent=1)
    with pytest.raises(SourceError, match=r"ends early|not JSON"):
        documents(text[: cut % len(text)] or "[")


@pytest.mark.usefixtures("piece_bytes")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            '{"Events": [{}, {} {}]}',
            "line 1 column 20: not JSON: expected ',' or the end of a list",
        ),
        ('{"Events": [1],\n  2}', "line 2 column 3: not JSON: expected a key and its value"),
        ('{"Events": [{"a" 1}, {}]}', "not JSON"),
        ('{"a": 1 "b": 2}', "line 1 column 9: not JSON: expected ',' or the end of an object"),
        ("[" * 2_000, "nested deeper than 1,024 levels"),
        ("[" * 2_000 + "]" * 2_000, "nested deeper than 1,024 levels"),
        ("[1, }", "line 1 column 5: not JSON: expected a value"),
        ("[1, ]", "line 1 column 5: not JSON: expected something after ','"),
        ('{"a": 1, }', "line 1 column 10: not JSON: expected something after ','"),
        ('[{"a": "\\x"}]', "not JSON"),
        ("[" + "1" * 5_000 + "]", "a number of thousands of digits"),
    ],
)
def test_what_is_wrong_has_its_place(text: str, problem: str) -> None:
    with pytest.raises(SourceError) as caught:
        documents(text)
    assert problem in str(caught.value)


@pytest.mark.usefixtures("piece_bytes")
@pytest.mark.parametrize("form", ["one", "indented", "lines", "pages", "list of pages"])
@pytest.mark.parametrize(
    "path", sorted((FIXTURES / "histories").glob("*.json"))[::9], ids=lambda path: path.stem
)
def test_histories_are_the_same_however_they_are_read(
    path: Path, form: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    document = json.loads(path.read_bytes())
    pages = [{**document, "Events": [each]} for each in document["Events"]]
    texts = {
        "one": json.dumps(document),
        "indented": json.dumps(document, indent=2),
        "lines": "\n".join(json.dumps(each) for each in document["Events"]),
        "pages": "\n".join(json.dumps(each, indent=2) for each in pages),
        "list of pages": json.dumps(pages),
    }
    file = tmp_path / "h.json"
    file.write_text(texts[form])
    monkeypatch.setattr("durable_core.adapters.documents.is_dense", lambda data: False)
    at_once = load_history(str(file))
    monkeypatch.setattr("durable_core.adapters.documents.is_dense", lambda data: True)
    assert load_history(str(file)) == at_once


@pytest.mark.usefixtures("piece_bytes")
@pytest.mark.parametrize(
    "path", sorted((FIXTURES / "updates").iterdir()), ids=lambda path: path.stem
)
def test_updates_are_the_same_however_they_are_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = load_updates(str(path))
    monkeypatch.setattr("durable_core.adapters.documents.is_dense", lambda data: True)
    assert load_updates(str(path)) == at_once


N = 1_000_000
"""Such a text is some 3 MB, which is read in a moment."""
BOMBS = {
    "objects": b"[" + b"{}," * N + b"{}]",
    "lists": b"[" + b"[]," * N + b"[]]",
    "numbers": b"[" + b"1.5," * N + b"1]",
    "lines": b"{}\n" * N,
    "lines of lists": b"[]\n" * N,
    "spaces": b"1 " * N,
    "a field of an event": b'{"Events":[{"EventType":"New","EventId":1,"EventTimestamp":1,"X":['
    + b"[]," * N
    + b"[]]}]}",
    "keys": b"{" + b",".join(b'"%d":1' % each for each in range(N // 3)) + b"}",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_text_of_very_many_values_takes_no_more_memory_than_a_few_times_itself(
    bomb: str, tmp_path: Path
) -> None:
    import subprocess
    import sys

    file = tmp_path / "bomb.json"
    file.write_bytes(BOMBS[bomb])
    program = (
        "import resource, sys\n"
        "from durable_core.adapters.history_file import load_history\n"
        "from durable_core.errors import DurableError\n"
        "most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = most()\n"
        "try:\n    load_history(sys.argv[1])\n"
        "except DurableError as error:\n    print(most() - before, error)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(file)], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    kib = int(ended.stdout.split(" ", 1)[0]) // (1 if sys.platform == "linux" else 1024)
    assert kib * 1024 <= 4 * len(BOMBS[bomb])


@pytest.mark.parametrize("limit_mib", [100, 150])
def test_without_enough_memory_there_is_one_line(limit_mib: int, tmp_path: Path) -> None:
    import resource
    import subprocess
    import sys

    event = b'{"EventType":"StepStarted","EventId":%d,"EventTimestamp":1,"Id":"a","Name":"%d"}'
    file = tmp_path / "h.json"
    file.write_bytes(b"[" + b",".join(event % (n, n) for n in range(1, 200_000)) + b"]")
    ended = subprocess.run(
        [sys.executable, "-m", "durable_cli", "replay", str(file)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit_mib * 2**20,) * 2),
    )
    assert ended.returncode in (0, 2)
    assert ended.stderr.count("\n") == (ended.returncode == 2)
    assert "Traceback" not in ended.stderr


def test_large_payloads_are_parsed_at_once_since_they_are_text() -> None:
    payload = json.dumps(json.dumps(["x" * 100] * 100_000)).encode()
    assert not is_dense(b'{"Events": [{"EventType": "New", "X": ' + payload + b"}]}")
