"""What the fixtures promise to the tests that read them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import botocore.session
import pytest

FIXTURES = Path(__file__).parent.parent / "fixtures"
HISTORIES = sorted((FIXTURES / "histories").glob("*.json"))
STATES = sorted((FIXTURES / "states").glob("*.json"))
UPDATES = sorted((FIXTURES / "updates").glob("*.json"))
HANDLERS = sorted((FIXTURES / "handlers").glob("aws_*.py"))
PAYLOAD_LIMIT_BYTES = 262_144
REQUEST_LIMIT_BYTES = 750 * 1024

STRIPPED = {
    "flat_overflow_reentered": "Parallel",
    "nested_overflow_reentered": "Map",
    "flat_map_overflow_reentered": "Map",
    "min_successful_overflow_with_started_units": "Parallel",
    "overflow_with_failed_unit": "Map",
}

every_history = pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)


def read(path):
    return json.loads(path.read_bytes())


def history(name):
    return read(FIXTURES / "histories" / f"{name}.json")["Events"]


def of_type(events, event_type):
    return [event for event in events if event["EventType"] == event_type]


def end_of(events, sub_type):
    [ended] = [e for e in of_type(events, "ContextSucceeded") if e["SubType"] == sub_type]
    return ended


def summary_of(events, sub_type):
    return json.loads(end_of(events, sub_type)["ContextSucceededDetails"]["Result"]["Payload"])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What the script writes today, by path within fixtures/."""
    folder = tmp_path_factory.mktemp("written")
    subprocess.run([sys.executable, FIXTURES / "write_other_sdks.py", folder], check=True)
    return {path.relative_to(folder): path for path in folder.rglob("*.json")}


@pytest.fixture(scope="module")
def service_model():
    return botocore.session.get_session().get_service_model("lambda")


@every_history
def test_events_are_numbered_from_one_in_order(path):
    events = read(path)["Events"]

    assert [event["EventId"] for event in events] == list(range(1, len(events) + 1))


@every_history
def test_an_execution_starts_once_and_an_operation_starts_before_it_ends(path):
    events = read(path)["Events"]
    started = set()

    assert [event["EventId"] for event in of_type(events, "ExecutionStarted")] == [1]
    for event in events:
        if event["EventType"].endswith("Started"):
            started.add(event["Id"])
        elif event["EventType"] != "InvocationCompleted":
            assert event["Id"] in started


@every_history
def test_a_parent_is_a_context_of_the_same_history(path):
    events = read(path)["Events"]
    contexts = {event["Id"] for event in of_type(events, "ContextStarted")}

    assert {event["ParentId"] for event in events if "ParentId" in event} <= contexts


@every_history
def test_an_execution_ends_with_its_last_event_or_is_running(path):
    events = read(path)["Events"]
    ends = [e for e in events if re.fullmatch("Execution(Succ|Fail|Timed|Stop).*", e["EventType"])]

    assert ends == ([] if path.stem.startswith("running_") else [events[-1]])


@pytest.mark.parametrize(
    ("name", "kind"),
    [("callback", "Callback"), ("invoke", "ChainedInvoke"), ("wait", "Wait")],
)
def test_a_running_execution_has_started_what_it_waits_for_and_not_seen_its_end(name, kind):
    events = history(f"running_on_{name}")

    assert [e["EventType"] for e in events if e["EventType"].startswith(kind)] == [f"{kind}Started"]


def test_a_running_execution_waits_for_the_next_attempt_of_its_step():
    [failed] = of_type(history("running_on_retry"), "StepFailed")

    assert failed["StepFailedDetails"]["RetryDetails"]["NextAttemptDelaySeconds"] == 3600


@pytest.mark.parametrize(("name", "sub_type"), STRIPPED.items(), ids=list(STRIPPED))
def test_a_recorded_stripped_result_is_a_summary_and_is_entered_again(name, sub_type):
    events = history(name)
    summary = summary_of(events, sub_type)
    later = events[end_of(events, sub_type)["EventId"] :]

    assert summary["type"] == f"{sub_type}Result"
    assert {"totalCount", "completionReason", "status"} < summary.keys()
    assert "all" not in summary
    assert len(of_type(later, "InvocationCompleted")) == 2


def test_a_recorded_stripped_child_context_has_an_empty_payload():
    ended = end_of(history("child_overflow_reentered"), "RunInChildContext")

    assert ended["ContextSucceededDetails"]["Result"]["Payload"] == ""


def test_a_recorded_summary_lists_its_started_units_and_leaves_out_those_never_dispatched():
    summary = summary_of(history("min_successful_overflow_with_started_units"), "Parallel")

    assert summary["startedIndexes"] == [0, 1]
    assert summary["totalCount"] == 4


@pytest.mark.parametrize(
    "name", ["flat_overflow_reentered", "flat_map_overflow_reentered", "dotnet_flat_overflow"]
)
def test_flat_units_have_no_context_of_their_own(name):
    assert len(of_type(history(name), "ContextStarted")) == 1


