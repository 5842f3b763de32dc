"""Redis away, silent, locked or full: an error in one line, within the timeout, that ends with its cause."""

import asyncio
import random
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from tests.adapters.redis.redis_peer import RedisPeer
from tests.servers import redis_fixtures
from tests.servers.proxy import CuttingProxy
from tests.servers.redis import NO_SCRIPTS, STREAM, RedisServer
from tests.servers.redis_fixtures import OpenPublisher

from healthprobe.adapters.redis import RedisPublisher
from healthprobe.adapters.redis import publisher as publisher_module
from healthprobe.domain.event import HealthEvent
from healthprobe.ports import PublishError
from healthprobe.testing.contracts.samples import failed, history

shared_redis = redis_fixtures.shared_redis
redis_server = redis_fixtures.redis_server
own_redis = redis_fixtures.own_redis
open_publisher = redis_fixtures.open_publisher


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> float:
    """Sets the publisher's timeout, in seconds."""
    monkeypatch.setattr(publisher_module, "TIMEOUT", 0.5)
    return 0.5


async def error_of(publisher: RedisPublisher) -> str:
    """Returns the message of a publication that must fail: one line, with the server's name, without secrets."""
    with pytest.raises(PublishError, match=r"\A[^\n]{10,300}\Z") as failure:
        await publisher.publish(history("game-7", 3))
    assert not failure.value.permanent
    assert failure.value.delivered == 0
    assert "secret" not in str(failure.value)
    return str(failure.value)


