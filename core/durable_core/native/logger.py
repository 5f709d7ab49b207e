"""A logger that says nothing while what it would say was said by an earlier invocation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol


class LoggerInterface(Protocol):
    """What a logger must have: `logging.Logger` has it."""

    def debug(self, msg: object, *args: object, extra: Mapping[str, object] | None = None) -> Any:
        """Log at level DEBUG."""

    def info(self, msg: object, *args: object, extra: Mapping[str, object] | None = None) -> Any:
        """Log at level INFO."""

    def warning(self, msg: object, *args: object, extra: Mapping[str, object] | None = None) -> Any:
        """Log at level WARNING."""

    def error(self, msg: object, *args: object, extra: Mapping[str, object] | None = None) -> Any:
        """Log at level ERROR."""

    def exception(
        self, msg: object, *args: object, extra: Mapping[str, object] | None = None
    ) -> Any:
        """Log at level ERROR, with the current exception."""


class Logger:
    """Passes on to another logger what is new, with the operation in `extra`.

    The keys of `extra` are those of AWS's Python SDK: executionArn, parentId, operationId,
    operationName, attempt.
    """

    def __init__(
        self,
        logger: LoggerInterface,
        extra: Mapping[str, object],
        is_replaying: Callable[[], bool] = lambda: False,
    ) -> None:
        self._logger = logger
        self._extra = extra
        self._is_replaying = is_replaying

    def get_logger(self) -> LoggerInterface:
        """Return the logger that this one passes on to."""
        return self._logger

    def for_operation(self, operation_id: str, name: str | None, attempt: int) -> Logger:
        """Return the logger for the body of a step or check: what runs is new."""
        named = {} if name is None else {"operationName": name}
        extra = {**self._extra, "operationId": operation_id, **named, "attempt": attempt}
        return Logger(self._logger, extra)

    def debug(self, msg: object, *args: object, extra: Mapping[str, object] | None = None) -> None:
        """Log at level DEBUG."""
        self._log(self._logger.debug, msg, args, extra)

    def info(self, msg: object, *args: object, extra: Mapping[str, object] | None = None) -> None:
        """Log at level INFO."""
        self._log(self._logger.info, msg, args, extra)

    def warning(
        self, msg: object, *args: object, extra: Mapping[str, object] | None = None
    ) -> None:
        """Log at level WARNING."""
        self._log(self._logger.warning, msg, args, extra)

    def error(self, msg: object, *args: object, extra: Mapping[str, object] | None = None) -> None:
        """Log at level ERROR."""
        self._log(self._logger.error, msg, args, extra)

    def exception(
        self, msg: object, *args: object, extra: Mapping[str, object] | None = None
    ) -> None:
        """Log at level ERROR, with the current exception."""
        self._log(self._logger.exception, msg, args, extra)

    def _log(
        self,
        log: Callable[..., Any],
        msg: object,
        args: Sequence[object],
        extra: Mapping[str, object] | None,
    ) -> None:
        if not self._is_replaying():
            log(msg, *args, extra={**self._extra, **(extra or {})})
