"""`durable replay SOURCE... --handler module:fn`: does changed code still replay what is recorded?

One pipeline: find the sources, verify each in a process, render, exit with the worst.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from durable_cli.escapes import json_text
from durable_cli.exits import Exit, code_of, worst
from durable_cli.output import Output, message
from durable_cli.progress import Progress
from durable_cli.render_all import render_all
from durable_core.defects import defect_at
from durable_core.errors import DurableError, SourceDefect
from durable_core.history import RecordedHistory
from durable_core.verifying.verification import Verdict, Verification

if TYPE_CHECKING:
    from durable_cli.render_verify import Result
    from durable_core.processes.worker import Job

CODES = {
    Verdict.COMPATIBLE: Exit.FINE,
    Verdict.DIVERGED: Exit.FINDING,
    Verdict.CANNOT_VERIFY: Exit.CANNOT_VERIFY,
}

MOST_DIVERGENCES = 10


def verify_command(
    job: Job,
    sources: Sequence[str],
    lost: Sequence[SourceDefect],
    read: Callable[[str], RecordedHistory],
    format: str,
    output: Output,
    *,
    fail_fast: bool,
) -> Exit:
    """Verify every source, write the report and return the exit code. `lost` are those that a
    defect of ours kept from being found.

    Raises a HandlerError, SdkMissing or UsageError.
    """
    for each in lost:
        message(str(each))
    verified, skipped, unshown = _results(job, sources, read, fail_fast)
    found: list[Result] = [*((each.source, each) for each in lost), *verified]
    results, text, defects = render_all(
        found,
        lambda results: _rendered(results, skipped, format, output),
        lambda result: result[0],
        lambda *unread: unread,
    )
    if text:
        output.write(text, has_commands=format == "github")
    if not results:
        message(f"nothing is verified: no history is one of function {job.function!r}")
        return Exit.CANNOT_VERIFY
    outcomes = (*(outcome for _, outcome in results), *defects, *unshown)
    return worst(
        code_of(each) if isinstance(each, DurableError) else CODES[each.verdict]
        for each in outcomes
    )


def _results(
    job: Job, sources: Sequence[str], read: Callable[[str], RecordedHistory], fail_fast: bool
) -> tuple[list[Result], int, list[SourceDefect]]:
    """Return the results, how many histories are of other functions, and the defects that showed
    while it was told how far it is."""
    from durable_core.processes.pool import verify_sources

    results: list[Result] = []
    skipped = 0
    defects: list[SourceDefect] = []
    with Progress() as progress:

        def done(count: int) -> None:
            try:
                progress.show(f"{count:,} of {len(sources):,} histories")
            except Exception as error:
                if not defects:
                    defects.append(defect_at("the progress line", error))
                    message(str(defects[0]))

        with closing(verify_sources(job, sources, read, done)) as outcomes:
            for source, outcome in outcomes:
                if outcome is None:
                    skipped += 1
                    continue
                if isinstance(outcome, DurableError):
                    progress.clear()
                    message(str(outcome))
                results.append((source, outcome))
                if fail_fast and not (isinstance(outcome, Verification) and outcome):
                    break
    return results, skipped, defects


def _rendered(results: Sequence[Result], skipped: int, format: str, output: Output) -> str:
    match format:
        case "json" | "jsonl":
            from durable_cli.render_verify_json import verify_document, verify_line

            if format == "json":
                return json_text(verify_document(results, skipped))
            lines = (verify_line(*each) for each in results)
            return "\n".join(json_text(line, indent=False) for line in lines)
        case "junit" | "markdown" | "github":
            from durable_cli.render_verify_ci import render_github, render_junit, render_markdown

            if format == "markdown":
                return render_markdown(results, skipped)
            return render_junit(results) if format == "junit" else render_github(results)
    from durable_cli.render_verify import render

    return render(results, skipped, output.surface())
