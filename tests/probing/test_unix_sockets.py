"""HTTP over a unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.probing.peers import OK, response
from tests.probing.probes import IMPATIENT, assert_failed, assert_on_time, probes, target_at, timed

from healthprobe.domain.outcome import HEALTHY
from healthprobe.probing.http import HTTPProber
from healthprobe.probing.observer import Step

Serve = Callable[[bytes | None], Awaitable[list[bytes]]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "engine.sock"


@pytest.fixture
async def serve(path: Path) -> AsyncIterator[Serve]:
    """Serves one answer at `path`, or none, and returns the requests."""
    async with AsyncExitStack() as stack:

        async def begin(answer: bytes | None) -> list[bytes]:
            requests: list[bytes] = []

            async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                try:
                    while True:
                        requests.append(await reader.readuntil(b"\r\n\r\n"))
                        if answer is not None:
                            writer.write(answer)
                except (asyncio.IncompleteReadError, OSError):
                    writer.transport.abort()

            server = await asyncio.start_unix_server(converse, path)
            stack.callback(server.close)
            return requests

        yield begin


@pytest.fixture
async def prober(serve: Serve) -> AsyncIterator[HTTPProber]:  # it is closed before its engines are
    async with HTTPProber() as prober:
        yield prober


async def test_an_engine_behind_a_socket_is_healthy_and_its_connection_kept(
    serve: Serve, prober: HTTPProber, path: Path
) -> None:
    requests = await serve(OK)
    assert await probes(prober, target_at(f"unix:{path}"), 3) == [HEALTHY] * 3
    assert len(requests) == 3
    assert requests[0].startswith(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
    assert prober.open_connections == 1


async def test_an_unexpected_status_over_a_socket_is_a_failure(serve: Serve, prober: HTTPProber, path: Path) -> None:
    await serve(response(503))
    assert_failed(await prober.probe(target_at(f"unix:{path}")), "unexpected status 503", 503)


async def test_an_engine_that_hangs_runs_into_its_timeout(serve: Serve, prober: HTTPProber, path: Path) -> None:
    await serve(None)
    outcome, seconds = await timed(prober, target_at(f"unix:{path}", IMPATIENT))
    assert_failed(outcome, "timed out after 300ms")
    assert_on_time(seconds, IMPATIENT)


async def test_a_missing_or_closed_socket_is_a_failure_that_says_so(prober: HTTPProber, path: Path) -> None:
    assert_failed(await prober.probe(target_at(f"unix:{path}")), "there is no such socket")
    server = await asyncio.start_unix_server(lambda _, __: None, path)
    server.close()
    await server.wait_closed()
    assert_failed(await prober.probe(target_at(f"unix:{path}")), "connection refused|there is no such socket")


async def test_a_redirect_stays_within_the_socket(serve: Serve, prober: HTTPProber, path: Path) -> None:
    await serve(response(302, "Location: http://169.254.169.254/latest"))
    assert_failed(await prober.probe(target_at(f"unix:{path}")), "redirect to .* refused", 302)


async def test_the_steps_at_a_socket_are_observed(serve: Serve, path: Path) -> None:
    steps: list[Step] = []
    async with HTTPProber(keep_connections=False, observer=steps.append) as prober:
        assert_failed(await prober.probe(target_at(f"unix:{path}")), "there is no such socket")
        await serve(OK)
        assert await prober.probe(target_at(f"unix:{path}")) == HEALTHY
    assert [step.name for step in steps] == ["refused", "connected", "sent", "received"]
    assert steps[1].lines == (f"to the socket {path}",)
