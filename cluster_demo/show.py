"""The demo: the opening, the acts at their times, and a check of the log at the end."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from tests.servers.nats import NatsCluster

from cluster_demo.acts import Acts
from cluster_demo.output import Output
from cluster_demo.view import View
from healthprobe.adapters.nats import JetStreamLog, NatsAddress
from healthprobe.adapters.nats.connection import JetStream
from healthprobe.domain.event import EventType, HealthEvent
from healthprobe.ports import HealthprobeError
from healthprobe.testing.fleet import FleetProcess

_BEGINNINGS = (0.2, 0.4, 0.55, 0.65)
"""When each act begins, as a share of the whole time, if the one before is over."""

_LONGEST_ACT = 30.0
_READ = 1_000
_READ_WITHIN = 10.0


async def performed(
    cluster: NatsCluster, fleet: FleetProcess, folder: Path, output: Output, *, seconds: float, ended: asyncio.Event
) -> bool:
    """Runs for about so many seconds, or until it is `ended`; returns False if the log is wrong.

    An act that has begun is shown to its end, and the first is always shown.
    """
    began = time.monotonic()
    async with _connected(cluster) as stream:
        view = View(stream, output.transition)
        async with AsyncExitStack() as stack:
            acts = Acts(cluster, fleet, folder=folder, view=view, output=output, stack=stack)
            playing = asyncio.create_task(_played(acts, began, seconds))
            ending = asyncio.create_task(ended.wait())
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds + _LONGEST_ACT):
                    await asyncio.wait({playing, ending}, return_when=asyncio.FIRST_COMPLETED)
            for task in (playing, ending):
                task.cancel()
            played, _ = await asyncio.gather(playing, ending, return_exceptions=True)
            if isinstance(played, Exception):
                raise played
            await acts.end()
        return await _compared(stream, view, output)


async def _played(acts: Acts, began: float, seconds: float) -> None:
    await acts.open()
    for number, act in enumerate(acts.in_order):
        if number and time.monotonic() > began + seconds:
            break
        await asyncio.sleep(max(0.0, began + _BEGINNINGS[number] * seconds - time.monotonic()))
        await act()
    await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))


@asynccontextmanager
async def _connected(cluster: NatsCluster) -> AsyncIterator[JetStream]:
    stream = await JetStream.open(NatsAddress.of_url(cluster.url()))
    try:
        yield stream
    finally:
        await stream.aclose()


async def _compared(stream: JetStream, view: View, output: Output) -> bool:
    """Prints what the log holds and what was delivered; returns False if the log is wrong."""
    try:
        async with asyncio.timeout(_READ_WITHIN):
            events = await _log(stream)
    except (HealthprobeError, TimeoutError) as error:
        output.say(f"The log cannot be read now: {str(error) or 'it has no leader yet'}")
        return True
    alternate = _alternate(events)
    once = len(events) == len({event.id for event in events})
    output.say(
        f"{len(events)} transitions are in the log, {'each once' if once else 'SOME TWICE'}; each game's "
        f"{'alternate failed, recovered, without a gap' if alternate else 'DO NOT ALTERNATE'}. "
        f"{len(view.delivered)} of them were delivered, in {view.deliveries} deliveries."
    )
    return alternate and once


async def _log(stream: JetStream) -> list[HealthEvent]:
    log = await JetStreamLog.open(stream, by_claims=False)
    events: list[HealthEvent] = []
    cursor = 0
    while entries := await log.read(cursor, _READ):
        cursor = entries[-1].cursor
        events += [entry.event for entry in entries]
    return events


def _alternate(events: Sequence[HealthEvent]) -> bool:
    """Whether each game's events are numbered from 1 without gaps, and are failures and recoveries in turns."""
    seen: dict[str, int] = defaultdict(int)
    for event in events:
        seen[event.game_id] += 1
        due = EventType.PROBE_FAILED if event.sequence % 2 else EventType.PROBE_RECOVERED
        if event.sequence != seen[event.game_id] or event.event_type is not due:
            return False
    return True
