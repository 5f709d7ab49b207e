"""Recorded values that a run doesn't have: left out of the history, or kept elsewhere by a SerDes.

Code is handed what stands for such a value. As long as it doesn't look at it, all that it does is
verified; where it does, the run ends there. No I/O, no clock.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, NoReturn, Protocol

from durable_core.frozen import dataclass
from durable_core.ids import Path, position_text
from durable_core.sandbox.attempts import Reach, ReachesOut

TRUNCATED: Final = (
    "fetch the history again with its execution data; a payload that the service truncates can't "
    "be had"
)
ELSEWHERE: Final = (
    "verify where the files that it reads are; what it would write or connect to is refused while "
    "verifying, whatever the options"
)


class Doubter(Protocol):
    """Takes why the outcome can't be known."""

    def __call__(self, reason: str, remedy: str, path: Path | None = None) -> None: ...


@dataclass(slots=True)
class ValueComparison:
    """What is compared. `met`: one of the values isn't known."""

    met: bool = False


class MissingValues:
    """The missing values of one run.

    A driver sets `suspension`, what ends its runtime's invocation; a guard sets `watching`, what
    refuses what a SerDes would do outside of the process. `uncompared` are the operations whose
    results can't be compared, and why.
    """

    def __init__(self, doubt: Doubter) -> None:
        self._doubt = doubt
        self._comparison: ValueComparison | None = None
        self._handed: dict[Path, tuple[str, str, str]] = {}
        self.uncompared: dict[str, str] = {}
        self.suspension: Callable[[str], BaseException] = NotKnown
        self.watching: Watching = unwatched

    @property
    def is_comparing(self) -> bool:
        """True while values are only compared."""
        return self._comparison is not None

    @property
    def handed(self) -> tuple[str, ...]:
        """The operations of which the code was handed what stands for a value."""
        return tuple(label for label, _, _ in self._handed.values())

    def unknown(self, path: Path, identity: object, why: str, remedy: str) -> UnknownValue:
        """Return what stands for a value. Where the code looks at it, the run ends, and the outcome
        can't be known. `why` says where the value is."""

        def on_use() -> NoReturn:
            if self._comparison is not None:
                self._comparison.met = True
                raise NotKnown(why)
            self._doubt(why, remedy, path)
            self._handed.pop(path, None)
            raise self.suspension("a value is needed that isn't known")

        self._handed[path] = (_label(path, identity), why, remedy)
        return stand_for_unknown(on_use)

    def not_loaded(self, path: Path, identity: object, found: NotDone) -> UnknownValue:
        """Return what stands for a recorded value that its SerDes keeps outside of the history."""
        why = (
            f"the value of {identity} isn't in the history: its SerDes loads it from elsewhere "
            f"({found.why})"
        )
        return self.unknown(path, identity, why, ELSEWHERE)

    def rebuilt(self, path: Path, identity: object, value: object) -> None:
        """Note that the code gets what a context's body makes now for what stands for its value."""
        if not is_unknown(value):
            self._handed.pop(path, None)
            self.not_comparable(path, identity, "the code gets what its body returns now")

    def not_written(self, path: Path, identity: object, found: NotDone) -> None:
        """Note that a result isn't made into a payload, and can't be compared with the record."""
        self.not_comparable(path, identity, f"nothing is written while verifying: {found.why}")

    def not_comparable(self, path: Path, identity: object, why: str) -> None:
        """Note that a result can't be compared with what is recorded."""
        self.uncompared.setdefault(_label(path, identity), why)

    @contextmanager
    def comparing(self) -> Iterator[ValueComparison]:
        """Do what only compares values: it isn't the code that looks at them, and what stands for
        one raises NotKnown."""
        before, self._comparison = self._comparison, ValueComparison()
        try:
            yield self._comparison
        finally:
            self._comparison = before

    def doubt_type_error(self, error: BaseException) -> None:
        """Note that code raised since the interpreter itself looked at what stands for a value."""
        if not isinstance(error, TypeError) or not self._handed:
            return
        if any(UnknownValue.__name__ in each for each in error.args if type(each) is str):
            for path, (_, why, remedy) in self._handed.items():
                self._doubt(why, remedy, path)

    def serialize(self, work: Callable[[], Any], *, is_own: bool = False) -> Any:
        """Return what a SerDes writes, or NotDone where it would write it elsewhere, or where the
        value isn't known. `is_own`: it is the runtime's own, which writes nothing elsewhere."""
        with self.comparing() as comparison:
            try:
                return work() if is_own else run_serdes(self.watching, work)
            except Exception:
                if comparison.met:
                    return NotDone("a value in it isn't known")
                raise

    def deserialize(self, work: Callable[[], Any]) -> Any:
        """Return what a SerDes reads, or NotDone where it would load it from elsewhere."""
        return run_serdes(self.watching, work)

    def deserialize_earlier(self, work: Callable[[], Any]) -> Any:
        """Return what a SerDes reads of a payload that later ones followed.

        Raises NotKnown where it loads it from elsewhere: what is there by now is a later one.
        """
        made = run_serdes(self.watching, work, loads=False)
        if isinstance(made, NotDone):
            raise NotKnown(made.why)
        return made