async def published_at_last(publisher: RedisPublisher) -> None:
    """Publishes like a relay, with retries."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await publisher.publish(history("game-7", 3))
            except PublishError:
                await asyncio.sleep(0.02)


THREE = ["game-7:1", "game-7:2", "game-7:3"]


async def test_a_server_that_is_away_at_the_start_is_no_error_before_the_first_event(
    own_redis: RedisServer, open_publisher: OpenPublisher
) -> None:
    own_redis.stop()
    publisher = open_publisher(own_redis.url())
    await publisher.publish([])
    assert "it is away: look whether the server runs" in await error_of(publisher)
    own_redis.start()
    await publisher.publish(history("game-7", 3))
    assert own_redis.ids() == THREE


@pytest.mark.parametrize("end", [RedisServer.kill, RedisServer.stop])
async def test_a_restarted_server_gets_the_next_events(
    own_redis: RedisServer, open_publisher: OpenPublisher, end: Callable[[RedisServer], None]
) -> None:
    publisher = open_publisher(own_redis.url())
    await publisher.publish([failed("game-8", 1)])
    end(own_redis)
    own_redis.start()
    await published_at_last(publisher)
    assert own_redis.ids() == ["game-8:1", *THREE]


async def test_a_paused_server_causes_a_timeout_and_gets_the_events_when_it_continues(
    own_redis: RedisServer, open_publisher: OpenPublisher, impatient: float
) -> None:
    connected, fresh = open_publisher(own_redis.url()), open_publisher(own_redis.url())
    await connected.publish([failed("game-8", 1)])
    own_redis.pause()
    for publisher in (connected, fresh):
        begun = time.monotonic()
        assert "it did not answer in time" in await error_of(publisher)
        assert impatient * 0.9 <= time.monotonic() - begun < impatient + 5
    own_redis.resume()
    await published_at_last(connected)
    assert own_redis.ids() == ["game-8:1", *THREE]


async def test_a_silent_connection_times_out(
    redis_server: RedisServer, open_publisher: OpenPublisher, impatient: float
) -> None:
    async with CuttingProxy(redis_server.port) as proxy:
        publisher = open_publisher(redis_server.url(port=proxy.port))
        await publisher.publish([failed("game-8", 1)])
        proxy.hang()
        assert "it did not answer in time" in await error_of(publisher)
        proxy.pass_on()
        await published_at_last(publisher)
        proxy.refuse()
        assert "it is away" in await error_of(publisher)
        await proxy.accept()
        await published_at_last(publisher)
    assert redis_server.ids() == ["game-8:1", *THREE]


async def test_a_cancelled_publication_leaves_no_answer_for_the_next_to_read(
    redis_server: RedisServer, open_publisher: OpenPublisher
) -> None:
    events = history("game-7", 6000)
    chance = random.Random(7)
    async with CuttingProxy(redis_server.port) as proxy:
        publisher = open_publisher(redis_server.url(port=proxy.port))
        for first in range(0, 6000, 200):
            publication = asyncio.create_task(publisher.publish(events[first : first + 200]))
            await asyncio.sleep(chance.uniform(0, 0.01))
            publication.cancel()
            await asyncio.wait({publication})
            assert await publisher._client.echo(f"after {first}") == f"after {first}".encode()
            await publisher.publish(events[first : first + 200])
    assert redis_server.ids() == [event.id for event in events]


@pytest.mark.parametrize("before", [[], [failed("game-8", 1)]], ids=["as it connects", "as it appends"])
async def test_a_publication_cancelled_while_the_server_is_silent_takes_its_connection_with_it(
    redis_server: RedisServer, open_publisher: OpenPublisher, before: list[HealthEvent]
) -> None:
    async with CuttingProxy(redis_server.port) as proxy:
        publisher = open_publisher(redis_server.url("/3", port=proxy.port))
        await publisher.publish(before)
        proxy.hang()
        publication = asyncio.create_task(publisher.publish(history("game-7", 3)))
        await proxy.caught()
        publication.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publication
        proxy.pass_on()
        assert await publisher._client.echo("mine") == b"mine"
        assert proxy.connections == 2


async def test_missing_wrong_and_unneeded_passwords_have_different_messages(
    redis_server: RedisServer, open_publisher: OpenPublisher
) -> None:
    with RedisServer(password="secret") as guarded:
        await open_publisher(guarded.url()).publish(history("game-7", 3))
        assert guarded.ids() == THREE
        assert "wants a password" in await error_of(open_publisher(guarded.url(credentials="")))
        assert "refuses user and password" in await error_of(open_publisher(guarded.url(credentials=":secrets@")))
        assert "refuses user and password" in await error_of(open_publisher(guarded.url(credentials="bob:secret@")))
    assert "knows no password" in await error_of(open_publisher(redis_server.url(credentials=":secret@")))


async def test_a_user_without_permission_is_an_error_that_names_it_and_ends_once_it_is_granted(
    redis_server: RedisServer, open_publisher: OpenPublisher
) -> None:
    redis_server.command("ACL", "SETUSER", "reader", "reset", "on", ">secret", f"~{STREAM}", "+xread")
    publisher = open_publisher(redis_server.url("", credentials="reader:secret@"))
    assert "ACL SETUSER it ~'runtime:health_events' +xadd" in await error_of(publisher)
    redis_server.command("ACL", "SETUSER", "reader", "+@all", "~*")
    for _ in range(2):
        await publisher.publish(history("game-7", 3))
    assert redis_server.ids() == THREE


async def test_a_replica_is_reported_and_gets_the_events_after_a_failover(
    own_redis: RedisServer, open_publisher: OpenPublisher
) -> None:
    publisher = open_publisher(own_redis.url())
    await publisher.publish([failed("game-8", 1)])
    own_redis.command("REPLICAOF", "127.0.0.1", "1")
    assert "it is a replica, which takes no writes: name the primary" in await error_of(publisher)
    own_redis.command("REPLICAOF", "NO", "ONE")
    await publisher.publish(history("game-7", 3))
    assert own_redis.ids() == ["game-8:1", *THREE]


async def test_too_few_replicas_are_reported(own_redis: RedisServer, open_publisher: OpenPublisher) -> None:
    own_redis.command(*NO_SCRIPTS)
    own_redis.command("CONFIG", "SET", "min-replicas-to-write", "1")
    publisher = open_publisher(own_redis.url(credentials="plain:secret@"))
    assert "too few of its replicas" in await error_of(publisher)


async def test_a_missing_database_is_reported(redis_server: RedisServer, open_publisher: OpenPublisher) -> None:
    assert "no database of this number" in await error_of(open_publisher(redis_server.url("/9999")))


async def test_the_database_of_the_url_is_used(redis_server: RedisServer, open_publisher: OpenPublisher) -> None:
    await open_publisher(redis_server.url("/3")).publish(history("game-7", 3))
    assert redis_server.ids() == []
    assert redis_server.command("INFO", "keyspace")["db3"]["keys"] == 4


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        ("LOADING Redis is loading the dataset in memory", "still loading its data: this ends by itself"),
        ("MISCONF Redis is configured to save RDB snapshots, but", "cannot save to its disk"),
        ("MASTERDOWN Link with MASTER is down", "cut off from its primary"),
        ("CLUSTERDOWN The cluster is down", "its cluster is down"),
        ("MOVED 3999 10.0.0.7:6381", "another node of its cluster holds 'runtime:health_events'"),
        ("ASK 3999 10.0.0.7:6381", "its cluster is moving 'runtime:health_events'"),
        ("TRYAGAIN Multiple keys request during rehashing of slot", "this ends by itself"),
        ("BUSY Redis is busy running a script.", "SCRIPT KILL"),
        ("ERR max number of clients reached", "raise its maxclients"),
        ("ERR unknown command `XADD`, with args", "Redis from 5.0 on does"),
        ("ERR {what} not {0} known", "it refuses: ERR {what} not {0} known"),
    ],
)
async def test_an_error_of_the_server_becomes_advice(open_publisher: OpenPublisher, answer: str, advice: str) -> None:
    async with RedisPeer(lambda _: f"-{answer}\r\n".encode()) as peer:
        assert advice in await error_of(open_publisher(peer.url))


async def test_a_server_that_is_not_redis_is_reported(open_publisher: OpenPublisher) -> None:
    async with RedisPeer(lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n") as peer:
        assert "no Redis server: correct host and port" in await error_of(open_publisher(peer.url))


async def test_a_cluster_with_marks_on_another_node_gets_plain_commands(open_publisher: OpenPublisher) -> None:
    def answer(words: list[bytes]) -> bytes:
        return b"+1-1\r\n" if words[0] == b"XADD" else b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"

    async with RedisPeer(answer) as peer:
        await open_publisher(peer.url).publish(history("game-7", 3))


@pytest.mark.parametrize("code", ["OOM", "READONLY", "BUSY", "NOREPLICAS"])
async def test_a_temporary_error_does_not_end_the_use_of_scripts(open_publisher: OpenPublisher, code: str) -> None:
    def answer(words: list[bytes]) -> bytes:
        return (
            b"+1-1\r\n" if words[0] == b"XADD" else f"-ERR Error running script: @user_script: 9: -{code}\r\n".encode()
        )

    async with RedisPeer(answer) as peer:
        publisher = open_publisher(peer.url)
        for _ in range(2):
            await error_of(publisher)


async def test_without_scripts_no_event_overtakes_a_refused_one_of_its_game(
    open_publisher: OpenPublisher,
) -> None:
    entered: list[str] = []

    def answer(words: list[bytes]) -> bytes:
        if words[0] != b"XADD":
            return b"-NOPERM this user has no permissions to run the 'evalsha' command\r\n"
        event_id = words[words.index(b"id") + 1].decode()
        if event_id == "b:1" and "c:1" not in entered:
            return b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
        entered.append(event_id)
        return b"+1-1\r\n"

    events = [failed("a", 1), failed("b", 1), failed("c", 1), *history("b", 2)[1:], failed("d", 1)]
    async with RedisPeer(answer) as peer:
        publisher = open_publisher(peer.url)
        with pytest.raises(PublishError, match="memory is full") as failure:
            await publisher.publish(events)
        assert failure.value.delivered == 1
        assert entered == ["a:1", "c:1"]
        await publisher.publish(events[1:])
        assert entered == ["a:1", "c:1", "b:1", "c:1", "b:2", "d:1"]


async def test_without_scripts_the_error_counts_the_events_acknowledged_before_a_timeout(
    open_publisher: OpenPublisher, impatient: float
) -> None:
    def answer(words: list[bytes]) -> bytes:
        if words[0] != b"XADD":
            return b"-ERR unknown command `EVALSHA`\r\n"
        return b"" if b"game-7:3" in words else b"+1-1\r\n"

    async with RedisPeer(answer) as peer:
        with pytest.raises(PublishError, match="did not answer in time") as silence:
            await open_publisher(peer.url).publish(history("game-7", 5))
    assert silence.value.delivered == 2


@pytest.mark.parametrize("place", [0, 2, 150])
async def test_only_an_event_that_cannot_be_encoded_is_a_permanent_error(
    redis_server: RedisServer, open_publisher: OpenPublisher, place: int
) -> None:
    events = history("game-7", 200)
    publisher = open_publisher(redis_server.url())
    with pytest.raises(PublishError, match=r"\A[^\n]*cannot be written as text") as refusal:
        await publisher.publish([*events[:place], failed("half \ud83c", 1), *events[place:]])
    assert (refusal.value.permanent, refusal.value.delivered) == (True, place)
    assert redis_server.ids() == [event.id for event in events[:place]]


@pytest.fixture
def serving(tmp_path: Path) -> ssl.SSLContext:
    """Returns the certificate of a server on loopback; its authority is in `ca.pem`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.mark.proves("redis-certificate")
