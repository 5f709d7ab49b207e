"""What the simulated service does: events, tokens, state, timers, answers, invocations."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from durable_core.limits import LIMITS
from durable_core.model import (
    ChainedInvokeOptions,
    CheckpointRequest,
    ErrorObject,
    ExecutionStatus,
    InvocationOutput,
    InvocationStatus,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
)
from durable_core.service.simulated import SimulatedService
from durable_core.service.values import (
    INVALID_MARKER,
    INVALID_TOKEN,
    CallbackCreated,
    CallbackFailure,
    CallbackHeartbeat,
    CallbackSuccess,
    CheckpointAnswer,
    Crash,
    ExecutionStart,
    InvocationPolicy,
    InvokeRequested,
    InvokeResult,
    InvokeTarget,
    Refusal,
    Stop,
    exit_crash,
    invoke_timed_out,
    timeout_crash,
)
from durable_core.wire import event_to_wire

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
BOOM = ErrorObject(message="boom", type="ValueError")
BOOM_WIRE = {"ErrorMessage": "boom", "ErrorType": "ValueError"}
PENDING = InvocationOutput(InvocationStatus.PENDING)


def succeeded(result: str | None = '"done"') -> InvocationOutput:
    return InvocationOutput(InvocationStatus.SUCCEEDED, result)


def failed(error: ErrorObject = BOOM) -> InvocationOutput:
    return InvocationOutput(InvocationStatus.FAILED, error=error)


def update(kind: str, action: str, operation_id: str = "a", **fields) -> OperationUpdate:
    return OperationUpdate(operation_id, OperationType(kind), OperationAction(action), **fields)


def context(action: str, operation_id: str, parent_id: str | None = None, **fields):
    return update("CONTEXT", action, operation_id, parent_id=parent_id, **fields)


def step(action: str, operation_id: str = "a", **fields) -> OperationUpdate:
    return update("STEP", action, operation_id, **fields)


def wait(operation_id: str, seconds: int, **fields) -> OperationUpdate:
    return update("WAIT", "START", operation_id, wait_seconds=seconds, **fields)


def callback(operation_id: str = "cb", timeout: int | None = None, heartbeat: int | None = None):
    return update(
        "CALLBACK",
        "START",
        operation_id,
        name="approval",
        callback_timeout_seconds=timeout,
        callback_heartbeat_seconds=heartbeat,
    )


def invoke(operation_id: str = "i", function: str = "echo", **fields) -> OperationUpdate:
    options = ChainedInvokeOptions(function, fields.pop("tenant_id", None))
    return update("CHAINED_INVOKE", "START", operation_id, chained_invoke=options, **fields)


class Run:
    """A handler's side of the service, played by a test."""

    def __init__(self, start: ExecutionStart | None = None, **options) -> None:
        self.now = START
        self.service = SimulatedService(start or ExecutionStart(), START, **options)
        self.token: str | None = None
        self.invocation = None

    def begin(self):
        assert self.service.needs_invocation()
        self.invocation = self.service.begin_invocation(self.now)
        self.token = self.invocation.input.checkpoint_token
        return self.invocation

    def send(self, *updates: OperationUpdate, client: str | None = None) -> CheckpointAnswer:
        answer = self.try_to_send(*updates, client=client)
        assert isinstance(answer, CheckpointAnswer), answer
        self.token = answer.checkpoint_token
        return answer

    def try_to_send(self, *updates: OperationUpdate, client: str | None = None):
        request = CheckpointRequest(updates, checkpoint_token=self.token, client_token=client)
        return self.service.apply(self.now, request)

    def end(self, outcome: InvocationOutput | Crash = PENDING) -> None:
        self.service.end_invocation(self.now, outcome)

    def invoke(self, *updates: OperationUpdate, then: InvocationOutput | Crash = PENDING) -> None:
        self.begin()
        if updates:
            self.send(*updates)
        self.end(then)

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.service.tick(self.now)

    @property
    def kinds(self) -> list[str]:
        return [event.event_type for event in self.service.events]

    def wire(self, index: int) -> dict:
        return event_to_wire(self.service.events[index])

    def details(self, index: int) -> dict:
        event = self.service.events[index]
        return dict(event.details or {})

    def operation(self, operation_id: str):
        return self.service.operations[operation_id]

    @property
    def execution(self):
        return self.operation(self.service.arn.rpartition("/")[2])


def stamp(seconds: float) -> str:
    moment = START + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


# -- the events that are written ---------------------------------------------------------------


def test_an_execution_starts_with_its_input_and_its_timeout():
    run = Run(ExecutionStart(input_payload='{"a": 1}', execution_timeout_seconds=60))

    assert run.wire(0) == {
        "EventType": "ExecutionStarted",
        "EventId": 1,
        "Id": run.service.arn.rpartition("/")[2],
        "Name": "simulation",
        "EventTimestamp": stamp(0),
        "ExecutionStartedDetails": {
            "Input": {"Payload": '{"a": 1}', "Truncated": False},
            "ExecutionTimeout": 60,
        },
    }


