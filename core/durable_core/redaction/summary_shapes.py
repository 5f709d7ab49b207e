"""What the SDKs write into the stored result of a map, parallel or DAG, to the last field. Pure.

A redaction keeps of such a result what says how units ended. It has to be sure that the SDK wrote
it: the user may store a document of his own there (a SerDes, a summary generator), with any names
in it. So a form is one only as a whole: exactly these fields, statuses and reasons that there are,
indexes and counts that agree with each other. `summaries.reading` takes more, since it may.

Sources: `operation/map.py`, `operation/parallel.py` (1.0.0 to 1.7.0) and `concurrency/models.py`
(2.0.0 to 3.0.0) of AWS's Python SDK, its JavaScript SDK 2.4.0, reference 2026-11 for the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from durable_core.frozen import dataclass
from durable_core.ids import IdScheme
from durable_core.model import CompletionReason, OperationType, UnitStatus, stores_summary
from durable_core.redaction.disguise import Treatment
from durable_core.redaction.envelope import TAG, TAGS, VALUE
from durable_core.sdks import ALL_SDKS, Sdk, sdks_of
from durable_core.summaries.values import SummaryForm


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that is none of the user's: kept where it is one of those that there are."""

    takes: Callable[[Any], bool]
    fate: Treatment = Treatment.KEPT


@dataclass(frozen=True, slots=True)
class Items:
    """A list of things of one form."""

    each: Form


@dataclass(frozen=True, slots=True)
class Fields:
    """An object with these fields, no others."""

    required: Mapping[str, Form]
    optional: Mapping[str, Form]


class _Users:
    """A value of the user's, whatever it is."""


_USERS: Final = _Users()
Form = Leaf | Items | Fields | _Users


def form_of(sub_type: object, payload: object, scheme: IdScheme | None) -> Form | None:
    """Return the form in which an SDK wrote this stored result; None: it is a document of the
    user's, or none of a map, parallel or DAG.

    `scheme` is that of the history's ids, which tells whose SDK it was; None: of any.
    """
    if not isinstance(payload, str) or not isinstance(sub_type, str) or not payload:
        return None
    if not stores_summary(OperationType.CONTEXT, sub_type):
        return None
    try:
        document = json.loads(payload, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):
        return None
    sdks = Sdk if scheme is None else sdks_of(scheme)
    written = {form for sdk in sdks for form in ALL_SDKS[sdk].forms}
    for name, form, agrees in _FORMS:
        if name in written and _fits(form, document) and agrees(document, sub_type):
            return form
    return None


def fate_in(form: Form, path: Sequence[str | int], is_name: bool) -> Treatment:
    """Return what becomes of what stands at that place of a result in that form."""
    at = form
    for part in path:
        if isinstance(at, Fields) and isinstance(part, str):
            at = at.required.get(part) or at.optional.get(part) or _USERS
        elif isinstance(at, Items) and isinstance(part, int):
            at = at.each
        else:
            return Treatment.REPLACED
    if is_name:
        return Treatment.KEPT
    return at.fate if isinstance(at, Leaf) else Treatment.REPLACED


