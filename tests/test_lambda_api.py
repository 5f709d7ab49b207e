"""Reading executions through the real boto3 client, from a server that does what Lambda may do."""

import dataclasses
import re
import sys
import time

import pytest
from aws_environment import prepare
from scripted_lambda import (
    BROKEN,
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

from durable_cli.exits import Exit, code_of
from durable_core.adapters import downloads
from durable_core.adapters.connection import Connection
from durable_core.adapters.downloads import Follower, download, download_all, executions
from durable_core.adapters.history_file import history_of_document
from durable_core.adapters.lambda_api import ExecutionQuery, LambdaApi, Pace
from durable_core.adapters.sources import Sources, is_execution
from durable_core.arns import EXECUTION_ARN, parse_execution_arn
from durable_core.errors import AwsError, UsageError

ARN = arn_of("order-1")


@pytest.fixture
def server():
    with ScriptedLambda() as server:
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    prepare(monkeypatch, tmp_path)


@pytest.fixture
def api(server):
    return LambdaApi(Connection(endpoint_url=server.url, max_rate=2000))


def failure(api, arn=ARN):
    with pytest.raises(AwsError) as caught:
        download(api, arn)
    assert code_of(caught.value) is Exit.AWS
    text = str(caught.value)
    assert "\n" not in text
    return text


# -- ARNs ----------------------------------------------------------------------------------------


def test_the_pattern_of_an_arn_is_the_services_own():
    import botocore.session

    model = botocore.session.get_session().get_service_model("lambda")
    theirs = model.shape_for("DurableExecutionArn").metadata["pattern"]
    ours = re.sub(r"\?P<\w+>", "", EXECUTION_ARN.pattern)

    assert ours == theirs.replace(r"\d{12}", "[0-9]{12}")


def test_an_arn_is_taken_apart():
    arn = parse_execution_arn(ARN)

    assert (arn.region, arn.account_id, arn.function) == ("eu-west-1", "246813579246", "orders")
    assert (arn.version, arn.name, arn.run_id) == ("7", "order-1", "run-order-1")


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:lambda:eu-west-1:246813579246:function:orders",
        "arn:aws:lambda:eu-west-1:246813579246:function:orders:7",
        ARN.replace("246813579246", "24681357924"),
        ARN.replace(":7/", ":prod/"),
        ARN + "/more",
        ARN + "\n",
        ARN + "x" * 1024,
    ],
)
def test_what_does_not_match_the_pattern_is_no_arn_of_an_execution(text):
    assert parse_execution_arn(text) is None


def test_a_source_that_looks_like_another_arn_is_refused_before_anything_is_sent(server):
    sources = Sources(Connection(endpoint_url=server.url))

    with pytest.raises(UsageError, match="not the ARN of a durable execution: expected arn:aws"):
        sources.history("arn:aws:lambda:eu-west-1:246813579246:function:orders")
    assert server.asked == []


def test_the_local_runners_ids_count_only_with_an_endpoint_and_without_such_a_file(
    tmp_path, monkeypatch
):
    local = "4d0971c5-3ac9-41a1-96ad-fa7327b9a8c0/17737de1-340b-4c0a-b231-a6bf750f0a23"
    monkeypatch.chdir(tmp_path)

    assert is_execution(local, "http://127.0.0.1:5000")
    with pytest.raises(UsageError, match="--endpoint-url says where it listens"):
        is_execution(local)
    (tmp_path / local).parent.mkdir()
    (tmp_path / local).write_text("{}")
    assert not is_execution(local, "http://127.0.0.1:5000")
    assert not is_execution(local)


# -- whole histories -----------------------------------------------------------------------------


def test_all_pages_are_read_with_the_payloads(server, api):
    server.add(execution("order-1", ended(steps(1200)), Result='"all done"'))

    document = download(api, ARN)

    assert [event["EventId"] for event in document.events] == list(range(1, 2404))
    queries = [query for operation, _, query in server.asked if operation == "history"]
    assert [query.get("Marker") for query in queries] == [None, "1000", "2000"]
    assert {query["MaxItems"] for query in queries} == {"1000"}
    assert {query["IncludeExecutionData"] for query in queries} == {"true"}


