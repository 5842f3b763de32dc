"""The condition of a game, and the diagnosis of a fleet: one engine, one host, the fleet, or the prober itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.event import ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.domain.fleet_status import (
    Condition,
    Outage,
    Scope,
    Unknown,
    WatchedShards,
    diagnose,
    game_condition,
)
from healthprobe.domain.hysteresis import UNREAD, GameState, Standing

FAILED = ProbeFailedDetails(3, 503, "unexpected status 503")
HOSTS = {"10.0.0.1": 4, "10.0.0.2": 4, "10.0.0.3": 4}


def outages(*on: str, seconds: float | None = None) -> list[Outage]:
    return [Outage(f"game-{number}", f"10.0.0.{host}", seconds) for number, host in enumerate(on, 1)]


@pytest.mark.parametrize(
    ("state", "is_unknown", "condition"),
    [
        (None, False, Condition.HEALTHY),
        (None, True, Condition.UNKNOWN),
        (UNREAD, False, Condition.HEALTHY),
        (UNREAD, True, Condition.UNKNOWN),
        (GameState(Standing.UNREAD, 2), False, Condition.FAILING),
        (GameState(Standing.CLOSED, 1), False, Condition.FAILING),
        (GameState(Standing.CLOSED, 1), True, Condition.UNKNOWN),
        (GameState(Standing.CLOSED, 3, pending=FAILED), False, Condition.DOWN),
        (GameState(Standing.OPEN, 3), False, Condition.DOWN),
        (GameState(Standing.OPEN, 3), True, Condition.DOWN),
        (GameState(Standing.OPEN, 0, pending=ProbeRecoveredDetails(3)), False, Condition.HEALTHY),
        (GameState(Standing.OPEN, 1, pending=ProbeRecoveredDetails(3)), False, Condition.FAILING),
    ],
)
def test_the_condition_follows_the_log_and_what_is_pending(
    *, state: GameState | None, is_unknown: bool, condition: Condition
) -> None:
    assert game_condition(state, is_unknown=is_unknown) is condition


def test_a_fleet_without_outage_has_scope_none() -> None:
    found = diagnose(12, HOSTS, [])
    assert (found.scope, found.summary) == (Scope.NONE, "All 12 engines answer.")
    assert diagnose(1, {"a": 1}, []).summary == "The one engine answers."
    assert diagnose(0, {}, []).summary == "No game is running."


def test_failing_and_unknown_games_are_counted_if_nothing_is_down() -> None:
    assert diagnose(12, HOSTS, [], failing=2).summary == "No engine of 12 is down; 2 failed lately."
    found = diagnose(1_200, HOSTS, [], failing=2, unknown=Unknown(1_000))
    assert (found.scope, found.summary) == (
        Scope.NONE,
        "No engine of 1,200 is down; 2 failed lately, 1,000 not probed yet.",
    )


def test_an_instance_that_watches_some_of_the_shards_says_how_many() -> None:
    down = [Outage("chess-1", "a", 252.0)]
    summary = diagnose(3, {"a": 3}, down, watched=WatchedShards(86, 256)).summary
    assert summary == "1 of 3 engines is down: chess-1, for 4m12s; watched here are 86 of 256 shards."
    assert (
        diagnose(0, {}, [], watched=WatchedShards(2, 256)).summary
        == "No game is in the 2 of 256 shards that are watched here."
    )
    assert diagnose(3, {"a": 3}, down, watched=WatchedShards(256, 256)) == diagnose(3, {"a": 3}, down)


def test_a_single_outage_names_the_game_and_how_long_it_is_down() -> None:
    found = diagnose(12, HOSTS, outages("1", seconds=75.0))
    assert (found.scope, found.summary) == (Scope.ENGINE, "1 of 12 engines is down: game-1, for 1m15s.")


def test_outages_on_a_single_host_have_the_scope_of_the_host() -> None:
    found = diagnose(12, HOSTS, outages("1", "1", seconds=75.0))
    assert found.scope is Scope.HOST
    assert found.summary == "2 of 12 engines are down, all of them on 10.0.0.1, for 1m15s at most."


def test_two_outages_among_many_engines_of_a_host_do_not_blame_the_host() -> None:
    assert diagnose(102, {**HOSTS, "10.0.0.4": 90}, outages("4", "4")).scope is Scope.ENGINES


def test_the_host_is_not_blamed_if_it_is_the_only_one() -> None:
    assert diagnose(4, {"10.0.0.1": 4}, outages("1", "1")).scope is Scope.ENGINES
    assert diagnose(8, {"10.0.0.1": 8}, outages(*"111111")).scope is Scope.FLEET


def test_outages_on_several_hosts_name_the_game_that_is_down_longest() -> None:
    mixed = [Outage("game-1", "10.0.0.1", 10.0), Outage("game-2", "10.0.0.2", 4000.0)]
    found = diagnose(12, HOSTS, mixed)
    assert (found.scope, found.summary) == (Scope.ENGINES, "2 of 12 engines are down, game-2 the longest, for 1h06m.")


def test_half_of_the_fleet_and_at_least_five_engines_have_the_scope_of_the_fleet() -> None:
    assert diagnose(12, HOSTS, outages(*"112233")).scope is Scope.FLEET
    assert diagnose(6, {"a": 3, "b": 3}, outages(*"1122")).scope is Scope.ENGINES


def test_trouble_of_the_prober_comes_first() -> None:
    found = diagnose(12, HOSTS, outages(*"112233"), "its log is away for 2m10s")
    assert found.scope is Scope.PROBER
    assert found.summary == "The prober itself is in trouble: its log is away for 2m10s."


@given(
    hosts=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9), min_size=1),
    data=st.data(),
)
def test_every_outage_is_summarized_in_one_sentence_with_its_count(hosts: dict[str, int], data: st.DataObject) -> None:
    games = sum(hosts.values())
    down = data.draw(st.integers(1, games))
    places = [host for host, count in hosts.items() for _ in range(count)][:down]
    seconds = st.none() | st.floats(0, 1e7)
    found = diagnose(games, hosts, [Outage(f"g{n}", host, data.draw(seconds)) for n, host in enumerate(places)])
    assert found.summary.startswith(f"{down:,} of {games:,} engine")
    assert found.summary.endswith(".")
    assert "\n" not in found.summary
    assert found.scope not in {Scope.NONE, Scope.PROBER}
