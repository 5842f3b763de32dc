"""The bar and the marks have their width and show every state that occurs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from healthprobe.cli.output import bar, marks, marks_summary, sentence
from healthprobe.web.schemas import Outcome

FEW_OR_MANY = st.one_of(st.just(0), st.just(1), st.integers(0, 100_000))


@given(FEW_OR_MANY, FEW_OR_MANY, FEW_OR_MANY, FEW_OR_MANY, st.integers(4, 300))
def test_a_bar_has_its_width_and_shows_every_state_that_occurs(
    down: int, failing: int, unknown: int, healthy: int, width: int
) -> None:
    drawn = bar(down, failing, unknown, healthy, width).plain
    assert len(drawn) == (width if down + failing + unknown + healthy else 0)
    for block, count in zip("█▓░━", (down, failing, unknown, healthy), strict=True):
        assert (block in drawn) == (count > 0)


def test_marks_are_higher_for_longer_response_times_and_failures_differ() -> None:
    outcomes = [Outcome("healthy", taken) for taken in (1.0, 2.0, 4.0, 8.0)]
    outcomes += [Outcome("timeout", None), Outcome("inconclusive", None), Outcome("healthy", 1.0)]
    assert marks(outcomes, 80).plain == "▁▃▆█✗?▁"
    assert marks(outcomes, 3).plain == "✗?▁"
    told = marks_summary(outcomes).plain
    assert told.startswith("7 probes; answered in 2 ms at the median, 8 ms at most; ✗ timeout 1; ? inconclusive 1.")


def test_similar_response_times_have_the_same_mark() -> None:
    assert marks([Outcome("healthy", taken) for taken in (1.0, 1.05, 1.1)], 80).plain == "▁▁▁"


def test_marks_of_failures_alone_and_of_answers_without_a_time_are_drawn() -> None:
    assert marks([Outcome("status", None)] * 3, 80).plain == "✗✗✗"
    assert marks([Outcome("healthy", None), Outcome("healthy", 0.0)], 80).plain == "▁▁"
    assert marks_summary([Outcome("status", None)]).plain == "1 probe; ✗ status 1. The newest is at the right."


def test_a_long_sentence_is_shortened() -> None:
    assert len(sentence("x" * 10_000, is_bad=True).plain) == 300
