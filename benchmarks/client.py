"""The client program: one HTTP client of Python, asking all engines in lanes, as fast as it can.

    python -m benchmarks.client MODULE PORT ENGINES kept|fresh [PREFIX]

MODULE, one of `benchmarks.contenders`, says how the client is made and asked. It says `ready` before its first
connection, begins at a line on standard input, and when standard input ends it prints how many responses were not
healthy, and stops. So it never outlives the process that started it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib import import_module
from itertools import cycle
from typing import Any, Protocol, cast

import uvloop

from benchmarks.contenders.contender import LANES, Missing
from benchmarks.engines import Engines


@dataclass(frozen=True, slots=True)
class Client:
    """A client that is ready: `await ask(target)` is the very object `healthy` if the engine is.

    Nothing of ours stands between the lanes and the client, for it would be measured too.
    """

    ask: Callable[[Any], Awaitable[object]]
    targets: Sequence[Any]
    healthy: object


class ClientModule(Protocol):
    """What a module offers that knows one client."""

    def client(self, endpoints: Sequence[str], *, keep_connections: bool) -> AbstractAsyncContextManager[Client]:
        """The client for these endpoints. Raises Missing where it is not installed."""
        ...


class Lanes:
    """So many coroutines that each take the next target of all, round and round."""

    def __init__(self, client: Client) -> None:
        self.failed = 0
        self.faults: set[str] = set()
        self._client = client
        self._targets: Iterator[Any] = cycle(client.targets)

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(LANES):
                group.create_task(self._lane())

    async def _lane(self) -> None:
        ask, healthy = self._client.ask, self._client.healthy
        for target in self._targets:
            try:
                answer = await ask(target)
            except Exception as error:  # noqa: BLE001  whatever a client raises, its probe failed
                answer = error
            if answer is not healthy:
                self.failed += 1
                if len(self.faults) < 3:
                    self.faults.add(repr(answer)[:100])


async def _ask_all(module: ClientModule, endpoints: Sequence[str], *, keep_connections: bool) -> None:
    async with module.client(endpoints, keep_connections=keep_connections) as client:
        lanes = Lanes(client)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        asking = asyncio.create_task(lanes.run())
        await asyncio.to_thread(sys.stdin.read)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    print(json.dumps({"failed": lanes.failed, "faults": sorted(lanes.faults)}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.client")
    parser.add_argument("module")
    parser.add_argument("port", type=int)
    parser.add_argument("engines", type=int)
    parser.add_argument("connections", choices=["kept", "fresh"])
    parser.add_argument("prefix", nargs="?", default="", help="what stands before /healthz in every URL")
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    module = cast("ClientModule", import_module(f"benchmarks.contenders.{arguments.module}"))
    engines = Engines("", arguments.port)
    endpoints = [f"{endpoint}{arguments.prefix}" for endpoint in engines.endpoints(arguments.engines)]
    try:
        uvloop.run(_ask_all(module, endpoints, keep_connections=arguments.connections == "kept"))
    except Missing as missing:
        print(json.dumps({"missing": str(missing)}), flush=True)


if __name__ == "__main__":
    main()
