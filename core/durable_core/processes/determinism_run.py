"""Runs of a handler, each in a process of its own, with what it reads outside of steps chosen.

A process each, because Python decides once, when it starts, in which order sets are walked. The
first run holds everything still; each other one varies everything at once; where one departs, runs
that vary one thing each tell what fed the difference.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

from durable_core.errors import DurableError, printable
from durable_core.model import CheckpointRequest, InvocationInput
from durable_core.native.invocation import InvocationOptions, Invoked
from durable_core.processes.process_group import IMPORT_SECONDS, end_with, out_of_reach
from durable_core.processes.runners import (
    SimulationRequest,
    UserRunner,
    request_from_json,
    request_to_json,
    run_request,
)
from durable_core.processes.safe_start import restore_environment, start_variables
from durable_core.runtimes.handler import HandlerKind, HandlerLoader
from durable_core.sandbox.sources import NondeterministicRead, Source
from durable_core.sandbox.user_code import PACKAGE_FOLDER, is_installed
from durable_core.sdks import Sdk
from durable_core.simulation.determinism import (
    DeterminismReport,
    Fingerprint,
    RunDifference,
    StepEnds,
    Unclear,
    compare,
    compare_given,
    fingerprint,
    fingerprint_from_json,
    fingerprint_to_json,
    step_ends,
)
from durable_core.simulation.link import ServiceLink
from durable_core.simulation.runner import Runner
from durable_core.wire import request_from_wire, request_to_wire

_CODE: Final = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from durable_core.processes.determinism_run import main; main()"
)
_MOST_PLACES: Final = 5
_MOST_AT_ONCE: Final = 4


class RunLost(DurableError):
    """A run of the handler ended its process, or could not be made. The handler is to blame."""

    def __init__(self, run: int, what: str) -> None:
        super().__init__(run, what)
        self.run = run
        self.what = what

    def __str__(self) -> str:
        return printable(f"run {self.run} of the determinism check gave no answer: {self.what}")


def check_determinism(
    request: SimulationRequest,
    runs: int,
    requests: Sequence[CheckpointRequest] = (),
    on_run: Callable[[int, int], None] = lambda done, total: None,
) -> DeterminismReport:
    """Run the handler once with everything held and `runs` times with everything varied.

    `requests` are those of a run before: where they say how a step ended, its body isn't run again.
    `on_run` hears how many runs are done, of how many. Raises RunLost.
    """
    make = _Maker(request, requests)
    wanted = [(0, ()), *((run, tuple(Source)) for run in range(1, runs + 1))]
    first, *others = make.run_all(wanted, on_run)
    differences: list[RunDifference] = []
    given: list[RunDifference] = []
    unclear: list[str] = []
    for run, other in enumerate(others, start=1):
        found = compare(first, other, run)
        if isinstance(found, RunDifference):
            differences.append(found)
        elif isinstance(found, Unclear):
            unclear.append(found.why)
        other_given = compare_given(first, other, run)
        if other_given is not None and _asks_the_same(found):
            given.append(other_given)
    if differences:
        differences[0] = _explained(make, first, others, differences[0], compare)
    if given:
        given[0] = _explained(make, first, others, given[0], compare_given)
        given = [replace(each, fed_by=given[0].fed_by) for each in given]
    return DeterminismReport(
        runs,
        (*differences, *(each for each in given if not each.is_harmless)),
        tuple(unclear),
        tuple(each for each in given if each.is_harmless),
    )


def _asks_the_same(found: RunDifference | Unclear | None) -> bool:
    return not isinstance(found, RunDifference) or found.operation is None


def _places(fed_by: Mapping[Source, Sequence[NondeterministicRead]]) -> list[NondeterministicRead]:
    """Return the places that read what feeds a difference, each once; only those of the
    user's own project, if there are any."""
    places: dict[tuple[str, str, int], NondeterministicRead] = {}
    for each in (each for reads in fed_by.values() for each in reads):
        places.setdefault((each.function, each.file, each.line), each)
    own = [each for each in places.values() if not is_installed(each.file)]
    return own or list(places.values())


