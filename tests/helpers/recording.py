"""What many tests begin with: the history of a handler, and a handler held against a history."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from durable_core.history import RecordedHistory, history_of_events
from durable_core.runtimes.native.replay import NativeReplayer
from durable_core.simulation.outcome import Simulation
from durable_core.simulation.simulate import simulate
from durable_core.verifying.options import VerifyOptions
from durable_core.verifying.replay import verify_history
from durable_core.verifying.verification import Verification

Handler = Callable[..., Any]


def history_of(simulation: Simulation) -> RecordedHistory:
    return history_of_events("recorded", simulation.events, arn=simulation.arn)


def recorded(handler: Handler, event: Any = None, **given: Any) -> RecordedHistory:
    return history_of(simulate(handler, event, **given))


def verified(handler: Handler, history: RecordedHistory, **options: Any) -> Verification:
    return verify_history(NativeReplayer(handler), history, VerifyOptions(**options))


def recorded_by_aws(handler: Handler) -> RecordedHistory:
    """Return the history of an undecorated handler of AWS's SDK."""
    from aws_durable_execution_sdk_python import durable_execution

    from durable_core.runtimes.aws_python.runner import AwsSdkRunner

    return history_of(simulate(AwsSdkRunner(durable_execution(handler)), None))


def verified_by_aws(handler: Handler, history: RecordedHistory, **options: Any) -> Verification:
    from aws_durable_execution_sdk_python import durable_execution

    from durable_core.runtimes.aws_python.replay import AwsReplayer

    replayer = AwsReplayer(durable_execution(handler))
    return verify_history(replayer, history, VerifyOptions(**options))


def deployed(make: Callable[[bool], Handler], after: int) -> tuple[Simulation, int]:
    """Run the old code for some invocations, then the new; return how many there were."""
    invocations: list[int] = []

    async def handler(event: Any, ctx: Any) -> Any:
        invocations.append(1)
        return await make(len(invocations) > after)(event, ctx)

    return simulate(handler), len(invocations)


def result_of(simulation: Simulation) -> Any:
    assert simulation.error is None, simulation.error
    return json.loads(simulation.result or "null")
