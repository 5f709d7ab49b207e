"""A native operation while it is verified: it is answered from the record and does nothing."""

from __future__ import annotations

import asyncio
from dataclasses import field
from functools import cache, partial
from typing import Any, Final

from durable_core.decide import AskedOperation, ReplayDecision, Verb, Want, decide
from durable_core.exceptions import SerDesError
from durable_core.frozen import dataclass
from durable_core.ids import Path
from durable_core.model import OperationAction, OperationType
from durable_core.native.call import Call
from durable_core.native.execution import Execution
from durable_core.native.journal import Activity
from durable_core.native.serdes import PASS_THROUGH, SerDes
from durable_core.verifying.missing_values import NotDone, UnknownValue
from durable_core.verifying.payloads import not_json
from durable_core.verifying.session import ReplaySession
from durable_core.verifying.traces import ContextTrace, Resolution


@dataclass
class VerifyingExecution(Execution):
    """The execution of a run under session. `looks` are the bodies that run, innermost last."""

    session: ReplaySession = field(kw_only=True)
    traces: dict[str, ContextTrace] = field(default_factory=dict)
    looks: list[asyncio.Future[None]] = field(default_factory=list)

    def give_up_a_look(self) -> bool:
        """Let the innermost body that can't go on be left; return False when there is none."""
        while self.looks:
            look = self.looks.pop()
            if not look.done():
                end_look(look)
                return True
        return False


def end_look(look: asyncio.Future[None]) -> None:
    """Let what waits for a body go on."""
    if not look.done():
        look.set_result(None)


@cache
def _asked(kind: OperationType, want: Want) -> AskedOperation:
    """Return what is asked for where the identity is compared elsewhere."""
    return AskedOperation(kind, want=want, check=False)


_ANSWERS: Final = (Verb.REUSE, Verb.RAISE)
_RUNS: Final = (Verb.RUN, Verb.RUN_AGAIN, Verb.INTERRUPTED)


class VerifyingCall(Call):
    """An operation that is answered from the record and does nothing: `session` is where it is
    asked for."""

    __slots__ = ("_unknown", "answer", "session")
    answer: Resolution

    def __init__(self, execution: VerifyingExecution, *args: Any) -> None:
        self._unknown: UnknownValue | None = None
        self.session = execution.session
        super().__init__(execution, *args)

    def decide(self, want: Want = Want.OPERATION) -> ReplayDecision:
        """Return what a replay does with it; what would run something ends here instead."""
        decision = decide(self.recorded, _asked(self.type, want))
        if decision.verb in _ANSWERS:
            self._unknown = self.session.take_payload(self.answer)
        elif decision.verb in _RUNS and self.type is not OperationType.CALLBACK:
            return ReplayDecision(Verb.SUSPEND)
        return decision

    def to_value(self, serdes: SerDes[Any] | None, payload: str | None) -> Any:
        """Return the value of a recorded payload, or what stands for it.

        One that can't be read is a reason not to verify.
        """
        unknown, self._unknown = self._unknown, None
        if unknown is not None:
            return unknown
        return self.read(serdes, payload, self.path, self.answer.identity)

    def read(
        self, serdes: SerDes[Any] | None, payload: str | None, path: Path, label: object
    ) -> Any:
        """Return the value of a payload, or what stands for one that its SerDes keeps elsewhere."""

        missing = self.session.missing
        is_own = _is_own(serdes)
        try:
            if is_own:
                if serdes is None and (why := _not_written(payload)):
                    raise SerDesError(why)
                return super().to_value(serdes, payload)
            made = missing.deserialize(partial(super().to_value, serdes, payload))
        except SerDesError as error:
            self.session.unreadable(label, path, error, is_default=is_own)
            raise
        return missing.not_loaded(path, label, made) if isinstance(made, NotDone) else made

    def write(self, serdes: SerDes[Any] | None, value: Any, path: Path, label: str) -> Any:
        """Return the payload of a value, or NotDone where its SerDes would keep it elsewhere.

        Raises what the SerDes does.
        """
        missing = self.session.missing
        made = missing.serialize(partial(self.to_payload, serdes, value), is_own=_is_own(serdes))
        if isinstance(made, NotDone):
            missing.not_written(path, label, made)
        return made

    def round_trip_of(self, serdes: SerDes[Any] | None, value: Any, path: Path, label: str) -> Any:
        """Return what a replay returns for a value that isn't stored."""
        payload = self.write(serdes, value, path, label)
        return value if isinstance(payload, NotDone) else self.read(serdes, payload, path, label)

    async def persist(self, action: OperationAction, **given: Any) -> None:
        """Write nothing: nothing is new in what is recorded, and what is new ends here."""
        await self.park(ReplayDecision(Verb.SUSPEND))

    def send(self, action: OperationAction) -> None:
        """Write nothing."""

    def note(
        self,
        did: Activity,
        *,
        attempt: int | None = None,
        size: int | None = None,
        once: bool = False,
    ) -> None:
        """Note nothing: the session keeps what was asked."""


def _is_own(serdes: SerDes[Any] | None) -> bool:
    """Return True for what is of the runtime itself, and reaches nothing outside."""
    return serdes is None or serdes is PASS_THROUGH


def _not_written(payload: str | None) -> str | None:
    """Return why the default SerDes can't have written what it would read; see `JsonSerDes`."""
    if payload is None or not ("NaN" in payload or "Infinity" in payload):
        return None
    return not_json(payload)
