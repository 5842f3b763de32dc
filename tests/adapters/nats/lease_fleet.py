"""Instances that share the shards, in this process or in one of their own that can be killed and paused.

Run as a program it is one instance: `python lease_fleet.py URL LEASE` holds its share until it is killed. It writes a
line of JSON whenever its shards have changed, and one for each line that it logs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import structlog
from structlog.testing import LogCapture
from structlog.typing import FilteringBoundLogger

from healthprobe.adapters.nats import JetStreamLeases, JetStreamLog
from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.connection import JetStream
from healthprobe.domain.event import HealthEvent
from healthprobe.ports import LogError

PATIENCE = 60.0
"""Seconds to wait for what must happen: so long that only a hang, never a busy machine, is a failure."""


class FleetLog:
    """The log of an instance. Its `door` can refuse all claims, or those of the `withheld` shards."""

    def __init__(self, log: JetStreamLog, door: Door, name: str) -> None:
        self._log = log
        self._door = door
        self._name = name

    @property
    def shard_count(self) -> int:
        return self._log.shard_count

    async def claim(self, shards: Collection[int]) -> Collection[int]:
        if self._door.closed:
            self._door.refusals += 1
            raise LogError("the door is closed")
        claimed = await self._log.claim(frozenset(shards) - self._door.withheld)
        self._door.claims.append((self._name, frozenset(claimed)))
        return claimed

    def disclaim(self, shards: Collection[int]) -> None:
        self._log.disclaim(shards)

    def fencing_token(self, shard: int) -> int | None:
        return self._log.fencing_token(shard)

    @property
    def superseded(self) -> frozenset[int]:
        return self._log.superseded

    async def append(self, *events: HealthEvent) -> Sequence[HealthEvent | None]:
        return await self._log.append(events)


@dataclass(slots=True)
class Door:
    """Records the claims of a fleet in order, and can refuse them."""

    closed: bool = False
    withheld: frozenset[int] = frozenset()
    refusals: int = 0
    claims: list[tuple[str, frozenset[int]]] = field(default_factory=list)


class Member:
    """One instance of this process. `sizes` is how many shards it had after every change."""

    def __init__(self, name: str, stream: JetStream, leases: JetStreamLeases, log: FleetLog, lines: LogCapture) -> None:
        self.name = name
        self.stream = stream
        self.leases = leases
        self.log = log
        self.sizes: list[int] = []
        self._lines = lines
        leases.on_change(lambda: self.sizes.append(len(leases.shards)))
        self.task = asyncio.create_task(leases.run())

    @property
    def shards(self) -> frozenset[int]:
        return self.leases.shards

    @property
    def lines(self) -> list[Any]:
        """What it has logged."""
        return self._lines.entries

    def logged(self, message: str) -> list[Any]:
        """The log lines so far that have this message."""
        return [line for line in self.lines if line["event"] == message]

    async def leave(self) -> None:
        """Stops in order."""
        await self._end()
        await self.leases.aclose()
        await self.stream.aclose()

    async def vanish(self) -> None:
        """Disappears without leaving."""
        await self._end()
        await self.stream.aclose()

    async def _end(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


class Fleet:
    """Instances at one `url`, each with a connection of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.door = Door()
        self.members: list[Member] = []
        self._watch: asyncio.Task[None] | None = None
        self.shared_at_some_time: set[int] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watch is not None:
            self._watch.cancel()
        for member in self.members:
            await member.vanish()

    async def make_log(self) -> None:
        """Make the log before anybody joins."""
        stream = await JetStream.open(NatsAddress.of_url(self.url))
        await JetStreamLog.open(stream)
        await stream.aclose()

    async def join(
        self,
        name: str,
        *,
        lease: float = 1.0,
        url: str | None = None,
        games: Callable[[], int] = lambda: 0,
        settle: Callable[[frozenset[int]], Awaitable[None]] | None = None,
    ) -> Member:
        stream = await JetStream.open(NatsAddress.of_url(url or self.url))
        lines = LogCapture()
        logger = capturing_logger(lines)
        try:
            log = FleetLog(await JetStreamLog.open(stream, by_claims=True), self.door, name)
            leases = await JetStreamLeases.open(stream, log, lease=lease, instance=name, games=games, logger=logger)
        except BaseException:
            await stream.aclose()
            raise
        if settle is not None:
            leases.before_release(settle)
        member = Member(name, stream, leases, log, lines)
        self.members.append(member)
        return member

    async def join_at_once(self, *names: str, lease: float = 1.0) -> list[Member]:
        async with asyncio.TaskGroup() as joining:
            tasks = [joining.create_task(self.join(name, lease=lease)) for name in names]
        return [task.result() for task in tasks]

    def watch(self) -> None:
        """From now on remember every shard that two instances cover at the same time."""
        self._watch = asyncio.create_task(self._keep_watching())

    async def _keep_watching(self) -> None:
        while True:
            now = time.monotonic()
            covering = Counter(
                shard for member in self.members for shard in range(256) if member.leases.covers(shard, now)
            )
            self.shared_at_some_time |= {shard for shard, instances in covering.items() if instances > 1}
            await asyncio.sleep(0.005)


