"""A defect of ours at one source is a line for that source, and the others are reported."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from durable_cli.app import run
from durable_core.errors import SourceDefect
from durable_core.processes import worker_process
from durable_core.processes.merge_runs import merge_runs
from durable_core.processes.worker import Job, LostRun, VerifyTask
from durable_core.verifying.verification import Verdict, Verification

HISTORY = Path(__file__).parent.parent / "fixtures" / "histories" / "step_retries_exhausted.json"
Plant = Callable[[str], None]


@pytest.fixture(autouse=True)
def histories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DURABLE_DEBUG", raising=False)
    for name in ("one.json", "bad.json", "two.json"):
        shutil.copy(HISTORY, name)


def is_bad(value: object) -> bool:
    """Tell whether something is, or holds, what there is of the source in which it shows."""
    if isinstance(value, list | tuple):
        return any(map(is_bad, value))
    is_it = value == "bad.json" or getattr(value, "source", None) == "bad.json"
    return is_it and not isinstance(value, SourceDefect)


def flat(value: object) -> Iterator[object]:
    if isinstance(value, list | tuple):
        for each in value:
            yield from flat(each)
    else:
        yield value


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Have a function of ours, `module:name`, raise for the source in which the defect shows."""

    def planted(place: str) -> None:
        module, _, name = place.partition(":")
        function: Any = getattr(importlib.import_module(module), name)

        def broken(*arguments: Any, **options: Any) -> Any:
            replaced = any(isinstance(each, SourceDefect) for each in flat(arguments))
            if is_bad(arguments) and not replaced:
                raise RuntimeError("planted")
            return function(*arguments, **options)

        monkeypatch.setattr(f"{module}.{name}", broken)

    return planted


SAID = (
    "durable: bad.json: a defect in durable itself: RuntimeError: planted "
    "(DURABLE_DEBUG=1 shows the traceback)\n"
)
STAGES = {
    "read": "durable_core.adapters.history_file:parts_of",
    "fold": "durable_core.adapters.history_file:history_of_events",
    "explain": "durable_core.explaining.explain:explain",
    "price": "durable_core.explaining.costs:cost_of",
}
RENDERERS = {
    "table": "durable_cli.render_text:render",
    "json": "durable_cli.render_json:history_object",
    "jsonl": "durable_cli.render_json:history_object",
    "markdown": "durable_cli.render_markdown:render",
}


@pytest.mark.parametrize("format", RENDERERS)
@pytest.mark.parametrize("stage", [*STAGES, "render"])
def test_a_defect_while_explaining_one_history_costs_no_other(
    plant: Plant, capsys: pytest.CaptureFixture[str], stage: str, format: str
) -> None:
    plant(STAGES.get(stage, RENDERERS[format]))
    more = ["--prices", "default"] if stage == "price" else []
    code = run(["replay", "one.json", "bad.json", "two.json", "--format", format, *more])
    out, err = capsys.readouterr()
    assert (code, err) == (70, SAID)
    for name in ("one", "two"):
        assert f"{name}.json" in out
    if format == "json":
        said = [each.get("unreadable") for each in json.loads(out)["histories"]]
        assert [bool(each) for each in said] == [False, True, False]


@pytest.mark.parametrize("name", ["_is_folder", "_is_pattern"])
def test_a_defect_while_a_source_is_looked_for_costs_no_other(
    plant: Plant, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    plant(f"durable_cli.sources:{name}")
    assert run(["replay", "one.json", "bad.json", "two.json"]) == 70
    out, err = capsys.readouterr()
    assert err == SAID
    assert "one.json" in out
    assert "two.json" in out


@pytest.mark.parametrize("format", RENDERERS)
def test_a_report_in_which_a_defect_shows_once_is_made_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], format: str
) -> None:
    module, _, name = RENDERERS[format].partition(":")
    function: Any = getattr(importlib.import_module(module), name)
    calls: list[None] = []

    def broken(*arguments: Any, **options: Any) -> Any:
        calls.append(None)
        if len(calls) == 2:
            raise MemoryError
        return function(*arguments, **options)

    monkeypatch.setattr(f"{module}.{name}", broken)
    assert run(["replay", "one.json", "bad.json", "two.json", "--format", format]) == 70
    out, err = capsys.readouterr()
    assert all(f"{each}.json" in out for each in ("one", "bad", "two"))
    assert err.count("\n") == 1
    assert "a defect in durable itself: MemoryError" in err


