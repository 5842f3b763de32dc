"""The engines: they fail and recover again and again, each change recorded in the oracle before it is made."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Self

from chaos.form import Form
from chaos.oracle import Oracle, container_of
from healthprobe.domain.record import RuntimeRecord
from healthprobe.testing.engines import OK, Behaviour, Script
from healthprobe.testing.fleet import FleetProcess

FAULTS: tuple[Behaviour, ...] = ("crash", "hang", 503, 500, 429)

CANARY = "canary"

ALTERED = "altered"
"""The game whose event is altered in the log. What becomes of it is not judged: what it was cannot be known."""

_NICENESS = -15
"""The niceness of the engines' process: the program may be slow on a busy machine, the engines may not."""

RACK = "rack"
"""The label of the games, by which their alerts may be grouped."""

_GAMES_OF_A_RACK = 20

_GROUPS = 10
"""The engines change in this many groups, with random pauses between them, an interval long in all at most."""


class Engines:
    """Scripted engines in a process of their own."""

    def __init__(self, form: Form, chance: random.Random, oracle: Oracle) -> None:
        self.oracle = oracle
        self._chance = chance
        self._share = form.share
        self._longest_pause = form.interval / _GROUPS
        self.games = [f"game-{number}" for number in range(form.games)]
        self._faltering = [f"faltering-{number}" for number in range(form.faltering)]
        self.down: set[str] = set()
        """The games whose engine is failing."""
        self._fleet = FleetProcess(dict.fromkeys([*self.games, *self._faltering, ALTERED, CANARY], Script()))

    def __enter__(self) -> Self:
        self._fleet.__enter__()
        with suppress(OSError):  # without the right to do so, a busy machine makes the engines slow
            os.setpriority(os.PRIO_PROCESS, self._fleet.pid, _NICENESS)
        self._fleet.become(dict.fromkeys(self._faltering, "falter"))
        return self

    def __exit__(self, *_: object) -> None:
        self._fleet.__exit__()

    @property
    def canary(self) -> str:
        """The endpoint of an engine that has no record and is always healthy."""
        return self._fleet.endpoints[CANARY]

    def write_records(self, file: Path) -> None:
        """Writes the runtime records of the engines."""
        endpoints = self._fleet.endpoints
        games = (*self.games, *self._faltering, ALTERED)
        records = [RuntimeRecord(game, container_of(game), endpoints[game], labels=_labels(game)) for game in games]
        file.write_text(json.dumps([asdict(record) for record in records]))

    async def change_some(self) -> None:
        """Lets some healthy engines fail and some failing ones recover, in random order and at a random pace."""
        changing = [game for game in self.games if self._chance.random() < self._share]
        await self._change(changing)

    async def all_fail(self) -> None:
        """Lets every healthy engine fail at once."""
        await self._change((game for game in self.games if game not in self.down), groups=1)

    async def all_recover(self) -> None:
        """Lets every failing engine recover at once."""
        await self._change(self.down, groups=1)

    def altered_becomes(self, behaviour: Behaviour) -> None:
        """Lets the engine of `ALTERED` behave so."""
        self._fleet.become({ALTERED: behaviour})

    async def _change(self, games: Iterable[str], groups: int = _GROUPS) -> None:
        changing = sorted(games)
        self._chance.shuffle(changing)
        for number in range(groups):
            group = {game: self._next_behaviour(game) for game in changing[number::groups]}
            for game, behaviour in group.items():
                self.oracle.engine_changes(game, behaviour)
            self._fleet.become(group)
            self.down ^= group.keys()
            if groups > 1:
                await asyncio.sleep(self._chance.uniform(0.0, self._longest_pause))

    def _next_behaviour(self, game: str) -> Behaviour:
        return OK if game in self.down else self._chance.choice(FAULTS)


def _labels(game: str) -> dict[str, str]:
    number = game.rpartition("-")[2]
    return {RACK: f"rack-{int(number) // _GAMES_OF_A_RACK}"} if number.isdecimal() else {}
