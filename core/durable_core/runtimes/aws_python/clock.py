"""The clocks of an invocation of AWS's SDK, whose threads are scheduled: all show virtual time.

The SDK's own has to be exact: it compares the timers that the service hands it with it, and waits
for them. The handler's is `ThreadsClock`.
"""

from __future__ import annotations

import datetime
import sys
import time
from typing import Any, Final

from durable_core.runtimes.aws_python.installed import PACKAGE
from durable_core.sandbox.handler_clock import HandlerClock
from durable_core.sandbox.threads.scheduler import Scheduler
from durable_core.sandbox.threads.tasks import SECOND, current_task

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def attach_clock() -> None:
    """Give the SDK's modules clocks that read virtual time in scheduled threads, for good."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != PACKAGE:
            continue
        for attribute, real, ours in _REPLACEMENTS:
            if getattr(module, attribute, None) is real:
                setattr(module, attribute, ours)


class ThreadsClock(HandlerClock):
    """Serves the handler's code, in threads of a scheduler, with its virtual time."""

    def __init__(
        self, began: datetime.datetime, scheduler: Scheduler, *, real_durations: bool
    ) -> None:
        first = (began - _EPOCH) // datetime.timedelta(microseconds=1)
        super().__init__(
            began,
            lambda: max(0, scheduler.now - first) / SECOND,
            self._pass,
            real_durations=real_durations,
        )
        self._scheduler = scheduler

    def _pass(self, seconds: float) -> None:
        if current_task() is not None:
            self._scheduler.sleep(seconds)

    def sleep(self, seconds: float) -> bool:
        """Let the thread that runs sleep in virtual time, whoever's code asks for it."""
        if current_task() is None:
            return False
        self._scheduler.sleep(seconds)
        return True

    def wait(self, seconds: float) -> bool:
        """Hand waits that another thread may end to the scheduler."""
        return False


class _InPlaceOf:
    """A proxy of a module or a class, of which a subclass overrides some attributes."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Time(_InPlaceOf):
    def time(self) -> float:
        task = current_task()
        return time.time() if task is None else task.scheduler.now / SECOND


class _Class(_InPlaceOf):
    _utc = (0, _EPOCH)
    """The time that was shown last, which mostly is the next one too."""

    def now(self, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        task = current_task()
        if task is None:
            return datetime.datetime.now(tz)
        now, (shown, moment) = task.scheduler.now, self._utc
        if now != shown:
            moment = _EPOCH + datetime.timedelta(microseconds=now)
            self._utc = now, moment
        if tz is datetime.UTC:
            return moment
        return moment.astimezone(tz) if tz is not None else moment.astimezone().replace(tzinfo=None)


class _Module(_InPlaceOf):
    def __init__(self, real: Any) -> None:
        super().__init__(real)
        self.datetime = _Class(real.datetime)


_REPLACEMENTS: Final = (("time", time, _Time(time)), ("datetime", datetime, _Module(datetime)))