def test_a_step_that_succeeds_at_once():
    run = Run()
    run.invoke(
        step("START", name="greet", sub_type="Step"),
        step("SUCCEED", payload='"hi"', name="greet", sub_type="Step"),
        then=succeeded('"hi"'),
    )

    assert [run.wire(index) for index in (1, 2)] == [
        {
            "EventType": "StepStarted",
            "SubType": "Step",
            "EventId": 2,
            "Id": "a",
            "Name": "greet",
            "EventTimestamp": stamp(0),
            "StepStartedDetails": {},
        },
        {
            "EventType": "StepSucceeded",
            "SubType": "Step",
            "EventId": 3,
            "Id": "a",
            "Name": "greet",
            "EventTimestamp": stamp(0),
            "StepSucceededDetails": {
                "Result": {"Payload": '"hi"', "Truncated": False},
                "RetryDetails": {"CurrentAttempt": 1},
            },
        },
    ]
    assert run.kinds[3:] == ["InvocationCompleted", "ExecutionSucceeded"]
    assert run.details(4) == {"Result": {"Payload": '"hi"', "Truncated": False}}


def test_a_step_that_is_retried_until_it_succeeds():
    run = Run()
    run.invoke(step("START"), step("RETRY", error=BOOM, next_attempt_delay_seconds=5))
    run.later(5)
    run.invoke(step("START"), step("SUCCEED", payload="1"), then=succeeded())

    assert run.kinds[1:6] == [
        "StepStarted",
        "StepFailed",
        "InvocationCompleted",
        "StepStarted",
        "StepSucceeded",
    ]
    assert run.details(2) == {
        "Error": {"Payload": BOOM_WIRE, "Truncated": False},
        "RetryDetails": {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 5},
    }
    assert run.details(5)["RetryDetails"] == {"CurrentAttempt": 2}


def test_a_step_that_fails_for_good_has_no_further_attempt():
    run = Run()
    run.invoke(step("START"), step("RETRY", error=BOOM, next_attempt_delay_seconds=1))
    run.later(1)
    run.invoke(step("START"), step("FAIL", error=BOOM), then=failed())

    assert run.details(5) == {
        "Error": {"Payload": BOOM_WIRE, "Truncated": False},
        "RetryDetails": {"CurrentAttempt": 2},
    }
    assert run.kinds[6:] == ["InvocationCompleted", "ExecutionFailed"]
    assert run.details(7) == {"Error": {"Payload": BOOM_WIRE, "Truncated": False}}


def test_a_step_may_end_without_having_been_started():
    run = Run()
    run.invoke(step("SUCCEED", payload="1"), then=succeeded())

    assert run.kinds[1] == "StepSucceeded"
    assert run.details(1)["RetryDetails"] == {"CurrentAttempt": 1}


def test_a_result_that_is_nothing_is_carried_as_nothing():
    run = Run()
    run.invoke(step("SUCCEED"), then=succeeded(None))

    assert run.details(1)["Result"] == {"Truncated": False}
    assert run.details(3) == {"Result": {"Truncated": False}}


def test_a_poll_that_goes_on_succeeds_with_its_state_and_is_pending():
    run = Run()
    run.invoke(step("START"), step("RETRY", payload="1", next_attempt_delay_seconds=2))

    assert run.kinds[2] == "StepSucceeded"
    assert run.details(2) == {
        "Result": {"Payload": "1", "Truncated": False},
        "RetryDetails": {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 2},
    }
    assert run.operation("a").status is OperationStatus.PENDING
    assert run.operation("a").result == "1"


def test_a_poll_keeps_its_state_while_it_runs_again():
    run = Run()
    run.invoke(step("START"), step("RETRY", payload="1", next_attempt_delay_seconds=2))
    run.later(2)
    run.begin()
    run.send(step("START"))

    assert run.operation("a").result == "1"


def test_contexts_carry_their_result_or_their_error():
    run = Run()
    run.invoke(
        context("START", "c", sub_type="RunInChildContext"),
        context("SUCCEED", "c", payload='"x"'),
        context("START", "d", name="fails"),
        context("FAIL", "d", error=BOOM),
        then=succeeded(),
    )

    assert run.wire(1)["ContextStartedDetails"] == {}
    assert run.wire(2)["SubType"] == "RunInChildContext"
    assert run.details(2) == {"Result": {"Payload": '"x"', "Truncated": False}}
    assert run.wire(4)["Name"] == "fails"
    assert run.details(4) == {"Error": {"Payload": BOOM_WIRE, "Truncated": False}}


def test_no_event_says_that_children_are_replayed():
    run = Run()
    run.invoke(
        context("START", "c"),
        context("SUCCEED", "c", payload="", replay_children=True),
        then=succeeded(),
    )

    assert run.details(2) == {"Result": {"Payload": "", "Truncated": False}}
    assert run.operation("c").replay_children


def test_a_wait_says_how_long_it_takes_and_when_it_ends():
    run = Run()
    run.invoke(wait("w", 3600, name="nap", sub_type="Wait"))
    run.later(3600)

    assert run.details(1) == {"Duration": 3600, "ScheduledEndTimestamp": stamp(3600)}
    assert run.wire(3) == {
        "EventType": "WaitSucceeded",
        "SubType": "Wait",
        "EventId": 4,
        "Id": "w",
        "Name": "nap",
        "EventTimestamp": stamp(3600),
        "WaitSucceededDetails": {"Duration": 3600},
    }


