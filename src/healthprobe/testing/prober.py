"""A scripted prober: it answers from a script and records every probe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind, ProbeOutcome
from healthprobe.domain.target import ProbeTarget


@dataclass(frozen=True, slots=True)
class Late:
    """`answer`, after `delay` seconds."""

    delay: float
    answer: ProbeOutcome | BaseException


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer.

    If `bounded`, the engine never answers and the prober returns Failed at the timeout. Else the prober never returns.
    """

    bounded: bool = True


SILENT = Silence()
"""An engine that accepts and never answers."""

STUCK = Silence(bounded=False)
"""A prober that never returns, against its contract."""

UNAVAILABLE = Failed(503, "unexpected status 503")
"""The outcome of an engine that answers 503."""

Answer = ProbeOutcome | Late | Silence | BaseException
"""One answer of a script. An exception is raised."""

Script = Sequence[Answer] | Callable[[ProbeTarget], Answer]
"""Answers in order, the last repeated for ever; or a function that computes the next one."""


@dataclass(slots=True)
class Probe:
    """One probe as the prober saw it. Times are the loop's, in seconds; `ended` is None while it is in flight."""

    game_id: str
    target: ProbeTarget
    began: float
    ended: float | None = None
    cancelled: bool = False


class ScriptedProber:
    """A Prober that answers by script. Games without a script are healthy; those without a valid endpoint fail.

    `probes` has every probe in the order of their start, `most_in_flight` the most that were in flight at once,
    `forgotten` the targets passed to `forget`.
    """

    def __init__(self, **scripts: Script | Answer) -> None:
        self.probes: list[Probe] = []
        self.forgotten: list[ProbeTarget] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self._scripts: dict[str, Callable[[ProbeTarget], Answer]] = {}
        self._otherwise: Callable[[ProbeTarget], Answer] = _next_of([HEALTHY])
        for game_id, script in scripts.items():
            self.script(game_id, script)

    def script(self, game_id: str, script: Script | Answer) -> None:
        """Sets the script of one game, from its first answer."""
        self._scripts[game_id] = _answers(script)

    def script_all_others(self, script: Script | Answer) -> None:
        """Sets the script of all games without their own. They share a sequence."""
        self._otherwise = _answers(script)

    @property
    def probed(self) -> list[str]:
        """The game of each probe, in the order of their start."""
        return [probe.game_id for probe in self.probes]

    def began(self, game_id: str) -> list[float]:
        """Returns the start times of the probes of `game_id`."""
        return [probe.began for probe in self.probes if probe.game_id == game_id]

    async def probe(self, target: ProbeTarget) -> ProbeOutcome:
        loop = asyncio.get_running_loop()
        probe = Probe(target.game_id, target, loop.time())
        self.probes.append(probe)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await _outcome(self._scripts.get(target.game_id, self._otherwise)(target), target)
        except asyncio.CancelledError:
            probe.cancelled = True
            raise
        finally:
            self.in_flight -= 1
            probe.ended = loop.time()

    def forget(self, target: ProbeTarget) -> None:
        self.forgotten.append(target)


async def _outcome(answer: Answer, target: ProbeTarget) -> ProbeOutcome:
    if isinstance(target.endpoint, Failed):
        return target.endpoint
    if isinstance(answer, Late):
        await asyncio.sleep(answer.delay)
        answer = answer.answer
    if isinstance(answer, Silence):
        if not answer.bounded:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(target.timeout)
        return Failed(0, f"timed out after {target.timeout:g}s waiting for the response head", FailureKind.TIMEOUT)
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _answers(script: Script | Answer) -> Callable[[ProbeTarget], Answer]:
    if isinstance(script, Sequence):
        return _next_of(script)
    if callable(script):
        return script
    return _next_of([script])


def _next_of(answers: Iterable[Answer]) -> Callable[[ProbeTarget], Answer]:
    remaining = iter(answers)
    last = next(remaining)

    def answer(_: ProbeTarget) -> Answer:
        nonlocal last
        current, last = last, next(remaining, last)
        return current

    return answer
