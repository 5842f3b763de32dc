"""Up, down and unwatched: three parts of any window, told as stories and for any history."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.availability import Availability, Span, availability, merged, seconds_of, within, without
from healthprobe.domain.event import HealthEvent, ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.domain.incident import Incident

WINDOW = (1000.0, 2000.0)
ALWAYS = [(0.0, 10_000.0)]


def incident(start: float, end: float | None = None, *, gone_at: float | None = None, number: int = 0) -> Incident:
    failed = HealthEvent(2 * number + 1, "a", "c", _at(start), ProbeFailedDetails(3, 503, "unexpected status 503"))
    recovered = None if end is None else HealthEvent(2 * number + 2, "a", "c", _at(end), ProbeRecoveredDetails(3))
    return Incident(failed, recovered, None if gone_at is None else _at(gone_at))


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_a_game_that_was_watched_and_never_failed_was_up() -> None:
    found = availability([], ALWAYS, WINDOW)
    assert (found.up_s, found.down_s, found.unwatched_s, found.percent) == (1000, 0, 0, 100)
    assert (found.mttr_s, found.mtbf_s) == (None, None)


def test_two_incidents_have_a_mean_time_to_recovery_and_between_failures() -> None:
    found = availability([incident(1100, 1110), incident(1500, 1530, number=1)], ALWAYS, WINDOW)
    assert (found.incidents, found.down_s, found.longest_s) == (2, 40, 30)
    assert (found.mttr_s, found.mtbf_s, found.percent) == (20, 480, 96)


def test_time_that_nobody_watched_is_neither_up_nor_down() -> None:
    found = availability([incident(1100, 1200)], [(0, 1400), (1900, 2000)], WINDOW)
    assert (found.up_s, found.down_s, found.unwatched_s) == (400, 100, 500)
    assert (found.percent, found.unwatched_percent) == (80, 50)


def test_an_incident_lasts_through_time_that_nobody_watched() -> None:
    found = availability([incident(1100, 1600)], [(0, 1200), (1550, 2000)], WINDOW)
    assert (found.up_s, found.down_s, found.unwatched_s) == (500, 500, 0)


def test_nothing_is_known_where_nobody_watched_and_nothing_failed() -> None:
    found = availability([], [], WINDOW)
    assert (found.percent, found.unwatched_percent) == (None, 100)


def test_an_open_incident_lasts_to_the_end_and_has_not_been_repaired() -> None:
    found = availability([incident(1900)], ALWAYS, WINDOW)
    assert (found.incidents, found.down_s, found.repairs, found.mttr_s, found.mtbf_s) == (1, 100, 0, None, 900)


def test_an_incident_that_began_before_the_window_is_down_time_and_no_failure_in_it() -> None:
    found = availability([incident(500, 1100)], ALWAYS, WINDOW)
    assert (found.incidents, found.failures, found.down_s, found.longest_s, found.mttr_s) == (1, 0, 100, 100, 600)
    assert found.mtbf_s is None


@pytest.mark.parametrize("outside", [incident(100, 900), incident(2100, 2200), incident(100, 1000), incident(2000)])
def test_an_incident_outside_of_the_window_does_not_count(outside: Incident) -> None:
    assert availability([outside], ALWAYS, WINDOW) == availability([], ALWAYS, WINDOW)


def test_a_game_that_is_gone_is_not_up_until_it_fails_again() -> None:
    found = availability([incident(1100, gone_at=1200), incident(1700, 1750, number=1)], ALWAYS, WINDOW)
    assert (found.down_s, found.up_s, found.unwatched_s) == (150, 350, 500)
    last = availability([incident(1100, gone_at=1200)], ALWAYS, WINDOW)
    assert (last.down_s, last.up_s, last.unwatched_s, last.repairs) == (100, 100, 800, 0)


def test_a_clock_set_back_gives_no_negative_time() -> None:
    found = availability([incident(1500, 1400)], ALWAYS, WINDOW)
    assert (found.down_s, found.up_s, found.mttr_s) == (0, 1000, 0)


def test_a_group_adds_up_its_games() -> None:
    one = availability([incident(1100, 1110)], ALWAYS, WINDOW)
    other = availability([incident(1500, 1590)], ALWAYS, WINDOW)
    assert one + other == Availability(2, 2, 2, 100, 90, 1900, 100, 0)
    assert (one + other).percent == 95
    assert one + Availability() == one


instants = st.integers(0, 60).map(float)
spans = st.lists(st.tuples(instants, instants).map(lambda pair: (min(pair), max(pair))), max_size=8)


def seconds_in(found: list[Span]) -> set[int]:
    return {second for start, end in found for second in range(int(start), int(end))}


@given(spans)
def test_merged_spans_are_the_same_seconds_in_order_without_overlap(some: list[Span]) -> None:
    found = merged(some)
    assert seconds_in(found) == seconds_in(some)
    assert all(before[1] < after[0] for before, after in pairwise(found))
    assert seconds_of(found) == len(seconds_in(some))


@given(spans, spans)
def test_without_takes_exactly_the_seconds_of_the_others_away(some: list[Span], others: list[Span]) -> None:
    assert seconds_in(without(some, others)) == seconds_in(some) - seconds_in(others)


@st.composite
def histories(draw: st.DrawFn) -> list[Incident]:
    """Incidents of one game, in order, each ended by a recovery or by its game's end; the last may be open."""
    bounds = sorted(draw(st.lists(st.integers(0, 60), min_size=2, max_size=11)))
    found = []
    for number, (start, end) in enumerate(zip(bounds[::2], bounds[1::2], strict=False)):
        gone = draw(st.booleans())
        found.append(incident(start, None if gone else end, gone_at=end if gone else None, number=number))
    if len(bounds) % 2:
        found.append(incident(bounds[-1], number=len(found)))
    return found


@given(histories(), spans, st.tuples(instants, instants).map(sorted))
def test_up_down_and_unwatched_make_up_any_window_second_by_second(
    history: list[Incident], watched: list[Span], bounds: list[float]
) -> None:
    window = (bounds[0], bounds[1])
    found = availability(history, watched, window)
    whole = seconds_in([window])
    down, absent = set(), set()
    for number, each in enumerate(history):
        start = each.failed.occurred_at.timestamp()
        end = window[1] if each.ended_at is None else each.ended_at.timestamp()
        down |= seconds_in([(start, end)])
        if each.gone_at is not None:
            following = history[number + 1].failed.occurred_at.timestamp() if number + 1 < len(history) else window[1]
            absent |= seconds_in([(end, following)])
    down &= whole
    up = (whole & seconds_in(watched)) - down - absent
    assert (found.down_s, found.up_s) == (len(down), len(up))
    assert found.unwatched_s == len(whole) - len(down) - len(up)
    assert found.percent is None or 0 <= found.percent <= 100
    assert found.longest_s <= found.down_s


@given(spans, instants, instants)
def test_more_watching_never_makes_a_game_less_up(watched: list[Span], one: float, other: float) -> None:
    history = [incident(20, 30)]
    window = (0.0, 60.0)
    more = availability(history, [*watched, (min(one, other), max(one, other))], window)
    assert more.up_s >= availability(history, watched, window).up_s
    assert within(watched, window) == merged(watched)
