"""`durable fetch`, and ARNs as sources of the other commands."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aws_environment import prepare
from scripted_lambda import (
    THROTTLED,
    Reply,
    ScriptedLambda,
    arn_of,
    ended,
    execution,
    numbered,
    refusal,
    steps,
)

from durable_cli import fetch_target
from durable_cli.app import run
from durable_core.adapters.history_file import load_history
from durable_core.explaining.explain import explain

ROOT = Path(__file__).parent.parent
ARN = arn_of("order-1")


@pytest.fixture
def server():
    with ScriptedLambda() as server:
        server.add(execution("order-1", ended(steps(2)), Result='"all done"'))
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    prepare(monkeypatch, tmp_path, attempts=2)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def durable(server, capsys):
    """Runs a command against the server and returns (exit code, stdout, stderr)."""

    def call(*arguments, endpoint=True):
        rate = ["--max-rate", "2000"] if arguments[0] == "fetch" else []
        to = ["--endpoint-url", server.url] if endpoint else []
        code = run([*map(str, arguments), *rate, *to])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def files_in(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def fields_of(path):
    return json.loads(Path(path).read_text())


# -- where it goes -------------------------------------------------------------------------------


def test_a_history_goes_to_standard_output_and_nothing_else_does(durable):
    code, out, err = durable("fetch", ARN)

    assert code == 0
    assert err == ""
    assert [event["EventId"] for event in json.loads(out)["Events"]] == list(range(1, 8))


def test_a_file_holds_the_history_and_what_the_service_said_of_the_execution(durable):
    code, out, err = durable("fetch", ARN, "-o", "order.json")
    history = load_history("order.json")

    assert (code, out, err) == (0, "", "durable: wrote 7 events to order.json\n")
    assert history.arn == ARN
    assert history.execution.result == '"all done"'
    assert explain(history).status == "SUCCEEDED"


def test_a_folder_gets_one_file_an_execution_named_after_function_and_execution(durable, server):
    server.add(execution("order-2", ended(steps(1))))

    code, _, err = durable("fetch", ARN, arn_of("order-2"), "--output-dir", "deep/down")

    assert code == 0
    assert files_in("deep/down") == ["orders.order-1.json", "orders.order-2.json"]
    assert err == "durable: wrote 2 of 2 executions to deep/down\n"


def test_two_executions_of_one_name_get_two_files(durable, server):
    again = {**server.executions[ARN], "DurableExecutionArn": f"{ARN}-again"}
    server.add(again)

    code, _, _ = durable("fetch", ARN, f"{ARN}-again", "--output-dir", "d")

    assert code == 0
    assert len(files_in("d")) == 2
    assert {fields_of(Path("d") / each)["DurableExecutionArn"] for each in files_in("d")} == {
        ARN,
        f"{ARN}-again",
    }


def test_a_file_that_exists_is_not_overwritten_without_force(durable, server):
    Path("order.json").write_text("mine")

    code, _, err = durable("fetch", ARN, "-o", "order.json")
    assert (code, err) == (2, "durable: order.json: exists (--force overwrites it)\n")
    assert server.asked == []
    assert Path("order.json").read_text() == "mine"

    assert durable("fetch", ARN, "-o", "order.json", "--force")[0] == 0
    assert fields_of("order.json")["Status"] == "SUCCEEDED"


def test_a_file_in_the_folder_is_left_alone_and_the_others_are_fetched(durable, server):
    server.add(execution("order-2", ended(steps(1))))
    Path("d").mkdir()
    Path("d/orders.order-1.json").write_text("mine")

    code, _, err = durable("fetch", ARN, arn_of("order-2"), "--output-dir", "d")

    assert code == 2
    assert Path("d/orders.order-1.json").read_text() == "mine"
    assert len(files_in("d")) == 2
    assert f"wrote 1 of 2 executions to d, missing: {ARN}" in err


@pytest.mark.parametrize("stage", ["read", "write"])
def test_a_defect_at_one_execution_costs_no_other(durable, server, monkeypatch, stage):
    from durable_core.adapters import downloads

    server.add(execution("order-2", ended(steps(1))))
    place = (downloads, "_download") if stage == "read" else (fetch_target.Target, "_prepared")
    whole = getattr(*place)

    def broken(one, other, *more):
        if ARN in (other, getattr(other, "arn", None)):
            raise RuntimeError("planted")
        return whole(one, other, *more)

    monkeypatch.setattr(*place, broken)
    code, _, err = durable("fetch", ARN, arn_of("order-2"), "--output-dir", "d")

    assert (code, files_in("d")) == (70, ["orders.order-2.json"])
    assert f"{ARN}: a defect in durable itself: RuntimeError: planted" in err
    assert f"wrote 1 of 2 executions to d, missing: {ARN}" in err


def test_what_was_followed_is_written_where_a_line_can_not_be_shown(durable, monkeypatch):
    def broken(event):
        raise RuntimeError("planted")

    monkeypatch.setattr("durable_cli.render_fetch.event_line", broken)
    code, _, err = durable("fetch", ARN, "--follow", "-o", "f.json")

    assert code == 70
    assert f"{ARN}: a defect in durable itself: RuntimeError: planted" in err
    assert len(fields_of("f.json")["Events"]) == 7


def test_nothing_half_done_is_left_when_a_file_cannot_be_written(durable, monkeypatch):
    from durable_cli import whole_file

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole_file.os, "fsync", full)
    code, _, err = durable("fetch", ARN, "-o", "order.json")

    assert code == 2
    assert "order.json: can't be written: No space left on device" in err
    assert files_in(".") == []


def test_a_folder_that_cannot_be_made_is_one_line(durable):
    Path("d").write_text("a file")

    code, _, err = durable("fetch", ARN, "--output-dir", "d/e")

    assert code == 2
    assert "d/e: can't be made: Not a directory" in err


# -- looking for executions ----------------------------------------------------------------------


def test_the_executions_of_a_function_are_listed(durable, server):
    server.add(execution("order-2", [], "RUNNING"))

    code, out, _ = durable("fetch", "--function-name", "orders", "--list", "--region", "eu-west-1")

    assert code == 0
    assert out.splitlines()[0] == "2 executions of orders"
    assert re.search(r"2026-12-01 10:00:00  RUNNING +-  7 +order-2", out)
    assert f"  {ARN}" in out.splitlines()
    assert {operation for operation, _, _ in server.asked} == {"list"}


def test_the_list_is_also_a_document(durable, server):
    code, out, _ = durable("fetch", "--function-name", "orders", "--list", "--format", "json")
    document = json.loads(out)

    assert code == 0
    assert document["schema"] == "durable.executions/1"
    assert document["executions"][0]["DurableExecutionArn"] == ARN
    assert document["executions"][0]["StartTimestamp"] == "2026-12-01T10:00:00.500Z"


def test_a_list_of_nothing_says_so(durable):
    code, out, _ = durable("fetch", "--function-name", "refunds", "--list")

    assert (code, out) == (0, "no executions of refunds\n")


def test_what_to_look_for_is_asked_of_the_service(durable, server):
    durable(
        *("fetch", "--function-name", "orders", "--list", "--qualifier", "prod"),
        *("--durable-execution-name", "order-1", "--statuses", "running,failed"),
        *("--started-after", "2026-11-01", "--started-before", "2026-11-02T08:30:00Z"),
        "--reverse-order",
    )
    _, subject, query = server.asked[0]

    assert subject == "orders"
    assert query == {
        "Qualifier": "prod",
        "DurableExecutionName": "order-1",
        "Statuses": "RUNNING,FAILED",
        "StartedAfter": "2026-11-01T00:00:00Z",
        "StartedBefore": "2026-11-02T08:30:00Z",
        "ReverseOrder": "true",
        "MaxItems": "1000",
    }


def test_an_age_counts_back_from_now(durable, server):
    durable("fetch", "--function-name", "orders", "--list", "--started-after", "2h")
    _, _, query = server.asked[0]

    expected = time.strftime("%Y-%m-%dT%H", time.gmtime(time.time() - 7200))
    assert query["StartedAfter"][:13] == expected


def test_the_latest_executions_are_fetched(durable, server):
    server.add(*(execution(f"order-{number}", ended(steps(1))) for number in range(2, 6)))

    code, _, _ = durable("fetch", "--function-name", "orders", "--latest", "2", "--output-dir", "d")

    assert code == 0
    assert files_in("d") == ["orders.order-4.json", "orders.order-5.json"]


def test_finding_nothing_to_fetch_is_no_success(durable):
    code, out, err = durable("fetch", "--function-name", "refunds", "--output-dir", "d")

    assert (code, out) == (2, "")
    assert err == "durable: refunds: no such executions, nothing written\n"


# -- what is asked wrongly -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "expected either ARNs of executions or --function-name"),
        ([ARN, "--function-name", "f"], "expected either ARNs of executions or --function-name"),
        (["nonsense"], "nonsense: not the ARN of a durable execution: expected arn:aws:lambda:"),
        ([ARN.replace(":7/", ":prod/")], "not the ARN of a durable execution"),
        ([ARN, "--list"], "--list has no effect without --function-name"),
        ([ARN, "--latest", "1"], "--latest has no effect without --function-name"),
        ([ARN, "--qualifier", "prod"], "--qualifier has no effect without --function-name"),
        ([ARN, arn_of("order-2")], "2 executions need --output-dir DIR: a file holds one"),
        ([ARN, "--with-children", "-o", "f"], "--with-children need --output-dir DIR"),
        ([ARN, "-o", "f", "--output-dir", "d"], "expected either --output or --output-dir"),
        ([ARN, "--keep", "charge"], "--keep has no effect without --redact"),
        ([ARN, "--redact", "--keep", "charge["], "is not a path: expected an operation's name"),
        ([ARN, "--follow", "--with-children"], "--follow follows one execution"),
        (["--function-name", "f", "--list", "--redact"], "--redact has no effect with --list"),
        (
            ["--function-name", "f", "--list", "--output-dir", "d"],
            "--output-dir has no effect with",
        ),
        (["--function-name", "f", "--list", "--follow"], "--follow has no effect with --list"),
        (["--function-name", "f", "--list", "--with-children"], "--with-children has no eff"),
        (["--function-name", "f", "--statuses", "DONE"], "--statuses DONE: expected one of RUNN"),
        (["--function-name", "f", "--started-after", "soon"], "'soon' is no moment: expected a"),
        (
            [ARN, "-o", "no/such/x.json"],
            "no/such/x.json: can't be written: there is no folder no/such",
        ),
        ([ARN, "--profile", "nobody"], "config profile (nobody) could not be found"),
    ],
)
def test_a_wrong_call_is_one_line_and_nothing_is_sent(durable, server, arguments, said):
    code, out, err = durable("fetch", *arguments)

    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert server.asked == []


# -- failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (THROTTLED, "throttled, also after 1 retry"),
        (refusal(403, "AccessDeniedException", "no"), "lambda:GetDurableExecution must be allowed"),
        (Reply(200, b"<html/>", "text/html"), "answered HTTP 200 with text/html"),
    ],
)
def test_a_failure_of_aws_is_one_line_and_exit_code_4(durable, server, reply, said):
    server.always = reply

    code, out, err = durable("fetch", ARN, "-o", "order.json")

    assert (code, out) == (4, "")
    assert said in err.splitlines()[0]
    assert files_in(".") == []


def test_what_is_complete_is_kept_and_what_is_missing_is_named(durable, server):
    gone = arn_of("order-9")

    code, _, err = durable("fetch", gone, ARN, "--output-dir", "d")

    assert code == 4
    assert files_in("d") == ["orders.order-1.json"]
    lines = err.splitlines()
    assert lines[0].startswith(f"durable: {gone}: not found in eu-west-1")
    assert lines[1] == f"durable: wrote 1 of 2 executions to d, missing: {gone}"


def test_without_credentials_the_exit_code_is_4_too(durable, monkeypatch, tmp_path):
    prepare(monkeypatch, tmp_path, credentials=False)

    code, _, err = durable("fetch", ARN, endpoint=False)

    assert code == 4
    assert f"{ARN}: no credentials: set them up" in err


def test_what_was_not_reached_when_it_was_interrupted_is_counted(durable, server, monkeypatch):
    server.add(execution("order-2", ended(steps(1))), execution("order-3", ended(steps(1))))
    monkeypatch.setattr(fetch_target.Target, "write", interrupt)

    code, _, err = durable("fetch", *map(arn_of, ("order-1", "order-2", "order-3")), *FOLDER)

    assert code == 130
    assert err == "durable: wrote 0 of 3 executions to d, not reached: 3\n"


def interrupt(*arguments):
    raise KeyboardInterrupt


FOLDER = ("--output-dir", "d")


def test_of_many_that_are_missing_some_are_named(durable):
    gone = [arn_of(f"gone-{number:02}") for number in range(12)]

    code, _, err = durable("fetch", ARN, *gone, *FOLDER)
    lines = err.splitlines()

    assert code == 4
    assert sum("not found" in line for line in lines) == 12
    assert lines[-1].startswith("durable: wrote 1 of 13 executions to d, missing: ")
    assert lines[-1].count("gone-") == 2 * 10
    assert lines[-1].endswith(" and 2 more")


# -- children ------------------------------------------------------------------------------------


def test_children_come_along_with_the_stand_ins_of_their_root(durable, server):
    child = execution("child", ended(steps(1)), function="accounts")
    invoke = {
        "EventType": "ChainedInvokeStarted",
        "Id": "invoke-1",
        "ChainedInvokeStartedDetails": {
            "DurableExecutionArn": child["DurableExecutionArn"],
            "Input": {"Payload": '{"order": "A-17"}'},
        },
    }
    server.add(child, execution("parent", ended(numbered([invoke]))))

    code, _, err = durable(
        "fetch", arn_of("parent"), "--with-children", "--output-dir", "d", "--redact"
    )
    parent = fields_of("d/orders.parent.json")
    [given] = [
        e for e in fields_of("d/accounts.child.json")["Events"] if "Started" in e["EventType"]
    ][:1]

    assert code == 0
    assert "wrote 2 of 2 executions" in err
    sent = parent["Events"][0]["ChainedInvokeStartedDetails"]
    assert sent["Input"]["Payload"] == given["ExecutionStartedDetails"]["Input"]["Payload"]
    assert "246813579246" not in json.dumps(parent)


# -- redacted ------------------------------------------------------------------------------------


def test_a_redacted_file_says_so_and_replays_as_before(durable):
    durable("fetch", ARN, "-o", "plain.json")
    durable("fetch", ARN, "-o", "shown.json", "--redact", "--keep", "work-1")
    text = Path("shown.json").read_text()

    code, out, _ = durable("replay", "shown.json", endpoint=False)

    assert code == 0
    assert "redacted: payloads, errors and ids are stand-ins of the same size" in out
    assert "done 1" in text
    assert "done 2" not in text
    assert "A-17" not in text
    plain, shown = explain(load_history("plain.json")), explain(load_history("shown.json"))
    assert plain.rows == shown.rows
    assert plain.limits == shown.limits


def test_what_is_redacted_once_is_redacted_so_again(durable):
    durable("fetch", ARN, "-o", "one.json", "--redact")
    durable("fetch", ARN, "-o", "two.json", "--redact")

    assert Path("one.json").read_text() == Path("two.json").read_text()


def test_the_names_that_stay_are_told_and_listed(durable):
    _, _, err = durable("fetch", ARN, "-o", "shown.json", "--redact")

    assert err.splitlines()[-1] == (
        "durable: kept are the names of functions (orders), executions (order-1), "
        "operations (work-1, work-2), fields (order): read them before you share"
    )
    assert fields_of("shown.json")["Redacted"]["Names"] == {
        "Functions": ["orders"],
        "Executions": ["order-1"],
        "Operations": ["work-1", "work-2"],
        "Fields": ["order"],
    }


def test_the_name_of_a_redacted_file_has_no_identifier_in_it_either(durable, server):
    name = "order-4711471147"
    server.add(execution(name, ended(steps(1))))
    to = ("--output-dir", "d", "--redact")

    code, _, _ = durable("fetch", arn_of(name), *to)
    [file] = Path("d").iterdir()
    again, _, err = durable("fetch", arn_of(name), *to)

    assert code == 0
    assert "4711471147" not in file.name + file.read_text()
    assert file.name.startswith("orders.order-")
    assert again == 2
    assert "exists (--force overwrites it)" in err


# -- following -----------------------------------------------------------------------------------


def test_following_shows_events_until_the_execution_ends_and_writes_all_of_them(durable, server):
    server.add(execution("slow", steps(1), "RUNNING"))
    slow = server.executions[arn_of("slow")]

    def go_on(operation, subject, query):
        if server.count("get") == 3:
            slow.update(Status="SUCCEEDED", events=ended(steps(2)))

    server.before = go_on
    code, _, err = durable("fetch", arn_of("slow"), "--follow", "--interval", "0.1", "-o", "f.json")
    lines = err.splitlines()

    assert code == 0
    assert [int(line.split()[1]) for line in lines[:-1]] == list(range(1, 8))
    assert lines[2].endswith('3 StepSucceeded "work-1"')
    assert lines[-1] == "durable: SUCCEEDED, 7 events, written to f.json"
    assert len(load_history("f.json").events) == 7


@pytest.mark.parametrize("status", ["PAUSING", "PAUSED"])
def test_a_paused_execution_is_followed_until_it_is_resumed_and_ends(durable, server, status):
    server.add(execution("slow", steps(1), status))
    slow = server.executions[arn_of("slow")]

    def go_on(operation, subject, query):
        if server.count("get") == 3:
            slow.update(Status="SUCCEEDED", events=ended(steps(2)))

    server.before = go_on
    code, _, err = durable("fetch", arn_of("slow"), "--follow", "--interval", "0.1", "-o", "f.json")

    assert code == 0
    assert "SUCCEEDED, 7 events" in err


@pytest.mark.parametrize("redact", [[], ["--redact"]])
def test_a_paused_execution_is_fetched_with_its_pause_and_explained(durable, server, redact):
    pause = {
        "PauseRequestTimestamp": 1796119260.5,
        "Reason": "the payment provider is down",
        "ExecutionTimeoutPaused": True,
    }
    until = {"ExpectedExecutionTimeoutTimestamp": 1827741600.5}
    events = [*steps(1), event_of_pause(pause)]
    server.add(execution("slow", events, "PAUSED", PauseDetails=pause, **until))

    assert durable("fetch", arn_of("slow"), *redact, "-o", "f.json")[0] == 0
    text = Path("f.json").read_text()
    assert ("payment provider" in text) is not bool(redact)
    report = explain(load_history("f.json"))
    assert report.status == "PAUSED"
    assert report.reasons[0].text.startswith("the execution is paused since 2026-12-01T")
    assert report.expected_timeout.isoformat() == "2027-12-02T10:00:00.500000+00:00"


def event_of_pause(pause):
    details = {**pause, "Reason": {"Payload": pause["Reason"], "Truncated": False}}
    moment = pause["PauseRequestTimestamp"]
    event = {"EventType": "ExecutionPaused", "EventId": 4, "Id": "run", "EventTimestamp": moment}
    return {**event, "ExecutionPausedDetails": details}


@pytest.mark.parametrize("status", ["PAUSED", "pausing,deleting"])
def test_executions_are_listed_by_the_statuses_of_a_pause(durable, server, status):
    server.add(execution("slow", steps(1), "PAUSED"))
    asked = ("fetch", "--function-name", "orders", "--list", "--region", "eu-west-1")
    code, out, _ = durable(*asked, "--statuses", status)
    assert code == 0
    assert ("slow" in out) is (status == "PAUSED")


def test_what_was_followed_is_kept_when_aws_is_gone(durable, server):
    server.add(execution("slow", steps(1), "RUNNING"))

    def break_down(operation, subject, query):
        if server.count("get") == 2:
            server.always = refusal(403, "ExpiredTokenException")

    server.before = break_down
    code, _, err = durable("fetch", arn_of("slow"), "--follow", "--interval", "0.1", "-o", "f.json")

    assert code == 4
    assert "the credentials have expired" in err
    assert len(load_history("f.json").events) == 3


def test_an_interrupt_saves_what_was_read_and_exits_with_130(server):
    server.add(execution("slow", steps(1), "RUNNING"))
    arguments = ["fetch", arn_of("slow"), "--follow", "--interval", "0.5", "-o", "f.json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "durable_cli", *arguments, "--endpoint-url", server.url],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "core")])},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert "StepSucceeded" in "".join(process.stderr.readline() for _ in range(3))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=15)
    finally:
        process.kill()

    assert process.returncode == 130
    assert "RUNNING, 3 events, written to f.json" in err
    assert len(load_history("f.json").events) == 3


def test_one_execution_is_followed_and_not_any_of_many(durable, server):
    server.add(execution("order-2", ended(steps(1))))
    follow = ("fetch", "--function-name", "orders", "--follow", "--region", "eu-west-1")

    code, _, err = durable(*follow, "--output-dir", "d")
    assert code == 2
    assert "--follow follows one execution, there are 2: --latest 1 takes the newest" in err

    assert durable(*follow, "--latest", "1", "-o", "f.json")[0] == 0
    assert fields_of("f.json")["DurableExecutionName"] == "order-2"


# -- the other commands --------------------------------------------------------------------------


def test_replay_takes_an_arn(durable):
    code, out, err = durable("replay", ARN)

    assert (code, err) == (0, "")
    assert out.splitlines()[0] == ARN
    assert 'Step "work-1"' in out


def test_replay_takes_files_and_arns_in_one_call_and_a_bad_one_does_not_stop_the_others(durable):
    durable("fetch", ARN, "-o", "order.json")

    code, out, err = durable("replay", "order.json", arn_of("nobody"), ARN)

    assert code == 4
    assert out.count("totals ") == 2
    assert "not found in eu-west-1" in err


def test_inspect_batch_takes_an_arn(durable):
    code, out, _ = durable("inspect-batch", ARN)

    assert code == 0
    assert "worked out from a history" in out


def test_files_are_read_without_boto3(durable):
    durable("fetch", ARN, "-o", "order.json")
    script = (
        "import sys; from durable_cli.app import run; "
        "code = run(['replay', 'order.json', '-o', 'out.txt']); "
        "assert 'botocore' not in sys.modules and 'boto3' not in sys.modules; sys.exit(code)"
    )
    paths = os.pathsep.join([str(ROOT), str(ROOT / "core")])
    process = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": paths}, check=False
    )

    assert process.returncode == 0
