"""The client: one server, asked over one kept connection, never for longer than agreed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from healthprobe._util.version import __version__
from healthprobe.adapters.http.address import Address
from healthprobe.adapters.http.causes import cause_of

_CONNECT_WITHIN = 5.0
_KEPT = 4.0
"""Seconds that an idle connection is kept: less than the five after which common servers close theirs."""

_NETWORK_ERRORS = (aiohttp.ClientError, OSError)


class Unanswered(Exception):
    """There was no answer. The message says why, in words that are the same for the same cause."""


class Client:
    """Asks the server at `address`, with `timeout` seconds for the head of an answer, at most 5 of them to connect.

    Redirects are not followed, cookies not kept, and proxies that the environment names not used. Ended by `aclose`;
    a question asked after that opens it again.
    """

    def __init__(self, address: Address, *, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._tls = ssl.create_default_context() if address.url.scheme == "https" else True
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def exchange(
        self, method: str, url: URL, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask, and give the answer once its head is there; its body is whatever the caller reads of it.

        Raises Unanswered, also for what breaks while the caller reads; what is left unread closes the connection.
        """
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._opened().request(
                    method, url, headers=headers, data=body, allow_redirects=False, ssl=self._tls
                )
            async with response:
                yield response
        except _NETWORK_ERRORS as error:
            raise Unanswered(self.silence if type(error) is TimeoutError else cause_of(error)) from error

    @property
    def silence(self) -> str:
        """What is said of a server that does not answer in time."""
        return f"no answer within {self._timeout:g}s"

    async def aclose(self) -> None:
        """Close the connection."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        """The session, made at the first question: one belongs to the loop that it was made in."""
        if self._session is None:
            headers = {"User-Agent": f"healthprobe/{__version__}"}
            if self._address.authorization is not None:
                headers["Authorization"] = self._address.authorization
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=1, keepalive_timeout=_KEPT),
                timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_WITHIN),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=headers,
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


async def first_bytes(response: aiohttp.ClientResponse, most: int, within: float) -> bytes:
    """What comes of the body within so many seconds, at most `most` bytes; whatever breaks, what came before it."""
    beginning = bytearray()
    try:
        async with asyncio.timeout(within):
            while len(beginning) < most and (chunk := await response.content.read(most - len(beginning))):
                beginning += chunk
    except _NETWORK_ERRORS:  # the time limit's own error is an OSError
        pass
    return bytes(beginning)
