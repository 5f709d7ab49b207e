"""The simulated service: one durable execution as a state machine with no clock inside.

It accepts checkpoints as the cloud does, or refuses them as the cloud does, and writes the events
that the cloud writes. Every call is given the time; whatever is due by then happens first, in the
order in which it is due. It never reads a clock, never waits, never draws a random number, and does
nothing outside: what the world has to do comes back as effects, and comes in again as answers.

Source: the published conformance requirements (2026-11), the service model (botocore 1.44) and,
where these are silent, AWS's Python testing library 1.4.0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from durable_core.limits import LIMITS, ServiceLimits
from durable_core.model import (
    CheckpointRequest,
    ErrorObject,
    Event,
    ExecutionStatus,
    InvocationInput,
    InvocationOutput,
    InvocationStatus,
    Operation,
    OperationStatus,
)
from durable_core.service.answers import (
    CALLBACK_CLOSED,
    EMPTY_PENDING,
    STOPPED,
    callback_answered,
    callback_timed_out,
    decision_of,
    invoke_answered,
    response_too_large,
    retry_ready,
    unknown_callback,
    wait_over,
)
from durable_core.service.changes import (
    Alarm,
    CallbackDue,
    Change,
    ExecutionDue,
    InvokeAgain,
    RetryDue,
    Scripted,
    Setting,
    WaitDue,
)
from durable_core.service.deterministic_ids import made_uuid
from durable_core.service.events import invocation_completed_details
from durable_core.service.invocation import (
    DEFAULT_PAGE_ITEMS,
    CheckpointTokens,
    InvocationRetries,
    RunningInvocation,
)
from durable_core.service.ledger import (
    NOT_PAUSED,
    NOT_RUNNING,
    PAUSED,
    RESUMED,
    SUPERSEDED,
    Ledger,
    Pausing,
)
from durable_core.service.request import Accepted, RequestDecision, examine
from durable_core.service.state import is_waiting
from durable_core.service.values import (
    INVALID_MARKER,
    INVALID_TOKEN,
    Answer,
    CallbackHeartbeat,
    CheckpointAnswer,
    Crash,
    ExecutionStart,
    Invocation,
    InvocationPolicy,
    InvokeResult,
    Pause,
    Refusal,
    RefusedAnswer,
    Resolver,
    Resume,
    StatePage,
    Stop,
    target_of,
)


class SimulatedService:
    """One execution at the service: `apply`, `tick`, `answer`, and the invocations in between.

    Whoever drives it calls `begin_invocation` whenever `needs_invocation`, and otherwise moves the
    time on to `next_due`. A call that returns a Refusal has changed nothing beyond what was due
    anyway.
    """

    def __init__(
        self,
        start: ExecutionStart,
        now: datetime,
        *,
        limits: ServiceLimits = LIMITS,
        policy: InvocationPolicy | None = None,
        resolve: Resolver = target_of,
        invalid_token: str = INVALID_TOKEN.message,
    ) -> None:
        self.start = start
        self.arn = start.execution_arn
        self.limits = limits
        self.status = ExecutionStatus.RUNNING
        self.result: str | None = None
        self.error: ErrorObject | None = None
        self.invocations = 0
        self.refused_answers: list[RefusedAnswer] = []
        self._because: str | None = None
        self._invalid_token = replace(INVALID_TOKEN, message=invalid_token)
        self._resolve = resolve
        self._ledger = Ledger(start, now)
        self.pausing = Pausing(self._ledger)
        self._store = self._ledger.store
        self._timers = self._ledger.timers
        self._flight: RunningInvocation | None = None
        self._tokens = CheckpointTokens(start)
        self._decision: RequestDecision | None = None
        self._retries = InvocationRetries(policy or InvocationPolicy(), self._timers)

    # -- looking at it -------------------------------------------------------------------------

    @property
    def events(self) -> Sequence[Event]:
        """Every event so far, in order. It only ever grows."""
        return self._ledger.events

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Every operation by its id, in the order of creation, the EXECUTION first."""
        return self._store.operations

    @property
    def is_over(self) -> bool:
        """True when the execution has ended."""
        return not self.status.is_open

    @property
    def in_flight(self) -> bool:
        """True while an invocation runs."""
        return self._flight is not None

    @property
    def cut_short(self) -> str | None:
        """Why the invocation that runs has got no token any more; None while it has one."""
        return None if self._flight is None else self._flight.cut

    @property
    def expected_timeout(self) -> datetime | None:
        """When the execution times out, extended by pauses; None where it has no timeout."""
        return self._ledger.timeout

    def waiting_operations(self) -> tuple[Operation, ...]:
        """Return the operations that wait for the service or for the world outside."""
        return tuple(each for each in self.operations.values() if is_waiting(each))

    def next_due(self) -> datetime | None:
        """Return when something happens next by itself, or None when nothing ever will."""
        return self._timers.next_due()

    def needs_invocation(self) -> bool:
        """Return True when the handler is to be invoked now.

        That is at first, when an invocation that came to nothing is to be tried again, and when the
        service has moved an operation since the handler last heard of it.
        """
        if self.status is not ExecutionStatus.RUNNING or self.in_flight:
            return False
        return self._retries.is_due or self._store.has_woken

    # -- time ----------------------------------------------------------------------------------

    def schedule(self, moment: datetime, answer: Answer) -> None:
        """Let an answer arrive at a moment; `refused_answers` has it if it is refused then."""
        if not self.is_over:
            self._timers.set(moment, Scripted(answer))

    def tick(self, now: datetime) -> tuple[Event, ...]:
        """Let everything happen that is due by now, each at its moment; return the new events."""
        first = len(self.events)
        while (taken := self._timers.take(now)) is not None:
            self._ring(*taken)
        return tuple(self.events[first:])

    def _ring(self, moment: datetime, alarm: Alarm) -> None:
        match alarm:
            case WaitDue(operation_id):
                self._wake(moment, wait_over(self.operations[operation_id], moment))
            case RetryDue(operation_id):
                self._wake(moment, retry_ready(self.operations[operation_id]))
            case CallbackDue(operation_id, heartbeat):
                operation = self.operations[operation_id]
                self._wake(moment, callback_timed_out(operation, moment, heartbeat=heartbeat))
            case Scripted(answer):
                refusal = self._take_answer(moment, answer)
                if refusal is not None:
                    self.refused_answers.append(RefusedAnswer(moment, answer, refusal))
            case InvokeAgain():
                self._retries.is_due = True
            case ExecutionDue():
                text = f"Execution timed out after {self.start.execution_timeout_seconds} seconds."
                self._cut_short(moment, ExecutionStatus.TIMED_OUT, ErrorObject(message=text))

    def _wake(self, now: datetime, change: Change) -> None:
        self._ledger.put(now, change, woken=True)

    # -- answers from outside ------------------------------------------------------------------

    def answer(self, now: datetime, answer: Answer) -> Refusal | None:
        """Take an answer from outside. Returns why it is refused, or None."""
        self.tick(now)
        return self._take_answer(now, answer)

    def _take_answer(self, now: datetime, answer: Answer) -> Refusal | None:
        match answer:
            case Stop(error):
                self._cut_short(now, ExecutionStatus.STOPPED, error or STOPPED)
                return None
            case Pause():
                return self._ask_for_pause(now, answer)
            case Resume(reason):
                return self._resume(now, reason)
            case InvokeResult(operation_id):
                current = None if self.is_over else self._store.get(operation_id)
                outcome = invoke_answered(current, answer, now, self.limits)
            case _:
                callback = self._ledger.callback(answer.callback_id)
                if callback is None:
                    return unknown_callback(answer.callback_id)
                if self.is_over or callback.status is not OperationStatus.STARTED:
                    return CALLBACK_CLOSED
                if isinstance(answer, CallbackHeartbeat):
                    self._ledger.beat(now, callback.id)
                    return None
                outcome = callback_answered(callback, answer, now, self.limits)
        if isinstance(outcome, Refusal):
            return outcome
        self._wake(now, outcome)
        return None

    # -- pauses --------------------------------------------------------------------------------

    def _ask_for_pause(self, now: datetime, asked: Pause) -> Refusal | None:
        if self.is_over or self.pausing.asked is not None:
            return NOT_RUNNING
        self.pausing.ask(now, asked)
        if self._flight is None:
            self._begin_pause(now)
        else:
            self.status = ExecutionStatus.PAUSING
            self._flight.over = PAUSED
        return None

    def _begin_pause(self, now: datetime) -> None:
        self.status = ExecutionStatus.PAUSED
        self.pausing.begin(now)

    def _resume(self, now: datetime, reason: str | None) -> Refusal | None:
        if self.is_over or self.pausing.asked is None:
            return NOT_PAUSED
        self.status = ExecutionStatus.RUNNING
        if self.pausing.has_begun:
            self._because = RESUMED
        elif self._flight is not None:
            self._flight.over = None  # the invocation that it waited for just goes on
        self.pausing.end(now, reason)
        return None

    def supersede(self) -> None:
        """Let a newer invocation take over: the one that runs gets no token any more.

        Raises RuntimeError when none runs.
        """
        if self._flight is None:
            raise RuntimeError("no invocation runs")
        self._flight.over = self._flight.over or SUPERSEDED

    def _cut_short(self, now: datetime, status: ExecutionStatus, error: ErrorObject) -> None:
        """End the execution from outside, unless its handler has decided it already."""
        if not self.is_over and self._decision is None:
            self._end(now, RequestDecision(status, error=error))

    def _end(self, now: datetime, decision: RequestDecision) -> None:
        self.status, self.result, self.error = decision.status, decision.result, decision.error
        self._tokens.current = None
        self.pausing.forget()
        self._ledger.end(now, decision)

    # -- checkpoints ---------------------------------------------------------------------------

    def apply(self, now: datetime, request: CheckpointRequest) -> CheckpointAnswer | Refusal:
        """Take a checkpoint request whole, or refuse it whole.

        A request that repeats the last one's client token and checkpoint token gets the first
        answer again and changes nothing.
        """
        self.tick(now)
        token, client = request.checkpoint_token, request.client_token
        if (repeated := self._tokens.repeated(token, client)) is not None:
            return repeated
        if token is None or token != self._tokens.current:
            return self._invalid_token
        if request.durable_execution_arn not in (None, self.arn):
            return self._invalid_token
        setting = Setting(now, self.arn, self._resolve)
        limit = self.start.result_limit(self.limits)
        accepted = examine(request.updates, self._store, setting, self.limits, result_limit=limit)
        if isinstance(accepted, Refusal):
            return accepted
        answer = self._commit(now, accepted)
        if self.cut_short is None:  # else, sent again, it is refused (testing library 1.4.0)
            self._tokens.remember(token, client, answer)
        return answer

    def _commit(self, now: datetime, accepted: Accepted) -> CheckpointAnswer:
        for change in accepted.changes:
            self._ledger.put(now, change)
        self._store.stored_bytes = accepted.stored_bytes
        self._decision = accepted.decision
        flight = self._flight
        operations: tuple[Operation, ...] = ()
        if flight is not None and flight.over is not None and accepted.decision is None:
            self._take_token_back(now, flight)
        else:
            operations = self._store.take_unseen()
            self._tokens.current = None if accepted.decision is not None else self._tokens.make()
        effects = (each.effect for each in accepted.changes if each.effect is not None)
        return CheckpointAnswer(
            checkpoint_token=self._tokens.current, operations=operations, effects=tuple(effects)
        )

    def _take_token_back(self, now: datetime, flight: RunningInvocation) -> None:
        """End an invocation that is over: what it wrote is kept, and it hears of nothing new."""
        flight.cut, self._tokens.current = flight.over, None
        if self.status is ExecutionStatus.PAUSING:
            self._begin_pause(now)

    # -- state ---------------------------------------------------------------------------------

    def get_state(
        self, token: str, marker: str | None = None, max_items: int | None = None
    ) -> StatePage | Refusal:
        """Return a page of what an invocation is handed, no larger than the limits allow.

        Without a marker the pages begin anew with the state of now. A marker goes on where its page
        ended, and is good until the next checkpoint.
        """
        flight = self._flight
        if flight is None or token != self._tokens.current:
            return self._invalid_token
        start = 0 if marker is None else flight.start_of(marker, token)
        if start is None:
            return INVALID_MARKER
        if marker is None:
            flight.view, flight.view_token = self._store.handed_over(), token
        items = max_items or DEFAULT_PAGE_ITEMS
        return flight.page(self._store, self.limits, start, items)

    # -- invocations ---------------------------------------------------------------------------

    def begin_invocation(self, now: datetime) -> Invocation:
        """Begin an invocation: what the handler is handed, with a token that is good for it alone.

        Raises RuntimeError while another one runs and when the execution is over or paused.
        """
        self.tick(now)
        if self.status is not ExecutionStatus.RUNNING or self.in_flight:
            raise RuntimeError("no invocation can begin now")
        self.invocations += 1
        is_retry = self._retries.begin()
        updated = self._store.forget_unseen()
        request_id = made_uuid("request", self.arn, self.start.seed, self.invocations)
        self._tokens.current = token = self._tokens.make()
        self._flight = RunningInvocation(request_id, now, self._store.handed_over(), token)
        page = self._flight.page(self._store, self.limits)
        handed = InvocationInput(self.arn, token, page.operations, page.next_marker, updated)
        because, self._because = self._because, None
        tenant = self.start.tenant_id
        return Invocation(self.invocations, request_id, handed, is_retry, tenant, because)

    def end_invocation(self, now: datetime, outcome: InvocationOutput | Crash) -> None:
        """End the invocation that runs, with what its handler answered or why it didn't.

        InvocationCompleted comes first, then the end of the execution where it has one. A crash,
        and PENDING while nothing is pending, are tried again some times; an answer that contradicts
        itself fails the execution at once. Raises RuntimeError when none runs.
        """
        flight = self._flight
        if flight is None:
            raise RuntimeError("no invocation runs")
        self.tick(now)
        self._flight = self._tokens.current = None
        error = self._failure_of(outcome, flight)
        details = invocation_completed_details(flight.started, now, flight.request_id, error)
        self._ledger.complete_invocation(now, details)
        if self.is_over:
            return
        if self._decision is not None:
            self._end(now, self._decision)
        elif error is not None:
            if not self._retries.fail(now, error):
                self._end(now, RequestDecision(ExecutionStatus.FAILED, error=error))
        elif isinstance(outcome, InvocationOutput):
            self._retries.succeed()
            decision = decision_of(outcome, self.start, self.limits)
            if decision is not None:
                self._end(now, decision)
            elif flight.cut is not None:
                self._retries.is_due = True
                self._because = self._because or flight.cut
        if self.status is ExecutionStatus.PAUSING:
            self._begin_pause(now)

    def _failure_of(
        self, outcome: InvocationOutput | Crash, flight: RunningInvocation
    ) -> ErrorObject | None:
        """Return why the invocation came to nothing, or None."""
        if isinstance(outcome, Crash):
            return outcome.error
        if self.is_over or self._decision is not None:
            return None
        pending = outcome.status is InvocationStatus.PENDING
        nothing = not self._store.waiting and not self._store.has_woken
        if pending and nothing and flight.cut is None:
            return EMPTY_PENDING
        return response_too_large(outcome, self.limits)
