from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.event import (
    Details,
    EventType,
    HealthEvent,
    ProbeEndedDetails,
    ProbeFailedDetails,
    ProbeRecoveredDetails,
    format_instant,
    parse_instant,
)

INSTANT = datetime(2026, 11, 23, 17, 0, 0, 123456, tzinfo=UTC)
FAILED = HealthEvent(3, "game-7", "c0ffee", INSTANT, ProbeFailedDetails(3, 503, "unexpected status 503"))
RECOVERED = HealthEvent(4, "game-7", "c0ffee", INSTANT, ProbeRecoveredDetails(5))

counts = st.integers(1, 10**9)
details = st.one_of(
    st.builds(ProbeFailedDetails, counts, st.integers(0, 999), st.text(max_size=100)),
    st.builds(ProbeRecoveredDetails, counts),
    st.builds(ProbeEndedDetails, st.text(max_size=100)),
)
instants = st.datetimes(timezones=st.just(UTC))


def test_the_document_of_a_failure_follows_the_contract() -> None:
    assert json.dumps(FAILED.as_document()) == (
        '{"id": "game-7:3", "sequence": 3, "game_id": "game-7", "container_id": "c0ffee", '
        '"event_type": "probe_failed", "occurred_at": "2026-11-23T17:00:00.123456Z", "details": '
        '{"consecutive_failures": 3, "last_status": 503, "last_error": "unexpected status 503"}}'
    )


def test_the_document_of_a_recovery_follows_the_contract() -> None:
    assert json.dumps(RECOVERED.as_document()) == (
        '{"id": "game-7:4", "sequence": 4, "game_id": "game-7", "container_id": "c0ffee", '
        '"event_type": "probe_recovered", "occurred_at": "2026-11-23T17:00:00.123456Z", "details": '
        '{"prior_failure_count": 5}}'
    )


def test_the_type_of_an_event_follows_its_details() -> None:
    assert (FAILED.event_type, RECOVERED.event_type) == (EventType.PROBE_FAILED, EventType.PROBE_RECOVERED)
    assert set(EventType) == {"probe_failed", "probe_recovered", "probe_ended"}


def test_the_id_is_unique_per_event_and_the_same_for_each_delivery() -> None:
    assert (FAILED.id, RECOVERED.id) == ("game-7:3", "game-7:4")


@given(details)
def test_an_event_is_read_back_from_its_document(written: Details) -> None:
    event = HealthEvent(3, "game-7", "c0ffee", INSTANT, written)
    assert HealthEvent.from_document(json.loads(json.dumps(event.as_document()))) == event


@pytest.mark.parametrize(
    ("event_type", "details"),
    [
        ("probe_exploded", {}),
        ("", {"prior_failure_count": 1}),
        ("probe_failed", {}),
        ("probe_failed", {"consecutive_failures": 3, "last_status": 503}),
        ("probe_failed", {"consecutive_failures": None, "last_status": 503, "last_error": "x"}),
        ("probe_failed", {"consecutive_failures": "many", "last_status": 503, "last_error": "x"}),
        ("probe_recovered", {"consecutive_failures": 3}),
        ("probe_recovered", {"prior_failure_count": [3]}),
        ("probe_ended", {}),
        ("probe_ended", {"prior_failure_count": 3}),
    ],
)
def test_details_that_do_not_match_the_event_type_are_refused(event_type: str, details: object) -> None:
    with pytest.raises(ValueError, match=r"not a valid EventType|is missing or has another type|invalid literal"):
        HealthEvent.from_document(FAILED.as_document() | {"event_type": event_type, "details": details})


@pytest.mark.parametrize("name", ["consecutive_failures", "last_status"])
def test_an_infinite_count_is_refused(name: str) -> None:
    details = {**FAILED.details.as_document(), name: float("inf")}
    with pytest.raises(ValueError, match="float infinity"):
        HealthEvent.from_document(FAILED.as_document() | {"details": details})


@pytest.mark.parametrize(
    "altered", [{"sequence": "3"}, {"sequence": True}, {"game_id": 7}, {"container_id": None}, {"occurred_at": 0}]
)
def test_a_field_of_another_type_is_refused(altered: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must be|another type"):
        HealthEvent.from_document(FAILED.as_document() | altered)


@pytest.mark.parametrize("name", ["sequence", "game_id", "container_id", "event_type", "occurred_at", "details"])
def test_an_event_without_one_of_its_fields_is_refused(name: str) -> None:
    document = FAILED.as_document()
    del document[name]
    with pytest.raises(ValueError, match=name):
        HealthEvent.from_document(document)


@given(instants)
def test_an_instant_is_parsed_back_to_the_microsecond(instant: datetime) -> None:
    assert parse_instant(format_instant(instant)) == instant


@given(instants, instants)
def test_text_order_is_time_order(one: datetime, other: datetime) -> None:
    assert (format_instant(one) < format_instant(other)) == (one < other)


def test_an_instant_in_another_zone_is_written_in_utc() -> None:
    in_delhi = INSTANT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert format_instant(in_delhi) == "2026-11-23T17:00:00.123456Z"


def test_whole_seconds_are_written_with_their_microseconds() -> None:
    assert format_instant(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00.000000Z"


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-11-23T17:00:00Z", "2026-11-23T17:00:00.123456", "2026-11-23T17:00:00.123456+01:00"]
)
def test_an_instant_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid isoformat|not an instant"):
        parse_instant(text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59.999999-01:00"])
def test_an_instant_whose_offset_leads_out_of_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an instant of a health event"):
        parse_instant(text)


def test_an_early_year_has_four_digits() -> None:
    early = datetime(26, 11, 25, 14, tzinfo=UTC)
    assert format_instant(early) == "0026-11-25T14:00:00.000000Z"
    assert parse_instant(format_instant(early)) == early
