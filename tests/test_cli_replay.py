"""`durable replay` as it is called: formats, options, several sources, wrong usage, exit codes."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable_cli.app import run
from durable_core.explaining import explain

ROOT = Path(__file__).resolve().parent.parent
HISTORIES = ROOT / "fixtures" / "histories"
SOURCES = sorted(HISTORIES.glob("*.json")) + sorted((ROOT / "fixtures" / "states").glob("*.json"))
FLAT = str(HISTORIES / "flat_overflow_reentered.json")
FLAT_HANDLER = str(ROOT / "fixtures" / "handlers" / "aws_flat_overflow.py:handler")
WAITING = str(HISTORIES / "running_on_wait.json")
UNITS = str(HISTORIES / "five_hundred_units.json")
FAILED = str(HISTORIES / "step_retries_exhausted.json")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "DURABLE_DEBUG"):
        monkeypatch.delenv(name, raising=False)


class Call:
    """What one call of `durable` answers."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def positions(self) -> list[str]:
        [history] = self.document["histories"]
        return [each["position"] for each in history["operations"]]


@pytest.fixture
def durable(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str) -> Call:
        code = run(list(arguments))
        done = capsys.readouterr()
        return Call(code, done.out, done.err)

    return call


def process(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'core'}"}
    return subprocess.run(
        [sys.executable, "-m", "durable_cli", *arguments],
        env=environment | options.pop("env", {}),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        **options,
    )


# -- formats -------------------------------------------------------------------------------------


def test_the_table_is_the_default(durable: Any) -> None:
    done = durable("replay", FLAT)
    assert (done.code, done.err) == (0, "")
    assert "WHAT A REPLAY DOES" in durable("replay", FLAT, "--width", "160").out
    assert done.out == durable("replay", FLAT, "--format", "table").out


def test_json_is_one_document_with_a_schema(durable: Any) -> None:
    done = durable("replay", FLAT, WAITING, "--format", "json")
    assert (done.code, done.err) == (0, "")
    assert list(done.document) == ["schema", "histories"]
    assert done.document["schema"] == "durable.replay/1"
    first, second = done.document["histories"]
    assert (first["source"], second["source"]) == (FLAT, WAITING)
    assert (first["execution"]["status"], second["execution"]["status"]) == ("SUCCEEDED", "RUNNING")


def test_json_says_of_an_operation_what_the_report_says(durable: Any) -> None:
    [history] = durable("replay", FLAT, "--format", "json").document["histories"]
    by_position = {each["position"]: each for each in history["operations"]}
    assert list(by_position)[:3] == ["1", "1.0", "1.0.1"]
    assert by_position["1"]["replay"] == "re-executed"
    assert by_position["1"]["stripped"] is True
    assert by_position["1"]["inferred"] is True
    assert by_position["1.0"]["nesting"] == "FLAT"
    assert by_position["1.0"]["id"] is None
    assert by_position["1.0.1"]["payload_bytes"] == 88_002
    assert history["totals"]["stripped"] == 1
    assert history["each_replay"]["unit_bodies"] == 3
    assert {each["key"] for each in history["limits"]} >= {"payload_bytes", "operations"}


def test_json_lines_are_one_history_each(durable: Any) -> None:
    done = durable("replay", FLAT, WAITING, "--format", "jsonl")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["source"] for line in lines] == [FLAT, WAITING]
    assert {line["schema"] for line in lines} == {"durable.replay/1"}
    documents = durable("replay", FLAT, WAITING, "--format", "json").document["histories"]
    assert [{k: v for k, v in line.items() if k != "schema"} for line in lines] == documents


def test_markdown_is_a_heading_and_a_table_for_each_history(durable: Any) -> None:
    lines = durable("replay", FLAT, WAITING, "--format", "markdown").out.splitlines()
    assert len([line for line in lines if line.startswith("### ")]) == 2
    assert len([line for line in lines if line.startswith("| position |")]) == 2


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
@pytest.mark.parametrize("format", ["table", "json", "jsonl", "markdown"])
def test_every_source_is_explained_in_every_format(durable: Any, path: Path, format: str) -> None:
    color = ["--color", "always"] if format == "table" else []
    done = durable("replay", str(path), "--format", format, *color)
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("\n")
    assert ("\x1b" in done.out) is (format == "table")
    if format in ("json", "jsonl"):
        assert json.loads(done.out)["schema"] == "durable.replay/1"


# -- options -------------------------------------------------------------------------------------


