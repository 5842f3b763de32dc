"""The cells of the page's grid: every watched game in a slot that it keeps, with its condition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import merge
from operator import attrgetter

from healthprobe._util.aio import cooperative_iter
from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.fleet_status import Condition, game_condition
from healthprobe.domain.hysteresis import GameState
from healthprobe.domain.labels import NO_LABELS
from healthprobe.status.histories import Histories
from healthprobe.worker.target_set import TargetSet, WatchedGame

CONDITIONS = tuple(Condition)
"""A condition is stored as its index in this tuple."""

_BY_ID = attrgetter("game_id")
_EMPTY = len(CONDITIONS)
_PORTION = 1_000
"""How many games are compared between two turns of the loop: a fraction of a millisecond."""


@dataclass(slots=True)
class Delta:
    """The changes of one version: (slot, game id, host) added, slots removed, the new condition of changed slots.

    `labels` are those of slots whose games have others than before; a slot that was added has none before.
    """

    version: int
    added: list[tuple[int, str, str]] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    changed: dict[int, int] = field(default_factory=dict)
    labels: dict[int, Mapping[str, str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.labels)


class Cells:
    """The slots of all games. A game keeps its slot while it is watched; a free slot goes to the next new game.

    `games`, `hosts`, `labels` and `conditions` are indexed by slot, and `on_host` counts the games of each host.
    `version` grows with every change. An update costs what has changed, and one pass over the games when their list has
    changed.
    """

    def __init__(self, histories: Histories) -> None:
        self.version = 0
        self.games: list[WatchedGame | None] = []
        self.hosts: list[str] = []
        self.labels: list[Mapping[str, str]] = []
        self.conditions = bytearray()
        self.on_host: dict[str, int] = {}
        self._histories = histories
        self._slots: dict[str, int] = {}
        self._free: list[int] = []
        self._target_set: TargetSet | None = None
        self._with_state: set[str] = set()
        self._new: set[str] = set()
        self._unknown: frozenset[str] = frozenset()

    def __len__(self) -> int:
        """The number of games that have a slot."""
        return len(self._slots)

    def count_of(self, condition: Condition) -> int:
        """Returns the number of games in this condition."""
        return self.conditions.count(CONDITIONS.index(condition))

    def in_condition(self, condition: Condition) -> Iterator[tuple[WatchedGame, str]]:
        """Yields the games in this condition and their hosts, by slot. Games in other conditions cost nothing."""
        number = CONDITIONS.index(condition)
        slot = self.conditions.find(number)
        while slot >= 0:
            if (game := self.games[slot]) is not None:
                yield game, self.hosts[slot]
            slot = self.conditions.find(number, slot + 1)

    def slot_of(self, game_id: str) -> int | None:
        """Returns the slot of a game, or None if it is not watched."""
        return self._slots.get(game_id)

    def condition(self, game_id: str) -> Condition | None:
        """Returns the condition of a game, or None if it is not watched."""
        slot = self._slots.get(game_id)
        return None if slot is None else CONDITIONS[self.conditions[slot]]

    async def update(
        self, target_set: TargetSet, states: Mapping[str, GameState], unknown: frozenset[str] = frozenset()
    ) -> Delta:
        """Brings the cells up to date with the watched games, their states, and those of which nothing is known.

        Returns what has changed.
        """
        delta = Delta(self.version + 1)
        if target_set is not self._target_set:
            await self._update_games(target_set, delta)
            self._target_set = target_set
        candidates = self._with_state | states.keys() | self._new | (unknown ^ self._unknown)
        self._unknown = unknown
        self._update_conditions(candidates, states, delta)
        self._with_state, self._new = set(states), set()
        if delta:
            self.version += 1
        return delta

    async def _update_games(self, target_set: TargetSet, delta: Delta) -> None:
        removed = [game_id for game_id in self._slots if game_id not in target_set.by_id]
        for game_id in removed:
            slot = self._slots.pop(game_id)
            self._count_host(self.hosts[slot], -1)
            self.games[slot], self.hosts[slot], self.labels[slot] = None, "", NO_LABELS
            self.conditions[slot] = _EMPTY
            self._free.append(slot)
            delta.removed.append(slot)
        self._new.difference_update(removed)
        self._histories.forget(removed)
        added: list[WatchedGame] = []
        async for game in cooperative_iter(target_set.by_id.values(), _PORTION):
            known = self._slots.get(game.game_id)
            if known is None:
                added.append(game)
            elif self.games[known] is not game:
                self._set(known, game, delta)
            elif self.labels[known] is not game.record.labels:
                self._set_labels(known, game, delta)
        chunks = [added[first : first + _PORTION] for first in range(0, len(added), _PORTION)]
        async for chunk in cooperative_iter(chunks, size=1):  # sorting a hundred thousand at once would delay probes
            chunk.sort(key=_BY_ID)
        async for game in cooperative_iter(merge(*chunks, key=_BY_ID)):
            self._set(self._new_slot(game.game_id), game, delta)

    def _set(self, slot: int, game: WatchedGame, delta: Delta) -> None:
        if self.games[slot] is not None:
            self._count_host(self.hosts[slot], -1)
        host = game.target.endpoint.host if isinstance(game.target.endpoint, Endpoint) else ""
        self.games[slot], self.hosts[slot] = game, host
        self._count_host(host, 1)
        delta.added.append((slot, game.game_id, host))
        self._set_labels(slot, game, delta)

    def _set_labels(self, slot: int, game: WatchedGame, delta: Delta) -> None:
        labels = game.record.labels
        if labels != self.labels[slot]:
            delta.labels[slot] = labels
        self.labels[slot] = labels

    def _new_slot(self, game_id: str) -> int:
        if self._free:
            slot = self._free.pop()
        else:
            slot = len(self.games)
            self.games.append(None)
            self.hosts.append("")
            self.labels.append(NO_LABELS)
            self.conditions.append(0)
        self.conditions[slot] = CONDITIONS.index(Condition.UNKNOWN)
        self._slots[game_id] = slot
        self._new.add(game_id)
        return slot

    def _count_host(self, host: str, change: int) -> None:
        count = self.on_host.get(host, 0) + change
        if count:
            self.on_host[host] = count
        else:
            del self.on_host[host]

    def _update_conditions(self, game_ids: Iterable[str], states: Mapping[str, GameState], delta: Delta) -> None:
        for game_id in game_ids:
            if (slot := self._slots.get(game_id)) is None:
                continue
            condition = game_condition(states.get(game_id), is_unknown=game_id in self._unknown)
            number = CONDITIONS.index(condition)
            if self.conditions[slot] != number:
                self.conditions[slot] = number
                delta.changed[slot] = number
