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
from tests.system.runs import Runs
from tests.system.slow_engines import SlowEngines

pytestmark = [pytest.mark.slow, pytest.mark.alone]

INTERVAL, TIMEOUT = 0.3, 0.15

MACHINE = 0.5
"""Seconds that a busy machine may take to end a process."""

STRICT = "--interval 300ms --timeout 150ms --failures 1"
"""One failed probe would be an event."""

ANSWERS_AFTER = 0.03
"""Engines so slow that a fifth of them has a probe to answer at any moment of a tick, and five times quicker than they
must be."""


@pytest.mark.proves("pause-inconclusive")
@pytest.mark.timeout(400)
async def test_a_program_paused_for_longer_than_its_interval_fails_no_engine(runs: Runs, *, full: bool) -> None:
    pauses, pause = (10, 2.0) if full else (5, 0.7)
    with SlowEngines(200, delay=ANSWERS_AFTER) as engines:
        runs.watch(engines.endpoints)
        run = runs.start(STRICT)
        began = await run.started()
        for _ in range(pauses):
            await mid_tick(began)
            run.send(signal.SIGSTOP)
            await asyncio.sleep(pause)
            run.send(signal.SIGCONT)
        await asyncio.sleep(2 * INTERVAL)
        figures = await run.stopped()
    assert await runs.events() == []
    assert run.printed == []
    assert figures["failed"] == 0
    assert figures["inconclusive"] > 0, "no pause met a probe: nothing was proven"
    assert figures["healthy"] > 100 * pauses


@pytest.mark.timeout(400)
async def test_a_program_stopped_in_mid_tick_fails_no_engine_and_ends_in_time(
    runs_in: Callable[[str], Runs], *, full: bool
) -> None:
    stops, at_once = (100, 4) if full else (5, 5)

    async def stop_in_mid_tick(number: int) -> None:
        runs = runs_in(f"run-{number}")
        runs.watch(engines.endpoints)
        run = runs.start(STRICT)
        began = await run.started()
        await mid_tick(began)
        asked = time.monotonic()
        await run.stopped()
        assert time.monotonic() - asked < TIMEOUT + 2.0 + MACHINE
        assert await runs.events() == []
        assert run.printed == []

    with SlowEngines(200, delay=ANSWERS_AFTER) as engines:
        for first in range(0, stops, at_once):
            await asyncio.gather(*(stop_in_mid_tick(number) for number in range(first, min(first + at_once, stops))))
    assert engines.abandoned > stops, "hardly a stop met a probe: nothing was proven"


async def mid_tick(began: float) -> None:
    """Wait for a moment of chance in one of the next ticks, at which probes are in flight.

    They begin between 7.5 ms and 142.5 ms of each tick, and the ticks keep their places whatever becomes of one.
    """
    ticks = (time.time() - began) // INTERVAL + random.choice((2, 3))
    await asyncio.sleep(began + ticks * INTERVAL + random.uniform(0.02, 0.14) - time.time())