def test_a_cancelled_wait_never_ends():
    run = Run()
    run.begin()
    run.send(wait("w", 60))
    run.send(update("WAIT", "CANCEL", "w", error=BOOM))
    run.end(succeeded())

    assert run.kinds[2] == "WaitCancelled"
    assert run.details(2) == {"Error": {"Payload": BOOM_WIRE, "Truncated": False}}
    assert run.operation("w").status is OperationStatus.CANCELLED
    assert run.service.next_due() is None


def test_an_invocation_says_when_it_ran_and_its_request():
    run = Run()
    request_id = run.begin().request_id
    run.send(wait("w", 1))
    run.now += timedelta(seconds=0)
    run.end()

    assert run.wire(2) == {
        "EventType": "InvocationCompleted",
        "EventId": 3,
        "EventTimestamp": stamp(0),
        "InvocationCompletedDetails": {
            "StartTimestamp": stamp(0),
            "EndTimestamp": stamp(0),
            "RequestId": request_id,
        },
    }


# -- tokens ------------------------------------------------------------------------------------


def test_each_checkpoint_uses_up_its_token_and_gives_the_next():
    run = Run()
    run.begin()
    first = run.token
    run.send(step("START"))

    assert run.token != first
    stale = run.service.apply(START, CheckpointRequest((), checkpoint_token=first))
    assert stale == INVALID_TOKEN
    assert str(INVALID_TOKEN) == "InvalidParameterValueException: Invalid checkpoint token"
    run.send(step("SUCCEED"))


@pytest.mark.parametrize("token", [None, "", "bm90IG91cnM="])
def test_a_foreign_token_is_refused(token):
    run = Run()
    run.begin()
    run.token = token

    assert run.try_to_send(step("START")) == INVALID_TOKEN


def test_a_token_of_another_execution_s_arn_is_refused():
    run = Run()
    run.begin()
    request = CheckpointRequest(
        (), durable_execution_arn=run.service.arn + "x", checkpoint_token=run.token
    )

    assert run.service.apply(START, request) == INVALID_TOKEN


def test_the_token_of_an_ended_invocation_is_refused():
    run = Run()
    run.invoke(wait("w", 1))
    old = run.token
    assert run.try_to_send(step("START")) == INVALID_TOKEN

    run.later(1)
    run.begin()
    run.token = old
    assert run.try_to_send(step("START")) == INVALID_TOKEN


def test_a_request_sent_twice_is_applied_once():
    run = Run()
    run.begin()
    before = run.token
    first = run.send(callback(), client="c-1")
    events = list(run.service.events)

    run.token = before
    again = run.try_to_send(callback(), client="c-1")

    assert again == replace(first, effects=())
    assert first.effects
    assert run.service.events == events


def test_a_client_token_with_another_checkpoint_token_is_a_new_request():
    run = Run()
    run.begin()
    run.send(step("START", "a"), client="same")
    run.send(step("START", "b"), client="same")

    assert "b" in run.service.operations


def test_without_a_client_token_a_repeated_request_is_refused():
    run = Run()
    run.begin()
    before = run.token
    run.send(step("START"))
    run.token = before

    assert run.try_to_send(step("START")) == INVALID_TOKEN


def test_the_decision_of_an_execution_uses_up_the_token_for_good():
    run = Run()
    run.begin()
    before = run.token
    answer = run.send(update("EXECUTION", "SUCCEED", "any", payload='"big"'), client="c")

    assert answer.checkpoint_token is None
    assert run.try_to_send() == INVALID_TOKEN
    run.token = before
    assert run.try_to_send(client="c") == answer


@pytest.mark.parametrize("outcome", [succeeded(""), PENDING, exit_crash("r")])
def test_a_decided_execution_ends_with_its_invocation_whatever_that_answers(outcome):
    run = Run()
    run.invoke(update("EXECUTION", "SUCCEED", "any", payload='"big"'), then=outcome)

    assert run.kinds[1:] == ["InvocationCompleted", "ExecutionSucceeded"]
    assert ("Error" in run.details(1)) is isinstance(outcome, Crash)
    assert run.details(2) == {"Result": {"Payload": '"big"', "Truncated": False}}
    assert run.service.result == '"big"'
    assert run.execution.status is OperationStatus.SUCCEEDED


def test_an_execution_can_be_decided_to_have_failed():
    run = Run()
    run.invoke(update("EXECUTION", "FAIL", "any", error=BOOM), then=failed())

    assert run.kinds[1:] == ["InvocationCompleted", "ExecutionFailed"]
    assert run.service.error == BOOM


# -- what a checkpoint answers -----------------------------------------------------------------


def test_an_answer_brings_what_has_changed_since_the_last_one():
    run = Run()
    run.begin()
    first = run.send(wait("w", 5), step("START", "s"))
    assert [operation.id for operation in first.operations] == ["w", "s"]

    run.now += timedelta(seconds=5)
    second = run.send(step("SUCCEED", "s", payload="1"))

    assert [(o.id, o.status) for o in second.operations] == [
        ("w", OperationStatus.SUCCEEDED),
        ("s", OperationStatus.SUCCEEDED),
    ]
    assert run.send().operations == ()


