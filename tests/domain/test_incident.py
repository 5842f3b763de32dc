from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.alarms.gone import GoneIncident
from healthprobe.domain.event import Details, HealthEvent, ProbeEndedDetails, ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.domain.incident import incidents

BEGIN = datetime(2026, 11, 23, 17, tzinfo=UTC)
DOWN = ProbeFailedDetails(3, 503, "unexpected status 503")
UP = ProbeRecoveredDetails(7)


def event(game_id: str, sequence: int, details: Details, after: float = 0.0) -> HealthEvent:
    return HealthEvent(sequence, game_id, "c1", BEGIN + timedelta(seconds=after), details)


def test_no_events_mean_no_incident() -> None:
    assert incidents([]) == []


def test_a_failure_and_a_recovery_are_one_incident() -> None:
    failed, recovered = event("a", 1, DOWN), event("a", 2, UP, after=90)
    (incident,) = incidents([failed, recovered])
    assert (incident.failed, incident.recovered) == (failed, recovered)
    assert not incident.is_open
    assert incident.lasted(BEGIN + timedelta(days=1)) == timedelta(seconds=90)


def test_an_open_incident_grows_with_the_clock() -> None:
    (incident,) = incidents([event("a", 1, DOWN)])
    assert incident.is_open
    assert incident.lasted(BEGIN + timedelta(seconds=5)) == timedelta(seconds=5)


def test_incidents_are_in_the_order_in_which_they_began() -> None:
    found = incidents(
        [
            event("a", 1, DOWN, 0),
            event("b", 1, DOWN, 1),
            event("a", 2, UP, 2),
            event("a", 3, DOWN, 3),
            event("b", 2, UP, 4),
        ]
    )
    assert [(each.game_id, each.is_open) for each in found] == [("a", False), ("b", False), ("a", True)]


def test_a_recovery_without_its_failure_is_ignored() -> None:
    assert incidents([event("a", 8, UP), event("a", 9, DOWN, 5)])[0].failed.sequence == 9
    assert incidents([event("a", 8, UP)]) == []


def test_a_clock_set_back_gives_no_negative_duration() -> None:
    (ended,) = incidents([event("a", 1, DOWN), event("a", 2, UP, after=-30)])
    assert ended.lasted(BEGIN) == timedelta(0)
    (lasting,) = incidents([event("a", 1, DOWN)])
    assert lasting.lasted(BEGIN - timedelta(hours=1)) == timedelta(0)


def test_an_open_incident_as_data_runs_up_to_now() -> None:
    (incident,) = incidents([event("game-7", 1, DOWN)])
    assert incident.as_document(BEGIN + timedelta(milliseconds=1500)) == {
        "game_id": "game-7",
        "container_id": "c1",
        "open": True,
        "failed_at": "2026-11-23T17:00:00.000000Z",
        "recovered_at": None,
        "gone_at": None,
        "duration_s": 1.5,
        "last_status": 503,
        "last_error": "unexpected status 503",
    }


def test_an_ended_incident_as_data_has_its_recovery_and_its_own_duration() -> None:
    (incident,) = incidents([event("game-7", 1, DOWN), event("game-7", 2, UP, after=61.25)])
    document = incident.as_document(BEGIN + timedelta(days=1))
    assert (document["open"], document["duration_s"]) == (False, 61.25)
    assert document["recovered_at"] == "2026-11-23T17:01:01.250000Z"


def test_an_incident_that_a_probe_ended_ends_has_not_recovered() -> None:
    (incident,) = incidents([event("a", 1, DOWN), event("a", 2, ProbeEndedDetails(), after=30)])
    assert (incident.is_open, incident.recovered) == (False, None)
    assert incident.gone_at == BEGIN + timedelta(seconds=30)
    assert incident.lasted(BEGIN + timedelta(days=1)) == timedelta(seconds=30)


def test_a_note_that_the_game_is_gone_ends_the_incident_that_it_names_and_no_later_one() -> None:
    note = GoneIncident("a", 1, BEGIN + timedelta(seconds=45))
    gone = {("a", 1): note}
    (incident,) = incidents([event("a", 1, DOWN)], gone)
    assert not incident.is_open
    assert incident.as_document(BEGIN + timedelta(days=1))["gone_at"] == "2026-11-23T17:00:45.000000Z"
    later = [event("a", 1, DOWN), event("a", 2, UP, 60), event("a", 3, DOWN, 90)]
    assert [(each.is_open, each.gone_at) for each in incidents(later, gone)] == [(False, None), (True, None)]


@given(st.lists(st.sampled_from("abc"), max_size=40))
def test_every_failure_is_one_incident_and_only_the_last_of_a_game_can_be_open(games: list[str]) -> None:
    events = [
        event(game_id, (sequence := games[: at + 1].count(game_id)), DOWN if sequence % 2 else UP, at)
        for at, game_id in enumerate(games)
    ]
    found = incidents(events)
    assert [each.failed for each in found] == [each for each in events if each.details is DOWN]
    for game_id in set(games):
        own = [each for each in found if each.game_id == game_id]
        assert [each.is_open for each in own] == [*[False] * (len(own) - 1), games.count(game_id) % 2 == 1]
