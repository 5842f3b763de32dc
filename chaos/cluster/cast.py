"""The instances that share the engines, and the NATS nodes that they use."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from tests.servers.nats import NatsServer

from chaos.alert_receivers import alert_receivers
from chaos.cluster.form import SPARE, ClusterForm
from chaos.cluster.instance import Instance
from chaos.cluster.line import Line
from chaos.cluster.stage import ClusterStage
from chaos.cluster.tail import Tail
from chaos.consumers import StreamConsumer
from chaos.deployment import Deployment
from chaos.program import Program
from chaos.verdict import Row, Verdict, breaks_of
from chaos.waiting import WaitedTooLong, until

_LONGER = 1.2
"""The time after which a lease has certainly expired, in leases."""


class ClusterCast(Deployment):
    """`instances` run or will in a moment, except the spare one, which is away until it joins."""

    form: ClusterForm
    environment: ClusterStage
    log: Tail

    def __init__(self, environment: ClusterStage, name: str) -> None:
        super().__init__(environment)
        self.name = name
        self.instances: list[Instance] = []
        self._judged = 0

    async def begin(self, stack: AsyncExitStack, *, fenced: bool = True) -> None:
        """Starts the instances, with a log of their own. Alerts are judged with fencing only."""
        nodes = self.environment.nats.nodes
        self.log = Tail([node.url() for node in nodes], self.name)
        stack.push_async_callback(self.log.aclose)
        self.consumers = [StreamConsumer(self.environment.redis.port, self.name)]
        for consumer in self.consumers:
            stack.push_async_callback(consumer.aclose)
        if fenced:
            of_alerts = self.environment.folder / self.name
            of_alerts.mkdir(parents=True)
            self.alerted = await stack.enter_async_context(alert_receivers(of_alerts))
        for name in self.form.names:
            folder = self.environment.folder / self.name / name
            folder.mkdir(parents=True)
            appends = f"PUB {self.name}.events.".encode()
            line = await stack.enter_async_context(Line([node.port for node in nodes], appends))
            instance = Instance(name, folder, self._arguments(line), line, fenced=fenced)
            if name == SPARE:
                instance.stay_away()
            self.instances.append(await stack.enter_async_context(instance))
        stack.callback(self._end_all)

    async def run(self, name: str, fault: Callable[[], Awaitable[None]]) -> Row:
        """Returns one row. Events that came after the row before was judged are a difference."""
        late = await self.log.count() - self._judged
        row = await super().run(name, fault)
        self._judged = await self.log.count()
        if not late:
            return row
        return replace(row, differences=(f"{late} events came when the row before was over", *row.differences))

    async def observe(self, name: str, fault: Callable[[], Awaitable[None]]) -> Row:
        """Returns one row, judged when `fault` is over, whatever has not arrived by then."""
        baseline = await self._baseline()
        problems: list[str] = []
        try:
            await fault()
        except WaitedTooLong as waited:
            problems.append(str(waited))
        return await self._row(name, baseline, problems)

    async def recover_and_settle(self) -> None:
        await super().recover_and_settle()
        self._judged = await self.log.count()

    def may_be_slowness(self, verdict: Verdict, problems: Sequence[str]) -> bool:
        """Whether slow engines explain the verdict: a late answer can add an event, and never cost one."""
        return not verdict.lost and not problems

    @property
    def programs(self) -> Sequence[Program]:
        return self.present

    @property
    def present(self) -> list[Instance]:
        return [instance for instance in self.instances if instance.is_present]

    def victims(self) -> list[Instance]:
        """Returns some of the running instances, at least one, each a fault of its own."""
        most = min(self.form.most_victims, len(self.present))
        victims = self.chance.sample(self.present, self.chance.randint(min(1, most), most))
        self.injected += len(victims)
        return victims

    async def wait_for_log(self) -> None:
        """Waits until the last event of every actor agrees with its state now."""

        async def agrees() -> bool:
            await self.log.count()
            return self.log.in_incident.intersection(self.engines.games) == self.engines.down

        await until(agrees, "the log agrees with the engines", within=self.form.patience)

    async def is_broken(self) -> bool:
        """Whether an event in the log does not continue its game's."""
        return breaks_of(await self.log.events()) > 0

    async def leader(self) -> NatsServer:
        """Waits for the node that leads the log, and returns it."""
        found: list[NatsServer] = []

        async def has_leader() -> bool:
            leader = await asyncio.to_thread(self.environment.nats.leader_of, self.log.stream)
            found.extend([leader] if leader else [])
            return bool(found)

        await until(has_leader, "a node leads the log", within=self.form.patience)
        self.injected += 1
        return found[0]

    async def is_healthy(self, node: NatsServer) -> None:
        """Waits until this node is healthy."""

        async def is_healthy() -> bool:
            return await asyncio.to_thread(node.is_healthy)

        await until(is_healthy, "a node is healthy again", within=self.form.patience)

    async def others_report_everything(self) -> None:
        """Lets a fault last for longer than a lease, and until the others have reported all that the engines did."""
        lasts = self.longer_than_a_lease()
        began = time.monotonic()
        await self.settles()
        await asyncio.sleep(began + lasts - time.monotonic())
        await self.settles()

    def longer_than_a_lease(self) -> float:
        """Returns a number of seconds after which a silent instance has lost all leases."""
        return self.chance.uniform(_LONGER * self.form.lease, self.form.life)

    async def silence(self) -> None:
        """Gives late events the time to arrive."""
        await asyncio.sleep(_LONGER * self.form.lease)

    def _arguments(self, line: Line) -> list[str]:
        cluster = f"{line.url}?prefix={self.name}"
        bus = self.environment.redis.url(f"/0?stream={self.name}")
        lease = f"{self.form.lease:g}s"
        records = f"file:{self.environment.records}"
        alerts = [] if self.alerted is None else [*self.alerted.options, "--alert-group", "none"]
        return [
            *alerts,
            *("--cluster", cluster, "--lease", lease, "--records", records, "--publish", bus),
            *self.form.options,
        ]

    def _end_all(self) -> None:
        """Stops all at once, and not one after the other."""
        for instance in self.instances:
            instance.line.flow()
            instance.resume()
            instance.stay_away(signal.SIGTERM)


@asynccontextmanager
async def cluster_cast(
    environment: ClusterStage, name: str = "health", *, fenced: bool = True
) -> AsyncIterator[ClusterCast]:
    async with AsyncExitStack() as stack:
        cast = ClusterCast(environment, name)
        await cast.begin(stack, fenced=fenced)
        yield cast