def test_a_report_can_go_to_a_file(durable: Any, tmp_path: Path) -> None:
    target = tmp_path / "report.txt"
    done = durable("replay", FLAT, "-o", str(target))
    assert (done.code, done.out, done.err) == (0, "", "")
    assert target.read_text(encoding="utf-8") == durable("replay", FLAT, "--width", "120").out


def test_a_history_is_read_from_standard_input(
    durable: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(Path(FLAT).read_bytes()))
    monkeypatch.setattr(sys, "stdin", stream)
    [history] = durable("replay", "-", "--format", "json").document["histories"]
    assert history["source"] in ("-", "<stdin>", "standard input", "stdin")
    assert history["totals"]["operations"] == 8


@pytest.mark.parametrize(
    ("only", "path", "positions"),
    [
        ("stripped", FLAT, ["1"]),
        ("re-executed", FLAT, ["1", "1.0", "1.1", "1.2"]),
        ("pending", WAITING, ["2"]),
        ("failed", FAILED, ["1", "1.1", "1.1.1"]),
        ("skipped", FLAT, []),
        ("large", FLAT, []),
        ("large", str(HISTORIES / "large_step.json"), ["1"]),
    ],
)
def test_only_shows_what_matches_and_what_it_is_in(
    durable: Any, only: str, path: str, positions: list[str]
) -> None:
    assert durable("replay", path, "--only", only, "--format", "json").positions == positions


def test_only_skipped_shows_the_units_that_no_replay_runs(durable: Any) -> None:
    path = str(HISTORIES / "min_successful_overflow_with_started_units.json")
    done = durable("replay", path, "--only", "skipped", "--format", "json")
    assert done.positions == ["1", "1.0", "1.1"]


def test_depth_cuts_the_tree(durable: Any) -> None:
    assert durable("replay", FLAT, "--depth", "1", "--format", "json").positions == ["1", "2"]
    assert len(durable("replay", FLAT, "--depth", "2", "--format", "json").positions) == 5


def test_nothing_that_matches_is_said_and_fine(durable: Any) -> None:
    done = durable("replay", FLAT, "--only", "failed")
    assert done.code == 0
    assert "nothing to show: no operation matches" in done.out


def test_thousands_of_units_fold_unless_one_asks(durable: Any) -> None:
    folded = durable("replay", UNITS).out
    assert "units 0-98" in folded
    assert len(durable("replay", UNITS, "--expand").out.splitlines()) > 500


def test_json_is_never_folded(durable: Any) -> None:
    assert len(durable("replay", UNITS, "--format", "json").positions) == 501


def test_a_picture_of_an_earlier_invocation(durable: Any) -> None:
    done = durable("replay", FLAT, "--invocation", "2", "--format", "json")
    assert done.document["histories"][0]["invocation"] == 2
    assert "2" not in done.positions
    assert "as invocation 2 of 3 found it" in durable("replay", FLAT, "--invocation", "2").out


def test_the_width_is_kept(durable: Any) -> None:
    for width in (40, 60, 250):
        lines = durable("replay", FLAT, "--width", str(width)).out.splitlines()
        assert max(map(len, lines)) <= width


# -- payloads ------------------------------------------------------------------------------------


