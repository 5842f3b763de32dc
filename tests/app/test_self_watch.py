"""Who watches the watcher: heartbeats, and systemd's READY, WATCHDOG and STOPPING, only while the prober works."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.support.live_engine import LiveEngine
from tests.support.program import QUICK, CommandLine, Program, written_games
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import PATIENCE

from healthprobe._util.aio import background_tasks
from healthprobe.adapters.http import HttpHeartbeat
from healthprobe.adapters.systemd import Systemd
from healthprobe.app.self_watch import SelfWatch
from healthprobe.domain.outcome import HEALTHY
from healthprobe.ports import PublishError
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import Stage
from healthprobe.worker.worker import Worker


class Snitch:
    """A heartbeat that records when it was sent; it may fail, or hang."""

    def __init__(self) -> None:
        self.sent_at: list[float] = []
        self.error: str | None = None
        self.hangs = False

    async def send(self) -> None:
        self.sent_at.append(asyncio.get_running_loop().time())
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise PublishError(self.error)


class Listener:
    """A datagram socket as systemd has one."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0"))
        self._socket.setblocking(False)

    def received(self) -> list[dict[str, str]]:
        """Returns what has come since the last call."""
        found: list[dict[str, str]] = []
        while True:
            try:
                lines = self._socket.recv(65536).decode().splitlines()
            except BlockingIOError:
                return found
            found.append(dict(line.partition("=")[::2] for line in lines))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@healthprobe-test-{os.getpid()}"


@pytest.fixture
def listener(address: str) -> Iterator[Listener]:
    listening = Listener(address)
    yield listening
    listening.close()


def systemd_of(**environment: str) -> Systemd | None:
    return Systemd.of_environment(environment, os.getpid())


def test_a_process_that_systemd_did_not_start_notifies_nobody() -> None:
    assert systemd_of() is None
    assert systemd_of(NOTIFY_SOCKET="", WATCHDOG_USEC="1000000") is None
    assert systemd_of(NOTIFY_SOCKET="vsock:2:1234") is None


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_that_of_this_process(environment: dict[str, str], seconds: float | None) -> None:
    systemd = systemd_of(NOTIFY_SOCKET="/run/systemd/notify", **environment)
    assert systemd is not None
    assert systemd.watchdog == seconds


def test_a_notification_arrives_and_a_value_is_one_line(address: str, listener: Listener) -> None:
    systemd = systemd_of(NOTIFY_SOCKET=address)
    assert systemd is not None
    assert systemd.notify(READY=1, STATUS="two\nlines")
    assert listener.received() == [{"READY": "1", "STATUS": "two lines"}]


def test_a_socket_that_nobody_reads_costs_nothing(tmp_path: Path) -> None:
    systemd = systemd_of(NOTIFY_SOCKET=str(tmp_path / "nobody"))
    assert systemd is not None
    assert not systemd.notify(READY=1)
    listening = Listener(str(tmp_path / "full"))
    full = systemd_of(NOTIFY_SOCKET=str(tmp_path / "full"))
    assert full is not None
    sent = [full.notify(WATCHDOG=1) for _ in range(10_000)]
    assert not sent[-1], "a full queue is not waited for"
    listening.close()


class Watched:
    """A worker in virtual time, and what watches it."""

    def __init__(self, stage: Stage, *, address: str = "", watchdog: float | None = None, **settings: Any) -> None:
        self.stage = stage
        self.snitch = Snitch()
        self.worker = Worker(**stage.arguments(**settings))
        address = address.replace("@", "\0")
        self.watch = SelfWatch(
            self.worker.status,
            self.worker.config,
            heartbeat=self.snitch,
            every=60.0,
            systemd=Systemd(address, watchdog) if address else None,
            logger=stage.logger,
        )

    def run(self) -> Any:
        return background_tasks(self.worker.run(), self.watch.run())


