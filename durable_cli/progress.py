"""One line on stderr that says how far long work is. Nothing where stderr is no terminal."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType

from durable_cli.escapes import clean
from durable_cli.output import cell_len, fit, message
from durable_core.errors import DurableError

_SECONDS_BETWEEN = 0.1
_NAMED = 10


class Progress:
    """The line. May be told by several threads; is gone when the work is over."""

    def __init__(self) -> None:
        self._stream = sys.stderr  # a handler that runs meanwhile may be given another one
        self._is_shown = self._stream is not None and self._stream.isatty()
        self._lock = threading.Lock()
        self._shown_at = 0.0
        self._has_line = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear()

    def show(self, text: str) -> None:
        """Show the text instead of what was there, unless that has only just come."""
        if not self._is_shown:
            return
        with self._lock:
            now = time.monotonic()
            if now - self._shown_at < _SECONDS_BETWEEN:
                return
            import shutil

            width = shutil.get_terminal_size().columns - 1
            line = fit(clean(text), width, unicode=False)
            self._stream.write(f"\r{line}{' ' * (width - cell_len(line))}\r{line}")
            self._stream.flush()
            self._shown_at, self._has_line = now, True

    def clear(self) -> None:
        """Take the line away, so that something else can be written."""
        with self._lock:
            if self._has_line:
                import shutil

                self._stream.write(f"\r{' ' * (shutil.get_terminal_size().columns - 1)}\r")
                self._stream.flush()
            self._shown_at, self._has_line = 0.0, False


class Tally:
    """Counts what is done and says so: while it goes on, and at its end."""

    def __init__(self, wanted: int, progress: Progress) -> None:
        self._wanted = wanted
        self._written = 0
        self._events = 0
        self._missing: list[str] = []
        self._progress = progress

    def heard(self, events: int) -> None:
        """Count events that were read."""
        self._events += events
        done = self._written + len(self._missing)
        self._progress.show(f"{done:,} of {self._wanted:,} executions, {self._events:,} events")

    def more(self, executions: int) -> None:
        """Count executions in that turned up on the way."""
        self._wanted += executions

    def done(self, arn: str, error: DurableError | None) -> None:
        """Count an execution as written, or as missing and say why."""
        if error is None:
            self._written += 1
            return
        self._missing.append(arn)
        self._progress.clear()
        message(str(error))

    def say(self, place: str | None) -> None:
        """Say what was written and what is missing."""
        self._progress.clear()
        where = f" to {place}" if place else ""
        if self._wanted == 1:
            if self._written and place is not None:
                message(f"wrote {self._events:,} events{where}")
            return
        message(f"wrote {self._written:,} of {self._wanted:,} executions{where}{self._lacking()}")

    def _lacking(self) -> str:
        missing, unreached = self._missing, self._wanted - self._written - len(self._missing)
        more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
        named = f", missing: {', '.join(missing[:_NAMED])}{more}" if missing else ""
        return named + (f", not reached: {unreached:,}" if unreached else "")
