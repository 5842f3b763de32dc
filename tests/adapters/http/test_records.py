"""Records by http_sd: fetched at each listing, parsed when they change, the same list object until then."""

import asyncio
import gzip
import json
import threading
import zlib
from base64 import b64decode
from contextlib import aclosing

import pytest
from tests.adapters.http.sd_endpoint import CountingParser, Versioned, games, group, json_answer, listing_of, store_of
from tests.servers.web import Answer, WebServer
from tests.support.waiting import PATIENCE

from healthprobe import __version__
from healthprobe.adapters.file import parse_records
from healthprobe.adapters.http import HttpRecords, chunks
from healthprobe.domain.record import RuntimeRecord

LONG_AGO = "Mon, 23 Nov 2026 17:00:00 GMT"
A_SECOND_LATER = "Mon, 23 Nov 2026 17:00:01 GMT"


async def test_groups_and_records_have_the_same_form_as_in_a_file() -> None:
    document = [group(1), {"game_id": "game-2", "engine_endpoint": "http://h/2", "status": "stopped"}]
    async with store_of(json_answer(json.dumps(document).encode())) as (_, store):
        assert await store.list_by_status("running") == [RuntimeRecord("game-1", "", "http://h:1")]
        assert await store.list_by_status("stopped") == [RuntimeRecord("game-2", "", "http://h/2", "stopped")]
        assert await store.list_by_status("paused") is await store.list_by_status("paused")


async def test_the_request_has_a_user_agent_and_the_accepted_types() -> None:
    async with store_of(listing_of(1), path="/sd?tenant=a%2Fb") as (server, _):
        [asked] = server.asked
    assert (asked.method, asked.path) == ("GET", "/sd?tenant=a%2Fb")
    assert asked.headers["Accept"] == "application/json"
    assert asked.headers["User-Agent"] == f"healthprobe/{__version__}"
    assert "If-None-Match" not in asked.headers


async def test_a_response_with_the_same_etag_is_not_parsed_again() -> None:
    script, parser = Versioned(listing_of(1, ETag='"v1"')), CountingParser()
    async with store_of(script, parser=parser) as (server, store):
        listing = await store.list_by_status("running")
        assert all([await store.list_by_status("running") is listing for _ in range(5)])
        assert (script.whole, script.not_modified, len(parser.parsed)) == (1, 6, 1)
        assert {asked.connection for asked in server.asked} == {1}
        script.answer = listing_of(2, ETag='"v2"')
        assert await games(store) == ["game-2"]
        assert await games(store) == ["game-2"]
    assert (script.whole, script.not_modified, len(parser.parsed)) == (2, 7, 2)


async def test_a_new_etag_for_the_same_content_is_used_from_then_on() -> None:
    script = Versioned(listing_of(1, ETag='"v1"'))
    async with store_of(script) as (_, store):
        listing = await store.list_by_status("running")
        script.answer = listing_of(1, ETag='"v2"')
        assert all([await store.list_by_status("running") is listing for _ in range(3)])
    assert (script.whole, script.not_modified) == (2, 3)


async def test_last_modified_is_used_once_its_second_is_over() -> None:
    script = Versioned(listing_of(1, Last_Modified=LONG_AGO, Date=A_SECOND_LATER))
    async with store_of(script) as (_, store):
        assert await games(store) == ["game-1"]
    assert (script.whole, script.not_modified) == (1, 1)


@pytest.mark.parametrize("date", [LONG_AGO, "nonsense"])
async def test_a_second_change_within_one_second_is_seen(date: str) -> None:
    script = Versioned(listing_of(1, Last_Modified=LONG_AGO, Date=date))
    async with store_of(script) as (_, store):
        script.answer = listing_of(2, Last_Modified=LONG_AGO, Date=date)
        assert await games(store) == ["game-2"]


async def test_the_same_response_without_validators_gives_the_same_list_object() -> None:
    parser = CountingParser()
    async with store_of(listing_of(1, 2), parser=parser) as (server, store):
        listing = await store.list_by_status("running")
        assert all([await store.list_by_status("running") is listing for _ in range(3)])
        assert len(parser.parsed) == 1
        server.script = json_answer(json.dumps([group(1), group(2)], indent=4).encode())
        assert await store.list_by_status("running") is listing
        assert len(parser.parsed) == 2


