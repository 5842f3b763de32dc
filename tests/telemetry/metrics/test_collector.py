"""The metrics show failures, incidents, recoveries, and trouble of the prober itself."""

from __future__ import annotations

import asyncio

from tests.support.virtual_time import in_virtual_time
from tests.telemetry.metrics.monitored_worker import NONE, Labels, MonitoredWorker, labels, names

from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind, Inconclusive
from healthprobe.telemetry.fleet_metrics import MAX_GAME_SERIES
from healthprobe.testing.prober import UNAVAILABLE, Late
from healthprobe.testing.stage import game, ticks
from healthprobe.worker.static_shards import StaticShards

REFUSED = Failed(0, "connection refused", FailureKind.REFUSED)
DURATION = "healthprobe_probe_duration_seconds"


def test_a_run_without_games_has_zeros_for_series() -> None:
    async def scraped() -> dict[tuple[str, Labels], float]:
        return await MonitoredWorker({}).series()

    series = in_virtual_time(scraped())
    assert series["healthprobe_games", labels(state="healthy")] == 0
    assert series["healthprobe_ticks_total", NONE] == 0
    assert series["healthprobe_probe_duration_seconds_count", NONE] == 0
    assert "healthprobe_shards_held" not in names(series)


def test_failures_are_counted_by_kind_and_incidents_begin_and_end() -> None:
    async def play() -> None:
        monitored = MonitoredWorker({"a": HEALTHY, "b": [UNAVAILABLE, REFUSED, REFUSED, HEALTHY]})
        await ticks(monitored.worker, 3)
        down = await monitored.series()
        assert down["healthprobe_probes_total", labels(outcome="healthy")] == 3
        assert down["healthprobe_probes_total", labels(outcome="failed")] == 3
        assert down["healthprobe_probe_failures_total", labels(kind="status")] == 1
        assert down["healthprobe_probe_failures_total", labels(kind="refused")] == 2
        assert down["healthprobe_games", labels(state="down")] == 1
        assert down["healthprobe_games", labels(state="healthy")] == 1
        assert down["healthprobe_open_incidents", NONE] == 1
        assert down["healthprobe_health_events_total", labels(event_type="probe_failed")] == 1
        assert down["healthprobe_game_down_seconds", labels(game_id="b", host="127.0.0.1")] == 0
        assert down["healthprobe_log_append_duration_seconds_count", NONE] == 1
        await asyncio.sleep(30)
        await monitored.worker.tick()
        well = await monitored.series()
        assert well["healthprobe_games", labels(state="down")] == 0
        assert well["healthprobe_open_incidents", NONE] == 0
        assert well["healthprobe_health_events_total", labels(event_type="probe_recovered")] == 1
        assert "healthprobe_game_down_seconds" not in names(well)

    in_virtual_time(play())


def test_a_game_that_is_down_has_a_series_with_its_duration() -> None:
    async def play() -> None:
        monitored = MonitoredWorker({"a": UNAVAILABLE})
        await ticks(monitored.worker, 3)
        await asyncio.sleep(90)
        series = await monitored.series()
        assert series["healthprobe_game_down_seconds", labels(game_id="a", host="127.0.0.1")] == 90

    in_virtual_time(play())


def test_at_most_a_thousand_games_have_series_and_the_rest_is_counted() -> None:
    async def play() -> None:
        monitored = MonitoredWorker({f"game-{number}": UNAVAILABLE for number in range(MAX_GAME_SERIES + 234)})
        await ticks(monitored.worker, 3)
        series = await monitored.series()
        assert sum(name == "healthprobe_game_down_seconds" for name, _ in series) == MAX_GAME_SERIES
        assert series["healthprobe_games_down_unlisted", NONE] == 234
        assert series["healthprobe_open_incidents", NONE] == MAX_GAME_SERIES + 234

    in_virtual_time(play())


def test_an_id_that_is_not_valid_utf_8_does_not_fail_the_scrape() -> None:
    async def play() -> None:
        monitored = MonitoredWorker({"half-\ud800": UNAVAILABLE, 'quote"\n\\': UNAVAILABLE})
        await ticks(monitored.worker, 3)
        series = await monitored.series()
        listed = {dict(named)["game_id"] for name, named in series if name == "healthprobe_game_down_seconds"}
        assert listed == {"half-\\ud800", 'quote"\n\\'}

    in_virtual_time(play())


def test_inconclusive_probes_are_counted_by_cause() -> None:
    async def play() -> None:
        monitored = MonitoredWorker({"a": Inconclusive("too many open files")})
        await ticks(monitored.worker, 2)
        series = await monitored.series()
        assert series["healthprobe_probes_total", labels(outcome="inconclusive")] == 2
        assert series["healthprobe_inconclusive_probes_total", labels(cause="too many open files")] == 2

    in_virtual_time(play())


def test_an_unavailable_log_is_shown_with_the_transitions_that_wait_for_it() -> None:
    async def play() -> None:
        monitored = MonitoredWorker({"a": UNAVAILABLE})
        await ticks(monitored.worker, 2)
        monitored.stage.log.unavailable = True
        await monitored.worker.tick()
        await asyncio.sleep(20)
        series = await monitored.series()
        assert series["healthprobe_transitions_waiting", NONE] == 1
        assert series["healthprobe_log_away_seconds", NONE] == 20
        assert series["healthprobe_games", labels(state="down")] == 1
        assert series["healthprobe_games_down_unlisted", NONE] == 1

    in_virtual_time(play())


