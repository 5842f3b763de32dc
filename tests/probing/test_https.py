"""https: the certificate is verified, and every refusal says why."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import pytest
import trustme
from tests.probing.conftest import StartPeer
from tests.probing.peers import OK, Connection, answering, response
from tests.probing.probes import IMPATIENT, assert_failed, assert_on_time, probes, target_at, timed
from tests.probing.resolvers import FixedAddresses

from healthprobe.domain.outcome import HEALTHY, Failed
from healthprobe.probing.http import HTTPProber
from healthprobe.probing.observer import Step

LONG_AGO = datetime(2001, 9, 9, tzinfo=UTC)
FAR_AHEAD = datetime(2101, 9, 9, tzinfo=UTC)


class TlsEngine:
    """A server that speaks TLS and answers every request with `answer`."""

    def __init__(self, context: ssl.SSLContext, answer: bytes) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self._context = context
        self._answer = answer
        self._writers: list[asyncio.StreamWriter] = []

    def url(self, host: str = "127.0.0.1", scheme: str = "https") -> str:
        return f"{scheme}://{host}:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self._answer)
        except (asyncio.IncompleteReadError, OSError):
            writer.transport.abort()


StartTls = Callable[..., Awaitable[TlsEngine]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def tls_engine() -> AsyncIterator[StartTls]:
    """Starts engines that show a certificate."""
    async with AsyncExitStack() as stack:

        async def start(certificate: trustme.LeafCert | trustme.CA, answer: bytes = OK) -> TlsEngine:
            return await stack.enter_async_context(TlsEngine(serving(certificate), answer))

        yield start


@pytest.fixture
async def prober(authority: trustme.CA, tls_engine: StartTls, peer: StartPeer) -> AsyncIterator[HTTPProber]:
    """A prober that trusts `authority`."""
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with HTTPProber(tls=trust) as prober:
        yield prober


def serving(certificate: trustme.LeafCert | trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if isinstance(certificate, trustme.LeafCert):
        certificate.configure_cert(context)
    else:
        with certificate.cert_pem.tempfile() as cert, certificate.private_key_pem.tempfile() as key:
            context.load_cert_chain(cert, key)
    return context


async def test_a_trusted_engine_is_healthy_and_its_connection_kept(
    authority: trustme.CA, tls_engine: StartTls, prober: HTTPProber
) -> None:
    certificate = authority.issue_cert("127.0.0.1")
    engine = await tls_engine(certificate)
    busy = await tls_engine(certificate, response(503))

    assert await probes(prober, target_at(engine.url()), 5) == [HEALTHY] * 5
    assert engine.connections == 1
    assert await probes(prober, target_at(busy.url()), 2) == [Failed(503, "unexpected status 503")] * 2


async def test_a_certificate_for_a_name_is_accepted(authority: trustme.CA, tls_engine: StartTls) -> None:
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    names = ["game-7.example", "xn--mnchen-3ya.example"]
    engine = await tls_engine(authority.issue_cert(*names))
    resolver = FixedAddresses(dict.fromkeys([*names, "game-8.example"], ("127.0.0.1",)))

    async with HTTPProber(tls=trust, resolver=resolver) as prober:
        for host in ("game-7.example", "münchen.example"):
            assert await prober.probe(target_at(engine.url(host))) == HEALTHY
        assert_failed(await prober.probe(target_at(engine.url("game-8.example"))), "certificate.*game-8.example")


@pytest.mark.proves("certificate-untrusted")
async def test_an_untrusted_certificate_is_a_failure_that_says_why(
    authority: trustme.CA, tls_engine: StartTls, prober: HTTPProber
) -> None:
    stranger = trustme.CA()
    refused = {
        "certificate.*self-signed": stranger,
        "certificate.*local issuer": stranger.issue_cert("127.0.0.1"),
        "certificate.*(mismatch|not valid for).*127.0.0.1": authority.issue_cert("elsewhere.example"),
        "certificate.*expired": authority.issue_cert(
            "127.0.0.1", not_before=LONG_AGO, not_after=LONG_AGO.replace(2002)
        ),
        "certificate.*not yet valid": authority.issue_cert(
            "127.0.0.1", not_before=FAR_AHEAD, not_after=FAR_AHEAD.replace(2102)
        ),
    }
    for words, certificate in refused.items():
        engine = await tls_engine(certificate)

        assert_failed(await prober.probe(target_at(engine.url())), words)
        assert not engine.requests, "nothing is asked of an engine that is not trusted"


async def test_only_the_roots_of_the_system_are_trusted_by_default(authority: trustme.CA, tls_engine: StartTls) -> None:
    engine = await tls_engine(authority.issue_cert("127.0.0.1"))

    async with HTTPProber() as prober:
        assert_failed(await prober.probe(target_at(engine.url())), "certificate")
    assert not engine.requests


async def test_https_to_a_port_that_speaks_plain_http_says_so(peer: StartPeer, prober: HTTPProber) -> None:
    async def greeting(connection: Connection) -> None:
        await connection.send(response(400))
        await connection.silence()

    engine = await peer(greeting)

    assert_failed(await prober.probe(target_at(engine.url().replace("http:", "https:"))), "TLS")
    assert not await engine.settled()


async def test_http_to_a_tls_port_is_a_failure_that_says_so(
    authority: trustme.CA, tls_engine: StartTls, prober: HTTPProber
) -> None:
    engine = await tls_engine(authority.issue_cert("127.0.0.1"))

    assert_failed(await prober.probe(target_at(engine.url(scheme="http"))), "TLS|connection (closed|reset)")


async def test_a_handshake_that_hangs_fails_at_the_timeout(peer: StartPeer, prober: HTTPProber) -> None:
    async def script(connection: Connection) -> None:
        await connection.silence()

    engine = await peer(script)

    outcome, seconds = await timed(prober, target_at(engine.url().replace("http:", "https:"), IMPATIENT))
    assert_failed(outcome, "timed out after 300ms.*TLS")
    assert_on_time(seconds, IMPATIENT)
    assert not await engine.settled()


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_an_interrupted_handshake_is_a_failure(end: str, peer: StartPeer, prober: HTTPProber) -> None:
    async def script(connection: Connection) -> None:
        await connection.anything()
        if end == "reset":
            connection.reset()

    engine = await peer(script)

    assert_failed(
        await prober.probe(target_at(engine.url().replace("http:", "https:"))), "connection (closed|reset)|TLS"
    )


async def test_credentials_are_sent_over_tls(authority: trustme.CA, tls_engine: StartTls, prober: HTTPProber) -> None:
    engine = await tls_engine(authority.issue_cert("127.0.0.1"))

    assert await prober.probe(target_at(engine.url("user:secret@127.0.0.1"))) == HEALTHY
    assert b"\r\nAuthorization: Basic dXNlcjpzZWNyZXQ=\r\n" in engine.requests[0]


@pytest.mark.proves("redirect-https-to-http")
async def test_a_redirect_never_leads_from_https_to_http(
    authority: trustme.CA, tls_engine: StartTls, peer: StartPeer, prober: HTTPProber
) -> None:
    plain = await peer(answering(OK))
    engine = await tls_engine(authority.issue_cert("127.0.0.1"), response(301, f"Location: {plain.url()}/healthz"))

    assert_failed(
        await prober.probe(target_at(engine.url())), "redirect to http://127.0.0.1:[0-9]+/healthz refused", 301
    )
    assert plain.connections == 0


async def test_the_observer_gets_the_tls_version_and_the_certificate(
    authority: trustme.CA, tls_engine: StartTls
) -> None:
    trust, steps = ssl.create_default_context(), list[Step]()
    authority.configure_trust(trust)
    engine = await tls_engine(authority.issue_cert("game-7.example", not_after=FAR_AHEAD), response(503))
    resolver = FixedAddresses({"game-7.example": ("127.0.0.1",)})
    async with HTTPProber(keep_connections=False, observer=steps.append, tls=trust, resolver=resolver) as prober:
        outcome = await prober.probe(target_at(engine.url("game-7.example")))
    assert_failed(outcome, "unexpected status 503", 503)
    assert [step.name for step in steps] == ["resolved", "connected", "TLS", "sent", "received"]
    assert steps[2].lines == ("TLSv1.3", "certificate for game-7.example, until Sep  9 00:00:00 2101 GMT")


async def test_a_failed_handshake_is_not_reported_as_a_refused_connection(tls_engine: StartTls) -> None:
    steps = list[Step]()
    engine = await tls_engine(trustme.CA().issue_cert("127.0.0.1"))
    async with HTTPProber(keep_connections=False, observer=steps.append) as prober:
        assert_failed(await prober.probe(target_at(engine.url())), "certificate refused")
    assert [step.name for step in steps] == ["connected"]