def payloads(value: Any) -> Iterator[str]:
    """Every result and input in a document; errors may be shown."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("Payload", "InputPayload", "Result") and isinstance(item, str):
                yield item
            elif key != "Error":
                yield from payloads(item)
    elif isinstance(value, list):
        for item in value:
            yield from payloads(item)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_payload_is_shown_to_who_did_not_ask(durable: Any, path: Path) -> None:
    texts = {text[:60] for text in payloads(json.loads(path.read_bytes())) if len(text) > 10}
    shown = [
        durable("replay", str(path), "--format", format, "--expand").out
        for format in ("table", "json", "markdown")
    ]
    for text in texts:
        for form in (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
            assert not any(form in each for each in shown), form


def test_payloads_are_shown_to_who_asks(durable: Any) -> None:
    path = str(HISTORIES / "step_retries.json")
    for format in ("table", "json", "markdown"):
        shown = durable("replay", path, "--show-payloads", "--format", format).out
        assert "answered on attempt 3" in shown
    [history] = durable("replay", path, "--show-payloads", "--format", "json").document["histories"]
    assert history["operations"][0]["payload"] == '"answered on attempt 3"'


# -- several sources, and bad ones ---------------------------------------------------------------


@pytest.fixture
def broken(tmp_path: Path) -> str:
    path = tmp_path / "broken.json"
    path.write_text('{"Events": [')
    return str(path)


def test_one_bad_source_does_not_stop_the_others(durable: Any, broken: str) -> None:
    done = durable("replay", FLAT, broken, WAITING)
    assert done.code == 2
    assert FLAT in done.out
    assert WAITING in done.out
    assert "2 histories: 1 RUNNING, 1 SUCCEEDED; 1 could not be read" in done.out
    [line] = done.err.splitlines()
    assert line.startswith(f"durable: {broken}: ")


def test_json_says_which_source_could_not_be_read(durable: Any, broken: str) -> None:
    done = durable("replay", broken, FLAT, "--format", "json")
    assert done.code == 2
    bad, good = done.document["histories"]
    assert bad["source"] == broken
    assert set(bad["unreadable"]) == {"where", "problem"}
    assert good["source"] == FLAT


def test_a_folder_is_the_histories_in_it_and_a_pattern_what_it_matches(
    durable: Any, tmp_path: Path
) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.json").write_bytes(Path(FLAT).read_bytes())
    (tmp_path / "notes.txt").write_text("no history")
    a, b = (str(tmp_path / f"{name}.json") for name in ("a", "b"))
    for given, found in (
        ([str(tmp_path)], [a, b]),
        ([str(tmp_path / "*.json")], [a, b]),
        ([b, str(tmp_path)], [b, a]),
    ):
        done = durable("replay", *given, "--format", "json")
        assert [each["source"] for each in json.loads(done.out)["histories"]] == found


@pytest.mark.parametrize("handler", [[], ["--handler", FLAT_HANDLER]])
def test_a_pattern_or_folder_that_finds_nothing_does_not_stop_the_others(
    durable: Any, tmp_path: Path, handler: list[str]
) -> None:
    if handler:
        pytest.importorskip("aws_durable_execution_sdk_python")
    pattern, folder = str(tmp_path / "*.nothing"), str(tmp_path)
    done = durable("replay", pattern, FLAT, folder, "--format", "json", *handler)
    assert done.code == 2
    assert done.err.splitlines() == [
        f"durable: {pattern}: matches no file",
        f"durable: {folder}: no history in it: expected files named *.json",
    ]
    told = done.document["histories"]
    assert [each["source"] for each in told] == [pattern, FLAT, folder]
    assert ["unreadable" in each for each in told] == [True, False, True]


def test_a_failed_execution_is_fine_to_explain(durable: Any) -> None:
    assert durable("replay", FAILED).code == 0


USAGE = [
    ["replay"],
    ["replay", FLAT, "--format", "yaml"],
    ["replay", FLAT, "--only", "everything"],
    ["replay", FLAT, "--invocation", "0"],
    ["replay", FLAT, "--invocation", "x"],
    ["replay", FLAT, "--invocation", "9"],
    ["replay", FLAT, "--depth", "0"],
    ["replay", FLAT, "--width", "39"],
    ["replay", FLAT, "--color", "blue"],
    ["replay", FLAT, "--frobnicate"],
    ["replay", FLAT, "-o"],
    ["replay", FLAT, "-o", "/nonexistent/folder/file"],
    ["replay", "/nonexistent/file.json"],
    ["replay", str(ROOT / "fixtures" / "handlers")],
    ["replay", str(ROOT / "fixtures" / "*.nothing")],
    ["replay", str(ROOT / "pyproject.toml")],
    ["replay", str(ROOT / "fixtures" / "updates" / "small_updates.json")],
    ["replay", str(ROOT / "fixtures" / "states" / "operations_state.json"), "--invocation", "1"],
    ["frobnicate"],
    ["--frobnicate"],
    ["replay", "a\n\x1b[31mb"],
]


@pytest.mark.parametrize("arguments", USAGE, ids=lambda arguments: " ".join(arguments)[-40:])
def test_wrong_usage_is_one_line_and_exit_2(durable: Any, arguments: list[str]) -> None:
    done = durable(*arguments)
    assert done.code == 2
    [line] = done.err.splitlines()
    assert line.startswith("durable: ")
    assert line.isprintable()
    assert "Traceback" not in done.err + done.out


def test_a_bare_call_prints_the_help_and_is_wrong_usage(durable: Any) -> None:
    done = durable()
    assert done.code == 2
    assert "replay" in done.out + done.err


def test_only_at_a_depth_shows_the_contexts_of_what_lies_deeper(durable: Any) -> None:
    done = durable(
        *("replay", str(ROOT / "fixtures/histories/tolerated_failures.json")),
        *("--only", "failed", "--format", "json"),
    )
    failed = json.loads(done.out)["histories"][0]["operations"]
    done = durable(
        *("replay", str(ROOT / "fixtures/histories/tolerated_failures.json")),
        *("--only", "failed", "--depth", "1", "--format", "json"),
    )
    shown = json.loads(done.out)["histories"][0]["operations"]
    assert max(each["depth"] for each in failed) > 0
    assert shown == [each for each in failed if each["depth"] == 0] != []


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["replay", "--help"], ["replay", "-h"]])
def test_help_is_on_stdout(durable: Any, arguments: list[str]) -> None:
    done = durable(*arguments)
    assert (done.code, done.err) == (0, "")
    assert "Usage: durable" in done.out


def test_the_version_is_that_of_the_package(durable: Any) -> None:
    from durable_core import __version__

    done = durable("--version")
    assert (done.code, done.out) == (0, f"durable {__version__}\n")


def test_an_interrupted_call_is_130_and_quiet(
    durable: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(explain, "explain", interrupted)
    done = durable("replay", FLAT)
    assert (done.code, done.out, done.err.strip()) == (130, "", "")


def test_a_defect_of_ours_is_one_line_and_exit_70(
    durable: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("bad\nluck")

    monkeypatch.setattr(explain, "explain", broken)
    done = durable("replay", FLAT)
    assert done.code == 70
    [line] = done.err.splitlines()
    assert line.startswith(f"durable: {FLAT}: a defect in durable itself: RuntimeError: bad\\nluck")
    monkeypatch.setenv("DURABLE_DEBUG", "1")
    with pytest.raises(RuntimeError):
        run(["replay", FLAT])


# -- as processes --------------------------------------------------------------------------------


def test_the_installed_module_answers_as_a_process() -> None:
    done = process("replay", WAITING, "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["schema"] == "durable.replay/1"


def test_a_terminal_without_unicode_gets_ascii() -> None:
    done = process("replay", FLAT, "--width", "100", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_json_on_a_stream_without_unicode_is_valid() -> None:
    path = str(HISTORIES / "non_ascii_payloads.json")
    done = process(
        "replay", path, "--format", "json", "--show-payloads", env={"PYTHONIOENCODING": "ascii"}
    )
    assert "拒否" in json.loads(done.stdout)["histories"][0]["operations"][1]["why"]


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_is_no_error(unbuffered: str) -> None:
    paths = f"{ROOT}{os.pathsep}{ROOT / 'core'}"
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": unbuffered}
    arguments = [sys.executable, "-m", "durable_cli", "replay", *[UNITS] * 4, "--expand"]
    with subprocess.Popen(
        arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 0


def test_ctrl_c_ends_a_call_that_waits_for_its_input() -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'core'}"}
    arguments = [sys.executable, "-X", "importtime", "-m", "durable_cli", "replay", "-"]
    with subprocess.Popen(
        arguments,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:  # It reads its input once this module is there.
            if "durable_core.adapters.history_file" in line:
                break
        time.sleep(1)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    assert (running.returncode, out) == (130, "")
    assert "Traceback" not in err


HEAVY = ("boto3", "botocore", "aws_durable_execution_sdk_python", "orjson", "pydantic")


def imported_by(arguments: list[str]) -> set[str]:
    code = (
        "import sys; from durable_cli.app import run\n"
        "try: run(sys.argv[1:])\n"
        "finally: print('\\n' + ' '.join(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'core'}"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["replay", "--help"]])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    assert not imported_by(arguments).intersection(HEAVY)


def test_replay_imports_no_aws_library() -> None:
    found = imported_by(["replay", FLAT])
    assert not found & {"boto3", "botocore", "aws_durable_execution_sdk_python", "pydantic"}
    assert "durable_core.explaining.explain" in found


def test_a_source_is_never_overwritten_by_its_own_report(durable: Any, tmp_path: Path) -> None:
    copy = tmp_path / "history.json"
    copy.write_bytes(Path(FLAT).read_bytes())
    call = durable("replay", str(copy), "-o", str(copy))
    assert call.code == 2
    assert "is read here, and --output would overwrite it" in call.err
    assert copy.read_bytes() == Path(FLAT).read_bytes()
