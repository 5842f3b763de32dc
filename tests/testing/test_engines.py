"""Scripted engines do on real sockets what their script says, and what `behaviour_at` foretells."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from tests.support.waiting import PATIENCE

from healthprobe.testing.engines import Script, ScriptedEngine, ScriptedFleet

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: engine\r\n\r\n"


async def ask(engine: ScriptedEngine, *, within: float = PATIENCE) -> bytes:
    """Returns the status line of one answer on a fresh connection."""
    reader, writer = await asyncio.open_connection(engine.host, engine.port)
    try:
        writer.write(REQUEST)
        async with asyncio.timeout(within):
            return (await reader.readline()).strip()
    finally:
        await closed(writer)


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionResetError):
        await writer.wait_closed()


async def test_an_engine_answers_with_the_status_that_was_set() -> None:
    async with ScriptedEngine() as engine:
        assert await ask(engine) == b"HTTP/1.1 200 OK"
        await engine.become(503)
        assert await ask(engine) == b"HTTP/1.1 503 Service Unavailable"
        await engine.become(599)
        assert await ask(engine) == b"HTTP/1.1 599 Unknown"
        assert engine.requests == 3


async def test_a_kept_connection_serves_one_probe_after_another() -> None:
    async with ScriptedEngine() as engine:
        reader, writer = await asyncio.open_connection(engine.host, engine.port)
        for _ in range(3):
            writer.write(REQUEST)
            assert await reader.readuntil(b"\r\n\r\n")
        assert (engine.requests, len(engine.connections)) == (3, 1)
        await closed(writer)


async def test_a_hanging_engine_accepts_and_is_silent_until_its_behaviour_changes() -> None:
    async with ScriptedEngine() as engine:
        await engine.become("hang")
        reader, writer = await asyncio.open_connection(engine.host, engine.port)
        writer.write(REQUEST)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readline(), 0.05)
        await engine.become(200)
        assert await asyncio.wait_for(reader.readline(), PATIENCE) == b"HTTP/1.1 200 OK\r\n"
        await closed(writer)


async def test_a_crashed_engine_resets_what_was_open_and_refuses_until_it_is_back_on_the_same_port() -> None:
    async with ScriptedEngine() as engine:
        port = engine.port
        reader, writer = await asyncio.open_connection(engine.host, engine.port)
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        await engine.become("crash")
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), PATIENCE)
        with pytest.raises(ConnectionRefusedError):
            await ask(engine)
        await engine.become(200)
        assert engine.port == port
        assert await ask(engine) == b"HTTP/1.1 200 OK"
        await closed(writer)


async def test_a_crash_resets_connections_that_are_being_made_at_any_moment() -> None:
    for moment in range(12):
        async with ScriptedEngine() as engine:
            connecting = asyncio.ensure_future(ask(engine))
            for _ in range(moment):
                await asyncio.sleep(0)
            answered = engine.requests
            await engine.become("crash")
            with contextlib.suppress(ConnectionError):
                assert await connecting == b"" or answered, f"it lives on when it crashed after {moment} turns"
            assert engine.requests == answered


async def test_a_faltering_engine_answers_badly_to_every_fourth_probe_and_so_never_twice_in_a_row() -> None:
    async with ScriptedEngine() as engine:
        await engine.become("falter")
        statuses = [int((await ask(engine)).split()[1]) for _ in range(8)]
    assert statuses == [200, 200, 200, 503, 200, 200, 200, 503]


async def test_probes_that_came_at_once_are_answered_one_by_one() -> None:
    async with ScriptedEngine() as engine:
        await engine.become("falter")
        reader, writer = await asyncio.open_connection(engine.host, engine.port)
        writer.write(4 * REQUEST)
        heads = [await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE) for _ in range(4)]
        assert [head.split()[1] for head in heads] == [b"200", b"200", b"200", b"503"]
        await closed(writer)


def test_a_script_gives_the_behaviour_at_any_time() -> None:
    script = Script(((0.0, 200), (3.0, "crash"), (5.0, 503)), period=8.0)
    assert [script.behaviour_at(time) for time in (0, 2.9, 3, 5, 7.9, 8, 11)] == [
        200,
        200,
        "crash",
        503,
        503,
        200,
        "crash",
    ]


@pytest.mark.parametrize(
    ("steps", "period"),
    [((), None), (((1.0, 200),), None), (((0.0, 200), (2.0, 503), (1.0, 200)), None), (((0.0, 200),), 0.0)],
)
def test_an_invalid_script_is_refused(steps: tuple[tuple[float, int], ...], period: float | None) -> None:
    with pytest.raises(ValueError, match="a script's"):
        Script(steps, period)


async def test_a_fleet_follows_its_scripts_round_after_round() -> None:
    async with ScriptedFleet({"game-7": Script(((0.0, 200), (0.1, 503)), period=0.2)}) as fleet:
        seen: list[bytes] = []
        for _ in range(4):
            await asyncio.sleep(0.05 if not seen else 0.1)
            seen.append(await ask(fleet.engines["game-7"]))
    healthy, failing = b"HTTP/1.1 200 OK", b"HTTP/1.1 503 Service Unavailable"
    assert seen == [healthy, failing, healthy, failing]
