"""The observer of a prober: what it reports of each step, and what it hides."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.probing.conftest import StartPeer
from tests.probing.peers import OK, Connection, Script, answering, response, sending
from tests.probing.probes import IMPATIENT, assert_failed, target_at
from tests.probing.resolvers import FixedAddresses

from healthprobe.domain.outcome import HEALTHY
from healthprobe.probing.http import HTTPProber
from healthprobe.probing.observer import MAX_LINE_LENGTH, MAX_LINES, Step
from healthprobe.probing.resolver import Resolver

SECRET = "hunter2hunter2"
"""A password; base64 of user:password is what is sent."""


class Observed:
    """A prober, and the steps that it reported."""

    def __init__(self, resolver: Resolver | None = None) -> None:
        self.steps: list[Step] = []
        self.prober = HTTPProber(keep_connections=False, observer=self.steps.append, resolver=resolver)

    @property
    def names(self) -> list[str]:
        return [step.name for step in self.steps]

    @property
    def text(self) -> str:
        return "\n".join(line for step in self.steps for line in step.lines)

    def lines(self, name: str) -> tuple[str, ...]:
        """The lines of the first step with this name."""
        return next(step.lines for step in self.steps if step.name == name)


@pytest.fixture
async def observed(peer: StartPeer) -> AsyncIterator[Observed]:
    observed = Observed()
    yield observed
    await observed.prober.aclose()


def redirecting(*locations: str) -> Script:
    """Returns a script that redirects each connection to the next of `locations`, and then answers 200."""

    async def script(connection: Connection) -> None:
        await connection.request()
        if connection.number <= len(locations):
            await connection.send(response(302, f"Location: {locations[connection.number - 1]}"))
        else:
            await connection.send(OK)
        await connection.silence()

    return script


async def test_steps_are_reported_in_order_with_what_was_sent_and_received(observed: Observed, peer: StartPeer) -> None:
    started = await peer(answering(response(503, "X-Reason: full")))
    assert_failed(await observed.prober.probe(started.target()), "unexpected status 503", 503)
    assert observed.names == ["connected", "sent", "received"]
    assert observed.lines("connected") == (f"to 127.0.0.1:{started.port}",)
    assert observed.lines("sent")[:2] == ("GET /healthz HTTP/1.1", f"Host: 127.0.0.1:{started.port}")
    assert observed.lines("received") == ("HTTP/1.1 503 Whatever", "X-Reason: full", "Content-Length: 2")


async def test_each_address_of_a_name_is_reported_until_one_accepts_a_connection(peer: StartPeer) -> None:
    started = await peer(answering(OK))
    observed = Observed(FixedAddresses({"game-7": ("::1", "127.0.0.1")}))
    assert await observed.prober.probe(target_at(started.url(host="game-7"))) is HEALTHY
    await observed.prober.aclose()
    assert [(step.name, step.lines[0]) for step in observed.steps][:3] == [
        ("resolved", "game-7 to ::1, 127.0.0.1"),
        ("refused", f"[::1]:{started.port}: connection refused"),
        ("connected", f"to 127.0.0.1:{started.port}"),
    ]


async def test_each_request_of_a_redirect_is_reported(observed: Observed, peer: StartPeer) -> None:
    started = await peer(redirecting("/a", "/b"))
    assert await observed.prober.probe(started.target()) is HEALTHY
    sent = [step.lines[0] for step in observed.steps if step.name == "sent"]
    assert sent == ["GET /healthz HTTP/1.1", "GET /a HTTP/1.1", "GET /b HTTP/1.1"]


async def test_a_partial_head_is_reported_when_the_probe_times_out(observed: Observed, peer: StartPeer) -> None:
    started = await peer(sending(b"HTTP/1.1 200 OK\r\nX-Half: y"))
    assert_failed(
        await observed.prober.probe(started.target(IMPATIENT)), "timed out after 300ms waiting for the response"
    )
    assert observed.lines("received") == ("HTTP/1.1 200 OK", "X-Half: y")


async def test_credentials_are_hidden_even_if_the_engine_echoes_them(observed: Observed, peer: StartPeer) -> None:
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
    await observed.prober.probe(target_at(started.url(credentials=f"user:{SECRET}@")))
    assert "Authorization: ***" in observed.lines("sent")
    assert "X-Said: it was ***" in observed.lines("received")
    for secret in (SECRET, "dXNlcjpod", "abcdef", "toor"):
        assert secret not in observed.text


async def test_a_head_is_reported_without_body_and_control_characters_and_bounded(
    observed: Observed, peer: StartPeer
) -> None:
    headers = [f"X-{number}: {'y' * 500}" for number in range(60)]
    head = response(200, "X-Red: \x1b[31mred", *headers, body=b"BODY")
    started = await peer(sending(head))
    await observed.prober.probe(started.target())
    received = observed.lines("received")
    assert len(received) == MAX_LINES + 1
    assert received[-1] == "… and 23 more lines"
    assert max(map(len, received)) <= MAX_LINE_LENGTH
    assert "".join(received).isprintable()
    assert "BODY" not in observed.text