def _label(path: Path, identity: object) -> str:
    return f"{position_text(path)} {identity}"


Watching = Callable[[], AbstractContextManager[Reach]]
"""Refuses, while it is entered, what a SerDes would change or connect to outside."""


@contextmanager
def unwatched() -> Iterator[Reach]:
    """Watch nothing: where no guard can be had."""
    yield Reach()


@dataclass(frozen=True, slots=True)
class NotDone:
    """A SerDes can't do its work here. `why` says what it needs."""

    why: str


def run_serdes(watching: Watching, work: Callable[[], Any], *, loads: bool = True) -> Any:
    """Return what a SerDes makes, or NotDone where it needs what is outside of the process.

    With `loads`, files that are there and that it reads are no such thing. Raises what it raises
    for any other reason.
    """
    outside = sys.exception()
    with watching() as reach:
        try:
            made = work()
        except ReachesOut as refused:
            return NotDone(reach.refused or str(refused))
        except Exception as error:
            why = reach.refused or _missing(error, outside)
            if why is None:
                raise
            return NotDone(why)
    why = reach.refused or (None if loads else reach.loaded)
    return made if why is None else NotDone(why)


_CHAIN: Final = 20
_CLIENTS: Final = ("botocore", "boto3", "urllib3", "requests", "httpx", "aiohttp")
"""Packages whose errors are those of a connection."""


def _missing(error: BaseException, outside: BaseException | None) -> str | None:
    """Return the error of a file or connection that another one comes from; None: it has none.

    What was being handled before the SerDes was called (`outside`) isn't its own.
    """
    at: BaseException | None = error
    for _ in range(_CHAIN):
        if at is None or at is outside:
            return None
        package = str(type(at).__module__).partition(".")[0]
        if isinstance(at, OSError) or package in _CLIENTS:
            return f"{type(at).__name__}: {at}"
        at = at.__cause__ or at.__context__
    return None


class NotKnown(TypeError):
    """A value that isn't known was looked at where values are only compared."""


class UnknownValue:
    """Stands for a value that isn't known: it can be handed on, stored and returned.

    Whatever looks at it (an attribute, a comparison, its truth, its text, an iteration, its class)
    calls `on_use`, which raises. Only `is`, `type()` and a sequence pattern of `match` don't.
    """

    __slots__ = ("_on_use",)

    def __getattribute__(self, name: str) -> Any:
        _used(self)


def stand_for_unknown(on_use: Callable[[], NoReturn]) -> UnknownValue:
    """Return what stands for a value; `on_use` is called when it is looked at, and raises."""
    made = UnknownValue()
    _ON_USE.__set__(made, on_use)
    return made


def is_unknown(value: object) -> bool:
    """Return True for what stands for a value that isn't known. It doesn't look at it."""
    return type(value) is UnknownValue


_ON_USE: Final[Any] = UnknownValue.__dict__["_on_use"]


def _used(self: UnknownValue, *_: Any, **__: Any) -> NoReturn:
    _ON_USE.__get__(self)()
    raise NotKnown("a value that isn't known was used")


_BINARY: Final = """
    add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or
"""
_LOOKS: Final = """
    lt le eq ne gt ge hash bool str repr format bytes int float complex index round trunc floor ceil
    neg pos abs invert len length_hint iter next reversed contains getitem setitem delitem call
    await aiter anext enter exit aenter aexit fspath setattr delattr dir reduce reduce_ex copy
    deepcopy
"""
_NAMES: Final = (
    *_LOOKS.split(),
    *(f"{kind}{each}" for each in _BINARY.split() for kind in ("", "r", "i")),
)

for _each in _NAMES:  # looked up on the class, so that __getattribute__ doesn't see them
    setattr(UnknownValue, f"__{_each}__", _used)

Mapping.register(
    UnknownValue
)  # so that a mapping pattern of `match` looks at it, and isn't passed over