async def test_tls_requires_a_certificate_of_the_authority_in_the_url(
    redis_server: RedisServer, open_publisher: OpenPublisher, serving: ssl.SSLContext, tmp_path: Path
) -> None:
    async with CuttingProxy(redis_server.port, tls=serving) as proxy:
        url = redis_server.url(port=proxy.port).replace("redis:", "rediss:")
        assert "certificate verify failed" in await error_of(open_publisher(url))
        publisher = open_publisher(f"{url}?ssl_ca_certs={tmp_path}/ca.pem")
        await publisher.publish(history("game-7", 3))
        proxy.cut()
        await published_at_last(publisher)
    assert redis_server.ids() == THREE


async def test_closing_does_not_wait_for_a_silent_server_with_tls(
    redis_server: RedisServer, open_publisher: OpenPublisher, serving: ssl.SSLContext, tmp_path: Path, impatient: float
) -> None:
    async with CuttingProxy(redis_server.port, tls=serving) as proxy:
        url = redis_server.url(f"?ssl_ca_certs={tmp_path}/ca.pem", port=proxy.port).replace("redis:", "rediss:")
        publisher = open_publisher(url)
        await publisher.publish(history("game-7", 3))
        proxy.deafen()
        begun = time.monotonic()
        await publisher.aclose()
        assert time.monotonic() - begun < impatient + 5


async def test_a_unix_socket_is_supported(redis_server: RedisServer, open_publisher: OpenPublisher) -> None:
    await open_publisher(f"unix://{redis_server.socket}?db=0").publish(history("game-7", 3))
    assert redis_server.ids() == THREE
