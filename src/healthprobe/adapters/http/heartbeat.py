"""Heartbeats: a GET of a URL at a service that raises an alarm when they stop coming."""

from __future__ import annotations

from typing import Self

from healthprobe.http_client.address import Address, parse_address
from healthprobe.http_client.client import Client
from healthprobe.http_client.errors import NoResponse
from healthprobe.ports import PublishError

_TIMEOUT = 10.0


class HttpHeartbeat:
    """Sends heartbeats to a URL. Made by `of_url`, closed by `aclose`.

    Messages have the URL's origin alone: its path is often a secret.
    """

    def __init__(self, address: Address, *, timeout: float) -> None:
        self._address = address
        self._client = Client(address, timeout=timeout)

    @classmethod
    def of_url(cls, url: str, *, timeout: float = _TIMEOUT) -> Self:
        """Returns heartbeats for a URL; user and password become a Basic authorization header.

        A response must come within `timeout` seconds. Raises ConfigurationError for a URL that cannot be used.
        """
        return cls(parse_address(url), timeout=timeout)

    async def send(self) -> None:
        """Sends one. Returns when it is acknowledged by 2xx. Raises PublishError."""
        where = f"heartbeat at {self._address.origin}"
        try:
            async with self._client.request("GET", self._address.url, headers={}) as response:
                status = response.status
        except NoResponse as error:
            raise PublishError(f"{where}: {error}") from error
        if status not in range(200, 300):
            raise PublishError(f"{where}: it answered {status}", code=str(status))

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._client.aclose()
