"""`durable inspect-batch`: what it prints, where, and how it exits."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from durable_cli.app import run
from durable_cli.commands.inspect_batch import SdkName
from durable_cli.output import cell_len
from durable_core.sdks import SDKS

FIXTURES = Path(__file__).parent.parent / "fixtures"
SMALL = str(FIXTURES / "updates/small_updates.json")
REQUESTS = str(FIXTURES / "updates/checkpoint_requests.json")
OVERSIZED = str(FIXTURES / "updates/oversized_step_update.json")
HANG = str(FIXTURES / "updates/python_hang_updates.json")
HISTORY = str(FIXTURES / "histories/step_retries.json")
STATE = str(FIXTURES / "states/operations_state.json")


@pytest.fixture(autouse=True)
def _plain_surface(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


class Call:
    """What one call of the command printed and returned."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def document(self) -> dict[str, Any]:
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Any:
    def calling(*arguments: str) -> Call:
        code = run(["inspect-batch", *arguments])
        out, err = capsys.readouterr()
        return Call(code, out, err)

    return calling


def updates_file(path: Path, updates: list[dict[str, Any]]) -> str:
    source = path / "updates.json"
    source.write_text(json.dumps(updates))
    return str(source)


def step(number: int, payload: str, **fields: Any) -> dict[str, Any]:
    return {
        "Id": f"{number:x}",
        "Type": "STEP",
        "Action": "SUCCEED",
        "Name": f"step-{number}",
        "Payload": payload,
        **fields,
    }


# -- exit codes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((SMALL,), 0),
        ((REQUESTS,), 0),
        ((HISTORY,), 0),
        ((OVERSIZED,), 1),
        ((HANG, "--sdk", "python"), 1),
        ((STATE,), 2),
        (("no-such-file.json",), 2),
        ((SMALL, "--sdk", "go"), 2),
        ((SMALL, "--max-bytes", "0"), 2),
        ((SMALL, "--max-operations", "0"), 2),
    ],
)
def test_it_exits_with_1_when_something_would_be_rejected_or_hang(
    call: Any, arguments: tuple[str, ...], code: int
) -> None:
    assert call(*arguments).code == code


def test_a_hang_is_pythons_alone(call: Any) -> None:
    assert call(HANG, "--sdk", "dotnet").code == 0
    assert "would hang" in call(HANG, "--sdk", "python").out


@pytest.mark.parametrize("source", [STATE, "no-such-file.json", str(FIXTURES)])
def test_a_bad_source_is_one_line_that_names_it(call: Any, source: str) -> None:
    result = call(source)
    assert result.out == ""
    assert result.err.startswith(f"durable: {source}: ")
    assert result.err.count("\n") == 1


# -- sources -----------------------------------------------------------------------------------


