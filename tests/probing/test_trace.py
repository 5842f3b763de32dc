"""The trace: it tells what happens on the way, and comes to the very verdict that a probe comes to."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.probing.conftest import StartPeer
from tests.probing.peers import OK, Connection, Script, answering, response, sending
from tests.probing.probes import IMPATIENT, assert_failed, target_at
from tests.probing.resolvers import Told

from healthprobe.domain.outcome import HEALTHY
from healthprobe.probing.head import MOST_CHARACTERS, MOST_LINES
from healthprobe.probing.http import HTTPProber
from healthprobe.probing.trace import Step, Trace

SECRET = "hunter2hunter2"
"""A password; base64 of user:password is what is sent."""


class Traced:
    """A trace and the steps that it told."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.trace = Trace(self.steps.append)

    @property
    def names(self) -> list[str]:
        return [step.name for step in self.steps]

    @property
    def text(self) -> str:
        return "\n".join(line for step in self.steps for line in step.told)

    def told(self, name: str) -> tuple[str, ...]:
        """The lines of the first step of this name."""
        return next(step.told for step in self.steps if step.name == name)


@pytest.fixture
async def traced() -> AsyncIterator[Traced]:
    traced = Traced()
    yield traced
    await traced.trace.aclose()


def ending(*, begun: bool, reset: bool) -> Script:
    """A script that ends the connection in or before the head of its response."""

    async def script(connection: Connection) -> None:
        await connection.request()
        if begun:
            await connection.drip([OK[:10]], pause=0.02)
        if reset:
            connection.reset()

    return script


def redirecting(*locations: str) -> Script:
    """A script that redirects each connection to the next of `locations`, and then answers well."""

    async def script(connection: Connection) -> None:
        await connection.request()
        if connection.number <= len(locations):
            await connection.send(response(302, f"Location: {locations[connection.number - 1]}"))
        else:
            await connection.send(OK)
        await connection.silence()

    return script


@pytest.mark.parametrize(
    "script",
    [
        answering(OK),
        answering(response(503)),
        answering(response(101)),
        sending(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK),
        sending(b"HTTP/1.1 200 OK\nX: y\n\n"),
        sending(b"SSH-2.0-OpenSSH_9.2\r\n"),
        sending(b"<html>"),
        sending(b"HTTP/2 200 OK\r\n\r\n"),
        sending(response(200, "X: " + "x" * 70_000)),
        sending(b""),
        sending(OK[:20]),
        ending(begun=False, reset=False),
        ending(begun=False, reset=True),
        ending(begun=True, reset=False),
        ending(begun=True, reset=True),
        answering(response(302, "Location: /elsewhere")),
        answering(response(302, "Location: http://user:secret@other.example/")),
        answering(response(302)),
    ],
)
async def test_the_verdict_is_a_probe_s(traced: Traced, peer: StartPeer, script: Script) -> None:
    started = await peer(script)
    async with HTTPProber(keep_connections=False) as prober:
        outcome = await prober.probe(started.target(IMPATIENT))
    assert await traced.trace.probe(started.target(IMPATIENT)) == outcome
    assert started.requests[0] == started.requests[-1].replace(b"/elsewhere", b"/healthz")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ftp://127.0.0.1", "http://no-such-name.invalid"])
async def test_without_a_connection_the_verdict_is_a_probe_s_too(traced: Traced, url: str) -> None:
    async with HTTPProber(keep_connections=False) as prober:
        assert await traced.trace.probe(target_at(url)) == await prober.probe(target_at(url))


async def test_steps_are_told_in_order_with_what_was_sent_and_received(traced: Traced, peer: StartPeer) -> None:
    started = await peer(answering(response(503, "X-Reason: full")))
    assert_failed(await traced.trace.probe(started.target()), "unexpected status 503", 503)
    assert traced.names == ["connected", "sent", "received"]
    assert traced.told("connected") == (f"to 127.0.0.1:{started.port}",)
    assert traced.told("sent")[:2] == ("GET /healthz HTTP/1.1", f"Host: 127.0.0.1:{started.port}")
    assert traced.told("received") == ("HTTP/1.1 503 Whatever", "X-Reason: full", "Content-Length: 2")


async def test_each_address_of_a_name_is_told_and_the_first_that_takes_a_connection_is_asked(peer: StartPeer) -> None:
    started, steps = await peer(answering(OK)), list[Step]()
    trace = Trace(steps.append, resolver=Told({"game-7": ("::1", "127.0.0.1")}))
    assert await trace.probe(target_at(started.url(host="game-7"))) is HEALTHY
    await trace.aclose()
    assert [(step.name, step.told[0]) for step in steps][:3] == [
        ("resolved", "game-7 to ::1, 127.0.0.1"),
        ("refused", f"[::1]:{started.port}: connection refused"),
        ("connected", f"to 127.0.0.1:{started.port}"),
    ]


async def test_each_request_of_a_redirect_is_told(traced: Traced, peer: StartPeer) -> None:
    started = await peer(redirecting("/a", "/b"))
    assert await traced.trace.probe(started.target()) is HEALTHY
    sent = [step.told[0] for step in traced.steps if step.name == "sent"]
    assert sent == ["GET /healthz HTTP/1.1", "GET /a HTTP/1.1", "GET /b HTTP/1.1"]


async def test_what_came_of_a_head_is_told_even_if_the_rest_does_not_come(traced: Traced, peer: StartPeer) -> None:
    started = await peer(sending(b"HTTP/1.1 200 OK\r\nX-Half: y"))
    assert_failed(await traced.trace.probe(started.target(IMPATIENT)), "timed out after 300ms waiting for the response")
    assert traced.told("received") == ("HTTP/1.1 200 OK", "X-Half: y")


async def test_no_credentials_are_told_whatever_the_engine_does_with_them(traced: Traced, peer: StartPeer) -> None:
    async def echoing(connection: Connection) -> None:
        head = (await connection.request()).decode()
        sent = next(line for line in head.splitlines() if line.startswith("Authorization"))
        echoes = (
            f"X-Echo: {sent}",
            f"X-Password: {SECRET}",
            f"X-Said: it was {SECRET}",
            "Set-Cookie: session=abcdef",
            "X-Where: http://root:toor@other/",
        )
        await connection.send(response(503, *echoes))
        await connection.silence()

    started = await peer(echoing)
    await traced.trace.probe(target_at(started.url(credentials=f"user:{SECRET}@")))
    assert "Authorization: ***" in traced.told("sent")
    assert "X-Said: it was ***" in traced.told("received")
    for secret in (SECRET, "dXNlcjpod", "abcdef", "toor"):
        assert secret not in traced.text


async def test_a_head_is_told_without_its_body_in_bounds_and_without_control_characters(
    traced: Traced, peer: StartPeer
) -> None:
    headers = [f"X-{number}: {'y' * 500}" for number in range(60)]
    head = response(200, "X-Red: \x1b[31mred", *headers, body=b"BODY")
    started = await peer(sending(head))
    await traced.trace.probe(started.target())
    received = traced.told("received")
    assert len(received) == MOST_LINES + 1
    assert received[-1] == "… and 23 more lines"
    assert max(map(len, received)) <= MOST_CHARACTERS
    assert "".join(received).isprintable()
    assert "BODY" not in traced.text
