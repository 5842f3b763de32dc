"""The play: engines that fail and recover act after act, each change told to the oracle before it is made."""

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

_BEFORE_ALL_OTHERS = -15
"""How nice the engines' process is: what is late is to be the program and not what it asks."""

_GROUPS = 10
"""An act comes over the engines in so many groups, with pauses of chance between them, in an interval at the most."""


class Play:
    """The engines, in a process of their own, and what they do."""

    def __init__(self, form: Form, chance: random.Random, oracle: Oracle) -> None:
        self.oracle = oracle
        self._chance = chance
        self._share = form.share
        self._longest_pause = form.interval / _GROUPS
        self.actors = [f"actor-{number}" for number in range(form.actors)]
        self._faltering = [f"faltering-{number}" for number in range(form.faltering)]
        self.fallen: set[str] = set()
        """The actors that are not well."""
        self._fleet = FleetProcess(dict.fromkeys([*self.actors, *self._faltering, CANARY], Script()))

    def __enter__(self) -> Self:
        self._fleet.__enter__()
        with suppress(OSError):  # who may not, has engines that a busy machine makes slow
            os.setpriority(os.PRIO_PROCESS, self._fleet.pid, _BEFORE_ALL_OTHERS)
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
            RuntimeRecord(game, container_of(game), endpoints[game]) for game in (*self.actors, *self._faltering)
        ]
        file.write_text(json.dumps([asdict(record) for record in records]))

    async def act(self) -> None:
        """Some of those that are well fail, some of the others recover, in an order and at a pace of chance."""
        changing = [game for game in self.actors if self._chance.random() < self._share]
        await self._change(changing)

    async def all_fail(self) -> None:
        """Every actor that is well fails, at once."""
        await self._change((game for game in self.actors if game not in self.fallen), groups=1)

    async def all_recover(self) -> None:
        """Every actor is well again, as before the first act."""
        await self._change(self.fallen, groups=1)

    async def _change(self, games: Iterable[str], groups: int = _GROUPS) -> None:
        changing = sorted(games)
        self._chance.shuffle(changing)
        for number in range(groups):
            group = {game: self._next_behaviour(game) for game in changing[number::groups]}
            for game, behaviour in group.items():
                self.oracle.engine_changes(game, behaviour)
            self._fleet.become(group)
            self.fallen ^= group.keys()
            if groups > 1:
                await asyncio.sleep(self._chance.uniform(0.0, self._longest_pause))

    def _next_behaviour(self, game: str) -> Behaviour:
        return OK if game in self.fallen else self._chance.choice(FAULTS)
