"""Promise 1 over what is done to the process itself: a pause or a stop of ours is never an engine's failure.

In short by default; ten pauses of 2 s and a hundred SIGTERMs with HEALTHPROBE_SYSTEM_TESTS=full.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable

import pytest
from tests.system.life import Lives
from tests.system.slow_engines import SlowEngines

pytestmark = [pytest.mark.slow, pytest.mark.alone]

INTERVAL, TIMEOUT = 0.3, 0.15

MACHINE = 0.5
"""Seconds that a busy machine may take to end a process and to tell us."""

STRICT = "--interval 300ms --timeout 150ms --failures 1"
"""One failed probe would be an event."""

ANSWERS_AFTER = 0.03
"""Engines so slow that a fifth of them has a probe to answer at any moment of a tick, and five times quicker than they
must be."""


@pytest.mark.proves("pause-inconclusive")
@pytest.mark.timeout(400)
async def test_a_program_that_is_paused_for_longer_than_its_interval_blames_no_engine(
    lives: Lives, *, full: bool
) -> None:
    pauses, pause = (10, 2.0) if full else (5, 0.7)
    with SlowEngines(200, delay=ANSWERS_AFTER) as engines:
        lives.watch(engines.endpoints)
        life = lives.begin(STRICT)
        began = await life.began()
        for _ in range(pauses):
            await mid_tick(began)
            life.send(signal.SIGSTOP)
            await asyncio.sleep(pause)
            life.send(signal.SIGCONT)
        await asyncio.sleep(2 * INTERVAL)
        figures = await life.stopped()
    assert await lives.events() == []
    assert life.printed == []
    assert figures["failed"] == 0
    assert figures["inconclusive"] > 0, "no pause met a probe: nothing was proven"
    assert figures["healthy"] > 100 * pauses


@pytest.mark.timeout(400)
async def test_a_program_that_is_told_to_stop_in_mid_tick_blames_no_engine_and_is_gone_in_time(
    lives_in: Callable[[str], Lives], *, full: bool
) -> None:
    stops, beside = (100, 4) if full else (5, 5)

    async def stop_in_mid_tick(number: int) -> None:
        lives = lives_in(f"life-{number}")
        lives.watch(engines.endpoints)
        life = lives.begin(STRICT)
        began = await life.began()
        await mid_tick(began)
        told = time.monotonic()
        await life.stopped()
        assert time.monotonic() - told < TIMEOUT + 2.0 + MACHINE
        assert await lives.events() == []
        assert life.printed == []

    with SlowEngines(200, delay=ANSWERS_AFTER) as engines:
        for first in range(0, stops, beside):
            await asyncio.gather(*(stop_in_mid_tick(number) for number in range(first, min(first + beside, stops))))
    assert engines.abandoned > stops, "hardly a stop met a probe: nothing was proven"


async def mid_tick(began: float) -> None:
    """Wait for a moment of chance in one of the next ticks, at which probes are in flight.

    They begin between 7.5 ms and 142.5 ms of each tick, and the ticks keep their places whatever becomes of one.
    """
    ticks = (time.time() - began) // INTERVAL + random.choice((2, 3))
    await asyncio.sleep(began + ticks * INTERVAL + random.uniform(0.02, 0.14) - time.time())
