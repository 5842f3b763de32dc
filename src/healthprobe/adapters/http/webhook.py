"""Publishes events to a webhook: one POST an event, in order, acknowledged by 2xx."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Self

from healthprobe.adapters.http.cloudevent import CONTENT_TYPE, cloud_event
from healthprobe.adapters.http.errors import rejection
from healthprobe.adapters.http.signature import Signer, signer_of, webhook_id
from healthprobe.domain.event import DEFAULT_SOURCE, HealthEvent
from healthprobe.http_client.address import Address, parse_address
from healthprobe.http_client.client import Client, first_bytes
from healthprobe.http_client.errors import NoResponse
from healthprobe.ports import PublishError

RESPONSE_TIMEOUT = 10.0
"""Seconds that the head of a response may take."""

_BODY_TIMEOUT = 1.0
_MOST_BYTES = 4096
_HEADERS = {"Content-Type": CONTENT_TYPE, "Accept-Encoding": "identity"}


class WebhookPublisher:
    """Sends events as CloudEvents over one kept connection. Made by `of_url`, closed by `aclose`."""

    def __init__(self, address: Address, signer: Signer | None, *, timeout: float) -> None:
        self._address = address
        self._signer = signer
        self._client = Client(address, timeout=timeout)
        self._source = DEFAULT_SOURCE

    @classmethod
    def of_url(cls, url: str, *, secret: str | None = None, timeout: float = RESPONSE_TIMEOUT) -> Self:
        """Returns a publisher for the webhook at `url`; user and password become a Basic authorization header.

        With a `secret` every message is signed. `timeout`, in seconds, is for the head of each response; the body gets
        one second more. Raises ConfigurationError for a URL or a secret that cannot be used.
        """
        return cls(parse_address(url), None if secret is None else signer_of(secret), timeout=timeout)

    async def publish(self, events: Sequence[HealthEvent]) -> None:
        """Delivers `events` in order, each after the one before it was acknowledged.

        The status decides, even if the body breaks off. Raises PublishError: permanent for 400, 410, 413, 415 and 422,
        and for an event that cannot be written as text.
        """
        for delivered, event in enumerate(events):
            await self._deliver(event, delivered)

    def set_source(self, source: str) -> None:
        """Sets the source of all CloudEvents from now on, a URI reference that no other log has."""
        self._source = source

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._client.aclose()

    async def _deliver(self, event: HealthEvent, delivered: int) -> None:
        try:
            body = cloud_event(event, self._source)
        except UnicodeEncodeError as error:
            message = f"an event cannot be written as text: {error}"
            raise PublishError(message, permanent=True, delivered=delivered) from error
        # the time of the attempt: receivers refuse a message that is minutes old, and an event may be days old
        identifier = webhook_id(event.id, self._source)
        signed = self._signer.headers(identifier, int(time.time()), body) if self._signer else {}
        try:
            async with self._client.request(
                "POST", self._address.url, headers=_HEADERS | signed, body=body
            ) as response:
                beginning = await first_bytes(response, _MOST_BYTES, _BODY_TIMEOUT)
        except NoResponse as error:
            raise PublishError(f"webhook at {self._address.origin}: {error}", delivered=delivered) from error
        if response.status not in range(200, 300):
            raise rejection(
                response.status,
                beginning,
                delivered=delivered,
                retry_after=response.headers.get("Retry-After", ""),
                location=response.headers.get("Location", ""),
            )
