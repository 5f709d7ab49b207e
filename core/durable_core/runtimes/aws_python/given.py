"""What operations of AWS's SDK give to the code that they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial, wraps
from types import FunctionType
from typing import Any, Final

from durable_core.runtimes.aws_python.attach import attached_sdk
from durable_core.sandbox.user_code import is_users
from durable_core.verifying.handed import Handed

_USERS: Final = ("func", "submitter", "args", "kwargs")
"""By which names functions that the SDK makes know the user's function, and what its decorators
(`@durable_step` and the like) bind to one (1.7.0 to 3.0.0)."""


def handed_by_executor(executor: Any) -> Handed:
    """Return what an operation gives, of which the SDK has made an executor."""
    own = (getattr(executor, name, None) for name in ("func", "check", "payload"))
    state = getattr(getattr(executor, "config", None), "initial_state", None)
    return Handed((*(each for value in own for each in _users(value)), state))


def handed_to_units(concurrent: Any) -> Handed:
    """Return what the units of a map or parallel are given."""
    items = getattr(concurrent, "items", None)
    if items is not None:
        return Handed((), list(items))
    return Handed((), [tuple(_users(each.func)) for each in concurrent.executables])


def _users(value: object) -> Iterator[object]:
    """Yield the user's part of a function that the SDK made, and any other value as it is."""
    if type(value).__name__ == "ParallelBranch":
        value = getattr(value, "func", value)
    if not isinstance(value, FunctionType) or is_users(value.__code__.co_filename):
        yield value
        return
    cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
    for name, cell in cells:
        if name in _USERS:
            yield from _users(cell.cell_contents)


def watch_aws(note: Callable[[str, Callable[[], Handed]], None]) -> None:
    """Have what operations are given told when they are asked for. Can't be undone."""
    sdk = attached_sdk()
    kinds = sdk.step.StepOperationExecutor.__mro__
    operations = next((kind for kind in kinds[1:] if "process" in vars(kind)), None)
    if operations is None:
        return
    concurrent = sdk.concurrent_executor
    process = operations.process

    @wraps(process)
    def noted_process(self: Any) -> Any:
        note(self.operation_identifier.operation_id, partial(handed_by_executor, self))
        return process(self)

    def noting(method: Any) -> Any:
        @wraps(method)
        def noted(self: Any, execution_state: Any, executor_context: Any, *more: Any) -> Any:
            note(executor_context._step_id_prefix, partial(handed_to_units, self))
            return method(self, execution_state, executor_context, *more)

        return noted

    operations.process = noted_process
    concurrent.execute = noting(concurrent.execute)
