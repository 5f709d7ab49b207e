"""Every refusal of a checkpoint request: its type, its message, and that nothing has changed."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from durable_core.limits import LIMITS, ServiceLimits
from durable_core.model import (
    ChainedInvokeOptions,
    CheckpointRequest,
    ErrorObject,
    OperationAction,
    OperationType,
    OperationUpdate,
)
from durable_core.service.simulated import SimulatedService
from durable_core.service.values import CheckpointAnswer, ExecutionStart, Refusal

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
BOOM = ErrorObject(message="boom", type="ValueError")


def update(kind: str, action: str, operation_id: str = "a", **fields) -> OperationUpdate:
    return OperationUpdate(operation_id, OperationType(kind), OperationAction(action), **fields)


def wait(operation_id: str = "a", seconds: int | None = 1, **fields) -> OperationUpdate:
    return update("WAIT", "START", operation_id, wait_seconds=seconds, **fields)


def invoke(operation_id: str = "a", function: str = "echo", **fields) -> OperationUpdate:
    tenant = fields.pop("tenant_id", None)
    options = ChainedInvokeOptions(function, tenant)
    return update("CHAINED_INVOKE", "START", operation_id, chained_invoke=options, **fields)


def service_after(
    before: list[OperationUpdate], *, chained: bool = False, limits: ServiceLimits = LIMITS
) -> tuple[SimulatedService, str]:
    service = SimulatedService(ExecutionStart(chained=chained), NOW, limits=limits)
    token = service.begin_invocation(NOW).input.checkpoint_token
    for each in before:
        answer = send(service, token, each)
        assert isinstance(answer, CheckpointAnswer), answer
        token = answer.checkpoint_token
    return service, token


def send(
    service: SimulatedService, token: str, *updates: OperationUpdate
) -> CheckpointAnswer | Refusal:
    return service.apply(NOW, CheckpointRequest(updates, checkpoint_token=token))


def snapshot(service: SimulatedService) -> object:
    return (
        dict(service.operations),
        list(service.events),
        service.next_due(),
        service.waiting_operations(),
        service.status,
    )


@dataclass(frozen=True)
class Case:
    name: str
    request: list[OperationUpdate]
    message: str
    before: tuple[OperationUpdate, ...] = ()


def shape(field: str, value: object, constraint: str, index: int = 1) -> str:
    return (
        f"1 validation error detected: Value '{value}' at 'updates.{index}.member.{field}' "
        f"failed to satisfy constraint: Member must {constraint}"
    )


STEP = update("STEP", "START")
CONTEXT = update("CONTEXT", "START")
IN_STEP = replace(STEP, id="b", parent_id="a")

CASES = [
    Case("unknown parent", [IN_STEP], "Invalid parent operation id."),
    Case("parent that is no context", [IN_STEP], "Invalid parent operation id.", (STEP,)),
    Case(
        "completed parent",
        [IN_STEP],
        "Invalid parent operation id.",
        (CONTEXT, update("CONTEXT", "SUCCEED", payload="1")),
    ),
    Case(
        "parent completed in the same request",
        [update("CONTEXT", "SUCCEED", payload="1"), IN_STEP],
        "Invalid parent operation id.",
        (CONTEXT,),
    ),
    Case("step that runs", [STEP], "Invalid current STEP state to start.", (STEP,)),
    Case(
        "step that waits for its retry",
        [STEP],
        "Invalid current STEP state to start.",
        (update("STEP", "RETRY", error=BOOM, next_attempt_delay_seconds=1),),
    ),
    Case(
        "end of a step that has ended",
        [update("STEP", "SUCCEED", payload="2")],
        "Invalid current STEP state to close.",
        (update("STEP", "SUCCEED", payload="1"),),
    ),
    Case(
        "failure of a step that has ended",
        [update("STEP", "FAIL", error=BOOM)],
        "Invalid current STEP state to close.",
        (update("STEP", "SUCCEED", payload="1"),),
    ),
    Case(
        "retry of a step that has ended",
        [update("STEP", "RETRY", error=BOOM, next_attempt_delay_seconds=1)],
        "Invalid current STEP state to re-attempt.",
        (update("STEP", "FAIL", error=BOOM),),
    ),
    Case("context twice", [CONTEXT], "Cannot start a CONTEXT that already exist.", (CONTEXT,)),
    Case(
        "end of a context that has ended",
        [update("CONTEXT", "FAIL", error=BOOM)],
        "Invalid current CONTEXT state to close.",
        (update("CONTEXT", "SUCCEED", payload="1"),),
    ),
    Case("wait twice", [wait()], "Cannot start a WAIT that already exist.", (wait(),)),
    Case(
        "cancelling no wait",
        [update("WAIT", "CANCEL")],
        "Cannot cancel a WAIT that does not exist or has already completed.",
    ),
    Case(
        "cancelling a wait twice",
        [update("WAIT", "CANCEL")],
        "Cannot cancel a WAIT that does not exist or has already completed.",
        (wait(), update("WAIT", "CANCEL")),
    ),
    Case(
        "callback twice",
        [update("CALLBACK", "START")],
        "Cannot start a CALLBACK that already exist.",
        (update("CALLBACK", "START"),),
    ),
    Case(
        "chained invoke twice",
        [invoke()],
        "Cannot start a CHAINED_INVOKE operation that already exists.",
        (invoke(),),
    ),
    *(
        Case(
            f"{action} of a {kind}",
            [update(kind, action)],
            "Invalid action for the given operation type.",
        )
        for kind, action in [
            ("STEP", "CANCEL"),
            ("CONTEXT", "RETRY"),
            ("CONTEXT", "CANCEL"),
            ("WAIT", "SUCCEED"),
            ("WAIT", "FAIL"),
            ("CALLBACK", "SUCCEED"),
            ("CHAINED_INVOKE", "SUCCEED"),
            ("EXECUTION", "START"),
            ("EXECUTION", "RETRY"),
        ]
    ),
    Case(
        "payload of a failed step",
        [update("STEP", "FAIL", payload="1")],
        "Cannot provide a Payload for FAIL action.",
    ),
    Case(
        "payload of a failed context",
        [update("CONTEXT", "FAIL", payload="1")],
        "Cannot provide a Payload for FAIL action.",
    ),
    Case(
        "payload of a failed execution",
        [update("EXECUTION", "FAIL", payload="1")],
        "Cannot provide a Payload for FAIL action.",
    ),
    Case(
        "error of a succeeded step",
        [update("STEP", "SUCCEED", error=BOOM)],
        "Cannot provide an Error for SUCCEED action.",
    ),
    Case(
        "error of a succeeded execution",
        [update("EXECUTION", "SUCCEED", error=BOOM)],
        "Cannot provide an Error for SUCCEED action.",
    ),
    Case(
        "retry with error and payload",
        [update("STEP", "RETRY", error=BOOM, payload="1", next_attempt_delay_seconds=1)],
        "Cannot provide both error and payload to RETRY a STEP.",
    ),
    Case(
        "retry without a delay",
        [update("STEP", "RETRY", error=BOOM)],
        "Invalid StepOptions for the given action.",
    ),
    Case(
        "wait without its time",
        [wait(seconds=None)],
        "Update for WAIT operation requires WaitOptions.",
    ),
    Case(
        "chained invoke without a target",
        [update("CHAINED_INVOKE", "START")],
        "Update for CHAINED_INVOKE operation requires ChainedInvokeOptions.",
    ),
    Case("function name", [invoke(function="a b")], "Invalid function ARN 'a b'"),
    Case(
        "tenant",
        [invoke(tenant_id="a*b")],
        "TenantId must be 1 to 256 characters matching [a-zA-Z0-9._:/=+-@ ].",
    ),
    Case(
        "other type",
        [update("CONTEXT", "SUCCEED")],
        "Inconsistent operation type.",
        (STEP,),
    ),
    Case(
        "other sub-type",
        [update("STEP", "SUCCEED", sub_type="Other")],
        "Inconsistent operation subtype.",
        (replace(STEP, sub_type="Step"),),
    ),
    Case(
        "other name",
        [update("STEP", "SUCCEED", name="other")],
        "Inconsistent operation name.",
        (replace(STEP, name="name"),),
    ),
    Case(
        "other parent",
        [update("STEP", "SUCCEED", parent_id="c")],
        "Inconsistent parent operation id.",
        (STEP, replace(CONTEXT, id="c")),
    ),
    Case(
        "two ends of one step",
        [update("STEP", "SUCCEED", payload="1"), update("STEP", "FAIL", error=BOOM)],
        "Cannot checkpoint multiple operations with the same ID.",
        (STEP,),
    ),
    Case(
        "a step started twice",
        [STEP, STEP],
        "Cannot checkpoint multiple operations with the same ID.",
    ),
    Case(
        "a step moved three times",
        [STEP, update("STEP", "SUCCEED"), update("STEP", "FAIL")],
        "Cannot checkpoint multiple operations with the same ID.",
    ),
    Case(
        "a wait started and cancelled",
        [wait(), update("WAIT", "CANCEL")],
        "Cannot checkpoint multiple operations with the same ID.",
    ),
    Case(
        "EXECUTION before the end",
        [update("EXECUTION", "SUCCEED", "e"), STEP],
        "EXECUTION checkpoint must be the last update.",
    ),
    Case(
        "EXECUTION twice",
        [update("EXECUTION", "SUCCEED", "e"), update("EXECUTION", "FAIL", "f")],
        "Cannot checkpoint multiple EXECUTION updates.",
    ),
    Case(
        "id with a blank",
        [update("STEP", "START", "a b")],
        shape("id", "a b", r"satisfy regular expression pattern: [a-zA-Z0-9\-_]+"),
    ),
    Case(
        "id that is too long",
        [update("STEP", "START", "a" * 65)],
        shape("id", "a" * 65, "have length less than or equal to 64"),
    ),
    Case(
        "empty parent id",
        [update("STEP", "START", parent_id="")],
        shape("parentId", "", "have length greater than or equal to 1"),
    ),
    Case(
        "name that is too long, of the second update",
        [STEP, update("STEP", "START", "b", name="n" * 257)],
        shape("name", "n" * 257, "have length less than or equal to 256", index=2),
    ),
    Case(
        "name that is not printable ASCII",
        [update("STEP", "START", name="café")],
        shape("name", "café", r"satisfy regular expression pattern: [\x20-\x7E]+"),
    ),
    Case(
        "sub-type that is too long",
        [update("STEP", "START", sub_type="s" * 33)],
        shape("subType", "s" * 33, "have length less than or equal to 32"),
    ),
    Case(
        "wait of no time",
        [wait(seconds=0)],
        shape("waitOptions.waitSeconds", 0, "have value greater than or equal to 1"),
    ),
    Case(
        "wait of more than a year",
        [wait(seconds=31_622_401)],
        shape("waitOptions.waitSeconds", 31_622_401, "have value less than or equal to 31622400"),
    ),
    Case(
        "retry without a pause",
        [update("STEP", "RETRY", error=BOOM, next_attempt_delay_seconds=0)],
        shape("stepOptions.nextAttemptDelaySeconds", 0, "have value greater than or equal to 1"),
    ),
    Case(
        "callback timeout below zero",
        [update("CALLBACK", "START", callback_timeout_seconds=-1)],
        shape("callbackOptions.timeoutSeconds", -1, "have value greater than or equal to 0"),
    ),
    Case(
        "heartbeat timeout that is too long",
        [update("CALLBACK", "START", callback_heartbeat_seconds=100_000_000)],
        shape(
            "callbackOptions.heartbeatTimeoutSeconds",
            100_000_000,
            "have value less than or equal to 99999999",
        ),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request_is_refused_with_the_service_s_own_words(case):
    service, token = service_after(list(case.before))
    before = snapshot(service)

    refusal = send(service, token, *case.request)

    assert isinstance(refusal, Refusal)
    assert refusal.code == "InvalidParameterValueException"
    assert refusal.message == case.message
    assert refusal.status_code == 400
    assert snapshot(service) == before


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_refused_request_leaves_no_trace_of_its_good_updates_either(case):
    service, token = service_after(list(case.before))
    before = snapshot(service)
    good = update("STEP", "START", "good")

    refusal = send(service, token, good, *case.request)

    assert isinstance(refusal, Refusal)
    assert snapshot(service) == before
    answer = send(service, token, good)
    assert isinstance(answer, CheckpointAnswer), "the token is still good"


KIB = 1024
STEP_TOO_LARGE = "STEP output payload size must be less than or equal to 262144 bytes"
SIZES = [
    ("STEP", "SUCCEED", 256 * KIB, STEP_TOO_LARGE),
    ("STEP", "RETRY", 256 * KIB, STEP_TOO_LARGE),
    ("CONTEXT", "SUCCEED", 256 * KIB, STEP_TOO_LARGE.replace("STEP", "CONTEXT")),
    (
        "CHAINED_INVOKE",
        "START",
        1024 * KIB,
        "CHAINED_INVOKE input payload size must be less than or equal to 1048576 bytes.",
    ),
    (
        "EXECUTION",
        "SUCCEED",
        6 * 1024 * KIB,
        "Execution output payload size must be less than or equal to 6291456 bytes.",
    ),
]


def sized(kind: str, action: str, payload: str) -> OperationUpdate:
    if kind == "CHAINED_INVOKE":
        return invoke(payload=payload)
    delay = 1 if action == "RETRY" else None
    return update(kind, action, payload=payload, next_attempt_delay_seconds=delay)


@pytest.mark.parametrize(("kind", "action", "limit", "message"), SIZES)
def test_a_payload_at_the_limit_is_stored_and_one_byte_more_is_refused(
    kind, action, limit, message
):
    service, token = service_after([])

    refusal = send(service, token, sized(kind, action, "x" * (limit + 1)))
    answer = send(service, token, sized(kind, action, "x" * limit))

    assert isinstance(refusal, Refusal)
    assert refusal.message == message
    assert (refusal.operation_id, refusal.size, refusal.limit) == ("a", limit + 1, limit)
    assert isinstance(answer, CheckpointAnswer)


def test_a_payload_is_measured_in_bytes_of_utf_8_and_not_in_characters():
    service, token = service_after([])
    payload = "é" * (128 * KIB)

    answer = send(service, token, update("STEP", "SUCCEED", payload=payload + "x"))

    assert isinstance(answer, Refusal)
    assert answer.size == 256 * KIB + 1


def test_the_result_of_an_execution_that_was_invoked_is_bound_like_that_of_an_invoke():
    service, token = service_after([], chained=True)
    big = update("EXECUTION", "SUCCEED", "e", payload="x" * (1024 * KIB + 1))

    refusal = send(service, token, big)

    assert isinstance(refusal, Refusal)
    assert refusal.message == (
        "Execution output payload size must be less than or equal to 1048576 bytes."
    )


def test_an_error_object_over_32_kib_of_json_is_refused():
    service, token = service_after([])
    frame = len('{"ErrorMessage": ""}')
    fits = ErrorObject(message="x" * (32 * KIB - frame))
    over = ErrorObject(message="x" * (32 * KIB - frame + 1))

    refusal = send(service, token, update("STEP", "FAIL", error=over))
    answer = send(service, token, update("STEP", "FAIL", error=fits))

    assert isinstance(refusal, Refusal)
    assert refusal.message == "Error object size must be less than 32768 bytes."
    assert isinstance(answer, CheckpointAnswer)


def test_more_operations_than_the_quota_are_refused():
    service, token = service_after([], limits=replace(LIMITS, operations=3))
    steps = tuple(update("STEP", "START", f"s{number}") for number in range(4))

    refusal = send(service, token, *steps)
    answer = send(service, token, *steps[:3])

    assert isinstance(refusal, Refusal)
    assert (refusal.operation_id, refusal.size, refusal.limit) == ("s3", 4, 3)
    assert "3" in refusal.message
    assert isinstance(answer, CheckpointAnswer)


def test_an_update_of_what_is_there_is_no_further_operation():
    service, token = service_after([STEP], limits=replace(LIMITS, operations=1))

    answer = send(service, token, update("STEP", "SUCCEED"))

    assert isinstance(answer, CheckpointAnswer)


def test_data_written_adds_up_over_the_whole_execution():
    service, token = service_after(
        [update("STEP", "SUCCEED", "a", payload="x" * 60)],
        limits=replace(LIMITS, stored_bytes=100),
    )

    refusal = send(service, token, update("STEP", "SUCCEED", "b", payload="x" * 41))
    answer = send(service, token, update("STEP", "SUCCEED", "b", payload="x" * 40))

    assert isinstance(refusal, Refusal)
    assert (refusal.size, refusal.limit) == (101, 100)
    assert isinstance(answer, CheckpointAnswer)


def test_a_limit_can_be_lifted():
    service, token = service_after([], limits=replace(LIMITS, payload_bytes=1_000_000))

    answer = send(service, token, update("STEP", "SUCCEED", payload="x" * 999_999))

    assert isinstance(answer, CheckpointAnswer)


ACCEPTED = [
    [STEP, update("STEP", "SUCCEED", payload="1")],
    [STEP, update("STEP", "RETRY", error=BOOM, next_attempt_delay_seconds=1)],
    [CONTEXT, IN_STEP, update("STEP", "SUCCEED", "b"), update("CONTEXT", "SUCCEED")],
    [update("STEP", "SUCCEED")],
    [update("CALLBACK", "START")],
    [update("CALLBACK", "START", callback_timeout_seconds=0)],
    [invoke(function="arn:aws:lambda:eu-west-1:123456789012:function:echo:7", tenant_id="t 1")],
    [STEP, update("EXECUTION", "SUCCEED", "anything")],
    [],
]


@pytest.mark.parametrize("request_", ACCEPTED, ids=range(len(ACCEPTED)))
def test_what_the_sdks_send_is_accepted(request_):
    service, token = service_after([])

    answer = send(service, token, *request_)

    assert isinstance(answer, CheckpointAnswer)
