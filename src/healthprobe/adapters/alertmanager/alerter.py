"""Gives alerts to an Alertmanager: one POST for many alerts, acknowledged by 2xx."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Self

import aiohttp
from yarl import URL

from healthprobe._util.safe_logging import Logger, SafeLogger
from healthprobe.adapters.alertmanager.address import Alertmanagers, parse_alertmanagers
from healthprobe.adapters.alertmanager.answers import refusal
from healthprobe.adapters.alertmanager.documents import ended_by, firing_document, resolved_document
from healthprobe.domain.alarms.alert import Alert, ResolvedAlert
from healthprobe.http_client.client import Client, first_bytes
from healthprobe.http_client.errors import NoResponse, is_web_page, server_time
from healthprobe.ports import ConfigurationError, PublishError

REPEAT_INTERVAL = 60.0
"""Seconds after which an open alert is sent again. No longer does an Alertmanager that restarted lack it."""

RESPONSE_TIMEOUT = 10.0
"""Seconds that the head of a response may take."""

_LATE_AFTER = 1.0
"""Seconds after which an Alertmanager that answers again has very probably taken what it did not answer before."""

_BODY_TIMEOUT = 1.0
_MOST_ALERTS = 500
_MOST_BYTES = 512 * 1024
_LONGEST_ANSWER = 4096
_HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}

Document = dict[str, Any]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class AlertmanagerAlerter:
    """Gives alerts to one Alertmanager over one kept connection. Made by `of_each_host`, closed by `aclose`.

    An Alertmanager keeps alerts in memory only, so those that are open are to be fired again every `repeat_interval`.
    """

    def __init__(
        self, name: str, where: Alertmanagers, *, page: str | None, timeout: float, now: Callable[[], datetime]
    ) -> None:
        self._title = f"Alertmanager at {name.partition('+')[2]}"
        self._address = where.addresses[name]
        self._login = where.login
        self._client = Client(self._address, timeout=timeout, tls=where.tls)
        self._page = page
        self._now = now
        self._may_take_earlier_ones = False

    @classmethod
    def of_each_host(
        cls,
        url: str,
        *,
        page: str | None = None,
        logger: Logger | None = None,
        timeout: float = RESPONSE_TIMEOUT,
        now: Callable[[], datetime] = _utc_now,
    ) -> Mapping[str, Self]:
        """Returns an alerter for each Alertmanager of `url`, by a name without secrets.

        `page` is the URL of our page, to which alerts link. `timeout`, in seconds, is for the head of each response;
        the body gets one second more. Logs a warning for a secret file that others may read. Raises
        ConfigurationError for a URL, a secret or a CA that cannot be used.
        """
        where = parse_alertmanagers(url)
        where.login.headers()
        if where.login.secret is not None and (exposure := where.login.secret.exposure()):
            SafeLogger(logger).warning(exposure)
        return {name: cls(name, where, page=page, timeout=timeout, now=now) for name in where.addresses}

    @property
    def repeat_interval(self) -> float:
        return REPEAT_INTERVAL

    async def fire(self, alerts: Sequence[Alert]) -> None:
        """Opens or updates `alerts`: each fires for a day, if Alertmanager hears no more of it.

        Raises PublishError: permanent for one alert that Alertmanager refuses, after those before it were taken.
        """
        now = self._now()
        await self._send(lambda: (firing_document(alert, now, self._page) for alert in alerts), are_over=False)

    async def resolve(self, alerts: Sequence[ResolvedAlert]) -> None:
        """Closes `alerts`. Raises PublishError as `fire` does."""
        await self._send(lambda: (resolved_document(alert, self._page) for alert in alerts), are_over=True)

    async def reach(self) -> None:
        """Asks for the status of Alertmanager, which changes nothing. Raises PublishError."""
        await self._ask("GET", self._address.url.with_name("status"), None, 0)

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._client.aclose()

    async def _send(self, documents: Callable[[], Iterable[Document]], *, are_over: bool) -> None:
        """Sends alerts; twice after a request that was not answered.

        An Alertmanager that hung takes such requests when it goes on, in any order: an alert that fired in one of them
        would be open for a day, although its end was acknowledged.
        """
        await self._send_all(documents(), are_over=are_over)
        if self._may_take_earlier_ones:
            await asyncio.sleep(_LATE_AFTER)
            await self._send_all(documents(), are_over=are_over)
            self._may_take_earlier_ones = False

    async def _send_all(self, documents: Iterable[Document], *, are_over: bool) -> None:
        delivered = 0
        for batch in _batches(documents):
            await self._send_batch(batch, delivered, are_over=are_over)
            delivered += len(batch)

    async def _send_batch(self, batch: Sequence[_Entry], delivered: int, *, are_over: bool) -> None:
        """Sends a batch. Of one that is refused it sends the halves, until the alert that is refused is alone.

        An alert whose end is in the future by Alertmanager's clock would fire on, as its last `endsAt` says: it is sent
        again with an end by that clock.
        """
        try:
            time_there = await self._post(batch, delivered)
        except PublishError as refused:
            if not refused.permanent or len(batch) == 1:
                raise
            middle = len(batch) // 2
            await self._send_batch(batch[:middle], delivered, are_over=are_over)
            await self._send_batch(batch[middle:], delivered + middle, are_over=are_over)
            return
        if are_over and time_there is not None:
            early = [entry for entry in batch if datetime.fromisoformat(entry.document["endsAt"]) > time_there]
            if early:
                await self._post([_Entry(ended_by(entry.document, time_there)) for entry in early], delivered)

    async def _post(self, batch: Sequence[_Entry], delivered: int) -> datetime | None:
        """Sends alerts. Returns the time of Alertmanager's clock, if its answer has it."""
        body = f"[{','.join(entry.text for entry in batch)}]".encode()
        return server_time(await self._ask("POST", self._address.url, body, delivered))

    async def _ask(self, method: str, url: URL, body: bytes | None, delivered: int) -> aiohttp.ClientResponse:
        """Returns a response that is 2xx and no web page. Raises PublishError."""
        try:
            headers = {**_HEADERS, **self._login.headers()}
        except ConfigurationError as error:
            raise PublishError(str(error), delivered=delivered, code="secret") from error
        try:
            async with self._client.request(method, url, headers=headers, body=body) as response:
                beginning = await first_bytes(response, _LONGEST_ANSWER, _BODY_TIMEOUT)
        except NoResponse as error:
            self._may_take_earlier_ones = True
            raise PublishError(f"{self._title}: {error}", delivered=delivered) from error
        if response.status not in range(200, 300) or is_web_page(response):
            self._may_take_earlier_ones |= (
                response.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            )  # a proxy gave up waiting
            raise refusal(self._title, response, beginning, delivered)
        return response


class _Entry:
    """An alert as a document and as JSON, of which lone surrogates are escaped: they are no UTF-8."""

    __slots__ = ("document", "text")

    def __init__(self, document: Document) -> None:
        self.document = document
        self.text = json.dumps(document)


def _batches(documents: Iterable[Document]) -> Iterator[list[_Entry]]:
    """Yields batches that an Alertmanager, and a proxy before it, will take."""
    batch: list[_Entry] = []
    size = 0
    for document in documents:
        entry = _Entry(document)
        if batch and (len(batch) == _MOST_ALERTS or size + len(entry.text) > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += len(entry.text)
    if batch:
        yield batch