def test_the_record_and_the_events_make_one_document_that_loads(server, api):
    server.add(execution("order-1", ended(steps(2)), Result='"all done"', InputPayload="{}"))

    wire = download(api, ARN).to_wire()
    history = history_of_document("it", wire)

    assert list(wire)[-1] == "Events"
    assert history.arn == ARN
    assert history.warnings == ()
    assert history.execution.version == "7"
    assert history.execution.result == '"all done"'
    assert len(history.events) == 7


def test_moments_are_written_as_texts_down_to_the_details(server, api):
    server.add(execution("order-1", ended(steps(0))))

    wire = download(api, ARN).to_wire()
    completed = wire["Events"][1]["InvocationCompletedDetails"]

    assert wire["StartTimestamp"] == "2026-12-01T10:00:00.500Z"
    assert completed["EndTimestamp"] == "2026-12-01T10:00:01.250Z"


def test_what_this_botocore_does_not_know_is_not_lost(server, api):
    unknown = {"EventType": "LoopStarted", "LoopStartedDetails": {"Turns": 3}, "Mood": "calm"}
    server.add(execution("order-1", numbered([unknown]), Colour="blue"))

    wire = download(api, ARN).to_wire()

    assert wire["Colour"] == "blue"
    assert wire["Events"][0]["LoopStartedDetails"] == {"Turns": 3}
    assert wire["Events"][0]["Mood"] == "calm"


def test_without_execution_data_no_payload_is_asked_for(server, api):
    server.add(execution("order-1", ended(steps(1)), Result='"all done"'))

    document = download(api, ARN, include_data=False).to_wire()

    assert not history_of_document("it", document).has_execution_data
    assert "done" not in str(document)


def test_a_parameter_that_this_botocore_does_not_know_is_not_sent(server, api):
    server.add(execution("order-1", ended(steps(1)), Result='"all done"'))
    model = api._client(ARN).meta.service_model  # 1.42.1 knows it for histories only
    model.operation_model("GetDurableExecution").input_shape.members.pop("IncludeExecutionData")

    assert download(api, ARN).record["Result"] == '"all done"'
    assert "Result" not in download(api, ARN, include_data=False).record
    assert "IncludeExecutionData" not in server.asked[0][2]


def test_a_history_that_grows_while_it_is_read_is_whole_up_to_its_last_event(server, api):
    server.page_size = 2
    server.add(execution("order-1", steps(3), "RUNNING"))

    def grow(operation, subject, query):
        found = server.executions[ARN]
        if operation == "history" and query.get("Marker") == "4":
            found["events"] = ended(found["events"])
            found.update(Status="SUCCEEDED", Result='"all done"')

    server.before = grow
    document = download(api, ARN)

    assert [event["EventId"] for event in document.events] == list(range(1, 10))
    assert document.record["Result"] == '"all done"'


def test_a_record_is_never_ahead_of_the_events(server, api):
    server.add(execution("order-1", steps(1), "RUNNING"))

    document = download(api, ARN)

    assert [operation for operation, _, _ in server.asked] == ["get", "history"]
    assert document.status == "RUNNING"


def test_events_that_change_between_pages_start_the_reading_over(server, api):
    server.page_size = 2
    server.add(execution("order-1", steps(2), "RUNNING"))

    def rename(operation, subject, query):
        if query.get("Marker") == "2" and server.count("history") == 2:
            # What AWS's local runner does: an event comes in before those that were read.
            events = server.executions[ARN]["events"]
            server.executions[ARN]["events"] = numbered(
                [{"EventType": "InvocationCompleted"}, *({**e, "EventId": 0} for e in events)]
            )
            for number, event in enumerate(server.executions[ARN]["events"], 1):
                event["EventId"] = number
            query["Marker"] = "1"

    server.before = rename
    document = download(api, ARN)

    assert [event["EventId"] for event in document.events] == list(range(1, 7))