@pytest.mark.parametrize("source", ["bad.json", "one.json"])
def test_a_defect_while_batches_are_worked_out_names_the_source(
    plant: Plant, capsys: pytest.CaptureFixture[str], source: str
) -> None:
    plant("durable_core.adapters.updates_file:parts_of")
    assert run(["inspect-batch", source]) == (70 if source == "bad.json" else 0)
    assert capsys.readouterr().err == (SAID if source == "bad.json" else "")


# -- verifying -----------------------------------------------------------------------------------

VERIFYING = {
    "table": "durable_cli.render_verify:_history",
    "json": "durable_cli.render_verify_json:verify_document",
    "jsonl": "durable_cli.render_verify_json:verify_line",
    "junit": "durable_cli.render_verify_ci:_reason",
    "markdown": "durable_cli.render_verify_ci:_reason",
    "github": "durable_cli.render_verify_ci:_annotations",
}


def verified(source: str) -> Verification:
    return Verification(source=source, verdict=Verdict.COMPATIBLE, runtime="native")


@pytest.mark.parametrize("format", VERIFYING)
def test_a_defect_while_a_verdict_is_rendered_costs_no_other(
    plant: Plant,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    format: str,
) -> None:
    def outcomes(job: Job, sources: list[str], *_: object) -> Iterator[tuple[str, Verification]]:
        yield from ((source, verified(source)) for source in sources)

    monkeypatch.setattr("durable_core.processes.pool.verify_sources", outcomes)
    plant(VERIFYING[format])
    call = ["replay", "one.json", "bad.json", "two.json", "--handler", "app:handler"]
    code = run([*call, "--format", format])
    out, err = capsys.readouterr()
    assert (code, err) == (70, SAID)
    if format != "github":  # which says nothing of what is compatible
        assert "one.json" in out
        assert "two.json" in out
    assert "bad.json" in out