async def test_a_change_shows_at_the_next_listing_and_leaves_the_last_one_as_it_was() -> None:
    async with store_of(listing_of(1, 2)) as (server, store):
        before = await store.list_by_status("running")
        server.script = listing_of(2, 3)
        assert await games(store) == ["game-2", "game-3"]
        assert [record.game_id for record in before] == ["game-1", "game-2"]


@pytest.mark.parametrize("charset", ["", "; charset=utf-8", "; charset=UTF-8"])
@pytest.mark.parametrize("kind", ["application/json", "Application/JSON", "application/vnd.sd+json"])
async def test_the_answer_may_be_any_kind_of_json(kind: str, charset: str) -> None:
    body = "\ufeff".encode() + listing_of(1).body
    async with store_of(Answer(200, body, {"Content-Type": kind + charset})) as (_, store):
        assert await games(store) == ["game-1"]


@pytest.mark.parametrize(
    ("encoding", "compressed"), [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress)]
)
async def test_the_answer_may_be_compressed(encoding: str, compressed: object) -> None:
    assert callable(compressed)
    async with store_of(json_answer(compressed(listing_of(1).body), Content_Encoding=encoding)) as (server, store):
        listing = await store.list_by_status("running")
        server.script = listing_of(1)
        assert await store.list_by_status("running") is listing
        assert listing == [RuntimeRecord("game-1", "", "http://h:1")]
        assert server.asked[0].headers["Accept-Encoding"] == "gzip"


@pytest.mark.parametrize("said", [{"Content_Encoding": "gzip"}, {}], ids=["said", "not said"])
@pytest.mark.parametrize("cut", [0, 1, 30, None])
async def test_gzip_may_have_several_members_and_zeros_at_its_end(cut: int | None, said: dict[str, str]) -> None:
    body = listing_of(1, 2).body
    members = [body[:cut], body[cut:]] if cut is not None else [bytes([byte]) for byte in body]
    compressed = b"".join(gzip.compress(member) for member in members)
    async with store_of(json_answer(compressed + bytes(20), **said)) as (_, store):
        assert await games(store) == ["game-1", "game-2"]


async def test_credentials_in_the_url_become_a_header() -> None:
    async with WebServer(listing_of(1)) as server:
        store = await HttpRecords.open(server.url(credentials="user:p%40ss"), parse_records)
        async with aclosing(store):
            assert await games(store) == ["game-1"]
    assert {b64decode(a.headers["Authorization"].split()[1]) for a in server.asked} == {b"user:p@ss"}


async def test_parsing_does_not_block_the_loop() -> None:
    begun, let_through = threading.Event(), threading.Event()

    def parse(text: str, name: str) -> list[RuntimeRecord]:
        begun.set()
        assert let_through.wait(PATIENCE)
        return parse_records(text, name)

    async with WebServer(listing_of(1)) as server:
        opening = asyncio.create_task(HttpRecords.open(server.url(), parse))
        assert await asyncio.to_thread(begun.wait, 20)
        assert not opening.done()
        let_through.set()
        async with aclosing(await opening) as store:
            assert await games(store) == ["game-1"]


async def test_a_long_list_is_parsed_in_chunks_and_listed_as_a_whole() -> None:
    parser = CountingParser()
    async with store_of(listing_of(*range(1, 1001)), parser=parser) as (_, store):
        assert await games(store) == [f"game-{number}" for number in range(1, 1001)]
    assert len(parser.parsed) == 5
    assert [group for text in parser.parsed for group in json.loads(text)] == json.loads(
        listing_of(*range(1, 1001)).body
    )


async def test_a_list_that_is_too_long_is_passed_whole_to_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_MOST_RECORDS", 300)
    parser = CountingParser()
    answer = listing_of(*range(1, 1001))
    async with store_of(answer, parser=parser):
        assert [len(json.loads(text)) for text in parser.parsed] == [200, 200, 1000]
    assert parser.parsed[-1] == answer.body.decode()


async def test_a_server_name_is_resolved() -> None:
    async with (
        WebServer(listing_of(1)) as server,
        aclosing(await HttpRecords.open(server.url(host="localhost"), parse_records)) as store,
    ):
        assert await games(store) == ["game-1"]