def test_what_an_answer_has_brought_needs_no_further_invocation():
    run = Run()
    run.begin()
    run.send(wait("w", 5), callback())
    run.now += timedelta(seconds=5)
    run.send()
    run.end()

    assert not run.service.needs_invocation()


def test_what_happened_unheard_during_an_invocation_needs_another_one():
    run = Run()
    run.begin()
    run.send(wait("w", 5))
    run.later(5)
    run.end()

    assert run.service.needs_invocation()
    assert run.begin().input.updated_operation_ids == ("w",)


# -- state -------------------------------------------------------------------------------------


def test_the_first_invocation_is_handed_the_execution_alone():
    run = Run(ExecutionStart(input_payload='"in"'))
    handed = run.begin().input

    assert [operation.type for operation in handed.operations] == [OperationType.EXECUTION]
    assert handed.operations[0].execution_details.input_payload == '"in"'
    assert handed.operations[0].id == handed.durable_execution_arn.rpartition("/")[2]
    assert handed.next_marker is None
    assert handed.updated_operation_ids == ()


def test_what_the_service_moved_is_named_in_the_invocation_input():
    run = Run()
    run.invoke(
        wait("w", 1),
        step("RETRY", "s", error=BOOM, next_attempt_delay_seconds=1),
        callback(),
        step("SUCCEED", "other"),
    )
    run.later(1)

    assert run.begin().input.updated_operation_ids == ("w", "s")


def handed_ids(run: Run) -> list[str]:
    return [operation.id for operation in run.begin().input.operations[1:]]


def test_children_of_a_completed_context_are_left_out_to_any_depth():
    run = Run()
    run.invoke(
        context("START", "outer"),
        context("START", "inner", "outer"),
        step("SUCCEED", "deep", parent_id="inner"),
        step("SUCCEED", "flat", parent_id="outer"),
        context("SUCCEED", "inner", "outer"),
        context("SUCCEED", "outer"),
        wait("w", 1),
    )
    run.later(1)

    assert handed_ids(run) == ["outer", "w"]


def test_children_of_a_context_with_replay_children_are_handed_over():
    run = Run()
    run.invoke(
        context("START", "outer"),
        context("START", "plain", "outer"),
        step("SUCCEED", "gone", parent_id="plain"),
        context("SUCCEED", "plain", "outer"),
        context("START", "kept", "outer"),
        step("SUCCEED", "deep", parent_id="kept"),
        context("SUCCEED", "kept", "outer", replay_children=True),
        context("SUCCEED", "outer", replay_children=True),
        wait("w", 1),
    )
    run.later(1)

    assert handed_ids(run) == ["outer", "plain", "kept", "deep", "w"]


def test_a_failed_context_hides_its_children_too():
    run = Run()
    run.invoke(
        context("START", "c"),
        step("FAIL", "s", parent_id="c", error=BOOM),
        context("FAIL", "c", error=BOOM),
        wait("w", 1),
    )
    run.later(1)

    assert handed_ids(run) == ["c", "w"]


def test_an_open_context_hides_nothing():
    run = Run()
    run.invoke(context("START", "c"), step("SUCCEED", "s", parent_id="c"), wait("w", 1))
    run.later(1)

    assert handed_ids(run) == ["c", "s", "w"]


def test_operations_that_start_below_a_hidden_open_context_are_hidden():
    run = Run()
    run.begin()
    run.send(context("START", "outer"), context("START", "open", "outer"))
    run.send(context("SUCCEED", "outer"))
    run.send(step("START", "late", parent_id="open"))
    run.send(wait("w", 1))
    run.end()
    run.later(1)

    assert handed_ids(run) == ["outer", "w"]


def test_children_of_an_open_context_below_a_completed_one_are_left_out_too():
    run = Run()
    run.invoke(
        context("START", "outer"),
        context("START", "open", "outer"),
        step("SUCCEED", "deep", parent_id="open"),
        context("SUCCEED", "outer"),
        wait("w", 1),
    )
    run.later(1)

    assert handed_ids(run) == ["outer", "w"]


def test_what_is_left_out_is_not_named_as_moved_but_still_wakes_the_handler():
    run = Run()
    run.invoke(
        context("START", "c"),
        wait("orphan", 1, parent_id="c"),
        context("SUCCEED", "c"),
        wait("w", 5),
    )
    run.later(1)

    assert run.service.needs_invocation()
    assert run.begin().input.updated_operation_ids == ()


def pages(run: Run, items: int | None = None) -> list[list[str]]:
    handed = run.invocation.input
    found, marker = [[o.id for o in handed.operations]], handed.next_marker
    while marker is not None:
        page = run.service.get_state(run.token, marker, items)
        found.append([o.id for o in page.operations])
        marker = page.next_marker
    return found


def test_state_is_paged_by_count_and_the_pages_add_up():
    run = Run(limits=replace(LIMITS, state_page_operations=4))
    run.invoke(*(wait(f"w{number}", 1) for number in range(10)))
    run.later(1)
    run.begin()

    found = pages(run)

    assert [len(page) for page in found] == [4, 4, 3]
    assert [each for page in found for each in page] == list(run.service.operations)


