"""The play: faults that engines perform act after act, and from which the oracle computes what the log must hold.

An act lasts as long as its audience needs to see it, so that on a busy machine the play is longer but not another one.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from healthprobe.domain.event import EventType, HealthEvent
from healthprobe.testing.engines import OK, Behaviour, Script, ScriptedEngine, ScriptedFleet

FAULTS: tuple[Behaviour, ...] = ("crash", "hang", 503)

_ACTORS, _RESTLESS = 20, 4

_LONGEST_PAUSE = 0.2
"""Between one engine's change and the next, in seconds: an act comes over its audience in about two."""

_LATE = 0.5
"""How much later than its engine's next change a failure may be seen, in seconds: a timeout, and a busy machine."""


@dataclass(frozen=True, slots=True)
class ExpectedEvent:
    """What the log must hold: its type, when it may have been seen (wall time), and the status of the last failure."""

    event_type: EventType
    earliest: float
    latest: float
    last_status: int = 0

    def is_told_by(self, event: HealthEvent) -> bool:
        last_status = event.details.as_document().get("last_status", 0)
        told = (event.event_type, last_status) == (self.event_type, self.last_status)
        return told and self.earliest <= event.occurred_at.timestamp() <= self.latest


class Play:
    """Every second actor is down in one act, the others in the next; in the last all are well, as they were before.

    Beside them there are restless engines, whose single bad answers are never an event.
    """

    def __init__(self, acts: int) -> None:
        self.acts = acts
        self._performed = 0
        self._changes: dict[str, list[tuple[float, Behaviour]]] = {}
        for number in range(_ACTORS):
            self._changes[f"actor-{number}"] = []
        for number in range(_RESTLESS):
            self._changes[f"restless-{number}"] = []
        self._fleet = ScriptedFleet(dict.fromkeys(self._changes, Script()))

    async def __aenter__(self) -> Self:
        await self._fleet.__aenter__()
        restless = [engine for game_id, engine in self._fleet.engines.items() if game_id.startswith("restless")]
        self._unrest = [asyncio.create_task(_answer_badly_once_in_a_while(engine)) for engine in restless]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._unrest:
            task.cancel()
        await asyncio.gather(*self._unrest, return_exceptions=True)
        await self._fleet.__aexit__()

    @property
    def games(self) -> list[str]:
        return list(self._changes)

    @property
    def endpoints(self) -> dict[str, str]:
        return self._fleet.endpoints

    @property
    def events_due(self) -> int:
        """How many events the acts up to now make."""
        return sum(len(self.expected(game_id)) for game_id in self.games)

    async def perform(self) -> None:
        """The next act, in an order and a pace of chance; returns when every engine behaves as it says."""
        act, self._performed = self._performed, self._performed + 1
        for number in random.sample(range(_ACTORS), _ACTORS):
            await asyncio.sleep(random.uniform(0.0, _LONGEST_PAUSE))
            changes, behaviour = self._changes[f"actor-{number}"], self._behaviour(act, number)
            if behaviour != (changes[-1][1] if changes else OK):
                changes.append((time.time(), behaviour))
                await self._fleet.engines[f"actor-{number}"].become(behaviour)

    def expected(self, game_id: str) -> list[ExpectedEvent]:
        """The oracle: what the log must hold of this game after the acts up to now, no more and no less."""
        changes = self._changes[game_id]
        return [
            ExpectedEvent(EventType.PROBE_RECOVERED, at, following)
            if behaviour == OK
            else ExpectedEvent(
                EventType.PROBE_FAILED, at, following + _LATE, behaviour if isinstance(behaviour, int) else 0
            )
            for (at, behaviour), (following, _) in pairwise([*changes, (float("inf"), OK)])
        ]

    def _behaviour(self, act: int, number: int) -> Behaviour:
        if act == self.acts - 1 or (act + number) % 2 == 0:
            return OK
        return FAULTS[(act + number) // 2 % len(FAULTS)]


async def _answer_badly_once_in_a_while(engine: ScriptedEngine) -> None:
    while True:
        await asyncio.sleep(random.uniform(0.5, 1.5))
        asked = engine.requests
        await engine.become(503)
        while engine.requests == asked:  # noqa: ASYNC110  an engine only counts
            await asyncio.sleep(0.005)
        await engine.become(OK)
