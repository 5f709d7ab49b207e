"""The one audit hook of a process: who attempts what, and whether that is refused.

By Python's audit hooks, which see connections, subprocesses and changes of files before they
happen, whichever library makes them and in whatever thread. A hook can't be taken away again: it is
put in place once a process, and does nothing but while a handler is being verified.
"""

from __future__ import annotations

import importlib.machinery
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from importlib import _bootstrap_external
from importlib.util import find_spec, module_from_spec
from time import monotonic, sleep
from types import FrameType
from typing import Any, Final, NoReturn, Protocol, TextIO

from durable_core.sandbox import attempts, unaudited
from durable_core.sandbox.attempts import (
    WHAT,
    Reach,
    ReachesOut,
    described,
    is_code,
    is_harmless,
    is_of_libraries,
    text_of,
)
from durable_core.sandbox.guard_mode import GuardMode
from durable_core.sandbox.origins import Here, Origins


class Refused(PermissionError):
    """What the handler attempted was refused: it is being verified."""


class Watched(Protocol):
    """What the code that is watched over is run for, as far as the guard has to know it."""

    log_calls: int
    """How many calls of a logger go on: what they attempt is told by who makes them."""
    is_log_refused: bool

    def note(self, text: str) -> None:
        """Note something that is no finding."""


class GuardedRun:
    """One stretch of the user's code that is watched over, and who hears what it attempts.

    `during` says what is done with it, for what is raised. `of` is the history that it belongs to;
    None: it belongs to all, as what an import has started does.
    """

    def __init__(
        self,
        mode: GuardMode,
        tell: Callable[[str], None],
        during: str,
        of: object,
        watched_for: Watched | None = None,
    ) -> None:
        self.mode = mode
        self.tell = tell
        self.during = during
        self.of = of
        self.watched_for = watched_for
        self.is_import = False
        self._serdes: Reach | None = None
        self._serdes_thread = 0

    @contextmanager
    def over_serdes(self) -> Iterator[Reach]:
        """Refuse what a SerDes would do outside, whatever the mode: it isn't the handler that does
        it, and we call it."""
        before = self._serdes, self._serdes_thread
        self._serdes = reach = Reach()
        self._serdes_thread = threading.get_ident()
        writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            yield reach
        finally:
            self._serdes, self._serdes_thread = before
            sys.dont_write_bytecode = writes_bytecode

    @property
    def has_serdes(self) -> bool:
        """True while a SerDes does its work."""
        return self._serdes is not None

    def reads(self, args: tuple[Any, ...]) -> None:
        """Note that a file is opened to be read."""
        if self._serdes is not None and self._serdes.loaded is None:
            self._serdes.loaded = f"reading a file ({text_of(args[0])})"

    def attempts(self, here: Here, event: str, args: tuple[Any, ...], by: FrameType | None) -> None:
        """Tell an attempt of what runs in the frame `by`, and refuse it where that is the mode."""
        if args and type(args[0]) is GuardedRun:
            raise _Probed(self)
        what = described(event, args)
        if self._serdes is not None:
            self._refuse_serdes(self._serdes, what)
        if self.mode is GuardMode.OFF:
            return
        told = f"{what}{here}"
        if self.watched_for is not None and self.watched_for.log_calls:
            self.watched_for.is_log_refused = True
        elif not is_of_libraries(event, args, by):
            self._tell(here, told)
        if self.mode is GuardMode.BLOCK:
            raise Refused(f"{told} is refused {self.during}")

    def _refuse_serdes(self, reach: Reach, what: str) -> NoReturn:
        reach.refused = reach.refused or what
        if threading.get_ident() == self._serdes_thread:
            raise ReachesOut(what)  # no retry and no `except Exception` of a client gets in between
        raise Refused(f"{what} is refused while verifying")  # a thread of its own ends as ever

    def _tell(self, here: Here, told: str) -> None:
        by = here.run if isinstance(here.run, GuardedRun) else self
        if by.of is self.of or by.of is None or self.watched_for is None:
            self.tell(told)
        else:
            self.watched_for.note(f"a thread that the run of another history has left: {told}")