def test_state_is_paged_by_size_and_a_large_operation_goes_alone():
    run = Run(limits=replace(LIMITS, state_page_bytes=4_000))
    run.invoke(
        step("SUCCEED", "small", payload="1"),
        step("SUCCEED", "large", payload="x" * 10_000),
        step("SUCCEED", "last", payload="1"),
        wait("w", 1),
    )
    run.later(1)
    run.begin()

    assert [page[-1] for page in pages(run)] == ["small", "large", "w"]


def test_a_page_has_a_hundred_operations_unless_asked_otherwise():
    run = Run(limits=replace(LIMITS, operations=10_000))
    run.begin()
    run.send(*(step("START", f"s{number}") for number in range(1500)))

    assert len(run.service.get_state(run.token).operations) == 100
    assert len(run.service.get_state(run.token, max_items=0).operations) == 100
    assert len(run.service.get_state(run.token, max_items=7).operations) == 7
    assert len(run.service.get_state(run.token, max_items=5000).operations) == 1000


def test_state_is_for_the_invocation_that_runs():
    run = Run()
    assert run.service.get_state("any") == INVALID_TOKEN
    run.invoke(wait("w", 1))

    assert run.service.get_state(run.token) == INVALID_TOKEN


def test_a_marker_is_good_until_the_next_checkpoint():
    run = Run(limits=replace(LIMITS, state_page_operations=1))
    run.invoke(wait("w", 1))
    run.later(1)
    marker = run.begin().input.next_marker

    assert run.service.get_state(run.token, marker).operations[0].id == "w"
    assert run.service.get_state(run.token, "nonsense") == INVALID_MARKER
    run.send(step("START", "s"))
    assert run.service.get_state(run.token, marker) == INVALID_MARKER


# -- time --------------------------------------------------------------------------------------


def test_a_short_callback_timeout_comes_before_a_long_wait():
    run = Run()
    run.invoke(wait("w", 3600), callback(timeout=5))

    assert run.service.next_due() == START + timedelta(seconds=5)
    run.later(7200)

    assert [(e.event_type, e.timestamp) for e in run.service.events[4:]] == [
        ("CallbackTimedOut", START + timedelta(seconds=5)),
        ("WaitSucceeded", START + timedelta(seconds=3600)),
    ]


def test_what_is_due_at_one_moment_happens_in_the_order_of_its_setting():
    run = Run()
    run.invoke(wait("late", 2), wait("second", 1), wait("third", 1))
    run.later(2)

    ends = [e.id for e in run.service.events if e.event_type == "WaitSucceeded"]
    assert ends == ["second", "third", "late"]


def test_no_event_says_that_a_retry_is_ready():
    run = Run()
    run.invoke(step("RETRY", error=BOOM, next_attempt_delay_seconds=5))
    assert run.operation("a").step_details.next_attempt_timestamp == START + timedelta(seconds=5)
    before = list(run.kinds)
    assert not run.service.needs_invocation()
    run.later(5)

    assert run.kinds == before
    assert run.operation("a").status is OperationStatus.READY
    assert run.operation("a").step_details.next_attempt_timestamp is None
    assert run.service.needs_invocation()


def test_an_execution_that_runs_for_too_long_is_ended():
    run = Run(ExecutionStart(execution_timeout_seconds=60))
    run.invoke(wait("w", 3600))
    run.later(3600)

    assert run.kinds[3:] == ["ExecutionTimedOut"]
    assert run.details(3) == {
        "Error": {
            "Payload": {"ErrorMessage": "Execution timed out after 60 seconds."},
            "Truncated": False,
        }
    }
    assert run.service.events[3].timestamp == START + timedelta(seconds=60)
    assert run.service.status is ExecutionStatus.TIMED_OUT
    assert run.service.next_due() is None
    assert not run.service.needs_invocation()


def test_an_execution_without_a_timeout_waits_for_ever():
    run = Run()
    run.invoke(callback())

    assert run.service.next_due() is None
    assert [operation.id for operation in run.service.waiting_operations()] == ["cb"]


def test_the_end_of_an_execution_stops_the_invocation_that_runs():
    run = Run(ExecutionStart(execution_timeout_seconds=60))
    run.begin()
    run.now += timedelta(seconds=61)

    assert run.try_to_send(step("START")) == INVALID_TOKEN
    run.end(succeeded())
    assert run.kinds[1:] == ["ExecutionTimedOut", "InvocationCompleted"]


# -- callbacks ---------------------------------------------------------------------------------


def with_callback(**options) -> tuple[Run, str]:
    run = Run()
    run.begin()
    answer = run.send(callback(**options))
    (created,) = answer.effects
    assert isinstance(created, CallbackCreated)
    assert (created.operation_id, created.name) == ("cb", "approval")
    run.end()
    return run, created.callback_id


def test_a_callback_says_its_id_and_its_timeouts():
    run, callback_id = with_callback(timeout=5, heartbeat=3)

    assert run.details(1) == {"CallbackId": callback_id, "Timeout": 5, "HeartbeatTimeout": 3}
    assert run.operation("cb").callback_details.callback_id == callback_id