def _without_repeats(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a field is there twice: no SDK writes that")
    return found


def _fits(form: Form, value: Any) -> bool:
    match form:
        case Leaf():
            return form.takes(value)
        case Items():
            return isinstance(value, list) and all(_fits(form.each, each) for each in value)
        case Fields():
            return (
                isinstance(value, dict)
                and form.required.keys() <= value.keys()
                and value.keys() <= form.required.keys() | form.optional.keys()
                and all(
                    _fits(form.required.get(name) or form.optional[name], each)
                    for name, each in value.items()
                )
            )
    return True


# -- what values there are -----------------------------------------------------------------------

_MOST: Final = 100_000
"""More units than any execution has: a number of six digits is an identifier and no count."""


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST


def _one_of(words: Iterable[str]) -> Leaf:
    known = frozenset(map(str, words))
    return Leaf(lambda value: isinstance(value, str) and value in known)


def _matches(pattern: str) -> Leaf:
    compiled = re.compile(pattern)
    return Leaf(lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None)


_COUNT: Final = Leaf(_is_count)
_STATUS: Final = _one_of(UnitStatus)
_STATUS_OR_SKIPPED: Final = _one_of([*UnitStatus, "SKIPPED"])
_ENDED: Final = _one_of([UnitStatus.SUCCEEDED, UnitStatus.FAILED])
_REASON: Final = _one_of(CompletionReason)
_TRUE: Final = Leaf(lambda value: value is True)
_FALSE: Final = Leaf(lambda value: value is False)
_UNIT_NAME: Final = Leaf(lambda value: value is None or isinstance(value, str), Treatment.NAME)
_MADE_UP_NAME: Final = _matches(r"(?:map-item|parallel-branch)-[0-9]{1,5}")
_LETTERS: Final = _matches(r"[SF-]*")
_RUN: Final = re.compile(r"([2-9]|[1-9][0-9]{1,4})?([SFRN])")
_RUNS: Final = _matches(rf"(?:{_RUN.pattern})*")


def _fields(optional: Mapping[str, Form] | None = None, /, **required: Form) -> Fields:
    return Fields(required, optional or {})


def _tagged(tag: str, form: Form) -> Fields:
    return Fields({TAG: _one_of([tag]), VALUE: form}, {})


_ANY_TAGGED: Final = Fields({TAG: _one_of(TAGS), VALUE: _USERS}, {})

# -- the forms -----------------------------------------------------------------------------------

_ENDED_COUNTS: Final = {"successCount": _COUNT, "failureCount": _COUNT}
_COUNTS: Final = {"totalCount": _COUNT, **_ENDED_COUNTS, "completionReason": _REASON}
_PYTHON: Final = {
    "type": _one_of(["MapResult", "ParallelResult"]),
    **_COUNTS,
    "startedCount": _COUNT,
    "status": _ENDED,
}
_JAVASCRIPT: Final = {
    "type": _one_of(["MapResult", "ParallelResult"]),
    **_COUNTS,
    "status": _ENDED,
}
_DAG: Final = {**_JAVASCRIPT, "type": _one_of(["DagResult"])}
_OUTCOME: Final[Mapping[str, Form]] = {"result": _USERS, "error": _USERS}
_OF_JAVASCRIPT: Final[Mapping[str, Form]] = {
    "startedCount": _COUNT,
    "itemStatuses": _LETTERS,
    "summary": _USERS,
}


def _inline(name: Form) -> Fields:
    unit = Fields({"index": _COUNT, "status": _STATUS_OR_SKIPPED}, {**_OUTCOME, "name": name})
    return _fields(all=Items(unit), completionReason=_REASON)


_TAGGED_UNIT: Final = Fields(
    {
        "index": _tagged("i", _COUNT),
        "status": _tagged("s", _STATUS),
        "result": _ANY_TAGGED,
        "error": _ANY_TAGGED,
    },
    {},
)
_TAGGED_RESULT: Final = _tagged(
    "br",
    _fields(
        all=_tagged("l", Items(_tagged("m", _TAGGED_UNIT))),
        completionReason=_tagged("s", _REASON),
    ),
)
_DOTNET: Final = _fields(
    CompletionReason=_REASON,
    Units=Items(
        Fields(
            {"Index": _COUNT, "Status": _STATUS},
            {"Name": _UNIT_NAME, "Dispatched": _FALSE, "Result": _USERS, "Error": _USERS},
        )
    ),
)
_COMPACT: Final = _fields(CompletionReason=_REASON, UnitStatuses=_RUNS, NamesDropped=_TRUE)
_JAVA_MAP: Final = _fields(
    items=Items(_fields(status=_STATUS_OR_SKIPPED, **_OUTCOME)), completionReason=_REASON
)
_JAVA_PARALLEL: Final = _fields(
    size=_COUNT,
    succeeded=_COUNT,
    failed=_COUNT,
    skipped=_COUNT,
    completionStatus=_REASON,
    statuses=Items(_STATUS_OR_SKIPPED),
)

# -- numbers that agree --------------------------------------------------------------------------

Agrees = Callable[[Mapping[str, Any], str], bool]


def _are_apart(indexes: Sequence[int]) -> bool:
    return len(set(indexes)) == len(indexes)


def _count_up(indexes: Sequence[int]) -> bool:
    """Tell whether they are those of the first units: every SDK begins them in order."""
    return sorted(indexes) == list(range(len(indexes)))


def _all_if_it_says_so(document: Mapping[str, Any], ended: int) -> bool:
    """Tell whether all units have ended where the result gives that as its reason."""
    is_all: bool = document["completionReason"] == CompletionReason.ALL_COMPLETED
    return not is_all or ended == document["totalCount"]


def _is_of(document: Mapping[str, Any], sub_type: str) -> bool:
    """Tell whether the `type` is that of the operation."""
    return bool(document["type"] == f"{sub_type}Result")


def _python(document: Mapping[str, Any], sub_type: str) -> bool:
    """Python from 2.0.0: one of two lists of indexes, and counts that sum up."""
    total = document["totalCount"]
    ended = document["successCount"] + document["failureCount"]
    listed = document.get("startedIndexes", document.get("completedIndexes"))
    count = document["startedCount"] if "startedIndexes" in document else ended
    return (
        _is_of(document, sub_type)
        and ("startedIndexes" in document) != ("completedIndexes" in document)
        and ended + document["startedCount"] == total
        and _all_if_it_says_so(document, ended)
        and len(listed) == count
        and _are_apart(listed)
        and all(index < total for index in listed)
    )


def _counted(document: Mapping[str, Any], sub_type: str) -> bool:
    """Counts that are no more than the total; of letters as many as are counted."""
    parts = ("successCount", "failureCount", "skippedCount")
    ended: int = sum(document.get(name, 0) for name in parts)
    counted: int = ended + document.get("startedCount", 0)
    total: int = document["totalCount"]
    letters: str | None = document.get("itemStatuses")
    return (
        _is_of(document, sub_type)
        and counted <= total
        and _all_if_it_says_so(document, ended)
        and (letters is None or _letters_agree(letters, document))
    )


def _letters_agree(letters: str, document: Mapping[str, Any]) -> bool:
    counts = (document["totalCount"], document["successCount"], document["failureCount"])
    return (len(letters), letters.count("S"), letters.count("F")) == counts


def _inline_units(document: Mapping[str, Any], sub_type: str) -> bool:
    return _count_up([unit["index"] for unit in document["all"]])


def _named_by_index(document: Mapping[str, Any], sub_type: str) -> bool:
    """Inline, with the names that an SDK makes up of the indexes."""
    return _inline_units(document, sub_type) and all(
        int(unit["name"].rpartition("-")[2]) == unit["index"]
        for unit in document["all"]
        if "name" in unit
    )


def _tagged_units(document: Mapping[str, Any], sub_type: str) -> bool:
    units = document[VALUE]["all"][VALUE]
    return _count_up([unit[VALUE]["index"][VALUE] for unit in units])


def _dotnet_units(document: Mapping[str, Any], sub_type: str) -> bool:
    return _count_up([unit["Index"] for unit in document["Units"]])


def _compact_runs(document: Mapping[str, Any], sub_type: str) -> bool:
    """Runs of units that end otherwise than their neighbours."""
    runs = _RUN.findall(document["UnitStatuses"])
    letters = [letter for _, letter in runs]
    is_alike = any(map(str.__eq__, letters, letters[1:]))
    return not is_alike and sum(int(count or 1) for count, _ in runs) < _MOST


def _java_parallel(document: Mapping[str, Any], sub_type: str) -> bool:
    counted = document["succeeded"] + document["failed"] + document["skipped"]
    return bool(len(document["statuses"]) == document["size"] >= counted)


def _always(document: Mapping[str, Any], sub_type: str) -> bool:
    return True


_LISTS: Final[Mapping[str, Form]] = {
    "startedIndexes": Items(_COUNT),
    "completedIndexes": Items(_COUNT),
}
_DAGS_OWN: Final[Mapping[str, Form]] = {**_OF_JAVASCRIPT, "skippedCount": _COUNT}

_FORMS: Final[Sequence[tuple[SummaryForm, Form, Agrees]]] = (
    (SummaryForm.PYTHON, Fields(_PYTHON, {**_LISTS, "summary": _USERS}), _python),
    (SummaryForm.PYTHON_1, Fields(_JAVASCRIPT, {"startedCount": _COUNT}), _counted),
    (SummaryForm.PYTHON, _TAGGED_RESULT, _tagged_units),
    (SummaryForm.JAVASCRIPT, Fields(_JAVASCRIPT, _OF_JAVASCRIPT), _counted),
    (SummaryForm.DAG, Fields(_DAG, _DAGS_OWN), _counted),
    (SummaryForm.INLINE, _inline(_MADE_UP_NAME), _named_by_index),
    (SummaryForm.INLINE, _inline(_USERS), _inline_units),
    (SummaryForm.DOTNET, _DOTNET, _dotnet_units),
    (SummaryForm.COMPACT, _COMPACT, _compact_runs),
    (SummaryForm.JAVA, _JAVA_MAP, _always),
    (SummaryForm.JAVA, _JAVA_PARALLEL, _java_parallel),
)
"""Which form it is (an SDK's row has those it writes), its shape, and what has to agree in it."""