def test_lanes_and_overdue_ticks_are_current_at_the_scrape() -> None:
    async def play() -> None:
        monitored = MonitoredWorker({"a": Late(1.5, HEALTHY), "b": Late(1.5, HEALTHY)}, max_concurrency=4)
        tick = asyncio.create_task(monitored.worker.tick())
        await asyncio.sleep(1)
        early = await monitored.series()
        assert early["healthprobe_lanes_in_use", NONE] == 2
        assert early["healthprobe_lanes_limit", NONE] == 4
        assert early["healthprobe_tick_overdue_seconds", NONE] == 0
        await asyncio.sleep(4.5)
        late = await monitored.series()
        assert late["healthprobe_lanes_in_use", NONE] == 0
        assert late["healthprobe_tick_overdue_seconds", NONE] == 0.5
        assert late["healthprobe_tick_duration_seconds_count", NONE] == 1
        await tick

    in_virtual_time(play())


def test_probe_durations_are_a_histogram_with_a_sum() -> None:
    async def play() -> None:
        monitored = MonitoredWorker({"a": Late(1.5, HEALTHY), "b": Late(0.001, HEALTHY)})
        await monitored.worker.tick()
        series = await monitored.series()
        buckets = {dict(named)["le"]: value for (name, named), value in series.items() if name == DURATION + "_bucket"}
        assert sum(1 for value in buckets.values() if value == 1) > 5
        assert buckets["+Inf"] == series[DURATION + "_count", NONE] == 2
        assert 1.4 < series[DURATION + "_sum", NONE] < 1.6

    in_virtual_time(play())


def test_publishers_listing_errors_and_skipped_records_have_series() -> None:
    async def play() -> None:
        monitored = MonitoredWorker({"a": HEALTHY})
        monitored.histories.record_lag("nats://bus", 7)
        monitored.histories.record_parked("nats://bus")
        monitored.histories.record_listing_error()
        monitored.histories.record_skipped_records(2)
        series = await monitored.series()
        assert series["healthprobe_relay_lag_events", labels(publisher="nats://bus")] == 7
        assert series["healthprobe_relay_parked_events_total", labels(publisher="nats://bus")] == 1
        assert series["healthprobe_relay_altered_events_total", labels(publisher="nats://bus")] == 0
        assert series["healthprobe_listing_errors_total", NONE] == 1
        assert series["healthprobe_skipped_records", NONE] == 2

    in_virtual_time(play())


def test_a_publisher_to_which_delivery_fails_has_a_series_with_the_code() -> None:
    async def play() -> None:
        monitored = MonitoredWorker({})
        monitored.histories.record_lag("bus", 3)
        monitored.histories.record_delivery("bus", "webhook answered 401: go away", "401")
        assert (await monitored.series())["healthprobe_relay_failing", labels(publisher="bus", code="401")] == 1
        monitored.histories.record_delivery("bus", None)
        assert (await monitored.series())["healthprobe_relay_failing", labels(publisher="bus", code="")] == 0

    in_virtual_time(play())


def test_a_publisher_without_dead_letters_has_a_series_at_zero() -> None:
    async def play() -> None:
        monitored = MonitoredWorker({})
        monitored.histories.record_lag("nats://bus", 0)
        series = await monitored.series()
        assert series["healthprobe_relay_parked_events_total", labels(publisher="nats://bus")] == 0

    in_virtual_time(play())


def test_an_instance_that_shares_the_fleet_has_series_for_its_shards() -> None:
    async def play() -> None:
        monitored = MonitoredWorker({"a": HEALTHY}, shards=StaticShards(frozenset(range(12))))
        await monitored.worker.tick()
        assert (await monitored.series())["healthprobe_shards_held", NONE] == 12

    in_virtual_time(play())


def test_a_scrape_changes_nothing() -> None:
    async def play() -> None:
        monitored = MonitoredWorker({"a": HEALTHY, "b": UNAVAILABLE})
        monitored.stage.records.put(game("c"))
        await ticks(monitored.worker, 4)
        first, second = await monitored.series(), await monitored.series()
        ours = {key: value for key, value in first.items() if key[0].startswith("healthprobe_")}
        assert ours == {key: value for key, value in second.items() if key[0].startswith("healthprobe_")}

    in_virtual_time(play())


def test_games_that_the_log_cannot_hold_and_the_longest_wait_for_it_have_series() -> None:
    async def play() -> None:
        monitored = MonitoredWorker({"a": [HEALTHY, HEALTHY, UNAVAILABLE], "b": UNAVAILABLE}, failures_threshold=1)
        monitored.stage.log.unacceptable.add("b")
        await ticks(monitored.worker, 2)
        series = await monitored.series()
        assert series["healthprobe_games_set_aside", NONE] == 1
        assert series["healthprobe_transition_wait_seconds", NONE] == 0
        monitored.stage.log.unavailable = True
        await monitored.worker.tick()
        await asyncio.sleep(20)
        series = await monitored.series()
        assert series["healthprobe_transition_wait_seconds", NONE] == 20
        assert series["healthprobe_transitions_waiting", NONE] == 1

    in_virtual_time(play())
