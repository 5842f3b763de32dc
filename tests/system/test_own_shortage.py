"""A run that is short of descriptors or local ports fails no engine, and goes on as before."""

from __future__ import annotations

import asyncio
import resource
import sys

import pytest
from tests.support.waiting import until
from tests.system import few_ports
from tests.system.runs import Runs

from healthprobe.domain.event import EventType
from healthprobe.testing.engines import Script
from healthprobe.testing.fleet import FleetProcess

pytestmark = pytest.mark.slow

HEALTHY, HANGING, REFUSING = Script(), Script(((0.0, "hang"),)), Script(((0.0, "crash"),))


@pytest.mark.proves("many-engines-few-descriptors")
@pytest.mark.alone
async def test_five_thousand_engines_are_probed_with_256_descriptors_and_only_the_dead_fail(runs: Runs) -> None:
    scripts = {f"game-{number}": HEALTHY for number in range(5_000)}
    scripts |= {f"game-{number}": HANGING for number in range(0, 5_000, 250)}
    scripts |= {f"game-{number}": REFUSING for number in range(1, 5_000, 250)}
    dead = {game_id for game_id, script in scripts.items() if script is not HEALTHY}
    with FleetProcess(scripts) as fleet:
        runs.watch(fleet.endpoints)
        options = "--interval 3s --timeout 500ms --failures 2"
        run = runs.start(options, prefix=("prlimit", "--nofile=256:256"))
        await run.started()
        await until(lambda: len(run.printed) >= len(dead), "every dead engine fails")
        await asyncio.sleep(3.0)
        assert run.is_up
        figures = await run.stopped()
    events = await runs.events()
    assert sorted(event.game_id for event in events) == sorted(dead)
    assert {event.event_type for event in events} == {EventType.PROBE_FAILED}
    assert figures["healthy"] >= 2 * (len(scripts) - len(dead))


@pytest.mark.proves("own-descriptors")
async def test_a_run_out_of_descriptors_fails_no_engine_and_reports_the_dead_when_it_has_them_again(
    runs: Runs,
) -> None:
    games = [f"game-{number}" for number in range(50)]
    with FleetProcess(dict.fromkeys(games, HEALTHY)) as fleet:
        runs.watch(fleet.endpoints)
        run = runs.start("--interval 500ms --timeout 200ms --failures 2 --connections fresh")
        await run.started()
        await asyncio.sleep(1.0)
        before = resource.prlimit(run.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(run.process.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        fleet.become({"game-0": 503})
        await asyncio.sleep(2.5)
        assert run.is_up
        assert run.printed == [], "no event of an engine that was not probed"
        resource.prlimit(run.process.pid, resource.RLIMIT_NOFILE, before)
        await until(lambda: run.printed, "the one that is dead fails")
        await asyncio.sleep(1.5)
        figures = await run.stopped()
    [event] = await runs.events()
    assert (event.game_id, event.details.as_document()["last_status"]) == ("game-0", 503)
    short = "inconclusive[out of file descriptors (this process's limit)]"
    assert figures[short] >= 3 * len(games)
    assert figures["healthy"] > 3 * len(games)


@pytest.mark.proves("own-ports")
@pytest.mark.skipif(sys.platform != "linux", reason="networks of one's own are Linux's")
async def test_a_run_out_of_local_ports_fails_no_engine_and_reports_the_dead_when_it_has_them_again(
    runs: Runs,
) -> None:
    if not few_ports.is_possible(runs.folder):
        pytest.skip("this machine does not allow network namespaces")
    games = {f"game-{number}": f"{few_ports.ENDPOINT}/game-{number}" for number in range(20)}
    dead = {f"dead-{number}": f"{few_ports.ENDPOINT}/dead/{number}" for number in range(2)}
    runs.watch(games)
    run = runs.start("--interval 500ms --timeout 200ms --failures 2", prefix=few_ports.command_in(runs.folder))
    await run.started()
    await asyncio.sleep(1.5)
    runs.watch(games | dead)
    await asyncio.sleep(2.0)
    assert run.is_up
    assert run.printed == [], "four are asked, and are well; of the others nothing is known"
    (runs.folder / few_ports.SIGN).touch()
    await until(lambda: len(run.printed) >= len(dead), "the dead ones fail")
    await asyncio.sleep(1.5)
    figures = await run.stopped()
    events = await runs.events()
    assert sorted(event.game_id for event in events) == sorted(dead)
    assert {event.details.as_document()["last_status"] for event in events} == {503}
    assert figures["inconclusive[no free local port]"] >= 3 * (len(games) - 4)
    assert figures["failed"] < 50
    assert figures["healthy"] > 3 * len(games)