Compare = Callable[[Fingerprint, Fingerprint, int], RunDifference | Unclear | None]


def _explained(
    make: _Maker,
    first: Fingerprint,
    others: Sequence[Fingerprint],
    found: RunDifference,
    compare: Compare,
) -> RunDifference:
    """Return the difference with what feeds it: the sources that make it all by themselves, or
    else another one."""
    read = {Source.HASH_SEED, *(each.source for each in others[found.run - 1].reads)}
    sources = [source for source in Source if source in read]
    alone = make.run_all([(found.run, (source,)) for source in sources])
    makes = {
        source: compare(first, answer, found.run)
        for source, answer in zip(sources, alone, strict=True)
    }
    differ = {source: made for source, made in makes.items() if isinstance(made, RunDifference)}
    same = [source for source, made in differ.items() if made.operation == found.operation]
    fed_by = {
        source: [each for each in answer.reads if each.source is source]
        for source, answer in zip(sources, alone, strict=True)
        if source in (same or differ)
    }
    places = _places(fed_by)
    return replace(found, fed_by=tuple(fed_by), reads=tuple(places[:_MOST_PLACES]))


class _Maker:
    def __init__(self, request: SimulationRequest, requests: Sequence[CheckpointRequest]) -> None:
        self._request = request_to_json(request)
        self._requests = [request_to_wire(each) for each in requests]
        self._timeout = request.timeout or 0.0
        self._processes: set[subprocess.Popen[str]] = set()

    def _end_all(self) -> None:
        """End the runs that are being made, and the processes that they started."""
        for process in list(self._processes):
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)

    def run_all(
        self,
        wanted: Sequence[tuple[int, Collection[Source]]],
        on_run: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Fingerprint]:
        """Run the handler as often as is wanted, some runs side by side. Raises RunLost."""
        found = []
        with ThreadPoolExecutor(min(_MOST_AT_ONCE, os.cpu_count() or 1)) as pool:
            try:
                for answer in pool.map(lambda each: self.run(*each), wanted):
                    found.append(answer)
                    on_run(len(found), len(wanted))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._end_all()
                raise
        return found

    def run(self, run: int, varied: Collection[Source]) -> Fingerprint:
        """Run the handler in a process of its own. Raises RunLost."""
        hash_seed = run * 7919 % 4_294_967_295 if Source.HASH_SEED in varied else 0
        asked = {
            "request": self._request,
            "requests": self._requests,
            "run": run,
            "varied": list(varied),
        }
        # Ours is the only other end: the process ends with this one, however this one ends.
        lives, ours = os.pipe()
        mark = uuid4().hex
        package = str(PACKAGE_FOLDER.parent)
        process = subprocess.Popen(
            [sys.executable, "-c", _CODE, package, str(lives), mark],
            pass_fds=(lives,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=start_variables(os.environ, hash_seed),
            encoding="utf-8",
            errors="replace",
            process_group=0,  # Ctrl-C is for us to say, and what it started ends with it
        )
        os.close(lives)
        self._processes.add(process)
        try:
            output, errors = process.communicate(json.dumps(asked))
        finally:
            self._processes.discard(process)
            os.close(ours)
        if process.returncode == -signal.SIGALRM:
            imports = max(self._timeout, IMPORT_SECONDS)
            what = (
                f"an invocation took longer than {self._timeout:g} s, or the import {imports:g} s"
            )
            raise RunLost(run, what)
        answer = _marked(output, mark)
        if process.returncode != 0 or answer is None:
            said = errors.strip().rpartition("\n")[2]
            raise RunLost(run, said or f"its process ended with {process.returncode}")
        if "failed" in answer:
            raise RunLost(run, answer["failed"])
        return fingerprint_from_json(answer)


def _marked(output: str, mark: str) -> Any:
    """Return the answer between two marks, which only our side knows; None where there is none: a
    handler may write to all descriptors."""
    try:
        _, text, _ = output.split(mark)
        return json.loads(text)
    except ValueError:
        return None


# -- in the process of a run -------------------------------------------------------------------


def main() -> None:
    """Run what standard input says and write what came of it to standard output."""
    end_with(int(sys.argv[2]))
    mark = sys.argv.pop()
    restore_environment()
    asked = json.load(sys.stdin)
    answer = os.fdopen(out_of_reach(os.dup(1)), "w", encoding="utf-8")
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    try:
        found = fingerprint_to_json(_fingerprint(asked))
    except DurableError as error:
        found = {"failed": str(error)}
    answer.write(f"{mark}{json.dumps(found)}{mark}")
    answer.flush()
    os._exit(0)  # what the handler left running or registered is not waited for


def _fingerprint(asked: Mapping[str, Any]) -> Fingerprint:
    # Imported before anything is changed, all but what belongs to the user.
    from durable_core.processes.given_notes import GivenNotes, watch_native
    from durable_core.runtimes.handler import HandlerKind, HandlerLoader
    from durable_core.runtimes.lambda_environment import LambdaLogHandler
    from durable_core.sandbox.controlled_sources import ControlledSources

    request = request_from_json(asked["request"])
    readings = ControlledSources(asked["run"], [Source(each) for each in asked["varied"]])
    ends = step_ends([request_from_wire(each) for each in asked["requests"]])
    readings.install()
    notes = GivenNotes(readings)
    logging.getLogger().addHandler(LambdaLogHandler())
    with _ended_after(request.timeout and max(request.timeout, IMPORT_SECONDS)):
        runner = _LimitedUser(HandlerLoader(), request.spec, request.runtime, request.timeout)
    if runner.kind is HandlerKind.AWS_SDK:
        from durable_core.runtimes.aws_python.given import watch_aws

        watch_aws(notes.note)
    else:
        watch_native(notes)
    following = _Following(runner, readings.new_invocation, ends, request.timeout)
    simulation = run_request(request, runner, following)
    return fingerprint(simulation, readings.reads, notes.take())


class _Limited(Runner):
    """Runs a handler, an invocation of which ends this process where it takes longer than
    `timeout`, whatever it does."""

    def __init__(self, runner: Runner, timeout: float | None) -> None:
        self._runner = runner
        self._timeout = timeout

    @property
    def is_durable(self) -> bool:
        return self._runner.is_durable

    @property
    def sdk(self) -> Sdk:
        return self._runner.sdk

    def invoke(
        self, given: InvocationInput, link: ServiceLink, options: InvocationOptions
    ) -> Invoked:
        """Run one invocation."""
        with _ended_after(self._timeout):
            return self._runner.invoke(given, link, options)


@contextmanager
def _ended_after(seconds: float | None) -> Iterator[None]:
    """Have this process ended by the system where the block takes longer, whatever it does."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds or 0.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


class _Following(_Limited):
    """Runs a handler whose steps end as they did before."""

    def __init__(
        self,
        runner: Runner,
        on_invocation: Callable[[], None],
        ends: StepEnds,
        timeout: float | None,
    ) -> None:
        super().__init__(runner, timeout)
        self._on_invocation = on_invocation
        self._ends = ends

    def invoke(
        self, given: InvocationInput, link: ServiceLink, options: InvocationOptions
    ) -> Invoked:
        """Run one invocation."""
        self._on_invocation()
        return super().invoke(given, link, replace(options, known_ends=self._ends))


class _LimitedUser(UserRunner):
    """The user's handler, whose chained invokes are limited too."""

    def __init__(
        self,
        loader: HandlerLoader,
        spec: str,
        runtime: HandlerKind | None,
        limit: float | None,
    ) -> None:
        super().__init__(loader, spec, runtime)
        self._limit = limit

    def target(self, spec: str) -> Runner:
        """Return what runs the handler of a chained invoke."""
        return _Limited(super().target(spec), self._limit)
