"""Who pauses an execution and resumes it, as the scenario says. Never waits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from durable_core.model import PauseDetails
from durable_core.service.clock import VirtualClock
from durable_core.service.simulated import SimulatedService
from durable_core.service.values import Answer, Pause, RefusedAnswer, Resume
from durable_core.simulation.scenario import PauseScript, pause_text


class Pauses:
    """The pauses of one execution: those of a moment are scheduled, others come at a checkpoint."""

    def __init__(
        self, scripts: Sequence[PauseScript], service: SimulatedService, clock: VirtualClock
    ) -> None:
        self._service = service
        self._clock = clock
        self._asked = [(each, Pause(each.reason, each.extend_timeout)) for each in scripts]
        for script, pause in self._asked:
            if script.invocation is None:
                moment = clock.now + timedelta(seconds=script.after_seconds)
                service.schedule(moment, pause)
                self._resume(script, moment)

    def at(self, invocation: int, checkpoint: int) -> None:
        """Ask for the pauses that come right before this checkpoint of this invocation."""
        for script, pause in self._asked:
            is_here = (script.invocation, script.checkpoint) == (invocation, checkpoint)
            if is_here and self._answer(pause):
                self._resume(script, self._clock.now)

    def _answer(self, answer: Answer) -> bool:
        now = self._clock.now
        refusal = self._service.answer(now, answer)
        if refusal is not None:
            self._service.refused_answers.append(RefusedAnswer(now, answer, refusal))
        return refusal is None

    def _resume(self, script: PauseScript, moment: datetime) -> None:
        if script.for_seconds is not None:
            self._service.schedule(moment + timedelta(seconds=script.for_seconds), Resume())

    @property
    def current(self) -> PauseDetails | None:
        """The pause that the execution is in, as GetDurableExecution says it."""
        pausing = self._service.pausing
        if pausing.asked is None:
            return None
        return PauseDetails(pausing.requested, pausing.asked.reason, pausing.asked.timeout_paused)

    @property
    def unused(self) -> tuple[str, ...]:
        """The entries that came to nothing: `[[pause]] after_seconds = 60`."""
        asked = {id(each) for each in self._service.pausing.taken}
        left = (script for script, pause in self._asked if id(pause) not in asked)
        return tuple(" ".join(pause_text(script).split("\n")[:2]) for script in left)
