"""The JSON endpoints: fleet, games, incidents, events, and their errors."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.telemetry.metrics.monitored_worker import MonitoredWorker
from tests.web.client import app_of, get, get_json

from healthprobe.domain.alarms.silence import SILENCES, Matcher, Silence
from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind
from healthprobe.testing.clock import FIRST_INSTANT
from healthprobe.testing.prober import UNAVAILABLE, Answer
from healthprobe.testing.stage import game, ticks


def silence(silence_id: str, matcher: Matcher, *, ends_at: datetime, who: str, why: str) -> Silence:
    return Silence(id=silence_id, matcher=matcher, who=who, why=why, created_at=FIRST_INSTANT, ends_at=ends_at)


REFUSED = Failed(0, "connection refused", FailureKind.REFUSED)


@pytest.fixture
async def monitored() -> MonitoredWorker:
    """One engine is down, one failed once, one is healthy."""
    monitored = MonitoredWorker({"chess-1": REFUSED, "go-1": [HEALTHY, HEALTHY, UNAVAILABLE], "ludo-1": HEALTHY})
    await ticks(monitored.worker, 3)
    return monitored


async def test_the_fleet_has_a_summary_and_numbers(monitored: MonitoredWorker) -> None:
    fleet = await get_json(monitored, "/api/fleet")
    assert fleet["summary"].startswith("1 of 3 engines is down: chess-1, for ")
    assert [fleet[each] for each in ("games", "down", "failing", "unknown", "healthy")] == [3, 1, 1, 0, 1]
    assert fleet["scope"] == "engine"
    assert fleet["longest"]["game_id"] == "chess-1"
    assert fleet["prober"]["probes"] == 9
    assert fleet["prober"]["trouble"] is None


async def test_games_are_sorted_by_state_and_filtered_by_state_host_and_id(monitored: MonitoredWorker) -> None:
    async def ids(query: str) -> list[str]:
        return [each["game_id"] for each in (await get_json(monitored, f"/api/games{query}"))["games"]]

    assert await ids("") == ["chess-1", "go-1", "ludo-1"]
    assert await ids("?state=down") == ["chess-1"]
    assert await ids("?q=O-1") == ["go-1", "ludo-1"]
    assert await ids("?host=127.0.0.1&state=healthy") == ["ludo-1"]
    assert await ids("?host=10.0.0.7") == []
    assert await ids("?per_page=2&page=2") == ["ludo-1"]
    assert await ids("?page=9") == []
    page = await get_json(monitored, "/api/games?per_page=2")
    assert (page["total"], page["pages"], page["page"]) == (3, 2, 1)


async def test_a_game_has_its_error_its_outcomes_and_its_incident(monitored: MonitoredWorker) -> None:
    details = await get_json(monitored, "/api/games/chess-1")
    assert (details["last_status"], details["last_error"]) == (0, "connection refused")
    assert [each["outcome"] for each in details["outcomes"]] == ["refused"] * 3
    (incident,) = details["incidents"]
    assert incident["open"]
    assert incident["last_error"] == "connection refused"
    assert "3 probes in a row failed, the last with “connection refused”" in details["explanation"]
    assert details["game"]["state"] == "down"


async def test_silences_are_shown_with_who_and_why(monitored: MonitoredWorker) -> None:
    now = monitored.stage.clock.now()
    on_host, of_game = Matcher(host="127.0.0.1", labels={"rack": ""}), Matcher(games=("go-1",))
    anna = silence("s-1", on_host, ends_at=now + timedelta(seconds=60), who="anna@ops", why="new rack")
    bob = silence("s-2", of_game, ends_at=now + timedelta(hours=1), who="bob", why="")
    await monitored.stage.log.put_documents(SILENCES, {each.id: json.dumps(each.as_document()) for each in (bob, anna)})
    await monitored.silences.refresh()
    shown = await get_json(monitored, "/api/silences")
    assert [each["id"] for each in shown["silences"]] == ["s-1", "s-2"], "those that end first at first"
    assert shown["silences"][0]["host"] == "127.0.0.1"
    assert shown["silences"][0]["labels"] == {"rack": ""}
    fleet = await get_json(monitored, "/api/fleet")
    assert fleet["silences"] == shown["silences"]
    assert fleet["prober"]["games_silenced"] == 3
    assert "It is silenced by anna@ops until" in (await get_json(monitored, "/api/games/chess-1"))["explanation"]
    [incident] = (await get_json(monitored, "/api/incidents"))["incidents"]
    assert (incident["game_id"], incident["silenced_until"]) == ("chess-1", shown["silences"][0]["ends_at"])
    go = (await get_json(monitored, "/api/games/go-1"))["game"]
    assert (go["silenced_by"], go["silenced_why"]) == ("bob", ""), "the one that ends last"
    monitored.stage.clock.step(60.0)
    assert (await get_json(monitored, "/api/fleet"))["prober"]["games_silenced"] == 1
    assert (await get_json(monitored, "/api/games/chess-1"))["game"]["silenced_until"] is None
    assert (await get_json(monitored, "/api/incidents"))["incidents"][0]["silenced_until"] is None
    assert [each["id"] for each in (await get_json(monitored, "/api/silences"))["silences"]] == ["s-2"]


async def test_a_record_that_silences_its_game_counts_as_a_silence_of_it(monitored: MonitoredWorker) -> None:
    until = datetime(2999, 1, 1, tzinfo=UTC)
    monitored.stage.records.put(replace(game("go-1"), silenced_until=until, silenced_why="new map"))
    await ticks(monitored.worker, 1)
    shown = (await get_json(monitored, "/api/games/go-1"))["game"]
    assert (shown["silenced_until"], shown["silenced_why"]) == ("2999-01-01T00:00:00Z", "new map")
    assert (await get_json(monitored, "/api/fleet"))["prober"]["games_silenced"] == 1


@pytest.mark.proves("api-odd-game-ids")
async def test_a_game_with_any_id_can_be_requested(monitored: MonitoredWorker) -> None:
    odd = "team/é ?#%2F../7"
    monitored.stage.records.put(game(odd, endpoint="http://user:secret@10.0.0.7:80"))
    await ticks(monitored.worker, 1)
    details = await get_json(monitored, "/api/games/team%2F%C3%A9%20%3F%23%252F..%2F7")
    assert details["game"]["game_id"] == odd
    assert "secret" not in str(details)


async def test_open_incidents_come_before_ended_ones(monitored: MonitoredWorker) -> None:
    monitored.stage.prober.script("ludo-1", UNAVAILABLE)
    await ticks(monitored.worker, 3)
    monitored.stage.prober.script("chess-1", HEALTHY)
    await ticks(monitored.worker, 1)
    incidents = await get_json(monitored, "/api/incidents")
    assert incidents["open"] == 2
    assert [(each["game_id"], each["open"]) for each in incidents["incidents"]] == [
        ("go-1", True),
        ("ludo-1", True),
        ("chess-1", False),
    ]


async def test_events_are_paged(monitored: MonitoredWorker) -> None:
    monitored.stage.prober.script("chess-1", HEALTHY)
    await ticks(monitored.worker, 1)
    first = await get_json(monitored, "/api/events?after=0&limit=1")
    assert [each["event"]["event_type"] for each in first["events"]] == ["probe_failed"]
    second = await get_json(monitored, f"/api/events?after={first['next']}")
    assert [each["event"]["event_type"] for each in second["events"]] == ["probe_recovered"]
    assert await get_json(monitored, f"/api/events?after={second['next']}") == {"next": second["next"], "events": []}
    assert len((await get_json(monitored, "/api/events"))["events"]) == 2


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/api/games?page=x", 400, "page must be a whole number from 1 to 1000000"),
        ("/api/games?per_page=0", 400, "per_page must be a whole number from 1 to 1000"),
        ("/api/games?state=up", 400, "state must be one of down, failing, unknown, healthy"),
        ("/api/games?label=team", 400, "'team' is no label: write NAME=VALUE, such as team=eu"),
        (
            "/api/events?label=7=x",
            400,
            "'7' is no name of a label: a name consists of letters, digits and _, and begins with no digit",
        ),
        ("/api/games?q=" + "x" * 301, 400, "q must not be longer than 300 characters"),
        ("/api/events?after=-1", 400, "after must be a whole number from 0 to 9223372036854775807"),
        ("/api/incidents?limit=1001", 400, "limit must be a whole number from 1 to 1000"),
        ("/api/availability", 400, "game must be the id of a game"),
        ("/api/games/no-such-game", 404, "no such game is watched here: no-such-game"),
        ("/nowhere", 404, "no such path; /api/openapi.json lists all paths"),
    ],
)
async def test_an_invalid_request_gets_an_error_in_one_line(
    monitored: MonitoredWorker, path: str, status: int, error: str
) -> None:
    answer = await get(app_of(monitored), path)
    assert (answer.status_code, answer.json()) == (status, {"error": error})


async def test_an_unavailable_log_fails_only_the_events(monitored: MonitoredWorker) -> None:
    await get_json(monitored, "/api/fleet")
    monitored.stage.log.unavailable = True
    answer = await get(app_of(monitored), "/api/events")
    assert answer.status_code == 503
    assert answer.json()["error"].startswith("the log is unavailable: ")
    assert (await get_json(monitored, "/api/fleet"))["down"] == 1


async def test_healthz_answers_503_while_the_prober_is_stuck(
    monitored: MonitoredWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await get(app_of(monitored), "/healthz")).json() == {"well": True, "trouble": None}
    late = monitored.stage.clock.monotonic() + 21.0
    monkeypatch.setattr(monitored.worker.status, "_monotonic", lambda: late)
    answer = await get(app_of(monitored), "/healthz")
    assert answer.status_code == 503
    assert answer.json()["trouble"].startswith("its tick is late by ")


async def test_metrics_are_in_prometheus_text_format(monitored: MonitoredWorker) -> None:
    answer = await get(app_of(monitored), "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'healthprobe_games{state="down"} 1.0' in answer.text.splitlines()


@pytest.mark.proves("api-error-leak")
async def test_an_internal_error_does_not_leak_its_details(
    monitored: MonitoredWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("healthprobe.web.fleet.fleet_document", broken)
    answer = await get(app_of(monitored), "/api/fleet")
    assert answer.status_code == 500
    assert answer.json() == {"error": "internal error of the prober; its log has the details"}


async def test_a_game_that_the_log_cannot_hold_is_named_with_its_error() -> None:
    games: dict[str, Answer] = {"chess-1": UNAVAILABLE, "漢字": UNAVAILABLE, "go-1": HEALTHY, "ludo-1": HEALTHY}
    monitored = MonitoredWorker({**games}, failures_threshold=1)
    monitored.stage.log.unacceptable.add("漢字")
    monitored.stage.log.unreadable.add("ludo-1")
    await ticks(monitored.worker, 2)
    prober = (await get_json(monitored, "/api/fleet"))["prober"]
    assert (prober["games_set_aside"], prober["transitions_waiting"], prober["longest_wait_s"]) == (2, 0, 0.0)
    assert sorted(prober["set_aside"], key=lambda each: str(each["game_id"])) == [
        {"game_id": "ludo-1", "error": "ludo-1 cannot be looked up", "event_type": None},
        {"game_id": "漢字", "error": "漢字:1 will never be taken", "event_type": "probe_failed"},
    ]
    assert [each["event"]["game_id"] for each in (await get_json(monitored, "/api/events"))["events"]] == ["chess-1"]


async def test_at_most_a_hundred_games_that_were_set_aside_are_named_and_all_are_counted() -> None:
    games = [f"game-{number}" for number in range(120)]
    monitored = MonitoredWorker(dict.fromkeys(games, UNAVAILABLE), failures_threshold=1)
    monitored.stage.log.unacceptable.update(games)
    await ticks(monitored.worker, 2)
    prober = (await get_json(monitored, "/api/fleet"))["prober"]
    assert (prober["games_set_aside"], len(prober["set_aside"])) == (120, 100)


async def test_the_longest_wait_for_the_log_is_shown() -> None:
    monitored = MonitoredWorker({"chess-1": [HEALTHY, UNAVAILABLE]}, failures_threshold=1)
    await ticks(monitored.worker, 1)
    monitored.stage.log.unavailable = True
    await ticks(monitored.worker, 1)
    await asyncio.sleep(0.05)
    prober = (await get_json(monitored, "/api/fleet"))["prober"]
    assert prober["transitions_waiting"] == 1
    assert 0 < prober["longest_wait_s"] <= monitored.worker.status.longest_wait + 0.001


@pytest.mark.parametrize("path", ["/api/fleet", "/api/games", "/api/cells", "/api/incidents", "/api/events"])
async def test_half_a_character_in_one_game_does_not_fail_the_others(path: str) -> None:
    monitored = MonitoredWorker({"half-\ud800": UNAVAILABLE, "chess-1": UNAVAILABLE}, failures_threshold=1)
    if path != "/api/events":
        monitored.stage.log.unacceptable.add("half-\ud800")
    await ticks(monitored.worker, 2)
    answer = await get(app_of(monitored), path)
    assert answer.status_code == 200
    assert "chess-1" in answer.text
    assert "half-\\\\ud800" in answer.text or path == "/api/incidents"


async def test_games_incidents_and_events_are_filtered_by_labels() -> None:
    monitored = MonitoredWorker({"chess-1": REFUSED, "chess-2": HEALTHY, "go-1": REFUSED})
    labels = {"chess-1": {"team": "eu", "tier": "1"}, "chess-2": {"team": "eu"}}
    monitored.stage.records.put(*(replace(game(each), labels=own) for each, own in labels.items()))
    await ticks(monitored.worker, 3)

    async def ids(path: str, key: str) -> list[str]:
        return sorted(each["game_id"] for each in (await get_json(monitored, path))[key])

    assert await ids("/api/games?label=team%3Deu", "games") == ["chess-1", "chess-2"]
    assert await ids("/api/games?label=team=eu&label=tier=1", "games") == ["chess-1"]
    assert await ids("/api/games?label=team=", "games") == ["go-1"]
    assert await ids("/api/incidents?label=team=eu", "incidents") == ["chess-1"]
    assert (await get_json(monitored, "/api/incidents?label=team=eu"))["open"] == 1
    events = (await get_json(monitored, "/api/events?label=team=eu"))["events"]
    assert [(each["event"]["id"], each["event"]["labels"]) for each in events] == [("chess-1:1", labels["chess-1"])]
    assert (await get_json(monitored, "/api/games/chess-2"))["game"]["labels"] == {"team": "eu"}
