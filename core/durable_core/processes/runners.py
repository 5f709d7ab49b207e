"""From a loaded handler to what runs its invocations, whichever SDK it is written with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, field
from datetime import datetime
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from durable_core.arns import names_of_handler
from durable_core.frozen import dataclass
from durable_core.limits import LIMITS, ServiceLimits
from durable_core.model import InvocationInput
from durable_core.native.invocation import InvocationOptions, Invoked, LostInvocation
from durable_core.processes.process_group import IMPORT_SECONDS
from durable_core.runtimes.handler import (
    HandlerKind,
    HandlerLoader,
    ImportFailed,
    LoadedHandler,
    NotAHandler,
)
from durable_core.runtimes.lambda_environment import handed, variables_of
from durable_core.sandbox.handler_clock import STARTS_AT, StandingClock
from durable_core.sandbox.process_clocks import served_by
from durable_core.sandbox.process_exit import (
    exit_ends_invocation,
    exit_fails_import,
    exit_is_refused,
    watch_exits,
)
from durable_core.sandbox.threads.patches import schedulable
from durable_core.sandbox.user_code import users_traceback
from durable_core.sdks import Sdk
from durable_core.simulation.chance import drawn_from, seeded_names
from durable_core.simulation.link import ServiceLink, context_of
from durable_core.simulation.outcome import InvocationRecord, Simulation
from durable_core.simulation.runner import NativeRunner, PlainRunner, Runner
from durable_core.simulation.scenario import Scenario, read_scenario, scenario_text
from durable_core.simulation.simulate import simulate

if TYPE_CHECKING:
    from durable_core.processes.isolated import IsolatedRunner


class UserRunner(Runner):
    """Runs the handler that a spec names, and tells what escaped from it.

    Where the process of an invocation died (`os._exit` doesn't end ours), the user's modules are
    imported anew for the next one, as the cloud would: what was kept in globals is gone. `runtime`
    None: what the handler needs is found out. With `isolate` every invocation gets a process of its
    own, which it may end; so it does where it `may_crash` and the handler can't be unwound here.
    With a `timeout`, in real seconds, they run in another process too, one for all, which is ended
    where an invocation takes longer. Such a process first calls `prepare`, to lead what is printed.
    Raises a HandlerError.
    """

    def __init__(
        self,
        loader: HandlerLoader,
        spec: str,
        runtime: HandlerKind | None = None,
        *,
        isolate: bool = False,
        may_crash: bool = False,
        timeout: float | None = None,
        prepare: Callable[[], None] | None = None,
        seed: int = 0,
    ) -> None:
        self.loader = loader
        self._seed, self._starts = seed, 0
        self._spec = spec
        self._runtime = runtime
        self.isolates = isolate
        self._may_crash = may_crash
        self._timeout = timeout
        self._prepare = prepare
        watch_exits()
        self.loaded, self._runner = self._start(STARTS_AT)
        self.traceback: str | None = None
        """The user's frames of what the handler raised last, None while it raised nothing."""

    @property
    def kind(self) -> HandlerKind:
        """Which runtime runs it."""
        return self._runtime or self.loaded.kind

    @property
    def sdk_version(self) -> str | None:
        """The version of AWS's SDK that runs it; None for a native handler."""
        if self.kind is not HandlerKind.AWS_SDK:
            return None
        from durable_core.runtimes.aws_python.installed import load_sdk

        return load_sdk().version

    @property
    def sdk(self) -> Sdk:
        """The SDK whose spelling of messages the service uses."""
        return self.kind.sdk

    def restart(self, now: datetime = STARTS_AT) -> None:
        """Forget all that the user's modules hold, as a new process does: it is `now`."""
        self.loader.forget()
        self.loaded, self._runner = self._start(now)

    def invoke(
        self, given: InvocationInput, link: ServiceLink, options: InvocationOptions
    ) -> Invoked:
        """Run one invocation."""
        self.traceback = None
        invoked = self._runner.invoke(given, link, options)
        died = (
            isinstance(invoked.outcome, LostInvocation) and invoked.outcome.exit_status is not None
        )
        if died and self._is_here:
            self.restart(link.now())
        return invoked

    def _start(self, now: datetime) -> tuple[LoadedHandler, Runner]:
        self._starts += 1  # another process draws something else while it imports
        seed = f"import {self._seed}:{self._starts}"
        there: IsolatedRunner | None = None
        if self._timeout is not None:
            loaded, there = self._loaded_there(self._spec, self._runtime, seed, now)
        else:
            with exit_fails_import(), served_by(StandingClock(now)):
                loaded = load_schedulable(self.loader, self._spec, seed)
        kind = self._runtime or loaded.kind
        if kind is HandlerKind.PLAIN:
            raise NotAHandler(
                self._spec,
                "a plain function, which has nothing durable: expected async def handler(event, "
                "ctx), or a handler decorated with @durable_execution of AWS's SDK",
            )
        if kind is HandlerKind.AWS_SDK and loaded.kind is not kind:
            problem = "not decorated with @durable_execution, which --runtime aws-sdk needs"
            raise NotAHandler(self._spec, problem)
        if kind is HandlerKind.NATIVE and loaded.kind is HandlerKind.AWS_SDK:
            problem = "decorated with @durable_execution, which --runtime native can't run"
            raise NotAHandler(self._spec, problem)
        self._is_here = False
        if there is not None:
            return loaded, there
        if not self.isolates:
            here = self._runner_here(loaded.target, kind)
            if here.unwinds_crashes or not self._may_crash:
                self._is_here = True
                return loaded, here
            self.isolates = True
        return loaded, self._elsewhere(self._spec, kind, seed)

    def target(self, spec: str) -> Runner:
        """Return what runs the handler of a chained invoke, in a process of its own where this one
        does. Raises a HandlerError."""
        seed = f"import of the target {spec}"
        if self._timeout is not None:
            loaded, there = self._loaded_there(spec, None, seed, STARTS_AT)
            return _Target(there, loaded.kind)
        with exit_fails_import(), served_by(StandingClock(STARTS_AT)):
            loaded = load_schedulable(self.loader, spec, seed)
        if self.isolates:
            return _Target(self._elsewhere(spec, loaded.kind, seed), loaded.kind)
        return _Target(_Unwound(_runner_of(loaded.target, loaded.kind)), loaded.kind)

    def _elsewhere(self, spec: str, kind: HandlerKind | None, seed: str) -> IsolatedRunner:
        """Return what runs a handler in another process; `kind` None: as what it is there."""
        from durable_core.processes.isolated import IsolatedRunner, print_to_stderr

        warm_seed = None if self.isolates else seed
        return IsolatedRunner(
            partial(_runner_there, str(self.loader.folder), spec, kind, warm_seed),
            self._prepare or print_to_stderr,
            is_warm=not self.isolates,
            timeout=self._timeout,
        )

    def _loaded_there(
        self, spec: str, runtime: HandlerKind | None, seed: str, now: datetime
    ) -> tuple[LoadedHandler, IsolatedRunner]:
        """Return a handler as another process finds it, where its import is ended in time, and
        what runs it there."""
        from durable_core.processes.isolated import ProcessEnded

        there = self._elsewhere(spec, runtime, seed)
        try:
            names, kind = there.ask(partial(_found_there, str(self.loader.folder), spec, seed, now))
        except TimeoutError:
            seconds = max(self._timeout or 0, IMPORT_SECONDS)
            problem = f"can't be imported: it did not end within {seconds:g} s"
            raise ImportFailed(spec, problem) from None
        except ProcessEnded as error:
            raise ImportFailed(spec, f"can't be imported: {error}") from None
        return LoadedHandler(spec, names, _is_elsewhere, kind), there

    def _runner_here(self, target: Callable[..., Any], kind: HandlerKind) -> Runner:
        watched = self._watched(target) if kind is HandlerKind.NATIVE else target
        return _Unwound(_runner_of(watched, kind))

    def _watched(self, target: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(target)
        async def watched(event: Any, context: Any) -> Any:
            try:
                result = target(event, context)
                return await result if hasattr(result, "__await__") else result
            except Exception as error:
                self.traceback = users_traceback(error)
                raise

        return watched


class _Unwound(Runner):
    """Runs invocations in this process, which `os._exit` doesn't end."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    @property
    def sdk(self) -> Sdk:
        return self._runner.sdk

    @property
    def unwinds_crashes(self) -> bool:
        return self._runner.unwinds_crashes

    def invoke(
        self, given: InvocationInput, link: ServiceLink, options: InvocationOptions
    ) -> Invoked:
        unwinds = self._runner.unwinds_crashes
        with (
            handed(variables_of(context_of(link))),
            exit_ends_invocation(self._runner.die) if unwinds else exit_is_refused(),
        ):
            return self._runner.invoke(given, link, options)


def load_schedulable(loader: HandlerLoader, spec: str, seed: str | None = None) -> LoadedHandler:
    """Load a handler such that the locks and queues that its modules make, and the functions that
    they import by name, are those in which its threads can be scheduled. What its modules draw
    comes from the seed, if there is one. Raises a HandlerError."""
    with schedulable(), seeded_names() if seed is None else drawn_from(seed):
        return loader.load(spec)


def _runner_there(folder: str, spec: str, kind: HandlerKind | None, seed: str | None) -> Runner:
    """Return the runner that works inside of a process of its own: an invocation's, which draws
    while it imports as ever, or with a seed that of all invocations."""
    loaded = load_schedulable(HandlerLoader(Path(folder)), spec, seed)
    return _runner_of(loaded.target, kind or loaded.kind)


def _found_there(
    folder: str, spec: str, seed: str, now: datetime
) -> tuple[tuple[str, ...], HandlerKind]:
    """Return what has to be known of a handler here, inside of a process of its own."""
    with exit_fails_import(), served_by(StandingClock(now)):
        loaded = load_schedulable(HandlerLoader(Path(folder)), spec, seed)
    return loaded.names, loaded.kind


def _is_elsewhere(event: Any, context: Any) -> Any:
    """Stand for a handler that is imported in another process only."""
    raise NotImplementedError


def _runner_of(target: Callable[..., Any], kind: HandlerKind) -> Runner:
    if kind is HandlerKind.AWS_SDK:
        return _aws_sdk_runner(target)
    return NativeRunner(target) if kind is HandlerKind.NATIVE else PlainRunner(target)


def _aws_sdk_runner(target: Callable[..., Any]) -> Runner:
    from durable_core.runtimes.aws_python.runner import AwsSdkRunner

    return AwsSdkRunner(target)


class _Target(Runner):
    """Runs the handler of a chained invoke, wherever it does."""

    def __init__(self, runner: Runner, kind: HandlerKind) -> None:
        self._runner = runner
        self._kind = kind

    @property
    def is_durable(self) -> bool:
        return self._kind is not HandlerKind.PLAIN

    @property
    def sdk(self) -> Sdk:
        return self._kind.sdk

    def invoke(
        self, given: InvocationInput, link: ServiceLink, options: InvocationOptions
    ) -> Invoked:
        return self._runner.invoke(given, link, options)


# -- a whole simulation ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SimulationRequest:
    """All that makes a simulation what it is. `runtime` None: what the handler needs. `isolate`:
    each invocation has a process of its own. `timeout`: of one invocation, in real seconds.
    `real_durations`: what bodies take passes in virtual time too."""

    spec: str
    event: Any = None
    scenario: Scenario = field(default_factory=Scenario)
    seed: int | None = None
    interleaving: int | None = None
    runtime: HandlerKind | None = None
    isolate: bool = False
    timeout: float | None = None
    real_durations: bool = False
    limits: ServiceLimits = LIMITS
    max_invocations: int = 1_000
    execution_timeout: int | None = None
    asynchronous: bool = False

    @property
    def any_seed(self) -> int:
        """The seed given, else the scenario's, else 0."""
        return self.seed if self.seed is not None else self.scenario.seed or 0


def run_request(
    request: SimulationRequest,
    user: UserRunner,
    runner: Runner | None = None,
    on_invocation: Callable[[InvocationRecord], None] = lambda record: None,
) -> Simulation:
    """Run a simulation of the user's handler; `runner` is what is put around it, if anything.

    Raises a HandlerError for a handler that the scenario names.
    """
    function_name, execution_name = names_of_handler(user.loaded.names)
    targets = {
        script.handler: user.target(script.handler)
        for script in request.scenario.invokes
        if script.handler is not None
    }
    return simulate(
        runner or user,
        request.event,
        scenario=request.scenario,
        seed=request.seed,
        interleaving=request.interleaving,
        limits=request.limits,
        max_invocations=request.max_invocations,
        execution_timeout=request.execution_timeout,
        real_durations=request.real_durations,
        function_name=function_name,
        execution_name=execution_name,
        asynchronous=request.asynchronous,
        load=targets.__getitem__,
        on_invocation=on_invocation,
    )


def request_to_json(request: SimulationRequest) -> dict[str, Any]:
    """Return a request as a JSON object, for another process."""
    return {
        "spec": request.spec,
        "event": request.event,
        "scenario": scenario_text(request.scenario),
        "seed": request.seed,
        "interleaving": request.interleaving,
        "runtime": request.runtime,
        "timeout": request.timeout,
        "real_durations": request.real_durations,
        "limits": asdict(request.limits),
        "max_invocations": request.max_invocations,
        "execution_timeout": request.execution_timeout,
        "asynchronous": request.asynchronous,
    }


def request_from_json(raw: Mapping[str, Any]) -> SimulationRequest:
    """Return the request that `request_to_json` wrote."""
    return SimulationRequest(
        spec=raw["spec"],
        event=raw["event"],
        scenario=read_scenario(raw["scenario"]),
        seed=raw["seed"],
        interleaving=raw["interleaving"],
        runtime=HandlerKind(raw["runtime"]) if raw["runtime"] else None,
        timeout=raw["timeout"],
        real_durations=raw["real_durations"],
        limits=ServiceLimits(**raw["limits"]),
        max_invocations=raw["max_invocations"],
        execution_timeout=raw["execution_timeout"],
        asynchronous=raw["asynchronous"],
    )
