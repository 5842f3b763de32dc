"""The target set: the games of the last good list, each ready to be probed, in the order of their phases."""

from __future__ import annotations

import asyncio
from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from math import inf
from operator import attrgetter

from healthprobe._util.aio import cooperative_iter
from healthprobe.domain.labels import NO_LABELS, fault_of
from healthprobe.domain.policy import Thresholds
from healthprobe.domain.probe.probe_settings import PLAIN, ProbeSettings
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.schedule import Window, lanes_needed, phase_fraction, spread_window
from healthprobe.domain.shard import SHARDS, shard_of
from healthprobe.domain.target import ProbeTarget, parse_target

Cut = Sequence[Sequence[RuntimeRecord]]
"""A list of records by their shards, in its order."""

_SLICES = 64
"""Games are sorted in so many slices of the window, so that no sort holds the loop for long."""

_CUT_AT_ONCE = 1_000
"""How many records are assigned to their shards between two turns of the loop."""

_FIRST = -1


class WatchedGame:
    """A running game: its record, its target, its shard, and its phase in seconds after the start of a tick.

    Before `not_before`, in monotonic seconds, it is not due again. It is due in each `every`-th tick and judged by
    `thresholds`. `is_confirming` is set while an extra probe that confirms a failure is scheduled or in flight.
    """

    __slots__ = (
        "_passes",
        "every",
        "game_id",
        "is_confirming",
        "not_before",
        "phase",
        "record",
        "shard",
        "target",
        "thresholds",
    )

    def __init__(
        self, record: RuntimeRecord, target: ProbeTarget, phase: float, shard: int, thresholds: Thresholds
    ) -> None:
        self.game_id = record.game_id
        self.record = record
        self.target = target
        self.phase = phase
        self.shard = shard
        self.thresholds = thresholds
        self.not_before = 0.0
        self.is_confirming = False
        self.every = target.settings.every
        self._passes = _FIRST

    def is_due_this_tick(self) -> bool:
        """Whether this tick is one of the game's; call it once a tick.

        The first always is. The second may come early, so that games that appeared together spread over the ticks.
        """
        if self._passes > 0:
            self._passes -= 1
            return False
        self._passes = self.shard % self.every if self._passes == _FIRST else self.every - 1
        return True


@dataclass(frozen=True, slots=True)
class TargetSetChange:
    """The difference between two target sets.

    `appeared` and `left` are game ids. `newcomers` are games with a new record, because the list was edited; `moved`
    are games whose shard came from another instance. `retired` targets are probed no more. `repeated` are the ids that
    are newly listed more than once, `mislabelled` the records of which labels were newly dropped.
    """

    appeared: Sequence[str] = ()
    newcomers: Sequence[WatchedGame] = ()
    moved: Sequence[WatchedGame] = ()
    left: Sequence[str] = ()
    retired: Sequence[ProbeTarget] = ()
    repeated: frozenset[str] = frozenset()
    mislabelled: Sequence[RuntimeRecord] = ()


@dataclass(frozen=True, slots=True)
class TargetSet:
    """The games of one list of records. It never changes: another list makes another target set.

    `thresholds`, `probe_timeout` and `probe` are for games without their own; `interval` is seconds. `games` and their
    `phases` are in ascending order of phase. With `shards` they are the games of these only, and `cut` is the list by
    shards, so that gaining or losing a shard costs that shard's games only. `most_in_flight` is how many probes are in
    flight at once where every engine hangs. `repeated` are the ids that are listed more than once.
    """

    window: Window
    probe_timeout: float
    thresholds: Thresholds
    interval: float | None = None
    shard_count: int = SHARDS
    shards: frozenset[int] | None = None
    records: Sequence[RuntimeRecord] = ()
    cut: Cut = ()
    by_id: Mapping[str, WatchedGame] = field(default_factory=dict)
    repeated: frozenset[str] = frozenset()
    games: Sequence[WatchedGame] = ()
    phases: Sequence[float] = ()
    most_in_flight: int = 0
    probe: ProbeSettings = PLAIN

    def __len__(self) -> int:
        return len(self.games)

    async def updated(
        self, records: Sequence[RuntimeRecord], shards: frozenset[int] | None = None
    ) -> tuple[TargetSet, TargetSetChange]:
        """Returns the target set of `records`, of these shards or of all, and the change. Lets other tasks run."""
        if records is self.records and shards is self.shards:
            return self, TargetSetChange()
        cut = await self._cut(records) if shards is not None else ()
        comparison = _Comparison(self)
        if shards is None:
            changed: Iterable[RuntimeRecord] = records
        elif records is self.records and self.shards is not None:
            comparison.keep_all()
            async for record in cooperative_iter(chain.from_iterable(cut[shard] for shard in self.shards - shards)):
                comparison.leave(record)
            changed = chain.from_iterable(cut[shard] for shard in shards - self.shards)
        else:
            changed = chain.from_iterable(cut[shard] for shard in shards)
        async for record in cooperative_iter(changed):
            comparison.take(record)
        change = comparison.change()
        target_set = replace(
            self,
            shards=shards,
            records=records,
            cut=cut,
            by_id=comparison.by_id,
            repeated=frozenset(comparison.repeated),
        )
        return (await _in_order(target_set) if change.appeared or change.retired else target_set), change

    def watched(self, record: RuntimeRecord, shard: int) -> WatchedGame:
        """Returns the game of `record`, ready to be probed."""
        longest = inf if self.interval is None else self.interval
        target = parse_target(record, self.probe_timeout, longest=longest, defaults=self.probe)
        window, settings, common = self.window, target.settings, self.thresholds
        if self.interval is not None and target.timeout != self.probe_timeout:
            window = spread_window(self.interval, target.timeout)
        thresholds = common
        if settings.failures is not None or settings.successes is not None:
            thresholds = Thresholds(settings.failures or common.failures, settings.successes or common.successes)
        return WatchedGame(record, target, window.phase(phase_fraction(record.game_id)), shard, thresholds)

    async def _cut(self, records: Sequence[RuntimeRecord]) -> Cut:
        if records is self.records and self.cut:
            return self.cut
        cut: list[list[RuntimeRecord]] = [[] for _ in range(self.shard_count)]
        for first in range(0, len(records), _CUT_AT_ONCE):
            for record in records[first : first + _CUT_AT_ONCE]:
                cut[shard_of(record.game_id, self.shard_count)].append(record)
            await asyncio.sleep(0)
        return cut


