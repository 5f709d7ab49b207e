"""What Lambda hands to a handler beside the event."""

from __future__ import annotations

import logging
from datetime import timedelta

from durable_core.service_link import ServiceLink
from durable_core.simulate import FUNCTION_TIMEOUT_SECONDS


class LambdaContext:
    """The context object of Lambda's Python runtime. The remaining time is virtual.

    `function_name` and the version come from the ARN of the execution.
    """

    def __init__(self, link: ServiceLink, memory_mb: int = 128, tenant_id: str | None = None):
        invocation = link.invocation
        prefix, _, rest = invocation.input.durable_execution_arn.partition(":function:")
        qualified = rest.partition("/")[0]
        name, _, version = qualified.partition(":")
        self._link = link
        self.aws_request_id = invocation.request_id
        self.function_name = name
        self.function_version = version or "$LATEST"
        self.invoked_function_arn = f"{prefix}:function:{qualified}"
        self.memory_limit_in_mb = str(memory_mb)
        self.log_group_name = f"/aws/lambda/{name}"
        self.log_stream_name = f"{link.began:%Y/%m/%d}/[{self.function_version}]simulated"
        self.tenant_id = tenant_id
        self.client_context = None
        self.identity = None

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the invocation may go on."""
        passed = timedelta(seconds=self._link.elapsed())
        return max(0, FUNCTION_TIMEOUT_SECONDS * 1000 - passed // timedelta(milliseconds=1))

    def log(self, message: object) -> None:
        """Write a line of the function's log."""
        logging.getLogger().info("%s", message)