def test_events_that_never_stay_the_same_are_an_error(server, api):
    server.page_size = 1
    server.add(execution("order-1", steps(1), "RUNNING"))

    def change(operation, subject, query):
        if "Marker" in query:
            query["Marker"] = "0"
            server.executions[ARN]["events"][0]["Name"] = f"name-{len(server.asked)}"

    server.before = change

    assert "changed while they were read, 4 times" in failure(api)


# -- markers -------------------------------------------------------------------------------------

EXPIRED_MARKER = refusal(400, "InvalidParameterValueException", "Invalid marker")


def test_a_marker_that_expired_starts_the_execution_over(server, api):
    server.page_size = 2
    server.add(execution("order-1", ended(steps(2))))
    server.faults.extend([None, None, EXPIRED_MARKER])

    assert len(download(api, ARN).events) == 7
    assert server.count("get") == 2


def test_markers_that_always_expire_are_an_error(server, api):
    server.page_size = 2
    server.add(execution("order-1", ended(steps(2))))
    server.faults.extend([None, None, EXPIRED_MARKER] * 4)

    assert failure(api).endswith("Invalid marker")
    assert server.count("get") == 4


def test_a_chain_of_markers_without_an_end_is_given_up(server, api):
    server.add(execution("order-1", steps(1), "RUNNING"))
    server.page = lambda items, name, query: Reply(
        body={name: [], "NextMarker": f"m{len(server.asked)}"}
    )

    assert "its pages have no end" in failure(api)
    assert server.count("history") == downloads.MAX_EMPTY_PAGES + 1


def test_a_chain_of_markers_that_always_brings_events_is_given_up_too(server, api):
    server.add(execution("order-1", steps(1), "RUNNING"))
    server.page = lambda items, name, query: Reply(
        body={
            name: numbered([{"EventType": "LoopTurned"}], len(server.asked)),
            "NextMarker": f"m{len(server.asked)}",
        }
    )

    with pytest.raises(AwsError, match="its pages have no end: stopped after 30"):
        download(api, ARN, max_pages=30)


def test_a_marker_that_leads_to_itself_is_given_up(server, api):
    server.add(execution("order-1", steps(1), "RUNNING"))
    server.page = lambda items, name, query: Reply(body={name: items, "NextMarker": "again"})

    assert "its pages have no end" in failure(api)
    assert server.count("history") == 2


# -- politeness ----------------------------------------------------------------------------------


def test_throttling_and_broken_answers_are_retried_by_botocore(server, api):
    server.add(execution("order-1", ended(steps(1))))
    server.faults.extend([THROTTLED, BROKEN, None, BROKEN, THROTTLED])

    assert len(download(api, ARN).events) == 5
    assert len(server.asked) == 6


def test_a_connection_that_is_cut_is_retried(server, api):
    server.add(execution("order-1", ended(steps(1))))
    server.faults.extend([None, Reply(body={"Events": []}, cut=5)])

    assert len(download(api, ARN).events) == 5


def test_no_two_requests_are_closer_than_the_rate_allows():
    now, slept = [100.0], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(50, lambda: now[0], sleep)
    for _ in range(4):
        pace.wait()
    now[0] += 10
    pace.wait()
    assert slept == pytest.approx([0.02] * 3)


def test_all_requests_keep_to_one_rate_retries_included(server, monkeypatch):
    server.add(*(execution(f"order-{n}", ended(steps(1))) for n in range(4)))
    server.faults.extend([THROTTLED, THROTTLED])
    waited = []
    monkeypatch.setattr(Pace, "wait", lambda pace: waited.append(pace))
    api = LambdaApi(Connection(endpoint_url=server.url, max_rate=50))

    outcomes = list(download_all(lambda arn: download(api, arn), map(arn_of, names(4))))

    assert all(outcome.document for outcome in outcomes)
    assert len(waited) == len(server.at) == 10
    assert len(set(map(id, waited))) == 1


def names(count):
    return [f"order-{number}" for number in range(count)]


