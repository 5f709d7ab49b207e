"""What operations are given in this run, noted as digests by the id of each.

Only where something outside of steps is read that varies: nothing else can make two runs differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Final

from durable_core.given import OPERATION, Given
from durable_core.processes.digests import digest_of
from durable_core.runtimes.native.call_lines import OPERATIONS, handed_by
from durable_core.verifying.handed import Handed
from durable_core.verifying.replay import Watch
from durable_core.verifying.session import Examination
from durable_core.verifying.verification import line_at

if TYPE_CHECKING:
    from durable_core.sandbox.readings import Readings

_MANY: Final = 10_000
"""Of so many operations more is looked at than of those that come after them."""
_VALUES: Final = 1_000
_FEW_VALUES: Final = 50


class GivenNotes:
    """Notes what each operation is given when it is first asked for."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings
        self.given: dict[tuple[str, int], str] = {}

    def note(self, operation_id: str, ask: Callable[[], Handed]) -> None:
        """Note what an operation, and each of its units, is given."""
        if not self._readings.is_read:
            return
        handed = ask()
        if handed.values:
            self._add((operation_id, OPERATION), handed.values)
        for number, unit in enumerate(handed.units):
            self._add((operation_id, number), (unit,))

    def _add(self, key: tuple[str, int], values: tuple[object, ...]) -> None:
        if key in self.given:
            return
        digest = ""
        with suppress(Exception):  # a value that can't be looked at, changed by another thread
            digest = digest_of(values, _VALUES if len(self.given) < _MANY else _FEW_VALUES)
        self.given[key] = digest

    def watching(self, watch: Watch) -> Watch:
        """Return what watches over a run of a verification, and notes what operations are given:
        by their labels, each where it was first asked for."""

        @contextmanager
        def watching(examination: Examination) -> Iterator[None]:
            before = self.take()
            examination.on_handed = self.note
            with watch(examination):
                yield
            self.given = _by_labels(self.given, examination) | before

        return watching

    def take(self) -> dict[tuple[str, int], str]:
        """Return what was noted, and forget it."""
        given, self.given = self.given, {}
        return given


def _by_labels(given: Given, examination: Examination) -> dict[tuple[str, int], str]:
    if not given:
        return {}
    labels = {
        examination.id_at(path): str(line_at(path, asked.identity))
        for trace in examination.traces
        for path, asked in (
            ((*trace.path, index), each) for index, each in enumerate(trace.asked, start=1)
        )
    }
    return {(labels.get(key, key), unit): digest for (key, unit), digest in given.items()}


def watch_native(notes: GivenNotes) -> None:
    """Have the operations of native handlers noted when they run. Can't be undone."""
    from durable_core.native.context import DurableContext

    call = DurableContext._call

    @wraps(call)
    def noted_call(self: Any, *args: Any, **keywords: Any) -> Any:
        arguments = vars(self).pop("arguments", None)
        made = call(self, *args, **keywords)
        if arguments is not None:
            notes.note(made.id, partial(handed_by, arguments))
        return made

    DurableContext._call = noted_call  # type: ignore[method-assign]
    for name in OPERATIONS:
        setattr(DurableContext, name, _noting(name, getattr(DurableContext, name)))


def _noting(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(operation)
    async def noting(context: Any, *args: Any, **keywords: Any) -> Any:
        context.arguments = (name, args, keywords)
        return await operation(context, *args, **keywords)

    return noting
