"""A webhook that acknowledges everything: what it gets, in which order, over which connections."""

import asyncio
from base64 import b64decode
from contextlib import aclosing

import pytest
from aiohttp import web
from tests.adapters.http.webhooks import webhook
from tests.servers.web import ACCEPTED, Answer, Asked, WebServer
from tests.support.waiting import PATIENCE

from healthprobe import __version__
from healthprobe.adapters.http import WebhookPublisher
from healthprobe.ports import ConfigurationError, PublishError
from healthprobe.testing.contracts.samples import ODD_GAME_IDS, failed, history, recovered


async def test_an_event_comes_as_a_cloud_event() -> None:
    async with webhook(path="/hooks/health?tenant=7") as (server, publisher):
        await publisher.publish([failed("game-7", 3)])
    [asked] = server.asked
    assert (asked.method, asked.path) == ("POST", "/hooks/health?tenant=7")
    assert asked.headers["Content-Type"] == "application/cloudevents+json; charset=utf-8"
    assert asked.headers["User-Agent"] == f"healthprobe/{__version__}"
    assert asked.document == {
        "specversion": "1.0",
        "id": "game-7:3",
        "source": "/healthprobe",
        "type": "healthprobe.probe_failed",
        "subject": "game-7",
        "time": "2026-11-23T17:03:00.123459Z",
        "datacontenttype": "application/json",
        "data": failed("game-7", 3).as_document(),
    }


async def test_the_type_is_that_of_the_transition() -> None:
    async with webhook() as (server, publisher):
        await publisher.publish([failed("game-7", 1), recovered("game-7", 2)])
    assert [a.document["type"] for a in server.asked] == ["healthprobe.probe_failed", "healthprobe.probe_recovered"]


async def test_the_subject_is_the_game_whatever_it_is_called() -> None:
    async with webhook() as (server, publisher):
        await publisher.publish([failed(game_id, 1) for game_id in ODD_GAME_IDS])
    assert tuple(asked.document["subject"] for asked in server.asked) == ODD_GAME_IDS
    assert [asked.document["id"] for asked in server.asked] == [f"{game_id}:1" for game_id in ODD_GAME_IDS]


async def test_an_event_that_cannot_be_encoded_is_refused_and_those_before_it_are_delivered() -> None:
    async with webhook() as (server, publisher):
        with pytest.raises(PublishError, match="cannot be written as text") as refused:
            await publisher.publish([failed("game-7", 1), failed("half a \ud83d", 1)])
    assert (refused.value.permanent, refused.value.delivered, len(server.asked)) == (True, 1, 1)


async def test_no_event_is_sent_before_the_one_before_it_is_acknowledged() -> None:
    arrived, let_through = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def at_the_gate(request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        arrived.release()
        await let_through.acquire()
        return await ACCEPTED(request, asked)

    async with webhook(at_the_gate) as (server, publisher):
        publishing = asyncio.create_task(publisher.publish(history("game-7", 3)))
        for count in range(1, 4):
            await asyncio.wait_for(arrived.acquire(), PATIENCE)
            assert len(server.asked) == count
            assert not publishing.done()
            let_through.release()
        await publishing


@pytest.mark.parametrize("answer", [Answer(204), Answer(200, b"thank you"), Answer(202, b"x" * 4000)])
async def test_all_events_come_over_one_connection(answer: Answer) -> None:
    async with webhook(answer) as (server, publisher):
        for _ in range(3):
            await publisher.publish(history("game-7", 5))
        assert {asked.connection for asked in server.asked} == {1}


async def test_a_server_that_closes_after_each_answer_gets_every_event() -> None:
    async with webhook(Answer(headers={"Connection": "close"})) as (server, publisher):
        await publisher.publish(history("game-7", 5))
    assert [asked.connection for asked in server.asked] == [1, 2, 3, 4, 5]


@pytest.mark.proves("webhook-endless-response")
async def test_an_endless_response_is_not_read_to_its_end() -> None:
    async with webhook(Answer(200, b"x" * 1_000_000)) as (server, publisher):
        await publisher.publish(history("game-7", 2))
    assert [asked.connection for asked in server.asked] == [1, 2]


async def test_credentials_in_the_url_become_a_header_and_nothing_else() -> None:
    async with (
        WebServer() as server,
        aclosing(WebhookPublisher.of_url(server.url("/x", credentials="us%3Aer:p%40ss"))) as publisher,
    ):
        await publisher.publish(history("game-7", 1))
        [asked] = server.asked
        scheme, _, encoded = asked.headers["Authorization"].partition(" ")
        assert (scheme, b64decode(encoded)) == ("Basic", b"us:er:p@ss")
        assert (asked.path, asked.headers["Host"]) == ("/x", f"127.0.0.1:{server.port}")
        await server.go_away()
        with pytest.raises(PublishError) as refused:
            await publisher.publish(history("game-7", 1))
        assert "p@ss" not in str(refused.value)
        assert "p%40ss" not in str(refused.value)


async def test_the_query_is_sent_as_it_was_written_and_not_in_messages() -> None:
    signed = "/hook?sig=a%2Fb+c%7E%20&se=2026-11-23T17:00:00Z"
    async with webhook(path=signed) as (server, publisher):
        await publisher.publish(history("game-7", 1))
        assert server.asked[0].path == signed
        await server.go_away()
        with pytest.raises(PublishError) as refused:
            await publisher.publish(history("game-7", 1))
    assert "sig" not in str(refused.value)


@pytest.mark.proves("proxy-webhooks")
async def test_neither_proxies_of_the_environment_nor_cookies_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with (
        WebServer(Answer(headers={"Set-Cookie": "session=1"})) as server,
        aclosing(WebhookPublisher.of_url(server.url(host="localhost"))) as publisher,
    ):
        await publisher.publish(history("game-7", 2))
    assert ["Cookie" in asked.headers for asked in server.asked] == [False, False]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://", "http:// cannot be asked: it has no host"),
        ("http://user:secret@", "http://***@ cannot be asked: it has no host"),
        ("http://h:99999/?token=secret", "http://h:99999/ cannot be asked: its port is not a number from 1 to 65535"),
        ("http://h/#part", "http://h/#part cannot be asked: it has a fragment (#)"),
        ("http://h/?a=1#part", "http://h/ cannot be asked: it has a fragment (#)"),
        ("http://h/a b", "http://h/a b cannot be asked: it contains a space, a backslash or a control character"),
        ("ftp://h/", "ftp://h/ cannot be asked: the scheme ftp is neither http nor https"),
    ],
)
def test_a_url_that_cannot_be_asked_is_refused_at_once(url: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        WebhookPublisher.of_url(url)
    assert str(refused.value) == expected
