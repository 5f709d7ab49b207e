"""What Lambda hands to a handler beside the event."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from durable_core.limits import FUNCTION_TIMEOUT_SECONDS
from durable_core.service.values import target_of
from durable_core.simulation.link import ServiceLink


class LambdaContext:
    """The context object of Lambda's Python runtime. The remaining time is virtual.

    `function_arn` is what was invoked, its qualifier included; the name and the version come from
    it. `elapsed` returns the seconds since the invocation `began`.
    """

    def __init__(
        self,
        function_arn: str,
        request_id: str,
        began: datetime,
        *,
        elapsed: Callable[[], float] = lambda: 0.0,
        memory_mb: int = 128,
        tenant_id: str | None = None,
    ) -> None:
        name = function_arn.partition(":function:")[2].partition(":")[0]
        self._elapsed = elapsed
        self.aws_request_id = request_id
        self.function_name = name
        self.function_version = target_of(function_arn).executed_version
        self.invoked_function_arn = function_arn
        self.memory_limit_in_mb = str(memory_mb)
        self.log_group_name = f"/aws/lambda/{name}"
        self.log_stream_name = f"{began:%Y/%m/%d}/[{self.function_version}]simulated"
        self.tenant_id = tenant_id
        self.client_context = None
        self.identity = None

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the invocation may go on."""
        passed = timedelta(seconds=self._elapsed())
        return max(0, FUNCTION_TIMEOUT_SECONDS * 1000 - passed // timedelta(milliseconds=1))

    def log(self, message: object) -> None:
        """Write a line of the function's log."""
        logging.getLogger().info("%s", message)


def context_of(link: ServiceLink, memory_mb: int = 128) -> LambdaContext:
    """Return the context of an invocation of a durable function."""
    invocation = link.invocation
    return LambdaContext(
        invocation.input.durable_execution_arn.partition("/")[0],
        invocation.request_id,
        link.began,
        elapsed=lambda: link.elapsed(),
        memory_mb=memory_mb,
        tenant_id=invocation.tenant_id,
    )