def test_heartbeats_are_sent_every_minute_from_the_first_listing_on() -> None:
    async def story() -> None:
        watched = Watched(Stage(a=HEALTHY))
        watched.stage.records.unavailable = True
        async with watched.run():
            await asyncio.sleep(30.0)
            assert watched.snitch.sent_at == [], "it probes nothing yet"
            watched.stage.records.unavailable = False
            await asyncio.sleep(190.0)
        first, *others = watched.snitch.sent_at
        assert 30.0 <= first <= 35.2
        assert others == pytest.approx([first + 60.0, first + 120.0, first + 180.0])

    in_virtual_time(story())


def test_no_heartbeat_while_the_log_takes_nothing_and_again_when_it_does() -> None:
    async def story() -> None:
        watched = Watched(Stage(a=[HEALTHY, UNAVAILABLE]))
        async with watched.run():
            watched.stage.log.unavailable = True
            await asyncio.sleep(300.0)
            assert len(watched.snitch.sent_at) <= 2
            sent = len(watched.snitch.sent_at)
            watched.stage.log.unavailable = False
            await asyncio.sleep(130.0)
            assert len(watched.snitch.sent_at) >= sent + 2

    in_virtual_time(story())


def test_a_heartbeat_that_fails_or_hangs_is_logged_once_and_delays_nothing() -> None:
    async def story() -> None:
        watched = Watched(Stage(a=HEALTHY))
        watched.snitch.error = "heartbeat at https://hc: it answered 503"
        async with watched.run():
            await asyncio.sleep(290.0)
            assert len(watched.snitch.sent_at) == 5
            watched.snitch.hangs = True
            await asyncio.sleep(300.0)
            assert len(watched.snitch.sent_at) == 10, "each has its own time limit"
            watched.snitch.hangs, watched.snitch.error = False, None
            await asyncio.sleep(120.0)
        lines = [(line["event"], line.get("err")) for line in watched.stage.lines if "heartbeat" in line["event"]]
        assert lines == [
            ("heartbeat failing, going on", "heartbeat at https://hc: it answered 503"),
            ("heartbeat failing, going on", "no answer within 15s"),
            ("heartbeat arrives again", None),
        ]

    in_virtual_time(story())


def test_systemd_is_told_when_the_first_listing_is_in_force_and_how_the_fleet_is(
    address: str, listener: Listener
) -> None:
    async def story() -> None:
        watched = Watched(Stage(a=HEALTHY, b=UNAVAILABLE), address=address)
        watched.stage.records.unavailable = True
        async with watched.run():
            await asyncio.sleep(10.0)
            assert listener.received() == []
            watched.stage.records.unavailable = False
            await asyncio.sleep(5.5)
            ready = listener.received()[0]
            assert (ready["READY"], ready["STATUS"]) == ("1", "2 games watched, 0 down")
            await asyncio.sleep(30.0)
            assert listener.received()[-1] == {"STATUS": "2 games watched, 1 down"}
            watched.watch.stopping()
            assert listener.received() == [{"STOPPING": "1", "STATUS": "stopping"}]

    in_virtual_time(story())


def test_a_stop_that_takes_its_time_is_no_trouble_and_nothing_follows_it(address: str, listener: Listener) -> None:
    async def story() -> None:
        watched = Watched(Stage(a=HEALTHY), address=address, watchdog=4.0)
        async with watched.run():
            await asyncio.sleep(31.0)
            watched.stage.log.unavailable = True
            watched.stage.prober.script("a", UNAVAILABLE)
            listener.received()
            watched.watch.stopping()
            await asyncio.sleep(120.0)
            assert listener.received() == [{"STOPPING": "1", "STATUS": "stopping"}]
            assert [line for line in watched.stage.lines if "in trouble" in line["event"]] == []

    in_virtual_time(story())


