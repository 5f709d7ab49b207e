"""Handlers written with AWS's SDK, verified against what they recorded.

The user's own installation of the SDK names every operation (its ids, sub-types, defaults), so that
an upgrade that changes one shows. What an operation then does is put in its place at four methods
that the SDK has had since 1.7 (`replay_attach`): it is answered from the record or ends there
(`replay_run`). No step body, submitter, check or invoke is reached.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from inspect import signature
from typing import Any, Final, cast

from durable_core.ids import BLAKE2B
from durable_core.model import (
    ExecutionDetails,
    InvocationInput,
    Operation,
    OperationStatus,
    OperationType,
)
from durable_core.raised import format_exception
from durable_core.runtimes.aws_python.attach import attached_sdk
from durable_core.runtimes.aws_python.installed import SdkChanged, found_below, is_aws_handler
from durable_core.runtimes.aws_python.replay_attach import VerifyingClient, load_parts, running
from durable_core.runtimes.aws_python.replay_run import ReplayRun
from durable_core.runtimes.aws_python.replay_shapes import as_sdk
from durable_core.runtimes.lambda_environment import BEGAN, REQUEST_ID
from durable_core.sandbox.threads.patches import schedulable
from durable_core.sandbox.threads.scheduler import Scheduler
from durable_core.sandbox.threads.tasks import Stuck
from durable_core.sandbox.threads.turns import first_come
from durable_core.service.clock import VirtualClock
from durable_core.service.simulated import SimulatedService
from durable_core.service.values import Invocation
from durable_core.simulation.link import ServiceLink, context_of
from durable_core.verifying.consequences import ReplayRuntime
from durable_core.verifying.differences import compare_final_result, note_end
from durable_core.verifying.handler_state import HandlerState
from durable_core.verifying.session import ReplaySession
from durable_core.verifying.traces import BodyEnd, BodyOutcome

PLUGINS: Final = "DURABLE_EXECUTION_PLUGINS"
"""The variable that names plugins for every handler (`plugin_discovery.py`, 3.0.0)."""


class AwsReplayer:
    """Runs one `@durable_execution` handler under sessions.

    Raises SdkMissing and SdkChanged.
    """

    scheme: Final = BLAKE2B

    def __init__(self, handler: Callable[[Any, Any], object]) -> None:
        self._sdk = attached_sdk()
        self._parts = load_parts(self._sdk.version)
        self._run: ReplayRun | None = None
        self.function = _users_function(handler)
        self._state = HandlerState([self.function])
        with _without_plugins():
            self._handler = self._parts.durable_execution(self._spy_on(self.function))
        self.runtime = ReplayRuntime(
            f"AWS's SDK {self._sdk.version}", is_native=False, compares=self._parts.compares
        )

    def _spy_on(self, func: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """Wrap the user's function so that its end is seen, not only the SDK's answer to it."""

        @wraps(func)
        def spy(event: Any, context: Any) -> Any:
            run = self._run
            assert run is not None
            run.thread = threading.get_ident()
            # The SDK makes JSON of what is returned, and fails the execution where it can't.
            ended = run.look(run.session.root, lambda: run.returned(func(event, context)))
            if ended.outcome is BodyEnd.RETURNED:
                compare_final_result(run.session, ended.value)
            raise self._parts.suspend("verified")

        return spy

    def replay(self, session: ReplaySession, arn: str, *, in_turn: bool = False) -> None:
        """Run it once."""
        with self._state.run():
            self._replay(session, arn, in_turn)

    def _replay(self, session: ReplaySession, arn: str, in_turn: bool) -> None:
        self._run = run = ReplayRun(self._sdk, self._parts, session, arn)
        execution = Operation(
            id=arn.rpartition("/")[2],  # where the SDK looks for it
            type=OperationType.EXECUTION,
            status=OperationStatus.STARTED,
            start_timestamp=BEGAN,
            execution_details=ExecutionDetails(session.facts.input_payload),
        )
        given = InvocationInput(arn, "verified", (execution,))
        link = ServiceLink(
            cast(SimulatedService, None),  # nothing is ever sent
            Invocation(1, REQUEST_ID, given, retry=True),
            VirtualClock(BEGAN),
        )
        known = signature(self._sdk.invocation_input).parameters
        handed = self._sdk.invocation_input(
            durable_execution_arn=arn,
            checkpoint_token="verified",
            initial_execution_state=self._sdk.initial_state(
                operations=[as_sdk(self._sdk, execution)], next_marker=""
            ),
            service_client=VerifyingClient(self._sdk, self._parts, run),
            **({"updated_operation_ids": []} if "updated_operation_ids" in known else {}),
        )
        why = "it never called the handler"
        with _quiet(), running(run):
            try:
                call = partial(self._handler, handed, context_of(link))
                _one_at_a_time(call, run) if in_turn else call()
            except Exception as error:
                if session.root.outcome is not BodyEnd.NOT_RUN:
                    raise
                why = format_exception(error)
        if session.root.outcome is BodyEnd.NOT_RUN:
            session.doubt(
                f"AWS's SDK {self._sdk.version} can't begin with what is recorded: {why}",
                "give a history as the service returns it, to a version of the SDK that durable "
                "knows",
            )


def _one_at_a_time(call: Callable[[], object], run: ReplayRun) -> None:
    """Run a handler with its threads in turn, each until it waits, as they are simulated.

    Where all of them wait, for a value of one that has suspended, the handler does.
    """
    scheduler = Scheduler()
    try:
        with schedulable():
            scheduler.run(call, began=0, order=first_come)
    except Stuck:
        note_end(run.session, run.session.root, BodyOutcome(BodyEnd.SUSPENDED))
    finally:
        scheduler.close()


def _users_function(handler: Any) -> Callable[[Any, Any], Any]:
    """Return the function that `@durable_execution` decorates, whatever decorates that again."""
    layer: Any = found_below(handler)
    while is_aws_handler(layer):  # one layer, or two where plugins have their own
        layer = getattr(layer, "__wrapped__", None) or _in_closure(layer)
    if layer is None:
        raise SdkChanged("(unknown)", "a handler doesn't say which function it wraps")
    function: Callable[[Any, Any], Any] = layer
    return function


def _in_closure(layer: Any) -> Any:
    """Return the decorated function of a wrapper that doesn't say it, as before 3.0."""
    cells = zip(layer.__code__.co_freevars, layer.__closure__ or (), strict=True)
    return next((cell.cell_contents for name, cell in cells if name == "func"), None)


@contextmanager
def _without_plugins() -> Iterator[None]:
    """Keep the SDK from loading what the environment names: plugins send and write things."""
    names = os.environ.pop(PLUGINS, None)
    try:
        yield
    finally:
        if names is not None:
            os.environ[PLUGINS] = names


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the SDK from logging what it takes for failures of an invocation."""
    logger = logging.getLogger("aws_durable_execution_sdk_python")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
