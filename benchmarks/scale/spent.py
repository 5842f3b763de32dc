"""What was spent: wall time, our own CPU, and that of the servers that we kept busy meanwhile."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

from tests.servers.nats import NatsCluster, NatsServer

from benchmarks.processes import cpu_time, resident_memory
from healthprobe.adapters.nats import NatsAddress
from healthprobe.adapters.nats.connection import JetStream


@dataclass(slots=True)
class Spent:
    """Seconds, complete once the context has ended: of the clock, of our CPU, and of the CPU of all servers."""

    wall: float = 0.0
    cpu: float = 0.0
    servers: float = 0.0


@dataclass(frozen=True, slots=True)
class Servers:
    """NATS servers that are measured too. `name` is how a table calls them."""

    name: str
    url: str
    pids: Sequence[int]

    @contextmanager
    def spending(self) -> Iterator[Spent]:
        """What is spent inside."""
        spent = Spent()
        began, used, theirs = time.perf_counter(), time.process_time(), self.cpu
        yield spent
        spent.wall, spent.cpu = time.perf_counter() - began, time.process_time() - used
        spent.servers = self.cpu - theirs

    @property
    def cpu(self) -> float:
        """Seconds of CPU that all of them have used."""
        return sum(cpu_time(pid).total for pid in self.pids)

    @property
    def memory(self) -> float:
        """Bytes that one of them holds in memory, on the average."""
        return sum(resident_memory(pid) for pid in self.pids) / len(self.pids)


@contextmanager
def servers(nodes: int, *, sync: str) -> Iterator[Servers]:
    """New servers, one or a cluster, which write to the disk every `sync`, or `always` before they acknowledge."""
    kept = "written at once" if sync == "always" else f"written every {sync}"
    with ExitStack() as stack:
        if nodes == 1:
            server = stack.enter_context(NatsServer(sync=sync))
            yield Servers(f"one node, {kept}", server.url(), [server.pid])
        else:
            cluster = stack.enter_context(NatsCluster(nodes=nodes, sync=sync))
            pids = [node.pid for node in cluster.nodes]
            yield Servers(f"{nodes} nodes, {kept}", cluster.url(), pids)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[JetStream]:
    """A connection to them."""
    stream = await JetStream.open(NatsAddress.of_url(url))
    try:
        yield stream
    finally:
        await stream.aclose()