# -- failures, each one line with what to do -----------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (THROTTLED, r"throttled, also after 2 retries: try again later, or with a lower"),
        (BROKEN, r"ServiceException 500, also after 2 retries: out of order: try again later"),
        (
            refusal(403, "AccessDeniedException", "User: x is not authorized"),
            r"access denied: User: x is not authorized: lambda:GetDurableExecution must be allowed",
        ),
        (
            refusal(404, "ResourceNotFoundException"),
            r"not found in eu-west-1: no such execution .*retention is over \(see --region\)",
        ),
        (
            refusal(502, "KMSAccessDeniedException", "Lambda was unable to decrypt."),
            r"KMSAccessDeniedException: Lambda was unable to decrypt: kms:Decrypt must be allowed",
        ),
        (refusal(403, "ExpiredTokenException"), r"the credentials have expired: renew them"),
        (
            refusal(403, "UnrecognizedClientException"),
            r"AWS doesn't accept these credentials: check the keys",
        ),
        (
            refusal(400, "InvalidParameterValueException", "not supported in this region"),
            r"refused: not supported in this region$",
        ),
        (
            Reply(200, b"<html>Welcome</html>", "text/html; charset=utf-8"),
            r"answered HTTP 200 with text/html, not with Lambda's JSON: check --endpoint-url",
        ),
        (
            Reply(404, b"<html>Not here</html>", "text/html"),
            r"answered HTTP 404 with text/html, not with Lambda's JSON: check --endpoint-url",
        ),
        (Reply(503, b"busy", "text/plain"), r"HTTP 503, also after 2 retries: try again later"),
        (Reply(200, b'{"Status": "RUNN', "application/json"), r"with application/json, not with"),
        (Reply(200, b"", "application/json"), r"answered HTTP 200 with application/json, not"),
        (Reply(200, [1, 2]), r"not with Lambda's JSON"),
        (Reply(200, {"hello": "world"}), r"promise: no Status in an object with 'hello'"),
        (Reply(404, {"error": "no route"}), r"answered HTTP 404 to GetDurableExecution: check"),
        (Reply(404, [1, 2]), r"answered HTTP 404 with application/json, not with Lambda's JSON"),
        (Reply(200, b"\xff\xfe\x00", "application/octet-stream"), r"octet-stream, not with"),
    ],
    ids=lambda value: "" if isinstance(value, str) else f"{value.status}",
)
def test_a_failure_is_one_line_that_says_what_to_do(server, api, reply, said):
    server.always = reply

    text = failure(api)

    assert text.startswith(f"{ARN}: ")
    assert re.search(said, text)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "no list of Events in an empty object"),
        ({"Events": "none"}, "no list of Events in an object with 'Events'"),
        ({"Events": [1]}, "no list of Events"),
        ({"Events": [{"EventId": 1}]}, r"Events\[0\] \(EventId 1\)\.EventType: expected a string"),
        ({"Events": [], "NextMarker": 7}, "NextMarker is the number 7"),
    ],
)
def test_an_answer_that_the_api_does_not_promise_is_an_error(server, api, body, said):
    server.add(execution("order-1", steps(1), "RUNNING"))
    server.faults.extend([None, Reply(body=body)])

    assert re.search(f"GetDurableExecutionHistory answered .* promise: {said}", failure(api))


@pytest.mark.parametrize("item", [{}, {"DurableExecutionArn": 5}, {"DurableExecutionArn": None}])
def test_an_execution_without_an_arn_is_an_error(server, api, item):
    server.always = Reply(body={"DurableExecutions": [{"DurableExecutionArn": ARN}, item]})

    with pytest.raises(
        AwsError, match=r"DurableExecutions\[1\]\.DurableExecutionArn: expected a str"
    ):
        list(executions(api, ExecutionQuery("orders")))


def test_what_the_service_itself_calls_an_execution_is_validated_before_it_is_asked_for(
    server, api
):
    with pytest.raises(AwsError, match="not the ARN of a durable execution: expected arn:aws:"):
        download(api, "arn:aws:lambda:eu-west-1:246813579246:function:orders/../../secrets")
    assert server.asked == []


