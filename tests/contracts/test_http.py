"""The webhook and the records of http_sd keep their ports' promises, against a real server."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict
from typing import Any

import pytest
from tests.docs.test_asyncapi import validate
from tests.servers.web import Answer, Script, WebServer

from healthprobe.adapters.file import parse_records
from healthprobe.adapters.http import HttpRecords, WebhookPublisher
from healthprobe.domain.record import RUNNING, RuntimeRecord
from healthprobe.testing.contracts import PublisherContract, RecordSettingsContract, RecordStoreContract
from healthprobe.testing.contracts.publisher import Delivered
from healthprobe.testing.contracts.records import Edit

MESSAGES = {"probe_failed": "probeFailed", "probe_recovered": "probeRecovered"}


@pytest.fixture
async def server() -> AsyncIterator[WebServer]:
    async with WebServer() as server:
        yield server


class WebhookContract(PublisherContract):
    secret: str | None

    @pytest.fixture
    async def publisher(self, server: WebServer) -> AsyncIterator[WebhookPublisher]:
        publisher = WebhookPublisher.of_url(server.url("/hook"), secret=self.secret)
        yield publisher
        await publisher.aclose()

    @pytest.fixture
    def delivered(self, server: WebServer) -> Delivered:
        async def delivered() -> Sequence[dict[str, Any]]:
            for asked in server.asked:
                validate(asked.document, "cloudEvent")
            documents = [asked.document["data"] for asked in server.asked]
            for document in documents:
                validate(document, MESSAGES[document["event_type"]])
            return documents

        return delivered

    @pytest.fixture
    async def unreachable(self, server: WebServer, publisher: WebhookPublisher) -> WebhookPublisher:
        await server.go_away()
        return publisher


class TestWebhook(WebhookContract):
    secret = None


class TestSignedWebhook(WebhookContract):
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class HttpRecordsContract(RecordStoreContract, RecordSettingsContract):
    written: Callable[[Sequence[RuntimeRecord]], Any]

    @pytest.fixture
    async def store(self, server: WebServer) -> AsyncIterator[HttpRecords]:
        server.script = telling([])
        store = await HttpRecords.open(server.url("/targets"), parse_records)
        yield store
        await store.aclose()

    @pytest.fixture
    def edit(self, server: WebServer) -> Edit:
        async def edit(records: Sequence[RuntimeRecord]) -> None:
            server.script = telling(type(self).written(records))

        return edit


def telling(document: Any) -> Script:
    return Answer(200, json.dumps(document, default=str).encode(), {"Content-Type": "application/json"})


class TestRecords(HttpRecordsContract):
    written = staticmethod(lambda records: [asdict(record) for record in records])


def as_groups(records: Sequence[RuntimeRecord]) -> list[Any]:
    """Running games at a scheme, host and port are groups; the others are records."""
    return [_as_group(record) if _is_plain(record) else asdict(record) for record in records]


def _is_plain(record: RuntimeRecord) -> bool:
    scheme, separator, target = record.engine_endpoint.partition("://")
    is_target = bool(separator and target) and not set("/@") & set(target)
    is_plain = not record.probe and record.silenced_until is None
    return is_plain and record.status == RUNNING and scheme in {"http", "https"} and is_target


def _as_group(record: RuntimeRecord) -> dict[str, Any]:
    scheme, _, target = record.engine_endpoint.partition("://")
    labels = {"game_id": record.game_id, "container_id": record.current_container_id, "__scheme__": scheme}
    return {"targets": [target], "labels": {**record.labels, **labels, "__meta_shelf": "4"}}


class TestHttpSdGroups(HttpRecordsContract):
    written = staticmethod(as_groups)
