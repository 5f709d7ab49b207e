"""Which SDK wrote a history: what its ids leave open is told by what only one SDK writes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from durable_core.fold import Recorded
from durable_core.ids import IdScheme
from durable_core.model import ErrorObject, SubType
from durable_core.patterns import pattern
from durable_core.sdks import ALL_SDKS, Sdk, sdks_of
from durable_core.summaries.reading import has_made_up_names
from durable_core.summaries.values import Summary, SummaryForm

_GO_STACK: Final = pattern(r"\.go:\d+")
_JAVASCRIPT_STACK: Final = pattern(r"^\s*at .+:\d+:\d+\)?$")
_JAVASCRIPT_ERRORS: Final = frozenset(
    {"Error", "TypeError", "RangeError", "ReferenceError", "SyntaxError", "AggregateError"}
)


def writers_of(
    scheme: IdScheme | None,
    recorded: Mapping[str, Recorded],
    summaries: Mapping[str, Summary],
    error: ErrorObject | None = None,
) -> tuple[Sdk, ...]:
    """Return the SDKs that can have written a history: one where something tells them apart.

    `summaries` are those of its maps and parallels, `error` is the execution's own.
    """
    if scheme is None:
        return ()
    sdks = sdks_of(scheme)
    told = {
        *_told_by_forms(sdks, summaries.values()),
        *_told_by_units(recorded, summaries),
        *_told_by_errors([*_errors(recorded.values()), error]),
    }
    fitting = tuple(sdk for sdk in sdks if sdk in told)
    return fitting if len(fitting) == 1 else sdks


def _told_by_forms(sdks: Sequence[Sdk], summaries: Iterable[Summary]) -> Iterator[Sdk]:
    """Yield who writes a form that no other SDK of the scheme does."""
    for form in {each.form for each in summaries}:
        writers = [sdk for sdk in sdks if form in ALL_SDKS[sdk].forms]
        if len(writers) == 1:
            yield writers[0]


def _told_by_units(
    recorded: Mapping[str, Recorded], summaries: Mapping[str, Summary]
) -> Iterator[Sdk]:
    operations = [each.operation for each in recorded.values()]
    if any(each.sub_type == SubType.MAP_ITEM for each in operations):
        yield Sdk.DOTNET
    nested = {each.parent_id for each in operations if each.is_unit}
    for key, summary in summaries.items():
        inline = summary.form is SummaryForm.INLINE
        if inline and key not in nested and has_made_up_names(summary):
            yield Sdk.GO


def _errors(recorded: Iterable[Recorded]) -> Iterator[ErrorObject]:
    for each in recorded:
        if each.operation.error is not None:
            yield each.operation.error
        yield from each.failures


def _told_by_errors(errors: Iterable[ErrorObject | None]) -> Iterator[Sdk]:
    """Tell Go and JavaScript apart by the types of errors and their stack traces."""
    for error in errors:
        if error is None:
            continue
        lines = error.stack_trace or ()
        if (error.type or "").startswith("*") or any(map(_GO_STACK.search, lines)):
            yield Sdk.GO
        elif error.type in _JAVASCRIPT_ERRORS or any(map(_JAVASCRIPT_STACK.match, lines)):
            yield Sdk.JAVASCRIPT
