"""What a worker refuses to be made of, and how clearly it says so."""

from __future__ import annotations

import math

import pytest

from healthprobe.domain.probe.probe_settings import ProbeSettings
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ConfigurationError
from healthprobe.testing.memory import InMemoryRecords
from healthprobe.testing.stage import Stage
from healthprobe.worker.config import WorkerConfig
from healthprobe.worker.worker import Worker


@pytest.mark.parametrize("name", ["records", "log", "prober"])
async def test_a_missing_collaborator_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^new health probe worker: no .*: {name} is None$") as refused:
        Worker(**Stage().arguments(**{name: None}))
    assert refused.value.permanent
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["interval", "probe_timeout", "failures_threshold"])
@pytest.mark.parametrize("number", [0, -1, -0.5, math.nan, math.inf, -math.inf])
async def test_a_number_that_is_not_positive_is_named_with_what_it_was(name: str, number: float) -> None:
    with pytest.raises(
        ConfigurationError, match=f"^new health probe worker: {name} must be positive, and is {number}$"
    ):
        Worker(**Stage().arguments(**{name: number}))


async def test_optional_arguments_have_defaults() -> None:
    stage = Stage()
    worker = Worker(records=stage.records, log=stage.log, prober=stage.prober)
    await worker.tick()
    assert worker.config == WorkerConfig()


async def test_probe_defaults_apply_to_games_whose_records_say_nothing_else() -> None:
    stage = Stage()
    own = RuntimeRecord("go-1", "", "http://h:1", probe='{"path": "/own", "failures": 5}')
    records = InMemoryRecords(RuntimeRecord("game-7", "", "http://h:1"), own)
    config = WorkerConfig(probe=ProbeSettings(path="/ready", failures=1))
    worker = Worker(records=records, log=stage.log, prober=stage.prober, config=config)
    await worker.tick()
    watched = worker.status.target_set.by_id
    assert {name: game.target.settings.path for name, game in watched.items()} == {"game-7": "/ready", "go-1": "/own"}
    assert {name: game.thresholds.failures for name, game in watched.items()} == {"game-7": 1, "go-1": 5}


def test_a_default_timeout_is_shorter_than_the_interval() -> None:
    with pytest.raises(ConfigurationError, match=r"probe.timeout 5s is not shorter than the interval of 5s"):
        WorkerConfig(probe=ProbeSettings(timeout=5.0))
