"""`healthprobe` as it is, but for its engines, which are not there: what they answer is made up at once.

    python -m benchmarks.scale.imaginary SIGHTINGS INSTANCE run --records imaginary:1000000 …

The list of games is made up as well where it is asked for; worker, leases, log and command line are the real ones.
"""

from __future__ import annotations

import asyncio
import ctypes
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.scale.sightings import Sightings
from healthprobe.app import urls
from healthprobe.app.urls import Adapters
from healthprobe.cli.main import main
from healthprobe.domain.outcome import HEALTHY, Failed, ProbeOutcome
from healthprobe.domain.record import RUNNING, RuntimeRecord
from healthprobe.domain.target import ProbeTarget
from healthprobe.ports import RuntimeRecordStore
from healthprobe.probing import prober
from healthprobe.probing.http import HTTPProber
from healthprobe.worker import worker

_PREFIX = "game-"
_UNAVAILABLE = Failed(503, "unexpected status 503")
_IN_FLIGHT = 10_000
_TELL_EVERY = 0.05
_PR_SET_PDEATHSIG = 1


def record_of(number: int) -> RuntimeRecord:
    """Game `number` of the fleet, with names as long as a platform's."""
    address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    return RuntimeRecord(f"{_PREFIX}{number:09}", f"container-{number:09}", f"http://{address}:8080")


class ImaginaryRecords:
    """A RuntimeRecordStore of so many games, always the same ones."""

    def __init__(self, games: int) -> None:
        self._games = games
        self._listed: list[RuntimeRecord] = []

    async def list_by_status(self, status: str) -> list[RuntimeRecord]:
        if status != RUNNING:
            return []
        if not self._listed:
            self._listed = [record_of(number) for number in range(self._games)]
        return self._listed


class ImaginaryProber:
    """A Prober that costs next to nothing; it lets others run, as real ones do."""

    capacity = _IN_FLIGHT
    open_connections = 0
    sightings: Sightings

    def __init__(self, http: HTTPProber) -> None:
        self._http = http

    async def probe(self, target: ProbeTarget) -> ProbeOutcome:
        await asyncio.sleep(0)
        number = int(target.game_id[len(_PREFIX) :])
        self.sightings.note(number, time.monotonic())
        failing = self.sightings.failing
        return _UNAVAILABLE if failing and number % failing == 0 else HEALTHY

    def forget(self, target: ProbeTarget) -> None: ...

    async def aclose(self) -> None:
        await self._http.aclose()


def _telling(sightings: Sightings, instance: int) -> type[worker.Worker]:
    """The worker, which reports its games."""

    class TellingWorker(worker.Worker):
        async def run(self) -> None:
            telling = asyncio.create_task(self._tell())
            try:
                await super().run()
            finally:
                telling.cancel()

        async def _tell(self) -> None:
            while True:
                sightings.report(instance, self.games, self.status.unread_games)
                await asyncio.sleep(_TELL_EVERY)

    return TellingWorker


async def _records(_: Adapters, url: str) -> RuntimeRecordStore:
    return ImaginaryRecords(int(url.partition(":")[2]))


def _put_in_place(sightings: Sightings, instance: int) -> None:
    """Where the composition takes its parts from."""
    ImaginaryProber.sightings = sightings
    replaced: dict[str, Callable[..., Any]] = {"ProberByKind": ImaginaryProber, "Worker": _telling(sightings, instance)}
    prober.ProberByKind = replaced["ProberByKind"]  # type: ignore[misc,assignment]
    worker.Worker = replaced["Worker"]  # type: ignore[misc,assignment]
    urls.RECORDS = {**urls.RECORDS, "imaginary": _records}


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    path, number, *arguments = sys.argv[1:]
    _put_in_place(Sightings(Path(path)), int(number))
    sys.argv[1:] = arguments
    main()
