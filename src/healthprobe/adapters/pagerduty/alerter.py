"""Gives alerts to a service of PagerDuty: one POST an event, acknowledged by 2xx."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Self

import aiohttp

from healthprobe._util.safe_logging import Logger, SafeLogger
from healthprobe.adapters.pagerduty.address import Service, parse_service
from healthprobe.adapters.pagerduty.documents import resolution, trigger
from healthprobe.domain.alarms.alert import Alert, ResolvedAlert
from healthprobe.http_client.client import Client, first_bytes
from healthprobe.http_client.errors import REDIRECTS, NoResponse, answer_text, first_line, is_web_page, pause_asked_for
from healthprobe.ports import ConfigurationError, PublishError

RESPONSE_TIMEOUT = 10.0
"""Seconds that the head of a response may take."""

_BODY_TIMEOUT = 1.0
_LONGEST_ANSWER = 4096
_INVALID = frozenset({400, 413, 422})
_HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}


class PagerDutyAlerter:
    """Gives alerts to a service over one kept connection. Made by `of_url`, closed by `aclose`.

    `name` has no secrets.
    """

    def __init__(self, service: Service, *, page: str | None, timeout: float) -> None:
        self.name = service.name
        self._service = service
        self._page = page
        self._client = Client(service.address, timeout=timeout)

    @classmethod
    def of_url(
        cls, url: str, *, page: str | None = None, logger: Logger | None = None, timeout: float = RESPONSE_TIMEOUT
    ) -> Self:
        """Returns an alerter for the service of `url`.

        `page` is the URL of our page, to which alerts link. `timeout`, in seconds, is for the head of each response;
        the body gets one second more. Logs a warning for a key file that others may read. Raises ConfigurationError
        for a URL or a key that cannot be used.
        """
        service = parse_service(url)
        service.routing_key()
        if exposure := service.key.exposure():
            SafeLogger(logger).warning(exposure)
        return cls(service, page=page, timeout=timeout)

    async def fire(self, alerts: Sequence[Alert]) -> None:
        """Opens or updates `alerts` in order, each after the one before it was acknowledged.

        Raises PublishError: permanent for an alert that PagerDuty refuses, after those before it were taken.
        """
        key = self._routing_key()
        await self._send(trigger(alert, key, self._page) for alert in alerts)

    async def resolve(self, alerts: Sequence[ResolvedAlert]) -> None:
        """Closes `alerts`. Raises PublishError as `fire` does."""
        key = self._routing_key()
        await self._send(resolution(alert, key) for alert in alerts)

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._client.aclose()

    def _routing_key(self) -> str:
        try:
            return self._service.routing_key()
        except ConfigurationError as error:
            raise PublishError(str(error), code="secret") from error

    async def _send(self, events: Iterable[dict[str, Any]]) -> None:
        for delivered, event in enumerate(events):
            body = json.dumps(event).encode()  # escapes lone surrogates, which are no UTF-8
            try:
                async with self._client.request(
                    "POST", self._service.address.url, headers=_HEADERS, body=body
                ) as response:
                    beginning = await first_bytes(response, _LONGEST_ANSWER, _BODY_TIMEOUT)
            except NoResponse as error:
                raise PublishError(f"{self._title}: {error}", delivered=delivered) from error
            if response.status not in range(200, 300) or is_web_page(response):
                raise self._refusal(response, beginning, delivered)

    def _refusal(self, response: aiohttp.ClientResponse, beginning: bytes, delivered: int) -> PublishError:
        """Permanent is what PagerDuty says of the event, in JSON. What it says of the key concerns every event."""
        status = response.status
        said = _said(beginning)
        text = f"{self._title} {answer_text(response, said)}"
        if is_web_page(response):
            return PublishError(f"{text}; check the host in the URL", delivered=delivered, code="html")
        is_its_own = response.content_type == "application/json"
        if status in _INVALID and is_its_own and "routing_key" not in said:
            return PublishError(text, permanent=True, delivered=delivered, code=str(status))
        if status in {400, 401, 403}:
            text += f"; check the integration key at {self._service.key.place}"
        retry_after = None if status in REDIRECTS else pause_asked_for(response.headers.get("Retry-After", ""))
        return PublishError(text, delivered=delivered, retry_after=retry_after, code=str(status))

    @property
    def _title(self) -> str:
        return f"PagerDuty at {self._service.address.origin}"


def _said(beginning: bytes) -> str:
    """Returns the errors in an answer of PagerDuty, or its first line."""
    try:
        document = json.loads(beginning)
    except ValueError:
        return first_line(beginning)
    if not isinstance(document, dict):
        return first_line(beginning)
    errors = document.get("errors")
    said = "; ".join(map(str, errors)) if isinstance(errors, list) and errors else str(document.get("message", ""))
    return first_line(said.encode(errors="replace"))
