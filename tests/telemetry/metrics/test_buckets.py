"""The exported buckets are a selection of the internal ones, and no count is lost or moved."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from healthprobe.status.counters import BOUNDS, Histogram
from healthprobe.telemetry.metric_families import PROBE_BOUNDS, TICK_BOUNDS, histogram_family

SECONDS = st.lists(st.floats(-1.0, 1_000.0), max_size=60)


def recorded(times: list[float]) -> Histogram:
    histogram = Histogram()
    for time in times:
        histogram.record(time)
    return histogram


@given(SECONDS)
def test_every_bucket_counts_exactly_the_times_up_to_its_bound(times: list[float]) -> None:
    family = histogram_family("a_seconds", "A.", recorded(times))
    buckets = [sample for sample in family.samples if sample.name == "a_seconds_bucket"]
    counts = [sample.value for sample in buckets]
    assert counts == [*(sum(time <= BOUNDS[index] for time in times) for index in PROBE_BOUNDS), len(times)]
    assert [sample.labels["le"] for sample in buckets][-1] == "+Inf"


@given(st.lists(st.floats(0.001, 150.0), min_size=1, max_size=60))
def test_the_sum_is_exact_to_within_a_sixteenth(times: list[float]) -> None:
    estimate = recorded(times).estimated_sum
    assert abs(estimate - sum(times)) <= sum(times) / 16


def test_buckets_of_probes_reach_from_half_a_millisecond_to_ten_seconds_and_of_ticks_to_a_minute() -> None:
    assert BOUNDS[PROBE_BOUNDS[0]] <= 0.0005
    assert BOUNDS[PROBE_BOUNDS[-1]] >= 10.0
    assert BOUNDS[TICK_BOUNDS[-1]] >= 60.0
    assert len(PROBE_BOUNDS) <= 30


def test_bounds_as_exported_increase() -> None:
    family = histogram_family("a_seconds", "A.", Histogram())
    bounds = [float(sample.labels["le"]) for sample in family.samples if "le" in sample.labels]
    assert bounds == sorted(set(bounds))
