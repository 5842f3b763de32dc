"""The endpoint and the metrics of a cluster."""

from __future__ import annotations

from tests.support.few_instances import BLIND, FIRST, SECOND, FewInstances
from tests.telemetry.metrics.monitored_worker import NONE, MonitoredWorker
from tests.web.client import app_of, get, get_json


async def test_every_instance_has_its_shards_lease_ages_and_last_takeover() -> None:
    cluster = await get_json(MonitoredWorker({}, cluster=FewInstances()), "/api/cluster")
    assert (cluster["shards"], cluster["unwatched"], cluster["silent_s"]) == (256, 0, 0.25)
    first, second, blind = cluster["instances"]
    assert first == {
        "instance": "node-a-17-c0ffee",
        "host": "node-a",
        "pid": 17,
        "started_at": "2026-11-25T09:00:00Z",
        "shards": list(range(128)),
        "games": 60_123,
        "duties": ["relay"],
        "blind": False,
        "oldest_renewal_s": 0.9,
        "newest_renewal_s": 0.2,
        "last_takeover": {"at": "2026-11-25T09:30:00Z", "shards": 43, "cause": "expired"},
    }
    assert (second["instance"], second["last_takeover"]) == (SECOND.instance, None)
    assert (blind["instance"], blind["blind"], blind["shards"]) == (BLIND.instance, True, [])


async def test_shards_that_no_instance_holds_are_counted() -> None:
    alone = await get_json(MonitoredWorker({}, cluster=FewInstances(instances=[SECOND])), "/api/cluster")
    assert alone["unwatched"] == 128


async def test_the_fleet_has_the_number_of_instances_and_a_run_outside_a_cluster_answers_404() -> None:
    assert (await get_json(MonitoredWorker({}, cluster=FewInstances()), "/api/fleet"))["prober"]["instances"] == 3
    alone = MonitoredWorker({})
    assert (await get_json(alone, "/api/fleet"))["prober"]["instances"] is None
    answer = await get(app_of(alone), "/api/cluster")
    assert answer.status_code == 404
    assert answer.json() == {"error": "this run is not in a cluster: start it with --cluster to share the fleet"}


async def test_the_metrics_of_a_cluster_are_its_instances_unwatched_shards_and_silence() -> None:
    series = await MonitoredWorker({}, cluster=FewInstances(instances=[FIRST, BLIND], silent_for=12.5)).series()
    assert series["healthprobe_cluster_instances", NONE] == 2
    assert series["healthprobe_cluster_shards_unwatched", NONE] == 128
    assert series["healthprobe_cluster_silent_seconds", NONE] == 12.5


async def test_a_run_outside_a_cluster_has_no_cluster_metrics() -> None:
    series = await MonitoredWorker({}).series()
    assert not any(name.startswith("healthprobe_cluster") for name, _ in series)