class _Probed(Exception):
    """The hook is still there. `run`: whose attempt it has taken it for."""

    def __init__(self, run: GuardedRun) -> None:
        self.run = run


class Hook:
    """What the hook knows: the runs that go on, and who started what.

    `resident`: in a process that does nothing else, the run that whatever thread belongs to, but
    for those that were there before. The first stands for the time between the runs.
    """

    def __init__(self, seal: Callable[[Callable[[str], None]], None]) -> None:
        self.seal = seal
        """Refuse from now on, and tell, whatever this hook is made to let through: to be called
        where nothing is to be let through any more. Only the first call counts."""
        self.is_on = False
        self._origins = Origins()
        self._running: list[GuardedRun] = []
        self._resident: list[GuardedRun] = []
        self._ours: frozenset[int] = frozenset()
        self._busy = threading.local()
        self._kept = ExitStack()
        self._scratch: str | None = None

    @contextmanager
    def watching(self, run: GuardedRun) -> Iterator[None]:
        """Watch over what this thread does while the block runs, and whatever comes of that."""
        self.is_on = True
        unaudited.tell()
        self._running.append(run)
        if self._resident:
            self._resident.append(run)
        try:
            with self._origins.noting(run):
                yield
        finally:
            with suppress(ValueError):  # a handler can take it out: `is_watching` sees that
                self._running.remove(run)
                if len(self._resident) > 1:
                    self._resident.remove(run)

    def stay(self, idle: GuardedRun) -> None:
        """Watch over all threads of this process from now on, but those that it has by now."""
        self.is_on = True
        others = {each.ident or 0 for each in threading.enumerate()}
        self._ours = frozenset(others - {threading.get_ident()})
        self._scratch = folder_for_temporary_files()
        self._resident.append(idle)
        self._kept.enter_context(self._origins.noting(idle))

    def wait_for_threads(self, run: GuardedRun, seconds: float) -> float:
        """Wait until what a run has started does nothing any more. Return the seconds it took."""
        began = monotonic()
        while self._origins.busy_threads(run) and monotonic() - began < seconds:
            sleep(0.002)
        return monotonic() - began

    def is_watching(self, run: GuardedRun) -> bool:
        """Return True when a file that is opened now would be seen, as one of the run's attempts:
        a run takes the place of the file's name."""
        try:
            sys.audit("open", run, "w", 0)
        except _Probed as probed:
            return probed.run is run
        except Exception:
            return False
        return False

    def sees(self, event: str, args: tuple[Any, ...]) -> None:
        """Hear of an audit event of those that are watched, two frames above who raised it."""
        if event == "import":
            self._imports(args[0])
            return
        if is_harmless(event, args):
            if event == "open" and any(each.has_serdes for each in self._running):
                self._reads(args)
            return
        if getattr(self._busy, "now", False):  # we only read: some code of the user's is called
            raise Refused("refused while verifying")
        self._busy.now = True
        try:
            frame = sys._getframe(1).f_back  # none where a builtin runs in no code
            here = self._origins.here(frame)
            run = self._run_of(here)
            if run is None or (run.is_import and is_common(event, args, frame, self._scratch)):
                return
            run.attempts(here, event, args, frame)
        finally:
            self._busy.now = False

    def _imports(self, name: str) -> None:
        if name not in unaudited.LATE or getattr(self._busy, "now", False):
            return
        if not self._running and not self._resident:
            return
        self._busy.now = True
        try:
            unaudited.tell_of(name)
        finally:
            self._busy.now = False

    def _reads(self, args: tuple[Any, ...]) -> None:
        run = None if is_code(args) else self._run_of(self._origins.here(sys._getframe(2).f_back))
        if run is not None:
            run.reads(args)

    def _run_of(self, here: Here) -> GuardedRun | None:
        if self._resident and threading.get_ident() not in self._ours:
            return self._resident[-1]
        return here.run if isinstance(here.run, GuardedRun) else None


