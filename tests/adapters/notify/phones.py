"""Services that record the messages of apprise: one target, several, and several that apprise cannot separate."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from apprise import AppriseAsset, NotifyBase

Untyped: Any = NotifyBase


class Phone:
    """A service that records messages, and refuses them from the `refuse_after`th on."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        self.refuse_after = 1_000
        self.gate = asyncio.Event()
        self.gate.set()
        self.url = ""

    @property
    def sentences(self) -> list[str]:
        return [line for message in self.messages for line in message["message"].split("\n")]

    async def take(self, request: web.Request) -> web.Response:
        await self.gate.wait()
        if len(self.messages) >= self.refuse_after:
            return web.Response(status=503)
        self.messages.append(await request.json())
        return web.Response()


class Ntfy:
    """A server of ntfy that records what each topic gets, and answers 503 for those in `dead`."""

    def __init__(self) -> None:
        self.got: Counter[str] = Counter()
        self.sentences: dict[str, list[str]] = {}
        self.dead = {"dead"}
        self.place = ""

    async def take(self, request: web.Request) -> web.Response:
        message = await request.json()
        topic = message["topic"]
        self.got[topic] += 1
        if topic in self.dead:
            return web.Response(status=503)
        self.sentences.setdefault(topic, []).extend(message["message"].split("\n"))
        return web.json_response({})


class Inseparable(Untyped):  # type: ignore[misc]  # apprise is hardly typed
    """A service with two targets that its URL does not name; one of them refuses while `is_dead`."""

    service_name = "Inseparable"
    secure_protocol = "inseparable"

    def __init__(self) -> None:
        super().__init__(asset=AppriseAsset(async_mode=False))
        self.is_dead = True
        self.bodies: list[str] = []

    def __len__(self) -> int:
        return 2

    def send(self, body: str, **_: Any) -> bool:
        self.bodies.append(body)
        return not self.is_dead


@asynccontextmanager
async def phone_of_its_own() -> AsyncIterator[Phone]:
    """Yields a phone with its URL."""
    phone = Phone()
    async with _served(phone.take) as place:
        phone.url = f"json://user:secret@{place}/"
        yield phone
        phone.gate.set()


@asynccontextmanager
async def ntfy_of_its_own() -> AsyncIterator[Ntfy]:
    """Yields a server of ntfy with its place."""
    ntfy = Ntfy()
    async with _served(ntfy.take) as place:
        ntfy.place = place
        yield ntfy


@asynccontextmanager
async def _served(take: Any) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_post("/{tail:.*}", take)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()
