"""The roster: the games of the last good list, each prepared for its probes, in the order of their phases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from healthprobe.domain.record import RuntimeRecord, distinct_games
from healthprobe.domain.schedule import Window, fraction_of, lanes_needed
from healthprobe.domain.target import ProbeTarget, target_of


class WatchedGame:
    """One running game: its record, its target, and its phase in seconds after the start of a tick."""

    __slots__ = ("game_id", "phase", "record", "target")

    def __init__(self, record: RuntimeRecord, target: ProbeTarget, phase: float) -> None:
        self.game_id = record.game_id
        self.record = record
        self.target = target
        self.phase = phase


@dataclass(frozen=True, slots=True)
class RosterChange:
    """What a new list changed."""

    appeared: Sequence[str] = ()
    left: Sequence[str] = ()
    retired: Sequence[ProbeTarget] = ()
    repeated: frozenset[str] = field(default_factory=frozenset)


class Roster:
    """All that depends on the list of records, computed when the list changes and at no other time."""

    def __init__(self, window: Window, probe_timeout: float) -> None:
        self._window = window
        self._probe_timeout = probe_timeout
        self._records: Sequence[RuntimeRecord] = ()
        self._by_id: dict[str, WatchedGame] = {}
        self._repeated: frozenset[str] = frozenset()
        self.games: list[WatchedGame] = []
        self.phases: list[float] = []
        self.most_in_flight = 0
        """How many probes are in flight at once where every engine hangs."""

    def __len__(self) -> int:
        return len(self.games)

    def update(self, records: list[RuntimeRecord]) -> RosterChange:
        """Take over a new list. A record that changed gets a new target; `repeated` are ids newly listed twice."""
        if records is self._records:
            return RosterChange()
        distinct, repeated = distinct_games(records)
        before = self._by_id
        retired: list[ProbeTarget] = []
        appeared: list[str] = []
        games: dict[str, WatchedGame] = {}
        for game_id, record in distinct.items():
            known = before.get(game_id)
            if known is None:
                appeared.append(game_id)
            elif known.record == record:
                games[game_id] = known
                continue
            else:
                retired.append(known.target)
            games[game_id] = self._watch(record)
        left = [game_id for game_id in before if game_id not in games]
        retired.extend(before[game_id].target for game_id in left)
        change = RosterChange(appeared, left, retired, repeated - self._repeated)
        self._records, self._by_id, self._repeated = records, games, repeated
        if appeared or retired:
            self._order()
        return change

    def _watch(self, record: RuntimeRecord) -> WatchedGame:
        phase = self._window.phase(fraction_of(record.game_id))
        return WatchedGame(record, target_of(record, self._probe_timeout), phase)

    def _order(self) -> None:
        self.games = sorted(self._by_id.values(), key=attrgetter("phase"))
        self.phases = [game.phase for game in self.games]
        self.most_in_flight = lanes_needed(self.phases, self._probe_timeout)