@cache
def hook_of_process() -> Hook:
    """Return the hook, which is put in place the first time."""
    refuses: Callable[[str, tuple[Any, ...]], None] | None = None

    def seal(tell: Callable[[str], None]) -> None:
        nonlocal refuses
        refuses = refuses or _last_resort(tell)

    state = Hook(seal)
    sees = state.sees
    watched = frozenset({*WHAT, "import"})

    def hook(event: str, args: tuple[Any, ...]) -> None:
        # A function, no method: Python asks a hook for an attribute each time before it calls it,
        # and to look for one that a method doesn't have takes longer than all else here.
        if event in watched:
            if state.is_on:
                sees(event, args)
            if refuses is not None:
                refuses(event, args)

    sys.addaudithook(hook)
    return state


def _last_resort(tell: Callable[[str], None]) -> Callable[[str, tuple[Any, ...]], None]:
    """Return what refuses and tells all that a guard has let through which should let nothing
    through: one that was tampered with. It looks into no object or table that others can import:
    it has its own copy of what it needs."""
    spec = find_spec(attempts.__name__)
    assert spec is not None
    assert spec.loader is not None
    own = module_from_spec(spec)
    spec.loader.exec_module(own)
    is_harmless, described, refused = own.is_harmless, own.described, Refused

    def refuses(event: str, args: tuple[Any, ...]) -> None:
        if event == "import" or is_harmless(event, args):
            return
        what = described(event, args)
        tell(f"{what}, past the guard")
        raise refused(f"{what} is refused while verifying")

    return refuses


_WRITERS: Final = frozenset(
    {
        id(vars(_bootstrap_external)["_write_atomic"].__code__),
        id(importlib.machinery.SourceFileLoader.set_data.__code__),
    }
)
_BYTECODE: Final = re.compile(r".*\.pyc(\.\d+)?", re.DOTALL)


def is_common(
    event: str, args: tuple[Any, ...], frame: FrameType | None, scratch: str | None
) -> bool:
    """Return True for what imports commonly write: bytecode, and what is in the folder for
    temporary files that this process has for itself."""
    paths = list(map(text_of, args[: 2 if event == "os.rename" else 1]))
    if (
        scratch is not None
        and event in _IN_SCRATCH
        and all(_is_in(each, scratch) for each in paths)
    ):
        return True
    # By the function that writes bytecode, not by a name that any code may have.
    if frame is None or id(frame.f_code) not in _WRITERS:
        return False
    path = paths[0] or ""
    if event == "os.mkdir":
        return os.path.basename(path) == "__pycache__"  # noqa: PTH119
    return event in ("open", "os.rename", "os.remove") and _BYTECODE.fullmatch(path) is not None


_IN_SCRATCH: Final = frozenset(
    {"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.chmod", "os.utime"}
)


def _is_in(path: str | None, folder: str) -> bool:
    found = "" if path is None else os.path.realpath(path)
    return found == folder or found.startswith(folder + os.sep)


def folder_for_temporary_files() -> str | None:
    """Return the folder that this process has for itself, where one was made for it."""
    found = vars(sys.modules["tempfile"]).get("tempdir") if "tempfile" in sys.modules else None
    return None if found is None else os.path.realpath(found)


def _open_nothing() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


@contextmanager
def logging_to_nowhere() -> Iterator[None]:
    """Have the log files that are set up while the block runs go nowhere, now and later: modules
    set up logging when they are imported, and what they log is no part of what is verified."""
    kind: Any = logging.FileHandler
    made = kind.__init__

    def init(handler: Any, *args: Any, **keywords: Any) -> None:
        handler._open = _open_nothing
        made(handler, *args, **keywords)

    kind.__init__ = init
    try:
        yield
    finally:
        kind.__init__ = made
