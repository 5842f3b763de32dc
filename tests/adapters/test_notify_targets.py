"""Several targets in one URL: one that refuses does not make the others get a message again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web
from apprise import AppriseAsset, NotifyBase
from structlog.testing import LogCapture
from tests.support.program import QUICK, Document, Program, documents, written_games
from tests.support.waiting import until

from healthprobe.adapters.memory import InMemoryLog
from healthprobe.adapters.notify import NotifyPublisher
from healthprobe.adapters.notify.services import services_by_target
from healthprobe.adapters.sql import SqlDatabase, SqlLog
from healthprobe.app.url_names import notification_name
from healthprobe.testing.contracts.samples import failed, history
from healthprobe.testing.engines import ScriptedEngine
from healthprobe.worker.relay import Relay

Untyped: Any = NotifyBase


class Ntfy:
    """A server of ntfy that records what each topic gets, and answers 503 for those in `dead`."""

    def __init__(self) -> None:
        self.got: Counter[str] = Counter()
        self.sentences: dict[str, list[str]] = {}
        self.dead = {"dead"}
        self.place = ""

    async def take(self, request: web.Request) -> web.Response:
        message = await request.json()
        topic = message["topic"]
        self.got[topic] += 1
        if topic in self.dead:
            return web.Response(status=503)
        self.sentences.setdefault(topic, []).extend(message["message"].split("\n"))
        return web.json_response({})


@pytest.fixture
async def ntfy() -> AsyncIterator[Ntfy]:
    ntfy = Ntfy()
    application = web.Application()
    application.router.add_post("/{tail:.*}", ntfy.take)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ntfy.place = f"127.0.0.1:{runner.addresses[0][1]}"
    yield ntfy
    await runner.cleanup()


@pytest.mark.parametrize(
    ("url", "targets"),
    [
        ("ntfy://host/good,dead", ["dead", "good"]),
        ("ntfys://user:pa%40ss@host/a/b?priority=high", ["a", "b"]),
        ("mailto://user:pass@example.com?to=a@x.org,b@x.org&cc=c@x.org", ["a@x.org", "b@x.org"]),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/%23a/%23b/@c", ["#a", "#b", "@c"]),
        ("tgram://123456789:abcdefg_hijklmnop/12315544/12315545", ["12315544", "12315545"]),
        ("ntfy://host/one", []),
        ("json://host/", []),
        ("discord://1234567890123456/abcdefghijklmnopqrstuvwxyz123456", []),
    ],
)
def test_targets_are_separated_with_all_else_as_in_the_url(url: str, targets: list[str]) -> None:
    services: dict[str, Any] = dict(services_by_target(url))
    assert sorted(services) == targets
    for service in services.values():
        assert len(service) == 1
        assert service.password in {None, "pa@ss", "pass"}
    if "priority" in url:
        assert {service.priority for service in services.values()} == {"high"}


@pytest.mark.parametrize("url", ["ntfy://host/one", "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/%23a"])
def test_a_url_with_one_target_keeps_its_cursor(url: str) -> None:
    [target] = NotifyPublisher.of_each_target(url)
    assert notification_name(url, target) == notification_name(url)


async def relays_of(folder: Path) -> dict[str, int]:
    database = await SqlDatabase.open(f"sqlite:{folder / 'healthprobe.db'}", create=False)
    try:
        return dict(await SqlLog(database).all_cursors())
    finally:
        await database.aclose()


async def test_a_dead_target_waits_and_the_good_one_gets_each_sentence_once(
    program: Program, ntfy: Ntfy, tmp_path: Path
) -> None:
    async with ScriptedEngine() as engine:
        games = written_games(tmp_path, ["game-1"], engine.endpoint)
        url = f"ntfy://{ntfy.place}/good,dead"
        run = program.start(*QUICK, "--records", games, "--publish", "stdout:", "--notify", url)
        await until(lambda: engine.requests, "the run has begun")
        await engine.become(503)
        await until(lambda: ntfy.got["dead"] >= 5, "the dead target was tried five times")
        assert ntfy.got["good"] == 1
        ntfy.dead = set()
        await until(lambda: "dead" in ntfy.sentences, "the dead target is back")
        await engine.become(200)
        await until(lambda: all(len(each) == 2 for each in ntfy.sentences.values()), "both have the recovery")
        run.terminate()
        _, logged = await asyncio.to_thread(run.communicate)
    assert ntfy.got["good"] == 2
    lines: list[Document] = documents(logged.splitlines())
    [failing] = [line for line in lines if line["msg"] == "delivery failing, will retry"]
    assert failing["err"] == "the ntfy service, for its target d...d, did not take a notification"
    cursors = await relays_of(tmp_path)
    assert notification_name(url) not in cursors
    assert list(cursors.values()) == [2, 2, 2]


async def test_the_cursor_of_all_targets_passes_to_each_of_them(program: Program, ntfy: Ntfy, tmp_path: Path) -> None:
    url = f"ntfy://{ntfy.place}/one,two"
    database = await SqlDatabase.open(f"sqlite:{tmp_path / 'healthprobe.db'}")
    await SqlLog(database).append(history("game-1", 4))
    await SqlLog(database).save_cursor(notification_name(url), 2)
    await database.aclose()
    run = program.start(*QUICK, "--records", written_games(tmp_path, [], ""), "--notify", url)
    await until(lambda: ntfy.got["one"] and ntfy.got["two"], "both have what is left")
    run.terminate()
    assert await asyncio.to_thread(run.wait, 10) == 0
    assert [len(ntfy.sentences[topic]) for topic in ("one", "two")] == [2, 2]
    assert set((await relays_of(tmp_path)).values()) == {4}


class Inseparable(Untyped):  # type: ignore[misc]  # apprise is hardly typed
    """A service with two targets that its URL does not name; one of them refuses while `is_dead`."""

    service_name = "Inseparable"
    secure_protocol = "inseparable"

    def __init__(self) -> None:
        super().__init__(asset=AppriseAsset(async_mode=False))
        self.is_dead = True
        self.bodies: list[str] = []

    def __len__(self) -> int:
        return 2

    def send(self, body: str, **_: Any) -> bool:
        self.bodies.append(body)
        return not self.is_dead


async def test_targets_that_cannot_be_separated_get_a_message_four_times_and_then_it_is_parked() -> None:
    service, log, said = Inseparable(), InMemoryLog(), LogCapture()
    log.write(*(failed(f"game-{number}", 1) for number in range(5)))
    publisher = NotifyPublisher(service, "the inseparable service")
    relay = Relay(
        log=log,
        publisher=publisher,
        name="people",
        poll_interval=0.01,
        logger=structlog.wrap_logger(None, processors=[said]),
    )
    running = asyncio.create_task(relay.run())
    try:
        await until(lambda: len(log.letters) == 5, "all five are parked")
        assert [body.count("\n") + 1 for body in service.bodies] == [5, 5, 5, 5]
        assert {letter.reason for letter in log.letters.values()} == {
            "the inseparable service did not take a notification for all of its targets, in 4 tries"
        }
        service.is_dead = False
        log.write(failed("game-9", 1))
        relay.wake()
        await until(lambda: log.cursors["people"] == 6, "the next is delivered")
        await log.request_replay()
        relay.wake()
        await until(lambda: not log.letters, "the replay is delivered")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [body.count("\n") + 1 for body in service.bodies[4:]] == [1] * 6
