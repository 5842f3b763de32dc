"""The cost of an event: appended to the log in JetStream, relayed, and read back when its shard is taken over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice

import uvloop

from benchmarks.measure import say
from benchmarks.scale.spent import Servers, Spent, connected, servers
from healthprobe.adapters.nats import JetStreamLog
from healthprobe.adapters.nats.appending import message_id
from healthprobe.adapters.nats.connection import JetStream, Request
from healthprobe.adapters.nats.stored_events import encode_event
from healthprobe.adapters.nats.streams import LogStreams
from healthprobe.domain.event import HealthEvent, ProbeFailedDetails
from healthprobe.domain.shard import SHARDS, shard_of
from healthprobe.worker.relay import Relay

EVENTS = 10_000
BATCH = 1_000
"""Events in one append, as the worker appends them where many engines fail together."""

GAMES = 1_000_000
"""The games of a log in which each has an event."""

_AT_ONCE = 5_000
_CONDITIONS = ("Nats-Expected-Last-Subject-Sequence-", "Nats-Expected-Last-Subject-Sequence-Subject-")
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class EventCosts:
    """Seconds an event of `kept`: by the clock where many come together, of our CPU, and of all servers' CPU.

    `fenced_by_game` and `by_claims` are the two ways of appending.
    """

    kept: str
    fenced_by_game: Spent
    by_claims: Spent
    relayed: Spent


@dataclass(frozen=True, slots=True)
class LoggedGameCosts:
    """Of a log in which each of `GAMES` has an event: bytes a game, in the memory of a server and on its disk.

    `read_back` and `read_back_empty` are the last events of the `in_a_shard` games of one shard, seconds a game, where
    each has one and where none has.
    """

    memory: float
    disk: float
    in_a_shard: int
    read_back: Spent
    read_back_empty: Spent


def measured() -> tuple[list[EventCosts], LoggedGameCosts]:
    """On one node and on three, telling on standard error how far it is."""
    costs = []
    for nodes, sync in ((1, "2m"), (1, "always"), (3, "always")):
        with servers(nodes, sync=sync) as kept:
            say(f"events: {kept.name} ...")
            costs.append(uvloop.run(_costs(kept)))
    with servers(1, sync="2m") as kept:
        say(f"events: {GAMES:,} games that have one ...")
        return costs, uvloop.run(_logged(kept))


class _Bus:
    """A publisher that takes everything at once."""

    async def publish(self, events: Sequence[HealthEvent]) -> None: ...


async def _costs(kept: Servers) -> EventCosts:
    async with connected(kept.url + "?prefix=game") as stream:
        fenced = await JetStreamLog.open(stream, by_claims=False)
        by_game = await _appended(kept, fenced, _events("fenced", EVENTS))
    async with connected(kept.url + "?prefix=claims") as stream:
        claiming = await _claimed(stream)
        by_claims = await _appended(kept, claiming, _events("claimed", EVENTS))
        with kept.spending() as relayed:
            await Relay(log=claiming, publisher=_Bus(), name="bus").drain(_PATIENCE)
    return EventCosts(kept.name, by_game, by_claims, _each(relayed, EVENTS))


async def _claimed(stream: JetStream) -> JetStreamLog:
    log = await JetStreamLog.open(stream, by_claims=True)
    await log.claim(range(SHARDS))
    return log


async def _appended(kept: Servers, log: JetStreamLog, events: Iterator[HealthEvent]) -> Spent:
    """What one event costs, after a batch to get warm by."""
    batches = list(zip(*[events] * BATCH, strict=True))
    await log.append([replace(each, game_id=f"warm-{each.game_id}") for each in batches[0]])
    with kept.spending() as spent:
        for batch in batches:
            standing = await log.append(batch)
            assert list(standing) == list(batch), "an event was not taken"
    return _each(spent, EVENTS)


async def _logged(kept: Servers) -> LoggedGameCosts:
    async with connected(kept.url) as stream:
        log, subjects = await _claimed(stream), LogStreams("health")
        before, events = kept.memory, _events("game", GAMES)
        while batch := list(islice(events, _AT_ONCE)):
            await stream.ask([_logged_event(subjects, event) for event in batch], _PATIENCE)
        disk = (await stream.call(f"STREAM.INFO.{subjects.events}"))["state"]["bytes"]
        memory = kept.memory - before
        busy, quiet = _games_of_a_shard("game"), _games_of_a_shard("quiet")
        read_back, empty = await _read_back(kept, log, busy), await _read_back(kept, log, quiet)
    return LoggedGameCosts(memory / GAMES, disk / GAMES, len(busy), read_back, empty)


def _logged_event(subjects: LogStreams, event: HealthEvent) -> Request:
    """As the log writes it, but without conditions, which take their time, and in headers of the same size."""
    headers = {"Nats-Msg-ID": message_id(event), **dict.fromkeys(_CONDITIONS, "000000")}
    return Request(subjects.of_game(event.game_id), encode_event(event), headers)


def _games_of_a_shard(name: str) -> list[str]:
    game_ids = (f"{name}-{number:09}" for number in range(GAMES))
    return [game_id for game_id in game_ids if shard_of(game_id) == 0]


async def _read_back(kept: Servers, log: JetStreamLog, game_ids: list[str]) -> Spent:
    """As the worker reads them."""
    with kept.spending() as spent:
        for first in range(0, len(game_ids), BATCH):
            await log.last_events(game_ids[first : first + BATCH])
    return _each(spent, len(game_ids))


def _events(name: str, count: int) -> Iterator[HealthEvent]:
    now = datetime.now(UTC)
    why = ProbeFailedDetails(3, 503, "unexpected status 503")
    return (HealthEvent(1, f"{name}-{number:09}", f"container-{number:09}", now, why) for number in range(count))


def _each(spent: Spent, count: int) -> Spent:
    return Spent(spent.wall / count, spent.cpu / count, spent.servers / count)