def test_updates_come_from_standard_input_too(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path(SMALL).read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert "11 updates of 6 operations" in call("-").out


def test_it_does_not_wait_for_a_person_to_type_updates(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin", stdin)
    result = call()
    assert result.code == 2
    assert "name a file" in result.err


def test_an_empty_list_is_no_request(call: Any, tmp_path: Path) -> None:
    result = call(updates_file(tmp_path, []))
    assert result.code == 0
    assert "0 requests" in result.out


def test_recorded_requests_stay_apart(call: Any) -> None:
    requests = call(REQUESTS, "--format", "json").document["requests"]
    assert [request["group"] for request in requests] == [1, 2]


def test_a_history_is_said_to_be_a_reconstruction(call: Any) -> None:
    assert "reconstruction" in call(HISTORY).out
    assert call(HISTORY, "--format", "json").document["reconstructed"] is True
    assert call(SMALL, "--format", "json").document["reconstructed"] is False


def test_payloads_that_a_history_leaves_out_are_mentioned(call: Any, tmp_path: Path) -> None:
    source = tmp_path / "history.json"
    source.write_text(
        json.dumps(
            [
                {"EventId": 1, "EventType": "StepStarted", "EventTimestamp": 0, "Id": "a"},
                {
                    "EventId": 2,
                    "EventType": "StepSucceeded",
                    "EventTimestamp": 1,
                    "Id": "a",
                    "StepSucceededDetails": {"Result": {"Truncated": True}},
                },
            ]
        )
    )
    assert "1 payload is truncated" in " ".join(call(str(source), "--width", "200").out.split())


# -- rules -------------------------------------------------------------------------------------


def test_the_names_of_the_sdks_are_those_of_the_core() -> None:
    assert [name.value for name in SdkName] == [sdk.value for sdk in SDKS]


def test_the_ids_tell_whose_rules_apply_unless_one_asks_for_others(call: Any) -> None:
    assert call(HISTORY, "--format", "json").document["sdk"] == "python"
    assert call(HISTORY, "--format", "json", "--sdk", "java").document["sdk"] == "java"


def test_ids_that_tell_nothing_are_planned_as_dotnet_does_and_that_is_said(
    call: Any, tmp_path: Path
) -> None:
    document = call(updates_file(tmp_path, [step(1, "x")]), "--format", "json").document
    assert document["sdk"] == "dotnet"
    assert document["notes"] == ["planned as .NET does: no id tells the SDK (see --sdk)"]


def test_caps_may_be_set(call: Any) -> None:
    by_operations = call(SMALL, "--max-operations", "4", "--format", "json").document
    assert [request["updates"] for request in by_operations["requests"]] == [4, 4, 3]
    assert [request["cut"] for request in by_operations["requests"]] == [
        "operations",
        "operations",
        "end",
    ]
    by_bytes = call(SMALL, "--max-bytes", "600", "--sdk", "python", "--format", "json").document
    assert {request["cut"] for request in by_bytes["requests"]} == {"bytes", "end"}
    assert by_bytes["max_bytes"] == 600


# -- the report --------------------------------------------------------------------------------


def test_the_whole_report_of_a_stream_with_an_oversized_step(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FIXTURES)
    text = call("updates/oversized_step_update.json", "--sdk", "python", "--width", "90").out
    assert (
        text
        == """\
updates/oversized_step_update.json
  source    2 updates of 1 operation, taken as queued at once
  rules     Python: at most 768,000 bytes and 250 updates a request
  requests  1 request, 270,408 bytes besides the checkpoint tokens (estimated 270,313)

  REQUEST  UPDATES  ESTIMATED    EXACT  OF CAP                             CUT BECAUSE
        1        2    270,313  270,408    35 %  █████████                  nothing follows

  UPDATE  LARGEST                             PAYLOAD    EXACT  ESTIMATE
       2  Step "export" SUCCEED 1ced8f5be2db  270,002  270,167   270,167
       1  Step "export" START 1ced8f5be2db          -      146       146

  rejected  update 2, Step "export" SUCCEED 1ced8f5be2db: its payload is too large, and
            only a context's result is ever stripped (270,002 of 262,144 bytes)

  1 would be rejected
"""
    )


def test_the_document_says_what_the_table_does(call: Any) -> None:
    document = call(OVERSIZED, "--sdk", "python", "--format", "json").document
    assert document["schema"] == "durable.inspect-batch/1"
    assert document["fine"] is False
    assert document["requests"] == [
        {
            "number": 1,
            "group": 1,
            "first_update": 1,
            "last_update": 2,
            "updates": 2,
            "estimated_bytes": 270_313,
            "exact_bytes": 270_408,
            "fill": round(270_408 / 768_000, 6),
            "cut": "end",
        }
    ]
    (finding,) = document["findings"]
    assert finding == {
        "kind": "payload-too-large",
        "severity": "rejected",
        "problem": "its payload is too large, and only a context's result is ever stripped",
        "size": 270_002,
        "limit": 262_144,
        "unit": "bytes",
        "update": 2,
        "request": None,
        "operation": {
            "operation_id": document["largest_updates"][0]["operation_id"],
            "type": "STEP",
            "sub_type": "Step",
            "name": "export",
            "action": "SUCCEED",
        },
    }
    assert document["comparison"] is None


def test_compare_shows_every_estimate_beside_the_exact_bytes(call: Any) -> None:
    text = call(SMALL, "--compare", "--width", "120").out
    assert all(name in text for name in (".NET", "JAVA", "JAVASCRIPT", "PYTHON", "OFF BY"))
    rows = call(SMALL, "--compare", "--format", "json").document["comparison"]
    assert [row["sdk"] for row in rows] == [sdk.value for sdk in SDKS]


def test_thousands_of_requests_fold_unless_asked(call: Any, tmp_path: Path) -> None:
    source = updates_file(tmp_path, [step(number, "x") for number in range(3_000)])
    folded = call(source, "--max-operations", "1").out
    assert "1-2,999" in folded
    assert len(folded.splitlines()) < 40
    expanded = call(source, "--max-operations", "1", "--expand").out
    assert len(expanded.splitlines()) > 3_000


def test_requests_that_differ_are_left_out_in_the_middle(call: Any, tmp_path: Path) -> None:
    sizes = [3_000 if number % 3 else 100 for number in range(900)]
    source = updates_file(tmp_path, [step(number, "x" * size) for number, size in enumerate(sizes)])
    lines = call(source, "--max-bytes", "4000", "--sdk", "python", "--width", "120").out
    assert "more requests with" in lines
    assert len(lines.splitlines()) < 90


def test_many_findings_of_a_kind_fold_too(call: Any, tmp_path: Path) -> None:
    source = updates_file(tmp_path, [step(number, "x", Name="é") for number in range(30)])
    result = call(source)
    assert "20 more of bad-field" in result.out
    assert "30 would be rejected" in result.out
    assert "more of" not in call(source, "--expand").out


@pytest.mark.parametrize("width", [60, 72, 80, 100, 140, 250])
@pytest.mark.parametrize("source", [SMALL, REQUESTS, OVERSIZED, HANG, HISTORY])
@pytest.mark.parametrize("more", [(), ("--compare",)])
def test_no_line_is_wider_than_the_surface(
    call: Any, source: str, width: int, more: tuple[str, ...]
) -> None:
    text = call(source, "--sdk", "python", "--width", str(width), *more).out
    assert max(map(cell_len, text.splitlines())) <= width


def test_hostile_names_are_shown_escaped(call: Any, tmp_path: Path) -> None:
    name = "a\x1b[31m\u202eb\n\ud800"
    source = updates_file(tmp_path, [step(1, "x", Name=name)])
    text = call(source).out
    assert '"a\\x1b[31m\\u202eb\\n\\ud800"' in text
    document = call(source, "--format", "json")
    assert "\x1b" not in document.out
    assert document.document["largest_updates"][0]["name"] == name


def test_no_payload_is_ever_printed(call: Any, tmp_path: Path) -> None:
    source = updates_file(tmp_path, [step(1, "secret" * 60_000), step(2, "secret")])
    for more in ((), ("--format", "json"), ("--compare", "--expand")):
        assert "secret" not in call(source, *more).out


def test_the_report_goes_to_a_file(call: Any, tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    result = call(SMALL, "--format", "json", "-o", str(target))
    assert (result.code, result.out) == (0, "")
    assert json.loads(target.read_text())["updates"] == 11


def test_colour_is_only_there_when_asked_for(call: Any) -> None:
    assert "\x1b[" not in call(OVERSIZED).out
    assert "\x1b[" in call(OVERSIZED, "--color", "always").out
    assert "\x1b[" not in call(OVERSIZED, "--color", "always", "--format", "json").out
