"""The source of events: source and id name one event among those of all logs, for every log and publisher."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from pathlib import Path
from uuid import UUID

import pytest
from tests.servers import nats_fixtures, redis_fixtures
from tests.servers.nats_fixtures import OpenLog
from tests.servers.redis import RedisServer
from tests.servers.redis_fixtures import OpenPublisher
from tests.servers.web import WebServer
from tests.support.program import QUICK, CommandLine, Program, written_games
from tests.support.waiting import until

from healthprobe.adapters.memory import InMemoryLog
from healthprobe.adapters.sql import SqlDatabase, SqlLog
from healthprobe.testing.contracts.samples import failed
from healthprobe.testing.engines import ScriptedEngine

shared_redis = redis_fixtures.shared_redis
redis_server = redis_fixtures.redis_server
open_publisher = redis_fixtures.open_publisher
nats_server = nats_fixtures.nats_server
nats_url = nats_fixtures.nats_url
prefix = nats_fixtures.prefix
open_log = nats_fixtures.open_log

OF_A_LOG = re.compile(r"/healthprobe/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine() as engine:
        await engine.become(503)
        yield engine


async def test_two_logs_have_different_sources_and_each_keeps_its_own(
    program: Program, engine: ScriptedEngine, redis_server: RedisServer, tmp_path: Path
) -> None:
    async with WebServer() as webhook:

        async def sources(*more: str) -> tuple[str, str]:
            """Runs until the next event was delivered, and returns the source of the webhook's and of the stream's."""
            before = len(webhook.asked), len(redis_server.entries())
            run = program.start(*command, *more)
            await until(
                lambda: len(webhook.asked) > before[0] and len(redis_server.entries()) > before[1], "both have it"
            )
            run.terminate()
            assert await asyncio.to_thread(run.wait, 10) == 0
            return webhook.asked[-1].document["source"], redis_server.entries()[-1]["source"]

        games = written_games(tmp_path, ["game-1"], engine.endpoint)
        command = (*QUICK, "--records", games, "--publish", webhook.url("/hook"), "--publish", redis_server.url())
        ours, in_stream = await sources("--log", "sqlite:staging.db")
        assert OF_A_LOG.fullmatch(ours)
        assert in_stream == ours
        others, _ = await sources("--log", "sqlite:production.db")
        assert OF_A_LOG.fullmatch(others)
        assert others != ours
        await engine.become(200)
        assert await sources("--log", "sqlite:staging.db") == (ours, ours)
        assert await sources("--log", "sqlite:production.db", "--source", "urn:x:prod") == ("urn:x:prod", "urn:x:prod")
    named = [(asked.document["source"], asked.document["id"]) for asked in webhook.asked]
    assert len(set(named)) == len(named) == 4
    assert len({event_id for _, event_id in named}) == 2


@pytest.mark.parametrize("altered", ["CAST(X'ff41' AS TEXT)", "X'ff00'", "'a b'", "7"])
async def test_an_altered_identity_stops_nothing_and_is_named(
    program: Program, engine: ScriptedEngine, tmp_path: Path, altered: str
) -> None:
    async with WebServer() as webhook:
        await (await SqlDatabase.open(f"sqlite:{tmp_path / 'healthprobe.db'}")).aclose()
        with closing(sqlite3.connect(tmp_path / "healthprobe.db", isolation_level=None)) as connection:
            connection.execute(f"UPDATE log_identity SET identity = {altered}")
        games = written_games(tmp_path, ["game-1"], engine.endpoint)
        run = program.start(*QUICK, "--records", games, "--publish", webhook.url("/hook"))
        await until(lambda: webhook.asked, "the webhook has it")
        run.terminate()
        _, logged = await asyncio.to_thread(run.communicate)
    assert webhook.asked[0].document["source"] == "/healthprobe"
    assert "the identity of the log in log_identity was altered" in logged


@pytest.mark.parametrize("source", ["", "two words", "line\nbreak", "é", "100%", "a" * 501])
def test_a_source_that_is_no_uri_is_refused(command_line: CommandLine, source: str) -> None:
    refused = command_line("run", "--source", source, "--records", "file:none.yaml")
    assert refused.code == 2
    assert "is no URI: write one such as /healthprobe/staging" in " ".join(" ".join(refused.err).split())


async def test_the_repeat_filter_of_redis_tells_events_of_two_logs_apart(
    redis_server: RedisServer, open_publisher: OpenPublisher
) -> None:
    for source in ("/healthprobe/a", "/healthprobe/b", "/healthprobe/a"):
        publisher = open_publisher(redis_server.url())
        publisher.set_source(source)
        await publisher.publish([failed("game-7", 1)])
    assert [entry["source"] for entry in redis_server.entries()] == ["/healthprobe/a", "/healthprobe/b"]


class TestIdentity:
    async def test_of_a_database_is_in_it(self, url: str, tmp_path: Path) -> None:
        identities = []
        async with AsyncExitStack() as stack:
            for create in (True, False, True):
                database = await SqlDatabase.open(url, create=create)
                stack.push_async_callback(database.aclose)
                identities.append(await SqlLog(database).identity())
            other = await SqlDatabase.open(f"sqlite:{tmp_path / 'other.db'}")
            stack.push_async_callback(other.aclose)
            assert await SqlLog(other).identity() not in identities
        assert len(set(identities)) == 1
        assert str(UUID(identities[0])) == identities[0]

    async def test_of_a_copy_is_the_same(self, tmp_path: Path) -> None:
        async def identity_in(name: str) -> str:
            database = await SqlDatabase.open(f"sqlite:{tmp_path / name}")
            try:
                return await SqlLog(database).identity()
            finally:
                await database.aclose()

        first = await identity_in("first.db")
        shutil.copy(tmp_path / "first.db", tmp_path / "copy.db")
        assert await identity_in("copy.db") == first

    async def test_of_jetstream_is_the_same_for_all_who_ask_at_once(
        self, nats_url: str, open_log: OpenLog, prefix: str
    ) -> None:
        logs = [await open_log(nats_url) for _ in range(3)]
        identities = set(await asyncio.gather(*(log.identity() for log in logs)))
        assert len(identities) == 1
        assert str(UUID(identity := identities.pop())) == identity
        other = await open_log(nats_url.replace(prefix, f"{prefix}other"))
        assert await other.identity() != identity

    async def test_of_memory_lasts_as_long(self) -> None:
        first, second = InMemoryLog(), InMemoryLog()
        assert await first.identity() == await first.identity() != await second.identity()
