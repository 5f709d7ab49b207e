"""How to reach the service. Light: every command that takes a SOURCE makes one."""

from __future__ import annotations

import os

from durable_core.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach the service. `profile`, `region` and `endpoint_url` as in AWS CLI.

    `max_rate` is in requests per second, over everything that one `LambdaApi` sends, retries
    included; the service allows 15 histories a second. None of `attempts` means what the
    environment or AWS's configuration says, else 6.
    """

    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    max_rate: float = 10.0
    timeout_seconds: float = 60.0
    attempts: int | None = None

    @property
    def endpoint(self) -> str:
        """The endpoint that was chosen, here or in the environment; empty for AWS's own."""
        return (
            self.endpoint_url
            or os.environ.get("AWS_ENDPOINT_URL_LAMBDA")
            or os.environ.get("AWS_ENDPOINT_URL")
            or ""
        )
