"""The webhook as a bus: one POST an event, one after the other, acknowledged by 2xx."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Self

from healthprobe.adapters.http.address import Address, parse_address
from healthprobe.adapters.http.client import Client, Unanswered, first_bytes
from healthprobe.adapters.http.cloudevent import CONTENT_TYPE, cloud_event
from healthprobe.adapters.http.refusal import refusal
from healthprobe.adapters.http.signature import Signer, signer_of
from healthprobe.domain.event import HealthEvent
from healthprobe.ports import PublishError

ANSWER_WITHIN = 10.0
"""Seconds that a webhook has for the head of its answer."""

_BODY_WITHIN = 1.0
_MOST_BYTES = 4096
_HEADERS = {"Content-Type": CONTENT_TYPE, "Accept-Encoding": "identity"}


class WebhookPublisher:
    """Sends events as CloudEvents over one kept connection. Made by `of_url`, ended by `aclose`."""

    def __init__(self, address: Address, signer: Signer | None, *, timeout: float) -> None:
        self._address = address
        self._signer = signer
        self._client = Client(address, timeout=timeout)

    @classmethod
    def of_url(cls, url: str, *, secret: str | None = None, timeout: float = ANSWER_WITHIN) -> Self:
        """The publisher for the webhook at `url`; user and password there become a Basic authorization header.

        With a `secret` every message is signed. `timeout` bounds, in seconds, each wait for an answer's head; its body
        gets one second more. Raises ConfigurationError for a URL or a secret that cannot be used.
        """
        return cls(parse_address(url), None if secret is None else signer_of(secret), timeout=timeout)

    async def publish(self, events: Sequence[HealthEvent]) -> None:
        """Deliver `events` in order, each after the one before it was acknowledged.

        The status decides, whatever becomes of the body after it. Raises PublishError: permanent for 4xx but 408, 425
        and 429; worth a retry for all other answers and where there is none.
        """
        for delivered, event in enumerate(events):
            await self._deliver(event, delivered)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    async def _deliver(self, event: HealthEvent, delivered: int) -> None:
        try:
            body = cloud_event(event)
        except UnicodeEncodeError as error:
            message = f"an event cannot be written as text: {error}"
            raise PublishError(message, permanent=True, delivered=delivered) from error
        # the time of the attempt, not of the event: receivers refuse what is minutes old, and events may wait for days
        signed = self._signer.headers(event.id, int(time.time()), body) if self._signer else {}
        try:
            async with self._client.exchange(
                "POST", self._address.url, headers=_HEADERS | signed, body=body
            ) as response:
                beginning = await first_bytes(response, _MOST_BYTES, _BODY_WITHIN)
        except Unanswered as error:
            raise PublishError(f"webhook at {self._address.origin}: {error}", delivered=delivered) from error
        if response.status not in range(200, 300):
            raise refusal(
                response.status,
                beginning,
                delivered=delivered,
                retry_after=response.headers.get("Retry-After", ""),
                location=response.headers.get("Location", ""),
            )
