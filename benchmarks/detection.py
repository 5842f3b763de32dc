"""Measures how long after its death a killed engine is detected, with confirmation and without."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from benchmarks.detection_times import Detection
from benchmarks.measure import say
from benchmarks.table import table

INTERVAL = 5.0
FAILURES = 3
CONFIRM = 0.25
WORST, MEAN = 6.2, 3.7
"""What is promised with confirmation, in seconds."""

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Found:
    """The seconds after which each death was detected, in one of both ways."""

    way: Detection
    seconds: Sequence[float]


class Mortal(asyncio.Protocol):
    """A connection to an engine that can be killed."""

    def __init__(self, open_ones: set[asyncio.Transport]) -> None:
        self._open = open_ones

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._open.discard(self._transport)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - whatever is asked
        self._transport.write(_OK)


class Engine:
    """One engine, at an address of its own; `kill` is what kill -9 does to its sockets."""

    def __init__(self, number: int) -> None:
        self.game_id = f"game-{number}"
        self._address = f"127.60.{number // 250}.{1 + number % 250}"
        self._open: set[asyncio.Transport] = set()

    async def begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Mortal(self._open), self._address, 0)
        self.endpoint = f"http://{self._address}:{self._server.sockets[0].getsockname()[1]}"

    @property
    def was_asked(self) -> bool:
        return bool(self._open)

    def kill(self) -> None:
        self._server.close()
        for transport in list(self._open):
            transport.abort()


def measured(*, kills: int) -> list[Found]:
    """Kill so many engines at random moments, in each of both ways."""
    plain, confirmed = Detection(INTERVAL, FAILURES), Detection(INTERVAL, FAILURES, CONFIRM)
    return [asyncio.run(_found(way, kills)) for way in (confirmed, plain)]


def report(found: Sequence[Found], opening: str) -> str:
    """The section of the page."""
    rows = []
    for each in found:
        way, seconds = each.way, sorted(each.seconds)
        rows.append(
            ("at the next ticks" if way.confirm is None else f"{way.confirm * 1000:g} ms", f"{len(seconds)}",
             f"{mean(seconds):.2f} s", f"{way.mean:.2f} s", f"{seconds[-1]:.2f} s", f"{way.worst:.2f} s")
        )  # fmt: skip
    confirmed = found[0].seconds
    kept = "kept" if max(confirmed) <= WORST and mean(confirmed) <= MEAN else "**missed**"
    promise = (
        f"The promise with `--confirm` is {MEAN:g} s on average and {WORST:g} s at worst; it is "
        f"**{mean(confirmed):.2f} s** and **{max(confirmed):.2f} s**: {kept}."
    )
    headings = ("confirm", "kills", "mean", "by arithmetic", "worst", "by arithmetic")
    how = (
        f"`healthprobe run --interval {INTERVAL:g}s --failures {FAILURES}`; each engine is killed once, at a random "
        "moment: its sockets are closed, and new connections are refused. Measured from then until its event is on "
        "standard output, after the log and the relay."
    )
    return "\n\n".join(["## How soon a dead engine is detected", opening, table(headings, rows), promise, how])


async def _found(way: Detection, kills: int) -> Found:
    with TemporaryDirectory(prefix="healthprobe-bench-") as folder:
        engines = [Engine(number) for number in range(kills)]
        for engine in engines:
            await engine.begin()
        process = await _run(way, engines, Path(folder))
        try:
            await _all(engines)
            killed_at: dict[str, float] = {}
            detected = asyncio.create_task(_detected(process, kills))
            await asyncio.gather(*(_kill(engine, killed_at) for engine in engines))
            async with asyncio.timeout(_PATIENCE):
                detected_at = await detected
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
        say(f"confirm {way.confirm}: {kills} killed")
        return Found(way, [detected_at[game] - killed_at[game] for game in killed_at])


async def _run(way: Detection, engines: Sequence[Engine], folder: Path) -> asyncio.subprocess.Process:
    records = folder / "records.json"
    records.write_text(
        json.dumps([{"game_id": engine.game_id, "engine_endpoint": engine.endpoint} for engine in engines])
    )
    command = [sys.executable, "-m", "healthprobe", "run", f"--records=file:{records}", f"--log=sqlite:{folder}/log.db"]
    command += [f"--interval={INTERVAL:g}s", f"--failures={FAILURES}"]
    command += [] if way.confirm is None else [f"--confirm={way.confirm * 1000:g}ms"]
    with (folder / "log").open("w") as log:
        return await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=log)


async def _all(engines: Sequence[Engine]) -> None:
    while not all(engine.was_asked for engine in engines):  # noqa: ASYNC110  it ends once, long before anything counts
        await asyncio.sleep(0.05)


async def _kill(engine: Engine, killed_at: dict[str, float]) -> None:
    await asyncio.sleep(random.uniform(0.0, 4 * INTERVAL))
    killed_at[engine.game_id] = asyncio.get_running_loop().time()
    engine.kill()


async def _detected(process: asyncio.subprocess.Process, kills: int) -> dict[str, float]:
    """When each game's event came out."""
    assert process.stdout is not None
    detected_at: dict[str, float] = {}
    while len(detected_at) < kills:
        event = json.loads(await process.stdout.readline())
        detected_at.setdefault(event["game_id"], asyncio.get_running_loop().time())
    return detected_at