def test_a_callback_without_timeouts_says_none():
    run, callback_id = with_callback(timeout=0)

    assert run.details(1) == {"CallbackId": callback_id}


def test_a_callback_that_succeeds():
    run, callback_id = with_callback(timeout=60)
    run.now += timedelta(seconds=1)

    assert run.service.answer(run.now, CallbackSuccess(callback_id, '"yes"')) is None
    assert run.wire(3)["EventTimestamp"] == stamp(1)
    assert run.details(3) == {"Result": {"Payload": '"yes"', "Truncated": False}}
    assert run.operation("cb").result == '"yes"'
    assert run.service.next_due() is None, "its timeout is gone"
    assert run.begin().input.updated_operation_ids == ("cb",)


def test_a_callback_that_fails():
    run, callback_id = with_callback()

    assert run.service.answer(run.now, CallbackFailure(callback_id, BOOM)) is None
    assert run.kinds[3] == "CallbackFailed"
    assert run.details(3) == {"Error": {"Payload": BOOM_WIRE, "Truncated": False}}


@pytest.mark.parametrize(
    ("options", "message", "kind"),
    [
        ({"timeout": 5}, "Callback timed out", "Callback.Timeout"),
        ({"heartbeat": 5}, "Callback timed out on heartbeat", "Callback.Heartbeat"),
    ],
)
def test_the_event_of_a_callback_that_times_out_leaves_out_the_message_in_the_state(
    options, message, kind
):
    run, _ = with_callback(**options)
    run.later(5)

    assert run.kinds[3] == "CallbackTimedOut"
    assert run.details(3) == {"Error": {"Payload": {"ErrorType": kind}, "Truncated": False}}
    assert run.operation("cb").error == ErrorObject(message, kind)
    assert run.operation("cb").status is OperationStatus.TIMED_OUT
    assert run.service.needs_invocation()


def test_a_heartbeat_starts_its_timeout_anew_and_writes_no_event():
    run, callback_id = with_callback(heartbeat=5, timeout=20)
    before = list(run.kinds)
    for _ in range(3):
        run.later(4)
        assert run.service.answer(run.now, CallbackHeartbeat(callback_id)) is None

    assert run.kinds == before
    assert not run.service.needs_invocation()
    assert run.service.next_due() == START + timedelta(seconds=17)


def test_a_heartbeat_does_not_put_off_the_timeout():
    run, callback_id = with_callback(heartbeat=5, timeout=6)
    run.later(4)
    run.service.answer(run.now, CallbackHeartbeat(callback_id))
    run.later(10)

    assert run.service.events[3].timestamp == START + timedelta(seconds=6)


def test_an_unknown_callback_is_not_found():
    run, _ = with_callback()

    refusal = run.service.answer(run.now, CallbackSuccess("bm9uZQ=="))

    assert (refusal.code, refusal.status_code) == ("ResourceNotFoundException", 404)


@pytest.mark.parametrize("answer", [CallbackSuccess, CallbackHeartbeat])
def test_a_callback_that_is_closed_takes_no_answer(answer):
    run, callback_id = with_callback(timeout=5)
    run.later(5)
    before = list(run.service.events)

    refusal = run.service.answer(run.now, answer(callback_id))

    assert refusal.code == "CallbackTimeoutException"
    assert run.service.events == before


def test_a_callback_result_over_one_mib_is_refused():
    run, callback_id = with_callback()

    refusal = run.service.answer(run.now, CallbackSuccess(callback_id, "x" * (1024 * 1024 + 1)))

    assert refusal.limit == 1024 * 1024
    assert run.operation("cb").status is OperationStatus.STARTED


def test_scheduled_answers_come_in_order_with_everything_else():
    run, callback_id = with_callback(timeout=5)
    run.service.schedule(START + timedelta(seconds=3), CallbackSuccess(callback_id, "1"))
    run.service.schedule(START + timedelta(seconds=9), CallbackSuccess(callback_id, "2"))
    run.later(10)

    assert run.kinds[3:] == ["CallbackSucceeded"]
    (refused,) = run.service.refused_answers
    assert refused.moment == START + timedelta(seconds=9)
    assert refused.refusal.code == "CallbackTimeoutException"


# -- chained invokes ---------------------------------------------------------------------------


def with_invoke(run: Run | None = None, **options) -> tuple[Run, CheckpointAnswer]:
    run = run or Run()
    run.begin()
    answer = run.send(invoke(payload='"in"', **options))
    run.end()
    return run, answer


ARN = re.compile(
    r"arn:([a-zA-Z0-9-]+):lambda:([a-zA-Z0-9-]+):(\d{12}):function:([a-zA-Z0-9_-]+)"
    r":(\$LATEST(?:\.PUBLISHED)?|[0-9]+)/durable-execution/([a-zA-Z0-9_-]+)/([a-zA-Z0-9_-]+)"
)


