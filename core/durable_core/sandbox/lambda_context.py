"""What Lambda hands to a handler beside the event.

Names and values are those of Lambda's Python runtime (`awslambdaric` 4.2, `lambda_context.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from durable_core.arns import version_of_function
from durable_core.limits import FUNCTION_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from durable_core.simulation.link import ServiceLink


class CognitoIdentity:
    """Who called: nobody that Cognito knows."""

    cognito_identity_id: str | None = None
    cognito_identity_pool_id: str | None = None

    def __repr__(self) -> str:
        return (
            f"CognitoIdentity([cognito_identity_id={self.cognito_identity_id},"
            f"cognito_identity_pool_id={self.cognito_identity_pool_id}])"
        )


class ClientContext:
    """What a mobile application's SDK says of itself when it invokes a function."""

    def __init__(self, custom: object = None, env: object = None, client: object = None) -> None:
        self.custom = custom
        self.env = env
        self.client = client

    def __repr__(self) -> str:
        return f"ClientContext([custom={self.custom},env={self.env},client={self.client}])"


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
        deadline = began + timedelta(seconds=FUNCTION_TIMEOUT_SECONDS)
        self._elapsed = elapsed
        self._epoch_deadline_time_in_ms = int(deadline.timestamp() * 1000)
        self.aws_request_id = request_id
        self.function_name = name
        self.function_version = version_of_function(function_arn)
        self.invoked_function_arn = function_arn
        self.memory_limit_in_mb = str(memory_mb)
        self.log_group_name = f"/aws/lambda/{name}"
        self.log_stream_name = f"{began:%Y/%m/%d}/[{self.function_version}]simulated"
        self.tenant_id = tenant_id
        self.client_context: ClientContext | None = None
        self.identity = CognitoIdentity()

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the invocation may go on."""
        passed = timedelta(seconds=self._elapsed())
        return max(0, FUNCTION_TIMEOUT_SECONDS * 1000 - passed // timedelta(milliseconds=1))

    def w3c(self) -> dict[str, str]:
        """Return the W3C trace context of the invocation: there is none."""
        return {}

    def log(self, message: object) -> None:
        """Write a line of the function's log. Raises what the message does when it says itself."""
        text = str(message)
        logging.getLogger().info("%s", text)

    def __repr__(self) -> str:
        names = (
            *("aws_request_id", "log_group_name", "log_stream_name", "function_name"),
            *("memory_limit_in_mb", "function_version", "invoked_function_arn"),
            *("client_context", "identity", "tenant_id"),
        )
        said = ",".join(f"{name}={getattr(self, name)}" for name in names)
        return f"LambdaContext([{said}])"


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
