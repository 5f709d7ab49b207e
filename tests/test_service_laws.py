"""Laws of the simulated service, over runs of any updates, answers and pauses, good and bad."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from durable_core.fold import fold, visible
from durable_core.model import (
    ChainedInvokeOptions,
    CheckpointRequest,
    ErrorObject,
    InvocationOutput,
    InvocationStatus,
    Operation,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
)
from durable_core.service.simulated import SimulatedService
from durable_core.service.values import (
    CallbackFailure,
    CallbackHeartbeat,
    CallbackSuccess,
    Crash,
    ExecutionStart,
    InvocationPolicy,
    InvokeResult,
    Refusal,
    Stop,
)

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
BOOM = ErrorObject(message="boom", type="ValueError")
IDS = ["a", "b", "c", "d", "e"]

updates = st.builds(
    OperationUpdate,
    id=st.sampled_from(IDS),
    type=st.sampled_from([kind for kind in OperationType if kind is not OperationType.EXECUTION]),
    action=st.sampled_from(OperationAction),
    parent_id=st.sampled_from([None, None, *IDS]),
    name=st.sampled_from([None, None, "name"]),
    payload=st.sampled_from([None, "1", "é" * 40]),
    error=st.sampled_from([None, None, BOOM]),
    replay_children=st.sampled_from([None, True]),
    next_attempt_delay_seconds=st.sampled_from([None, 0, 1, 3]),
    wait_seconds=st.sampled_from([None, 1, 5]),
    callback_timeout_seconds=st.sampled_from([None, 4]),
    callback_heartbeat_seconds=st.sampled_from([None, 2]),
    chained_invoke=st.just(ChainedInvokeOptions("echo")),
)


@st.composite
def likely_updates(draw: st.DrawFn) -> OperationUpdate:
    """An update of the kind that is mostly accepted, so that runs get somewhere."""
    kind, action = draw(
        st.sampled_from(
            [
                ("CONTEXT", "START"),
                ("CONTEXT", "SUCCEED"),
                ("CONTEXT", "FAIL"),
                ("STEP", "START"),
                ("STEP", "SUCCEED"),
                ("STEP", "RETRY"),
                ("STEP", "FAIL"),
                ("WAIT", "START"),
                ("WAIT", "CANCEL"),
                ("CALLBACK", "START"),
                ("CHAINED_INVOKE", "START"),
            ]
        )
    )
    fails = action == "FAIL" or (action == "RETRY" and draw(st.booleans()))
    letter = {"CONTEXT": "a", "STEP": "b", "WAIT": "c", "CALLBACK": "d", "CHAINED_INVOKE": "e"}
    number = draw(st.integers(0, 2))
    return OperationUpdate(
        id=f"{letter[kind]}{number}",
        type=OperationType(kind),
        action=OperationAction(action),
        parent_id=None if number == 0 else f"a{number - 1}",
        payload=None if fails or action == "START" else draw(st.sampled_from([None, "1"])),
        error=BOOM if fails else None,
        replay_children=draw(st.sampled_from([None, True])) if kind == "CONTEXT" else None,
        next_attempt_delay_seconds=draw(st.integers(1, 3)) if action == "RETRY" else None,
        wait_seconds=draw(st.integers(1, 5)) if kind == "WAIT" and action == "START" else None,
        callback_timeout_seconds=draw(st.sampled_from([None, 4])),
        callback_heartbeat_seconds=draw(st.sampled_from([None, 2])),
        chained_invoke=ChainedInvokeOptions("echo") if kind == "CHAINED_INVOKE" else None,
    )


requests = st.tuples(
    st.just("request"), st.lists(st.one_of(likely_updates(), likely_updates(), updates), max_size=4)
)
moves = st.one_of(
    requests,
    requests,
    requests,
    st.tuples(st.just("later"), st.integers(0, 4)),
    st.tuples(st.just("end"), st.sampled_from(["pending", "crash"])),
    st.tuples(st.just("callback"), st.sampled_from(["success", "failure", "heartbeat"])),
    st.tuples(st.just("invoke"), st.sampled_from(["SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED"])),
)
endings = st.sampled_from([None, "succeeded", "failed", "decided", "stopped"])


class Player:
    """Plays moves against a service, and says what each came to."""

    def __init__(self) -> None:
        self.now = START
        policy = InvocationPolicy(attempts=1000, empty_pending_attempts=1000)
        self.service = SimulatedService(ExecutionStart(input_payload='"in"'), START, policy=policy)
        self.token: str | None = None

    def play(self, move: tuple[str, object]) -> object:
        kind, what = move
        if kind == "later":
            self.now += timedelta(seconds=what)
            return self.service.tick(self.now)
        if kind == "callback":
            return self.answer_callback(str(what))
        if kind == "invoke":
            return self.answer_invoke(OperationStatus(what))
        self.ensure_invocation()
        if kind == "end":
            crash = Crash(BOOM)
            pending = InvocationOutput(InvocationStatus.PENDING)
            return self.end(crash if what == "crash" else pending)
        return self.request(*what)

    def ensure_invocation(self) -> None:
        if not self.service.in_flight:
            self.token = self.service.begin_invocation(self.now).input.checkpoint_token

    def request(self, *given_updates: OperationUpdate) -> object:
        request = CheckpointRequest(given_updates, checkpoint_token=self.token)
        answer = self.service.apply(self.now, request)
        if not isinstance(answer, Refusal):
            self.token = answer.checkpoint_token
        return answer

    def end(self, outcome: InvocationOutput | Crash) -> None:
        self.service.end_invocation(self.now, outcome)

    def first(self, kind: OperationType) -> Operation | None:
        waiting = self.service.waiting_operations()
        return next((each for each in waiting if each.type is kind), None)

    def answer_callback(self, how: str) -> object:
        operation = self.first(OperationType.CALLBACK)
        if operation is None or operation.callback_details is None:
            return None
        callback_id = operation.callback_details.callback_id or ""
        answers = {
            "success": CallbackSuccess(callback_id, '"yes"'),
            "failure": CallbackFailure(callback_id, BOOM),
            "heartbeat": CallbackHeartbeat(callback_id),
        }
        return self.service.answer(self.now, answers[how])

    def answer_invoke(self, status: OperationStatus) -> object:
        operation = self.first(OperationType.CHAINED_INVOKE)
        if operation is None:
            return None
        good = status is OperationStatus.SUCCEEDED
        result = InvokeResult(operation.id, status, "1" if good else None, None if good else BOOM)
        return self.service.answer(self.now, result)

    def finish(self, how: str | None) -> None:
        if how == "stopped":
            self.service.answer(self.now, Stop())
        if how is None or how == "stopped":
            return
        self.ensure_invocation()
        if how == "decided":
            kind, action = OperationType.EXECUTION, OperationAction.SUCCEED
            self.request(OperationUpdate("decision", kind, action, payload="1"))
        status = InvocationStatus.FAILED if how == "failed" else InvocationStatus.SUCCEEDED
        result, error = (None, BOOM) if how == "failed" else ('"out"', None)
        self.end(InvocationOutput(status, result, error))


def without_replay_children(operation: Operation) -> Operation:
    """No event says ReplayChildren, so that a history can't give it back."""
    details = operation.context_details
    if details is None:
        return operation
    return replace(operation, context_details=replace(details, replay_children=None))


