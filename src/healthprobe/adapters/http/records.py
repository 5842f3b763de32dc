"""The store: runtime records that a server tells in Prometheus http_sd's form, asked for afresh at each listing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Self

from healthprobe.adapters.http.address import Address, parse_address
from healthprobe.adapters.http.document import Document, Source
from healthprobe.adapters.http.slices import Parse, parse_in_slices
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ConfigurationError, StoreError

ANSWER_WITHIN = 10.0
"""Seconds that a server has for its whole answer."""

_AS_JSON = "answer.json"


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the server told when it last told something new: records, or the fault that keeps them from being known."""

    validators: Mapping[str, str] = field(default_factory=dict)
    digest: bytes = b""
    records: list[RuntimeRecord] = field(default_factory=list)
    fault: str | None = None
    listings: dict[str, list[RuntimeRecord]] = field(default_factory=dict)


class HttpRecords:
    """Runtime records from a server. Made by `open`, ended by `aclose`.

    The server tells a JSON list of http_sd groups, of runtime records, or of both. Redirects are followed three times,
    within the same origin.
    """

    def __init__(self, address: Address, parse: Parse, *, timeout: float) -> None:
        self._name = address.name
        self._parse = parse
        self._source = Source(address, timeout=timeout)
        self._reading = _Reading()

    @classmethod
    async def open(cls, url: str, parse: Parse, *, timeout: float = ANSWER_WITHIN) -> Self:
        """Ask the server at `url` for the first time; user and password there become a Basic authorization header.

        `timeout` bounds, in seconds, each answer as a whole. Raises ConfigurationError where something must be changed:
        the URL, or the answer, with its line and field; StoreError where the server is away.
        """
        store = cls(parse_address(url), parse, timeout=timeout)
        try:
            await store._refresh()
        except BaseException:
            await store.aclose()
            raise
        return store

    async def list_by_status(self, status: str) -> list[RuntimeRecord]:
        """The records that have `status`, in the answer's order: the very same list again until the answer changes.

        Raises StoreError, each time with the same message, as long as the server is away or its answer is broken.
        """
        try:
            await self._refresh()
        except ConfigurationError as error:
            raise StoreError(str(error)) from error
        return self._reading.listings.setdefault(status, [])

    async def aclose(self) -> None:
        """Close the connection."""
        await self._source.aclose()

    async def _refresh(self) -> None:
        try:
            document = await self._source.fetch(self._reading.validators)
        except (ConfigurationError, StoreError) as error:
            raise type(error)(f"{self._name}: {error}") from error
        if document is not None:
            self._reading = await asyncio.to_thread(self._read, document, self._reading)
        if self._reading.fault is not None:
            raise ConfigurationError(self._reading.fault)

    def _read(self, document: Document, known: _Reading) -> _Reading:
        """What `document` tells; for what it repeats, the lists that are known. Run on a thread."""
        digest = b""
        try:
            content = document.content()
            digest = sha256(content).digest()
            if digest == known.digest:
                return known if known.fault else replace(known, validators=document.validators)
            records = parse_in_slices(_text_of(content), _AS_JSON, self._parse)
        except ConfigurationError as error:
            # without validators: had the answer been cut short, "not modified" would be said of the whole one
            return replace(known, validators={}, digest=digest, fault=self._named(str(error)))
        known = replace(known, validators=document.validators, digest=digest, fault=None)
        return known if records == known.records else replace(known, records=records, listings=_by_status(records))

    def _named(self, fault: str) -> str:
        """The fault with the server's name for that of the text: `http://…/targets:7: targets: …`."""
        after = fault.removeprefix(_AS_JSON)
        return self._name + (after if after != fault else f": {fault}")


def _text_of(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{_AS_JSON}:{line}: not UTF-8 text: serve it as UTF-8") from error


def _by_status(records: list[RuntimeRecord]) -> dict[str, list[RuntimeRecord]]:
    listings: dict[str, list[RuntimeRecord]] = {}
    for record in records:
        listings.setdefault(record.status, []).append(record)
    return listings