def test_a_chained_invoke_says_all_of_its_target():
    run, answer = with_invoke(function="echo:7", tenant_id="t-1")

    (requested,) = answer.effects
    assert isinstance(requested, InvokeRequested)
    assert (requested.operation_id, requested.payload, requested.tenant_id) == ("i", '"in"', "t-1")
    details = run.details(1)
    assert details == {
        "FunctionName": "echo:7",
        "TenantId": "t-1",
        "Input": {"Payload": '"in"', "Truncated": False},
        "ExecutedVersion": "7",
        "DurableExecutionArn": requested.execution_arn,
    }
    assert ARN.fullmatch(details["DurableExecutionArn"])


@pytest.mark.parametrize(
    ("function", "version"),
    [
        ("echo", "$LATEST"),
        ("echo:$LATEST", "$LATEST"),
        ("echo:live", "$LATEST"),
        ("arn:aws:lambda:eu-west-1:123456789012:function:echo", "$LATEST"),
        ("arn:aws:lambda:eu-west-1:123456789012:function:echo:3", "3"),
    ],
)
def test_a_qualifier_names_the_version_that_is_executed(function, version):
    run, _ = with_invoke(function=function)

    assert run.details(1)["ExecutedVersion"] == version
    assert ":function:echo:" in run.details(1)["DurableExecutionArn"]


def test_a_plain_function_has_no_execution_of_its_own():
    run, answer = with_invoke(Run(resolve=lambda _: InvokeTarget(durable=False)))

    assert "DurableExecutionArn" not in run.details(1)
    assert answer.effects[0].execution_arn is None


def test_a_target_that_does_not_exist_fails_at_once():
    missing = ErrorObject(message="Function not found", type="ResourceNotFoundException")
    run = Run(resolve=lambda _: InvokeTarget(error=missing))
    run.begin()
    answer = run.send(invoke(payload='"in"'))

    assert answer.effects == ()
    assert answer.operations[0].status is OperationStatus.FAILED
    assert run.kinds[1:] == ["ChainedInvokeStarted", "ChainedInvokeFailed"]
    assert run.details(1) == {"FunctionName": "echo"}


@pytest.mark.parametrize(
    ("result", "event", "details"),
    [
        (
            InvokeResult("i", OperationStatus.SUCCEEDED, '"out"'),
            "ChainedInvokeSucceeded",
            {"Result": {"Payload": '"out"', "Truncated": False}},
        ),
        (
            InvokeResult("i", OperationStatus.FAILED, error=BOOM),
            "ChainedInvokeFailed",
            {"Error": {"Payload": BOOM_WIRE, "Truncated": False}},
        ),
        (
            InvokeResult("i", OperationStatus.STOPPED, error=BOOM),
            "ChainedInvokeStopped",
            {"Error": {"Payload": BOOM_WIRE, "Truncated": False}},
        ),
        (
            invoke_timed_out("i", 7),
            "ChainedInvokeTimedOut",
            {
                "Error": {
                    "Payload": {
                        "ErrorMessage": "CHAINED_INVOKE timed out after 7 seconds.",
                        "ErrorType": "ChainedInvoke.Timeout",
                    },
                    "Truncated": False,
                }
            },
        ),
    ],
)
def test_a_chained_invoke_ends_as_its_target_does(result, event, details):
    run, _ = with_invoke()
    assert run.service.answer(run.now, result) is None

    assert run.kinds[3] == event
    assert run.details(3) == details
    assert run.operation("i").status is result.status
    assert run.begin().input.updated_operation_ids == ("i",)


def test_a_result_over_one_mib_makes_a_chained_invoke_fail():
    run, _ = with_invoke()
    run.service.answer(
        run.now, InvokeResult("i", OperationStatus.SUCCEEDED, "x" * (1024 * 1024 + 1))
    )

    assert run.details(3)["Error"]["Payload"] == {
        "ErrorMessage": "CHAINED_INVOKE output payload size must be less than or equal to "
        "1048576 bytes."
    }


def test_a_chained_invoke_ends_once():
    run, _ = with_invoke()
    result = InvokeResult("i", OperationStatus.SUCCEEDED, "1")
    run.service.answer(run.now, result)

    assert isinstance(run.service.answer(run.now, result), Refusal)
    assert isinstance(
        run.service.answer(run.now, InvokeResult("none", OperationStatus.SUCCEEDED)), Refusal
    )


# -- stopping ----------------------------------------------------------------------------------


def test_a_stopped_execution_does_nothing_any_more():
    run, callback_id = with_callback(timeout=5)

    assert run.service.answer(run.now, Stop(BOOM)) is None
    assert run.kinds[3:] == ["ExecutionStopped"]
    assert run.details(3) == {"Error": {"Payload": BOOM_WIRE, "Truncated": False}}
    assert run.service.answer(run.now, CallbackSuccess(callback_id)) is not None
    assert run.service.answer(run.now, Stop()) is None, "stopping twice is no error"
    run.later(10)
    assert run.kinds[3:] == ["ExecutionStopped"]


def test_a_decided_execution_cannot_be_stopped():
    run = Run()
    run.begin()
    run.send(update("EXECUTION", "SUCCEED", "any", payload="1"))
    run.service.answer(run.now, Stop())
    run.end()

    assert run.service.status is ExecutionStatus.SUCCEEDED


# -- how invocations end -----------------------------------------------------------------------


