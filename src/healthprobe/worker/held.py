"""The held decisions: `probe_failed` of a mass failure, which wait for another interval before anybody is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from healthprobe.domain.mass_failure import MassFailure
from healthprobe.domain.transition import Transition
from healthprobe.worker.terms import Terms


@dataclass(frozen=True, slots=True)
class HeldDecision:
    """A `probe_failed` as it was decided, and when its hold is over, in monotonic seconds."""

    transition: Transition
    over_at: float


class HeldDecisions:
    """Holds decisions while a mass failure is on, each for one interval.

    If the share still fails then, `release` is called with what was decided, as it was decided; else all of it was the
    prober's own blip and is dropped, and whoever still fails is decided anew. They are nowhere but here, so that a
    process that is killed leaves neither an event nor a lie. Without a share in the policy nothing is ever held.
    """

    def __init__(self, terms: Terms, release: Callable[[Transition], None]) -> None:
        share = terms.policy.hold
        self._mass = None if share is None else MassFailure(share, terms.interval)
        self._interval = terms.interval
        self._release = release
        self._logger = terms.logger
        self._monotonic = terms.monotonic
        self._held: dict[str, HeldDecision] = {}
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._held)

    def failed(self, game_id: str, healthy: int) -> None:
        """A game that was healthy failed; so many others are `healthy`."""
        if self._mass is None:
            return
        was_on = self._mass.is_on
        self._mass.failed(game_id, self._monotonic(), healthy)
        if self._mass.is_on and not was_on:
            self._logger.warning("many engines fail at once: decisions are held", healthy=healthy)

    def answered(self, game_id: str) -> None:
        """The game fails no more, is another container, or is not watched any more: nothing was decided."""
        if self._mass is None:
            return
        self._held.pop(game_id, None)
        self._mass.answered(game_id)
        if self._mass.is_on and not self._held and not self._mass.holds:
            self._drop()

    def takes(self, transition: Transition) -> bool:
        """Whether this `probe_failed` is held, and nobody is to be told yet."""
        if self._mass is None or not self._mass.is_on:
            return False
        if transition.game_id not in self._held:
            self._held[transition.game_id] = HeldDecision(transition, self._monotonic() + self._interval)
            self._news.set()
        return True

    async def run(self) -> None:
        """Release or drop what is held as its time comes, until cancelled."""
        while True:
            self._news.clear()
            if not self._held:
                await self._news.wait()
                continue
            first = next(iter(self._held.values()))  # all are held equally long, so in the order of their coming
            await asyncio.sleep(max(first.over_at - self._monotonic(), 0.0))
            self.settle()

    def settle(self) -> None:
        """Release or drop what has been held for its time."""
        now = self._monotonic()
        due = [each.transition for each in self._held.values() if each.over_at <= now]
        if self._mass is None or not due:
            return
        if not self._mass.holds:
            self._drop()
            return
        for transition in due:
            del self._held[transition.game_id]
            self._release(transition)
        self._logger.warning("they still fail: held decisions are released", decisions=len(due))
        if not self._held:
            self._mass.end()

    def _drop(self) -> None:
        assert self._mass is not None
        self._mass.end()
        self._logger.warning("they fail no more: it was the prober's own blip", decisions_dropped=len(self._held))
        self._held.clear()
