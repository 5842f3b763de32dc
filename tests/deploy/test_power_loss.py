"""With the shipped configuration, events that JetStream acknowledged survive a power cut of all three nodes."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from tests.deploy.power import Disk, NoDisk
from tests.deploy.shipped import CONFIGURATION, ShippedNats

from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.connection import JetStream, Request, Unanswered

pytestmark = pytest.mark.slow

STREAM = {"name": "health_events", "subjects": ["health.events.>"], "storage": "file", "num_replicas": 3}
ENOUGH = 1_000
AT_ONCE = 64
TIMEOUT = 60.0
NO_STREAM = 10059


class _Message(msgspec.Struct):
    data: bytes


class _Answer(msgspec.Struct):
    message: _Message | None = None


@pytest.fixture
def mountable_disk(tmp_path: Path) -> None:
    try:
        with Disk(tmp_path / "image", tmp_path / "disk", megabytes=4) as disk:
            disk.cut_power()
    except NoDisk as reason:
        pytest.skip(f"no disk can be mounted here: {reason}")


@pytest.mark.usefixtures("mountable_disk")
async def test_acknowledged_events_survive_a_power_cut_only_with_the_shipped_sync_interval(
    tmp_path: Path,
) -> None:
    shipped = CONFIGURATION.read_text()
    assert shipped.count("sync_interval: always") == 1
    by_default = tmp_path / "by_default.conf"
    by_default.write_text(shipped.replace("sync_interval: always", "sync_interval: 2m"))
    async with asyncio.TaskGroup() as both:
        lost_as_shipped = both.create_task(lost_in_a_power_cut(CONFIGURATION))
        lost_by_default = both.create_task(lost_in_a_power_cut(by_default))
    assert lost_as_shipped.result() == set()
    assert lost_by_default.result()


async def lost_in_a_power_cut(configuration: Path) -> set[int]:
    """Cuts the power while events are appended; returns the acknowledged positions that are gone afterwards."""
    with TemporaryDirectory(prefix="healthprobe-power-") as name:
        folder = Path(name)
        with Disk(folder / "image", folder / "disk") as disk:
            async with running(disk, configuration) as stream:
                await stream.call("STREAM.CREATE.health_events", STREAM)
                acknowledged = await append_until_the_power_is_cut(stream, disk)
                left_behind = disk.copied_to(folder / "copy")
        with Disk(left_behind, folder / "disk_again") as disk:
            async with running(disk, configuration) as stream:
                there = await read(stream, acknowledged) if await is_there(stream) else {}
    return {position for position, body in acknowledged.items() if there.get(position) != body}


@contextlib.asynccontextmanager
async def running(disk: Disk, configuration: Path) -> AsyncIterator[JetStream]:
    """Runs three healthy nodes on `disk`; kills them in the end."""
    with ShippedNats(disk.folder, configuration=configuration) as nats:
        await asyncio.to_thread(nats.wait_until_healthy)
        stream = await JetStream.open(NatsAddress.of_url(nats.url()))
        try:
            yield stream
        finally:
            await stream.aclose()


async def append_until_the_power_is_cut(stream: JetStream, disk: Disk) -> dict[int, bytes]:
    """Appends many events at once and cuts the power meanwhile; returns the acknowledged ones by their position."""
    acknowledged: dict[int, bytes] = {}
    enough = asyncio.Event()

    async def append() -> None:
        while True:
            games = range(len(acknowledged), len(acknowledged) + AT_ONCE)
            events = [
                Request(f"health.events.{game % 256}.game-{game}", f"event {game} ".encode() * 20) for game in games
            ]
            for event, answer in zip(events, await stream.ask(events), strict=True):
                acknowledged[msgspec.json.decode(answer)["seq"]] = event.body
            if len(acknowledged) >= ENOUGH:
                enough.set()

    appending = [asyncio.create_task(append()) for _ in range(2)]
    async with asyncio.timeout(TIMEOUT):
        await enough.wait()
    disk.cut_power()
    known = dict(acknowledged)
    for task in appending:
        task.cancel()
    await asyncio.gather(*appending, return_exceptions=True)
    return known


async def is_there(stream: JetStream) -> bool:
    """Returns True once the stream has a leader, False if JetStream does not know the stream."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        with contextlib.suppress(Unanswered):
            (answer,) = await stream.ask([Request("$JS.API.STREAM.INFO.health_events")], within=0.5)
            response = msgspec.json.decode(answer)
            if response.get("error", {}).get("err_code") == NO_STREAM:
                return False
            if response.get("cluster", {}).get("leader"):
                return True
        await asyncio.sleep(0.05)
    return False


async def read(stream: JetStream, positions: Mapping[int, bytes]) -> dict[int, bytes]:
    """Returns the events at `positions`, read from the stream's leader."""
    get = "$JS.API.STREAM.MSG.GET.health_events"
    answers = await stream.ask([Request(get, msgspec.json.encode({"seq": position})) for position in positions])
    messages = [msgspec.json.decode(answer, type=_Answer).message for answer in answers]
    return {position: message.data for position, message in zip(positions, messages, strict=True) if message}
