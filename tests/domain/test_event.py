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
    ProbeFailedDetails,
    ProbeRecoveredDetails,
    details_from_document,
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
)
instants = st.datetimes(timezones=st.just(UTC))


def test_a_failure_reads_to_the_world_exactly_as_the_contract_has_it() -> None:
    assert json.dumps(FAILED.as_document()) == (
        '{"id": "game-7:3", "sequence": 3, "game_id": "game-7", "container_id": "c0ffee", '
        '"event_type": "probe_failed", "occurred_at": "2026-11-23T17:00:00.123456Z", "details": '
        '{"consecutive_failures": 3, "last_status": 503, "last_error": "unexpected status 503"}}'
    )


def test_a_recovery_reads_to_the_world_exactly_as_the_contract_has_it() -> None:
    assert json.dumps(RECOVERED.as_document()) == (
        '{"id": "game-7:4", "sequence": 4, "game_id": "game-7", "container_id": "c0ffee", '
        '"event_type": "probe_recovered", "occurred_at": "2026-11-23T17:00:00.123456Z", "details": '
        '{"prior_failure_count": 5}}'
    )


def test_an_event_is_of_the_type_that_its_details_are() -> None:
    assert (FAILED.event_type, RECOVERED.event_type) == (EventType.PROBE_FAILED, EventType.PROBE_RECOVERED)
    assert set(EventType) == {"probe_failed", "probe_recovered"}


def test_the_id_tells_two_events_of_a_game_apart_and_two_deliveries_of_one_together() -> None:
    assert (FAILED.id, RECOVERED.id) == ("game-7:3", "game-7:4")


@given(details)
def test_details_come_back_from_their_document_as_they_were(written: Details) -> None:
    document = json.loads(json.dumps(written.as_document()))
    assert details_from_document(written.event_type.value, document) == written


@pytest.mark.parametrize(
    ("event_type", "document", "error"),
    [
        ("probe_exploded", {}, ValueError),
        ("", {"prior_failure_count": 1}, ValueError),
        ("probe_failed", {}, KeyError),
        ("probe_failed", {"consecutive_failures": 3, "last_status": 503}, KeyError),
        ("probe_failed", {"consecutive_failures": None, "last_status": 503, "last_error": "x"}, TypeError),
        ("probe_failed", {"consecutive_failures": "many", "last_status": 503, "last_error": "x"}, ValueError),
        ("probe_recovered", {"consecutive_failures": 3}, KeyError),
        ("probe_recovered", {"prior_failure_count": [3]}, TypeError),
    ],
)
def test_what_no_event_has_is_refused(event_type: str, document: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        details_from_document(event_type, document)


@pytest.mark.parametrize("name", ["consecutive_failures", "last_status"])
def test_an_infinite_count_is_refused(name: str) -> None:
    document = {**FAILED.details.as_document(), name: float("inf")}
    with pytest.raises(ValueError, match="not a count: inf"):
        details_from_document("probe_failed", document)


@given(instants)
def test_an_instant_comes_back_from_its_text_to_the_microsecond(instant: datetime) -> None:
    assert parse_instant(format_instant(instant)) == instant


@given(instants, instants)
def test_text_order_is_time_order(one: datetime, other: datetime) -> None:
    assert (format_instant(one) < format_instant(other)) == (one < other)


def test_an_instant_of_another_zone_is_written_in_utc() -> None:
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


def test_an_instant_of_the_first_thousand_years_has_four_digits_of_its_year_as_well() -> None:
    early = datetime(26, 11, 25, 14, tzinfo=UTC)
    assert format_instant(early) == "0026-11-25T14:00:00.000000Z"
    assert parse_instant(format_instant(early)) == early
