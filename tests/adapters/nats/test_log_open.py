"""A log is made where it can be, found where it stands, and refused in one line where it would not be one."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from tests.servers import nats_fixtures
from tests.servers.nats import NatsServer
from tests.servers.nats_fixtures import OpenLog

from healthprobe.adapters.nats import JetStreamLog, log_shards
from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.connection import ANSWER_WITHIN, JetStream
from healthprobe.domain.shard import SHARDS, shard_of
from healthprobe.ports import ConfigurationError, LogError
from healthprobe.testing.contracts.samples import failed

nats_server = nats_fixtures.nats_server
nats_cluster = nats_fixtures.nats_cluster
nats_url = nats_fixtures.nats_url
nats_cluster_url = nats_fixtures.nats_cluster_url
prefix = nats_fixtures.prefix
open_log = nats_fixtures.open_log

ONE_LINE = r"\A[^\n]{10,300}\Z"


async def configured(url: str, stream: str, **changes: Any) -> Mapping[str, Any]:
    """The configuration of a stream, after these changes."""
    connection = await JetStream.open(NatsAddress.of_url(url))
    standing = (await connection.call(f"STREAM.INFO.{stream}"))["config"]
    if changes:
        standing = (await connection.call(f"STREAM.UPDATE.{stream}", {**standing, **changes}))["config"]
    await connection.aclose()
    config: Mapping[str, Any] = standing
    return config


async def refusal(open_log: OpenLog, url: str, *, create: bool = True) -> str:
    """Why there is no log at `url`."""
    with pytest.raises(ConfigurationError, match=ONE_LINE) as refused:
        await open_log(url, create=create)
    return str(refused.value)


@contextmanager
def server_with(config: str) -> Iterator[NatsServer]:
    """A server that has `config` in the place of its JetStream."""
    server = NatsServer()
    file = server.folder / "server.conf"
    head, _, _ = file.read_text().partition("jetstream")
    file.write_text(head + config.replace("$DATA", str(server.folder / "data")))
    with server:
        yield server


async def test_a_log_is_created_at_its_first_use_and_found_later(nats_url: str, open_log: OpenLog) -> None:
    logs = await asyncio.gather(*(open_log(nats_url) for _ in range(4)))
    await logs[0].append([failed("game-7", 1)])
    for create in (True, False):
        log = await open_log(nats_url, create=create)
        assert await log.last_events(["game-7"]) == {"game-7": failed("game-7", 1)}


async def test_a_command_that_only_reads_creates_nothing(nats_url: str, prefix: str, open_log: OpenLog) -> None:
    assert "holds nothing yet: 'healthprobe run' creates it" in await refusal(open_log, nats_url, create=False)
    assert "holds nothing yet" in await refusal(open_log, nats_url, create=False)


async def test_a_log_keeps_the_number_of_shards_with_which_it_was_created(
    nats_url: str, prefix: str, open_log: OpenLog
) -> None:
    made = await open_log(f"{nats_url}&shards=1000")
    await made.append([failed("game-7", 1)])
    connection = await JetStream.open(NatsAddress.of_url(nats_url))
    told = await connection.call(f"STREAM.INFO.{prefix}_events", {"subjects_filter": ">"})
    assert list(told["state"]["subjects"]) == [f"{prefix}.events.{shard_of('game-7', 1000)}.game-7"]
    assert await log_shards(connection) == 1000
    await connection.aclose()
    found = await open_log(nats_url)
    assert (made.shard_count, found.shard_count) == (1000, 1000)
    assert await found.last_events(["game-7"]) == {"game-7": failed("game-7", 1)}


async def test_another_number_of_shards_than_that_of_the_log_is_refused(nats_url: str, open_log: OpenLog) -> None:
    assert (await open_log(nats_url)).shard_count == SHARDS
    told = await refusal(open_log, f"{nats_url}&shards=16")
    assert f"its log was created with {SHARDS} shards, which cannot change: leave ?shards=16 out" in told
    assert (await open_log(f"{nats_url}&shards={SHARDS}")).shard_count == SHARDS


async def test_a_log_without_a_number_of_shards_has_the_default(nats_url: str, prefix: str, open_log: OpenLog) -> None:
    before = await open_log(nats_url)
    await before.append([failed("game-7", 1)])
    await configured(nats_url, f"{prefix}_events", metadata={})
    assert (await open_log(nats_url)).shard_count == SHARDS
    assert "was created with 256 shards" in await refusal(open_log, f"{nats_url}&shards=16")


@pytest.mark.parametrize("altered", ["many", "", "0", "-1", "4097", "\u0662"])
async def test_an_altered_number_of_shards_is_refused(
    nats_url: str, prefix: str, open_log: OpenLog, altered: str
) -> None:
    await open_log(nats_url)
    await configured(nats_url, f"{prefix}_events", metadata={"healthprobe_shards": altered})
    told = await refusal(open_log, nats_url)
    assert f"its log has {altered!r} as healthprobe_shards: restore the number" in told


async def test_a_prefix_has_a_log_of_its_own(nats_server: NatsServer, prefix: str, open_log: OpenLog) -> None:
    ours, theirs = [await open_log(nats_server.url(f"?prefix={prefix}-{name}")) for name in ("ours", "theirs")]
    await ours.append([failed("game-7", 1)])
    assert await theirs.read(0, 10) == []


async def test_three_servers_keep_three_replicas_unless_the_url_says_otherwise(
    nats_cluster_url: str, prefix: str, open_log: OpenLog
) -> None:
    await open_log(nats_cluster_url)
    await open_log(f"{nats_cluster_url}-1&replicas=1")
    for stream in ("events", "relays"):
        assert (await configured(nats_cluster_url, f"{prefix}_{stream}"))["num_replicas"] == 3
        assert (await configured(nats_cluster_url, f"{prefix}-1_{stream}"))["num_replicas"] == 1
    told = await refusal(open_log, f"{nats_cluster_url}-1&replicas=3")
    assert "has 1 of the 3 replicas asked for: run 'nats stream edit" in told


async def test_one_server_keeps_no_three_replicas(nats_url: str, open_log: OpenLog) -> None:
    assert "keeps one replica only: leave ?replicas= out" in await refusal(open_log, f"{nats_url}&replicas=3")


async def test_more_replicas_than_servers_may_be_retried(nats_cluster_url: str, open_log: OpenLog) -> None:
    with pytest.raises(LogError, match="too few of its servers are there for so many replicas") as failure:
        await open_log(f"{nats_cluster_url}&replicas=5")
    assert not failure.value.permanent


async def test_a_stream_of_another_program_is_no_log(nats_url: str, prefix: str, open_log: OpenLog) -> None:
    connection = await JetStream.open(NatsAddress.of_url(nats_url))
    await connection.call(f"STREAM.CREATE.{prefix}_events", {"name": f"{prefix}_events", "subjects": [f"{prefix}.x"]})
    assert "has other subjects than a log's: write ?prefix=NAME" in await refusal(open_log, nats_url)
    await connection.call(f"STREAM.DELETE.{prefix}_events")
    await connection.call(f"STREAM.CREATE.{prefix}", {"name": prefix, "subjects": [f"{prefix}.events.>"]})
    assert "another stream takes our subjects" in await refusal(open_log, nats_url)
    await connection.aclose()


@pytest.mark.parametrize(("setting", "value"), [("max_age", 3_600_000_000_000), ("max_msgs", 1_000)])
async def test_a_stream_with_limits_is_no_log(
    nats_url: str, prefix: str, open_log: OpenLog, setting: str, value: int
) -> None:
    await open_log(nats_url)
    await configured(nats_url, f"{prefix}_events", **{setting: value})
    assert f"would not keep a log: set its {setting} to" in await refusal(open_log, nats_url)


async def test_a_server_without_jetstream_is_reported(open_log: OpenLog) -> None:
    with server_with("") as server:
        assert "runs without JetStream: start it with jetstream {" in await refusal(open_log, server.url())


async def test_an_account_without_jetstream_is_reported(open_log: OpenLog) -> None:
    accounts = "accounts { A { users: [{user: a, password: secret}] }, B { jetstream: enabled, users: [] } }"
    with server_with(f'jetstream {{ store_dir: "$DATA" }}\n{accounts}\n') as server:
        told = await refusal(open_log, server.url().replace("//", "//a:secret@"))
        assert "JetStream is not enabled for our account" in told
        assert "secret" not in told


async def test_a_missing_permission_to_publish_is_reported_at_once(open_log: OpenLog) -> None:
    users = '[{user: all, password: x}, {user: reader, password: secret, permissions: {publish: ["$JS.API.>"]}}]'
    with server_with(f'jetstream {{ store_dir: "$DATA" }}\nauthorization {{ users: {users} }}\n') as server:
        await open_log(server.url().replace("//", "//all:x@"))
        reader = await open_log(server.url().replace("//", "//reader:secret@"))
        begun = time.monotonic()
        for _ in range(2):
            with pytest.raises(LogError, match=ONE_LINE) as failure:
                await reader.append([failed("game-7", 1)])
            assert failure.value.permanent
            assert 'may not do this: permissions violation for publish to "health.events.' in str(failure.value)
            assert "secret" not in str(failure.value)
        assert time.monotonic() - begun < ANSWER_WITHIN
        assert await reader.append([]) == []


async def test_a_missing_permission_to_subscribe_is_reported_at_once(open_log: OpenLog) -> None:
    users = '[{user: deaf, password: secret, permissions: {subscribe: {deny: ["_INBOX.>"]}}}]'
    with server_with(f'jetstream {{ store_dir: "$DATA" }}\nauthorization {{ users: {users} }}\n') as server:
        begun = time.monotonic()
        told = await refusal(open_log, server.url().replace("//", "//deaf:secret@"))
        assert 'our user may not do this: permissions violation for subscription to "_INBOX.>"; allow it there' in told
        assert time.monotonic() - begun < ANSWER_WITHIN


async def test_an_outage_may_be_retried(nats_url: str, open_log: OpenLog) -> None:
    with NatsServer() as server:
        log = await open_log(server.url())
        server.kill()
        with pytest.raises(LogError, match=ONE_LINE) as failure:
            await log.read(0, 10)
        assert not failure.value.permanent


async def test_deleted_streams_are_a_permanent_error(nats_url: str, prefix: str, open_log: OpenLog) -> None:
    log = await open_log(nats_url)
    await log.append([failed("game-7", 1)])
    connection = await JetStream.open(NatsAddress.of_url(nats_url))
    await connection.call(f"STREAM.DELETE.{prefix}_events")
    with pytest.raises(LogError, match="the streams of the log are gone: restart healthprobe") as failure:
        await log.append([failed("game-7", 2)])
    assert failure.value.permanent
    await connection.aclose()
    assert isinstance(await open_log(nats_url), JetStreamLog)
