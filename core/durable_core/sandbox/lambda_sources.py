"""What Lambda hands an invocation, chosen: its context object and the environment's variables.

Done as `readings` does it, in a process of its own, for good. What an execution keeps is left
alone: the function's name, its tenant, and every variable that its owner has set.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar

from durable_core.limits import FUNCTION_TIMEOUT_SECONDS
from durable_core.sandbox import lambda_context
from durable_core.sandbox.lambda_context import ClientContext, CognitoIdentity, LambdaContext
from durable_core.sandbox.sources import Source
from durable_core.sandbox.step_bodies import running_body

if TYPE_CHECKING:
    from durable_core.sandbox.controlled_sources import ControlledSources

T = TypeVar("T")

_MOST_MILLISECONDS: Final = FUNCTION_TIMEOUT_SECONDS * 1000
_LARGEST_MEMORY: Final = "10240"
_WHOLE_CONTEXT: Final = "all of the context"


def install(readings: ControlledSources) -> None:
    """Change what handlers are handed. Can't be undone."""
    global _handed
    _handed = _Handed(readings)
    vars(lambda_context)["LambdaContext"] = ChosenContext
    os.environ.__class__ = Environ
    if hasattr(os, "environb"):
        os.environb.__class__ = Environ


class _Handed:
    """The values of one run. Each is asked for with the real one, None where there is none.

    What an id is drawn for has another in each run; of the rest every other run has another value.
    """

    def __init__(self, readings: ControlledSources) -> None:
        self.readings = readings

    def request_id(self, real: object) -> str:
        return str(uuid.UUID(bytes=self._drawn("request", 16, Source.INVOCATION), version=4))

    def trace_id(self, real: object) -> str:
        drawn = self._drawn("trace", 25, Source.INVOCATION).hex()
        root, parent, sampled = drawn[:32], drawn[32:48], int(drawn[48:], 16) % 2
        return f"Root=1-{root[:8]}-{root[8:]};Parent={parent};Sampled={sampled}"

    def deadline(self, real: object) -> int:
        left = self.readings.milliseconds_left(_MOST_MILLISECONDS)
        at = int(self.readings.began_at(Source.INVOCATION) * 1000) + left
        return at - at % 2 + self._other(0, 1, Source.INVOCATION)

    def log_stream(self, real: object) -> str:
        drawn = self._drawn("log stream", 16, Source.ENVIRONMENT).hex()
        return f"2026/01/0{1 + int(drawn[0], 16) % 2}/[{self.version(None)}]{drawn}"

    def log_group(self, real: object) -> str:
        return self._other(str(real or "/aws/lambda/function"), "/functions")

    def version(self, real: object) -> str:
        return self._other(str(real or "$LATEST"), "2" if real != "2" else "3")

    def function_arn(self, real: object) -> str:
        parts = str(real).split(":")
        name, qualifier = ":".join(parts[:7]), ":".join(parts[7:])
        return self._other(str(real), f"{name}:{'2' if qualifier != '2' else '3'}")

    def memory(self, real: object) -> str:
        own = str(real or "128")
        return self._other(own, _LARGEST_MEMORY if own != _LARGEST_MEMORY else "128")

    def client_context(self, real: object) -> Any:
        return self._other(real, ClientContext(custom={}, env={}), Source.INVOCATION)

    def identity(self, real: object) -> Any:
        known = CognitoIdentity()
        known.cognito_identity_id = f"us-east-1:{self.request_id(None)}"
        known.cognito_identity_pool_id = "us-east-1:pool"
        return self._other(real, known, Source.INVOCATION)

    def initialization(self, real: object) -> str:
        return self._other(str(real or "on-demand"), "provisioned-concurrency")

    def runtime(self, real: object) -> str:
        return self._other(str(real or "AWS_Lambda_python3.13"), "AWS_Lambda_python3.14")

    def runtime_api(self, real: object) -> str:
        return self._other(str(real or "127.0.0.1:9001"), "169.254.100.1:9001")

    def _drawn(self, what: str, count: int, source: Source) -> bytes:
        return self.readings.octets_of(what, count, source)

    def _other(self, real: T, other: T, source: Source = Source.ENVIRONMENT) -> T:
        return other if self.readings.reversed_order(source) else real


_handed: _Handed
"""The one of this process, once `install` has been called."""


# -- the context object ------------------------------------------------------------------------

Value = Callable[[_Handed, object], Any]

_ATTRIBUTES: Final[dict[str, tuple[Source, Value]]] = {
    "aws_request_id": (Source.INVOCATION, _Handed.request_id),
    "client_context": (Source.INVOCATION, _Handed.client_context),
    "identity": (Source.INVOCATION, _Handed.identity),
    "_epoch_deadline_time_in_ms": (Source.INVOCATION, _Handed.deadline),
    "log_stream_name": (Source.ENVIRONMENT, _Handed.log_stream),
    "log_group_name": (Source.ENVIRONMENT, _Handed.log_group),
    "function_version": (Source.ENVIRONMENT, _Handed.version),
    "invoked_function_arn": (Source.ENVIRONMENT, _Handed.function_arn),
    "memory_limit_in_mb": (Source.ENVIRONMENT, _Handed.memory),
}


_real_vars: Final[Callable[[Any], dict[str, Any]]] = vars(LambdaContext)["__dict__"].__get__