def capturing_logger(lines: LogCapture) -> FilteringBoundLogger:
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(), processors=[lines], wrapper_class=structlog.make_filtering_bound_logger(10)
    )
    return logger


async def until(condition: Callable[[], object], hope: str) -> float:
    """Waits for `condition` and returns the seconds that it took; fails if it never comes true."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() > began + PATIENCE:
            raise AssertionError(f"waited {PATIENCE:g}s in vain: {hope}")
        await asyncio.sleep(0.003)
    await asyncio.sleep(0.003)  # listeners are called in a later turn of the loop
    return time.monotonic() - began


def have(members: Collection[Member], *sizes: int) -> Callable[[], bool]:
    """Whether these hold so many shards, in any order, and no shard is held twice."""

    def asked() -> bool:
        held = [member.shards for member in members]
        return sorted(map(len, held)) == sorted(sizes) and len(frozenset().union(*held)) == sum(sizes)

    return asked


class Process:
    """An instance in a process of its own. `changes` are the moments, monotonic, and how many shards it had then."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.changes: list[tuple[float, int]] = []
        self.lines: list[str] = []
        self._reading = asyncio.create_task(self._read())

    @property
    def size(self) -> int:
        return self.changes[-1][1] if self.changes else 0

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            told = json.loads(line)
            if "shards" in told:
                self.changes.append((told["at"], told["shards"]))
            else:
                self.lines.append(told["event"])

    async def end(self) -> None:
        """kill -9, whatever it does; returns when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self._reading


@contextlib.asynccontextmanager
async def instance_of_its_own(url: str, *, lease: float = 1.0) -> AsyncIterator[Process]:
    process = Process(
        await asyncio.create_subprocess_exec(
            sys.executable, __file__, url, str(lease), stdout=asyncio.subprocess.PIPE, env=dict(os.environ)
        )
    )
    try:
        yield process
    finally:
        await process.end()


async def _hold(url: str, lease: float) -> None:
    def write(told: dict[str, object]) -> None:
        os.write(1, json.dumps(told).encode() + b"\n")

    class Told(LogCapture):
        def __call__(self, _: object, __: str, event_dict: Any) -> Any:
            write({"event": event_dict["event"]})
            raise structlog.DropEvent

    stream = await JetStream.open(NatsAddress.of_url(url))
    log = await JetStreamLog.open(stream, by_claims=True)
    leases = await JetStreamLeases.open(stream, log, lease=lease, logger=capturing_logger(Told()))
    leases.on_change(lambda: write({"at": time.monotonic(), "shards": len(leases.shards)}))
    async with asyncio.timeout(120):
        await leases.run()


if __name__ == "__main__":
    asyncio.run(_hold(sys.argv[1], float(sys.argv[2])))
