"""Reads runtime records from an http_sd endpoint, at each listing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Self

from healthprobe.adapters.http.chunks import Parse, parse_in_chunks
from healthprobe.adapters.http.document import Document, DocumentSource
from healthprobe.domain.record import RuntimeRecord
from healthprobe.http_client.address import Address, parse_address
from healthprobe.ports import ConfigurationError, StoreError

FETCH_TIMEOUT = 10.0
"""Seconds that a whole response may take."""

_AS_JSON = "answer.json"


@dataclass(frozen=True, slots=True)
class _Reading:
    """The last response that was new: its records, or the fault in it."""

    validators: Mapping[str, str] = field(default_factory=dict)
    digest: bytes = b""
    records: list[RuntimeRecord] = field(default_factory=list)
    fault: str | None = None
    listings: dict[str, list[RuntimeRecord]] = field(default_factory=dict)


class HttpRecords:
    """Runtime records from a server that sends a JSON list of http_sd groups, of runtime records, or of both.

    Made by `open`, closed by `aclose`. Redirects are followed three times, within the same origin.
    """

    def __init__(self, address: Address, parse: Parse, *, timeout: float) -> None:
        self._name = address.name
        self._parse = parse
        self._source = DocumentSource(address, timeout=timeout)
        self._reading = _Reading()

    @classmethod
    async def open(cls, url: str, parse: Parse, *, timeout: float = FETCH_TIMEOUT) -> Self:
        """Reads the records at `url` for the first time; user and password become a Basic authorization header.

        `timeout`, in seconds, is for a whole response. Raises ConfigurationError if the URL or the response must be
        changed, and names line and field; StoreError if a retry may help.
        """
        store = cls(parse_address(url), parse, timeout=timeout)
        try:
            await store._refresh()
        except BaseException:
            await store.aclose()
            raise
        return store

    async def list_by_status(self, status: str) -> list[RuntimeRecord]:
        """Returns the records that have `status`, in the response's order: the same list until the response changes.

        Raises StoreError, each time with the same message, while the server is away or its response is invalid.
        """
        try:
            await self._refresh()
        except ConfigurationError as error:
            raise StoreError(str(error)) from error
        return self._reading.listings.setdefault(status, [])

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._source.aclose()

    async def _refresh(self) -> None:
        try:
            document = await self._source.fetch(self._reading.validators)
        except (ConfigurationError, StoreError) as error:
            raise type(error)(f"{self._name}: {error}") from error
        if document is not None:
            self._reading = await asyncio.to_thread(self._parse_document, document, self._reading)
        if self._reading.fault is not None:
            raise ConfigurationError(self._reading.fault)

    def _parse_document(self, document: Document, known: _Reading) -> _Reading:
        """Returns what is in `document`, with the known lists if that is the same. Runs on a thread."""
        digest = b""
        try:
            content = document.content()
            digest = sha256(content).digest()
            if digest == known.digest:
                return known if known.fault else replace(known, validators=document.validators)
            records = parse_in_chunks(_text_of(content), _AS_JSON, self._parse)
        except ConfigurationError as error:
            # without validators: if this response was cut short, the next must not be "not modified"
            return replace(known, validators={}, digest=digest, fault=self._with_name(str(error)))
        known = replace(known, validators=document.validators, digest=digest, fault=None)
        return known if records == known.records else replace(known, records=records, listings=_by_status(records))

    def _with_name(self, fault: str) -> str:
        """Returns the fault with the server's name before it: `http://…/targets:7: targets: …`."""
        after = fault.removeprefix(_AS_JSON)
        return self._name + (after if after != fault else f": {fault}")


def _text_of(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{_AS_JSON}:{line}: not UTF-8 text: serve it as UTF-8") from error
    if text.lstrip().startswith("<"):
        raise ConfigurationError("it answered a page, and http_sd is JSON: look whether it asks for a login")
    return text


def _by_status(records: list[RuntimeRecord]) -> dict[str, list[RuntimeRecord]]:
    listings: dict[str, list[RuntimeRecord]] = {}
    for record in records:
        listings.setdefault(record.status, []).append(record)
    return listings
