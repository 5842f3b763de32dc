"""A server that fails during a run: the same error each time, never permanent, listed again when it is back."""

import asyncio
import gzip
import tracemalloc

import pytest
from tests.adapters.http.sd_endpoint import Versioned, fault_of, games, json_answer, listing_of, store_of
from tests.servers.web import Answer, Script, raw, resetting, silent, trickling

from healthprobe.adapters.http import document
from healthprobe.ports import ConfigurationError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BROKEN = b'[\n {"targets": ["h:1"]},\n {"targets": ["http://h:2"]}\n]'


async def test_a_server_that_is_away_raises_the_same_error_each_time_and_then_gives_the_same_list_object() -> None:
    async with store_of(listing_of(1)) as (server, store):
        listing = await store.list_by_status("running")
        await server.go_away()
        assert await fault_of(store, times=3) == f"{server.url('/targets')}: connection refused"
        await server.come_back()
        assert await store.list_by_status("running") is listing


@pytest.mark.parametrize(
    ("answer", "told_of_it"),
    [
        (Answer(500), "it answered 500"),
        (Answer(503, b"later"), "it answered 503"),
        (Answer(429), "it answered 429"),
        (Answer(401), "it answered 401"),
        (Answer(404), "it answered 404"),
        (Answer(204), "it answered 204"),
        (Answer(206), "it answered 206"),
        (Answer(200, b"<html>log in</html>", {"Content-Type": "text/html"}), "it answered text/html, and http_sd is "),
        (resetting, "connection closed before the answer"),
        (raw(b"garbage\r\n\r\n"), "the answer is not HTTP"),
        (raw(HEAD + b"Content-Length: 100\r\n\r\n[]"), "the answer ends too early"),
        (raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n"), "the answer ends too early"),
        (json_answer(gzip.compress(b"[]")[:-9], Content_Encoding="gzip"), " the answer is not valid gzip"),
        (json_answer(b"[]", Content_Encoding="gzip"), " the answer is not valid gzip"),
        (json_answer(b"[]", Content_Encoding="br"), "its answer is compressed in a way that was not asked for"),
        (json_answer(b""), " it is empty; a list without records is written []"),
        (json_answer(b'[{"targets": ["\xff"]}]'), "1: not UTF-8 text: serve it as UTF-8"),
    ],
)
async def test_a_server_that_fails_raises_the_same_error_each_time_and_recovers(
    answer: Script, told_of_it: str
) -> None:
    async with store_of(listing_of(1)) as (server, store):
        listing = await store.list_by_status("running")
        server.script = answer
        fault = await fault_of(store, times=3)
        assert fault.startswith(f"{server.url('/targets')}:")
        assert told_of_it in fault
        server.script = listing_of(1)
        assert await store.list_by_status("running") is listing
        server.script = listing_of(2)
        assert await games(store) == ["game-2"]


WHOLE = gzip.compress(listing_of(2).body, mtime=0)
"""A list that would be valid, and that what follows makes doubtful."""


@pytest.mark.parametrize(
    "body",
    [WHOLE + gzip.compress(b" " * 2000, mtime=0)[:-5], WHOLE + b"junk", WHOLE + bytes(3) + b"junk", WHOLE[:-3], b""],
    ids=["second member cut", "text", "zeros and text", "cut", "nothing"],
)
async def test_gzip_that_is_damaged_anywhere_changes_nothing(body: bytes) -> None:
    async with store_of(listing_of(1)) as (server, store):
        listing = await store.list_by_status("running")
        server.script = json_answer(body, Content_Encoding="gzip")
        assert await fault_of(store, times=2) == f"{server.url('/targets')}: the answer is not valid gzip"
        server.script = listing_of(1)
        assert await store.list_by_status("running") is listing


def test_gzip_of_very_many_members_is_refused_before_it_takes_long() -> None:
    with pytest.raises(ConfigurationError, match="not valid gzip"):
        document.Document(gzip.compress(b"") * 1_000_000, is_compressed=True, validators={}).content()


@pytest.mark.parametrize("page", [b"<!doctype html>\n<title>Log in</title>", b"\n <html>", b'<?xml version="1.0"?>'])
async def test_a_page_that_says_that_it_is_json_changes_nothing(page: bytes) -> None:
    async with store_of(listing_of(1)) as (server, store):
        listing = await store.list_by_status("running")
        server.script = json_answer(page)
        assert await fault_of(store, times=2) == (
            f"{server.url('/targets')}: it answered a page, and http_sd is JSON: look whether it asks for a login"
        )
        server.script = listing_of(1)
        assert await store.list_by_status("running") is listing


async def test_an_invalid_list_is_reported_with_line_and_field() -> None:
    async with store_of(listing_of(1)) as (server, store):
        listing = await store.list_by_status("running")
        server.script = json_answer(BROKEN, ETag='"broken"')
        told_each_time = "targets[0]: expected HOST:PORT, without a scheme or a path"
        assert await fault_of(store, times=3) == f"{server.url('/targets')}:3: {told_each_time}"
        server.script = listing_of(1)
        assert await store.list_by_status("running") is listing


async def test_the_line_is_counted_in_the_whole_list() -> None:
    lines = [f'{{"targets": ["h:{number}"]}},' for number in range(1, 1001)]
    async with store_of(listing_of(1)) as (server, store):
        lines[899] = '{"targets": [7]},'
        server.script = json_answer("\n".join([*lines, "[]]"]).replace("{", "[{", 1).replace(",\n[]]", "\n]").encode())
        assert (await fault_of(store)).startswith(f"{server.url('/targets')}:900: targets[0]: ")


async def test_a_truncated_response_is_not_taken_for_an_unchanged_one() -> None:
    whole = listing_of(1, 2, ETag='"v2"')
    cut = HEAD + b'ETag: "v2"\r\nConnection: close\r\n\r\n' + whole.body[:-10]
    async with store_of(listing_of(1, ETag='"v1"')) as (server, store):
        server.script = raw(cut)
        assert "it ends too early" in await fault_of(store, times=2)
        server.script = Versioned(whole)
        assert await games(store) == ["game-1", "game-2"]


async def test_a_server_that_becomes_slow_causes_an_error_after_the_timeout() -> None:
    async with store_of(listing_of(1), timeout=2.0) as (server, store):
        server.script = trickling(HEAD + b"\r\n[")
        assert await fault_of(store) == f"{server.url('/targets')}: no answer within 2s"


@pytest.mark.proves("list-endless")
@pytest.mark.parametrize(
    "answer",
    [
        json_answer(b"[" + b" " * 2000 + b"]"),
        json_answer(gzip.compress(b"[" + b" " * 1_000_000 + b"]"), Content_Encoding="gzip"),
        trickling(HEAD + b"\r\n" + b" " * 2000, pause=10),
    ],
)
async def test_an_answer_of_any_size_is_not_read(answer: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_BYTES", 1500)
    async with store_of(listing_of(1)) as (server, store):
        server.script = answer
        fault = await fault_of(store)
        assert fault == f"{server.url('/targets')}: its answer is larger than 0 MiB: split it, or use a database"
        server.script = listing_of(2)
        assert await games(store) == ["game-2"]


@pytest.mark.proves("list-inflated")
def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_BYTES", 1_000_000)
    bomb = document.Document(gzip.compress(bytes(30_000_000)), is_compressed=True, validators={})
    tracemalloc.start()
    try:
        with pytest.raises(ConfigurationError, match="larger than"):
            bomb.content()
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


async def test_a_cancelled_listing_ends_at_once_and_leaves_nothing_behind() -> None:
    async with store_of(listing_of(1)) as (server, store):
        server.script = silent
        listing = asyncio.create_task(store.list_by_status("running"))
        while len(server.asked) < 2:  # noqa: ASYNC110  a server only counts
            await asyncio.sleep(0.005)
        listing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listing
        server.script = listing_of(2)
        assert await games(store) == ["game-2"]
        assert server.asked[-1].connection == 2


async def test_not_modified_without_validators_is_an_error() -> None:
    async with store_of(listing_of(1)) as (server, store):
        server.script = Answer(304)
        assert await fault_of(store) == f"{server.url('/targets')}: it answered 304"
