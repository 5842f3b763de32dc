"""The cells: every watched game in a place that it keeps, with its condition. What the grid of the page shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import merge
from operator import attrgetter

from healthprobe._util.aio import cooperative_iter
from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.fleet_status import Condition, game_condition
from healthprobe.domain.hysteresis import GameState
from healthprobe.status.histories import Histories
from healthprobe.worker.target_set import TargetSet, WatchedGame

CONDITIONS = tuple(Condition)
"""A condition is written as its place in here."""

_BY_NAME = attrgetter("game_id")
_EMPTY = len(CONDITIONS)
_NOWHERE = -1
_PORTION = 1_000
"""How many games are compared between two turns of the loop, in a fraction of a millisecond."""


@dataclass(slots=True)
class Delta:
    """What has changed since the version before: games that came to a place, places left empty, other conditions."""

    version: int
    came: list[tuple[int, str, str]] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    turned: dict[int, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.came or self.left or self.turned)


class Cells:
    """Places of games. One that leaves makes room for the next that comes; all others stay where they are.

    `games`, `hosts` and `conditions` are by place, and `on_host` is how many run where. `version` grows with every
    change. Updating costs what has changed, and a pass over the games where their list has.
    """

    def __init__(self, histories: Histories) -> None:
        self.version = 0
        self.games: list[WatchedGame | None] = []
        self.hosts: list[str] = []
        self.conditions = bytearray()
        self.on_host: dict[str, int] = {}
        self._histories = histories
        self._places: dict[str, int] = {}
        self._free: list[int] = []
        self._roster: TargetSet | None = None
        self._troubled: set[str] = set()
        self._unasked: set[str] = set()

    def __len__(self) -> int:
        """How many games have a place."""
        return len(self._places)

    def count_of(self, condition: Condition) -> int:
        """How many games are in this condition."""
        return self.conditions.count(CONDITIONS.index(condition))

    def in_condition(self, condition: Condition) -> Iterator[tuple[WatchedGame, str]]:
        """The games in this condition and their hosts, by place. A hundred thousand others cost next to nothing."""
        number = CONDITIONS.index(condition)
        place = self.conditions.find(number)
        while place >= 0:
            if (game := self.games[place]) is not None:
                yield game, self.hosts[place]
            place = self.conditions.find(number, place + 1)

    def place_of(self, game_id: str) -> int | None:
        """Where a game is, or None of one that is not watched."""
        return self._places.get(game_id)

    def condition(self, game_id: str) -> Condition | None:
        """The condition of a game, or None of one that is not watched."""
        place = self._places.get(game_id)
        return None if place is None else CONDITIONS[self.conditions[place]]

    async def update(self, target_set: TargetSet, states: Mapping[str, GameState]) -> Delta:
        """Take in what is watched and known now; what that has changed."""
        delta = Delta(self.version + 1)
        if target_set is not self._roster:
            await self._take_in(target_set, delta)
            self._roster = target_set
        asked = {game_id for game_id in self._unasked if game_id in self._histories}
        self._unasked -= asked
        self._turn(self._troubled | states.keys() | asked, states, delta)
        self._troubled = set(states)
        if delta:
            self.version += 1
        return delta

    async def _take_in(self, target_set: TargetSet, delta: Delta) -> None:
        left = [game_id for game_id in self._places if game_id not in target_set.by_id]
        for game_id in left:
            place = self._places.pop(game_id)
            self._leave(place)
            delta.left.append(place)
        self._unasked.difference_update(left)
        self._histories.forget(left)
        came: list[WatchedGame] = []
        async for game in cooperative_iter(target_set.by_id.values(), _PORTION):
            place = self._places.get(game.game_id, _NOWHERE)
            if place == _NOWHERE:
                came.append(game)
            elif self.games[place] is not game:
                self._settle(place, game, delta)
        chunks = [came[first : first + _PORTION] for first in range(0, len(came), _PORTION)]
        async for chunk in cooperative_iter(chunks, size=1):  # one sort of a hundred thousand would hold up all probes
            chunk.sort(key=_BY_NAME)
        async for game in cooperative_iter(merge(*chunks, key=_BY_NAME)):
            self._settle(self._place_of_newcomer(game.game_id), game, delta)

    def _settle(self, place: int, game: WatchedGame, delta: Delta) -> None:
        if self.games[place] is not None:
            self._count_host(self.hosts[place], -1)
        host = game.target.endpoint.host if isinstance(game.target.endpoint, Endpoint) else ""
        self.games[place], self.hosts[place] = game, host
        self._count_host(host, 1)
        delta.came.append((place, game.game_id, host))

    def _place_of_newcomer(self, game_id: str) -> int:
        if self._free:
            place = self._free.pop()
        else:
            place = len(self.games)
            self.games.append(None)
            self.hosts.append("")
            self.conditions.append(0)
        self.conditions[place] = CONDITIONS.index(Condition.UNKNOWN)
        self._places[game_id] = place
        self._unasked.add(game_id)
        return place

    def _leave(self, place: int) -> None:
        self._count_host(self.hosts[place], -1)
        self.games[place], self.hosts[place] = None, ""
        self.conditions[place] = _EMPTY
        self._free.append(place)

    def _count_host(self, host: str, more: int) -> None:
        count = self.on_host.get(host, 0) + more
        if count:
            self.on_host[host] = count
        else:
            del self.on_host[host]

    def _turn(self, concerned: Iterable[str], states: Mapping[str, GameState], delta: Delta) -> None:
        for game_id in concerned:
            if (place := self._places.get(game_id)) is None:
                continue
            condition = game_condition(states.get(game_id), probed=game_id not in self._unasked)
            number = CONDITIONS.index(condition)
            if self.conditions[place] != number:
                self.conditions[place] = number
                delta.turned[place] = number
