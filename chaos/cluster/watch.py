"""Three instances, or four, that probe engines which record their requests: the set-up of every measurement."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from tests.servers.nats import NatsCluster

from chaos.cluster.witness import Asked, Witnesses
from chaos.program import Program
from chaos.waiting import until
from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.connection import JetStream
from healthprobe.adapters.nats.membership import instances
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.shard import SHARDS

_PATIENCE = 120.0
_NOBODYS = 0
_AT_FIRST, _MOST = 3, 4


@dataclass(frozen=True, slots=True)
class Pace:
    """`lease`, `interval` and `timeout`, in seconds, of every instance."""

    lease: float
    interval: float
    timeout: float

    @property
    def options(self) -> list[str]:
        """The options of `healthprobe run`."""
        pace = {"--lease": self.lease, "--interval": self.interval, "--timeout": self.timeout}
        return [part for option, seconds in pace.items() for part in (option, f"{seconds:g}s")]


class Watch:
    """`programs` probe the witnesses at one pace. The last of them is away at first."""

    def __init__(self, witnesses: Witnesses, stream: JetStream, programs: list[Program]) -> None:
        self.programs = programs
        self._witnesses = witnesses
        self._stream = stream
        self._last_asked: dict[int, tuple[int, int]] = {}

    async def is_shared(self) -> float:
        """Waits until all running instances hold their share of the shards, and every engine was probed since.

        Returns the seconds until they held their share.
        """
        there = sum(program.is_present for program in self.programs)
        whole = SHARDS // there

        async def all_hold_their_share() -> bool:
            shares = [len(shards) for shards in (await self.holders()).values()]
            return len(shares) == there and sum(shares) == SHARDS and set(shares) <= {whole, whole + 1}

        took = await until(all_hold_their_share, f"{there} instances hold their share", within=_PATIENCE)
        await self.are_asked(dict.fromkeys(range(len(self._witnesses.ports)), _NOBODYS), since=time.monotonic())
        return took

    async def holders(self) -> dict[str, frozenset[int]]:
        """Returns the shards of each instance, by its document."""
        return {each.instance: frozenset(each.shards) for each in await instances(self._stream)}

    def asked_by(self, program: Program) -> dict[int, int]:
        """Returns the engines that `program` probed last, each with its connection."""
        self._listen()
        connections = psutil.Process(program.pid).net_connections("tcp4")
        asking = {(each.raddr.port, each.laddr.port) for each in connections if each.status == psutil.CONN_ESTABLISHED}
        return {
            engine: connection
            for engine, (port, connection) in self._last_asked.items()
            if (self._witnesses.ports[engine], port) in asking
        }

    async def are_asked(self, engines: Mapping[int, int], *, since: float) -> list[float]:
        """Waits until each of `engines` was probed after `since` on another connection; returns the seconds for each.

        The next instance may have the local port of the dead one, so the port is not enough.
        """
        asked: dict[int, float] = {}

        async def all_asked() -> bool:
            for at, engine, _, connection in self._listen():
                if at > since and connection != engines.get(engine, connection):
                    asked.setdefault(engine, at - since)
            return len(asked) == len(engines)

        await until(all_asked, f"{len(engines)} engines are asked", within=_PATIENCE)
        return list(asked.values())

    def _listen(self) -> list[Asked]:
        heard = self._witnesses.heard()
        self._last_asked.update({engine: (port, connection) for _, engine, port, connection in heard})
        return heard


@asynccontextmanager
async def watch(witnesses: Witnesses, nats: NatsCluster, folder: Path, prefix: str, pace: Pace) -> AsyncIterator[Watch]:
    """Runs three instances and has a fourth that is away; their log and leases have a prefix of their own."""
    records = _written(witnesses.ports, folder)
    url = nats.url(f"?prefix={prefix}")
    async with AsyncExitStack() as stack:
        begun = []
        for number in range(_MOST):
            arguments = ["--cluster", url, "--records", f"file:{records}", *pace.options]
            program = Program(folder / f"instance-{number}", arguments)
            if number >= _AT_FIRST:
                program.stay_away()
            begun.append(await stack.enter_async_context(program))
        for program in begun[:_AT_FIRST]:
            await program.is_up(_PATIENCE)
        stream = await JetStream.open(NatsAddress.of_url(url))
        stack.push_async_callback(stream.aclose)
        yield Watch(witnesses, stream, begun)


def _written(ports: Sequence[int], folder: Path) -> Path:
    """Creates `folder` with the file of records, which it returns, and a folder for each instance."""
    for number in range(_MOST):
        (folder / f"instance-{number}").mkdir(parents=True)
    records = [
        RuntimeRecord(f"game-{number}", f"c-{number}", f"http://127.0.0.1:{port}") for number, port in enumerate(ports)
    ]
    file = folder / "games.json"
    file.write_text(json.dumps([asdict(record) for record in records]))
    return file
