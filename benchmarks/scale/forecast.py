"""Computes what larger fleets need from the unit costs, and shows the arithmetic with each figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from benchmarks.scale.events import EventCosts, LoggedGameCosts
from benchmarks.scale.holding import GameCosts, LeaseCosts
from benchmarks.scale.listings import GAMES, ListingCosts
from benchmarks.scale.probes import ProbeCosts
from benchmarks.scale.unit_costs import UnitCosts
from benchmarks.table import table
from healthprobe.domain.shard import SHARDS

FULL = 0.6
"""How much of a core an instance may use: it is one process, and one core is all it has."""

OPEN_FILES = 20_000
"""The limit of a process on the machine that all was measured on."""

_DAY = 86_400
_SIZES = ((100_000, "100 thousand"), (1_000_000, "1 million"), (10_000_000, "10 million"))
_INTERVALS = (5, 30)


@dataclass(frozen=True, slots=True)
class Units:
    """The unit costs, all of them there."""

    probe: ProbeCosts
    game: GameCosts
    shard: LeaseCosts
    event: EventCosts
    logged: LoggedGameCosts
    listing: ListingCosts

    @classmethod
    def of(cls, costs: UnitCosts) -> Units | None:
        """None where one was not measured. The log is that of the last, and safest, servers."""
        match costs:
            case UnitCosts(
                ProbeCosts() as probe,
                GameCosts() as game,
                [lease, *_],
                [*_, event],
                LoggedGameCosts() as logged,
                ListingCosts() as listing,
            ):
                return cls(probe, game, lease, event, logged, listing)
        return None


@dataclass(frozen=True, slots=True)
class Fleet:
    """So many engines, each probed every `interval` seconds."""

    units: Units
    engines: int
    interval: int

    @property
    def probes(self) -> float:
        return self.engines / self.interval

    @property
    def cores(self) -> float:
        return self.probes * self.units.probe.seldom

    @property
    def instances(self) -> int:
        """As many as the CPU of the probes asks for, and one that may be down."""
        return ceil(self.cores / FULL) + 1

    @property
    def share(self) -> float:
        """The engines of an instance while one is away."""
        return self.engines / (self.instances - 1)

    @property
    def memory(self) -> float:
        """Bytes of an instance."""
        game, connection = self.units.game, self.units.probe.connection
        return game.empty + self.engines * game.listed + self.share * (game.watched + connection)

    @property
    def list_taken_over(self) -> float:
        """Seconds of CPU that a change of the list, or of the shards, costs each instance."""
        listing = self.units.listing
        return self.engines * (listing.listed_again.cpu + listing.recut.cpu) / GAMES

    @property
    def read_back(self) -> float:
        """Seconds to read the last events of the games of one instance, spread over the others."""
        return self.engines / self.instances * self.units.logged.read_back_empty.wall


_Figure = Callable[[Fleet], str]


def _count(instances: int) -> str:
    return f"{instances:,}" if instances <= SHARDS else f"{instances:,}, with `?shards=` for as many"


_ROWS: Sequence[tuple[str, str, _Figure]] = (
    ("probes a second", "engines / interval", lambda of: f"{of.probes:,.0f}"),
    ("cores, kept connections", "probes a second x CPU a probe, every 5 s", lambda of: f"{of.cores:.1f}"),
    (
        "cores, fresh connections",
        "probes a second x CPU a fresh probe",
        lambda of: f"{of.probes * of.units.probe.fresh:.1f}",
    ),
    (
        "instances, of a core each",
        f"cores / {FULL:g}, and one that may be down",
        lambda of: _count(of.instances),
    ),
    ("engines an instance, one down", "engines / (instances - 1)", lambda of: f"{of.share:,.0f}"),
    (
        "open files an instance",
        "one an engine",
        lambda of: f"{of.share:,.0f}",
    ),
    (
        f"instances if it may have {OPEN_FILES:,}",
        f"engines / {OPEN_FILES:,}, and one",
        lambda of: _count(max(ceil(of.engines / OPEN_FILES) + 1, of.instances)),
    ),
    (
        "memory an instance, GB",
        "empty + engines listed + its own watched and connected",
        lambda of: f"{of.memory / 1e9:.1f}",
    ),
    (
        "of that the list, GB",
        "engines x a listed game",
        lambda of: f"{of.engines * of.units.game.listed / 1e9:.1f}",
    ),
    (
        "kernel memory for its connections, GB",
        "its engines x a connection",
        lambda of: f"{of.share * of.units.probe.kernel / 1e9:.2f}",
    ),
    (
        "the list read from a bucket at the start, s",
        "engines x a record read",
        lambda of: f"{of.engines * of.units.listing.loaded.wall / GAMES:.0f}",
    ),
    (
        "CPU of each change of the list, s an instance",
        "engines x (listed again + in another list)",
        lambda of: f"{of.list_taken_over:.2f}",
    ),
    (
        "a dead instance's games read back, s",
        "engines / instances x a last event",
        lambda of: f"{of.read_back:.1f}",
    ),
    (
        "events a second, each engine fails once a day",
        "2 x engines / 86,400",
        lambda of: f"{2 * of.engines / _DAY:,.1f}",
    ),
    (
        "all engines fail at once: all in the log after, s",
        "engines / events a second by claims",
        lambda of: f"{of.engines * of.units.event.by_claims.wall:,.0f}",
    ),
    (
        "JetStream's memory, every game had an event, GB",
        "engines x a game that ever had one",
        lambda of: f"{of.engines * of.units.logged.memory / 1e9:.2f}",
    ),
    (
        "its disk, an event a game, GB",
        "engines x an event",
        lambda of: f"{of.engines * of.units.logged.disk / 1e9:.2f}",
    ),
    (
        "leases, of a core of each server",
        "the same for all",
        lambda of: f"{of.units.shard.servers:.1%}",
    ),
    (
        "shards an instance",
        f"{SHARDS} / instances",
        lambda of: f"{SHARDS / of.instances:.0f}",
    ),
)


def report(units: Units) -> str:
    """The section of the page."""
    fleets = [Fleet(units, engines, interval) for engines, _ in _SIZES for interval in _INTERVALS]
    headings = ["", *(f"{name}, {interval} s" for _, name in _SIZES for interval in _INTERVALS), "how"]
    rows = [[what, *(figure(fleet) for fleet in fleets), how] for what, how, figure in _ROWS]
    return table(headings, rows)
