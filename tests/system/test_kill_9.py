"""Promise 2 for the whole program: killed again and again, its log has each transition exactly once.

Twelve kills by default; more than two hundred with HEALTHPROBE_SYSTEM_TESTS=full, which takes three minutes.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import pytest
from tests.support.waiting import until
from tests.system.fault_rounds import FaultRounds
from tests.system.runs import EMBEDDED, IN_FILE, Runs

THRESHOLD = 2
OPTIONS = f"--interval 300ms --timeout 250ms --failures {THRESHOLD}"

SHORT_RUN = 1.2
"""The longest short run, in seconds: half as long again as a start on an idle machine."""


@pytest.mark.timeout(900)
async def test_the_log_of_a_program_that_is_killed_again_and_again_equals_the_engines_script(
    runs_in: Callable[[str], Runs], *, full: bool
) -> None:
    rounds = FaultRounds(count=35 if full else 2)
    async with rounds:
        from_file, embedded = runs_in("from-file"), runs_in("embedded")
        from_file.watch(rounds.endpoints)
        await embedded.embed(rounds.endpoints)
        all_runs = ((from_file, IN_FILE), (embedded, EMBEDDED))
        for _ in range(rounds.count):
            await asyncio.gather(
                rounds.change_engines(), *(two_short_runs(runs, records) for runs, records in all_runs)
            )
            await asyncio.gather(*(a_run_of_the_whole_round(runs, records, rounds) for runs, records in all_runs))
        await asyncio.gather(*(a_run_that_ends_well(runs, records) for runs, records in all_runs))
    for runs, _ in all_runs:
        await assert_it_told_exactly(rounds, runs)


async def assert_it_told_exactly(rounds: FaultRounds, runs: Runs) -> None:
    events = await runs.events()
    for game_id in rounds.games:
        of_game = [event for event in events if event.game_id == game_id]
        expected = rounds.expected(game_id)
        assert [event.event_type for event in of_game] == [each.event_type for each in expected], game_id
        for each, event in zip(expected, of_game, strict=True):
            assert each.matches(event), f"{event} is not {each}"
            if event.event_type == "probe_failed":
                assert event.details.as_document()["consecutive_failures"] == THRESHOLD
        assert [event.id for event in of_game] == [f"{game_id}:{number}" for number in range(1, len(of_game) + 1)]
        assert {event.container_id for event in of_game} <= {f"container-of-{game_id}"}
    assert len(events) == rounds.events_due > 0
    printed = {event["id"]: event for event in runs.printed}
    assert len(runs.printed) - len(printed) < len(events), "each run prints again what an earlier one has printed"
    assert list(printed.values()) == [event.as_document() for event in events]


async def two_short_runs(runs: Runs, records: str) -> None:
    """Kills one run at any moment, also while it starts, and one as it prints its first event."""
    run = runs.start(OPTIONS, records=records)
    await asyncio.sleep(random.uniform(0.0, SHORT_RUN))
    run.kill()

    run = runs.start(OPTIONS, records=records)
    latest = time.monotonic() + SHORT_RUN
    while not run.has_printed and time.monotonic() < latest:  # noqa: ASYNC110  a growing file wakes no task
        await asyncio.sleep(0.0005)
    await asyncio.sleep(random.choice((0.0, random.uniform(0.0, 0.02))))
    run.kill()


async def a_run_of_the_whole_round(runs: Runs, records: str, rounds: FaultRounds) -> None:
    """Kills a run when the log has the last event of the round, at once or a little later."""
    run = runs.start(OPTIONS, records=records)
    await run.started()
    await until(lambda: runs.event_count >= rounds.events_due, "the log has every event of this round")
    await asyncio.sleep(random.choice((0.0, random.uniform(0.0, 0.6))))
    run.kill()


async def a_run_that_ends_well(runs: Runs, records: str) -> None:
    run = runs.start(OPTIONS, records=records)
    await run.started()
    await asyncio.sleep(0.6)
    await run.stopped()
