"""Opening: a configuration error if a retry cannot help, a store error if the server is away."""

from contextlib import aclosing

import pytest
from tests.adapters.http.sd_endpoint import games, json_answer, listing_of, refusal_of, store_of
from tests.servers.web import Answer, Script, WebServer, in_turn, raw, resetting, silent, trickling

from healthprobe.adapters.file import parse_records
from healthprobe.adapters.http import HttpRecords
from healthprobe.ports import ConfigurationError, StoreError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ELSEWHERE = "it redirects to another server, which is not followed: give the URL it has moved to"


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        (Answer(404), ": it answered 404"),
        (Answer(403), ": it answered 403"),
        (
            Answer(200, b"[]", {"Content-Type": "text/plain"}),
            ": it answered text/plain, and http_sd is application/json",
        ),
        (json_answer(b"[]", Content_Encoding="br"), ": its answer is compressed in a way that was not asked for"),
        (json_answer(b"{}"), ":1: expected a list of runtime records or of file_sd groups"),
        (json_answer(b'[\n{"targets": 1}\n]'), ":2: targets: expected a list, and this is a number; quote it"),
        (json_answer(b"[\n"), ":2: not valid JSON: it ends too early"),
    ],
)
async def test_an_error_that_a_retry_cannot_help_is_a_configuration_error(script: Script, fault: str) -> None:
    assert await refusal_of(script) == (ConfigurationError, fault)


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        (Answer(500), ": it answered 500"),
        (Answer(503), ": it answered 503"),
        (Answer(429), ": it answered 429"),
        (Answer(408), ": it answered 408"),
        (resetting, ": connection closed before the answer"),
        (
            raw(HEAD + b"Content-Length: 9\r\n\r\n[]"),
            ": the answer ends too early",
        ),
    ],
)
async def test_a_server_that_is_away_is_a_store_error(script: Script, fault: str) -> None:
    assert await refusal_of(script) == (StoreError, fault)


@pytest.mark.parametrize(
    "script", [silent, trickling(HEAD + b"X: "), trickling(HEAD + b"\r\n["), Answer(200, b"[]", pause=60)]
)
async def test_a_slow_server_is_an_error_after_the_timeout(script: Script) -> None:
    assert await refusal_of(script, timeout=0.3) == (StoreError, ": no answer within 0.3s")


async def test_a_refused_connection_is_a_store_error_without_secrets() -> None:
    async with WebServer() as server:
        url = server.url("/sd?token=secret", credentials="user:secret")
    with pytest.raises(StoreError) as refused:
        await HttpRecords.open(url, parse_records)
    assert str(refused.value) == f"http://127.0.0.1:{server.port}/sd: connection refused"


async def test_an_invalid_list_is_reported_without_secrets() -> None:
    async with WebServer(json_answer(b"{}")) as server:
        with pytest.raises(ConfigurationError) as refused:
            await HttpRecords.open(server.url("/sd.json?token=secret", credentials="user:secret"), parse_records)
    assert str(refused.value).startswith(f"http://127.0.0.1:{server.port}/sd.json:1: expected a list")


@pytest.mark.parametrize("url", ["http://", "http://user:secret@", "http://h/#x", "http://h:0/", "gopher://h/"])
async def test_a_url_that_cannot_be_asked_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be asked: ") as refused:
        await HttpRecords.open(url, parse_records)
    assert "secret" not in str(refused.value)


def moved(location: str, status: int = 302) -> Answer:
    return Answer(status, headers={"Location": location})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_within_the_server_is_followed_with_the_same_headers(status: int) -> None:
    script = in_turn(moved("other?x=1#part", status), listing_of(1))
    async with (
        WebServer(script) as server,
        aclosing(await HttpRecords.open(server.url("/a/b", credentials="u:p"), parse_records)) as store,
    ):
        assert await games(store) == ["game-1"]
    assert [asked.path for asked in server.asked] == ["/a/b", "/a/other?x=1", "/a/b"]
    assert len({asked.headers["Authorization"] for asked in server.asked}) == 1


async def test_credentials_in_a_redirect_are_not_used() -> None:
    async with WebServer() as server:
        server.script = in_turn(moved(server.url("/new", credentials="their:own")), listing_of(1))
        async with aclosing(await HttpRecords.open(server.url(credentials="u:p"), parse_records)):
            first, second = server.asked
    assert (second.path, second.headers["Authorization"]) == ("/new", first.headers["Authorization"])


async def test_three_redirects_are_followed_and_no_fourth() -> None:
    async with store_of(in_turn(moved("/1"), moved("/2"), moved("/3"), listing_of(1))) as (server, store):
        assert await games(store) == ["game-1"]
    assert [asked.path for asked in server.asked][:4] == ["/targets", "/1", "/2", "/3"]
    assert await refusal_of(moved("/again")) == (ConfigurationError, ": it redirects more than 3 times")


@pytest.mark.proves("list-redirect")
async def test_a_redirect_to_another_server_is_never_followed() -> None:
    async with WebServer(listing_of(1)) as elsewhere:
        for location in (
            elsewhere.url("/x"),
            f"//localhost:{elsewhere.port}/x",
            elsewhere.url().replace("http", "ftp"),
        ):
            assert await refusal_of(moved(location)) == (ConfigurationError, f": {ELSEWHERE}")
    assert elsewhere.asked == []


@pytest.mark.parametrize("location", ["", "http://h:99999999/", "mailto:x@y", "http://[::1"])
async def test_a_redirect_without_a_valid_location_is_refused(location: str) -> None:
    assert await refusal_of(moved(location)) == (ConfigurationError, f": {ELSEWHERE}")
