"""The document: what a server answers to GET, in full or not at all, and whether it has changed."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp
from yarl import URL

from healthprobe._util.text import shorten
from healthprobe.adapters.http.address import Address
from healthprobe.adapters.http.client import Client, Unanswered
from healthprobe.ports import ConfigurationError, StoreError

MAX_BYTES = 64 * 1024 * 1024
"""The largest document that is read, compressed or not."""

_MAX_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RETRIED = frozenset({408, 425, 429})
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip"}
_EITHER_ZLIB_OR_GZIP = 47


@dataclass(frozen=True, slots=True)
class Document:
    """A body as it came, and the request headers by which a change of it is asked for next time."""

    body: bytes
    is_compressed: bool
    validators: Mapping[str, str]

    def content(self) -> bytes:
        """The body, decompressed. Raises ConfigurationError where it is damaged or too large. To be run on a thread."""
        if not self.is_compressed:
            return self.body
        decompressor = zlib.decompressobj(_EITHER_ZLIB_OR_GZIP)
        try:
            content = decompressor.decompress(self.body, MAX_BYTES + 1)
        except zlib.error:
            raise ConfigurationError("the answer is not valid gzip") from None
        if len(content) > MAX_BYTES:
            raise _too_large()
        if not decompressor.eof:
            raise ConfigurationError("the answer is not valid gzip")
        return content


class Source:
    """The server that has the document, asked with `timeout` seconds for everything."""

    def __init__(self, address: Address, *, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._client = Client(address, timeout=timeout)

    async def fetch(self, validators: Mapping[str, str]) -> Document | None:
        """The document, or None where the server says that it has not changed since it gave `validators`.

        Raises StoreError where the server is away or asks for patience, and ConfigurationError where asking again
        cannot help unless something is changed. Neither message names the server.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._follow(validators)
        except TimeoutError:
            raise StoreError(self._client.silence) from None
        except Unanswered as error:
            raise StoreError(str(error)) from error

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _follow(self, validators: Mapping[str, str]) -> Document | None:
        url = self._address.url
        for _ in range(_MAX_REDIRECTS + 1):
            async with self._client.exchange("GET", url, headers={**_HEADERS, **validators}) as response:
                if response.status not in _REDIRECTS:
                    return await _answer(response, validators)
                url = _next_url(url, response.headers.get("Location", ""))
        raise ConfigurationError(f"it redirects more than {_MAX_REDIRECTS} times")


async def _answer(response: aiohttp.ClientResponse, validators: Mapping[str, str]) -> Document | None:
    if response.status == HTTPStatus.NOT_MODIFIED and validators:
        return None
    if response.status != HTTPStatus.OK:
        is_final = 400 <= response.status < 500 and response.status not in _RETRIED
        raise (ConfigurationError if is_final else StoreError)(f"it answered {response.status}")
    if not _is_json(response.content_type):
        raise ConfigurationError(f"it answered {shorten(response.content_type, 100)}, and http_sd is application/json")
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", "x-gzip", "deflate"}:
        raise ConfigurationError("its answer is compressed in a way that was not asked for")
    return Document(await _body(response), encoding != "identity", _validators(response.headers))


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BYTES:
            raise _too_large()
    return bytes(body)


def _next_url(url: URL, location: str) -> URL:
    """Where a redirect leads, within the same origin: what a server says must not make us ask another one."""
    try:
        target = url.join(URL(location)).with_user(None).with_fragment(None)
        is_elsewhere = target.origin() != url.origin()
    except ValueError:
        is_elsewhere = True
    if not location or is_elsewhere:
        raise ConfigurationError("it redirects to another server, which is not followed: give the URL it has moved to")
    return target


def _validators(headers: Mapping[str, str]) -> dict[str, str]:
    validators = {}
    if etag := headers.get("ETag"):
        validators["If-None-Match"] = etag
    if (modified := headers.get("Last-Modified")) and _is_settled(modified, headers.get("Date", "")):
        validators["If-Modified-Since"] = modified
    return validators


def _is_settled(modified: str, date: str) -> bool:
    """Whether no second change can hide behind this time: it counts whole seconds, and this one must be over."""
    try:
        return parsedate_to_datetime(modified) < parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return False


def _is_json(content_type: str) -> bool:
    kind = content_type.lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _too_large() -> ConfigurationError:
    return ConfigurationError(f"its answer is larger than {MAX_BYTES // 1024 // 1024} MiB: split it, or use a database")
