"""Redirects are followed within the same engine, refused anywhere else, and share the deadline."""

from __future__ import annotations

import asyncio

import pytest
from fuzz.watch import armed, watchdog
from tests.probing.conftest import StartPeer
from tests.probing.peers import OK, Connection, Script, answering, response
from tests.probing.probes import IMPATIENT, assert_failed, assert_on_time, probes, target_at, timed

from healthprobe.domain.endpoint import parse_endpoint
from healthprobe.domain.outcome import HEALTHY, Failed
from healthprobe.domain.probe.probe_parsing import settings_from
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.answers.response import HeadReader
from healthprobe.probing.http import HTTPProber


def routing(routes: dict[str, bytes]) -> Script:
    """Answers these paths with these responses, an empty one meaning none, and others with 200."""

    async def script(connection: Connection) -> None:
        while True:
            path = (await connection.request()).split()[1].decode()
            await connection.send(routes.get(path, OK))

    return script


def redirecting(routes: dict[str, str], status: int = 302) -> Script:
    """Redirect each of these paths to its location, and answer 200 at any other."""
    return routing({path: response(status, f"Location: {location}") for path, location in routes.items()})


def steps(count: int) -> dict[str, str]:
    """A chain of so many redirects."""
    return {"/healthz": "/1"} | {f"/{step}": f"/{step + 1}" for step in range(1, count)}


