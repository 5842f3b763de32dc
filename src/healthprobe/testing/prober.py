"""The scripted prober: engines whose every answer is written down beforehand, and a record of when they were asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind, ProbeOutcome
from healthprobe.domain.target import ProbeTarget


@dataclass(frozen=True, slots=True)
class Late:
    """`answer`, given `delay` seconds after it was asked for."""

    delay: float
    answer: ProbeOutcome | BaseException


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer.

    `bounded` is an engine that says nothing, behind a prober that keeps its promise: Failed as the timeout runs out.
    Without it the prober itself never returns.
    """

    bounded: bool = True


SILENT = Silence()
"""An engine that accepts and never answers."""

STUCK = Silence(bounded=False)
"""A prober that breaks its promise and never returns."""

UNAVAILABLE = Failed(503, "unexpected status 503")
"""What an engine gives that is up and not well."""

Answer = ProbeOutcome | Late | Silence | BaseException
"""One line of a script; an exception is raised."""

Script = Sequence[Answer] | Callable[[ProbeTarget], Answer]
"""Answers in order, of which the last is repeated for ever; or what computes the next."""


@dataclass(slots=True)
class Probe:
    """One probe as the prober saw it. Times are the loop's, in seconds; `ended` is None while it is in flight."""

    game_id: str
    target: ProbeTarget
    began: float
    ended: float | None = None
    cancelled: bool = False


class ScriptedProber:
    """A Prober that answers by script. Games without one are healthy, those without a probeable endpoint fail.

    `probes` keeps every probe in the order of their beginning, `most_in_flight` how many were ever in flight at once,
    `forgotten` the targets that were let go.
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
        """From now on the engine of `game_id` answers so; a script begins at its beginning."""
        self._scripts[game_id] = _answers(script)

    def script_all_others(self, script: Script | Answer) -> None:
        """From now on every engine that has no script of its own answers so; a sequence is shared by all of them."""
        self._otherwise = _answers(script)

    @property
    def probed(self) -> list[str]:
        """The games that were probed, in the order in which their probes began."""
        return [probe.game_id for probe in self.probes]

    def began(self, game_id: str) -> list[float]:
        """When the probes of `game_id` began."""
        return [probe.began for probe in self.probes if probe.game_id == game_id]

    async def probe(self, target: ProbeTarget) -> ProbeOutcome:
        loop = asyncio.get_running_loop()
        probe = Probe(target.game_id, target, loop.time())
        self.probes.append(probe)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await _given(self._scripts.get(target.game_id, self._otherwise)(target), target)
        except asyncio.CancelledError:
            probe.cancelled = True
            raise
        finally:
            self.in_flight -= 1
            probe.ended = loop.time()

    def forget(self, target: ProbeTarget) -> None:
        self.forgotten.append(target)


async def _given(answer: Answer, target: ProbeTarget) -> ProbeOutcome:
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
