"""Whole executions from the pages of the API: complete, consistent, bounded.

A history only grows at its end, so its pages fit together whenever they were read. What they must
not do is contradict each other: then the reading starts over.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from durable_core.adapters.lambda_api import (
    PAGE_ITEMS,
    ApiPage,
    ExecutionQuery,
    LambdaApi,
    MarkerRefused,
)
from durable_core.errors import AwsError
from durable_core.events import parse_timestamp
from durable_core.execution_document import ExecutionDocument, has_ended, is_running
from durable_core.frozen import dataclass
from durable_core.limits import MIB

MAX_PAGES: Final = 2_000
"""How many pages of one execution are read: two million events. An execution has at most 3,000
operations (`limits`), and AWS lets none of them have that many attempts."""

MAX_TOTAL_BYTES: Final = 2_048 * MIB
"""How much of one execution is read, as `durable replay` reads no more of a file by default."""

MAX_CHILDREN: Final = 10_000
"""How many executions are read because others invoked them."""

MAX_EMPTY_PAGES: Final = 20
"""How many pages on end may bring nothing new. The API allows empty pages that have a next one."""

RESTARTS: Final = 3
"""How often the reading of an execution starts over."""

_NEWEST: Final = 100

Json = Mapping[str, Any]
Heard = Callable[[int], None]
"""Told how many more events were read."""


class _Contradiction(Exception):
    """An event isn't any more what it was on an earlier page."""


def _nothing(count: int) -> None:
    """Tell nobody."""


def download(
    api: LambdaApi,
    arn: str,
    *,
    include_data: bool = True,
    heard: Heard = _nothing,
    max_pages: int = MAX_PAGES,
) -> ExecutionDocument:
    """Return the execution with all of its events, as it was when the last page was read.

    A marker that expired and pages that contradict each other start the reading over. Raises
    AwsError.
    """
    for _ in range(RESTARTS):
        try:
            return _download(api, arn, include_data, heard, max_pages)
        except (MarkerRefused, _Contradiction):
            continue
    try:
        return _download(api, arn, include_data, heard, max_pages)
    except _Contradiction:
        problem = f"its events changed while they were read, {RESTARTS + 1} times"
        raise AwsError(arn, problem, "try again when the execution has ended") from None


def _download(
    api: LambdaApi, arn: str, include_data: bool, heard: Heard, max_pages: int
) -> ExecutionDocument:
    # The record first: what it says may be older than the events, but never ahead of them.
    record = api.execution(arn, include_data=include_data)
    events: dict[int, Json] = {}
    for page in _pages(
        lambda marker: api.history_page(arn, marker, include_data=include_data),
        lambda page: _add(events, page, heard),
        arn,
        max_pages,
    ):
        del page
    if is_running(record) and has_ended(events.values()):
        record = api.execution(arn, include_data=include_data)
    return ExecutionDocument(arn, record, [events[number] for number in sorted(events)])


def _add(events: dict[int, Json], page: ApiPage, heard: Heard) -> int:
    before = len(events)
    for event in page.items:
        if events.setdefault(event["EventId"], event) != event:
            raise _Contradiction
    heard(len(events) - before)
    return len(events) - before


def _pages(
    ask: Callable[[str | None], ApiPage],
    add: Callable[[ApiPage], int],
    subject: str,
    max_pages: int,
) -> Iterator[ApiPage]:
    """Yield page after page until there is no next one; `add` says how much of it is new."""
    marker: str | None = None
    seen: set[str] = set()
    without_news = 0
    count = size = 0
    while count < max_pages:
        count += 1
        page = ask(marker)
        size += page.size
        if size > MAX_TOTAL_BYTES:
            problem = (
                f"it is larger than {MAX_TOTAL_BYTES // MIB:,} MiB: stopped after {count:,} pages"
            )
            raise AwsError(subject, problem, "no execution of Lambda is: check --endpoint-url")
        without_news = 0 if add(page) else without_news + 1
        yield page
        marker = page.marker
        if marker is None:
            return
        if marker in seen or without_news > MAX_EMPTY_PAGES:
            break
        seen.add(marker)
    raise AwsError(
        subject,
        f"its pages have no end: stopped after {count:,}, each of which names a next one",
        "report it with this line",
    )


def executions(
    api: LambdaApi, query: ExecutionQuery, limit: int | None = None, max_pages: int = MAX_PAGES
) -> Iterator[Json]:
    """Yield what the API lists of each execution that the query asks for, at most `limit`.

    Raises AwsError.
    """
    found = False
    for item in islice(_listed(api, query, limit, max_pages), limit):
        found = True
        yield item
    if not found and api.is_local and (query.started_after or query.started_before):
        # AWS's local runner (1.4.0) reads no moment in the form in which boto3 sends it, and then
        # lists nothing. It gives them all, and what isn't asked for is left out here.
        anytime = replace(query, started_after=None, started_before=None)
        listed = _listed(api, anytime, None, max_pages)
        yield from islice((item for item in listed if _is_asked_for(item, query)), limit)


