"""A webhook that is away, slow or broken: an error in plain words, a retry, and a timeout."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import aclosing

import pytest
import trustme
from tests.adapters.http.webhooks import refused, refused_by, webhook
from tests.servers.web import ACCEPTED, Script, WebServer, in_turn, raw, resetting, silent, trickling
from tests.support.waiting import PATIENCE

from healthprobe.adapters.http import WebhookPublisher
from healthprobe.adapters.http import webhook as room
from healthprobe.testing.contracts.samples import history

SHORTLY = 0.3
HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (resetting, "connection closed before the answer"),
        (raw(b""), "connection closed before the answer"),
        (raw(HEAD), "connection closed before the answer"),
        (raw(b"garbage\r\n\r\n"), "the answer is not HTTP"),
        (raw(HEAD + b"X: " + b"y" * 100_000 + b"\r\n\r\n"), "the answer is not HTTP"),
    ],
)
async def test_a_broken_response_is_reported_in_plain_words(script: Script, expected: str) -> None:
    async with webhook(in_turn(ACCEPTED, script)) as (server, publisher):
        error = await refused(publisher, history("game-7", 3))
    assert str(error) == f"webhook at http://127.0.0.1:{server.port}: {expected}"
    assert (error.permanent, error.delivered, error.retry_after) == (False, 1, None)


@pytest.mark.parametrize("script", [silent, trickling(HEAD + b"X: ")])
async def test_a_missing_response_is_an_error_after_the_timeout(script: Script) -> None:
    error = await refused_by(script, timeout=SHORTLY)
    assert str(error).endswith(": no answer within 0.3s")
    assert not error.permanent


async def test_a_webhook_that_is_away_gets_every_event_when_it_is_back() -> None:
    async with webhook() as (server, publisher):
        await publisher.publish(history("game-7", 1))
        await server.go_away()
        messages = {str(await refused(publisher)) for _ in range(3)}
        assert messages == {f"webhook at http://127.0.0.1:{server.port}: connection refused"}
        await server.come_back()
        await publisher.publish(history("game-7", 2))
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "script",
    [
        raw(HEAD + b"Content-Length: 100\r\n\r\nshort"),
        raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n64\r\nshort"),
        trickling(HEAD + b"Content-Length: 1000000\r\n\r\n"),
        trickling(HEAD + b"\r\n"),
    ],
)
async def test_a_2xx_acknowledges_even_if_its_body_breaks_off(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_BODY_TIMEOUT", 0.1)
    async with webhook(script) as (server, publisher):
        await asyncio.wait_for(publisher.publish(history("game-7", 2)), PATIENCE)
    assert len(server.asked) == 2


async def test_a_refusal_is_reported_with_what_came_of_its_body() -> None:
    error = await refused_by(raw(b"HTTP/1.1 400 No\r\nContent-Length: 100\r\n\r\nno game"))
    assert (str(error), error.permanent) == ("webhook answered 400: no game", True)


async def test_an_unknown_host_name_is_reported() -> None:
    async with aclosing(WebhookPublisher.of_url("http://nowhere.onion/")) as publisher:  # RFC 7686: never looked up
        error = await refused(publisher)
    assert (str(error), error.permanent) == ("webhook at http://nowhere.onion: its name cannot be resolved", False)


async def test_a_cancelled_delivery_ends_at_once_and_leaves_nothing_behind() -> None:
    async with webhook(silent) as (server, publisher):
        publishing = asyncio.create_task(publisher.publish(history("game-7", 2)))
        await until(lambda: len(server.asked) == 1)
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing
        await until(lambda: server.connections == 0)
        server.script = ACCEPTED
        await publisher.publish(history("game-7", 2))
        assert [asked.document["id"] for asked in server.asked] == ["game-7:1", "game-7:1", "game-7:2"]


async def test_a_closed_publisher_has_no_connection_and_may_be_closed_again() -> None:
    async with webhook() as (server, publisher):
        await publisher.publish(history("game-7", 1))
        assert server.connections == 1
        await publisher.aclose()
        await publisher.aclose()
        await until(lambda: server.connections == 0)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_a_trusted_certificate_is_accepted(
    authority: trustme.CA, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with authority.cert_pem.tempfile() as bundle:
        monkeypatch.setenv("SSL_CERT_FILE", bundle)
        async with WebServer(tls=tls) as server, aclosing(WebhookPublisher.of_url(server.url())) as publisher:
            await publisher.publish(history("game-7", 3))
    assert [asked.connection for asked in server.asked] == [1, 1, 1]


@pytest.mark.proves("webhook-certificate")
async def test_an_untrusted_certificate_is_refused_and_nothing_sent(tls: ssl.SSLContext) -> None:
    async with WebServer(tls=tls) as server, aclosing(WebhookPublisher.of_url(server.url())) as publisher:
        error = await refused(publisher)
    assert str(error).endswith(": certificate refused: unable to get local issuer certificate")
    assert (error.permanent, server.asked) == (False, [])


async def test_a_server_without_tls_is_reported() -> None:
    async with webhook() as (server, _):
        url = server.url().replace("http:", "https:")
        async with aclosing(WebhookPublisher.of_url(url)) as publisher:
            assert str(await refused(publisher)).startswith(f"webhook at {url[:-1]}: TLS handshake failed: ")


async def until(condition: Callable[[], bool], within: float = 20.0) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  a server only counts
            await asyncio.sleep(0.005)
