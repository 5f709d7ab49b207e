"""The event of a simulation: what Python's `json` makes of it, or one line that says why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_cli.app import run as run_cli
from durable_core.adapters.simulation_files import read_event
from durable_core.errors import SourceError

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=8,
)


@given(values)
def test_an_event_is_what_json_reads(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.mktemp("event") / "e.json"
    path.write_text(json.dumps(value))
    found = read_event(str(path))
    assert repr(found) == repr(json.loads(path.read_text()))


@pytest.mark.parametrize("given_as", ['{"a": 1}', "[18446744073709551616]", ' "x" ', "-7", "true"])
def test_an_event_may_be_the_json_itself(given_as: str) -> None:
    assert read_event(given_as) == json.loads(given_as)


def test_a_file_goes_before_json_of_the_same_spelling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "7").write_text('"from the file"')
    monkeypatch.chdir(tmp_path)
    assert read_event("7") == "from the file"


WRONG = {
    '{"a": NaN}': "not JSON: NaN is no number of JSON",
    "[Infinity]": "not JSON: Infinity is no number of JSON",
    "[-Infinity]": "not JSON: -Infinity is no number of JSON",
    "[1e400]": "the number 1e400 is beyond a double: no JSON parser keeps it",
    "9" * 5_000: "not JSON: a number of thousands of digits",
    "[" * 100_000 + "]" * 100_000: "nested too deeply: Python's json can't read it",
    '{"a":': "line 1 column 6: ends early: expected the rest of the JSON text",
    "{} {}": "line 1 column 4: expected one JSON value, found more",
    "": "empty: expected one JSON value",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:10])
@pytest.mark.parametrize("itself", [False, True], ids=["in a file", "given"])
def test_what_is_no_event_is_one_line(tmp_path: Path, text: str, itself: bool) -> None:
    path = tmp_path / "e.json"
    path.write_text(text)
    if itself and not text:
        pytest.skip("an empty name is no event")
    with pytest.raises(SourceError) as raised:
        read_event(text if itself else str(path))
    name = "the event given" if itself else str(path)
    assert str(raised.value) == f"{name}: {WRONG[text]}"


@pytest.mark.parametrize("runtime", ["native", "aws"])
def test_the_handler_is_given_all_digits(
    tmp_path: Path, runtime: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if runtime == "aws":
        pytest.importorskip("aws_durable_execution_sdk_python")
        head = (
            "from aws_durable_execution_sdk_python import durable_execution\n@durable_execution\n"
        )
    else:
        head = "async "
    handler = tmp_path / f"shows_{runtime}.py"
    handler.write_text(f"{head}def handler(event, ctx):\n    return repr(event)\n")
    event = '{"wei": 1000000000000000000000, "half": 2.50, "text": "\\ud800"}'
    options = ["--handler", f"{handler}:handler", "-e", event, "--format", "json"]
    assert run_cli(["simulate", *options]) == 0
    shown = json.loads(capsys.readouterr().out)["execution"]["result"]
    assert json.loads(shown) == repr(json.loads(event))


def test_no_event_of_nan_reaches_a_handler(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["simulate", "--handler", "json:loads", "-e", '{"a": NaN}']) == 2
    assert capsys.readouterr().err == (
        "durable: the event given: not JSON: NaN is no number of JSON\n"
    )