def test_the_large_step_is_over_the_limit_of_one_payload():
    [ended] = of_type(history("large_step"), "StepSucceeded")
    result = ended["StepSucceededDetails"]["Result"]["Payload"]

    assert len(result.encode()) > PAYLOAD_LIMIT_BYTES


def test_five_hundred_units_are_recorded_to_the_last():
    started = of_type(history("five_hundred_units"), "ContextStarted")

    assert len([event for event in started if event["SubType"] == "MapIteration"]) == 500


def test_texts_outside_ascii_are_kept_as_they_were():
    [failed] = of_type(history("non_ascii_payloads"), "StepFailed")
    [ended] = of_type(history("non_ascii_payloads"), "StepSucceeded")

    assert "拒否 🛑\n\t" in failed["StepFailedDetails"]["Error"]["Payload"]["ErrorMessage"]
    assert "\\u0000" in ended["StepSucceededDetails"]["Result"]["Payload"]


def test_every_written_fixture_is_written_again_byte_for_byte(written):
    for relative, path in written.items():
        assert path.read_bytes() == (FIXTURES / relative).read_bytes(), relative


def test_every_fixture_is_either_written_or_recorded_by_a_script(written):
    names = {path.stem for path in written.values()}
    recorder = (FIXTURES / "record.py").read_text()

    for path in HISTORIES:
        assert path.stem in names or f'"{path.stem}": Recording(' in recorder
    assert {path.stem for path in STATES + UPDATES} <= names


@pytest.mark.parametrize("path", HANDLERS, ids=lambda path: path.stem)
def test_every_aws_handler_is_recorded(path):
    assert f'"{path.stem}"' in (FIXTURES / "record.py").read_text()


def faults(value, shape, where):
    """Fields that the service's model doesn't know, or requires and doesn't find."""
    if shape.type_name == "list":
        for index, item in enumerate(value):
            yield from faults(item, shape.member, f"{where}[{index}]")
    elif shape.type_name == "structure":
        for name in value.keys() - shape.members.keys():
            yield f"{where}.{name} is unknown"
        for name in set(shape.required_members) - value.keys():
            yield f"{where}.{name} is missing"
        for name in value.keys() & shape.members.keys():
            yield from faults(value[name], shape.members[name], f"{where}.{name}")
    elif shape.type_name == "string":
        if shape.enum and value not in shape.enum:
            yield f"{where}: {value!r} is none of the values"
        if not re.fullmatch(shape.metadata.get("pattern", "(?s:.*)"), value):
            yield f"{where}: {value!r} does not match"


def test_written_histories_have_the_fields_that_the_service_documents(written, service_model):
    shape = service_model.shape_for("Event")

    for relative, path in written.items():
        if relative.parts[0] == "histories":
            for event in read(path)["Events"]:
                assert not list(faults(event, shape, f"{relative}: {event['EventId']}"))


def test_recorded_histories_have_no_field_that_the_service_does_not_document(
    written, service_model
):
    shape = service_model.shape_for("Event")
    names = {path.stem for path in written.values()}

    for path in HISTORIES:
        if path.stem not in names:
            for event in read(path)["Events"]:
                found = faults(event, shape, f"{path.stem}: {event['EventId']}")
                assert not [fault for fault in found if fault.endswith("is unknown")]


def test_states_have_the_fields_that_the_service_documents(service_model):
    shape = service_model.shape_for("Operations")
    state = read(FIXTURES / "states" / "operations_state.json")
    received = read(FIXTURES / "states" / "invocation_input.json")

    assert not list(faults(state["Operations"], shape, "operations_state"))
    assert not list(faults(received["InitialExecutionState"]["Operations"], shape, "input"))


def test_a_state_keeps_the_children_of_contexts_with_replay_children_only():
    operations = read(FIXTURES / "states" / "operations_state.json")["Operations"]
    replayed = {
        operation["Id"]: operation["ContextDetails"]["ReplayChildren"]
        for operation in operations
        if operation["Type"] == "CONTEXT"
    }
    parents = {operation["ParentId"] for operation in operations if "ParentId" in operation}

    assert sorted(replayed.values()) == [False, True]
    assert parents == {context for context in replayed if replayed[context]}


@pytest.mark.parametrize("path", UPDATES, ids=lambda path: path.stem)
def test_updates_have_the_fields_that_the_service_documents(path, service_model):
    requests = path.stem == "checkpoint_requests"
    item = "CheckpointDurableExecutionRequest" if requests else "OperationUpdate"

    for document in read(path):
        assert not list(faults(document, service_model.shape_for(item), path.stem))


def test_the_oversized_updates_are_over_the_limits_that_they_are_for():
    step = read(FIXTURES / "updates" / "oversized_step_update.json")[-1]
    small, lone = read(FIXTURES / "updates" / "python_hang_updates.json")

    assert PAYLOAD_LIMIT_BYTES < len(step["Payload"]) < REQUEST_LIMIT_BYTES
    assert len(json.dumps(small)) < 1_000
    assert len(json.dumps(lone)) > REQUEST_LIMIT_BYTES
