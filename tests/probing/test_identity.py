"""The answer must come from the game that was probed: ports are reused, and another game's 200 proves nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
from tests.probing.conftest import StartPeer
from tests.probing.peers import Connection, Peer, response

from healthprobe.app.compose import canary_targets
from healthprobe.domain.endpoint import parse_endpoint
from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.http import HTTPProber

ANSWERED_BY_9 = Failed(200, "answered by game-9")


@pytest.fixture
async def suspicious(peer: StartPeer) -> AsyncIterator[HTTPProber]:  # peers must outlive it
    async with HTTPProber(identity_header="X-Game-ID") as prober:
        yield prober


def asked(engine: Peer, game_id: str = "game-7", timeout: float = 5.0) -> ProbeTarget:
    return ProbeTarget(game_id, parse_endpoint(engine.url()), timeout)


async def engine_that_answers(peer: StartPeer, *answers: bytes) -> Peer:
    """Sends each answer in turn and repeats the last, on kept connections."""

    async def script(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.send(answers[min(len(engine.requests), len(answers)) - 1])

    engine = await peer(script)
    return engine


@pytest.mark.proves("identity-other-game")
async def test_an_answer_from_another_game_is_a_failure_that_names_it(peer: StartPeer, suspicious: HTTPProber) -> None:
    engine = await engine_that_answers(peer, response(200, "X-Game-ID: game-9"))
    outcome = await suspicious.probe(asked(engine))
    assert outcome == ANSWERED_BY_9
    assert isinstance(outcome, Failed)
    assert outcome.kind is FailureKind.IDENTITY
    assert await engine.settled() == 0, "its connection is not kept"


@pytest.mark.parametrize(
    "headers",
    [
        ("X-Game-ID: game-7",),
        ("x-game-id:game-7",),
        ("X-GAME-ID: \t game-7 \t",),
        ("X-Game-ID: game-7", "X-Game-ID: game-7"),
        (),
        ("X-Game-ID-2: game-9",),
        ("Y: X-Game-ID: game-9",),
    ],
)
async def test_the_games_own_name_in_any_spelling_or_no_name_is_healthy(
    peer: StartPeer, suspicious: HTTPProber, headers: tuple[str, ...]
) -> None:
    engine = await engine_that_answers(peer, response(200, *headers))
    target = asked(engine)
    for _ in range(3):
        assert await suspicious.probe(target) == HEALTHY
    assert engine.connections == 1


@pytest.mark.parametrize("headers", [("X-Game-ID: game-7", "X-Game-ID: game-9"), ("x-game-id:game-9",)])
async def test_any_header_value_that_names_another_game_is_a_failure(
    peer: StartPeer, suspicious: HTTPProber, headers: tuple[str, ...]
) -> None:
    engine = await engine_that_answers(peer, response(200, *headers))
    assert await suspicious.probe(asked(engine)) == ANSWERED_BY_9


async def test_a_body_or_interim_response_that_contains_the_header_is_ignored(
    peer: StartPeer, suspicious: HTTPProber
) -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nX-Game-ID: game-9\r\n\r\n"
    engine = await engine_that_answers(peer, interim + response(200, body=b"\r\nX-Game-ID: game-9\r\n\r\n"))
    assert await suspicious.probe(asked(engine)) == HEALTHY


async def test_another_game_that_fails_or_redirects_is_named(peer: StartPeer, suspicious: HTTPProber) -> None:
    for status in (503, 302):
        engine = await engine_that_answers(peer, response(status, "X-Game-ID: game-9", "Location: /"))
        assert await suspicious.probe(asked(engine)) == Failed(status, "answered by game-9")


async def test_a_game_that_moves_away_from_a_kept_connection_is_noticed(
    peer: StartPeer, suspicious: HTTPProber
) -> None:
    ours, theirs = response(200, "X-Game-ID: game-7"), response(200, "X-Game-ID: game-9")
    engine = await engine_that_answers(peer, ours, ours, ours, theirs)
    target = asked(engine)
    outcomes = [await suspicious.probe(target) for _ in range(4)]
    assert outcomes == [HEALTHY, HEALTHY, HEALTHY, ANSWERED_BY_9]


async def test_a_hundred_games_behind_one_port_are_distinguished(peer: StartPeer, suspicious: HTTPProber) -> None:
    """The cached response has a gap for the name of the game, which must never accept another name."""

    async def script(connection: Connection) -> None:
        while True:
            request = await connection.request()
            name = request.split(b" ")[1].split(b"/")[1].decode()
            await connection.send(response(200, f"X-Game-ID: {name}"))

    engine = await peer(script)
    games = {f"game-{number}": f"game-{number if number % 10 else number + 1}" for number in range(100)}
    targets = [ProbeTarget(game, parse_endpoint(engine.url(f"/{answers}")), 5.0) for game, answers in games.items()]
    for _ in range(3):
        outcomes = await asyncio.gather(*map(suspicious.probe, targets))
        wrong = [game for game, outcome in zip(games, outcomes, strict=True) if outcome != HEALTHY]
        assert wrong == [game for game, answers in games.items() if game != answers]


@pytest.mark.parametrize("spelling", [lambda name: name.encode(), lambda name: quote(name).encode()])
async def test_a_name_outside_ascii_can_be_written_in_utf_8_or_percent_encoded(
    peer: StartPeer, suspicious: HTTPProber, spelling: object
) -> None:
    assert callable(spelling)
    value = spelling("schach-♞")
    answer = b"HTTP/1.1 200 OK\r\nX-Game-ID: " + value + b"\r\nContent-Length: 0\r\n\r\n"
    engine = await engine_that_answers(peer, answer)
    target = asked(engine, "schach-♞")
    for _ in range(2):
        assert await suspicious.probe(target) == HEALTHY


@pytest.mark.proves("identity-clean-text")
async def test_a_name_that_is_too_long_or_not_text_is_shortened_and_cleaned(
    peer: StartPeer, suspicious: HTTPProber
) -> None:
    engine = await engine_that_answers(peer, response(200, "X-Game-ID: " + "x" * 5000))
    outcome = await suspicious.probe(asked(engine))
    assert isinstance(outcome, Failed)
    assert outcome.last_error == "answered by " + "x" * 199 + "…"


async def test_a_canary_can_have_any_name(peer: StartPeer, suspicious: HTTPProber) -> None:
    engine = await engine_that_answers(peer, response(200, "X-Game-ID: game-9"))
    (canary,) = canary_targets([engine.url()], 5.0)
    for _ in range(2):
        assert await suspicious.probe(canary) == HEALTHY


async def test_a_header_value_full_of_spaces_takes_no_quadratic_time(peer: StartPeer, suspicious: HTTPProber) -> None:
    spaces = " " * 60_000
    engine = await engine_that_answers(peer, response(200, f"X-Game-ID:{spaces}game-7{spaces[:3000]}"))
    began = time.process_time()
    assert await suspicious.probe(asked(engine)) == HEALTHY
    assert time.process_time() - began < 1.0
