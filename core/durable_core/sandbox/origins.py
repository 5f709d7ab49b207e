"""Who started what: the line of the user's behind a thread, a task, a callback or a finalizer.

What runs there may have no frame of the user's (`Thread(target=os.remove)`, a pool's work,
`loop.call_later(0, path.mkdir)`), so that whoever starts something is noted when it is started:
which run of a handler it belongs to, and the line.
"""

from __future__ import annotations

import _thread
import asyncio
import atexit
import concurrent.futures.thread as pools
import re
import sys
import threading
import weakref
from asyncio import base_events, events
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import BuiltinFunctionType, FrameType, FunctionType
from typing import Any, Final, NamedTuple

from durable_core.sandbox.user_code import CodeLine, is_driver, is_users, shown

_id: Final = id
"""Python's own, which is not the one that a handler is given while what it reads is varied."""


class Origin(NamedTuple):
    """Who started something: a line of the user's, and the run that it belongs to."""

    line: CodeLine | None
    run: object | None


class Here(NamedTuple):
    """What runs now. `line` is the innermost of the user's; `began` says what it runs in, where
    that isn't the handler itself, and `started` who started that; `run` is what it belongs to."""

    line: CodeLine | None
    began: str
    started: CodeLine | None
    run: object | None

    def __str__(self) -> str:
        at = f" at {shown(self.line)}" if self.line is not None else ""
        if not self.began:
            return at
        by = f" started at {shown(self.started)}" if self.started is not None else ""
        return f"{at}, in {self.began}{by}"


class Origins:
    """What is known of the threads of this process, and of the work that they are given."""

    def __init__(self) -> None:
        self._threads: dict[int, Origin] = {}
        self._works = _ByIdentity()
        self._running: dict[int, object] = {}
        self._users = 0
        self._undo: list[Callable[[], None]] = []

    @contextmanager
    def noting(self, run: object) -> Iterator[None]:
        """Note what is started while the block runs, by this thread and by all that come of it."""
        ident = threading.get_ident()
        before = self._running.get(ident)
        self._running[ident] = run
        if not self._users:
            self._put_in_place()
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if before is None:
                del self._running[ident]
            else:
                self._running[ident] = before
            while self._undo and not self._users:
                self._undo.pop()()

    def busy_threads(self, run: object) -> list[int]:
        """Return the threads that lines of the user's started in a run and that do something now:
        one that waits for another thread without a limit does not."""
        found = [
            ident
            for ident, origin in list(self._threads.items())
            if origin.run is run and origin.line is not None
        ]
        if not found:
            return found
        frames = sys._current_frames()
        return [ident for ident in found if not _waits(frames.get(ident))]

    # -- who runs ------------------------------------------------------------------------------

    def here(self, frame: FrameType | None) -> Here:
        """Return what runs in this thread, seen from one of its frames."""
        line: CodeLine | None = None
        made: CodeLine | None = None
        began = ""
        started: CodeLine | None = None
        ident = threading.get_ident()
        while frame is not None:
            code = frame.f_code  # asked for once: an audit hook is told of it
            file = code.co_filename
            if line is None and not began and is_users(file):
                line = CodeLine(file, frame.f_lineno, code.co_name)
                if not file or file.startswith("<"):  # code from a text: whose text it is says more
                    line, made = None, made or line
            elif is_driver(frame) and ident in self._running:
                break
            carrier = _CARRIERS.get(_id(code))
            if carrier is not None and not began:
                origin = self._works.get(_carried(frame.f_locals["self"]))
                if carrier is not _CALLBACK:
                    return _in_work(line or made, carrier or _this_thread(ident), origin)
                if line is None and made is None and origin is not None and origin.line:
                    began, started = carrier, origin.line
            frame = frame.f_back
        line = line or made
        if ident in self._running:
            return Here(line, began, started, self._running[ident])
        origin = self._threads.get(ident, _NOBODY)
        if origin.line is None or began:
            return Here(line, began, started, origin.run)
        return Here(line, _this_thread(ident), origin.line, origin.run)

    def _now(self) -> Origin:
        """Return the origin of what is started now."""
        here = self.here(sys._getframe(2))
        return Origin(here.line or here.started, here.run)

    # -- noting who starts ---------------------------------------------------------------------

    def _put_in_place(self) -> None:
        self._replace(base_events.BaseEventLoop, "create_task", self._tasks)
        self._replace(events.Handle, "__init__", self._callbacks)
        self._replace(pools._WorkItem, "__init__", self._made)
        self._replace(weakref.finalize, "__init__", self._made)
        self._replace(atexit, "register", self._registers)
        for module in (_thread, threading):
            for name in _STARTS:
                if hasattr(module, name):
                    self._replace(module, name, self._starts)

    def _replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        original = getattr(owner, name)
        ours = wraps(original)(make(original))
        setattr(owner, name, ours)

        def undo() -> None:
            if getattr(owner, name) is ours:
                setattr(owner, name, original)

        self._undo.append(undo)

    def _tasks(self, original: Any) -> Any:
        def create_task(*args: Any, **keywords: Any) -> Any:
            task = original(*args, **keywords)
            if not _is_ours(sys._getframe(1)):
                self._works.note(task, self._now())
            return task

        return create_task

    def _callbacks(self, original: Any) -> Any:
        def init(handle: Any, callback: Any, *args: Any, **keywords: Any) -> None:
            original(handle, callback, *args, **keywords)
            # A task is noted when it is made.
            if not _is_nobodys(callback) and not _is_ours(sys._getframe(1)):
                self._works.note(handle, self._now())

        return init

    def _made(self, original: Any) -> Any:
        def init(made: Any, /, *args: Any, **keywords: Any) -> None:
            original(made, *args, **keywords)
            self._works.note(made, self._now())

        return init

    def _starts(self, original: Any) -> Any:
        def start(function: Any, *args: Any, **keywords: Any) -> Any:
            return original(_Begun(function, self._now(), self._threads), *args, **keywords)

        return start

    def _registers(self, original: Any) -> Any:
        def register(function: Any, *args: Any, **keywords: Any) -> Any:
            origin = self._now()
            is_ours = origin.run is None or not callable(function)
            begun = function if is_ours else _Begun(function, origin, self._threads)
            original(begun, *args, **keywords)
            return function

        return register


