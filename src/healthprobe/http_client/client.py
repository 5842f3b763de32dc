"""A client for one server, with one kept connection and a timeout for every response."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from healthprobe._util.version import __version__
from healthprobe.http_client.address import Address
from healthprobe.http_client.errors import NoResponse, network_error_text
from healthprobe.ports import ConfigurationError

_CONNECT_TIMEOUT = 5.0
_KEEPALIVE = 4.0
"""Seconds that an idle connection is kept: fewer than the five after which common servers close it."""

_NETWORK_ERRORS = (aiohttp.ClientError, OSError)


class Client:
    """Sends requests to the server at `address`. The head of a response must come within `timeout` seconds.

    Connecting may take 5 of them. `tls` has the authorities that are trusted, by default those of the system. Redirects
    are not followed, cookies not kept, and proxies of the environment not used. `aclose` closes the connection; a later
    request opens it again.
    """

    def __init__(self, address: Address, *, timeout: float, tls: ssl.SSLContext | None = None) -> None:
        self._address = address
        self._timeout = timeout
        self._tls = (tls or ssl.create_default_context()) if address.url.scheme == "https" else True
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def request(
        self, method: str, url: URL, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Sends a request and yields the response once its head has come. A body that is not read ends the connection.

        Raises NoResponse, also if the connection breaks while the caller reads the body.
        """
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._open_session().request(
                    method, url, headers=headers, data=body, allow_redirects=False, ssl=self._tls
                )
            async with response:
                yield response
        except _NETWORK_ERRORS as error:
            raise NoResponse(self.timeout_text if type(error) is TimeoutError else network_error_text(error)) from error

    @property
    def timeout_text(self) -> str:
        return f"no answer within {self._timeout:g}s"

    async def aclose(self) -> None:
        """Closes the connection."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        """Returns the session, made at the first request: a session belongs to the loop in which it was made."""
        if self._session is None:
            headers = {"User-Agent": f"healthprobe/{__version__}"}
            if self._address.authorization is not None:
                headers["Authorization"] = self._address.authorization
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=1, keepalive_timeout=_KEEPALIVE),
                timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_TIMEOUT),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=headers,
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


def trusting(ca: str) -> ssl.SSLContext:
    """Returns a context that trusts the authorities in the PEM file `ca` alone. Raises ConfigurationError."""
    try:
        return ssl.create_default_context(cafile=ca)
    except ssl.SSLError:
        raise ConfigurationError(f"the CA file {ca} is not a PEM with certificates") from None
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else "no such path"
        raise ConfigurationError(f"the CA file {ca} cannot be read: {reason}") from None


async def first_bytes(response: aiohttp.ClientResponse, most: int, within: float) -> bytes:
    """Returns what comes of the body within so many seconds, at most `most` bytes. Raises nothing if it breaks off."""
    beginning = bytearray()
    try:
        async with asyncio.timeout(within):
            while len(beginning) < most and (chunk := await response.content.read(most - len(beginning))):
                beginning += chunk
    except _NETWORK_ERRORS:  # TimeoutError is an OSError
        pass
    return bytes(beginning)