def test_an_answer_that_does_not_come_in_time_is_an_error(server, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    api = LambdaApi(Connection(endpoint_url=server.url, timeout_seconds=0.2))
    server.always = Reply(delay_seconds=0.6)

    assert re.search(r"no answer in time \(.*: try again, or with a longer", failure(api))


def test_a_connection_that_is_always_cut_is_an_error(server, api):
    server.add(execution("order-1", steps(1), "RUNNING"))
    server.always = Reply(body={"Status": "RUNNING"}, cut=3)

    assert failure(api).endswith("the answer was cut off, again and again: try again later")
    assert len(server.asked) == 3


def test_an_endpoint_where_nobody_listens_is_an_error(server):
    gone = ScriptedLambda()
    url = gone.url
    gone.shutdown()
    gone.server_close()

    text = failure(LambdaApi(Connection(endpoint_url=url, max_rate=2000)))

    assert f"could not connect ({url}): check the network, the region and --endpoint-url" in text


def test_without_credentials_aws_is_not_asked(monkeypatch, tmp_path):
    prepare(monkeypatch, tmp_path, credentials=False)

    text = failure(LambdaApi(Connection()))

    assert text == f"{ARN}: no credentials: set them up with `aws configure`, or choose a --profile"


def test_a_server_on_this_machine_needs_no_credentials(monkeypatch, tmp_path, server):
    prepare(monkeypatch, tmp_path, credentials=False)
    server.add(execution("order-1", steps(1), "RUNNING"))

    assert download(LambdaApi(Connection(endpoint_url=server.url)), ARN).events


@pytest.mark.parametrize(
    ("connection", "subject", "said"),
    [
        (
            Connection(profile="nobody"),
            ARN,
            "nobody\\) could not be found: check --profile and AWS_PR",
        ),
        (Connection(region="not a region"), ARN, "not a region.*: expected one such as eu-west-1"),
        (Connection(), "orders", "orders: no region: use --region or AWS_REGION"),
        (
            Connection(endpoint_url="nonsense"),
            ARN,
            "endpoint: nonsense: expected a URL such as http",
        ),
    ],
)
def test_what_is_wrong_with_the_options_is_the_callers_fault(connection, subject, said):
    api = LambdaApi(connection)

    with pytest.raises(UsageError, match=said):
        next(executions(api, ExecutionQuery(subject))) if subject == "orders" else download(
            api, subject
        )


def test_the_region_is_the_one_in_the_arn_unless_another_is_asked_for(monkeypatch):
    monkeypatch.setenv("AWS_REGION", "us-east-2")

    def region(subject, **options):
        return LambdaApi(Connection(**options))._client(subject).meta.region_name

    assert region(ARN) == "eu-west-1"
    assert region(ARN, region="ap-south-1") == "ap-south-1"
    assert region("arn:aws:lambda:eu-north-1:246813579246:function:f") == "eu-north-1"
    assert region("orders") == "us-east-2"


def test_a_botocore_that_is_too_old_is_told_apart(monkeypatch, api):
    import botocore.client

    known = botocore.client.ClientCreator._create_name_mapping

    def as_it_was(self, service_model):
        return {
            name: operation
            for name, operation in known(self, service_model).items()
            if "durable" not in name
        }

    monkeypatch.setattr(botocore.client.ClientCreator, "_create_name_mapping", as_it_was)

    with pytest.raises(UsageError, match=r"botocore \S+ knows nothing of .*: expected 1\.42\.1 or"):
        download(api, ARN)


def test_without_boto3_one_line_says_so(monkeypatch, api):
    monkeypatch.setitem(sys.modules, "boto3", None)

    with pytest.raises(UsageError, match="asking AWS needs boto3: pip install boto3"):
        download(api, ARN)


# -- lists ---------------------------------------------------------------------------------------


def test_executions_are_listed_over_all_pages(server, api):
    server.page_size = 2
    server.add(*(execution(name, []) for name in names(5)))

    found = list(executions(api, ExecutionQuery("orders"), None))

    assert [each["DurableExecutionName"] for each in found] == names(5)


def test_the_latest_are_asked_for_from_the_end_and_no_further(server, api):
    server.add(*(execution(name, []) for name in names(5)))

    found = list(executions(api, ExecutionQuery("orders", newest_first=True), 2))

    assert [each["DurableExecutionName"] for each in found] == ["order-4", "order-3"]
    [(_, _, query)] = server.asked
    assert query["MaxItems"] == "2"
    assert query["ReverseOrder"] == "true"


def test_a_filter_that_the_service_does_not_know_is_applied_here(server, api):
    server.add(execution("order-1", []), execution("order-2", [], "FAILED"))
    server.list = lambda function, query: server.page(
        list(server.executions.values()), "DurableExecutions", query
    )

    found = list(executions(api, ExecutionQuery("orders", statuses=("FAILED",)), None))

    assert [each["DurableExecutionName"] for each in found] == ["order-2"]


# -- many, and children --------------------------------------------------------------------------


def invoking(number, *children):
    return [
        {
            "EventType": "ChainedInvokeStarted",
            "Id": f"invoke-{number}-{at}",
            "ChainedInvokeStartedDetails": {"DurableExecutionArn": child},
        }
        for at, child in enumerate(children)
    ]


def test_children_are_read_once_each_and_to_a_depth(server, api):
    def family(name, *children):
        return execution(name, numbered(invoking(name, *map(arn_of, children))))

    server.add(family("a", "b", "c"), family("b", "c", "d"), family("c", "a"), family("d", "e"))

    def read(depth):
        outcomes = download_all(lambda arn: download(api, arn), [arn_of("a")], depth=depth)
        return {each.document.record["DurableExecutionName"]: each for each in outcomes}

    assert sorted(read(0)) == ["a"]
    assert sorted(read(1)) == ["a", "b", "c"]
    family_of_a = read(2)
    assert sorted(family_of_a) == ["a", "b", "c", "d"]
    assert {each.root for each in family_of_a.values()} == {arn_of("a")}
    assert server.count("get") == 1 + 3 + 4


def test_one_that_fails_does_not_stop_the_others(server, api):
    server.add(*(execution(name, steps(1), "RUNNING") for name in names(3)))
    wanted = [arn_of("order-0"), arn_of("nobody"), arn_of("order-2")]

    outcomes = {each.arn: each for each in download_all(lambda arn: download(api, arn), wanted)}

    assert outcomes[wanted[0]].document
    assert outcomes[wanted[2]].document
    assert isinstance(outcomes[wanted[1]].error, AwsError)


def test_a_defect_of_ours_comes_out_as_it_is():
    [outcome] = download_all(lambda arn: 1 / 0, [ARN])

    assert isinstance(outcome.error, ZeroDivisionError)


# -- following -----------------------------------------------------------------------------------


def test_a_follower_hears_each_event_once_and_asks_for_the_newest_only(server, api):
    server.add(execution("order-1", steps(60), "RUNNING"))
    follower = Follower(api, ARN)

    assert len(follower.poll()) == 121
    assert follower.poll() == []
    server.executions[ARN]["events"] = ended(steps(200))
    server.executions[ARN]["Status"] = "SUCCEEDED"
    new = follower.poll()

    assert [event["EventId"] for event in new] == list(range(122, 404))
    assert not follower.is_running
    assert [event["EventId"] for event in follower.so_far().events] == list(range(1, 404))
    assert follower.complete().events == follower.so_far().events


def test_reading_is_all_that_is_ever_done():
    import inspect

    from durable_core.adapters import lambda_api

    source = inspect.getsource(lambda_api)
    called = set(re.findall(r'"((?:get|list|send|stop|invoke|checkpoint)_\w+)"', source))

    assert called == {
        "get_durable_execution",
        "get_durable_execution_history",
        "list_durable_executions_by_function",
    }


def test_a_connection_is_a_value():
    assert dataclasses.replace(Connection(), region="eu-west-1") == Connection(region="eu-west-1")


def test_a_hundred_downloads_take_no_longer_than_their_requests(server, api):
    server.add(*(execution(name, steps(1), "RUNNING") for name in names(100)))
    began = time.monotonic()

    outcomes = list(download_all(lambda arn: download(api, arn), map(arn_of, names(100))))

    assert all(outcome.document for outcome in outcomes)
    assert time.monotonic() - began < 20
