"""The log on JetStream keeps its port's promises: game by game or by claims, on one server and on three."""

import msgspec
import nats
import pytest
from tests.docs.test_asyncapi import validate
from tests.servers import nats_fixtures
from tests.servers.nats_fixtures import OpenLog

from healthprobe.adapters.nats import JetStreamLog
from healthprobe.adapters.nats.connection import Request
from healthprobe.adapters.nats.streams import token_of
from healthprobe.domain.shard import SHARDS, shard_of
from healthprobe.testing.contracts import DocumentLogContract, HealthEventLogContract
from healthprobe.testing.contracts.documents import AlterDocument
from healthprobe.testing.contracts.log import Alter
from healthprobe.testing.contracts.samples import ODD_GAME_IDS, failed, recovered

nats_server = nats_fixtures.nats_server
nats_cluster = nats_fixtures.nats_cluster
nats_url = nats_fixtures.nats_url
nats_cluster_url = nats_fixtures.nats_cluster_url
prefix = nats_fixtures.prefix
open_log = nats_fixtures.open_log

ALL_SHARDS = range(SHARDS)

MANY = 3_000
"""A thousand events are pruned at once, fewer are read."""


def altering(log: JetStreamLog) -> Alter:
    """Returns what publishes all events again, one of them with other details: JetStream never changes a message."""

    async def alter(game_id: str, sequence: int) -> None:
        messages = await log._messages(0, 100)
        await log._leader.purge(log._streams.all_events)
        for message in messages:
            document = msgspec.json.decode(message.data)
            if (document["game_id"], document["sequence"]) == (game_id, sequence):
                document["details"] = None
            await log._leader.write([Request(message.subject, msgspec.json.encode(document))])

    return alter


class TestJetStreamLog(HealthEventLogContract):
    many = MANY

    @pytest.fixture
    async def log(self, nats_url: str, open_log: OpenLog) -> JetStreamLog:
        return await open_log(nats_url)

    @pytest.fixture
    async def rival(self, log: JetStreamLog, nats_url: str, open_log: OpenLog) -> JetStreamLog:
        return await open_log(nats_url)

    @pytest.fixture
    def alter(self, log: JetStreamLog) -> Alter:
        return altering(log)

    async def test_the_entries_of_the_stream_match_the_published_contract(
        self, log: JetStreamLog, nats_url: str, prefix: str
    ) -> None:
        await log.append([failed(game_id, 1, last_error="é" * 500) for game_id in ODD_GAME_IDS])
        await log.append([recovered(game_id, 2, container_id="") for game_id in ODD_GAME_IDS])
        client = await nats.connect(nats_url)
        consumer = await client.jetstream().pull_subscribe(f"{prefix}.events.>", stream=f"{prefix}_events")
        messages = await consumer.fetch(2 * len(ODD_GAME_IDS))
        await client.close()
        for message, game_id in zip(messages, ODD_GAME_IDS * 2, strict=True):
            document = msgspec.json.decode(message.data)
            assert document["game_id"] == game_id
            assert message.subject == f"{prefix}.events.{shard_of(game_id)}.{token_of(game_id)}"
            validate(document, "probeFailed" if document["sequence"] == 1 else "probeRecovered")


class TestJetStreamLogOnThreeServers(HealthEventLogContract):
    many = MANY

    @pytest.fixture
    async def log(self, nats_cluster_url: str, open_log: OpenLog) -> JetStreamLog:
        return await open_log(nats_cluster_url)

    @pytest.fixture
    async def rival(self, log: JetStreamLog, nats_cluster_url: str, open_log: OpenLog) -> JetStreamLog:
        return await open_log(nats_cluster_url)

    @pytest.fixture
    def alter(self, log: JetStreamLog) -> Alter:
        return altering(log)


def altering_document(log: JetStreamLog) -> AlterDocument:
    async def alter_document(kind: str, key: str, value: bytes) -> None:
        await log._stream.ask([Request(log._streams.of_document(kind, key), value)])

    return alter_document


class TestJetStreamDocuments(DocumentLogContract):
    @pytest.fixture
    async def log(self, nats_url: str, open_log: OpenLog) -> JetStreamLog:
        return await open_log(nats_url)

    @pytest.fixture
    async def rival(self, log: JetStreamLog, nats_url: str, open_log: OpenLog) -> JetStreamLog:
        return await open_log(nats_url)

    @pytest.fixture
    def alter_document(self, log: JetStreamLog) -> AlterDocument:
        return altering_document(log)


class TestJetStreamDocumentsOnThreeServers(DocumentLogContract):
    many = 600

    @pytest.fixture
    async def log(self, nats_cluster_url: str, open_log: OpenLog) -> JetStreamLog:
        return await open_log(nats_cluster_url)

    @pytest.fixture
    async def rival(self, log: JetStreamLog, nats_cluster_url: str, open_log: OpenLog) -> JetStreamLog:
        return await open_log(nats_cluster_url)

    @pytest.fixture
    def alter_document(self, log: JetStreamLog) -> AlterDocument:
        return altering_document(log)


class TestJetStreamLogByClaims(HealthEventLogContract):
    """Owns all shards: its log is the only writer."""

    keeps_order_across_games = False
    many = MANY

    @pytest.fixture
    async def log(self, nats_url: str, open_log: OpenLog) -> JetStreamLog:
        log = await open_log(nats_url, by_claims=True)
        assert set(await log.claim(ALL_SHARDS)) == set(ALL_SHARDS)
        return log

    @pytest.fixture
    def alter(self, log: JetStreamLog) -> Alter:
        return altering(log)