def service_operations(service: SimulatedService) -> Iterator[tuple[str, Operation]]:
    for key, operation in service.operations.items():
        if operation.type is not OperationType.EXECUTION:
            yield key, without_replay_children(operation)


def assert_the_events_say_it_all(player: Player) -> None:
    service = player.service
    folded = fold(service.events, now=player.now)
    said = {key: recorded.operation for key, recorded in folded.operations.items()}
    assert said == dict(service_operations(service))
    assert list(said) == [key for key, _ in service_operations(service)]
    facts = folded.execution
    assert (facts.status, facts.result, facts.error, facts.id) == (
        service.status,
        service.result,
        service.error,
        service.arn.rpartition("/")[2],
    )


def snapshot(service: SimulatedService) -> object:
    return (
        dict(service.operations),
        list(service.events),
        service.next_due(),
        service.needs_invocation(),
        service.waiting_operations(),
    )


@settings(deadline=None, max_examples=150)
@given(st.lists(moves, max_size=25), endings)
def test_the_events_fold_into_the_service_s_own_operations(given_moves, ending):
    player = Player()
    for move in given_moves:
        player.play(move)
        assert_the_events_say_it_all(player)
    player.finish(ending)
    assert_the_events_say_it_all(player)


@settings(deadline=None, max_examples=150)
@given(st.lists(moves, max_size=25))
def test_a_refused_request_changes_nothing(given_moves):
    player = Player()
    for move in given_moves:
        if move[0] == "request":
            player.ensure_invocation()
            player.service.tick(player.now)
        before = snapshot(player.service)
        token = player.token
        if isinstance(player.play(move), Refusal):
            assert snapshot(player.service) == before
            assert player.token == token


@settings(deadline=None)
@given(st.lists(moves, max_size=25), endings)
def test_events_are_numbered_and_never_go_back_in_time(given_moves, ending):
    player = Player()
    for move in given_moves:
        player.play(move)
    player.finish(ending)
    events = player.service.events

    assert [event.event_id for event in events] == list(range(1, len(events) + 1))
    assert [event.timestamp for event in events] == sorted(event.timestamp for event in events)


@settings(deadline=None)
@given(st.lists(moves, max_size=25))
def test_an_invocation_is_handed_what_the_events_and_replay_children_give(given_moves):
    player = Player()
    for move in given_moves:
        player.play(move)
    if player.service.in_flight:
        player.end(Crash(BOOM))
    operations = list(player.service.operations.values())
    rebuilt = {each.id: each.replay_children for each in operations}

    handed = player.service.begin_invocation(player.now).input

    assert list(handed.operations) == visible(operations, rebuilt)
    assert set(handed.updated_operation_ids) <= {each.id for each in handed.operations}


@settings(deadline=None)
@given(st.lists(moves, max_size=25))
def test_the_count_of_what_is_waited_for_is_right(given_moves):
    player = Player()
    for move in given_moves:
        player.play(move)
        waiting = len(player.service.waiting_operations())
        assert player.service._store.waiting == waiting


@settings(deadline=None)
@given(st.lists(moves, max_size=25), endings)
def test_the_same_moves_give_the_same_history(given_moves, ending):
    histories = []
    for _ in range(2):
        player = Player()
        for move in given_moves:
            player.play(move)
        player.finish(ending)
        histories.append(list(player.service.events))

    assert histories[0] == histories[1]