def test_the_watchdog_is_fed_twice_in_its_time_and_not_while_the_prober_is_in_trouble(
    address: str, listener: Listener
) -> None:
    async def story() -> None:
        watched = Watched(Stage(a=HEALTHY), address=address, watchdog=30.0)
        async with watched.run():
            await asyncio.sleep(91.0)
            fed = [each for each in listener.received() if "WATCHDOG" in each]
            assert len(fed) == 7, "at once, and every 15 seconds"
            watched.stage.prober.script("a", UNAVAILABLE)
            watched.stage.log.unavailable = True
            await asyncio.sleep(60.0)
            listener.received()
            await asyncio.sleep(120.0)
            received = listener.received()
            assert not [each for each in received if "WATCHDOG" in each]
            assert "its log has taken nothing for" in [each for each in received if "STATUS" in each][-1]["STATUS"]
            assert "switched off" not in str(received), "the words of the log are for readers of the log"
            watched.stage.log.unavailable = False
            await asyncio.sleep(60.0)
            assert [each for each in listener.received() if "WATCHDOG" in each]

    in_virtual_time(story())


class _Service(BaseHTTPRequestHandler):
    """A service of heartbeats. It keeps what it is asked."""

    asked: ClassVar[list[str]]

    def do_GET(self) -> None:
        type(self).asked.append(f"{self.command} {self.path}")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def service() -> Iterator[tuple[str, list[str]]]:
    """The URL of a heartbeat service, and the requests that it got."""
    asked: list[str] = []
    _Service.asked = asked
    server = HTTPServer(("127.0.0.1", 0), _Service)
    serving = threading.Thread(target=server.serve_forever, args=(0.05,))
    serving.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/ping/secret?x=1", asked
    server.shutdown()
    serving.join()
    server.server_close()


def test_a_run_under_systemd_is_ready_fed_and_stopping_and_asks_the_heartbeat(
    program: Program, engine: LiveEngine, service: tuple[str, list[str]], tmp_path: Path
) -> None:
    heartbeat, asked = service
    games = written_games(tmp_path, ["game-1"], engine.endpoint)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        running = program.start(
            *QUICK, "--records", games, "--heartbeat", heartbeat, "--heartbeat-every", "1s", **environment
        )
        assert manager.recv(65536).startswith(b"READY=1\nSTATUS=1 game watched")
        while manager.recv(65536) != b"WATCHDOG=1":
            continue
        while len(asked) < 2:
            manager.recv(65536)
        running.terminate()
        while manager.recv(65536) != b"STOPPING=1\nSTATUS=stopping":
            continue
        assert running.wait(PATIENCE) == 0
    assert set(asked) == {"GET /ping/secret?x=1"}
    _, logged = running.communicate()
    assert "secret" not in logged


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("--heartbeat", "hc-ping.com/1"), "--heartbeat names no service: write a URL such as https://"),
        (("--heartbeat", "https://"), "--heartbeat: https:// cannot be asked"),
        (("--heartbeat", "https://h/", "--heartbeat-every", "10ms"), "--heartbeat-every 10ms is shorter than 1s"),
    ],
)
def test_a_heartbeat_that_cannot_be_sent_is_refused_with_what_to_write(
    command_line: CommandLine, arguments: tuple[str, ...], advice: str
) -> None:
    told = command_line("run", *arguments)
    assert (told.code, len(told.err)) == (2, 1)
    assert advice in told.err[0]


async def test_what_a_heartbeat_service_answers_is_named_without_its_path(service: tuple[str, list[str]]) -> None:
    url, asked = service
    heartbeat = HttpHeartbeat.of_url(url)
    await heartbeat.send()
    assert len(asked) == 1
    await heartbeat.aclose()
    nobody = HttpHeartbeat.of_url("http://127.0.0.1:1/secret")
    with pytest.raises(PublishError, match=r"^heartbeat at http://127\.0\.0\.1:1: connection refused$"):
        await nobody.send()
    await nobody.aclose()