@pytest.mark.parametrize("place", ["load_history", "verify_history"])
def test_a_defect_in_the_process_that_verifies_is_told_by_it(
    monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(worker_process, place, ours_breaks)
    outcome = worker_process._verified(VerifyTask("bad.json"), Job("app:handler"), None, None)  # type: ignore[arg-type]
    assert isinstance(outcome, SourceDefect)
    assert outcome.source == "bad.json"


def ours_breaks(*arguments: object) -> None:
    from durable_core.errors import printable

    printable(None)  # type: ignore[arg-type]


def test_what_the_handlers_code_raises_is_no_defect_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def users_breaks(*arguments: object) -> None:
        raise ValueError("of the user's __eq__")

    monkeypatch.setattr(worker_process, "verify_history", users_breaks)
    outcome = worker_process._verified(VerifyTask("one.json"), Job("app:handler"), None, None)  # type: ignore[arg-type]
    assert isinstance(outcome, LostRun)


def test_a_defect_in_one_run_is_not_passed_over_for_what_the_others_say() -> None:
    defect = SourceDefect("bad.json", "KeyError", "planted")
    assert merge_runs({0: verified("bad.json"), 1: defect}, ()) is defect
    assert merge_runs({0: LostRun("why", "what"), 1: defect}, ()) is defect


def test_a_defect_while_outcomes_are_put_together_costs_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("app.py").write_text("async def handler(event, ctx): ...\n")

    def broken(answers: Any, *rest: Any, **options: Any) -> Any:
        outcome = merge_runs(answers, *rest, **options)
        if is_bad(outcome):
            raise RuntimeError("planted")
        return outcome

    monkeypatch.setattr("durable_core.processes.pool.merge_runs", broken)
    call = ["replay", "one.json", "bad.json", "two.json", "--handler", "app.py", "--runs", "1"]
    assert run([*call, "--format", "json"]) == 70
    out, err = capsys.readouterr()
    assert err == SAID
    unread = [each.get("unreadable") for each in json.loads(out)["histories"]]
    assert [bool(each) for each in unread] == [False, True, False]


HANDLER = """
import durable_core
from durable_core.processes import worker_process

async def handler(event, ctx):
    await ctx.step(step, name="a")

async def step(context):
    return 1

OF_OURS = '''
def broken(*arguments, **options):
    if is_bad:
        None.planted
    return function(*arguments, **options)
'''

def plant(place):
    # Has a function raise in code of ours, in this process, while the bad source is verified.
    module, _, path = place.partition(":")
    __import__(module)
    owner = __import__("sys").modules[module]
    *outer, name = path.split(".")
    for each in outer:
        owner = getattr(owner, each)
    known = {"is_bad": False, "function": getattr(owner, name)}
    file = durable_core.__path__[0] + "/verifying/planted.py"
    exec(compile(OF_OURS, file, "exec"), known)
    setattr(owner, name, known["broken"])
    verified = worker_process._verified

    def verifying(task, *rest):
        known["is_bad"] = task.source == "bad.json"
        return verified(task, *rest)

    if verified.__name__ != name:
        worker_process._verified = verifying

plant(PLACE)
"""
EVENTS = """{"Events": [
{"EventId": 1, "EventType": "ExecutionStarted", "EventTimestamp": "2026-11-01T00:00:00Z",
 "ExecutionStartedDetails": {"Input": {"Payload": "{}"}, "ExecutionTimeout": 60}},
{"EventId": 2, "EventType": "StepStarted", "EventTimestamp": "2026-11-01T00:00:01Z",
 "SubType": "Step", "Name": "b", "StepStartedDetails": {},
 "Id": "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"}]}"""
IN_THE_PROCESS = [
    "adapters.history_file:parts_of",
    "adapters.history_file:history_of_events",
    "verifying.replay:folded_of",
    "verifying.replay:ReplaySession.__init__",
    "verifying.replay:find_divergences",
    "verifying.session:ReplaySession.follow",
    "verifying.session:ReplaySession.ask",
    "runtimes.native.replay_context:options_asked",
    "runtimes.native.replay_context:VerifyingContext.step",
    "runtimes.native.replay:NativeReplayer.replay",
    "verifying.divergence:likely_cause",
    "verifying.causes:_cause",
    "runtimes.native.replay:note_end",
    "processes.withheld:Withheld.judged",
    "processes.guard:Guard.with_late",
    "processes.guard:Guard.__call__",
    "processes.given_notes:GivenNotes.take",
    "sandbox.controlled_sources:ControlledSources.forget_reads",
    "processes.worker_process:recorded_variables",
    "processes.worker_process:_is_open",
    "processes.worker_process:_Answers.add",
    "processes.channel:Channel.send",
    "processes.channel:pickle.dumps",
]


def verify_three(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, list[bool], str]:
    """Verify three histories; return the exit code, of which there was no outcome, and stderr."""
    for name in ("one.json", "bad.json", "two.json"):
        Path(name).write_text(EVENTS)
    call = ["replay", "one.json", "bad.json", "two.json", "--handler", "app.py"]
    code = run([*call, "--runs", "1", "--guard", "off", "--format", "json", *options])
    out, err = capsys.readouterr()
    histories = json.loads(out)["histories"]
    assert [each["source"] for each in histories] == ["one.json", "bad.json", "two.json"]
    return code, ["unreadable" in each for each in histories], err


@pytest.mark.parametrize("place", IN_THE_PROCESS)
def test_a_defect_wherever_it_shows_in_the_process_that_verifies_costs_no_other(
    capsys: pytest.CaptureFixture[str], place: str
) -> None:
    Path("app.py").write_text(HANDLER.replace("PLACE", repr(f"durable_core.{place}")))
    code, unread, err = verify_three(capsys)
    assert (code, unread) == (70, [False, True, False])
    assert err.startswith("durable: bad.json: a defect in durable itself: ")
    assert err.count("\n") == 1


PLUMBING = {
    "the messages": "durable_core.processes.channel:Channel.recv",
    "what is there of them": "durable_core.processes.channel:Channel.poll",
    "what is taken of them": "durable_core.processes.pool:_Pool._take",
    "what is learnt of an answer": "durable_core.processes.pool:_Pool._learn",
    "what is enough": "durable_core.processes.pool:are_to_be_whole",
    "what is printed": "durable_core.processes.pool:_Pool._relay",
    "what is given": "durable_core.processes.pool:Worker.give",
}


@pytest.mark.parametrize("what", PLUMBING)
def test_a_defect_that_shows_once_between_the_processes_is_one_line_and_costs_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    from durable_core.processes import pool

    Path("app.py").write_text(HANDLER.replace("plant(PLACE)", ""))
    module, _, path = PLUMBING[what].partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for each in outer:
        owner = getattr(owner, each)
    function = getattr(owner, name)
    pools: list[Any] = []
    begin, calls = pool._Pool.__init__, [0]

    def beginning(pool: Any, *arguments: Any) -> None:
        pools.append(pool)
        begin(pool, *arguments)
        pool._one_by_one = True  # so that it is known at which source it shows

    def broken(*arguments: Any, **options: Any) -> Any:
        (worker,) = pools[0]._workers or [None]
        is_at_it = worker is not None and list(worker.todo) == [1]
        if (is_at_it or name in ("are_to_be_whole", "_learn")) and is_asked(arguments):
            calls[0] += 1
            raise RuntimeError("planted")
        return function(*arguments, **options)

    def is_asked(arguments: tuple[Any, ...]) -> bool:
        if name == "_learn":
            return arguments[2] == 1
        return name != "are_to_be_whole" or is_bad(list(arguments[0].values()))

    monkeypatch.setattr(pool._Pool, "__init__", beginning)
    monkeypatch.setattr(owner, name, broken)
    code, unread, err = verify_three(capsys, "--jobs", "1")
    assert calls[0]
    assert (code, unread, err) == (70, [False, True, False], SAID)


def test_a_defect_in_what_tells_how_far_it_is_is_one_line_and_costs_no_history(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr("durable_cli.progress.Progress.show", broken)
    Path("app.py").write_text(HANDLER.replace("plant(PLACE)", ""))
    code, unread, err = verify_three(capsys)
    assert (code, unread) == (70, [False, False, False])
    assert err.startswith("durable: the progress line: a defect in durable itself: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["_is_folder", "_is_pattern"])
def test_a_defect_while_a_source_is_looked_for_costs_no_other_to_be_verified(
    plant: Plant, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    Path("app.py").write_text(HANDLER.replace("plant(PLACE)", ""))
    plant(f"durable_cli.sources:{name}")
    for each in ("one.json", "two.json"):
        Path(each).write_text(EVENTS)
    code = run(["replay", "one.json", "bad.json", "two.json", "--handler", "app.py"])
    out, err = capsys.readouterr()
    assert (code, err) == (70, SAID)
    assert "one.json" in out
    assert "two.json" in out


# -- simulating ----------------------------------------------------------------------------------


def test_a_defect_while_a_simulation_is_reported_leaves_its_records(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("planted")

    monkeypatch.setattr("durable_core.simulation.report.report_of", broken)
    Path("app.py").write_text("async def handler(event, ctx): ...\n")
    call = ["simulate", "--handler", "app.py", "--record", "h.json", "--record-updates", "u.json"]
    assert run(call) == 70
    assert json.loads(Path("h.json").read_text())["Events"]
    assert Path("u.json").exists()
    assert "a defect in durable itself: KeyError: 'planted'" in capsys.readouterr().err


def test_a_defect_while_one_record_is_written_costs_neither_the_others_nor_the_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("planted")

    monkeypatch.setattr("durable_cli.recorded_files.history_texts", broken)
    Path("app.py").write_text("async def handler(event, ctx): ...\n")
    call = ["simulate", "--handler", "app.py", "--record", "h.json", "--record-updates", "u.json"]
    assert run(call) == 70
    out, err = capsys.readouterr()
    assert "SUCCEEDED" in out
    assert "h.json: a defect in durable itself: KeyError: 'planted'" in err
    assert Path("u.json").exists()


def test_with_debugging_on_a_defect_is_a_traceback(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DURABLE_DEBUG", "1")
    plant(STAGES["explain"])
    with pytest.raises(RuntimeError, match="planted"):
        run(["replay", "bad.json", "one.json"])
