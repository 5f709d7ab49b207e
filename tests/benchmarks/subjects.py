"""Handlers with a history of each, for what is done to all of them.

The fixtures with what AWS's local runner or our simulator recorded of them, the conformance
handlers with what our simulator records, and the handlers of a folder (`handler`, with `EVENT` and
`SCENARIO` where they need one).
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"
CONFORMANCE = ROOT / "tests" / "conformance"
sys.path[:0] = [str(ROOT / "core"), str(FIXTURES), str(FIXTURES / "handlers"), str(CONFORMANCE)]

from durable_core.adapters.history_file import load_history  # noqa: E402
from durable_core.history import RecordedHistory, history_of_events  # noqa: E402
from durable_core.runtimes.drivers import replayer_of  # noqa: E402
from durable_core.simulation.scenario import read_scenario  # noqa: E402
from durable_core.simulation.simulate import simulate  # noqa: E402
from durable_core.verifying.replay import Replayer  # noqa: E402


@dataclass(frozen=True)
class Subject:
    """A handler with one of its histories."""

    name: str
    file: Path
    history: RecordedHistory
    is_native: bool
    function: str = "handler"

    @property
    def source(self) -> str:
        """The source of the handler's module."""
        return self.file.read_text()

    def load(self, tree: ast.Module) -> Any:
        """Return the handler of a changed source."""
        names: dict[str, Any] = {"__name__": self.file.stem, "__file__": str(self.file)}
        exec(compile(tree, str(self.file), "exec"), names)
        return names[self.function]

    def replayer(self, handler: Any) -> Replayer:
        """Return what runs the handler under an session."""
        return replayer_of(handler)


def fixtures() -> Iterator[Subject]:
    """Return every fixture handler with every history of it."""
    import record

    for name, recording in record.RECORDINGS.items():
        try:
            importlib.import_module(recording.module)
        except ImportError:
            continue  # written for a later SDK than the one that is installed
        history = load_history(str(FIXTURES / "histories" / f"{name}.json"))
        file = FIXTURES / "handlers" / f"{recording.module}.py"
        yield Subject(recording.module, file, history, False)
    for file in sorted((FIXTURES / "handlers").glob("native_*.py")):
        yield _simulated(file, True)


def conformance() -> Iterator[Subject]:
    """Return every conformance handler with what it records in our simulator."""
    from conformance_cases import CASES
    from conformance_driver import RUNTIMES, run

    for runtime in RUNTIMES:
        for number, case in CASES.items():
            if case.isolated:
                continue  # it ends its process
            module, _, function = case.handler.partition(":")
            try:
                simulated = run(runtime, case)
            except (ImportError, AttributeError):
                continue
            history = history_of_events(f"{runtime} {number}", simulated.events, arn=simulated.arn)
            file = CONFORMANCE / runtime / f"{module}.py"
            yield Subject(f"{runtime} {number}", file, history, runtime == "native", function)


def folder(path: Path) -> Iterator[Subject]:
    """Return every handler in a folder with what it records in our simulator."""
    sys.path.insert(0, str(path))
    for file in sorted(path.glob("*.py")):
        yield _simulated(file, "aws_durable_execution_sdk_python" not in file.read_text())


def _simulated(file: Path, is_native: bool) -> Subject:
    module = importlib.import_module(file.stem)
    handler = module.handler if is_native else _runner(module.handler)
    scenario = read_scenario(getattr(module, "SCENARIO", ""))
    simulated = simulate(handler, getattr(module, "EVENT", None), scenario=scenario)
    history = history_of_events(file.stem, simulated.events, arn=simulated.arn)
    return Subject(file.stem, file, history, is_native)


def _runner(handler: Callable[..., Any]) -> Any:
    from durable_core.runtimes.aws_python.runner import AwsSdkRunner

    return AwsSdkRunner(handler)


def subjects(of: str) -> Iterator[Subject]:
    """Return the subjects of `fixtures`, `conformance`, `all` of these, or a folder."""
    if of in ("fixtures", "all"):
        yield from fixtures()
    if of in ("conformance", "all"):
        yield from conformance()
    if of not in ("fixtures", "conformance", "all"):
        yield from folder(Path(of))
