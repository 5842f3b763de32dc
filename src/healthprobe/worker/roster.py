"""The roster: the games of the last good list, each prepared for its probes, in the order of their phases."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.schedule import Window, fraction_of, lanes_needed
from healthprobe.domain.target import ProbeTarget, target_of
from healthprobe.worker.portions import in_portions

_SLICES = 64
"""Into how many slices of the window games are put to be sorted: the longest sort is then one of a few thousand."""


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
    """What a new list changed: `repeated` are the ids that are newly listed more than once."""

    appeared: Sequence[str] = ()
    left: Sequence[str] = ()
    retired: Sequence[ProbeTarget] = ()
    repeated: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Roster:
    """All that depends on one list of records. It is never changed: another list makes another roster.

    `games` and their `phases` are in ascending order of phase. `most_in_flight` is how many probes are in flight at
    once where every engine hangs, `repeated` the ids that are listed more than once.
    """

    window: Window
    probe_timeout: float
    records: Sequence[RuntimeRecord] = ()
    by_id: Mapping[str, WatchedGame] = field(default_factory=dict)
    repeated: frozenset[str] = frozenset()
    games: Sequence[WatchedGame] = ()
    phases: Sequence[float] = ()
    most_in_flight: int = 0

    def __len__(self) -> int:
        return len(self.games)

    async def updated(self, records: Sequence[RuntimeRecord]) -> tuple[Roster, RosterChange]:
        """The roster of a new list, and what that changes; made in portions, however long the list is.

        A record that changed gets a new target. Of a game that is listed more than once the first record counts: it
        would count twice a tick, and one healthy and one failing endpoint would flap for ever.
        """
        if records is self.records:
            return self, RosterChange()
        by_id: dict[str, WatchedGame] = {}
        appeared: list[str] = []
        retired: list[ProbeTarget] = []
        repeated: set[str] = set()
        left = dict(self.by_id)
        async for record in in_portions(records):
            game_id = record.game_id
            if game_id in by_id:
                repeated.add(game_id)
                continue
            known = left.pop(game_id, None)
            if known is not None and (known.record is record or known.record == record):
                by_id[game_id] = known
                continue
            by_id[game_id] = self._watch(record)
            if known is None:
                appeared.append(game_id)
            else:
                retired.append(known.target)
        retired.extend(game.target for game in left.values())
        change = RosterChange(appeared, list(left), retired, frozenset(repeated - self.repeated))
        roster = replace(self, records=records, by_id=by_id, repeated=frozenset(repeated))
        return (await _in_order(roster) if appeared or retired else roster), change

    def _watch(self, record: RuntimeRecord) -> WatchedGame:
        phase = self.window.phase(fraction_of(record.game_id))
        return WatchedGame(record, target_of(record, self.probe_timeout), phase)


async def _in_order(roster: Roster) -> Roster:
    bounds = [roster.window.phase(number / _SLICES) for number in range(1, _SLICES)]
    slices: list[list[WatchedGame]] = [[] for _ in range(_SLICES)]
    async for game in in_portions(roster.by_id.values()):
        slices[bisect(bounds, game.phase)].append(game)
    games: list[WatchedGame] = []
    phases: list[float] = []
    most_in_flight = 0
    async for each in in_portions(slices, size=1):
        counted = len(games)
        games.extend(sorted(each, key=attrgetter("phase")))
        phases.extend(game.phase for game in games[counted:])
        most_in_flight = lanes_needed(phases, roster.probe_timeout, counted=counted, most=most_in_flight)
    return replace(roster, games=games, phases=phases, most_in_flight=most_in_flight)