def _listed(
    api: LambdaApi, query: ExecutionQuery, limit: int | None, max_pages: int
) -> Iterator[Json]:
    size = min(limit or PAGE_ITEMS, PAGE_ITEMS)
    found: dict[str, Json] = {}

    def add(page: ApiPage) -> int:
        before = len(found)
        for item in page.items:
            found.setdefault(str(item.get("DurableExecutionArn")), item)
        return len(found) - before

    done = 0
    for _ in _pages(
        lambda marker: api.executions_page(query, marker, size), add, query.function_name, max_pages
    ):
        new = list(islice(found.values(), done, None))
        done = len(found)
        yield from (item for item in new if _is_asked_for(item, query))


def _is_asked_for(item: Json, query: ExecutionQuery) -> bool:
    """Tell whether the service was right to list it: AWS's local runner knows not every filter."""
    if query.statuses and item.get("Status") not in query.statuses:
        return False
    try:
        started = parse_timestamp(item.get("StartTimestamp"))
    except ValueError:
        return True
    after, before = query.started_after, query.started_before
    return (after is None or started >= after) and (before is None or started <= before)


class Follower:
    """An execution that is read again and again while it runs."""

    def __init__(self, api: LambdaApi, arn: str, *, include_data: bool = True) -> None:
        self.arn = arn
        self.record: Json = {}
        self._api = api
        self._include_data = include_data
        self._events: dict[int, Json] = {}

    def poll(self) -> list[Json]:
        """Ask for the execution and return the events that are new, in their order.

        Raises AwsError.
        """
        if not self._events:
            document = download(self._api, self.arn, include_data=self._include_data)
            self.record = document.record
            new = list(document.events)
        else:
            self.record = self._api.execution(self.arn, include_data=self._include_data)
            new = self._newer()
        self._events.update((event["EventId"], event) for event in new)
        return new

    def _newer(self) -> list[Json]:
        last = max(self._events)
        new: dict[int, Json] = {}

        def add(page: ApiPage) -> int:
            fresh = {e["EventId"]: e for e in page.items if e["EventId"] > last}
            new.update(fresh)
            return len(page.items)

        for page in _pages(self._ask_newest, add, self.arn, MAX_PAGES):
            if any(event["EventId"] <= last for event in page.items):
                break
        return [new[number] for number in sorted(new)]

    def _ask_newest(self, marker: str | None) -> ApiPage:
        return self._api.history_page(
            self.arn, marker, include_data=self._include_data, newest_first=True, items=_NEWEST
        )

    @property
    def status(self) -> str:
        """The status at the last reading."""
        return str(self.record.get("Status") or "UNKNOWN")

    @property
    def is_running(self) -> bool:
        """True while more events can come."""
        return is_running(self.record)

    def complete(self) -> ExecutionDocument:
        """Read the whole execution once more, now that it has ended. Raises AwsError."""
        return download(self._api, self.arn, include_data=self._include_data)

    def so_far(self) -> ExecutionDocument:
        """Return what was read until now."""
        events = [self._events[number] for number in sorted(self._events)]
        return ExecutionDocument(self.arn, self.record, events)


@dataclass(frozen=True, slots=True)
class DownloadOutcome:
    """What became of one download: a document, or the error that there is none.

    `root` is the execution that was asked for, of which this is a child or a child's child;
    `children` counts those of its own that are read because of it.
    """

    arn: str
    root: str
    document: ExecutionDocument | None = None
    error: Exception | None = None
    children: int = 0

    def read(self) -> ExecutionDocument:
        """Return the document. Raises the error where there is none."""
        if self.document is None:
            raise self.error or AssertionError
        return self.document


def download_all(
    read: Callable[[str], ExecutionDocument],
    arns: Iterable[str],
    *,
    depth: int = 0,
    workers: int = 4,
) -> Iterator[DownloadOutcome]:
    """Yield what becomes of each execution, as they are done, and of their children to a depth.

    Several are read at the same time, none twice, and MAX_CHILDREN of those that others invoked at
    most: the last outcome says so then. Only a few documents are in memory at once. When
    the caller stops, nothing waits for what is still being read.
    """
    work: queue.Queue[str] = queue.Queue()
    done: queue.Queue[DownloadOutcome] = queue.Queue(maxsize=workers)

    def run() -> None:
        while True:
            arn = work.get()
            try:
                outcome = DownloadOutcome(arn, roots[arn], document=read(arn))
            except Exception as error:
                outcome = DownloadOutcome(arn, roots[arn], error=error)
            done.put(outcome)

    depths = dict.fromkeys(arns, 0)
    roots = {arn: arn for arn in depths}
    asked, left_out = len(depths), list[str]()
    for arn in depths:
        work.put(arn)
    open_count = len(depths)
    for _ in range(min(workers, open_count) if depth == 0 else workers):
        threading.Thread(target=run, daemon=True, name="durable-fetch").start()
    while open_count:
        outcome = done.get()
        open_count -= 1
        level = depths[outcome.arn] + 1
        known = outcome.document.children if outcome.document and level <= depth else ()
        new = [child for child in known if child not in depths]
        children = new[: MAX_CHILDREN - (len(depths) - asked)]
        left_out += new[len(children) :]
        for child in children:
            depths[child], roots[child] = level, outcome.root
            work.put(child)
        open_count += len(children)
        yield replace(outcome, children=len(children))
    if left_out:
        first, others = left_out[0], f", and {len(left_out) - 1:,} more" if left_out[1:] else ""
        problem = f"not read{others}: {MAX_CHILDREN:,} invoked executions were"
        error = AwsError(first, problem, "name those that are wanted")
        yield DownloadOutcome(first, first, error=error)
