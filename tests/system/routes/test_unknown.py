"""A run whose machine has no route to its engines: nothing is known of them, and everything says so."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.support.program import PROGRAM, clean_environment
from tests.support.waiting import until
from tests.system.routes.own_network import COMMAND, address_of, is_possible, joined, route
from tests.system.runs import Run, Runs

pytestmark = pytest.mark.slow

CAUSE = "the prober's machine prohibits the connection"
AT = "http://127.0.0.1:8600"
OPTIONS = "--interval 400ms --timeout 200ms --failures 2 --listen 127.0.0.1:8600 --connections fresh"
GAMES = [f"game-{number}" for number in range(7)]


@pytest.fixture
def run(runs: Runs) -> Run:
    if not is_possible():
        pytest.skip("this machine does not allow network namespaces")
    runs.watch({game: f"http://{address_of(number)}:8080" for number, game in enumerate(GAMES)})
    return runs.start(OPTIONS, prefix=COMMAND)


async def asked(run: Run, *command: str) -> tuple[int | None, str]:
    """Returns the exit code and the output of a command in the network of the run."""
    words = joined(run.process.pid, *command)
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=clean_environment({})
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def status(run: Run) -> tuple[int | None, dict[str, Any]]:
    code, output = await asked(run, *PROGRAM, "status", "--at", AT, "--json")
    document: dict[str, Any] = json.loads(output or "{}")
    return code, document


async def fleet_with(run: Run, **numbers: int) -> dict[str, Any]:
    """Returns the document of the fleet once it has these numbers."""
    for _ in range(100):
        _, output = await asked(run, "curl", "--silent", f"{AT}/api/fleet")
        fleet: dict[str, Any] = json.loads(output or "{}")
        if numbers.items() <= fleet.items():
            return fleet
        await asyncio.sleep(0.05)
    pytest.fail(f"the fleet stays at {fleet}")


async def test_engines_that_answered_and_have_no_route_now_are_unknown_and_status_exits_with_1(run: Run) -> None:
    await run.started()
    await fleet_with(run, healthy=7)
    code, found = await status(run)
    assert (code, found["summary"]) == (0, "All 7 engines answer.")
    for number in range(7):
        route(run.process.pid, f"add prohibit {address_of(number)}/32")
    await fleet_with(run, unknown=7)
    code, found = await status(run)
    assert (code, found["healthy"], found["down"]) == (1, 0, 0)
    assert "nothing has been known of 7 of 7 games" in found["summary"]
    assert {game["game_id"]: game["error"] for game in found["unknown_games"]} == dict.fromkeys(GAMES, CAUSE)
    code, explained = await asked(run, *PROGRAM, "explain", "game-3", "--at", AT, "--json")
    assert code == 0
    assert json.loads(explained)["explanation"].startswith("Nothing has been known of game-3 for ")
    code, health = await asked(run, "curl", "--silent", "--write-out", " %{http_code}", f"{AT}/healthz")
    assert "nothing has been known of 7 of 7 games" in health
    assert health.endswith(" 503")
    assert run.logged("probe inconclusive")[0]["game_id"] in GAMES
    assert run.printed == []
    for number in range(7):
        route(run.process.pid, f"del prohibit {address_of(number)}/32")
    await fleet_with(run, healthy=7)


async def test_one_engine_without_a_route_fails_after_ten_intervals_and_recovers(run: Run) -> None:
    await run.started()
    await fleet_with(run, healthy=7)
    route(run.process.pid, f"add prohibit {address_of(3)}/32")
    found = await fleet_with(run, unknown=1)
    assert found["summary"] == f"No engine of 7 is down; nothing is known of 1: game-3, {CAUSE}."
    await until(lambda: run.printed, "the engine fails")
    route(run.process.pid, f"del prohibit {address_of(3)}/32")
    await until(lambda: len(run.printed) == 2, "it recovers")
    failed, recovered = run.printed
    assert (failed["game_id"], failed["details"]["last_error"]) == ("game-3", CAUSE)
    assert recovered["event_type"] == "probe_recovered"
