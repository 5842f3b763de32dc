"""The requests that engines get."""

from __future__ import annotations

import os
import socket

import pytest
from tests.probing.conftest import StartPeer
from tests.probing.peers import OK, answering, response, sending
from tests.probing.probes import IMPATIENT, assert_failed, probes, target_at
from tests.probing.resolvers import FixedAddresses

from healthprobe.domain.outcome import HEALTHY, Failed
from healthprobe.probing.http import HTTPProber

PROXIES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
SECRETS = ["hunter2", "dXNlcjpodW50ZXIy"]


def headers_of(request: bytes) -> dict[str, str]:
    lines = request.decode("ascii").split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in lines)


@pytest.mark.parametrize(
    ("prefix", "path"),
    [("", "/healthz"), ("/", "/healthz"), ("/engine//", "/engine/healthz"), ("/größe", "/gr%C3%B6%C3%9Fe/healthz")],
)
async def test_healthz_is_requested_below_the_prefix(
    prefix: str, path: str, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(answering(OK))

    assert await prober.probe(target_at(engine.url(prefix))) == HEALTHY
    assert engine.requests[0].split(b"\r\n")[0] == f"GET {path} HTTP/1.1".encode()


async def test_a_request_names_its_host_once_and_has_no_body(peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(answering(OK))

    await probes(prober, engine.target(), 2)

    headers = headers_of(engine.requests[0])
    assert headers["Host"] == f"127.0.0.1:{engine.port}"
    assert headers["User-Agent"].startswith("healthprobe/")
    assert not {"Content-Length", "Transfer-Encoding", "Authorization", "Connection", "Accept-Encoding"} & set(headers)
    assert engine.requests[0].count(b"Host:") == 1
    assert engine.requests[1] == engine.requests[0]


async def test_the_host_header_has_brackets_around_ipv6(peer: StartPeer, prober: HTTPProber) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    engine = await peer(answering(OK), host="::1")

    assert await prober.probe(engine.target()) == HEALTHY
    assert headers_of(engine.requests[0])["Host"] == f"[::1]:{engine.port}"


async def test_the_host_header_has_the_name_and_not_its_address(peer: StartPeer) -> None:
    engine = await peer(answering(OK))
    async with HTTPProber(resolver=FixedAddresses({"game-7.example": ("127.0.0.1",)})) as prober:
        assert await prober.probe(target_at(engine.url(host="Game-7.example"))) == HEALTHY
    assert headers_of(engine.requests[0])["Host"] == f"game-7.example:{engine.port}"


@pytest.mark.skipif(os.geteuid() != 0, reason="a port below 1024 needs root")
async def test_the_host_header_omits_the_default_port(peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(answering(OK), host="127.83.7.80", port=80)

    assert await prober.probe(target_at("http://127.83.7.80")) == HEALTHY
    assert headers_of(engine.requests[0])["Host"] == "127.83.7.80"


@pytest.mark.parametrize(
    ("credentials", "authorization"),
    [
        ("user:hunter2@", "Basic dXNlcjpodW50ZXIy"),
        ("user@", "Basic dXNlcjo="),
        ("us%40er:p%3Aw@", "Basic dXNAZXI6cDp3"),
        ("größe:ü@", "Basic Z3LDtsOfZTrDvA=="),
    ],
)
async def test_credentials_are_sent_as_basic_authorization(
    credentials: str, authorization: str, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(answering(OK))

    assert await prober.probe(target_at(engine.url(credentials=credentials))) == HEALTHY
    assert headers_of(engine.requests[0])["Authorization"] == authorization


@pytest.mark.parametrize(
    "answer",
    [
        response(401),
        response(302, "Location: http://user:hunter2@elsewhere.example/"),
        response(302, "Location: /healthz"),
        b"HTTP/1.1 200 OK\r\nno (name) http://user:hunter2@game-7/ here\r\n\r\n",
        b"http://user:hunter2@game-7/\r\n\r\n",
        b"",
    ],
)
async def test_no_failure_contains_the_credentials(answer: bytes, peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(sending(answer))

    outcome = await prober.probe(target_at(engine.url(credentials="user:hunter2@"), IMPATIENT))
    assert isinstance(outcome, Failed)
    assert not any(secret in repr(outcome) for secret in SECRETS)


@pytest.mark.proves("proxy-probes")
async def test_proxies_of_the_environment_are_ignored(peer: StartPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = await peer(answering(OK))
    engine = await peer(answering(response(503)))
    for name in PROXIES:
        monkeypatch.setenv(name, proxy.url())
        monkeypatch.setenv(name.lower(), proxy.url())
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    async with HTTPProber() as prober:
        assert await prober.probe(engine.target()) == Failed(503, "unexpected status 503")
    assert proxy.connections == 0


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ("?x=1", "query"),
        ("#f", "fragment"),
        ("/a b", "space"),
        ("/a\r\nX-Forged: 1", "control"),
        ("0000", "port"),
        (":1", "bracket"),
    ],
)
async def test_an_invalid_endpoint_fails_at_every_probe_without_a_connection(
    rest: str, reason: str, peer: StartPeer
) -> None:
    engine = await peer(answering(OK))
    targets = [target_at(engine.url() + rest), target_at(f"http://user:hunter2@game-7.example:{engine.port}{rest}")]

    async with HTTPProber(resolver=FixedAddresses({})) as prober:
        for target in targets:
            for outcome in await probes(prober, target, 3):
                assert_failed(outcome, f"^invalid endpoint: .*{reason}")
                assert not any(secret in repr(outcome) for secret in SECRETS)
            prober.forget(target)
    assert engine.connections == 0


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "fresh"])
async def test_a_traced_probe_sends_the_traceparent_header(peer: StartPeer, *, keep: bool) -> None:
    engine = await peer(answering(OK))

    async with HTTPProber(keep_connections=keep) as prober:
        await probes(prober, engine.target(), 2)
    async with HTTPProber(keep_connections=keep, traceparent=lambda _: b"traceparent: 00-7\r\n\r\n") as prober:
        assert await probes(prober, engine.target(), 2) == [HEALTHY, HEALTHY]

    *plain, first, second = (headers_of(request) for request in engine.requests)
    assert first.pop("traceparent") == second.pop("traceparent") == "00-7"
    assert plain == [first, second]
