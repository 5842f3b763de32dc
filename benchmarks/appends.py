"""The appends: what it costs JetStream to have each on the disk before it acknowledges, and what a lost leader costs.

python -m benchmarks.appends [--seconds S] [--leaders N]
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import pairwise
from statistics import quantiles

import msgspec
import uvloop
from tests.servers.nats import NatsCluster, NatsServer

from benchmarks.machine import facts
from benchmarks.measure import say
from benchmarks.page import preamble
from benchmarks.table import table
from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.connection import JetStream, Request, Unanswered

_STREAM = "health_events"
_BODY = b"x" * 300
_AT_ONCE = 64
_SHIPPED, _DEFAULT = "always", "2m"
_AROUND = 1.0


@dataclass(frozen=True, slots=True)
class Appended:
    """Appends a second, one at a time and many at once, and how long one took, in milliseconds."""

    nodes: int
    sync: str
    one_by_one: float
    median: float
    slowest: float
    at_once: float


@dataclass(frozen=True, slots=True)
class Standstill:
    """How long, in seconds, nothing was acknowledged after what was done to the node that led."""

    what: str
    seconds: Sequence[float]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.appends", description="What an append costs.")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each way is measured (default 5)")
    parser.add_argument("--leaders", type=int, default=5, help="how many are taken away in each way (default 5)")
    arguments = parser.parse_args()
    opening = preamble(shlex.join(["python", "-m", "benchmarks.appends", *sys.argv[1:]]), facts())
    print(report(*measured(seconds=arguments.seconds, leaders=arguments.leaders), opening))


def measured(*, seconds: float, leaders: int) -> tuple[list[Appended], list[Standstill]]:
    """Append for `seconds` in each way; then take the leader away, `leaders` times in each way."""
    return uvloop.run(_measured(seconds, leaders))


def report(appended: Sequence[Appended], standstills: Sequence[Standstill], opening: str) -> str:
    """The section of the page."""
    headings = ["nodes", "sync_interval", "one at a time, a second", "p50 / p99, ms", f"{_AT_ONCE} at once, a second"]
    rows = [
        [str(each.nodes), each.sync, f"{each.one_by_one:,.0f}", f"{each.median:.2f} / {each.slowest:.2f}",
         f"{each.at_once:,.0f}"]
        for each in appended
    ]  # fmt: skip
    stood = [[each.what, ", ".join(f"{seconds:.1f}" for seconds in sorted(each.seconds))] for each in standstills]
    leaders = table(["the node that leads, of three", "nothing is acknowledged for, s"], stood)
    return "\n\n".join(["## Appends to JetStream", opening, table(headings, rows), leaders, _HOW_TO_READ])


_HOW_TO_READ = f"""\
Events of {len(_BODY)} bytes, each to a subject of its own, on nodes that share one disk and two cores. `always` is the
shipped configuration, `2m` nats-server's default. What a disk takes for a flush is its own: compare within a column."""


async def _measured(seconds: float, leaders: int) -> tuple[list[Appended], list[Standstill]]:
    appended = []
    for sync in (_DEFAULT, _SHIPPED):
        say(f"one node, sync_interval: {sync} ...")
        with NatsServer(sync=sync) as server:
            appended.append(await _appended(server.url(), 1, sync, seconds))
    for sync in (_DEFAULT, _SHIPPED):
        say(f"three nodes, sync_interval: {sync} ...")
        with NatsCluster(sync=sync) as cluster:
            appended.append(await _appended(cluster.url(), 3, sync, seconds))
    say("the leader goes ...")
    with NatsCluster(sync=_SHIPPED) as cluster:
        return appended, [
            Standstill("is stopped in order", [await _standstill(cluster, NatsServer.stop) for _ in range(leaders)]),
            Standstill("is killed with -9", [await _standstill(cluster, NatsServer.kill) for _ in range(leaders)]),
        ]


async def _appended(url: str, nodes: int, sync: str, seconds: float) -> Appended:
    async with aclosing(await JetStream.open(NatsAddress.of_url(url))) as stream:
        await _make(stream, nodes)
        took: list[float] = []
        began = time.perf_counter()
        while (now := time.perf_counter()) < began + seconds:
            await stream.ask([_event(len(took))])
            took.append(time.perf_counter() - now)
        cuts = quantiles(took, n=100)
        count, began = 0, time.perf_counter()
        while time.perf_counter() < began + seconds:
            await stream.ask([_event(count + place) for place in range(_AT_ONCE)])
            count += _AT_ONCE
        rate = count / (time.perf_counter() - began)
    return Appended(nodes, sync, len(took) / sum(took), cuts[49] * 1000, cuts[98] * 1000, rate)


async def _standstill(cluster: NatsCluster, take_away: Callable[[NatsServer], None]) -> float:
    """The longest time between two acknowledgements around the moment at which it was done to the leader."""
    async with aclosing(await JetStream.open(NatsAddress.of_url(cluster.url()))) as stream:
        await _make(stream, 3)
        name = (await stream.call(f"STREAM.INFO.{_STREAM}"))["cluster"]["leader"]
        [leader] = [node for node in cluster.nodes if node.name == name]
        acknowledged = [time.perf_counter()]
        await _append_for(_AROUND, stream, acknowledged)
        taking = asyncio.create_task(asyncio.to_thread(take_away, leader))
        before = len(acknowledged)
        while len(acknowledged) == before or not taking.done():
            await _append_for(_AROUND, stream, acknowledged)
        await _append_for(_AROUND, stream, acknowledged)
    leader.start()
    for node in cluster.nodes:
        node.wait_until_healthy()
    return max(later - earlier for earlier, later in pairwise(acknowledged))


async def _append_for(seconds: float, stream: JetStream, acknowledged: list[float]) -> None:
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        try:
            (answer,) = await stream.ask([_event(len(acknowledged))], within=0.5)
        except Unanswered:
            await asyncio.sleep(0.01)
            continue
        if "seq" in msgspec.json.decode(answer):
            acknowledged.append(time.perf_counter())


async def _make(stream: JetStream, replicas: int) -> None:
    config = {"name": _STREAM, "subjects": ["health.events.>"], "storage": "file", "num_replicas": replicas}
    await stream.call(f"STREAM.CREATE.{_STREAM}", config)


def _event(number: int) -> Request:
    return Request(f"health.events.{number % 256}.game-{number}", _BODY)


if __name__ == "__main__":
    main()
