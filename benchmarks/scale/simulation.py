"""The simulation: a million games, shared by instances with the real worker, leases and log; then one is killed."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from benchmarks.measure import say
from benchmarks.processes import ChildFailed, cpu_time, peak_memory, resident_memory
from benchmarks.scale.imaginary import record_of
from benchmarks.scale.instance import Instance, instance
from benchmarks.scale.sightings import Sightings
from benchmarks.scale.simulated import (
    FAILING,
    LEASE,
    THRESHOLD,
    TIMEOUT,
    Course,
    Log,
    Simulated,
    Start,
    Steady,
    Takeover,
)
from benchmarks.scale.spent import Servers, connected, servers
from healthprobe.adapters.nats import JetStreamLog, instances
from healthprobe.adapters.nats.connection import JetStream
from healthprobe.domain.event import EventType, HealthEvent
from healthprobe.domain.shard import SHARDS, shard_of

_PATIENCE = 150.0
_POLL = 0.1
_READ = 5_000
_LATE_EVENTS = 2.0


def measured(course: Course) -> Simulated:
    """Start, share, probe, kill one, probe again, compare; telling on standard error how far it is."""
    with TemporaryDirectory(prefix="healthprobe-bench-") as folder, servers(1, sync="always") as kept:
        return uvloop.run(_simulated(course, kept, Path(folder)))


async def _simulated(course: Course, kept: Servers, workspace: Path) -> Simulated:
    async with AsyncExitStack() as stack:
        stream = await stack.enter_async_context(connected(kept.url))
        sightings = Sightings.made(workspace / "sightings", course.games)
        sightings.failing = FAILING
        sightings.since = time.monotonic()
        arguments = _arguments(course, kept, workspace)
        those = [
            stack.enter_context(instance(number, workspace / "sightings", workspace, *arguments))
            for number in range(course.instances)
        ]
        simulation = _Simulation(course, kept, stream, sightings, those)
        start = await simulation.start()
        steady = await simulation.steady()
        await simulation.until_log_has(1)
        takeover = await simulation.takeover()
        log = await simulation.until_log_has(2)
        await _stopped(those)
    return Simulated(course, start, steady, takeover, log, [each.summary() for each in those[:-1]])


def _arguments(course: Course, kept: Servers, workspace: Path) -> list[str]:
    return [
        f"--cluster={kept.url}",
        f"--records=imaginary:{course.games}",
        f"--interval={course.interval:g}s",
        f"--timeout={TIMEOUT:g}s",
        f"--failures={THRESHOLD}",
        f"--lease={LEASE:g}s",
        f"--publish=file:{workspace / 'delivered.jsonl'}",
    ]


async def _stopped(those: Sequence[Instance]) -> None:
    """Stop all at once, and have patience: each counts its open incidents."""
    for each in those:
        each.child.process.terminate()
    for each in those:
        await asyncio.to_thread(each.child.process.wait, _PATIENCE)


class _Simulation:
    """The acts, in their order. The last instance is the one that is killed."""

    def __init__(
        self, course: Course, kept: Servers, stream: JetStream, sightings: Sightings, those: Sequence[Instance]
    ) -> None:
        self._course = course
        self._kept = kept
        self._stream = stream
        self._sightings = sightings
        self._those = those
        self._failing = range(0, course.games, FAILING)
        self._events: list[HealthEvent] = []
        self._cursor = 0

    async def start(self) -> Start:
        """From the start of the first process on."""
        games = self._course.games
        say(f"{games:,} games, {len(self._those)} instances, a tick every {self._course.interval:g}s ...")
        shared = await self._until(self._are_shared, "all shards are held")
        say(f"all shards held after {shared:.1f}s")
        watched = await self._until(
            lambda: _settled(sum(each.games for each in self._those) == games), "all are watched"
        )
        say(f"all watched after {watched:.1f}s")
        read = await self._until(lambda: _settled(all(each.unread == 0 for each in self._those)), "the log was read")
        say(f"the log read for all after {read:.1f}s")
        probed = await self._until(lambda: _settled(self._sightings.missing() == 0), "all are probed")
        say(f"all probed after {probed:.1f}s")
        return Start(shared, watched, read, probed)

    async def steady(self) -> Steady:
        """What an interval takes in which nothing happens."""
        pids = [each.child.pid for each in self._those]
        before, served, began = [cpu_time(pid).total for pid in pids], self._kept.cpu, time.monotonic()
        await asyncio.sleep(self._course.interval)
        lasted = time.monotonic() - began
        return Steady(
            [each.games for each in self._those],
            [(cpu_time(pid).total - used) / lasted for pid, used in zip(pids, before, strict=True)],
            [resident_memory(pid) for pid in pids],
            [peak_memory(pid) for pid in pids],
            (self._kept.cpu - served) / lasted,
            self._kept.memory,
        )

    async def takeover(self) -> Takeover:
        """kill -9 of the last instance, until the others have probed all that it watched."""
        victim = self._those[-1]
        shards = await self._shards_of(victim)
        orphans = [number for number in range(self._course.games) if shard_of(record_of(number).game_id) in shards]
        self._sightings.failing = 0
        self._sightings.since = time.monotonic()
        victim.child.process.kill()
        victim.child.process.wait()
        say(f"killed one: {len(shards)} shards, {len(orphans):,} games ...")
        shared = await self._until(self._are_shared, "its shards are held by others")
        await self._until(lambda: _settled(self._sightings.missing() == 0), "all are probed again")
        say("all probed again")
        return Takeover(shared, self._sightings.after(orphans))

    async def until_log_has(self, events: int) -> Log:
        """Wait until the log has so many events of every game that fails, and a little longer for what is too much."""
        expected = events * len(self._failing)
        log = await JetStreamLog.open(self._stream, by_claims=False)

        async def has_them() -> bool:
            while entries := await log.read(self._cursor, _READ):
                self._cursor = entries[-1].cursor
                self._events += [entry.event for entry in entries]
            return len(self._events) >= expected

        await self._until(has_them, f"{expected:,} events are in the log")
        await asyncio.sleep(_LATE_EVENTS)
        await has_them()
        say(f"{len(self._events):,} events in the log, {expected:,} expected")
        return Log(expected, len(self._events), self._wrong(events))

    def _wrong(self, events: int) -> int:
        """The games whose events are not these, in this order."""
        due = [EventType.PROBE_FAILED, EventType.PROBE_RECOVERED][:events]
        story: dict[str, list[tuple[int, EventType]]] = defaultdict(list)
        for event in self._events:
            story[event.game_id].append((event.sequence, event.event_type))
        wanted = {record_of(number).game_id: list(enumerate(due, 1)) for number in self._failing}
        return sum(story.get(game_id) != wanted.get(game_id) for game_id in story.keys() | wanted.keys())

    async def _are_shared(self) -> bool:
        """Whether each shard is held by an instance that lives."""
        alive = {each.child.pid for each in self._those if each.child.process.poll() is None}
        seen = [each for each in await instances(self._stream) if each.pid in alive]
        return len({shard for each in seen for shard in each.shards}) == SHARDS

    async def _shards_of(self, one: Instance) -> frozenset[int]:
        return frozenset(
            shard for each in await instances(self._stream) if each.pid == one.child.pid for shard in each.shards
        )

    async def _until(self, condition: Callable[[], Awaitable[bool]], hope: str) -> float:
        """Wait for `condition`; the seconds from `since` of the sightings. Raises ChildFailed where it cannot come."""
        deadline = time.monotonic() + _PATIENCE
        while not await condition():
            self._those[0].child.require_alive()
            if time.monotonic() > deadline:
                raise ChildFailed(f"waited {_PATIENCE:g}s in vain until {hope}")
            await asyncio.sleep(_POLL)
        return time.monotonic() - self._sightings.since


async def _settled(holds: bool) -> bool:  # noqa: FBT001 - it is all there is
    return holds
