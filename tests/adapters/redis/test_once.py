"""Once in the stream: the server itself recognizes an event that is delivered again."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
import structlog
from redis.crc import key_slot
from structlog.testing import CapturingLogger
from tests.servers import redis_fixtures
from tests.servers.proxy import CuttingProxy
from tests.servers.redis import NO_SCRIPTS, STREAM, RedisServer
from tests.servers.redis_fixtures import OpenPublisher

from healthprobe.adapters.redis.appending import MARK_SECONDS, mark_prefix
from healthprobe.ports import PublishError
from healthprobe.testing.contracts.samples import failed, history

shared_redis = redis_fixtures.shared_redis
redis_server = redis_fixtures.redis_server
own_redis = redis_fixtures.own_redis
open_publisher = redis_fixtures.open_publisher


def marks_in(server: RedisServer) -> list[str]:
    return sorted(server.command("KEYS", "*:published:*"))


async def test_a_partly_repeated_delivery_adds_only_the_new_events(
    redis_server: RedisServer, open_publisher: OpenPublisher
) -> None:
    publisher = open_publisher(redis_server.url())
    events = history("game-7", 250)
    await publisher.publish(events[:130])
    await publisher.publish(events)
    assert redis_server.ids() == [event.id for event in events]


async def test_three_publishers_of_the_same_events_add_each_once_and_in_order(
    redis_server: RedisServer, open_publisher: OpenPublisher
) -> None:
    events = history("game-7", 1000)
    await asyncio.gather(*(open_publisher(redis_server.url()).publish(events) for _ in range(3)))
    assert redis_server.ids() == [event.id for event in events]


async def test_a_lost_acknowledgement_causes_no_second_entry(
    redis_server: RedisServer, open_publisher: OpenPublisher
) -> None:
    events = history("game-7", 300)
    async with CuttingProxy(redis_server.port) as proxy:
        publisher = open_publisher(redis_server.url(port=proxy.port))
        await publisher.publish(events[:1])
        proxy.cut_after(0)
        with pytest.raises(PublishError, match="it is away") as loss:
            await publisher.publish(events[1:])
        assert (loss.value.delivered, loss.value.permanent) == (0, False)
        assert proxy.connections == 1
        assert redis_server.ids() == [event.id for event in events[:101]]
        await publisher.publish(events[1:])
    assert redis_server.ids() == [event.id for event in events]


async def test_the_error_counts_the_events_acknowledged_before_a_cut(
    redis_server: RedisServer, open_publisher: OpenPublisher
) -> None:
    events = history("game-7", 300)
    async with CuttingProxy(redis_server.port) as proxy:
        publisher = open_publisher(redis_server.url(port=proxy.port))
        await publisher.publish(events[:1])
        proxy.cut_after(len(b":100\r\n"))
        with pytest.raises(PublishError) as loss:
            await publisher.publish(events[1:])
    assert loss.value.delivered == 100
    assert redis_server.ids() == [event.id for event in events[:201]]


async def test_marks_expire_after_a_day_and_are_on_the_node_of_the_stream(
    redis_server: RedisServer, open_publisher: OpenPublisher
) -> None:
    await open_publisher(redis_server.url()).publish([failed("game-7", 1)])
    [mark] = marks_in(redis_server)
    assert mark == "{runtime:health_events}:published:game-7:1@2026-11-23T17:01:00.123457Z@/healthprobe"
    assert MARK_SECONDS - 60 <= redis_server.command("TTL", mark) <= MARK_SECONDS


@pytest.mark.parametrize("stream", [STREAM, "{games}:events", "a{b", "{games}{b}", "events{games}"])
def test_a_mark_and_its_stream_hash_to_the_same_slot_of_a_cluster(stream: str) -> None:
    assert key_slot(f"{mark_prefix(stream)}game-7:1".encode()) == key_slot(stream.encode())


async def test_the_events_of_a_new_log_are_not_taken_for_those_of_the_old_one(
    redis_server: RedisServer, open_publisher: OpenPublisher
) -> None:
    publisher = open_publisher(redis_server.url())
    of_old_log = failed("game-7", 1)
    await publisher.publish([of_old_log])
    await publisher.publish([replace(of_old_log, occurred_at=of_old_log.occurred_at + timedelta(minutes=5))])
    assert redis_server.ids() == ["game-7:1", "game-7:1"]


async def test_two_streams_on_one_server_are_independent(
    redis_server: RedisServer, open_publisher: OpenPublisher
) -> None:
    for stream in ("one", "two"):
        await open_publisher(redis_server.url(f"?stream={stream}")).publish([failed("game-7", 1)])
        assert redis_server.ids(stream) == ["game-7:1"]


async def test_a_stream_is_trimmed_to_about_its_limit(redis_server: RedisServer, open_publisher: OpenPublisher) -> None:
    await open_publisher(redis_server.url("?maxlen=200")).publish(history("game-7", 2000))
    kept = redis_server.ids()
    assert 200 <= len(kept) <= 400
    assert kept[-1] == "game-7:2000"


async def test_a_script_that_the_server_lost_is_loaded_again(
    redis_server: RedisServer, open_publisher: OpenPublisher
) -> None:
    publisher = open_publisher(redis_server.url())
    await publisher.publish([failed("game-7", 1)])
    redis_server.command("SCRIPT", "FLUSH")
    await publisher.publish([failed("game-8", 1)])
    assert redis_server.ids() == ["game-7:1", "game-8:1"]


async def test_a_server_that_lost_its_data_gets_the_events_again(
    redis_server: RedisServer, open_publisher: OpenPublisher
) -> None:
    publisher = open_publisher(redis_server.url())
    await publisher.publish([failed("game-7", 1)])
    redis_server.command("FLUSHALL")
    await publisher.publish([failed("game-7", 1)])
    assert redis_server.ids() == ["game-7:1"]


async def test_marks_and_entries_survive_kill_9_together(own_redis: RedisServer, open_publisher: OpenPublisher) -> None:
    publisher = open_publisher(own_redis.url())
    events = history("game-7", 300)
    await publisher.publish(events[:200])
    own_redis.kill()
    with pytest.raises(PublishError):
        await publisher.publish(events)
    own_redis.start()
    await publisher.publish(events)
    assert own_redis.ids() == [event.id for event in events]


async def test_a_refused_entry_leaves_no_mark(redis_server: RedisServer, open_publisher: OpenPublisher) -> None:
    publisher = open_publisher(redis_server.url())
    redis_server.command("SET", STREAM, "a text")
    with pytest.raises(PublishError, match="its key 'runtime:health_events' is no stream: name another"):
        await publisher.publish([failed("game-7", 1)])
    assert marks_in(redis_server) == []
    redis_server.command("DEL", STREAM)
    await publisher.publish([failed("game-7", 1)])
    assert redis_server.ids() == ["game-7:1"]


async def test_full_memory_leaves_no_mark(own_redis: RedisServer, open_publisher: OpenPublisher) -> None:
    publisher = open_publisher(own_redis.url())
    await publisher.publish([failed("game-7", 1)])
    own_redis.command("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(PublishError, match="its memory is full: raise its maxmemory"):
        await publisher.publish([failed("game-8", 1)])
    assert len(marks_in(own_redis)) == 1
    own_redis.command("CONFIG", "SET", "maxmemory", "0")
    await publisher.publish([failed("game-8", 1)])
    assert own_redis.ids() == ["game-7:1", "game-8:1"]


async def test_five_hundred_events_are_five_script_calls(own_redis: RedisServer, open_publisher: OpenPublisher) -> None:
    await open_publisher(own_redis.url()).publish(history("game-7", 500))
    statistics = own_redis.command("INFO", "commandstats")
    # one more: the first finds that the server does not know the script yet
    assert statistics["cmdstat_evalsha"]["calls"] == 6


async def test_without_scripts_plain_commands_are_used_and_this_is_logged_once(
    redis_server: RedisServer, open_publisher: OpenPublisher
) -> None:
    redis_server.command(*NO_SCRIPTS)
    said = CapturingLogger()
    publisher = open_publisher(redis_server.url(credentials="plain:secret@"), logger=structlog.wrap_logger(said))
    for _ in range(2):
        await publisher.publish(history("game-7", 3))
    assert redis_server.ids() == [f"game-7:{number}" for number in (1, 2, 3, 1, 2, 3)]
    assert marks_in(redis_server) == []
    assert [call.method_name for call in said.calls] == ["warning"]
    assert "runs no script" in said.calls[0].args[0]
    assert "secret" not in said.calls[0].args[0]


async def test_a_user_who_may_only_append_to_the_stream_is_enough(
    redis_server: RedisServer, open_publisher: OpenPublisher
) -> None:
    redis_server.command("ACL", "SETUSER", "appender", "reset", "on", ">secret", f"~{STREAM}", "+xadd")
    await open_publisher(redis_server.url("", credentials="appender:secret@")).publish(history("game-7", 3))
    assert redis_server.ids() == ["game-7:1", "game-7:2", "game-7:3"]


async def test_a_user_who_may_use_the_marks_needs_these_commands_and_no_more(
    redis_server: RedisServer, open_publisher: OpenPublisher
) -> None:
    may = ["+xadd", "+exists", "+set", "+evalsha", "+script|load"]
    keys = [f"~{STREAM}", f"~{mark_prefix(STREAM)}*"]
    redis_server.command("SCRIPT", "FLUSH")
    redis_server.command("ACL", "SETUSER", "marker", "reset", "on", ">secret", *keys, *may)
    publisher = open_publisher(redis_server.url("", credentials="marker:secret@"))
    for _ in range(2):
        await publisher.publish(history("game-7", 3))
    assert redis_server.ids() == ["game-7:1", "game-7:2", "game-7:3"]


async def test_a_failing_logger_loses_no_event(redis_server: RedisServer, open_publisher: OpenPublisher) -> None:
    class Broken:
        def warning(self, *_: object, **__: object) -> None:
            raise OSError("disk full")

    redis_server.command(*NO_SCRIPTS)
    publisher = open_publisher(redis_server.url(credentials="plain:secret@"), logger=structlog.wrap_logger(Broken()))
    await publisher.publish(history("game-7", 3))
    assert len(redis_server.ids()) == 3
