"""The logger of a native context while its handler is verified."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from durable_core.native.logger import Logger, LoggerInterface


class UnmutedLogger(Logger):
    """Logs whether or not it was logged before: what a call raises is raised in every execution
    that comes to it for the first time. `watch` watches over each call.
    """

    def __init__(
        self,
        logger: LoggerInterface,
        extra: Mapping[str, object],
        watch: Callable[[], AbstractContextManager[None]],
    ) -> None:
        super().__init__(logger, extra)
        self._watch = watch

    def _log(
        self,
        log: Callable[..., Any],
        msg: object,
        args: Sequence[object],
        extra: Mapping[str, object] | None,
    ) -> None:
        with self._watch():
            super()._log(log, msg, args, extra)
