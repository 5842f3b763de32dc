"""`--metric-label`: the games by the values of one label, of which there are at most a hundred and `other`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.virtual_time import in_virtual_time
from tests.telemetry.metrics.monitored_worker import MonitoredWorker, labels

from healthprobe.cli.options import parse_metric_label
from healthprobe.domain.outcome import HEALTHY
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import game, ticks


def test_games_are_counted_by_state_and_by_the_label_and_without_it_they_have_an_empty_one() -> None:
    async def play() -> None:
        monitored = MonitoredWorker({"a": HEALTHY, "b": UNAVAILABLE, "c": HEALTHY}, metric_label="region")
        eu = {"region": "eu", "team": "x"}
        monitored.stage.records.put(replace(game("a"), labels=eu), replace(game("b"), labels={"region": "eu"}))
        await ticks(monitored.worker, 3)
        series = await monitored.series()
        assert series["healthprobe_games", labels(state="healthy", region="eu")] == 1
        assert series["healthprobe_games", labels(state="down", region="eu")] == 1
        assert series["healthprobe_games", labels(state="healthy", region="")] == 1
        assert ("healthprobe_games", labels(state="healthy")) not in series
        monitored.stage.records.put(replace(game("a"), labels={"region": "us"}))
        await ticks(monitored.worker, 1)
        monitored.status._refreshed_at = float("-inf")
        series = await monitored.series()
        assert series["healthprobe_games", labels(state="healthy", region="us")] == 1
        assert series["healthprobe_games", labels(state="healthy", region="eu")] == 0

    in_virtual_time(play())


def test_a_hundred_values_are_told_apart_and_keep_their_place_and_all_others_are_counted_together() -> None:
    async def play() -> None:
        monitored = MonitoredWorker({}, metric_label="match", max_concurrency=1000)
        monitored.stage.prober.script_all_others(HEALTHY)
        first = [replace(game(f"g{n:03}"), labels={"match": f"m{n:03}"}) for n in range(150)]
        monitored.stage.records.replace_all(first)
        await ticks(monitored.worker, 1)
        series = {name: value for name, value in (await monitored.series()).items() if name[0] == "healthprobe_games"}
        assert len(series) == 101 * 4
        assert series["healthprobe_games", labels(state="healthy", match="m099")] == 1
        assert series["healthprobe_games", labels(state="healthy", match="other")] == 50
        assert sum(series.values()) == 150
        monitored.stage.records.put(replace(game("new"), labels={"match": "a"}))
        await ticks(monitored.worker, 1)
        monitored.status._refreshed_at = float("-inf")
        series = await monitored.series()
        assert series["healthprobe_games", labels(state="healthy", match="m099")] == 1
        assert series["healthprobe_games", labels(state="healthy", match="other")] == 51

    in_virtual_time(play())


@pytest.mark.parametrize("name", ["state", "te-am", "", "__name__", "a=b"])
def test_a_label_that_games_cannot_be_counted_by_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="label"):
        parse_metric_label(name)
