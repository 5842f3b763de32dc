"""The cost of a list: a hundred thousand records in a key-value bucket, and any list cut into shards."""

from __future__ import annotations

import asyncio
import gc
import time
from dataclasses import dataclass, replace

import msgspec
import uvloop

from benchmarks.measure import say
from benchmarks.scale.imaginary import record_of
from benchmarks.scale.spent import Servers, Spent, connected, servers
from healthprobe.adapters.nats import JetStreamRecords
from healthprobe.adapters.nats.connection import JetStream, Request
from healthprobe.domain.policy import Thresholds
from healthprobe.domain.record import RUNNING, RuntimeRecord
from healthprobe.domain.schedule import spread_window
from healthprobe.domain.shard import Slice
from healthprobe.worker.target_set import TargetSet

GAMES = 100_000

_PORTION = 10_000
_THIRD = Slice(1, 3).shards
_OTHER_THIRD = Slice(2, 3).shards


@dataclass(frozen=True, slots=True)
class ListingCosts:
    """Of `GAMES` records, in seconds: the bucket read as an instance starts, and listed again after one has changed.

    `heard` is how soon after a client has sent it that change was known. `cut` is a list made the targets of a third of
    all shards, `recut` another list of the same games, `moved` the same list for another third.
    """

    loaded: Spent
    listed_again: Spent
    heard: float
    cut: Spent
    recut: Spent
    moved: Spent


def measured() -> ListingCosts:
    with servers(1, sync="2m") as kept:
        say(f"listing: {GAMES:,} records in a bucket, and the cut of the list ...")
        gc.collect()
        gc.freeze()
        return uvloop.run(_measured(kept))


async def _measured(kept: Servers) -> ListingCosts:
    async with connected(f"{kept.url}/games") as stream:
        writer = await JetStreamRecords.open(stream, _ignore)
        records = [record_of(number) for number in range(GAMES)]
        for first in range(0, GAMES, _PORTION):
            await writer.put(records[first : first + _PORTION])
        async with connected(f"{kept.url}/games") as ours:
            with kept.spending() as loaded:
                reader = await JetStreamRecords.open(ours, _ignore)
                listed = await reader.list_by_status(RUNNING)
            assert len(listed) == GAMES
            heard, listed_again = await _changed(kept, stream, reader, records[7])
            await reader.aclose()
        await writer.aclose()
    return ListingCosts(loaded, listed_again, heard, *await _cut(kept, listed))


async def _changed(
    kept: Servers, stream: JetStream, reader: JetStreamRecords, record: RuntimeRecord
) -> tuple[float, Spent]:
    heard = asyncio.Event()
    reader.on_change(heard.set)
    value = msgspec.json.encode(replace(record, current_container_id="another"))
    sent = time.perf_counter()
    await stream.ask([Request(f"$KV.games.{record.game_id}", value)])
    await heard.wait()
    lasted = time.perf_counter() - sent
    with kept.spending() as spent:
        await reader.list_by_status(RUNNING)
    return lasted, spent


async def _cut(kept: Servers, listed: list[RuntimeRecord]) -> tuple[Spent, Spent, Spent]:
    empty = TargetSet(spread_window(5.0, 2.0), 2.0, Thresholds(3))
    with kept.spending() as cut:
        target_set, change = await empty.updated(listed, _THIRD)
    assert change.appeared
    with kept.spending() as recut:
        target_set, change = await target_set.updated(list(listed), _THIRD)
    assert not change.appeared
    with kept.spending() as moved:
        await target_set.updated(target_set.records, _OTHER_THIRD)
    return cut, recut, moved


def _ignore(_count: int, _first: str) -> None:
    """No value of ours is wrong."""
