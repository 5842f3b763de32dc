"""Redis Streams keep the promises of a publisher, with the server's scripts and without, and carry the contract."""

import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from tests.docs.test_asyncapi import validate
from tests.servers import redis_fixtures
from tests.servers.redis import NO_SCRIPTS, RedisServer
from tests.servers.redis_fixtures import OpenPublisher

from healthprobe.adapters.redis import RedisPublisher
from healthprobe.testing.contracts import PublisherContract
from healthprobe.testing.contracts.publisher import Delivered
from healthprobe.testing.contracts.samples import ODD_GAME_IDS, failed, recovered

shared_redis = redis_fixtures.shared_redis
redis_server = redis_fixtures.redis_server
open_publisher = redis_fixtures.open_publisher


class TestRedisPublisher(PublisherContract):
    @pytest.fixture
    def url(self, redis_server: RedisServer) -> str:
        return redis_server.url()

    @pytest.fixture
    async def publisher(self, url: str, open_publisher: OpenPublisher) -> RedisPublisher:
        return open_publisher(url)

    @pytest.fixture
    def delivered(self, redis_server: RedisServer) -> Delivered:
        async def delivered() -> Sequence[dict[str, Any]]:
            return redis_server.documents()

        return delivered

    @pytest.fixture
    async def unreachable(self, open_publisher: OpenPublisher) -> AsyncIterator[RedisPublisher]:
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            yield open_publisher(f"redis://127.0.0.1:{deaf.getsockname()[1]}")

    async def test_the_entries_of_the_stream_match_the_published_contract(
        self, publisher: RedisPublisher, delivered: Delivered, redis_server: RedisServer
    ) -> None:
        await publisher.publish([failed(game_id, 1, last_error="é" * 500) for game_id in ODD_GAME_IDS])
        await publisher.publish([recovered(game_id, 2, container_id="") for game_id in ODD_GAME_IDS])
        documents = await delivered()
        assert len(documents) == 2 * len(ODD_GAME_IDS)
        for document in documents:
            validate(document, "probeFailed" if document["sequence"] == 1 else "probeRecovered")
        for fields in redis_server.entries():
            validate(fields, "streamEntry")


class TestRedisPublisherWithoutScripts(TestRedisPublisher):
    @pytest.fixture
    def url(self, redis_server: RedisServer) -> str:
        redis_server.command(*NO_SCRIPTS)
        return redis_server.url(credentials="plain:secret@")
