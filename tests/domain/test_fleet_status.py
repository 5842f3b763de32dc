"""At three in the morning one sentence tells whether it is one engine, one host, the fleet, or the prober itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.fleet_status import Outage, Part, Scope, diagnosis

HOSTS = {"10.0.0.1": 4, "10.0.0.2": 4, "10.0.0.3": 4}


def outages(*on: str, seconds: float | None = None) -> list[Outage]:
    return [Outage(f"game-{number}", f"10.0.0.{host}", seconds) for number, host in enumerate(on, 1)]


def test_nothing_is_the_matter_where_all_answer() -> None:
    told = diagnosis(12, HOSTS, [])
    assert (told.scope, told.told) == (Scope.NONE, "All 12 engines answer.")
    assert diagnosis(1, {"a": 1}, []).told == "The one engine answers."
    assert diagnosis(0, {}, []).told == "No game is running."


def test_what_failed_lately_or_was_not_asked_yet_is_told_where_nothing_is_down() -> None:
    assert diagnosis(12, HOSTS, [], failing=2).told == "No engine of 12 is down; 2 failed lately."
    told = diagnosis(1_200, HOSTS, [], failing=2, unknown=1_000)
    assert (told.scope, told.told) == (Scope.NONE, "No engine of 1,200 is down; 2 failed lately, 1,000 not asked yet.")


def test_who_watches_a_part_of_the_fleet_says_how_large_it_is() -> None:
    down = [Outage("chess-1", "a", 252.0)]
    told = diagnosis(3, {"a": 3}, down, part=Part(86, 256)).told
    assert told == "1 of 3 engines is down: chess-1, for 4m12s; watched here are 86 of 256 shards."
    assert diagnosis(0, {}, [], part=Part(2, 256)).told == "No game is in the 2 of 256 shards that are watched here."
    assert diagnosis(3, {"a": 3}, down, part=Part(256, 256)) == diagnosis(3, {"a": 3}, down)


def test_one_engine_is_named_with_the_time_it_is_down() -> None:
    told = diagnosis(12, HOSTS, outages("1", seconds=75.0))
    assert (told.scope, told.told) == (Scope.ENGINE, "1 of 12 engines is down: game-1, for 1m15s.")


def test_engines_that_are_down_on_one_host_alone_are_the_host_s() -> None:
    told = diagnosis(12, HOSTS, outages("1", "1", seconds=75.0))
    assert told.scope is Scope.HOST
    assert told.told == "2 of 12 engines are down, all of them on 10.0.0.1, for 1m15s at most."


def test_two_of_many_on_one_host_are_no_matter_of_the_host() -> None:
    assert diagnosis(102, {**HOSTS, "10.0.0.4": 90}, outages("4", "4")).scope is Scope.ENGINES


def test_where_all_run_on_one_host_it_tells_nothing() -> None:
    assert diagnosis(4, {"10.0.0.1": 4}, outages("1", "1")).scope is Scope.ENGINES
    assert diagnosis(8, {"10.0.0.1": 8}, outages(*"111111")).scope is Scope.FLEET


def test_engines_on_several_hosts_are_told_by_the_one_that_is_down_the_longest() -> None:
    mixed = [Outage("game-1", "10.0.0.1", 10.0), Outage("game-2", "10.0.0.2", 4000.0)]
    told = diagnosis(12, HOSTS, mixed)
    assert (told.scope, told.told) == (Scope.ENGINES, "2 of 12 engines are down, game-2 the longest, for 1h06m.")


def test_half_of_the_fleet_and_five_at_least_point_to_what_they_share() -> None:
    assert diagnosis(12, HOSTS, outages(*"112233")).scope is Scope.FLEET
    assert diagnosis(6, {"a": 3, "b": 3}, outages(*"1122")).scope is Scope.ENGINES


def test_the_prober_s_own_trouble_is_told_first() -> None:
    told = diagnosis(12, HOSTS, outages(*"112233"), "its log is away for 2m10s")
    assert told.scope is Scope.PROBER
    assert told.told == "The prober itself is in trouble: its log is away for 2m10s."


@given(
    hosts=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9), min_size=1),
    data=st.data(),
)
def test_every_outage_is_one_sentence_with_its_count(hosts: dict[str, int], data: st.DataObject) -> None:
    games = sum(hosts.values())
    down = data.draw(st.integers(1, games))
    places = [host for host, count in hosts.items() for _ in range(count)][:down]
    seconds = st.none() | st.floats(0, 1e7)
    told = diagnosis(games, hosts, [Outage(f"g{n}", host, data.draw(seconds)) for n, host in enumerate(places)])
    assert told.told.startswith(f"{down:,} of {games:,} engine")
    assert told.told.endswith(".")
    assert "\n" not in told.told
    assert told.scope not in {Scope.NONE, Scope.PROBER}
