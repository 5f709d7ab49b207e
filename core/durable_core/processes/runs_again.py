"""Further runs of a handler that was simulated: with faults, in other interleavings, with other
time and chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from durable_core.frozen import dataclass
from durable_core.processes.runners import SimulationRequest, UserRunner, run_request
from durable_core.runtimes.handler import HandlerLoader
from durable_core.service.faults import Faults
from durable_core.simulation.crash_runs import CrashMode, CrashReport, crash_runs
from durable_core.simulation.determinism import DeterminismReport
from durable_core.simulation.outcome import Simulation
from durable_core.simulation.races import RaceReport, check_races

Heard = Callable[[int, int], None]
"""Is told how many of how many runs are done."""


@dataclass(frozen=True, slots=True)
class RunsAgain:
    """The runs that are compared with a first, `clean` one of the same request, each with the
    handler's modules imported anew. `prepare` is called in each process of an invocation.

    What the handler prints is led away by who calls.
    """

    request: SimulationRequest
    loader: HandlerLoader
    clean: Simulation
    prepare: Callable[[], None]

    def crashes(self, mode: CrashMode, heard: Heard) -> CrashReport:
        """Run it with a fault at every place."""

        def with_faults(faults: Faults) -> Simulation:
            scenario = replace(self.request.scenario, faults=faults)
            return self._from_cold(replace(self.request, scenario=scenario))

        return crash_runs(self.clean, mode, with_faults, heard)

    def races(self, interleavings: int, heard: Heard) -> RaceReport:
        """Run it in other orders of its threads or tasks. Number 0 is the order of the clean run.

        Raises KeyboardInterrupt and Interrupted.
        """

        def in_order(number: int) -> Simulation:
            if number == 0:
                return self._from_cold(self.request)
            return self._from_cold(replace(self.request, interleaving=number))

        return check_races(self.clean, interleavings, in_order, heard)

    def determinism(self, runs: int, heard: Heard) -> DeterminismReport:
        """Run it with other times, chance, ids, hash seeds and orders of sets, each in a process of
        its own. Raises KeyboardInterrupt, Interrupted and RunLost."""
        from durable_core.processes.determinism_run import check_determinism

        return check_determinism(self.request, runs, self.clean.updates, heard)

    def _from_cold(self, request: SimulationRequest) -> Simulation:
        self.loader.forget()
        user = UserRunner(
            self.loader,
            request.spec,
            request.runtime,
            isolate=request.isolate,
            timeout=request.timeout,
            prepare=self.prepare,
            seed=request.any_seed,
        )
        return run_request(request, user)
