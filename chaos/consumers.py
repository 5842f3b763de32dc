"""The consumers: what each publisher has delivered, in the order in which it came."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiohttp import web
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from tests.servers.redis import document_of
from tests.servers.web import Asked

from chaos.engines import ALTERED
from chaos.oracle import Document

_LONGEST_LOOK = 2.0


class Consumer:
    """All deliveries to one consumer, repeated ones too, but for those of the game `ALTERED`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.deliveries: list[Document] = []
        self.arrived: dict[str, Document] = {}
        """Each event by its id, as it was first delivered: what a consumer that drops repeated ids has."""

    def receive(self, event: Document) -> None:
        if event["game_id"] == ALTERED:
            return
        self.deliveries.append(event)
        self.arrived.setdefault(event["id"], event)

    @property
    def repeated(self) -> int:
        return len(self.deliveries) - len(self.arrived)

    async def look(self) -> None:
        """Receives what has come since the last call."""

    async def aclose(self) -> None:
        """Closes what `look` has opened."""


class StreamConsumer(Consumer):
    """Reads a Redis stream from where it last stopped. Nothing comes while the server is down."""

    def __init__(self, port: int, stream: str, name: str = "redis") -> None:
        super().__init__(name)
        self._redis = Redis(
            port=port, protocol=2, decode_responses=True, socket_timeout=_LONGEST_LOOK, retry=Retry(NoBackoff(), 0)
        )
        self._stream = stream
        self._after = "-"

    async def look(self) -> None:
        try:
            entries: Any = await self._redis.xrange(self._stream, self._after)
        except RedisError:
            return
        for place, fields in entries:
            self._after = f"({place}"
            self.receive(document_of(fields))

    async def aclose(self) -> None:
        await self._redis.aclose()


class WebhookConsumer(Consumer):
    """Receives what a web server acknowledges; `take` is the server's script."""

    def __init__(self) -> None:
        super().__init__("webhook")

    async def take(self, _request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        self.receive(asked.document["data"])
        return web.Response(status=204)


class FileConsumer(Consumer):
    """Reads the complete lines that are appended to a file, as `tail -f` does."""

    def __init__(self, file: Path) -> None:
        super().__init__("file")
        self._file = file
        self._read = 0

    async def look(self) -> None:
        if not self._file.exists():
            return
        with self._file.open("rb") as file:
            file.seek(self._read)
            whole = file.read().rpartition(b"\n")[0]
        if whole:
            self._read += len(whole) + 1
            for line in whole.split(b"\n"):
                self.receive(json.loads(line))
