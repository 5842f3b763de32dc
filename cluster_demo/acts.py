"""The acts: a kill, a new instance, a clean stop, and the loss of the log's leader. Each is shown until it is over."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path

from tests.servers.nats import NatsCluster, NatsServer

from cluster_demo.instance import DemoInstance, begun
from cluster_demo.output import Output
from cluster_demo.view import View, until
from healthprobe.app.demo import demo_scripts
from healthprobe.domain.cluster import Instance
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.shard import shard_of
from healthprobe.testing.engines import OK, Script
from healthprobe.testing.fleet import FleetProcess

INTERVAL, TIMEOUT, FAILURES, LEASE = 1.0, 0.4, 3, 2.0

LOG = "health_events"
"""The stream of the log."""

_INSTANCES = 3
_STEADY = tuple(f"quiz-{number}" for number in range(1, 25))

Act = Callable[[], Awaitable[None]]


def scripts() -> dict[str, Script]:
    """Returns the engines: a dozen of which some crash, hang and recover, and two dozen that an act may crash."""
    return {**demo_scripts(beat=INTERVAL, failures=FAILURES), **dict.fromkeys(_STEADY, Script())}


class Acts:
    """The instances, and what happens to them, in order."""

    def __init__(
        self,
        cluster: NatsCluster,
        fleet: FleetProcess,
        *,
        folder: Path,
        view: View,
        output: Output,
        stack: AsyncExitStack,
    ) -> None:
        self._cluster = cluster
        self._fleet = fleet
        self._folder = folder
        self._view = view
        self._output = output
        self._stack = stack
        self._begun: list[DemoInstance] = []
        self._well = list(_STEADY)

    @property
    def in_order(self) -> tuple[Act, ...]:
        """The acts after the opening."""
        return self.kill, self.join, self.stop, self.lose_the_leader

    def pids(self) -> set[int]:
        """Returns the running instances. Raises EndedUnexpectedly if one has ended by itself."""
        return {each.pid for each in self._begun if each.is_there}

    async def open(self) -> None:
        """Starts three instances, which share the engines."""
        self._output.announce(
            f"Three NATS nodes, and three instances of healthprobe that share {len(self._fleet.scripts)} engines. "
            f"Each engine is probed every {INTERVAL:g}s, {FAILURES} failures in a row count, a lease lasts {LEASE:g}s."
        )
        self._output.aside(f"HEALTHPROBE_CLUSTER={self._cluster.url()}")
        records = [asdict(RuntimeRecord(each, f"{each}-a", at)) for each, at in self._fleet.endpoints.items()]
        (self._folder / "games.json").write_text(json.dumps(records))
        for _ in range(_INSTANCES):
            await self._begin()
        took = await self._view.until_shared(self.pids)
        self._output.say(f"All 256 shards are held {took:.1f}s later, and every engine is probed.")
        await self._show()

    async def kill(self) -> None:
        """Kills the instance that delivers, so that others take over its shards and its duty."""
        victim, document = await self._one(delivers=True)
        game_id = self._engine_of(document)
        self._output.announce(
            f"kill -9 {victim.pid}. It probes {document.games} engines of {len(document.shards)} shards, and delivers; "
            f"at the same moment {game_id}, one of its engines, crashes."
        )
        self._fleet.become({game_id: "crash"})
        victim.kill()
        why = f"a lease of {LEASE:g}s, and {FAILURES} failures {INTERVAL:g}s apart"
        await self._until_delivered(game_id, self._until_held(), why)

    async def join(self) -> None:
        """Starts another instance."""
        self._output.announce("Another instance joins. It is given its share, and no other shard moves.")
        await self._begin()
        took = await self._view.until_shared(self.pids)
        self._output.say(f"All hold their shares {took:.1f}s after its start.")
        await self._show()

    async def stop(self) -> None:
        """Stops an instance, which hands its shards over at once."""
        leaver, document = await self._one(delivers=False)
        self._output.announce(
            f"SIGTERM to {leaver.pid}, as when a host is drained: it hands {document.games} engines over."
        )
        began = time.monotonic()
        stopping = asyncio.create_task(leaver.stop())
        await asyncio.sleep(0)
        watching = asyncio.create_task(self._view.until_held(self.pids))
        await stopping
        gone = time.monotonic() - began
        took = await watching
        self._output.say(
            f"It is gone after {gone:.1f}s, and after {took:.1f}s the others had its shards: no lease had to expire."
        )
        await self._show()

    async def lose_the_leader(self) -> None:
        """Kills the node that leads the log, which waits for another leader. Nothing is lost."""
        leader = await self._leader()
        game_id = self._well.pop()
        self._output.announce(
            f"kill -9 of {leader.name}, the NATS node that leads the log; two of three are left. "
            f"At the same moment {game_id} crashes."
        )
        self._fleet.become({game_id: "crash"})
        leader.kill()
        await self._until_delivered(
            game_id, self._until_another_leads(leader), "the log had to wait for its new leader"
        )

    async def end(self) -> None:
        """Stops all instances."""
        self._output.announce("The end: all instances stop.")
        await asyncio.gather(*(each.stop() for each in self._begun))

    async def _begin(self) -> None:
        arguments = [
            f"--cluster={self._cluster.url()}",
            "--records=file:games.json",
            "--publish=stdout:",
            f"--interval={INTERVAL * 1000:.0f}ms",
            f"--timeout={TIMEOUT * 1000:.0f}ms",
            f"--failures={FAILURES}",
            f"--lease={LEASE:g}s",
        ]
        number = len(self._begun)
        self._begun.append(
            await self._stack.enter_async_context(begun(arguments, self._folder, number, self._view.on_event))
        )

    async def _one(self, *, delivers: bool) -> tuple[DemoInstance, Instance]:
        """Returns an instance that delivers, or one that does not, and its document."""
        found: list[tuple[DemoInstance, Instance]] = []

        async def is_found() -> bool:
            present = {each.pid: each for each in await self._view.present(self.pids)}
            found[:] = [(each, present[each.pid]) for each in self._begun if each.pid in present and each.is_there]
            found[:] = [
                (each, document) for each, document in found if bool(document.duties) is delivers and document.shards
            ]
            return bool(found)

        await until(is_found)
        return found[0]

    def _engine_of(self, document: Instance) -> str:
        """Returns a steady engine of this instance, each once."""
        game_id = next(each for each in self._well if shard_of(each) in document.shards)
        self._well.remove(game_id)
        return game_id

    async def _until_delivered(self, game_id: str, meanwhile: Awaitable[None], why: str) -> None:
        following = asyncio.ensure_future(meanwhile)
        try:
            took = await self._view.until_delivered(game_id)
            await following
        finally:
            following.cancel()
        self._output.say(f"Its probe_failed was delivered {took:.1f}s after {game_id} crashed: {why}.")
        await self._show()
        self._fleet.become({game_id: OK})

    async def _until_held(self) -> None:
        took = await self._view.until_held(self.pids)
        self._output.say(f"The others have its shards: all 256 are held again {took:.1f}s after the kill.")

    async def _until_another_leads(self, leader: NatsServer) -> None:
        began = time.monotonic()
        another = await self._leader(instead_of=leader)
        took = time.monotonic() - began
        self._output.say(f"{another.name} leads the log after {took:.1f}s; transitions waited for it.")

    async def _leader(self, instead_of: NatsServer | None = None) -> NatsServer:
        """Returns the node that leads the log, once it is another one."""
        found: list[NatsServer] = []

        async def leads() -> bool:
            leader = await asyncio.to_thread(self._cluster.leader_of, LOG)
            found[:] = [] if leader is None or leader is instead_of else [leader]
            return bool(found)

        await until(leads)
        return found[0]

    async def _show(self) -> None:
        self._output.show(await self._view.present(self.pids))