class _Comparison:
    """Compares a new list, or other shards, with the target set in force, record by record. What is not taken has left.

    A record that changed gets a new target. Of a game that is listed more than once the first record counts: it would
    count twice a tick, and one healthy and one failing endpoint would flap for ever.
    """

    def __init__(self, before: TargetSet) -> None:
        self._before = before
        self._left = dict(before.by_id)
        self._appeared: list[str] = []
        self._newcomers: list[WatchedGame] = []
        self._moved: list[WatchedGame] = []
        self._retired: list[ProbeTarget] = []
        self._mislabelled: list[RuntimeRecord] = []
        self.by_id: dict[str, WatchedGame] = {}
        self.repeated: set[str] = set()

    def keep_all(self) -> None:
        """The list is the same: keep every game, except those that leave with their shard."""
        self.by_id, self._left = self._left, {}
        self.repeated = set(self._before.repeated)

    def leave(self, record: RuntimeRecord) -> None:
        """The record's shard is no longer one of ours."""
        if (game := self.by_id.pop(record.game_id, None)) is not None:
            self._left[record.game_id] = game
            self.repeated.discard(record.game_id)

    def take(self, record: RuntimeRecord) -> None:
        """The record is listed, and its shard is one of ours."""
        game_id = record.game_id
        if game_id in self.by_id:
            self.repeated.add(game_id)
            return
        known = self._left.get(game_id)
        if (
            record.labels is not NO_LABELS
            and (fault := fault_of(record.labels))
            and (known is None or fault_of(known.record.labels) != fault)
        ):
            self._mislabelled.append(record)
        if known is not None and (known.record is record or _are_probed_alike(known.record, record)):
            known.record = record
            self.by_id[game_id] = self._left.pop(game_id)
        else:
            shard = shard_of(game_id, self._before.shard_count) if known is None else known.shard
            self._watch(record, shard)

    def change(self) -> TargetSetChange:
        retired = [*self._retired, *(game.target for game in self._left.values())]
        newly_repeated = frozenset(self.repeated - self._before.repeated)
        return TargetSetChange(
            self._appeared, self._newcomers, self._moved, list(self._left), retired, newly_repeated, self._mislabelled
        )

    def _watch(self, record: RuntimeRecord, shard: int) -> None:
        before = self._before
        game = before.watched(record, shard)
        self.by_id[record.game_id] = game
        if (known := self._left.pop(record.game_id, None)) is None:
            self._appeared.append(record.game_id)
        else:
            self._retired.append(known.target)
        if before.shards is None or shard in before.shards:
            self._newcomers.append(game)
        else:
            self._moved.append(game)


def _are_probed_alike(one: RuntimeRecord, other: RuntimeRecord) -> bool:
    """Whether the records differ in their silence or labels only, which needs no new target."""
    if one == other:
        return True
    silenced_until, silenced_why = one.silenced_until, one.silenced_why
    return one == replace(other, silenced_until=silenced_until, silenced_why=silenced_why, labels=one.labels)


async def _in_order(target_set: TargetSet) -> TargetSet:
    bounds = [target_set.window.phase(number / _SLICES) for number in range(1, _SLICES)]
    slices: list[list[WatchedGame]] = [[] for _ in range(_SLICES)]
    async for game in cooperative_iter(target_set.by_id.values()):
        slices[bisect(bounds, game.phase)].append(game)
    games: list[WatchedGame] = []
    phases: list[float] = []
    most_in_flight = 0
    longest = max((game.target.timeout for game in target_set.by_id.values()), default=target_set.probe_timeout)
    async for each in cooperative_iter(slices, size=1):
        counted = len(games)
        games.extend(sorted(each, key=attrgetter("phase")))
        phases.extend(game.phase for game in games[counted:])
        most_in_flight = lanes_needed(phases, longest, counted=counted, most=most_in_flight)
    return replace(target_set, games=games, phases=phases, most_in_flight=most_in_flight)


class Targets:
    """Holds the target set in force. Discovery replaces it; the other parts of the worker read it."""

    __slots__ = ("in_force",)

    def __init__(self, target_set: TargetSet) -> None:
        self.in_force = target_set
