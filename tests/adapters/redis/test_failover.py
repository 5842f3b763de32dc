"""A failover: the next try connects anew, and asks anew where the primary is."""

import asyncio
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
from redis.exceptions import ResponseError
from tests.servers import redis_fixtures
from tests.servers.ports import free_port
from tests.servers.proxy import CuttingProxy
from tests.servers.redis import NO_SCRIPTS, RedisServer, SentinelServer
from tests.servers.redis_fixtures import OpenPublisher
from tests.support.waiting import until

from healthprobe.adapters.redis import RedisPublisher
from healthprobe.domain.event import HealthEvent
from healthprobe.ports import PublishError
from healthprobe.testing.contracts.samples import failed, history

open_publisher = redis_fixtures.open_publisher

Pair = tuple[RedisServer, RedisServer]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Yields a primary, and a replica that follows it."""
    with ExitStack() as stack:
        primary, replica = (stack.enter_context(RedisServer(durable=True)) for _ in range(2))
        for server in (primary, replica):
            server.command("CONFIG", "SET", "repl-diskless-sync", "yes")
            server.command("CONFIG", "SET", "repl-diskless-sync-delay", "0")
        follow(replica, primary)
        yield primary, replica


def follow(replica: RedisServer, primary: RedisServer) -> None:
    replica.command("REPLICAOF", "127.0.0.1", primary.port)
    while replica.command("INFO", "replication")["master_link_status"] != "up":
        time.sleep(0.02)


def swap(primary: RedisServer, replica: RedisServer) -> None:
    """Makes each what the other was; connections stay open."""
    replica.command("REPLICAOF", "NO", "ONE")
    primary.command("REPLICAOF", "127.0.0.1", replica.port)


def has_begun_a_failover(sentinel: SentinelServer) -> bool:
    with suppress(ResponseError):
        sentinel.command("SENTINEL", "FAILOVER", "mymaster")
        return True
    return False


async def published(publisher: RedisPublisher, events: list[HealthEvent], tries: int) -> list[PublishError]:
    """Publishes like a relay, in at most `tries`, and returns the errors before the success."""
    errors: list[PublishError] = []
    while True:
        try:
            await publisher.publish(events)
        except PublishError as error:
            errors.append(error)
            assert len(errors) < tries, [str(each) for each in errors]
            await asyncio.sleep(0.1)
        else:
            return errors


@pytest.mark.parametrize("credentials", ["", "plain:secret@"], ids=["by script", "by commands"])
async def test_the_try_after_readonly_reaches_the_new_primary(
    pair: Pair, open_publisher: OpenPublisher, credentials: str
) -> None:
    primary, replica = pair
    for server in pair:
        server.command(*NO_SCRIPTS)
    async with CuttingProxy(primary.port) as place:
        publisher = open_publisher(primary.url(port=place.port, credentials=credentials))
        await publisher.publish([failed("game-8", 1)])
        await until(lambda: replica.ids() == ["game-8:1"], "the replica has it")
        swap(primary, replica)
        place.lead_to(replica.port)
        [error] = await published(publisher, history("game-7", 2), tries=2)
    assert (error.code, error.permanent, error.delivered) == ("READONLY", False, 0)
    assert "it is a replica, which takes no writes" in str(error)
    assert replica.ids() == ["game-8:1", "game-7:1", "game-7:2"]


@pytest.mark.parametrize("code", ["OOM", "MISCONF"])
async def test_the_try_after_another_refusal_connects_anew_as_well(
    pair: Pair, open_publisher: OpenPublisher, code: str
) -> None:
    primary, other = pair
    other.command("REPLICAOF", "NO", "ONE")
    async with CuttingProxy(primary.port) as place:
        publisher = open_publisher(primary.url(port=place.port))
        await publisher.publish([failed("game-8", 1)])
        if code == "OOM":
            primary.command("CONFIG", "SET", "maxmemory", "1")
        else:
            primary.command("CONFIG", "SET", "save", "1 1")
            shutil.rmtree(primary.socket.parent)
            primary.command("BGSAVE")
            await until(
                lambda: primary.command("INFO", "persistence")["rdb_last_bgsave_status"] == "err", "a save has failed"
            )
        place.lead_to(other.port)
        [error] = await published(publisher, history("game-7", 2), tries=2)
    assert (error.code, error.permanent) == (code, False)
    assert other.ids()[-2:] == ["game-7:1", "game-7:2"]


async def test_a_server_that_wants_a_password_from_now_on_is_said_and_tried_again(
    pair: Pair, open_publisher: OpenPublisher
) -> None:
    primary, _ = pair
    publisher = open_publisher(primary.url())
    await publisher.publish([failed("game-8", 1)])
    primary.command("CONFIG", "SET", "requirepass", "secret")
    primary.password = "secret"
    primary.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    errors = []
    for _ in range(2):
        with pytest.raises(PublishError) as refused:
            await publisher.publish(history("game-7", 2))
        errors.append(refused.value)
    assert [(error.code, error.permanent) for error in errors][-1] == ("NOAUTH", False)
    primary.command("CONFIG", "SET", "requirepass", "")
    primary.password = ""
    assert await published(publisher, history("game-7", 2), tries=1) == []


class TestSentinels:
    @staticmethod
    def url(*sentinels: SentinelServer, rest: str = "") -> str:
        places = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
        return f"redis+sentinel://{places}/mymaster{rest}"

    @pytest.mark.parametrize(
        "end",
        ["kill", pytest.param("pause", marks=pytest.mark.slow), pytest.param("order", marks=pytest.mark.slow)],
    )
    async def test_after_a_failover_events_reach_the_new_primary(
        self, pair: Pair, open_publisher: OpenPublisher, end: str
    ) -> None:
        primary, replica = pair
        with SentinelServer(primary) as sentinel:
            await until(lambda: sentinel.command("SENTINEL", "REPLICAS", "mymaster"), "it knows the replica")
            publisher = open_publisher(self.url(sentinel))
            await publisher.publish([failed("game-8", 1)])
            await until(lambda: replica.ids() == ["game-8:1"], "the replica has it")
            if end == "kill":
                primary.kill()
            elif end == "pause":
                primary.pause()
            else:
                await until(lambda: has_begun_a_failover(sentinel), "it knows that the replica is up")
                await until(lambda: replica.command("ROLE")[0] == "master", "the replica was promoted")
                await until(lambda: primary.command("ROLE")[0] == "slave", "the primary was demoted")
            await published(publisher, history("game-7", 2), tries=200 if end == "pause" else 40)
            primary.resume()
        assert replica.ids() == ["game-8:1", "game-7:1", "game-7:2"]

    async def test_a_sentinel_that_is_away_or_silent_does_not_matter_beside_one_that_answers(
        self, pair: Pair, open_publisher: OpenPublisher
    ) -> None:
        primary, _ = pair
        with SentinelServer(primary) as silent, SentinelServer(primary) as sentinel:
            silent.pause()
            url = self.url(silent, sentinel).replace("//", f"//127.0.0.1:{free_port()},")
            await open_publisher(url).publish(history("game-7", 2))
            silent.resume()
        assert primary.ids() == ["game-7:1", "game-7:2"]

    async def test_sentinels_and_primary_may_have_passwords_of_their_own(self, open_publisher: OpenPublisher) -> None:
        with RedisServer(password="secret") as primary, SentinelServer(primary, password="word") as sentinel:
            url = self.url(sentinel, rest="/3?sentinel_password=word").replace("//", "//:secret@")
            await until(lambda: "s_down" not in str(sentinel.command("SENTINEL", "MASTERS")), "it sees the primary")
            await open_publisher(url).publish(history("game-7", 2))
            assert primary.command("INFO", "keyspace")["db3"]["keys"] == 3
            with pytest.raises(PublishError, match=r"its Sentinels want a password: write .sentinel_password="):
                await open_publisher(url.replace("?sentinel_password=word", "")).publish(history("game-7", 2))
            with pytest.raises(PublishError, match="no primary of this name") as unknown:
                await open_publisher(url.replace("/mymaster", "/other")).publish(history("game-7", 2))
            assert "secret" not in str(unknown.value)
            assert "word" not in str(unknown.value)
