"""Helpers: a scripted webhook, a publisher that delivers to it, and its errors."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import pytest
from tests.servers.web import ACCEPTED, Script, WebServer

from healthprobe.adapters.http import WebhookPublisher
from healthprobe.domain.event import HealthEvent
from healthprobe.ports import PublishError
from healthprobe.testing.contracts.samples import history

PATIENT = 30.0


@asynccontextmanager
async def webhook(
    script: Script = ACCEPTED, *, path: str = "/", secret: str | None = None, timeout: float = PATIENT
) -> AsyncIterator[tuple[WebServer, WebhookPublisher]]:
    async with (
        WebServer(script) as server,
        aclosing(WebhookPublisher.of_url(server.url(path), secret=secret, timeout=timeout)) as publisher,
    ):
        yield server, publisher


async def refused(publisher: WebhookPublisher, events: Sequence[HealthEvent] | None = None) -> PublishError:
    """Returns the error of publishing `events`, or one event."""
    with pytest.raises(PublishError) as raised:
        await publisher.publish(history("game-7", 1) if events is None else events)
    return raised.value


async def refused_by(script: Script, *, timeout: float = PATIENT) -> PublishError:
    async with webhook(script, timeout=timeout) as (_, publisher):
        return await refused(publisher)
