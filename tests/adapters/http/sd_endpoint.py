"""Helpers: an http_sd endpoint, a store that reads it, and its errors."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from tests.servers.web import Answer, Asked, Script, WebServer

from healthprobe.adapters.file import parse_records
from healthprobe.adapters.http import HttpRecords
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ConfigurationError, StoreError

PATIENT = 30.0


def group(number: int) -> dict[str, Any]:
    return {"targets": [f"h:{number}"], "labels": {"game_id": f"game-{number}"}}


def listing_of(*numbers: int, **headers: str) -> Answer:
    """Returns a valid response with these games."""
    return json_answer(json.dumps([group(number) for number in numbers]).encode(), **headers)


def json_answer(body: bytes, **headers: str) -> Answer:
    return Answer(
        200, body, {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    )


@dataclass
class Versioned:
    """Answers with `answer` and its validators, or with 304 to a request that has them; counts both."""

    answer: Answer
    whole: int = 0
    not_modified: int = 0

    async def __call__(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        offered = (asked.headers.get("If-None-Match"), asked.headers.get("If-Modified-Since"))
        current = (self.answer.headers.get("ETag"), self.answer.headers.get("Last-Modified"))
        if offered == current != (None, None):
            self.not_modified += 1
            return web.Response(status=304)
        self.whole += 1
        return await self.answer(request, asked)


@dataclass
class CountingParser:
    """The parser, which records its texts in `parsed`."""

    parsed: list[str] = field(default_factory=list)

    def __call__(self, text: str, name: str) -> list[RuntimeRecord]:
        self.parsed.append(text)
        return parse_records(text, name)


@asynccontextmanager
async def store_of(
    script: Script, *, path: str = "/targets", timeout: float = PATIENT, parser: CountingParser | None = None
) -> AsyncIterator[tuple[WebServer, HttpRecords]]:
    async with WebServer(script) as server:
        store = await HttpRecords.open(server.url(path), parser or parse_records, timeout=timeout)
        async with aclosing(store):
            yield server, store


async def games(store: HttpRecords) -> list[str]:
    return [record.game_id for record in await store.list_by_status("running")]


async def fault_of(store: HttpRecords, times: int = 1) -> str:
    """Returns the store's error, which must be the same each time and never permanent."""
    faults = set()
    for _ in range(times):
        with pytest.raises(StoreError) as raised:
            await store.list_by_status("running")
        assert not raised.value.permanent
        faults.add(str(raised.value))
    [fault] = faults
    return fault


async def refusal_of(script: Script, *, timeout: float = PATIENT) -> tuple[type[Exception], str]:
    """Returns the error of opening a store, without the server's name. No connection may be left open."""
    async with WebServer(script) as server:
        with pytest.raises((ConfigurationError, StoreError)) as raised:
            await HttpRecords.open(server.url("/targets"), parse_records, timeout=timeout)
        name, _, fault = str(raised.value).partition("/targets")
        assert name == f"http://127.0.0.1:{server.port}"
        return raised.type, fault