class _Begun:
    """A function that runs elsewhere, for whoever has it started: in a thread of its own, or when
    the process ends. It is equal to the function, by which that is unregistered."""

    def __init__(self, function: Any, origin: Origin, threads: dict[int, Origin]) -> None:
        self._function = function
        self._origin = origin
        self._threads = threads

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        ident = threading.get_ident()
        before = self._threads.get(ident)
        self._threads[ident] = self._origin
        try:
            return self._function(*args, **keywords)
        finally:
            if before is None:
                del self._threads[ident]
            else:
                self._threads[ident] = before

    def __eq__(self, other: object) -> bool:
        return self is other or bool(self._function == other)

    def __hash__(self) -> int:
        return hash(self._function)


_STARTS: Final = (
    *("start_new_thread", "start_new", "start_joinable_thread"),
    *("_start_new_thread", "_start_joinable_thread"),
)
"""What starts a thread: `threading` calls what it has imported of `_thread` as it is called there,
before Python 3.13 `_start_new_thread`, since then `_start_joinable_thread`."""

_CALLBACK: Final = "a callback or task"
_CARRIERS: Final = {
    _id(events.Handle._run.__code__): _CALLBACK,
    _id(pools._WorkItem.run.__code__): "",
    _id(weakref.finalize.__call__.__code__): "a finalizer",
}
"""The functions that run what was made elsewhere, and what that is; nothing: the thread's work."""
_NOBODY: Final = Origin(None, None)


def _is_nobodys(callback: Any) -> bool:
    """Return True for what a loop calls for a task, a step of it and its being woken, and for what
    asyncio and we have it call when a future is done: functions made for that one."""
    kind = type(callback)
    if kind is FunctionType:
        name = callback.__globals__.get("__name__")
        return bool(callback.__closure__) and type(name) is str and name.startswith(_NOBODYS)
    if kind is BuiltinFunctionType:
        return isinstance(callback.__self__, asyncio.Task)
    return kind.__name__ == "TaskStepMethWrapper"


def _is_ours(frame: FrameType | None) -> bool:
    """Return True where we have the loop do something: for no line of the user's."""
    while frame is not None:
        name = frame.f_globals.get("__name__")
        if type(name) is not str or _id(frame.f_code) in _CARRIERS:
            return False
        if not name.startswith("asyncio."):
            return name.startswith(_US)
        frame = frame.f_back
    return False


_US: Final = f"{__name__.partition('.')[0]}."
_NOBODYS: Final = (_US, "asyncio.")


def _carried(carrier: Any) -> Any:
    """Return what is noted of what a carrier runs: of a task's step, the task."""
    loop = asyncio._get_running_loop()
    if loop is None or not isinstance(carrier, events.Handle):
        return carrier
    return asyncio.current_task(loop) or carrier


def _in_work(line: CodeLine | None, what: str, origin: Origin | None) -> Here:
    if origin is None:
        return Here(line, "", None, None)
    return Here(line, what if origin.line is not None else "", origin.line, origin.run)


def _this_thread(ident: int) -> str:
    thread = threading._active.get(ident)  # type: ignore[attr-defined]  # makes none, as its own does
    name = None if thread is None else vars(thread).get("_name")
    return f"thread {_COUNTED.sub('', name)!r}" if type(name) is str else "a thread"


_COUNTED: Final = re.compile(r"(?<=^Thread)-\d+|(?<=^Dummy)-\d+|(?<=^ThreadPoolExecutor)-\d+")
"""Part of the names that Python gives to threads: other ones in each run, so not told."""


def _waits(frame: FrameType | None) -> bool:
    """Return True for a thread that is over, or waits until another one has it go on."""
    if frame is None:
        return True
    code = frame.f_code
    if code is pools._worker.__code__:
        return True
    return code is threading.Condition.wait.__code__ and frame.f_locals.get("timeout") is None


class _ByIdentity:
    """Something noted of objects, as long as those are there."""

    def __init__(self) -> None:
        self._noted: dict[int, tuple[object, Origin]] = {}
        self._unheld: deque[int] = deque()

    def note(self, thing: Any, origin: Origin) -> None:
        """Note who made it."""
        key = _id(thing)
        try:
            held: object = weakref.ref(thing, lambda _: self._noted.pop(key, None))
        except TypeError:  # a finalizer: nothing says when it is gone
            held = None
            self._unheld.append(key)
            if len(self._unheld) > _MOST_UNHELD:
                self._noted.pop(self._unheld.popleft(), None)
        self._noted[key] = held, origin

    def get(self, thing: object) -> Origin | None:
        """Return who made it, if that is known."""
        found = self._noted.get(_id(thing))
        return None if found is None else found[1]


_MOST_UNHELD: Final = 1_000
