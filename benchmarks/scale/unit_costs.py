"""The unit costs: what a probe, a game, a shard, an event and a list take on this machine, each with its command."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.scale import events, holding, listings, probes
from benchmarks.scale.events import EventCosts, LoggedGameCosts
from benchmarks.scale.holding import GameCosts, LeaseCosts
from benchmarks.scale.listings import ListingCosts
from benchmarks.scale.probes import SELDOM, ProbeCosts
from benchmarks.table import table

GROUPS = ("probe", "game", "shard", "event", "list")

Row = tuple[str, str]


@dataclass(frozen=True, slots=True)
class UnitCosts:
    """Those that were asked for."""

    probe: ProbeCosts | None = None
    game: GameCosts | None = None
    shard: Sequence[LeaseCosts] = ()
    event: Sequence[EventCosts] = ()
    logged: LoggedGameCosts | None = None
    listing: ListingCosts | None = None


def measured(groups: Collection[str], *, engine_count: int) -> UnitCosts:
    """Measure these of GROUPS, telling on standard error how far it is."""
    of_events, of_log = events.measured() if "event" in groups else ((), None)
    return UnitCosts(
        probe=probes.probes_measured(engine_count) if "probe" in groups else None,
        game=holding.games_measured() if "game" in groups else None,
        shard=holding.leases_measured() if "shard" in groups else (),
        event=of_events,
        logged=of_log,
        listing=listings.measured() if "list" in groups else None,
    )


def report(costs: UnitCosts, opening: str) -> str:
    """The section of the page."""
    rows = [(what, figure, f"`units --only {group}`") for group, what, figure in _rows(costs)]
    return "\n\n".join([opening, table(("what", "measured", "by `python -m benchmarks`"), rows), _HOW_TO_READ])


_HOW_TO_READ = f"""\
CPU is user + system, of the whole process unless stated otherwise; that of a NATS server, which may be elsewhere, is
counted apart. Rates are those of one instance with {events.BATCH:,} events in an append, the servers on the same
machine. Engines are on loopback and not counted. A listed game is one whose record an instance has although another
instance watches it. Memory of games is that of a process (VmRSS) with {holding.GAMES:,} of them."""


def _rows(costs: UnitCosts) -> Iterator[tuple[str, str, str]]:
    if costs.probe is not None:
        yield from (("probe", *row) for row in _of_probes(costs.probe))
    if costs.game is not None:
        yield from (("game", *row) for row in _of_games(costs.game))
    for lease in costs.shard:
        yield from (("shard", *row) for row in _of_leases(lease))
    for event in costs.event:
        yield from (("event", *row) for row in _of_events(event))
    if costs.logged is not None:
        yield from (("event", *row) for row in _of_log(costs.logged))
    if costs.listing is not None:
        yield from (("list", *row) for row in _of_lists(costs.listing))


def _of_probes(costs: ProbeCosts) -> Iterator[Row]:
    yield "a probe on a kept connection, every second", f"{_micro(costs.kept)} CPU"
    yield f"a probe on a kept connection, every {SELDOM:g} s", f"{_micro(costs.seldom)} CPU"
    yield "a probe on a fresh connection, every second", f"{_micro(costs.fresh)} CPU"
    yield "a kept connection", f"{_bytes(costs.connection)} of the process, {_bytes(costs.kernel)} of the kernel"


def _of_games(costs: GameCosts) -> Iterator[Row]:
    yield "an instance without games", f"{costs.empty / 1e6:.0f} MB"
    yield "a listed game", _bytes(costs.listed)
    yield "a watched game, in addition, without its connection", _bytes(costs.watched)
    yield "a probe that costs nothing itself", f"{_micro(costs.probed)} CPU"


def _of_leases(costs: LeaseCosts) -> Iterator[Row]:
    held = f"{costs.leases} leases of {holding.LEASE:g} s, held by each of {costs.instances}"
    if costs.instances == 1:
        held = f"{costs.leases} leases of {holding.LEASE:g} s, held by one instance"
    yield held, f"{costs.cores:.1%} of a core an instance, {costs.servers:.1%} the server"


def _of_events(costs: EventCosts) -> Iterator[Row]:
    ways = {
        "appended, fenced by its game": costs.fenced_by_game,
        "appended, fenced by the claim to its shard": costs.by_claims,
        "relayed": costs.relayed,
    }
    for way, spent in ways.items():
        figure = f"{1 / spent.wall:,.0f}/s, {_micro(spent.cpu)} CPU, {_micro(spent.servers)} the servers"
        yield f"an event {way}; {costs.kept}", figure


def _of_log(costs: LoggedGameCosts) -> Iterator[Row]:
    yield "a game that ever had an event, in JetStream", f"{_bytes(costs.memory)} of memory on each node"
    yield "an event, in JetStream", f"{_bytes(costs.disk)} of disk on each node"
    for whose, spent in {"each has one": costs.read_back, "none has one": costs.read_back_empty}.items():
        games = costs.in_a_shard
        figure = f"{spent.wall * games:.2f} s, {spent.cpu * games:.2f} s CPU, {spent.servers * games:.2f} s the server"
        yield f"the last events of {games:,} games, a shard of a million, read back; {whose}", figure


def _of_lists(costs: ListingCosts) -> Iterator[Row]:
    games = f"{listings.GAMES:,}"
    yield f"{games} records of a bucket, read at the start", f"{costs.loaded.wall:.1f} s, {costs.loaded.cpu:.1f} s CPU"
    yield "one of them changed by another client, known after", f"{costs.heard * 1000:.1f} ms"
    yield f"{games} records listed again after that", _milli(costs.listed_again.cpu)
    yield f"{games} records, a third of them watched at the start", _milli(costs.cut.cpu)
    yield f"{games} records in another list, a third of them watched", _milli(costs.recut.cpu)
    yield f"{games} records, another third of them watched", _milli(costs.moved.cpu)


def _micro(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} us"


def _milli(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms CPU"


def _bytes(count: float) -> str:
    return f"{count / 1024:.2f} KiB"
