"""Virtual time, on which all of this folder rests."""

from __future__ import annotations

import asyncio
import itertools
import time
from datetime import timedelta

import pytest

from healthprobe.testing.clock import FIRST_INSTANT, FakeClock, NothingToWaitFor, VirtualTimeLoop


async def test_an_hour_passes_at_once_and_to_the_nanosecond() -> None:
    loop, began = asyncio.get_running_loop(), time.perf_counter()
    for _ in range(36_000):
        await asyncio.sleep(0.1)
    assert loop.time() == 3600.0
    assert time.perf_counter() - began < 30


async def test_timers_fire_in_their_order_each_at_its_own_time() -> None:
    loop = asyncio.get_running_loop()
    fired: list[float] = []
    for delay in (3.0, 1.0, 2.0, 0.1 + 0.2):
        loop.call_later(delay, lambda: fired.append(loop.time()))
    await asyncio.sleep(5)
    assert fired == [0.3, 1.0, 2.0, 3.0]


async def test_tasks_that_are_ready_run_before_time_goes_on() -> None:
    steps: list[float] = []

    async def step() -> None:
        for _ in range(100):
            await asyncio.sleep(0)
        steps.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(step() for _ in range(10)), asyncio.sleep(1))
    assert steps == [0.0] * 10


async def test_a_stall_makes_all_timers_that_come_due_meanwhile_fire_late_together() -> None:
    loop = asyncio.get_running_loop()
    fired: list[float] = []
    for delay in (1.0, 2.0, 8.0):
        loop.call_later(delay, lambda: fired.append(loop.time()))
    assert isinstance(loop, VirtualTimeLoop)
    loop.call_later(0.5, loop.stall, 5.0)
    await asyncio.sleep(10)
    assert fired == [5.5, 5.5, 8.0]


def test_what_waits_for_ever_raises_and_is_named_instead_of_hanging() -> None:
    async def patient() -> None:
        await asyncio.get_running_loop().create_future()

    with (
        asyncio.Runner(loop_factory=VirtualTimeLoop) as runner,
        pytest.raises(NothingToWaitFor, match=r"no timer is set.*patient"),
    ):
        runner.run(patient())


def test_what_ticks_for_ever_raises_at_the_horizon() -> None:
    async def ticking() -> None:
        for _ in itertools.count():
            await asyncio.sleep(1)

    with (
        asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(horizon=100)) as runner,
        pytest.raises(NothingToWaitFor, match=r"100s of virtual time have passed.*ticking"),
    ):
        runner.run(ticking())


async def test_the_fake_clock_follows_the_loop() -> None:
    clock = FakeClock()
    await asyncio.sleep(90.5)
    assert clock.monotonic() == 90.5
    assert clock.now() == FIRST_INSTANT + timedelta(seconds=90.5)


async def test_a_step_of_wall_time_leaves_monotonic_time_alone() -> None:
    clock = FakeClock()
    clock.step(-3600)
    await asyncio.sleep(1)
    assert clock.monotonic() == 1.0
    assert clock.now() == FIRST_INSTANT - timedelta(seconds=3599)
