"""Fetches a JSON document by GET, whole or not at all, and only if it has changed."""

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
from healthprobe.http_client.address import Address
from healthprobe.http_client.client import Client
from healthprobe.http_client.errors import REDIRECTS, NoResponse, is_permanent
from healthprobe.ports import ConfigurationError, StoreError

MAX_BYTES = 64 * 1024 * 1024
"""The size of the largest document that is read, compressed or not."""

_MAX_REDIRECTS = 3
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip"}
_ZLIB_OR_GZIP = 47
_GZIP = b"\x1f\x8b"
_MAX_MEMBERS = 10_000
_PORTION = 64 * 1024


@dataclass(frozen=True, slots=True)
class Document:
    """A body as it came, and the headers that make the next request conditional."""

    body: bytes
    is_compressed: bool
    validators: Mapping[str, str]

    def content(self) -> bytes:
        """Returns the body, decompressed. Raises ConfigurationError if it is damaged or too large. For a thread."""
        if not self.is_compressed and not self.body.startswith(_GZIP):
            return self.body
        try:
            return _decompressed(self.body)
        except zlib.error:
            raise ConfigurationError("the answer is not valid gzip") from None


def _decompressed(body: bytes) -> bytes:
    """Returns the content of all members of gzip, which zeros may follow. Raises zlib.error or ConfigurationError."""
    content, position, members = bytearray(), 0, 0
    while position < len(body) and not (members and body[position] == 0):
        decompressor = zlib.decompressobj(_ZLIB_OR_GZIP)
        while not decompressor.eof:
            if position >= len(body):
                raise zlib.error
            portion = body[position : position + _PORTION]
            position += len(portion)
            content += decompressor.decompress(portion, MAX_BYTES + 1 - len(content))
            if len(content) > MAX_BYTES:
                raise _too_large()
        position -= len(decompressor.unused_data)
        members += 1
        if members > _MAX_MEMBERS:
            raise zlib.error
    if not members or body[position:].strip(b"\0"):
        raise zlib.error
    return bytes(content)


class DocumentSource:
    """The server of the document. A fetch takes at most `timeout` seconds."""

    def __init__(self, address: Address, *, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._client = Client(address, timeout=timeout)

    async def fetch(self, validators: Mapping[str, str]) -> Document | None:
        """Returns the document, or None if it has not changed since the one that had `validators`.

        Raises StoreError if a retry may help, ConfigurationError if something must be changed first. The messages do
        not name the server.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._follow(validators)
        except TimeoutError:
            raise StoreError(self._client.timeout_text) from None
        except NoResponse as error:
            raise StoreError(str(error)) from error

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _follow(self, validators: Mapping[str, str]) -> Document | None:
        url = self._address.url
        for _ in range(_MAX_REDIRECTS + 1):
            async with self._client.request("GET", url, headers={**_HEADERS, **validators}) as response:
                if response.status not in REDIRECTS:
                    return await _document_in(response, validators)
                url = _next_url(url, response.headers.get("Location", ""))
        raise ConfigurationError(f"it redirects more than {_MAX_REDIRECTS} times")


async def _document_in(response: aiohttp.ClientResponse, validators: Mapping[str, str]) -> Document | None:
    if response.status == HTTPStatus.NOT_MODIFIED and validators:
        return None
    if response.status != HTTPStatus.OK:
        raise (ConfigurationError if is_permanent(response.status) else StoreError)(f"it answered {response.status}")
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
    """Returns the target of a redirect. It must be of the same origin: a server may not send us to another one."""
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
    """Returns whether the second of `modified` is over: a second change within it would have the same time."""
    try:
        return parsedate_to_datetime(modified) < parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return False


def _is_json(content_type: str) -> bool:
    kind = content_type.lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _too_large() -> ConfigurationError:
    return ConfigurationError(f"its answer is larger than {MAX_BYTES // 1024 // 1024} MiB: split it, or use a database")
