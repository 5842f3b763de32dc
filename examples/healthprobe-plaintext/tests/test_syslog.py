"""The publisher keeps its port's promises with a daemon that listens, stops reading, leaves and comes back."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from healthprobe.ports import PublishError
from healthprobe.testing.contracts import PublisherContract
from healthprobe.testing.contracts.publisher import Delivered
from healthprobe.testing.contracts.samples import failed, recovered
from healthprobe_plaintext.syslog import SyslogPublisher, open_publisher

MORE_THAN_A_QUEUE_HOLDS = 2000


class Daemon:
    """Listens at `path` as a syslog daemon does. `messages` are those that it has read."""

    def __init__(self, path: Path) -> None:
        self.messages: list[bytes] = []
        self._path = path
        self.bind()

    def bind(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self._path))

    def leave(self) -> None:
        self._socket.close()
        self._path.unlink()

    async def listen(self) -> None:
        while True:
            self.empty_queue()
            await asyncio.sleep(0.001)

    def empty_queue(self) -> None:
        try:
            while True:
                self.messages.append(self._socket.recv(65536))
        except BlockingIOError:
            return


@pytest.fixture
def path() -> Iterator[Path]:
    """A short path: a socket's address has at most about a hundred characters."""
    with TemporaryDirectory() as folder:
        yield Path(folder) / "log"


@pytest.fixture
def daemon(path: Path) -> Iterator[Daemon]:
    daemon = Daemon(path)
    yield daemon
    daemon.leave()


@pytest.fixture
async def publisher(path: Path) -> AsyncIterator[SyslogPublisher]:
    async with open_publisher(f"syslog:{path}") as publisher:
        yield publisher


class TestSyslogPublisher(PublisherContract):
    @pytest.fixture
    async def publisher(self, publisher: SyslogPublisher, daemon: Daemon) -> AsyncIterator[SyslogPublisher]:
        listening = asyncio.create_task(daemon.listen())
        yield publisher
        listening.cancel()

    @pytest.fixture
    def delivered(self, daemon: Daemon) -> Delivered:
        async def delivered() -> Sequence[dict[str, Any]]:
            daemon.empty_queue()
            return [json.loads(message.partition(b": ")[2]) for message in daemon.messages]

        return delivered

    @pytest.fixture
    async def unreachable(self, path: Path) -> AsyncIterator[SyslogPublisher]:
        async with open_publisher(f"syslog:{path}-of-no-daemon") as publisher:
            yield publisher


async def test_a_failure_has_severity_error_and_a_recovery_notice(publisher: SyslogPublisher, daemon: Daemon) -> None:
    await publisher.publish([failed("game-7", 1), recovered("game-7", 2)])
    daemon.empty_queue()
    assert [message.partition(b" {")[0] for message in daemon.messages] == [b"<27>healthprobe:", b"<29>healthprobe:"]


async def test_publish_waits_for_a_daemon_whose_queue_is_full(publisher: SyslogPublisher, daemon: Daemon) -> None:
    events = [failed(f"game-{number}", 1) for number in range(MORE_THAN_A_QUEUE_HOLDS)]
    publishing = asyncio.create_task(publisher.publish(events))
    await asyncio.wait({publishing}, timeout=0.2)
    assert not publishing.done()
    listening = asyncio.create_task(daemon.listen())
    await publishing
    listening.cancel()
    daemon.empty_queue()
    assert len(daemon.messages) == MORE_THAN_A_QUEUE_HOLDS


async def test_publish_reconnects_to_a_daemon_that_was_restarted(publisher: SyslogPublisher, daemon: Daemon) -> None:
    await publisher.publish([failed("game-7", 1)])
    daemon.leave()
    with pytest.raises(PublishError, match="accepts nothing") as refused:
        await publisher.publish([recovered("game-7", 2)])
    assert (refused.value.permanent, refused.value.delivered) == (False, 0)
    daemon.bind()
    await publisher.publish([recovered("game-7", 2)])
    daemon.empty_queue()
    assert json.loads(daemon.messages[-1].partition(b": ")[2])["id"] == "game-7:2"


async def test_an_event_too_long_for_a_datagram_is_a_permanent_error_after_the_events_before_it(
    publisher: SyslogPublisher, daemon: Daemon
) -> None:
    too_long = failed("game-8", 1, last_error="x" * 1_000_000)
    with pytest.raises(PublishError, match="Message too long") as refused:
        await publisher.publish([failed("game-7", 1), too_long, failed("game-9", 1)])
    assert (refused.value.permanent, refused.value.delivered) == (True, 1)
    daemon.empty_queue()
    assert len(daemon.messages) == 1
