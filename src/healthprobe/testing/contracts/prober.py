"""What every prober promises, as a pytest suite."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from healthprobe.domain.endpoint import parse_endpoint
from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind, ProbeOutcome
from healthprobe.domain.probe.probe_settings import ProbeSettings
from healthprobe.domain.target import ProbeTarget
from healthprobe.ports import Prober

PATIENT = 30.0
"""A timeout, in seconds, for probes that end at once unless something is wrong."""

IMPATIENT = 0.3
"""A timeout, in seconds, for probes that run into it."""

_LATEST = 0.5
"""How much later than its timeout, in seconds, a probe may end on a busy machine."""


@pytest.mark.asyncio
class ProberContract:
    """Subclass it as `class TestMyProber(ProberContract)` and provide three fixtures.

    `prober` is the prober, and `settings` are those of a game that it probes. `engine` is the port, on loopback, of an
    engine that is healthy by these settings; one that never says anything must not be.
    """

    async def test_a_healthy_engine_is_healthy_every_time(
        self, prober: Prober, settings: ProbeSettings, engine: int
    ) -> None:
        target = target_at(engine, settings)
        assert [await prober.probe(target) for _ in range(3)] == [HEALTHY] * 3

    async def test_targets_are_probed_at_the_same_time(
        self, prober: Prober, settings: ProbeSettings, engine: int
    ) -> None:
        targets = [target_at(engine, settings) for _ in range(20)]
        assert await asyncio.gather(*(prober.probe(target) for target in targets)) == [HEALTHY] * 20

    async def test_an_engine_that_refuses_connections_has_failed(self, prober: Prober, settings: ProbeSettings) -> None:
        with socket.socket() as bound:  # and does not listen
            bound.bind(("127.0.0.1", 0))
            outcome = await prober.probe(target_at(bound.getsockname()[1], settings))
        assert_failed(outcome, FailureKind.REFUSED)

    async def test_an_engine_that_closes_the_connection_has_failed(
        self, prober: Prober, settings: ProbeSettings
    ) -> None:
        async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with listening(close) as port:
            assert_failed(await prober.probe(target_at(port, settings)), FailureKind.CLOSED)

    async def test_an_engine_that_never_answers_fails_as_the_timeout_ends(
        self, prober: Prober, settings: ProbeSettings
    ) -> None:
        async with listening(stay_silent) as port:
            target = target_at(port, settings, IMPATIENT)
            began = time.monotonic()
            outcome = await prober.probe(target)
            took = time.monotonic() - began
        assert_failed(outcome, FailureKind.TIMEOUT)
        assert IMPATIENT - 0.02 <= took < IMPATIENT + _LATEST

    async def test_a_silent_engine_delays_no_other_probe(
        self, prober: Prober, settings: ProbeSettings, engine: int
    ) -> None:
        async with listening(stay_silent) as port:
            slow = [asyncio.ensure_future(prober.probe(target_at(port, settings))) for _ in range(5)]
            assert await prober.probe(target_at(engine, settings)) == HEALTHY
            assert not any(each.done() for each in slow)
            await cancelled(slow)

    async def test_a_cancelled_probe_ends_at_once_without_an_outcome(
        self, prober: Prober, settings: ProbeSettings, engine: int
    ) -> None:
        async with listening(stay_silent) as port:
            probe = asyncio.ensure_future(prober.probe(target_at(port, settings)))
            await asyncio.sleep(0.1)
            [raised] = await cancelled([probe])
        assert isinstance(raised, asyncio.CancelledError)
        assert await prober.probe(target_at(engine, settings)) == HEALTHY

    async def test_an_endpoint_that_cannot_be_probed_is_its_own_failure(
        self, prober: Prober, settings: ProbeSettings
    ) -> None:
        unusable = Failed(0, "invalid endpoint: it has no host", FailureKind.ENDPOINT)
        assert await prober.probe(ProbeTarget("game-7", unusable, PATIENT, settings)) == unusable


def target_at(port: int, settings: ProbeSettings, timeout: float = PATIENT) -> ProbeTarget:
    """Returns a target on loopback."""
    return ProbeTarget("game-7", parse_endpoint(f"http://127.0.0.1:{port}"), timeout, settings)


def assert_failed(outcome: ProbeOutcome, kind: FailureKind) -> None:
    """Asserts a failure of this kind, without a response and with its cause in one line."""
    assert isinstance(outcome, Failed), outcome
    assert (outcome.kind, outcome.last_status) == (kind, 0), outcome
    assert outcome.last_error.isprintable()


async def stay_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads until the prober leaves."""
    try:
        while await reader.read(4096):
            pass
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """Yields the port of a server that serves each connection so; none is left open at the end."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def cancelled(probes: Sequence[asyncio.Future[ProbeOutcome]]) -> list[ProbeOutcome | BaseException]:
    """Cancels the probes and returns what each raised."""
    for probe in probes:
        probe.cancel()
    return await asyncio.gather(*probes, return_exceptions=True)