def paths(requests: list[bytes]) -> list[str]:
    return [request.split()[1].decode() for request in requests]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_within_the_engine_is_followed_at_every_probe(
    status: int, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(redirecting({"/healthz": "/live"}, status))

    assert await probes(prober, engine.target(), 3) == [HEALTHY] * 3
    assert paths(engine.requests) == ["/healthz", "/live"] * 3


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/live", "/live"),
        ("/live?full=1", "/live?full=1"),
        ("/live#now", "/live"),
        ("live", "/engine/live"),
        ("../live", "/live"),
        ("?full=1", "/engine/healthz?full=1"),
        ("{engine}/live", "/live"),
        ("{engine}", "/"),
        ("{engine}?full=1", "/?full=1"),
        ("  /live", "/live"),
        ("/l%C3%ADve/a%2Fb", "/l%C3%ADve/a%2Fb"),
        ("/a b", "/a%20b"),
    ],
)
async def test_a_location_is_resolved_as_in_a_browser(
    location: str, path: str, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(answering(OK))
    engine.script = redirecting({"/engine/healthz": location.format(engine=engine.url())})

    assert await prober.probe(target_at(engine.url("/engine"))) == HEALTHY
    assert paths(engine.requests) == ["/engine/healthz", path]


async def test_a_location_without_a_scheme_or_with_an_uppercase_one_stays_on_the_engine(
    peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(answering(OK))
    plain = engine.url().removeprefix("http:")
    engine.script = redirecting({"/healthz": f"{plain}/a", "/a": f"HTTP:{plain}/b"})

    assert await prober.probe(engine.target()) == HEALTHY
    assert paths(engine.requests) == ["/healthz", "/a", "/b"]


@pytest.mark.proves("redirect-ten")
async def test_ten_redirects_are_followed_and_eleven_are_not(peer: StartPeer, prober: HTTPProber) -> None:
    ten = await peer(redirecting(steps(10)))
    eleven = await peer(redirecting(steps(11)))

    assert await prober.probe(ten.target()) == HEALTHY
    assert_failed(await prober.probe(eleven.target()), "10 redirects", 302)
    assert len(ten.requests) == len(eleven.requests) == 11


@pytest.mark.parametrize("loop", [{"/healthz": "/healthz"}, {"/healthz": "/a", "/a": "/healthz"}])
async def test_a_loop_of_redirects_ends(loop: dict[str, str], peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(redirecting(loop, 307))

    assert_failed(await prober.probe(engine.target()), "redirects", 307)
    assert len(engine.requests) == 11


async def test_the_last_answer_decides(peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(routing({"/healthz": response(302, "Location: /live"), "/live": response(503)}))

    assert await prober.probe(engine.target()) == Failed(503, "unexpected status 503")


@pytest.mark.proves("redirect-elsewhere")
@pytest.mark.parametrize(
    "location",
    [
        "http://{other}/healthz",
        "//{other}/healthz",
        "http://user:secret@{other}/healthz",
        "http://{engine}@{other}/healthz",
        "http://{engine}:secret@{other}/healthz",
        "https://{engine}/healthz",
        "ftp://{engine}/healthz",
        "http://localhost:{port}/healthz",
        "http://127.0.0.1:1/healthz",
        "http://127.0.0.1/healthz",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://[::1",
        "http://127.0.0.1:99999/",
    ],
)
async def test_a_redirect_to_another_host_is_refused_and_not_requested(
    location: str, peer: StartPeer, prober: HTTPProber
) -> None:
    other = await peer(answering(OK))
    engine = await peer(answering(OK))
    there = location.format(
        engine=engine.url().removeprefix("http://"), other=other.url().removeprefix("http://"), port=engine.port
    )
    engine.script = answering(response(307, f"Location: {there}"))

    outcome = await prober.probe(engine.target())

    assert_failed(outcome, "^redirect to .* refused", 307)
    assert isinstance(outcome, Failed)
    assert "secret" not in outcome.last_error
    assert (other.connections, len(engine.requests)) == (0, 1)


@pytest.mark.proves("redirect-sent-host")
@pytest.mark.parametrize(
    ("host", "location"),
    [
        ("chess.example", "http://chess.example/live"),
        ("chess.example", "http://Chess.Example:80/live"),
        ("chess.example", "//chess.example/live"),
        ("chess.example", "http://chess.example:{port}/live"),
        ("chess.example:8443", "http://chess.example:8443/live"),
        ("Chess.example", "http://chess.example/live"),
        ("[2001:db8::7]", "http://[2001:db8:0::7]/live"),
        ("chess.example", "{engine}/live"),
        ("chess.example", "/live"),
    ],
)
async def test_a_redirect_to_the_host_that_was_sent_stays_on_the_connection(
    host: str, location: str, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(answering(OK))
    engine.script = redirecting({"/healthz": location.format(engine=engine.url(), port=engine.port)})
    target = ProbeTarget("game-7", parse_endpoint(engine.url()), 5.0, settings_from({"host": host}))

    assert await prober.probe(target) == HEALTHY
    assert paths(engine.requests) == ["/healthz", "/live"]
    assert all(f"\r\nHost: {host}\r\n".encode() in request for request in engine.requests)


@pytest.mark.parametrize(
    "location",
    [
        "https://chess.example/live",
        "http://chess.example:1/live",
        "http://chess.example.evil/live",
        "http://live.chess.example/",
        "http://chess.example@127.0.0.1:1/",
        "http://go.example/live",
    ],
)
async def test_a_redirect_to_another_host_than_was_sent_is_refused(
    location: str, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(redirecting({"/healthz": location}))
    target = ProbeTarget("game-7", parse_endpoint(engine.url()), 5.0, settings_from({"host": "chess.example"}))

    assert_failed(await prober.probe(target), "^redirect to .* refused", 302)
    assert paths(engine.requests) == ["/healthz"]


async def test_the_refusal_names_the_address(peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(answering(response(302, "Location: http://user:secret@elsewhere.example:8080/login?next=/")))

    assert_failed(
        await prober.probe(engine.target()),
        r"^redirect to http://(\*\*\*@)?elsewhere\.example:8080/login\?next=/ refused$",
        302,
    )


@pytest.mark.proves("redirect-ambiguous-host")
@pytest.mark.parametrize(
    "location", ["\\\\elsewhere.example", "/\\elsewhere.example", "///elsewhere.example", "http://", ""]
)
async def test_an_ambiguous_location_stays_on_the_engine_or_is_refused(
    location: str, peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(redirecting({"/healthz": location}))

    outcome = await prober.probe(engine.target())
    assert outcome == HEALTHY or isinstance(outcome, Failed)
    assert all(path.startswith("/") for path in paths(engine.requests))


@pytest.mark.proves("error-long-location")
async def test_a_location_of_sixty_kilobytes_gives_a_short_error(peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(answering(response(302, "Location: http://elsewhere.example/" + "x" * 60_000)))

    outcome = await prober.probe(engine.target())
    assert_failed(outcome, "^redirect to http://elsewhere.example/x", 302)
    assert isinstance(outcome, Failed)
    assert len(outcome.last_error.encode()) <= 1024


async def test_only_the_location_of_the_final_head_counts(peer: StartPeer, prober: HTTPProber) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLocation: /hinted\r\n\r\n"
    body = b"\r\nLocation: /from-the-body\r\n\r\n"
    found = response(302, "X-Location: /x", "Location: /live", body=body)
    engine = await peer(routing({"/healthz": hints + found}))
    nowhere = await peer(answering(hints + response(302, body=body)))

    assert await prober.probe(engine.target()) == HEALTHY
    assert paths(engine.requests) == ["/healthz", "/live"]
    assert await prober.probe(nowhere.target()) == Failed(302, "unexpected status 302")


async def test_credentials_are_sent_after_a_redirect_within_the_engine(peer: StartPeer, prober: HTTPProber) -> None:
    engine = await peer(redirecting({"/healthz": "/live"}))

    assert await prober.probe(target_at(engine.url(credentials="user:secret@"))) == HEALTHY
    assert all(b"\r\nAuthorization: Basic dXNlcjpzZWNyZXQ=" in request for request in engine.requests)
    assert len(engine.requests) == 2


async def test_the_body_of_a_redirect_is_not_waited_for(peer: StartPeer, prober: HTTPProber) -> None:
    unended = b"HTTP/1.1 302 Found\r\nLocation: /live\r\nContent-Length: 100\r\n\r\n"
    engine = await peer(routing({"/healthz": unended}))

    assert await prober.probe(engine.target()) == HEALTHY


async def test_all_redirects_of_a_probe_share_one_deadline(peer: StartPeer, prober: HTTPProber) -> None:
    async def slow(connection: Connection) -> None:
        while True:
            await connection.request()
            await asyncio.sleep(0.1)
            await connection.send(response(302, "Location: /healthz"))

    engine = await peer(slow)

    outcome, seconds = await timed(prober, engine.target(IMPATIENT))
    assert_failed(outcome, "timed out after 300ms")
    assert_on_time(seconds, IMPATIENT)


async def test_a_redirect_without_an_answer_fails_at_the_timeout_and_leaves_no_connection(
    peer: StartPeer, prober: HTTPProber
) -> None:
    engine = await peer(routing({"/healthz": response(302, "Location: /live"), "/live": b""}))

    outcome, seconds = await timed(prober, engine.target(IMPATIENT))
    assert_failed(outcome, "timed out after 300ms waiting for the response head")
    assert_on_time(seconds, IMPATIENT)
    assert not await engine.settled()


@pytest.mark.parametrize("space", [b" ", b"\t", b" \t"])
def test_a_location_full_of_spaces_takes_no_quadratic_time(space: bytes) -> None:
    reader = HeadReader()
    spaces = space * (60_000 // len(space))
    reader.feed(b"HTTP/1.1 302 Found\r\nLocation:" + space + b"/a" + spaces + b"b" + space + b"\r\n\r\n")
    with watchdog(), armed(1.0):
        location = reader.location
    assert location == (b"/a" + spaces + b"b").decode()
