"""The play: engines that fail and recover act after act, each change told to the oracle before it is made."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterable
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

_CHANCE = 0.6
"""Of an engine to change in the next act."""

_GROUPS = 10
"""An act comes over the engines in so many groups, with pauses of chance between them, in an interval at the most."""


class Play:
    """The engines, in a process of their own, and what they do."""

    def __init__(self, form: Form, chance: random.Random, oracle: Oracle) -> None:
        self.oracle = oracle
        self._chance = chance
        self._longest_pause = form.interval / _GROUPS
        self._actors = [f"actor-{number}" for number in range(form.actors)]
        self._faltering = [f"faltering-{number}" for number in range(form.faltering)]
        self._fallen: set[str] = set()
        self._fleet = FleetProcess(dict.fromkeys([*self._actors, *self._faltering, CANARY], Script()))

    def __enter__(self) -> Self:
        self._fleet.__enter__()
        self._fleet.become(dict.fromkeys(self._faltering, "falter"))
        return self

    def __exit__(self, *_: object) -> None:
        self._fleet.__exit__()

    @property
    def canary(self) -> str:
        """The endpoint of an engine that has no record and is always well."""
        return self._fleet.endpoints[CANARY]

    def write_records(self, file: Path) -> None:
        """The engines as a file of runtime records."""
        endpoints = self._fleet.endpoints
        records = [
            RuntimeRecord(game, container_of(game), endpoints[game]) for game in (*self._actors, *self._faltering)
        ]
        file.write_text(json.dumps([asdict(record) for record in records]))

    async def act(self) -> None:
        """Some of those that are well fail, some of the others recover, in an order and at a pace of chance."""
        changing = [game for game in self._actors if self._chance.random() < _CHANCE]
        await self._change(changing)

    async def all_fail(self) -> None:
        """Every actor that is well fails, at once."""
        await self._change((game for game in self._actors if game not in self._fallen), groups=1)

    async def all_recover(self) -> None:
        """Every actor is well again, as before the first act."""
        await self._change(self._fallen, groups=1)

    async def _change(self, games: Iterable[str], groups: int = _GROUPS) -> None:
        changing = sorted(games)
        self._chance.shuffle(changing)
        for number in range(groups):
            group = {game: self._next_behaviour(game) for game in changing[number::groups]}
            for game, behaviour in group.items():
                self.oracle.engine_changes(game, behaviour)
            self._fleet.become(group)
            self._fallen ^= group.keys()
            if groups > 1:
                await asyncio.sleep(self._chance.uniform(0.0, self._longest_pause))

    def _next_behaviour(self, game: str) -> Behaviour:
        return OK if game in self._fallen else self._chance.choice(FAULTS)
