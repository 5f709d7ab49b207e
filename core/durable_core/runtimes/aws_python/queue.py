"""The queue between a handler of AWS's SDK and the SDK's thread that sends checkpoints."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any, Final

from durable_core.sandbox.threads.tasks import ThreadTask, Wait, Waiter, current_task


class UpdateQueue(queue.Queue[Any]):
    """The SDK's queue of updates, whose reader waits in the order of the invocation's threads.

    The SDK's checkpoint thread reads it with a timeout: 0.1 s until it looks whether it is to stop,
    and 1 ms (before 2.0 0.1 s) for more updates to join those that it has taken. On virtual time
    the one is a look when nothing else happens, and the other as long as any other thread can go
    on: so a request holds what all threads queue until they wait, as it does in the cloud where
    they take less than that time.
    """

    def __init__(self, taken: Callable[[Any], None]) -> None:
        super().__init__()
        self.stopping = False
        self._taken = taken
        self._answers: list[Any] = []
        self._most_answers = _ANSWERS
        self._ended: BaseException | None = None
        self._reader: ThreadTask | None = None
        self._reading: Waiter | None = None
        self._gathers = False
        self._settling: Waiter | None = None

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an item. When its reader has ended nobody is left waiting."""
        answer = getattr(item, "completion_event", None)
        with self.mutex:
            if answer is not None:
                self._keep(answer)
            if self._ended is None:
                self._put(item)
                self.unfinished_tasks += 1
                self.not_empty.notify()
                self._wake_reader()
            elif answer is not None:
                answer.set(self._ended)

    def _keep(self, answer: Any) -> None:
        """Keep what an update's thread waits for, until it comes, or a while longer."""
        self._answers.append(answer)
        if len(self._answers) > self._most_answers:
            self._answers = self._unanswered()
            self._most_answers = _ANSWERS + 2 * len(self._answers)

    def _unanswered(self) -> list[Any]:
        return [each for each in self._answers if not each.is_set()]

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next item. Raises queue.Empty in time, or when none can come."""
        task = current_task()
        if not block or timeout is None:
            return super().get(block, timeout)
        if task is None:
            return self._get_in_time(timeout)
        self._reader = task
        if not self._qsize() and not self._wait_for_item(task):
            self._gathers = False
            raise queue.Empty
        with self.mutex:
            item = self._get()
        self._gathers = True
        self._taken(getattr(item, "operation_update", None))
        return item

    def _get_in_time(self, seconds: float) -> Any:
        """Read in real time, where nothing is scheduled, as while verifying; not after the stop."""
        with self.not_empty:
            self.not_empty.wait_for(lambda: self._qsize() or self.stopping, seconds)
            if not self._qsize():
                raise queue.Empty
            return self._get()

    def _wait_for_item(self, task: ThreadTask) -> bool:
        if self.stopping:
            return False
        if self._settling is not None:
            self._settling.release()  # it is sent what was gathered, or there is nothing
            if self._gathers:
                return False
        waiter = self._reading = Waiter(task)
        waiter.acquire()
        kind = Wait.PATIENT if self._gathers else Wait.POLLING
        task.scheduler.wait(waiter, kind=kind)
        self._reading = None
        return self._qsize() > 0

    def _wake_reader(self) -> None:
        if self._reading is not None:
            self._reading.release()

    @property
    def has_reader(self) -> bool:
        """Whether the queue's reader had its first turn."""
        return self._reader is not None

    def meet_reader(self) -> None:
        """Let the queue's reader have a first turn, before which it takes nothing."""
        task = current_task()
        if task is not None and self._reader is None and not self.stopping:
            waiter = Waiter(task)
            waiter.acquire()
            task.scheduler.wait(waiter, kind=Wait.PATIENT)

    def unsettled_reader(self) -> ThreadTask | None:
        """Return the queue's reader where something isn't sent."""
        is_settled = self.stopping or not (self._qsize() or self._gathers)
        return None if is_settled else self._reader

    def settle(self) -> None:
        """Return when all that is queued has been sent, and let no other thread go on meanwhile.
        Never to be called by the queue's reader."""
        task = current_task()
        if task is None or self._ended is not None:
            return
        self.meet_reader()
        if (reader := self._reader) is not None:
            with task.scheduler.preferring(reader, task):
                while (self._qsize() or self._gathers) and not self.stopping and not reader.ended:
                    self._settle_once(task)

    def _settle_once(self, task: ThreadTask) -> None:
        waiter = self._settling = Waiter(task)
        waiter.acquire()
        self._wake_reader()
        task.scheduler.wait(waiter, kind=Wait.PATIENT)
        self._settling = None

    def stop(self) -> None:
        """Let nobody wait any more."""
        with self.mutex:
            self.stopping = True
            self.not_empty.notify_all()
        self._wake_reader()

    def end(self, error: BaseException) -> None:
        """Give `error` to all who wait for an answer, now or later: nobody reads any more."""
        with self.mutex:
            self._ended = error
            unanswered, self._answers = self._unanswered(), []
            self.queue.clear()
        for answer in unanswered:
            answer.set(error)


_ANSWERS: Final = 1_000
"""How many answers are kept before it is looked which of them have come."""
