"""The queue between a handler of AWS's SDK and the SDK's thread that sends checkpoints."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakSet

SETTLING_SECONDS: Final = 1.0
"""How long `settle` waits for the SDK's thread, which takes microseconds unless it has died."""


class UpdateQueue(queue.Queue[Any]):
    """The SDK's queue of updates, whose reader doesn't wait for what can't come any more.

    The SDK's checkpoint thread reads it with a timeout: 0.1 s until it looks whether it is to stop,
    and 1 ms (before 2.0 0.1 s) for more updates to join a batch that somebody waits for. Here the
    read ends at once, as if the time were up, when the invocation is over, and when the only thread
    that there is waits for the batch. So no batch is another one than with all the time waited.
    """

    alone = True
    """Whether no map or parallel was seen yet: False for all where the SDK tells of none."""

    def __init__(self, taken: Callable[[Any], None]) -> None:
        super().__init__()
        self.stopping = False
        self._taken = taken
        self._unanswered: WeakSet[Any] = WeakSet()
        self._ended: BaseException | None = None
        self._waits = False
        self._settling = False
        self._has_news = False
        self._settled = threading.Event()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an item; note whether whoever adds it waits until it is sent.

        When its reader has ended nobody is left waiting.
        """
        answer = getattr(item, "completion_event", None)
        with self.mutex:
            if answer is not None:
                self._waits = True
                self._unanswered.add(answer)
            if self._ended is None:
                self._has_news = True
                self._put(item)
                self.unfinished_tasks += 1
                self.not_empty.notify()
            elif answer is not None:
                answer.set(self._ended)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next item. Raises queue.Empty in time, or when none can come."""
        if not block or timeout is None:
            return super().get(block, timeout)
        end = time.monotonic() + timeout
        with self.not_empty:
            while not self._qsize():
                left = end - time.monotonic()
                if left <= 0 or self.stopping or self._settling or (self.alone and self._waits):
                    self._waits = False
                    self._settled.set()
                    raise queue.Empty
                self.not_empty.wait(left)
            self.not_full.notify()
            item = self._get()
        self._taken(getattr(item, "operation_update", None))
        return item

    def settle(self) -> None:
        """Return when all that is queued has been sent. Never to be called by the queue's reader.

        The reader sends what it has read when it finds the queue empty; when it finds it empty once
        more, that is done.
        """
        with self.mutex:
            if not self._has_news:
                return
            self._has_news = False
            self._settling = True
            self.not_empty.notify_all()
        for _ in range(2):
            self._settled.clear()
            if self.stopping or not self._settled.wait(SETTLING_SECONDS):
                break
        with self.mutex:
            self._settling = False

    def stop(self) -> None:
        """Let nobody wait any more."""
        with self.mutex:
            self.stopping = True
            self.not_empty.notify_all()

    def end(self, error: BaseException) -> None:
        """Give `error` to all who wait for an answer, now or later: nobody reads any more."""
        with self.mutex:
            self._ended = error
            unanswered = [each for each in self._unanswered if not each.is_set()]
            self.queue.clear()
        for answer in unanswered:
            answer.set(error)
