"""Rounds of faults: engines fail and recover, and the oracle computes what the log must hold.

A round lasts until every run has logged it, so that a busy machine makes the test longer and changes nothing else.
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

_GAMES, _RESTLESS = 20, 4

_LONGEST_PAUSE = 0.2
"""Between one engine's change and the next, in seconds. A round of changes takes about two."""

_LATE = 0.5
"""How much later than the next change of its engine a failure may be seen, in seconds."""


@dataclass(frozen=True, slots=True)
class ExpectedEvent:
    """An event that the log must hold: its type, when it may have been seen (wall time), and its last status."""

    event_type: EventType
    earliest: float
    latest: float
    last_status: int = 0

    def matches(self, event: HealthEvent) -> bool:
        last_status = event.details.as_document().get("last_status", 0)
        same = (event.event_type, last_status) == (self.event_type, self.last_status)
        return same and self.earliest <= event.occurred_at.timestamp() <= self.latest


class FaultRounds:
    """Every second game is down in one round, the others in the next; in the last all are healthy again.

    A few restless engines besides give single bad answers, which are never an event.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._done = 0
        self._changes: dict[str, list[tuple[float, Behaviour]]] = {}
        for number in range(_GAMES):
            self._changes[f"game-{number}"] = []
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
        """How many events the rounds so far make."""
        return sum(len(self.expected(game_id)) for game_id in self.games)

    async def change_engines(self) -> None:
        """Changes the engines for the next round, in random order and at a random pace."""
        number_of_round, self._done = self._done, self._done + 1
        for number in random.sample(range(_GAMES), _GAMES):
            await asyncio.sleep(random.uniform(0.0, _LONGEST_PAUSE))
            changes, behaviour = self._changes[f"game-{number}"], self._behaviour(number_of_round, number)
            if behaviour != (changes[-1][1] if changes else OK):
                changes.append((time.time(), behaviour))
                await self._fleet.engines[f"game-{number}"].become(behaviour)

    def expected(self, game_id: str) -> list[ExpectedEvent]:
        """The oracle: returns exactly the events that the log must hold for this game so far."""
        changes = self._changes[game_id]
        return [
            ExpectedEvent(EventType.PROBE_RECOVERED, at, following)
            if behaviour == OK
            else ExpectedEvent(
                EventType.PROBE_FAILED, at, following + _LATE, behaviour if isinstance(behaviour, int) else 0
            )
            for (at, behaviour), (following, _) in pairwise([*changes, (float("inf"), OK)])
        ]

    def _behaviour(self, round_: int, number: int) -> Behaviour:
        if round_ == self.count - 1 or (round_ + number) % 2 == 0:
            return OK
        return FAULTS[(round_ + number) // 2 % len(FAULTS)]


async def _answer_badly_once_in_a_while(engine: ScriptedEngine) -> None:
    while True:
        await asyncio.sleep(random.uniform(0.5, 1.5))
        asked = engine.requests
        await engine.become(503)
        while engine.requests == asked:  # noqa: ASYNC110  an engine only counts
            await asyncio.sleep(0.005)
        await engine.become(OK)
