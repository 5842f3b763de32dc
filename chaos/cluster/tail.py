"""The log as another program reads it: with plain nats-py, message by message from the stream's leader."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Sequence
from typing import Any

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError

from chaos.oracle import Document
from healthprobe.adapters.nats.connection import propagating_cancellation

_ASK_WITHIN = 2.0
_AT_ONCE = 200
_NOT_THERE = 404
_LOOK_EVERY = 0.05

_AWAY = (NatsError, OSError, TimeoutError)


class Refused(Exception):
    """JetStream answered with an error."""


class Tail:
    """The events of `prefix` that were read so far from these servers, which may be away."""

    def __init__(self, servers: Sequence[str], prefix: str) -> None:
        self._servers = list(servers)
        self._filter = f"{prefix}.events.>"
        self._marker = f"{prefix}.events."
        self._client: Client | None = None
        self.stream = ""
        """The stream of the log; empty until it exists."""
        self.in_incident: set[str] = set()
        """The games whose last event is a probe_failed."""
        self._events: list[Document] = []
        self._after = 0
        self._next_look = 0.0
        self._one_at_a_time = asyncio.Lock()

    async def count(self) -> int:
        """Returns how many events have been read."""
        await self._look()
        return len(self._events)

    async def events(self) -> list[Document]:
        """Returns all events in the order of the log."""
        await self._look()
        return list(self._events)

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def _look(self) -> None:
        async with self._one_at_a_time:
            if time.monotonic() < self._next_look:
                return
            try:
                with propagating_cancellation():
                    await self._read_on()
            except (*_AWAY, Refused):
                pass  # it is away: the next look reads on
            self._next_look = time.monotonic() + _LOOK_EVERY

    async def _read_on(self) -> None:
        if not self.stream:
            (self.stream,) = (await self._request("STREAM.NAMES", {"subject": self._filter}))["streams"] or [""]
            if not self.stream:
                return
        last = (await self._request(f"STREAM.INFO.{self.stream}"))["state"]["last_seq"]
        while self._after < last:
            places = range(self._after + 1, min(self._after + _AT_ONCE, last) + 1)
            for message in await asyncio.gather(*map(self._message, places)):
                if message is not None and message["subject"].startswith(self._marker):
                    self._take(json.loads(base64.b64decode(message["data"])))
                self._after += 1

    def _take(self, event: Document) -> None:
        self._events.append(event)
        if event["event_type"] == "probe_failed":
            self.in_incident.add(event["game_id"])
        else:
            self.in_incident.discard(event["game_id"])

    async def _message(self, place: int) -> dict[str, Any] | None:
        """Returns the message with this sequence, or None if there is none."""
        try:
            return await self._get({"seq": place})
        except Refused as refusal:
            if refusal.args[0] != _NOT_THERE:
                raise
        # It was deleted if a later message exists. A leader that was paused may not have it yet.
        await self._get({"seq": place, "next_by_subj": ">"})
        return None

    async def _get(self, query: dict[str, Any]) -> dict[str, Any]:
        message: dict[str, Any] = (await self._request(f"STREAM.MSG.GET.{self.stream}", query))["message"]
        return message

    async def _request(self, api: str, query: dict[str, Any] | None = None) -> dict[str, Any]:
        if self._client is None:
            self._client = await nats.connect(
                self._servers,
                connect_timeout=1,
                reconnect_time_wait=0.2,
                max_reconnect_attempts=-1,
                ping_interval=1,
                max_outstanding_pings=2,
                error_cb=_ignore,
            )
        body = b"" if query is None else json.dumps(query).encode()
        answer = await self._client.request(f"$JS.API.{api}", body, timeout=_ASK_WITHIN)
        response: dict[str, Any] = json.loads(answer.data)
        if "error" in response:
            raise Refused(response["error"]["code"], response["error"].get("description"))
        return response


async def _ignore(_: Exception) -> None:
    """Ignores errors of servers that a fault has taken away."""