class ChosenContext(LambdaContext):
    """Keeps what it was made with, and shows what is chosen."""

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        _note_all()
        return {name: getattr(self, name) for name in _real_vars(self)}

    def __repr__(self) -> str:
        _note_all()
        return super().__repr__()

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the invocation may go on."""
        if running_body.get() is None and _handed.readings.note(
            Source.INVOCATION, "get_remaining_time_in_millis"
        ):
            return _handed.readings.milliseconds_left(_MOST_MILLISECONDS)
        return super().get_remaining_time_in_millis()

    def w3c(self) -> dict[str, str]:
        """Return the W3C trace context of the invocation: there is none."""
        _handed.readings.note(Source.INVOCATION, "w3c")
        return super().w3c()


ChosenContext.__name__ = ChosenContext.__qualname__ = "LambdaContext"
ChosenContext.__module__ = lambda_context.__name__


def _note_all() -> None:
    for source in (Source.INVOCATION, Source.ENVIRONMENT):
        _handed.readings.note(source, _WHOLE_CONTEXT)


def _attribute(name: str, source: Source, value: Value) -> property:
    def read(context: Any) -> Any:
        real = _real_vars(context)[name]
        if running_body.get() is not None:
            return real
        noted = _handed.readings.note(source, f"context.{name}", unless=_WHOLE_CONTEXT)
        return value(_handed, real) if noted else real

    def write(context: Any, given: Any) -> None:
        _real_vars(context)[name] = given

    return property(read, write)


for _name, (_source, _value) in _ATTRIBUTES.items():
    setattr(ChosenContext, _name, _attribute(_name, _source, _value))


# -- the environment's variables ---------------------------------------------------------------

_VARIABLES: Final[dict[str, tuple[Source, Value]]] = {
    "_X_AMZN_TRACE_ID": (Source.INVOCATION, _Handed.trace_id),
    "AWS_LAMBDA_LOG_STREAM_NAME": (Source.ENVIRONMENT, _Handed.log_stream),
    "AWS_LAMBDA_LOG_GROUP_NAME": (Source.ENVIRONMENT, _Handed.log_group),
    "AWS_LAMBDA_FUNCTION_VERSION": (Source.ENVIRONMENT, _Handed.version),
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": (Source.ENVIRONMENT, _Handed.memory),
    "AWS_LAMBDA_INITIALIZATION_TYPE": (Source.ENVIRONMENT, _Handed.initialization),
    "AWS_EXECUTION_ENV": (Source.ENVIRONMENT, _Handed.runtime),
    "AWS_LAMBDA_RUNTIME_API": (Source.ENVIRONMENT, _Handed.runtime_api),
}
"""Source: Lambda's developer guide, "Defined runtime environment variables"."""

_SAYS_IN_LAMBDA: Final = frozenset({"AWS_EXECUTION_ENV", "AWS_LAMBDA_RUNTIME_API"})
"""Variables by which code detects Lambda: they are shown only where they are really set."""
_WHOLE: Final = "all of os.environ"


_own: Final[set[str]] = set()
"""What the handler has set or removed itself."""


class Environ(type(os.environ)):  # type: ignore[misc]
    """`os.environ`, with the variables that Lambda sets, for the user's own code."""

    def __getitem__(self, key: Any) -> Any:
        name = _name_of(key)
        if name not in _VARIABLES or not self._is_chosen(name):
            return super().__getitem__(key)
        source, value = _VARIABLES[name]
        said = f'os.environ["{name}"]'
        if not _handed.readings.note(source, said, by_users=True, unless=_WHOLE):
            return super().__getitem__(key)
        chosen = value(_handed, self._real(key))
        return chosen if isinstance(key, str) else os.fsencode(chosen)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._takes(key)
        super().__setitem__(key, value)

    def __delitem__(self, key: Any) -> None:
        was_shown = _name_of(key) in _VARIABLES and self._is_chosen(_name_of(key))
        self._takes(key)
        if not was_shown or self._real(key) is not None:
            super().__delitem__(key)

    def __iter__(self) -> Iterator[Any]:
        keys = list(super().__iter__())
        noted = [
            _handed.readings.note(source, _WHOLE, by_users=True)
            for source in (Source.INVOCATION, Source.ENVIRONMENT)
        ]
        yield from keys
        if all(noted):
            shown = (self._key(name) for name in _VARIABLES if self._is_chosen(name))
            yield from (key for key in shown if key not in keys)

    def __len__(self) -> int:
        return sum(1 for _ in self)  # a list would ask for the length, to make room

    def __repr__(self) -> str:
        inside = ", ".join(f"{key!r}: {value!r}" for key, value in self.items())
        return f"environ({{{inside}}})"

    def _real(self, key: Any) -> str | None:
        try:
            return os.fsdecode(super().__getitem__(self._key(key)))
        except KeyError:
            return None

    def _is_chosen(self, name: str) -> bool:
        if name in _own or running_body.get() is not None:
            return False
        return name not in _SAYS_IN_LAMBDA or self._real(name) is not None

    def _key(self, name: str | bytes) -> str | bytes:
        return os.fsdecode(name) if self is os.environ else os.fsencode(name)

    @staticmethod
    def _takes(key: object) -> None:
        """Note that a variable is the handler's own from now on, unless it is we who set it."""
        name = _name_of(key)
        if name in _VARIABLES and not _handed.readings.is_exempt(sys._getframe(2)):
            _own.add(name)


def _name_of(key: Any) -> str:
    """Return the name of a variable; an empty one for what is none."""
    return key if isinstance(key, str) else os.fsdecode(key) if isinstance(key, bytes) else ""