def test_a_crashed_invocation_says_so_and_is_tried_again():
    run = Run()
    request_id = run.begin().request_id
    run.send(step("START"))
    run.end(exit_crash(request_id))

    assert run.kinds[2:] == ["InvocationCompleted"]
    error = run.details(2)["Error"]["Payload"]
    assert error["ErrorType"] == "Runtime.ExitError"
    assert request_id in error["ErrorMessage"]
    assert not run.service.needs_invocation()
    assert run.service.next_due() == START + timedelta(seconds=5)
    run.later(5)
    assert run.begin().retry
    run.send(step("SUCCEED", payload="1"))
    run.end(succeeded())
    assert run.kinds[3:] == ["StepSucceeded", "InvocationCompleted", "ExecutionSucceeded"]


def test_an_answer_from_outside_does_not_wait_for_the_retry():
    run = Run()
    run.begin()
    callback_id = run.send(callback()).effects[0].callback_id
    run.end(timeout_crash("r", 3))
    run.later(1)
    run.service.answer(run.now, CallbackSuccess(callback_id))

    run.begin()
    assert run.service.next_due() is None, "the retry is taken back"


def test_an_execution_fails_after_five_crashes_in_a_row():
    run = Run()
    for _ in range(5):
        run.invoke(then=Crash(BOOM))
        run.later(5)

    assert run.kinds[1:] == ["InvocationCompleted"] * 5 + ["ExecutionFailed"]
    assert run.service.error == BOOM


def test_a_clean_invocation_starts_the_count_anew():
    run = Run(policy=InvocationPolicy(attempts=2))
    run.invoke(wait("w", 10), then=Crash(BOOM))
    run.later(5)
    run.invoke()
    run.later(5)
    run.invoke(then=Crash(BOOM))

    assert not run.service.is_over


def test_pending_with_nothing_pending_is_tried_three_times():
    run = Run()
    for _ in range(3):
        run.invoke()
        run.later(5)

    assert run.kinds[1:] == ["InvocationCompleted"] * 3 + ["ExecutionFailed"]
    expected = {
        "ErrorMessage": "Cannot return PENDING status with no pending operations.",
        "ErrorType": "InvalidParameterValueException",
    }
    assert run.details(1)["Error"]["Payload"] == expected
    assert run.details(4)["Error"]["Payload"] == expected


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (
            InvocationOutput(InvocationStatus.FAILED, result="1"),
            "Cannot provide a Result for FAILED status.",
        ),
        (
            InvocationOutput(InvocationStatus.SUCCEEDED, error=BOOM),
            "Cannot provide an Error for SUCCEEDED status.",
        ),
        (InvocationOutput(None), "Response status is required"),
    ],
)
def test_an_answer_that_contradicts_itself_fails_the_execution(output, message):
    run = Run()
    run.invoke(then=output)

    assert run.kinds[1:] == ["InvocationCompleted", "ExecutionFailed"]
    assert run.details(2)["Error"]["Payload"] == {
        "ErrorMessage": message,
        "ErrorType": "InvalidParameterValueException",
    }


def test_an_answer_over_6_mib_less_50_bytes_comes_to_nothing():
    limit = 6 * 1024 * 1024 - 50
    fits, over = Run(), Run()
    fits.invoke(then=succeeded("x" * limit))
    over.invoke(then=succeeded("x" * (limit + 1)))

    assert fits.service.status is ExecutionStatus.SUCCEEDED
    error = over.details(1)["Error"]["Payload"]
    assert error["ErrorType"] == "Function.ResponseSizeTooLarge"
    assert str(limit + 1) in error["ErrorMessage"]
    assert not over.service.is_over


def test_only_one_invocation_runs_at_a_time():
    run = Run()
    run.begin()
    assert not run.service.needs_invocation()
    with pytest.raises(RuntimeError):
        run.service.begin_invocation(run.now)
    run.end(succeeded())
    with pytest.raises(RuntimeError):
        run.service.begin_invocation(run.now)
    with pytest.raises(RuntimeError):
        run.end(succeeded())


# -- determinism -------------------------------------------------------------------------------


def story(start: ExecutionStart) -> list[dict]:
    run = Run(start)
    run.begin()
    created = run.send(callback(timeout=9), invoke(), step("START")).effects
    run.end(exit_crash("r"))
    run.later(5)
    run.invoke(step("SUCCEED", payload="1"))
    run.service.answer(run.now, CallbackSuccess(created[0].callback_id))
    return [event_to_wire(event) for event in run.service.events] + [{"token": run.token}]


def test_the_same_start_gives_the_same_history_to_the_byte():
    assert story(ExecutionStart(seed=7)) == story(ExecutionStart(seed=7))
    assert story(ExecutionStart(seed=7)) != story(ExecutionStart(seed=8))


def test_made_ids_have_the_shapes_that_the_service_gives_them():
    run = Run()
    run.begin()
    callback_id = run.send(callback()).effects[0].callback_id

    assert ARN.fullmatch(run.service.arn)
    for text in (run.token, callback_id):
        assert re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", text)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", run.invocation.request_id)
    assert Run(ExecutionStart(arn=run.service.arn)).service.arn == run.service.arn
